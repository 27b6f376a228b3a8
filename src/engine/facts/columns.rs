//! `pg_attribute` and `pg_attrdef`: the columns of every relation.

use crate::catalog::definition::{ColumnDef, RelationDef};
use crate::catalog::pg_type::{PgType, oid_of, typlen, typmod};
use crate::engine::facts::relations::is_index;
use crate::engine::facts::shapes::{self, Shape};
use crate::engine::facts::{Fact, FactContext, Key, Maker, Row};
use crate::error::Result;

pub(super) const FACTS: &[Fact] = &[
    Fact { relation: "pg_attribute", key: &["attrelid"], make: Maker::Now(attributes) },
    Fact { relation: "pg_attrdef", key: &["adrelid"], make: Maker::Now(defaults) },
];

/// The collation `default`, of every text.
const DEFAULT_COLLATION: u32 = 100;

fn attributes(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for relation in context.session.catalog.relations() {
        if Key::wants(key, relation.oid.0, "") {
            rows.extend(relation.columns.iter().map(|column| column_row(shape, relation, column)));
        }
        index_columns(shape, relation, key, &mut rows);
    }
    for system in shapes::described().filter(|system| Key::wants(key, system.oid.0, "")) {
        for (at, column) in system.columns.iter().enumerate() {
            let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
            rows.push(attribute(shape, system.oid.0, number, column.name, &column.pg_type));
        }
    }
    Ok(rows)
}

fn attribute(shape: &'static Shape, relation: u32, number: i16, name: &str, pg_type: &PgType) -> Row {
    let array = matches!(pg_type, PgType::Array(_));
    let length = typlen(pg_type);
    let storage = match pg_type {
        PgType::Numeric(_) => "m",
        _ if length == -1 => "x",
        _ => "p",
    };
    let collated = matches!(pg_type, PgType::Text | PgType::Varchar(_) | PgType::Char(_));
    Row::new(shape)
        .set("attrelid", relation)
        .set("attname", name)
        .set("attnum", number)
        .set("atttypid", oid_of(pg_type))
        .set("atttypmod", typmod(pg_type))
        .set("attlen", length)
        .set("attndims", i32::from(array))
        .set("attcacheoff", -1)
        .set("attstattarget", -1)
        .set("attbyval", matches!(length, 1 | 2 | 4 | 8))
        .set("attalign", if length == 8 || length == 16 { "d" } else { "i" })
        .set("attstorage", storage)
        .set("attislocal", true)
        .set("attcollation", if collated { DEFAULT_COLLATION } else { 0 })
}

fn column_row(shape: &'static Shape, relation: &RelationDef, column: &ColumnDef) -> Row {
    attribute(shape, relation.oid.0, column.number, &column.name, &column.pg_type)
        .set("attnotnull", column.not_null)
        .set("atthasdef", column.default.is_some() || column.generated.is_some())
        .set("attgenerated", if column.generated.is_some() { "s" } else { "" })
}

fn index_columns(shape: &'static Shape, relation: &RelationDef, key: Option<&Key>, rows: &mut Vec<Row>) {
    let constraints = relation.table().map(|table| table.constraints.as_slice()).unwrap_or_default();
    for constraint in constraints.iter().filter(|constraint| is_index(&constraint.kind)) {
        if !Key::wants(key, constraint.oid.0, "") {
            continue;
        }
        let columns = constraint.columns().iter().filter_map(|name| relation.column(name));
        for (at, column) in columns.enumerate() {
            let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
            rows.push(attribute(shape, constraint.oid.0, number, &column.name, &column.pg_type));
        }
    }
}

fn defaults(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for relation in context.session.catalog.relations().filter(|relation| Key::wants(key, relation.oid.0, "")) {
        for column in &relation.columns {
            if let Some(expression) = column.default.as_ref().or(column.generated.as_ref()) {
                rows.push(
                    Row::new(shape)
                        .set("oid", default_oid(relation, column))
                        .set("adrelid", relation.oid.0)
                        .set("adnum", column.number)
                        .set("adbin", expression.as_str()),
                );
            }
        }
    }
    Ok(rows)
}

/// A number for the default of a column, steady as long as the column is.
fn default_oid(relation: &RelationDef, column: &ColumnDef) -> u32 {
    let number = u32::try_from(column.number).unwrap_or(0);
    0x8000_0000 | (relation.oid.0.wrapping_mul(1600) + number) & 0x7fff_ffff
}
