//! What all sessions share: the engine, the versions, the settings, and the list of who is connected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::execution::memory_pool::MemoryReservation;
use parking_lot::Mutex;

use crate::buffer::Buffer;
use crate::catalog::FolderLock;
use crate::clock::Clock;
use crate::config::{Config, SessionSettings};
use crate::engine::Engine;
use crate::engine::facts::sources::SessionFact;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::decode::DecodeLimits;
use crate::ingest::sources::Sources;
use crate::session::cancel::{CancelReason, Canceller};
use crate::session::statements::StatementLog;

/// How often a closing server looks whether statements still run.
const DRAIN_POLL: Duration = Duration::from_millis(20);
/// The least time that a cancelled statement, or a checkpoint that is being written, has to end.
const CANCEL_WAIT: Duration = Duration::from_secs(5);

/// Who a session is for, after the wire has made sure of it.
#[derive(Clone, Debug)]
pub struct Login {
    /// The role.
    pub user: String,
    /// The wire it came over: `embedded`, `postgres`, ...
    pub wire: &'static str,
    /// The client's address, when it came over the network.
    pub address: Option<String>,
    /// Whether TLS protects it.
    pub encrypted: bool,
    /// Settings that the client asked for at its start.
    pub settings: BTreeMap<String, String>,
}

impl Login {
    /// A program that embeds the database is the first role.
    pub fn embedded() -> Self {
        Self {
            user: "headwater".to_owned(),
            wire: "embedded",
            address: None,
            encrypted: false,
            settings: BTreeMap::new(),
        }
    }
}

/// What all sessions share.
pub struct Server {
    engine: Arc<Engine>,
    buffer: Arc<Buffer>,
    config: Config,
    sessions: Sessions,
    sources: Arc<Sources>,
    statements: StatementLog,
    started_at: DateTime<Utc>,
    /// Here, because sessions may outlive the database that opened them.
    lock: FolderLock,
}

impl Server {
    pub(crate) fn new(engine: Engine, buffer: Arc<Buffer>, config: Config, lock: FolderLock) -> Self {
        let started_at = buffer.clock().now();
        let sessions = Sessions { sessions_max: config.connections_max, ..Sessions::default() };
        let statements = StatementLog::new(buffer.clock().clone());
        let engine = Arc::new(engine);
        let sources = Sources::new(Arc::clone(&engine), DecodeLimits::new(&config));
        Self { engine, buffer, config, sessions, sources, statements, started_at, lock }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn buffer(&self) -> &Arc<Buffer> {
        &self.buffer
    }

    /// The settings the database was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A share, empty at first, of the memory of all statements.
    pub(crate) fn reservation(&self, name: &str) -> MemoryReservation {
        self.engine.reservation(name)
    }

    /// Who is connected.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The source of time.
    pub fn clock(&self) -> &Clock {
        self.buffer.clock()
    }

    /// What fills tables by itself.
    pub(crate) fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    pub(crate) fn statements(&self) -> &StatementLog {
        &self.statements
    }

    /// Refuses new statements, waits for the running ones until the deadline, cancels the rest.
    pub(crate) async fn drain(&self, deadline: Duration) -> Result<()> {
        self.sessions.closing.store(true, Ordering::SeqCst);
        if !self.sessions.drain(self.clock(), deadline).await {
            return Err(Error::new(ErrorKind::ObjectInUse, "a statement does not end although it was cancelled")
                .detail("The lock of the database folder is held until this process ends."));
        }
        Ok(())
    }

    /// Ends what goes on without statements, and gives the folder free.
    pub(crate) async fn release(&self, deadline: Duration) {
        self.buffer.close();
        tokio::select! {
            () = self.buffer.stores().settle() => {}
            () = self.clock().sleep(deadline.max(CANCEL_WAIT)) => tracing::warn!("a checkpoint is cut off: the next commits write another"),
        }
        self.lock.release();
    }

    pub(crate) fn started_at(&self) -> DateTime<Utc> {
        self.started_at
    }

    /// A role's SCRAM verifier; the outer `None` when there is no such role that may log in.
    pub fn verifier(&self, user: &str) -> Option<Option<String>> {
        let role = self.buffer.current().catalog.role(user)?;
        role.login.then(|| role.verifier.clone())
    }

    /// The settings a session starts with: the server's, then the role's, then the client's.
    pub(crate) fn initial_settings(&self, login: &Login) -> Result<SessionSettings> {
        let role = self.buffer.current().catalog.role(&login.user).ok_or_else(|| {
            Error::new(ErrorKind::InvalidAuthorization, format!("role \"{}\" does not exist", login.user))
        })?;
        let mut settings = SessionSettings::new(&self.config);
        settings.state("session_authorization", &login.user);
        settings.state("is_superuser", if role.superuser { "on" } else { "off" });
        for (name, value) in role.settings.iter().chain(&login.settings) {
            settings.set_default(name, value)?;
        }
        Ok(settings)
    }
}

/// The open sessions, by the number that CancelRequest names.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<BTreeMap<i32, Connected>>,
    next: AtomicI32,
    sessions_max: usize,
    closing: AtomicBool,
}

