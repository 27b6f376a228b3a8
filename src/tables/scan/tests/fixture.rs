//! Tables made by hand, file by file, in the style of our writer and of others; and the same rows in memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionConfig;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;
use url::Url;

use crate::tables::action::{Format, Metadata};
use crate::tables::definition::Definition;
use crate::tables::file_set::{DeletionVector, FileEntry, FileSet};
use crate::tables::file_stats::{ColumnStats, FileStats, INEXACT_TAG, has_bounds};
use crate::tables::protocol::Protocol;
use crate::tables::scan::LakeScan;
use crate::tables::snapshot::{Place, Snapshot};

/// A session of DataFusion's own: what a table provider is tested with, below the engine.
pub type Session = datafusion::prelude::SessionContext;

/// Whose statistics a file has.
#[derive(Clone, Copy, PartialEq)]
pub enum Writer {
    /// Ours: exact, NaN minded.
    Own,
    /// As delta-rs and Spark: milliseconds, short texts, NaN left out.
    Foreign,
    /// Only the number of rows.
    Silent,
}

/// A table in the making.
pub struct Lake {
    pub dir: TempDir,
    pub schema: SchemaRef,
    pub partitions: Vec<String>,
    pub files: Vec<Arc<FileEntry>>,
    /// The rows that a scan must give, in the table's schema.
    pub truth: Vec<RecordBatch>,
}

impl Lake {
    pub fn new(schema: Schema, partitions: &[&str]) -> Self {
        let partitions = partitions.iter().map(|name| (*name).to_owned()).collect();
        let dir = TempDir::new().unwrap();
        Self { dir, schema: Arc::new(schema), partitions, files: Vec::new(), truth: Vec::new() }
    }

    /// Adds a file of these rows. `rows` may lack columns and have narrower ones; `tags` come besides the writer's own.
    pub fn file(&mut self, rows: &RecordBatch, partition: &[Option<&str>], writer: Writer, tags: &[(&str, &str)]) {
        let path = format!("part-{:05}.parquet", self.files.len());
        let size_bytes = write_parquet(&self.dir.path().join(&path), rows);
        let mut tags: BTreeMap<String, String> =
            tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let json = match writer {
            Writer::Own => {
                let stats = own_stats(rows);
                tags.insert(INEXACT_TAG.to_owned(), serde_json::to_string(&stats.inexact_columns()).unwrap());
                stats.to_json(rows.num_rows() as u64)
            }
            Writer::Foreign => foreign_stats(rows),
            Writer::Silent => format!("{{\"numRecords\":{}}}", rows.num_rows()),
        };
        let (count, stats) = FileStats::parse(&json, &self.schema, &tags).unwrap();
        let partition: Vec<Option<String>> = partition.iter().map(|value| value.map(str::to_owned)).collect();
        self.truth.push(self.conformed(rows, &partition));
        self.files.push(Arc::new(FileEntry {
            path,
            size_bytes,
            modified_at_ms: 1_700_000_000_000,
            partition,
            rows: count,
            stats,
            tags,
            deletion_vector: None,
        }));
    }

    /// Hides rows of the last file.
    pub fn delete(&mut self, gone: &HashSet<u64>, vector: DeletionVector) {
        let mut file = FileEntry::clone(&self.files.pop().unwrap());
        file.deletion_vector = Some(vector);
        self.files.push(Arc::new(file));
        let rows = self.truth.pop().unwrap();
        let keep: arrow::array::BooleanArray =
            (0..rows.num_rows() as u64).map(|row| Some(!gone.contains(&row))).collect();
        self.truth.push(arrow::compute::filter_record_batch(&rows, &keep).unwrap());
    }

    fn conformed(&self, rows: &RecordBatch, partition: &[Option<String>]) -> RecordBatch {
        let column = |field: &Arc<arrow::datatypes::Field>| -> ArrayRef {
            if let Some(at) = self.partitions.iter().position(|name| name == field.name()) {
                let text = StringArray::from(vec![partition[at].as_deref(); rows.num_rows()]);
                return cast(&text, field.data_type()).unwrap();
            }
            match rows.column_by_name(field.name()) {
                Some(values) => cast(values, field.data_type()).unwrap(),
                None => arrow::array::new_null_array(field.data_type(), rows.num_rows()),
            }
        };
        RecordBatch::try_new(Arc::clone(&self.schema), self.schema.fields().iter().map(column).collect()).unwrap()
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        let location = Url::from_directory_path(self.dir.path()).unwrap();
        let location: Url = location.as_str().trim_end_matches('/').parse().unwrap();
        Arc::new(Snapshot {
            version: 0,
            committed_at_ms: 0,
            place: Arc::new(Place {
                root: Path::from_url_path(location.path()).unwrap(),
                location,
                store: Arc::new(LocalFileSystem::new()),
            }),
            definition: Arc::new(Definition {
                protocol: Protocol::default(),
                metadata: Metadata {
                    id: "test".to_owned(),
                    name: None,
                    description: None,
                    format: Format { provider: "parquet".to_owned(), options: BTreeMap::new() },
                    schema_string: String::new(),
                    partition_columns: self.partitions.clone(),
                    configuration: BTreeMap::new(),
                    created_time: None,
                },
                schema: Arc::clone(&self.schema),
                properties: BTreeMap::new(),
                read_only: None,
            }),
            files: FileSet::new(self.files.iter().cloned()),
            app_versions: Arc::default(),
        })
    }

    pub fn scan(&self) -> LakeScan {
        LakeScan::new(self.snapshot())
    }

