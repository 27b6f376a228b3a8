//! What every statement sees: one version of the whole database, replaced atomically.
//!
//! A statement loads [`DbVersion`] once; that is its consistent view of all tables and of the catalog. A table is a Delta
//! snapshot plus a [`Tail`]: the rows that the log ([`crate::log`]) holds and Delta does not yet. One number joins them, the
//! table's watermark: the newest change that the snapshot contains, which the commit that wrote it carries. Whoever
//! commits or appends publishes the next version once. Invariant: every row of a version is in the snapshot or in the
//! tail, never in both; a table that cannot be opened is there as [`TableState::Broken`], and the others go on serving.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use futures::StreamExt;
use parking_lot::Mutex;
use url::Url;

use crate::catalog::Catalog;
use crate::catalog::Draft;
use crate::catalog::definition::RelationDef;
use crate::catalog::name::Oid;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Effect, Log, LogOptions, LogStatus, Lsn, RowFormat};
use crate::metrics::{Counter, Metrics};
use crate::tables;
use crate::tables::{Stores, Table};

mod append;
mod event_time;
mod judge;
mod mend;
mod notes;
mod primary_key;
mod recovery;
mod tail;

pub use append::{Addition, Right, Rows, refuse_changed};
pub use event_time::EventTime;
pub use judge::{EventTurn, Verdict};
pub use notes::{Claim, ClaimedKey};
pub use primary_key::encoded as encoded_keys;
pub use tail::Tail;

use append::Arrival;
use event_time::EventTimes;
use notes::{Keys, Positions};

/// Tables opened at the same time at start.
const OPEN_CONCURRENCY_MAX: usize = 16;

/// One consistent view of all tables and of the catalog.
#[derive(Clone)]
pub struct DbVersion {
    /// The definitions.
    pub catalog: Arc<crate::catalog::Snapshot>,
    tables: Arc<HashMap<Oid, TableState>>,
    positions: Positions,
    event_times: EventTimes,
    /// The newest change of the log that the version contains.
    pub lsn: Lsn,
}

/// A table within a [`DbVersion`].
#[derive(Clone)]
enum TableState {
    /// It can be read and written.
    Open(OpenTable),
    /// It cannot be opened; the error says why.
    Broken(Error),
}

#[derive(Clone)]
struct OpenTable {
    table: Arc<Table>,
    snapshot: Arc<tables::Snapshot>,
    tail: Arc<Tail>,
    /// The newest change that the snapshot contains.
    watermark: Lsn,
    format: Arc<RowFormat>,
    /// Shared by who appends rows, exclusive for who changes what rows look like.
    gate: Arc<tokio::sync::RwLock<()>>,
    /// Shared by who replaces rows by key unseen, and by UPDATE, DELETE and MERGE, which the table's lock keeps apart;
    /// exclusive for who reads rows to replace them by way of the tail.
    rows: Arc<tokio::sync::RwLock<()>>,
    /// Held by who judges rows by event time, until they have landed.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl OpenTable {
    fn new(table: Arc<Table>, app: &str) -> Result<Self> {
        let snapshot = table.snapshot();
        let (watermark, format) = (watermark(&snapshot, app), RowFormat::new(Arc::clone(snapshot.arrow_schema()))?);
        let (gate, rows, turn) = Default::default();
        Ok(Self { table, snapshot, tail: Arc::default(), watermark, format, gate, rows, turn })
    }

    /// Takes the rows of changes, by the oldest and the newest number and the time in milliseconds since 1970, into the tail.
    fn change(
        &mut self,
        (changes, now_ms): ((Lsn, Lsn), i64),
        relation: Option<&RelationDef>,
        effect: Effect,
        rows: &[&RecordBatch],
    ) -> Result<()> {
        let schema = self.format.schema();
        let key = || primary_key::of(relation.ok_or_else(|| Error::internal("rows with keys have no table"))?);
        let tail = match effect {
            Effect::Insert => self.tail.inserted(changes, now_ms, &tail::joined(rows, schema)?)?,
            Effect::Upsert => {
                let rows = tail::joined(rows, schema)?;
                let keys = tail::conformed(&rows, &primary_key::schema(schema, key()?)?)?;
                self.tail.replaced(changes, now_ms, &rows, keys)?
            }
            Effect::Delete => {
                let keys = tail::joined(rows, &primary_key::schema(schema, key()?)?)?;
                self.tail.deleted(changes, now_ms, schema, keys)?
            }
        };
        self.tail = Arc::new(tail);
        Ok(())
    }

