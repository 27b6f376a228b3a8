//! One value from one SQL type to another.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, IntervalMonthDayNano};

use crate::catalog::pg_type::PgType;
use crate::engine::functions::FunctionContext;
use crate::engine::functions::cast::parse_time::{self, DAY_MICROS};
use crate::engine::functions::cast::{parse, print};
use crate::engine::functions::names;
use crate::engine::functions::value::{self, Value, out_of_range};
use crate::error::{Error, ErrorKind, Result};

/// Casts a value; `layout` is the Arrow type of the result, for decimals and arrays.
pub fn convert(
    value: Value<'_>,
    from: &PgType,
    to: &PgType,
    layout: &DataType,
    session: &FunctionContext,
) -> Result<Value<'static>> {
    if matches!(value, Value::Null) {
        return Ok(Value::Null);
    }
    match to {
        // The blanks that fill up a char(n) are not part of the text.
        PgType::Text if matches!(from, PgType::Char(_)) => {
            Ok(Value::text(print::print(&value, from, session)?.trim_end_matches(' ')))
        }
        PgType::Text | PgType::Unknown | PgType::Void | PgType::Record => {
            Ok(Value::text(print::print(&value, from, session)?))
        }
        PgType::Varchar(_) | PgType::Char(_) | PgType::Name | PgType::InternalChar => {
            Ok(Value::text(fit(print::print(&value, from, session)?, to)))
        }
        PgType::Uuid | PgType::Json | PgType::Jsonb => to_checked_text(&value, from, to, session),
        PgType::Bool => to_boolean(&value, from),
        PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Oid => to_integer(&value, from, to),
        PgType::Reg(kind) => match &value {
            Value::Text(text) => Ok(Value::Int(names::reg_oid(text, *kind, session)?.into())),
            other => to_integer(other, from, to),
        },
        PgType::Float4 | PgType::Float8 => to_float(&value, from, to),
        PgType::Numeric(_) => to_decimal(&value, from, layout),
        PgType::Bytea => match &value {
            Value::Text(text) => Ok(Value::Bytes(parse::bytea(text)?.into())),
            Value::Bytes(_) => Ok(value.into_owned()),
            _ => Err(impossible(from, to)),
        },
        PgType::Date | PgType::Time | PgType::Timestamp | PgType::Timestamptz | PgType::Interval => {
            to_time(&value, from, to, session)
        }
        PgType::Array(element) => to_array(&value, from, element, layout, session),
    }
}

/// The error for a cast that does not exist.
fn impossible(from: &PgType, to: &PgType) -> Error {
    Error::new(ErrorKind::CannotCoerce, format!("cannot cast type {from} to {to}"))
}

/// Cuts a text to what its type holds; a cast does so without an error.
fn fit(text: String, to: &PgType) -> String {
    let cut = |text: String, length: usize| match text.char_indices().nth(length) {
        Some((at, _)) => text[..at].to_owned(),
        None => text,
    };
    let length = |length: &u32| usize::try_from(*length).unwrap_or(usize::MAX);
    match to {
        PgType::Varchar(Some(most)) => cut(text, length(most)),
        PgType::Char(most) => {
            let text = cut(text, length(most));
            let missing = length(most) - text.chars().count();
            text + &" ".repeat(missing)
        }
        PgType::Name => {
            let most = (0..=text.len().min(63)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text[..most].to_owned()
        }
        PgType::InternalChar => cut(text, 1),
        _ => text,
    }
}

fn to_checked_text(value: &Value<'_>, from: &PgType, to: &PgType, session: &FunctionContext) -> Result<Value<'static>> {
    let text = match value {
        Value::Text(text) => text.as_ref(),
        other if matches!(to, PgType::Json | PgType::Jsonb) && matches!(from, PgType::Unknown) => {
            return Ok(Value::text(print::print(other, from, session)?));
        }
        _ => return Err(impossible(from, to)),
    };
    Ok(Value::text(match to {
        PgType::Uuid => parse::uuid(text)?,
        PgType::Jsonb => jsonb(&parse::json(text)?)?,
        _ => parse::json(text)?,
    }))
}

/// JSON as jsonb prints it: keys by length and then by bytes, the last of equal keys, a blank after `:` and `,`.
pub fn jsonb(text: &str) -> Result<String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|_| parse::invalid("json", text))?;
    let mut out = String::with_capacity(text.len());
    write_jsonb(&value, &mut out);
    Ok(out)
}

