//! INSERT ... ON CONFLICT: a proposed row goes in, or changes the row that has its key, or is left out.
//!
//! (1) [`Conflict`]: the clause, resolved against the table's constraints. (2) The proposed rows, with defaults and generated
//! columns, cast and checked, are read once into memory, numbered in their order. (3) [`Outcome`]: which of them go in,
//! and what those present become that they change; each condition and value is computed once, and nothing is written yet.
//! (4) The rows go to the tail ([`tail`]); or, where they are many or lose their primary key, the files with changed rows are
//! written again, with the new rows, in one commit.
//! Invariant: from (3) on nobody else changes rows of the table, so that two such statements never double a key.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, UInt64Type};
use datafusion::common::{Column, DFSchema, JoinType, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::expr::FieldMetadata;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Volatility, create_udf, ident, lit,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;
use roaring::RoaringTreemap;
use tokio_util::sync::CancellationToken;

use crate::catalog::definition::RelationDef;
use crate::catalog::pg_type::PgType;
use crate::engine::conflict::clause::ConflictAction;
use crate::engine::delete::{own_columns, target_column};
use crate::engine::hits::Hits;
use crate::engine::kept::Kept;
use crate::engine::plan::{Planner, known_parameters};
use crate::engine::returning::Returned;
use crate::engine::rewrite::entries;
use crate::engine::run::bound;
use crate::engine::target::{FILE_COLUMN, ROW_COLUMN, Target};
use crate::engine::update::{assignments, has_subquery};
use crate::engine::write::{Affected, Filling, RowChecks};
use crate::engine::{Engine, Scope};
use crate::error::{Error, Result};
use crate::tables::{Change, FileWriter, Operation, Reads};

mod clause;
mod newcomers;
mod tail;

pub(in crate::engine) use clause::Conflict;

/// What SET and WHERE call the proposed row.
const EXCLUDED: &str = "excluded";
/// The column with the number of a proposed row, from 0.
const NUMBER_COLUMN: &str = "__number";

/// What a statement makes of its table.
struct Outcome {
    proposed: Kept,
    /// The rows that were there and change.
    changed: Option<Changed>,
    /// The numbers of the proposed rows that go in.
    inserted: Arc<RoaringTreemap>,
    /// True where several rows of the table have the key of one proposed row, or one has several keys of it.
    is_of_many: bool,
}

/// Rows of the table that change.
struct Changed {
    /// As they will be, with their places and the number of the proposed row that changes each.
    rows: Kept,
    /// Their places in files, where they were looked for there.
    hits: Option<Arc<Hits>>,
}

/// Which rows of the table a statement looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// Those in files, with their places.
    Files,
    /// All of them; places mean nothing.
    All,
}

/// The rows whose keys proposed rows have.
#[derive(Default)]
struct Present {
    /// The numbers of those proposed rows.
    numbers: RoaringTreemap,
    /// The files where they are.
    files: BTreeSet<String>,
    /// How often a proposed row and a present one have the same key.
    pairs: u64,
}

impl Engine {
    /// How the rows that an INSERT proposes go in, or change others; it has the parameters of both.
    pub(in crate::engine) async fn explained_conflict(
        &self,
        scope: &Scope,
        target: &Target,
        conflict: &Conflict,
        rows: LogicalPlan,
        parameters: &[Option<PgType>],
    ) -> Result<LogicalPlan> {
        let known = known_parameters(&rows, parameters)?;
        let mut rows = as_excluded(&target.relation, rows)?;
        match &conflict.action {
            ConflictAction::Update(update) => {
                let pairs = meeting(rows, target, target.scan(scope, None)?, &conflict.keys[0], JoinType::Inner)?;
                self.changed_by(scope, target, update, pairs, &known).await
            }
            ConflictAction::Nothing => {
                let present = as_present(target);
                for key in &conflict.keys {
                    rows = meeting(rows, &present, present.scan(scope, None)?, key, JoinType::LeftAnti)?;
                }
                Ok(rows)
            }
        }
    }

