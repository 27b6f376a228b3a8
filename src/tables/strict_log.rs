//! The log of one table: the only way in for a commit, and what the newest version is.
//!
//! Invariants: a commit that removes a file which is not active is refused (deltalake lets two OPTIMIZEs, or OPTIMIZE
//! and DELETE, from one version both land: rows double or come back); a PUT whose answer was lost is resolved by reading
//! back; versions are applied one after the other, each to the one before. It is also a deltalake `LogStore`, so that
//! deltalake's own operations pass the same gate.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use deltalake::DeltaResult;
use deltalake::kernel::Version;
use deltalake::kernel::transaction::{CommitConflictError, TransactionError};
use deltalake::logstore::{CommitOrBytes, LogStore, LogStoreConfig, LogStoreRef, StorageConfig, logstore_with};
use futures::StreamExt;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parking_lot::Mutex;
use tokio::sync::{RwLock, RwLockWriteGuard};
use uuid::Uuid;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::tables::action::Commit;
use crate::tables::checkpoint;
use crate::tables::listing::Listing;
use crate::tables::replay::{self, Damage};
use crate::tables::snapshot::{Place, Snapshot};

/// How many commit files are read at once when a table is opened.
const COMMITS_READ_AT_ONCE: usize = 16;
/// How often a PUT without an answer is tried again.
const PUT_ATTEMPTS_MAX: u32 = 4;

/// The log of one table.
pub(in crate::tables) struct StrictLog {
    place: Arc<Place>,
    clock: Clock,
    inner: LogStoreRef,
    head: ArcSwapOption<Head>,
    /// A commit of ours may be there that the head does not know of.
    doubt: AtomicBool,
    /// Held while the head moves.
    moving: tokio::sync::Mutex<()>,
    /// Snapshots that were handed out and may still be read.
    handed_out: Mutex<Vec<Weak<Snapshot>>>,
    /// Shared while an older version is opened, exclusive while VACUUM deletes.
    past: RwLock<()>,
}

/// The newest version that we know.
#[derive(Clone, Debug)]
pub(in crate::tables) struct Head {
    /// What the log says, damage included.
    pub replayed: Arc<Snapshot>,
    /// The newest version before any damage.
    pub sound: Arc<Snapshot>,
    pub damage: Option<Damage>,
}

/// What became of a commit.
#[derive(Debug)]
pub(in crate::tables) enum Appended {
    Landed(Arc<Snapshot>),
    /// Somebody else has committed that version.
    Taken,
}

impl StrictLog {
    /// The log of the table at `place`; nothing is read yet.
    pub fn new(place: Arc<Place>, clock: Clock) -> Result<Self> {
        let inner = log_store(&place)?;
        let (moving, past) = (tokio::sync::Mutex::new(()), RwLock::new(()));
        let (head, doubt, handed_out) = (ArcSwapOption::empty(), AtomicBool::new(false), Mutex::default());
        Ok(Self { place, clock, inner, head, doubt, moving, handed_out, past })
    }

    pub fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// deltalake's view of the log, without our gate.
    pub fn unguarded(&self) -> &LogStoreRef {
        &self.inner
    }

    /// The newest version that we know.
    pub fn head(&self) -> Option<Arc<Head>> {
        self.head.load_full()
    }

    /// Finds the newest version, from the last checkpoint on.
    pub async fn open(&self) -> Result<Arc<Head>> {
        let _moving = self.moving.lock().await;
        Ok(self.publish(self.newest().await?))
    }

    async fn newest(&self) -> Result<Head> {
        let hint = self.place.last_checkpoint().await?.unwrap_or_default();
        let mut listing = Listing::read(&self.place, hint).await?;
        // The hint may name a checkpoint that is gone, or whose parts were never all written.
        if listing.checkpoints.is_empty() && hint > 0 {
            listing = Listing::read(&self.place, 0).await?;
        }
        let Some(latest) = listing.latest() else {
            let message = format!("the location \"{}\" holds no Delta table", self.place.location);
            return Err(Error::new(ErrorKind::UndefinedFile, message));
        };
        self.replay_to(&listing, latest).await
    }

