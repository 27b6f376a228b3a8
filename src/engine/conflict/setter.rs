//! SET and WHERE of DO UPDATE, compiled: computed of pairs of a proposed row and the present one without a plan.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::sql::sqlparser::ast;

use crate::engine::conflict::EXCLUDED;
use crate::engine::delete::own_columns;
use crate::engine::insert::types_of;
use crate::engine::overlay::Overlay;
use crate::engine::plan::Planner;
use crate::engine::target::Target;
use crate::engine::update::{assignments, has_subquery};
use crate::engine::values::{compiled, is_lasting};
use crate::engine::write::Rules;
use crate::engine::{Engine, Scope};
use crate::error::{Error, Result};

/// What becomes of present rows.
pub(in crate::engine) struct Setter {
    /// The columns of a pair: those of the proposed row, then those of the present one.
    pairs: SchemaRef,
    condition: Option<Arc<dyn PhysicalExpr>>,
    /// The new values of the table's columns.
    values: Vec<Arc<dyn PhysicalExpr>>,
    /// True where it is the same for every session, and whatever the parameters are.
    pub is_lasting: bool,
}

impl Engine {
    /// The clauses, compiled; `None` where it takes a plan to compute them, or to say what is wrong with them.
    pub(in crate::engine) fn setter(
        &self,
        scope: &Scope,
        target: &Target,
        update: &ast::DoUpdate,
        parameters: &[ScalarValue],
    ) -> Option<Setter> {
        let overlay = Overlay::default();
        let planner = Planner::new(scope, &overlay);
        let (own, types) = (target.relation.arrow_schema(), types_of(parameters));
        let side = |name: &str| DFSchema::try_from_qualified_schema(TableReference::bare(name), &own);
        let schema = side(EXCLUDED).ok()?.join(&side(&target.alias).ok()?).ok()?;
        let mut is_lasting = true;
        let mut compile = |expr: Expr| {
            let has_parameters = expr.exists(|part| Ok(matches!(part, Expr::Placeholder(_)))).ok()?;
            is_lasting &= !has_parameters && self::is_lasting(&expr, &schema).ok()?;
            let expr = bound(expr, parameters).filter(|expr| !has_subquery(expr))?;
            compiled(scope, expr, &schema).ok()
        };
        let given = assignments(&planner, target, &update.assignments, &schema, &types).ok()?;
        let mut values = Vec::with_capacity(given.len());
        for ((column, own), new) in target.relation.columns.iter().zip(own_columns(target)).zip(given) {
            let value = self.filled(scope, column, &new.unwrap_or(own), &schema).ok()?;
            values.push(compile(value)?);
        }
        let condition = match &update.selection {
            None => None,
            Some(condition) => {
                let condition = planner.expression(condition.clone(), &schema, &types).ok()?;
                if condition.get_type(&schema).ok()? != DataType::Boolean {
                    return None;
                }
                Some(compile(condition)?)
            }
        };
        Some(Setter { pairs: Arc::clone(schema.inner()), condition, values, is_lasting })
    }
}

/// The expression with the values of its parameters.
fn bound(expr: Expr, parameters: &[ScalarValue]) -> Option<Expr> {
    let value = |id: &str| parameters.get(id.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)?).cloned();
    let mut is_whole = true;
    let bound = expr.transform_up(|part| match &part {
        Expr::Placeholder(placeholder) => match value(&placeholder.id) {
            Some(value) => Ok(Transformed::yes(Expr::Literal(value, None))),
            None => {
                is_whole = false;
                Ok(Transformed::no(part))
            }
        },
        _ => Ok(Transformed::no(part)),
    });
    bound.ok().map(|bound| bound.data).filter(|_| is_whole)
}

impl Setter {
    /// Of pairs, those that WHERE holds for: what becomes of the present rows, checked; and for which pairs it does.
    pub fn apply(
        &self,
        proposed: &RecordBatch,
        present: &RecordBatch,
        rules: &Rules,
    ) -> Result<(RecordBatch, BooleanArray)> {
        let columns = [proposed.columns(), present.columns()].concat();
        let mut pairs = RecordBatch::try_new(Arc::clone(&self.pairs), columns)?;
        let mut holds = BooleanArray::from(vec![true; pairs.num_rows()]);
        if let Some(condition) = &self.condition {
            let verdicts = condition.evaluate(&pairs)?.into_array(pairs.num_rows())?;
            holds = verdicts.as_boolean().iter().map(|verdict| Some(verdict == Some(true))).collect();
            pairs = filter_record_batch(&pairs, &holds)?;
        }
        let count = pairs.num_rows();
        if count == 0 {
            return Ok((present.slice(0, 0), holds));
        }
        let mut columns = Vec::with_capacity(self.values.len());
        for (value, old) in self.values.iter().zip(present.columns()) {
            let new = value.evaluate(&pairs)?.into_array(count)?;
            let exact = cast(&new, old.data_type())?;
            // What the type has no room for would become NULL here.
            if exact.null_count() > new.null_count() {
                return Err(Error::internal("a value needs a plan"));
            }
            columns.push(exact);
        }
        Ok((rules.apply(&rules.filled(columns, count)?)?, holds))
    }
}
