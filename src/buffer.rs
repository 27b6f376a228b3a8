//! What every statement sees: one version of the whole database, replaced atomically.
//!
//! A statement loads [`DbVersion`] once; that is its consistent view of all tables and of the catalog. Whoever
//! commits publishes the next version once. Invariant: a published version holds, for every table of its catalog,
//! a state; a table that cannot be opened is there as [`TableState::Broken`], and the others go on serving.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::StreamExt;
use parking_lot::Mutex;
use url::Url;

use crate::catalog::Catalog;
use crate::catalog::Draft;
use crate::catalog::definition::RelationDef;
use crate::catalog::name::Oid;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{Counter, Metrics};
use crate::tables;
use crate::tables::{Stores, Table};

mod mend;

/// Tables opened at the same time at start.
const OPEN_CONCURRENCY_MAX: usize = 16;

/// One consistent view of all tables and of the catalog.
pub struct DbVersion {
    /// The definitions.
    pub catalog: Arc<crate::catalog::Snapshot>,
    tables: Arc<HashMap<Oid, TableState>>,
}

/// A table within a [`DbVersion`].
#[derive(Clone)]
enum TableState {
    /// It can be read and written.
    Open { table: Arc<Table>, snapshot: Arc<tables::Snapshot> },
    /// It cannot be opened; the error says why.
    Broken(Error),
}

impl DbVersion {
    /// The table's snapshot in this version.
    pub fn snapshot(&self, oid: Oid) -> Result<&Arc<tables::Snapshot>> {
        match self.state(oid)? {
            TableState::Open { snapshot, .. } => Ok(snapshot),
            TableState::Broken(error) => Err(error.clone()),
        }
    }

    /// The table's handle, to write with.
    pub fn table(&self, oid: Oid) -> Result<&Arc<Table>> {
        match self.state(oid)? {
            TableState::Open { table, .. } => Ok(table),
            TableState::Broken(error) => Err(error.clone()),
        }
    }

    /// This version, but with that snapshot of one table: what a writer sees that holds the table's lock.
    #[must_use]
    pub fn with_snapshot(&self, oid: Oid, snapshot: Arc<tables::Snapshot>) -> Self {
        let mut tables = HashMap::clone(&self.tables);
        if let Some(TableState::Open { snapshot: held, .. }) = tables.get_mut(&oid) {
            *held = snapshot;
        }
        Self { catalog: Arc::clone(&self.catalog), tables: Arc::new(tables) }
    }

    fn state(&self, oid: Oid) -> Result<&TableState> {
        self.tables.get(&oid).ok_or_else(|| Error::internal(format!("table {oid} is in the catalog but not open")))
    }
}

/// The holder of the current [`DbVersion`].
pub struct Buffer {
    current: ArcSwap<DbVersion>,
    catalog: Catalog,
    stores: Arc<Stores>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Held while the next version is computed, so that no publish is lost.
    publishing: Mutex<()>,
}

/// What a change of the catalog does to the set of open tables.
#[derive(Default)]
pub struct TableChanges {
    /// Tables that the change adds, or opens anew.
    pub opened: Vec<(Oid, Arc<Table>)>,
    /// Tables that the change takes away.
    pub closed: Vec<Oid>,
}

impl Buffer {
    /// Opens every table of the catalog. A table that fails to open is kept as broken and logged.
    pub async fn open(catalog: Catalog, stores: Arc<Stores>, clock: Clock) -> Self {
        let definitions = catalog.snapshot();
        let wanted: Vec<Arc<RelationDef>> =
            definitions.relations().filter(|relation| relation.table().is_some()).cloned().collect();
        let opened = futures::stream::iter(wanted.into_iter().map(|relation| {
            let (stores, clock) = (Arc::clone(&stores), clock.clone());
            async move { (relation.oid, open_state(&relation, &stores, &clock).await) }
        }));
        let tables: HashMap<_, _> = opened.buffer_unordered(OPEN_CONCURRENCY_MAX).collect().await;
        mend_all(&catalog, &tables);
        let current = ArcSwap::from_pointee(DbVersion { catalog: catalog.snapshot(), tables: Arc::new(tables) });
        Self { current, catalog, stores, clock, metrics: Arc::default(), publishing: Mutex::new(()) }
    }

    /// The version that a statement which starts now sees.
    pub fn current(&self) -> Arc<DbVersion> {
        self.current.load_full()
    }

    /// The stores behind all tables.
    pub fn stores(&self) -> &Arc<Stores> {
        &self.stores
    }

    /// The source of time of all tables.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What the database counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Makes a committed table version visible. An older version than the published one changes nothing.
    pub fn publish(&self, oid: Oid, snapshot: Arc<tables::Snapshot>) {
        let _held = self.publishing.lock();
        let current = self.current();
        let Some(TableState::Open { table, snapshot: published }) = current.tables.get(&oid) else { return };
        if published.version >= snapshot.version {
            return;
        }
        self.metrics.count(Counter::Commits);
        let mut tables = HashMap::clone(&current.tables);
        tables.insert(oid, TableState::Open { table: Arc::clone(table), snapshot });
        self.current.store(Arc::new(DbVersion { catalog: Arc::clone(&current.catalog), tables: Arc::new(tables) }));
    }

