//! Which operands an operator takes: PostgreSQL refuses what DataFusion would turn into text or wrap.

use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::sql::sqlparser::ast::BinaryOperator as B;

use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind, Result};

/// An operand and its field.
pub(in crate::engine) type Operand<'a> = (&'a Expr, &'a Field);

/// 42883 or 42804 where no operator takes these operands.
pub(super) fn check(op: &B, left: Operand<'_>, right: Operand<'_>) -> Result<()> {
    if matches!(op, B::And | B::Or) {
        return [left, right].into_iter().try_for_each(|operand| check_condition(op, operand));
    }
    let (one, two) = (left.1.data_type(), right.1.data_type());
    let Some(operator) = operator(op) else { return Ok(()) };
    if one.is_null() || two.is_null() || one.is_nested() || two.is_nested() {
        return Ok(());
    }
    let families = family(left.1).zip(family(right.1));
    let mixed = compares(op) && families.is_some_and(|(one, two)| one != two);
    let unknown = is_text_literal(left.0) || is_text_literal(right.0);
    match (mixed && !unknown) || BinaryTypeCoercer::new(one, &operator, two).get_input_types().is_err() {
        true => Err(undefined(op, left, right)),
        false => Ok(()),
    }
}

fn check_condition(op: &B, operand: Operand<'_>) -> Result<()> {
    match operand.1.data_type() {
        DataType::Boolean | DataType::Null => Ok(()),
        _ if is_text_literal(operand.0) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::DatatypeMismatch,
            format!("argument of {op} must be type boolean, not type {}", type_name(operand)),
        )),
    }
}

fn undefined(op: &B, left: Operand<'_>, right: Operand<'_>) -> Error {
    if is_text_literal(left.0) && is_text_literal(right.0) {
        return Error::new(ErrorKind::AmbiguousFunction, format!("operator is not unique: unknown {op} unknown"))
            .hint("Could not choose a best candidate operator. You might need to add explicit type casts.");
    }
    Error::new(
        ErrorKind::UndefinedFunction,
        format!("operator does not exist: {} {op} {}", type_name(left), type_name(right)),
    )
    .hint("No operator matches the given name and argument types. You might need to add explicit type casts.")
}

/// The type as an error names it: a literal has none yet, or that of its value.
pub(in crate::engine) fn type_name((expr, field): Operand<'_>) -> String {
    match expr {
        _ if is_text_literal(expr) => "unknown".to_owned(),
        Expr::Literal(ScalarValue::Int64(Some(number)), _) if i32::try_from(*number).is_ok() => "integer".to_owned(),
        _ => PgType::of(field).bare().to_string(),
    }
}

/// True for a literal that may still become any type.
pub(super) fn is_text_literal(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Literal(ScalarValue::Utf8(Some(_)) | ScalarValue::Utf8View(Some(_)) | ScalarValue::LargeUtf8(Some(_)), _)
    )
}

/// Types that compare with each other; `None` where Arrow's type does not tell.
pub(super) fn family(field: &Field) -> Option<u8> {
    use PgType as P;
    Some(match PgType::of(field) {
        P::Int2 | P::Int4 | P::Int8 | P::Float4 | P::Float8 | P::Numeric(_) | P::Oid | P::Reg(_) => 0,
        // What is held as text may have lost its name on the way.
        P::Text | P::Varchar(_) | P::Char(_) | P::Name | P::InternalChar | P::Uuid | P::Json | P::Jsonb => 1,
        P::Bool => 2,
        P::Date | P::Timestamp | P::Timestamptz => 3,
        P::Time | P::Interval => 4,
        P::Bytea => 5,
        P::Record | P::Array(_) | P::Unknown | P::Void => return None,
    })
}

/// True for the operators that compare two values of one type.
pub(super) fn compares(op: &B) -> bool {
    matches!(op, B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq)
}

/// The operator in DataFusion's terms, for those whose operands are checked.
pub(super) fn operator(op: &B) -> Option<Operator> {
    Some(match op {
        B::Eq => Operator::Eq,
        B::NotEq => Operator::NotEq,
        B::Lt => Operator::Lt,
        B::LtEq => Operator::LtEq,
        B::Gt => Operator::Gt,
        B::GtEq => Operator::GtEq,
        B::Plus => Operator::Plus,
        B::Minus => Operator::Minus,
        B::Multiply => Operator::Multiply,
        B::Divide => Operator::Divide,
        B::Modulo => Operator::Modulo,
        B::StringConcat => Operator::StringConcat,
        B::PGRegexMatch => Operator::RegexMatch,
        B::PGRegexNotMatch => Operator::RegexNotMatch,
        _ => return None,
    })
}
