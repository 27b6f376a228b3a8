//! Rows along a curve through several columns, so that each file covers a narrow range of every one of them.
//!
//! CLUSTER BY goes along Hilbert's curve, ZORDER BY along Morton's, both over the columns' ranks. A value's rank is its place
//! among values sampled evenly from the files: columns of any type and distribution weigh alike.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::DataType;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::common::DataFusionError;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, SortExpr, Volatility, create_udf, ident,
};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::catalog::definition::RelationDef;
use crate::engine::{Engine, Scope};
use crate::error::Result;
use crate::tables::{FileEntry, FileWriter, LakeScan};

/// The tag of a file whose rows lie along a curve: the curve and its columns.
const CURVE_TAG: &str = "headwater.curve";
/// Values of a column that its ranks are told by.
const SAMPLES: usize = 1 << 14;
/// Bits of a rank; fewer where there are many columns.
const RANK_BITS: usize = 16;

/// A way through the space of several columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Shape {
    /// Neighbours on the curve are neighbours in space.
    Hilbert,
    /// The ranks with their bits interleaved, the highest first.
    Morton,
}

/// A curve through columns of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Curve {
    pub shape: Shape,
    pub columns: Vec<String>,
}

impl Curve {
    /// The curve that a table's rows lie along: one through all columns of CLUSTER BY, if there are several.
    pub(in crate::engine) fn of_table(relation: &RelationDef) -> Option<Self> {
        let columns = &relation.table().filter(|table| table.clustered_by.len() > 1)?.clustered_by;
        Some(Self { shape: Shape::Hilbert, columns: columns.clone() })
    }

    /// True for a file whose rows lie along this curve.
    pub(in crate::engine) fn holds(&self, file: &FileEntry) -> bool {
        file.tags.get(CURVE_TAG) == Some(&self.tag())
    }

    fn tag(&self) -> String {
        format!("{:?}({})", self.shape, self.columns.join(",")).to_lowercase()
    }
}

impl Engine {
    /// Writes the rows of `files`, which belong to one partition, to new files along the curve. Those of `files` stay.
    pub(in crate::engine) async fn store_along(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        writer: &FileWriter,
        files: &[Arc<FileEntry>],
        curve: &Curve,
        cancel: &CancellationToken,
    ) -> Result<Vec<FileEntry>> {
        let scan = LakeScan::new(Arc::clone(writer.snapshot())).with_files(files.to_vec());
        let scan = LogicalPlanBuilder::scan("rows", provider_as_source(Arc::new(scan)), None)?.build()?;
        let rows = files.iter().filter_map(|file| file.live_rows()).sum();
        let key = self.curve_key(scope, &scan, curve, rows, cancel).await?;
        let sorted = LogicalPlanBuilder::from(scan).sort(vec![key])?.build()?;
        let stream = self.run_plan(scope, &sorted, cancel).await?;
        let mut options = self.write_options(relation);
        options.tags.insert(CURVE_TAG.to_owned(), curve.tag());
        writer.write(stream, &options).await
    }

    /// What to sort the rows of `scan` by. Reads the columns once; `rows` is about how many there are.
    async fn curve_key(
        &self,
        scope: &Scope,
        scan: &LogicalPlan,
        curve: &Curve,
        rows: u64,
        cancel: &CancellationToken,
    ) -> Result<SortExpr> {
        let named: Vec<Expr> = curve.columns.iter().map(ident).collect();
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
        let shape = curve.shape;
        let key = move |values: &[ColumnarValue]| Ok(ColumnarValue::Array(Arc::new(keys(shape, &ranks, values)?)));
        let key = create_udf("curve_key", types, DataType::UInt64, Volatility::Immutable, Arc::new(key));
        Ok(key.call(named).sort(true, true))
    }
}

/// The ranks of one column.
struct Ranks {
    data_type: DataType,
    sampled: Vec<OwnedRow>,
}

impl Ranks {
    /// The values in a form that compares as they are sorted.
    fn rows(&self, column: &ArrayRef) -> Result<Rows> {
        let converter = RowConverter::new(vec![SortField::new(self.data_type.clone())])?;
        Ok(converter.convert_columns(&[Arc::clone(column)])?)
    }

    /// Takes every `step`th value, from `first` on.
    fn sample(&mut self, column: &ArrayRef, first: usize, step: usize) -> Result<()> {
        let rows = self.rows(column)?;
        self.sampled.extend((first..column.len()).step_by(step).map(|at| rows.row(at).owned()));
        Ok(())
    }

    /// The rank of each value, in `bits` bits.
    fn of(&self, column: &ArrayRef, bits: usize) -> Result<Vec<u64>> {
        let rows = self.rows(column)?;
        let count = self.sampled.len().max(1) as u64;
        let rank = |row: arrow::row::Row<'_>| self.sampled.partition_point(|sampled| sampled.row() < row) as u64;
        Ok(rows.iter().map(|row| (rank(row) << bits) / (count + 1)).collect())
    }
}

/// Where each row lies on the curve.
fn keys(shape: Shape, ranks: &[Ranks], values: &[ColumnarValue]) -> Result<UInt64Array, DataFusionError> {
    let bits = RANK_BITS.min(64 / ranks.len());
    let columns = ColumnarValue::values_to_arrays(values)?;
    let ranked = ranks.iter().zip(&columns).map(|(ranks, column)| ranks.of(column, bits));
    let ranked = ranked.collect::<Result<Vec<_>>>()?;
    let rows = ranked.first().map_or(0, Vec::len);
    let mut point = vec![0; ranked.len()];
    Ok((0..rows)
        .map(|row| {
            point.iter_mut().zip(&ranked).for_each(|(axis, ranks)| *axis = ranks[row]);
            match shape {
                Shape::Hilbert => hilbert(&mut point, bits),
                Shape::Morton => morton(&point, bits),
            }
        })
        .collect())
}

/// The bits of all axes interleaved, the highest first.
fn morton(point: &[u64], bits: usize) -> u64 {
    (0..bits).rev().fold(0, |key, bit| point.iter().fold(key, |key, axis| key << 1 | axis >> bit & 1))
}

/// The place on Hilbert's curve (John Skilling, "Programming the Hilbert curve", 2004).
fn hilbert(point: &mut [u64], bits: usize) -> u64 {
    let levels = || (1..bits).rev().map(|bit| 1_u64 << bit);
    for level in levels() {
        for axis in 0..point.len() {
            let swapped = match point[axis] & level {
                0 => (point[0] ^ point[axis]) & (level - 1),
                _ => {
                    point[0] ^= level - 1;
                    0
                }
            };
            point[0] ^= swapped;
            point[axis] ^= swapped;
        }
    }
    for axis in 1..point.len() {
        point[axis] ^= point[axis - 1];
    }
    let last = point.last().copied().unwrap_or_default();
    let flipped = levels().filter(|level| last & level != 0).fold(0, |flipped, level| flipped ^ (level - 1));
    point.iter_mut().for_each(|axis| *axis ^= flipped);
    morton(point, bits)
}

#[cfg(test)]
mod tests;