    /// Changes the catalog and the set of open tables, visible at once to the next statement; on error nothing happens.
    pub fn define<T>(
        &self,
        edit: impl FnOnce(&mut Draft) -> Result<T>,
        changes: impl FnOnce(&T) -> TableChanges,
    ) -> Result<T> {
        let _held = self.publishing.lock();
        let (result, catalog) = self.catalog.change(edit)?;
        let changes = changes(&result);
        let current = self.current();
        let mut tables = Arc::clone(&current.tables);
        if !changes.opened.is_empty() || !changes.closed.is_empty() {
            let edited = Arc::make_mut(&mut tables);
            for oid in changes.closed {
                edited.remove(&oid);
            }
            for (oid, table) in changes.opened {
                let snapshot = table.snapshot();
                edited.insert(oid, TableState::Open { table, snapshot });
            }
        }
        self.current.store(Arc::new(DbVersion { catalog, tables }));
        Ok(result)
    }

    /// What [`Buffer::define`] would say to an edit; nothing is changed.
    pub fn rehearse<T>(&self, edit: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
        edit(&mut self.catalog.draft())
    }

    /// Publishes a version that another writer or RESTORE has made; the catalog follows what it says of columns.
    pub fn follow(&self, oid: Oid, snapshot: Arc<tables::Snapshot>) -> Result<()> {
        let version = self.current();
        let Some(relation) = version.catalog.relation_by_oid(oid) else { return Ok(()) };
        if agrees(&relation, &snapshot)? {
            self.publish(oid, snapshot);
            return Ok(());
        }
        let table = version.table(oid)?;
        // An ALTER TABLE or a DROP of this process may have come since: what they have left is mended, if it has to be.
        let mend = |draft: &mut Draft| match draft.relation_by_oid(oid) {
            Some(held) => {
                let mended = mend::mended(&held, &table.snapshot())?;
                mended.map_or(Ok(()), |mended| draft.replace_relation(mended)).map(|()| true)
            }
            None => Ok(false),
        };
        let opened = |is_there: &bool| is_there.then(|| (oid, Arc::clone(table))).into_iter().collect();
        self.define(mend, |is_there| TableChanges { opened: opened(is_there), closed: Vec::new() }).map(drop)
    }

    /// Looks for versions that others have committed to this table, and publishes what it finds.
    pub async fn refresh(&self, oid: Oid) -> Result<()> {
        let version = self.current();
        let table = version.table(oid)?;
        let snapshot = table.refresh().await?;
        if snapshot.version <= version.snapshot(oid)?.version {
            return Ok(());
        }
        // Another definition may be that of an ALTER TABLE of this process, whose entry in the catalog is on its way.
        let agrees = version.catalog.relation_by_oid(oid).map(|relation| agrees(&relation, &snapshot)).transpose()?;
        let _writer = if agrees == Some(false) { Some(table.lock().await?) } else { None };
        self.follow(oid, snapshot)
    }
}

/// Where a crash came between log and catalog, the catalog follows the log.
fn mend_all(catalog: &Catalog, tables: &HashMap<Oid, TableState>) {
    for relation in catalog.snapshot().relations() {
        let Some(TableState::Open { snapshot, .. }) = tables.get(&relation.oid) else { continue };
        let done = mend::mended(relation, snapshot).and_then(|mended| match mended {
            Some(mended) => catalog.change(|draft| draft.replace_relation(mended)).map(|_| true),
            None => Ok(false),
        });
        match done {
            Ok(true) => tracing::warn!(table = %relation.name, "the catalog follows the table's log"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(table = %relation.name, %error, "the catalog does not follow the table's log")
            }
        }
    }
}

async fn open_state(relation: &RelationDef, stores: &Arc<Stores>, clock: &Clock) -> TableState {
    match open_table(relation, stores, clock).await {
        Ok(table) => TableState::Open { snapshot: table.snapshot(), table },
        Err(error) => {
            tracing::error!(table = %relation.name, %error, "a table cannot be opened; the others serve");
            TableState::Broken(error.within(format!("table \"{}\" cannot be opened", relation.name)))
        }
    }
}

async fn open_table(relation: &RelationDef, stores: &Arc<Stores>, clock: &Clock) -> Result<Arc<Table>> {
    let definition = relation.table().ok_or_else(|| Error::internal("not a table"))?;
    Table::open(stores, clock, &location_url(&definition.location)?).await
}

/// True where the catalog says of a table what its log says.
pub fn agrees(relation: &RelationDef, snapshot: &tables::Snapshot) -> Result<bool> {
    Ok(mend::mended(relation, snapshot)?.is_none())
}

/// The URL of a stored location.
pub fn location_url(location: &str) -> Result<Url> {
    Url::parse(location).map_err(|error| {
        Error::new(ErrorKind::DataCorrupted, format!("the catalog holds an impossible location \"{location}\""))
            .detail(error.to_string())
    })
}
