//! OPTIMIZE: small files of a partition become large ones, or all of them sorted anew; rows stay as they are.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlanBuilder;
use tokio_util::sync::CancellationToken;

use crate::catalog::definition::RelationDef;
use crate::dialect::Optimize;
use crate::engine::overlay::Overlay;
use crate::engine::plan::Planner;
use crate::engine::target::Target;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{Change, CompactionGroup, CompactionOptions, FileEntry, Operation};
use crate::tables::{Snapshot, compaction_groups, files_of_plan, groups_by_partition};

mod zorder;

/// The tag of a file whose rows lie along a curve: the columns.
const ZORDER_TAG: &str = "headwater.zorder";

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
        let mut report = OptimizeReport::default();
        for group in self.groups(scope, &target, &snapshot, optimize, cancel).await? {
            let added = match self.rewrite_group(scope, &target, &group, &optimize.zorder_by, cancel).await {
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
        cancel: &CancellationToken,
    ) -> Result<Vec<CompactionGroup>> {
        let wanted = self.wanted_files(scope, target, snapshot, optimize, cancel).await?;
        let all = snapshot.files().iter();
        let files: Vec<_> =
            all.filter(|file| wanted.as_ref().is_none_or(|wanted| wanted.contains(&file.path))).collect();
        if optimize.zorder_by.is_empty() {
            let target_file_bytes = self.write_options(&target.relation).target_file_bytes;
            let mut options = CompactionOptions { target_file_bytes, ..CompactionOptions::default() };
            if optimize.full {
                options.files_min = 2;
            }
            return Ok(compaction_groups(files, &options));
        }
        let tag = optimize.zorder_by.join(",");
        let is_sorted = |file: &Arc<FileEntry>| file.tags.get(ZORDER_TAG) == Some(&tag);
        let mut groups = groups_by_partition(files);
        groups.retain(|group| optimize.full || !group.files.iter().all(is_sorted));
        Ok(groups)
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
        let mut condition = condition.clone();
        let overlay: Overlay = self.overlay(scope, &mut condition).await?;
        let scan = target.scan(scope, None)?;
        let condition = Planner::new(scope, &overlay).expression(condition, scan.schema(), &[])?;
        let plan = LogicalPlanBuilder::from(scan).filter(condition)?.build()?;
        let physical = self.physical(scope, &plan, cancel).await?;
        Ok(Some(files_of_plan(physical.as_ref(), snapshot)))
    }

    async fn rewrite_group(
        &self,
        scope: &Scope,
        target: &Target,
        group: &CompactionGroup,
        zorder_by: &[String],
        cancel: &CancellationToken,
    ) -> Result<Vec<FileEntry>> {
        let relation = &target.relation;
        let files = scope.version.table(relation.oid)?.files_at(Arc::clone(scope.version.snapshot(relation.oid)?));
        let scan = target.scan(scope, Some(group.files.clone()))?;
        let removed = group.files.iter().map(|file| file.path.clone()).collect();
        let (operation, added) = match zorder_by {
            [] => {
                let plan = self.unchanged_rows(target, scan)?;
                (Operation::new("OPTIMIZE"), self.store(scope, relation, plan, &files, cancel).await?)
            }
            columns => {
                let rows = group.files.iter().filter_map(|file| file.live_rows()).sum();
                let key = self.morton_key(scope, &scan, columns, rows, cancel).await?;
                let sorted = LogicalPlanBuilder::from(scan).sort(vec![key])?.build()?;
                let plan = self.unchanged_rows(target, sorted)?;
                let rows = self.checked(scope, relation, self.run_plan(scope, &plan, cancel).await?)?;
                let mut options = self.write_options(relation);
                options.tags.insert(ZORDER_TAG.to_owned(), columns.join(","));
                let operation =
                    Operation::new("OPTIMIZE").with("zOrderBy", serde_json::Value::from(columns).to_string());
                (operation, files.write(rows, &options).await?)
            }
        };
        let change = Change::rewrite(operation, added.clone(), removed);
        self.commit(relation.oid, files.lock().await?, change, cancel).await?;
        Ok(added)
    }
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
