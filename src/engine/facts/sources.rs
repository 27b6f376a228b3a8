//! What the engine asks the floors above it for: sessions, statements and settings. They answer through a trait.

use chrono::{DateTime, Utc};

use crate::catalog::name::Oid;
use crate::config::{Effective, SettingRow};
use crate::tables::ScanSummary;

/// What the server knows of itself.
pub trait ServerFacts: Send + Sync {
    /// The settings of the session that asks.
    fn session_settings(&self) -> Vec<SettingRow>;
    /// The settings of the server.
    fn server_settings(&self) -> Vec<Effective>;
    /// The open sessions.
    fn sessions(&self) -> Vec<SessionFact>;
    /// The statements that run and those that ended lately, oldest first.
    fn statements(&self) -> Vec<StatementFact>;
    /// The sources, each as it is doing.
    fn sources(&self) -> Vec<SourceFact>;
}

/// An open session.
#[derive(Clone, Debug)]
pub struct SessionFact {
    /// The number that CancelRequest names it by.
    pub pid: i32,
    /// The role.
    pub user: String,
    /// The wire it came over.
    pub wire: &'static str,
    /// The client's address.
    pub address: Option<String>,
    /// Whether TLS protects it.
    pub encrypted: bool,
    /// What the client called itself when it logged in.
    pub application_name: Option<String>,
    /// When it logged in.
    pub started_at: DateTime<Utc>,
}

/// A statement that runs or has run.
#[derive(Clone, Debug)]
pub struct StatementFact {
    /// Its number since the server started.
    pub id: i64,
    /// The session that ran it.
    pub pid: i32,
    /// The role it ran as.
    pub user: String,
    /// The wire it came over.
    pub wire: &'static str,
    /// Its text.
    pub sql: String,
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took, or has taken so far.
    pub duration_ms: i64,
    /// Rows it gave or wrote so far.
    pub rows: u64,
    /// How far it is, from 0 to 1, where that is known.
    pub progress: Option<f64>,
    /// What its scans have read so far.
    pub scanned: ScanSummary,
    /// Why it failed.
    pub error: Option<String>,
}

/// What a source is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceState {
    /// It was told to start.
    #[default]
    Starting,
    /// It reads, or waits for something to read.
    Running,
    /// It does not read until rows have gone from memory to files.
    Full,
    /// It has failed and will try again soon.
    Retrying,
    /// It has failed often and tries rarely: the breaker is open.
    Broken,
    /// It was told not to read, or has told itself.
    Paused,
}

impl SourceState {
    /// The word in system views.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Full => "full",
            Self::Retrying => "retrying",
            Self::Broken => "broken",
            Self::Paused => "paused",
        }
    }
}

/// A source and how it is doing; what is counted is since the server started.
#[derive(Clone, Debug)]
pub struct SourceFact {
    /// Its number.
    pub id: Oid,
    /// Its schema.
    pub schema: Oid,
    /// Its name.
    pub name: String,
    /// The table that it fills.
    pub table: Oid,
    /// `files`, `nats`, `kafka`.
    pub connector: &'static str,
    /// What it is doing.
    pub state: SourceState,
    /// Why it is paused.
    pub pause_reason: Option<String>,
    /// Rows stored.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Changes of the log.
    pub batches: u64,
    /// Records that went aside.
    pub dead_letters: u64,
    /// Rows a second, over the last ten seconds.
    pub rows_per_second: f64,
    /// Files, subjects or partitions that it reads.
    pub partitions: u64,
    /// Records that are known to wait.
    pub lag_rows: Option<u64>,
    /// How old the newest record was when it was stored.
    pub lag_ms: Option<i64>,
    /// The watermark of its table, were there no other way into it; in microseconds since 1970.
    pub event_watermark_micros: Option<i64>,
    /// Rows whose event was older than the watermark, since this was declared.
    pub late_rows: i64,
    /// Rows of events too far ahead of the clock.
    pub future_rows: i64,
    /// Failures.
    pub errors: u64,
    /// The last of them.
    pub last_error: Option<String>,
    /// When it came.
    pub last_error_at: Option<DateTime<Utc>>,
    /// When the last row was stored.
    pub last_row_at: Option<DateTime<Utc>>,
    /// When it tries again.
    pub retry_at: Option<DateTime<Utc>>,
    /// The options, secrets masked.
    pub options: String,
}
