//! What the engine asks the floors above it for: sessions, statements and settings. They answer through a trait.

use chrono::{DateTime, Utc};

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
