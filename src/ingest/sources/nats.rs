//! NATS: the messages of a JetStream stream, each from the sequence that the table holds.
//!
//! A consumer that lives as long as the connection hands them on, as many as it was asked for; nothing is acknowledged. How
//! far the stream was read stands in the log beside the rows, under `<identity of the source>/0`: the sequence to go on from,
//! and beside it when the stream was made. Invariant: a message is in the table exactly if its sequence is below that. Where
//! messages are gone that were not read, or the stream is another one, the source fails and says so, it does not skip them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::jetstream::consumer::{DeliverPolicy, PullConsumer};
use async_nats::jetstream::stream::{Info, Stream};
use async_nats::{HeaderMap, Message, StatusCode, Subject, Subscriber, jetstream};
use futures::StreamExt;

use crate::catalog::definition::{SourceDef, SourceFormat};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::sources::connector::{Chunk, Reset};
use crate::ingest::sources::options::Chosen;
use crate::ingest::sources::records::{Record, Records, note, position_name, removed};
use crate::ingest::sources::status::Status;

mod connection;
mod options;

pub(super) use options::check;

use connection::{Connection, created, failed};
use options::{Start, key_at};

/// Messages that are asked for at a time: what the client holds for us, who may be storing others. It has room for 65536.
const MESSAGES_MAX: usize = 20_000;
/// How long one request for messages stands.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How often the server says that there is nothing.
const HEARTBEAT: Duration = Duration::from_secs(4);
/// A server that says nothing for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(12);
/// What the server counts for a message beside its body and headers: subjects.
const ENVELOPE_BYTES_MAX: usize = 64 << 10;
/// The stream is the one partition.
const PARTITION: i32 = 0;

/// A connection to a stream.
pub(super) struct Nats {
    engine: Arc<Engine>,
    source: Arc<SourceDef>,
    status: Arc<Status>,
    connection: Connection,
    consumer: PullConsumer,
    inbox: Subject,
    messages: Subscriber,
    request: BatchConfig,
    /// How many messages the last request may still bring.
    owed: usize,
    /// The number of the last message among those of the consumer.
    delivered: u64,
    /// The sequence to go on from.
    next: u64,
    /// As dead letters name it.
    name: Arc<str>,
}

/// What the server says to a request for messages.
enum Heard {
    Message(Box<Message>),
    /// There is nothing now, nor in the stream up to this sequence.
    Nothing {
        seen: u64,
    },
    /// The request brings no more.
    Over,
}

impl Nats {
    pub async fn open(engine: &Arc<Engine>, source: &Arc<SourceDef>, status: &Arc<Status>) -> Result<Self> {
        let connection = Connection::open(engine, source).await?;
        let next = match held(engine, source, connection.stream.cached_info())? {
            Some(next) => next,
            None => {
                let next = start(source, &connection.stream).await?;
                // What comes from now on is to be read, also when the server ends before the first message.
                note(engine, source, positions(source, next, connection.stream.cached_info())?).await?;
                next
            }
        };
        let consumer = connection.consumer(source, DeliverPolicy::ByStartSequence { start_sequence: next }).await?;
        let waiting = consumer.cached_info().num_pending;
        status.update(|seen| (seen.partitions, seen.lag_rows) = (1, Some(waiting)));
        let inbox = Subject::from(connection.client.new_inbox());
        let messages = connection.client.subscribe(inbox.clone()).await;
        let limits = Chosen(source).limits();
        let request = BatchConfig {
            batch: MESSAGES_MAX.min(usize::try_from(limits.rows).unwrap_or(usize::MAX)),
            // Less would never bring the largest message.
            max_bytes: limits.bytes.max(connection.client.server_info().max_payload + ENVELOPE_BYTES_MAX),
            expires: Some(REQUEST_LIMIT),
            idle_heartbeat: HEARTBEAT,
            ..BatchConfig::default()
        };
        Ok(Self {
            engine: Arc::clone(engine),
            source: Arc::clone(source),
            status: Arc::clone(status),
            name: connection.stream.cached_info().config.name.as_str().into(),
            messages: messages.map_err(|error| failed("the server takes no subscription", error))?,
            connection,
            consumer,
            inbox,
            request,
            owed: 0,
            delivered: 0,
            next,
        })
    }

