//! Type names: how they print (as PostgreSQL's `format_type`) and all the spellings that are read.

use std::fmt;

use super::{PgType, RegKind};

/// Writes the canonical name, as PostgreSQL's `format_type` gives it.
pub(super) fn write_type_name(pg_type: &PgType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match pg_type {
        PgType::Numeric(Some((precision, scale))) => write!(f, "numeric({precision},{scale})"),
        PgType::Varchar(Some(length)) => write!(f, "character varying({length})"),
        PgType::Char(length) => write!(f, "character({length})"),
        PgType::Array(element) => write!(f, "{element}[]"),
        plain => f.write_str(plain_name(plain)),
    }
}

fn plain_name(pg_type: &PgType) -> &'static str {
    match pg_type {
        PgType::Bool => "boolean",
        PgType::Int2 => "smallint",
        PgType::Int4 => "integer",
        PgType::Int8 => "bigint",
        PgType::Float4 => "real",
        PgType::Float8 => "double precision",
        PgType::Numeric(_) => "numeric",
        PgType::Text => "text",
        PgType::Varchar(_) => "character varying",
        PgType::Char(_) => "character",
        PgType::Name => "name",
        PgType::InternalChar => "\"char\"",
        PgType::Bytea => "bytea",
        PgType::Date => "date",
        PgType::Time => "time without time zone",
        PgType::Timestamp => "timestamp without time zone",
        PgType::Timestamptz => "timestamp with time zone",
        PgType::Interval => "interval",
        PgType::Uuid => "uuid",
        PgType::Json => "json",
        PgType::Jsonb => "jsonb",
        PgType::Oid => "oid",
        PgType::Reg(RegKind::Class) => "regclass",
        PgType::Reg(RegKind::Type) => "regtype",
        PgType::Reg(RegKind::Proc) => "regproc",
        PgType::Reg(RegKind::Namespace) => "regnamespace",
        PgType::Record => "record",
        PgType::Array(_) => "anyarray",
        PgType::Unknown => "unknown",
        PgType::Void => "void",
    }
}

/// Reads a type name in any of PostgreSQL's spellings, with modifiers: `int4`, `numeric(10, 2)`, `varchar(3)[]`.
pub fn parse_type_name(text: &str) -> Option<PgType> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(element) = text.strip_suffix("[]") {
        return Some(PgType::Array(Box::new(parse_type_name(element)?)));
    }
    let (name, modifiers) = split_modifiers(&text)?;
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    if let Some(element) = name.strip_prefix('_').and_then(parse_type_name) {
        return Some(PgType::Array(Box::new(element)));
    }
    match modifiers.as_slice() {
        [] => plain_type(name),
        [length] => sized_type(name, *length),
        [precision, scale] if matches!(name, "numeric" | "decimal" | "dec") => {
            Some(PgType::Numeric(Some((u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?))))
        }
        _ => None,
    }
}

/// `name(1, 2) rest` to `name rest` and the numbers.
fn split_modifiers(text: &str) -> Option<(String, Vec<i64>)> {
    let Some(open) = text.find('(') else { return Some((text.to_owned(), Vec::new())) };
    let close = text.find(')')?;
    let numbers = text[open + 1..close].split(',').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
    Some((format!("{}{}", text[..open].trim_end(), &text[close + 1..]), numbers))
}

fn sized_type(name: &str, length: i64) -> Option<PgType> {
    let length_u32 = u32::try_from(length).ok();
    match name {
        "varchar" | "character varying" | "char varying" => Some(PgType::Varchar(Some(length_u32?))),
        "char" | "character" | "bpchar" => Some(PgType::Char(length_u32?)),
        "numeric" | "decimal" | "dec" => Some(PgType::Numeric(Some((u8::try_from(length).ok()?, 0)))),
        "float" => Some(if length <= 24 { PgType::Float4 } else { PgType::Float8 }),
        // The fraction of a second is always kept to the microsecond.
        timed => plain_type(timed)
            .filter(|t| matches!(t, PgType::Time | PgType::Timestamp | PgType::Timestamptz | PgType::Interval)),
    }
}

fn plain_type(name: &str) -> Option<PgType> {
    Some(match name {
        "bool" | "boolean" => PgType::Bool,
        "int2" | "smallint" => PgType::Int2,
        "int" | "int4" | "integer" => PgType::Int4,
        "int8" | "bigint" => PgType::Int8,
        "float4" | "real" => PgType::Float4,
        "float8" | "float" | "double precision" | "double" => PgType::Float8,
        "numeric" | "decimal" | "dec" => PgType::Numeric(None),
        "text" | "string" => PgType::Text,
        "varchar" | "character varying" | "char varying" => PgType::Varchar(None),
        "char" | "character" | "bpchar" => PgType::Char(1),
        "name" => PgType::Name,
        "\"char\"" => PgType::InternalChar,
        "bytea" => PgType::Bytea,
        "date" => PgType::Date,
        "time" | "time without time zone" => PgType::Time,
        "timestamp" | "timestamp without time zone" => PgType::Timestamp,
        "timestamptz" | "timestamp with time zone" => PgType::Timestamptz,
        "interval" => PgType::Interval,
        "uuid" => PgType::Uuid,
        "json" => PgType::Json,
        "jsonb" => PgType::Jsonb,
        "oid" => PgType::Oid,
        "regclass" => PgType::Reg(RegKind::Class),
        "regtype" => PgType::Reg(RegKind::Type),
        "regproc" | "regprocedure" => PgType::Reg(RegKind::Proc),
        "regnamespace" => PgType::Reg(RegKind::Namespace),
        "record" => PgType::Record,
        "unknown" => PgType::Unknown,
        "void" => PgType::Void,
        _ => return None,
    })
}
