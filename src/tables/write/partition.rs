//! Which rows of a batch go to which partition, and how a partition's folder is called.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::file::Target;
use crate::error::{Error, ErrorKind, Result};

/// Rows of one partition.
pub(super) type Split = Vec<(Vec<Option<String>>, RecordBatch)>;

/// Splits batches by the values of the partition columns, which it takes out.
pub(super) struct Splitter {
    partition: Vec<(String, usize)>,
    data: Vec<usize>,
    rows: RowConverter,
}

impl Splitter {
    /// A splitter for batches with the table's columns.
    pub fn new(target: &Target) -> Result<Self> {
        let schema = &target.table_schema;
        let at = |name: &String| Ok((name.clone(), schema.index_of(name)?));
        let partition = target.partition_columns.iter().map(at).collect::<Result<Vec<_>>>()?;
        let data = (0..schema.fields().len()).filter(|index| partition.iter().all(|(_, at)| at != index)).collect();
        let keys = partition.iter().map(|(_, at)| SortField::new(schema.field(*at).data_type().clone())).collect();
        Ok(Self { partition, data, rows: RowConverter::new(keys)? })
    }

    /// The parts of the batch, without the partition columns.
    pub fn split(&self, batch: &RecordBatch) -> Result<Split> {
        let data = batch.project(&self.data)?;
        if self.partition.is_empty() {
            return Ok(vec![(Vec::new(), data)]);
        }
        let keys: Vec<ArrayRef> = self.partition.iter().map(|(_, at)| Arc::clone(batch.column(*at))).collect();
        let rows = self.rows.convert_columns(&keys)?;
        let mut groups: HashMap<&[u8], Vec<u32>> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            let index = u32::try_from(index).map_err(|_| Error::internal("a batch has too many rows"))?;
            groups.entry(row.data()).or_default().push(index);
        }
        // -0.0 and 0.0, say, are two groups with one text.
        let mut by_text: BTreeMap<Vec<Option<String>>, Vec<u32>> = BTreeMap::new();
        for indices in groups.into_values() {
            let first = indices[0] as usize;
            let values = self.partition.iter().zip(&keys).map(|((name, _), column)| value_text(name, column, first));
            by_text.entry(values.collect::<Result<_>>()?).or_default().extend(indices);
        }
        let whole = by_text.len() == 1;
        let part = |(values, mut indices): (_, Vec<u32>)| match whole {
            true => Ok((values, data.clone())),
            false => {
                indices.sort_unstable();
                Ok((values, take_record_batch(&data, &UInt32Array::from(indices))?))
            }
        };
        by_text.into_iter().map(part).collect()
    }
}

/// A partition value in Delta's text form.
fn value_text(name: &str, column: &ArrayRef, row: usize) -> Result<Option<String>> {
    if column.is_null(row) {
        return Ok(None);
    }
    let text = match column.data_type() {
        DataType::Utf8View => column.as_string_view().value(row).to_owned(),
        DataType::Timestamp(_, _) => timestamp_text(column, row)?,
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        _ => ArrayFormatter::try_new(column, &FormatOptions::new())?.value(row).try_to_string()?,
    };
    match text.is_empty() {
        false => Ok(Some(text)),
        true => Err(empty_value(name)),
    }
}

fn empty_value(name: &str) -> Error {
    let message = format!("column \"{name}\" partitions the table and cannot hold an empty text");
    Error::new(ErrorKind::InvalidParameterValue, message)
        .hint("Delta reads an empty partition value as NULL; store NULL or another text.")
}

/// An error where the values of a column cannot partition a table: found before rows are acknowledged, not when they are
/// written to files.
pub fn check_partition(name: &str, column: &ArrayRef) -> Result<()> {
    match column.as_string_view_opt() {
        Some(texts) if texts.iter().any(|text| text == Some("")) => Err(empty_value(name)),
        _ => Ok(()),
    }
}

fn timestamp_text(column: &ArrayRef, row: usize) -> Result<String> {
    let micros = column.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(row);
    let time = chrono::DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| Error::new(ErrorKind::DatetimeFieldOverflow, "timestamp out of range"))?;
    Ok(time.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// Kept in a folder's name; all else is `%XX`, which is safe on every store and for every reader.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// `a=1/b=x%20y`, in Hive's way.
pub(super) fn folder(columns: &[String], values: &[Option<String>]) -> String {
    let part = |(column, value): (&String, &Option<String>)| {
        let value = value.as_deref().unwrap_or("__HIVE_DEFAULT_PARTITION__");
        format!("{}={}", utf8_percent_encode(column, KEPT), utf8_percent_encode(value, KEPT))
    };
    columns.iter().zip(values).map(part).collect::<Vec<_>>().join("/")
}
