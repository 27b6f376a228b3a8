//! Looks for definitions that contradict each other, for `headwater check`.

use std::collections::BTreeSet;

use crate::catalog::definition::{ConstraintKind, RelationDef, RelationKind};
use crate::catalog::dependency::describe_source;
use crate::catalog::snapshot::{Snapshot, references};
use crate::catalog::store::Store;
use crate::error::Result;

/// Something wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The object, e.g. `table public.t`.
    pub object: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do.
    pub hint: String,
}

pub(super) fn check(store: &Store, published: &Snapshot) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for line in store.damage()? {
        problems.push(problem("catalog", line, "Restore the catalog file from a backup."));
    }
    let loaded = store.load()?;
    if loaded.snapshot.generation != published.generation {
        problems.push(problem(
            "catalog",
            format!("the file has generation {}, the server {}", loaded.snapshot.generation, published.generation),
            "Another process wrote the catalog. Start the server again.",
        ));
    }
    for relation in loaded.snapshot.relations() {
        check_relation(&loaded.snapshot, relation, loaded.next_oid, &mut problems);
    }
    for source in loaded.snapshot.sources() {
        for missing in source.references().filter(|oid| loaded.snapshot.relation_by_oid(*oid).is_none()) {
            let message = format!("its table (number {missing}) does not exist");
            problems.push(problem(&describe_source(&loaded.snapshot, source), message, "Drop it and make it again."));
        }
    }
    for schema in loaded.snapshot.schemas() {
        if loaded.snapshot.role_by_oid(schema.owner).is_none() {
            let object = format!("schema {}", schema.name);
            problems.push(problem(
                &object,
                "its owner does not exist".to_owned(),
                "ALTER SCHEMA ... OWNER TO a role that exists.",
            ));
        }
    }
    if !loaded.snapshot.roles().any(|role| role.superuser && role.login) {
        problems.push(problem(
            "roles",
            "no superuser can log in".to_owned(),
            "Restore the catalog file from a backup.",
        ));
    }
    Ok(problems)
}

fn check_relation(snapshot: &Snapshot, relation: &RelationDef, next_oid: u32, problems: &mut Vec<Problem>) {
    let object = format!("{} {}", relation.kind_name(), snapshot.name_of(relation));
    let mut report = |message: String, hint: &str| problems.push(problem(&object, message, hint));
    if snapshot.schema_by_oid(relation.schema).is_none() {
        report(format!("its schema (number {}) does not exist", relation.schema), "Restore the catalog from a backup.");
    }
    if snapshot.role_by_oid(relation.owner).is_none() {
        report("its owner does not exist".to_owned(), "ALTER ... OWNER TO a role that exists.");
    }
    if relation.oid.0 >= next_oid {
        report(format!("its number {} would be given again", relation.oid), "Restore the catalog from a backup.");
    }
    let numbers: BTreeSet<i16> = relation.columns.iter().map(|column| column.number).collect();
    if numbers.len() != relation.columns.len() {
        report("two columns have one number".to_owned(), "Make the relation again.");
    }
    for missing in references(relation).into_iter().filter(|oid| snapshot.relation_by_oid(*oid).is_none()) {
        report(format!("it names a relation (number {missing}) that does not exist"), "Drop it and make it again.");
    }
    for (column, place) in named_columns(relation) {
        if relation.column(column).is_none() {
            report(format!("{place} names the column \"{column}\" that does not exist"), "Make the table again.");
        }
    }
}

/// The columns that a table's layout and constraints name.
fn named_columns(relation: &RelationDef) -> Vec<(&str, String)> {
    let RelationKind::Table(table) = &relation.kind else { return Vec::new() };
    let partitions = table.partitioned_by.iter().map(|column| (column.as_str(), "PARTITIONED BY".to_owned()));
    let clusters = table.clustered_by.iter().map(|column| (column.as_str(), "CLUSTER BY".to_owned()));
    let constraints = table.constraints.iter().flat_map(|constraint| {
        let columns = match &constraint.kind {
            ConstraintKind::Check { .. } => &[],
            _ => constraint.columns(),
        };
        columns.iter().map(move |column| (column.as_str(), format!("constraint \"{}\"", constraint.name)))
    });
    let watermark = table.event_watermark.iter().map(|held| (held.column.as_str(), "WATERMARK FOR".to_owned()));
    partitions.chain(clusters).chain(constraints).chain(watermark).collect()
}

fn problem(object: &str, message: String, hint: &str) -> Problem {
    Problem { object: object.to_owned(), message, hint: hint.to_owned() }
}