    /// What waits, up to the limits of a batch; waits for the first message.
    pub async fn next(&mut self) -> Result<Chunk> {
        let clock = self.engine.buffer().clock().clone();
        let linger = Chosen(&self.source).duration("batch_interval");
        let (mut records, mut gap, mut waiting) = (Records::new(&self.source), None, None);
        while records.is_empty() {
            let heard = tokio::select! {
                biased;
                heard = self.hear() => heard?,
                () = clock.sleep(SILENCE_MAX) => return Err(Error::new(ErrorKind::IoError, "the server says nothing")),
            };
            match heard {
                Heard::Message(message) => waiting = Some(self.take(*message, &mut records, &mut gap)?),
                // Others than ours were passed by: when they are gone, nothing is missing.
                Heard::Nothing { seen } if seen >= self.next => {
                    self.require_kept(self.next).await?;
                    self.next = seen + 1;
                    let positions = vec![position(&self.source, self.next)?];
                    return Ok(Chunk { positions, ..Chunk::default() });
                }
                Heard::Nothing { .. } => self.status.update(|seen| seen.lag_rows = Some(0)),
                Heard::Over => {}
            }
        }
        let mut over = pin!(clock.sleep(linger));
        while !records.is_full() {
            let heard = tokio::select! {
                biased;
                heard = self.hear() => heard?,
                () = &mut over => break,
            };
            if let Heard::Message(message) = heard {
                waiting = Some(self.take(*message, &mut records, &mut gap)?);
            }
        }
        if let Some(from) = gap {
            self.require_kept(from).await?;
        }
        self.status.update(|seen| seen.lag_rows = waiting);
        Ok(records.chunk(&self.status, clock.now()))
    }

    /// What the server says next; asks it for more where the last request is over. Nothing is lost where it is dropped.
    async fn hear(&mut self) -> Result<Heard> {
        if self.owed == 0 {
            let asked = self.consumer.request_batch(self.request.clone(), self.inbox.clone()).await;
            asked.map_err(|error| failed("messages cannot be asked for", error))?;
            self.owed = self.request.batch;
        }
        let message = tokio::select! {
            biased;
            message = self.messages.next() => message,
            trouble = self.connection.trouble() => return Err(trouble),
        };
        let message = message.ok_or_else(|| Error::new(ErrorKind::IoError, "the connection has ended"))?;
        match (message.status.unwrap_or(StatusCode::OK), message.description.as_deref().unwrap_or_default()) {
            (StatusCode::OK, _) => {
                self.owed = self.owed.saturating_sub(1);
                Ok(Heard::Message(Box::new(message)))
            }
            (StatusCode::IDLE_HEARTBEAT, _) => {
                let header = |name| number(message.headers.as_ref(), name);
                match header("Nats-Last-Consumer") {
                    Some(last) if last != self.delivered => Err(lost()),
                    _ => Ok(Heard::Nothing { seen: header("Nats-Last-Stream").unwrap_or_default() }),
                }
            }
            (StatusCode::TIMEOUT | StatusCode::NOT_FOUND, _) | (StatusCode::REQUEST_TERMINATED, "Batch Completed") => {
                self.owed = 0;
                Ok(Heard::Over)
            }
            // The next message is larger than what is left of the request.
            (StatusCode::REQUEST_TERMINATED, "Message Size Exceeds MaxBytes") if self.owed < self.request.batch => {
                self.owed = 0;
                Ok(Heard::Over)
            }
            (status, why) => {
                Err(Error::new(ErrorKind::IoError, format!("the server ends the request for messages: {status} {why}")))
            }
        }
    }

    /// A message among the others. Gives how many wait behind it; where some are missing before it, `gap` says since when.
    fn take(&mut self, message: Message, records: &mut Records, gap: &mut Option<u64>) -> Result<u64> {
        let message = jetstream::Message { message, context: self.connection.context.clone() };
        let info = message.info().map_err(|error| failed("a message comes without its place", error))?;
        if info.consumer_sequence != self.delivered + 1 || info.stream_sequence < self.next {
            return Err(lost());
        }
        if info.stream_sequence > self.next {
            gap.get_or_insert(self.next);
        }
        self.delivered = info.consumer_sequence;
        self.next = info.stream_sequence + 1;
        let is_keyed = self.source.format == SourceFormat::Upsert;
        records.take(Record {
            partition: PARTITION,
            place: place(info.stream_sequence)?,
            source: Arc::clone(&self.name),
            key: if is_keyed { key(&self.source, &message.message) } else { None },
            value: (!message.payload.is_empty()).then_some(&message.payload),
            at_ms: i64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).ok(),
        });
        Ok(info.pending)
    }

    /// That what is passed by was not removed before it could be read.
    async fn require_kept(&self, from: u64) -> Result<()> {
        let info = self.connection.stream.get_info().await;
        let info = info.map_err(|error| failed("the stream cannot be looked at", error))?;
        kept(&info, from)
    }
}

