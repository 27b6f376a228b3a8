//! Functions on numbers, where DataFusion has none or rounds another way.

use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::{Value, rescale};
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::immutable("mod", MOD),
    Function::immutable(
        "div",
        &[
            Overload::new(&[K::Int8, K::Int8], K::Int8, div_integers),
            Overload::new(&[K::Numeric, K::Numeric], K::Whole, div_decimals),
        ],
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
            Overload::new(&[K::Float8, K::Int4], K::Float8, round_float),
        ],
    ),
    Function::immutable(
        "trunc",
        &[
            Overload::new(&[K::Float8], K::Float8, |a| Ok(Value::Float(a.float(0)?.trunc()))),
            Overload::new(&[K::Numeric], K::Whole, |a| to_places(a, cut)),
            Overload::new(&[K::Numeric, K::Int4], K::Rounded, |a| to_places(a, cut)),
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
        &[Overload::new(&[K::Float8], K::Float8, |a| {
            checked(
                a,
                f64::sqrt,
                |x| x >= 0.0 || x.is_nan(),
                ErrorKind::InvalidArgumentForPower,
                "cannot take square root of a negative number",
            )
        })],
    ),
    Function::immutable("ln", &[Overload::new(&[K::Float8], K::Float8, |a| logarithm(a, f64::ln))]),
    Function::immutable("log10", &[Overload::new(&[K::Float8], K::Float8, |a| logarithm(a, f64::log10))]),
];

const CEIL: &[Overload] = &[
    Overload::new(&[K::Float8], K::Float8, |a| Ok(Value::Float(a.float(0)?.ceil()))),
    Overload::new(&[K::Numeric], K::Whole, |a| {
        to_places(a, |digits, from, to| cut_by(digits, from, to, |one, two| -((-one).div_euclid(two))))
    }),
];

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

fn div_integers(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    match arguments.integer(1)? {
        0 => Err(division_by_zero()),
        divisor => Ok(Value::Int(arguments.integer(0)?.checked_div(divisor).ok_or_else(overflow)?)),
    }
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
    let Value::Decimal(digits, scale) = &arguments.values[0] else {
        return Err(Error::internal("numeric argument expected"));
    };
    let places = if arguments.len() > 1 { arguments.integer(1)? } else { 0 };
    let places = i8::try_from(places.clamp(-38, 38)).unwrap_or(0);
    if places >= *scale {
        return Ok(Value::Decimal(*digits, *scale));
    }
    Ok(Value::Decimal(step(*digits, *scale, places).ok_or_else(overflow)?, places))
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

fn checked(
    arguments: &Arguments<'_>,
    function: fn(f64) -> f64,
    allowed: fn(f64) -> bool,
    kind: ErrorKind,
    message: &str,
) -> Result<Value<'static>> {
    let number = arguments.float(0)?;
    match allowed(number) {
        true => Ok(Value::Float(function(number))),
        false => Err(Error::new(kind, message)),
    }
}

fn logarithm(arguments: &Arguments<'_>, function: fn(f64) -> f64) -> Result<Value<'static>> {
    match arguments.float(0)? {
        0.0 => Err(Error::new(ErrorKind::InvalidArgumentForLogarithm, "cannot take logarithm of zero")),
        _ => checked(
            arguments,
            function,
            |x| x > 0.0 || x.is_nan(),
            ErrorKind::InvalidArgumentForLogarithm,
            "cannot take logarithm of a negative number",
        ),
    }
}
