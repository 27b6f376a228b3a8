//! Values on their way into columns: PostgreSQL's assignment casts.
//!
//! A literal takes the type of its column, cell by cell; an expression is cast where SQL has an assignment cast from its
//! type, and refused (42804) otherwise. Invariant: what is assigned means the same as `CAST(value AS type)`, but that a
//! text too long for its column is an error, which [`crate::engine::write`] finds.

use arrow::datatypes::Field;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, lit};
use datafusion::sql::sqlparser::ast;

use crate::catalog::definition::ColumnDef;
use crate::catalog::pg_type::PgType;
use crate::engine::Scope;
use crate::engine::functions;
use crate::engine::functions::cast::CAST;
use crate::engine::functions::kind::is_text;
use crate::engine::shim::{self, operands};
use crate::error::{Error, ErrorKind, Result};

/// `value` cast to the column's type. Text is read as that type: the caller knows that it may be.
pub(in crate::engine) fn assigned(
    scope: &Scope,
    value: Expr,
    column: &ColumnDef,
    schema: &datafusion::common::DFSchema,
) -> Result<Expr> {
    let (_, field) = value.to_field(schema)?;
    if *field.data_type() == column.pg_type.arrow() {
        return Ok(value);
    }
    if !is_assignable(&field, column) {
        return Err(mismatch(column, (&value, &field)));
    }
    let function = functions::scalar(CAST, &scope.functions).ok_or_else(|| Error::internal("no function casts"))?;
    let name = lit(unbounded(&column.pg_type).to_string());
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value, name])))
}

/// True where a value of that field may go into the column; of text that is for the caller to know.
pub(in crate::engine) fn is_assignable(from: &Field, column: &ColumnDef) -> bool {
    let is_open = from.data_type().is_null() || is_text(from.data_type());
    is_open || has_assignment(&PgType::of(from), &column.pg_type)
}

/// 42804 for an expression of text where the column is not; a literal is of any type.
pub(in crate::engine) fn refuse_text(
    value: &Expr,
    column: &ColumnDef,
    schema: &datafusion::common::DFSchema,
) -> Result<()> {
    let (_, field) = value.to_field(schema)?;
    let from = PgType::of(&field);
    let literal = matches!(value.clone().unalias(), Expr::Literal(..) | Expr::Placeholder(_));
    match literal || !is_text(field.data_type()) || has_assignment(&from, &column.pg_type) {
        true => Ok(()),
        false => Err(mismatch(column, (value, &field))),
    }
}

/// [`refuse_text`] for a column of a query: literals may stand in any of its branches.
pub(in crate::engine) fn refuse_text_of(plan: &LogicalPlan, position: usize, column: &ColumnDef) -> Result<()> {
    match plan {
        LogicalPlan::Projection(projection) => {
            refuse_text(&projection.expr[position], column, projection.input.schema())
        }
        LogicalPlan::Values(values) => {
            values.values.iter().try_for_each(|row| refuse_text(&row[position], column, &values.schema))
        }
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Union(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().into_iter().try_for_each(|input| refuse_text_of(input, position, column))
        }
        _ => refuse_text(&crate::engine::insert::source_column(plan, position), column, plan.schema()),
    }
}

/// A text literal in VALUES, as a literal of the column's type; for a float also a number, which would else be a numeric
/// of limited digits.
pub(in crate::engine) fn type_literal(value: &mut ast::Expr, pg_type: &PgType) {
    if is_text(&pg_type.arrow()) {
        return spell_out(value);
    }
    let is_float = matches!(pg_type, PgType::Float4 | PgType::Float8);
    let literal = |value: &ast::Expr| match value {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) => Some(text.clone()),
            ast::Value::Number(digits, _) if is_float => Some(digits.clone()),
            _ => None,
        },
        _ => None,
    };
    let text = match &*value {
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } if is_float => {
            literal(expr).filter(|digits| !digits.starts_with('-')).map(|digits| format!("-{digits}"))
        }
        value => literal(value),
    };
    if let Some(text) = text {
        let name = shim::text(&pg_type.to_string());
        *value = shim::call(CAST, vec![shim::text(&text), name]);
    }
}

/// A number or a truth value for a column of text.
fn spell_out(value: &mut ast::Expr) {
    let text = match &*value {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _)
                if digits.parse::<i64>().is_ok_and(|number| number.to_string() == *digits) =>
            {
                digits.clone()
            }
            ast::Value::Boolean(truth) => truth.to_string(),
            _ => return,
        },
        _ => return,
    };
    *value = shim::text(&text);
}

fn mismatch(column: &ColumnDef, value: operands::Operand<'_>) -> Error {
    let (to, from) = (column.pg_type.bare(), operands::type_name(value));
    Error::new(
        ErrorKind::DatatypeMismatch,
        format!("column \"{}\" is of type {to} but expression is of type {from}", column.name),
    )
    .hint("You will need to rewrite or cast the expression.")
}

/// The type without the length that a cast would cut a text to.
pub(in crate::engine) fn unbounded(pg_type: &PgType) -> PgType {
    match pg_type {
        PgType::Varchar(_) | PgType::Char(_) => PgType::Text,
        other => other.clone(),
    }
}

/// True where PostgreSQL has an assignment cast.
fn has_assignment(from: &PgType, to: &PgType) -> bool {
    use PgType as P;
    let is_number = |pg_type: &P| {
        matches!(pg_type, P::Int2 | P::Int4 | P::Int8 | P::Float4 | P::Float8 | P::Numeric(_) | P::Oid | P::Reg(_))
    };
    let is_moment = |pg_type: &P| matches!(pg_type, P::Date | P::Timestamp | P::Timestamptz);
    match (from, to) {
        (_, P::Text | P::Varchar(_) | P::Char(_) | P::Name | P::InternalChar) => true,
        (P::Unknown | P::Void, _) => true,
        (P::Array(from), P::Array(to)) => has_assignment(from, to),
        (P::Json | P::Jsonb | P::Record, P::Json | P::Jsonb) => true,
        (P::Timestamp | P::Timestamptz | P::Interval, P::Time) | (P::Time, P::Interval) => true,
        (from, to) => from == to || (is_number(from) && is_number(to)) || (is_moment(from) && is_moment(to)),
    }
}
