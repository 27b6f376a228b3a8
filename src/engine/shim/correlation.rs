//! Correlated scalar subqueries that DataFusion would leave alone: those whose condition is not an equality of columns.
//!
//! `(SELECT agg(x) FROM inner WHERE p(outer, inner))` becomes a left join on `p` and a group a row of the outer side:
//! each outer row has a number, the aggregates see only matched rows, and an outer row without a match keeps one group.
//! So the result is what PostgreSQL's definition says for any condition and any aggregate, NULLs and counts included.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result as DataFusionResult};
use datafusion::functions_window::row_number::row_number;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Aggregate, Expr, JoinType, LogicalPlan, LogicalPlanBuilder, Subquery, lit};
use datafusion::optimizer::OptimizerConfig;
use datafusion::optimizer::decorrelate::PullUpCorrelatedExpr;
use datafusion::optimizer::optimizer::ApplyOrder;

use crate::engine::shim::rule::Rule;

/// The rule. It belongs before DataFusion's own, while conditions stand where they were written; what those can do
/// (they are cheaper where they apply) it leaves to them.
pub(super) const JOIN_CORRELATED_AGGREGATES: Rule =
    Rule { name: "join_correlated_aggregates", order: ApplyOrder::TopDown, rewrite };

fn rewrite(plan: LogicalPlan, config: &dyn OptimizerConfig) -> DataFusionResult<Transformed<LogicalPlan>> {
    match &plan {
        LogicalPlan::Projection(projection) => {
            let found = correlated(&projection.expr);
            let Some((input, values)) = join_all(projection.input.as_ref(), found, config)? else {
                return Ok(Transformed::no(plan));
            };
            let items = projection.expr.iter().zip(projection.schema.iter()).map(|(expr, (qualifier, field))| {
                let expr = replace(expr.clone().unalias(), &values)?;
                Ok(expr.alias_qualified(qualifier.cloned(), field.name()))
            });
            let items = items.collect::<DataFusionResult<Vec<_>>>()?;
            Ok(Transformed::yes(LogicalPlanBuilder::from(input).project(items)?.build()?))
        }
        LogicalPlan::Filter(filter) => {
            let found = correlated(std::slice::from_ref(&filter.predicate));
            let Some((input, values)) = join_all(filter.input.as_ref(), found, config)? else {
                return Ok(Transformed::no(plan));
            };
            let kept = columns(filter.input.schema());
            let filtered = LogicalPlanBuilder::from(input).filter(replace(filter.predicate.clone(), &values)?)?;
            Ok(Transformed::yes(filtered.project(kept)?.build()?))
        }
        _ => Ok(Transformed::no(plan)),
    }
}

/// The correlated scalar subqueries in some expressions.
fn correlated(exprs: &[Expr]) -> Vec<Subquery> {
    let mut found: Vec<Subquery> = Vec::new();
    for expr in exprs {
        // The closure cannot fail.
        let _ = expr.apply(|expr| {
            if let Expr::ScalarSubquery(subquery) = expr
                && !subquery.outer_ref_columns.is_empty()
                && !found.contains(subquery)
            {
                found.push(subquery.clone());
            }
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        });
    }
    found
}

/// The columns of a plan, as expressions.
fn columns(schema: &DFSchema) -> Vec<Expr> {
    schema.columns().into_iter().map(Expr::Column).collect()
}

/// Puts the value's column where the subquery was.
fn replace(expr: Expr, values: &[(Subquery, Expr)]) -> DataFusionResult<Expr> {
    let replaced = expr.transform(|expr| {
        let Expr::ScalarSubquery(subquery) = &expr else { return Ok(Transformed::no(expr)) };
        match values.iter().find(|(known, _)| known == subquery) {
            Some((_, value)) => Ok(Transformed::yes(value.clone())),
            None => Ok(Transformed::no(expr)),
        }
    })?;
    Ok(replaced.data)
}

type Joined = (LogicalPlan, Vec<(Subquery, Expr)>);

/// Joins every subquery that can be; `None` when there is none.
fn join_all(
    input: &LogicalPlan,
    found: Vec<Subquery>,
    config: &dyn OptimizerConfig,
) -> DataFusionResult<Option<Joined>> {
    let mut plan = input.clone();
    let mut values = Vec::new();
    for subquery in found {
        let prefix = config.alias_generator().next("__correlated");
        if let Some((joined, value)) = join(&plan, &subquery, &prefix)? {
            plan = joined;
            values.push((subquery, value));
        }
    }
    Ok((!values.is_empty()).then_some((plan, values)))
}

/// The item and the aggregate of `SELECT item FROM (aggregate without GROUP BY)`.
fn aggregate_of(plan: &LogicalPlan) -> Option<(Vec<Expr>, &Aggregate)> {
    match plan {
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
            Some((columns(&aggregate.schema), aggregate))
        }
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
                Some((projection.expr.clone(), aggregate))
            }
            _ => None,
        },
        LogicalPlan::SubqueryAlias(alias) => aggregate_of(&alias.input),
        _ => None,
    }
}

/// Columns under new names that occur nowhere else.
struct Renamed {
    plan: LogicalPlan,
    from: Vec<Column>,
    to: Vec<Column>,
}

impl Renamed {
    fn new(builder: LogicalPlanBuilder, prefix: &str, extra: Option<Expr>) -> DataFusionResult<Self> {
        let from = builder.schema().columns();
        let name = |at: usize| format!("{prefix}_{at}");
        let items = from.iter().enumerate().map(|(at, column)| Expr::Column(column.clone()).alias(name(at)));
        let plan = builder.project(items.chain(extra).collect::<Vec<_>>())?.build()?;
        let to = (0..from.len()).map(|at| Column::new_unqualified(name(at))).collect();
        Ok(Self { plan, from, to })
    }

