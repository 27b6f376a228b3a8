//! What the server knows, as tables: the catalog in PostgreSQL's shapes, and the facts behind the views of `catalog/`.
//!
//! A fact table is built when it is scanned, from memory only. A filter on its key (`oid = 5`, `attrelid = 5`,
//! `relname = 't'`) is pushed down, so that a look-up makes the rows it needs and no others. Relations of PostgreSQL that
//! have no meaning here exist with their columns and without rows: a missing one breaks a tool, an empty one rarely does.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;

use crate::buffer::DbVersion;
use crate::catalog::name::ObjectName;
use crate::engine::facts::shapes::Shape;
use crate::engine::functions::FunctionContext;
use crate::engine::functions::value::{self, Value};
use crate::error::Result;

mod activity;
mod columns;
mod constraints;
mod relations;
pub(crate) mod rows;
mod server;
pub(crate) mod shapes;
pub mod sources;
mod tables;
mod types;

#[cfg(test)]
mod tests;

/// What fact tables are made from.
#[derive(Clone)]
pub struct FactContext {
    /// The session and the definitions it sees.
    pub session: Arc<FunctionContext>,
    /// The tables that the statement sees; `None` where there are only definitions.
    pub version: Option<Arc<DbVersion>>,
}

/// A row under construction: the columns of a shape, all at their defaults.
pub(crate) struct Row {
    shape: &'static Shape,
    values: Vec<Value<'static>>,
}

impl Row {
    pub(crate) fn new(shape: &'static Shape) -> Self {
        Self { shape, values: shape.columns.iter().map(|column| column.default.clone()).collect() }
    }

    /// Sets a column; one that the shape does not have is left out, as shapes differ from version to version.
    #[must_use]
    pub(crate) fn set(mut self, column: &str, value: impl Into<Value<'static>>) -> Self {
        if let Some(at) = self.shape.columns.iter().position(|known| known.name == column) {
            self.values[at] = value.into();
        }
        self
    }
}

/// What a filter on the key column asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Key {
    /// One of these numbers.
    Oids(Vec<u32>),
    /// This name.
    Name(String),
}

impl Key {
    /// True when a row of this number and name may be asked for.
    pub(crate) fn wants(key: Option<&Self>, oid: u32, name: &str) -> bool {
        match key {
            None => true,
            Some(Self::Oids(oids)) => oids.contains(&oid),
            Some(Self::Name(wanted)) => wanted == name,
        }
    }
}

/// Rows that are being read.
pub(crate) type Reading = BoxFuture<'static, Result<Vec<Row>>>;

/// Makes the rows of a fact table, at least those that the key asks for.
#[derive(Clone, Copy)]
pub(crate) enum Maker {
    /// From memory.
    Now(fn(&FactContext, &'static Shape, Option<&Key>) -> Result<Vec<Row>>),
    /// By reading, when the plan runs.
    Later(fn(FactContext, &'static Shape, Option<Key>) -> Reading),
}

/// A fact table: its relation, the column that keys filter on, the maker of its rows.
pub(crate) struct Fact {
    pub(crate) relation: &'static str,
    pub(crate) key: &'static [&'static str],
    pub(crate) make: Maker,
}

/// All relations that have rows.
fn facts() -> impl Iterator<Item = &'static Fact> {
    [relations::FACTS, columns::FACTS, constraints::FACTS, server::FACTS, types::FACTS, tables::FACTS, activity::FACTS]
        .into_iter()
        .flatten()
}

fn fact_of(shape: &Shape) -> Option<&'static Fact> {
    facts().find(|fact| match fact.relation.split_once('.') {
        Some((schema, name)) => schema == shape.schema && name == shape.name,
        None => shape.schema == "pg_catalog" && fact.relation == shape.name,
    })
}

/// The system relation that a name stands for; `None` when it is none.
pub fn provider(name: &ObjectName, context: &FactContext) -> Option<Arc<dyn TableProvider>> {
    let shape = shapes::resolve(name, &context.session.search_path)?;
    Some(Arc::new(FactTable { shape, fact: fact_of(shape), context: context.clone() }))
}

/// A fact table for one statement.
struct FactTable {
    shape: &'static Shape,
    fact: Option<&'static Fact>,
    context: FactContext,
}

impl fmt::Debug for FactTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FactTable({}.{})", self.shape.schema, self.shape.name)
    }
}

