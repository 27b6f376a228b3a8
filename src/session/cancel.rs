//! Ending a running statement: by the client, by its timeout, by shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind};

/// Why a statement is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CancelReason {
    /// The client, or the end of its connection.
    User = 0,
    /// `statement_timeout`.
    Timeout = 1,
    /// The server stops.
    Shutdown = 2,
}

/// Ends a session's running statement from anywhere. Cheap to clone.
#[derive(Clone, Default)]
pub struct Canceller(Arc<Inner>);

#[derive(Default)]
struct Inner {
    running: Mutex<Option<CancellationToken>>,
    reason: AtomicU8,
}

impl Canceller {
    /// Ends the running statement, if there is one.
    pub fn cancel(&self) {
        self.cancel_for(CancelReason::User);
    }

    /// Ends the running statement, if there is one, and remembers why.
    pub fn cancel_for(&self, reason: CancelReason) {
        if let Some(token) = self.0.running.lock().as_ref() {
            self.0.reason.store(reason as u8, Ordering::SeqCst);
            token.cancel();
        }
    }

    /// A token for a statement that starts now.
    pub(crate) fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        self.0.reason.store(CancelReason::User as u8, Ordering::SeqCst);
        *self.0.running.lock() = Some(token.clone());
        token
    }

    /// The error with the message for why the statement was ended.
    pub(crate) fn explain(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::QueryCanceled {
            return error;
        }
        match self.0.reason.load(Ordering::SeqCst) {
            reason if reason == CancelReason::Timeout as u8 => {
                Error::new(ErrorKind::QueryCanceled, "canceling statement due to statement timeout")
            }
            reason if reason == CancelReason::Shutdown as u8 => {
                Error::new(ErrorKind::AdminShutdown, "terminating statement because the server is stopping")
            }
            _ => error,
        }
    }

    /// True while a statement runs.
    pub(crate) fn is_running(&self) -> bool {
        self.0.running.lock().is_some()
    }

    /// The statement has ended.
    pub(crate) fn end(&self) {
        *self.0.running.lock() = None;
    }
}
