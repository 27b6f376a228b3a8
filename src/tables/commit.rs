//! The writer of a table: files first, then the one commit that names them.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use object_store::ObjectStoreExt;
use tokio::sync::OwnedMutexGuard;

use crate::error::{Error, ErrorKind, Result};
use crate::tables::action::{Commit, Txn};
use crate::tables::change::{Change, Reads};
use crate::tables::definition::Definition;
use crate::tables::file_set::FileEntry;
use crate::tables::replay::{add_action, remove_action};
use crate::tables::snapshot::Snapshot;
use crate::tables::strict_log::Appended;
use crate::tables::table::Table;
use crate::tables::write::{self, WriteOptions};

/// How many foreign commits in a row a change follows before it gives up.
const REBASES_MAX: usize = 100;

/// Writes files for a table as it is at one version: nobody sees them before a commit names them.
pub struct FileWriter {
    table: Arc<Table>,
    snapshot: Arc<Snapshot>,
}

/// The right to commit to a table: there is one at a time in this process.
pub struct TableWriter {
    files: FileWriter,
    _lock: OwnedMutexGuard<()>,
    /// Whatever else is held until the commit has ended, however it ends.
    held: Option<Box<dyn Send + Sync>>,
}

impl Deref for TableWriter {
    type Target = FileWriter;

    fn deref(&self) -> &FileWriter {
        &self.files
    }
}

impl FileWriter {
    pub(in crate::tables) fn new(table: Arc<Table>, snapshot: Arc<Snapshot>) -> Self {
        Self { table, snapshot }
    }

    /// Waits for the right to commit `added`. The change is still one of the version that they were written for.
    pub async fn lock_for(self, added: &[FileEntry]) -> Result<TableWriter> {
        let guard = self.or_discard(added, self.table.guard().await).await?;
        Ok(self.locked(guard))
    }

    pub(in crate::tables) fn locked(self, guard: OwnedMutexGuard<()>) -> TableWriter {
        TableWriter { files: self, _lock: guard, held: None }
    }

    /// What the next change is made from; after a commit, what it made.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Writes the rows to new files, which nobody sees before a commit names them.
    pub async fn write(&self, stream: SendableRecordBatchStream, options: &WriteOptions) -> Result<Vec<FileEntry>> {
        self.check_writable()?;
        write::write(&self.snapshot, self.table.clock(), stream, options).await
    }

    /// As [`FileWriter::write`], for a commit that also changes the table's metadata: rows have the new columns.
    pub async fn write_as(
        &self,
        metadata: &crate::tables::MetadataChange,
        stream: SendableRecordBatchStream,
        options: &WriteOptions,
    ) -> Result<Vec<FileEntry>> {
        self.check_writable()?;
        let definition = Arc::new(self.snapshot.definition.changed(metadata)?);
        let changed = Snapshot { definition, ..Snapshot::clone(&self.snapshot) };
        write::write(&changed, self.table.clock(), stream, options).await
    }

    /// What came out. When it is an error, the files, which no commit will name now, are deleted.
    pub async fn or_discard<T>(&self, files: &[FileEntry], outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.discard(files).await;
        }
        outcome
    }

    /// Deletes files that no commit names. What cannot be deleted stays until VACUUM.
    pub async fn discard(&self, files: &[FileEntry]) {
        for file in files.iter().filter(|file| self.snapshot.files().get(&file.path).is_none()) {
            let deleted = match self.snapshot.object_path(file) {
                Ok(path) => self.snapshot.store().delete(&path).await.map_err(Error::from),
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                tracing::warn!(path = file.path, %error, "an uncommitted file stays until VACUUM");
            }
        }
    }

    /// An error where we cannot write this table.
    pub fn check_writable(&self) -> Result<()> {
        match self.snapshot.read_only_reason() {
            None => Ok(()),
            Some(feature) => Err(Error::unsupported(format!(
                "the table at \"{}\" is read-only: it needs the Delta feature \"{feature}\"",
                self.snapshot.location()
            ))),
        }
    }
}

impl TableWriter {
    /// Holds this as long as the right to commit.
    pub fn hold(&mut self, held: impl Send + Sync + 'static) {
        self.held = Some(Box::new(held));
    }

    /// Makes the change visible and durable, or leaves the table as it is and deletes the files. Commits of others in
    /// between are followed where [`Reads`] allows it; otherwise the error is 40001.
    pub async fn commit(&mut self, change: Change) -> Result<Arc<Snapshot>> {
        let landed = self.land(&change).await;
        match &landed {
            Ok(snapshot) => self.files.snapshot = Arc::clone(snapshot),
            // The commit may be there, and need its files.
            Err(error) if error.kind() == ErrorKind::StatementCompletionUnknown => {}
            Err(_) => self.discard(&change.added).await,
        }
        landed
    }

