//! RESTRICT and CASCADE: what must go when an object goes, and how to say it as PostgreSQL does.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::definition::{ConstraintKind, RelationDef, RelationKind, SourceDef};
use crate::catalog::name::{ObjectName, Oid};
use crate::catalog::snapshot::Snapshot;
use crate::error::{Error, ErrorKind};

/// What depends on the objects that are dropped, in the order it was found.
#[derive(Default)]
pub(super) struct Dependents {
    /// Views that cannot stay.
    pub views: Vec<Arc<RelationDef>>,
    /// Tables that stay without the foreign keys that point to what goes.
    pub tables: Vec<Arc<RelationDef>>,
    /// Sources whose table goes.
    pub sources: Vec<Arc<SourceDef>>,
    /// One line each for the DETAIL of the error.
    pub lines: Vec<String>,
}

/// Follows dependencies from `roots` (which go anyway) to everything that stands on them.
pub(super) fn dependents(snapshot: &Snapshot, roots: &[Arc<RelationDef>]) -> Dependents {
    let mut gone: BTreeSet<Oid> = roots.iter().map(|root| root.oid).collect();
    let mut waiting: Vec<Arc<RelationDef>> = roots.to_vec();
    let mut found = Dependents::default();
    while let Some(referenced) = waiting.pop() {
        for source in snapshot.sources().filter(|source| source.references().any(|oid| oid == referenced.oid)) {
            if found.sources.iter().all(|other| other.oid != source.oid) {
                found.lines.push(line(&describe_source(snapshot, source), snapshot, &referenced));
                found.sources.push(Arc::clone(source));
            }
        }
        for dependent in snapshot.dependents_of(referenced.oid) {
            if gone.contains(&dependent.oid) {
                continue;
            }
            match &dependent.kind {
                RelationKind::View(_) => {
                    gone.insert(dependent.oid);
                    found.lines.push(line(&describe(snapshot, &dependent), snapshot, &referenced));
                    found.views.push(Arc::clone(&dependent));
                    waiting.push(dependent);
                }
                RelationKind::Table(table) => {
                    for constraint in &table.constraints {
                        if matches!(&constraint.kind, ConstraintKind::ForeignKey { references, .. } if *references == referenced.oid)
                        {
                            let on = format!("constraint {} on {}", constraint.name, describe(snapshot, &dependent));
                            found.lines.push(line(&on, snapshot, &referenced));
                        }
                    }
                    if !found.tables.iter().any(|table| table.oid == dependent.oid) {
                        found.tables.push(dependent);
                    }
                }
            }
        }
    }
    found
}

/// The error of a DROP without CASCADE; `object` is what was to be dropped, e.g. `table t`.
pub(super) fn still_needed(object: &str, lines: &[String]) -> Error {
    Error::new(
        ErrorKind::DependentObjectsStillExist,
        format!("cannot drop {object} because other objects depend on it"),
    )
    .detail(lines.join("\n"))
    .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

/// A relation as messages name it: `view v`, or `view s.v` outside `public`.
pub fn describe(snapshot: &Snapshot, relation: &RelationDef) -> String {
    format!("{} {}", relation.kind_name(), shown(&snapshot.name_of(relation)))
}

/// A source as messages name it.
pub fn describe_source(snapshot: &Snapshot, source: &SourceDef) -> String {
    let name = match snapshot.schema_by_oid(source.schema) {
        Some(schema) => ObjectName::qualified(&schema.name, &source.name),
        None => ObjectName::bare(&source.name),
    };
    format!("source {}", shown(&name))
}

fn shown(name: &ObjectName) -> String {
    if name.schema.as_deref() == Some("public") { name.name.clone() } else { name.to_string() }
}

fn line(dependent: &str, snapshot: &Snapshot, referenced: &RelationDef) -> String {
    format!("{dependent} depends on {}", describe(snapshot, referenced))
}