/// Writes a JSON value as jsonb prints it.
pub fn write_jsonb(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(one, _), (two, _)| one.len().cmp(&two.len()).then_with(|| one.cmp(two)));
            out.push('{');
            for (at, (key, member)) in sorted.into_iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                out.push_str(&serde_json::Value::String(key.clone()).to_string());
                out.push_str(": ");
                write_jsonb(member, out);
            }
            out.push('}');
        }
        serde_json::Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_jsonb(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn to_boolean(value: &Value<'_>, from: &PgType) -> Result<Value<'static>> {
    match value {
        Value::Bool(truth) => Ok(Value::Bool(*truth)),
        Value::Text(text) => Ok(Value::Bool(parse::boolean(text)?)),
        Value::Int(number) if *from == PgType::Int4 || *from == PgType::Int8 => Ok(Value::Bool(*number != 0)),
        _ => Err(impossible(from, &PgType::Bool)),
    }
}

fn to_integer(value: &Value<'_>, from: &PgType, to: &PgType) -> Result<Value<'static>> {
    let number = match value {
        Value::Int(number) => *number,
        Value::Bool(truth) if *to == PgType::Int4 => i64::from(*truth),
        Value::Text(text) => {
            let number = parse::integer(text, to)?;
            // PostgreSQL reads a negative oid as its two's complement.
            return Ok(Value::Int(if to.arrow() == DataType::UInt32 { number & 0xffff_ffff } else { number }));
        }
        Value::Float(number) => {
            let rounded = number.round_ties_even();
            if !(-9.223_372_036_854_776e18..9.223_372_036_854_776e18).contains(&rounded) {
                return Err(out_of_range(&to.arrow()));
            }
            rounded as i64
        }
        Value::Decimal(digits, scale) => value::rescale(*digits, *scale, 0)
            .and_then(|number| i64::try_from(number).ok())
            .ok_or_else(|| out_of_range(&to.arrow()))?,
        _ => return Err(impossible(from, to)),
    };
    let fits = match to {
        PgType::Int2 => i16::try_from(number).is_ok(),
        PgType::Int4 => i32::try_from(number).is_ok(),
        PgType::Int8 => true,
        _ => u32::try_from(number).is_ok(),
    };
    if fits { Ok(Value::Int(number)) } else { Err(out_of_range(&to.arrow())) }
}

fn to_float(value: &Value<'_>, from: &PgType, to: &PgType) -> Result<Value<'static>> {
    let number = match value {
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Decimal(digits, scale) => print::decimal(*digits, *scale).parse().map_err(|_| impossible(from, to))?,
        Value::Text(text) => parse::float(text, to)?,
        _ => return Err(impossible(from, to)),
    };
    match *to == PgType::Float4 && number.is_finite() && (number as f32).is_infinite() {
        true => Err(out_of_range(&DataType::Float32)),
        false => Ok(Value::Float(number)),
    }
}

fn to_decimal(value: &Value<'_>, from: &PgType, layout: &DataType) -> Result<Value<'static>> {
    let scale = match layout {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale,
        _ => 0,
    };
    let (digits, given) = match value {
        Value::Int(number) => (i128::from(*number), 0),
        Value::Decimal(digits, scale) => (*digits, *scale),
        Value::Float(number) if number.is_finite() => {
            // As many digits as the type is sure of.
            let digits = if *from == PgType::Float4 { 5 } else { 14 };
            parse::decimal(&format!("{number:.digits$e}"))?
        }
        Value::Float(number) => {
            return Err(Error::unsupported(format!("numeric cannot hold {}", print::float8(*number)))
                .hint("Keep the column double precision, or filter such values out first."));
        }
        Value::Text(text) => parse::decimal(text)?,
        _ => return Err(impossible(from, &PgType::Numeric(None))),
    };
    let digits = value::rescale(digits, given, scale)
        .ok_or_else(|| Error::new(ErrorKind::NumericValueOutOfRange, "numeric field overflow"))?;
    Ok(Value::Decimal(digits, scale))
}

fn to_time(value: &Value<'_>, from: &PgType, to: &PgType, session: &FunctionContext) -> Result<Value<'static>> {
    let moment = session.moment();
    Ok(match (value, to) {
        (Value::Text(text), PgType::Date) => Value::Date(parse_time::date(text, moment)?),
        (Value::Text(text), PgType::Time) => Value::Time(parse_time::time(text, moment)?),
        (Value::Text(text), PgType::Timestamp) => Value::Timestamp(parse_time::timestamp(text, moment)?),
        (Value::Text(text), PgType::Timestamptz) => Value::Timestamp(parse_time::timestamptz(text, moment)?),
        (Value::Text(text), PgType::Interval) => Value::Interval(parse_time::interval(text)?),
        (Value::Date(days), PgType::Date) => Value::Date(*days),
        (Value::Time(micros), PgType::Time) => Value::Time(*micros),
        (Value::Interval(span), PgType::Interval) => Value::Interval(*span),
        (Value::Time(micros), PgType::Interval) => Value::Interval(IntervalMonthDayNano::new(0, 0, micros * 1000)),
        (Value::Interval(span), PgType::Time) => Value::Time((span.nanoseconds / 1000).rem_euclid(DAY_MICROS)),
        (Value::Date(days), PgType::Timestamp) => Value::Timestamp(i64::from(*days) * DAY_MICROS),
        (Value::Date(days), PgType::Timestamptz) => {
            Value::Timestamp(parse_time::local_to_utc(i64::from(*days) * DAY_MICROS, &session.time_zone)?)
        }
        (Value::Timestamp(micros), _) => return from_timestamp(*micros, from, to, session),
        _ => return Err(impossible(from, to)),
    })
}

fn from_timestamp(micros: i64, from: &PgType, to: &PgType, session: &FunctionContext) -> Result<Value<'static>> {
    let local = match (from, to) {
        (PgType::Timestamptz, PgType::Timestamptz) => return Ok(Value::Timestamp(micros)),
        (PgType::Timestamptz, _) => parse_time::utc_to_local(micros, &session.time_zone)?,
        (_, PgType::Timestamptz) => {
            return Ok(Value::Timestamp(parse_time::local_to_utc(micros, &session.time_zone)?));
        }
        _ => micros,
    };
    Ok(match to {
        PgType::Timestamp => Value::Timestamp(local),
        PgType::Date => Value::Date(i32::try_from(local.div_euclid(DAY_MICROS)).map_err(|_| impossible(from, to))?),
        PgType::Time => Value::Time(local.rem_euclid(DAY_MICROS)),
        _ => return Err(impossible(from, to)),
    })
}

fn to_array(
    value: &Value<'_>,
    from: &PgType,
    element: &PgType,
    layout: &DataType,
    session: &FunctionContext,
) -> Result<Value<'static>> {
    let DataType::List(field) = layout else { return Err(impossible(from, &PgType::Array(Box::new(element.clone())))) };
    let mut items = Vec::new();
    match value {
        Value::Text(text) => {
            let texts = match from {
                // The catalogs' int2vector and oidvector: numbers and blanks.
                _ if !text.trim_start().starts_with('{') && element.arrow().is_integer() => vector_elements(text),
                _ => parse::array_elements(text)?,
            };
            for text in texts {
                let item = text.map_or(Value::Null, Value::text);
                items.push(convert(item, &PgType::Text, element, field.data_type(), session)?);
            }
        }
        Value::List(list) => {
            let inner = match from {
                PgType::Array(inner) => inner.as_ref(),
                other => other,
            };
            items = convert_items(list, inner, element, field.data_type(), session)?;
        }
        _ => return Err(impossible(from, &PgType::Array(Box::new(element.clone())))),
    }
    Ok(Value::List(value::build(field.data_type(), items)?))
}

fn vector_elements(text: &str) -> Vec<Option<String>> {
    text.split_whitespace().map(|word| Some(word.to_owned())).collect()
}

fn convert_items(
    list: &ArrayRef,
    from: &PgType,
    to: &PgType,
    layout: &DataType,
    session: &FunctionContext,
) -> Result<Vec<Value<'static>>> {
    let list = Arc::clone(list);
    (0..list.len())
        .map(|row| convert(value::read(list.as_ref(), row)?.into_owned(), from, to, layout, session))
        .collect()
}
