//! INSERT ... ON CONFLICT: a proposed row goes in, or changes the row that has its key, or is left out.
//!
//! (1) [`Conflict`]: the clause, resolved against the table's constraints. (2) The proposed rows, with defaults and generated
//! columns, cast and checked, are read once into memory, numbered in their order. (3) [`Outcome`]: which of them go in,
//! and what those present become that they change; each condition and value is computed once, and nothing is written yet.
//! (4) The rows go to the tail ([`tail`]); or, where they are many or lose their primary key, the files with changed rows are
//! written again, with the new rows, in one commit. Rows that replace others unseen need no (3).
//! Invariant: from (3) on nobody else changes rows of the table, so that two such statements never double a key.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::common::{Column, DFSchema, DataFusionError, JoinType, ScalarValue};
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
use crate::engine::conflict::group::Job;
use crate::engine::delete::{own_columns, target_column};
use crate::engine::hits::Hits;
use crate::engine::insert::{TAIL_STATEMENT_BYTES_MAX, durability, files_of, types_of};
use crate::engine::kept::Kept;
use crate::engine::plan::{Planner, known_parameters};
use crate::engine::returning::{Returned, plain_items};
use crate::engine::rewrite::entries;
use crate::engine::run::bound;
use crate::engine::target::{FILE_COLUMN, ROW_COLUMN, Target};
use crate::engine::update::{assignments, has_subquery};
use crate::engine::write::{Affected, Filling, RowChecks};
use crate::engine::{Engine, Scope};
use crate::error::Result;
use crate::tables::{Change, FileWriter, Operation, Reads};

mod clause;
mod group;
mod newcomers;
mod setter;
mod tail;

pub(in crate::engine) use clause::Conflict;
pub(in crate::engine) use group::Turns;
pub(in crate::engine) use setter::Setter;

/// What SET and WHERE call the proposed row.
const EXCLUDED: &str = "excluded";
/// The column with the number of a proposed row, from 0.
const NUMBER_COLUMN: &str = "__number";
/// A statement with more rows goes alone: so many keys are better looked up by a plan.
const TURN_ROWS_MAX: usize = 1000;
/// How an error names the rows that find no memory.
const CONSUMER: &str = "INSERT ... ON CONFLICT";

/// An INSERT whose rows may have keys that are taken.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Upsert<'a> {
    pub engine: &'a Engine,
    pub scope: &'a Scope,
    pub target: &'a Target,
    pub conflict: &'a Arc<Conflict>,
    /// The clauses of DO UPDATE, if they are compiled already.
    pub setter: Option<&'a Arc<Setter>>,
    pub insert: &'a ast::Insert,
    pub parameters: &'a [ScalarValue],
    pub cancel: &'a CancellationToken,
}

/// What a statement makes of its table.
struct Outcome<'a> {
    proposed: &'a Kept,
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

impl Sight {
    /// The rows, of files those that are named, if any are.
    fn scan(self, scope: &Scope, target: &Target, files: Option<&BTreeSet<String>>) -> Result<LogicalPlan> {
        match self {
            Self::Files => {
                let snapshot = scope.version.snapshot(target.relation.oid)?;
                target.scan(scope, files.map(|files| entries(snapshot, files.iter())).transpose()?)
            }
            Self::All => target.scan_all(scope),
        }
    }
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
        let values = assignments(&planner, target, &update.assignments, pairs.schema(), parameters)?;
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
}

