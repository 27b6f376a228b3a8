//! A table put back to an older version, by a new commit.
//!
//! It is also the way out for a table that a foreign writer has broken: it starts from what the log says, damage included.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::{Error as StoreError, ObjectStoreExt};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::tables::action::Commit;
use crate::tables::change::{Change, Operation};
use crate::tables::deletion_vector::object_path;
use crate::tables::file_set::FileEntry;
use crate::tables::replay::{add_action, remove_action};
use crate::tables::snapshot::Snapshot;
use crate::tables::strict_log::Appended;
use crate::tables::table::{At, Table};

/// Files whose presence is looked up at once.
const LOOKUPS_AT_ONCE: usize = 16;
/// How many commits of others a restore follows before it gives up.
const ATTEMPTS_MAX: usize = 10;

impl Table {
    /// Makes the table what it was; the versions in between stay in its history.
    pub async fn restore(self: &Arc<Self>, at: &At, cancel: &CancellationToken) -> Result<Arc<Snapshot>> {
        let _lock = self.lock_damaged().await;
        let wanted = self.snapshot_at(at).await?;
        for _ in 0..ATTEMPTS_MAX {
            let head = Arc::clone(&self.log().advance().await?.replayed);
            let restoring = self.restoring(&head, &wanted);
            let commit = cancel.run_until_cancelled(restoring).await.ok_or_else(Error::canceled)??;
            if let Appended::Landed(snapshot) = self.log().append(&commit).await? {
                self.committed(&snapshot);
                return Ok(snapshot);
            }
        }
        Err(Error::new(
            ErrorKind::SerializationFailure,
            "other writers commit to the table faster than it can be restored",
        )
        .hint("Run the statement again."))
    }

    async fn restoring(&self, head: &Snapshot, wanted: &Snapshot) -> Result<Commit> {
        let differs = |from: &Snapshot, other: &Snapshot| -> Vec<Arc<FileEntry>> {
            let same = |file: &Arc<FileEntry>| {
                other.files().get(&file.path).is_some_and(|there| there.deletion_vector == file.deletion_vector)
            };
            from.files().iter().filter(|file| !same(file)).cloned().collect()
        };
        let (back, gone) = (differs(wanted, head), differs(head, wanted));
        check_present(wanted, &back).await?;
        let now_ms = self.clock().now().timestamp_millis().max(head.committed_at_ms + 1);
        let operation = Operation::new("RESTORE").with("version", wanted.version);
        let counts = [("numRestoredFiles", back.len() as u64), ("numRemovedFiles", gone.len() as u64)];
        let protocol = head.definition.protocol.raised_to(&wanted.definition.protocol);
        let same_metadata = head.definition.metadata.schema_string == wanted.definition.metadata.schema_string
            && head.definition.metadata.partition_columns == wanted.definition.metadata.partition_columns
            && head.definition.metadata.configuration == wanted.definition.metadata.configuration;
        Ok(Commit {
            version: head.version + 1,
            info: Change::new(operation).info(Some(head.version), now_ms, &counts),
            protocol: protocol.map(|protocol| protocol.action()),
            metadata: (!same_metadata).then(|| wanted.definition.metadata.clone()),
            removes: gone.iter().map(|file| remove_action(file, head.partition_columns(), true, now_ms)).collect(),
            adds: back.iter().map(|file| add_action(file, wanted.partition_columns(), true)).collect::<Result<_>>()?,
            ..Commit::default()
        })
    }
}

/// An error that names the files which VACUUM has taken away, or the bitmaps of their deleted rows.
async fn check_present(snapshot: &Snapshot, files: &[Arc<FileEntry>]) -> Result<()> {
    let missing: HashSet<String> = futures::stream::iter(files.to_vec())
        .map(|file| async move {
            let vector = file.deletion_vector.as_ref().map(|vector| object_path(snapshot.location(), vector));
            for path in std::iter::once(snapshot.object_path(&file)?).chain(vector.transpose()?.flatten()) {
                match snapshot.store().head(&path).await {
                    Ok(_) => {}
                    Err(StoreError::NotFound { .. }) => return Ok(Some(file.path.clone())),
                    Err(error) => return Err(Error::from(error)),
                }
            }
            Ok(None)
        })
        .buffer_unordered(LOOKUPS_AT_ONCE)
        .try_filter_map(|missing| async move { Ok(missing) })
        .try_collect()
        .await?;
    match missing.iter().min() {
        None => Ok(()),
        Some(first) => Err(Error::new(
            ErrorKind::UndefinedFile,
            format!("version {} cannot be restored: {} of its files are gone", snapshot.version, missing.len()),
        )
        .detail(format!("The first one is \"{first}\". VACUUM has removed what that version needs."))
        .hint("Restore a newer version.")),
    }
}
