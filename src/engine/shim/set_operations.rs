//! `EXCEPT ALL` and `INTERSECT ALL` count copies: a row goes, or stays, as often as the other side has it.
//!
//! DataFusion joins the sides by their columns, and one copy on the right meets all on the left. With the copies of a row
//! numbered on both sides, one meets one.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, NullEquality, Result};
use datafusion::functions_window::row_number::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, Join, JoinType, LogicalPlan, LogicalPlanBuilder};

/// The number of a copy among equal rows.
const COPY: &str = "__copy";

/// The join that a set operation was planned as, with its copies numbered; other joins as they are.
pub(super) fn counted(join: Join) -> Result<Transformed<LogicalPlan>> {
    // A query itself cannot say that NULL equals NULL in a join. Without ALL the left side is distinct, and has one copy.
    let is_set_operation = matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_));
    if !is_set_operation {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let (mut left, mut right) = (join.left.schema().columns(), join.right.schema().columns());
    let shown: Vec<Expr> = left.iter().cloned().map(Expr::Column).collect();
    left.push(Column::from_name(COPY));
    right.push(Column::from_name(COPY));
    let joined = numbered(join.left)?.join_detailed(
        numbered(join.right)?.build()?,
        join.join_type,
        (left, right),
        None,
        NullEquality::NullEqualsNull,
    )?;
    Ok(Transformed::yes(joined.project(shown)?.build()?))
}

fn numbered(rows: Arc<LogicalPlan>) -> Result<LogicalPlanBuilder> {
    let columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    let copy = row_number().partition_by(columns).build()?.alias(COPY);
    LogicalPlanBuilder::new_from_arc(rows).window(vec![copy])
}