/// The key of a message without a body: in a header, or in the subject where the filter leaves it open.
fn key<'m>(source: &SourceDef, message: &'m Message) -> Option<&'m [u8]> {
    let chosen = Chosen(source);
    let key = match chosen.text("key_header") {
        "" => message.subject.get(key_at(chosen.text("subject"))..)?,
        name => message.headers.as_ref()?.get(name)?.as_str(),
    };
    (!key.is_empty()).then_some(key.as_bytes())
}

fn number(headers: Option<&HeaderMap>, name: &'static str) -> Option<u64> {
    headers?.get(name)?.as_str().parse().ok()
}

fn lost() -> Error {
    Error::new(ErrorKind::IoError, "messages were lost on the way from the server")
}

/// Where the table says that the stream was read to, if it says so; and that the stream still has what follows.
fn held(engine: &Engine, source: &SourceDef, info: &Info) -> Result<Option<u64>> {
    let noted = |name: &str| engine.buffer().position(source.table, name);
    let Some(next) = noted(&position_name(source, PARTITION)).and_then(|next| u64::try_from(next).ok()) else {
        return Ok(None);
    };
    let name = &info.config.name;
    if noted(&created_name(source)).is_some_and(|noted| noted != created(info)) {
        return Err(removed(format!(
            "stream \"{name}\" was made anew since it was read, and counts from its beginning"
        )));
    }
    let last = info.state.last_sequence;
    if next > last + 1 {
        let read = next - 1;
        return Err(removed(format!("stream \"{name}\" ends at sequence {last}, but was read up to {read}")));
    }
    kept(info, next)?;
    Ok(Some(next))
}

fn kept(info: &Info, from: u64) -> Result<()> {
    let (name, first) = (&info.config.name, info.state.first_sequence);
    match first > from {
        false => Ok(()),
        true => Err(removed(format!(
            "stream \"{name}\" begins at sequence {first}, but was read only up to {}: messages between were removed",
            from - 1
        ))),
    }
}

/// The sequence that a source begins with that has read nothing.
async fn start(source: &SourceDef, stream: &Stream) -> Result<u64> {
    let (first, end) = ends(stream.cached_info());
    let sequence = match Start::read(Chosen(source).text("start"))? {
        Start::Earliest => first,
        Start::Latest => end,
        Start::Sequence(sequence) => sequence,
        Start::Moment(moment) => connection::at(stream, moment).await?,
    };
    Ok(sequence.clamp(first, end))
}

/// The first sequence that the stream has, and the one that comes next.
fn ends(info: &Info) -> (u64, u64) {
    let end = info.state.last_sequence + 1;
    (info.state.first_sequence.clamp(1, end), end)
}

/// Sets where the source goes on from.
pub(super) async fn reset(engine: &Engine, source: &Arc<SourceDef>, to: Reset) -> Result<()> {
    let stream = Connection::open(engine, source).await?.stream;
    let (first, end) = ends(stream.cached_info());
    let sequence = match to {
        Reset::Offset(offset) => u64::try_from(offset).unwrap_or_default(),
        Reset::Moment(moment) => connection::at(&stream, moment).await?,
    };
    note(engine, source, positions(source, sequence.clamp(first, end), stream.cached_info())?).await
}

fn positions(source: &SourceDef, next: u64, info: &Info) -> Result<Vec<(String, i64)>> {
    Ok(vec![position(source, next)?, (created_name(source), created(info))])
}

fn position(source: &SourceDef, next: u64) -> Result<(String, i64)> {
    Ok((position_name(source, PARTITION), place(next)?))
}

fn place(sequence: u64) -> Result<i64> {
    i64::try_from(sequence).map_err(|_| Error::internal(format!("sequence {sequence} does not fit")))
}

fn created_name(source: &SourceDef) -> String {
    format!("{}/created", source.identity)
}
