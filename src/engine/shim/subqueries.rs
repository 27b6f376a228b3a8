//! Subqueries as values: a scalar subquery gives its one row or an error, `ARRAY(SELECT ...)` gives an array.
//!
//! DataFusion plans a correlated scalar subquery only when it aggregates. [`SINGLE_VALUE`] is an aggregate that gives the
//! one value, NULL for no row and error 21000 for a second one: what PostgreSQL says of any scalar subquery.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    GroupByExpr, Ident, JoinOperator, LambdaFunction, LambdaFunctionParameter, LambdaSyntax, LimitClause,
    OneOrManyWithParens, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, Statement, TableFactor,
    TableWithJoins, UnaryOperator, Value, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::catalog::name::ObjectName;
use crate::dialect::walk;
use crate::engine::facts::shapes;
use crate::engine::functions::SINGLE_VALUE;
use crate::engine::shim::expressions::{call, take};
use crate::engine::shim::{ShimContext, own_expressions, relations};

/// Gives an empty array for NULL: `array_agg` of no rows, where `ARRAY(...)` is empty.
const EMPTY_FOR_NULL: &str = "array_or_empty";

/// The functions that aggregate when they are not called with OVER.
const AGGREGATES: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "first_value",
    "grouping",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "last_value",
    "max",
    "median",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "regr_count",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
    SINGLE_VALUE,
];

/// Rewrites an expression that is a subquery; what is in it is visited afterwards.
pub(super) fn rewrite(expr: &mut Expr, context: &ShimContext<'_>) {
    match expr {
        Expr::Subquery(query) => {
            if let Some(plain) = value_without_from(query) {
                *expr = plain;
            } else {
                single_value(query);
            }
        }
        Expr::Function(Function { args: FunctionArguments::Subquery(query), name, .. })
            if name.to_string().eq_ignore_ascii_case("array") =>
        {
            if let Some(select) = plain_select(query) {
                skip_what_never_runs(select, context);
            }
            *expr = array_of(std::mem::replace(query, empty_query()));
        }
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } if matches!(**right, Expr::Subquery(_)) => {
            *expr = among(left, right, false);
        }
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } if matches!(**right, Expr::Subquery(_)) => {
            *expr = among(left, right, true);
        }
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => array_of_subquery(right),
        _ => {}
    }
}

fn empty_query() -> Box<Query> {
    Box::new(Query {
        with: None,
        body: Box::new(SetExpr::Values(datafusion::sql::sqlparser::ast::Values {
            explicit_row: false,
            value_keyword: false,
            rows: Vec::new(),
        })),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    })
}

/// The SELECT of a query, if it is one without clauses that stand outside of it.
fn plain_select(query: &mut Query) -> Option<&mut Select> {
    if query.with.is_some() || query.fetch.is_some() {
        return None;
    }
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

fn item(select: &mut Select) -> Option<&mut Expr> {
    match select.projection.as_mut_slice() {
        [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] => Some(expr),
        _ => None,
    }
}

/// True for a SELECT of one row of output a row of input: no grouping, no aggregate, no DISTINCT.
fn is_row_by_row(select: &Select) -> bool {
    let ungrouped = match &select.group_by {
        GroupByExpr::Expressions(keys, modifiers) => keys.is_empty() && modifiers.is_empty(),
        GroupByExpr::All(_) => false,
    };
    let aggregates = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => has_aggregate(expr),
        _ => false,
    });
    ungrouped && select.having.is_none() && select.distinct.is_none() && select.qualify.is_none() && !aggregates
}

/// `(SELECT expression)` is the expression.
fn value_without_from(query: &mut Query) -> Option<Expr> {
    if query.limit_clause.is_some() || query.order_by.is_some() {
        return None;
    }
    let select = plain_select(query)?;
    if !select.from.is_empty() || select.selection.is_some() || !is_row_by_row(select) {
        return None;
    }
    let expr = item(select)?;
    if is_set_returning(expr) {
        return None;
    }
    Some(Expr::Nested(Box::new(std::mem::replace(expr, Expr::value(Value::Null)))))
}

