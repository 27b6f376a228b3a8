//! `pg_constraint` and `pg_index`: keys and checks.

use crate::catalog::definition::{ConstraintDef, ConstraintKind, RelationDef};
use crate::catalog::name::Oid;
use crate::engine::facts::relations::is_index;
use crate::engine::facts::shapes::Shape;
use crate::engine::facts::{Fact, FactContext, Key, Maker, Row};
use crate::engine::functions::value::Value;
use crate::error::Result;

pub(super) const FACTS: &[Fact] = &[
    Fact { relation: "pg_constraint", key: &["conrelid"], make: Maker::Now(constraints) },
    Fact { relation: "pg_index", key: &["indrelid"], make: Maker::Now(indexes) },
];

/// The numbers of the columns, as an array value.
fn numbers(relation: &RelationDef, columns: &[String]) -> Value<'static> {
    let numbers = columns.iter().filter_map(|name| relation.column(name)).map(|column| column.number);
    Value::List(std::sync::Arc::new(arrow::array::Int16Array::from_iter_values(numbers)))
}

fn of_tables<'a>(
    context: &'a FactContext,
    key: Option<&'a Key>,
) -> impl Iterator<Item = (&'a RelationDef, &'a ConstraintDef)> {
    let relations = context.session.catalog.relations().filter(move |relation| Key::wants(key, relation.oid.0, ""));
    relations.flat_map(|relation| {
        let constraints = relation.table().map(|table| table.constraints.as_slice()).unwrap_or_default();
        constraints.iter().map(move |constraint| (relation.as_ref(), constraint))
    })
}

fn constraints(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let row = |(relation, constraint): (&RelationDef, &ConstraintDef)| {
        let row = Row::new(shape)
            .set("oid", constraint.oid.0)
            .set("conname", constraint.name.as_str())
            .set("connamespace", relation.schema.0)
            .set("conrelid", relation.oid.0)
            .set("convalidated", true)
            .set("conislocal", true)
            .set("connoinherit", true);
        match &constraint.kind {
            ConstraintKind::Check { expression } => row.set("contype", "c").set("conbin", expression.as_str()),
            ConstraintKind::PrimaryKey { columns } => {
                row.set("contype", "p").set("conindid", constraint.oid.0).set("conkey", numbers(relation, columns))
            }
            ConstraintKind::Unique { columns } => {
                row.set("contype", "u").set("conindid", constraint.oid.0).set("conkey", numbers(relation, columns))
            }
            ConstraintKind::ForeignKey { columns, references, referenced_columns } => {
                let row = row
                    .set("contype", "f")
                    .set("confrelid", references.0)
                    .set("confupdtype", "a")
                    .set("confdeltype", "a")
                    .set("confmatchtype", "s")
                    .set("conkey", numbers(relation, columns));
                let referenced = context.session.catalog.relation_by_oid(Oid(references.0));
                row.set("confkey", referenced.map_or(Value::Null, |relation| numbers(&relation, referenced_columns)))
            }
        }
    };
    Ok(of_tables(context, key).map(row).collect())
}

fn indexes(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let row = |(relation, constraint): (&RelationDef, &ConstraintDef)| {
        let count = i16::try_from(constraint.columns().len()).unwrap_or(i16::MAX);
        let zeros = || {
            let zeros = std::iter::repeat_n(0u32, constraint.columns().len());
            Value::List(std::sync::Arc::new(arrow::array::UInt32Array::from_iter_values(zeros)))
        };
        let options = std::iter::repeat_n(0i16, constraint.columns().len());
        Row::new(shape)
            .set("indexrelid", constraint.oid.0)
            .set("indrelid", relation.oid.0)
            .set("indnatts", count)
            .set("indnkeyatts", count)
            .set("indisunique", true)
            .set("indisprimary", matches!(constraint.kind, ConstraintKind::PrimaryKey { .. }))
            .set("indimmediate", true)
            .set("indisvalid", true)
            .set("indisready", true)
            .set("indislive", true)
            .set("indkey", numbers(relation, constraint.columns()))
            .set("indcollation", zeros())
            .set("indclass", zeros())
            .set("indoption", Value::List(std::sync::Arc::new(arrow::array::Int16Array::from_iter_values(options))))
    };
    Ok(of_tables(context, key).filter(|(_, constraint)| is_index(&constraint.kind)).map(row).collect())
}