#[derive(Clone)]
struct Connected {
    login: Login,
    canceller: Canceller,
    started_at: DateTime<Utc>,
}

impl Sessions {
    pub(crate) fn register(&self, login: &Login, canceller: &Canceller, started_at: DateTime<Utc>) -> Result<i32> {
        let mut open = self.open.lock();
        if open.len() >= self.sessions_max {
            return Err(Error::new(ErrorKind::TooManyConnections, "sorry, too many clients already")
                .detail(format!("connections_max is {}.", self.sessions_max)));
        }
        // Numbers wrap around after two thousand million sessions; those still open are skipped.
        let pid = std::iter::repeat_with(|| self.next.fetch_add(1, Ordering::SeqCst) & i32::MAX)
            .map(|number| number.max(1))
            .find(|number| !open.contains_key(number))
            .expect("the iterator does not end");
        open.insert(pid, Connected { login: login.clone(), canceller: canceller.clone(), started_at });
        Ok(pid)
    }

    pub(crate) fn forget(&self, pid: i32) {
        self.open.lock().remove(&pid);
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// True when nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the statement that the session runs; false when there is no such session.
    pub fn cancel(&self, pid: i32) -> bool {
        let found = self.open.lock().get(&pid).cloned();
        if let Some(session) = &found {
            session.canceller.cancel();
        }
        found.is_some()
    }

    /// Who is connected.
    pub(crate) fn list(&self) -> Vec<SessionFact> {
        let open = self.open.lock();
        let facts = open.iter().map(|(pid, Connected { login, started_at, .. })| SessionFact {
            pid: *pid,
            user: login.user.clone(),
            wire: login.wire,
            address: login.address.clone(),
            encrypted: login.encrypted,
            application_name: login.settings.get("application_name").cloned(),
            started_at: *started_at,
        });
        facts.collect()
    }

    /// Waits until no statement runs; those that still run at the deadline are cancelled. False when some do not end.
    async fn drain(&self, clock: &Clock, deadline: Duration) -> bool {
        if self.ended_by(clock, clock.now() + deadline).await {
            return true;
        }
        let cancellers: Vec<Canceller> = self.open.lock().values().map(|session| session.canceller.clone()).collect();
        for canceller in cancellers {
            canceller.cancel_for(CancelReason::Shutdown);
        }
        self.ended_by(clock, clock.now() + deadline.max(CANCEL_WAIT)).await
    }

    /// Waits until no statement runs; false when one still does at that time.
    async fn ended_by(&self, clock: &Clock, until: DateTime<Utc>) -> bool {
        let any_running = || self.open.lock().values().any(|session| session.canceller.is_running());
        while any_running() {
            if clock.now() >= until {
                return false;
            }
            clock.sleep(DRAIN_POLL).await;
        }
        true
    }

    /// Once the server closes, no statement starts.
    pub(crate) fn refuse_when_closing(&self) -> Result<()> {
        match self.closing.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::AdminShutdown, "the server is stopping: no statement starts any more")),
            false => Ok(()),
        }
    }
}
