//! Conditions that may fail are asked only of rows that the conditions before them let through.
//!
//! `WHERE b <> 0 AND a / b > 1`: DataFusion evaluates both sides over a whole batch, and the division fails for a row that
//! the first condition excludes. PostgreSQL stops at the first condition that decides. So `p AND q` becomes
//! `p AND CASE WHEN p IS NOT FALSE THEN q END` where `q` may fail, and what cannot fail comes first in a filter.

use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{BinaryExpr, Case};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use datafusion::optimizer::OptimizerConfig;
use datafusion::optimizer::optimizer::ApplyOrder;

use crate::engine::functions::cast::CAST;
use crate::engine::functions::divide::DIVIDE;
use crate::engine::shim::rule::Rule;

/// The rule. It belongs behind all others: filters have met there that were written apart.
pub(super) const GUARD_CONDITIONS: Rule = Rule { name: "guard_conditions", order: ApplyOrder::BottomUp, rewrite };

fn rewrite(plan: LogicalPlan, _: &dyn OptimizerConfig) -> DataFusionResult<Transformed<LogicalPlan>> {
    let conditions = matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::Join(_) | LogicalPlan::TableScan(_));
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        if !conditions || !may_fail(&expr) {
            let name = names.save(&expr);
            return Ok(guarded(expr)?.update_data(|expr| name.restore(expr)));
        }
        let (safe, risky): (Vec<_>, Vec<_>) =
            split_conjunction_owned(expr).into_iter().partition(|part| !may_fail(part));
        match conjunction(safe.into_iter().chain(risky)) {
            Some(ordered) => guarded(ordered),
            None => Err(crate::error::Error::internal("a condition without parts").into()),
        }
    })
}

/// Guards every AND and OR within an expression.
fn guarded(expr: Expr) -> DataFusionResult<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) = expr else {
            return Ok(Transformed::no(expr));
        };
        if !may_fail(&right) {
            return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
        }
        let undecided = match op {
            Operator::And => left.clone().is_not_false(),
            _ => left.clone().is_not_true(),
        };
        let asked = Expr::Case(Case::new(None, vec![(Box::new(undecided), right)], None));
        Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right: Box::new(asked) })))
    })
}

/// True for what may end a statement with an error, for some values; a CASE is the writer's own guard.
fn may_fail(expr: &Expr) -> bool {
    let mut found = false;
    // The closure cannot fail.
    let _ = expr.apply(|part| {
        found |= match part {
            Expr::BinaryExpr(BinaryExpr { op: Operator::Divide | Operator::Modulo, right, .. }) => {
                !matches!(**right, Expr::Literal(..))
            }
            Expr::ScalarFunction(call) => match call.name() {
                DIVIDE => !matches!(call.args.get(1), Some(Expr::Literal(..))),
                CAST | "mod" | "div" | "sqrt" | "ln" | "log" | "log10" | "power" | "to_date" | "to_number"
                | "to_timestamp" => true,
                _ => false,
            },
            _ => false,
        };
        Ok(match part {
            Expr::Case(_) => TreeNodeRecursion::Jump,
            _ if found => TreeNodeRecursion::Stop,
            _ => TreeNodeRecursion::Continue,
        })
    });
    found
}
