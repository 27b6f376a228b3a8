//! What each version changed, for `table_changes()`: files to scan, not rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use crate::error::{Error, ErrorKind, Result};
use crate::tables::action::{Add, Commit};
use crate::tables::definition::Definition;
use crate::tables::file_set::FileEntry;
use crate::tables::replay;
use crate::tables::snapshot::Snapshot;
use crate::tables::table::Table;

/// The column of a change file that says what happened to a row: `insert`, `delete`, `update_preimage`, `update_postimage`.
pub const CHANGE_TYPE: &str = "_change_type";

/// What one version changed. Rows of `removed` less those of `added` are deleted, and the other way round inserted:
/// a rewritten file carries its unchanged rows in both.
#[derive(Clone, Debug)]
pub struct VersionChanges {
    pub version: i64,
    pub committed_at_ms: i64,
    pub operation: String,
    /// The table before: scan `removed` of it. `None` for the first version.
    pub before: Option<Arc<Snapshot>>,
    /// The table after: scan `added` of it.
    pub after: Arc<Snapshot>,
    pub added: Vec<Arc<FileEntry>>,
    pub removed: Vec<Arc<FileEntry>>,
    /// Where the writer recorded the changed rows: scan these instead of `added` and `removed`.
    pub recorded: Option<RecordedChanges>,
}

/// Changed rows as their writer recorded them (Delta's change data feed).
#[derive(Clone, Debug)]
pub struct RecordedChanges {
    /// The table with one more column at the end, [`CHANGE_TYPE`].
    pub snapshot: Arc<Snapshot>,
    pub files: Vec<Arc<FileEntry>>,
}

impl Table {
    /// What the versions `from` to `to` changed, both included. Versions that only moved rows have no files.
    pub async fn changes(&self, from: i64, to: i64) -> Result<Vec<VersionChanges>> {
        let newest = self.refresh().await?.version;
        if from < 0 || from > to || to > newest {
            let message = format!("versions {from} to {to} of the table at \"{}\" are not there", self.location());
            let hint = format!("The newest version is {newest}; the first may not be after the last.");
            return Err(Error::new(ErrorKind::InvalidParameterValue, message).hint(hint));
        }
        let mut before = match from {
            0 => None,
            from => Some(self.log().at(from - 1).await?),
        };
        let mut changes = Vec::new();
        for version in from..=to {
            let commit = self.log().read_commit(version).await?.ok_or_else(|| {
                let message = format!("the commit of version {version} has been cleaned up");
                Error::new(ErrorKind::InvalidParameterValue, message).hint("Ask for newer versions.")
            })?;
            let (after, damage) = replay::next(before.as_deref(), self.log().place(), &commit)?;
            if let Some(damage) = damage {
                return Err(damage.error(self.log().place()));
            }
            let after = self.log().hand_out(Arc::new(after));
            changes.push(changes_of(before.take(), &after, &commit)?);
            before = Some(after);
        }
        Ok(changes)
    }
}

fn changes_of(before: Option<Arc<Snapshot>>, after: &Arc<Snapshot>, commit: &Commit) -> Result<VersionChanges> {
    let added = commit.adds.iter().filter(|add| add.data_change);
    let removed = commit.removes.iter().filter(|remove| remove.data_change);
    let old = before.as_ref().map(|before| before.files());
    Ok(VersionChanges {
        version: commit.version,
        committed_at_ms: after.committed_at_ms,
        operation: commit.operation().to_owned(),
        added: added.filter_map(|add| after.files().get(&add.path).cloned()).collect(),
        removed: removed.filter_map(|remove| old?.get(&remove.path).cloned()).collect(),
        recorded: recorded(after, commit)?,
        after: Arc::clone(after),
        before,
    })
}

fn recorded(after: &Arc<Snapshot>, commit: &Commit) -> Result<Option<RecordedChanges>> {
    if commit.cdc.is_empty() {
        return Ok(None);
    }
    let mut fields: Vec<_> = after.arrow_schema().fields().to_vec();
    fields.push(Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8View, false)));
    let definition = Definition { schema: Arc::new(Schema::new(fields)), ..Definition::clone(&after.definition) };
    let files = commit.cdc.iter().map(|cdc| {
        let add = Add {
            path: cdc.path.clone(),
            partition_values: cdc.partition_values.clone(),
            size: cdc.size,
            modification_time: after.committed_at_ms,
            data_change: false,
            stats: None,
            tags: None,
            deletion_vector: None,
        };
        replay::entry(&add, &definition).map(Arc::new)
    });
    let files = files.collect::<Result<Vec<_>>>()?;
    let snapshot = Snapshot { definition: Arc::new(definition), ..Snapshot::clone(after) };
    Ok(Some(RecordedChanges { snapshot: Arc::new(snapshot), files }))
}
