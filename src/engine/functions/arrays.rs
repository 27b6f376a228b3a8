//! Functions on arrays that DataFusion lacks or answers otherwise.

use arrow::array::{Array, new_empty_array};
use arrow::datatypes::DataType;

use crate::catalog::pg_type::PgType;
use crate::engine::functions::cast::print::print;
use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::{self, Value, text_list};
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::stable(
        "array_to_string",
        &[
            Overload::new(&[K::AnyArray, K::Text], K::Text, array_to_string),
            Overload::with_nulls(&[K::AnyArray, K::Text, K::Text], K::Text, array_to_string),
        ],
    ),
    Function::immutable(
        "string_to_array",
        &[
            Overload::with_nulls(&[K::Text, K::Text], K::Array(&K::Text), string_to_array),
            Overload::with_nulls(&[K::Text, K::Text, K::Text], K::Array(&K::Text), string_to_array),
        ],
    ),
    Function::immutable(
        "array_length",
        &[Overload::new(&[K::AnyArray, K::Int4], K::Int4, |a| length(a, a.integer(1)?))],
    ),
    Function::immutable(
        "array_upper",
        &[Overload::new(&[K::AnyArray, K::Int4], K::Int4, |a| length(a, a.integer(1)?))],
    ),
    Function::immutable("array_lower", &[Overload::new(&[K::AnyArray, K::Int4], K::Int4, lower)]),
    Function::immutable("array_ndims", &[Overload::new(&[K::AnyArray], K::Int4, dimensions)]),
    // What the shim puts around `array_agg` for ARRAY(SELECT ...).
    Function::immutable("array_or_empty", &[Overload::with_nulls(&[K::AnyArray], K::Same(0), array_or_empty)]),
    // What the shim makes of `percentile_disc` and `mode`: both take their values sorted.
    Function::immutable("array_percentile", &[Overload::new(&[K::AnyArray, K::Float8], K::Element, percentile)]),
    Function::immutable("array_mode", &[Overload::new(&[K::AnyArray], K::Element, most_frequent)]),
    Function::immutable("cardinality", &[Overload::new(&[K::AnyArray], K::Int4, cardinality)]),
];

fn array_to_string(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    if arguments.is_null(0) || arguments.is_null(1) {
        return Ok(Value::Null);
    }
    let null = if arguments.is_null(2) { None } else { Some(arguments.text(2)?) };
    let mut parts = Vec::new();
    flatten(arguments.list(0)?.as_ref(), &element_type(&arguments.pg_type(0)), null, arguments, &mut parts)?;
    Ok(Value::text(parts.join(arguments.text(1)?)))
}

fn element_type(pg_type: &PgType) -> PgType {
    match pg_type {
        PgType::Array(element) => element.as_ref().clone(),
        other => other.clone(),
    }
}

fn flatten(
    items: &dyn Array,
    element: &PgType,
    null: Option<&str>,
    arguments: &Arguments<'_>,
    parts: &mut Vec<String>,
) -> Result<()> {
    for row in 0..items.len() {
        match value::read(items, row)? {
            Value::Null => parts.extend(null.map(str::to_owned)),
            Value::List(inner) => flatten(inner.as_ref(), element, null, arguments, parts)?,
            Value::Bool(truth) => parts.push(if truth { "t" } else { "f" }.to_owned()),
            item => parts.push(print(&item, element, arguments.session)?),
        }
    }
    Ok(())
}

fn string_to_array(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    if arguments.is_null(0) {
        return Ok(Value::Null);
    }
    let text = arguments.text(0)?;
    let parts: Vec<String> = match arguments.values.get(1) {
        _ if text.is_empty() => Vec::new(),
        Some(Value::Null) => text.chars().map(String::from).collect(),
        _ if arguments.text(1)?.is_empty() => vec![text.to_owned()],
        _ => text.split(arguments.text(1)?).map(str::to_owned).collect(),
    };
    let null = if arguments.is_null(2) { None } else { Some(arguments.text(2)?) };
    Ok(text_list(parts.iter().map(|part| (Some(part.as_str()) != null).then_some(part.as_str()))))
}

/// The length of a dimension; NULL where there is none.
fn length(arguments: &Arguments<'_>, dimension: i64) -> Result<Value<'static>> {
    let mut items = std::sync::Arc::clone(arguments.list(0)?);
    for _ in 1..dimension.max(1) {
        if items.is_empty() {
            return Ok(Value::Null);
        }
        match value::read(items.as_ref(), 0)?.into_owned() {
            Value::List(inner) => items = inner,
            _ => return Ok(Value::Null),
        }
    }
    let none = items.is_empty() || dimension < 1;
    Ok(if none { Value::Null } else { Value::Int(i64::try_from(items.len()).unwrap_or(i64::MAX)) })
}

fn lower(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(match length(arguments, arguments.integer(1)?)? {
        Value::Null => Value::Null,
        _ => Value::Int(1),
    })
}

fn array_or_empty(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(match (&arguments.values[0], arguments.result.data_type()) {
        (Value::Null, DataType::List(element)) => Value::List(new_empty_array(element.data_type())),
        (value, _) => value.clone().into_owned(),
    })
}

fn dimensions(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let mut depth = 0;
    let mut items = std::sync::Arc::clone(arguments.list(0)?);
    while !items.is_empty() {
        depth += 1;
        match value::read(items.as_ref(), 0)?.into_owned() {
            Value::List(inner) => items = inner,
            _ => break,
        }
    }
    Ok(if depth == 0 { Value::Null } else { Value::Int(depth) })
}

fn cardinality(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let count = |items: &dyn Array| {
        let mut parts = Vec::new();
        flatten(items, &PgType::Text, Some(""), arguments, &mut parts).map(|()| parts.len())
    };
    let items = arguments.list(0)?;
    let nested = matches!(items.data_type(), DataType::List(_));
    let total = if nested { count(items.as_ref())? } else { items.len() };
    Ok(Value::Int(i64::try_from(total).unwrap_or(i64::MAX)))
}

/// The first value that has the given share of all values at or before it.
fn percentile(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (values, share) = (arguments.list(0)?, arguments.float(1)?);
    if !(0.0..=1.0).contains(&share) {
        let message = format!("percentile value {share} is not between 0 and 1");
        return Err(Error::new(ErrorKind::NumericValueOutOfRange, message));
    }
    match values.len() {
        0 => Ok(Value::Null),
        count => {
            let before = (share * count as f64).ceil() as usize;
            value::read(values.as_ref(), before.saturating_sub(1)).map(Value::into_owned)
        }
    }
}

/// The value that occurs most often; the first of several.
fn most_frequent(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let values = arguments.list(0)?;
    let (mut best, mut most, mut run) = (Value::Null, 0, 0);
    for row in 0..values.len() {
        let current = value::read(values.as_ref(), row)?;
        run = if row > 0 && value::read(values.as_ref(), row - 1)? == current { run + 1 } else { 1 };
        if run > most {
            (best, most) = (current, run);
        }
    }
    Ok(best.into_owned())
}
