//! The catalog's word on a table against its log's: the log is what readers and writers of the folder go by.
//!
//! They differ after another writer has changed the table, after RESTORE, and where a crash came between the commit of
//! an ALTER TABLE and its entry in the catalog. What only the catalog knows (defaults, keys, comments) stays.

use std::collections::HashSet;

use crate::catalog::definition::{ColumnDef, ConstraintDef, ConstraintKind, RelationDef, RelationKind};
use crate::catalog::name::Oid;
use crate::error::Result;
use crate::tables::Snapshot;

/// The definition as the log has it; `None` where the catalog agrees.
pub(super) fn mended(relation: &RelationDef, snapshot: &Snapshot) -> Result<Option<RelationDef>> {
    let RelationKind::Table(table) = &relation.kind else { return Ok(None) };
    let (mut new, mut table) = (relation.clone(), table.clone());
    let columns = snapshot.columns()?;
    let names: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut next_number = relation.columns.iter().map(|column| column.number).max().unwrap_or_default();
    new.columns.clear();
    for (position, column) in columns.iter().enumerate() {
        let renamed = || relation.columns.get(position).filter(|old| !names.contains(old.name.as_str()));
        let old = relation.column(&column.name).or_else(renamed);
        next_number += i16::from(old.is_none());
        new.columns.push(match old {
            Some(old) => followed(old, column),
            None => ColumnDef { number: next_number, ..column.clone() },
        });
    }
    table.partitioned_by = snapshot.partition_columns().to_vec();
    table.clustered_by = snapshot.clustered_by();
    let checks = snapshot.checks();
    table.constraints.retain(|held| match &held.kind {
        ConstraintKind::Check { .. } => checks.iter().any(|(name, _)| *name == held.name),
        _ => held.columns().iter().all(|name| names.contains(name.as_str())),
    });
    if let Some(mut watermark) = table.event_watermark.take() {
        // A renamed column has its number still.
        let number = relation.column(&watermark.column).map(|column| column.number);
        if let Some(column) = new.columns.iter().find(|column| Some(column.number) == number) {
            watermark.column.clone_from(&column.name);
            table.event_watermark = Some(watermark);
        }
    }
    for (name, expression) in checks {
        let kind = ConstraintKind::Check { expression };
        match table.constraints.iter_mut().find(|held| held.name == name) {
            Some(held) => held.kind = kind,
            None => table.constraints.push(ConstraintDef { oid: Oid::NONE, name, kind }),
        }
    }
    new.kind = RelationKind::Table(table);
    Ok((new != *relation).then_some(new))
}

/// A column of the catalog with what the log says of it.
fn followed(old: &ColumnDef, log: &ColumnDef) -> ColumnDef {
    let same_type = old.pg_type.arrow() == log.pg_type.arrow();
    ColumnDef {
        name: log.name.clone(),
        pg_type: if same_type { old.pg_type.clone() } else { log.pg_type.clone() },
        not_null: log.not_null,
        generated: log.generated.as_ref().map(|text| old.generated.as_ref().unwrap_or(text).clone()),
        ..old.clone()
    }
}
