//! Aggregates as functions over the array of their values: `mode()`, `percentile_disc`, those that give JSON.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, OrderByExpr, OrderByOptions,
};

use crate::engine::shim::expressions::call;
use crate::engine::shim::names::called;

/// Rewrites one expression; its parts have been rewritten already.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let Some(name) = called(function).filter(|_| function.over.is_none()) else { return };
    let rewritten = match name.as_str() {
        "percentile_disc" => {
            sorted(function).map(|(values, direct)| call("array_percentile", [vec![values], direct].concat()))
        }
        "mode" => sorted(function).map(|(values, _)| call("array_mode", vec![values])),
        "json_agg" | "jsonb_agg" => Some(call(&name.replace("agg", "of_array"), vec![gathered(function, 0)])),
        "json_object_agg" | "jsonb_object_agg" => {
            let members = vec![gathered(function, 0), gathered(function, 1)];
            Some(call(&name.replace("object_agg", "of_arrays"), members))
        }
        "string_agg" | "array_agg" => {
            sort_distinct(function);
            None
        }
        _ => None,
    };
    if let Some(rewritten) = rewritten {
        *expr = rewritten;
    }
}

fn argument(list: &FunctionArgumentList, at: usize) -> Option<&Expr> {
    match list.args.get(at)? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// The values of `WITHIN GROUP (ORDER BY x)` in that order, without NULLs, and the arguments before it.
fn sorted(function: &Function) -> Option<(Expr, Vec<Expr>)> {
    let [key] = function.within_group.as_slice() else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    let direct = (0..list.args.len()).filter_map(|at| argument(list, at).cloned()).collect();
    let there = Expr::IsNotNull(Box::new(Expr::Nested(Box::new(key.expr.clone()))));
    let filter = match &function.filter {
        Some(filter) => Expr::BinaryOp {
            left: Box::new(there),
            op: BinaryOperator::And,
            right: Box::new(Expr::Nested(filter.clone())),
        },
        None => there,
    };
    let mut values = call("array_agg", vec![key.expr.clone()]);
    if let Expr::Function(Function { args: FunctionArguments::List(list), filter: slot, .. }) = &mut values {
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![key.clone()]));
        *slot = Some(Box::new(filter));
    }
    Some((values, direct))
}

/// `array_agg` of one argument, with the call's DISTINCT, ORDER BY and FILTER.
fn gathered(function: &Function, at: usize) -> Expr {
    let mut gathered = function.clone();
    gathered.name = ObjectName::from(vec![Ident::new("array_agg")]);
    if let FunctionArguments::List(list) = &mut gathered.args {
        list.args = list.args.get(at).cloned().into_iter().collect();
    }
    sort_distinct(&mut gathered);
    Expr::Function(gathered)
}

/// PostgreSQL finds distinct values by sorting them.
fn sort_distinct(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let is_sorted = list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
    let is_distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    if let (true, false, Some(value)) = (is_distinct, is_sorted, argument(list, 0)) {
        let key = OrderByExpr { expr: value.clone(), options: OrderByOptions::default(), with_fill: None };
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![key]));
    }
}
