//! What a source reads from, behind one face.

use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::catalog::definition::{ConnectorKind, RelationDef, SourceDef};
use crate::engine::Engine;
use crate::error::Result;
use crate::ingest::decode::Refused;
use crate::ingest::sources::files::{self, Files};
#[cfg(feature = "kafka")]
use crate::ingest::sources::kafka::{self, Kafka};
#[cfg(feature = "nats")]
use crate::ingest::sources::nats::{self, Nats};
use crate::ingest::sources::status::Status;
use crate::ingest::{Format, Payload};

/// A connection that reads from where the source has got to.
pub(super) enum Connector {
    Files(Box<Files>),
    #[cfg(feature = "kafka")]
    Kafka(Box<Kafka>),
    #[cfg(feature = "nats")]
    Nats(Box<Nats>),
}

/// Where a source is to go on from.
#[derive(Clone, Copy, Debug)]
pub enum Reset {
    /// This offset, in every partition.
    Offset(i64),
    /// What came then or later.
    Moment(DateTime<Utc>),
}

/// What is added in one change of the log.
#[derive(Default)]
pub(super) struct Chunk {
    /// How the payloads are written; `None` where there are none.
    pub format: Option<Format>,
    pub payloads: Vec<Payload>,
    /// All partitions that the source reads, as payloads name them; none for a source that is one.
    pub partitions: Vec<Arc<str>>,
    /// Rows of other tables that say how far the source has read.
    pub also: Vec<(Arc<RelationDef>, RecordBatch)>,
    /// How far it has read, by partition.
    pub positions: Vec<(String, i64)>,
    /// Records that were refused before they were decoded.
    pub refused: Vec<Refused>,
    pub bytes: u64,
}

impl Connector {
    /// Connects, and finds the place to go on from.
    pub async fn open(engine: &Arc<Engine>, source: &Arc<SourceDef>, status: &Arc<Status>) -> Result<Self> {
        match source.connector {
            ConnectorKind::Files => Files::open(engine, source, status).await.map(|files| Self::Files(Box::new(files))),
            #[cfg(feature = "kafka")]
            ConnectorKind::Kafka => Kafka::open(engine, source, status).await.map(|kafka| Self::Kafka(Box::new(kafka))),
            #[cfg(feature = "nats")]
            ConnectorKind::Nats => Nats::open(engine, source, status).await.map(|nats| Self::Nats(Box::new(nats))),
            #[cfg(not(all(feature = "kafka", feature = "nats")))]
            other => Err(not_built(other)),
        }
    }

    /// What comes next; waits for it. Once `stop` fires there is nothing.
    pub async fn next(&mut self, stop: &CancellationToken) -> Result<Option<Chunk>> {
        let next = async {
            match self {
                Self::Files(files) => files.next().await,
                #[cfg(feature = "kafka")]
                Self::Kafka(kafka) => kafka.next().await,
                #[cfg(feature = "nats")]
                Self::Nats(nats) => nats.next().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(None),
            chunk = next => chunk.map(Some),
        }
    }

    /// The chunk that was given last is stored.
    pub fn stored(&mut self) {
        match self {
            Self::Files(files) => files.stored(),
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => {}
            #[cfg(feature = "nats")]
            Self::Nats(_) => {}
        }
    }
}

/// Sets where a source that is stopped goes on from.
pub(super) async fn reset(engine: &Arc<Engine>, source: &Arc<SourceDef>, to: Reset) -> Result<()> {
    match source.connector {
        ConnectorKind::Files => files::reset(engine, source, to).await,
        #[cfg(feature = "kafka")]
        ConnectorKind::Kafka => kafka::reset(engine, source, to).await,
        #[cfg(feature = "nats")]
        ConnectorKind::Nats => nats::reset(engine, source, to).await,
        #[cfg(not(all(feature = "kafka", feature = "nats")))]
        other => Err(not_built(other)),
    }
}

/// The source was made by another build.
#[cfg(not(all(feature = "kafka", feature = "nats")))]
fn not_built(connector: ConnectorKind) -> crate::error::Error {
    crate::error::Error::unsupported(format!("connector \"{}\" is not in this build of the server", connector.name()))
}
