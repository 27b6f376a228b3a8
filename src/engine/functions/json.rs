//! The operators and functions of json and jsonb on their text form.

use serde_json::Value as Json;

use crate::catalog::pg_type::PgType;
use crate::engine::functions::cast::{convert, parse, print};
use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::{self, Value};
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    // What the operators -> ->> #> #>> are planned as.
    Function::immutable(
        "json_get",
        &[
            Overload::new(&[K::Text, K::Int8], K::Jsonb, |a| member(a, false)),
            Overload::new(&[K::Text, K::Text], K::Jsonb, |a| member(a, false)),
        ],
    ),
    Function::immutable(
        "json_get_text",
        &[
            Overload::new(&[K::Text, K::Int8], K::Text, |a| member(a, true)),
            Overload::new(&[K::Text, K::Text], K::Text, |a| member(a, true)),
        ],
    ),
    Function::immutable(
        "json_get_path",
        &[Overload::new(&[K::Text, K::Array(&K::Text)], K::Jsonb, |a| path_array(a, false))],
    ),
    Function::immutable(
        "json_get_path_text",
        &[Overload::new(&[K::Text, K::Array(&K::Text)], K::Text, |a| path_array(a, true))],
    ),
    Function::immutable("json_extract_path", &[Overload::variadic(&[K::Text, K::Text], K::Json, |a| path(a, false))]),
    Function::immutable(
        "json_extract_path_text",
        &[Overload::variadic(&[K::Text, K::Text], K::Text, |a| path(a, true))],
    ),
    Function::immutable("jsonb_extract_path", &[Overload::variadic(&[K::Text, K::Text], K::Jsonb, |a| path(a, false))]),
    Function::immutable(
        "jsonb_extract_path_text",
        &[Overload::variadic(&[K::Text, K::Text], K::Text, |a| path(a, true))],
    ),
    Function::immutable("json_typeof", &[Overload::new(&[K::Text], K::Text, kind)]),
    Function::immutable("jsonb_typeof", &[Overload::new(&[K::Text], K::Text, kind)]),
    Function::immutable("json_array_length", &[Overload::new(&[K::Text], K::Int4, array_length)]),
    Function::immutable("jsonb_array_length", &[Overload::new(&[K::Text], K::Int4, array_length)]),
    Function::immutable("jsonb_pretty", &[Overload::new(&[K::Text], K::Text, pretty)]),
    Function::immutable(
        "jsonb_contains",
        &[Overload::new(&[K::Text, K::Text], K::Bool, |a| Ok(Value::Bool(contains(&read(a, 0)?, &read(a, 1)?))))],
    ),
    Function::immutable("jsonb_exists", &[Overload::new(&[K::Text, K::Text], K::Bool, exists)]),
    Function::stable("to_json", &[Overload::new(&[K::Any], K::Json, |a| Ok(Value::text(of_value(a, 0)?.to_string())))]),
    Function::stable("to_jsonb", &[Overload::new(&[K::Any], K::Jsonb, |a| Ok(as_jsonb(&of_value(a, 0)?)))]),
    Function::stable(
        "json_build_object",
        &[Overload::variadic(&[K::Any], K::Json, |a| Ok(Value::text(object(a)?.to_string())))],
    ),
    Function::stable("jsonb_build_object", &[Overload::variadic(&[K::Any], K::Jsonb, |a| Ok(as_jsonb(&object(a)?)))]),
    Function::stable(
        "json_build_array",
        &[Overload::variadic(&[K::Any], K::Json, |a| Ok(Value::text(array(a)?.to_string())))],
    ),
    Function::stable("jsonb_build_array", &[Overload::variadic(&[K::Any], K::Jsonb, |a| Ok(as_jsonb(&array(a)?)))]),
    // What the shim makes of the aggregates that give JSON.
    Function::stable("json_of_array", &[Overload::new(&[K::AnyArray], K::Json, json_of_array)]),
    Function::stable("jsonb_of_array", &[Overload::new(&[K::AnyArray], K::Jsonb, |a| Ok(as_jsonb(&of_value(a, 0)?)))]),
    Function::stable("json_of_arrays", &[Overload::new(&[K::AnyArray, K::AnyArray], K::Json, json_of_arrays)]),
    Function::stable(
        "jsonb_of_arrays",
        &[Overload::new(&[K::AnyArray, K::AnyArray], K::Jsonb, |a| {
            Ok(as_jsonb(&Json::Object(members(a)?.into_iter().collect())))
        })],
    ),
];