    /// The table at an older version.
    pub async fn at(&self, version: i64) -> Result<Arc<Snapshot>> {
        let _open = self.past.read().await;
        if let Some(known) = self.alive().into_iter().find(|snapshot| snapshot.version == version) {
            return Ok(known);
        }
        let listing = Listing::read(&self.place, 0).await?;
        let head = self.replay_to(&listing, version).await?;
        match head.damage {
            Some(damage) => Err(damage.error(&self.place)),
            None => Ok(self.hand_out(head.replayed)),
        }
    }

    async fn replay_to(&self, listing: &Listing, version: i64) -> Result<Head> {
        let mut head = None;
        let mut from = 0;
        if let Some((at, files)) = listing.checkpoint_before(version) {
            let base = checkpoint::load(&self.inner, &self.place, at, files).await?;
            head = Some(Head::sound(base));
            from = at + 1;
        }
        let mut commits = futures::stream::iter(from..=version)
            .map(|version| async move { (version, self.read_commit(version).await) })
            .buffered(COMMITS_READ_AT_ONCE);
        while let Some((version, commit)) = commits.next().await {
            let commit = commit?.ok_or_else(|| self.missing_version(version, listing))?;
            head = Some(Head::after(head.as_ref(), &self.place, &commit)?);
        }
        head.ok_or_else(|| self.missing_version(version, listing))
    }

    fn missing_version(&self, version: i64, listing: &Listing) -> Error {
        let message = format!("version {version} of the table at \"{}\" is not there", self.place.location);
        let error = Error::new(ErrorKind::InvalidParameterValue, message);
        match (listing.earliest(), listing.latest()) {
            (Some(earliest), Some(latest)) if (earliest..=latest).contains(&version) => {
                Error::new(ErrorKind::DataCorrupted, error.message().to_owned())
                    .detail(format!("The log goes from version {earliest} to {latest}, with a gap."))
            }
            (Some(earliest), Some(latest)) => error.hint(format!("There are versions {earliest} to {latest}.")),
            _ => error,
        }
    }

    /// Reads what others have committed since.
    pub async fn advance(&self) -> Result<Arc<Head>> {
        if self.head.load().is_none() {
            return self.open().await;
        }
        let _moving = self.moving.lock().await;
        let head = self.advance_to(i64::MAX).await?;
        self.doubt.store(false, Ordering::Relaxed);
        Ok(head)
    }

