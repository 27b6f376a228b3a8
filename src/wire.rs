//! The wires: the only floor that knows a protocol.
//!
//! [`Server`] opens a database's listeners and closes them. Stopping has three steps: no new connections and idle ones
//! told, busy ones given until the deadline, then their statements cancelled and the rest cut off. HTTP goes last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::database::Database;
use crate::error::{Error, ErrorKind, Result};

mod http;
mod postgres;
mod proof;
mod tls;

use postgres::Postgres;
use tls::Tls;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// After a failed accept (no file handles left) the listener rests.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// How long clients are given to read why their statement was cancelled.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Clients that have not logged in, beside `connections_max` sessions.
const OPENING_MAX: usize = 100;

/// The listeners of a database.
pub struct Server {
    database: Arc<Database>,
    postgres: Option<SocketAddr>,
    http: Option<SocketAddr>,
    stopping: CancellationToken,
    killed: CancellationToken,
    stopped: CancellationToken,
    postgres_task: Option<JoinHandle<()>>,
    http_task: Option<JoinHandle<()>>,
}

impl Server {
    /// Opens the listeners that the database's configuration names; port 0 picks a free one.
    pub fn start(database: &Arc<Database>) -> BoxFuture<'_, Result<Self>> {
        Box::pin(async move {
            let config = database.config();
            let mut server = Self {
                database: Arc::clone(database),
                postgres: None,
                http: None,
                stopping: CancellationToken::new(),
                killed: CancellationToken::new(),
                stopped: CancellationToken::new(),
                postgres_task: None,
                http_task: None,
            };
            if let Some(listener) = listen(config.pg.as_ref()).await? {
                server.postgres = Some(listener.local_addr()?);
                server.postgres_task = Some(server.accept_postgres(listener, tls(config, "postgresql")?));
            }
            if let Some(listener) = listen(config.http.as_ref()).await? {
                server.http = Some(listener.local_addr()?);
                let (stopping, stopped) = (server.stopping.clone(), server.stopped.clone());
                let tls = tls(config, "http/1.1")?;
                let serving = http::serve(listener, tls, Arc::clone(database), stopping, stopped);
                server.http_task = Some(tokio::spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::error!(%error, "the HTTP listener failed");
                    }
                }));
            }
            Ok(server)
        })
    }

    /// Where PostgreSQL clients connect.
    pub fn postgres_address(&self) -> Option<SocketAddr> {
        self.postgres
    }

    /// Where HTTP clients connect.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Stops: no new clients, idle ones are told, running statements may end until `shutdown_deadline_ms`. HTTP answers to
    /// the end, so that whoever asks `/readyz` sees it stop.
    pub fn stop(mut self) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            self.stopping.cancel();
            let closed = self.stop_postgres().await;
            self.stopped.cancel();
            if let Some(mut task) = self.http_task.take() {
                let clock = self.database.server().clock().clone();
                // A client that never ends its request does not hold the server.
                tokio::select! {
                    _ = &mut task => {}
                    () = clock.sleep(LAST_WORDS) => task.abort(),
                }
            }
            closed
        })
    }

    async fn stop_postgres(&mut self) -> Result<()> {
        let deadline = Duration::from_millis(self.database.config().shutdown_deadline_ms);
        let clock = self.database.server().clock().clone();
        // The task ends with its last connection; if it panicked it has nothing left to end.
        let mut ended = std::pin::pin!(futures::future::join_all(self.postgres_task.take()));
        tokio::select! {
            _ = &mut ended => return self.database.close().await,
            () = clock.sleep(deadline) => {}
        }
        // Cancels what still runs, so that clients are told, before the connections are cut.
        self.database.close_within(Duration::ZERO).await?;
        tokio::select! {
            _ = &mut ended => return Ok(()),
            () = clock.sleep(LAST_WORDS) => {}
        }
        self.killed.cancel();
        ended.await;
        Ok(())
    }

    fn accept_postgres(&self, listener: TcpListener, tls: Option<Tls>) -> JoinHandle<()> {
        let stopping = self.stopping.clone();
        let clock = self.database.server().clock().clone();
        let most = self.database.config().connections_max + OPENING_MAX;
        let postgres =
            Arc::new(Postgres::new(Arc::clone(&self.database), tls, self.stopping.clone(), self.killed.clone()));
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    Some(_) = connections.join_next() => continue,
                    () = stopping.cancelled() => break,
                };
                match accepted {
                    // Beyond the limit a client cannot even be told: each one that is takes memory.
                    Ok(_) if connections.len() >= most => {}
                    Ok((stream, peer)) => {
                        let postgres = Arc::clone(&postgres);
                        connections.spawn(async move { postgres.serve(stream, peer).await });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        clock.sleep(ACCEPT_REST).await;
                    }
                }
            }
            drop(listener);
            while connections.join_next().await.is_some() {}
        })
    }
}

fn tls(config: &Config, protocol: &'static str) -> Result<Option<Tls>> {
    config.tls.as_ref().map(|(certificate, key)| Tls::load(certificate, key, protocol)).transpose()
}

async fn listen(address: Option<&String>) -> Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::IoError, format!("cannot listen on {address}: {error}"))
            .hint("Is another server running there? Port 0 picks a free port.")
    };
    let mut last = None;
    for resolved in tokio::net::lookup_host(address).await.map_err(failed)? {
        match bind(resolved) {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) => last = Some(error),
        }
    }
    Err(failed(last.unwrap_or_else(|| std::io::Error::other("the name has no address"))))
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it: a client whose machine has vanished is noticed in the end.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
