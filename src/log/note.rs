//! Notes: facts that are logged with rows and stand or fall with them.
//!
//! A note's message, in a part whose kind says which note it is:
//!
//! ```text
//! numbers 4 x i64 | length of the name u32 | 0 u32 | name, filled up with zeros
//! ```

use crate::catalog::name::Oid;
use crate::log::Lsn;
use crate::log::frame::{Kind, number32, number64};

const NAME_AT: usize = 40;
/// A moment before all events.
const NO_EVENT: i64 = i64::MIN;

/// A fact about a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// How far something outside has been read into the table. The newest note of a name counts.
    Position {
        table: Oid,
        /// The whole identity of what is read; it goes into the Delta log as the name of an application.
        name: String,
        value: i64,
        /// The change that first said so; none for the one that the note is logged with.
        said_by: Option<Lsn>,
    },
    /// A client has sent rows under a key of its own, and may send them again: they are not added twice.
    Key { table: Oid, key: String, fact: KeyFact },
    /// How far the events of a table have got. Of several notes of a name the greatest numbers count.
    EventTime {
        table: Oid,
        /// The watermark's identity, and behind a slash the partition, unless it speaks of the whole table.
        name: String,
        fact: EventFact,
        /// It was said before, and is logged again: no row came with it.
        is_repeated: bool,
    },
}

/// What is known of the events of a partition, or of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFact {
    /// The newest event of the partition, or the watermark of the table: microseconds since 1970.
    pub micros: Option<i64>,
    /// The rows that came late, since the watermark was declared.
    pub late_rows: i64,
    /// Those of events too far ahead of the clock.
    pub future_rows: i64,
}

/// What became of the rows that were sent under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFact {
    /// The change that stored them; none for the one that the note is logged with.
    pub lsn: Option<Lsn>,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The rows that were stored.
    pub rows: i64,
    /// The records that could not be stored.
    pub refused: i64,
}

impl Note {
    /// The table.
    pub fn table(&self) -> Oid {
        match self {
            Self::Position { table, .. } | Self::Key { table, .. } | Self::EventTime { table, .. } => *table,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Position { .. } => Kind::Position,
            Self::Key { .. } => Kind::Key,
            Self::EventTime { .. } => Kind::EventTime,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let (numbers, name) = match self {
            Self::Position { name, value, said_by, .. } => ([number_of(*said_by), *value, 0, 0], name),
            Self::Key { key, fact, .. } => ([number_of(fact.lsn), fact.at_ms, fact.rows, fact.refused], key),
            Self::EventTime { name, fact, is_repeated, .. } => {
                let micros = fact.micros.unwrap_or(NO_EVENT);
                ([i64::from(*is_repeated), micros, fact.late_rows, fact.future_rows], name)
            }
        };
        let mut message: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        message.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
        message.resize(NAME_AT, 0);
        message.extend_from_slice(name.as_bytes());
        message.resize(message.len().next_multiple_of(8), 0);
        message
    }

    /// The note in a message of that kind, if it is one.
    pub(super) fn decode(kind: Kind, table: Oid, message: &[u8]) -> Option<Self> {
        let head = message.get(..NAME_AT)?;
        let number = |place: usize| number64(head, place * 8);
        let length = number32(head, 32) as usize;
        let name = std::str::from_utf8(message.get(NAME_AT..NAME_AT.checked_add(length)?)?).ok()?.to_owned();
        match kind {
            Kind::Position => Some(Self::Position { table, name, value: number(1), said_by: change(number(0)) }),
            Kind::Key => {
                let fact = KeyFact { lsn: change(number(0)), at_ms: number(1), rows: number(2), refused: number(3) };
                Some(Self::Key { table, key: name, fact })
            }
            Kind::EventTime => {
                let micros = Some(number(1)).filter(|micros| *micros != NO_EVENT);
                let fact = EventFact { micros, late_rows: number(2), future_rows: number(3) };
                Some(Self::EventTime { table, name, fact, is_repeated: number(0) != 0 })
            }
            Kind::Format | Kind::Rows(_) => None,
        }
    }
}

/// Changes are numbered from 1 on.
fn number_of(change: Option<Lsn>) -> i64 {
    change.map_or(0, |lsn| lsn.0)
}

fn change(number: i64) -> Option<Lsn> {
    (number != 0).then_some(Lsn(number))
}
