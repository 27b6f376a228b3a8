//! `has_*_privilege` and `pg_has_role`. Until grants exist every role may do everything, but the names must be right.

use crate::catalog::name::Oid;
use crate::catalog::pg_type::RegKind;
use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::names;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::Value;
use crate::error::{Error, ErrorKind, Result};

/// The shapes of a check with one object: (object, privilege), (role, object, privilege), each by name or oid.
macro_rules! privilege {
    ($name:literal, $check:expr) => {
        Function::stable(
            $name,
            &[
                Overload::new(&[K::Text, K::Text], K::Bool, $check),
                Overload::new(&[K::Oid, K::Text], K::Bool, $check),
                Overload::new(&[K::Text, K::Text, K::Text], K::Bool, $check),
                Overload::new(&[K::Text, K::Oid, K::Text], K::Bool, $check),
                Overload::new(&[K::Oid, K::Text, K::Text], K::Bool, $check),
                Overload::new(&[K::Oid, K::Oid, K::Text], K::Bool, $check),
            ],
        )
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    privilege!("has_table_privilege", |a| object(a, RegKind::Class)),
    privilege!("has_any_column_privilege", |a| object(a, RegKind::Class)),
    privilege!("has_sequence_privilege", |a| object(a, RegKind::Class)),
    privilege!("has_schema_privilege", |a| object(a, RegKind::Namespace)),
    privilege!("has_type_privilege", |a| object(a, RegKind::Type)),
    privilege!("has_function_privilege", |a| object(a, RegKind::Proc)),
    privilege!("has_database_privilege", database),
    privilege!("has_language_privilege", |_| Ok(Value::Bool(true))),
    privilege!("has_tablespace_privilege", |_| Ok(Value::Bool(true))),
    privilege!("has_foreign_data_wrapper_privilege", |_| Ok(Value::Bool(true))),
    privilege!("has_server_privilege", |_| Ok(Value::Bool(true))),
    privilege!("pg_has_role", role),
    Function::stable(
        "has_column_privilege",
        &[
            Overload::new(&[K::Text, K::Text, K::Text], K::Bool, |a| column(a, 0)),
            Overload::new(&[K::Text, K::Int2, K::Text], K::Bool, |a| column(a, 0)),
            Overload::new(&[K::Oid, K::Text, K::Text], K::Bool, |a| column(a, 0)),
            Overload::new(&[K::Oid, K::Int2, K::Text], K::Bool, |a| column(a, 0)),
            Overload::new(&[K::Text, K::Text, K::Text, K::Text], K::Bool, |a| column(a, 1)),
            Overload::new(&[K::Text, K::Oid, K::Text, K::Text], K::Bool, |a| column(a, 1)),
            Overload::new(&[K::Text, K::Oid, K::Int2, K::Text], K::Bool, |a| column(a, 1)),
        ],
    ),
];

/// What privileges there are, over all kinds of objects.
const PRIVILEGES: &[&str] = &[
    "select",
    "insert",
    "update",
    "delete",
    "truncate",
    "references",
    "trigger",
    "create",
    "connect",
    "temporary",
    "temp",
    "execute",
    "usage",
    "member",
    "set",
    "alter system",
    "maintain",
];

fn check_privilege(arguments: &Arguments<'_>) -> Result<()> {
    let list = arguments.text(arguments.len() - 1)?;
    for word in list.split(',') {
        let plain = word.trim().to_ascii_lowercase();
        let plain = plain.trim_end_matches(" with grant option").trim_end_matches(" with admin option");
        if !PRIVILEGES.contains(&plain) {
            let message = format!("unrecognized privilege type: \"{}\"", word.trim());
            return Err(Error::new(ErrorKind::InvalidParameterValue, message));
        }
    }
    Ok(())
}

/// The role named by the first of three arguments must exist.
fn check_role(arguments: &Arguments<'_>, object_at: usize) -> Result<()> {
    match arguments.values.first() {
        Some(Value::Text(name)) if object_at > 0 && name != "public" => {
            arguments.session.catalog.require_role(name).map(|_| ())
        }
        _ => Ok(()),
    }
}

fn object(arguments: &Arguments<'_>, kind: RegKind) -> Result<Value<'static>> {
    let at = arguments.len() - 2;
    check_privilege(arguments)?;
    check_role(arguments, at)?;
    match &arguments.values[at] {
        Value::Text(name) => {
            names::reg_oid(name, kind, arguments.session)?;
            Ok(Value::Bool(true))
        }
        _ => {
            let known = names::reg_name(arguments.oid(at)?, kind, arguments.session).is_some();
            Ok(if known { Value::Bool(true) } else { Value::Null })
        }
    }
}

fn column(arguments: &Arguments<'_>, relation_at: usize) -> Result<Value<'static>> {
    check_privilege(arguments)?;
    check_role(arguments, relation_at)?;
    let oid = match &arguments.values[relation_at] {
        Value::Text(name) => names::reg_oid(name, RegKind::Class, arguments.session)?,
        _ => arguments.oid(relation_at)?,
    };
    let Some(relation) = arguments.session.catalog.relation_by_oid(Oid(oid)) else { return Ok(Value::Bool(true)) };
    match &arguments.values[relation_at + 1] {
        Value::Text(name) if relation.column(name).is_none() => Err(Error::new(
            ErrorKind::UndefinedColumn,
            format!("column \"{name}\" of relation \"{}\" does not exist", relation.name),
        )),
        _ => Ok(Value::Bool(true)),
    }
}

fn database(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let at = arguments.len() - 2;
    check_privilege(arguments)?;
    check_role(arguments, at)?;
    match &arguments.values[at] {
        Value::Text(name) if *name != arguments.session.database => {
            Err(Error::new(ErrorKind::InvalidCatalogName, format!("database \"{name}\" does not exist")))
        }
        _ => Ok(Value::Bool(true)),
    }
}

fn role(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    check_privilege(arguments)?;
    for value in &arguments.values[..arguments.len() - 1] {
        if let Value::Text(name) = value {
            arguments.session.catalog.require_role(name)?;
        }
    }
    Ok(Value::Bool(true))
}
