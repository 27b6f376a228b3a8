//! `WATERMARK FOR column AS column - interval`: up to when all events of a table are taken to be there.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

use crate::dialect::names::identifier;
use crate::dialect::reader::Reader;
use crate::error::{Error, Result};

/// `WATERMARK FOR column AS column - delay`
#[derive(Clone, Debug)]
pub struct Watermark {
    /// The column with the time of the event.
    pub column: String,
    /// How much later than others an event may come; an interval.
    pub delay: Expr,
    /// Where it begins in the message.
    pub position: usize,
}

/// A watermark, if one comes next.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Watermark>> {
    let position = reader.position();
    if !reader.accept("watermark for") {
        return Ok(None);
    }
    let column = reader.identifier()?;
    reader.expect("as")?;
    let place = reader.position();
    match delay(reader.expression()?, &column) {
        Some(delay) => Ok(Some(Watermark { column, delay, position })),
        None => Err(Error::unsupported("a watermark is its column, less an interval")
            .hint(format!("Write WATERMARK FOR {column} AS {column} - INTERVAL '5 seconds'."))
            .at(place)),
    }
}

/// What is taken from the column, where the expression is that and nothing else.
fn delay(expression: Expr, column: &str) -> Option<Expr> {
    match expression {
        Expr::Nested(inner) => delay(*inner, column),
        Expr::BinaryOp { left, op: BinaryOperator::Minus, right } => match *left {
            Expr::Identifier(name) if identifier(&name) == column => Some(*right),
            _ => None,
        },
        _ => None,
    }
}
