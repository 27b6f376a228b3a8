//! What a finished plan's scans had to read: for `EXPLAIN ANALYZE` and `system.queries`.

use std::collections::HashSet;

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricType, MetricValue};

use crate::tables::snapshot::Snapshot;

/// The metric's name in `EXPLAIN ANALYZE`: `files_pruned_by_lake=10 total → 2 matched`.
const METRIC: &str = "files_pruned_by_lake";

/// What the scans of a plan had to read, and what they have read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanSummary {
    /// Files of the scanned tables.
    pub files_total: u64,
    /// Files that partition values and statistics ruled out at planning.
    pub files_pruned: u64,
    /// Row groups of the files that were read.
    pub row_groups_total: u64,
    /// Row groups that their statistics, a limit or a join's other side ruled out.
    pub row_groups_pruned: u64,
    /// Bytes that were fetched.
    pub bytes_scanned: u64,
    /// Files, or parts of large ones, that there are to read.
    pub parts_total: u64,
    /// Those that are read.
    pub parts_done: u64,
}

/// One scan of a plan that runs: its counters, without what the plan holds in memory.
#[derive(Clone, Debug)]
pub struct ScanMeter {
    metrics: ExecutionPlanMetricsSet,
    parts: u64,
}

impl ScanMeter {
    /// The scans of [`LakeScan`](super::LakeScan)s in a plan.
    pub fn of_plan(plan: &dyn ExecutionPlan) -> Vec<Self> {
        let mut meters = Vec::new();
        if let Some(config) = file_scan(plan) {
            let parts = config.file_groups.iter().map(|group| group.len() as u64).sum();
            meters.push(Self { metrics: config.file_source().metrics().clone(), parts });
        }
        meters.extend(plan.children().into_iter().flat_map(|child| Self::of_plan(child.as_ref())));
        meters
    }

    /// What the scan has counted so far.
    pub fn read(&self) -> ScanSummary {
        let mut sum = ScanSummary { parts_total: self.parts, ..ScanSummary::default() };
        for metric in self.metrics.clone_inner().iter() {
            match metric.value() {
                MetricValue::PruningMetrics { name, pruning_metrics } => {
                    let (pruned, matched) = (pruning_metrics.pruned() as u64, pruning_metrics.matched() as u64);
                    match name.as_ref() {
                        METRIC => {
                            sum.files_total += pruned + matched;
                            sum.files_pruned += pruned;
                        }
                        "row_groups_pruned_statistics" => {
                            sum.row_groups_total += pruned + matched;
                            sum.row_groups_pruned += pruned;
                        }
                        "row_groups_pruned_bloom_filter" | "limit_pruned_row_groups" => sum.row_groups_pruned += pruned,
                        _ => {}
                    }
                }
                MetricValue::Count { name, count } => match name.as_ref() {
                    "row_groups_pruned_dynamic_filter" => sum.row_groups_pruned += count.value() as u64,
                    "bytes_scanned" => sum.bytes_scanned += count.value() as u64,
                    "files_processed" => sum.parts_done += count.value() as u64,
                    _ => {}
                },
                _ => {}
            }
        }
        sum
    }
}

#[cfg(test)]
impl ScanSummary {
    /// The sum over all scans of a plan.
    pub fn of_plan(plan: &dyn ExecutionPlan) -> Self {
        ScanMeter::of_plan(plan).iter().map(ScanMeter::read).sum()
    }
}

impl std::iter::Sum for ScanSummary {
    fn sum<I: Iterator<Item = Self>>(summaries: I) -> Self {
        summaries.fold(Self::default(), |one, other| Self {
            files_total: one.files_total + other.files_total,
            files_pruned: one.files_pruned + other.files_pruned,
            row_groups_total: one.row_groups_total + other.row_groups_total,
            row_groups_pruned: one.row_groups_pruned + other.row_groups_pruned,
            bytes_scanned: one.bytes_scanned + other.bytes_scanned,
            parts_total: one.parts_total + other.parts_total,
            parts_done: one.parts_done + other.parts_done,
        })
    }
}

/// The scan that a node of a plan is, if it is one of files.
fn file_scan(plan: &dyn ExecutionPlan) -> Option<&FileScanConfig> {
    plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()
}

/// The files of the table that a plan reads, by their paths in it.
pub fn files_of_plan(plan: &dyn ExecutionPlan, snapshot: &Snapshot) -> HashSet<String> {
    let mut files = HashSet::new();
    if let Some(config) = file_scan(plan) {
        let read = config.file_groups.iter().flat_map(|group| group.iter());
        let root = format!("{}/", snapshot.root());
        files.extend(read.filter_map(|file| file.object_meta.location.as_ref().strip_prefix(&root).map(str::to_owned)));
    }
    for child in plan.children() {
        files.extend(files_of_plan(child.as_ref(), snapshot));
    }
    files
}

/// Notes in a scan's metrics how many files it has and how many it needs.
pub(super) fn record(metrics: &ExecutionPlanMetricsSet, total: usize, selected: usize) {
    let files = MetricBuilder::new(metrics).with_type(MetricType::Summary).pruning_metrics(METRIC, 0);
    files.add_pruned(total - selected);
    files.add_matched(selected);
}
