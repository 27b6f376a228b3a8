//! Aggregates without reading: the right answer, or the rows are read.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::fixture::{Lake, Writer, plan, rows, shown};
use crate::tables::scan::ScanSummary;

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("i", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("s", DataType::Utf8View, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("d", DataType::Date32, true),
        Field::new("num", DataType::Decimal128(20, 2), true),
        Field::new("ok", DataType::Boolean, true),
        Field::new("none", DataType::Int64, true),
        Field::new("p", DataType::Int32, true),
    ])
}

fn batch(first: i64) -> RecordBatch {
    let values = first..first + 10;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from_iter(values.clone().map(|value| (value % 4 != 0).then_some(value))))),
        ("f", Arc::new(Float64Array::from_iter_values(values.clone().map(|value| value as f64 / 3.0)))),
        ("s", Arc::new(StringViewArray::from_iter_values(values.clone().map(|value| format!("text {value}"))))),
        ("ts", Arc::new(TimestampMicrosecondArray::from_iter_values(values.clone().map(|value| value * 1001 + 7)))),
        ("d", Arc::new(Date32Array::from_iter_values(values.clone().map(|value| value as i32)))),
        (
            "num",
            Arc::new(
                Decimal128Array::from_iter_values(values.clone().map(|value| i128::from(value) * 101))
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
        ),
        ("ok", Arc::new(BooleanArray::from_iter(values.clone().map(|value| Some(value > 5))))),
        ("none", Arc::new(Int64Array::from(vec![None::<i64>; 10]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn lake(writer: Writer) -> Lake {
    let mut lake = Lake::new(schema(), &["p"]);
    for file in 0..4 {
        lake.file(&batch(file * 100), &[Some(["1", "2", "2", "7"][file as usize])], writer, &[]);
    }
    lake
}

/// Checks the answer, and tells whether no file is read for it.
async fn answered_without_reading(lake: &Lake, what: &str) -> bool {
    let session = lake.session(false);
    let with = |table: &str| match what.split_once(" WHERE ") {
        Some((what, filter)) => format!("SELECT {what} AS answer FROM {table} WHERE {filter}"),
        None => format!("SELECT {what} AS answer FROM {table}"),
    };
    let plan = plan(&session, &with("t")).await;
    assert_eq!(rows(&session, &with("t")).await, rows(&session, &with("truth")).await, "{what}\n{}", shown(&plan));
    !shown(&plan).contains("DataSourceExec")
}

#[tokio::test]
async fn our_files_answer_count_min_and_max() {
    let lake = lake(Writer::Own);
    for what in [
        "count(*)",
        "count(i)",
        "count(none)",
        "count(p)",
        "min(i)",
        "max(i)",
        "min(s)",
        "max(s)",
        "min(ts)",
        "max(ts)",
        "min(d)",
        "max(d)",
        "min(num)",
        "max(num)",
        "min(p)",
        "max(p)",
        "count(*) WHERE p = 2",
        "max(i) WHERE p < 5",
        "count(*) WHERE p IS NULL",
    ] {
        assert!(answered_without_reading(&lake, what).await, "{what} reads files");
    }
    for what in [
        "max(f)",
        "min(f)",
        "min(none)",
        "count(*) WHERE i > 3",
        "max(i + 1)",
        "count(DISTINCT i)",
        "count(DISTINCT p)",
    ] {
        assert!(!answered_without_reading(&lake, what).await, "{what} reads nothing");
    }
}

#[tokio::test]
async fn files_of_others_answer_only_what_is_certain() {
    let lake = lake(Writer::Foreign);
    for what in ["count(*)", "count(i)", "min(i)", "max(d)", "min(num)", "max(p)"] {
        assert!(answered_without_reading(&lake, what).await, "{what} reads files");
    }
    for what in ["min(s)", "max(s)", "min(ts)", "max(ts)", "max(f)"] {
        assert!(!answered_without_reading(&lake, what).await, "{what} is believed");
    }
}

#[tokio::test]
async fn a_file_that_says_nothing_spoils_the_bounds_but_not_the_count() {
    let mut lake = lake(Writer::Own);
    lake.file(&batch(-500), &[None], Writer::Silent, &[]);
    assert!(answered_without_reading(&lake, "count(*)").await);
    for what in ["min(i)", "max(i)", "count(i)", "min(ts)"] {
        assert!(!answered_without_reading(&lake, what).await, "{what}");
    }
    assert!(answered_without_reading(&lake, "min(p)").await);
    assert!(answered_without_reading(&lake, "count(p)").await);
}

#[tokio::test]
async fn long_texts_are_bounds_only() {
    let mut lake = Lake::new(Schema::new(vec![Field::new("s", DataType::Utf8View, true)]), &[]);
    let long = "ü".repeat(200);
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some(long.as_str()), Some("a"), None]));
    lake.file(&RecordBatch::try_from_iter([("s", texts)]).unwrap(), &[], Writer::Own, &[]);
    assert!(!answered_without_reading(&lake, "max(s)").await);
    let session = lake.session(false);
    let found = rows(&session, &format!("SELECT count(*) AS n FROM t WHERE s >= '{long}'")).await;
    assert!(found.contains("| 1 |"), "{found}");
}

#[tokio::test]
async fn an_empty_table_and_an_empty_file_are_empty() {
    let mut lake = Lake::new(schema(), &["p"]);
    for what in ["count(*)", "max(i)", "min(p)"] {
        assert!(answered_without_reading(&lake, what).await, "{what}");
    }
    lake.file(&batch(0).slice(0, 0), &[Some("9")], Writer::Own, &[]);
    for what in ["count(*)", "max(i)", "max(p)"] {
        answered_without_reading(&lake, what).await;
    }
    lake.file(&batch(0), &[Some("1")], Writer::Own, &[]);
    assert!(answered_without_reading(&lake, "max(p)").await);
    let session = lake.session(false);
    let scan = plan(&session, "SELECT * FROM t WHERE i > 1000").await;
    assert_eq!(ScanSummary::of_plan(scan.as_ref()).files_pruned, 2);
    assert!(rows(&session, "SELECT * FROM t WHERE i > 1000").await.lines().count() <= 4);
}

#[tokio::test]
async fn an_edge_of_a_microsecond_is_not_lost() {
    for writer in [Writer::Own, Writer::Foreign] {
        let lake = lake(writer);
        let session = lake.session(false);
        // The largest value of the first file is 9 * 1001 + 7 us: its last 16 us are cut by others.
        for sql in [
            "ts >= TIMESTAMP '1970-01-01 00:00:00.009016' AND ts < TIMESTAMP '1970-01-01 00:00:00.05'",
            "ts = TIMESTAMP '1970-01-01 00:00:00.009016'",
        ] {
            let found = rows(&session, &format!("SELECT count(*) AS n FROM t WHERE {sql}")).await;
            assert!(found.contains("| 1 |"), "{found}");
        }
    }
}

#[tokio::test]
async fn limits_take_only_the_files_they_need() {
    let lake = lake(Writer::Own);
    let session = lake.session(false);
    let scan = plan(&session, "SELECT i FROM t LIMIT 12").await;
    let summary = ScanSummary::of_plan(scan.as_ref());
    assert_eq!((summary.files_total, summary.files_pruned), (4, 2));
    for sql in [
        "SELECT count(*) AS n FROM (SELECT i FROM t LIMIT 12)",
        "SELECT count(*) AS n FROM (SELECT i FROM t WHERE p = 2 LIMIT 12)",
    ] {
        assert!(rows(&session, sql).await.contains("| 12 |"));
    }
    assert!(
        rows(&session, "SELECT count(*) AS n FROM (SELECT i FROM t WHERE i > 105 LIMIT 300)").await.contains("| 17 |")
    );
}
