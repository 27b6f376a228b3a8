//! The columns that USING merges: of a FULL JOIN the side that has a value, of a RIGHT JOIN the right one. DataFusion
//! takes the left one always.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectNamePart, Select, SelectItem, TableWithJoins,
};

use crate::engine::shim::expressions::call;
use crate::engine::shim::outputs::{Outputs, factor_name, folded, is_wildcard};
use crate::engine::shim::own_expressions;

/// Writes out the merged columns of a SELECT wherever it names them.
pub(super) fn write_out(select: &mut Select, outputs: &Outputs<'_>) {
    let mut columns: HashMap<String, Expr> = HashMap::new();
    select.from.iter().for_each(|table| add_merged(table, &mut columns));
    qualify_in_where(select, outputs, &columns);
    if columns.is_empty() {
        return;
    }
    if select.projection.iter().any(is_wildcard)
        && let Some(items) = outputs.written_out(select)
    {
        select.projection = items;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr @ Expr::Identifier(_)) = item
            && let Some((name, value)) = merged(expr, &columns)
        {
            *item = SelectItem::ExprWithAlias { expr: value, alias: Ident::with_quote('"', name) };
        }
    }
    let mut write_out = |part: &mut Expr| {
        if let Some((_, value)) = merged(part, &columns) {
            *part = value;
        }
        ControlFlow::<Infallible>::Continue(())
    };
    let ControlFlow::Continue(()) = own_expressions::change(&mut select.projection, &mut write_out);
    let ControlFlow::Continue(()) = own_expressions::change(&mut select.selection, &mut write_out);
    let ControlFlow::Continue(()) = own_expressions::change(&mut select.having, &mut write_out);
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        let ControlFlow::Continue(()) = own_expressions::change(keys, &mut write_out);
    }
}

/// DataFusion finds the merged columns of inner and left joins, but not in WHERE.
fn qualify_in_where(select: &mut Select, outputs: &Outputs<'_>, others: &HashMap<String, Expr>) {
    if select.selection.is_none() {
        return;
    }
    let sides: HashMap<String, Expr> = select
        .from
        .iter()
        .flat_map(|table| outputs.left_sides(table))
        .filter(|(name, _)| !others.contains_key(name))
        .map(|(name, table)| {
            let column = Ident::with_quote('"', name.clone());
            (name, Expr::CompoundIdentifier(vec![table, column]))
        })
        .collect();
    let ControlFlow::Continue(()) = own_expressions::change(&mut select.selection, |part| {
        if let Some((_, column)) = merged(part, &sides) {
            *part = column;
        }
        ControlFlow::<Infallible>::Continue(())
    });
}

/// What the names that the joins of a table merge stand for, where that is not the left column.
fn add_merged(table: &TableWithJoins, columns: &mut HashMap<String, Expr>) {
    let [join] = table.joins.as_slice() else { return };
    let (constraint, is_full) = match &join.join_operator {
        JoinOperator::FullOuter(constraint) => (constraint, true),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (constraint, false),
        _ => return,
    };
    let (JoinConstraint::Using(names), Some(left), Some(right)) =
        (constraint, factor_name(&table.relation), factor_name(&join.relation))
    else {
        return;
    };
    for name in names.iter().filter_map(|name| name.0.last().and_then(ObjectNamePart::as_ident)) {
        let of = |table: &Ident| Expr::CompoundIdentifier(vec![table.clone(), name.clone()]);
        let value = if is_full { call("coalesce", vec![of(&left), of(&right)]) } else { of(&right) };
        columns.insert(folded(name), value);
    }
}

fn merged(expr: &Expr, columns: &HashMap<String, Expr>) -> Option<(String, Expr)> {
    let Expr::Identifier(ident) = expr else { return None };
    let name = folded(ident);
    columns.get(&name).cloned().map(|value| (name, value))
}
