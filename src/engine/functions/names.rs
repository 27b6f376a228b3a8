//! Names to numbers and back: relations, types, functions and schemas, as `regclass` and its kin read and print them.

use crate::catalog::name::{ObjectName, Oid, quote_identifier};
use crate::catalog::pg_type::{PgType, RegKind, oid_of, parse_type_name, type_of_oid, typmod};
use crate::catalog::{Found, system};
use crate::engine::facts::{rows, shapes};
use crate::engine::functions::FunctionContext;
use crate::error::{Error, ErrorKind, Result};

/// How an oid of that kind prints; `None` when there is no such object.
pub fn reg_name(oid: u32, kind: RegKind, session: &FunctionContext) -> Option<String> {
    match kind {
        RegKind::Class => relation_name(oid, session),
        RegKind::Type => type_name(oid, None),
        RegKind::Proc => rows::function_by_oid(oid).map(|function| function.name.to_owned()),
        RegKind::Namespace => schema_name(oid, session).map(|name| quote_identifier(&name)),
    }
}

/// The object of that kind that a text names; digits are the number itself.
pub fn reg_oid(text: &str, kind: RegKind, session: &FunctionContext) -> Result<u32> {
    let text = text.trim();
    if text == "-" {
        return Ok(0);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return text
            .parse()
            .map_err(|_| Error::new(ErrorKind::NumericValueOutOfRange, format!("OID \"{text}\" is out of range")));
    }
    match kind {
        RegKind::Class => {
            let name = parse_object_name(text)?;
            relation_oid(&name, session)
                .ok_or_else(|| Error::new(ErrorKind::UndefinedTable, format!("relation \"{name}\" does not exist")))
        }
        RegKind::Type => parse_type_name(text)
            .map(|pg_type| oid_of(&pg_type))
            .ok_or_else(|| Error::new(ErrorKind::UndefinedObject, format!("type \"{text}\" does not exist"))),
        RegKind::Proc => rows::function_oid(bare_function_name(text))
            .ok_or_else(|| Error::new(ErrorKind::UndefinedFunction, format!("function \"{text}\" does not exist"))),
        RegKind::Namespace => {
            let name = parse_object_name(text)?.name;
            schema_oid(&name, session)
                .ok_or_else(|| Error::new(ErrorKind::InvalidSchemaName, format!("schema \"{name}\" does not exist")))
        }
    }
}

/// `pg_catalog.lower(text)` to `lower`.
fn bare_function_name(text: &str) -> &str {
    let name = text.split_once('(').map_or(text, |(name, _)| name);
    name.strip_prefix("pg_catalog.").unwrap_or(name)
}

/// Splits `schema."Name"`, folding what is not quoted.
pub fn parse_object_name(text: &str) -> Result<ObjectName> {
    match identifier_parts(text)?.as_slice() {
        [name] => Ok(ObjectName::bare(name)),
        [schema, name] | [_, schema, name] => Ok(ObjectName::qualified(schema, name)),
        _ => Err(Error::new(ErrorKind::InvalidName, format!("improper relation name (too many dotted names): {text}"))),
    }
}

/// The parts of a dotted name.
pub fn identifier_parts(text: &str) -> Result<Vec<String>> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut in_quotes = false;
    let mut letters = text.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        let last = parts.len() - 1;
        match letter {
            '"' if in_quotes && letters.peek() == Some(&'"') => {
                letters.next();
                parts[last].push('"');
            }
            '"' => in_quotes = !in_quotes,
            '.' if !in_quotes => parts.push(String::new()),
            plain if in_quotes => parts[last].push(plain),
            plain => parts[last].extend(plain.to_lowercase()),
        }
    }
    if in_quotes || parts.iter().any(String::is_empty) {
        return Err(Error::new(ErrorKind::InvalidName, format!("invalid name syntax: \"{text}\"")));
    }
    Ok(parts)
}

/// The number of the relation, system relation or index that a name stands for.
pub fn relation_oid(name: &ObjectName, session: &FunctionContext) -> Option<u32> {
    if let Some(shape) = shapes::resolve(name, &session.search_path) {
        return Some(shape.oid.0);
    }
    match session.catalog.find(name, &session.search_path) {
        Some(Found::Relation(relation)) => Some(relation.oid.0),
        Some(Found::System(view)) => Some(view.oid.0),
        None => index_oid(name, session),
    }
}

/// Indexes have names too: those of the primary keys and unique constraints.
fn index_oid(name: &ObjectName, session: &FunctionContext) -> Option<u32> {
    session.catalog.relations().find_map(|relation| {
        let table = relation.table()?;
        let constraint = table.constraints.iter().find(|constraint| constraint.name == name.name)?;
        Some(constraint.oid.0)
    })
}

/// The name of a relation: qualified where the search path does not find it.
pub fn relation_name(oid: u32, session: &FunctionContext) -> Option<String> {
    if let Some(shape) = shapes::by_oid(oid) {
        return Some(match shape.schema {
            "pg_catalog" => shape.name.to_owned(),
            schema => format!("{schema}.{}", shape.name),
        });
    }
    if let Some(relation) = session.catalog.relation_by_oid(Oid(oid)) {
        return Some(match session.catalog.is_visible(&relation, &session.search_path) {
            true => quote_identifier(&relation.name),
            false => session.catalog.name_of(&relation).quoted(),
        });
    }
    if let Some(view) = system::views().find(|view| view.oid.0 == oid) {
        return Some(match view.schema {
            "pg_catalog" => view.name.to_owned(),
            schema => format!("{schema}.{}", view.name),
        });
    }
    session.catalog.relations().find_map(|relation| {
        let constraint = relation.table()?.constraints.iter().find(|constraint| constraint.oid.0 == oid)?;
        Some(quote_identifier(&constraint.name))
    })
}

/// The name of a type with its modifier, as `format_type` gives it.
pub fn type_name(oid: u32, modifier: Option<i32>) -> Option<String> {
    let Some(pg_type) = type_of_oid(oid) else { return rows::type_by_oid(oid).map(|row| row.display_name()) };
    let modifier = modifier.unwrap_or(-1);
    let modified = match (&pg_type, modifier - 4) {
        (PgType::Numeric(_), bits) if bits >= 0 => {
            PgType::Numeric(Some((u8::try_from(bits >> 16).unwrap_or(0), i8::try_from(bits & 0x7ff).unwrap_or(0))))
        }
        (PgType::Varchar(_), length) if length >= 0 => PgType::Varchar(u32::try_from(length).ok()),
        (PgType::Char(_), length) if length >= 0 => PgType::Char(u32::try_from(length).unwrap_or(1)),
        // Without a modifier `bpchar` is not `character(1)`.
        (PgType::Char(_), _) if modifier == -1 => return Some("character".to_owned()),
        _ => pg_type,
    };
    debug_assert!(modifier == -1 || typmod(&modified) <= modifier);
    Some(modified.to_string())
}

/// The number of a schema.
pub fn schema_oid(name: &str, session: &FunctionContext) -> Option<u32> {
    session.catalog.schema(name).map(|schema| schema.oid.0)
}

/// The name of a schema.
pub fn schema_name(oid: u32, session: &FunctionContext) -> Option<String> {
    session.catalog.schema_by_oid(Oid(oid)).map(|schema| schema.name.clone())
}
