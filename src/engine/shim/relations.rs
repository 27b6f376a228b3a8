//! Table functions in FROM: their names and columns as PostgreSQL gives them, and arrays as rows.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableAlias, TableAliasColumnDef, TableFactor, Value,
};

use crate::dialect::walk;
use crate::engine::shim::expressions::{call, unqualify};
use crate::error::{Error, Result};

/// Rewrites a table factor before what is in it is visited.
pub(super) fn rewrite(factor: &mut TableFactor) -> Result<()> {
    match factor {
        TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => unqualify(name),
        TableFactor::UNNEST { .. } => {}
        _ => return Ok(()),
    }
    let (name, arguments, alias, ordinality) = match factor {
        TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
            (function_name(name), expressions(&args.args)?, alias, *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            (function_name(name), expressions(args)?, alias, *with_ordinality)
        }
        TableFactor::UNNEST { array_exprs, alias, with_ordinality, .. } => {
            ("unnest".to_owned(), array_exprs.clone(), alias, *with_ordinality)
        }
        _ => return Ok(()),
    };
    let Some(array) = as_array(&name, &arguments, ordinality) else {
        if name == "generate_series" {
            name_columns(alias, &name, 1, false);
        }
        return Ok(());
    };
    let mut arrays = array;
    let values = arrays.len();
    if ordinality {
        let counted = call("cardinality", vec![arrays[0].clone()]);
        arrays.push(call("generate_series", vec![number(1), counted]));
    }
    name_columns(alias, &name, values, ordinality);
    let alias = alias.take();
    *factor = TableFactor::UNNEST {
        alias,
        array_exprs: arrays,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    };
    Ok(())
}

/// The arrays whose elements are the rows of a table function; `None` when it stays a table function.
pub(super) fn as_array(name: &str, arguments: &[Expr], ordinality: bool) -> Option<Vec<Expr>> {
    match name {
        "unnest" => Some(arguments.to_vec()),
        "generate_series" if ordinality || !arguments.iter().all(is_constant) => {
            Some(vec![call("generate_series", arguments.to_vec())])
        }
        "generate_subscripts" => {
            let (array, dimension) =
                (arguments.first()?.clone(), arguments.get(1).cloned().unwrap_or_else(|| number(1)));
            Some(vec![call("generate_series", vec![number(1), call("array_length", vec![array, dimension])])])
        }
        _ => None,
    }
}

/// A whole number as a literal.
pub(super) fn number(number: i64) -> Expr {
    Expr::value(Value::Number(number.to_string(), false))
}

/// The lower-case name of a function without its schema.
pub(super) fn function_name(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase()).unwrap_or_default()
}

fn expressions(arguments: &[FunctionArg]) -> Result<Vec<Expr>> {
    arguments
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
            FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. } => Ok(expr.clone()),
            other => Err(Error::unsupported(format!("argument of a table function: {other}"))),
        })
        .collect()
}

/// True when no column can be in the expression.
pub(super) fn is_constant(expr: &Expr) -> bool {
    !walk::any_expression(expr, |expr| {
        matches!(
            expr,
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. } | Expr::Subquery(_)
        )
    })
}

/// A function in FROM is named like itself; its only column like its alias.
fn name_columns(alias: &mut Option<TableAlias>, function: &str, values: usize, ordinality: bool) {
    let alias = alias.get_or_insert_with(|| TableAlias {
        explicit: true,
        name: Ident::with_quote('"', function),
        columns: Vec::new(),
        at: None,
    });
    let total = values + usize::from(ordinality);
    while alias.columns.len() < total {
        let name = match (alias.columns.len(), ordinality) {
            (at, true) if at == values => Ident::with_quote('"', "ordinality"),
            (0, _) if values == 1 => alias.name.clone(),
            (0, _) => Ident::with_quote('"', function),
            (at, _) => Ident::with_quote('"', format!("{function}_{at}")),
        };
        alias.columns.push(TableAliasColumnDef { name, data_type: None });
    }
}
