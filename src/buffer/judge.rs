//! Judging rows by event time, when they enter the log and never again.
//!
//! Rows from outside are judged in turns, one change of a table at a time, from the look at the watermark until the change
//! has landed ([`Buffer::event_turn`]): who has the turn sees all rows that were judged before, and those that come later are
//! judged by no older watermark. The rows of a change are all judged by the watermark before it. Rows of statements are not
//! judged, since a statement stores what it says it stores; they move the watermark.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use super::event_time::{EventTime, partition_name};
use super::{Addition, Buffer};
use crate::catalog::definition::{EventWatermarkDef, RelationDef};
use crate::catalog::name::Oid;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Durability, EventFact, Note};

/// The partition of all statements.
const STATEMENTS: &str = "statements";
const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// The right to judge rows of a table until it is dropped: nobody else judges any meanwhile.
pub struct EventTurn {
    sight: Sight,
    _turn: tokio::sync::OwnedMutexGuard<()>,
}

/// What is to be said of rows.
#[derive(Debug)]
pub struct Verdict {
    /// True for each row whose event is older than the watermark.
    pub late: BooleanArray,
    /// The rows of events too far ahead of the clock: they do not move the watermark.
    pub future_rows: u64,
    /// What the change that stores the rows says of them.
    pub notes: Vec<Note>,
}

/// What rows are judged by.
struct Sight {
    table: Oid,
    watermark: EventWatermarkDef,
    time: Arc<EventTime>,
    watermark_micros: Option<i64>,
    /// Partitions that were heard before this time are idle.
    idle_before_ms: i64,
    /// Events after this one are too far ahead of the clock.
    future_micros: i64,
}

impl Buffer {
    /// The turn of who brings rows from outside into a table with a watermark; `None` for other tables.
    pub async fn event_turn(&self, relation: &RelationDef) -> Result<Option<EventTurn>> {
        if relation.table().is_none_or(|table| table.event_watermark.is_none()) {
            return Ok(None);
        }
        let turn = Arc::clone(&self.current().open(relation.oid)?.turn).lock_owned().await;
        Ok(self.sight(relation).map(|sight| EventTurn { sight, _turn: turn }))
    }

    /// What the change that stores rows of a statement says of them.
    pub(super) fn event_notes(&self, relation: &RelationDef, rows: &RecordBatch) -> Result<Vec<Note>> {
        let Some(sight) = self.sight(relation) else { return Ok(Vec::new()) };
        Ok(sight.moved(sight.events(rows)?.iter().flatten()))
    }

    /// A statement has added rows by way of files: the watermark follows the newest of these events.
    pub async fn tell_events(&self, relation: &RelationDef, micros: impl Iterator<Item = i64>) -> Result<()> {
        let Some(sight) = self.sight(relation) else { return Ok(()) };
        let addition = Addition { events: sight.moved(micros), ..Addition::default() };
        self.add(addition, Durability::Written).await.map(drop)
    }

    fn sight(&self, relation: &RelationDef) -> Option<Sight> {
        let table = relation.table()?;
        let watermark = table.event_watermark.clone()?;
        let (now_ms, time) = (self.clock.now().timestamp_millis(), self.current().event_time(relation)?);
        let watermark_micros = time.watermark_micros(table, now_ms);
        let future_micros = now_ms.saturating_add(table.max_future_ms()).saturating_mul(1000);
        let idle_before_ms = table.idle_timeout_ms().map_or(i64::MIN, |timeout_ms| now_ms.saturating_sub(timeout_ms));
        Some(Sight { table: relation.oid, watermark, time, watermark_micros, idle_before_ms, future_micros })
    }
}

impl EventTurn {
    /// The watermark that rows are judged by, in microseconds since 1970.
    pub fn watermark_micros(&self) -> Option<i64> {
        self.sight.watermark_micros
    }

    /// Judges rows. `partitions` are all partitions of the way in, those without a row here too; `of` gives each row's.
    pub fn judge(&self, rows: &RecordBatch, partitions: &[String], of: impl Fn(usize) -> usize) -> Result<Verdict> {
        let Sight { time, watermark_micros, idle_before_ms, future_micros, .. } = &self.sight;
        let known: Vec<Option<EventFact>> = partitions.iter().map(|name| time.partition(name)).collect();
        let mut facts: Vec<EventFact> = known.iter().map(|fact| fact.unwrap_or_default()).collect();
        // One that is new is spoken of in any case: it holds the watermark back from now on. So do all of a way in that comes
        // back after a silence: which of them is read first must not make the others late.
        let is_back = time.is_silent_since(partitions, *idle_before_ms);
        let mut speaks: Vec<bool> = known.iter().map(|fact| is_back || fact.is_none()).collect();
        let (mut late, mut future_rows) = (Vec::with_capacity(rows.num_rows()), 0);
        for (row, micros) in self.sight.events(rows)?.iter().enumerate() {
            let fact = &mut facts[of(row)];
            speaks[of(row)] = true;
            let is_late = micros.zip(*watermark_micros).is_some_and(|(micros, watermark)| micros < watermark);
            late.push(is_late);
            fact.late_rows += i64::from(is_late);
            match micros.is_some_and(|micros| micros > *future_micros) {
                true => (fact.future_rows, future_rows) = (fact.future_rows + 1, future_rows + 1),
                false => fact.micros = fact.micros.max(micros),
            }
        }
        let said = partitions.iter().zip(facts).zip(speaks).filter(|(_, speaks)| *speaks);
        let said = said.map(|((name, fact), _)| self.sight.note(name, fact));
        let notes = self.sight.reached().into_iter().chain(said).collect();
        Ok(Verdict { late: BooleanArray::from(late), future_rows, notes })
    }
}

impl Verdict {
    /// How many rows are late.
    pub fn late_rows(&self) -> u64 {
        self.late.true_count() as u64
    }
}

impl Sight {
    /// The times of the events, in microseconds since 1970.
    fn events(&self, rows: &RecordBatch) -> Result<Int64Array> {
        let name = &self.watermark.column;
        let Some(column) = rows.column_by_name(name) else {
            return Err(Error::internal(format!("rows lack the watermark's column \"{name}\"")));
        };
        match column.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Ok(column.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<Int64Type>())
            }
            DataType::Date32 => {
                Ok(column.as_primitive::<Date32Type>().unary(|day| i64::from(day).saturating_mul(MICROS_PER_DAY)))
            }
            other => {
                let message = format!("the watermark's column \"{name}\" holds no times, but {other}");
                Err(Error::new(ErrorKind::DatatypeMismatch, message))
            }
        }
    }

    /// What statements say that have brought these events.
    fn moved(&self, micros: impl Iterator<Item = i64>) -> Vec<Note> {
        let newest = micros.filter(|micros| *micros <= self.future_micros).max();
        let fact = EventFact { micros: newest, ..EventFact::default() };
        self.reached().into_iter().chain([self.note(STATEMENTS, fact)]).collect()
    }

    /// The note that says which watermark the change was judged by.
    fn reached(&self) -> Option<Note> {
        let fact = EventFact { micros: Some(self.watermark_micros?), ..EventFact::default() };
        let name = self.watermark.identity.clone();
        Some(Note::EventTime { table: self.table, name, fact, is_repeated: false })
    }

    fn note(&self, partition: &str, fact: EventFact) -> Note {
        let name = partition_name(&self.watermark.identity, partition);
        Note::EventTime { table: self.table, name, fact, is_repeated: false }
    }
}
