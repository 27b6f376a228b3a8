//! `avg` and the deviations with PostgreSQL's types: numeric for integers and numerics, where DataFusion gives double
//! precision. Invariant: coercing twice is coercing once, for a window's type is asked before and after.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::functions_aggregate::{average, stddev, variance};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, StatisticsArgs, Volatility,
};

use crate::engine::functions::accumulators::Cast;
use crate::engine::functions::divide::quotient_type;
use crate::engine::functions::kind::is_decimal;
use crate::engine::functions::scalar::undefined;

/// The integers of a `bigint`, as numeric.
const BIGINT: DataType = DataType::Decimal128(20, 0);
/// What a deviation of numerics is given in.
const DEVIATION: DataType = DataType::Decimal128(38, 16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Average,
    /// Computed in double precision.
    Deviation,
}

/// DataFusion's aggregate over the types that PostgreSQL gives it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    what: What,
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

/// The aggregate of that name.
pub(super) fn aggregate(name: &str) -> Option<Arc<AggregateUDF>> {
    let (what, inner) = match name {
        "avg" => (What::Average, average::avg_udaf()),
        "stddev" | "stddev_samp" => (What::Deviation, stddev::stddev_udaf()),
        "stddev_pop" => (What::Deviation, stddev::stddev_pop_udaf()),
        "variance" | "var_samp" => (What::Deviation, variance::var_samp_udaf()),
        "var_pop" => (What::Deviation, variance::var_pop_udaf()),
        _ => return None,
    };
    let signature = Signature::user_defined(Volatility::Immutable);
    Some(Arc::new(AggregateUDF::new_from_impl(Exact { what, inner, signature })))
}

impl Exact {
    /// The type that values of a type are taken as; `None` where there is no such aggregate.
    fn operand(&self, given: &DataType) -> Option<DataType> {
        use DataType as D;
        Some(match given {
            integer if integer.is_integer() => BIGINT,
            D::Decimal32(precision, scale) | D::Decimal64(precision, scale) => D::Decimal128(*precision, *scale),
            decimal if is_decimal(decimal) => decimal.clone(),
            float if float.is_floating() || float.is_null() => D::Float64,
            D::Duration(_) if self.what != What::Deviation => given.clone(),
            _ => return None,
        })
    }
}

impl Exact {
    /// True where numerics are computed in double precision.
    fn is_rounded(&self, result: &DataType) -> bool {
        self.what == What::Deviation && is_decimal(result)
    }

    fn rounded(&self, inner: Box<dyn Accumulator>, result: DataType) -> Box<dyn Accumulator> {
        match self.is_rounded(&result) {
            true => Box::new(Cast { inner, operand: DataType::Float64, result }),
            false => inner,
        }
    }
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        match types {
            [one] => Ok(vec![self.operand(one).ok_or_else(|| undefined(self.name(), types))?]),
            _ => Err(undefined(self.name(), types).into()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        // The window planner asks before it has coerced.
        let types = self.coerce_types(types)?;
        match (self.what, &types[0]) {
            (What::Average, decimal @ DataType::Decimal128(..)) => Ok(quotient_type(decimal, &BIGINT)),
            (What::Deviation, decimal) if is_decimal(decimal) => Ok(DEVIATION),
            (What::Deviation, _) => Ok(DataType::Float64),
            _ => self.inner.return_type(&types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        let result = args.return_field.data_type().clone();
        Ok(self.rounded(self.inner.accumulator(args)?, result))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DataFusionResult<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !self.is_rounded(args.return_field.data_type()) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        let result = args.return_field.data_type().clone();
        Ok(self.rounded(self.inner.create_sliding_accumulator(args)?, result))
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
