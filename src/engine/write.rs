//! The one way rows get into a table: cast, defaults, generated columns, checks, files, commit.
//!
//! INSERT, COPY, CREATE TABLE AS, UPDATE and MERGE all come through [`Engine::stored_rows`] (a plan with exactly the
//! table's columns) and [`Engine::store`] (files). Invariant: no batch reaches a file unchecked.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int8Type, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, ident, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::catalog::definition::{ColumnDef, RelationDef};
use crate::catalog::name::Oid;
use crate::dialect;
use crate::engine::assign::assigned;
use crate::engine::curve::Curve;
use crate::engine::kept::Kept;
use crate::engine::overlay::Overlay;
use crate::engine::plan::Planner;
use crate::engine::target::Target;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::tables;
use crate::tables::{Change, FileEntry, FileWriter, SORTED_TAG, TableWriter, WriteOptions, groups_by_partition};

mod checks;
pub mod shape;

pub(in crate::engine) use checks::RowChecks;
pub(in crate::engine) use shape::{KnownRules, Rules};

/// What a statement that writes did.
pub struct Affected {
    /// Rows inserted, updated or deleted.
    pub rows: u64,
    /// The rows of RETURNING, if the statement had one.
    pub returned: Option<crate::engine::returning::Returned>,
}

/// Where a value of a new row comes from.
#[derive(Clone)]
pub(in crate::engine) enum Filling {
    /// The expression, cast to the column's type.
    Given(Expr),
    /// The column's default, or NULL.
    Default,
}

impl Engine {
    /// A plan with exactly the table's columns: what is given is cast, what is not takes its default, generated
    /// columns are computed from the others. `extra` columns of the source are kept behind them.
    pub(in crate::engine) fn stored_rows(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        source: LogicalPlan,
        fillings: &[Filling],
        extra: &[Expr],
    ) -> Result<LogicalPlan> {
        let mut values = Vec::with_capacity(relation.columns.len() + extra.len());
        for (column, filling) in relation.columns.iter().zip(fillings) {
            values.push(self.filled(scope, column, filling, source.schema())?.alias(column.name.clone()));
        }
        values.extend_from_slice(extra);
        let plan = LogicalPlanBuilder::from(source).project(values)?.build()?;
        if relation.columns.iter().all(|column| column.generated.is_none()) {
            return Ok(plan);
        }
        self.with_generated(scope, relation, plan)
    }

    /// The expression of a column's new value, over the columns of `schema`.
    pub(in crate::engine) fn filled(
        &self,
        scope: &Scope,
        column: &ColumnDef,
        filling: &Filling,
        schema: &DFSchema,
    ) -> Result<Expr> {
        let target = column.pg_type.arrow();
        match filling {
            Filling::Given(value) => assigned(scope, value.clone(), column, schema),
            Filling::Default if column.generated.is_some() => Ok(cast(lit(ScalarValue::Null), target)),
            Filling::Default => self.default_value(scope, column),
        }
    }

    /// The value of a column that a statement leaves out.
    pub(in crate::engine) fn default_value(&self, scope: &Scope, column: &ColumnDef) -> Result<Expr> {
        let none = DFSchema::empty();
        let value = match &column.default {
            None => lit(ScalarValue::Null),
            Some(text) => column_expression(scope, text, &none)?,
        };
        assigned(scope, value, column, &none)
    }

    fn with_generated(&self, scope: &Scope, relation: &RelationDef, plan: LogicalPlan) -> Result<LogicalPlan> {
        let schema = Arc::clone(plan.schema());
        let mut values = Vec::with_capacity(schema.fields().len());
        for (position, field) in schema.fields().iter().enumerate() {
            let column = relation.columns.get(position);
            values.push(match column.and_then(|column| Some((column, column.generated.as_deref()?))) {
                Some((column, text)) => {
                    let value = column_expression(scope, text, &schema)?;
                    assigned(scope, value, column, &schema)?.alias(field.name().clone())
                }
                None => ident(field.name()),
            });
        }
        Ok(LogicalPlanBuilder::from(plan).project(values)?.build()?)
    }

    /// Writes the rows of `plan` (from [`Engine::stored_rows`]) to files that nobody sees yet.
    pub(in crate::engine) async fn store(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        plan: LogicalPlan,
        writer: &FileWriter,
        cancel: &CancellationToken,
    ) -> Result<Vec<FileEntry>> {
        let plan = clustered(relation, plan)?;
        let stream = self.run_plan(scope, &plan, cancel).await?;
        let checked = self.checked(scope, relation, stream)?;
        self.store_checked(scope, relation, writer, checked, cancel).await
    }

