//! What a session counts: statements and their times, rows sent, failures; and the page that shows it all.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::catalog::definition::RelationDef;
use crate::clock::Clock;
use crate::error::Error;
use crate::metrics::{Counter, Gauge, Metrics, Raised};
use crate::session::server::Server;

/// Held while a statement runs; dropping it files how long that took.
pub(crate) struct Measured {
    metrics: Arc<Metrics>,
    clock: Clock,
    started_at: DateTime<Utc>,
    _running: Raised,
}

impl Measured {
    pub(crate) fn start(metrics: &Arc<Metrics>, clock: &Clock) -> Self {
        metrics.count(Counter::Statements);
        let running = metrics.raise(Gauge::StatementsRunning);
        Self { metrics: Arc::clone(metrics), clock: clock.clone(), started_at: clock.now(), _running: running }
    }

    /// The statement failed while its rows were read.
    pub(crate) fn failed(&self, error: &Error) {
        self.metrics.failed(error.sqlstate());
    }

    pub(crate) fn rows(&self, rows: usize) {
        self.metrics.add(Counter::RowsReturned, rows as u64);
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // A clock that was set back meanwhile makes no negative time.
        self.metrics.took((self.clock.now() - self.started_at).to_std().unwrap_or_default());
    }
}

impl Server {
    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        self.buffer().metrics()
    }

    /// All numbers of the database, as Prometheus reads them.
    pub fn metrics_page(&self) -> String {
        let metrics = self.metrics();
        let tables = self.buffer().current().catalog.relations().filter(|relation| relation.table().is_some()).count();
        metrics.set(Gauge::ConnectionsOpen, self.sessions().len());
        metrics.set(Gauge::MemoryBytes, self.engine().memory_bytes());
        metrics.set(Gauge::MemoryBytesMax, self.config().memory_bytes_max);
        metrics.set(Gauge::Tables, tables);
        let log = self.buffer().log_status();
        metrics.set(Gauge::TailBytes, self.buffer().tail_bytes());
        metrics.set(Gauge::LogBytes, usize::try_from(log.bytes).unwrap_or(usize::MAX));
        metrics.set(Gauge::LogLsn, usize::try_from(log.last.0).unwrap_or_default());
        metrics.set_event_watermark_lags(self.event_watermark_lags());
        metrics.render()
    }

    fn event_watermark_lags(&self) -> BTreeMap<String, i64> {
        let (version, now_ms) = (self.buffer().current(), self.clock().now().timestamp_millis());
        let lag = |relation: &Arc<RelationDef>| {
            let micros = version.event_time(relation)?.watermark_micros(relation.table()?, now_ms)?;
            Some((version.catalog.name_of(relation).to_string(), now_ms.saturating_sub(micros.div_euclid(1000))))
        };
        version.catalog.relations().filter_map(lag).collect()
    }
}
