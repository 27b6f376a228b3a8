//! Joins that outgrow the memory: a hash join keeps one side and cannot spill, a join of sorted sides can.
//!
//! A hash join has its side in memory before it gives a row. When that fails, and no row has left the statement, the same plan
//! runs once more with joins that sort. Invariant: a row is given once, for nothing was given before.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::stream::once;
use futures::{StreamExt, TryStreamExt};

use crate::engine::Scope;
use crate::engine::progress::Progress;
use crate::error::Result;

/// Sorts hold a batch at least, however little their share of the memory.
const BATCH_ROWS_MAX: usize = 1024;

/// The rows of `physical`, which is how `plan` was going to run.
pub(in crate::engine) fn execute(
    scope: &Scope,
    plan: &LogicalPlan,
    physical: Arc<dyn ExecutionPlan>,
) -> Result<SendableRecordBatchStream> {
    let hashes = has_hash_join(physical.as_ref());
    let mut stream = execute_stream(physical, scope.state.task_ctx())?;
    if !hashes {
        return Ok(stream);
    }
    let (schema, plan) = (stream.schema(), plan.clone());
    let (state, progress) = (Arc::clone(&scope.state), Arc::clone(&scope.progress));
    let rows = once(async move {
        let first = stream.next().await;
        match first {
            Some(Err(error)) if is_exhausted(&error) => {
                drop(stream);
                tracing::info!("a join outgrows the memory: the statement runs again with joins that sort");
                sorted(&state, &progress, &plan).await
            }
            first => {
                let (schema, first) = (stream.schema(), futures::stream::iter(first));
                Ok(Box::pin(RecordBatchStreamAdapter::new(schema, first.chain(stream))) as _)
            }
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.try_flatten())))
}

async fn sorted(
    state: &SessionState,
    progress: &Progress,
    plan: &LogicalPlan,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let mut state = state.clone();
    let config = state.config().clone();
    let batch_rows = config.batch_size().min(BATCH_ROWS_MAX);
    *state.config_mut() = config.with_batch_size(batch_rows);
    let options = state.config_mut().options_mut();
    options.optimizer.prefer_hash_join = false;
    // Of one partition the planner makes hash joins only.
    options.execution.target_partitions = options.execution.target_partitions.max(2);
    let physical = state.create_physical_plan(plan).await?;
    progress.watch(physical.as_ref());
    execute_stream(physical, state.task_ctx())
}

fn has_hash_join(plan: &dyn ExecutionPlan) -> bool {
    plan.is::<HashJoinExec>() || plan.children().into_iter().any(|child| has_hash_join(child.as_ref()))
}

fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}