    /// Carries out an INSERT whose rows may have keys that are taken.
    pub(in crate::engine) async fn insert_on_conflict(
        &self,
        scope: &Scope,
        target: &Target,
        conflict: &Conflict,
        insert: &ast::Insert,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Affected> {
        if self.config().uses_tails && conflict.keeps_key(&target.relation) {
            let through_tail = self.insert_through_tail(scope, target, conflict, insert, parameters, cancel).await?;
            if let Some(affected) = through_tail {
                return Ok(affected);
            }
        }
        let (writer, scope) = self.lock_rows(scope, target).await?;
        let proposed = self.proposed(&scope, target, insert, parameters, usize::MAX, cancel).await?;
        let proposed = proposed.ok_or_else(|| Error::internal("rows without a limit are beyond it"))?;
        let outcome = self.outcome(&scope, target, (conflict, Sight::Files), proposed, parameters, cancel).await?;
        let returned = self.returned(&scope, target, insert, &outcome, parameters, cancel).await?;
        let affected = Affected { rows: outcome.updated() + outcome.inserted.len(), returned };
        if affected.rows > 0 {
            let change = self.written(&scope, target, conflict, &outcome, &writer, cancel).await?;
            self.commit(target.relation.oid, writer, change, cancel).await?;
        }
        Ok(affected)
    }

    /// The rows that an INSERT proposes, numbered; `None` where they take more memory than `bytes_max`.
    async fn proposed(
        &self,
        scope: &Scope,
        target: &Target,
        insert: &ast::Insert,
        parameters: &[ScalarValue],
        bytes_max: usize,
        cancel: &CancellationToken,
    ) -> Result<Option<Kept>> {
        let types: Vec<_> = parameters.iter().map(|value| Some(PgType::of_arrow(&value.data_type()))).collect();
        let plan = bound(self.insert_plan(scope, target, insert, &types).await?, parameters)?;
        let stream = numbered(&target.relation, self.run_plan(scope, &plan, cancel).await?);
        self.kept_checked(scope, &target.relation, stream, bytes_max).await
    }

    /// The rows of RETURNING, if the statement has one.
    async fn returned(
        &self,
        scope: &Scope,
        target: &Target,
        insert: &ast::Insert,
        outcome: &Outcome,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Option<Returned>> {
        let items = insert.returning.as_deref();
        let written = match items {
            Some(_) => Some(self.kept("RETURNING", scope, &outcome.in_order(&target.relation)?, cancel).await?),
            None => None,
        };
        self.returning(scope, target, items, written.as_ref(), parameters, cancel).await
    }

    /// What becomes of the proposed rows and of those that have their keys.
    async fn outcome(
        &self,
        scope: &Scope,
        target: &Target,
        (conflict, sight): (&Conflict, Sight),
        proposed: Kept,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Outcome> {
        let mut present = Present::default();
        for key in &conflict.keys {
            self.note_present(scope, target, (&proposed, key), sight, &mut present, cancel).await?;
        }
        let changed = match &conflict.action {
            ConflictAction::Update(update) if !present.files.is_empty() => {
                let types: Vec<_> = parameters.iter().map(|value| Some(PgType::of_arrow(&value.data_type()))).collect();
                let snapshot = scope.version.snapshot(target.relation.oid)?;
                let scan = match sight {
                    Sight::Files => target.scan(scope, Some(entries(snapshot, present.files.iter())?))?,
                    Sight::All => target.scan_all(scope)?,
                };
                let pairs = meeting(proposed.scan(EXCLUDED)?, target, scan, &conflict.keys[0], JoinType::Inner)?;
                let plan = bound(self.changed_by(scope, target, update, pairs, &types).await?, parameters)?;
                let stream = self.run_plan(scope, &plan, cancel).await?;
                let rows = self.kept_checked(scope, &target.relation, stream, usize::MAX).await?;
                let rows = rows.ok_or_else(|| Error::internal("rows without a limit are beyond it"))?;
                let hits = match sight {
                    Sight::Files => Some(self.hits(scope, rows.scan("changed")?, cancel).await?),
                    Sight::All => None,
                };
                Some(Changed { rows, hits })
            }
            _ => None,
        };
        let changing = changed.as_ref().map(|changed| numbers(&changed.rows.batches)).unwrap_or_default();
        let inserted = self.newcomers(conflict, &proposed.batches, &present.numbers, &changing, cancel).await?;
        let is_of_many = matches!(conflict.action, ConflictAction::Update(_)) && present.pairs > present.numbers.len();
        Ok(Outcome { proposed, changed, inserted: Arc::new(inserted), is_of_many })
    }

    /// Notes the proposed rows whose key is in the table.
    async fn note_present(
        &self,
        scope: &Scope,
        target: &Target,
        (proposed, key): (&Kept, &[String]),
        sight: Sight,
        present: &mut Present,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let target = as_present(target);
        let scan = match sight {
            Sight::Files => target.scan(scope, None)?,
            Sight::All => target.scan_all(scope)?,
        };
        let pairs = meeting(proposed.scan(EXCLUDED)?, &target, scan, key, JoinType::Inner)?;
        let plan = LogicalPlanBuilder::from(pairs).project(vec![ident(FILE_COLUMN), ident(NUMBER_COLUMN)])?.build()?;
        let mut stream = self.run_plan(scope, &plan, cancel).await?;
        while let Some(batch) = stream.next().await.transpose()? {
            let paths = batch.column(0).as_string::<i32>();
            for path in paths.iter().flatten() {
                if !present.files.contains(path) {
                    present.files.insert(path.to_owned());
                }
            }
            present.pairs += batch.num_rows() as u64;
            present.numbers |= numbers(&[batch]);
        }
        Ok(())
    }

    /// Of pairs of a proposed row and the present one, those that WHERE holds for: the present one as SET makes it, its
    /// place, and the number of the proposed one.
    async fn changed_by(
        &self,
        scope: &Scope,
        target: &Target,
        update: &ast::DoUpdate,
        pairs: LogicalPlan,
        parameters: &[Option<PgType>],
    ) -> Result<LogicalPlan> {
        let overlay = self.overlay(scope, update).await?;
        let planner = Planner::new(scope, &overlay);
        let values = assignments(&planner, target, &update.assignments, &pairs, parameters)?;
        let pairs = match &update.selection {
            Some(condition) => {
                let condition = planner.expression(condition.clone(), pairs.schema(), parameters)?;
                let condition = of_pairs(condition, pairs.schema())?;
                LogicalPlanBuilder::from(pairs).filter(condition)?.build()?
            }
            None => pairs,
        };
        let fillings: Vec<Filling> =
            own_columns(target).into_iter().zip(values).map(|(own, new)| new.unwrap_or(own)).collect();
        let place = [FILE_COLUMN, ROW_COLUMN, NUMBER_COLUMN].map(|name| ident(name).alias(name));
        self.stored_rows(scope, &target.relation, pairs, &fillings, &place)
    }

    /// Writes the new rows, and the rest of the files whose rows change.
    async fn written(
        &self,
        scope: &Scope,
        target: &Target,
        conflict: &Conflict,
        outcome: &Outcome,
        writer: &FileWriter,
        cancel: &CancellationToken,
    ) -> Result<Change> {
        let mut rows = LogicalPlanBuilder::from(outcome.rows(&target.relation)?).project(columns(&target.relation))?;
        let mut removed = Vec::new();
        if let Some(Changed { hits: Some(hits), .. }) = &outcome.changed {
            removed.extend(hits.paths().cloned());
            let others =
                LogicalPlanBuilder::from(target.scan(scope, Some(entries(writer.snapshot(), removed.iter())?))?)
                    .filter(hits.condition().is_not_true())?
                    .build()?;
            rows = rows.union(self.unchanged_rows(target, others)?)?;
        }
        let added = self.store(scope, &target.relation, rows.build()?, writer, cancel).await?;
        let key: Vec<String> =
            conflict.keys.iter().flatten().map(|column| format!("{column} = {EXCLUDED}.{column}")).collect();
        let operation = Operation::new("MERGE")
            .with("mergePredicate", key.join(" AND "))
            .measured("numTargetRowsInserted", outcome.inserted.len())
            .measured("numTargetRowsUpdated", outcome.updated())
            .measured("numTargetRowsDeleted", 0);
        // A row that somebody else adds may have a key that goes in here.
        let reads = if outcome.inserted.is_empty() { Reads::Present } else { Reads::Everything };
        Ok(Change { reads, ..Change::replace(operation, added, removed) })
    }

    /// The rows of a stream, checked, in memory; `None` where they take more of it than `bytes_max`.
    async fn kept_checked(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        mut stream: SendableRecordBatchStream,
        bytes_max: usize,
    ) -> Result<Option<Kept>> {
        let checks = RowChecks::new(scope, relation)?;
        let mut kept = self.nothing_kept("INSERT ... ON CONFLICT", checks.schema_for(&stream.schema()));
        let mut bytes = 0;
        while let Some(batch) = stream.next().await.transpose()? {
            bytes += batch.get_array_memory_size();
            if bytes > bytes_max {
                return Ok(None);
            }
            kept.push(checks.apply(batch)?)?;
        }
        Ok(Some(kept))
    }
}

impl Outcome {
    /// How many rows that were there change.
    fn updated(&self) -> u64 {
        let rows = |rows: &Kept| rows.batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let of = |changed: &Changed| changed.hits.as_ref().map_or_else(|| rows(&changed.rows), |hits| hits.rows());
        self.changed.as_ref().map_or(0, of)
    }

    /// The proposed rows that go in.
    fn inserted_rows(&self) -> Result<LogicalPlan> {
        let proposed = LogicalPlanBuilder::from(self.proposed.scan(EXCLUDED)?);
        Ok(proposed.filter(is_among(Arc::clone(&self.inserted)))?.build()?)
    }

    /// The rows that are new and those that change, each with the number of the proposed row that it comes from.
    fn rows(&self, relation: &RelationDef) -> Result<LogicalPlan> {
        let mut numbered = columns(relation);
        numbered.push(ident(NUMBER_COLUMN).alias(NUMBER_COLUMN));
        let inserted = LogicalPlanBuilder::from(self.inserted_rows()?).project(numbered.clone())?;
        match &self.changed {
            None => Ok(inserted.build()?),
            Some(changed) => {
                let changed = LogicalPlanBuilder::from(changed.rows.scan("changed")?).project(numbered)?.build()?;
                Ok(inserted.union(changed)?.build()?)
            }
        }
    }

    /// The table's columns of the same rows, in the order of the proposed ones.
    fn in_order(&self, relation: &RelationDef) -> Result<LogicalPlan> {
        let sorted =
            LogicalPlanBuilder::from(self.rows(relation)?).sort(vec![ident(NUMBER_COLUMN).sort(true, false)])?;
        Ok(sorted.project(columns(relation))?.build()?)
    }
}

/// The table as something to look for keys in: nothing of the statement names it so.
fn as_present(target: &Target) -> Target {
    Target { alias: "__present".to_owned(), ..target.clone() }
}

/// Rows that an INSERT would store, as SET and WHERE see them.
fn as_excluded(relation: &RelationDef, rows: LogicalPlan) -> Result<LogicalPlan> {
    let typed = |field: &Arc<Field>| {
        ident(field.name()).alias_with_metadata(field.name(), Some(FieldMetadata::from(field.metadata())))
    };
    let mut columns: Vec<Expr> = relation.arrow_schema().fields().iter().map(typed).collect();
    columns.push(lit(0_u64).alias(NUMBER_COLUMN));
    Ok(LogicalPlanBuilder::from(rows).project(columns)?.alias(EXCLUDED)?.build()?)
}

/// Proposed rows joined to the rows of `scan`, the target's, that have the same key.
fn meeting(
    excluded: LogicalPlan,
    target: &Target,
    scan: LogicalPlan,
    key: &[String],
    kind: JoinType,
) -> Result<LogicalPlan> {
    let same =
        key.iter().map(|column| target_column(target, column).eq(Expr::Column(Column::new(Some(EXCLUDED), column))));
    Ok(LogicalPlanBuilder::from(excluded).join_on(scan, kind, same)?.build()?)
}

/// The condition, asked once of each pair: in parts and below the join, where the optimizer takes it, it might fail for a row
/// that nobody has the key of, and chance would be asked twice.
fn of_pairs(condition: Expr, schema: &DFSchema) -> Result<Expr> {
    let (mut parts, whole): (Vec<_>, Vec<_>) = split_conjunction_owned(condition).into_iter().partition(has_subquery);
    if let Some(whole) = conjunction(whole) {
        let is_boolean = whole.get_type(schema)? == DataType::Boolean;
        let types = vec![DataType::Boolean, DataType::Int64, DataType::UInt64];
        let first = |arguments: &[ColumnarValue]| Ok(arguments[0].clone());
        let of_pair = create_udf("of_pair", types, DataType::Boolean, Volatility::Immutable, Arc::new(first));
        parts.insert(
            0,
            match is_boolean {
                true => of_pair.call(vec![whole, ident(ROW_COLUMN), ident(NUMBER_COLUMN)]),
                false => whole,
            },
        );
    }
    Ok(conjunction(parts).unwrap_or_else(|| lit(true)))
}

/// The table's columns of a stream, with the number of each row behind them.
fn numbered(relation: &RelationDef, stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let own = stream.schema().fields().iter().take(relation.columns.len()).cloned().collect::<Vec<_>>();
    let number = Arc::new(Field::new(NUMBER_COLUMN, DataType::UInt64, false));
    let schema = Arc::new(Schema::new([own, vec![number]].concat()));
    let (all, mut next) = (Arc::clone(&schema), 0);
    let rows = stream.map(move |batch| {
        let batch = batch?;
        let numbers = next..next + batch.num_rows() as u64;
        next = numbers.end;
        let mut columns = batch.columns()[..all.fields().len() - 1].to_vec();
        columns.push(Arc::new(UInt64Array::from_iter_values(numbers)));
        Ok(RecordBatch::try_new(Arc::clone(&all), columns)?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

/// The numbers in the last column.
fn numbers(batches: &[RecordBatch]) -> RoaringTreemap {
    let mut found = RoaringTreemap::new();
    for batch in batches {
        found.extend(batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>().values());
    }
    found
}

/// True for the rows with these numbers.
fn is_among(numbers: Arc<RoaringTreemap>) -> Expr {
    let is_among = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let found = arrays.iter().flat_map(|array| array.as_primitive::<UInt64Type>().values());
        let found: BooleanArray = found.map(|number| Some(numbers.contains(*number))).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    };
    create_udf("is_among", vec![DataType::UInt64], DataType::Boolean, Volatility::Immutable, Arc::new(is_among))
        .call(vec![ident(NUMBER_COLUMN)])
}

fn columns(relation: &RelationDef) -> Vec<Expr> {
    relation.columns.iter().map(|column| ident(&column.name).alias(&column.name)).collect()
}
