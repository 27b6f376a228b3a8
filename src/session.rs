//! One connection's user, settings, transaction and statements, the same for every wire.
//!
//! Text is parsed ([`Session::parse`]), prepared for types ([`Session::prepare`]) and executed ([`Session::execute`]).
//! One statement runs at a time; [`Canceller`] ends it from anywhere. Invariants: after an error inside a transaction
//! only its end is accepted (25P02), and a statement sees one version of the database from start to end.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::catalog::pg_type::PgType;
use crate::config::SessionSettings;
use crate::dialect;
use crate::dialect::Parsed;
use crate::error::Result;
use crate::metrics::Counter;

mod alter_table;
mod cancel;
pub mod cells;
mod copy;
pub mod copy_format;
mod create_table;
mod define;
mod describe;
mod execute;
mod external;
mod facts;
mod ingest;
pub mod intake;
mod maintain;
mod measure;
mod output;
mod reply;
mod roles;
mod rows;
pub mod scram;
mod server;
mod settings;
mod sources;
mod statement;
mod statements;
mod style;
#[cfg(test)]
mod tests;
pub mod text;
mod transaction;

pub use cancel::Canceller;
pub use ingest::Delivery;
pub use output::OutputFormat;
pub use reply::{
    Column, CopyFormat, CopyIn, CopyOptions, CopyOut, Notice, Reply, Rows, Severity, Tag, TransactionStatus,
};
pub use server::{Login, Server, Sessions};
pub use statement::Prepared;

use transaction::Transaction;

/// The database's name: a server has one.
pub const DATABASE: &str = "headwater";

/// One connection to the database.
pub struct Session {
    server: Arc<Server>,
    login: Login,
    /// The number that CancelRequest and `pg_backend_pid()` name the session by.
    pid: i32,
    settings: Arc<Mutex<SessionSettings>>,
    transaction: Mutex<Transaction>,
    prepared: Mutex<std::collections::HashMap<String, Arc<Prepared>>>,
    notices: Mutex<Vec<Notice>>,
    canceller: Canceller,
}

impl Session {
    /// Opens a session for a client that has proved who it is.
    pub(crate) fn open(server: &Arc<Server>, login: Login) -> Result<Self> {
        let canceller = Canceller::default();
        let settings = server.initial_settings(&login)?;
        let registered = server.sessions().register(&login, &canceller, server.clock().now());
        let outcome = if registered.is_ok() { Counter::Connections } else { Counter::ConnectionsRefused };
        server.metrics().count(outcome);
        let pid = registered?;
        Ok(Self {
            server: Arc::clone(server),
            login,
            pid,
            settings: Arc::new(Mutex::new(settings)),
            transaction: Mutex::new(Transaction::Idle),
            prepared: Mutex::default(),
            notices: Mutex::default(),
            canceller,
        })
    }

    /// The statements of a text, in order; none for an empty one.
    pub fn parse(&self, text: &str) -> Result<Vec<Parsed>> {
        dialect::parse(text).inspect_err(|error| self.server.metrics().failed(error.sqlstate()))
    }

    /// Runs the statements of a text one after the other, and gives the last one's answer.
    pub fn sql<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Reply>> {
        self.sql_with(text, Vec::new())
    }

    /// As [`Session::sql`], with values for `$1`, `$2`, ...
    pub fn sql_with<'a>(&'a self, text: &'a str, parameters: Vec<ScalarValue>) -> BoxFuture<'a, Result<Reply>> {
        Box::pin(async move {
            let types: Vec<Option<PgType>> =
                parameters.iter().map(|value| Some(PgType::of_arrow(&value.data_type()))).collect();
            let mut last = Reply::Empty;
            for parsed in self.parse(text)? {
                // An answer that nobody reads is finished before the next statement starts.
                if let Reply::Rows(rows) = std::mem::replace(&mut last, Reply::Empty) {
                    rows.collect().await?;
                }
                let prepared = self.prepare(&parsed, &types).await?;
                last = self.execute(&prepared, parameters.clone()).await?;
            }
            Ok(last)
        })
    }

    /// Where the session stands between statements.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.transaction.lock().status()
    }

    /// The notices since the last call.
    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.lock())
    }

    /// Ends the running statement from anywhere.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// The session's settings.
    pub fn settings(&self) -> Arc<Mutex<SessionSettings>> {
        Arc::clone(&self.settings)
    }

    /// The number that CancelRequest and `pg_backend_pid()` name the session by.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The role that logged in.
    pub fn user(&self) -> &str {
        &self.login.user
    }

    fn notice(&self, message: impl Into<String>) {
        self.notify(Severity::Notice, "00000", message);
    }

    fn notify(&self, severity: Severity, sqlstate: &'static str, message: impl Into<String>) {
        self.notices.lock().push(Notice { severity, sqlstate, message: message.into(), detail: None, hint: None });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.canceller.cancel();
        self.server.sessions().forget(self.pid);
    }
}
