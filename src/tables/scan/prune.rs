//! Which files a query needs: partition values decide exactly, statistics conservatively.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

use super::columns::Columns;
use super::index::{ColumnIndex, FileIndex};

/// What the scan does with a filter. It must answer the same at planning and at pruning: an exact filter is not applied again.
pub(super) fn support(columns: &Columns, filter: &Expr) -> TableProviderFilterPushDown {
    if filter.is_volatile() || has_foreign_parts(filter) {
        TableProviderFilterPushDown::Unsupported
    } else if expr_applicable_for_cols(&columns.constant_names(), filter) {
        TableProviderFilterPushDown::Exact
    } else {
        TableProviderFilterPushDown::Inexact
    }
}

/// True where planning alone cannot evaluate the filter: it asks another query or a row outside.
fn has_foreign_parts(filter: &Expr) -> bool {
    let mut found = false;
    let visited = filter.apply(|part| {
        found |= matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarVariable(..)
                | Expr::Placeholder(_)
        );
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || visited.is_err()
}

/// The files that may hold a row for which all filters are true, by their place in the list. `None`: all of them.
pub(super) fn prune(
    state: &dyn Session,
    columns: &Columns,
    index: &FileIndex,
    filters: &[Expr],
) -> Result<Option<Vec<u32>>> {
    let of_kind = |wanted: TableProviderFilterPushDown| {
        conjunction(filters.iter().filter(|filter| support(columns, filter) == wanted).cloned())
    };
    let mut keep: Option<Vec<bool>> = None;
    let mut also = |mask: Vec<bool>| match &mut keep {
        Some(keep) => keep.iter_mut().zip(mask).for_each(|(keep, also)| *keep &= also),
        None => keep = Some(mask),
    };
    if let Some(filter) = of_kind(TableProviderFilterPushDown::Exact) {
        also(by_constants(state, columns, index, &filter)?);
    }
    if let Some(filter) = of_kind(TableProviderFilterPushDown::Inexact)
        && let Some(mask) = by_statistics(state, columns, index, filter)?
    {
        also(mask);
    }
    let selected =
        |keep: Vec<bool>| (0_u32..).zip(keep).filter_map(|(at, keep)| keep.then_some(at)).collect::<Vec<u32>>();
    Ok(keep.map(selected).filter(|selected| selected.len() < index.files().len()))
}

/// Evaluates a filter over columns that are one value a file.
fn by_constants(state: &dyn Session, columns: &Columns, index: &FileIndex, filter: &Expr) -> Result<Vec<bool>> {
    let used = filter.column_refs();
    let names: HashSet<&str> = used.iter().map(|column| column.name.as_str()).collect();
    let places: Vec<usize> = (0..columns.schema.fields().len())
        .filter(|at| names.contains(columns.schema.field(*at).name().as_str()))
        .collect();
    let schema = Arc::new(columns.schema.project(&places)?);
    let arrays: Vec<ArrayRef> = places.iter().map(|at| columns.constants(index, *at)).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(index.files().len()));
    // A partition column may be declared NOT NULL and yet be NULL in a file of another writer.
    let nullable = Arc::new(all_nullable(&schema));
    let batch = RecordBatch::try_new_with_options(nullable, arrays, &options)?;
    let expression = state.create_physical_expr(filter.clone(), &DFSchema::try_from(schema)?)?;
    let verdict = expression.evaluate(&batch)?.into_array(batch.num_rows())?;
    let verdict = verdict.as_boolean();
    // A value that cannot be read rules nothing out; the scan will say what is wrong.
    let unknown: Vec<_> =
        places.iter().filter_map(|at| columns.index(index, *at).transpose()).collect::<Result<_>>()?;
    let keep =
        |at: usize| verdict.is_valid(at) && verdict.value(at) || unknown.iter().any(|column| column.is_unreadable(at));
    Ok((0..verdict.len()).map(keep).collect())
}

fn all_nullable(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Schema::new(fields.collect::<Vec<Field>>())
}

/// Asks minima, maxima and counts of nulls. `None` where they cannot decide.
fn by_statistics(state: &dyn Session, columns: &Columns, index: &FileIndex, filter: Expr) -> Result<Option<Vec<bool>>> {
    let schema = DFSchema::try_from(Arc::clone(&columns.schema))?;
    let predicate = state.create_physical_expr(filter, &schema)?;
    let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&columns.schema));
    match builder.build(predicate) {
        Some(predicate) => predicate.prune(&FileStatistics { columns, index }).map(Some),
        None => Ok(None),
    }
}

/// The files as DataFusion's pruning sees them.
struct FileStatistics<'a> {
    columns: &'a Columns,
    index: &'a FileIndex,
}

impl FileStatistics<'_> {
    fn column(&self, column: &Column) -> Option<Arc<ColumnIndex>> {
        let at = self.columns.schema.index_of(column.name()).ok()?;
        // A column whose statistics cannot be had prunes nothing; reading its values will say what is wrong.
        self.columns.index(self.index, at).ok().flatten()
    }
}

impl PruningStatistics for FileStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column).map(|column| Arc::clone(&column.min))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column).map(|column| Arc::clone(&column.max))
    }

    fn num_containers(&self) -> usize {
        self.index.files().len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column).map(|column| Arc::new(column.nulls.clone()) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::clone(self.index.row_counts()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