fn is_set_returning(expr: &Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let name = relations::function_name(&function.name);
    ["unnest", "generate_series", "generate_subscripts"].contains(&name.as_str())
}

/// Makes the item of a scalar subquery an aggregate.
fn single_value(query: &mut Query) {
    let first_of_order = match (&query.limit_clause, &query.order_by) {
        (None, _) => None,
        (Some(limit), order) if is_one(limit) => {
            let keys = match order.as_ref().map(|order| &order.kind) {
                Some(OrderByKind::Expressions(keys)) => keys.clone(),
                None => Vec::new(),
                Some(OrderByKind::All(_)) => return,
            };
            Some(keys)
        }
        _ => return,
    };
    let Some(select) = plain_select(query) else { return };
    if !is_row_by_row(select) {
        return;
    }
    let Some(expr) = item(select) else { return };
    if is_set_returning(expr) {
        return;
    }
    let value = std::mem::replace(expr, Expr::value(Value::Null));
    *expr = match &first_of_order {
        None => call(SINGLE_VALUE, vec![value]),
        Some(keys) => ordered_call("first_value", value, keys.clone()),
    };
    query.order_by = None;
    query.limit_clause = None;
}

fn is_one(limit: &LimitClause) -> bool {
    match limit {
        LimitClause::LimitOffset { limit: Some(Expr::Value(limit)), offset: None, limit_by } => {
            limit_by.is_empty() && matches!(&limit.value, Value::Number(one, _) if one == "1")
        }
        _ => false,
    }
}

/// `name(value ORDER BY keys)`; the key `1` is the value itself.
fn ordered_call(name: &str, value: Expr, keys: Vec<OrderByExpr>) -> Expr {
    let keys = keys.into_iter().map(|mut key| {
        if matches!(&key.expr, Expr::Value(number) if matches!(&number.value, Value::Number(one, _) if one == "1")) {
            key.expr = value.clone();
        }
        key
    });
    let keys: Vec<OrderByExpr> = keys.collect();
    let mut called = call(name, vec![value]);
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut called
        && !keys.is_empty()
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(keys));
    }
    called
}

/// `ARRAY(SELECT x FROM ... ORDER BY y)` as a scalar subquery over `array_agg`.
fn array_of(mut query: Box<Query>) -> Expr {
    if let Some(mapped) = array_of_array(&mut query) {
        return mapped;
    }
    let keys = match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        _ => Vec::new(),
    };
    let outer_clauses = query.limit_clause.is_some();
    let direct = !outer_clauses
        && plain_select(&mut query)
            .is_some_and(|select| is_row_by_row(select) && item(select).is_some_and(|item| !is_set_returning(item)));
    if direct {
        query.order_by = None;
        if let Some(expr) = plain_select(&mut query).and_then(item) {
            let value = std::mem::replace(expr, Expr::value(Value::Null));
            *expr = call(EMPTY_FOR_NULL, vec![ordered_call("array_agg", value, keys)]);
        }
        return Expr::Subquery(query);
    }
    Expr::Subquery(Box::new(aggregate_over(query)))
}

/// A query that is written here.
pub(super) fn parsed(text: &str) -> Option<Query> {
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?;
    match statements.into_iter().next()? {
        Statement::Query(query) => Some(*query),
        _ => None,
    }
}

/// `SELECT array_or_empty(array_agg(item)) FROM (query) AS items(item)`
fn aggregate_over(query: Box<Query>) -> Query {
    let text = "SELECT \"array_or_empty\"(array_agg(item)) FROM (SELECT 1) AS items(item)";
    let Some(mut outer) = parsed(text) else { return *query };
    if let SetExpr::Select(select) = outer.body.as_mut()
        && let Some(TableWithJoins { relation: TableFactor::Derived { subquery, .. }, .. }) = select.from.first_mut()
    {
        *subquery = query;
    }
    outer
}

