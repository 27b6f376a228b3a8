use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::common::ScalarValue;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::catalog::pg_type::PgType;
use crate::tables::fixture::{Fixture, batch_of, column, ids, longs, read_files, stream, two_longs};
use crate::tables::{Change, TableSpec};

fn small_files() -> WriteOptions {
    WriteOptions { target_file_bytes: 64 << 10, row_group_rows_max: 4096, ..WriteOptions::default() }
}

#[tokio::test]
async fn rows_are_split_by_size_and_lane_and_none_is_lost() {
    for lanes in [1, 3] {
        let fixture = Fixture::new();
        let table = fixture.create(&two_longs()).await;
        let mut writer = table.lock().await.unwrap();
        let batches: Vec<_> = (0..40).map(|at| longs(at * 8192..(at + 1) * 8192)).collect();
        let options = WriteOptions { lanes, tags: [("k".to_owned(), "v".to_owned())].into(), ..small_files() };
        let files = writer.write(stream(batches), &options).await.unwrap();
        assert!(files.len() > 4, "{} files", files.len());
        assert!(files.iter().all(|file| file.tags["k"] == "v" && file.size_bytes < 256 << 10));
        let snapshot = writer.commit(Change::append(files)).await.unwrap();
        assert_eq!(ids(&snapshot).await, (0..40 * 8192).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn partitions_have_folders_whatever_their_values() {
    let fixture = Fixture::new();
    let spec = TableSpec {
        columns: vec![column("p", PgType::Text), column("id", PgType::Int4), column("d", PgType::Timestamptz)],
        partitioned_by: vec!["p".into(), "d".into()],
        ..TableSpec::default()
    };
    let table = fixture.create(&spec).await;
    let names = [Some("a b"), Some("x/y=z%20"), None, Some("ü#?"), Some("a b")];
    let p: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
    let id: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5]));
    let d: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, 1, 1, 1, 1]).with_timezone("UTC"));
    let batch = RecordBatch::try_from_iter_with_nullable([("id", id, true), ("p", p, true), ("d", d, true)]).unwrap();
    let mut writer = table.lock().await.unwrap();
    let files = writer
        .write(stream(vec![batch]), &WriteOptions { open_files_max: 2, ..WriteOptions::default() })
        .await
        .unwrap();
    let snapshot = writer.commit(Change::append(files)).await.unwrap();
    assert_eq!(snapshot.files().len(), 4);
    let opened = fixture.open().await.snapshot();
    for file in opened.files().iter() {
        assert_eq!(file.partition[1].as_deref(), Some("1970-01-01 00:00:00.000001"));
        let rows = read_files(&opened, std::slice::from_ref(file)).await;
        assert_eq!(rows[0].num_columns(), 1, "partition columns are not in the file");
    }
    let mut seen: Vec<_> = opened.files().iter().map(|file| file.partition[0].clone()).collect();
    seen.sort();
    assert_eq!(seen, [None, Some("a b".into()), Some("x/y=z%20".into()), Some("ü#?".into())]);
    assert!(
        fixture.folder.path().join("t/p=a%20b").is_dir()
            && fixture.folder.path().join("t/p=__HIVE_DEFAULT_PARTITION__").is_dir()
    );
    let plain = deltalake::open_table(fixture.url()).await.unwrap();
    let paths: Vec<_> = plain.get_file_uris().unwrap().collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
}

#[tokio::test]
async fn what_a_table_cannot_hold_is_refused() {
    let fixture = Fixture::new();
    let mut spec = TableSpec {
        columns: vec![column("p", PgType::Text), column("n", PgType::Int4)],
        partitioned_by: vec!["p".into()],
        ..TableSpec::default()
    };
    spec.columns[1].not_null = true;
    let table = fixture.create(&spec).await;
    let writer = table.lock().await.unwrap();
    let batch = |p: Option<&str>, n: Option<i32>| {
        let p: ArrayRef = Arc::new(StringArray::from(vec![p]));
        let n: ArrayRef = Arc::new(Int32Array::from(vec![n]));
        stream(vec![RecordBatch::try_from_iter_with_nullable([("p", p, true), ("n", n, true)]).unwrap()])
    };
    let options = WriteOptions::default();
    assert_eq!(writer.write(batch(Some(""), Some(1)), &options).await.unwrap_err().sqlstate(), "22023");
    assert_eq!(writer.write(batch(Some("x"), None), &options).await.unwrap_err().sqlstate(), "23502");
    assert_eq!(writer.write(stream(vec![longs(0..1)]), &options).await.unwrap_err().sqlstate(), "42703");
    let lacking = RecordBatch::try_from_iter([("p", Arc::new(StringArray::from(vec!["x"])) as ArrayRef)]).unwrap();
    let error = writer.write(stream(vec![lacking]), &options).await.unwrap_err();
    assert!(error.sqlstate() == "XX000" && error.message().contains("lack column \"n\""), "{error}");
    assert_eq!(writer.write(batch(Some("x"), Some(1)), &options).await.unwrap().len(), 1);
}

