//! Forms that DataFusion does not plan, as others that mean the same: `@ x` is `abs(x)`, `TABLE t` is `SELECT * FROM t`.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Fetch, LimitClause, Query, SetExpr, Subscript, UnaryOperator, Value,
    ValueWithSpan,
};

use crate::catalog::name::quote_identifier;
use crate::catalog::pg_type::PgType;
use crate::engine::functions::cast::{CAST, parse};
use crate::engine::shim::expressions::{call, take, text};
use crate::engine::shim::names::called;
use crate::engine::shim::relations::number;
use crate::engine::shim::subqueries::parsed;
use crate::error::{Error, ErrorKind, Result};

/// Functions whose results have another type in PostgreSQL, and that type.
const RESULTS: &[(&str, &str)] = &[
    ("array_position", "integer"),
    ("dense_rank", "bigint"),
    ("ntile", "integer"),
    ("rank", "bigint"),
    ("regr_count", "bigint"),
    ("row_number", "bigint"),
];

/// Functions that are nothing without a window.
const WINDOW_FUNCTIONS: &[&str] =
    &["cume_dist", "dense_rank", "lag", "lead", "nth_value", "ntile", "percent_rank", "rank", "row_number"];

/// On the way into a query: `TABLE t`, FETCH FIRST, counts that are written as text.
pub(super) fn rewrite_query(query: &mut Query) -> Result<()> {
    table_statement(&mut query.body);
    if let Some(Fetch { with_ties, percent, quantity }) = query.fetch.take() {
        if with_ties || percent {
            return Err(Error::unsupported("FETCH FIRST with TIES or PERCENT is not supported")
                .hint("Filter by rank() OVER (ORDER BY ...) in a subquery."));
        }
        let none = LimitClause::LimitOffset { limit: None, offset: None, limit_by: Vec::new() };
        match query.limit_clause.get_or_insert(none) {
            LimitClause::LimitOffset { limit: limit @ None, .. } => {
                *limit = Some(quantity.unwrap_or_else(|| number(1)))
            }
            _ => return Err(Error::new(ErrorKind::SyntaxError, "multiple LIMIT clauses not allowed")),
        }
    }
    if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
        limit.as_mut().map_or(Ok(()), |count| row_count("LIMIT", count))?;
        offset.as_mut().map_or(Ok(()), |offset| row_count("OFFSET", &mut offset.value))?;
    }
    Ok(())
}

fn table_statement(body: &mut SetExpr) {
    match body {
        SetExpr::Table(table) => {
            let parts = [&table.schema_name, &table.table_name].into_iter().flatten();
            let name: Vec<String> = parts.map(|part| quote_identifier(&part.to_lowercase())).collect();
            if let Some(query) = parsed(&format!("SELECT * FROM {}", name.join("."))) {
                *body = *query.body;
            }
        }
        SetExpr::SetOperation { left, right, .. } => [left, right].into_iter().for_each(|side| table_statement(side)),
        _ => {}
    }
}

/// The count of LIMIT or OFFSET: a text is read as a number, a column is refused.
fn row_count(clause: &str, count: &mut Expr) -> Result<()> {
    match count {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(written), .. }) => {
            *count = number(parse::integer(written, &PgType::Int8)?);
            Ok(())
        }
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Err(Error::new(
            ErrorKind::InvalidColumnReference,
            format!("argument of {clause} must not contain variables"),
        )),
        _ => Ok(()),
    }
}

/// A place before the first has no element; DataFusion counts it from the end.
fn from_the_start(index: &mut Expr) {
    let is_literal = |value: &ValueWithSpan| matches!(value.value, Value::Number(..) | Value::SingleQuotedString(_));
    if matches!(index, Expr::Value(value) if is_literal(value)) {
        return;
    }
    *index = call("nullif", vec![call("greatest", vec![take(index), number(0)]), number(0)]);
}

/// Rewrites one expression; its parts have been rewritten already.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::UnaryOp { op, expr: operand } => {
            if let Some(other) = unary(*op, operand) {
                *expr = other;
            }
        }
        Expr::BinaryOp { left, op, right } => {
            if let (Expr::Tuple(left), Expr::Tuple(right)) = (left.as_ref(), right.as_ref()) {
                *expr = rows(op, left, right)?;
            }
        }
        Expr::SimilarTo { negated, expr: operand, pattern, escape_char } => {
            let escape = match escape_char.take() {
                Some(ValueWithSpan { value: Value::SingleQuotedString(escape), .. }) => escape,
                _ => "\\".to_owned(),
            };
            let regex = call("similar_to_escape", vec![take(pattern), text(&escape)]);
            let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
            *expr = Expr::BinaryOp { left: Box::new(take(operand)), op, right: Box::new(regex) };
        }
        Expr::Like { any: false, pattern, escape_char, .. } | Expr::ILike { any: false, pattern, escape_char, .. } => {
            if let Some(ValueWithSpan { value: Value::SingleQuotedString(escape), .. }) = escape_char.take() {
                **pattern = call("like_escape", vec![take(pattern), text(&escape)]);
            }
        }
        Expr::Function(_) => return typed(expr),
        Expr::CompoundIdentifier(parts) if parts.len() > 4 => {
            let written: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
            let message = format!("improper qualified name (too many dotted names): {}", written.join("."));
            return Err(Error::new(ErrorKind::SyntaxError, message));
        }
        Expr::CompoundFieldAccess { access_chain, .. } => {
            let strided =
                |part: &AccessExpr| matches!(part, AccessExpr::Subscript(Subscript::Slice { stride: Some(_), .. }));
            if access_chain.iter().any(strided) {
                return Err(Error::new(ErrorKind::SyntaxError, "a slice of an array has no stride"));
            }
            for part in access_chain {
                if let AccessExpr::Subscript(Subscript::Index { index }) = part {
                    from_the_start(index);
                }
            }
        }
        Expr::Value(value) => {
            if let Value::UnicodeStringLiteral(written) = &value.value {
                *expr = text(written);
            }
        }
        Expr::Array(array) => return same_lengths(&array.elem),
        _ => {}
    }
    Ok(())
}

