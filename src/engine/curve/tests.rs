use super::*;

#[test]
fn bits_are_interleaved_from_the_highest() {
    assert_eq!(morton(&[0b10, 0b01], 2), 0b1001);
    assert_eq!(morton(&[0b111, 0b000, 0b101], 3), 0b101_100_101);
    // One step in the first column's highest bit outranks anything below it.
    assert!(morton(&[0b1000, 0], 4) > morton(&[0b0111, 0b0111], 4));
}

#[test]
fn hilberts_curve_goes_one_step_at_a_time_through_every_point() {
    for (axes, bits) in [(2, 1), (2, 5), (3, 3), (4, 2)] {
        let points = 1_u64 << (axes * bits);
        let mut path = vec![None; points as usize];
        for number in 0..points {
            let point: Vec<u64> = (0..axes).map(|axis| number >> (axis * bits) & ((1 << bits) - 1)).collect();
            let place = &mut path[hilbert(&mut point.clone(), bits) as usize];
            assert_eq!(*place, None, "two points share a place");
            *place = Some(point);
        }
        let path: Vec<Vec<u64>> = path.into_iter().map(Option::unwrap).collect();
        for step in path.windows(2) {
            let distance: u64 = step[0].iter().zip(&step[1]).map(|(from, to)| from.abs_diff(*to)).sum();
            assert_eq!(distance, 1, "{axes} axes of {bits} bits: {step:?}");
        }
    }
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
