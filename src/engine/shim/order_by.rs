//! ORDER BY: a name alone is a column of the output, a name inside of an expression one of the tables. DataFusion looks for
//! both in the output first.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr};

use crate::engine::shim::outputs::{Outputs, folded, kept_apart};
use crate::engine::shim::own_expressions;

/// Qualifies the names inside of sort keys that an item of the SELECT has taken for something else, and keeps the item's name
/// apart from the column's. Only of a query whose columns no other one names.
pub(super) fn qualify(query: &mut Query, outputs: &Outputs<'_>) {
    let (SetExpr::Select(select), Some(order_by)) = (query.body.as_mut(), &mut query.order_by) else { return };
    let OrderByKind::Expressions(keys) = &mut order_by.kind else { return };
    if !outputs.is_outermost() {
        return;
    }
    let is_alone = |key: &OrderByExpr| matches!(key.expr, Expr::Identifier(_));
    let is_named = |name: &String| keys.iter().any(|key| !is_alone(key) && names(&key.expr, name));
    let taken: Vec<String> = select.projection.iter().filter_map(renaming).collect();
    if !taken.iter().any(is_named) {
        return;
    }
    let columns: HashMap<String, Ident> = outputs.tables_of(&select.from, taken).into_iter().collect();
    if !columns.keys().any(is_named) {
        return;
    }
    for key in keys.iter_mut() {
        let alone = is_alone(key);
        let ControlFlow::Continue(()) = own_expressions::change(&mut key.expr, |part| {
            if let Expr::Identifier(name) = part
                && let Some(table) = columns.get(&folded(name))
            {
                let column = Ident::with_quote('"', folded(name));
                *part = match alone {
                    true => Expr::Identifier(Ident::with_quote('"', kept_apart(&column.value))),
                    false => Expr::CompoundIdentifier(vec![table.clone(), column]),
                };
            }
            ControlFlow::<Infallible>::Continue(())
        });
    }
    keep_apart(select, &columns);
}

fn names(key: &Expr, wanted: &str) -> bool {
    own_expressions::any(key, |part| matches!(part, Expr::Identifier(name) if folded(name) == wanted))
}

fn keep_apart(select: &mut Select, columns: &HashMap<String, Ident>) {
    for item in &mut select.projection {
        if renaming(item).is_some_and(|name| columns.contains_key(&name))
            && let SelectItem::ExprWithAlias { alias, .. } = item
        {
            *alias = Ident::with_quote('"', kept_apart(&folded(alias)));
        }
    }
}

/// The name that an item gives to something else than the column of that name.
fn renaming(item: &SelectItem) -> Option<String> {
    let SelectItem::ExprWithAlias { expr, alias } = item else { return None };
    let column = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    let alias = folded(alias);
    (column.map(folded).as_ref() != Some(&alias)).then_some(alias)
}