    /// As [`Engine::store`], for rows that carry a [`mark`] behind the table's columns: rows marked as gone are not
    /// stored, those marked as hits are given back, if they are to be kept.
    pub(in crate::engine) async fn store_marked(
        &self,
        scope: &Scope,
        target: &Target,
        plan: LogicalPlan,
        writer: &FileWriter,
        keep_hits: bool,
        cancel: &CancellationToken,
    ) -> Result<Marked> {
        let (rows, seen) = self.unmarked(scope, target, plan, keep_hits, cancel).await?;
        let files = self.store_checked(scope, &target.relation, writer, rows, cancel).await?;
        let mut seen = seen.lock();
        Ok(Marked { files, hits: seen.hits.take(), rows_seen: seen.rows })
    }

    /// The rows of a plan, clustered and checked, without their marks and without those that are gone; and what was seen of
    /// the marks, once the rows have gone by.
    pub(in crate::engine) async fn unmarked(
        &self,
        scope: &Scope,
        target: &Target,
        plan: LogicalPlan,
        keep_hits: bool,
        cancel: &CancellationToken,
    ) -> Result<(SendableRecordBatchStream, Arc<Mutex<Seen>>)> {
        let plan = clustered(&target.relation, plan)?;
        let stream = self.run_plan(scope, &plan, cancel).await?;
        let checked = self.checked(scope, &target.relation, stream)?;
        let schema = target.relation.arrow_schema();
        let hits = keep_hits.then(|| self.nothing_kept("RETURNING", Arc::clone(&schema)));
        let seen = Arc::new(Mutex::new(Seen { hits, rows: 0 }));
        let (stored, watched) = (Arc::clone(&schema), Arc::clone(&seen));
        let rows = checked.map(move |batch| Ok(watched.lock().unmark(&batch?, &stored)?));
        Ok((Box::pin(RecordBatchStreamAdapter::new(schema, rows)), seen))
    }

    /// Rows that are [`clustered`] stay so, and the files say it: a scan need not sort them again. Where a curve goes through
    /// several columns and there are more rows than one file of a partition holds, they are written again along it.
    pub(in crate::engine) async fn store_checked(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        writer: &FileWriter,
        stream: SendableRecordBatchStream,
        cancel: &CancellationToken,
    ) -> Result<Vec<FileEntry>> {
        let mut options = self.write_options(relation);
        if let Some(column) = sorting_column(relation) {
            options.tags.insert(SORTED_TAG.to_owned(), sorted_tag(column));
        }
        let files = writer.write(stream, &options).await?;
        let Some(curve) = Curve::of_table(relation) else { return Ok(files) };
        let files: Vec<_> = files.into_iter().map(Arc::new).collect();
        let (mut stored, mut waste) = (Vec::new(), Vec::new());
        for group in groups_by_partition(&files) {
            if group.files.len() == 1 {
                stored.extend(group.files.iter().map(|file| FileEntry::clone(file)));
                continue;
            }
            match self.store_along(scope, relation, writer, &group.files, &curve, cancel).await {
                Ok(along) => stored.extend(along),
                Err(error) => {
                    writer.discard(&stored).await;
                    writer.discard(&files.iter().map(|file| FileEntry::clone(file)).collect::<Vec<_>>()).await;
                    return Err(error);
                }
            }
            waste.extend(group.files.iter().map(|file| FileEntry::clone(file)));
        }
        writer.discard(&waste).await;
        Ok(stored)
    }

    /// How files of the table are written, as its options or else the settings say.
    pub(in crate::engine) fn write_options(&self, relation: &RelationDef) -> WriteOptions {
        let table = relation.table();
        let own = table.and_then(|table| table.options.get("target_file_bytes")?.parse().ok());
        WriteOptions {
            target_file_bytes: own.unwrap_or(self.config().target_file_bytes),
            keys: table.map(|table| [table.primary_key(), &table.clustered_by].concat()).unwrap_or_default(),
            ..WriteOptions::default()
        }
    }

    /// The stream with every batch brought to the table's exact types and checked. Columns behind the table's stay.
    pub(in crate::engine) fn checked(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        stream: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream> {
        let checks = Arc::new(RowChecks::new(scope, relation)?);
        let schema = checks.schema_for(&stream.schema());
        let progress = Arc::clone(&scope.progress);
        let checked = stream.map(move |batch| {
            let checked = checks.apply(batch?)?;
            progress.wrote(checked.num_rows());
            Ok(checked)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, checked)))
    }

