//! PREPARE, EXECUTE and DEALLOCATE.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::pg_type::PgType;
use crate::dialect::data_type;
use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::{Error, ErrorKind, Result};

/// `PREPARE name [(types)] AS statement`
#[derive(Clone, Debug)]
pub struct Prepare {
    /// The statement's name.
    pub name: String,
    /// Types of the first parameters; `None` where `unknown` was written.
    pub types: Vec<Option<PgType>>,
    /// What to run.
    pub statement: Box<Statement>,
}

/// `EXECUTE name [(arguments)]`
#[derive(Clone, Debug)]
pub struct Execute {
    /// The statement's name.
    pub name: String,
    /// Values for its parameters.
    pub arguments: Vec<Expr>,
}

pub(super) fn read_prepare(reader: &mut Reader<'_>) -> Result<Statement> {
    let name = reader.identifier()?;
    let types = match reader.parser.peek_token_ref().token {
        Token::LParen => reader.parenthesised(|reader| {
            let unknown = reader.accept("unknown");
            if unknown { Ok(None) } else { data_type::read(reader).map(Some) }
        })?,
        _ => Vec::new(),
    };
    reader.expect("as")?;
    let position = reader.position();
    let statement = reader.statement()?;
    let can = matches!(
        statement,
        Statement::Query(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Merge(_)
    );
    if !can {
        return Err(Error::new(
            ErrorKind::SyntaxError,
            "PREPARE takes SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES",
        )
        .at(position));
    }
    Ok(Statement::Prepare(Prepare { name, types, statement: Box::new(statement) }))
}

pub(super) fn read_execute(reader: &mut Reader<'_>) -> Result<Statement> {
    let name = reader.identifier()?;
    let arguments = match reader.parser.peek_token_ref().token {
        Token::LParen => reader.parenthesised(Reader::expression)?,
        _ => Vec::new(),
    };
    Ok(Statement::Execute(Execute { name, arguments }))
}

pub(super) fn read_deallocate(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.accept("prepare");
    if reader.accept("all") {
        return Ok(Statement::Deallocate(None));
    }
    reader.identifier().map(|name| Statement::Deallocate(Some(name)))
}