/// `ARRAY(SELECT f(x) FROM unnest(a) x)` maps the array: no subquery is left that could be correlated.
fn array_of_array(query: &mut Query) -> Option<Expr> {
    if query.order_by.is_some() || query.limit_clause.is_some() {
        return None;
    }
    let select = plain_select(query)?;
    if !is_row_by_row(select) || select.selection.is_some() {
        return None;
    }
    let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
    let (array, variable) = unnested(relation)?;
    if !joins.is_empty() {
        return None;
    }
    let body = item(select)?.clone();
    let lambda = Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::One(LambdaFunctionParameter { name: variable, data_type: None }),
        body: Box::new(body),
        syntax: LambdaSyntax::Arrow,
    });
    Some(call(EMPTY_FOR_NULL, vec![call("array_transform", vec![array, lambda])]))
}

/// The array and the variable of `unnest(array) AS x`.
fn unnested(relation: &TableFactor) -> Option<(Expr, Ident)> {
    let (array, alias) = match relation {
        TableFactor::UNNEST { array_exprs, alias, with_ordinality: false, .. } => match array_exprs.as_slice() {
            [array] => (array.clone(), alias.as_ref()?),
            _ => return None,
        },
        TableFactor::Table { name, args: Some(args), alias, with_ordinality: false, .. } => {
            let unnest = name.0.last()?.as_ident()?.value.eq_ignore_ascii_case("unnest");
            match args.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] if unnest => (array.clone(), alias.as_ref()?),
                _ => return None,
            }
        }
        _ => return None,
    };
    let variable = alias.columns.first().map_or(&alias.name, |column| &column.name);
    Some((array, variable.clone()))
}

/// In items: table functions become rows, EXISTS and IN become values (DataFusion plans them in conditions only).
pub(super) fn rewrite_items(select: &mut Select) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            unnest_series(expr);
            let ControlFlow::Continue(()) = own_expressions::change(expr, |part| {
                predicate_as_value(part);
                ControlFlow::<Infallible>::Continue(())
            });
        }
    }
}

/// `SELECT generate_series(1, 3)`: DataFusion's function of that name gives an array.
fn unnest_series(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let name = relations::function_name(&function.name);
    let FunctionArguments::List(list) = &mut function.args else { return };
    let arguments = list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let arguments: Vec<Expr> = arguments.collect();
    if let name @ ("generate_series" | "generate_subscripts") = name.as_str()
        && let Some(arrays) = relations::as_array(name, &arguments, true)
    {
        *expr = call("unnest", arrays);
    }
}

/// Turns a predicate over a subquery into a value.
fn predicate_as_value(expr: &mut Expr) {
    let (value, negated) = match expr {
        Expr::Exists { subquery, negated } => (any_rows(std::mem::replace(subquery, empty_query())), *negated),
        Expr::InSubquery { expr: left, subquery, negated } => {
            let array = array_of(std::mem::replace(subquery, empty_query()));
            let left = std::mem::replace(left, Box::new(Expr::value(Value::Null)));
            let right = Box::new(Expr::Nested(Box::new(array)));
            (Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right }, !*negated)
        }
        // DataFusion's ANY forgets the NULLs of the array, its ALL does not.
        Expr::AnyOp { left, compare_op, right, .. } => {
            let Some(compare_op) = negated_comparison(compare_op) else { return };
            array_of_subquery(right);
            (Expr::AllOp { left: Box::new(take(left)), compare_op, right: Box::new(take(right)) }, true)
        }
        Expr::AllOp { right, .. } => return array_of_subquery(right),
        _ => return,
    };
    let value = Expr::Nested(Box::new(value));
    *expr = if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(value) } } else { value };
}

