//! Connections of HTTP clients: in TLS where they begin with its handshake and the server has a certificate, else in clear.
//!
//! Handshakes go on beside each other, so that a slow one holds nobody up; one that fails is dropped: nobody can be told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use pgwire::tokio::tokio_rustls::server::TlsStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::either::Either;

use crate::clock::Clock;
use crate::wire::tls::{TLS_HANDSHAKE, Tls};

/// Connections that are shaking hands at a time; others wait to be accepted.
const HANDSHAKES_MAX: usize = 100;
/// How long a client may take to its first byte and through the handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// After a failed accept (no file handles left) the listener rests.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Bytes both ways.
type Io = Either<TcpStream, TlsStream<TcpStream>>;

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub address: SocketAddr,
    pub is_encrypted: bool,
}

impl Connected<IncomingStream<'_, Arrivals>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Arrivals>) -> Self {
        *stream.remote_addr()
    }
}

/// Clients that can be spoken to.
pub(super) struct Arrivals {
    address: SocketAddr,
    ready: mpsc::Receiver<(Io, Peer)>,
}

impl Arrivals {
    /// Accepts in a task of its own, until this is dropped.
    pub fn of(listener: TcpListener, tls: Option<Tls>, clock: Clock) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(1);
        let hands = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let tls = tls.map(Arc::new);
        tokio::spawn(async move {
            loop {
                let Ok(hand) = Arc::clone(&hands).acquire_owned().await else { return };
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = sender.closed() => return,
                };
                let Ok((stream, address)) = accepted else {
                    clock.sleep(ACCEPT_REST).await;
                    continue;
                };
                let (sender, tls, clock) = (sender.clone(), tls.clone(), clock.clone());
                tokio::spawn(async move {
                    let arrived = tokio::select! {
                        arrived = arrive(stream, address, tls.as_deref()) => arrived,
                        () = clock.sleep(HANDSHAKE_MAX) => Err(std::io::ErrorKind::TimedOut.into()),
                    };
                    drop(hand);
                    match arrived {
                        // Nobody takes it any more when the server has stopped.
                        Ok(arrived) => drop(sender.send(arrived).await),
                        Err(error) => tracing::debug!(%address, %error, "an http client left before its request"),
                    }
                });
            }
        });
        Ok(Self { address, ready })
    }
}

async fn arrive(stream: TcpStream, address: SocketAddr, tls: Option<&Tls>) -> std::io::Result<(Io, Peer)> {
    // Small answers must not wait for more; a system that cannot do it serves all the same.
    drop(stream.set_nodelay(true));
    let Some(tls) = tls else { return Ok((Io::Left(stream), Peer { address, is_encrypted: false })) };
    let mut first = [0];
    let count = stream.peek(&mut first).await?;
    match count == 1 && first[0] == TLS_HANDSHAKE {
        true => Ok((Io::Right(tls.accept(stream, false).await?), Peer { address, is_encrypted: true })),
        false => Ok((Io::Left(stream), Peer { address, is_encrypted: false })),
    }
}

impl Listener for Arrivals {
    type Io = Io;
    type Addr = Peer;

    async fn accept(&mut self) -> (Io, Peer) {
        match self.ready.recv().await {
            Some(arrived) => arrived,
            // The task that accepts ends with this value only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Peer> {
        Ok(Peer { address: self.address, is_encrypted: false })
    }
}
