use arrow::array::{Int64Array, StringViewArray};
use arrow::datatypes::Int64Type;

use super::*;

fn rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let texts: StringViewArray =
        ids.clone().map(|id| Some(format!("the long text of the row with number {id}"))).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    RecordBatch::try_from_iter([("id", ids), ("text", Arc::new(texts) as ArrayRef)]).unwrap()
}

fn ids(tail: &Tail) -> Vec<i64> {
    tail.chunks().iter().flat_map(|chunk| chunk.rows.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn of(changes: i64) -> Tail {
    (0..changes).fold(Tail::default(), |tail, id| tail.appended(Lsn(id + 1), id, &rows(id..id + 1)).unwrap())
}

#[test]
fn many_small_changes_become_few_chunks_in_order() {
    let tail = of(1000);
    assert!(tail.chunks().len() < 12, "{} chunks", tail.chunks().len());
    assert_eq!(ids(&tail), (0..1000).collect::<Vec<_>>());
    assert_eq!((tail.rows(), tail.last(), tail.since_ms()), (1000, Some(Lsn(1000)), Some(0)));
    assert!(tail.bytes() < 200_000, "{}", tail.bytes());
}

#[test]
fn what_is_sealed_is_flushed_without_later_rows() {
    let sealed = of(10).sealed();
    let mut tail = sealed.clone();
    for id in 10..20 {
        tail = tail.appended(Lsn(id + 1), id, &rows(id..id + 1)).unwrap();
    }
    let rest = tail.after(sealed.last().unwrap());
    assert_eq!(ids(&rest), (10..20).collect::<Vec<_>>());
    assert_eq!(rest.since_ms(), Some(10));
    assert!(rest.after(Lsn(20)).is_empty() && rest.after(Lsn(5)).rows() == 10);
    assert_eq!(ids(&tail).len(), 20);
}

#[test]
fn a_slice_does_not_keep_the_texts_of_the_whole() {
    let whole = rows(0..10_000);
    let tail = Tail::default().appended(Lsn(1), 0, &whole.slice(5, 1)).unwrap();
    assert!(tail.bytes() < 2_000, "{}", tail.bytes());
    assert_eq!(ids(&tail), [5]);
}
