//! COPY over the connection: CopyData messages to batches, rows to CopyData messages.

use bytes::Bytes;
use futures::StreamExt;

use crate::error::{Error, ErrorKind, Result};
use crate::session::copy_format::{Decoder, Encoder};
use crate::session::{CopyFormat, CopyIn, CopyOptions, CopyOut, Notice, Severity, Tag};
use crate::wire::postgres::answer::{Format, begin, end};
use crate::wire::postgres::connection::Connection;
use crate::wire::postgres::frame::violation;
use crate::wire::postgres::message::Message;
use crate::wire::postgres::outbox::FLUSH_BYTES;
use crate::wire::postgres::rows::Sending;
use crate::wire::postgres::{Fault, answer};

fn format_of(options: &CopyOptions) -> Format {
    match options.format {
        CopyFormat::Binary => Format::Binary,
        CopyFormat::Text | CopyFormat::Csv => Format::Text,
    }
}

/// What the next message of a client in COPY means.
enum Step {
    Data(Bytes),
    Done,
}

impl Connection {
    /// COPY ... FROM STDIN.
    pub(super) async fn copy_in(&mut self, copy: CopyIn) -> Result<Tag, Fault> {
        let CopyIn { relation, columns, options, sender, done } = copy;
        self.write_notices();
        answer::copy_response(&mut self.outbox.buffer, b'G', columns.len(), format_of(&options));
        self.outbox.flush().await?;
        let mut decoder = Decoder::new(&relation, &columns, &options, self.zone());
        let fault = loop {
            let more = match self.next_copy_step().await {
                Ok(Step::Data(data)) => decoder.push(&data).map(|()| true),
                Ok(Step::Done) => decoder.finish().map(|()| false),
                Err(fault) => break Some(fault),
            };
            let more = match more {
                Ok(more) => more,
                Err(error) => break Some(Fault::Statement(error)),
            };
            let mut wanted = true;
            while let Some(batch) = decoder.next_batch() {
                wanted = sender.send(batch).await;
                if !wanted {
                    break;
                }
            }
            // The statement has failed for a reason of its own, which `done` tells.
            if !more || !wanted {
                break None;
            }
        };
        self.tell(decoder.told());
        match fault {
            Some(Fault::Statement(error) | Fault::Told(error)) => {
                sender.fail(error.clone()).await;
                // It may have failed before, for another reason; the client is told of its own fault first.
                let _: Result<Tag> = done.await;
                Err(Fault::Statement(error))
            }
            Some(fault) => Err(fault),
            None => {
                sender.finish().await;
                Ok(done.await?)
            }
        }
    }

    async fn next_copy_step(&mut self) -> Result<Step, Fault> {
        loop {
            return match self.next_copy_message().await? {
                Message::CopyData(data) => Ok(Step::Data(data)),
                Message::CopyDone => Ok(Step::Done),
                Message::CopyFail(reason) => {
                    Err(Error::new(ErrorKind::QueryCanceled, format!("COPY from stdin failed: {reason}")).into())
                }
                // Drivers end every message with one of these without thinking of COPY.
                Message::Flush | Message::Sync => continue,
                Message::Terminate => Err(Fault::Closed),
                _ => Err(Fault::Fatal(violation("unexpected message type during COPY from stdin"))),
            };
        }
    }

    fn tell(&mut self, messages: Vec<String>) {
        for message in messages {
            let notice = Notice { severity: Severity::Notice, sqlstate: "00000", message, detail: None, hint: None };
            answer::notice(&mut self.outbox.buffer, &notice);
        }
    }

    /// COPY ... TO STDOUT; each row is a message of its own, clients rely on it.
    pub(super) async fn copy_out(&mut self, copy: CopyOut) -> Result<Tag, Fault> {
        let CopyOut { mut rows, options } = copy;
        let mut encoder = Encoder::new(&rows.columns, &options);
        let style = self.session.style(&rows.columns);
        self.write_notices();
        answer::copy_response(&mut self.outbox.buffer, b'H', rows.columns.len(), format_of(&options));
        self.write_copy_part(|out| encoder.write_header(out));
        let mut count = 0;
        while let Some(batch) = rows.stream.next().await {
            let mut sending = Sending::new(&batch.map_err(Error::from)?, &rows.columns)?;
            while !sending.is_done() {
                let out = (&mut self.outbox.buffer, FLUSH_BYTES);
                count += sending.each_row(&rows.columns, &style, usize::MAX, out, |cells, row, out| {
                    let start = begin(out, b'd');
                    encoder.write_row(cells, row, out)?;
                    end(out, start);
                    Ok(())
                })?;
                self.outbox.relieve().await?;
            }
        }
        self.write_copy_part(|out| encoder.write_trailer(out));
        answer::bare(&mut self.outbox.buffer, answer::COPY_DONE);
        Ok(Tag(format!("COPY {count}")))
    }

    /// A header or trailer, if there is any.
    fn write_copy_part(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let out = &mut self.outbox.buffer;
        let start = begin(out, b'd');
        write(out);
        if out.len() == start + 4 {
            out.truncate(start - 1);
        } else {
            end(out, start);
        }
    }
}