impl FactTable {
    fn batch(&self, rows: Vec<Row>) -> Result<RecordBatch> {
        let mut columns: Vec<Vec<Value<'static>>> =
            self.shape.columns.iter().map(|_| Vec::with_capacity(rows.len())).collect();
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row.values) {
                column.push(value);
            }
        }
        let arrays = columns
            .into_iter()
            .zip(self.shape.arrow.fields())
            .map(|(values, field)| value::build(field.data_type(), values))
            .collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.shape.arrow), arrays)?)
    }

    fn plan<'a>(
        &'a self,
        projection: Option<&'a Vec<usize>>,
        filters: &[Expr],
    ) -> BoxFuture<'a, DataFusionResult<Arc<dyn ExecutionPlan>>> {
        let key = filters.iter().find_map(|filter| self.key_of(filter));
        let rows = match self.fact.map(|fact| fact.make) {
            None => Box::pin(std::future::ready(Ok(Vec::new()))),
            Some(Maker::Now(make)) => Box::pin(std::future::ready(make(&self.context, self.shape, key.as_ref()))),
            Some(Maker::Later(make)) => make(self.context.clone(), self.shape, key),
        };
        Box::pin(async move {
            let batch = self.batch(rows.await?)?;
            let schema = Arc::clone(&self.shape.arrow);
            let plan = MemorySourceConfig::try_new_exec(&[vec![batch]], schema, projection.cloned())?;
            Ok(plan as Arc<dyn ExecutionPlan>)
        })
    }

    /// What `key = literal` or `key IN (literals)` asks for.
    fn key_of(&self, filter: &Expr) -> Option<Key> {
        let keys = self.fact?.key;
        let is_key = |expr: &Expr| matches!(expr, Expr::Column(column) if keys.contains(&column.name.as_str()));
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
                (key, Expr::Literal(value, _)) | (Expr::Literal(value, _), key) if is_key(key) => key_value(value),
                _ => None,
            },
            Expr::InList(list) if is_key(&list.expr) && !list.negated => {
                let oids = list.list.iter().map(|item| match item {
                    Expr::Literal(ScalarValue::UInt32(Some(oid)), _) => Some(*oid),
                    _ => None,
                });
                oids.collect::<Option<Vec<_>>>().map(Key::Oids)
            }
            _ => None,
        }
    }
}

fn key_value(value: &ScalarValue) -> Option<Key> {
    match value {
        ScalarValue::UInt32(Some(oid)) => Some(Key::Oids(vec![*oid])),
        other => other.try_as_str().flatten().map(|name| Key::Name(name.to_owned())),
    }
}

impl TableProvider for FactTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.arrow)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        let inexact = |filter: &&Expr| match self.key_of(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(inexact).collect())
    }

    fn scan<'a, 'b, 'c, 'd, 't>(
        &'a self,
        _: &'b dyn Session,
        projection: Option<&'c Vec<usize>>,
        filters: &'d [Expr],
        _: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = DataFusionResult<Arc<dyn ExecutionPlan>>> + Send + 't>>
    where
        'a: 't,
        'b: 't,
        'c: 't,
        'd: 't,
        Self: 't,
    {
        self.plan(projection, filters)
    }
}

impl From<bool> for Value<'static> {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<u32> for Value<'static> {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<i32> for Value<'static> {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<i16> for Value<'static> {
    fn from(number: i16) -> Self {
        Self::Int(number.into())
    }
}

impl From<i64> for Value<'static> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Value<'static> {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value<'static> {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value<'static> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
