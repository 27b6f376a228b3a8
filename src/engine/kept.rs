//! Rows in memory that the pool accounts for as long as they are there.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Scope};
use crate::error::Result;

/// The rows.
pub(in crate::engine) struct Kept {
    schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    memory: MemoryReservation,
}

impl Engine {
    /// All rows of a plan; `what` they are is how an error names them that finds no memory.
    pub(in crate::engine) async fn kept(
        &self,
        what: &str,
        scope: &Scope,
        plan: &LogicalPlan,
        cancel: &CancellationToken,
    ) -> Result<Kept> {
        let mut stream = self.run_plan(scope, plan, cancel).await?;
        let mut kept = self.nothing_kept(what, stream.schema());
        while let Some(batch) = stream.next().await {
            kept.push(batch?)?;
        }
        Ok(kept)
    }

    /// No rows yet.
    pub(in crate::engine) fn nothing_kept(&self, what: &str, schema: SchemaRef) -> Kept {
        let memory = MemoryConsumer::new(what).register(&self.runtime().memory_pool);
        Kept { schema, batches: Vec::new(), memory }
    }
}

impl Kept {
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The memory they take.
    pub fn bytes(&self) -> usize {
        self.memory.size()
    }

    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.memory.try_grow(batch.get_array_memory_size())?;
        self.batches.push(batch);
        Ok(())
    }

    /// A plan that reads them; they have to be kept as long.
    pub fn scan(&self, name: &str) -> Result<LogicalPlan> {
        let table = MemTable::try_new(Arc::clone(&self.schema), vec![self.batches.clone()])?;
        Ok(LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.build()?)
    }

    pub fn into_stream(self) -> SendableRecordBatchStream {
        let Self { schema, batches, memory } = self;
        let rows = futures::stream::iter(batches).map(move |batch| {
            memory.shrink(batch.get_array_memory_size().min(memory.size()));
            Ok(batch)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}