    /// True where it is unknown whether the newest commit of ours landed, until [`StrictLog::advance`] finds out.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.load(Ordering::Relaxed)
    }

    async fn advance_to(&self, version: i64) -> Result<Arc<Head>> {
        let mut head = self.known()?;
        while head.replayed.version < version {
            let Some(commit) = self.read_commit(head.replayed.version + 1).await? else { break };
            head = self.publish(Head::after(Some(&head), &self.place, &commit)?);
        }
        Ok(head)
    }

    /// An error where the log was cleaned up beyond what we know: then the next version would be written into the past.
    pub async fn check_not_left_behind(&self) -> Result<()> {
        let known = self.known()?.replayed.version;
        let latest = Listing::read(&self.place, known).await?.latest();
        if latest.is_some_and(|latest| latest > known) && self.read_commit(known + 1).await?.is_none() {
            // Readers and a failure here find the head that was there.
            self.open().await?;
        }
        Ok(())
    }

    /// A commit as it lies in the log; `None` where there is none.
    pub async fn read_commit(&self, version: i64) -> Result<Option<Commit>> {
        match self.place.store.get(&self.place.commit_path(version)).await {
            Ok(found) => {
                let modified_at_ms = found.meta.last_modified.timestamp_millis();
                let commit = Commit::parse(version, &found.bytes().await?);
                let mut commit =
                    commit.map_err(|error| error.within(format!("table at \"{}\"", self.place.location)))?;
                commit.modified_at_ms = Some(modified_at_ms);
                Ok(Some(commit))
            }
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds the commit to the log as its version, if that version is still free.
    pub async fn append(&self, commit: &Commit) -> Result<Appended> {
        self.append_bytes(commit, commit.print()?.into()).await
    }

    async fn append_bytes(&self, commit: &Commit, bytes: Bytes) -> Result<Appended> {
        let _moving = self.moving.lock().await;
        if self.head.load().is_some() {
            let head = self.advance_to(commit.version - 1).await?;
            if head.replayed.version >= commit.version {
                return Ok(Appended::Taken);
            }
        }
        let head = self.head.load_full();
        let restores = commit.operation() == "RESTORE";
        if let Some(damage) = head.as_ref().and_then(|head| head.damage.as_ref()).filter(|_| !restores) {
            return Err(damage.error(&self.place));
        }
        if let Some(head) = &head
            && let Some(remove) = replay::inactive_removal(&head.replayed.files, commit)
        {
            return Err(no_longer_active(&remove.path, &self.place));
        }
        // What cannot be replayed must not be written.
        let after = Head::after(head.as_deref(), &self.place, commit)?;
        match self.put_if_absent(commit.version, bytes).await? {
            true => Ok(Appended::Landed(self.publish(after).replayed.clone())),
            false => Ok(Appended::Taken),
        }
    }

    /// True when `bytes` became the commit of `version`, false when another commit did.
    async fn put_if_absent(&self, version: i64, bytes: Bytes) -> Result<bool> {
        let path = self.place.commit_path(version);
        let on_disk = self.place.location.scheme() == "file";
        let mut attempt = 0;
        loop {
            attempt += 1;
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let error = match self.place.store.put_opts(&path, bytes.clone().into(), options).await {
                Ok(_) => return Ok(true),
                Err(error @ (StoreError::NotSupported { .. } | StoreError::NotImplemented { .. })) => {
                    return Err(Error::from(error).hint("The object store must support PUT with If-None-Match."));
                }
                Err(error) => error,
            };
            // The answer may be wrong: a request that timed out, or was retried below us, may have landed.
            match self.place.store.get(&path).await {
                // No answer is lost on the way to a disk: the commit is there, but its fsync failed.
                Ok(_) if on_disk && !matches!(error, StoreError::AlreadyExists { .. }) => {
                    return Err(self.unknown_outcome(version, &error));
                }
                Ok(found) => match found.bytes().await {
                    Ok(there) => return Ok(there == bytes),
                    Err(error) => return Err(self.unknown_outcome(version, &error)),
                },
                Err(StoreError::NotFound { .. }) if on_disk => return Err(error.into()),
                Err(_) if attempt >= PUT_ATTEMPTS_MAX => return Err(self.unknown_outcome(version, &error)),
                Err(_) => self.clock.sleep(Duration::from_millis(50 << attempt)).await,
            }
        }
    }

    fn unknown_outcome(&self, version: i64, error: &StoreError) -> Error {
        self.doubt.store(true, Ordering::Relaxed);
        let at = &self.place.location;
        let message = format!("whether version {version} of the table at \"{at}\" was committed is unknown");
        Error::new(ErrorKind::StatementCompletionUnknown, message)
            .detail(error.to_string())
            .hint("Look at the table's history before you repeat the statement.")
    }

    fn publish(&self, head: Head) -> Arc<Head> {
        self.hand_out(Arc::clone(&head.replayed));
        let head = Arc::new(head);
        self.head.store(Some(Arc::clone(&head)));
        head
    }

    /// Remembers that somebody may read the snapshot's files.
    pub fn hand_out(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        let mut handed_out = self.handed_out.lock();
        handed_out.retain(|snapshot| snapshot.strong_count() > 0);
        handed_out.push(Arc::downgrade(&snapshot));
        snapshot
    }

    /// Every snapshot that somebody still holds.
    pub fn alive(&self) -> Vec<Arc<Snapshot>> {
        self.handed_out.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Nobody opens an older version as long as this is held.
    pub async fn close_past(&self) -> RwLockWriteGuard<'_, ()> {
        self.past.write().await
    }

    /// True while somebody beside the head holds a version.
    pub fn is_read(&self) -> bool {
        // The head holds what it has replayed and what is sound of it.
        self.handed_out.lock().iter().map(Weak::strong_count).sum::<usize>() > 2
    }

    fn known(&self) -> Result<Arc<Head>> {
        self.head().ok_or_else(|| Error::internal("the table has not been opened"))
    }

    async fn write_entry(&self, version: Version, bytes: Bytes) -> Result<(), TransactionError> {
        if self.head.load().is_none() && version > 0 {
            self.open().await.map_err(foreign)?;
        }
        let at = i64::try_from(version).map_err(|error| foreign(Error::internal(error.to_string())))?;
        let commit = Commit::parse(at, &bytes).map_err(foreign)?;
        match self.append_bytes(&commit, bytes).await {
            Ok(Appended::Landed(_)) => Ok(()),
            Ok(Appended::Taken) => Err(TransactionError::VersionAlreadyExists(version)),
            Err(error) if error.kind() == ErrorKind::SerializationFailure => {
                Err(CommitConflictError::ConcurrentDeleteDelete.into())
            }
            Err(error) => Err(foreign(error)),
        }
    }
}

impl Head {
    /// A version without damage.
    pub fn sound(snapshot: Snapshot) -> Self {
        let snapshot = Arc::new(snapshot);
        Self { replayed: Arc::clone(&snapshot), sound: snapshot, damage: None }
    }

    /// The head after one more commit.
    pub fn after(before: Option<&Self>, place: &Arc<Place>, commit: &Commit) -> Result<Self> {
        let (snapshot, damage) = replay::next(before.map(|head| &*head.replayed), place, commit)?;
        let earlier = before.and_then(|head| head.damage.clone()).filter(|_| commit.operation() != "RESTORE");
        match (before, earlier.or(damage)) {
            (Some(before), Some(damage)) => {
                Ok(Self { replayed: Arc::new(snapshot), sound: Arc::clone(&before.sound), damage: Some(damage) })
            }
            _ => Ok(Self::sound(snapshot)),
        }
    }
}

fn log_store(place: &Arc<Place>) -> Result<LogStoreRef> {
    let config = StorageConfig::default();
    match place.location.scheme() {
        // deltalake knows these schemes without a registration.
        "file" | "memory" => Ok(logstore_with(Arc::clone(&place.store), &place.location, config)?),
        _ => {
            let prefixed = object_store::prefix::PrefixStore::new(Arc::clone(&place.store), place.root.clone());
            Ok(deltalake::logstore::default_logstore(
                Arc::new(prefixed),
                Arc::clone(&place.store),
                &place.location,
                &config,
            ))
        }
    }
}

fn no_longer_active(path: &str, place: &Place) -> Error {
    let message =
        format!("could not serialize access to the table at \"{}\" due to a concurrent change", place.location);
    Error::new(ErrorKind::SerializationFailure, message)
        .detail(format!("Another transaction has already replaced the file \"{path}\"."))
        .hint("Run the statement again.")
}

fn foreign(error: Error) -> TransactionError {
    TransactionError::LogStoreError { msg: error.to_string(), source: Box::new(error) }
}

impl LogStore for StrictLog {
    fn name(&self) -> String {
        // deltalake takes the direct path, without staging commits, only for this name.
        "DefaultLogStore".to_owned()
    }

    fn read_commit_entry<'a, 't>(
        &'a self,
        version: Version,
    ) -> Pin<Box<dyn Future<Output = DeltaResult<Option<Bytes>>> + Send + 't>>
    where
        'a: 't,
        Self: 't,
    {
        self.inner.read_commit_entry(version)
    }

    fn write_commit_entry<'a, 't>(
        &'a self,
        version: Version,
        commit: CommitOrBytes,
        _operation: Uuid,
    ) -> Pin<Box<dyn Future<Output = Result<(), TransactionError>> + Send + 't>>
    where
        'a: 't,
        Self: 't,
    {
        match commit {
            CommitOrBytes::LogBytes(bytes) => Box::pin(self.write_entry(version, bytes)),
            CommitOrBytes::TmpCommit(path) => {
                let error = Error::internal(format!("deltalake staged a commit at {path}"));
                Box::pin(std::future::ready(Err(foreign(error))))
            }
        }
    }

    fn abort_commit_entry<'a, 't>(
        &'a self,
        version: Version,
        commit: CommitOrBytes,
        operation: Uuid,
    ) -> Pin<Box<dyn Future<Output = Result<(), TransactionError>> + Send + 't>>
    where
        'a: 't,
        Self: 't,
    {
        self.inner.abort_commit_entry(version, commit, operation)
    }

    fn get_latest_version<'a, 't>(
        &'a self,
        from: Version,
    ) -> Pin<Box<dyn Future<Output = DeltaResult<Version>> + Send + 't>>
    where
        'a: 't,
        Self: 't,
    {
        self.inner.get_latest_version(from)
    }

    fn object_store(&self, operation: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.inner.object_store(operation)
    }

    fn root_object_store(&self, operation: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.inner.root_object_store(operation)
    }

    fn config(&self) -> &LogStoreConfig {
        self.inner.config()
    }
}

#[cfg(test)]
mod tests;