    /// A session with the table as `t` and its rows in memory as `truth`. `filters_rows`: while Parquet is decoded.
    pub fn session(&self, filters_rows: bool) -> Session {
        let session = session();
        session.state_ref().write().config_mut().options_mut().execution.parquet.pushdown_filters = filters_rows;
        session.register_table("t", Arc::new(self.scan())).unwrap();
        session.register_table("truth", Arc::new(self.memory())).unwrap();
        session
    }

    pub fn memory(&self) -> datafusion::datasource::MemTable {
        datafusion::datasource::MemTable::try_new(Arc::clone(&self.schema), vec![self.truth.clone()]).unwrap()
    }
}

pub fn session() -> Session {
    let mut config = SessionConfig::new().with_target_partitions(3).with_batch_size(8);
    // Small files are split, too, so that the tests see it.
    config.options_mut().optimizer.repartition_file_min_size = 1;
    Session::new_with_config(config)
}

pub async fn plan(session: &Session, sql: &str) -> Arc<dyn ExecutionPlan> {
    session.sql(sql).await.unwrap().create_physical_plan().await.unwrap()
}

pub fn shown(plan: &Arc<dyn ExecutionPlan>) -> String {
    displayable(plan.as_ref()).indent(true).to_string()
}

pub async fn rows(session: &Session, sql: &str) -> String {
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

/// Row groups of eight and pages of four rows: small enough that filters skip some.
fn write_parquet(path: &std::path::Path, rows: &RecordBatch) -> u64 {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(8))
        .set_data_page_row_count_limit(4)
        .set_write_batch_size(4)
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    std::fs::metadata(path).unwrap().len()
}

pub fn own_stats(rows: &RecordBatch) -> FileStats {
    let mut stats = FileStats::default();
    for (field, values) in rows.schema().fields().iter().zip(rows.columns()) {
        let mut column =
            ColumnStats { null_count: Some(values.null_count() as u64), exact: true, ..Default::default() };
        if has_bounds(field.data_type()) && !holds_nan(values) {
            (column.min, column.max) = bounds(values);
        }
        stats.columns.insert(field.name().as_str().into(), column);
    }
    stats
}

fn bounds(values: &ArrayRef) -> (Option<ScalarValue>, Option<ScalarValue>) {
    let mut min = MinAccumulator::try_new(values.data_type()).unwrap();
    let mut max = MaxAccumulator::try_new(values.data_type()).unwrap();
    min.update_batch(std::slice::from_ref(values)).unwrap();
    max.update_batch(std::slice::from_ref(values)).unwrap();
    let known = |value: ScalarValue| (!value.is_null()).then_some(value);
    (known(min.evaluate().unwrap()), known(max.evaluate().unwrap()))
}

fn holds_nan(values: &ArrayRef) -> bool {
    values.as_any().downcast_ref::<Float64Array>().is_some_and(|values| values.iter().flatten().any(f64::is_nan))
}

/// Statistics with every liberty that other writers take.
fn foreign_stats(rows: &RecordBatch) -> String {
    let (mut min, mut max, mut nulls) = (Vec::new(), Vec::new(), Vec::new());
    for (field, values) in rows.schema().fields().iter().zip(rows.columns()) {
        nulls.push(format!("\"{}\":{}", field.name(), values.null_count()));
        let numbers = values.as_any().downcast_ref::<Float64Array>().map(|values| -> ArrayRef {
            Arc::new(values.iter().map(|value| value.filter(|value| !value.is_nan())).collect::<Float64Array>())
        });
        let (low, high) = bounds(numbers.as_ref().unwrap_or(values));
        min.extend(low.and_then(|low| foreign_value(&low, false)).map(|text| format!("\"{}\":{text}", field.name())));
        max.extend(high.and_then(|high| foreign_value(&high, true)).map(|text| format!("\"{}\":{text}", field.name())));
    }
    format!(
        "{{\"numRecords\":{},\"minValues\":{{{}}},\"maxValues\":{{{}}},\"nullCount\":{{{}}}}}",
        rows.num_rows(),
        min.join(","),
        max.join(","),
        nulls.join(",")
    )
}

fn foreign_value(value: &ScalarValue, up: bool) -> Option<String> {
    let zone = |zone: &Option<Arc<str>>| if zone.is_some() { "Z" } else { "" };
    match value {
        ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text)) => {
            let cut: String = text.chars().take(4).collect();
            let end = if up && cut.len() < text.len() { "\u{10FFFF}" } else { "" };
            Some(serde_json::to_string(&format!("{cut}{end}")).unwrap())
        }
        ScalarValue::TimestampMicrosecond(Some(micros), tz) => {
            let at = chrono::DateTime::from_timestamp_millis(micros / 1000).unwrap();
            Some(format!("\"{}{}\"", at.format("%Y-%m-%dT%H:%M:%S%.3f"), zone(tz)))
        }
        ScalarValue::Date32(Some(days)) => {
            let date = chrono::NaiveDate::default() + chrono::Days::new(*days as u64);
            Some(format!("\"{date}\""))
        }
        ScalarValue::Decimal128(Some(unscaled), _, scale) => {
            Some(format!("{}", *unscaled as f64 * 10_f64.powi(-i32::from(*scale))))
        }
        ScalarValue::Float64(Some(value)) => serde_json::to_string(value).ok(),
        ScalarValue::Boolean(Some(value)) => Some(value.to_string()),
        other if other.data_type().is_integer() => Some(other.to_string()),
        _ => None,
    }
}

/// Random, but the same again for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    pub fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.below(6) > 0).then_some(value)
    }
}
