//! The statements that run and those that ended lately, for `system.queries`.
//!
//! A statement is noted when it starts; the guard that is given for it files the end when it is dropped.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::engine::facts::sources::StatementFact;
use crate::engine::progress::Progress;
use crate::session::server::Login;
use crate::tables::ScanSummary;

/// Ended statements that are remembered.
const REMEMBERED_MAX: usize = 1000;
/// Characters of a statement's text that are kept.
const TEXT_CHARS_MAX: usize = 10_000;

/// The log of statements of a server.
#[derive(Clone, Debug)]
pub(crate) struct StatementLog {
    clock: Clock,
    noted: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    last_id: i64,
    /// Oldest first; of running ones how far they are.
    statements: VecDeque<(StatementFact, Option<Arc<Progress>>)>,
}

impl StatementLog {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, noted: Arc::default() }
    }

    /// Notes a statement that starts now.
    pub(crate) fn start(&self, pid: i32, login: &Login, text: &str) -> Noted {
        let mut notes = self.noted.lock();
        notes.last_id += 1;
        let id = notes.last_id;
        if notes.statements.len() >= REMEMBERED_MAX {
            // Running ones stay: there are never more of those than sessions.
            let oldest = notes.statements.iter().position(|(statement, _)| statement.state != "running");
            oldest.map(|at| notes.statements.remove(at));
        }
        let (started_at, progress) = (self.clock.now(), Arc::new(Progress::default()));
        let fact = StatementFact {
            id,
            pid,
            user: login.user.clone(),
            wire: login.wire,
            sql: text.chars().take(TEXT_CHARS_MAX).collect(),
            state: "running",
            started_at,
            duration_ms: 0,
            rows: 0,
            progress: None,
            scanned: ScanSummary::default(),
            error: None,
        };
        notes.statements.push_back((fact, Some(Arc::clone(&progress))));
        Noted { log: self.clone(), id, pid, wire: login.wire, started_at, progress, error: None }
    }

    /// All that is noted, oldest first.
    pub(crate) fn list(&self) -> Vec<StatementFact> {
        let now = self.clock.now();
        let noted = self.noted.lock();
        let shown = |(statement, progress): &(StatementFact, Option<Arc<Progress>>)| {
            let mut shown = statement.clone();
            if let Some(progress) = progress {
                shown.duration_ms = elapsed_ms(statement.started_at, now);
                follow(&mut shown, progress);
            }
            shown
        };
        noted.statements.iter().map(shown).collect()
    }
}

/// What a statement has done so far.
fn follow(statement: &mut StatementFact, progress: &Progress) {
    statement.rows = progress.rows();
    statement.progress = progress.fraction();
    statement.scanned = progress.scanned();
}

fn elapsed_ms(from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
    // A clock that was set back meanwhile makes no negative time.
    (to - from).num_milliseconds().max(0)
}

/// Held while a statement runs.
pub(crate) struct Noted {
    log: StatementLog,
    id: i64,
    pid: i32,
    wire: &'static str,
    started_at: DateTime<Utc>,
    progress: Arc<Progress>,
    error: Option<String>,
}

impl Noted {
    /// How far the statement is; whoever runs it keeps it up to date.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// What is logged while the statement runs carries its number.
    pub(crate) fn span(&self) -> tracing::Span {
        tracing::info_span!("statement", query_id = self.id, pid = self.pid)
    }

    /// A program that embeds the database has the error itself; clients of a server are somewhere else.
    fn log_end(&self, duration_ms: i64) {
        let (Self { id: query_id, pid, wire, error, .. }, rows) = (self, self.progress.rows());
        match error {
            Some(error) if *wire != "embedded" => {
                tracing::info!(query_id, pid, wire, duration_ms, rows, error, "statement failed");
            }
            _ => tracing::debug!(query_id, pid, wire, duration_ms, rows, error, "statement ended"),
        }
    }

    /// Counts rows that were sent.
    pub(crate) fn rows(&self, rows: usize) {
        self.progress.sent(rows);
    }

    /// Files why the statement failed.
    pub(crate) fn failed(&mut self, error: &impl std::fmt::Display) {
        self.error = Some(error.to_string());
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let duration_ms = elapsed_ms(self.started_at, self.log.clock.now());
        self.log_end(duration_ms);
        let mut notes = self.log.noted.lock();
        let ended = notes.statements.iter_mut().rev().find(|(statement, _)| statement.id == self.id);
        if let Some((statement, progress)) = ended {
            statement.state = if self.error.is_some() { "failed" } else { "done" };
            statement.duration_ms = duration_ms;
            statement.error = self.error.take();
            follow(statement, &self.progress);
            *progress = None;
        }
    }
}
