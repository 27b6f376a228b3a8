//! Preparing a statement and running it: the frame around [`execute`](crate::session::execute).
//!
//! The frame sees to what holds for every statement: the failed transaction, the timeout, cancellation, errors, and
//! that the statement counts as running until its last row has been read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::buffer::DbVersion;
use crate::catalog::pg_type::PgType;
use crate::dialect::{Origin, Parsed, Statement};
use crate::engine::Planned;
use crate::engine::insert::Direct;
use crate::error::{Error, ErrorKind, Result};
use crate::session::cancel::{CancelReason, Canceller};
use crate::session::measure::Measured;
use crate::session::reply::{Column, Reply, TransactionStatus};
use crate::session::statements::Noted;
use crate::session::{Session, execute};

/// A statement whose parameters and columns are known.
pub struct Prepared {
    pub(crate) parsed: Parsed,
    /// The types of `$1`, `$2`, ...
    pub parameters: Vec<PgType>,
    /// The columns of its rows; `None` when it gives none.
    pub columns: Option<Arc<[Column]>>,
    pub(crate) known: Option<Known>,
}

/// What is known of a statement before it runs.
pub(crate) enum Known {
    /// The plan, and the version of the database it was made for.
    Query(Arc<DbVersion>, Planned),
    Insert(Direct),
}

impl Prepared {
    /// The statement.
    pub fn parsed(&self) -> &Parsed {
        &self.parsed
    }

    /// What is known of an INSERT that needs no plan.
    pub(crate) fn known_insert(&self) -> Option<&Direct> {
        match &self.known {
            Some(Known::Insert(direct)) => Some(direct),
            Some(Known::Query(..)) | None => None,
        }
    }
}

impl Session {
    /// Finds a statement's parameters and columns. `types` are those that the client has given.
    pub fn prepare<'a>(&'a self, parsed: &'a Parsed, types: &'a [Option<PgType>]) -> BoxFuture<'a, Result<Prepared>> {
        Box::pin(async move {
            self.refuse_when_failed(&parsed.statement)?;
            let described = self.describe(parsed, types).await;
            described.map_err(|error| self.failed_and_counted(parsed.origin.located(error)))
        })
    }

    /// Runs a prepared statement with values for its parameters.
    pub fn execute<'a>(&'a self, prepared: &'a Prepared, parameters: Vec<ScalarValue>) -> BoxFuture<'a, Result<Reply>> {
        Box::pin(async move {
            self.refuse_when_failed(&prepared.parsed.statement)?;
            if parameters.len() != prepared.parameters.len() {
                return Err(self.failed_and_counted(Error::new(
                    ErrorKind::ProtocolViolation,
                    format!(
                        "{} parameters were given, the statement needs {}",
                        parameters.len(),
                        prepared.parameters.len()
                    ),
                )));
            }
            let token = self.canceller.begin();
            // After `begin`: a closing server sees the statement, or the statement sees that it closes.
            if let Err(error) = self.server.sessions().refuse_when_closing() {
                self.canceller.end();
                return Err(self.failed_and_counted(error));
            }
            let mut running = Running {
                origin: prepared.parsed.origin.clone(),
                canceller: self.canceller.clone(),
                token: token.clone(),
                timer: self.start_timer(),
                measured: Measured::start(self.server.metrics(), self.server.clock()),
                noted: self.server.statements().start(self.pid, &self.login, &prepared.parsed.shown()),
            };
            let progress = Arc::clone(running.noted.progress());
            let run = execute::run(self, prepared, parameters, &progress, &token);
            let outcome = run.instrument(running.noted.span()).await;
            match outcome {
                Ok(reply) => Ok(running.around(reply)),
                Err(error) => {
                    let error = self.failed_and_counted(prepared.parsed.origin.located(error));
                    running.noted.failed(&error);
                    Err(error)
                }
            }
        })
    }

    /// In a failed transaction only its end is accepted.
    fn refuse_when_failed(&self, statement: &Statement) -> Result<()> {
        if self.transaction_status() != TransactionStatus::Failed || statement.ends_transaction() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InFailedTransaction,
            "current transaction is aborted, commands ignored until end of transaction block",
        ))
    }

    /// Notes that a statement failed. The wires call it for errors while rows are read.
    pub fn failed(&self, error: Error) -> Error {
        self.transaction.lock().fail();
        self.canceller.explain(error)
    }

    /// As [`Session::failed`], where the failure is first seen: the wires pass the same error on to `failed` again.
    fn failed_and_counted(&self, error: Error) -> Error {
        let error = self.failed(error);
        self.server.metrics().failed(error.sqlstate());
        error
    }

    /// Cancels the statement when `statement_timeout` has passed.
    fn start_timer(&self) -> Option<tokio::task::JoinHandle<()>> {
        let limit_ms = self.settings.lock().statement_timeout_ms();
        if limit_ms == 0 {
            return None;
        }
        let (canceller, pause) = (self.canceller.clone(), self.server.clock().sleep(Duration::from_millis(limit_ms)));
        Some(tokio::spawn(async move {
            pause.await;
            canceller.cancel_for(CancelReason::Timeout);
        }))
    }
}

/// Held while a statement runs; dropping it ends the statement.
struct Running {
    origin: Origin,
    canceller: Canceller,
    token: CancellationToken,
    timer: Option<tokio::task::JoinHandle<()>>,
    measured: Measured,
    noted: Noted,
}

impl Running {
    /// The reply, with the statement counted as running until its last row was read.
    fn around(mut self, reply: Reply) -> Reply {
        match reply {
            Reply::Rows(mut rows) => {
                rows.stream = Box::pin(Guarded { inner: rows.stream, running: Some(self) });
                Reply::Rows(rows)
            }
            Reply::CopyOut(mut copy) => {
                copy.rows.stream = Box::pin(Guarded { inner: copy.rows.stream, running: Some(self) });
                Reply::CopyOut(copy)
            }
            Reply::CopyIn(mut copy) => {
                let done = std::mem::replace(&mut copy.done, Box::pin(futures::future::pending()));
                copy.done = Box::pin(async move {
                    let span = self.noted.span();
                    done.instrument(span).await.map_err(|error| self.ended_by(error))
                });
                Reply::CopyIn(copy)
            }
            ended @ (Reply::Done(_) | Reply::Empty) => ended,
        }
    }

    /// Notes why the statement failed, as its client is told.
    fn ended_by(&mut self, error: Error) -> Error {
        let error = self.origin.located(self.canceller.explain(error));
        self.measured.failed(&error);
        self.noted.failed(&error);
        error
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.abort();
        }
        self.canceller.end();
        self.token.cancel();
    }
}

/// Rows of a running statement.
struct Guarded {
    inner: SendableRecordBatchStream,
    running: Option<Running>,
}

impl Stream for Guarded {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.inner.poll_next_unpin(context);
        match next {
            Poll::Ready(None) => {
                self.running = None;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                let error = match self.running.take() {
                    Some(mut running) => running.ended_by(error.into()),
                    None => error.into(),
                };
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(Some(Ok(batch))) => {
                if let Some(running) = &mut self.running {
                    running.measured.rows(batch.num_rows());
                    running.noted.rows(batch.num_rows());
                }
                Poll::Ready(Some(Ok(batch)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl RecordBatchStream for Guarded {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}
