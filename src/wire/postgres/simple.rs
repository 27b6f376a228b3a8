//! The simple protocol: a text with any number of statements; an error ends them all.

use crate::dialect::Parsed;
use crate::session::{DATABASE, Reply};
use crate::wire::postgres::answer::Format;
use crate::wire::postgres::connection::Connection;
use crate::wire::postgres::portal::{Outcome, Running};
use crate::wire::postgres::{Fault, answer};

impl Connection {
    /// Answers a Query message, ReadyForQuery included.
    pub(super) async fn query(&mut self, text: &str) -> Result<(), Fault> {
        // The unnamed portal does not outlive a simple query.
        self.portals.remove("");
        let statements = self.session.parse(text)?;
        if statements.is_empty() {
            answer::bare(&mut self.outbox.buffer, answer::EMPTY_QUERY);
        }
        for parsed in &statements {
            self.run_simple(parsed).await?;
        }
        self.ready().await
    }

    async fn run_simple(&mut self, parsed: &Parsed) -> Result<(), Fault> {
        if let Some(tag) = self.deallocate(&parsed.statement) {
            answer::command_complete(&mut self.outbox.buffer, &tag);
            return Ok(());
        }
        let prepared = self.session.prepare(parsed, &[]).await?;
        if !prepared.parameters.is_empty() {
            let error =
                crate::error::Error::new(crate::error::ErrorKind::UndefinedParameter, "there is no parameter $1");
            return Err(error
                .hint(format!("A simple query to {DATABASE} has no parameters; use the extended protocol."))
                .into());
        }
        let tag = match self.session.execute(&prepared, Vec::new()).await? {
            Reply::Rows(rows) => {
                self.write_notices();
                answer::row_description(&mut self.outbox.buffer, &rows.columns, |_| Format::Text);
                let mut running = Running::new(rows, &[], self.style())?;
                match self.send_rows(&mut running, 0).await? {
                    Outcome::Complete(tag) => Some(tag),
                    Outcome::Suspended => None,
                }
            }
            Reply::Done(tag) => Some(tag),
            Reply::CopyIn(copy) => Some(self.copy_in(copy).await?),
            Reply::CopyOut(copy) => Some(self.copy_out(copy).await?),
            Reply::Empty => {
                answer::bare(&mut self.outbox.buffer, answer::EMPTY_QUERY);
                None
            }
        };
        self.write_notices();
        if let Some(tag) = tag {
            self.forget_discarded(&tag);
            answer::command_complete(&mut self.outbox.buffer, &tag);
        }
        self.outbox.relieve().await
    }
}
