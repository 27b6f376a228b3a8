//! Functions on numbers, where DataFusion has none or rounds another way.

use arrow::datatypes::DataType;

use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::{Value, out_of_range, rescale};
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::immutable("mod", MOD),
    Function::immutable("div", &[Overload::new(&[K::Numeric, K::Numeric], K::Whole, div_decimals)]),
    Function::immutable("gcd", GCD),
    Function::immutable("lcm", LCM),
    Function::immutable("factorial", &[Overload::new(&[K::Int8], K::Whole, factorial)]),
    Function::immutable("scale", &[Overload::new(&[K::Numeric], K::Int4, |a| Ok(Value::Int(digits(a)?.1.into())))]),
    // A column has one scale: what is trimmed from one value would be added to the next.
    Function::immutable(
        "trim_scale",
        &[Overload::new(&[K::Numeric], K::Same(0), |a| Ok(a.values[0].clone().into_owned()))],
    ),
    Function::immutable("min_scale", &[Overload::new(&[K::Numeric], K::Int4, min_scale)]),
    Function::immutable("num_nulls", &[Overload::variadic(&[K::Any], K::Int4, |a| Ok(Value::Int(nulls(a))))]),
    Function::immutable(
        "num_nonnulls",
        &[Overload::variadic(&[K::Any], K::Int4, |a| Ok(Value::Int(a.len() as i64 - nulls(a))))],
    ),
    Function::immutable(
        "sign",
        &[Overload::new(&[K::Numeric], K::Whole, sign), Overload::new(&[K::Float8], K::Float8, sign)],
    ),
    Function::immutable(
        "round",
        &[
            Overload::new(&[K::Float8], K::Float8, |a| Ok(Value::Float(a.float(0)?.round_ties_even()))),
            Overload::new(&[K::Numeric], K::Whole, |a| to_places(a, rescale)),
            Overload::new(&[K::Numeric, K::Int4], K::Rounded, |a| to_places(a, rescale)),
            Overload::new(&[K::Int8, K::Int4], K::Rounded, |a| to_places(a, rescale)),
            Overload::new(&[K::Float8, K::Int4], K::Float8, round_float),
        ],
    ),
    Function::immutable(
        "trunc",
        &[
            Overload::new(&[K::Float8], K::Float8, |a| Ok(Value::Float(a.float(0)?.trunc()))),
            Overload::new(&[K::Numeric], K::Whole, |a| to_places(a, cut)),
            Overload::new(&[K::Numeric, K::Int4], K::Rounded, |a| to_places(a, cut)),
            Overload::new(&[K::Int8, K::Int4], K::Rounded, |a| to_places(a, cut)),
            Overload::new(&[K::Float8, K::Int4], K::Float8, trunc_float),
        ],
    ),
    Function::immutable("ceil", CEIL),
    Function::immutable("ceiling", CEIL),
    Function::immutable(
        "floor",
        &[
            Overload::new(&[K::Float8], K::Float8, |a| Ok(Value::Float(a.float(0)?.floor()))),
            Overload::new(&[K::Numeric], K::Whole, |a| {
                to_places(a, |digits, from, to| cut_by(digits, from, to, i128::div_euclid))
            }),
        ],
    ),
    Function::immutable(
        "width_bucket",
        &[Overload::new(&[K::Float8, K::Float8, K::Float8, K::Int4], K::Int4, width_bucket)],
    ),
    Function::immutable(
        "sqrt",
        &[Overload::new(&[K::Float8], K::Float8, |a| match a.float(0)? {
            negative if negative < 0.0 => {
                Err(Error::new(ErrorKind::InvalidArgumentForPower, "cannot take square root of a negative number"))
            }
            number => Ok(Value::Float(number.sqrt())),
        })],
    ),
    Function::immutable(
        "ln",
        &[Overload::new(&[K::Float8], K::Float8, |a| Ok(Value::Float(positive(a.float(0)?)?.ln())))],
    ),
    Function::immutable("log10", &[Overload::new(&[K::Float8], K::Float8, log10)]),
    Function::immutable(
        "log",
        &[
            Overload::new(&[K::Float8], K::Float8, log10),
            Overload::new(&[K::Float8, K::Float8], K::Float8, |a| {
                let base = positive(a.float(0)?)?.ln();
                finite(positive(a.float(1)?)?.ln() / base, base == 0.0)
            }),
        ],
    ),
    Function::immutable(
        "exp",
        &[Overload::new(&[K::Float8], K::Float8, |a| finite(a.float(0)?.exp(), !a.float(0)?.is_finite()))],
    ),
    Function::immutable("power", POWER),
    Function::immutable("pow", POWER),
];

