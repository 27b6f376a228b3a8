//! What one statement sees, and as whom.

use std::sync::{Arc, LazyLock};

use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::ExprPlanner;

use crate::buffer::DbVersion;
use crate::catalog::Found;
use crate::catalog::definition::RelationDef;
use crate::catalog::name::{ObjectName, Oid};
use crate::config::{Effective, SettingRow};
use crate::engine::Engine;
use crate::engine::facts::sources::{ServerFacts, SessionFact, SourceFact, StatementFact};
use crate::engine::functions::FunctionContext;
use crate::engine::progress::Progress;
use crate::engine::shim::operators::Operators;
use crate::error::{Error, ErrorKind, Result};

/// What one statement sees, and as whom: a pinned version of the database and what functions know of the session.
#[derive(Clone)]
pub struct Scope {
    /// The pinned version.
    pub version: Arc<DbVersion>,
    /// What session functions (`current_user`, `now`) answer; holds the search path.
    pub functions: Arc<FunctionContext>,
    /// How far the statement is.
    pub progress: Arc<Progress>,
    /// The view whose text is planned: its names mean what they meant when it was made.
    pub(in crate::engine) view: Option<Arc<RelationDef>>,
    /// DataFusion's state for this statement; its `now()` stands still. Made where it is asked for: a copy is dear, and what
    /// needs no plan does without.
    pub(in crate::engine) state: Arc<LazyState>,
    /// What gives operators PostgreSQL's meaning, before DataFusion's own.
    pub(in crate::engine) expr_planners: Arc<[Arc<dyn ExprPlanner>]>,
}

/// DataFusion's state once somebody has asked for it.
pub(in crate::engine) type LazyState = LazyLock<SessionState, Box<dyn FnOnce() -> SessionState + Send>>;

impl Engine {
    /// The scope of a statement that starts now.
    pub fn scope(&self, version: Arc<DbVersion>, functions: Arc<FunctionContext>) -> Scope {
        let ours: Arc<dyn ExprPlanner> = Arc::new(Operators::new(Arc::clone(&functions)));
        let expr_planners = std::iter::once(ours).chain(self.template().expr_planners().iter().cloned()).collect();
        let (template, zone) = (Arc::clone(self.template()), functions.time_zone);
        let state: LazyState = LazyLock::new(Box::new(move || {
            let mut state = SessionState::clone(&template);
            state.config_mut().options_mut().execution.time_zone = Some(zone.name().to_owned());
            state.mark_start_execution();
            state
        }));
        Scope { version, functions, progress: Arc::default(), view: None, state: Arc::new(state), expr_planners }
    }

    /// The scope of work that no session asked for.
    pub fn background_scope(&self) -> Scope {
        let (version, now) = (self.buffer().current(), self.buffer().clock().now());
        let functions = FunctionContext {
            database: String::new(),
            user: String::new(),
            session_user: String::new(),
            search_path: Vec::new(),
            catalog: Arc::clone(&version.catalog),
            time_zone: chrono_tz::UTC,
            started_at: now,
            server_started_at: now,
            backend_pid: 0,
            client_address: None,
            read_setting: Arc::new(|_| None),
            write_setting: Arc::new(|_, _, _| Ok(())),
            size_of: Arc::new(|_| None),
            server: Arc::new(Background),
        };
        self.scope(version, Arc::new(functions))
    }
}

/// Whoever works without a session knows nothing of sessions.
struct Background;

impl ServerFacts for Background {
    fn session_settings(&self) -> Vec<SettingRow> {
        Vec::new()
    }

    fn server_settings(&self) -> Vec<Effective> {
        Vec::new()
    }

    fn sessions(&self) -> Vec<SessionFact> {
        Vec::new()
    }

    fn statements(&self) -> Vec<StatementFact> {
        Vec::new()
    }

    fn sources(&self) -> Vec<SourceFact> {
        Vec::new()
    }
}

impl Scope {
    /// The schemas in which names without one are looked up.
    pub fn search_path(&self) -> &[String] {
        &self.functions.search_path
    }

    /// What a name stands for.
    pub(in crate::engine) fn find(&self, name: &ObjectName) -> Option<Found> {
        match self.view.as_ref().and_then(|view| view.view()) {
            Some(view) => self.version.catalog.find_in_view(view, name),
            None => self.version.catalog.find(name, self.search_path()),
        }
    }

    /// The table of that name, one that has versions.
    pub(in crate::engine) fn versioned_table(&self, name: &ObjectName) -> Result<Arc<RelationDef>> {
        match self.find(name) {
            Some(Found::Relation(relation)) if relation.table().is_some() => Ok(relation),
            Some(_) => Err(Error::new(ErrorKind::WrongObjectType, format!("\"{name}\" is not a table"))
                .detail("Only tables have versions.")),
            None => Err(self.version.catalog.undefined(name, self.search_path())),
        }
    }

    /// The same scope for the text of a view: its names mean what they meant where it was written.
    pub(in crate::engine) fn in_view(&self, view: &Arc<RelationDef>) -> Self {
        let search_path = view.view().map(|definition| definition.search_path.as_slice()).unwrap_or_default();
        Self { view: Some(Arc::clone(view)), ..self.with_search_path(search_path) }
    }

    /// The view whose text is planned.
    pub(in crate::engine) fn view_oid(&self) -> Option<Oid> {
        self.view.as_ref().map(|view| view.oid)
    }

    /// The same scope with another search path.
    pub(in crate::engine) fn with_search_path(&self, search_path: &[String]) -> Self {
        let functions =
            FunctionContext { search_path: search_path.to_vec(), ..FunctionContext::clone(&self.functions) };
        Self { functions: Arc::new(functions), view: None, ..self.clone() }
    }
}
