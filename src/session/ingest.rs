//! Rows that a program pushes: a statement without text, noted and counted like the others.

use std::sync::Arc;

use crate::catalog::definition::{RelationDef, SourceFormat};
use crate::catalog::name::ObjectName;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest;
use crate::ingest::decode::DecodeLimits;
use crate::ingest::{Accepted, Batch, Beside, Broken, Format, Payload, WayIn};
use crate::metrics::Counter;
use crate::session::Session;
use crate::session::measure::Measured;

/// The bytes of one key; a longer one is no name for a batch.
const KEY_BYTES_MAX: usize = 255;

/// All requests together are one partition of event times.
const HTTP: &str = "http";

/// What a program pushes.
pub struct Delivery {
    /// How the records are written.
    pub format: Format,
    /// One body.
    pub payload: Payload,
    /// The client's own name of the batch.
    pub key: Option<String>,
}

impl Session {
    /// The table that rows are for.
    pub fn ingest_target(&self, name: &ObjectName) -> Result<Arc<RelationDef>> {
        let scope = self.scope();
        let relation = scope.version.catalog.require(name, scope.search_path())?;
        match relation.table() {
            Some(_) => Ok(relation),
            None => Err(Error::new(ErrorKind::WrongObjectType, format!("\"{name}\" is not a table"))),
        }
    }

    /// Adds what a program pushes; it is on stable storage when this returns.
    pub async fn ingest(&self, table: &RelationDef, delivery: Delivery) -> Result<Accepted> {
        let _token = self.canceller.begin();
        let running = Running(self);
        let measured = Measured::start(self.server.metrics(), self.server.clock());
        let text = format!("INGEST INTO {}", crate::catalog::name::quote_identifier(&table.name));
        let mut noted = self.server.statements().start(self.pid, &self.login, &text);
        let done = self.accepted(table, delivery).await;
        drop(running);
        match &done {
            Ok(accepted) => {
                noted.rows(usize::try_from(accepted.rows).unwrap_or(usize::MAX));
                self.server.metrics().add(Counter::RowsIngested, accepted.rows);
                self.server.metrics().add(Counter::DeadLetters, accepted.dead_letters);
            }
            Err(error) => {
                measured.failed(error);
                noted.failed(error);
            }
        }
        done
    }

    async fn accepted(&self, table: &RelationDef, delivery: Delivery) -> Result<Accepted> {
        // After `begin`: a closing server sees the work, or the work sees that it closes.
        self.server.sessions().refuse_when_closing()?;
        let Delivery { format, payload, key } = delivery;
        if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES_MAX) {
            let message = format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes");
            return Err(Error::new(ErrorKind::InvalidParameterValue, message));
        }
        let batch = Batch {
            table: table.oid,
            format,
            meaning: SourceFormat::Plain,
            sequence: None,
            payloads: vec![payload],
            way: WayIn { name: HTTP.to_owned(), partitions: Vec::new() },
            broken: Broken::Fails,
            limits: DecodeLimits::new(self.server.config()),
            beside: Beside::default(),
            key,
        };
        ingest::accept(self.server.engine(), &|| self.scope(), batch).await
    }
}

/// The work is over, however it ends.
struct Running<'a>(&'a Session);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.canceller.end();
    }
}
