//! `sum` with PostgreSQL's types, that never wraps: bigint for smaller integers, numeric for bigint and numeric.
//!
//! DataFusion's wraps around. Here values are cast to the result's type as they come and added with a check. Invariant: a sum
//! that outgrows 38 digits is [`OVERFLOWED`] from then on, in every state that is passed on, and an error in the end.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, FieldRef, Int64Type};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, StatisticsArgs,
    Volatility,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;

use crate::engine::functions::accumulators::{Cast, cast_all, checked};
use crate::engine::functions::scalar::undefined;

/// Sums of `bigint`.
const NUMERIC: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);
/// A sum of more than 38 digits. No numeric has this value.
const OVERFLOWED: i128 = i128::MAX;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

/// The aggregate.
pub(super) fn aggregate() -> Arc<AggregateUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(Sum { inner: sum_udaf(), signature }))
}

fn is_checked(result: &DataType) -> bool {
    matches!(result, DataType::Int64 | DataType::Decimal128(..))
}

impl AggregateUDFImpl for Sum {
    /// Not `sum`: of a function of that name, a rule of the optimizer takes sums of sums, which have another type here.
    fn name(&self) -> &str {
        "SUM"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        use DataType as D;
        let operand = match types {
            [D::Null] => Some(D::Int64),
            [D::UInt8 | D::UInt16 | D::UInt32] => Some(D::Int64),
            [D::Decimal32(precision, scale) | D::Decimal64(precision, scale)] => {
                Some(D::Decimal128(*precision, *scale))
            }
            [D::Float16 | D::Float32] => Some(D::Float64),
            [integer] if integer.is_integer() => Some(integer.clone()),
            [other] if self.inner.return_type(types).is_ok() => Some(other.clone()),
            _ => None,
        };
        Ok(vec![operand.ok_or_else(|| undefined(self.inner.name(), types))?])
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        // The window planner asks before it has coerced.
        let types = self.coerce_types(types)?;
        match &types[0] {
            DataType::Int8 | DataType::Int16 | DataType::Int32 => Ok(DataType::Int64),
            DataType::Int64 | DataType::UInt64 => Ok(NUMERIC),
            _ => self.inner.return_type(&types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        let result = args.return_field.data_type().clone();
        Ok(match is_checked(&result) {
            true if args.is_distinct => {
                Box::new(Cast { inner: self.inner.accumulator(args)?, operand: result.clone(), result })
            }
            true => Box::new(Total { sum: None, result }),
            false => self.inner.accumulator(args)?,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DataFusionResult<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        let result = args.return_field.data_type().clone();
        let inner: Box<dyn GroupsAccumulator> = match &result {
            DataType::Decimal128(..) => {
                Box::new(PrimitiveGroupsAccumulator::<Decimal128Type, _>::new(&result, |sum, value| {
                    *sum = plus(*sum, value);
                }))
            }
            // 4 billion of the largest integers fit.
            DataType::Int64 => Box::new(PrimitiveGroupsAccumulator::<Int64Type, _>::new(&result, |sum, value| {
                *sum = sum.saturating_add(value);
            })),
            _ => return self.inner.create_groups_accumulator(args),
        };
        Ok(Box::new(Totals { inner, result }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        let result = args.return_field.data_type().clone();
        let inner = self.inner.create_sliding_accumulator(args)?;
        Ok(match is_checked(&result) {
            // What a window adds and takes away may wrap on the way and is right in the end.
            true => Box::new(Cast { inner, operand: result.clone(), result }),
            false => inner,
        })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.inner.simplify()
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.inner.value_from_stats(statistics)
    }
}

fn plus(sum: i128, value: i128) -> i128 {
    match sum == OVERFLOWED || value == OVERFLOWED {
        true => OVERFLOWED,
        false => sum.checked_add(value).unwrap_or(OVERFLOWED),
    }
}

/// The sum of all rows.
#[derive(Debug)]
struct Total {
    sum: Option<i128>,
    result: DataType,
}

impl Total {
    fn add(&mut self, values: &ArrayRef) {
        let wide = values.as_primitive_opt::<Decimal128Type>().map(|values| values.iter().flatten().fold(0, plus));
        let narrow = values.as_primitive_opt::<Int64Type>();
        let narrow = narrow.map(|values| values.iter().flatten().map(i128::from).fold(0, plus));
        if values.null_count() < values.len()
            && let Some(more) = wide.or(narrow)
        {
            self.sum = Some(plus(self.sum.unwrap_or(0), more));
        }
    }

    fn scalar(&self) -> DataFusionResult<ScalarValue> {
        match &self.result {
            DataType::Decimal128(precision, scale) => Ok(ScalarValue::Decimal128(self.sum, *precision, *scale)),
            result => match self.sum.map(i64::try_from).transpose() {
                Ok(sum) => Ok(ScalarValue::Int64(sum)),
                Err(_) => Err(crate::engine::functions::value::out_of_range(result).into()),
            },
        }
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        cast_all(values, &self.result)?.iter().for_each(|values| self.add(values));
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let sum = self.scalar()?;
        checked(sum.to_array()?)?;
        Ok(sum)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![self.scalar()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        states.iter().for_each(|states| self.add(states));
        Ok(())
    }
}

/// The sums of groups.
struct Totals {
    inner: Box<dyn GroupsAccumulator>,
    result: DataType,
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> DataFusionResult<()> {
        self.inner.update_batch(&cast_all(values, &self.result)?, groups, filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DataFusionResult<ArrayRef> {
        checked(self.inner.evaluate(emit_to)?)
    }

    fn state(&mut self, emit_to: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total_num_groups: usize) -> DataFusionResult<()> {
        self.inner.merge_batch(values, groups, total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DataFusionResult<Vec<ArrayRef>> {
        self.inner.convert_to_state(&cast_all(values, &self.result)?, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
