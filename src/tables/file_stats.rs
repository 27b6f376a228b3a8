//! Statistics of a data file, typed: rows, and per column minimum, maximum and nulls. Helper B's file.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::ScalarValue;

use crate::error::Result;

/// What is known of the values of a file's top-level columns, by (logical) column name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileStats {
    pub columns: BTreeMap<Arc<str>, ColumnStats>,
}

/// What is known of one column of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnStats {
    /// Not above any value; equal to one of them when `exact`.
    pub min: Option<ScalarValue>,
    /// Not below any value; equal to one of them when `exact`.
    pub max: Option<ScalarValue>,
    pub null_count: Option<u64>,
    /// True when `min` and `max` are values of the column, not merely bounds.
    pub exact: bool,
}

/// The tag of our `add` actions that says which columns' bounds are exact: a JSON array of the columns that are NOT exact.
pub const INEXACT_TAG: &str = "headwater.inexact";

impl FileStats {
    /// Reads Delta's statistics text; gives `numRecords` too. `tags` are the `add` action's (see [`INEXACT_TAG`]).
    pub fn parse(_json: &str, _schema: &Schema, _tags: &BTreeMap<String, String>) -> Result<(Option<u64>, FileStats)> {
        Ok((None, FileStats::default()))
    }

    /// Delta's statistics text.
    pub fn to_json(&self, rows: u64) -> String {
        format!("{{\"numRecords\":{rows}}}")
    }
}
