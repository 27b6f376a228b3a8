//! The loop of a connection: a message in, its answer out, until the client leaves or the server stops.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::session::text::zone::Zone;
use crate::session::{Canceller, Session, TransactionStatus};
use crate::wire::postgres::extended::Statement;
use crate::wire::postgres::frame::{Broken, Frame, read_frame, violation};
use crate::wire::postgres::keys::Key;
use crate::wire::postgres::message::Message;
use crate::wire::postgres::portal::Portal;
use crate::wire::postgres::{Fault, Level, Outbox, answer};

/// Messages that are read ahead of the one at work.
const MESSAGES_AHEAD_MAX: usize = 32;

/// The two ways a connection ends from outside.
pub(super) struct Ends {
    /// The server stops: leave once idle.
    pub(super) stopping: CancellationToken,
    /// The client has left or the server's deadline has passed: leave now.
    pub(super) gone: CancellationToken,
}

/// A logged-in client.
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) outbox: Outbox,
    pub(super) statements: HashMap<String, Arc<Statement>>,
    pub(super) portals: HashMap<String, Portal>,
    pub(super) clock: Clock,
    inbox: mpsc::Receiver<Result<Frame, Error>>,
    /// After an error in the extended protocol everything up to Sync is skipped.
    skipping: bool,
    ends: Ends,
    _key: Key,
}

impl Connection {
    /// Starts to read ahead.
    pub(super) fn start(
        session: Session,
        reader: impl AsyncRead + Send + Unpin + 'static,
        outbox: Outbox,
        key: Key,
        ends: Ends,
        clock: Clock,
    ) -> Self {
        let (sender, inbox) = mpsc::channel(MESSAGES_AHEAD_MAX);
        tokio::spawn(read_ahead(reader, sender, session.canceller(), ends.gone.clone()));
        Self {
            session,
            outbox,
            statements: HashMap::new(),
            portals: HashMap::new(),
            clock,
            inbox,
            skipping: false,
            ends,
            _key: key,
        }
    }

    /// Serves the client until it leaves.
    pub(super) async fn run(mut self) {
        // Ends the reader, if the client still talks.
        let _gone = self.ends.gone.clone().drop_guard();
        match alive(self.serve()).await {
            Ok(()) | Err(Fault::Closed) => {}
            Err(Fault::Fatal(error) | Fault::Statement(error) | Fault::Told(error)) => {
                answer::error(&mut self.outbox.buffer, &error, Level::Fatal);
            }
        }
        self.outbox.close().await;
    }

    async fn serve(&mut self) -> Result<(), Fault> {
        self.outbox.flush().await?;
        loop {
            let Some(frame) = self.next_frame().await? else { return Ok(()) };
            if self.skipping && Message::is_extended(&frame) && frame.letter != b'S' {
                continue;
            }
            let extended = Message::is_extended(&frame);
            match self.answer(frame).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(Fault::Statement(error)) => {
                    let error = self.session.failed(error);
                    self.fail(&error, extended).await?;
                }
                Err(Fault::Told(error)) => self.fail(&error, extended).await?,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The next message while nothing runs; `None` when the client has left.
    async fn next_frame(&mut self) -> Result<Option<Frame>, Fault> {
        let stopped = || {
            let error = Error::new(ErrorKind::AdminShutdown, "terminating connection due to administrator command");
            Err(Fault::Fatal(error))
        };
        tokio::select! {
            biased;
            () = self.ends.stopping.cancelled() => stopped(),
            frame = self.inbox.recv() => match frame {
                Some(Ok(frame)) => Ok(Some(frame)),
                Some(Err(error)) => Err(Fault::Fatal(error)),
                None => Ok(None),
            },
            () = self.ends.gone.cancelled() => Err(Fault::Closed),
        }
    }

    /// The next message of a client that sends COPY data.
    pub(super) async fn next_copy_message(&mut self) -> Result<Message, Fault> {
        match self.inbox.recv().await {
            Some(Ok(frame)) => Message::decode(frame).map_err(Fault::Fatal),
            Some(Err(error)) => Err(Fault::Fatal(error)),
            None => Err(Fault::Closed),
        }
    }

    /// Answers one message; false when the client leaves.
    async fn answer(&mut self, frame: Frame) -> Result<bool, Fault> {
        match Message::decode(frame)? {
            Message::Query(text) => self.query(&text).await?,
            Message::Parse { name, text, types } => self.parse(name, &text, &types).await?,
            Message::Bind(bind) => self.bind(bind)?,
            Message::Describe(target) => self.describe(&target)?,
            Message::Execute { portal, rows_max } => self.execute(&portal, rows_max).await?,
            Message::Close(target) => self.close(&target),
            Message::Flush => self.outbox.flush().await?,
            Message::Sync => {
                self.skipping = false;
                self.ready().await?;
            }
            // What is left of a COPY that failed.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => {}
            Message::Terminate => return Ok(false),
            Message::Other(letter) => {
                return Err(Fault::Fatal(violation(format!("invalid frontend message type {letter}"))));
            }
        }
        Ok(true)
    }

    /// Tells the client that a statement failed.
    async fn fail(&mut self, error: &Error, extended: bool) -> Result<(), Fault> {
        self.write_notices();
        answer::error(&mut self.outbox.buffer, error, Level::Error);
        if extended {
            self.skipping = true;
            return self.outbox.relieve().await;
        }
        self.ready().await
    }

    /// Says that the server waits for the next statement.
    pub(super) async fn ready(&mut self) -> Result<(), Fault> {
        if self.session.transaction_status() == TransactionStatus::Idle {
            // Portals live as long as their transaction.
            self.portals.clear();
        }
        self.write_notices();
        self.write_changed_settings();
        answer::ready(&mut self.outbox.buffer, self.session.transaction_status());
        self.outbox.flush().await
    }

    /// Sends the notices since the last time.
    pub(super) fn write_notices(&mut self) {
        for notice in self.session.take_notices() {
            answer::notice(&mut self.outbox.buffer, &notice);
        }
    }

    fn write_changed_settings(&mut self) {
        for (name, value) in self.session.settings().lock().take_reported_changes() {
            answer::parameter_status(&mut self.outbox.buffer, &name, &value);
        }
    }

    /// The zone that timestamptz values are in.
    pub(super) fn zone(&self) -> Zone {
        Zone::from(self.session.settings().lock().time_zone())
    }
}

/// What a future gives. A panic in it ends this connection with an error that says so, and no other one.
async fn alive<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(panic = %text, "a statement ended in a panic");
            Err(Fault::Fatal(
                Error::internal(text)
                    .detail("The connection ends; what the statement wrote is there as a whole or not at all.")
                    .hint("This is a fault of the server: please report it with the server's log."),
            ))
        }
    }
}

/// Reads messages while others are at work. A client that leaves ends the statement that runs.
async fn read_ahead(
    mut reader: impl AsyncRead + Send + Unpin,
    inbox: mpsc::Sender<Result<Frame, Error>>,
    canceller: Canceller,
    gone: CancellationToken,
) {
    let reading = async {
        loop {
            let read = match read_frame(&mut reader).await {
                Ok(frame) => Ok(frame),
                Err(Broken::Closed) => return,
                Err(Broken::Protocol(error)) => Err(error),
            };
            let last = !matches!(&read, Ok(frame) if frame.letter != b'X');
            if inbox.send(read).await.is_err() || last {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = gone.cancelled() => {}
    }
    canceller.cancel();
}

#[cfg(test)]
mod tests;
