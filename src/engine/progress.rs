//! How far a statement is: what its scans have read, what it has written.
//!
//! The counters of scans are DataFusion's own; a plan itself is not kept, it holds memory.

use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use crate::tables::{ScanMeter, ScanSummary};

/// How far a statement is; it may be looked at while the statement runs.
#[derive(Debug, Default)]
pub struct Progress {
    scans: Mutex<Vec<ScanMeter>>,
    rows_sent: AtomicU64,
    rows_written: AtomicU64,
    bytes_total: AtomicU64,
    bytes_done: AtomicU64,
}

impl Progress {
    /// A plan is about to run.
    pub(in crate::engine) fn watch(&self, plan: &dyn ExecutionPlan) {
        self.scans.lock().extend(ScanMeter::of_plan(plan));
    }

    /// Rows are on their way to files.
    pub(in crate::engine) fn wrote(&self, rows: usize) {
        self.rows_written.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// The statement has so many bytes to go through; without this its scans tell how far it is.
    pub fn expect(&self, bytes: u64) {
        self.bytes_total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes more are done.
    pub fn advance(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Rows went to the client.
    pub fn sent(&self, rows: usize) {
        self.rows_sent.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Rows that were sent or written so far; rows that a changed file keeps are written again.
    pub fn rows(&self) -> u64 {
        self.rows_sent.load(Ordering::Relaxed).max(self.rows_written.load(Ordering::Relaxed))
    }

    /// What the statement has read so far.
    pub fn scanned(&self) -> ScanSummary {
        self.scans.lock().iter().map(ScanMeter::read).sum()
    }

    /// From 0 to 1; `None` where nobody knows how much there is to do.
    pub fn fraction(&self) -> Option<f64> {
        let (done, total) = match self.bytes_total.load(Ordering::Relaxed) {
            0 => {
                let scanned = self.scanned();
                (scanned.parts_done, scanned.parts_total)
            }
            total => (self.bytes_done.load(Ordering::Relaxed), total),
        };
        (total > 0).then(|| (done as f64 / total as f64).min(1.0))
    }
}
