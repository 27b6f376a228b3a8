//! `avg` with PostgreSQL's types: numeric for integers and numerics, with the digits of a numeric division.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::functions_aggregate::average;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, StatisticsArgs, Volatility,
};

use crate::engine::functions::divide::quotient_type;
use crate::engine::functions::kind::is_decimal;
use crate::engine::functions::scalar::undefined;

/// The integers of a `bigint`, as numeric.
const BIGINT: DataType = DataType::Decimal128(20, 0);

/// DataFusion's average over the types that PostgreSQL gives it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactAverage {
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

/// The average.
pub(super) fn average() -> Arc<AggregateUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(ExactAverage { inner: average::avg_udaf(), signature }))
}

/// The type that values of a type are added up as; `None` where there is no such average.
fn operand(given: &DataType) -> Option<DataType> {
    use DataType as D;
    Some(match given {
        integer if integer.is_integer() => BIGINT,
        D::Decimal32(precision, scale) | D::Decimal64(precision, scale) => D::Decimal128(*precision, *scale),
        decimal if is_decimal(decimal) => decimal.clone(),
        float if float.is_floating() || float.is_null() => D::Float64,
        D::Duration(_) => given.clone(),
        _ => return None,
    })
}

impl AggregateUDFImpl for ExactAverage {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        match types {
            [one] => Ok(vec![operand(one).ok_or_else(|| undefined(self.name(), types))?]),
            _ => Err(undefined(self.name(), types).into()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match &types[0] {
            decimal @ DataType::Decimal128(..) => Ok(quotient_type(decimal, &BIGINT)),
            _ => self.inner.return_type(types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DataFusionResult<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> datafusion::logical_expr::utils::AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.inner.value_from_stats(statistics)
    }
}
