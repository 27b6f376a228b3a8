//! ON CONFLICT by way of the tail: no file is written, and who writes files is not waited for.
//!
//! Rows that change take the place of those with their primary key, new ones are added, in one change of the log. Invariant: a
//! statement that looks at rows is alone among those that change rows, from the look until its change has landed; one that
//! replaces rows unseen is beside others of its kind only.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast;
use roaring::RoaringTreemap;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use tokio_util::sync::CancellationToken;

use crate::buffer::{Addition, Rows, refuse_changed};
use crate::catalog::definition::RelationDef;
use crate::engine::conflict::clause::Conflict;
use crate::engine::conflict::{Outcome, Sight, columns};
use crate::engine::insert::{TAIL_STATEMENT_BYTES_MAX, durability, files_of};
use crate::engine::target::Target;
use crate::engine::write::Affected;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Durability, Effect};

/// The right to change rows of a table, until it is dropped.
enum Right {
    /// Beside others who replace rows unseen.
    Shared(#[expect(dead_code, reason = "it is held")] OwnedRwLockReadGuard<()>),
    Alone(#[expect(dead_code, reason = "it is held")] OwnedRwLockWriteGuard<()>),
}

impl Engine {
    /// Carries out the statement; `None`, with nothing done, where it proposes more than a tail should take at once, or
    /// where plain INSERTs have given one key to several rows: through the tail they would become one.
    pub(super) async fn insert_through_tail(
        &self,
        scope: &Scope,
        target: &Target,
        conflict: &Conflict,
        insert: &ast::Insert,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Option<Affected>> {
        let relation = &target.relation;
        let is_unseen = conflict.replaces_unseen(relation);
        let lock = self.buffer().row_lock(relation)?;
        let right = match is_unseen {
            true => Right::Shared(lock.read_owned().await),
            false => Right::Alone(lock.write_owned().await),
        };
        if self.buffer().is_in_doubt(relation.oid) {
            self.buffer().refresh(relation.oid).await?;
        }
        let current = self.buffer().current();
        refuse_changed(&current.catalog, relation)?;
        files_of(scope, relation)?.check_writable()?;
        let version = Arc::new(scope.version.with_table_of(relation.oid, &current));
        let scope = &Scope { version, ..scope.clone() };
        let bytes_max = TAIL_STATEMENT_BYTES_MAX;
        let Some(proposed) = self.proposed(scope, target, insert, parameters, bytes_max, cancel).await? else {
            return Ok(None);
        };
        let outcome = match is_unseen {
            true => {
                let none = RoaringTreemap::new();
                let inserted = self.newcomers(conflict, &proposed.batches, &none, &none, cancel).await?;
                Outcome { proposed, changed: None, inserted: Arc::new(inserted), is_of_many: false }
            }
            false => self.outcome(scope, target, (conflict, Sight::All), proposed, parameters, cancel).await?,
        };
        if outcome.is_of_many {
            return Ok(None);
        }
        let returned = self.returned(scope, target, insert, &outcome, parameters, cancel).await?;
        let affected = Affected { rows: outcome.updated() + outcome.inserted.len(), returned };
        let new = self.collect(scope, &outcome.new_rows(relation)?, cancel).await?;
        let changed = match outcome.changed_rows(relation)? {
            Some(changed) => self.collect(scope, &changed, cancel).await?,
            None => Vec::new(),
        };
        if cancel.is_cancelled() {
            return Err(Error::canceled());
        }
        let new = (if is_unseen { Effect::Upsert } else { Effect::Insert }, new);
        self.land(target, right, vec![(Effect::Upsert, changed), new], durability(scope)).await?;
        Ok(Some(affected))
    }

    /// Adds rows in one change. Once begun it is finished, also when the client has gone.
    async fn land(
        &self,
        target: &Target,
        right: Right,
        rows: Vec<(Effect, Vec<RecordBatch>)>,
        durability: Durability,
    ) -> Result<()> {
        let (buffer, relation) = (Arc::clone(self.buffer()), Arc::clone(&target.relation));
        let landed = tokio::spawn(async move {
            let _right = right;
            let of = |(effect, batches)| Rows { table: &relation, effect, batches };
            let rows = rows.into_iter().map(of).collect();
            buffer.add(Addition { rows, ..Addition::default() }, durability).await
        });
        let ended = |error| Error::new(ErrorKind::StatementCompletionUnknown, format!("adding rows ended: {error}"));
        landed.await.map_err(ended)?.map(drop)
    }
}

impl Outcome {
    /// The rows that go in.
    fn new_rows(&self, relation: &RelationDef) -> Result<LogicalPlan> {
        Ok(LogicalPlanBuilder::from(self.inserted_rows()?).project(columns(relation))?.build()?)
    }

    /// The rows that change, as they will be.
    fn changed_rows(&self, relation: &RelationDef) -> Result<Option<LogicalPlan>> {
        let Some(changed) = &self.changed else { return Ok(None) };
        let rows = LogicalPlanBuilder::from(changed.rows.scan("changed")?).project(columns(relation))?;
        Ok(Some(rows.build()?))
    }
}
