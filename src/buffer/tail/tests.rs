use arrow::array::{Int64Array, StringViewArray};
use arrow::datatypes::Int64Type;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// One change.
fn one(lsn: i64) -> (Lsn, Lsn) {
    (Lsn(lsn), Lsn(lsn))
}

fn rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let texts: StringViewArray =
        ids.clone().map(|id| Some(format!("the long text of the row with number {id}"))).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    RecordBatch::try_from_iter([("id", ids), ("text", Arc::new(texts) as ArrayRef)]).unwrap()
}

fn ids(tail: &Tail) -> Vec<i64> {
    let batches = tail.batches().unwrap();
    batches.iter().flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn of(changes: i64) -> Tail {
    (0..changes).fold(Tail::default(), |tail, id| tail.inserted(one(id + 1), id, &rows(id..id + 1)).unwrap())
}

#[test]
fn many_small_changes_become_few_chunks_in_order() {
    let tail = of(1000);
    assert!(tail.chunks.len() < 12, "{} chunks", tail.chunks.len());
    assert_eq!(ids(&tail), (0..1000).collect::<Vec<_>>());
    assert_eq!((tail.rows(), tail.last(), tail.since_ms()), (1000, Some(Lsn(1000)), Some(0)));
    assert!(tail.bytes() < 200_000, "{}", tail.bytes());
}

#[test]
fn what_is_sealed_is_flushed_without_later_rows() {
    let sealed = of(10).sealed();
    let mut tail = sealed.clone();
    for id in 10..20 {
        tail = tail.inserted(one(id + 1), id, &rows(id..id + 1)).unwrap();
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
    let tail = Tail::default().inserted(one(1), 0, &whole.slice(5, 1)).unwrap();
    assert!(tail.bytes() < 2_000, "{}", tail.bytes());
    assert_eq!(ids(&tail), [5]);
}

/// Rows by key in the order of their changes, as the tail has them and as they should be.
#[test]
fn what_is_replaced_or_deleted_by_key_does_not_count() {
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..30 {
        let (mut tail, mut expected) = (Tail::default(), Vec::new());
        let mut lsn = 0;
        for change in 1..200 {
            lsn += 1;
            let keys: Vec<i64> = (0..random.random_range(1..6)).map(|_| random.random_range(0..40)).collect();
            let rows = keyed(&keys, change);
            let key = rows.project(&[0]).unwrap();
            let last = |at: usize| !keys[at + 1..].contains(&keys[at]);
            match random.random_range(0..10) {
                0..2 => {
                    tail = tail.inserted(one(lsn), change, &rows).unwrap();
                    expected.extend(keys.iter().map(|key| (lsn, *key, change)));
                }
                2..8 => {
                    tail = tail.replaced(one(lsn), change, &rows, key).unwrap();
                    expected.retain(|(_, held, _)| !keys.contains(held));
                    expected.extend((0..keys.len()).filter(|at| last(*at)).map(|at| (lsn, keys[at], change)));
                }
                8 => {
                    tail = tail.deleted(one(lsn), change, &rows.schema(), key).unwrap();
                    expected.retain(|(_, held, _)| !keys.contains(held));
                }
                _ if random.random_bool(0.7) => tail = tail.sealed(),
                _ => {
                    let until = tail.chunks.get(tail.sealed / 2).map_or(0, |held| held.chunk.changes.1.0);
                    tail = tail.after(Lsn(until));
                    expected.retain(|(lsn, ..)| *lsn > until);
                }
            }
            let found: Vec<(i64, i64)> = tail.batches().unwrap().iter().flat_map(pairs).collect();
            assert_eq!(found, expected.iter().map(|(_, key, change)| (*key, *change)).collect::<Vec<_>>());
            assert_eq!(tail.rows(), expected.len());
        }
    }
}

#[test]
fn a_key_that_is_replaced_often_takes_little() {
    let tail = (1..5000).fold(Tail::default(), |tail, change| {
        let rows = keyed(&[change % 3], change);
        tail.replaced(one(change), change, &rows, rows.project(&[0]).unwrap()).unwrap()
    });
    assert_eq!(tail.batches().unwrap().iter().flat_map(pairs).map(|(_, change)| change).max(), Some(4999));
    assert_eq!((tail.rows(), tail.keys().unwrap().unwrap().num_rows()), (3, 3));
    assert!(tail.bytes() < 10_000, "{}", tail.bytes());
}

fn keyed(keys: &[i64], change: i64) -> RecordBatch {
    let (keys, changes) = (Int64Array::from(keys.to_vec()), Int64Array::from(vec![change; keys.len()]));
    RecordBatch::try_from_iter([("k", Arc::new(keys) as ArrayRef), ("v", Arc::new(changes) as ArrayRef)]).unwrap()
}

fn pairs(rows: &RecordBatch) -> Vec<(i64, i64)> {
    let column = |at: usize| rows.column(at).as_primitive::<Int64Type>().values().to_vec();
    column(0).into_iter().zip(column(1)).collect()
}
