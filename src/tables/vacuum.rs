//! VACUUM: removes data files that no version needs any more, and log files that no reader needs.
//!
//! Spared are the files of the newest version, of every snapshot that somebody in this process still holds, and of every version younger than the retention; and young files that no commit names yet, because a
//! writer somewhere may be about to. It runs under the table's lock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::tables::change::{Change, Operation, Reads};
use crate::tables::deletion_vector;
use crate::tables::file_set::DeletionVector;
use crate::tables::history::removal_time;
use crate::tables::listing::Listing;
use crate::tables::properties::duration;
use crate::tables::snapshot::{Place, Snapshot};
use crate::tables::table::Table;

/// What VACUUM is asked to do.
#[derive(Clone, Debug, Default)]
pub struct VacuumOptions {
    /// Versions younger than this stay readable; by default `delta.deletedFileRetentionDuration`, else a week.
    pub retain: Option<Duration>,
    /// Only says what it would remove.
    pub dry_run: bool,
}

/// What VACUUM removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VacuumReport {
    /// Paths relative to the table, sorted.
    pub files: Vec<String>,
    pub size_bytes: u64,
    /// Commits and checkpoints.
    pub log_files: Vec<String>,
}

/// The operation that VACUUM leaves in a table's history, as Spark names it, and what it measures.
pub(in crate::tables) const VACUUMED: &str = "VACUUM END";
pub(in crate::tables) const DELETED_FILES: &str = "numDeletedFiles";
pub(in crate::tables) const DELETED_BYTES: &str = "sizeOfDeletedFiles";

const RETAIN_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);
const LOG_RETAIN_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);
/// A file that no commit names is a writer's work in progress until it is this old.
const UNCOMMITTED_AGE_MS_MIN: i64 = 24 * 3600 * 1000;
/// Data files that are deleted at the same time.
const DELETES_AT_ONCE: usize = 16;

impl Table {
    /// Removes what nobody needs, and notes in the table's history that it did. Canceled, it has removed some of that.
    pub async fn vacuum(self: &Arc<Self>, options: VacuumOptions, cancel: &CancellationToken) -> Result<VacuumReport> {
        let mut writer = self.lock().await?;
        let vacuumed = self.vacuum_locked(writer.snapshot(), &options);
        let report = cancel.run_until_cancelled(vacuumed).await.ok_or_else(Error::canceled)??;
        if !(options.dry_run || report.files.is_empty() && report.log_files.is_empty()) {
            let operation = Operation::new(VACUUMED)
                .measured(DELETED_FILES, report.files.len())
                .measured(DELETED_BYTES, report.size_bytes);
            writer.commit(Change { reads: Reads::Nothing, data_change: false, ..Change::new(operation) }).await?;
        }
        Ok(report)
    }

    async fn vacuum_locked(&self, snapshot: &Arc<Snapshot>, options: &VacuumOptions) -> Result<VacuumReport> {
        if let Some(feature) = snapshot.read_only_reason() {
            return Err(Error::unsupported(format!(
                "the table is read-only: it needs the Delta feature \"{feature}\""
            )));
        }
        let retain = match options.retain {
            Some(retain) => retain,
            None => duration_of(snapshot, "delta.deletedFileRetentionDuration")?.unwrap_or(RETAIN_DEFAULT),
        };
        let now_ms = self.clock().now().timestamp_millis();
        let cutoff_ms = now_ms.saturating_sub(i64::try_from(retain.as_millis()).unwrap_or(i64::MAX));
        let known = self.known_files(snapshot, cutoff_ms, now_ms).await?;
        let mut dead = self.dead_files(&known, cutoff_ms, now_ms).await?;
        // The search took a while. From here on nobody opens an older version; who was faster keeps its files.
        let _closed = self.log().close_past().await;
        let place = self.log().place();
        let held = self.held_files()?;
        dead.retain(|file| !held.needed.contains(&relative(place, &file.location)));
        let log_files = self.dead_log_files(snapshot, now_ms).await?;
        if !options.dry_run {
            let files = dead.iter().map(|file| file.location.clone());
            futures::stream::iter(files)
                .map(Ok)
                .try_for_each_concurrent(DELETES_AT_ONCE, |path| delete(place, path))
                .await?;
            // In order: a reader that lists the log meanwhile finds no hole in it.
            for path in &log_files {
                delete(place, path.clone()).await?;
            }
        }
        let mut files: Vec<String> = dead.iter().map(|file| relative(place, &file.location)).collect();
        files.sort();
        Ok(VacuumReport {
            files,
            size_bytes: dead.iter().map(|file| file.size).sum(),
            log_files: log_files.iter().map(|path| relative(place, path)).collect(),
        })
    }

