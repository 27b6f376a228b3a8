//! The handle of one Delta table.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use futures::StreamExt;
use url::Url;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::tables::action::Commit;
use crate::tables::change::{Change, Operation};
use crate::tables::checkpoint;
use crate::tables::commit::{FileWriter, TableWriter};
use crate::tables::definition::{Definition, TableSpec};
use crate::tables::listing::Listing;
use crate::tables::snapshot::Snapshot;
use crate::tables::stores::Stores;
use crate::tables::strict_log::{Appended, Head, StrictLog};

/// Commits between two checkpoints where the table's properties do not say.
const CHECKPOINT_INTERVAL_COMMITS: i64 = 100;
/// How long a handle may trust that nobody has cleaned up the log behind its back.
const LISTING_AGE_MS_MAX: i64 = 10 * 60 * 1000;

/// One Delta table; the only writer in this process. Cheap to share.
pub struct Table {
    log: Arc<StrictLog>,
    stores: Arc<Stores>,
    clock: Clock,
    lock: Arc<tokio::sync::Mutex<()>>,
    listed_at_ms: AtomicI64,
}

/// A point in a table's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Version(i64),
    /// The newest version that was there at that time.
    Timestamp(DateTime<Utc>),
}

impl Table {
    /// Makes a table in an empty folder.
    pub async fn create(stores: &Arc<Stores>, clock: &Clock, location: &Url, spec: &TableSpec) -> Result<Arc<Self>> {
        let table = Self::at(stores, clock, location)?;
        let place = table.log.place();
        if Listing::read(place, 0).await?.latest().is_some() {
            return Err(already_there(location));
        }
        // What lies there would become part of the table's folder, and go with it.
        if place.store.list(Some(&place.root)).next().await.transpose()?.is_some() {
            let message = format!("the location \"{location}\" is not empty");
            return Err(Error::new(ErrorKind::ObjectNotInPrerequisiteState, message).hint("Name a folder of its own."));
        }
        let now_ms = clock.now().timestamp_millis();
        let definition = Definition::of_spec(spec, now_ms)?;
        let operation = Operation::new("CREATE TABLE").with("location", place.location.as_str());
        let commit = Commit {
            info: Change::new(operation).info(None, now_ms, &[]),
            protocol: Some(definition.protocol.action()),
            metadata: Some(definition.metadata),
            ..Commit::default()
        };
        match table.log.append(&commit).await? {
            Appended::Landed(_) => Ok(table),
            Appended::Taken => Err(already_there(location)),
        }
    }

    /// Opens the table in a folder, whoever made it.
    pub async fn open(stores: &Arc<Stores>, clock: &Clock, location: &Url) -> Result<Arc<Self>> {
        let table = Self::at(stores, clock, location)?;
        table.log.open().await?;
        Ok(table)
    }

    fn at(stores: &Arc<Stores>, clock: &Clock, location: &Url) -> Result<Arc<Self>> {
        let log = Arc::new(StrictLog::new(stores.place(location)?, clock.clone())?);
        Ok(Arc::new(Self {
            log,
            stores: Arc::clone(stores),
            clock: clock.clone(),
            lock: Arc::default(),
            listed_at_ms: AtomicI64::new(clock.now().timestamp_millis()),
        }))
    }

    /// The table's folder, without a trailing slash.
    pub fn location(&self) -> &Url {
        &self.log.place().location
    }

