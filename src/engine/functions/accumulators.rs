//! What the accumulators of our aggregates share: casts on the way in, a check on the way out.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::Accumulator;

use crate::error::{Error, ErrorKind};

/// The values in another type. Numerics of fewer digits already are what is added.
pub(super) fn cast_all(values: &[ArrayRef], to: &DataType) -> DataFusionResult<Vec<ArrayRef>> {
    let cast_one = |values: &ArrayRef| match (values.data_type(), to) {
        (DataType::Decimal128(_, from), DataType::Decimal128(_, to)) if from == to => Ok(Arc::clone(values)),
        _ => cast(values, to),
    };
    Ok(values.iter().map(cast_one).collect::<Result<_, _>>()?)
}

/// An error when one of the sums has more than 38 digits.
pub(super) fn checked(sums: ArrayRef) -> DataFusionResult<ArrayRef> {
    if let Some(decimals) = sums.as_primitive_opt::<Decimal128Type>()
        && decimals.validate_decimal_precision(DECIMAL128_MAX_PRECISION).is_err()
    {
        let message = "numeric field overflow";
        return Err(Error::new(ErrorKind::NumericValueOutOfRange, message)
            .detail("A sum has at most 38 digits, those behind the point included.")
            .into());
    }
    Ok(sums)
}

/// DataFusion's accumulator over values of another type, its result in one more.
#[derive(Debug)]
pub(super) struct Cast {
    pub inner: Box<dyn Accumulator>,
    pub operand: DataType,
    pub result: DataType,
}

impl Accumulator for Cast {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.inner.update_batch(&cast_all(values, &self.operand)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.inner.retract_batch(&cast_all(values, &self.operand)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let value = self.inner.evaluate()?;
        checked(value.to_array()?)?;
        value.cast_to(&self.result)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.inner.merge_batch(states)
    }
}
