//! Sources: rows that come by themselves, one task each.
//!
//! The catalog says which sources there are; [`Sources::follow`] brings the tasks in line with it. A task ([`runner`]) takes
//! batches from its connector and adds each in one change of the log, together with how far it has read: after a crash it
//! goes on exactly there. Invariants: a source has at most one task, and none once `follow` has returned for a definition
//! that is paused or gone; what is being added when a task is told to stop is finished first, so nothing is read twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::buffer::DbVersion;
use crate::catalog::definition::SourceDef;
use crate::catalog::name::Oid;
use crate::engine::Engine;
use crate::engine::facts::sources::{SourceFact, SourceState};
use crate::error::{Error, Result};
use crate::ingest::decode::DecodeLimits;

mod backoff;
mod connector;
mod files;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
pub mod options;
#[cfg(any(feature = "kafka", feature = "nats"))]
mod records;
mod runner;
mod status;

pub use connector::Reset;
pub use files::LEDGER_COLUMNS;

use options::Chosen;
use status::Status;

/// How often the tasks are compared with the catalog.
const TICK: Duration = Duration::from_millis(200);

/// The sources of a database.
pub struct Sources {
    engine: Arc<Engine>,
    limits: DecodeLimits,
    tasks: tokio::sync::Mutex<Tasks>,
    statuses: parking_lot::Mutex<BTreeMap<Oid, Arc<Status>>>,
}

#[derive(Default)]
struct Tasks {
    running: HashMap<Oid, Task>,
    /// Nothing is started any more.
    is_closed: bool,
}

struct Task {
    definition: Arc<SourceDef>,
    stop: CancellationToken,
    handle: tokio::task::JoinHandle<()>,
}

impl Sources {
    /// Sources that do not run yet.
    pub fn new(engine: Arc<Engine>, limits: DecodeLimits) -> Arc<Self> {
        Arc::new(Self { engine, limits, tasks: tokio::sync::Mutex::default(), statuses: parking_lot::Mutex::default() })
    }

    /// Starts what the catalog has, and goes on following it.
    pub fn start(self: &Arc<Self>) {
        let (sources, clock) = (Arc::downgrade(self), self.engine.buffer().clock().clone());
        tokio::spawn(async move {
            while let Some(sources) = Weak::upgrade(&sources) {
                if !sources.follow().await {
                    return;
                }
                drop(sources);
                clock.sleep(TICK).await;
            }
        });
    }

    /// Ends the tasks of sources that are paused, changed or gone, and starts those that lack one. False once closed.
    pub async fn follow(&self) -> bool {
        let mut tasks = self.tasks.lock().await;
        let catalog = Arc::clone(&self.engine.buffer().current().catalog);
        let wanted = |oid: Oid| catalog.source_by_oid(oid).filter(|source| source.pause.is_none() && !tasks.is_closed);
        let ended: Vec<Oid> = tasks
            .running
            .iter()
            .filter(|(oid, task)| {
                task.handle.is_finished()
                    || !wanted(**oid)
                        .is_some_and(|source| Arc::ptr_eq(&source, &task.definition) || *source == *task.definition)
            })
            .map(|(oid, _)| *oid)
            .collect();
        let wanted: Vec<Arc<SourceDef>> = catalog.sources().filter_map(|source| wanted(source.oid)).collect();
        for oid in ended {
            if let Some(task) = tasks.running.remove(&oid) {
                self.end(oid, task).await;
            }
        }
        for source in wanted {
            tasks.running.entry(source.oid).or_insert_with(|| self.begin(source));
        }
        self.statuses.lock().retain(|oid, _| catalog.source_by_oid(*oid).is_some());
        !tasks.is_closed
    }

    /// Ends all tasks; what they are adding is there when it returns.
    pub async fn close(&self) {
        self.tasks.lock().await.is_closed = true;
        self.follow().await;
    }

    /// Ends the task of a source, and lets it begin anew somewhere else with the next [`Sources::follow`].
    pub async fn reset(&self, source: &Arc<SourceDef>, to: Reset) -> Result<()> {
        let mut tasks = self.tasks.lock().await;
        if let Some(task) = tasks.running.remove(&source.oid) {
            self.end(source.oid, task).await;
        }
        connector::reset(&self.engine, source, to).await
    }

    fn begin(&self, definition: Arc<SourceDef>) -> Task {
        let stop = CancellationToken::new();
        let status = self.status(definition.oid);
        let engine = Arc::clone(&self.engine);
        let run = runner::run(engine, Arc::clone(&definition), self.limits, status, stop.clone());
        Task { definition, stop, handle: tokio::spawn(run) }
    }

    async fn end(&self, oid: Oid, task: Task) {
        task.stop.cancel();
        if let Err(error) = task.handle.await {
            let error =
                Error::internal(format!("the task of source \"{}\" has panicked: {error}", task.definition.name));
            tracing::error!(%error, "it is started again");
            self.status(oid).failed(&error, self.engine.buffer().clock().now(), SourceState::Retrying, None);
        }
    }

    fn status(&self, oid: Oid) -> Arc<Status> {
        Arc::clone(self.statuses.lock().entry(oid).or_default())
    }

    /// All sources, each as it is doing.
    pub fn list(&self) -> Vec<SourceFact> {
        let (version, now) = (self.engine.buffer().current(), self.engine.buffer().clock().now());
        let catalog = Arc::clone(&version.catalog);
        let fact = |source: &Arc<SourceDef>| {
            let seen = self.statuses.lock().get(&source.oid).map(|status| status.seen()).unwrap_or_default();
            let (event_watermark_micros, (late_rows, future_rows)) = events(&version, source, now);
            SourceFact {
                id: source.oid,
                schema: source.schema,
                name: source.name.clone(),
                table: source.table,
                connector: source.connector.name(),
                state: if source.pause.is_some() { SourceState::Paused } else { seen.state },
                pause_reason: source.pause.clone(),
                rows: seen.rows,
                bytes: seen.bytes,
                batches: seen.batches,
                dead_letters: seen.dead_letters,
                rows_per_second: seen.rows_per_second(now),
                partitions: seen.partitions,
                lag_rows: seen.lag_rows,
                lag_ms: seen.lag_ms,
                event_watermark_micros,
                late_rows,
                future_rows,
                errors: seen.errors,
                last_error: seen.last_error,
                last_error_at: seen.last_error_at,
                last_row_at: seen.last_row_at,
                retry_at: seen.retry_at,
                options: Chosen(source).shown(),
            }
        };
        catalog.sources().map(fact).collect()
    }
}

/// How far the events of a source have got, and how many came late or are ahead of the clock.
fn events(version: &DbVersion, source: &SourceDef, now: DateTime<Utc>) -> (Option<i64>, (i64, i64)) {
    let Some(relation) = version.catalog.relation_by_oid(source.table) else { return Default::default() };
    let (Some(table), Some(time)) = (relation.table(), version.event_time(&relation)) else {
        return Default::default();
    };
    (time.least_micros(table, now.timestamp_millis(), &source.identity), time.counts(&source.identity))
}
