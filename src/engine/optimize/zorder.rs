//! ZORDER BY: rows along the Morton curve over the columns' ranks, so that each file covers a narrow range of every column.
//!
//! A value's rank is its place among values sampled evenly from the files: columns of any type and distribution weigh alike.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::DataType;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{Column, DataFusionError};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, SortExpr, Volatility, create_udf,
};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Scope};
use crate::error::Result;

/// Values of a column that its ranks are told by.
const SAMPLES: usize = 1 << 14;
/// Bits of a rank; fewer where there are many columns.
const RANK_BITS: usize = 16;

/// The ranks of one column.
struct Ranks {
    data_type: DataType,
    sampled: Vec<OwnedRow>,
}

impl Engine {
    /// What to sort the rows of `scan` by. Reads the columns once; `rows` is about how many there are.
    pub(super) async fn morton_key(
        &self,
        scope: &Scope,
        scan: &LogicalPlan,
        columns: &[String],
        rows: u64,
        cancel: &CancellationToken,
    ) -> Result<SortExpr> {
        let named: Vec<Expr> = columns.iter().map(|name| Expr::Column(Column::from_name(name))).collect();
        let plan = LogicalPlanBuilder::from(scan.clone()).project(named.clone())?.build()?;
        let types: Vec<DataType> = plan.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        let mut ranks: Vec<Ranks> =
            types.iter().map(|data_type| Ranks { data_type: data_type.clone(), sampled: Vec::new() }).collect();
        let step = usize::try_from(rows).unwrap_or(usize::MAX).div_ceil(SAMPLES).max(1);
        let mut stream = self.run_plan(scope, &plan, cancel).await?;
        let mut next = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            for (ranks, column) in ranks.iter_mut().zip(batch.columns()) {
                ranks.sample(column, next, step)?;
            }
            next = (next + step - batch.num_rows() % step) % step;
        }
        ranks.iter_mut().for_each(|ranks| ranks.sampled.sort_unstable());
        let key = move |values: &[ColumnarValue]| Ok(ColumnarValue::Array(Arc::new(keys(&ranks, values)?)));
        let key = create_udf("morton_key", types, DataType::UInt64, Volatility::Immutable, Arc::new(key));
        Ok(key.call(named).sort(true, true))
    }
}

impl Ranks {
    /// Takes every `step`th value, from `first` on.
    fn sample(&mut self, column: &ArrayRef, first: usize, step: usize) -> Result<()> {
        let rows =
            RowConverter::new(vec![SortField::new(self.data_type.clone())])?.convert_columns(&[Arc::clone(column)])?;
        self.sampled.extend((first..column.len()).step_by(step).map(|at| rows.row(at).owned()));
        Ok(())
    }

    /// The rank of each value, in `bits` bits.
    fn of(&self, column: &ArrayRef, bits: usize) -> Result<Vec<u64>> {
        let rows =
            RowConverter::new(vec![SortField::new(self.data_type.clone())])?.convert_columns(&[Arc::clone(column)])?;
        let count = self.sampled.len().max(1) as u64;
        let rank = |row: arrow::row::Row<'_>| self.sampled.partition_point(|sampled| sampled.row() < row) as u64;
        Ok(rows.iter().map(|row| (rank(row) << bits) / (count + 1)).collect())
    }
}

/// The ranks of a row with their bits interleaved, the highest first.
fn keys(ranks: &[Ranks], values: &[ColumnarValue]) -> Result<UInt64Array, DataFusionError> {
    let bits = RANK_BITS.min(64 / ranks.len());
    let columns = ColumnarValue::values_to_arrays(values)?;
    let ranked = ranks.iter().zip(&columns).map(|(ranks, column)| ranks.of(column, bits));
    let ranked = ranked.collect::<Result<Vec<_>>>()?;
    let rows = ranked.first().map_or(0, Vec::len);
    Ok((0..rows).map(|row| morton(ranked.iter().map(|ranks| ranks[row]), bits)).collect())
}

fn morton(ranks: impl Iterator<Item = u64> + Clone, bits: usize) -> u64 {
    (0..bits).rev().fold(0, |key, bit| ranks.clone().fold(key, |key, rank| key << 1 | rank >> bit & 1))
}

#[cfg(test)]
mod tests;
