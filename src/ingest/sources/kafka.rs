//! Kafka: the partitions of a topic, each from the offset that the table holds.
//!
//! Partitions are assigned by ourselves, all of them: the broker's groups and offsets say nothing here. How far each was read
//! stands in the log beside the rows, under `<identity of the source>/<partition>`: the offset to go on from. Invariant: a
//! record is in the table exactly if its offset is below that. Where the broker has removed records that were not read, the
//! source fails and says so, it does not skip them.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::statistics::{Partition, Statistics};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::catalog::definition::SourceDef;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::sources::connector::{Chunk, Reset};
use crate::ingest::sources::options::Chosen;
use crate::ingest::sources::records::{Record, Records, note, position_name, removed};
use crate::ingest::sources::status::Status;

/// How long the broker may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Records of transactions are there once these are committed.
const COMMITTED: &str = "read_committed";
/// To ask where a partition ends.
const ALL: &str = "read_uncommitted";

/// A connection to the brokers.
pub(super) struct Kafka {
    engine: Arc<Engine>,
    source: Arc<SourceDef>,
    status: Arc<Status>,
    client: Client,
    /// The partitions that are read, as dead letters name them.
    partitions: BTreeMap<i32, Arc<str>>,
    looked_at: DateTime<Utc>,
}

type Shared = Arc<StreamConsumer<Context>>;

/// The consumer, which takes its time to close and must not keep a task from going on.
struct Client(Option<Shared>);

impl Client {
    fn new(engine: &Engine, source: &SourceDef, status: &Arc<Status>, isolation: &str) -> Result<Self> {
        Ok(Self(Some(Arc::new(consumer(engine, source, status, isolation)?))))
    }

    fn shared(&self) -> Result<Shared> {
        self.0.clone().ok_or_else(|| Error::internal("the consumer is closed"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let consumer = self.0.take();
        std::thread::spawn(move || drop(consumer));
    }
}

/// Hears what librdkafka says beside records.
struct Context {
    status: Arc<Status>,
    /// Where partitions are read from; one that is not named, from its beginning.
    starts: Mutex<BTreeMap<i32, i64>>,
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let starts = self.starts.lock();
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        let lags: Vec<u64> = partitions.filter_map(|seen| lag(seen, starts.get(&seen.partition).copied())).collect();
        if !lags.is_empty() {
            self.status.update(|seen| seen.lag_rows = Some(lags.iter().sum()));
        }
    }
}

/// The records of a partition that wait; unknown before the first answer of its broker, which tells its end.
fn lag(seen: &Partition, start: Option<i64>) -> Option<u64> {
    // The offset after the last record that was handed on is negative before the first one is. What librdkafka will fetch next
    // would not do, less what waits in its queue: that queue is one for all partitions.
    let next = if seen.app_offset >= 0 { seen.app_offset } else { start.unwrap_or(seen.lo_offset) };
    (seen.hi_offset >= 0 && next >= 0).then(|| seen.hi_offset.saturating_sub(next).max(0).unsigned_abs())
}

impl ConsumerContext for Context {}

impl Kafka {
    pub async fn open(engine: &Arc<Engine>, source: &Arc<SourceDef>, status: &Arc<Status>) -> Result<Self> {
        let client = Client::new(engine, source, status, COMMITTED)?;
        let mut kafka = Self {
            engine: Arc::clone(engine),
            source: Arc::clone(source),
            status: Arc::clone(status),
            client,
            partitions: BTreeMap::new(),
            looked_at: engine.buffer().clock().now(),
        };
        let starts_late = Chosen(source).text("start") == "latest";
        kafka.assign(starts_late).await?;
        Ok(kafka)
    }