    /// What versions need that somebody holds.
    fn held_files(&self) -> Result<Known> {
        let mut known = Known::new(self.log().place());
        for held in self.log().alive() {
            known.need_all(&held)?;
        }
        Ok(known)
    }

    /// What versions need, and when other files were removed from the table.
    async fn known_files(&self, snapshot: &Arc<Snapshot>, cutoff_ms: i64, now_ms: i64) -> Result<Known> {
        let mut known = self.held_files()?;
        known.need_all(snapshot)?;
        let oldest_ms = cutoff_ms.min(now_ms - UNCOMMITTED_AGE_MS_MIN);
        for version in (0..=snapshot.version).rev() {
            let Some(commit) = self.log().read_commit(version).await? else {
                known.need_tombstones(self, version + 1, cutoff_ms).await?;
                break;
            };
            for remove in &commit.removes {
                known.removed(&remove.path, remove.deletion_vector.as_ref(), removal_time(&commit, remove))?;
            }
            let at_ms = commit.committed_at_ms().unwrap_or(i64::MAX);
            for cdc in &commit.cdc {
                known.removed(&cdc.path, None, at_ms)?;
            }
            if at_ms < oldest_ms {
                break;
            }
        }
        Ok(known)
    }

    async fn dead_files(&self, known: &Known, cutoff_ms: i64, now_ms: i64) -> Result<Vec<ObjectMeta>> {
        let place = self.log().place();
        let all = place.store.list(Some(&place.root));
        let is_dead = |file: &ObjectMeta| {
            let path = relative(place, &file.location);
            if is_hidden(&path) || known.needed.contains(&path) {
                return false;
            }
            match known.removed_at_ms.get(&path) {
                Some(removed_at_ms) => *removed_at_ms <= cutoff_ms,
                None => file.last_modified.timestamp_millis() < cutoff_ms.min(now_ms - UNCOMMITTED_AGE_MS_MIN),
            }
        };
        let dead = all.try_filter(|file| std::future::ready(is_dead(file)));
        Ok(dead.try_collect().await?)
    }

    /// Commits and checkpoints before the newest checkpoint that is old enough and at or before every version in use.
    async fn dead_log_files(&self, snapshot: &Snapshot, now_ms: i64) -> Result<Vec<Path>> {
        if snapshot.properties().get("delta.enableExpiredLogCleanup").is_some_and(|value| value == "false") {
            return Ok(Vec::new());
        }
        let retain = duration_of(snapshot, "delta.logRetentionDuration")?.unwrap_or(LOG_RETAIN_DEFAULT);
        let cutoff_ms = now_ms.saturating_sub(i64::try_from(retain.as_millis()).unwrap_or(i64::MAX));
        let listing = Listing::read(self.log().place(), 0).await?;
        let in_use = self.log().alive().iter().map(|held| held.version).min();
        let until = in_use.unwrap_or(snapshot.version).min(snapshot.version);
        let mut keep_from = None;
        for version in listing.checkpoints.keys().filter(|version| **version <= until) {
            let commit = self.log().read_commit(*version).await?;
            if commit.and_then(|commit| commit.committed_at_ms()).is_some_and(|at_ms| at_ms <= cutoff_ms) {
                keep_from = Some(*version);
            }
        }
        let Some(keep_from) = keep_from else { return Ok(Vec::new()) };
        let place = self.log().place();
        let commits = listing.commits.range(..keep_from).map(|(version, _)| place.commit_path(*version));
        let checkpoints = listing.checkpoints.range(..keep_from).flat_map(|(_, files)| files.clone());
        Ok(commits.chain(checkpoints).collect())
    }
}

