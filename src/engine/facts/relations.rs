//! `pg_class` and what hangs on it: rules, inheritance of comments, dependencies.

use crate::catalog::definition::{ConstraintKind, RelationDef, RelationKind};
use crate::catalog::name::Oid;
use crate::catalog::system;
use crate::engine::facts::shapes::{self, Shape};
use crate::engine::facts::{Fact, FactContext, Key, Maker, Row};
use crate::error::Result;

/// The access method of tables, a row of `pg_am`.
pub(super) const TABLE_ACCESS_METHOD: u32 = 2;
/// The access method shown for the index behind a key: lookups use file statistics and sorted files.
pub(super) const INDEX_ACCESS_METHOD: u32 = 403;
/// `pg_class` itself, as `classoid` names it.
pub(super) const CLASS_OF_RELATIONS: u32 = 1259;
/// `pg_namespace` itself.
const CLASS_OF_SCHEMAS: u32 = 2615;
/// `pg_rewrite` itself.
const CLASS_OF_RULES: u32 = 2618;

pub(super) const FACTS: &[Fact] = &[
    Fact { relation: "pg_class", key: &["oid", "relname"], make: Maker::Now(classes) },
    Fact { relation: "pg_description", key: &["objoid"], make: Maker::Now(descriptions) },
    Fact { relation: "pg_rewrite", key: &["ev_class"], make: Maker::Now(rules) },
    Fact { relation: "pg_depend", key: &[], make: Maker::Now(dependencies) },
];

/// The number of the rule behind a view.
fn rule_oid(relation: &RelationDef) -> u32 {
    relation.oid.0 | 0x4000_0000
}

fn classes(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for relation in context.session.catalog.relations() {
        if Key::wants(key, relation.oid.0, &relation.name) {
            rows.push(relation_row(context, shape, relation));
        }
        index_rows(shape, relation, key, &mut rows);
    }
    for system in shapes::all().filter(|system| Key::wants(key, system.oid.0, system.name)) {
        let natts = i16::try_from(system.columns.len()).unwrap_or(i16::MAX);
        rows.push(system_row(shape, system.schema, system.name, system.oid, system.kind).set("relnatts", natts));
    }
    for view in system::views().filter(|view| Key::wants(key, view.oid.0, view.name)) {
        rows.push(system_row(shape, view.schema, view.name, view.oid, "v").set("relhasrules", true));
    }
    Ok(rows)
}

fn relation_row(context: &FactContext, shape: &'static Shape, relation: &RelationDef) -> Row {
    let row = Row::new(shape)
        .set("oid", relation.oid.0)
        .set("relname", relation.name.as_str())
        .set("relnamespace", relation.schema.0)
        .set("relowner", relation.owner.0)
        .set("relnatts", i16::try_from(relation.columns.len()).unwrap_or(i16::MAX))
        .set("relpersistence", "p")
        .set("relispopulated", true);
    let Some(table) = relation.table() else {
        return row.set("relkind", "v").set("relreplident", "n").set("relhasrules", true);
    };
    let checks =
        table.constraints.iter().filter(|constraint| matches!(constraint.kind, ConstraintKind::Check { .. })).count();
    let indexed = table.constraints.iter().any(|constraint| is_index(&constraint.kind));
    let pages = (context.session.size_of)(relation.oid).map_or(0, |bytes| bytes.div_ceil(8192));
    row.set("relkind", "r")
        .set("relam", TABLE_ACCESS_METHOD)
        .set("relfilenode", relation.oid.0)
        .set("relreplident", "d")
        .set("relchecks", i16::try_from(checks).unwrap_or(i16::MAX))
        .set("relhasindex", indexed)
        .set("relpages", i32::try_from(pages).unwrap_or(i32::MAX))
        .set("reltuples", crate::engine::functions::value::Value::Float(-1.0))
}

/// True for constraints that PostgreSQL keeps by an index.
pub(super) fn is_index(kind: &ConstraintKind) -> bool {
    matches!(kind, ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. })
}

