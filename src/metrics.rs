//! Counters, gauges and one histogram of the server, written out as Prometheus reads them.
//!
//! Every floor counts into the one [`Metrics`] of its database; `/metrics` prints it. Invariants: counting never waits
//! for anything but the list of failed statements' codes, and a counter only grows.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

#[cfg(test)]
mod tests;

/// What only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Statements that were started.
    Statements,
    /// Rows sent to clients.
    RowsReturned,
    /// Versions committed to tables.
    Commits,
    /// Clients that connected.
    Connections,
    /// Clients turned away because `connections_max` was reached.
    ConnectionsRefused,
    /// Rows that programs and sources brought.
    RowsIngested,
    /// Their records that could not be stored.
    DeadLetters,
    /// Their rows whose event was older than the watermark.
    LateRows,
    /// Their rows whose event was too far ahead of the clock.
    FutureRows,
}

/// What goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// Clients that are connected.
    ConnectionsOpen,
    /// Statements that run.
    StatementsRunning,
    /// Memory that running statements hold.
    MemoryBytes,
    /// Memory that statements may share.
    MemoryBytesMax,
    /// Tables of the database.
    Tables,
    /// Memory of rows that no file holds yet.
    TailBytes,
    /// The write-ahead log on disk.
    LogBytes,
    /// Its newest change.
    LogLsn,
}

/// Name and help, in the order of [`Counter`].
const COUNTERS: [(Counter, &str, &str); 9] = [
    (Counter::Statements, "statements_total", "Statements that were started."),
    (Counter::RowsReturned, "rows_returned_total", "Rows sent to clients."),
    (Counter::Commits, "commits_total", "Versions committed to tables."),
    (Counter::Connections, "connections_total", "Clients that connected."),
    (
        Counter::ConnectionsRefused,
        "connections_refused_total",
        "Clients turned away because connections_max was reached.",
    ),
    (Counter::RowsIngested, "rows_ingested_total", "Rows that programs and sources brought."),
    (Counter::DeadLetters, "dead_letters_total", "Their records that could not be stored."),
    (Counter::LateRows, "late_rows_total", "Rows of programs and sources whose event was older than the watermark."),
    (
        Counter::FutureRows,
        "future_rows_total",
        "Rows of programs and sources whose event was too far ahead of the clock.",
    ),
];

/// Name and help, in the order of [`Gauge`].
const GAUGES: [(Gauge, &str, &str); 8] = [
    (Gauge::ConnectionsOpen, "connections_open", "Clients that are connected."),
    (Gauge::StatementsRunning, "statements_running", "Statements that run."),
    (Gauge::MemoryBytes, "memory_bytes", "Memory that running statements hold."),
    (Gauge::MemoryBytesMax, "memory_bytes_max", "Memory that statements may share."),
    (Gauge::Tables, "tables", "Tables of the database."),
    (Gauge::TailBytes, "tail_bytes", "Memory of rows that no file holds yet."),
    (Gauge::LogBytes, "log_bytes", "The write-ahead log on disk."),
    (Gauge::LogLsn, "log_lsn", "The newest change of the write-ahead log."),
];

/// Upper bounds of the histogram of statements' times, in milliseconds.
const TIME_BOUNDS_MS: [u64; 14] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000, 600_000];

/// The numbers of one database.
#[derive(Debug, Default)]
pub struct Metrics {
    counters: [AtomicU64; COUNTERS.len()],
    gauges: [AtomicI64; GAUGES.len()],
    /// Failed statements by SQLSTATE.
    failures: Mutex<BTreeMap<&'static str, u64>>,
    /// Statements in each class of time; the last is beyond all bounds.
    times: [AtomicU64; TIME_BOUNDS_MS.len() + 1],
    time_micros: AtomicU64,
    /// How far the watermark of each table is behind the clock, in milliseconds.
    event_watermark_lags: Mutex<BTreeMap<String, i64>>,
}