#[tokio::test]
async fn statistics_are_exact_or_say_that_they_are_not() {
    let fixture = Fixture::new();
    let columns = vec![
        column("f", PgType::Float8),
        column("nan", PgType::Float8),
        column("s", PgType::Text),
        column("t", PgType::Timestamp),
        column("d", PgType::Date),
        column("none", PgType::Int4),
    ];
    let table = fixture.create(&TableSpec { columns, ..TableSpec::default() }).await;
    let long = "x".repeat(500);
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("f", Arc::new(Float64Array::from(vec![Some(-1.5), Some(2.5), None])) as ArrayRef, true),
        ("nan", Arc::new(Float64Array::from(vec![f64::NAN, 1.0, 2.0])), true),
        ("s", Arc::new(StringArray::from(vec!["a", &long, "m"])), true),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![1_000_001, 1_000_002, 1_000_003])), true),
        ("d", Arc::new(Date32Array::from(vec![19_000, 19_001, -1])), true),
        ("none", Arc::new(Int32Array::from(vec![None, None, None])), true),
    ])
    .unwrap();
    let mut writer = table.lock().await.unwrap();
    let files = writer.write(stream(vec![batch]), &WriteOptions::default()).await.unwrap();
    writer.commit(Change::append(files)).await.unwrap();
    let opened = fixture.open().await.snapshot();
    let columns = &opened.files().all()[0].stats.columns;
    let bounds = |name: &str| {
        let stats = &columns[name];
        (stats.min.clone(), stats.max.clone(), stats.null_count, stats.exact)
    };
    assert_eq!(bounds("f"), (Some(ScalarValue::from(-1.5)), Some(ScalarValue::from(2.5)), Some(1), true));
    assert_eq!((bounds("nan").0, bounds("nan").1), (None, None));
    assert!(!bounds("s").3 && bounds("s").1.unwrap() >= ScalarValue::Utf8View(Some(long)), "an upper bound still");
    let micros = |value| Some(ScalarValue::TimestampMicrosecond(Some(value), None));
    assert_eq!(bounds("t"), (micros(1_000_001), micros(1_000_003), Some(0), true));
    assert_eq!(bounds("d").0, Some(ScalarValue::Date32(Some(-1))));
    assert_eq!(bounds("none").2, Some(3));
}

#[tokio::test]
async fn open_files_that_hold_too_much_end_their_row_groups_and_go_on() {
    let fixture = Fixture::new();
    let spec = TableSpec { partitioned_by: vec!["v".into()], ..two_longs() };
    let table = fixture.create(&spec).await;
    let mut writer = table.lock().await.unwrap();
    // Ids that do not compress, in eight partitions.
    let mix = |id: i64| id.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
    let batch = |at: i64| batch_of(&(at * 8192..(at + 1) * 8192).map(|id| (mix(id), id % 8)).collect());
    let options = WriteOptions { memory_bytes_max: 1 << 20, ..WriteOptions::default() };
    let files = writer.write(stream((0..40).map(batch).collect()), &options).await.unwrap();
    assert_eq!(files.len(), 8, "a file a partition");
    let snapshot = writer.commit(Change::append(files)).await.unwrap();
    let mut groups = 0;
    for file in snapshot.files().iter() {
        let path = fixture.folder.path().join("t").join(&file.path);
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        groups += reader.metadata().num_row_groups();
    }
    assert!(groups >= 12, "{groups} row groups of 2.5 MiB");
    let mut wanted: Vec<_> = (0..40 * 8192).map(mix).collect();
    wanted.sort_unstable();
    assert_eq!(ids(&snapshot).await, wanted);
}
