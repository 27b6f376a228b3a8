//! OPTIMIZE, VACUUM, ANALYZE and FLUSH: the upkeep of tables.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::name::ObjectName;
use crate::dialect::options::{Options, unknown};
use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::Result;

/// `OPTIMIZE t [WHERE p] [ZORDER BY (a, b)] [FULL]`
#[derive(Clone, Debug)]
pub struct Optimize {
    /// The table.
    pub table: ObjectName,
    /// WHERE: only files that may hold such rows.
    pub condition: Option<Expr>,
    /// ZORDER BY
    pub zorder_by: Vec<String>,
    /// FULL: also files that need no work.
    pub full: bool,
}

/// `VACUUM t [RETAIN n HOURS] [DRY RUN]`; PostgreSQL's own options are taken and mean nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Vacuum {
    /// The tables; none means all.
    pub tables: Vec<ObjectName>,
    /// RETAIN n HOURS
    pub retain_hours: Option<f64>,
    /// DRY RUN: say what would go.
    pub dry_run: bool,
    /// ANALYZE
    pub analyze: bool,
}

/// `ANALYZE [t [(columns)]]`: statistics are exact at all times, there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analyze {
    /// The tables; none means all.
    pub tables: Vec<ObjectName>,
}

/// `FLUSH TABLE t`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flush {
    /// The table.
    pub table: ObjectName,
}

pub(super) fn read_optimize(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.accept("table");
    let table = reader.name()?;
    let condition = if reader.accept("where") { Some(reader.expression()?) } else { None };
    let zorder_by = if reader.accept("zorder by") {
        match reader.parser.peek_token_ref().token {
            Token::LParen => reader.column_list()?,
            _ => reader.list(Reader::identifier)?,
        }
    } else {
        Vec::new()
    };
    let full = reader.accept("full");
    Ok(Statement::Optimize(Box::new(Optimize { table, condition, zorder_by, full })))
}

pub(super) fn read_vacuum(reader: &mut Reader<'_>) -> Result<Statement> {
    const KNOWN: [&str; 14] = [
        "full",
        "freeze",
        "verbose",
        "analyze",
        "disable_page_skipping",
        "skip_locked",
        "index_cleanup",
        "process_main",
        "process_toast",
        "truncate",
        "parallel",
        "skip_database_stats",
        "only_database_stats",
        "buffer_usage_limit",
    ];
    let mut vacuum = Vacuum { tables: Vec::new(), retain_hours: None, dry_run: false, analyze: false };
    if reader.parser.peek_token_ref().token == Token::LParen {
        let options = Options::read(reader)?;
        options.require_known("VACUUM", &KNOWN)?;
        vacuum.analyze = options.get("analyze").map_or(Ok(false), |choice| choice.boolean())?;
    }
    while let Some(word) = reader.accept_one(&["full", "freeze", "verbose", "analyze", "analyse"]) {
        vacuum.analyze |= word.starts_with("anal");
    }
    reader.accept("table");
    if !reader.statement_ends() {
        vacuum.tables = reader.list(table_with_columns)?;
    }
    if reader.accept("retain") {
        vacuum.retain_hours = Some(hours(reader)?);
    }
    vacuum.dry_run = reader.accept("dry run");
    Ok(Statement::Vacuum(vacuum))
}

pub(super) fn read_analyze(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.parser.peek_token_ref().token == Token::LParen {
        Options::read(reader)?.require_known("ANALYZE", &["verbose", "skip_locked", "buffer_usage_limit"])?;
    }
    reader.accept("verbose");
    let tables = if reader.statement_ends() { Vec::new() } else { reader.list(table_with_columns)? };
    Ok(Statement::Analyze(Analyze { tables }))
}

pub(super) fn read_flush(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.expect("table")?;
    Ok(Statement::Flush(Flush { table: reader.name()? }))
}

/// The columns of VACUUM ANALYZE name whose statistics to take; all are always there.
fn table_with_columns(reader: &mut Reader<'_>) -> Result<ObjectName> {
    let name = reader.name()?;
    reader.optional_column_list()?;
    Ok(name)
}

fn hours(reader: &mut Reader<'_>) -> Result<f64> {
    let Token::Number(digits, _) = &reader.parser.peek_token_ref().token else {
        return Err(reader.unexpected_for("a number of hours"));
    };
    let Ok(number) = digits.parse::<f64>() else { return Err(reader.unexpected_for("a number of hours")) };
    reader.parser.advance_token();
    match reader.accept_one(&["hours", "hour", "days", "day"]) {
        Some(unit) if unit.starts_with("day") => Ok(number * 24.0),
        Some(_) => Ok(number),
        None => Err(match &reader.parser.peek_token_ref().token {
            Token::Word(word) => {
                unknown("VACUUM", &word.value, &["RETAIN n HOURS", "RETAIN n DAYS", "DRY RUN"]).at(reader.position())
            }
            _ => reader.unexpected_for("HOURS"),
        }),
    }
}