impl Upsert<'_> {
    /// Carries it out. `rows` are those that it proposes, where it took no plan to know them.
    pub(in crate::engine) async fn run(&self, rows: Option<RecordBatch>) -> Result<Affected> {
        if let Some(rows) = &rows
            && let Some(affected) = self.in_turn(rows).await?
        {
            return Ok(affected);
        }
        let proposed = self.proposed(rows).await?;
        let is_small = proposed.bytes() <= TAIL_STATEMENT_BYTES_MAX;
        if is_small && self.engine.config().uses_tails && self.conflict.keeps_key(&self.target.relation) {
            let through_tail = self.through_tail(&proposed).await?;
            if let Some(affected) = through_tail {
                return Ok(affected);
            }
        }
        self.through_files(&proposed).await
    }

    /// The rows that the statement proposes, numbered.
    async fn proposed(&self, rows: Option<RecordBatch>) -> Result<Kept> {
        let relation = &self.target.relation;
        if let Some(rows) = rows {
            let mut kept = self.engine.nothing_kept(CONSUMER, numbered_schema(&rows.schema(), relation));
            kept.push(with_numbers(&rows, &kept.schema(), 0)?)?;
            return Ok(kept);
        }
        let types = types_of(self.parameters);
        let plan = self.engine.insert_plan(self.scope, self.target, self.insert, &types).await?;
        let stream = self.engine.run_plan(self.scope, &bound(plan, self.parameters)?, self.cancel).await?;
        self.kept_checked(numbered(relation, stream)).await
    }

    /// Carries it out together with others that wait for the table; `None`, with nothing done, where it has to go alone.
    async fn in_turn(&self, rows: &RecordBatch) -> Result<Option<Affected>> {
        let Self { engine, scope, target, conflict, .. } = *self;
        let relation = &target.relation;
        let is_small = rows.num_rows() <= TURN_ROWS_MAX && rows.get_array_memory_size() <= TAIL_STATEMENT_BYTES_MAX;
        let looks = conflict.keeps_key(relation) && !conflict.replaces_unseen(relation);
        let is_plain = self.insert.returning.as_deref().is_none_or(|items| plain_items(target, items).is_some());
        if !(is_small && looks && is_plain && engine.config().uses_tails && conflict.is_by_primary_key(relation)) {
            return Ok(None);
        }
        files_of(scope, relation)?.check_writable()?;
        let setter = match (&conflict.action, self.setter) {
            (ConflictAction::Nothing, _) => None,
            (ConflictAction::Update(_), Some(known)) => Some(Arc::clone(known)),
            (ConflictAction::Update(update), None) => match engine.setter(scope, target, update, self.parameters) {
                Some(setter) => Some(Arc::new(setter)),
                None => return Ok(None),
            },
        };
        let job = Job {
            relation: Arc::clone(relation),
            conflict: Arc::clone(conflict),
            proposed: rows.clone(),
            setter,
            rules: engine.rules(scope, relation)?,
            durability: durability(scope),
            cancel: self.cancel.clone(),
        };
        let Some(written) = engine.upsert_in_turn(job).await? else { return Ok(None) };
        scope.progress.wrote(written.num_rows());
        let affected = written.num_rows() as u64;
        let items = self.insert.returning.as_deref();
        let returned = items.and_then(|items| plain_items(target, items)).map(|plain| plain.rows(&[written]));
        Ok(Some(Affected { rows: affected, returned: returned.transpose()? }))
    }

    /// Writes the files again whose rows change.
    async fn through_files(&self, proposed: &Kept) -> Result<Affected> {
        let (writer, scope) = self.engine.lock_rows(self.scope, self.target).await?;
        let locked = Upsert { scope: &scope, ..*self };
        let outcome = locked.outcome(Sight::Files, proposed).await?;
        let returned = locked.returned(&outcome).await?;
        let affected = Affected { rows: outcome.updated() + outcome.inserted.len(), returned };
        if affected.rows > 0 {
            let change = locked.written(&outcome, &writer).await?;
            self.engine.commit(self.target.relation.oid, writer, change, self.cancel).await?;
        }
        Ok(affected)
    }

    /// The rows of RETURNING, if the statement has one.
    async fn returned(&self, outcome: &Outcome<'_>) -> Result<Option<Returned>> {
        let written = match self.insert.returning {
            Some(_) => {
                let rows = outcome.in_order(&self.target.relation)?;
                Some(self.engine.kept("RETURNING", self.scope, &rows, self.cancel).await?)
            }
            None => None,
        };
        self.returning(written.as_ref()).await
    }

    async fn returning(&self, written: Option<&Kept>) -> Result<Option<Returned>> {
        let items = self.insert.returning.as_deref();
        self.engine.returning(self.scope, self.target, items, written, self.parameters, self.cancel).await
    }

    /// What becomes of the proposed rows and of those that have their keys.
    async fn outcome<'a>(&self, sight: Sight, proposed: &'a Kept) -> Result<Outcome<'a>> {
        let Self { engine, scope, target, conflict, .. } = *self;
        let mut present = Present::default();
        for key in &conflict.keys {
            self.note_present(proposed, key, sight, &mut present).await?;
        }
        let changed = match &conflict.action {
            ConflictAction::Update(update) if !present.files.is_empty() => {
                let scan = sight.scan(scope, target, Some(&present.files))?;
                let pairs = meeting(proposed.scan(EXCLUDED)?, target, scan, &conflict.keys[0], JoinType::Inner)?;
                let plan = engine.changed_by(scope, target, update, pairs, &types_of(self.parameters)).await?;
                let stream = engine.run_plan(scope, &bound(plan, self.parameters)?, self.cancel).await?;
                let rows = self.kept_checked(stream).await?;
                let hits = match sight {
                    Sight::Files => Some(engine.hits(scope, rows.scan("changed")?, self.cancel).await?),
                    Sight::All => None,
                };
                Some(Changed { rows, hits })
            }
            _ => None,
        };
        let changing = changed.as_ref().map(|changed| numbers(&changed.rows.batches)).unwrap_or_default();
        let inserted = engine.newcomers(conflict, &proposed.batches, &present.numbers, &changing, self.cancel).await?;
        let is_of_many = matches!(conflict.action, ConflictAction::Update(_)) && present.pairs > present.numbers.len();
        Ok(Outcome { proposed, changed, inserted: Arc::new(inserted), is_of_many })
    }

    /// Notes the proposed rows whose key is in the table.
    async fn note_present(&self, proposed: &Kept, key: &[String], sight: Sight, present: &mut Present) -> Result<()> {
        let target = as_present(self.target);
        let scan = sight.scan(self.scope, &target, None)?;
        let pairs = meeting(proposed.scan(EXCLUDED)?, &target, scan, key, JoinType::Inner)?;
        let plan = LogicalPlanBuilder::from(pairs).project(vec![ident(FILE_COLUMN), ident(NUMBER_COLUMN)])?.build()?;
        let mut stream = self.engine.run_plan(self.scope, &plan, self.cancel).await?;
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

    /// Writes the new rows, and the rest of the files whose rows change.
    async fn written(&self, outcome: &Outcome<'_>, writer: &FileWriter) -> Result<Change> {
        let Self { engine, scope, target, .. } = *self;
        let mut rows = LogicalPlanBuilder::from(outcome.rows(&target.relation)?).project(columns(&target.relation))?;
        let mut removed = Vec::new();
        if let Some(Changed { hits: Some(hits), .. }) = &outcome.changed {
            removed.extend(hits.paths().cloned());
            let others =
                LogicalPlanBuilder::from(target.scan(scope, Some(entries(writer.snapshot(), removed.iter())?))?)
                    .filter(hits.condition().is_not_true())?
                    .build()?;
            rows = rows.union(engine.unchanged_rows(target, others)?)?;
        }
        let added = engine.store(scope, &target.relation, rows.build()?, writer, self.cancel).await?;
        let keys = self.conflict.keys.iter().flatten();
        let key: Vec<String> = keys.map(|column| format!("{column} = {EXCLUDED}.{column}")).collect();
        let operation = Operation::new("MERGE")
            .with("mergePredicate", key.join(" AND "))
            .measured("numTargetRowsInserted", outcome.inserted.len())
            .measured("numTargetRowsUpdated", outcome.updated())
            .measured("numTargetRowsDeleted", 0);
        // A row that somebody else adds may have a key that goes in here.
        let reads = if outcome.inserted.is_empty() { Reads::Present } else { Reads::Everything };
        Ok(Change { reads, ..Change::replace(operation, added, removed) })
    }

    /// The rows of a stream, checked, in memory.
    async fn kept_checked(&self, mut stream: SendableRecordBatchStream) -> Result<Kept> {
        let checks = RowChecks::new(self.scope, &self.target.relation)?;
        let mut kept = self.engine.nothing_kept(CONSUMER, checks.schema_for(&stream.schema()));
        while let Some(batch) = stream.next().await.transpose()? {
            kept.push(checks.apply(batch)?)?;
        }
        Ok(kept)
    }
}

impl Outcome<'_> {
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
    let schema = numbered_schema(&stream.schema(), relation);
    let (all, mut next) = (Arc::clone(&schema), 0);
    let rows = stream.map(move |batch| {
        let rows = with_numbers(&batch?, &all, next)?;
        next += rows.num_rows() as u64;
        Ok(rows)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

fn numbered_schema(rows: &Schema, relation: &RelationDef) -> SchemaRef {
    let own = rows.fields().iter().take(relation.columns.len()).cloned();
    let number = Arc::new(Field::new(NUMBER_COLUMN, DataType::UInt64, false));
    Arc::new(Schema::new(own.chain([number]).collect::<Vec<_>>()))
}

/// The rows with their numbers, from `first` on, in the last column of `schema`.
fn with_numbers(rows: &RecordBatch, schema: &SchemaRef, first: u64) -> Result<RecordBatch, DataFusionError> {
    let mut columns = rows.columns()[..schema.fields().len() - 1].to_vec();
    columns.push(Arc::new(UInt64Array::from_iter_values((first..).take(rows.num_rows()))));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
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
