//! Planning stays quick with many files, and says what it ruled out.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{col, lit};

use super::fixture::{Lake, Writer, plan, rows, session};
use crate::tables::file_set::FileEntry;
use crate::tables::file_stats::{ColumnStats, FileStats};
use crate::tables::scan::{LakeScan, ScanSummary};

fn many_files(count: i64) -> Lake {
    let fields = (0..12).map(|at| Field::new(format!("c{at}"), DataType::Int64, true)).collect::<Vec<_>>();
    let mut lake = Lake::new(Schema::new(fields), &[]);
    for file in 0..count {
        let mut stats = FileStats::default();
        for column in 0..12 {
            let bound = |value: i64| Some(ScalarValue::Int64(Some(value)));
            let (min, max) = (bound(file * 1000 + column), bound(file * 1000 + 999));
            let stat = ColumnStats { min, max, null_count: Some(0), exact: true };
            stats.columns.insert(format!("c{column}").into(), stat);
        }
        lake.files.push(Arc::new(FileEntry {
            path: format!("part-{file:06}.parquet"),
            size_bytes: 100 << 20,
            modified_at_ms: 0,
            partition: Vec::new(),
            rows: Some(1000),
            stats,
            tags: Default::default(),
            deletion_vector: None,
        }));
    }
    lake
}

/// A measurement, not a check: `cargo test --lib planning -- --nocapture`, best with `--release`.
#[tokio::test]
async fn ten_thousand_files_are_planned_quickly() {
    let lake = many_files(10_000);
    let session = session();
    let state = session.state();
    let scan = LakeScan::new(lake.snapshot());
    let point = [col("c0").eq(lit(5_000_500_i64))];
    let half = [col("c0").gt(lit(5_000_500_i64))];
    for (what, filters) in [("point", &point[..]), ("half", &half[..]), ("all", &[][..])] {
        for round in ["first", "again", "again"] {
            let start = Instant::now();
            let plan = scan.scan(&state, None, filters, None).await.unwrap();
            let elapsed = start.elapsed();
            let summary = ScanSummary::of_plan(plan.as_ref());
            println!(
                "plan of 10000 files x 12 columns, {what}, {round}: {elapsed:?}, {} left",
                summary.files_total - summary.files_pruned
            );
        }
    }
    let plan = scan.scan(&state, None, &point, None).await.unwrap();
    assert_eq!(ScanSummary::of_plan(plan.as_ref()).files_pruned, 9_999);
    session.register_table("t", Arc::new(scan)).unwrap();
    for _ in 0..2 {
        let start = Instant::now();
        session.sql("SELECT * FROM t WHERE c0 = 77").await.unwrap().create_physical_plan().await.unwrap();
        println!("whole planning of a point query: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn explain_analyze_tells_files_and_row_groups() {
    let mut lake = Lake::new(Schema::new(vec![Field::new("k", DataType::Int64, true)]), &[]);
    for file in 0..5_i64 {
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(file * 100..file * 100 + 40));
        lake.file(&RecordBatch::try_from_iter([("k", keys)]).unwrap(), &[], Writer::Own, &[]);
    }
    let session = lake.session(false);
    let told = rows(&session, "EXPLAIN ANALYZE SELECT k FROM t WHERE k BETWEEN 110 AND 112").await;
    assert!(told.contains("files_pruned_by_lake=5 total → 1 matched"), "{told}");
    assert!(told.contains("row_groups_pruned_statistics=5 total → 1 matched"), "{told}");
    let told = rows(&session, "EXPLAIN ANALYZE SELECT k FROM t WHERE k = 99").await;
    assert!(told.contains("files_pruned_by_lake=5 total → 0 matched"), "{told}");
    let summary = ScanSummary::of_plan(plan(&session, "SELECT k FROM t WHERE k < 150").await.as_ref());
    assert_eq!((summary.files_total, summary.files_pruned), (5, 3));
    assert!(summary.parts_total >= 2, "{summary:?}");
    assert_eq!((summary.parts_done, summary.bytes_scanned), (0, 0), "nothing has run");
}