const CEIL: &[Overload] = &[
    Overload::new(&[K::Float8], K::Float8, |a| Ok(Value::Float(a.float(0)?.ceil()))),
    Overload::new(&[K::Numeric], K::Whole, |a| {
        to_places(a, |digits, from, to| cut_by(digits, from, to, |one, two| -((-one).div_euclid(two))))
    }),
];

const POWER: &[Overload] = &[Overload::new(&[K::Float8, K::Float8], K::Float8, power)];

const MOD: &[Overload] = &[
    Overload::new(&[K::Int2, K::Int2], K::Int2, mod_integers),
    Overload::new(&[K::Int4, K::Int4], K::Int4, mod_integers),
    Overload::new(&[K::Int8, K::Int8], K::Int8, mod_integers),
    Overload::new(&[K::Numeric, K::Numeric], K::Numeric, mod_decimals),
];

fn division_by_zero() -> Error {
    Error::new(ErrorKind::DivisionByZero, "division by zero")
}

fn overflow() -> Error {
    Error::new(ErrorKind::NumericValueOutOfRange, "value overflows numeric format")
}

fn mod_integers(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    match arguments.integer(1)? {
        0 => Err(division_by_zero()),
        divisor => Ok(Value::Int(arguments.integer(0)?.wrapping_rem(divisor))),
    }
}

const GCD: &[Overload] = &[
    Overload::new(&[K::Int4, K::Int4], K::Int4, |a| gcd(a.integer(0)?, a.integer(1)?)),
    Overload::new(&[K::Int8, K::Int8], K::Int8, |a| gcd(a.integer(0)?, a.integer(1)?)),
];

const LCM: &[Overload] =
    &[Overload::new(&[K::Int4, K::Int4], K::Int4, lcm), Overload::new(&[K::Int8, K::Int8], K::Int8, lcm)];

fn greatest_divisor(one: i64, two: i64) -> u64 {
    let (mut one, mut two) = (one.unsigned_abs(), two.unsigned_abs());
    while two != 0 {
        (one, two) = (two, one % two);
    }
    one
}

fn gcd(one: i64, two: i64) -> Result<Value<'static>> {
    i64::try_from(greatest_divisor(one, two)).map(Value::Int).map_err(|_| out_of_range(&DataType::Int64))
}

fn lcm(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (one, two) = (arguments.integer(0)?, arguments.integer(1)?);
    let multiple = match greatest_divisor(one, two) {
        0 => Some(0),
        divisor => (one.unsigned_abs() / divisor).checked_mul(two.unsigned_abs()),
    };
    let multiple = multiple.and_then(|multiple| i64::try_from(multiple).ok());
    multiple.map(Value::Int).ok_or_else(|| out_of_range(arguments.result.data_type()))
}

fn factorial(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    match arguments.integer(0)? {
        ..0 => Err(Error::new(ErrorKind::NumericValueOutOfRange, "factorial of a negative number is undefined")),
        number => {
            let product = (2..=i128::from(number)).try_fold(1i128, |product, factor| product.checked_mul(factor));
            Ok(Value::Decimal(product.ok_or_else(overflow)?, 0))
        }
    }
}

/// The digits and the scale of a number.
fn digits(arguments: &Arguments<'_>) -> Result<(i128, i8)> {
    match &arguments.values[0] {
        Value::Decimal(digits, scale) => Ok((*digits, *scale)),
        Value::Int(number) => Ok((i128::from(*number), 0)),
        other => Err(Error::internal(format!("numeric argument expected, not {other:?}"))),
    }
}

fn min_scale(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (mut digits, mut scale) = digits(arguments)?;
    while scale > 0 && digits % 10 == 0 {
        (digits, scale) = (digits / 10, scale - 1);
    }
    Ok(Value::Int(scale.into()))
}

fn nulls(arguments: &Arguments<'_>) -> i64 {
    arguments.values.iter().filter(|value| matches!(value, Value::Null)).count() as i64
}

/// Two decimals with one scale.
fn aligned(arguments: &Arguments<'_>) -> Result<(i128, i128, i8)> {
    let (Value::Decimal(one, one_scale), Value::Decimal(two, two_scale)) = (&arguments.values[0], &arguments.values[1])
    else {
        return Err(Error::internal("numeric arguments expected"));
    };
    let scale = *one_scale.max(two_scale);
    let align = |digits, from| rescale(digits, from, scale).ok_or_else(overflow);
    Ok((align(*one, *one_scale)?, align(*two, *two_scale)?, scale))
}

