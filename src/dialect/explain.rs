//! EXPLAIN.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::options::Options;
use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::{Error, ErrorKind, Result};

/// `EXPLAIN [ANALYZE] [VERBOSE] [(options)] statement`
#[derive(Clone, Debug)]
pub struct Explain {
    /// ANALYZE: run it.
    pub analyze: bool,
    /// VERBOSE
    pub verbose: bool,
    /// FORMAT
    pub format: ExplainFormat,
    /// The statement.
    pub statement: Box<Statement>,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExplainFormat {
    /// Lines of text.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Statement> {
    let mut explain = Explain {
        analyze: false,
        verbose: false,
        format: ExplainFormat::default(),
        // Replaced below.
        statement: Box::new(Statement::SetConstraints),
    };
    if reader.parser.peek_token_ref().token == Token::LParen && !starts_query(reader) {
        read_options(reader, &mut explain)?;
    } else {
        while let Some(word) = reader.accept_one(&["analyze", "analyse", "verbose"]) {
            if word == "verbose" { explain.verbose = true } else { explain.analyze = true }
        }
    }
    let position = reader.position();
    let statement = reader.statement()?;
    let can = matches!(
        statement,
        Statement::Query(_)
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Merge(_)
            | Statement::Execute(_)
            | Statement::DeclareCursor(_)
            | Statement::Optimize(_)
    );
    let makes = matches!(&statement, Statement::CreateTable(table) if table.query.is_some());
    if !can && !makes {
        return Err(Error::new(ErrorKind::SyntaxError, "EXPLAIN takes a query or a change of rows").at(position));
    }
    explain.statement = Box::new(statement);
    Ok(Statement::Explain(explain))
}

/// `EXPLAIN (SELECT 1)`, not `EXPLAIN (ANALYZE) SELECT 1`.
fn starts_query(reader: &Reader<'_>) -> bool {
    match &reader.parser.peek_nth_token_ref(1).token {
        Token::LParen => true,
        Token::Word(word) => {
            ["select", "with", "values", "table"].iter().any(|first| word.value.eq_ignore_ascii_case(first))
        }
        _ => false,
    }
}

fn read_options(reader: &mut Reader<'_>, explain: &mut Explain) -> Result<()> {
    const KNOWN: [&str; 11] = [
        "analyze",
        "verbose",
        "costs",
        "settings",
        "generic_plan",
        "buffers",
        "serialize",
        "wal",
        "timing",
        "summary",
        "format",
    ];
    let options = Options::read(reader)?;
    options.require_known("EXPLAIN", &KNOWN)?;
    for choice in &options.list {
        match choice.name.as_str() {
            "analyze" => explain.analyze = choice.boolean()?,
            "verbose" => explain.verbose = choice.boolean()?,
            "format" => {
                explain.format = match choice.text()?.to_ascii_lowercase().as_str() {
                    "text" => ExplainFormat::Text,
                    "json" => ExplainFormat::Json,
                    "xml" | "yaml" => {
                        return Err(Error::unsupported("EXPLAIN formats are text and json").at(choice.position));
                    }
                    _ => return Err(choice.invalid("it takes text or json")),
                }
            }
            "serialize" => {}
            // What they add is always shown, or there is no such thing here.
            _ => {
                choice.boolean()?;
            }
        }
    }
    Ok(())
}
