//! What a finished plan's scans had to read: for `EXPLAIN ANALYZE` and `system.queries`.

use std::collections::HashSet;

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricType, MetricValue};

use crate::tables::snapshot::Snapshot;

/// The metric's name in `EXPLAIN ANALYZE`: `files_pruned_by_lake=10 total → 2 matched`.
const METRIC: &str = "files_pruned_by_lake";

/// Files and bytes of the scans of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanSummary {
    /// Files of the scanned tables.
    pub files_total: u64,
    /// Files that partition values and statistics ruled out at planning.
    pub files_pruned: u64,
    /// Bytes, as stored, of the files that are left.
    pub bytes: u64,
}

impl ScanSummary {
    /// The sum over all scans of [`LakeScan`](super::LakeScan)s in a plan.
    pub fn of_plan(plan: &dyn ExecutionPlan) -> Self {
        let mut sum = Self::default();
        sum.visit(plan);
        sum
    }

    fn visit(&mut self, plan: &dyn ExecutionPlan) {
        let source = plan.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
        if let Some(config) = source.and_then(|source| source.downcast_ref::<FileScanConfig>())
            && let Some(metrics) = plan.metrics()
        {
            for metric in metrics.iter() {
                if let MetricValue::PruningMetrics { name, pruning_metrics } = metric.value()
                    && name == METRIC
                {
                    self.files_total += (pruning_metrics.pruned() + pruning_metrics.matched()) as u64;
                    self.files_pruned += pruning_metrics.pruned() as u64;
                    let files = config.file_groups.iter().flat_map(|group| group.iter());
                    self.bytes += files.map(|file| file.effective_size()).sum::<u64>();
                }
            }
        }
        for child in plan.children() {
            self.visit(child.as_ref());
        }
    }
}

/// The files of the table that a plan reads, by their paths in it.
pub fn files_of_plan(plan: &dyn ExecutionPlan, snapshot: &Snapshot) -> HashSet<String> {
    let mut files = HashSet::new();
    let source = plan.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
    if let Some(config) = source.and_then(|source| source.downcast_ref::<FileScanConfig>()) {
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