    /// The table with another version of its files; what these contain leaves the tail.
    fn at(&self, snapshot: Arc<tables::Snapshot>, app: &str) -> Result<Self> {
        let format = match Arc::ptr_eq(snapshot.arrow_schema(), self.snapshot.arrow_schema()) {
            true => Arc::clone(&self.format),
            false => RowFormat::new(Arc::clone(snapshot.arrow_schema()))?,
        };
        let watermark = watermark(&snapshot, app);
        let mut tail = self.tail.after(watermark);
        if !Arc::ptr_eq(format.schema(), self.format.schema()) {
            let fits = tail.conformed(format.schema());
            tail = fits.map_err(|error| error.within("rows of the log do not fit the table's new columns"))?;
        }
        let tail = Arc::new(tail);
        Ok(Self { snapshot, tail, watermark, format, ..self.clone() })
    }
}

/// The newest change of this database's log that a snapshot contains.
fn watermark(snapshot: &tables::Snapshot, app: &str) -> Lsn {
    Lsn(snapshot.app_version(app).unwrap_or_default())
}

impl DbVersion {
    /// The table's snapshot in this version.
    pub fn snapshot(&self, oid: Oid) -> Result<&Arc<tables::Snapshot>> {
        self.open(oid).map(|open| &open.snapshot)
    }

    /// The table's rows that its snapshot does not contain.
    pub fn tail(&self, oid: Oid) -> Result<&Arc<Tail>> {
        self.open(oid).map(|open| &open.tail)
    }

    /// The newest change of the log that the table's files hold.
    pub fn watermark(&self, oid: Oid) -> Result<Lsn> {
        self.open(oid).map(|open| open.watermark)
    }

    /// How far the events of a table have got; `None` where it has no watermark.
    pub fn event_time(&self, relation: &RelationDef) -> Option<Arc<EventTime>> {
        self.event_times.of(relation)
    }

    /// The table's handle, to write with.
    pub fn table(&self, oid: Oid) -> Result<&Arc<Table>> {
        self.open(oid).map(|open| &open.table)
    }

    /// This version, but with that snapshot of one table and no tail: what a writer sees that holds the table's lock, after
    /// a flush. Rows that came since count as added later.
    #[must_use]
    pub fn with_snapshot(&self, oid: Oid, snapshot: Arc<tables::Snapshot>) -> Self {
        let mut tables = HashMap::clone(&self.tables);
        if let Some(TableState::Open(open)) = tables.get_mut(&oid) {
            open.snapshot = snapshot;
            open.tail = Arc::default();
        }
        Self { tables: Arc::new(tables), ..self.clone() }
    }

    /// This version, but with one table as a later one has it.
    #[must_use]
    pub fn with_table_of(&self, oid: Oid, later: &Self) -> Self {
        let mut tables = HashMap::clone(&self.tables);
        if let Some(state) = later.tables.get(&oid) {
            tables.insert(oid, state.clone());
        }
        Self { tables: Arc::new(tables), ..self.clone() }
    }

    /// The tables with a tail.
    pub fn tails(&self) -> impl Iterator<Item = (Oid, &Arc<Tail>)> {
        self.tables.iter().filter_map(|(oid, state)| match state {
            TableState::Open(open) if !open.tail.is_empty() => Some((*oid, &open.tail)),
            _ => None,
        })
    }

    fn open(&self, oid: Oid) -> Result<&OpenTable> {
        match self.tables.get(&oid) {
            Some(TableState::Open(open)) => Ok(open),
            Some(TableState::Broken(error)) => Err(error.clone()),
            None => Err(Error::internal(format!("table {oid} is in the catalog but not open"))),
        }
    }
}

/// The holder of the current [`DbVersion`].
pub struct Buffer {
    published: Arc<Published>,
    catalog: Catalog,
    stores: Arc<Stores>,
    clock: Clock,
    metrics: Arc<Metrics>,
    log: Log<Arrival>,
    /// The name under which tables keep their watermark.
    app: String,
    /// Changes from this one on belong to tables that cannot be opened: the log keeps them.
    kept_from: Option<Lsn>,
    /// What all tails together may take.
    tail_bytes_max: usize,
}

