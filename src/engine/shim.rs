//! Rewrites of a query's AST, each keeping its meaning, for what DataFusion cannot plan or names otherwise.
//!
//! A query passes through in this order: names for unnamed items ([`names`], PostgreSQL's `FigureColname`), expressions
//! from the leaves up ([`expressions`], [`subqueries`]), table factors ([`relations`]), then duplicate output names
//! ([`outputs`]). What needs types is left to the planner hooks ([`type_planner`], [`operators`]) and to optimizer rules
//! ([`correlation`], [`dates`], [`guards`], [`bound`]).
//! Invariant: a name the shim makes up is a name PostgreSQL would show, plus a mark that [`shown_name`] takes off.

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::planner::TypePlanner;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::sql::sqlparser::ast::{Expr, Query, Select, TableFactor, VisitorMut};

use crate::catalog::Snapshot;
use crate::dialect::walk;
use crate::error::Result;

mod aggregates;
mod bound;
mod correlation;
mod dates;
mod expressions;
mod guards;
mod literals;
mod merged;
mod names;
pub(in crate::engine) mod operands;
pub mod operators;
mod order_by;
mod outputs;
mod own_expressions;
mod parameters;
mod relations;
mod rule;
mod set_operations;
mod spellings;
mod subqueries;
mod types;
mod unify;
mod windows;

#[cfg(test)]
mod tests;

pub(in crate::engine) use expressions::{call, fields_of, text};
pub use outputs::shown_name;
pub use parameters::written_types;
pub(in crate::engine) use types::pg_type;
pub use unify::{unified, unified_expression};

/// What the shim looks names up in.
#[derive(Clone, Copy)]
pub struct ShimContext<'a> {
    /// The definitions that the statement sees.
    pub catalog: &'a Snapshot,
    /// Where names without a schema are looked up.
    pub search_path: &'a [String],
}

/// Rewrites a query. Its columns then have internal names: [`shown_name`] gives those for clients.
pub fn rewrite_query(query: &mut Query, context: &ShimContext<'_>) -> Result<()> {
    let mut pass = Pass { context, outputs: outputs::Outputs::new(context) };
    match walk::change(query, &mut pass) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Rewrites an expression that stands alone: a default, a check, a SET clause.
pub fn rewrite_expression(expression: &mut Expr, context: &ShimContext<'_>) -> Result<()> {
    let mut pass = Pass { context, outputs: outputs::Outputs::new(context) };
    match walk::change(expression, &mut pass) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The planner of type names: all of PostgreSQL's spellings, with their metadata.
pub fn type_planner() -> Arc<dyn TypePlanner> {
    static PLANNER: LazyLock<Arc<dyn TypePlanner>> = LazyLock::new(|| Arc::new(types::Types));
    Arc::clone(&PLANNER)
}

/// DataFusion's rules with ours at their places.
pub fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let simplified = rules.iter().position(|rule| rule.name() == "simplify_expressions").map_or(0, |at| at + 1);
    rules.insert(simplified, Arc::new(dates::COMPARE_DATES));
    rules.insert(0, Arc::new(correlation::JOIN_CORRELATED_AGGREGATES));
    rules.push(Arc::new(guards::GUARD_CONDITIONS));
    // The last one: those before it make calls anew.
    rules.push(Arc::new(bound::BIND_TYPES));
    rules
}

/// One walk over a statement: names on the way down, everything else on the way up.
struct Pass<'a> {
    context: &'a ShimContext<'a>,
    outputs: outputs::Outputs<'a>,
}

fn flow(result: Result<()>) -> ControlFlow<crate::error::Error> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

impl VisitorMut for Pass<'_> {
    type Break = crate::error::Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        self.outputs.enter(query);
        order_by::qualify(query, &self.outputs);
        flow(spellings::rewrite_query(query))
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        literals::type_values(query);
        self.outputs.leave(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        subqueries::skip_what_never_runs(select, self.context);
        merged::write_out(select, &self.outputs);
        names::name_items(select);
        subqueries::rewrite_items(select);
        flow(windows::write_out(select))
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        literals::type_items(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        flow(relations::rewrite(factor))
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Self::Break> {
        expressions::float_literal(expression);
        expressions::negative_interval(expression);
        expressions::null_row(expression);
        subqueries::rewrite(expression, self.context);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Self::Break> {
        if let Err(error) = spellings::rewrite(expression) {
            return ControlFlow::Break(error);
        }
        literals::type_operands(expression);
        aggregates::rewrite(expression);
        flow(expressions::rewrite(expression))
    }
}