    /// Commits and publishes. Once begun it is finished, also when the client has gone.
    pub(in crate::engine) async fn commit(
        &self,
        oid: Oid,
        mut writer: TableWriter,
        change: Change,
        cancel: &CancellationToken,
    ) -> Result<Arc<tables::Snapshot>> {
        if cancel.is_cancelled() {
            writer.discard(&change.added).await;
            return Err(Error::canceled());
        }
        let buffer = Arc::clone(self.buffer());
        let finished = tokio::spawn(async move {
            let snapshot = writer.commit(change).await?;
            buffer.publish(oid, Arc::clone(&snapshot))?;
            Ok(snapshot)
        });
        finished.await.map_err(|error| {
            Error::new(ErrorKind::StatementCompletionUnknown, format!("the commit ended unexpectedly: {error}"))
        })?
    }
}

/// The expression that a definition's text stands for, over the columns of `schema`.
pub(in crate::engine) fn column_expression(scope: &Scope, text: &str, schema: &DFSchema) -> Result<Expr> {
    let overlay = Overlay::default();
    Planner::new(scope, &overlay).expression(dialect::parse_expression(text)?, schema, &[])
}

/// The column that rows are sorted by as they come. Several columns are gone through along a [`Curve`].
fn sorting_column(relation: &RelationDef) -> Option<&String> {
    match relation.table()?.clustered_by.as_slice() {
        [column] => Some(column),
        _ => None,
    }
}

/// True where rows are sorted before they are stored.
pub(in crate::engine) fn is_sorted(relation: &RelationDef) -> bool {
    sorting_column(relation).is_some()
}

/// True for a file whose rows lie as CLUSTER BY wants it.
pub(in crate::engine) fn is_clustered(relation: &RelationDef, file: &FileEntry) -> bool {
    match (sorting_column(relation), Curve::of_table(relation)) {
        (Some(column), _) => file.tags.get(SORTED_TAG) == Some(&sorted_tag(column)),
        (None, Some(curve)) => curve.holds(file),
        (None, None) => false,
    }
}

fn sorted_tag(column: &str) -> String {
    serde_json::json!([column]).to_string()
}

/// The plan sorted by the clustering column, so that files cover narrow ranges of it.
pub(in crate::engine) fn clustered(relation: &RelationDef, plan: LogicalPlan) -> Result<LogicalPlan> {
    let Some(column) = sorting_column(relation) else { return Ok(plan) };
    let key = ident(column).sort(true, false);
    Ok(LogicalPlanBuilder::from(plan).sort(vec![key])?.build()?)
}

/// The mark of a row that stays as it is.
pub(in crate::engine) const MARK_KEPT: i8 = 0;
/// The mark of a row that the statement has made or changed.
pub(in crate::engine) const MARK_HIT: i8 = 1;
/// The mark of a row that the statement deletes.
pub(in crate::engine) const MARK_GONE: i8 = 2;

/// The expression under the name of the mark's column.
pub(in crate::engine) fn mark(value: Expr) -> Expr {
    value.alias("__mark")
}

/// What [`Engine::store_marked`] gives.
pub(in crate::engine) struct Marked {
    pub files: Vec<FileEntry>,
    /// The rows marked as hits, if they were to be kept.
    pub hits: Option<Kept>,
    /// Rows that went by, the gone ones included.
    pub rows_seen: u64,
}

pub(in crate::engine) struct Seen {
    pub hits: Option<Kept>,
    pub rows: u64,
}

impl Seen {
    /// Takes the mark off a batch.
    fn unmark(&mut self, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
        let width = schema.fields().len();
        let rows = RecordBatch::try_new(Arc::clone(schema), batch.columns()[..width].to_vec())?;
        let marks = batch.column(width).as_primitive::<Int8Type>();
        self.rows += rows.num_rows() as u64;
        if let Some(kept) = &mut self.hits {
            let hits = BooleanArray::from_unary(marks, |mark| mark == MARK_HIT);
            kept.push(filter_record_batch(&rows, &hits)?)?;
        }
        if marks.values().contains(&MARK_GONE) {
            let stored = BooleanArray::from_unary(marks, |mark| mark != MARK_GONE);
            return Ok(filter_record_batch(&rows, &stored)?);
        }
        Ok(rows)
    }
}
