//! DESCRIBE, DESCRIBE HISTORY and RESTORE.

use datafusion::sql::sqlparser::ast::Expr;

use crate::catalog::name::ObjectName;
use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::{Error, ErrorKind, Result};

/// `DESCRIBE t`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Describe {
    /// The relation.
    pub relation: ObjectName,
    /// EXTENDED or DETAIL: also location, format, options.
    pub extended: bool,
}

/// `DESCRIBE HISTORY t [LIMIT n]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeHistory {
    /// The table.
    pub table: ObjectName,
    /// LIMIT
    pub limit: Option<u64>,
}

/// `RESTORE TABLE t TO VERSION AS OF n | TIMESTAMP AS OF t`
#[derive(Clone, Debug)]
pub struct Restore {
    /// The table.
    pub table: ObjectName,
    /// What it becomes again.
    pub to: TimePoint,
}

/// A version by number or by time.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a statement has a handful of them, moved once")]
pub enum TimePoint {
    /// VERSION AS OF
    Version(i64),
    /// TIMESTAMP AS OF
    Timestamp(Expr),
}

/// After DESCRIBE or DESC.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Statement> {
    // `DESCRIBE history` is a table of that name, `DESCRIBE HISTORY t` is not.
    let next_ends = |reader: &Reader<'_>| {
        use datafusion::sql::sqlparser::tokenizer::Token;
        matches!(reader.parser.peek_nth_token_ref(1).token, Token::EOF | Token::SemiColon | Token::Period)
    };
    if !next_ends(reader) && reader.accept("history") {
        reader.accept("table");
        let table = reader.name()?;
        let limit = if reader.accept("limit") { Some(limit(reader)?) } else { None };
        return Ok(Statement::DescribeHistory(DescribeHistory { table, limit }));
    }
    if !next_ends(reader) {
        reader.accept_one(&["table", "view"]);
    }
    let extended = !next_ends(reader) && reader.accept_one(&["extended", "detail", "formatted"]).is_some();
    Ok(Statement::Describe(Describe { relation: reader.name()?, extended }))
}

pub(super) fn read_restore(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.expect("table")?;
    let table = reader.name()?;
    reader.expect("to")?;
    let to = match reader.accept_one(&["version as of", "timestamp as of"]) {
        Some("version as of") => TimePoint::Version(reader.integer()?),
        Some(_) => TimePoint::Timestamp(reader.expression()?),
        None => return Err(reader.unexpected_for("VERSION AS OF or TIMESTAMP AS OF")),
    };
    Ok(Statement::Restore(Box::new(Restore { table, to })))
}

fn limit(reader: &mut Reader<'_>) -> Result<u64> {
    let position = reader.position();
    let limit = reader.integer()?;
    u64::try_from(limit)
        .map_err(|_| Error::new(ErrorKind::InvalidParameterValue, "LIMIT must not be negative").at(position))
}
