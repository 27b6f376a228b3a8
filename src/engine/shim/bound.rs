//! The types of arguments, bound to the functions that ask for them.
//!
//! A scan puts a value of DataFusion's in the place of a column that is constant in a file, in its filters and in what is
//! computed within it. The value has no SQL type: a varchar, char, uuid or json would be text to the function that runs.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::OptimizerConfig;
use datafusion::optimizer::optimizer::ApplyOrder;

use crate::engine::functions;
use crate::engine::shim::rule::Rule;

pub(super) const BIND_TYPES: Rule = Rule { name: "bind_types", order: ApplyOrder::BottomUp, rewrite };

fn rewrite(plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
    let mut has_calls = false;
    plan.apply_expressions(|expr| {
        has_calls = has_calls || expr.exists(|part| Ok(matches!(part, Expr::ScalarFunction(_))))?;
        Ok(if has_calls { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !has_calls {
        return Ok(Transformed::no(plan));
    }
    let schema = match &plan {
        LogicalPlan::TableScan(scan) => {
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?
        }
        plan => merge_schema(&plan.inputs()),
    };
    plan.map_expressions(|expr| expr.transform_up(|part| Ok(bind(part, &schema))))
}

fn bind(part: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::ScalarFunction(mut call) = part else { return Transformed::no(part) };
    let field = |argument: &Expr| argument.to_field(schema).map(|(_, field)| field);
    let fields = call.args.iter().map(field).collect::<Result<Vec<_>>>();
    match fields.ok().and_then(|fields| functions::bound(&call.func, &fields)) {
        Some(bound) => {
            call.func = bound;
            Transformed::yes(Expr::ScalarFunction(call))
        }
        None => Transformed::no(Expr::ScalarFunction(call)),
    }
}
