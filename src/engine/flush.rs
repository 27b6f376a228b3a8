//! FLUSH: the rows of a tail into files, by one commit that also says up to which change the table holds them.
//!
//! Where rows were replaced or deleted by key, the same commit writes those files again that hold such rows: a join finds the
//! files, a second one their other rows. Memory holds the tail and its keys; the sort of what is written may go through the disk.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::JoinType;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, ident};
use tokio_util::sync::CancellationToken;

use crate::catalog::definition::RelationDef;
use crate::engine::rewrite::{Touched, entries};
use crate::engine::scan::with_keys;
use crate::engine::target::placed_scan;
use crate::engine::write::clustered;
use crate::engine::{Engine, Scope};
use crate::error::Result;
use crate::tables::{Change, FileEntry, Operation, Snapshot, TableWriter};

impl Engine {
    /// Writes the tail of a table to files. Gives the number of rows.
    pub async fn flush(&self, scope: &Scope, relation: &RelationDef, cancel: &CancellationToken) -> Result<usize> {
        let mut writer = scope.version.table(relation.oid)?.lock().await?;
        self.flush_locked(scope, relation, &mut writer, cancel).await
    }

    /// As [`Engine::flush`], for who holds the table's lock. `relation` is the table's present definition. Rows that come
    /// meanwhile stay in the tail.
    pub(in crate::engine) async fn flush_locked(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        writer: &mut TableWriter,
        cancel: &CancellationToken,
    ) -> Result<usize> {
        // A flush that got no answer may have landed: what its files hold leaves the tail first.
        self.buffer().follow(relation.oid, Arc::clone(writer.snapshot()))?;
        let Some(sealed) = self.buffer().seal(relation.oid).await? else { return Ok(0) };
        let schema = Arc::clone(writer.snapshot().arrow_schema());
        let rows = provider_as_source(Arc::new(MemTable::try_new(schema, vec![sealed.tail.batches()?])?));
        let mut rows = LogicalPlanBuilder::scan("tail", rows, None)?.build()?;
        let mut replaced = Touched::new();
        if let Some(keys) = sealed.tail.keys()? {
            let files = Replaced { relation, snapshot: writer.snapshot(), keys };
            replaced = self.touched(scope, files.rows(None, JoinType::LeftSemi)?, cancel).await?;
            if !replaced.is_empty() {
                let kept = files.rows(Some(entries(writer.snapshot(), replaced.keys())?), JoinType::LeftAnti)?;
                rows = LogicalPlanBuilder::from(files.without_place(kept)?).union(rows)?.build()?;
            }
        }
        let stream = self.run_plan(scope, &clustered(relation, rows)?, cancel).await?;
        let added = self.store_checked(scope, relation, writer, stream, cancel).await?;
        let change = match replaced.is_empty() {
            true => Change::append(added),
            false => {
                let operation =
                    Operation::new("MERGE").measured("numTargetRowsReplaced", replaced.values().sum::<u64>());
                Change::replace(operation, added, replaced.into_keys().collect())
            }
        };
        let change = Change { app: Some(sealed.watermark), positions: sealed.positions, ..change };
        let snapshot = writer.commit(change).await?;
        self.buffer().publish(relation.oid, snapshot)?;
        self.buffer().release_log().await?;
        Ok(sealed.tail.rows())
    }
}

/// The files of a table, of which the rows with some keys do not count any more.
struct Replaced<'a> {
    relation: &'a RelationDef,
    snapshot: &'a Arc<Snapshot>,
    keys: RecordBatch,
}

impl Replaced<'_> {
    /// The rows with these keys, or those without, each with its place; of some files or of all.
    fn rows(&self, files: Option<Vec<Arc<FileEntry>>>, kind: JoinType) -> Result<LogicalPlan> {
        let scan = placed_scan(self.snapshot, &self.relation.name, files)?;
        with_keys(scan, &self.relation.name, self.keys.clone(), kind)
    }

    fn without_place(&self, rows: LogicalPlan) -> Result<LogicalPlan> {
        let columns = self.relation.columns.iter().map(|column| ident(&column.name));
        Ok(LogicalPlanBuilder::from(rows).project(columns)?.build()?)
    }
}
