//! Tables beside a table, for what does not go into it: each is made when it is first needed.

use std::sync::Arc;

use crate::catalog::definition::{ColumnDef, ConstraintDef, ConstraintKind, RelationDef, RelationKind, TableDef};
use crate::catalog::name::{NAME_BYTES_MAX, Oid};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};

/// The table whose name is that of `relation` and the suffix, in its schema; it is made if it is not there, with the same owner
/// and this primary key, if any.
pub(super) async fn side_table(
    engine: &Arc<Engine>,
    relation: &RelationDef,
    suffix: &str,
    comment: &str,
    columns: Vec<ColumnDef>,
    key: &[String],
) -> Result<Arc<RelationDef>> {
    let end = relation.name.floor_char_boundary(NAME_BYTES_MAX - suffix.len());
    let name = format!("{}{suffix}", &relation.name[..end]);
    let find = || engine.buffer().current().catalog.relation_in(relation.schema, &name);
    if let Some(found) = find() {
        return Ok(found);
    }
    let location = engine.new_location(&name)?;
    let mut table = TableDef { location: location.as_str().trim_end_matches('/').to_owned(), ..TableDef::default() };
    if !key.is_empty() {
        let kind = ConstraintKind::PrimaryKey { columns: key.to_vec() };
        table.constraints.push(ConstraintDef { oid: Oid::NONE, name: format!("{name}_pkey"), kind });
    }
    let new = RelationDef {
        oid: Oid::NONE,
        schema: relation.schema,
        name: name.clone(),
        owner: relation.owner,
        comment: Some(comment.to_owned()),
        columns,
        kind: RelationKind::Table(table),
    };
    // Once begun it is finished, also when the client has gone.
    let maker = Arc::clone(engine);
    let made = tokio::spawn(async move {
        let folder = maker.new_folder(&new, &location).await?;
        maker.name_table(new, &folder).await
    });
    match made.await.map_err(|error| Error::internal(format!("table \"{name}\" was not made: {error}")))? {
        Ok(()) => tracing::info!(table = %relation.name, beside = %name, comment, "a table was made"),
        // Another batch was quicker.
        Err(error) if error.kind() == ErrorKind::DuplicateTable => {}
        Err(error) => return Err(error),
    }
    let gone =
        || Error::new(ErrorKind::SerializationFailure, format!("table \"{name}\" was dropped while it was needed"));
    find().ok_or_else(gone)
}
