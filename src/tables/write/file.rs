//! One Parquet file while it is written.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::WriteOptions;
use super::partition::folder;
use super::statistics::Statistics;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::tables::file_set::FileEntry;
use crate::tables::file_stats::INEXACT_TAG;
use crate::tables::snapshot::{Place, Snapshot};

/// What goes to a store at once; that much of a row group that was ended stays in memory. Buckets take no less.
const PART_BYTES: usize = 5 << 20;
const PART_BYTES_ON_DISK: usize = 1 << 20;
/// Delta's default for `delta.dataSkippingNumIndexedCols`.
const INDEXED_COLUMNS: i64 = 32;

fn properties(schema: &Schema, options: &WriteOptions) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(parquet_error)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(options.row_group_rows_max))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(concat!("headwater ", env!("CARGO_PKG_VERSION")).to_owned());
    for field in schema.fields().iter().filter(|field| options.keys.contains(field.name())) {
        if matches!(field.data_type(), DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Timestamp(..)) {
            let column = ColumnPath::new(vec![field.name().clone()]);
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(properties.build())
}

/// What all files of one write have in common.
pub(super) struct Target {
    pub options: WriteOptions,
    pub table_schema: SchemaRef,
    pub partition_columns: Vec<String>,
    /// The table's columns without those that partition it.
    data_schema: SchemaRef,
    /// The columns of `data_schema` that the log describes.
    indexed: Vec<usize>,
    properties: WriterProperties,
    place: Arc<Place>,
    clock: Clock,
    /// Files that were begun.
    begun: Mutex<Vec<Path>>,
    given_up: AtomicBool,
}

impl Target {
    /// Files of the table, as `options` say.
    pub fn new(snapshot: &Snapshot, clock: &Clock, options: &WriteOptions) -> Result<Self> {
        let table_schema = Arc::clone(snapshot.arrow_schema());
        let partition_columns = snapshot.partition_columns().to_vec();
        let data: Vec<_> =
            table_schema.fields().iter().filter(|field| !partition_columns.contains(field.name())).cloned().collect();
        let data_schema = Arc::new(Schema::new(data));
        let properties = properties(&data_schema, options)?;
        Ok(Self {
            options: options.clone(),
            indexed: indexed_columns(snapshot.properties(), &data_schema),
            table_schema,
            partition_columns,
            data_schema,
            properties,
            place: Arc::clone(&snapshot.place),
            clock: clock.clone(),
            begun: Mutex::default(),
            given_up: AtomicBool::new(false),
        })
    }

    /// Files that are open need not be closed: all will be deleted.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }

    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Deletes what was written. What cannot be deleted stays until VACUUM.
    pub async fn remove_all(&self) {
        let begun = std::mem::take(&mut *self.begun.lock());
        for path in begun {
            match self.place.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%path, %error, "an uncommitted file stays until VACUUM"),
            }
        }
    }
}

fn indexed_columns(properties: &BTreeMap<String, String>, schema: &Schema) -> Vec<usize> {
    if let Some(listed) = properties.get("delta.dataSkippingStatsColumns") {
        let names: HashSet<&str> = listed.split(',').map(|name| name.trim().trim_matches('`')).collect();
        return (0..schema.fields().len()).filter(|at| names.contains(schema.field(*at).name().as_str())).collect();
    }
    let count = properties.get("delta.dataSkippingNumIndexedCols").and_then(|text| text.parse().ok());
    let count = usize::try_from(count.unwrap_or(INDEXED_COLUMNS)).unwrap_or(usize::MAX);
    (0..schema.fields().len().min(count)).collect()
}

/// A Parquet file while it is written.
pub(super) struct OpenFile {
    target: Arc<Target>,
    partition: Vec<Option<String>>,
    path: String,
    writer: AsyncArrowWriter<BufWriter>,
    statistics: Statistics,
    rows: u64,
}

impl OpenFile {
    /// A new file of that partition.
    pub fn new(target: &Arc<Target>, partition: &[Option<String>]) -> Result<Self> {
        let name = format!("part-{}.zstd.parquet", uuid::Uuid::now_v7());
        let path = match partition.is_empty() {
            true => name,
            false => format!("{}/{name}", folder(&target.partition_columns, partition)),
        };
        let store: Arc<dyn ObjectStore> = Arc::clone(&target.place.store);
        let location: Path = target.place.object_path(&path)?;
        target.begun.lock().push(location.clone());
        // The types are Delta's: readers see strings and binaries, not our in-memory views of them.
        let options =
            ArrowWriterOptions::new().with_properties(target.properties.clone()).with_skip_arrow_metadata(true);
        let schema = Arc::clone(&target.data_schema);
        let on_disk = target.place.location.scheme() == "file";
        let part_bytes = if on_disk { PART_BYTES_ON_DISK } else { PART_BYTES };
        let file = BufWriter::with_capacity(store, location, part_bytes);
        let writer = AsyncArrowWriter::try_new_with_options(file, schema, options).map_err(parquet_error)?;
        Ok(Self {
            target: Arc::clone(target),
            partition: partition.to_vec(),
            path,
            writer,
            statistics: Statistics::new(&target.data_schema, &target.indexed)?,
            rows: 0,
        })
    }

    /// Adds rows.
    pub async fn write(mut self, batch: &RecordBatch) -> Result<Self> {
        self.statistics.update(batch)?;
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).await.map_err(parquet_error)?;
        if self.writer.in_progress_size() >= self.target.options.row_group_bytes_max {
            self.flush().await?;
        }
        Ok(self)
    }

    /// Ends the row group.
    pub async fn flush(&mut self) -> Result<()> {
        self.writer.flush().await.map_err(parquet_error)
    }

    /// True once the file is as large as it should be.
    pub fn is_full(&self) -> bool {
        self.size_bytes() >= self.target.options.target_file_bytes
    }

    /// About how large the file is.
    pub fn size_bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    /// What it holds in memory.
    pub fn memory_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    /// Ends the file: it is complete and durable after this.
    pub async fn close(mut self) -> Result<FileEntry> {
        self.writer.finish().await.map_err(parquet_error)?;
        let stats = self.statistics.finish()?;
        let mut tags = self.target.options.tags.clone();
        tags.insert(INEXACT_TAG.to_owned(), serde_json::Value::from(stats.inexact_columns()).to_string());
        Ok(FileEntry {
            path: self.path,
            size_bytes: self.writer.bytes_written() as u64,
            modified_at_ms: self.target.clock.now().timestamp_millis(),
            partition: self.partition,
            rows: Some(self.rows),
            stats,
            tags,
            deletion_vector: None,
        })
    }
}

fn parquet_error(error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(io) => io_error(*io),
            Err(other) => Error::new(ErrorKind::IoError, other.to_string()),
        },
        other => Error::new(ErrorKind::InternalError, format!("parquet: {other}")),
    }
}

/// The object store's own error, where that is what the writer reports.
fn io_error(error: std::io::Error) -> Error {
    match error.downcast::<object_store::Error>() {
        Ok(store) => store.into(),
        Err(io) => io.into(),
    }
}
