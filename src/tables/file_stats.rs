//! Statistics of a data file, typed: rows, and per column minimum, maximum and nulls.
//!
//! Invariant: `min` is never above and `max` never below a value of the column, NaN included, whoever wrote the file; `exact`
//! says that both are values of the column. What cannot be trusted that far is left out: pruning then keeps the file.
//! The log's text comes in by [`FileStats::parse`] and leaves by [`FileStats::to_json`]; between the two nothing is parsed again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::ScalarValue;

use crate::error::Result;

mod print;
mod read;
#[cfg(test)]
mod tests;

/// What is known of the values of a file's top-level columns, by (logical) column name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileStats {
    pub columns: BTreeMap<Arc<str>, ColumnStats>,
}

/// What is known of one column of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnStats {
    /// Not above any value; equal to one of them when `exact`. A column that holds NaN has no bounds.
    pub min: Option<ScalarValue>,
    /// Not below any value; equal to one of them when `exact`.
    pub max: Option<ScalarValue>,
    pub null_count: Option<u64>,
    /// True when `min` and `max` are values of the column, not merely bounds.
    pub exact: bool,
}

/// The tag of our `add` actions that says which columns' bounds are exact: a JSON array of the columns that are NOT exact.
/// Its presence also says that floating-point bounds take NaN into account, which other writers do not.
pub const INEXACT_TAG: &str = "headwater.inexact";

/// Longer texts are cut in the log: bounds of texts need not be values, and the log is read at every open.
const TEXT_CHARS_MAX: usize = 64;

impl FileStats {
    /// Reads Delta's statistics text; gives `numRecords` too. `tags` are the `add` action's (see [`INEXACT_TAG`]).
    /// A value that does not fit its column's type is left out; text that is not statistics at all is an error.
    pub fn parse(json: &str, schema: &Schema, tags: &BTreeMap<String, String>) -> Result<(Option<u64>, FileStats)> {
        read::read(json, schema, tags)
    }

    /// Delta's statistics text. Nested columns and values that JSON cannot hold are left out; long texts are cut so
    /// that they stay bounds (name such columns in [`INEXACT_TAG`], see [`FileStats::inexact_columns`]).
    pub fn to_json(&self, rows: u64) -> String {
        print::print(self, rows)
    }

    /// The columns whose bounds are no values of the column once printed: what belongs into [`INEXACT_TAG`].
    pub fn inexact_columns(&self) -> Vec<&str> {
        let inexact = |stats: &ColumnStats| !stats.exact || [&stats.min, &stats.max].into_iter().flatten().any(is_cut);
        self.columns.iter().filter(|(_, stats)| inexact(stats)).map(|(name, _)| name.as_ref()).collect()
    }
}

/// A timestamp of any year as the log spells it; `None` for another text and for another type.
pub(in crate::tables) fn timestamp(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            Some(ScalarValue::TimestampMicrosecond(Some(read::timestamp_micros(text)?), zone.clone()))
        }
        _ => None,
    }
}

/// True for types whose bounds we keep.
pub(in crate::tables) fn has_bounds(data_type: &DataType) -> bool {
    use DataType as T;
    matches!(
        data_type,
        T::Boolean
            | T::Int8
            | T::Int16
            | T::Int32
            | T::Int64
            | T::Float32
            | T::Float64
            | T::Decimal128(..)
            | T::Date32
            | T::Timestamp(..)
            | T::Utf8
            | T::LargeUtf8
            | T::Utf8View
    )
}

/// True for a text that is longer than what the log keeps of it.
fn is_cut(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            text.chars().nth(TEXT_CHARS_MAX).is_some()
        }
        _ => false,
    }
}
