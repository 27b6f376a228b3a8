//! From plan to batches: physical planning, execution under the shared limits, cancellation.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, ParamValues, ScalarValue};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use futures::{Stream, StreamExt};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::engine::{Engine, Planned, Scope, sorted_joins};
use crate::error::{Error, Result};

impl Engine {
    /// Runs a planned query. Its rows are produced while they are read; `cancel` ends it with 57014.
    pub async fn run(
        &self,
        scope: &Scope,
        planned: &Planned,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<SendableRecordBatchStream> {
        let plan = bound(planned.plan.clone(), parameters)?;
        self.run_plan(scope, &plan, cancel).await
    }

    /// Runs a plan without parameters.
    pub(in crate::engine) async fn run_plan(
        &self,
        scope: &Scope,
        plan: &LogicalPlan,
        cancel: &CancellationToken,
    ) -> Result<SendableRecordBatchStream> {
        let physical = self.physical(scope, plan, cancel).await?;
        scope.progress.watch(physical.as_ref());
        let stream = sorted_joins::execute(scope, plan, physical)?;
        Ok(Box::pin(Cancellable { _read: Some(plan.clone()), ..Cancellable::new(stream, cancel) }))
    }

    /// The physical plan; planning, too, can be cancelled.
    pub(in crate::engine) async fn physical(
        &self,
        scope: &Scope,
        plan: &LogicalPlan,
        cancel: &CancellationToken,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::canceled()),
            physical = scope.state.create_physical_plan(plan) => Ok(physical?),
        }
    }

    /// Runs a plan and keeps all its rows: only for what is known to be small.
    pub(in crate::engine) async fn collect(
        &self,
        scope: &Scope,
        plan: &LogicalPlan,
        cancel: &CancellationToken,
    ) -> Result<Vec<RecordBatch>> {
        let mut stream = self.run_plan(scope, plan, cancel).await?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }
}

/// The plan with `$1`, `$2`, ... replaced.
pub(in crate::engine) fn bound(plan: LogicalPlan, parameters: &[ScalarValue]) -> Result<LogicalPlan> {
    if parameters.is_empty() {
        return Ok(plan);
    }
    Ok(plan.with_param_values(ParamValues::from(parameters.to_vec()))?)
}

/// The stream, ended with an error when `cancel` fires.
pub fn cancellable(inner: SendableRecordBatchStream, cancel: &CancellationToken) -> SendableRecordBatchStream {
    Box::pin(Cancellable::new(inner, cancel))
}

struct Cancellable {
    inner: SendableRecordBatchStream,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
    /// Holds the snapshots that are read: VACUUM spares their files, and DROP TABLE waits for them.
    _read: Option<LogicalPlan>,
}

impl Cancellable {
    fn new(inner: SendableRecordBatchStream, cancel: &CancellationToken) -> Self {
        Self { inner, cancelled: Box::pin(cancel.clone().cancelled_owned()), ended: false, _read: None }
    }
}

impl Stream for Cancellable {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.cancelled.as_mut().poll(context).is_ready() {
            self.ended = true;
            return Poll::Ready(Some(Err(Error::canceled().into())));
        }
        self.inner.poll_next_unpin(context)
    }
}

impl RecordBatchStream for Cancellable {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}
