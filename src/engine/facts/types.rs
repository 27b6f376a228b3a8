//! `pg_type` and `pg_proc`: the built-in types and functions with PostgreSQL's numbers.

use arrow::array::UInt32Array;

use crate::catalog::name::Oid;
use crate::engine::facts::rows::{self, FunctionRow, TypeRow};
use crate::engine::facts::shapes::Shape;
use crate::engine::facts::{Fact, FactContext, Key, Maker, Row};
use crate::engine::functions::value::Value;
use crate::error::Result;

pub(super) const FACTS: &[Fact] = &[
    Fact { relation: "pg_type", key: &["oid", "typname"], make: Maker::Now(types) },
    Fact { relation: "pg_proc", key: &["oid", "proname"], make: Maker::Now(functions) },
];

/// The columns of `pg_type` in the order of the file.
const TYPE_COLUMNS: &[&str] = &[
    "oid",
    "typname",
    "typlen",
    "typbyval",
    "typtype",
    "typcategory",
    "typispreferred",
    "typdelim",
    "typelem",
    "typarray",
    "typinput",
    "typoutput",
    "typreceive",
    "typsend",
    "typmodin",
    "typmodout",
    "typalign",
    "typstorage",
    "typcollation",
];

fn types(_: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let wanted = rows::types().iter().filter(|row| Key::wants(key, row.oid, row.name));
    Ok(wanted.map(|row| type_row(shape, row)).collect())
}

fn type_row(shape: &'static Shape, row: &TypeRow) -> Row {
    let mut built = Row::new(shape)
        .set("typnamespace", Oid::PG_CATALOG.0)
        .set("typowner", Oid::FIRST_ROLE.0)
        .set("typisdefined", true)
        .set("typtypmod", -1);
    for (column, field) in TYPE_COLUMNS.iter().zip(&row.fields) {
        built = built.set(column, field_value(column, field));
    }
    built
}

fn field_value(column: &str, field: &str) -> Value<'static> {
    match column {
        "typbyval" | "typispreferred" => Value::Bool(field == "t"),
        "typname" | "typtype" | "typcategory" | "typdelim" | "typalign" | "typstorage" => Value::text(field),
        "typinput" | "typoutput" | "typreceive" | "typsend" | "typmodin" | "typmodout" => {
            Value::Int(rows::function_oid(field).unwrap_or(0).into())
        }
        _ => Value::Int(field.parse().unwrap_or(0)),
    }
}

fn functions(_: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let wanted = rows::functions().iter().filter(|row| Key::wants(key, row.oid, row.name));
    Ok(wanted.map(|row| function_row(shape, row)).collect())
}

fn function_row(shape: &'static Shape, row: &FunctionRow) -> Row {
    let arguments = UInt32Array::from_iter_values(row.arguments.iter().copied());
    Row::new(shape)
        .set("oid", row.oid)
        .set("proname", row.name)
        .set("pronamespace", Oid::PG_CATALOG.0)
        .set("proowner", Oid::FIRST_ROLE.0)
        .set("prolang", 12u32)
        .set("procost", Value::Float(1.0))
        .set("provariadic", row.variadic)
        .set("prokind", row.kind)
        .set("proisstrict", row.strict)
        .set("proretset", row.set)
        .set("provolatile", row.volatility)
        .set("proparallel", "s")
        .set("pronargs", i16::try_from(row.arguments.len()).unwrap_or(i16::MAX))
        .set("pronargdefaults", row.defaults)
        .set("prorettype", row.result)
        .set("proargtypes", Value::List(std::sync::Arc::new(arguments)))
        .set("prosrc", row.name)
}
