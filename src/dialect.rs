//! Text to our statements. Queries and data changes carry sqlparser's AST; what lakehouse users add to PostgreSQL is ours.
//!
//! A message is cut into tokens once and read statement by statement; every error has a 1-based character position in
//! the message. Invariant: what is accepted is in the statement, nothing is dropped on the way: a clause that later
//! floors lack reaches them (or is refused here), and an unknown option is an error that names the known ones.

use datafusion::sql::sqlparser::ast;

use crate::catalog::name::ObjectName;
use crate::error::{Error, ErrorKind, Result};

mod alter_table;
mod comment;
mod conflict;
mod copy;
mod create_source;
mod create_table;
mod create_view;
mod cursor;
mod data_type;
mod describe;
mod drop;
mod explain;
mod grant;
mod language;
mod maintenance;
mod merge;
mod names;
mod notify;
mod options;
mod place;
mod prepared;
mod reader;
mod role;
mod schema;
mod settings;
mod shape;
mod source;
mod statement;
mod transaction;
pub mod walk;
mod watermark;

#[cfg(test)]
mod tests;

pub use alter_table::{AlterRelation, AlterTable, TableChange};
pub use comment::{Comment, CommentTarget};
pub use copy::{Copy, CopyFileFormat, CopyHeader, CopySource, CopyTarget, CopyVerbosity};
pub use create_source::{AlterSource, CreateSource, DropSource, SourceChange, SourceStatement};
pub use create_table::{Constraint, ConstraintRule, CreateTable, NewColumn};
pub use create_view::CreateView;
pub use describe::{Describe, DescribeHistory, Restore, TimePoint};
pub use drop::{Drop, DropKind, Truncate};
pub use explain::Explain;
pub use maintenance::{Flush, Optimize, Vacuum};
pub use merge::is_do_nothing;
pub use names::{column_names, identifier, object_name, relation_names};
pub use options::{Choice, Options};
pub use prepared::{Execute, Prepare};
pub use role::{AlterRole, CreateRole, RoleOptions, RoleSetting};
pub use schema::{AlterSchema, CreateSchema, SchemaChange};
pub use settings::{Discard, SetScope, SetValue, SetVariable, Setting};
pub use source::{Origin, Parsed};
pub use statement::Statement;
pub use transaction::{Isolation, TransactionModes};
pub use watermark::Watermark;

use reader::Reader;
use source::Source;

/// Reads all statements of a message. Empty statements are left out: no statement is an empty list.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    let source = Source::new(sql)?;
    source.within_stack(|tokens| Reader::new(&source, tokens).statements())
}

/// Reads one expression, such as a default that the catalog keeps as text.
pub fn parse_expression(text: &str) -> Result<ast::Expr> {
    let source = Source::new(text)?;
    source.within_stack(|tokens| {
        let mut reader = Reader::new(&source, tokens);
        let mut expression = reader.expression()?;
        reader.end()?;
        shape::settle(&mut expression, source.is_deep())?;
        Ok(expression)
    })
}

/// Reads the name of an object alone, as it stands in a statement: folded unless quoted, with or without its schema.
pub fn parse_name(text: &str) -> Result<ObjectName> {
    match parse_expression(text)? {
        ast::Expr::Identifier(part) => object_name(&ast::ObjectName::from(vec![part])),
        ast::Expr::CompoundIdentifier(parts) => object_name(&ast::ObjectName::from(parts)),
        _ => Err(Error::new(ErrorKind::InvalidName, format!("\"{text}\" is not the name of an object"))),
    }
}

/// Reads one query, such as a view's that the catalog keeps as text.
pub fn parse_query(text: &str) -> Result<ast::Query> {
    match single(text)? {
        Statement::Query(query) => Ok(*query),
        _ => Err(Error::new(ErrorKind::SyntaxError, "the text is not a query")),
    }
}

/// Reads one MERGE.
pub fn parse_merge(text: &str) -> Result<ast::Merge> {
    match single(text)? {
        Statement::Merge(merge) => Ok(*merge),
        _ => Err(Error::new(ErrorKind::SyntaxError, "the text is not a MERGE")),
    }
}

fn single(text: &str) -> Result<Statement> {
    let mut statements = parse(text)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(only), true) => Ok(only.statement),
        _ => Err(Error::new(ErrorKind::SyntaxError, "the text is not one statement")),
    }
}
