//! EXPLAIN: the plan as text, one line a row; ANALYZE runs it and shows what each operator did.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::catalog::pg_type::PgType;
use crate::engine::column::Column;
use crate::engine::run::{bound, cancellable};
use crate::engine::target::Target;
use crate::engine::{Engine, Scope};
use crate::error::Result;
use crate::tables::ScanSummary;

/// A statement for EXPLAIN.
#[derive(Clone, Copy)]
pub enum Explained<'a> {
    /// A query.
    Query(&'a ast::Query),
    /// INSERT
    Insert(&'a ast::Insert),
    /// UPDATE
    Update(&'a ast::Update),
    /// DELETE
    Delete(&'a ast::Delete),
    /// MERGE
    Merge(&'a ast::Merge),
}

/// What EXPLAIN was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExplainOptions {
    /// Run the statement and show what each operator did.
    pub analyze: bool,
    /// Show the logical plan as well.
    pub verbose: bool,
}

impl Engine {
    /// The rows that EXPLAIN gives. Of a statement that writes it shows how the rows to write or change are found; ANALYZE
    /// does what the statement says.
    pub async fn explain(
        &self,
        scope: &Scope,
        explained: Explained<'_>,
        parameters: &[ScalarValue],
        options: ExplainOptions,
        cancel: &CancellationToken,
    ) -> Result<SendableRecordBatchStream> {
        let started = Instant::now();
        let types: Vec<_> = parameters.iter().map(|value| Some(PgType::of_arrow(&value.data_type()))).collect();
        let (heading, plan) = match explained {
            Explained::Query(query) => (None, self.plan_query(scope, query, &types).await?.plan),
            Explained::Insert(insert) => headed("Insert", self.explained_insert(scope, insert, &types).await?),
            Explained::Update(update) => headed("Update", self.explained_update(scope, update, &types).await?),
            Explained::Delete(delete) => headed("Delete", self.explained_delete(scope, delete, &types).await?),
            Explained::Merge(merge) => headed("Merge", self.explained_merge(scope, merge, &types).await?),
        };
        let plan = bound(plan, parameters)?;
        let physical = self.physical(scope, &plan, cancel).await?;
        let planning = started.elapsed();
        let writes = heading.is_some();
        let mut lines = Vec::from_iter(heading);
        if let Explained::Insert(ast::Insert { on: Some(ast::OnInsert::OnConflict(on)), .. }) = explained {
            let is_update = matches!(on.action, ast::OnConflictAction::DoUpdate(_));
            lines.push(format!("Conflict Resolution: {}", if is_update { "UPDATE" } else { "NOTHING" }));
        }
        if options.verbose {
            lines.push("Logical plan:".to_owned());
            lines.extend(
                scope.state.optimize(&plan)?.display_indent().to_string().lines().map(|line| format!("  {line}")),
            );
            lines.push("Physical plan:".to_owned());
        }
        if !options.analyze {
            lines.extend(shown(&DisplayableExecutionPlan::new(physical.as_ref()), options));
            return text_rows(lines);
        }
        let rows = match explained {
            Explained::Query(_) => self.drain(scope, &physical, cancel).await?,
            Explained::Insert(insert) => self.insert(scope, insert, None, parameters, cancel).await?.rows,
            Explained::Update(update) => self.update(scope, update, parameters, cancel).await?.rows,
            Explained::Delete(delete) => self.delete(scope, delete, parameters, cancel).await?.rows,
            Explained::Merge(merge) => self.merge(scope, merge, parameters, cancel).await?.rows,
        };
        // A statement that writes runs plans of its own, one a pass: what they have read is in the sums below.
        lines.extend(match writes {
            true => shown(&DisplayableExecutionPlan::new(physical.as_ref()), options),
            false => shown(&DisplayableExecutionPlan::with_metrics(physical.as_ref()), options),
        });
        lines.push(format!("Rows: {rows}"));
        lines.extend(pruning(&scope.progress.scanned()));
        lines.push(format!("Planning Time: {:.3} ms", planning.as_secs_f64() * 1e3));
        lines.push(format!("Execution Time: {:.3} ms", (started.elapsed() - planning).as_secs_f64() * 1e3));
        text_rows(lines)
    }

    async fn drain(&self, scope: &Scope, plan: &Arc<dyn ExecutionPlan>, cancel: &CancellationToken) -> Result<u64> {
        scope.progress.watch(plan.as_ref());
        let mut stream = cancellable(execute_stream(Arc::clone(plan), scope.state.task_ctx())?, cancel);
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            rows += batch?.num_rows() as u64;
        }
        Ok(rows)
    }
}

fn headed(word: &str, (target, plan): (Target, LogicalPlan)) -> (Option<String>, LogicalPlan) {
    (Some(format!("{word} on {}", target.relation.name)), plan)
}

fn shown(plan: &DisplayableExecutionPlan<'_>, options: ExplainOptions) -> Vec<String> {
    plan.indent(options.verbose).to_string().lines().map(str::to_owned).collect()
}

/// What was not read, of the tables' files and of the row groups of those that were.
fn pruning(scanned: &ScanSummary) -> Vec<String> {
    if scanned.files_total == 0 {
        return Vec::new();
    }
    vec![
        format!("Files Pruned: {} of {}", scanned.files_pruned, scanned.files_total),
        format!("Row Groups Pruned: {} of {}", scanned.row_groups_pruned, scanned.row_groups_total),
        format!("Bytes Scanned: {}", scanned.bytes_scanned),
    ]
}

/// The column that EXPLAIN gives.
pub fn explain_columns() -> Arc<[Column]> {
    Arc::from([Column { name: "QUERY PLAN".to_owned(), pg_type: PgType::Text, relation: None, number: 0 }])
}

fn text_rows(lines: Vec<String>) -> Result<SendableRecordBatchStream> {
    let schema = Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8, false)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(StringArray::from(lines))])?;
    Ok(Box::pin(MemoryStream::try_new(vec![batch], schema, None)?))
}