fn list_of(arguments: &Arguments<'_>, at: usize) -> Result<Vec<Json>> {
    match of_value(arguments, at)? {
        Json::Array(items) => Ok(items),
        other => Err(Error::internal(format!("array expected, not {other}"))),
    }
}

/// Keys and values of two arrays of one length.
fn members(arguments: &Arguments<'_>) -> Result<Vec<(String, Json)>> {
    let key = |key: Json| match key {
        Json::Null => Err(Error::new(ErrorKind::InvalidParameterValue, "field name must not be null")),
        Json::String(text) => Ok(text),
        other => Ok(other.to_string()),
    };
    list_of(arguments, 0)?
        .into_iter()
        .zip(list_of(arguments, 1)?)
        .map(|(name, value)| Ok((key(name)?, value)))
        .collect()
}

fn json_of_array(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let items: Vec<String> = list_of(arguments, 0)?.iter().map(Json::to_string).collect();
    Ok(Value::text(format!("[{}]", items.join(", "))))
}

fn json_of_arrays(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let members: Vec<String> =
        members(arguments)?.into_iter().map(|(name, value)| format!("{} : {value}", Json::String(name))).collect();
    Ok(Value::text(format!("{{ {} }}", members.join(", "))))
}

fn read(arguments: &Arguments<'_>, at: usize) -> Result<Json> {
    let text = arguments.text(at)?;
    serde_json::from_str(text).map_err(|_| parse::invalid("json", text))
}

fn as_jsonb(json: &Json) -> Value<'static> {
    let mut out = String::new();
    convert::write_jsonb(json, &mut out);
    Value::text(out)
}

/// A member as JSON, or as text: a string without quotes, null as NULL.
fn give(found: Option<&Json>, as_text: bool) -> Value<'static> {
    match found {
        None => Value::Null,
        Some(json) if !as_text => as_jsonb(json),
        Some(Json::Null) => Value::Null,
        Some(Json::String(text)) => Value::text(text.as_str()),
        Some(json) => as_jsonb(json),
    }
}

fn element(items: &[Json], at: i64) -> Option<&Json> {
    let at = if at < 0 { i64::try_from(items.len()).ok()?.checked_add(at)? } else { at };
    items.get(usize::try_from(at).ok()?)
}

fn member(arguments: &Arguments<'_>, as_text: bool) -> Result<Value<'static>> {
    let json = read(arguments, 0)?;
    let found = match (&json, &arguments.values[1]) {
        (Json::Object(members), Value::Text(key)) => members.get(key.as_ref()),
        (Json::Array(items), Value::Int(at)) => element(items, *at),
        _ => None,
    };
    Ok(give(found, as_text))
}

fn follow<'a>(json: &'a Json, steps: &[String]) -> Option<&'a Json> {
    steps.iter().try_fold(json, |json, step| match json {
        Json::Object(members) => members.get(step),
        Json::Array(items) => step.parse().ok().and_then(|at| element(items, at)),
        _ => None,
    })
}

