//! COPY, in the form with parentheses and in the old one.

use datafusion::sql::sqlparser::ast::{self, Expr};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::name::ObjectName;
use crate::dialect::reader::Reader;
use crate::dialect::statement::{Statement, Tree};
use crate::error::{Error, ErrorKind, Result};

mod options;

pub use options::{CopyFileFormat, CopyHeader, CopyOptions, CopyVerbosity};

/// `COPY source FROM | TO target options`
#[derive(Clone, Debug)]
pub struct Copy {
    /// What is read or written.
    pub source: CopySource,
    /// True for FROM: rows come in.
    pub from: bool,
    /// The other end.
    pub target: CopyTarget,
    /// How the data is written.
    pub options: CopyOptions,
    /// WHERE, of COPY FROM: rows that it does not hold for are left out.
    pub condition: Option<Expr>,
}

/// Whose rows COPY moves.
#[derive(Clone, Debug)]
pub enum CopySource {
    /// A table, and some of its columns; none means all.
    Table(ObjectName, Vec<String>),
    /// `(SELECT ...)`, or a change with RETURNING.
    Query(Box<Statement>),
}

/// The other end of COPY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyTarget {
    /// STDIN or STDOUT: the client.
    Client,
    /// A file or an object by path or URL.
    File(String),
}

impl Copy {
    pub(super) fn trees(&mut self) -> Vec<Tree<'_>> {
        let query = match &mut self.source {
            CopySource::Query(statement) => match &mut **statement {
                Statement::Query(query) => Some(Tree::Query(query)),
                _ => None,
            },
            CopySource::Table(..) => None,
        };
        query.into_iter().chain(self.condition.iter_mut().map(Tree::Expression)).collect()
    }

    /// The query that is copied, if it is a plain one.
    pub fn query(&self) -> Option<&ast::Query> {
        match &self.source {
            CopySource::Query(statement) => match &**statement {
                Statement::Query(query) => Some(query),
                _ => None,
            },
            CopySource::Table(..) => None,
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Statement> {
    let position = reader.position();
    let binary = reader.accept("binary");
    let source = if reader.accept_token(&Token::LParen) {
        let statement = reader.statement()?;
        reader.expect_token(&Token::RParen)?;
        check_source(&statement).map_err(|error| error.at(position))?;
        CopySource::Query(Box::new(statement))
    } else {
        let name = reader.name()?;
        CopySource::Table(name, reader.optional_column_list()?)
    };
    let from = match reader.accept_one(&["from", "to"]) {
        Some(direction) => direction == "from",
        None => return Err(reader.unexpected_for("FROM or TO")),
    };
    if from && matches!(source, CopySource::Query(_)) {
        return Err(Error::new(ErrorKind::SyntaxError, "COPY FROM takes a table, not a query").at(position));
    }
    let target = target(reader)?;
    let mut options = CopyOptions::read(reader, binary)?;
    options.infer_format(binary, &target);
    options.check(from).map_err(|error| options::placed(error, position))?;
    let condition = if from && reader.accept("where") { Some(reader.expression()?) } else { None };
    Ok(Statement::Copy(Box::new(Copy { source, from, target, options, condition })))
}

fn check_source(statement: &Statement) -> Result<()> {
    let returns = match statement {
        Statement::Query(_) => true,
        Statement::Insert(insert) => insert.returning.is_some(),
        Statement::Update(update) => update.returning.is_some(),
        Statement::Delete(delete) => delete.returning.is_some(),
        Statement::Merge(merge) => merge.output.is_some(),
        _ => return Err(Error::new(ErrorKind::SyntaxError, "COPY takes a table or a query")),
    };
    match returns {
        true => Ok(()),
        false => Err(Error::unsupported("COPY query must have a RETURNING clause")),
    }
}

fn target(reader: &mut Reader<'_>) -> Result<CopyTarget> {
    let position = reader.position();
    if reader.accept_one(&["stdin", "stdout"]).is_some() {
        return Ok(CopyTarget::Client);
    }
    if reader.accept("program") {
        return Err(Error::unsupported("COPY ... PROGRAM is not supported")
            .hint("Pipe the program into psql's \\copy.")
            .at(position));
    }
    match reader.optional_string() {
        Some(path) => Ok(CopyTarget::File(path)),
        None => Err(reader.unexpected_for("STDIN, STDOUT or the path of a file in quotes")),
    }
}
