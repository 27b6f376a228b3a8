//! OPTIMIZE: small files of a partition become large ones, or lie along a curve; rows stay as they are.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlanBuilder;
use tokio_util::sync::CancellationToken;

use crate::catalog::definition::RelationDef;
use crate::dialect::Optimize;
use crate::engine::curve::{Curve, Shape};
use crate::engine::plan::Planner;
use crate::engine::target::Target;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{Change, CompactionGroup, CompactionOptions, FileEntry, Operation};
use crate::tables::{Snapshot, compaction_groups, files_of_plan, groups_by_partition};

/// Where no more than one in so many bytes of a partition is off the curve, only those go onto it, beside the others.
const STRAY_ONE_IN: u64 = 4;

/// What OPTIMIZE has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptimizeReport {
    /// Files that went.
    pub files_removed: u64,
    /// Files that took their place.
    pub files_added: u64,
    /// Bytes of the files that went.
    pub bytes_removed: u64,
    /// Bytes of the files that took their place.
    pub bytes_added: u64,
}

impl Engine {
    /// Merges or sorts files, one commit a group: what is done stays done when a later group fails.
    pub async fn optimize(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        optimize: &Optimize,
        cancel: &CancellationToken,
    ) -> Result<OptimizeReport> {
        check_columns(relation, &optimize.zorder_by)?;
        let target = Target { relation: Arc::clone(relation), alias: relation.name.clone() };
        let snapshot = Arc::clone(scope.version.snapshot(relation.oid)?);
        let curve = match optimize.zorder_by.as_slice() {
            [] => Curve::of_table(relation),
            columns => Some(Curve { shape: Shape::Morton, columns: columns.to_vec() }),
        };
        let groups = self.groups(scope, &target, &snapshot, optimize, curve.as_ref(), cancel).await?;
        self.rewrite_groups(scope, &target, groups, curve.as_ref(), cancel).await
    }

    /// Merges small files where a partition has `files_min` of about one size: what flushes leave behind.
    pub async fn merge_small_files(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        files_min: usize,
        cancel: &CancellationToken,
    ) -> Result<OptimizeReport> {
        let target = Target { relation: Arc::clone(relation), alias: relation.name.clone() };
        let target_file_bytes = self.write_options(relation).target_file_bytes;
        let options = CompactionOptions { target_file_bytes, files_min, purge: false };
        let groups = compaction_groups(scope.version.snapshot(relation.oid)?.files().iter(), &options);
        self.rewrite_groups(scope, &target, groups, Curve::of_table(relation).as_ref(), cancel).await
    }

    async fn rewrite_groups(
        &self,
        scope: &Scope,
        target: &Target,
        groups: Vec<CompactionGroup>,
        curve: Option<&Curve>,
        cancel: &CancellationToken,
    ) -> Result<OptimizeReport> {
        scope.progress.expect(groups.iter().map(|group| group.size_bytes).sum());
        let mut report = OptimizeReport::default();
        for group in groups {
            let rewritten = self.rewrite_group(scope, target, &group, curve, cancel).await;
            scope.progress.advance(group.size_bytes);
            let added = match rewritten {
                Ok(added) => added,
                // Somebody has changed these files meanwhile: they are left for the next run.
                Err(error) if error.kind() == ErrorKind::SerializationFailure => continue,
                Err(error) => return Err(error),
            };
            report.files_removed += group.files.len() as u64;
            report.files_added += added.len() as u64;
            report.bytes_removed += group.size_bytes;
            report.bytes_added += added.iter().map(|file| file.size_bytes).sum::<u64>();
        }
        Ok(report)
    }