impl Metrics {
    /// Counts one.
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts several.
    pub fn add(&self, counter: Counter, by: u64) {
        self.counters[counter as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn counted(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// Sets a gauge.
    pub fn set(&self, gauge: Gauge, value: usize) {
        self.gauges[gauge as usize].store(i64::try_from(value).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Sets how far the watermarks of tables are behind the clock, in milliseconds.
    pub fn set_event_watermark_lags(&self, lags_ms: BTreeMap<String, i64>) {
        *self.event_watermark_lags.lock() = lags_ms;
    }

    /// Raises a gauge by one until the answer is dropped.
    #[must_use = "the gauge falls when this is dropped"]
    pub fn raise(self: &std::sync::Arc<Self>, gauge: Gauge) -> Raised {
        self.gauges[gauge as usize].fetch_add(1, Ordering::Relaxed);
        Raised { metrics: std::sync::Arc::clone(self), gauge }
    }

    /// What a gauge stands at.
    pub fn level(&self, gauge: Gauge) -> i64 {
        self.gauges[gauge as usize].load(Ordering::Relaxed)
    }

    /// Counts a failed statement by its SQLSTATE.
    pub fn failed(&self, sqlstate: &'static str) {
        *self.failures.lock().entry(sqlstate).or_default() += 1;
    }

    /// Files how long a statement took, from its start to its last row.
    pub fn took(&self, time: Duration) {
        let bound = |bound_ms: &u64| time <= Duration::from_millis(*bound_ms);
        let class = TIME_BOUNDS_MS.iter().position(bound).unwrap_or(TIME_BOUNDS_MS.len());
        self.times[class].fetch_add(1, Ordering::Relaxed);
        self.time_micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// All numbers in Prometheus' text format (version 0.0.4).
    pub fn render(&self) -> String {
        let mut page = String::with_capacity(4096);
        for (counter, name, help) in COUNTERS {
            write_one(&mut page, "counter", name, help, self.counted(counter));
        }
        for (gauge, name, help) in GAUGES {
            write_one(&mut page, "gauge", name, help, self.level(gauge));
        }
        self.render_lags(&mut page);
        self.render_failures(&mut page);
        self.render_times(&mut page);
        page
    }

    fn render_lags(&self, page: &mut String) {
        let name = "event_watermark_lag_seconds";
        write_head(page, "gauge", name, "How far the watermarks of tables are behind the clock.");
        for (table, lag_ms) in &*self.event_watermark_lags.lock() {
            let (table, lag) =
                (table.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"), *lag_ms as f64 / 1e3);
            write_line(page, format_args!("headwater_{name}{{table=\"{table}\"}} {lag}"));
        }
    }

    fn render_failures(&self, page: &mut String) {
        write_head(page, "counter", "statement_errors_total", "Failed statements by SQLSTATE.");
        for (sqlstate, count) in &*self.failures.lock() {
            write_line(page, format_args!("headwater_statement_errors_total{{sqlstate=\"{sqlstate}\"}} {count}"));
        }
    }

    fn render_times(&self, page: &mut String) {
        let name = "headwater_statement_seconds";
        write_head(page, "histogram", "statement_seconds", "Time of statements from start to last row.");
        let mut total = 0;
        for (class, bound_ms) in TIME_BOUNDS_MS.iter().enumerate() {
            total += self.times[class].load(Ordering::Relaxed);
            let bound = *bound_ms as f64 / 1e3;
            write_line(page, format_args!("{name}_bucket{{le=\"{bound}\"}} {total}"));
        }
        total += self.times[TIME_BOUNDS_MS.len()].load(Ordering::Relaxed);
        write_line(page, format_args!("{name}_bucket{{le=\"+Inf\"}} {total}"));
        let seconds = self.time_micros.load(Ordering::Relaxed) as f64 / 1e6;
        write_line(page, format_args!("{name}_sum {seconds}"));
        write_line(page, format_args!("{name}_count {total}"));
    }
}

/// A gauge raised by one; it falls when this is dropped.
#[derive(Debug)]
pub struct Raised {
    metrics: std::sync::Arc<Metrics>,
    gauge: Gauge,
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.metrics.gauges[self.gauge as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

fn write_one(page: &mut String, kind: &str, name: &str, help: &str, value: impl std::fmt::Display) {
    write_head(page, kind, name, help);
    write_line(page, format_args!("headwater_{name} {value}"));
}

fn write_head(page: &mut String, kind: &str, name: &str, help: &str) {
    write_line(page, format_args!("# HELP headwater_{name} {help}"));
    write_line(page, format_args!("# TYPE headwater_{name} {kind}"));
}

fn write_line(page: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(page, "{line}").expect("writing to a String does not fail");
}
