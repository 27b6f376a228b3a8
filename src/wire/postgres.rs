//! The PostgreSQL protocol, 3.0 and 3.2: one task a connection, which owns the session and everything it sends, and one
//! that reads ahead, so that a client that cancels or hangs up is noticed while a statement runs.
//!
//! `frame` cuts bytes into messages, `startup` and `login` come before the session, `connection` is the loop,
//! `simple`, `extended` and `copy` are its arms, `portal` and `rows` turn batches into messages, `outbox` sends them.
//! Invariants: no input makes the server panic; an answer is written only after what it acknowledges is durable.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::error::{Error, ErrorKind};
use crate::metrics::Counter;
use crate::session::{Login, Session};
use crate::wire::proof::proof;
use crate::wire::tls::Tls;

mod answer;
mod connection;
mod copy;
mod extended;
mod frame;
mod keys;
mod login;
mod message;
mod outbox;
mod parameters;
mod portal;
mod rows;
mod simple;
mod startup;

use answer::Level;
use connection::{Connection, Ends};
use keys::{Key, Keys};
use outbox::Outbox;
use startup::Opening;

/// How long a client may take to log in.
const LOGIN_SECONDS_MAX: u64 = 60;

/// Why a statement, or a whole connection, came to an end.
#[derive(Debug)]
enum Fault {
    /// The statement failed outside the session, which must be told; the connection goes on.
    Statement(Error),
    /// The session itself failed the statement; the connection goes on.
    Told(Error),
    /// The client is told and the connection ends.
    Fatal(Error),
    /// There is nobody left to tell.
    Closed,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Statement(error)
    }
}

/// What all connections share.
pub(super) struct Postgres {
    database: Arc<Database>,
    tls: Option<Tls>,
    keys: Keys,
    /// The server stops: idle connections end, busy ones after their statement.
    stopping: CancellationToken,
    /// The deadline has passed: connections end whatever they do.
    killed: CancellationToken,
}

impl Postgres {
    pub(super) fn new(
        database: Arc<Database>,
        tls: Option<Tls>,
        stopping: CancellationToken,
        killed: CancellationToken,
    ) -> Self {
        Self { database, tls, keys: Keys::default(), stopping, killed }
    }

    /// Serves one client until it leaves.
    pub(super) async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        let deadline = self.database.server().clock().sleep(Duration::from_secs(LOGIN_SECONDS_MAX));
        let opened = tokio::select! {
            opened = self.open(stream, peer) => opened,
            () = deadline => None,
            () = self.killed.cancelled() => None,
        };
        if let Some(connection) = opened {
            tracing::debug!(%peer, "client logged in");
            connection.run().await;
        }
        tracing::debug!(%peer, "client left");
    }

    /// Everything until the first ReadyForQuery; `None` when the client was turned away or only cancelled a statement.
    async fn open(&self, stream: TcpStream, peer: SocketAddr) -> Option<Connection> {
        // Small answers must not wait for more; a system that cannot do it serves all the same.
        let _: std::io::Result<()> = stream.set_nodelay(true);
        let port = stream.local_addr().map(|local| local.port()).ok();
        let mut opening = match startup::negotiate(stream, self.tls.as_ref()).await {
            Ok(Some(opening)) => opening,
            Ok(None) => return None,
            Err(error) => {
                tracing::debug!(%peer, %error, "no connection came about");
                return None;
            }
        };
        if let Some((pid, secret)) = opening.cancel_request() {
            if self.keys.fits(pid, secret) {
                self.database.sessions().cancel(pid);
            }
            return None;
        }
        match self.log_in(&mut opening, peer).await {
            Ok(None) => None,
            Ok(Some((session, key))) => {
                if let Some(port) = port {
                    session.settings().lock().state("port", &port.to_string());
                }
                let ends = Ends { stopping: self.stopping.clone(), gone: self.killed.child_token() };
                Some(opening.ready(session, key, ends, self.database.server().clock().clone()))
            }
            Err(error) => {
                if error.kind() != ErrorKind::TooManyConnections {
                    // Those the session has counted.
                    self.database.server().metrics().count(Counter::ConnectionsRefused);
                }
                opening.refuse(&error).await;
                None
            }
        }
    }

    async fn log_in(&self, opening: &mut Opening, peer: SocketAddr) -> Result<Option<(Session, Key)>, Error> {
        let request = opening.request()?;
        if self.stopping.is_cancelled() {
            return Err(Error::new(ErrorKind::CannotConnectNow, "the database system is shutting down"));
        }
        let config = self.database.config();
        let local = peer.ip().is_loopback();
        let verifier = self.database.server().verifier(&request.user);
        let proof = proof(config.trust, &request.user, verifier, local)?;
        if !login::prove(opening, &request.user, proof, self.tls.as_ref()).await? {
            return Ok(None);
        }
        request.check_database()?;
        let settings = request.settings.clone();
        let user = request.user.clone();
        let session = self.database.session_for(Login {
            user,
            wire: "postgres",
            address: Some(peer.ip().to_string()),
            encrypted: opening.encrypted,
            settings,
        })?;
        let key = self.keys.issue(session.pid(), request.minor);
        Ok(Some((session, key)))
    }
}
