//! What a session tells the engine's fact tables of itself and of its server.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::{Effective, SessionSettings, SettingRow};
use crate::engine::facts::sources::{ServerFacts, SessionFact, SourceFact, StatementFact};
use crate::session::server::Server;

/// A session's view of the server.
pub(super) struct SessionFacts {
    pub(super) server: Arc<Server>,
    pub(super) settings: Arc<Mutex<SessionSettings>>,
}

impl ServerFacts for SessionFacts {
    fn session_settings(&self) -> Vec<SettingRow> {
        self.settings.lock().rows()
    }

    fn server_settings(&self) -> Vec<Effective> {
        self.server.config().settings.effective()
    }

    fn sessions(&self) -> Vec<SessionFact> {
        self.server.sessions().list()
    }

    fn statements(&self) -> Vec<StatementFact> {
        self.server.statements().list()
    }

    fn sources(&self) -> Vec<SourceFact> {
        self.server.sources().list()
    }
}
