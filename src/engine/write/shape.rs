//! Rows that come as arrays, into what a table stores: defaults, generated columns, checks.
//!
//! No plan is made or run, so a batch of few rows costs little. Where a rule is broken, the rows that break it are found by
//! halving the batch: the rules themselves are those of every other write ([`RowChecks`]).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, concat_batches, kernels::zip::zip};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::physical_plan::PhysicalExpr;

use crate::catalog::definition::{ColumnDef, RelationDef};
use crate::engine::assign::assigned;
use crate::engine::values::compiled;
use crate::engine::write::checks::{RowChecks, nullable};
use crate::engine::write::column_expression;
use crate::engine::{Engine, Scope};
use crate::error::{Error, Result};

/// The values of one column.
pub struct Given {
    /// As the column stores them, or of a type that Arrow casts to it without a change of meaning.
    pub values: ArrayRef,
    /// True for rows without a value of their own: they take the default.
    pub missing: Option<BooleanArray>,
}

/// Rows as a table stores them.
pub struct Shaped {
    pub rows: RecordBatch,
    /// The rows, by their numbers, that break a rule; they are not among `rows`.
    pub broken: Vec<(usize, Error)>,
}

impl Engine {
    /// Brings `count` rows into the shape of a table. `given` holds values by column; what is not given takes its default,
    /// generated columns are computed. The error is for what is wrong with all rows.
    pub fn shape(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        mut given: HashMap<usize, Given>,
        count: usize,
    ) -> Result<Shaped> {
        let schema = Arc::new(nullable(&relation.arrow_schema()));
        let mut columns = Vec::with_capacity(relation.columns.len());
        for (position, column) in relation.columns.iter().enumerate() {
            columns.push(self.values(scope, column, given.remove(&position), count)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let filled = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?;
        let rules =
            Rules { checks: RowChecks::new(scope, relation)?, generated: generated(scope, relation, &schema)?, schema };
        let (mut good, mut broken) = (Vec::new(), Vec::new());
        rules.sift(&filled, 0, &mut good, &mut broken)?;
        let rows = match <[RecordBatch; 1]>::try_from(good) {
            Ok([all]) => all,
            Err(parts) => concat_batches(&relation.arrow_schema(), &parts)?,
        };
        Ok(Shaped { rows, broken })
    }

    fn values(&self, scope: &Scope, column: &ColumnDef, given: Option<Given>, count: usize) -> Result<ArrayRef> {
        let stored = column.pg_type.arrow();
        let default = || match &column.default {
            Some(_) if column.generated.is_none() => {
                let value = compiled(scope, self.default_value(scope, column)?, &DFSchema::empty())?;
                let options = RecordBatchOptions::new().with_row_count(Some(count));
                let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
                Ok(cast(&value.evaluate(&rows)?.into_array(count)?, &stored)?)
            }
            _ => Ok::<_, Error>(new_null_array(&stored, count)),
        };
        match given {
            None => default(),
            Some(Given { values, missing: None }) => Ok(values),
            Some(Given { values, missing: Some(missing) }) => Ok(zip(&missing, &default()?, &cast(&values, &stored)?)?),
        }
    }
}

/// The generated columns, compiled, by their positions.
fn generated(scope: &Scope, relation: &RelationDef, schema: &Schema) -> Result<Vec<(usize, Arc<dyn PhysicalExpr>)>> {
    let named = DFSchema::try_from(schema.clone())?;
    let texts =
        relation.columns.iter().enumerate().filter_map(|(at, column)| Some((at, column, column.generated.as_ref()?)));
    texts
        .map(|(at, column, text)| {
            let value = assigned(scope, column_expression(scope, text, &named)?, column, &named)?;
            Ok((at, compiled(scope, value, &named)?))
        })
        .collect()
}

/// What every row of a table must pass.
struct Rules {
    schema: SchemaRef,
    generated: Vec<(usize, Arc<dyn PhysicalExpr>)>,
    checks: RowChecks,
}

impl Rules {
    fn apply(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        if self.generated.is_empty() {
            return self.checks.apply(rows.clone());
        }
        let mut columns = rows.columns().to_vec();
        for (at, value) in &self.generated {
            let computed = value.evaluate(rows)?.into_array(rows.num_rows())?;
            columns[*at] = cast(&computed, self.schema.field(*at).data_type())?;
        }
        self.checks.apply(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Sorts rows, the first of which has the number `first`, into those that pass and those that do not.
    fn sift(
        &self,
        rows: &RecordBatch,
        first: usize,
        good: &mut Vec<RecordBatch>,
        broken: &mut Vec<(usize, Error)>,
    ) -> Result<()> {
        match (self.apply(rows), rows.num_rows()) {
            (Ok(passed), _) => good.push(passed),
            (Err(error), _) if !is_of_row(&error) => return Err(error),
            (Err(error), 0 | 1) => broken.push((first, error)),
            (Err(_), count) => {
                let half = count / 2;
                self.sift(&rows.slice(0, half), first, good, broken)?;
                self.sift(&rows.slice(half, count - half), first + half, good, broken)?;
            }
        }
        Ok(())
    }
}

/// True for what a row's values are to blame for: data exceptions and broken constraints.
fn is_of_row(error: &Error) -> bool {
    matches!(&error.sqlstate()[..2], "22" | "23")
}
