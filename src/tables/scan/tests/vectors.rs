//! Files with deleted rows: read right, in parallel, and never sent without their deletions.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion_proto::bytes::physical_plan_to_bytes;

use super::fixture::{Dice, Lake, Writer, plan, rows, shown};
use crate::tables::deletion_vector::tests::{Kind, write_vector};

fn lake(dice: &mut Dice) -> Lake {
    let fields = vec![
        Field::new("k", DataType::Int64, true),
        Field::new("v", DataType::Utf8View, true),
        Field::new("p", DataType::Int32, true),
    ];
    let mut lake = Lake::new(Schema::new(fields), &["p"]);
    for file in 0..6_i64 {
        let count = 40 + dice.below(60) as i64;
        let keys = file * 100..file * 100 + count;
        let texts: ArrayRef =
            Arc::new(StringViewArray::from_iter_values(keys.clone().map(|key| format!("v{}", key % 10))));
        let keys: ArrayRef = Arc::new(Int64Array::from_iter(keys.map(|key| (key % 9 != 0).then_some(key))));
        let batch = RecordBatch::try_from_iter([("k", keys), ("v", texts)]).unwrap();
        lake.file(&batch, &[Some(["1", "2"][file as usize % 2])], Writer::Own, &[]);
        let gone: HashSet<u64> = match dice.below(5) {
            0 => continue,
            1 => (0..count as u64).collect(),
            2 => (10..30).collect(),
            _ => (0..count as u64).filter(|_| dice.below(3) == 0).collect(),
        };
        let kind = *dice.one_of(&[Kind::Inline, Kind::Relative, Kind::Absolute]);
        lake.delete(&gone, write_vector(lake.dir.path(), kind, gone.iter().copied()));
    }
    lake
}

#[tokio::test]
async fn deleted_rows_are_gone_whatever_the_query() {
    for seed in 1..=6_u64 {
        let mut dice = Dice(seed * 104_729);
        let lake = lake(&mut dice);
        for row_filter in [false, true] {
            let session = lake.session(row_filter);
            let n = dice.below(600);
            for query in [
                "SELECT k, v, p FROM t ORDER BY k, v, p".to_owned(),
                "SELECT count(*) AS n FROM t".to_owned(),
                "SELECT count(k) AS n, min(k) AS a, max(k) AS b, min(p) AS c, max(p) AS d FROM t".to_owned(),
                "SELECT count(*) AS n, max(p) AS d FROM t WHERE p = 2".to_owned(),
                format!("SELECT k, v FROM t WHERE k >= {n} ORDER BY k, v"),
                format!("SELECT k, v FROM t WHERE k = {n} OR v = 'v3' ORDER BY k, v"),
                format!("SELECT k FROM t WHERE k > {n} ORDER BY k DESC LIMIT 4"),
                "SELECT count(*) AS n FROM (SELECT k FROM t WHERE p = 1 LIMIT 25)".to_owned(),
                "SELECT count(*) AS n FROM (SELECT k FROM t LIMIT 90)".to_owned(),
                "SELECT count(*) AS n FROM t WHERE k IS NULL".to_owned(),
            ] {
                let truth = rows(&session, &query.replace("FROM t", "FROM truth")).await;
                let plan = plan(&session, &query).await;
                assert_eq!(rows(&session, &query).await, truth, "seed {seed}: {query}\n{}", shown(&plan));
            }
        }
    }
}

#[tokio::test]
async fn the_place_of_a_row_is_that_in_its_file() {
    for seed in 1..=3_u64 {
        let lake = lake(&mut Dice(seed * 104_729));
        for row_filter in [false, true] {
            let session = lake.session(row_filter);
            session.register_table("f", Arc::new(lake.scan().with_place_columns("__file", "__row"))).unwrap();
            for (filter, truth) in [
                ("true", "true"),
                ("k % 7 = 3", "k % 7 = 3"),
                ("k BETWEEN 120 AND 330", "k BETWEEN 120 AND 330"),
                ("v = 'v3' AND p = 1", "v = 'v3' AND p = 1"),
                ("__row > 20", "k % 100 > 20"),
            ] {
                let place = "CAST(substr(__file, 6, 5) AS BIGINT) * 100 + __row AS k";
                let placed = format!("SELECT {place} FROM f WHERE k IS NOT NULL AND {filter} ORDER BY k");
                let truth = format!("SELECT k FROM truth WHERE k IS NOT NULL AND {truth} ORDER BY k");
                assert_eq!(rows(&session, &placed).await, rows(&session, &truth).await, "seed {seed}: {filter}");
            }
        }
    }
}

#[tokio::test]
async fn they_are_counted_without_reading_and_read_in_parallel() {
    let lake = lake(&mut Dice(104_729 * 3));
    assert!(lake.files.iter().any(|file| file.deletion_vector.is_some()));
    let session = lake.session(false);
    assert!(!shown(&plan(&session, "SELECT count(*) FROM t").await).contains("DataSourceExec"));
    assert!(shown(&plan(&session, "SELECT max(k) FROM t").await).contains("DataSourceExec"));
    let scan = shown(&plan(&session, "SELECT k, v FROM t WHERE v = 'v1'").await);
    assert!(scan.contains("3 groups"), "{scan}");
}

#[tokio::test]
async fn they_are_not_sent_without_their_deletions() {
    let lake = lake(&mut Dice(104_729 * 3));
    let session = lake.session(false);
    let error = physical_plan_to_bytes(plan(&session, "SELECT k FROM t WHERE v = 'v1'").await).unwrap_err();
    assert!(error.to_string().contains("deletion vectors"), "{error}");
}

#[tokio::test]
async fn a_damaged_bitmap_is_an_error() {
    let mut lake = lake(&mut Dice(104_729));
    let file = lake.files.iter().position(|file| file.deletion_vector.is_some()).unwrap();
    let mut entry = lake.files[file].as_ref().clone();
    let gone: HashSet<u64> = (0..5).collect();
    let vector = write_vector(lake.dir.path(), Kind::Relative, gone.iter().copied());
    for found in std::fs::read_dir(lake.dir.path().join("a b")).unwrap() {
        let path = found.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            let mut bytes = std::fs::read(&path).unwrap();
            // Behind the length and the first word of the bitmap.
            bytes[vector.offset.unwrap() as usize + 12] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    entry.deletion_vector = Some(vector);
    lake.files[file] = Arc::new(entry);
    let session = lake.session(false);
    let error = session.sql("SELECT k FROM t").await.unwrap().collect().await.unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}
