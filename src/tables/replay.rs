//! From one version to the next: a commit applied to a snapshot.
//!
//! Invariant that Delta leaves to its writers and that some break: a commit removes only what is active. Replay goes on
//! where it is broken, so that the table can be restored, but says so ([`Damage`]).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::tables::action::{Add, Commit, Remove};
use crate::tables::definition::Definition;
use crate::tables::file_set::{FileEntry, FileSet};
use crate::tables::file_stats::FileStats;
use crate::tables::protocol::Protocol;
use crate::tables::snapshot::{Place, Snapshot};

/// A commit that removed a file which was not active: rows are doubled or have come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tables) struct Damage {
    pub version: i64,
    pub operation: String,
    pub path: String,
}

impl Damage {
    /// What the reader is told.
    pub fn error(&self, place: &Place) -> Error {
        let message = format!(
            "table at \"{}\" is damaged: commit {} ({}) removed a file that was not part of the table",
            place.location, self.version, self.operation
        );
        Error::new(ErrorKind::DataCorrupted, message)
            .detail(format!(
                "The file is \"{}\". Another writer worked from an outdated version: rows may be there twice.",
                self.path
            ))
            .hint(format!("RESTORE TABLE ... TO VERSION AS OF {}, then repeat what came after it.", self.version - 1))
    }
}

/// The first active-file rule that `commit` breaks on top of `files`.
pub(in crate::tables) fn inactive_removal<'c>(files: &FileSet, commit: &'c Commit) -> Option<&'c Remove> {
    commit.removes.iter().find(|remove| {
        let active = files.get(&remove.path);
        let id = |vector: &Option<_>| vector.as_ref().map(crate::tables::DeletionVector::unique_id);
        active.is_none_or(|file| id(&file.deletion_vector) != id(&remove.deletion_vector))
    })
}

/// The snapshot after `commit`; `before` is `None` for the first one.
pub(in crate::tables) fn next(
    before: Option<&Snapshot>,
    place: &Arc<Place>,
    commit: &Commit,
) -> Result<(Snapshot, Option<Damage>)> {
    let definition = next_definition(before, commit).map_err(|error| error.within(&place.location))?;
    let files = before.map(|before| before.files.clone()).unwrap_or_default();
    let damage = inactive_removal(&files, commit).map(|remove| Damage {
        version: commit.version,
        operation: commit.operation().to_owned(),
        path: remove.path.clone(),
    });
    let removed: HashSet<String> = commit.removes.iter().map(|remove| remove.path.clone()).collect();
    let added = commit
        .adds
        .iter()
        .map(|add| entry(add, &definition).map(Arc::new))
        .collect::<Result<Vec<_>>>()
        .map_err(|error| error.within(format!("version {} of {}", commit.version, place.location)))?;
    let snapshot = Snapshot {
        version: commit.version,
        committed_at_ms: commit.committed_at_ms().unwrap_or_default(),
        place: Arc::clone(place),
        files: if removed.is_empty() && added.is_empty() { files } else { files.changed(&removed, added) },
        app_versions: next_apps(before, commit),
        definition,
    };
    Ok((snapshot, damage))
}

fn next_definition(before: Option<&Snapshot>, commit: &Commit) -> Result<Arc<Definition>> {
    if let (Some(before), None, None) = (before, &commit.protocol, &commit.metadata) {
        return Ok(Arc::clone(&before.definition));
    }
    let protocol = match (&commit.protocol, before) {
        (Some(action), _) => Protocol::of_action(action),
        (None, Some(before)) => before.definition.protocol.clone(),
        (None, None) => return Err(incomplete("protocol")),
    };
    let metadata = match (&commit.metadata, before) {
        (Some(metadata), _) => metadata.clone(),
        (None, Some(before)) => before.definition.metadata.clone(),
        (None, None) => return Err(incomplete("metaData")),
    };
    Ok(Arc::new(Definition::new(protocol, metadata)?))
}

fn incomplete(action: &str) -> Error {
    Error::new(ErrorKind::DataCorrupted, format!("the table's log has no {action} action"))
}

fn next_apps(before: Option<&Snapshot>, commit: &Commit) -> Arc<BTreeMap<String, i64>> {
    let known = before.map(|before| Arc::clone(&before.app_versions)).unwrap_or_default();
    if commit.txns.is_empty() {
        return known;
    }
    let mut apps = (*known).clone();
    apps.extend(commit.txns.iter().map(|txn| (txn.app_id.clone(), txn.version)));
    Arc::new(apps)
}

/// The file that an `add` action describes.
pub(in crate::tables) fn entry(add: &Add, definition: &Definition) -> Result<FileEntry> {
    if add.path.contains("://") || add.path.starts_with('/') {
        return Err(Error::unsupported(format!("the file \"{}\" is outside the table's folder", add.path))
            .hint("The table is a shallow clone; copy it with the engine that made it."));
    }
    let tags: BTreeMap<String, String> =
        add.tags.iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
    let (rows, stats) = match &add.stats {
        Some(text) if !text.is_empty() => FileStats::parse(text, &definition.schema, &tags)
            .map_err(|error| error.within(format!("file \"{}\"", add.path)))?,
        _ => (None, FileStats::default()),
    };
    // Delta does not tell the empty text from NULL in a partition.
    let value = |column: &String| add.partition_values.get(column).cloned().flatten().filter(|text| !text.is_empty());
    Ok(FileEntry {
        path: add.path.clone(),
        size_bytes: u64::try_from(add.size).unwrap_or_default(),
        modified_at_ms: add.modification_time,
        partition: definition.metadata.partition_columns.iter().map(value).collect(),
        rows,
        stats,
        tags,
        deletion_vector: add.deletion_vector.clone(),
    })
}

/// The `add` action of a file.
pub(in crate::tables) fn add_action(file: &FileEntry, partition_columns: &[String], data_change: bool) -> Result<Add> {
    Ok(Add {
        path: file.path.clone(),
        partition_values: partition_columns.iter().cloned().zip(file.partition.iter().cloned()).collect(),
        size: i64::try_from(file.size_bytes).map_err(|_| Error::internal("a file is too large"))?,
        modification_time: file.modified_at_ms,
        data_change,
        stats: file.rows.map(|rows| file.stats.to_json(rows)),
        tags: (!file.tags.is_empty())
            .then(|| file.tags.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()),
        deletion_vector: file.deletion_vector.clone(),
    })
}

/// The `remove` action of a file.
pub(in crate::tables) fn remove_action(
    file: &FileEntry,
    partition_columns: &[String],
    data_change: bool,
    now_ms: i64,
) -> Remove {
    Remove {
        path: file.path.clone(),
        deletion_timestamp: Some(now_ms),
        data_change,
        extended_file_metadata: Some(true),
        partition_values: Some(partition_columns.iter().cloned().zip(file.partition.iter().cloned()).collect()),
        size: i64::try_from(file.size_bytes).ok(),
        deletion_vector: file.deletion_vector.clone(),
    }
}
