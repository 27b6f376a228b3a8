//! How a source is doing, for `system.sources`: counted since the server started.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::engine::facts::sources::SourceState;
use crate::error::Error;

/// Rates are over this many seconds.
const RATE_SECONDS: i64 = 10;

/// The changing facts of one source.
#[derive(Default)]
pub(super) struct Status(Mutex<Seen>);

/// What was seen.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub state: SourceState,
    pub rows: u64,
    pub bytes: u64,
    pub batches: u64,
    pub dead_letters: u64,
    pub errors: u64,
    pub last_error: Option<String>,
    pub last_error_at: Option<DateTime<Utc>>,
    pub last_row_at: Option<DateTime<Utc>>,
    /// When the next attempt comes.
    pub retry_at: Option<DateTime<Utc>>,
    pub partitions: u64,
    /// Records that are known to wait.
    pub lag_rows: Option<u64>,
    /// How old the newest record was when it was stored.
    pub lag_ms: Option<i64>,
    /// Seconds and the rows of each, oldest first.
    recent: VecDeque<(i64, u64)>,
}

impl Status {
    pub fn state(&self, state: SourceState) {
        let mut seen = self.0.lock();
        seen.state = state;
        seen.retry_at = None;
    }

    pub fn update(&self, update: impl FnOnce(&mut Seen)) {
        update(&mut self.0.lock());
    }

    /// Something went wrong, and is tried again at a time, or not.
    pub fn failed(&self, error: &Error, now: DateTime<Utc>, state: SourceState, retry_at: Option<DateTime<Utc>>) {
        let mut seen = self.0.lock();
        seen.errors += 1;
        seen.last_error = Some(error.to_string());
        seen.last_error_at = Some(now);
        (seen.state, seen.retry_at) = (state, retry_at);
    }

    /// A batch has been stored.
    pub fn stored(&self, rows: u64, dead_letters: u64, bytes: u64, now: DateTime<Utc>) {
        let mut seen = self.0.lock();
        seen.rows += rows;
        seen.dead_letters += dead_letters;
        seen.bytes += bytes;
        seen.batches += 1;
        if rows > 0 {
            seen.last_row_at = Some(now);
        }
        let second = now.timestamp();
        match seen.recent.back_mut() {
            Some(last) if last.0 == second => last.1 += rows,
            _ => seen.recent.push_back((second, rows)),
        }
        while seen.recent.front().is_some_and(|(at, _)| *at <= second - RATE_SECONDS) {
            seen.recent.pop_front();
        }
    }

    pub fn seen(&self) -> Seen {
        self.0.lock().clone()
    }
}

impl Seen {
    /// Rows a second, over the last seconds.
    pub fn rows_per_second(&self, now: DateTime<Utc>) -> f64 {
        let since = now.timestamp() - RATE_SECONDS;
        let rows: u64 = self.recent.iter().filter(|(at, _)| *at > since).map(|(_, rows)| rows).sum();
        rows as f64 / RATE_SECONDS as f64
    }
}