fn path(arguments: &Arguments<'_>, as_text: bool) -> Result<Value<'static>> {
    if (0..arguments.len()).any(|at| arguments.is_null(at)) {
        return Ok(Value::Null);
    }
    let steps = (1..arguments.len()).map(|at| arguments.text(at).map(str::to_owned)).collect::<Result<Vec<_>>>()?;
    Ok(give(follow(&read(arguments, 0)?, &steps), as_text))
}

fn path_array(arguments: &Arguments<'_>, as_text: bool) -> Result<Value<'static>> {
    let items = arguments.list(1)?;
    let mut steps = Vec::new();
    for row in 0..items.len() {
        match value::read(items.as_ref(), row)? {
            Value::Text(step) => steps.push(step.into_owned()),
            _ => return Ok(Value::Null),
        }
    }
    Ok(give(follow(&read(arguments, 0)?, &steps), as_text))
}

fn kind(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::text(match read(arguments, 0)? {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }))
}

fn array_length(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    match read(arguments, 0)? {
        Json::Array(items) => Ok(Value::Int(i64::try_from(items.len()).unwrap_or(i64::MAX))),
        Json::Object(_) => Err(Error::new(ErrorKind::InvalidParameterValue, "cannot get array length of a non-array")),
        _ => Err(Error::new(ErrorKind::InvalidParameterValue, "cannot get array length of a scalar")),
    }
}

fn pretty(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    serde::Serialize::serialize(&read(arguments, 0)?, &mut serializer)
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(Value::text(String::from_utf8_lossy(&out).into_owned()))
}

/// `@>`: every member of the right is in the left.
fn contains(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Object(left), Json::Object(right)) => {
            right.iter().all(|(key, member)| left.get(key).is_some_and(|found| contains(found, member)))
        }
        (Json::Array(left), Json::Array(right)) => {
            right.iter().all(|item| left.iter().any(|found| contains(found, item)))
        }
        (Json::Array(left), scalar) if !scalar.is_object() => left.contains(scalar),
        (left, right) => left == right,
    }
}

/// `?`: a key of an object, a string of an array, or the string itself.
fn exists(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let key = arguments.text(1)?;
    Ok(Value::Bool(match read(arguments, 0)? {
        Json::Object(members) => members.contains_key(key),
        Json::Array(items) => items.iter().any(|item| item.as_str() == Some(key)),
        Json::String(text) => text == key,
        _ => false,
    }))
}

/// Any SQL value as JSON.
fn of_value(arguments: &Arguments<'_>, at: usize) -> Result<Json> {
    to_json(&arguments.values[at], &arguments.pg_type(at), arguments)
}

fn to_json(value: &Value<'_>, pg_type: &PgType, arguments: &Arguments<'_>) -> Result<Json> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) if number.is_finite() => Json::from(*number),
        Value::Decimal(..) => {
            let text = print::print(value, pg_type, arguments.session)?;
            serde_json::from_str(&text).map_err(|_| parse::invalid("json", &text))?
        }
        Value::Text(text) if matches!(pg_type, PgType::Json | PgType::Jsonb) => {
            serde_json::from_str(text).map_err(|_| parse::invalid("json", text))?
        }
        Value::Timestamp(_) => Json::String(print::print(value, pg_type, arguments.session)?.replacen(' ', "T", 1)),
        Value::List(items) => {
            let element = match pg_type {
                PgType::Array(element) => element.as_ref().clone(),
                other => other.clone(),
            };
            let rows = 0..arrow::array::Array::len(items.as_ref());
            Json::Array(
                rows.map(|row| to_json(&value::read(items.as_ref(), row)?, &element, arguments))
                    .collect::<Result<_>>()?,
            )
        }
        other => Json::String(print::print(other, pg_type, arguments.session)?),
    })
}

fn object(arguments: &Arguments<'_>) -> Result<Json> {
    if arguments.len() % 2 == 1 {
        return Err(Error::new(ErrorKind::InvalidParameterValue, "argument list must have even number of elements")
            .hint("The arguments of json_build_object() must consist of alternating keys and values."));
    }
    let mut members = serde_json::Map::new();
    for at in (0..arguments.len()).step_by(2) {
        if arguments.is_null(at) {
            let message = format!("argument {} cannot be null", at + 1);
            return Err(Error::new(ErrorKind::InvalidParameterValue, message).hint("Object keys should be text."));
        }
        let key = print::print(&arguments.values[at], &arguments.pg_type(at), arguments.session)?;
        members.insert(key, of_value(arguments, at + 1)?);
    }
    Ok(Json::Object(members))
}

fn array(arguments: &Arguments<'_>) -> Result<Json> {
    Ok(Json::Array((0..arguments.len()).map(|at| of_value(arguments, at)).collect::<Result<_>>()?))
}
