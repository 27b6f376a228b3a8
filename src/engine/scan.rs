//! A table as queries read it: its files and its tail.
//!
//! Without a tail it is the [`LakeScan`] alone. With one it is the union of both, made before anything is optimized, so that
//! filters, projections and limits go into either side, and statistics of both answer `count`, `min` and `max`. Where rows were
//! replaced by key, the files' rows with these keys are left out by an anti join.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, ColumnStatistics, JoinType, Result as PlanResult, Statistics, TableReference};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource, TableType, ident};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, Partitioning};
use tokio_util::sync::CancellationToken;

use crate::buffer::{DbVersion, Tail};
use crate::catalog::definition::RelationDef;
use crate::catalog::name::Oid;
use crate::engine::Engine;
use crate::error::Result;
use crate::tables::LakeScan;

/// The table in this version of the database, to plan with.
pub(in crate::engine) fn table_source(version: &DbVersion, oid: Oid) -> Result<Arc<dyn TableSource>> {
    table_provider(version, oid).map(provider_as_source)
}

/// The table in this version of the database.
pub(in crate::engine) fn table_provider(version: &DbVersion, oid: Oid) -> Result<Arc<dyn TableProvider>> {
    let files = LakeScan::new(Arc::clone(version.snapshot(oid)?));
    let tail = version.tail(oid)?;
    if tail.is_empty() {
        return Ok(Arc::new(files));
    }
    let scan = TailScan { schema: files.schema(), tail: Arc::clone(tail) };
    let scan = LogicalPlanBuilder::scan("tail", provider_as_source(Arc::new(scan)), None)?.build()?;
    let files = LogicalPlanBuilder::scan("files", provider_as_source(Arc::new(files)), None)?.build()?;
    let files = match tail.keys()? {
        None => files,
        Some(keys) => with_keys(files, "files", keys, JoinType::LeftAnti)?,
    };
    Ok(Arc::new(ViewTable::new(LogicalPlanBuilder::from(files).union(scan)?.build()?, None)))
}

/// The rows of a plan, under this name, that have one of these keys, or none of them.
pub(in crate::engine) fn with_keys(
    rows: LogicalPlan,
    name: &str,
    keys: RecordBatch,
    kind: JoinType,
) -> Result<LogicalPlan> {
    let names: Vec<String> = keys.schema().fields().iter().map(|field| field.name().clone()).collect();
    let columns = |table: &str| -> Vec<Column> {
        names.iter().map(|column| Column::new(Some(TableReference::bare(table)), column)).collect()
    };
    let table = provider_as_source(Arc::new(MemTable::try_new(keys.schema(), vec![vec![keys]])?));
    let keys = LogicalPlanBuilder::scan("keys", table, None)?.build()?;
    Ok(LogicalPlanBuilder::from(rows).join(keys, kind, (columns(name), columns("keys")), None)?.build()?)
}

impl Engine {
    /// The rows of a table that have one of these keys, as they are now: the columns of the key, and one more.
    pub async fn rows_with_keys(
        &self,
        relation: &RelationDef,
        keys: RecordBatch,
        column: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<RecordBatch>> {
        let scope = self.background_scope();
        let rows = LogicalPlanBuilder::scan("present", table_source(&scope.version, relation.oid)?, None)?.build()?;
        let names: Vec<String> = keys.schema().fields().iter().map(|field| field.name().clone()).collect();
        let wanted = names.iter().map(String::as_str).chain([column]).map(ident);
        // Not by their own names: the one more may be of the key.
        let wanted = wanted.enumerate().map(|(at, column)| column.alias(format!("__{at}")));
        let found = with_keys(rows, "present", keys, JoinType::LeftSemi)?;
        self.collect(&scope, &LogicalPlanBuilder::from(found).project(wanted)?.build()?, cancel).await
    }
}

/// The tail of a table as something that can be scanned.
struct TailScan {
    schema: SchemaRef,
    tail: Arc<Tail>,
}

impl fmt::Debug for TailScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TailScan({} rows)", self.tail.rows())
    }
}

