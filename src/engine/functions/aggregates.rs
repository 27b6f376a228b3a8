//! Aggregate functions of ours.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::functions_aggregate::bool_and_or;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use crate::engine::functions::{exact, sums};
use crate::error::{Error, ErrorKind};

/// The aggregate that the shim puts around the item of a scalar subquery: its one value, an error on the second row.
pub const SINGLE_VALUE: &str = "__single_value";

/// The aggregate function of that name.
pub(super) fn aggregate(name: &str) -> Option<Arc<AggregateUDF>> {
    match name {
        SINGLE_VALUE => Some(Arc::new(AggregateUDF::new_from_impl(SingleValue::new()))),
        "every" => Some(bool_and_or::bool_and_udaf()),
        "sum" => Some(sums::aggregate()),
        _ => exact::aggregate(name),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleValue {
    signature: Signature,
}

impl SingleValue {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &str {
        SINGLE_VALUE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        Ok(types[0].clone())
    }

    fn return_field(&self, fields: &[FieldRef]) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(fields[0].as_ref().clone().with_name(SINGLE_VALUE).with_nullable(true)))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        Ok(Box::new(Single { rows: 0, value: ScalarValue::try_from(args.return_field.data_type())? }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DataFusionResult<Vec<FieldRef>> {
        Ok(vec![
            Arc::new(Field::new("rows", DataType::Int64, false)),
            Arc::new(Field::new("value", args.return_field.data_type().clone(), true)),
        ])
    }
}

/// The one value and how many rows there were.
#[derive(Debug)]
struct Single {
    rows: i64,
    value: ScalarValue,
}

impl Single {
    fn see(&mut self, rows: i64, values: &ArrayRef, at: usize) -> DataFusionResult<()> {
        self.rows += rows;
        if self.rows > 1 {
            let message = "more than one row returned by a subquery used as an expression";
            return Err(Error::new(ErrorKind::CardinalityViolation, message).into());
        }
        if rows == 1 {
            self.value = ScalarValue::try_from_array(values, at)?;
        }
        Ok(())
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        match values[0].len() {
            0 => Ok(()),
            rows => self.see(i64::try_from(rows).unwrap_or(i64::MAX), &values[0], 0),
        }
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(Some(self.rows)), self.value.clone()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let counts = states[0].as_primitive::<Int64Type>();
        for at in 0..counts.len() {
            self.see(counts.value(at), &states[1], at)?;
        }
        Ok(())
    }
}
