//! The only owner of DataFusion: one run-time for all statements, planning, running, functions.
//!
//! A statement gets a [`Scope`] (what it sees and as whom), is planned against it and runs under the shared memory
//! pool. Reads give a stream; writes go through [`write`], so every path casts, fills defaults and checks alike.

use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use parking_lot::Mutex;

use crate::buffer::Buffer;

mod assign;
mod changes;
pub mod column;
mod compact;
mod conflict;
pub mod context;
pub mod create;
mod curve;
pub mod definition;
pub mod delete;
mod event_time;
pub mod explain;
pub mod facts;
pub mod files;
mod flush;
pub mod functions;
mod hits;
pub mod insert;
mod kept;
mod memory;
pub mod merge;
pub mod optimize;
mod overlay;
pub mod plan;
pub mod progress;
pub mod read_files;
pub mod returning;
mod rewrite;
pub mod run;
mod scan;
pub mod scope;
pub mod shim;
mod sorted_joins;
mod target;
pub mod update;
mod values;
pub mod write;
mod yielding;

pub use context::EngineConfig;
pub use plan::Planned;
pub use scope::Scope;

use conflict::Turns;
use write::KnownRules;

/// The engine: one a database.
pub struct Engine {
    runtime: Arc<RuntimeEnv>,
    /// The state that each statement's own is cloned from.
    template: Arc<SessionState>,
    buffer: Arc<Buffer>,
    config: EngineConfig,
    rules: Mutex<KnownRules>,
    turns: Arc<Turns>,
}
