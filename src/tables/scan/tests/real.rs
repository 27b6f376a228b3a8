//! Tables out of real logs: our own writer's, and those that plain deltalake wrote.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::SchemaRef;
use deltalake::DeltaTable;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{StructField, StructType};
use deltalake::protocol::SaveMode;

use super::fixture::{Session, plan, rows, session, shown};
use super::wire;
use crate::catalog::definition::ColumnDef;
use crate::catalog::pg_type::PgType;
use crate::tables::fixture::{Fixture, column, stream};
use crate::tables::scan::SORTED_TAG;
use crate::tables::{Change, LakeScan, Table, TableSpec, WriteOptions};

fn batch(first: i64, place: &[Option<&str>]) -> RecordBatch {
    let count = place.len() as i64;
    let keys = first..first + count;
    let micros = |key: i64| 1_700_000_000_000_000 + key * 1_000_037;
    let float = |key: i64| if key % 11 == 3 { f64::NAN } else { key as f64 / 3.0 };
    let numbers =
        Decimal128Array::from_iter_values(keys.clone().map(|key| i128::from(key) * 1_000_000_000_000_000_003));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("k", Arc::new(Int64Array::from_iter_values(keys.clone()))),
        ("place", Arc::new(StringArray::from(place.to_vec()))),
        ("level", Arc::new(Int32Array::from_iter(keys.clone().map(|key| (key % 5 > 0).then_some((key % 3) as i32))))),
        ("f", Arc::new(Float64Array::from_iter_values(keys.clone().map(float)))),
        ("num", Arc::new(numbers.with_precision_and_scale(38, 4).unwrap())),
        ("d", Arc::new(Date32Array::from_iter_values(keys.clone().map(|key| key as i32)))),
        ("tz", Arc::new(TimestampMicrosecondArray::from_iter_values(keys.clone().map(micros)).with_timezone("UTC"))),
        ("ok", Arc::new(BooleanArray::from_iter(keys.clone().map(|key| Some(key % 2 == 0))))),
        (
            "s",
            Arc::new(StringArray::from_iter_values(
                keys.map(|key| format!("{}{key}", "long ".repeat((key % 20) as usize))),
            )),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true))).unwrap()
}

fn batches() -> Vec<RecordBatch> {
    let places = [Some("plain"), Some("a b/c=d%20ü"), None, Some("it's #1?"), Some(":x")];
    (0..4_i64)
        .map(|file| batch(file * 50, &(0..50).map(|row| places[(row + file as usize) % 5]).collect::<Vec<_>>()))
        .collect()
}

const QUERIES: [&str; 16] = [
    "SELECT * FROM t ORDER BY k",
    "SELECT count(*) AS n, min(k) AS a, max(k) AS b, min(d) AS c, max(num) AS e, max(tz) AS f, min(s) AS g FROM t",
    "SELECT count(*) AS n FROM t WHERE place = 'a b/c=d%20ü'",
    "SELECT k FROM t WHERE place IS NULL AND k > 60 ORDER BY k",
    "SELECT count(*) AS n FROM t WHERE place = 'it''s #1?' OR place = ':x'",
    "SELECT k FROM t WHERE f > 40 ORDER BY k",
    "SELECT k FROM t WHERE f > 1e6 ORDER BY k",
    "SELECT k FROM t WHERE level IS NULL AND k BETWEEN 48 AND 103 ORDER BY k",
    "SELECT k FROM t WHERE tz >= TIMESTAMPTZ '2023-11-14 22:14:09.001813Z' AND tz < TIMESTAMPTZ '2023-11-14 22:14:10.1Z' ORDER BY k",
    "SELECT k FROM t WHERE num = 13300000000000000.0399 ORDER BY k",
    "SELECT k FROM t WHERE num > 19800000000000000 ORDER BY k",
    "SELECT k FROM t WHERE d = DATE '1970-04-11' ORDER BY k",
    "SELECT k FROM t WHERE s LIKE 'long long%' AND ok ORDER BY k",
    "SELECT place, count(*) AS n, sum(level) AS l FROM t GROUP BY place ORDER BY place",
    "SELECT f FROM t ORDER BY f DESC LIMIT 9",
    "SELECT k, place FROM t ORDER BY k DESC LIMIT 3",
];