fn index_rows(shape: &'static Shape, relation: &RelationDef, key: Option<&Key>, rows: &mut Vec<Row>) {
    let Some(table) = relation.table() else { return };
    for constraint in table.constraints.iter().filter(|constraint| is_index(&constraint.kind)) {
        if Key::wants(key, constraint.oid.0, &constraint.name) {
            rows.push(
                Row::new(shape)
                    .set("oid", constraint.oid.0)
                    .set("relname", constraint.name.as_str())
                    .set("relnamespace", relation.schema.0)
                    .set("relowner", relation.owner.0)
                    .set("relam", INDEX_ACCESS_METHOD)
                    .set("relkind", "i")
                    .set("relnatts", i16::try_from(constraint.columns().len()).unwrap_or(i16::MAX))
                    .set("relpersistence", "p")
                    .set("relreplident", "n")
                    .set("relispopulated", true),
            );
        }
    }
}

fn schema_oid(name: &str) -> Oid {
    match name {
        "pg_catalog" => Oid::PG_CATALOG,
        "information_schema" => Oid::INFORMATION_SCHEMA,
        _ => Oid::SYSTEM,
    }
}

fn system_row(shape: &'static Shape, schema: &str, name: &str, oid: Oid, kind: &str) -> Row {
    Row::new(shape)
        .set("oid", oid.0)
        .set("relname", name)
        .set("relnamespace", schema_oid(schema).0)
        .set("relowner", Oid::FIRST_ROLE.0)
        .set("relkind", kind)
        .set("relam", if kind == "r" { TABLE_ACCESS_METHOD } else { 0 })
        .set("relpersistence", "p")
        .set("relreplident", "n")
        .set("relispopulated", true)
}

fn descriptions(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut add = |class: u32, object: u32, column: i32, text: &str| {
        let row = Row::new(shape).set("objoid", object).set("classoid", class).set("objsubid", column);
        rows.push(row.set("description", text));
    };
    for relation in context.session.catalog.relations().filter(|relation| Key::wants(key, relation.oid.0, "")) {
        if let Some(comment) = &relation.comment {
            add(CLASS_OF_RELATIONS, relation.oid.0, 0, comment);
        }
        for column in &relation.columns {
            if let Some(comment) = &column.comment {
                add(CLASS_OF_RELATIONS, relation.oid.0, column.number.into(), comment);
            }
        }
    }
    for schema in context.session.catalog.schemas().filter(|schema| Key::wants(key, schema.oid.0, "")) {
        if let Some(comment) = &schema.comment {
            add(CLASS_OF_SCHEMAS, schema.oid.0, 0, comment);
        }
    }
    for view in system::views().filter(|view| Key::wants(key, view.oid.0, "")) {
        add(CLASS_OF_RELATIONS, view.oid.0, 0, view.description);
    }
    Ok(rows)
}

fn rules(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let views = context.session.catalog.relations().filter(|relation| Key::wants(key, relation.oid.0, ""));
    Ok(views
        .filter_map(|relation| {
            let view = relation.view()?;
            let row = Row::new(shape)
                .set("oid", rule_oid(relation))
                .set("rulename", "_RETURN")
                .set("ev_class", relation.oid.0)
                .set("ev_type", "1")
                .set("ev_enabled", "O")
                .set("is_instead", true);
            Some(row.set("ev_action", view.query.as_str()))
        })
        .collect())
}

/// A view depends on what it reads (its rule does, as in PostgreSQL), an index on its table.
fn dependencies(context: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut add = |class: u32, object: u32, referenced: u32, kind: &str| {
        let row = Row::new(shape).set("classid", class).set("objid", object).set("refclassid", CLASS_OF_RELATIONS);
        rows.push(row.set("refobjid", referenced).set("deptype", kind));
    };
    for relation in context.session.catalog.relations() {
        match &relation.kind {
            RelationKind::View(view) => {
                add(CLASS_OF_RULES, rule_oid(relation), relation.oid.0, "i");
                for referenced in &view.depends_on {
                    add(CLASS_OF_RULES, rule_oid(relation), referenced.0, "n");
                }
            }
            RelationKind::Table(table) => {
                for constraint in table.constraints.iter().filter(|constraint| is_index(&constraint.kind)) {
                    add(CLASS_OF_RELATIONS, constraint.oid.0, relation.oid.0, "a");
                }
            }
        }
    }
    Ok(rows)
}
