//! What is known of the columns of a chunk: computed when a query first asks, and kept with it.

use std::sync::OnceLock;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::ScalarValue;
use datafusion_functions_aggregate_common::min_max::{max_batch, min_batch};

/// What is known of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnFacts {
    pub nulls: usize,
    /// The least and the greatest value; none where there is no value, or where its type has no order we are sure of.
    pub bounds: Option<(ScalarValue, ScalarValue)>,
}

impl ColumnFacts {
    fn of(rows: &RecordBatch, column: usize) -> Self {
        let values = rows.column(column);
        let nulls = values.logical_nulls().map_or(0, |nulls| nulls.null_count());
        let bounds = match is_ordered(values) && nulls < values.len() {
            true => min_batch(values).ok().zip(max_batch(values).ok()),
            false => None,
        };
        Self { nulls, bounds }
    }
}

/// The facts of all columns, as far as they were asked for.
pub(super) struct Facts(Vec<OnceLock<ColumnFacts>>);

impl Facts {
    pub fn unknown(columns: usize) -> Self {
        Self((0..columns).map(|_| OnceLock::new()).collect())
    }

    pub fn get(&self, rows: &RecordBatch, column: usize) -> &ColumnFacts {
        self.0[column].get_or_init(|| ColumnFacts::of(rows, column))
    }
}

/// NaN is above all numbers for PostgreSQL and none for Parquet: where there is one, the files decide what is said.
fn is_ordered(values: &dyn Array) -> bool {
    match values.data_type() {
        DataType::Float32 => !values.as_primitive::<Float32Type>().iter().flatten().any(f32::is_nan),
        DataType::Float64 => !values.as_primitive::<Float64Type>().iter().flatten().any(f64::is_nan),
        other => !other.is_nested(),
    }
}
