//! Headwater: an embedded, SQL-first analytics server.
//!
//! The floors of the house, roof first; a module uses only those below it (`src/README.md` is the map).

mod wire;

mod database;
mod session;

mod ingest;

mod dialect;
mod engine;

mod buffer;
mod log;
mod tables;

mod catalog;
mod clock;
mod config;
mod error;
mod metrics;

/// The Arrow that batches are made of.
pub use arrow;
pub use config::{
    Config, Effective, Origin, SERVER_SETTINGS, SESSION_SETTINGS, Setting as ServerSetting, Settings, Trust,
    settings_document, unread_variables,
};
pub use database::{Database, Report};
/// A value of a parameter.
pub use datafusion::scalar::ScalarValue;
pub use error::{Error, ErrorKind, Result};
pub use session::{Login, OutputFormat, Prepared, Reply, Rows, Session, Tag};
pub use wire::Server;
