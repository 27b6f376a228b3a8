//! `/` of numerics and floats: enough digits, rounded, and an error for a divisor of zero.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use arrow::compute::kernels::arity::try_binary;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float64Type, i256};
use arrow::error::ArrowError;
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::engine::functions::kind::{decimal_size, is_decimal};
use crate::error::{Error, ErrorKind, Result};

/// The name of the function behind the operator.
pub const DIVIDE: &str = "exact_divide";

/// Digits behind the point of a quotient: PostgreSQL's for quotients from 1 to 9999.
const QUOTIENT_SCALE: i8 = 16;

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(Divide { signature: Signature::user_defined(Volatility::Immutable) }))
});

/// `left / right`
pub fn call(left: Expr, right: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&FUNCTION), vec![left, right]))
}

/// The function of that name.
pub(super) fn scalar(name: &str) -> Option<Arc<ScalarUDF>> {
    (name == DIVIDE).then(|| Arc::clone(&FUNCTION))
}

/// The type of a quotient of numerics.
pub(super) fn quotient_type(left: &DataType, right: &DataType) -> DataType {
    let scale = |data_type: &DataType| decimal_size(data_type).map_or(0, |(_, scale)| scale);
    DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale(left).max(scale(right)).max(QUOTIENT_SCALE))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Divide {
    signature: Signature,
}

impl ScalarUDFImpl for Divide {
    fn name(&self) -> &str {
        DIVIDE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [left, right] if is_decimal(left) && is_decimal(right) => Ok(quotient_type(left, right)),
            _ => Ok(DataType::Float64),
        }
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        if types.iter().any(DataType::is_floating) {
            return Ok(vec![DataType::Float64; types.len()]);
        }
        let numeric = |data_type: &DataType| match decimal_size(data_type) {
            Some((precision, scale)) => DataType::Decimal128(precision.min(DECIMAL128_MAX_PRECISION), scale),
            None => DataType::Decimal128(20, 0),
        };
        Ok(types.iter().map(numeric).collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let constant = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let (left, right) = (args.args[0].to_array(rows)?, args.args[1].to_array(rows)?);
        let quotients: ArrayRef = match args.return_field.data_type() {
            DataType::Decimal128(precision, scale) => Arc::new(decimals(&left, &right, *precision, *scale)?),
            _ => Arc::new(floats(&left, &right)?),
        };
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&quotients, 0)?)),
            false => Ok(ColumnarValue::Array(quotients)),
        }
    }
}

fn floats(left: &ArrayRef, right: &ArrayRef) -> Result<Float64Array> {
    let (left, right) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
    let divide = |one: f64, two: f64| match two == 0.0 {
        true => Err(ArrowError::DivideByZero),
        false => Ok(one / two),
    };
    Ok(try_binary(left, right, divide)?)
}

fn decimals(left: &ArrayRef, right: &ArrayRef, precision: u8, scale: i8) -> Result<Decimal128Array> {
    let of = |array: &ArrayRef| decimal_size(array.data_type()).map_or(0, |(_, scale)| i32::from(scale));
    let shift = u32::try_from(i32::from(scale) - of(left) + of(right))
        .map_err(|_| Error::internal("a quotient has at least the digits of its dividend"))?;
    let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
    let factor = 10i128.checked_pow(shift);
    let divide = |one: i128, two: i128| {
        if two == 0 {
            return Err(ArrowError::DivideByZero);
        }
        let narrow = factor.and_then(|factor| one.checked_mul(factor)).map(|one| rounded(one, two));
        narrow.or_else(|| wide(one, two, shift)).ok_or_else(|| ArrowError::ArithmeticOverflow("numeric".to_owned()))
    };
    let overflow = |error: ArrowError| match error {
        ArrowError::DivideByZero => Error::from(error),
        _ => Error::new(ErrorKind::NumericValueOutOfRange, "numeric field overflow")
            .detail("A quotient has more digits than numeric holds."),
    };
    let quotients: Decimal128Array = try_binary(left, right, divide).map_err(overflow)?;
    let quotients = quotients.with_precision_and_scale(precision, scale)?;
    quotients.validate_decimal_precision(precision).map_err(overflow)?;
    Ok(quotients)
}

/// The quotient, rounded half away from zero.
fn rounded(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    match rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs() {
        true => quotient + dividend.signum() * divisor.signum(),
        false => quotient,
    }
}

/// As [`rounded`], of a dividend that is moved by `shift` digits beyond 128 bits.
fn wide(dividend: i128, divisor: i128, shift: u32) -> Option<i128> {
    let moved = i256::from_i128(dividend).checked_mul(i256::from_i128(10).checked_pow(shift)?)?;
    let divisor_wide = i256::from_i128(divisor);
    let (quotient, rest) = (moved.checked_div(divisor_wide)?, moved.checked_rem(divisor_wide)?);
    let up = rest.checked_abs()? >= divisor_wide.checked_abs()?.checked_sub(rest.checked_abs()?)?;
    let quotient = quotient.to_i128()?;
    if up { quotient.checked_add(dividend.signum() * divisor.signum()) } else { Some(quotient) }
}
