//! The watermark of a table's events: up to when all of them are taken to be there, and what becomes of those that come later.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{RelationDef, TableDef};
use crate::catalog::name::quote_identifier;
use crate::catalog::pg_type::PgType;
use crate::config::Kind;
use crate::error::{Error, ErrorKind, Result};

/// `WATERMARK FOR column AS column - delay`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventWatermarkDef {
    /// The column with the time of the event.
    pub column: String,
    /// SQL text of the interval, and how long it is.
    pub delay: String,
    pub delay_micros: i64,
    /// Names what is known of the events: a watermark that is dropped and made again starts anew.
    pub identity: String,
}

/// What becomes of a row from outside whose event is older than the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatePolicy {
    /// It is stored as any other.
    Update,
    /// It is left out.
    Drop,
    /// It goes to `t$late`.
    Side,
}

const LATE: &str = "late";
const IDLE_TIMEOUT: &str = "idle_timeout";
const MAX_FUTURE: &str = "max_future";

/// The options of a table that say what its watermark does.
pub const EVENT_OPTIONS: [&str; 3] = [LATE, IDLE_TIMEOUT, MAX_FUTURE];

const LATE_WORDS: [&str; 3] = ["update", "drop", "side"];
/// A partition without rows for so long holds the watermark back no more.
const IDLE_TIMEOUT_MS_DEFAULT: i64 = 5 * 60 * 1000;
/// An event that is so far ahead of the server's clock does not move the watermark.
const MAX_FUTURE_MS_DEFAULT: i64 = 5 * 60 * 1000;

/// The value of such an option in its one spelling: milliseconds, or the policy's name.
pub fn event_option_value(name: &str, value: &str) -> Result<String> {
    let kind = if name == LATE { Kind::Choice(&LATE_WORDS) } else { Kind::Milliseconds };
    kind.canonical(name, value.trim())
}

/// That a table's watermark is one, and that no option speaks of one that is not there.
pub fn check_event_watermark(relation: &RelationDef) -> Result<()> {
    let Some(table) = relation.table() else { return Ok(()) };
    let Some(EventWatermarkDef { column, .. }) = &table.event_watermark else {
        return match EVENT_OPTIONS.iter().find(|name| table.options.contains_key(**name)) {
            None => Ok(()),
            Some(name) => {
                let message = format!("option \"{name}\" means nothing for a table without a watermark");
                Err(Error::new(ErrorKind::InvalidParameterValue, message)
                    .hint("Give the table one: WATERMARK FOR column AS column - INTERVAL '5 seconds'."))
            }
        };
    };
    let Some(held) = relation.column(column) else {
        let message = format!("watermark column \"{column}\" does not exist");
        return Err(Error::new(ErrorKind::UndefinedColumn, message));
    };
    match held.pg_type {
        PgType::Timestamp | PgType::Timestamptz | PgType::Date => Ok(()),
        _ => {
            let message = format!("watermark column \"{column}\" is of type {}", held.pg_type);
            Err(Error::new(ErrorKind::DatatypeMismatch, message)
                .hint("The time of an event is a timestamptz, a timestamp or a date."))
        }
    }
}

impl fmt::Display for EventWatermarkDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = quote_identifier(&self.column);
        write!(f, "WATERMARK FOR {column} AS {column} - {}", self.delay)
    }
}

impl LatePolicy {
    /// The word in WITH and in system views.
    pub fn name(self) -> &'static str {
        LATE_WORDS[self as usize]
    }
}

impl TableDef {
    /// What becomes of late rows from outside.
    pub fn late_policy(&self) -> LatePolicy {
        let policies = [LatePolicy::Drop, LatePolicy::Side];
        let named = |policy: &LatePolicy| self.options.get(LATE).is_some_and(|value| value == policy.name());
        policies.into_iter().find(named).unwrap_or(LatePolicy::Update)
    }

    /// After so long without rows a partition holds the watermark back no more; `None` for never.
    pub fn idle_timeout_ms(&self) -> Option<i64> {
        Some(self.milliseconds(IDLE_TIMEOUT, IDLE_TIMEOUT_MS_DEFAULT)).filter(|timeout_ms| *timeout_ms > 0)
    }

    /// How far ahead of the server's clock an event may be and still move the watermark.
    pub fn max_future_ms(&self) -> i64 {
        self.milliseconds(MAX_FUTURE, MAX_FUTURE_MS_DEFAULT)
    }

    fn milliseconds(&self, option: &str, default: i64) -> i64 {
        self.options.get(option).and_then(|value| value.parse().ok()).unwrap_or(default)
    }
}
