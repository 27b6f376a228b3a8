//! A portal: a bound statement whose rows are sent in parts, as they are computed.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use futures::StreamExt;

use crate::error::{Error, Result};
use crate::session::cells::Style;
use crate::session::{Rows, Tag};
use crate::wire::postgres::Fault;
use crate::wire::postgres::answer::Format;
use crate::wire::postgres::connection::Connection;
use crate::wire::postgres::extended::Statement;
use crate::wire::postgres::outbox::FLUSH_BYTES;
use crate::wire::postgres::rows::{Sending, spread_formats, write_data_row};

/// Rows that are ready are sent when no more have come for this long.
const IDLE_FLUSH: Duration = Duration::from_millis(50);

/// A statement with its values.
pub(super) struct Portal {
    pub(super) statement: Arc<Statement>,
    pub(super) formats: Vec<Format>,
    pub(super) state: State,
}

/// How far a portal has come.
pub(super) enum State {
    Bound(Vec<ScalarValue>),
    Running(Running),
    Finished,
}

/// Rows on their way to the client.
pub(super) struct Running {
    rows: Rows,
    formats: Vec<Format>,
    style: Style,
    sending: Option<Sending>,
    ended: bool,
}

/// How a part of the rows ended.
pub(super) enum Outcome {
    Complete(Tag),
    /// The client asked for no more rows than were sent.
    Suspended,
}

impl Running {
    pub(super) fn new(rows: Rows, formats: &[Format], style: Style) -> Result<Self> {
        let formats = match formats.len() == rows.columns.len() {
            true => formats.to_vec(),
            false => spread_formats(&[], rows.columns.len())?,
        };
        Ok(Self { rows, formats, style, sending: None, ended: false })
    }

    /// Appends rows until `most` were written, the buffer is full or the batch is over.
    fn write(&mut self, most: usize, out: &mut Vec<u8>) -> Result<usize> {
        let Some(sending) = &mut self.sending else { return Ok(0) };
        let formats = &self.formats;
        let written =
            sending.each_row(&self.rows.columns, &self.style, most, (out, FLUSH_BYTES), |cells, row, out| {
                write_data_row(cells, formats, row, out)
            })?;
        if sending.is_done() {
            self.sending = None;
        }
        Ok(written)
    }
}

impl Connection {
    /// Sends rows until `rows_max` (0: all) or their end.
    pub(super) async fn send_rows(&mut self, running: &mut Running, rows_max: u32) -> Result<Outcome, Fault> {
        let most = if rows_max == 0 { u64::MAX } else { u64::from(rows_max) };
        let mut sent = 0;
        while sent < most {
            if running.sending.is_none() {
                match self.next_batch(running).await? {
                    Some(batch) => running.sending = Some(Sending::new(&batch, &running.rows.columns)?),
                    None => return Ok(Outcome::Complete(running.rows.tag.finish(sent))),
                }
            }
            let wanted = usize::try_from(most - sent).unwrap_or(usize::MAX);
            sent += running.write(wanted, &mut self.outbox.buffer)? as u64;
            self.outbox.relieve().await?;
        }
        Ok(Outcome::Suspended)
    }

    /// The next batch; what was written before is sent if it takes its time.
    async fn next_batch(&mut self, running: &mut Running) -> Result<Option<RecordBatch>, Fault> {
        if running.ended {
            return Ok(None);
        }
        let mut next = running.rows.stream.next();
        let batch = if self.outbox.buffer.is_empty() {
            next.await
        } else {
            let pause = self.clock.sleep(IDLE_FLUSH);
            tokio::select! {
                biased;
                batch = &mut next => batch,
                () = pause => {
                    self.outbox.flush().await?;
                    next.await
                }
            }
        };
        match batch {
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(error)) => {
                running.ended = true;
                Err(Error::from(error).into())
            }
            None => {
                running.ended = true;
                Ok(None)
            }
        }
    }
}
