//! Expressions, one at a time, after what is under them: casts, qualified names, operators by schema, time zones.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, Interval, ObjectName, UnaryOperator, Value,
};

use crate::catalog::pg_type::PgType;
use crate::engine::functions::cast::{CAST, parse, parse_time, print};
use crate::engine::shim::types;
use crate::error::{Error, ErrorKind, Result};

/// Functions that PostgreSQL's grammar calls without parentheses, and sqlparser reads as columns.
const BARE_FUNCTIONS: &[&str] = &[
    "current_schema",
    "current_role",
    "current_catalog",
    "session_user",
    "current_user",
    "user",
    "localtimestamp",
    "localtime",
];

/// Rewrites one expression; its parts have been rewritten already.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, array: false, format: None, .. } => {
            rewrite_cast(expr)
        }
        Expr::Value(value) => {
            if let Value::Number(written, _) = &value.value
                && written.contains(['e', 'E'])
            {
                *expr = scientific(written);
            }
            Ok(())
        }
        Expr::TypedString(_) => rewrite_typed_string(expr),
        Expr::Interval(interval) => normalise_interval(interval),
        Expr::Collate { .. } => drop_collation(expr),
        Expr::BinaryOp { op, .. } => qualified_operator(op),
        Expr::Function(function) => {
            unqualify(&mut function.name);
            Ok(())
        }
        Expr::Identifier(ident) if ident.quote_style.is_none() => {
            let name = ident.value.to_lowercase();
            if BARE_FUNCTIONS.contains(&name.as_str()) {
                *expr = call(&name, Vec::new());
            }
            Ok(())
        }
        Expr::Extract { field, expr: operand, .. } => {
            let name = field.to_string().to_lowercase().replace(['\'', '"'], "");
            *expr = call("extract", vec![text(&name), take(operand)]);
            Ok(())
        }
        Expr::AtTimeZone { timestamp, time_zone } => {
            *expr = call("timezone", vec![take(time_zone), take(timestamp)]);
            Ok(())
        }
        Expr::Substring { expr: operand, substring_from: Some(from), substring_for: None, .. } if is_text(from) => {
            *expr = call("substring_regexp", vec![take(operand), take(from)]);
            Ok(())
        }
        _ => Ok(()),
    }
}

pub(super) fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

/// A literal text.
pub(in crate::engine) fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_owned()))
}

/// `name(arguments)`
pub(in crate::engine) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    let list = FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_quote('"', name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_)))
}

/// `-INTERVAL '1 day'`: the planner takes the minus for a part of the literal, which it is not read as.
pub(super) fn negative_interval(expr: &mut Expr) {
    if let Expr::UnaryOp { op: UnaryOperator::Minus, expr: operand } = expr
        && matches!(operand.as_ref(), Expr::Interval(_))
    {
        **operand = Expr::Nested(Box::new(take(operand)));
    }
}

/// `(a, b) IS NULL`: every field is; `(a, b) IS NOT NULL`: no field is.
pub(super) fn null_row(expr: &mut Expr) {
    let (row, is_null) = match expr {
        Expr::IsNull(row) => (row, true),
        Expr::IsNotNull(row) => (row, false),
        _ => return,
    };
    let Some(fields) = fields_of(row) else { return };
    let test = |field: Expr| match is_null {
        true => Expr::IsNull(Box::new(Expr::Nested(Box::new(field)))),
        false => Expr::IsNotNull(Box::new(Expr::Nested(Box::new(field)))),
    };
    let and = |left: Expr, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    };
    if let Some(all) = fields.into_iter().map(test).reduce(and) {
        *expr = Expr::Nested(Box::new(all));
    }
}

/// The fields of `(a, b)` or `ROW(a, b)`.
pub(in crate::engine) fn fields_of(row: &Expr) -> Option<Vec<Expr>> {
    match row {
        Expr::Nested(inner) => fields_of(inner),
        Expr::Tuple(fields) => Some(fields.clone()),
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => {
            let FunctionArguments::List(list) = &function.args else { return None };
            let field = |argument: &FunctionArg| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(field)) => Some(field.clone()),
                _ => None,
            };
            list.args.iter().map(field).collect()
        }
        _ => None,
    }
}

/// `1e308::float8` reads the digits as a float: as a numeric, which has few digits, they would be something else first.
/// Called before the number itself is visited.
pub(super) fn float_literal(expr: &mut Expr) {
    let Expr::Cast { expr: operand, data_type, .. } = expr else { return };
    let is_float = types::pg_type(data_type).is_some_and(|pg_type| matches!(pg_type, PgType::Float4 | PgType::Float8));
    if let Expr::Value(value) = operand.as_ref()
        && let (true, Value::Number(digits, _)) = (is_float, &value.value)
    {
        **operand = text(digits);
    }
}