impl TableProvider for TailScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn scan<'this, 'state, 'projection, 'filters, 'scan>(
        &'this self,
        _state: &'state dyn Session,
        projection: Option<&'projection Vec<usize>>,
        _filters: &'filters [Expr],
        limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = PlanResult<Arc<dyn ExecutionPlan>>> + Send + 'scan>>
    where
        'this: 'scan,
        'state: 'scan,
        'projection: 'scan,
        'filters: 'scan,
        Self: 'scan,
    {
        let planned = TailSource::new(self, projection, limit);
        Box::pin(std::future::ready(planned.map(|source| DataSourceExec::from_data_source(source) as _)))
    }
}

/// The rows of a tail; their statistics are exact.
#[derive(Clone)]
struct TailSource {
    memory: MemorySourceConfig,
    statistics: Arc<Statistics>,
}

impl TailSource {
    fn new(scan: &TailScan, projection: Option<&Vec<usize>>, limit: Option<usize>) -> PlanResult<Self> {
        let batches: Vec<RecordBatch> = scan
            .tail
            .batches()?
            .iter()
            .map(|rows| RecordBatch::try_new(Arc::clone(&scan.schema), rows.columns().to_vec()))
            .collect::<Result<_, _>>()?;
        let width = scan.schema.fields().len();
        let columns = projection.cloned().unwrap_or_else(|| (0..width).collect());
        let statistics = Arc::new(Statistics {
            num_rows: Precision::Exact(scan.tail.rows()),
            total_byte_size: Precision::Inexact(scan.tail.bytes()),
            column_statistics: columns.iter().map(|column| statistics_of(&scan.tail, *column)).collect(),
        });
        let memory = MemorySourceConfig::try_new(&[batches], Arc::clone(&scan.schema), Some(columns))?;
        Ok(Self { memory: memory.with_limit(limit), statistics })
    }
}

fn statistics_of(tail: &Tail, column: usize) -> ColumnStatistics {
    let mut statistics = ColumnStatistics::new_unknown();
    statistics.null_count = Precision::Exact(tail.facts(column).map(|(_, facts)| facts.nulls).sum());
    // A chunk of nulls has no bounds and needs none.
    let bounded = tail.facts(column).filter(|(rows, facts)| facts.nulls < *rows);
    let bounds: Option<Vec<_>> = bounded.map(|(_, facts)| facts.bounds.clone()).collect();
    for (min, max) in bounds.into_iter().flatten() {
        statistics.min_value = widest(statistics.min_value, Precision::Exact(min), |held, new| held.min(new));
        statistics.max_value = widest(statistics.max_value, Precision::Exact(max), |held, new| held.max(new));
    }
    match tail.has_keys() {
        true => statistics.to_inexact(),
        false => statistics,
    }
}

fn widest<T: Clone + fmt::Debug + PartialEq + Eq + PartialOrd>(
    held: Precision<T>,
    new: Precision<T>,
    choose: impl FnOnce(&Precision<T>, &Precision<T>) -> Precision<T>,
) -> Precision<T> {
    match held {
        Precision::Absent => new,
        held => choose(&held, &new),
    }
}

impl fmt::Debug for TailSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TailSource({:?} rows)", self.statistics.num_rows)
    }
}

impl DataSource for TailSource {
    fn open(&self, partition: usize, context: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        self.memory.open(partition, context)
    }

    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.statistics.num_rows.get_value() {
            Some(rows) => write!(f, "tail, rows={rows}"),
            None => write!(f, "tail"),
        }
    }

    fn output_partitioning(&self) -> Partitioning {
        self.memory.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.memory.eq_properties()
    }

    fn partition_statistics(&self, _partition: Option<usize>) -> PlanResult<Arc<Statistics>> {
        match self.memory.fetch() {
            None => Ok(Arc::clone(&self.statistics)),
            Some(rows) => Ok(Arc::new(Statistics::clone(&self.statistics).with_fetch(Some(rows), 0, 1)?)),
        }
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        Some(Arc::new(Self { memory: self.memory.clone().with_limit(limit), ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.memory.fetch()
    }

    fn try_swapping_with_projection(&self, _projection: &ProjectionExprs) -> PlanResult<Option<Arc<dyn DataSource>>> {
        Ok(None)
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}
