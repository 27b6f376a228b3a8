//! The rows that an UPDATE or a DELETE changes, found once.
//!
//! The condition is asked in one pass, which notes the place of each row that it holds for; whatever comes after goes by the
//! places. Asked again, a condition may choose other rows: it may be random, or take the first rows of a subquery, or
//! compare with a sum of floats. Invariant: a row that was found is changed once, every other row stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, Volatility, create_udf, ident};
use futures::StreamExt;
use roaring::RoaringTreemap;
use tokio_util::sync::CancellationToken;

use crate::engine::target::{FILE_COLUMN, ROW_COLUMN};
use crate::engine::{Engine, Scope};
use crate::error::{Error, Result};

/// Rows of a target by file and place.
pub(in crate::engine) struct Hits {
    files: BTreeMap<String, RoaringTreemap>,
    _memory: MemoryReservation,
}

impl Engine {
    /// The places of the rows of `matching`, a plan with [`FILE_COLUMN`] and [`ROW_COLUMN`].
    pub(in crate::engine) async fn hits(
        &self,
        scope: &Scope,
        matching: LogicalPlan,
        cancel: &CancellationToken,
    ) -> Result<Arc<Hits>> {
        let places = vec![ident(FILE_COLUMN), ident(ROW_COLUMN)];
        let plan = LogicalPlanBuilder::from(matching).project(places)?.build()?;
        let memory = MemoryConsumer::new("rows to change").register(&self.runtime().memory_pool);
        let mut files: BTreeMap<String, RoaringTreemap> = BTreeMap::new();
        let mut stream = self.run_plan(scope, &plan, cancel).await?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let (paths, rows) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
            let mut from = 0;
            while from < batch.num_rows() {
                let path = paths.value(from);
                let until = (from..batch.num_rows()).find(|at| paths.value(*at) != path).unwrap_or(batch.num_rows());
                let hits = match files.get_mut(path) {
                    Some(hits) => hits,
                    None => files.entry(path.to_owned()).or_default(),
                };
                let before = hits.serialized_size();
                hits.extend(rows.values()[from..until].iter().filter_map(|row| u64::try_from(*row).ok()));
                memory.try_grow(hits.serialized_size().saturating_sub(before))?;
                from = until;
            }
        }
        Ok(Arc::new(Hits { files, _memory: memory }))
    }
}

impl Hits {
    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.files.values().map(RoaringTreemap::len).sum()
    }

    /// How many rows of a file there are.
    pub fn rows_of(&self, path: &str) -> u64 {
        self.files.get(path).map_or(0, RoaringTreemap::len)
    }

    /// The files that hold them.
    pub fn paths(&self) -> impl Iterator<Item = &String> {
        self.files.keys()
    }

    /// True for these rows, over [`FILE_COLUMN`] and [`ROW_COLUMN`].
    pub fn condition(self: &Arc<Self>) -> Expr {
        let hits = Arc::clone(self);
        let is_hit = move |places: &[ColumnarValue]| Ok(ColumnarValue::Array(Arc::new(hits.among(places)?)));
        let types = vec![DataType::Utf8, DataType::Int64];
        let is_hit = create_udf("is_hit", types, DataType::Boolean, Volatility::Immutable, Arc::new(is_hit));
        is_hit.call(vec![ident(FILE_COLUMN), ident(ROW_COLUMN)])
    }

    fn among(&self, places: &[ColumnarValue]) -> DataFusionResult<BooleanArray> {
        let arrays = ColumnarValue::values_to_arrays(places)?;
        let [paths, rows] = arrays.as_slice() else {
            return Err(DataFusionError::from(Error::internal("a place is a file and a row")));
        };
        let (paths, rows) = (paths.as_string::<i32>(), rows.as_primitive::<Int64Type>());
        let mut file: Option<(&str, Option<&RoaringTreemap>)> = None;
        Ok(paths
            .iter()
            .zip(rows.values())
            .map(|(path, row)| {
                let path = path?;
                let hits = match file {
                    Some((known, hits)) if known == path => hits,
                    _ => file.insert((path, self.files.get(path))).1,
                };
                Some(hits.is_some_and(|hits| u64::try_from(*row).is_ok_and(|row| hits.contains(row))))
            })
            .collect())
    }
}
