//! A date compared with a timestamp is compared with a date, so that the condition reaches the files' statistics.
//!
//! `d < DATE '1998-12-01' - INTERVAL '90 days'` has a timestamp on its right, and DataFusion casts the column to meet it.
//! Once the right side is a constant, the day it lies in decides as well.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, lit};
use datafusion::optimizer::OptimizerConfig;
use datafusion::optimizer::optimizer::ApplyOrder;

use crate::engine::shim::rule::Rule;

/// The rule. It belongs behind the simplifier, which makes the constants.
pub(super) const COMPARE_DATES: Rule = Rule { name: "compare_dates", order: ApplyOrder::BottomUp, rewrite };

fn rewrite(plan: LogicalPlan, _: &dyn OptimizerConfig) -> DataFusionResult<Transformed<LogicalPlan>> {
    if !matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::Join(_)) {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    plan.map_expressions(|expr| {
        expr.transform_up(|expr| match compared(&expr, &schema) {
            Some(compared) => Ok(Transformed::yes(compared)),
            None => Ok(Transformed::no(expr)),
        })
    })
}

/// `CAST(date AS timestamp) op constant` as `date op constant`, from either side.
fn compared(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let (cast, op, literal) = match (left.as_ref(), right.as_ref()) {
        (Expr::Cast(cast), Expr::Literal(literal, _)) => (cast, *op, literal),
        (Expr::Literal(literal, _), Expr::Cast(cast)) => (cast, op.swap()?, literal),
        _ => return None,
    };
    if cast.expr.get_type(schema).ok()? != DataType::Date32 {
        return None;
    }
    let (day, is_midnight) = day_of(literal)?;
    let op = match (op, is_midnight) {
        (Operator::Eq | Operator::NotEq | Operator::Lt | Operator::GtEq, true) => op,
        (Operator::Lt | Operator::LtEq, _) => Operator::LtEq,
        (Operator::Gt | Operator::GtEq, _) => Operator::Gt,
        _ => return None,
    };
    Some(binary_expr(cast.expr.as_ref().clone(), op, lit(ScalarValue::Date32(Some(day)))))
}

/// The day of a timestamp without time zone, and whether the day begins there.
fn day_of(literal: &ScalarValue) -> Option<(i32, bool)> {
    const DAY_SECONDS: i64 = 86_400;
    let (ticks, day_ticks) = match literal {
        ScalarValue::TimestampSecond(Some(ticks), None) => (*ticks, DAY_SECONDS),
        ScalarValue::TimestampMillisecond(Some(ticks), None) => (*ticks, DAY_SECONDS * 1000),
        ScalarValue::TimestampMicrosecond(Some(ticks), None) => (*ticks, DAY_SECONDS * 1_000_000),
        ScalarValue::TimestampNanosecond(Some(ticks), None) => (*ticks, DAY_SECONDS * 1_000_000_000),
        _ => return None,
    };
    Some((i32::try_from(ticks.div_euclid(day_ticks)).ok()?, ticks.rem_euclid(day_ticks) == 0))
}
