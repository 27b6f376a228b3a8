//! Integer literals are `integer` where they fit, as in PostgreSQL; DataFusion's are `bigint`.
//!
//! Only where the type can be seen: items of SELECT and VALUES, results of CASE, operands of arithmetic, arguments that a
//! function passes through. A comparison is left alone, so a filter on a column of any width is pushed down as it was.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Select,
    SelectItem, SetExpr, UnaryOperator, Value,
};

/// Functions whose result has the type of their arguments.
const TRANSPARENT: &[&str] = &[
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "abs",
    "max",
    "min",
    "array_agg",
    "array_append",
    "array_cat",
    "array_prepend",
    "array_remove",
    "array_replace",
    "gcd",
    "lcm",
    "mod",
    "to_hex",
    "sum",
    "avg",
    "pg_typeof",
    "__single_value",
];

/// Types the literals that are items.
pub(super) fn type_items(select: &mut Select) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            type_literal(expr);
        }
    }
}

/// Types the literals of a VALUES list that is a table.
pub(super) fn type_values(query: &mut Query) {
    type_values_of(&mut query.body);
}

fn type_values_of(body: &mut SetExpr) {
    match body {
        SetExpr::Values(values) => values.rows.iter_mut().for_each(|row| row.content.iter_mut().for_each(type_literal)),
        SetExpr::SetOperation { left, right, .. } => {
            type_values_of(left);
            type_values_of(right);
        }
        _ => {}
    }
}

/// Types the literals right under an expression, where the expression's type depends on theirs.
pub(super) fn type_operands(expr: &mut Expr) {
    match expr {
        Expr::BinaryOp { left, op, right } if is_arithmetic(op) => {
            type_literal(left);
            type_literal(right);
        }
        Expr::Case { conditions, else_result, .. } => {
            conditions.iter_mut().for_each(|when| type_literal(&mut when.result));
            if let Some(result) = else_result {
                type_literal(result);
            }
        }
        Expr::Array(array) => array.elem.iter_mut().for_each(type_literal),
        Expr::Function(function) if is_transparent(function) => {
            if let FunctionArguments::List(list) = &mut function.args {
                for argument in &mut list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
                        type_literal(expr);
                    }
                }
            }
        }
        _ => {}
    }
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    let is_bitwise =
        matches!(op, B::BitwiseAnd | B::BitwiseOr | B::PGBitwiseXor | B::PGBitwiseShiftLeft | B::PGBitwiseShiftRight);
    is_bitwise || matches!(op, B::Plus | B::Minus | B::Multiply | B::Divide | B::Modulo)
}

fn is_transparent(function: &Function) -> bool {
    let name = function.name.0.last().and_then(|part| part.as_ident());
    function.over.is_none() && name.is_some_and(|name| TRANSPARENT.contains(&name.value.to_lowercase().as_str()))
}

/// Casts the expression to integer if it is a literal that fits.
fn type_literal(expr: &mut Expr) {
    match expr {
        Expr::Nested(inner) => type_literal(inner),
        _ if fits(expr) => {
            let literal = std::mem::replace(expr, Expr::value(Value::Null));
            *expr = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(literal),
                data_type: DataType::Integer(None),
                array: false,
                format: None,
            };
        }
        _ => {}
    }
}

fn fits(expr: &Expr) -> bool {
    match expr {
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_integer_literal(expr),
        expr => is_integer_literal(expr),
    }
}

fn is_integer_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse::<i32>().is_ok(),
            _ => false,
        },
        _ => false,
    }
}