/// `x = ANY (SELECT ...)` as `x IN (SELECT ...)`
fn among(left: &mut Expr, right: &mut Expr, negated: bool) -> Expr {
    match take(right) {
        Expr::Subquery(subquery) => Expr::InSubquery { expr: Box::new(take(left)), subquery, negated },
        other => other,
    }
}

/// `ANY (SELECT ...)` as `ANY (ARRAY(SELECT ...))`.
fn array_of_subquery(operand: &mut Expr) {
    if let Expr::Subquery(query) = operand {
        *operand = Expr::Nested(Box::new(array_of(std::mem::replace(query, empty_query()))));
    }
}

fn negated_comparison(op: &BinaryOperator) -> Option<BinaryOperator> {
    use BinaryOperator as B;
    Some(match op {
        B::Eq => B::NotEq,
        B::NotEq => B::Eq,
        B::Lt => B::GtEq,
        B::LtEq => B::Gt,
        B::Gt => B::LtEq,
        B::GtEq => B::Lt,
        _ => return None,
    })
}

/// `(SELECT count(*) > 0 FROM ...)`
fn any_rows(mut query: Box<Query>) -> Expr {
    let direct = query.limit_clause.is_none() && plain_select(&mut query).is_some_and(|select| is_row_by_row(select));
    let mut outer = if direct { query } else { Box::new(aggregate_over(query)) };
    outer.order_by = None;
    if let Some(select) = plain_select(&mut outer) {
        let mut count = call("count", Vec::new());
        if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut count {
            list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
        }
        let any =
            Expr::BinaryOp { left: Box::new(count), op: BinaryOperator::Gt, right: Box::new(relations::number(0)) };
        select.projection = vec![SelectItem::UnnamedExpr(any)];
    }
    Expr::Subquery(outer)
}

/// True when the expression aggregates the rows of its own SELECT.
pub(super) fn has_aggregate(expr: &Expr) -> bool {
    own_expressions::any(expr, |part| {
        let Expr::Function(function) = part else { return false };
        let name = relations::function_name(&function.name);
        let aggregates = AGGREGATES.contains(&name.as_str()) || function.filter.is_some();
        function.over.is_none() && aggregates
    })
}

/// In a SELECT that reads a relation which never has rows, the items never run: their subqueries become NULL. Some of
/// those (a table function over outer columns) could not be planned at all.
pub(super) fn skip_what_never_runs(select: &mut Select, context: &ShimContext<'_>) {
    if !select.from.iter().any(|table| never_has_rows(table, context)) || !is_row_by_row(select) {
        return;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let ControlFlow::Continue(()) = walk::change(expr, &mut NoSubqueries);
        }
    }
}

/// Makes subqueries NULL.
struct NoSubqueries;

impl VisitorMut for NoSubqueries {
    type Break = Infallible;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        let is_array = matches!(&*expr, Expr::Function(Function { args: FunctionArguments::Subquery(_), .. }));
        if is_array || matches!(expr, Expr::Subquery(_)) {
            *expr = Expr::value(Value::Null);
        }
        ControlFlow::Continue(())
    }
}

/// True when one of the inner-joined relations is a system relation without rows.
fn never_has_rows(table: &TableWithJoins, context: &ShimContext<'_>) -> bool {
    let empty = |relation: &TableFactor| match relation {
        TableFactor::Table { name, args: None, .. } => {
            let parts: Vec<String> =
                name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.clone()).collect();
            let name = match parts.as_slice() {
                [name] => ObjectName::bare(name),
                [schema, name] => ObjectName::qualified(schema, name),
                _ => return false,
            };
            shapes::resolve(&name, context.search_path).is_some_and(|shape| shape.never_has_rows())
        }
        _ => false,
    };
    let mut found = empty(&table.relation);
    for join in &table.joins {
        match &join.join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                found |= empty(&join.relation)
            }
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => {}
            _ => return false,
        }
    }
    found
}
