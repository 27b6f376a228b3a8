//! Rows on their way into tails: into the log, and once they are durable into the next version of the database.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, oneshot};

use super::notes::{self, Claim, ClaimedKey};
use super::primary_key;
use super::{Buffer, DbVersion, EventTurn, OpenTable, Published, TableState};
use crate::catalog::definition::RelationDef;
use crate::catalog::name::Oid;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Durability, Effect, Frame, Lsn, News, Note, RowFormat};

/// How long an append waits for tails to be flushed.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(30);
const ROOM_POLL: Duration = Duration::from_millis(5);

/// What one change adds, all of it or nothing.
#[derive(Default)]
pub struct Addition {
    /// Rows of tables.
    pub rows: Vec<Rows>,
    /// How far sources have been read, by table and name.
    pub positions: Vec<(Oid, String, i64)>,
    /// The key that a client sent the rows with, and how many of its records could not be stored.
    pub key: Option<(ClaimedKey, i64)>,
    /// What is said of event times; without it, what the rows say as those of a statement.
    pub events: Vec<Note>,
    /// Held until the change has landed, or has not, also when nobody waits for it any more.
    pub rights: Vec<Right>,
}

/// A right that who adds rows has, until it is dropped.
pub enum Right {
    /// To replace rows unseen, beside others who do.
    Shared(#[expect(dead_code, reason = "it is held")] OwnedRwLockReadGuard<()>),
    /// To change rows of a table that nobody else changes.
    Alone(#[expect(dead_code, reason = "it is held")] OwnedRwLockWriteGuard<()>),
    /// To judge rows by event time.
    Judge(#[expect(dead_code, reason = "it is held")] EventTurn),
}

/// Rows of one table.
pub struct Rows {
    /// The definition that they were planned for.
    pub table: Arc<RelationDef>,
    pub effect: Effect,
    /// Checked; with exactly the table's columns, or those of its key where rows are deleted.
    pub batches: Vec<RecordBatch>,
}

impl Rows {
    /// Rows to add.
    pub fn inserted(table: &Arc<RelationDef>, batches: Vec<RecordBatch>) -> Self {
        Self { table: Arc::clone(table), effect: Effect::Insert, batches }
    }
}

/// What is held until a change has landed, or has not.
type Held = (Option<ClaimedKey>, Vec<Right>);

/// A change on its way through the log, and who waits for it.
pub(super) struct Arrival {
    rows: Vec<(Oid, Effect, RecordBatch)>,
    notes: Vec<Note>,
    _held: Held,
    done: oneshot::Sender<Result<Lsn>>,
}

impl Buffer {
    /// Adds rows and notes. When it returns they are as durable as was asked for, and visible together; whoever stops to
    /// wait for it finds all of it or nothing. Where a table's definition is another one by now, the error is 40001.
    pub async fn add(&self, addition: Addition, durability: Durability) -> Result<Lsn> {
        self.wait_for_room().await?;
        let mut tables: Vec<&RelationDef> = addition.rows.iter().map(|rows| rows.table.as_ref()).collect();
        tables.sort_by_key(|planned| planned.oid);
        tables.dedup_by_key(|planned| planned.oid);
        let mut open = Vec::with_capacity(tables.len());
        for planned in tables {
            open.push(self.gate(planned)?.read_owned().await);
        }
        let version = self.current();
        let of = |rows: &Rows| rows.batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        let count = addition.rows.first().map_or(0, of);
        let (mut frame, mut stored) = (Frame::default(), Vec::with_capacity(addition.rows.len()));
        let (is_judged, mut events) = (!addition.events.is_empty(), addition.events);
        for Rows { table, effect, batches } in addition.rows {
            refuse_changed(&version.catalog, &table)?;
            let OpenTable { format, .. } = version.open(table.oid)?;
            let format = match effect {
                Effect::Insert | Effect::Upsert => Arc::clone(format),
                Effect::Delete => RowFormat::new(primary_key::schema(format.schema(), primary_key::of(&table)?)?)?,
            };
            let rows = concat_batches(format.schema(), &batches)?;
            // A message without rows is none: the log could not be read again.
            if rows.num_rows() == 0 {
                continue;
            }
            if !is_judged && effect != Effect::Delete {
                events.extend(self.event_notes(&table, &rows)?);
            }
            frame.push(table.oid, effect, &format, &rows)?;
            stored.push((table.oid, effect, rows));
        }
        let position = |(table, name, value)| Note::Position { table, name, value, said_by: None };
        let mut notes: Vec<Note> = addition.positions.into_iter().map(position).chain(events).collect();
        let key = addition.key.map(|(key, refused)| {
            notes.push(key.note(
                self.clock.now().timestamp_millis(),
                i64::try_from(count).unwrap_or(i64::MAX),
                refused,
            ));
            key
        });
        self.submit(frame, durability, stored, notes, (key, addition.rights)).await
    }

    /// Claims a key that a client sends rows with.
    pub fn claim(&self, table: Oid, key: &str) -> Result<Claim> {
        self.published.keys.claim(table, key, self.clock.now().timestamp_millis())
    }

    /// How far something outside has been read into a table, by the name that [`Addition::positions`] had.
    #[cfg_attr(
        not(any(test, feature = "kafka", feature = "nats")),
        expect(dead_code, reason = "connectors that are not in this build ask for it")
    )]
    pub fn position(&self, table: Oid, name: &str) -> Option<i64> {
        let version = self.current();
        version.positions.get(table, name).or_else(|| version.snapshot(table).ok()?.app_version(name))
    }

    /// How much memory all tails take.
    pub fn tail_bytes(&self) -> usize {
        self.current().tails().map(|(_, tail)| tail.bytes()).sum()
    }

    /// True where tails must be flushed for their size alone.
    pub fn is_pressed(&self) -> bool {
        self.tail_bytes() > self.tail_bytes_max / 2
    }

    async fn wait_for_room(&self) -> Result<()> {
        let mut waited = Duration::ZERO;
        while let Err(full) = self.refuse_when_full() {
            if waited >= ROOM_WAIT_MAX {
                return Err(full);
            }
            self.clock.sleep(ROOM_POLL).await;
            waited += ROOM_POLL;
        }
        Ok(())
    }

    /// An error, 53400, where tails take all the memory that they may: for those who can come again.
    pub fn refuse_when_full(&self) -> Result<()> {
        if self.tail_bytes() <= self.tail_bytes_max {
            return Ok(());
        }
        Err(Error::new(ErrorKind::ConfigurationLimitExceeded, "rows come faster than they can be written to files")
            .detail(format!("The rows that wait take more than tail_bytes_max, {} bytes.", self.tail_bytes_max))
            .hint("Try again later. The server's log says if flushes fail."))
    }

    /// Waits until everything that was appended before is durable.
    pub async fn sync(&self) -> Result<Lsn> {
        self.submit(Frame::default(), Durability::Synced, Vec::new(), Vec::new(), Held::default()).await
    }

    /// Logs again the notes that still count, so that the log can do without the changes that first said them.
    pub(super) async fn repeat_notes(&self) -> Result<()> {
        let (version, now_ms) = (self.current(), self.clock.now().timestamp_millis());
        let mut notes = notes::living(&version.positions, &self.published.keys, &version.catalog, now_ms);
        notes.extend(version.event_times.notes(&version.catalog));
        self.submit(Frame::default(), Durability::Synced, Vec::new(), notes, Held::default()).await.map(drop)
    }

    async fn submit(
        &self,
        mut frame: Frame,
        durability: Durability,
        rows: Vec<(Oid, Effect, RecordBatch)>,
        notes: Vec<Note>,
        held: Held,
    ) -> Result<Lsn> {
        notes.iter().for_each(|note| frame.note(note));
        let (done, landed) = oneshot::channel();
        self.log.submit(frame, durability, Arrival { rows, notes, _held: held, done })?;
        landed.await.map_err(|_| {
            Error::new(ErrorKind::StatementCompletionUnknown, "the log ended before it had stored the rows")
        })?
    }
}

/// An error where rows are not written any more as `planned` says.
pub fn refuse_changed(catalog: &crate::catalog::Snapshot, planned: &RelationDef) -> Result<()> {
    match catalog.relation_by_oid(planned.oid) {
        Some(held) if held.stores_like(planned) => Ok(()),
        _ => {
            let message = format!(
                "could not serialize access to table \"{}\" due to a concurrent change of its definition",
                planned.name
            );
            Err(Error::new(ErrorKind::SerializationFailure, message).hint("Run the statement again."))
        }
    }
}

/// What the log's thread does with its news: the rows become visible together, then who waits for them hears of it.
pub(super) fn publisher(published: Arc<Published>, clock: Clock) -> impl FnMut(News<Arrival>) + Send + 'static {
    move |news| match news {
        News::Landed(changes) => {
            let now_ms = clock.now().timestamp_millis();
            let shown = published.replace(|current| Ok((with_changes(current, now_ms, &changes)?, ())));
            changes
                .iter()
                .for_each(|(lsn, arrival)| arrival.notes.iter().for_each(|note| published.keys.hear(*lsn, note)));
            for (lsn, arrival) in changes {
                // Who does not wait any more has gone: the rows are there all the same.
                drop(arrival.done.send(shown.clone().map(|()| lsn)));
            }
        }
        News::Failed(error, arrivals) => {
            for arrival in arrivals {
                drop(arrival.done.send(Err(error.clone())));
            }
        }
    }
}