/// What a buffer may take.
pub struct BufferOptions {
    pub log: LogOptions,
    /// What all tails together may take.
    pub tail_bytes_max: usize,
}

/// Rows that a flush is to write.
pub struct Sealed {
    pub tail: Arc<Tail>,
    /// What the commit says of them: the name of this database's log, and the newest change.
    pub watermark: (String, i64),
    /// How far sources had been read when they had brought these rows.
    pub positions: Vec<(String, i64)>,
}

/// The current version, shared with the log's thread.
struct Published {
    current: ArcSwap<DbVersion>,
    /// Held while the next version is computed, so that no publish is lost.
    publishing: Mutex<()>,
    keys: Arc<Keys>,
}

impl Published {
    /// Puts the next version, computed from the current one, in its place.
    fn replace<T>(&self, next: impl FnOnce(&DbVersion) -> Result<(DbVersion, T)>) -> Result<T> {
        let _held = self.publishing.lock();
        let (version, value) = next(&self.current.load())?;
        self.current.store(Arc::new(version));
        Ok(value)
    }
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
    /// Opens every table of the catalog, and reads the log in `log_folder`. A table that fails to open is kept as broken
    /// and logged.
    pub async fn open(
        catalog: Catalog,
        stores: Arc<Stores>,
        clock: Clock,
        log_folder: &Path,
        options: BufferOptions,
    ) -> Result<Self> {
        let app = recovery::name(log_folder)?;
        let definitions = catalog.snapshot();
        let wanted: Vec<Arc<RelationDef>> =
            definitions.relations().filter(|relation| relation.table().is_some()).cloned().collect();
        let opened = futures::stream::iter(wanted.into_iter().map(|relation| {
            let (stores, clock, app) = (Arc::clone(&stores), clock.clone(), app.clone());
            async move { (relation.oid, open_state(&relation, &stores, &clock, &app).await) }
        }));
        let mut tables: HashMap<_, _> = opened.buffer_unordered(OPEN_CONCURRENCY_MAX).collect().await;
        mend_all(&catalog, &tables);
        let recovered = recovery::recover(log_folder, options.log, &clock, &catalog.snapshot(), &mut tables)?;
        let lsn = recovered.opened.last().max(recovered.used);
        let (positions, event_times) = (recovered.positions, recovered.event_times);
        let version = DbVersion { catalog: catalog.snapshot(), tables: Arc::new(tables), positions, event_times, lsn };
        let (current, keys) = (ArcSwap::from_pointee(version), Arc::new(recovered.keys));
        let published = Arc::new(Published { current, publishing: Mutex::new(()), keys });
        let log = recovered.opened.start(recovered.used, append::publisher(Arc::clone(&published), clock.clone()))?;
        let (kept_from, tail_bytes_max) = (recovered.kept_from, options.tail_bytes_max);
        Ok(Self { published, catalog, stores, clock, metrics: Arc::default(), log, app, kept_from, tail_bytes_max })
    }