/// Every query on `t` and on `truth` gives the same.
async fn agree(session: &Session) {
    for sql in QUERIES {
        let scan = plan(session, sql).await;
        let found = rows(session, sql).await;
        assert_eq!(found, rows(session, &sql.replace("FROM t", "FROM truth")).await, "{sql}\n{}", shown(&scan));
        assert_eq!(wire::there_and_back(session, &scan).await, found, "sent: {sql}");
    }
}

fn in_memory(session: &Session, schema: SchemaRef, batches: &[RecordBatch]) {
    let cast = |batch: &RecordBatch| {
        let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(values) => arrow::compute::cast(values, field.data_type()).unwrap(),
            None => arrow::array::new_null_array(field.data_type(), batch.num_rows()),
        });
        RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
    };
    let table = datafusion::datasource::MemTable::try_new(schema.clone(), vec![batches.iter().map(cast).collect()]);
    session.register_table("truth", Arc::new(table.unwrap())).unwrap();
}

#[tokio::test]
async fn tables_that_deltalake_wrote_are_read_as_they_are() {
    for partitions in [&["place"][..], &["place", "level"][..], &[][..]] {
        let fixture = Fixture::new();
        std::fs::create_dir_all(fixture.folder.path().join("t")).unwrap();
        let schema: StructType = batches()[0].schema().as_ref().try_into_kernel().unwrap();
        let fields: Vec<StructField> = schema.fields().cloned().collect();
        let mut foreign = DeltaTable::try_from_url(fixture.url())
            .await
            .unwrap()
            .create()
            .with_columns(fields)
            .with_partition_columns(partitions.iter().copied())
            .await
            .unwrap();
        for batch in batches() {
            foreign = foreign.write(vec![batch]).with_save_mode(SaveMode::Append).await.unwrap();
        }
        let table: Arc<Table> = fixture.open().await;
        let session = session();
        let scan = LakeScan::new(table.snapshot());
        in_memory(&session, scan.snapshot.arrow_schema().clone(), &batches());
        session.register_table("t", Arc::new(scan)).unwrap();
        agree(&session).await;
        let plan = plan(&session, "SELECT count(*) AS n, max(k) AS k FROM t").await;
        assert!(!shown(&plan).contains("DataSourceExec"), "{}", shown(&plan));
    }
}

fn columns() -> Vec<ColumnDef> {
    let columns = [
        ("k", PgType::Int8),
        ("place", PgType::Text),
        ("level", PgType::Int4),
        ("f", PgType::Float8),
        ("num", PgType::Numeric(Some((38, 4)))),
        ("d", PgType::Date),
        ("tz", PgType::Timestamptz),
        ("ok", PgType::Bool),
        ("s", PgType::Text),
    ];
    columns.into_iter().zip(1..).map(|((name, of), number)| ColumnDef { number, ..column(name, of) }).collect()
}

#[tokio::test]
async fn our_own_tables_are_read_as_they_were_written() {
    for partitioned_by in [vec!["place".to_owned(), "level".to_owned()], Vec::new()] {
        let fixture = Fixture::new();
        let spec = TableSpec { columns: columns(), partitioned_by: partitioned_by.clone(), ..TableSpec::default() };
        let table = fixture.create(&spec).await;
        let tags = [(SORTED_TAG.to_owned(), "[\"k\"]".to_owned())].into();
        let options = WriteOptions { tags, ..WriteOptions::default() };
        for batch in batches() {
            let mut writer = table.lock().await.unwrap();
            let files = writer.write(stream(vec![batch]), &options).await.unwrap();
            writer.commit(Change::append(files)).await.unwrap();
        }
        for table in [table, fixture.open().await] {
            let session = session();
            let scan = LakeScan::new(table.snapshot());
            in_memory(&session, scan.snapshot.arrow_schema().clone(), &batches());
            session.register_table("t", Arc::new(scan)).unwrap();
            agree(&session).await;
            let bounds = "SELECT count(*) AS n, max(k) AS k, min(tz) AS tz, max(num) AS num, count(s) AS s FROM t";
            assert!(!shown(&plan(&session, bounds).await).contains("DataSourceExec"));
            let sorted = shown(&plan(&session, "SELECT k, d FROM t ORDER BY k").await);
            assert_eq!(sorted.contains("SortExec"), !partitioned_by.is_empty(), "{sorted}");
        }
    }
}