/// `CAST(x AS type)` to `pg_cast(x, 'type')`; the cast of an integer literal that [`super::literals`] made stays.
fn rewrite_cast(expr: &mut Expr) -> Result<()> {
    let Expr::Cast { expr: operand, data_type, .. } = expr else { return Ok(()) };
    if matches!(data_type, DataType::Integer(None)) && is_number(operand) {
        return Ok(());
    }
    let name = type_name(data_type)?;
    *expr = call(CAST, vec![take(operand), text(&name)]);
    Ok(())
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::UnaryOp { expr, .. } => is_number(expr),
        Expr::Value(value) => matches!(&value.value, Value::Number(digits, _) if digits.parse::<i32>().is_ok()),
        _ => false,
    }
}

fn type_name(data_type: &DataType) -> Result<String> {
    match types::pg_type(data_type) {
        Some(pg_type) => Ok(pg_type.to_string()),
        None => {
            let written = data_type.to_string().replace('"', "").to_lowercase();
            Err(Error::new(ErrorKind::UndefinedObject, format!("type \"{written}\" does not exist")))
        }
    }
}

/// `1e3`: numeric, or double precision where it has more digits than our numeric holds.
fn scientific(written: &str) -> Expr {
    match parse::decimal(written) {
        Ok((digits, scale)) if (0..38).contains(&scale) => {
            call(CAST, vec![text(&print::decimal(digits, scale)), text("numeric")])
        }
        _ => call(CAST, vec![text(written), text("float8")]),
    }
}

/// `DATE '2026-01-31'`
fn rewrite_typed_string(expr: &mut Expr) -> Result<()> {
    let Expr::TypedString(typed) = expr else { return Ok(()) };
    let Some(value) = typed.value.clone().into_string() else { return Ok(()) };
    let name = type_name(&typed.data_type)?;
    *expr = call(CAST, vec![text(&value), text(&name)]);
    Ok(())
}

/// `INTERVAL '1-2 days 03:00'`: PostgreSQL's spellings in the few words that Arrow's parser knows for certain.
fn normalise_interval(interval: &mut Interval) -> Result<()> {
    let (None, Expr::Value(value)) = (&interval.leading_field, interval.value.as_mut()) else { return Ok(()) };
    if let Value::SingleQuotedString(written) = &mut value.value {
        let span = parse_time::interval(written)?;
        let micros = span.nanoseconds / 1000;
        *written = format!("{} months {} days {} microseconds", span.months, span.days, micros);
    }
    Ok(())
}

/// Text is compared by its bytes: the collations that say so may be written.
fn drop_collation(expr: &mut Expr) -> Result<()> {
    let Expr::Collate { expr: operand, collation } = expr else { return Ok(()) };
    let name = collation.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone()).unwrap_or_default();
    if !["default", "C", "POSIX", "ucs_basic", "C.UTF-8", "C.utf8"].contains(&name.as_str()) {
        return Err(Error::unsupported(format!("collation \"{name}\" is not available"))
            .hint("Text is ordered by its bytes: use COLLATE \"C\", or order by lower(...)."));
    }
    *expr = take(operand);
    Ok(())
}

/// `OPERATOR(pg_catalog.~)` to `~`.
fn qualified_operator(op: &mut BinaryOperator) -> Result<()> {
    use BinaryOperator as B;
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return Ok(()) };
    let symbol = match parts.as_slice() {
        [symbol] => symbol.as_str(),
        [schema, symbol] if schema == "pg_catalog" => symbol.as_str(),
        _ => "",
    };
    *op = match symbol {
        "~" => B::PGRegexMatch,
        "~*" => B::PGRegexIMatch,
        "!~" => B::PGRegexNotMatch,
        "!~*" => B::PGRegexNotIMatch,
        "~~" => B::PGLikeMatch,
        "~~*" => B::PGILikeMatch,
        "!~~" => B::PGNotLikeMatch,
        "!~~*" => B::PGNotILikeMatch,
        "=" => B::Eq,
        "<>" | "!=" => B::NotEq,
        "<" => B::Lt,
        "<=" => B::LtEq,
        ">" => B::Gt,
        ">=" => B::GtEq,
        "+" => B::Plus,
        "-" => B::Minus,
        "*" => B::Multiply,
        "/" => B::Divide,
        "%" => B::Modulo,
        "||" => B::StringConcat,
        "@>" => B::AtArrow,
        "<@" => B::ArrowAt,
        _ => {
            return Err(Error::new(
                ErrorKind::UndefinedFunction,
                format!("operator does not exist: {}", parts.join(".")),
            ));
        }
    };
    Ok(())
}

/// `pg_catalog.lower` to `lower`: DataFusion has no schemas of functions.
pub(super) fn unqualify(name: &mut ObjectName) {
    let in_catalog =
        name.0.len() == 2 && name.0[0].as_ident().is_some_and(|schema| schema.value.eq_ignore_ascii_case("pg_catalog"));
    if in_catalog {
        name.0.remove(0);
    }
}