    fn renamed(&self, column: &Column) -> Option<Column> {
        let at = self.from.iter().position(|known| known == column)?;
        Some(self.to[at].clone())
    }

    fn rename(&self, expr: Expr) -> DataFusionResult<Expr> {
        let renamed = expr.transform(|expr| match &expr {
            Expr::Column(column) => Ok(match self.renamed(column) {
                Some(column) => Transformed::yes(Expr::Column(column)),
                None => Transformed::no(expr),
            }),
            _ => Ok(Transformed::no(expr)),
        })?;
        Ok(renamed.data)
    }
}

/// The outer plan with one more column, the value of the subquery; `None` where the subquery has another form.
fn join(outer: &LogicalPlan, subquery: &Subquery, prefix: &str) -> DataFusionResult<Option<(LogicalPlan, Expr)>> {
    let Some((items, aggregate)) = aggregate_of(&subquery.subquery) else { return Ok(None) };
    let [item] = items.as_slice() else { return Ok(None) };
    if is_left_to_datafusion(&subquery.subquery)? {
        return Ok(None);
    }
    let numbered = LogicalPlanBuilder::from(outer.clone()).window(vec![row_number()])?;
    let left = Renamed::new(numbered, &format!("{prefix}_outer"), None)?;

    let inner = renamed_outer_references(aggregate.input.as_ref().clone(), &left)?;
    let mut pull_up = PullUpCorrelatedExpr::new();
    let inner = inner.rewrite(&mut pull_up)?.data;
    if !pull_up.can_pull_up || inner.contains_outer_reference() {
        return Ok(None);
    }
    let matched = format!("{prefix}_matched");
    let right =
        Renamed::new(LogicalPlanBuilder::from(inner), &format!("{prefix}_inner"), Some(lit(true).alias(&matched)))?;
    let known = |column: &&Column| right.from.contains(column) || left.to.contains(column);
    if !pull_up.join_filters.iter().all(|filter| filter.column_refs().iter().all(known)) {
        return Ok(None);
    }
    let filters =
        pull_up.join_filters.into_iter().map(|filter| right.rename(filter)).collect::<DataFusionResult<Vec<_>>>()?;
    let condition = conjunction(filters).unwrap_or_else(|| lit(true));
    let joined =
        LogicalPlanBuilder::from(left.plan.clone()).join_on(right.plan.clone(), JoinType::Left, Some(condition))?;

    let is_match = Expr::Column(Column::new_unqualified(matched)).is_true();
    let mut aggregates = Vec::new();
    for (at, expr) in aggregate.aggr_expr.iter().enumerate() {
        let Some(filtered) = over_matches(right.rename(expr.clone().unalias())?, &is_match) else { return Ok(None) };
        aggregates.push(filtered.alias(format!("{prefix}_aggregate_{at}")));
    }
    let keys: Vec<Expr> = left.to.iter().cloned().map(Expr::Column).collect();
    let grouped = joined.aggregate(keys, aggregates)?;
    let results = Renamed {
        plan: grouped.plan().clone(),
        from: aggregate.schema.columns(),
        to: (0..aggregate.aggr_expr.len())
            .map(|at| Column::new_unqualified(format!("{prefix}_aggregate_{at}")))
            .collect(),
    };
    let value = format!("{prefix}_value");
    // The last column of the left side is the row's number: it has done its work.
    let kept = left.from.iter().zip(&left.to).take(left.from.len() - 1);
    let restored = kept.map(|(from, to)| Expr::Column(to.clone()).alias_qualified(from.relation.clone(), &from.name));
    let item = results.rename(item.clone().unalias())?.alias(&value);
    let plan = grouped.project(restored.chain([item]).collect::<Vec<_>>())?.build()?;
    Ok(Some((plan, Expr::Column(Column::new_unqualified(value)))))
}

/// True when DataFusion's own rule turns the subquery into a join.
fn is_left_to_datafusion(subquery: &LogicalPlan) -> DataFusionResult<bool> {
    let mut pull_up = PullUpCorrelatedExpr::new().with_need_handle_count_bug(true);
    let pulled = subquery.clone().rewrite(&mut pull_up)?.data;
    Ok(pull_up.can_pull_up && !pulled.contains_outer_reference())
}

/// The aggregate over matched rows only.
fn over_matches(expr: Expr, is_match: &Expr) -> Option<Expr> {
    let Expr::AggregateFunction(AggregateFunction { func, mut params }) = expr else { return None };
    let filter = match params.filter.take() {
        Some(filter) => filter.and(is_match.clone()),
        None => is_match.clone(),
    };
    params.filter = Some(Box::new(filter));
    Some(Expr::AggregateFunction(AggregateFunction { func, params }))
}

/// Outer references under the names that the outer columns have got; those of a level further out stay.
fn renamed_outer_references(plan: LogicalPlan, left: &Renamed) -> DataFusionResult<LogicalPlan> {
    let renamed = plan.transform_down_with_subqueries(|plan| {
        plan.map_expressions(|expr| {
            expr.transform(|expr| match &expr {
                Expr::OuterReferenceColumn(field, column) => Ok(match left.renamed(column) {
                    Some(column) => Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column)),
                    None => Transformed::no(expr),
                }),
                _ => Ok(Transformed::no(expr)),
            })
        })
    })?;
    Ok(renamed.data)
}