/// Paths of a table, relative to it.
struct Known {
    place: Arc<Place>,
    needed: HashSet<String>,
    removed_at_ms: HashMap<String, i64>,
}

impl Known {
    fn new(place: &Arc<Place>) -> Self {
        Self { place: Arc::clone(place), needed: HashSet::new(), removed_at_ms: HashMap::new() }
    }

    fn need_all(&mut self, snapshot: &Snapshot) -> Result<()> {
        for file in snapshot.files().iter() {
            self.needed.insert(file.path.clone());
            if let Some(vector) = &file.deletion_vector {
                self.needed.extend(vector_path(&self.place, vector)?);
            }
        }
        Ok(())
    }

    fn removed(&mut self, path: &str, vector: Option<&DeletionVector>, at_ms: i64) -> Result<()> {
        let vector = vector.map(|vector| vector_path(&self.place, vector)).transpose()?.flatten();
        for path in std::iter::once(path.to_owned()).chain(vector) {
            let last = self.removed_at_ms.entry(path).or_insert(at_ms);
            *last = at_ms.max(*last);
        }
        Ok(())
    }

    /// Where the log has been cleaned up, a checkpoint still tells what was removed lately.
    async fn need_tombstones(&mut self, table: &Table, version: i64, cutoff_ms: i64) -> Result<()> {
        let mut delta = deltalake::DeltaTable::new(Arc::clone(table.log().unguarded()));
        let version =
            deltalake::kernel::Version::try_from(version).map_err(|_| Error::internal("a version is negative"))?;
        delta.load_version(version).await?;
        let mut tombstones = delta.snapshot()?.all_tombstones(table.log().unguarded().as_ref());
        while let Some(tombstone) = tombstones.try_next().await? {
            let at_ms = tombstone.deletion_timestamp().unwrap_or(i64::MAX);
            if at_ms > cutoff_ms {
                self.removed(&tombstone.path(), None, at_ms)?;
            }
        }
        Ok(())
    }
}

/// Names that other tools keep for themselves. Recorded changes and partitions of columns like `_a` are ours.
pub(in crate::tables) fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| {
        let reserved = part.starts_with('_') || part.starts_with('.');
        reserved && part != "_change_data" && !part.contains('=')
    })
}

/// The file of a bitmap that lies beside the data.
pub(in crate::tables) fn vector_path(place: &Place, vector: &DeletionVector) -> Result<Option<String>> {
    let path = deletion_vector::object_path(&place.location, vector)?;
    Ok(path.map(|path| relative(place, &path)))
}

pub(in crate::tables) fn relative(place: &Place, path: &Path) -> String {
    let full = path.as_ref();
    full.strip_prefix(place.root.as_ref()).unwrap_or(full).trim_start_matches('/').to_owned()
}

async fn delete(place: &Place, path: Path) -> Result<()> {
    match place.store.delete(&path).await {
        // Somebody else was faster.
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A property like `interval 30 days`.
fn duration_of(snapshot: &Snapshot, property: &str) -> Result<Option<Duration>> {
    let Some(text) = snapshot.properties().get(property) else { return Ok(None) };
    duration(text).map(Some).ok_or_else(|| {
        Error::new(ErrorKind::InvalidParameterValue, format!("property {property} = \"{text}\" is not a duration"))
            .hint("Write it as 'interval 7 days'.")
    })
}

#[cfg(test)]
mod tests;