    /// Files that are to be written again together.
    async fn groups(
        &self,
        scope: &Scope,
        target: &Target,
        snapshot: &Snapshot,
        optimize: &Optimize,
        curve: Option<&Curve>,
        cancel: &CancellationToken,
    ) -> Result<Vec<CompactionGroup>> {
        let wanted = self.wanted_files(scope, target, snapshot, optimize, cancel).await?;
        let all = snapshot.files().iter();
        let files: Vec<_> =
            all.filter(|file| wanted.as_ref().is_none_or(|wanted| wanted.contains(&file.path))).collect();
        let target_file_bytes = self.write_options(&target.relation).target_file_bytes;
        if let Some(curve) = curve {
            let mut groups = groups_by_partition(files);
            if !optimize.full {
                groups = groups.into_iter().filter_map(|group| strays(group, curve, target_file_bytes)).collect();
            }
            return Ok(groups);
        }
        // Who asks for it does not wait for a class to fill up.
        Ok(compaction_groups(files, &CompactionOptions { target_file_bytes, files_min: 2, purge: optimize.full }))
    }

    /// With WHERE the files that may hold such rows, as a scan would choose them; none means all.
    async fn wanted_files(
        &self,
        scope: &Scope,
        target: &Target,
        snapshot: &Snapshot,
        optimize: &Optimize,
        cancel: &CancellationToken,
    ) -> Result<Option<HashSet<String>>> {
        let Some(condition) = &optimize.condition else { return Ok(None) };
        let overlay = self.overlay(scope, condition).await?;
        let scan = target.scan(scope, None)?;
        let condition = Planner::new(scope, &overlay).expression(condition.clone(), scan.schema(), &[])?;
        let plan = LogicalPlanBuilder::from(scan).filter(condition)?.build()?;
        let physical = self.physical(scope, &plan, cancel).await?;
        Ok(Some(files_of_plan(physical.as_ref(), snapshot)))
    }

    async fn rewrite_group(
        &self,
        scope: &Scope,
        target: &Target,
        group: &CompactionGroup,
        curve: Option<&Curve>,
        cancel: &CancellationToken,
    ) -> Result<Vec<FileEntry>> {
        let relation = &target.relation;
        let files = scope.version.table(relation.oid)?.files_at(Arc::clone(scope.version.snapshot(relation.oid)?));
        let mut operation = Operation::new("OPTIMIZE");
        let added = match curve {
            None => {
                let plan = self.unchanged_rows(target, target.scan(scope, Some(group.files.clone()))?)?;
                self.store(scope, relation, plan, &files, cancel).await?
            }
            Some(curve) => {
                let parameter = if curve.shape == Shape::Morton { "zOrderBy" } else { "clusterBy" };
                operation = operation.with(parameter, serde_json::json!(curve.columns).to_string());
                self.store_along(scope, relation, &files, &group.files, curve, cancel).await?
            }
        };
        let removed = group.files.iter().map(|file| file.path.clone()).collect();
        let change = Change::rewrite(operation, added.clone(), removed);
        self.commit(relation.oid, files.lock_for(&added).await?, change, cancel).await?;
        Ok(added)
    }
}

/// What of a partition has to go onto the curve: nothing; the files that are not on it; or, where those are many, all.
fn strays(group: CompactionGroup, curve: &Curve, target_file_bytes: u64) -> Option<CompactionGroup> {
    let stray: Vec<_> = group.files.iter().filter(|file| !curve.holds(file)).cloned().collect();
    let stray = groups_by_partition(&stray).pop()?;
    let group = if stray.size_bytes.saturating_mul(STRAY_ONE_IN) > group.size_bytes { group } else { stray };
    // One file that is not too large: an order within it is not worth writing it again.
    (group.files.len() > 1 || group.size_bytes > target_file_bytes).then_some(group)
}

fn check_columns(relation: &RelationDef, zorder_by: &[String]) -> Result<()> {
    for name in zorder_by {
        if relation.column(name).is_none() {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
            return Err(Error::new(ErrorKind::UndefinedColumn, message));
        }
        if relation.table().is_some_and(|table| table.partitioned_by.contains(name)) {
            let message = format!("cannot order by partition column \"{name}\"");
            return Err(Error::new(ErrorKind::InvalidTableDefinition, message)
                .detail("Each of its values has files of its own already."));
        }
    }
    Ok(())
}