    /// The newest version that this process knows, without a look at the log. Of a damaged table (see
    /// [`Table::refresh`]) it is the last sound one.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let head = self.log.head().expect("a table is handed out only after it was opened or created");
        Arc::clone(&head.sound)
    }

    /// Reads what others have committed since. Where a foreign commit has broken the table, the error says so, and
    /// only [`Table::restore`] helps.
    pub async fn refresh(&self) -> Result<Arc<Snapshot>> {
        self.sound(&*self.log.advance().await?)
    }

    /// True where it is unknown whether the newest commit of this process landed, until [`Table::refresh`] finds out.
    pub fn is_in_doubt(&self) -> bool {
        self.log.is_in_doubt()
    }

    fn sound(&self, head: &Head) -> Result<Arc<Snapshot>> {
        match &head.damage {
            Some(damage) => Err(damage.error(self.log.place())),
            None => Ok(Arc::clone(&head.replayed)),
        }
    }

    /// The table as it was.
    pub async fn snapshot_at(&self, at: &At) -> Result<Arc<Snapshot>> {
        let version = match at {
            At::Version(version) => *version,
            At::Timestamp(when) => self.version_at(*when).await?,
        };
        let newest = self.log.advance().await?.replayed.version;
        if version > newest || version < 0 {
            let message = format!("version {version} of the table at \"{}\" is not there", self.location());
            return Err(
                Error::new(ErrorKind::InvalidParameterValue, message).hint(format!("The newest version is {newest}."))
            );
        }
        self.log.at(version).await
    }

    /// Waits for the right to commit, and reads what others have committed.
    pub async fn lock(self: &Arc<Self>) -> Result<TableWriter> {
        let guard = self.guard().await?;
        Ok(self.files_at(self.refresh().await?).locked(guard))
    }

    /// Writes files for this version of the table, beside other writers.
    pub fn files_at(self: &Arc<Self>, snapshot: Arc<Snapshot>) -> FileWriter {
        FileWriter::new(Arc::clone(self), snapshot)
    }

    /// The right to commit to a table whose log reaches to what we know.
    pub(in crate::tables) async fn guard(&self) -> Result<tokio::sync::OwnedMutexGuard<()>> {
        let guard = Arc::clone(&self.lock).lock_owned().await;
        let now_ms = self.clock.now().timestamp_millis();
        if now_ms - self.listed_at_ms.load(Ordering::Relaxed) > LISTING_AGE_MS_MAX {
            self.log.check_not_left_behind().await?;
            self.listed_at_ms.store(now_ms, Ordering::Relaxed);
        }
        Ok(guard)
    }

    /// The right to commit, whatever state the table is in.
    pub(in crate::tables) async fn lock_damaged(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.lock).lock_owned().await
    }

    pub(in crate::tables) fn log(&self) -> &Arc<StrictLog> {
        &self.log
    }

    pub(in crate::tables) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// After a commit: a checkpoint now and then, beside the writer's way.
    pub(in crate::tables) fn committed(&self, snapshot: &Arc<Snapshot>) {
        let interval = snapshot.properties().get("delta.checkpointInterval").and_then(|text| text.parse().ok());
        let interval: i64 = interval.filter(|commits| *commits > 0).unwrap_or(CHECKPOINT_INTERVAL_COMMITS);
        if snapshot.version % interval != 0 {
            return;
        }
        let Some(working) = self.stores.work() else { return };
        let (log, snapshot) = (Arc::clone(&self.log), Arc::clone(snapshot));
        tokio::spawn(async move {
            let _working = working;
            if let Err(error) = checkpoint::write(log.unguarded(), &snapshot).await {
                tracing::warn!(location = %snapshot.location(), %error, "no checkpoint was written");
            }
        });
    }

    /// The newest version that was there at `when`, by the times that commits give.
    async fn version_at(&self, when: DateTime<Utc>) -> Result<i64> {
        let listing = Listing::read(self.log.place(), 0).await?;
        let versions: Vec<i64> = listing.commits.keys().copied().collect();
        let wanted_ms = when.timestamp_millis();
        let (mut low, mut high) = (0, versions.len());
        while low < high {
            let middle = (low + high) / 2;
            let commit = self.log.read_commit(versions[middle]).await?;
            match commit.and_then(|commit| commit.committed_at_ms()) {
                Some(at_ms) if at_ms > wanted_ms => high = middle,
                _ => low = middle + 1,
            }
        }
        low.checked_sub(1).map(|at| versions[at]).ok_or_else(|| {
            let message = format!("the table at \"{}\" has no version from before {when}", self.location());
            Error::new(ErrorKind::InvalidParameterValue, message)
                .hint("DESCRIBE HISTORY shows the versions and their times.")
        })
    }
}

#[cfg(test)]
mod tests;

fn already_there(location: &Url) -> Error {
    Error::new(ErrorKind::DuplicateTable, format!("the location \"{location}\" already holds a Delta table"))
        .hint("CREATE TABLE ... USING DELTA LOCATION '...' registers an existing table.")
}
