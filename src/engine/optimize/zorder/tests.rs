use super::*;

#[test]
fn bits_are_interleaved_from_the_highest() {
    assert_eq!(morton([0b10, 0b01].into_iter(), 2), 0b1001);
    assert_eq!(morton([0b111, 0b000, 0b101].into_iter(), 3), 0b101_100_101);
    // One step in the first column's highest bit outranks anything below it.
    assert!(morton([0b1000, 0].into_iter(), 4) > morton([0b0111, 0b0111].into_iter(), 4));
}

#[test]
fn ranks_are_even_whatever_the_values() {
    let column: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values((0..1000).map(|n: i64| n * n * n)));
    let mut ranks = Ranks { data_type: DataType::Int64, sampled: Vec::new() };
    ranks.sample(&column, 0, 4).unwrap();
    let found = ranks.of(&column, 10).unwrap();
    assert!(found.is_sorted() && found[0] == 0 && found[999] < 1024, "{:?}", &found[990..]);
    assert!((450..575).contains(&found[500]), "{}", found[500]);
}
