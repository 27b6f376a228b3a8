//! ON CONFLICT by way of the tail: no file is written, and who writes files is not waited for.
//!
//! Rows that change take the place of those with their primary key, new ones are added, in one change of the log. Invariant: a
//! statement that looks at rows is alone among those that change rows, from the look until its change has landed; one that
//! replaces rows unseen is beside others of its kind only.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::UInt64Type;
use roaring::RoaringTreemap;

use crate::buffer::{Addition, DbVersion, Right, Rows, refuse_changed};
use crate::catalog::definition::RelationDef;
use crate::engine::conflict::{Outcome, Sight, Upsert};
use crate::engine::insert::{durability, files_of};
use crate::engine::kept::Kept;
use crate::engine::write::Affected;
use crate::engine::{Engine, Scope};
use crate::error::{Error, Result};
use crate::log::Effect;

impl Engine {
    /// The present, for who has a right to rows of the table: it says what became of the last flush.
    pub(super) async fn settled(&self, relation: &RelationDef) -> Result<Arc<DbVersion>> {
        if self.buffer().is_in_doubt(relation.oid) {
            self.buffer().refresh(relation.oid).await?;
        }
        let current = self.buffer().current();
        refuse_changed(&current.catalog, relation)?;
        Ok(current)
    }
}

impl Upsert<'_> {
    /// Carries out the statement; `None`, with nothing done, where plain INSERTs have given one key to several rows: through
    /// the tail they would become one.
    pub(super) async fn through_tail(&self, proposed: &Kept) -> Result<Option<Affected>> {
        files_of(self.scope, &self.target.relation)?.check_writable()?;
        match self.conflict.replaces_unseen(&self.target.relation) {
            true => self.replace(proposed).await.map(Some),
            false => self.look_and_change(proposed).await,
        }
    }

    /// All proposed rows take the places of those with their keys, whatever these hold.
    async fn replace(&self, proposed: &Kept) -> Result<Affected> {
        let relation = &self.target.relation;
        let rows = own(relation, &proposed.batches)?;
        let count = rows.iter().map(RecordBatch::num_rows).sum::<usize>();
        if count > 1 {
            let none = RoaringTreemap::new();
            self.engine.newcomers(self.conflict, &proposed.batches, &none, &none, self.cancel).await?;
        }
        let mut written = self.engine.nothing_kept("RETURNING", relation.arrow_schema());
        if self.insert.returning.is_some() {
            rows.iter().try_for_each(|batch| written.push(batch.clone()))?;
        }
        let returned = self.returning(Some(&written)).await?;
        let right = self.engine.buffer().share_rows(relation).await?;
        self.engine.settled(relation).await?;
        self.land(right, vec![(Effect::Upsert, rows)]).await?;
        Ok(Affected { rows: count as u64, returned })
    }

    async fn look_and_change(&self, proposed: &Kept) -> Result<Option<Affected>> {
        let relation = &self.target.relation;
        let right = self.engine.buffer().own_rows(relation).await?;
        let current = self.engine.settled(relation).await?;
        let version = Arc::new(self.scope.version.with_table_of(relation.oid, &current));
        let scope = Scope { version, ..self.scope.clone() };
        let alone = Upsert { scope: &scope, ..*self };
        let outcome = alone.outcome(Sight::All, proposed).await?;
        if outcome.is_of_many {
            return Ok(None);
        }
        let returned = alone.returned(&outcome).await?;
        let affected = Affected { rows: outcome.updated() + outcome.inserted.len(), returned };
        let rows =
            vec![(Effect::Upsert, outcome.changed_rows(relation)?), (Effect::Insert, outcome.new_rows(relation)?)];
        self.land(right, rows).await?;
        Ok(Some(affected))
    }

    /// Adds rows in one change.
    async fn land(&self, right: Right, rows: Vec<(Effect, Vec<RecordBatch>)>) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::canceled());
        }
        let of = |(effect, batches)| Rows { table: Arc::clone(&self.target.relation), effect, batches };
        let rows = rows.into_iter().map(of).collect();
        let addition = Addition { rows, rights: vec![right], ..Addition::default() };
        self.engine.buffer().add(addition, durability(self.scope)).await.map(drop)
    }
}

impl Outcome<'_> {
    /// The rows that go in.
    fn new_rows(&self, relation: &RelationDef) -> Result<Vec<RecordBatch>> {
        let new = |batch: &RecordBatch| {
            let numbers = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>();
            filter_record_batch(batch, &BooleanArray::from_unary(numbers, |number| self.inserted.contains(number)))
        };
        own(relation, &self.proposed.batches.iter().map(new).collect::<Result<Vec<_>, _>>()?)
    }

    /// The rows that change, as they will be.
    fn changed_rows(&self, relation: &RelationDef) -> Result<Vec<RecordBatch>> {
        self.changed.as_ref().map_or(Ok(Vec::new()), |changed| own(relation, &changed.rows.batches))
    }
}

/// The table's columns of rows, which come first.
fn own(relation: &RelationDef, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
    let columns: Vec<usize> = (0..relation.columns.len()).collect();
    Ok(batches.iter().map(|batch| batch.project(&columns)).collect::<Result<_, _>>()?)
}
