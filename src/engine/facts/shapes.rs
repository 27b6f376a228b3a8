//! The columns of PostgreSQL's system relations, from `catalog/relations.txt`.
//!
//! A line is `oid kind schema.name: column type, ...`, taken from PostgreSQL 15 and brought to 16 by hand. The line of a
//! view that is a file under `catalog/` only describes its columns. The schema `facts` is for those views alone: no list
//! shows it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Schema, SchemaRef};

use crate::catalog::name::{ObjectName, Oid};
use crate::catalog::pg_type::{PgType, parse_type_name};
use crate::catalog::system;
use crate::engine::facts;
use crate::engine::functions::value::Value;

const LINES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/catalog/relations.txt"));

/// A system relation.
pub(crate) struct Shape {
    pub(crate) schema: &'static str,
    pub(crate) name: &'static str,
    pub(crate) oid: Oid,
    /// `r` or `v`.
    pub(crate) kind: &'static str,
    pub(crate) columns: Vec<ShapeColumn>,
    pub(crate) arrow: SchemaRef,
    /// True when the rows come from a file of SQL.
    is_file: bool,
}

/// A column of a system relation.
pub(crate) struct ShapeColumn {
    pub(crate) name: &'static str,
    pub(crate) pg_type: PgType,
    /// What a row has when nothing is said: in PostgreSQL's relations 0, false or empty where those know no NULL.
    pub(crate) default: Value<'static>,
}

struct Shapes {
    all: Vec<Shape>,
    by_name: HashMap<(&'static str, &'static str), usize>,
    by_oid: HashMap<u32, usize>,
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    let all: Vec<Shape> = LINES.lines().filter_map(parse).collect();
    let tables = || all.iter().enumerate().filter(|(_, shape)| !shape.is_file);
    let by_name = tables().map(|(at, shape)| ((shape.schema, shape.name), at)).collect();
    let by_oid = tables().map(|(at, shape)| (shape.oid.0, at)).collect();
    Shapes { all, by_name, by_oid }
});

fn parse(line: &'static str) -> Option<Shape> {
    let (head, columns) = line.split_once(": ")?;
    let mut words = head.split(' ');
    let oid = Oid(words.next()?.parse().ok()?);
    let kind = words.next()?;
    let (schema, name) = words.next()?.split_once('.')?;
    let columns = columns.split(", ").map(|text| parse_column(text, schema)).collect::<Option<Vec<_>>>()?;
    let is_file = system::view(schema, name).is_some();
    let fields: Vec<_> = columns.iter().map(|column| column.pg_type.field(column.name, true)).collect();
    Some(Shape { schema, name, oid, kind, columns, arrow: Arc::new(Schema::new(fields)), is_file })
}

fn parse_column(text: &'static str, schema: &str) -> Option<ShapeColumn> {
    let (name, type_name) = text.split_once(' ')?;
    let pg_type = parse_type_name(type_name)?;
    let default = match &pg_type {
        _ if schema == "facts" => Value::Null,
        PgType::Bool => Value::Bool(false),
        PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Oid | PgType::Reg(_) => Value::Int(0),
        PgType::Float4 | PgType::Float8 => Value::Float(0.0),
        PgType::Name | PgType::InternalChar => Value::text(""),
        _ => Value::Null,
    };
    Some(ShapeColumn { name, pg_type, default })
}

impl Shape {
    /// True for relations that stay empty whatever a user does.
    pub(crate) fn never_has_rows(&self) -> bool {
        facts::fact_of(self).is_none()
    }
}

/// All system relations that are not files.
pub(crate) fn all() -> impl Iterator<Item = &'static Shape> {
    described().filter(|shape| !shape.is_file)
}

/// All system relations, the files among them.
pub(crate) fn described() -> impl Iterator<Item = &'static Shape> {
    SHAPES.all.iter().filter(|shape| shape.schema != "facts")
}

/// The system relation of that number.
pub(crate) fn by_oid(oid: u32) -> Option<&'static Shape> {
    SHAPES.by_oid.get(&oid).map(|at| &SHAPES.all[*at])
}

/// The system relation that a name stands for: `pg_catalog` comes before a search path that does not list it.
pub(crate) fn resolve(name: &ObjectName, search_path: &[String]) -> Option<&'static Shape> {
    let find = |schema: &str| SHAPES.by_name.get(&(schema, name.name.as_str())).map(|at| &SHAPES.all[*at]);
    match &name.schema {
        Some(schema) => find(schema),
        None if search_path.iter().any(|listed| listed == "pg_catalog") => {
            search_path.iter().find_map(|schema| find(schema))
        }
        None => find("pg_catalog").or_else(|| search_path.iter().find_map(|schema| find(schema))),
    }
}
