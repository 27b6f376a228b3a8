//! Tables for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::{TimeZone, Utc};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::memory::MemoryStream;
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use url::Url;

use crate::catalog::definition::ColumnDef;
use crate::catalog::pg_type::PgType;
use crate::clock::Clock;
use crate::tables::checkpoint;
use crate::tables::{Change, FileEntry, Snapshot, Stores, Table, TableSpec, WriteOptions};

/// A folder of its own, with a clock that stands still.
pub(in crate::tables) struct Fixture {
    pub folder: tempfile::TempDir,
    pub stores: Arc<Stores>,
    pub clock: Clock,
}

pub(in crate::tables) fn column(name: &str, pg_type: PgType) -> ColumnDef {
    ColumnDef::new(1, name, pg_type)
}

/// `id bigint, v bigint`
pub(in crate::tables) fn two_longs() -> TableSpec {
    TableSpec { columns: vec![column("id", PgType::Int8), column("v", PgType::Int8)], ..TableSpec::default() }
}

impl Fixture {
    pub fn new() -> Self {
        let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
        let stores = Arc::new(Stores::new(BTreeMap::new()).unwrap());
        Self { folder: tempfile::tempdir().unwrap(), stores, clock: Clock::manual(start) }
    }

    pub fn url(&self) -> Url {
        Url::from_file_path(self.folder.path().join("t")).unwrap()
    }

    pub async fn create(&self, spec: &TableSpec) -> Arc<Table> {
        Table::create(&self.stores, &self.clock, &self.url(), spec).await.unwrap()
    }

    /// A second handle, as another process would have one.
    pub async fn open(&self) -> Arc<Table> {
        Table::open(&self.stores, &self.clock, &self.url()).await.unwrap()
    }
}

/// Rows `(id, 2 * id)`.
pub(in crate::tables) fn longs(ids: std::ops::Range<i64>) -> RecordBatch {
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(ids.clone()));
    let v: ArrayRef = Arc::new(Int64Array::from_iter_values(ids.map(|id| id * 2)));
    RecordBatch::try_from_iter([("id", id), ("v", v)]).unwrap()
}

pub(in crate::tables) fn stream(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    let schema = batches[0].schema();
    Box::pin(MemoryStream::try_new(batches, schema, None).unwrap())
}

/// Commits one file with these ids.
pub(in crate::tables) async fn append(table: &Arc<Table>, ids: std::ops::Range<i64>) -> Arc<Snapshot> {
    let mut writer = table.lock().await.unwrap();
    let files = writer.write(stream(vec![longs(ids)]), &WriteOptions::default()).await.unwrap();
    writer.commit(Change::append(files)).await.unwrap()
}

/// Writes a checkpoint of the newest version.
pub(in crate::tables) async fn checkpoint(table: &Table) {
    checkpoint::write(table.log().unguarded(), &table.refresh().await.unwrap()).await.unwrap();
}

/// All rows of some files, partition columns left out.
pub(in crate::tables) async fn read_files(snapshot: &Snapshot, files: &[Arc<FileEntry>]) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for file in files {
        let path = snapshot.object_path(file).unwrap();
        let bytes = snapshot.store().get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes.len() as u64, file.size_bytes);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        batches.extend(reader.map(Result::unwrap));
    }
    batches
}

/// All ids, sorted.
pub(in crate::tables) async fn ids(snapshot: &Snapshot) -> Vec<i64> {
    let mut ids = Vec::new();
    for batch in read_files(snapshot, snapshot.files().all()).await {
        ids.extend(batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().values());
    }
    ids.sort_unstable();
    ids
}

/// Rows `(id, v)`, sorted.
pub(in crate::tables) type Rows = Vec<(i64, i64)>;

pub(in crate::tables) async fn rows(snapshot: &Snapshot, files: &[Arc<FileEntry>]) -> Rows {
    let mut rows = Vec::new();
    for batch in read_files(snapshot, files).await {
        let values = |name| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
        rows.extend(values("id").into_iter().zip(values("v")));
    }
    rows.sort_unstable();
    rows
}

pub(in crate::tables) fn batch_of(rows: &Rows) -> RecordBatch {
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(id, _)| *id)));
    let v: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, v)| *v)));
    RecordBatch::try_from_iter_with_nullable([("id", id, true), ("v", v, true)]).unwrap()
}
