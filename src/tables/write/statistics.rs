//! Exact statistics of a file while it is written.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;

use crate::error::Result;
use crate::tables::file_stats::{ColumnStats, FileStats, has_bounds};

/// Statistics of the rows seen so far.
pub(super) struct Statistics {
    columns: Vec<Column>,
}

struct Column {
    name: Arc<str>,
    at: usize,
    nulls: u64,
    bounds: Option<(MinAccumulator, MaxAccumulator)>,
    has_nan: bool,
}

impl Statistics {
    /// For files with these columns; `indexed` says which of them the log describes.
    pub fn new(schema: &SchemaRef, indexed: &[usize]) -> Result<Self> {
        let column = |at: &usize| {
            let field = schema.field(*at);
            let of = field.data_type();
            let bounds = match has_bounds(of) {
                true => Some((MinAccumulator::try_new(of)?, MaxAccumulator::try_new(of)?)),
                false => None,
            };
            Ok(Column { name: field.name().as_str().into(), at: *at, nulls: 0, bounds, has_nan: false })
        };
        Ok(Self { columns: indexed.iter().map(column).collect::<Result<_>>()? })
    }

    /// Takes in the rows of a batch.
    pub fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        for column in &mut self.columns {
            let values = batch.column(column.at);
            column.nulls += values.logical_null_count() as u64;
            column.has_nan = column.has_nan || holds_nan(values);
            if let Some((min, max)) = &mut column.bounds {
                min.update_batch(std::slice::from_ref(values))?;
                max.update_batch(std::slice::from_ref(values))?;
            }
        }
        Ok(())
    }

    /// The statistics of all rows.
    pub fn finish(self) -> Result<FileStats> {
        let finished = self.columns.into_iter().map(|column| Ok((Arc::clone(&column.name), column.finish()?)));
        Ok(FileStats { columns: finished.collect::<Result<_>>()? })
    }
}

impl Column {
    fn finish(self) -> Result<ColumnStats> {
        let unbounded = ColumnStats { null_count: Some(self.nulls), ..ColumnStats::default() };
        let Some((mut min, mut max)) = self.bounds else { return Ok(unbounded) };
        if self.has_nan {
            // NaN is above every number for us and nowhere for others: no bound is right for all.
            return Ok(unbounded);
        }
        let (min, max) = (min.evaluate()?, max.evaluate()?);
        if min.is_null() || max.is_null() {
            return Ok(ColumnStats { exact: true, ..unbounded });
        }
        let exact = !is_zero(&min) && !is_zero(&max);
        Ok(ColumnStats { min: Some(signed_zero(min, true)), max: Some(signed_zero(max, false)), exact, ..unbounded })
    }
}

fn holds_nan(values: &ArrayRef) -> bool {
    match values.data_type() {
        DataType::Float32 => values.as_primitive::<Float32Type>().iter().flatten().any(f32::is_nan),
        DataType::Float64 => values.as_primitive::<Float64Type>().iter().flatten().any(f64::is_nan),
        _ => false,
    }
}

/// A floating-point zero: -0.0 and 0.0 are equal in SQL but not in the order that bounds use.
fn is_zero(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float32(Some(value)) => *value == 0.0,
        ScalarValue::Float64(Some(value)) => *value == 0.0,
        _ => false,
    }
}

/// A lower bound of zero becomes -0.0, an upper one 0.0.
fn signed_zero(value: ScalarValue, lower: bool) -> ScalarValue {
    match (&value, lower) {
        (ScalarValue::Float32(_), _) if is_zero(&value) => ScalarValue::from(if lower { -0.0_f32 } else { 0.0 }),
        (ScalarValue::Float64(_), _) if is_zero(&value) => ScalarValue::from(if lower { -0.0_f64 } else { 0.0 }),
        _ => value,
    }
}
