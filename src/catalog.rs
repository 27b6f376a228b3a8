//! Names to definitions: what exists in the database, with permanent numbers.
//!
//! Readers hold an immutable [`Snapshot`]; a change edits a [`Draft`], is written in one SQLite transaction and is
//! then published in one swap. Invariant: what is published is what the store holds; an error leaves both as they were.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};

mod check;
pub mod constraint_name;
pub mod definition;
mod dependency;
mod draft;
mod lock;
pub mod name;
pub mod pg_type;
mod snapshot;
mod store;
pub mod system;

#[cfg(test)]
mod tests;

pub use check::Problem;
pub use dependency::{describe, describe_source};
pub use draft::Draft;
pub use lock::FolderLock;
pub use snapshot::{Found, Snapshot};

use store::Store;

/// The database's definitions: a store on disk and the snapshot that everyone reads.
pub struct Catalog {
    /// The writer's side; the lock makes changes one at a time.
    store: Mutex<Store>,
    published: ArcSwap<Snapshot>,
    /// The next number to give. It only grows, also when a change fails.
    next_oid: Arc<AtomicU32>,
}

impl Catalog {
    /// Opens the catalog file, or makes it with the role `headwater` and the schema `public`.
    pub fn open(path: &Path) -> Result<Self> {
        Self::load(Store::open(path)?)
    }

    /// A catalog that is gone when it is dropped.
    #[cfg(test)]
    pub fn in_memory() -> Result<Self> {
        Self::load(Store::in_memory()?)
    }

    fn load(store: Store) -> Result<Self> {
        let loaded = store.load()?;
        Ok(Self {
            store: Mutex::new(store),
            published: ArcSwap::from_pointee(loaded.snapshot),
            next_oid: Arc::new(AtomicU32::new(loaded.next_oid)),
        })
    }

    /// What exists now. It never changes under its holder.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.load_full()
    }

    /// Edits the definitions and publishes them, all or nothing. Changes wait for each other.
    pub fn change<T>(&self, edit: impl FnOnce(&mut Draft) -> Result<T>) -> Result<(T, Arc<Snapshot>)> {
        let mut store = self.store.lock();
        let mut draft = self.draft();
        let value = edit(&mut draft)?;
        let snapshot = self.write(&mut store, draft)?;
        Ok((value, snapshot))
    }

    /// A draft to edit over several statements; [`Catalog::publish`] makes it real, dropping it forgets it.
    pub fn draft(&self) -> Draft {
        Draft::over(&self.snapshot(), Arc::clone(&self.next_oid))
    }

    /// Publishes a draft; fails with 40001 when another change was published since it was begun.
    #[cfg_attr(not(test), expect(dead_code, reason = "transactions over several statements will take it"))]
    pub fn publish(&self, draft: Draft) -> Result<Arc<Snapshot>> {
        let mut store = self.store.lock();
        if draft.is_unchanged() {
            return Ok(self.snapshot());
        }
        if draft.generation != self.published.load().generation {
            return Err(Error::new(
                ErrorKind::SerializationFailure,
                "could not serialize access: definitions were changed by another transaction",
            )
            .hint("Run the transaction again."));
        }
        self.write(&mut store, draft)
    }

    fn write(&self, store: &mut Store, draft: Draft) -> Result<Arc<Snapshot>> {
        if draft.is_unchanged() {
            return Ok(self.snapshot());
        }
        let (snapshot, writes) = draft.finish();
        store.commit(&writes, self.next_oid.load(std::sync::atomic::Ordering::SeqCst))?;
        let snapshot = Arc::new(snapshot);
        self.published.store(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// Looks for damage in the store and for definitions that contradict each other; nothing found is an empty list.
    pub fn check(&self) -> Result<Vec<Problem>> {
        let store = self.store.lock();
        check::check(&store, &self.snapshot())
    }
}