    /// What waits, up to the limits of a batch; waits for the first record.
    pub async fn next(&mut self) -> Result<Chunk> {
        let chosen = Chosen(&self.source);
        let (look_every, linger) = (chosen.duration("partitions_interval"), chosen.duration("batch_interval"));
        let consumer = self.client.shared()?;
        loop {
            let clock = self.engine.buffer().clock().clone();
            let wait = (self.looked_at + look_every - clock.now()).to_std().unwrap_or_default();
            let mut batch = Records::new(&self.source);
            {
                let mut records = consumer.stream();
                tokio::select! {
                    biased;
                    record = records.next() => taken(&mut batch, &self.partitions, record)?,
                    () = clock.sleep(wait) => {}
                }
                let mut over = pin!(clock.sleep(linger));
                while !batch.is_empty() && !batch.is_full() {
                    tokio::select! {
                        biased;
                        record = records.next() => taken(&mut batch, &self.partitions, record)?,
                        () = &mut over => break,
                    }
                }
            }
            if !batch.is_empty() {
                let partitions = self.partitions.values().cloned().collect();
                return Ok(Chunk { partitions, ..batch.chunk(&self.status, clock.now()) });
            }
            self.looked_at = clock.now();
            self.assign(false).await?;
        }
    }

    /// Reads all partitions that are not read yet, each from its place.
    async fn assign(&mut self, starts_late: bool) -> Result<()> {
        let topic = Chosen(&self.source).text("topic").to_owned();
        let found = partitions(self.client.shared()?, &topic).await?;
        let probe =
            if starts_late { Some(Client::new(&self.engine, &self.source, &Arc::default(), ALL)?) } else { None };
        let (mut assigned, mut late) = (TopicPartitionList::new(), Vec::new());
        for partition in found.into_iter().filter(|partition| !self.partitions.contains_key(partition)) {
            let name = position_name(&self.source, partition);
            let offset = match (self.engine.buffer().position(self.source.table, &name), &probe) {
                (Some(offset), _) => Offset::Offset(offset),
                (None, Some(probe)) => {
                    let end = ends(probe.shared()?, &topic, partition).await?.1;
                    late.push((name, end));
                    Offset::Offset(end)
                }
                (None, None) => Offset::Beginning,
            };
            assigned.add_partition_offset(&topic, partition, offset).map_err(kafka_error)?;
        }
        if !late.is_empty() {
            // What comes from now on is to be read, also when the server ends before the first record.
            note(&self.engine, &self.source, late).await?;
        }
        if assigned.count() > 0 {
            let consumer = self.client.shared()?;
            let start = |element: TopicPartitionListElem<'_>| {
                let Offset::Offset(offset) = element.offset() else { return None };
                Some((element.partition(), offset))
            };
            consumer.context().starts.lock().extend(assigned.elements().into_iter().filter_map(start));
            consumer.incremental_assign(&assigned).map_err(kafka_error)?;
            let named = |partition: i32| (partition, Arc::from(format!("{topic}/{partition}")));
            self.partitions.extend(assigned.elements().iter().map(|element| named(element.partition())));
            let count = self.partitions.len() as u64;
            self.status.update(|seen| seen.partitions = count);
        }
        Ok(())
    }
}

/// What the consumer gave, among the others.
fn taken(
    batch: &mut Records,
    partitions: &BTreeMap<i32, Arc<str>>,
    record: Option<Result<BorrowedMessage<'_>, KafkaError>>,
) -> Result<()> {
    let record =
        record.ok_or_else(|| Error::new(ErrorKind::IoError, "the consumer has ended"))?.map_err(kafka_error)?;
    let partition = record.partition();
    batch.take(Record {
        partition,
        place: record.offset(),
        source: partitions.get(&partition).cloned().unwrap_or_else(|| record.topic().into()),
        key: record.key(),
        value: record.payload(),
        at_ms: record.timestamp().to_millis(),
    });
    Ok(())
}

/// Sets where every partition goes on from.
pub(super) async fn reset(engine: &Engine, source: &Arc<SourceDef>, to: Reset) -> Result<()> {
    let client = Client::new(engine, source, &Arc::default(), ALL)?;
    let topic = Chosen(source).text("topic").to_owned();
    let mut positions = Vec::new();
    for partition in partitions(client.shared()?, &topic).await? {
        let (first, end) = ends(client.shared()?, &topic, partition).await?;
        let offset = match to {
            Reset::Offset(offset) => offset,
            Reset::Moment(moment) => at(client.shared()?, &topic, partition, moment, end).await?,
        };
        positions.push((position_name(source, partition), offset.clamp(first, end)));
    }
    note(engine, source, positions).await
}

