//! The task of one source: read, add, go on; wait and try again where it fails.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::buffer::{Addition, Rows, TableChanges};
use crate::catalog::definition::SourceDef;
use crate::engine::Engine;
use crate::engine::facts::sources::SourceState;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::decode::DecodeLimits;
use crate::ingest::sources::backoff::Backoff;
use crate::ingest::sources::connector::{Chunk, Connector};
use crate::ingest::sources::options::Chosen;
use crate::ingest::sources::status::Status;
use crate::ingest::{Accepted, Batch, Beside, Broken, WayIn, accept};
use crate::log::Durability;

/// How often a source looks whether rows have gone from memory to files.
const ROOM_POLL: Duration = Duration::from_millis(20);

/// Why a task ends by itself.
enum End {
    Stopped,
    /// Too much of what came was refused.
    Poisoned(String),
}

/// Runs a source until it is told to stop, or pauses itself.
pub(super) async fn run(
    engine: Arc<Engine>,
    source: Arc<SourceDef>,
    limits: DecodeLimits,
    status: Arc<Status>,
    stop: CancellationToken,
) {
    let chosen = Chosen(&source);
    let failures_max = u32::try_from(chosen.number("breaker_failures")).unwrap_or(u32::MAX);
    let mut backoff = Backoff::new(chosen.duration("retry_pause_max"), failures_max, rand::random::<f64>);
    let clock = engine.buffer().clock().clone();
    while !stop.is_cancelled() {
        let begun_at = clock.now();
        let ended = read(&engine, &source, limits, &status, &stop, &mut || backoff.succeeded()).await;
        let error = match ended {
            Ok(End::Stopped) => return,
            Ok(End::Poisoned(reason)) => match pause(&engine, &source, reason) {
                Ok(()) => return,
                Err(error) => error,
            },
            Err(error) => error,
        };
        let wait = backoff.failed((clock.now() - begun_at).to_std().unwrap_or_default());
        let state = if backoff.is_open() { SourceState::Broken } else { SourceState::Retrying };
        tracing::warn!(source = %source.name, %error, wait_ms = wait.as_millis(), "a source has failed and will try again");
        status.failed(&error, clock.now(), state, Some(clock.now() + wait));
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(wait) => {}
        }
    }
}

/// Reads until something fails.
async fn read(
    engine: &Arc<Engine>,
    source: &Arc<SourceDef>,
    limits: DecodeLimits,
    status: &Arc<Status>,
    stop: &CancellationToken,
    succeeded: &mut (dyn FnMut() + Send),
) -> Result<End> {
    let opened = tokio::select! {
        () = stop.cancelled() => return Ok(End::Stopped),
        opened = Connector::open(engine, source, status) => opened,
    };
    let (mut connector, mut poison) = (opened?, Poison::new(source));
    status.state(SourceState::Running);
    loop {
        wait_for_room(engine, status, stop).await;
        let Some(chunk) = connector.next(stop).await? else { return Ok(End::Stopped) };
        let bytes = chunk.bytes;
        // From here on a stop waits: what is half added would be read again.
        let accepted = add(engine, source, limits, chunk).await?;
        connector.stored();
        succeeded();
        status.stored(accepted.rows, accepted.dead_letters, bytes, engine.buffer().clock().now());
        if let Some(reason) = poison.seen(accepted.records, accepted.dead_letters) {
            return Ok(End::Poisoned(reason));
        }
    }
}

/// Adds rows, dead letters and how far the source has read, in one change.
async fn add(engine: &Arc<Engine>, source: &SourceDef, limits: DecodeLimits, chunk: Chunk) -> Result<Accepted> {
    let Some(format) = chunk.format else {
        let positions = chunk.positions.into_iter().map(|(name, value)| (source.table, name, value)).collect();
        let rows = chunk.also.iter().map(|(relation, rows)| Rows::inserted(relation, vec![rows.clone()])).collect();
        engine.buffer().add(Addition { rows, positions, ..Addition::default() }, Durability::Synced).await?;
        return Ok(Accepted::default());
    };
    let batch = Batch {
        table: source.table,
        format,
        meaning: source.format,
        sequence: source.sequence.clone(),
        payloads: chunk.payloads,
        way: WayIn { name: source.identity.clone(), partitions: chunk.partitions },
        broken: Broken::Refused,
        limits,
        beside: Beside { positions: chunk.positions, refused: chunk.refused, rows: chunk.also },
        key: None,
    };
    accept(engine, &|| engine.background_scope(), batch).await
}

/// Nothing is read while rows wait in memory for their files: what sends them has to wait.
async fn wait_for_room(engine: &Engine, status: &Status, stop: &CancellationToken) {
    let buffer = engine.buffer();
    if !buffer.is_pressed() {
        return;
    }
    status.state(SourceState::Full);
    while buffer.is_pressed() && !stop.is_cancelled() {
        buffer.clock().sleep(ROOM_POLL).await;
    }
    status.state(SourceState::Running);
}

fn pause(engine: &Engine, source: &SourceDef, reason: String) -> Result<()> {
    tracing::error!(source = %source.name, reason, "a source pauses itself");
    let paused =
        engine.buffer().define(|draft| draft.pause_source(source.oid, Some(reason)), |()| TableChanges::default());
    match paused {
        // It was dropped meanwhile.
        Err(error) if error.kind() == ErrorKind::UndefinedObject => Ok(()),
        paused => paused.map_err(|error: Error| error.within("the source cannot be paused")),
    }
}

/// Counts what was refused, over a window of records.
struct Poison {
    window: u64,
    limit: f64,
    records: u64,
    refused: u64,
}

impl Poison {
    fn new(source: &SourceDef) -> Self {
        let chosen = Chosen(source);
        Self { window: chosen.number("poison_window"), limit: chosen.share("poison_limit"), records: 0, refused: 0 }
    }

    /// Why the source should pause, if it should.
    fn seen(&mut self, good: u64, refused: u64) -> Option<String> {
        self.records += good + refused;
        self.refused += refused;
        if self.records < self.window {
            return None;
        }
        let share = self.refused as f64 / self.records as f64;
        let (records, refused) = (std::mem::take(&mut self.records), std::mem::take(&mut self.refused));
        (share > self.limit).then(|| {
            format!("{refused} of the last {records} records were refused, more than poison_limit ({}); see the dead letters", self.limit)
        })
    }
}
