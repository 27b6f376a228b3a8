//! Fields that no column takes: for a table `WITH (schema_evolution = 'add')` they become columns.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::catalog::definition::{ColumnDef, RelationDef, TableDef};
use crate::engine::definition::{NewRows, Redefined};
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::decode::NewField;
use crate::tables::MetadataChange;

/// The option of a table.
pub const EVOLUTION_OPTION: &str = "schema_evolution";
/// New fields become columns.
const ADD: &str = "add";
/// New fields are counted, and ignored.
const NONE: &str = "none";
/// As in PostgreSQL.
const COLUMNS_MAX: usize = 1600;

/// What the option may be.
pub fn evolution_value(value: &str) -> Result<String> {
    match value.to_ascii_lowercase() {
        known if known == ADD || known == NONE => Ok(known),
        _ => Err(Error::new(
            ErrorKind::InvalidParameterValue,
            format!("invalid value for option \"{EVOLUTION_OPTION}\": \"{value}\""),
        )
        .hint("It takes add or none.")),
    }
}

/// True for a table whose new fields become columns.
pub(in crate::ingest) fn adds_fields(table: &TableDef) -> bool {
    table.options.get(EVOLUTION_OPTION).is_some_and(|value| value == ADD)
}

/// Adds columns as ALTER TABLE ADD COLUMN does: rows that are there have NULL in them.
pub(in crate::ingest) async fn add_columns(
    engine: &Engine,
    scope: &Scope,
    relation: &Arc<RelationDef>,
    fields: &[NewField],
) -> Result<()> {
    let mut new = RelationDef::clone(relation);
    if new.columns.len() + fields.len() > COLUMNS_MAX {
        let message = format!("table \"{}\" would have more than {COLUMNS_MAX} columns", relation.name);
        return Err(Error::new(ErrorKind::ProgramLimitExceeded, message)
            .hint(format!("ALTER TABLE ... SET ({EVOLUTION_OPTION} = '{NONE}') ignores new fields.")));
    }
    let last = relation.columns.iter().map(|column| column.number).max().unwrap_or_default();
    let column = |(number, field): (i16, &NewField)| ColumnDef::new(number, &field.name, field.pg_type.clone());
    new.columns.extend((last + 1..).zip(fields).map(column));
    let metadata = MetadataChange { columns: Some(new.columns.clone()), ..MetadataChange::default() };
    let (old, rows) = (Arc::clone(relation), NewRows::Kept);
    let redefined = Redefined { old, new, metadata, rows, requirements: Vec::new(), views: Vec::new() };
    engine.redefine(scope, redefined, "ADD COLUMNS", &CancellationToken::new()).await?;
    let columns: Vec<String> = fields.iter().map(|field| format!("{} {}", field.name, field.pg_type)).collect();
    tracing::info!(table = %relation.name, columns = %columns.join(", "), "new fields have become columns");
    Ok(())
}