/// Options of ours and what librdkafka calls them.
const PASSED_ON: [(&str, &str); 8] = [
    ("brokers", "bootstrap.servers"),
    ("security", "security.protocol"),
    ("sasl_mechanism", "sasl.mechanism"),
    ("username", "sasl.username"),
    ("password", "sasl.password"),
    ("ca_pem", "ssl.ca.pem"),
    ("certificate_pem", "ssl.certificate.pem"),
    ("key_pem", "ssl.key.pem"),
];

fn consumer(
    engine: &Engine,
    source: &SourceDef,
    status: &Arc<Status>,
    isolation: &str,
) -> Result<StreamConsumer<Context>> {
    let chosen = Chosen(source);
    let mut config = ClientConfig::new();
    config
        .set("client.id", "headwater")
        .set("group.id", format!("headwater-{}", source.identity))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", isolation)
        .set("queued.max.messages.kbytes", "32768")
        .set("statistics.interval.ms", "1000");
    for (ours, theirs) in PASSED_ON {
        let secret = chosen.secret(ours, engine)?;
        let value = secret.as_deref().unwrap_or_else(|| chosen.text(ours));
        if !value.is_empty() {
            config.set(theirs, value);
        }
    }
    config.create_with_context(Context { status: Arc::clone(status), starts: Mutex::default() }).map_err(|error| {
        match error {
            // The value may be a secret.
            KafkaError::ClientConfig(_, what, name, _) => {
                Error::new(ErrorKind::InvalidParameterValue, format!("the connection cannot be set up: {name}: {what}"))
            }
            error => kafka_error(error),
        }
    })
}

/// Asks the brokers, which blocks, where it keeps nobody waiting.
async fn asked<T: Send + 'static>(ask: impl FnOnce() -> Result<T, KafkaError> + Send + 'static) -> Result<T> {
    let answer = tokio::task::spawn_blocking(ask).await;
    answer.map_err(|error| Error::internal(format!("a question to the brokers ended: {error}")))?.map_err(kafka_error)
}

async fn partitions(consumer: Shared, topic: &str) -> Result<Vec<i32>> {
    let name = topic.to_owned();
    let metadata = asked(move || consumer.fetch_metadata(Some(&name), ANSWER_LIMIT)).await?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found.map(|found| (found.error(), found.partitions())) {
        Some((None, partitions @ [_, ..])) => Ok(partitions.iter().map(|partition| partition.id()).collect()),
        _ => Err(Error::new(ErrorKind::UndefinedObject, format!("topic \"{topic}\" does not exist"))),
    }
}

/// The first offset that the broker holds, and the one that the next record gets.
async fn ends(consumer: Shared, topic: &str, partition: i32) -> Result<(i64, i64)> {
    let topic = topic.to_owned();
    asked(move || consumer.fetch_watermarks(&topic, partition, ANSWER_LIMIT)).await
}

/// The first offset with that time or a later one.
async fn at(consumer: Shared, topic: &str, partition: i32, moment: DateTime<Utc>, end: i64) -> Result<i64> {
    let topic = topic.to_owned();
    let found = asked(move || {
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(&topic, partition, Offset::Offset(moment.timestamp_millis()))?;
        consumer.offsets_for_times(times, ANSWER_LIMIT)
    });
    Ok(match found.await?.elements().first().map(|element| element.offset()) {
        Some(Offset::Offset(offset)) => offset,
        _ => end,
    })
}

fn kafka_error(error: KafkaError) -> Error {
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) {
        return removed("the broker has removed records that were not read yet").detail(error.to_string());
    }
    Error::new(ErrorKind::IoError, error.to_string())
}
