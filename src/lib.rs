//! Headwater: an embedded, SQL-first analytics server.
//!
//! The floors of the house, roof first; a module uses only those below it (`src/README.md` is the map).

mod wire;

mod database;
mod session;

mod engine;
mod dialect;

mod buffer;
mod tables;

mod catalog;
mod metrics;
mod config;
mod clock;
mod error;

pub use error::{Error, ErrorKind, Result};
