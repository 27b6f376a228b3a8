//! OPTIMIZE: small files of a partition become large ones; rows stay as they are.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::catalog::definition::RelationDef;
use crate::engine::target::Target;
use crate::engine::{Engine, Scope};
use crate::error::{ErrorKind, Result};
use crate::tables::{Change, CompactionOptions, Operation, compaction_groups};

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
    /// Merges small files, one commit a group: what is done stays done when a later group fails.
    pub async fn optimize(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        full: bool,
        cancel: &CancellationToken,
    ) -> Result<OptimizeReport> {
        let target = Target { relation: Arc::clone(relation), alias: relation.name.clone() };
        let mut options =
            CompactionOptions { target_file_bytes: self.config().target_file_bytes, ..Default::default() };
        if full {
            options.files_min = 2;
        }
        let mut report = OptimizeReport::default();
        let table = Arc::clone(scope.version.table(relation.oid)?);
        let snapshot = Arc::clone(scope.version.snapshot(relation.oid)?);
        for group in compaction_groups(&snapshot, &options) {
            let files = table.files_at(Arc::clone(&snapshot));
            let plan = self.unchanged_rows(&target, target.scan(scope, Some(group.files.clone()))?)?;
            let added = self.store(scope, relation, plan, &files, cancel).await?;
            let (files_added, bytes_added) =
                (added.len() as u64, added.iter().map(|file| file.size_bytes).sum::<u64>());
            let removed = group.files.iter().map(|file| file.path.clone()).collect();
            let change = Change::rewrite(Operation::new("OPTIMIZE"), added, removed);
            match self.commit(relation.oid, files.lock().await?, change, cancel).await {
                Ok(_) => {}
                // Somebody has changed these files meanwhile: they are left for the next run.
                Err(error) if error.kind() == ErrorKind::SerializationFailure => continue,
                Err(error) => return Err(error),
            }
            report.files_removed += group.files.len() as u64;
            report.files_added += files_added;
            report.bytes_removed += group.size_bytes;
            report.bytes_added += bytes_added;
        }
        Ok(report)
    }
}