    /// The version that a statement which starts now sees.
    pub fn current(&self) -> Arc<DbVersion> {
        self.published.current.load_full()
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
    pub fn publish(&self, oid: Oid, snapshot: Arc<tables::Snapshot>) -> Result<()> {
        self.published.replace(|current| {
            let mut tables = Arc::clone(&current.tables);
            if let Some(TableState::Open(open)) = current.tables.get(&oid)
                && open.snapshot.version < snapshot.version
            {
                self.metrics.count(Counter::Commits);
                Arc::make_mut(&mut tables).insert(oid, TableState::Open(open.at(snapshot, &self.app)?));
            }
            Ok((DbVersion { tables, ..current.clone() }, ()))
        })
    }

    /// Changes the catalog and the set of open tables, visible at once to the next statement; on error nothing happens.
    pub fn define<T>(
        &self,
        edit: impl FnOnce(&mut Draft) -> Result<T>,
        changes: impl FnOnce(&T) -> TableChanges,
    ) -> Result<T> {
        self.published.replace(|current| {
            let (result, catalog) = self.catalog.change(edit)?;
            let changes = changes(&result);
            let mut tables = Arc::clone(&current.tables);
            if !changes.opened.is_empty() || !changes.closed.is_empty() {
                let edited = Arc::make_mut(&mut tables);
                for oid in changes.closed {
                    edited.remove(&oid);
                }
                for (oid, table) in changes.opened {
                    let open = match edited.get(&oid) {
                        Some(TableState::Open(open)) => open.at(table.snapshot(), &self.app)?,
                        _ => OpenTable::new(table, &self.app)?,
                    };
                    edited.insert(oid, TableState::Open(open));
                }
            }
            Ok((DbVersion { catalog, tables, ..current.clone() }, result))
        })
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
            return self.publish(oid, snapshot);
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

    /// Freezes the tail of a table for a flush. What nobody has waited for is durable then: a table must not hold a change
    /// whose number could be used again after a crash.
    pub async fn seal(&self, oid: Oid) -> Result<Option<Sealed>> {
        let (tail, positions) = self.published.replace(|current| {
            let mut tables = HashMap::clone(&current.tables);
            let mut tail = Arc::default();
            if let Some(TableState::Open(open)) = tables.get_mut(&oid) {
                open.tail = Arc::new(open.tail.sealed());
                tail = Arc::clone(&open.tail);
            }
            Ok((DbVersion { tables: Arc::new(tables), ..current.clone() }, (tail, current.positions.of(oid))))
        })?;
        let Some(last) = tail.last() else { return Ok(None) };
        self.sync().await?;
        Ok(Some(Sealed { tail, watermark: (self.app.clone(), last.0), positions }))
    }

    /// Lets the log go up to the oldest row that no table holds.
    pub async fn release_log(&self) -> Result<()> {
        let version = self.current();
        let oldest = version.tails().filter_map(|(_, tail)| tail.first()).chain(self.kept_from).min();
        let released = oldest.map_or(version.lsn, |oldest| Lsn(oldest.0 - 1));
        if !self.log.has_free(released) {
            return Ok(());
        }
        self.repeat_notes().await?;
        self.log.release(released).map(drop)
    }

    /// Keeps rows from being appended to a table for as long as the guard lives. Where the table's definition is not
    /// `planned` any more, the error is 40001.
    pub async fn close_gate(&self, planned: &RelationDef) -> Result<tokio::sync::OwnedRwLockWriteGuard<()>> {
        Ok(self.gate(planned)?.write_owned().await)
    }

    /// The right to change rows of a table beside others who do not look at them.
    pub async fn share_rows(&self, planned: &RelationDef) -> Result<Right> {
        Ok(Right::Shared(self.row_lock(planned)?.read_owned().await))
    }

    /// The right to change rows of a table while nobody else does.
    pub async fn own_rows(&self, planned: &RelationDef) -> Result<Right> {
        Ok(Right::Alone(self.row_lock(planned)?.write_owned().await))
    }

    fn row_lock(&self, planned: &RelationDef) -> Result<Arc<tokio::sync::RwLock<()>>> {
        let version = self.current();
        refuse_changed(&version.catalog, planned)?;
        Ok(Arc::clone(&version.open(planned.oid)?.rows))
    }

    fn gate(&self, planned: &RelationDef) -> Result<Arc<tokio::sync::RwLock<()>>> {
        let version = self.current();
        refuse_changed(&version.catalog, planned)?;
        Ok(Arc::clone(&version.open(planned.oid)?.gate))
    }

    /// What the log holds.
    pub fn log_status(&self) -> LogStatus {
        self.log.status()
    }

    /// Takes no more rows; what came is durable when it returns.
    pub fn close(&self) {
        self.log.close();
    }

    /// True where it is unknown whether the table's newest commit landed, until [`Buffer::refresh`] finds out.
    pub fn is_in_doubt(&self, oid: Oid) -> bool {
        self.current().table(oid).is_ok_and(|table| table.is_in_doubt())
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
        let Some(TableState::Open(OpenTable { snapshot, .. })) = tables.get(&relation.oid) else { continue };
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

async fn open_state(relation: &RelationDef, stores: &Arc<Stores>, clock: &Clock, app: &str) -> TableState {
    let opened = open_table(relation, stores, clock).await.and_then(|table| OpenTable::new(table, app));
    match opened {
        Ok(open) => TableState::Open(open),
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