/// The version with what has landed. Changes of one kind to one table that follow each other become one chunk of its tail.
fn with_changes(current: &DbVersion, now_ms: i64, changes: &[(Lsn, Arrival)]) -> Result<DbVersion> {
    let (mut positions, mut event_times) = (current.positions.clone(), current.event_times.clone());
    let mut lsn = current.lsn;
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (number, arrival) in changes {
        lsn = lsn.max(*number);
        for (oid, effect, rows) in &arrival.rows {
            match runs.iter_mut().rev().find(|run| run.table == *oid).filter(|run| run.effect == *effect) {
                Some(run) => {
                    run.changes.1 = *number;
                    run.rows.push(rows);
                }
                None => runs.push(Run { table: *oid, effect: *effect, changes: (*number, *number), rows: vec![rows] }),
            }
        }
        arrival.notes.iter().for_each(|note| positions.hear(*number, note));
        event_times.hear_change(&arrival.notes, now_ms, &current.catalog);
    }
    let mut tables = Arc::clone(&current.tables);
    for Run { table, effect, changes, rows } in runs {
        // A table that is gone takes its rows along.
        if let Some(TableState::Open(open)) = Arc::make_mut(&mut tables).get_mut(&table) {
            let relation = current.catalog.relation_by_oid(table);
            open.change((changes, now_ms), relation.as_deref(), effect, &rows)?;
        }
    }
    Ok(DbVersion { catalog: Arc::clone(&current.catalog), tables, positions, event_times, lsn })
}

/// Rows of changes that follow each other and do the same to one table.
struct Run<'a> {
    table: Oid,
    effect: Effect,
    /// The oldest and the newest of the changes.
    changes: (Lsn, Lsn),
    rows: Vec<&'a RecordBatch>,
}