    async fn land(&self, change: &Change) -> Result<Arc<Snapshot>> {
        self.check_writable()?;
        let mut base = Arc::clone(&self.snapshot);
        for _ in 0..REBASES_MAX {
            if let Some((app, version)) = &change.app
                && base.app_version(app).is_some_and(|done| done >= *version)
            {
                self.discard(&change.added).await;
                return Ok(base);
            }
            let commit = build(change, &base, self.table.clock().now().timestamp_millis())?;
            match self.table.log().append(&commit).await? {
                Appended::Landed(snapshot) => {
                    self.table.committed(&snapshot);
                    return Ok(snapshot);
                }
                Appended::Taken => base = self.follow(change, &base).await?,
            }
        }
        Err(Error::new(
            ErrorKind::SerializationFailure,
            "other writers commit to the table faster than this statement can",
        )
        .hint("Run the statement again."))
    }

    /// The newest version, if nothing between `base` and it is in the way of the change.
    async fn follow(&self, change: &Change, base: &Snapshot) -> Result<Arc<Snapshot>> {
        let head = self.table.log().advance().await?;
        for version in base.version + 1..=head.replayed.version {
            let winner = self.table.log().read_commit(version).await?.ok_or_else(|| {
                Error::new(ErrorKind::DataCorrupted, format!("version {version} has vanished from the table's log"))
            })?;
            change.check_against(&winner)?;
        }
        match &head.damage {
            Some(damage) => Err(damage.error(self.table.log().place())),
            None => Ok(Arc::clone(&head.replayed)),
        }
    }
}

/// An error where the table's properties do not let us make the change.
fn refuse_change(change: &Change, base: &Snapshot) -> Result<()> {
    if !change.data_change || change.removed.is_empty() {
        return Ok(());
    }
    let is_on = |name: &str| base.properties().get(name).is_some_and(|value| value == "true");
    if is_on("delta.appendOnly") {
        let message = format!("the table at \"{}\" is append-only", base.location());
        return Err(Error::new(ErrorKind::ObjectNotInPrerequisiteState, message)
            .hint("ALTER TABLE ... SET (delta.appendOnly = false) allows changes again."));
    }
    // Who reads the feed takes what is added and removed together for rows that were all changed, unless files say more.
    if is_on("delta.enableChangeDataFeed") && !change.added.is_empty() {
        let message =
            format!("the table at \"{}\" has a change data feed, which cannot be written yet", base.location());
        return Err(Error::unsupported(message)
            .detail("Rows can be added, and files deleted as a whole.")
            .hint("ALTER TABLE ... RESET (delta.enableChangeDataFeed) ends the feed and allows all changes."));
    }
    Ok(())
}

/// The commit that makes `change` on top of `base`.
pub(in crate::tables) fn build(change: &Change, base: &Snapshot, now_ms: i64) -> Result<Commit> {
    refuse_change(change, base)?;
    // Time never runs backwards in a log: time travel searches it.
    let now_ms = now_ms.max(base.committed_at_ms + 1);
    let definition = match &change.metadata {
        Some(metadata) => Arc::new(base.definition.changed(metadata)?),
        None => Arc::clone(&base.definition),
    };
    let mut commit = Commit { version: base.version + 1, ..Commit::default() };
    commit.protocol = (definition.protocol != base.definition.protocol).then(|| definition.protocol.action());
    commit.metadata = change.metadata.is_some().then(|| definition.metadata.clone());
    commit.txns.extend(change.app.iter().chain(&change.positions).map(|(app, version)| Txn {
        app_id: app.clone(),
        version: *version,
        last_updated: Some(now_ms),
    }));
    let removed = removed_files(change, base)?;
    let columns = base.partition_columns();
    commit.removes = removed.iter().map(|file| remove_action(file, columns, change.data_change, now_ms)).collect();
    commit.adds = add_actions(change, &definition)?;
    let total = |count: &dyn Fn(&FileEntry) -> u64, files: &[FileEntry]| files.iter().map(count).sum::<u64>();
    commit.info = change.info(
        Some(base.version),
        now_ms,
        &[
            ("numFiles", change.added.len() as u64),
            ("numOutputRows", total(&|file| file.live_rows().unwrap_or_default(), &change.added)),
            ("numOutputBytes", total(&|file| file.size_bytes, &change.added)),
            ("numRemovedFiles", removed.len() as u64),
            ("numRemovedRows", removed.iter().map(|file| file.live_rows().unwrap_or_default()).sum()),
            ("numRemovedBytes", removed.iter().map(|file| file.size_bytes).sum()),
        ],
    );
    Ok(commit)
}

fn removed_files(change: &Change, base: &Snapshot) -> Result<Vec<Arc<FileEntry>>> {
    let mut seen = HashSet::new();
    let paths = change.removed.iter().filter(|path| seen.insert(path.as_str()));
    paths
        .map(|path| {
            base.files().get(path).cloned().ok_or_else(|| {
                Error::new(
                    ErrorKind::SerializationFailure,
                    "could not serialize access to the table due to a concurrent change",
                )
                .detail(format!("The file \"{path}\" is no longer part of the table."))
                .hint("Run the statement again.")
            })
        })
        .collect()
}

fn add_actions(change: &Change, definition: &Definition) -> Result<Vec<crate::tables::action::Add>> {
    let columns = &definition.metadata.partition_columns;
    let add = |file| {
        debug_assert!(change.reads != Reads::Nothing || change.removed.is_empty(), "a blind append removes nothing");
        add_action(file, columns, change.data_change)
    };
    change.added.iter().map(add).collect()
}

#[cfg(test)]
mod tests;