fn unary(op: UnaryOperator, operand: &mut Expr) -> Option<Expr> {
    let double = |operand: &mut Expr| call(CAST, vec![take(operand), text("double precision")]);
    Some(match op {
        UnaryOperator::PGAbs => call("abs", vec![take(operand)]),
        UnaryOperator::PGSquareRoot => call("sqrt", vec![double(operand)]),
        UnaryOperator::PGCubeRoot => call("cbrt", vec![double(operand)]),
        // All bits turned: those that differ from -1.
        UnaryOperator::BitwiseNot => Expr::Nested(Box::new(Expr::BinaryOp {
            left: Box::new(take(operand)),
            op: BinaryOperator::PGBitwiseXor,
            right: Box::new(Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(number(1)) }),
        })),
        _ => return None,
    })
}

/// `(a, b) < (c, d)`: the first pair that differs decides; NULL where that is not known.
fn rows(op: &BinaryOperator, left: &[Expr], right: &[Expr]) -> Result<Expr> {
    use BinaryOperator as B;
    let binary = |left: Expr, op: B, right: Expr| Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) };
    let nested = |expr: Expr| Expr::Nested(Box::new(expr));
    if left.len() != right.len() {
        return Err(Error::new(ErrorKind::SyntaxError, "unequal number of entries in row expressions"));
    }
    if *op == B::Overlaps {
        return overlaps(left, right);
    }
    let strict = match op {
        B::Eq | B::NotEq => op.clone(),
        B::Lt | B::LtEq => B::Lt,
        B::Gt | B::GtEq => B::Gt,
        other => {
            return Err(Error::new(
                ErrorKind::UndefinedFunction,
                format!("operator does not exist: record {other} record"),
            ));
        }
    };
    let mut pairs = left.iter().zip(right).rev().map(|(one, two)| (nested(one.clone()), nested(two.clone())));
    let Some((one, two)) = pairs.next() else {
        return Err(Error::unsupported("rows without columns cannot be compared"));
    };
    let last = binary(one, op.clone(), two);
    Ok(nested(pairs.fold(last, |rest, (one, two)| match strict {
        B::Eq => binary(binary(one, B::Eq, two), B::And, rest),
        B::NotEq => binary(binary(one, B::NotEq, two), B::Or, rest),
        _ => {
            let equal = binary(binary(one.clone(), B::Eq, two.clone()), B::And, nested(rest));
            binary(binary(one, strict.clone(), two), B::Or, equal)
        }
    })))
}

/// `(a, b) OVERLAPS (c, d)`: two spans of time, each with its ends in either order, have a moment in common.
fn overlaps(left: &[Expr], right: &[Expr]) -> Result<Expr> {
    let ([a, b], [c, d]) = (left, right) else {
        return Err(Error::new(ErrorKind::SyntaxError, "wrong number of parameters on OVERLAPS expression"));
    };
    let end = |which: &str, one: &Expr, two: &Expr| Box::new(call(which, vec![one.clone(), two.clone()]));
    let before = |left: Box<Expr>, op: BinaryOperator, right: Box<Expr>| Box::new(Expr::BinaryOp { left, op, right });
    let starts_before = before(end("least", a, b), BinaryOperator::Lt, end("greatest", c, d));
    let ends_after = before(end("least", c, d), BinaryOperator::Lt, end("greatest", a, b));
    let same_start = before(end("least", a, b), BinaryOperator::Eq, end("least", c, d));
    let both = before(starts_before, BinaryOperator::And, ends_after);
    Ok(Expr::Nested(before(both, BinaryOperator::Or, same_start)))
}

/// Gives a function's result the type that it has in PostgreSQL.
fn typed(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = &expr else { return Ok(()) };
    let Some(name) = called(function) else { return Ok(()) };
    if function.over.is_none() && WINDOW_FUNCTIONS.contains(&name.as_str()) {
        let message = format!("window function {name} requires an OVER clause");
        return Err(Error::new(ErrorKind::WrongObjectType, message));
    }
    if let Some((_, result)) = RESULTS.iter().find(|(known, _)| *known == name) {
        *expr = call(CAST, vec![take(expr), text(result)]);
    }
    Ok(())
}

/// All rows of an array of arrays are as long as the first.
fn same_lengths(items: &[Expr]) -> Result<()> {
    let length = |item: &Expr| match item {
        Expr::Array(inner) => Some(inner.elem.len()),
        _ => None,
    };
    match items.windows(2).any(|pair| length(&pair[0]) != length(&pair[1]))
        && items.iter().all(|item| length(item).is_some())
    {
        true => Err(Error::new(
            ErrorKind::ArraySubscriptError,
            "multidimensional arrays must have array expressions with matching dimensions",
        )),
        false => Ok(()),
    }
}
