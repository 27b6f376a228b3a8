//! FLUSH: the rows of a tail into files, by one commit that also says up to which change the table holds them.

use std::sync::Arc;

use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::LogicalPlanBuilder;
use tokio_util::sync::CancellationToken;

use crate::catalog::definition::RelationDef;
use crate::engine::write::clustered;
use crate::engine::{Engine, Scope};
use crate::error::Result;
use crate::tables::{Change, TableWriter};

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
        let Some(sealed) = self.buffer().seal(relation.oid).await? else { return Ok(0) };
        let schema = Arc::clone(writer.snapshot().arrow_schema());
        let batches = sealed.tail.chunks().iter().map(|chunk| chunk.rows.clone()).collect();
        let rows = provider_as_source(Arc::new(MemTable::try_new(schema, vec![batches])?));
        let plan = clustered(relation, LogicalPlanBuilder::scan("tail", rows, None)?.build()?)?;
        let stream = self.run_plan(scope, &plan, cancel).await?;
        let added = self.store_checked(scope, relation, writer, stream, cancel).await?;
        let change = Change { app: Some(sealed.watermark), positions: sealed.positions, ..Change::append(added) };
        let snapshot = writer.commit(change).await?;
        self.buffer().publish(relation.oid, snapshot)?;
        self.buffer().release_log().await?;
        Ok(sealed.tail.rows())
    }
}