fn mod_decimals(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    match aligned(arguments)? {
        (_, 0, _) => Err(division_by_zero()),
        (one, two, scale) => Ok(Value::Decimal(one % two, scale)),
    }
}

fn div_decimals(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    match aligned(arguments)? {
        (_, 0, _) => Err(division_by_zero()),
        (one, two, _) => Ok(Value::Decimal(one / two, 0)),
    }
}

fn sign(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(match &arguments.values[0] {
        Value::Decimal(digits, _) => Value::Decimal(digits.signum(), 0),
        Value::Float(number) if *number == 0.0 || number.is_nan() => Value::Float(*number),
        Value::Float(number) => Value::Float(number.signum()),
        other => return Err(Error::internal(format!("sign of {other:?}"))),
    })
}

/// Drops digits without rounding.
fn cut(digits: i128, from: i8, to: i8) -> Option<i128> {
    cut_by(digits, from, to, |one, two| one / two)
}

/// Drops digits by a division of a certain direction.
fn cut_by(digits: i128, from: i8, to: i8, divide: impl Fn(i128, i128) -> i128) -> Option<i128> {
    match u32::try_from(i32::from(from) - i32::from(to)) {
        Ok(places) => Some(10i128.checked_pow(places).map_or(0, |divisor| divide(digits, divisor))),
        Err(_) => rescale(digits, from, to),
    }
}

/// Rounds or cuts a decimal to the places of the second argument, 0 without one.
fn to_places(arguments: &Arguments<'_>, step: impl Fn(i128, i8, i8) -> Option<i128>) -> Result<Value<'static>> {
    let (digits, scale) = digits(arguments)?;
    let places = if arguments.len() > 1 { arguments.integer(1)? } else { 0 };
    let places = i8::try_from(places.clamp(-38, 38)).unwrap_or(0);
    if places >= scale {
        return Ok(Value::Decimal(digits, scale));
    }
    Ok(Value::Decimal(step(digits, scale, places).ok_or_else(overflow)?, places))
}

fn float_places(arguments: &Arguments<'_>) -> Result<i32> {
    Ok(i32::try_from(arguments.integer(1)?.clamp(-300, 300)).unwrap_or(0))
}

fn round_float(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (number, factor) = (arguments.float(0)?, 10f64.powi(float_places(arguments)?));
    let scaled = number * factor;
    Ok(Value::Float(if scaled.is_finite() { scaled.round() / factor } else { number }))
}

fn trunc_float(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (number, factor) = (arguments.float(0)?, 10f64.powi(float_places(arguments)?));
    let scaled = number * factor;
    Ok(Value::Float(if scaled.is_finite() { scaled.trunc() / factor } else { number }))
}

fn width_bucket(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (value, low, high, count) =
        (arguments.float(0)?, arguments.float(1)?, arguments.float(2)?, arguments.integer(3)?);
    let invalid = |message: &str| Err(Error::new(ErrorKind::InvalidParameterValue, message));
    if count <= 0 {
        return invalid("count must be greater than zero");
    }
    if low == high {
        return invalid("lower bound cannot equal upper bound");
    }
    let share = (value - low) / (high - low);
    Ok(Value::Int(if share < 0.0 {
        0
    } else if share >= 1.0 {
        count + 1
    } else {
        (share * count as f64).floor() as i64 + 1
    }))
}

/// What a logarithm may be taken of.
fn positive(number: f64) -> Result<f64> {
    let invalid = |what: &str| {
        let message = format!("cannot take logarithm of {what}");
        Err(Error::new(ErrorKind::InvalidArgumentForLogarithm, message))
    };
    match number {
        0.0 => invalid("zero"),
        negative if negative < 0.0 => invalid("a negative number"),
        number => Ok(number),
    }
}

fn log10(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Float(positive(arguments.float(0)?)?.log10()))
}

/// A result that is infinite only where an argument was.
fn finite(result: f64, infinite: bool) -> Result<Value<'static>> {
    match result.is_infinite() && !infinite {
        true => Err(Error::new(ErrorKind::NumericValueOutOfRange, "value out of range: overflow")),
        false => Ok(Value::Float(result)),
    }
}

fn power(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (base, exponent) = (arguments.float(0)?, arguments.float(1)?);
    let invalid = |message: &str| Err(Error::new(ErrorKind::InvalidArgumentForPower, message));
    if base == 0.0 && exponent < 0.0 {
        return invalid("zero raised to a negative power is undefined");
    }
    if base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 {
        return invalid("a negative number raised to a non-integer power yields a complex result");
    }
    finite(base.powf(exponent), base.is_infinite() || exponent.is_infinite())
}
