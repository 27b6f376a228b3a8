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
use crate::catalog::name::Oid;
use crate::engine::assign::assigned;
use crate::engine::values::{compiled, is_lasting};
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
        let rules = Rules::new(scope, relation)?;
        let mut columns = Vec::with_capacity(relation.columns.len());
        for (position, column) in relation.columns.iter().enumerate() {
            columns.push(self.values(scope, column, given.remove(&position), count)?);
        }
        let filled = rules.filled(columns, count)?;
        let (mut good, mut broken) = (Vec::new(), Vec::new());
        rules.sift(&filled, 0, &mut good, &mut broken)?;
        let rows = match <[RecordBatch; 1]>::try_from(good) {
            Ok([all]) => all,
            Err(parts) => concat_batches(&relation.arrow_schema(), &parts)?,
        };
        Ok(Shaped { rows, broken })
    }

    fn values(&self, scope: &Scope, column: &ColumnDef, given: Option<Given>, count: usize) -> Result<ArrayRef> {
        match given {
            None => self.defaults(scope, column, count),
            Some(Given { values, missing: None }) => Ok(values),
            Some(Given { values, missing: Some(missing) }) => {
                let default = self.defaults(scope, column, count)?;
                Ok(zip(&missing, &default, &cast(&values, &column.pg_type.arrow())?)?)
            }
        }
    }

    /// What rows have in a column that they do not give.
    pub(in crate::engine) fn defaults(&self, scope: &Scope, column: &ColumnDef, count: usize) -> Result<ArrayRef> {
        let stored = column.pg_type.arrow();
        if column.default.is_none() || column.generated.is_some() {
            return Ok(new_null_array(&stored, count));
        }
        let value = compiled(scope, self.default_value(scope, column)?, &DFSchema::empty())?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
        Ok(cast(&value.evaluate(&rows)?.into_array(count)?, &stored)?)
    }

    /// The rules of a table. Those that are the same for every session are made once.
    pub(in crate::engine) fn rules(&self, scope: &Scope, relation: &Arc<RelationDef>) -> Result<Arc<Rules>> {
        let known = self.rules.lock().get(&relation.oid).filter(|(of, _)| Arc::ptr_eq(of, relation)).cloned();
        let lasting = match known {
            Some((_, lasting)) => lasting,
            None => {
                let lasting =
                    Rules::new(&self.background_scope(), relation).ok().filter(Rules::is_lasting).map(Arc::new);
                let mut known = self.rules.lock();
                if known.len() >= KNOWN_RULES_MAX {
                    known.clear();
                }
                known.insert(relation.oid, (Arc::clone(relation), lasting.clone()));
                lasting
            }
        };
        lasting.map_or_else(|| Rules::new(scope, relation).map(Arc::new), Ok)
    }
}

/// Tables whose rules are remembered.
const KNOWN_RULES_MAX: usize = 1000;

/// Rules by table, with the definition that they were made for; nothing where they have to be made for each statement.
pub(in crate::engine) type KnownRules = HashMap<Oid, (Arc<RelationDef>, Option<Arc<Rules>>)>;

/// What every row of a table must pass.
pub(in crate::engine) struct Rules {
    schema: SchemaRef,
    /// The generated columns, by their positions.
    generated: Vec<(usize, Arc<dyn PhysicalExpr>)>,
    /// True where these are the same for every session.
    has_lasting: bool,
    checks: RowChecks,
}

impl Rules {
    fn new(scope: &Scope, relation: &RelationDef) -> Result<Self> {
        let schema = Arc::new(nullable(&relation.arrow_schema()));
        let named = DFSchema::try_from(Arc::clone(&schema))?;
        let (mut generated, mut has_lasting) = (Vec::new(), true);
        for (at, column) in relation.columns.iter().enumerate() {
            if let Some(text) = &column.generated {
                let value = assigned(scope, column_expression(scope, text, &named)?, column, &named)?;
                has_lasting &= is_lasting(&value, &named)?;
                generated.push((at, compiled(scope, value, &named)?));
            }
        }
        Ok(Self { schema, generated, has_lasting, checks: RowChecks::new(scope, relation)? })
    }

    fn is_lasting(&self) -> bool {
        self.has_lasting && self.checks.is_lasting
    }

    /// Rows with all columns of the table, those that are generated with any values.
    pub(in crate::engine) fn filled(&self, columns: Vec<ArrayRef>, count: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// The rows with their generated columns, checked; the first rule that one breaks is the error.
    pub(in crate::engine) fn apply(&self, rows: &RecordBatch) -> Result<RecordBatch> {
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
