//! One value of VALUES that needs no plan: what it says for a column of a type.

use datafusion::sql::sqlparser::ast::{self, CastKind, Expr, UnaryOperator};

use crate::catalog::definition::ColumnDef;
use crate::catalog::pg_type::PgType;
use crate::engine::assign::unbounded;
use crate::engine::functions::FunctionContext;
use crate::engine::functions::cast::convert::convert;
use crate::engine::functions::cast::parse;
use crate::engine::functions::kind::is_text;
use crate::engine::functions::value::Value;
use crate::engine::shim;
use crate::error::{Error, ErrorKind, Result};

/// Digits that every numeric type on the way to a column's has room for.
const DIGITS_MAX: usize = 18;

/// What is written for a column in one row.
pub(super) enum Cell {
    Null,
    Bool(bool),
    /// Read as the column's type.
    Text(String),
    /// Digits, perhaps with a sign and a point.
    Number(String),
    /// `$n`, from 0; cast to the column's type where it stands.
    Parameter {
        place: usize,
        is_cast: bool,
    },
}

impl Cell {
    /// The value of a literal, as the column's type.
    pub fn value(&self, column: &ColumnDef, session: &FunctionContext) -> Result<Value<'static>> {
        let pg_type = unbounded(&column.pg_type);
        let (value, from) = match self {
            Self::Null => return Ok(Value::Null),
            Self::Bool(truth) => (Value::Bool(*truth), PgType::Bool),
            Self::Text(text) => (Value::Text(text.as_str().into()), PgType::Text),
            Self::Number(digits) if is_float(&pg_type) => (Value::Text(digits.as_str().into()), PgType::Text),
            Self::Number(digits) if is_integer(&pg_type) => {
                let number =
                    digits.parse().map_err(|_| Error::new(ErrorKind::NumericValueOutOfRange, "out of range"))?;
                (Value::Int(number), PgType::Int8)
            }
            Self::Number(digits) => {
                let (digits, scale) = parse::decimal(digits)?;
                (Value::Decimal(digits, scale), PgType::Numeric(None))
            }
            Self::Parameter { .. } => return Err(Error::internal("a parameter has no value of its own")),
        };
        convert(value, &from, &pg_type, &pg_type.arrow(), session)
    }
}

/// What an expression says for a column of that type; `None` where it takes a plan to know.
pub(super) fn cell(expr: &Expr, pg_type: &PgType) -> Option<Cell> {
    match expr {
        Expr::Value(value) => plain(&value.value, pg_type),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(value) if !is_text(&pg_type.arrow()) => match plain(&value.value, pg_type)? {
                Cell::Number(digits) => Some(Cell::Number(format!("-{digits}"))),
                _ => None,
            },
            _ => None,
        },
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, array: false, format: None } => {
            let value = match expr.as_ref() {
                Expr::Value(value) if is_same(data_type, pg_type) => &value.value,
                _ => return None,
            };
            match plain(value, pg_type)? {
                Cell::Parameter { place, .. } => Some(Cell::Parameter { place, is_cast: true }),
                // A number or a truth value is printed first, and not spelled as it was written.
                Cell::Text(_) if !matches!(value, ast::Value::SingleQuotedString(_)) => None,
                literal => Some(literal),
            }
        }
        Expr::TypedString(typed) if is_same(&typed.data_type, pg_type) => match &typed.value.value {
            text @ ast::Value::SingleQuotedString(_) => plain(text, pg_type),
            _ => None,
        },
        _ => None,
    }
}

fn plain(value: &ast::Value, pg_type: &PgType) -> Option<Cell> {
    use ast::Value as V;
    Some(match value {
        V::Null => Cell::Null,
        V::SingleQuotedString(text) => Cell::Text(text.clone()),
        V::Boolean(truth) if *pg_type == PgType::Bool => Cell::Bool(*truth),
        V::Boolean(truth) if is_text(&pg_type.arrow()) => Cell::Text(truth.to_string()),
        V::Number(digits, _) => number(digits, pg_type)?,
        V::Placeholder(name) => {
            let number: usize = name.strip_prefix('$')?.parse().ok()?;
            Cell::Parameter { place: number.checked_sub(1)?, is_cast: false }
        }
        _ => return None,
    })
}

fn number(digits: &str, pg_type: &PgType) -> Option<Cell> {
    let is_whole = digits.parse::<i64>().is_ok();
    if is_text(&pg_type.arrow()) {
        let is_canonical = digits.parse::<i64>().is_ok_and(|number| number.to_string() == digits);
        return is_canonical.then(|| Cell::Text(digits.to_owned()));
    }
    let is_plain = digits.len() <= DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let fits = match pg_type {
        PgType::Int2 | PgType::Int4 | PgType::Int8 => is_whole,
        PgType::Float4 | PgType::Float8 => true,
        PgType::Numeric(None) => is_plain,
        PgType::Numeric(Some((_, scale))) => is_plain && *scale >= 0,
        _ => false,
    };
    fits.then(|| Cell::Number(digits.to_owned()))
}

/// True where a cast to the written type changes no value of the column's.
fn is_same(written: &ast::DataType, pg_type: &PgType) -> bool {
    use PgType as P;
    let cuts = matches!(pg_type, P::Varchar(_) | P::Char(_) | P::Name | P::InternalChar | P::Reg(_) | P::Array(_));
    !cuts && shim::pg_type(written).as_ref() == Some(pg_type)
}

fn is_float(pg_type: &PgType) -> bool {
    matches!(pg_type, PgType::Float4 | PgType::Float8)
}

fn is_integer(pg_type: &PgType) -> bool {
    matches!(pg_type, PgType::Int2 | PgType::Int4 | PgType::Int8)
}
