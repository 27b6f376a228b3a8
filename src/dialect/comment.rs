//! COMMENT ON.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::name::ObjectName;
use crate::dialect::reader::Reader;
use crate::dialect::statement::{Statement, other_object};
use crate::error::{Error, ErrorKind, Result};

/// `COMMENT ON target IS text`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// What it is about.
    pub target: CommentTarget,
    /// The text; `None` removes it.
    pub text: Option<String>,
}

/// What a comment is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentTarget {
    /// TABLE
    Table(ObjectName),
    /// VIEW
    View(ObjectName),
    /// COLUMN relation.column
    Column(ObjectName, String),
    /// SCHEMA
    Schema(String),
    /// DATABASE
    Database(String),
    /// ROLE
    Role(String),
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Statement> {
    let position = reader.position();
    let target = match reader.accept_one(&["table", "view", "column", "schema", "database", "role"]) {
        Some("table") => CommentTarget::Table(reader.name()?),
        Some("view") => CommentTarget::View(reader.name()?),
        Some("schema") => CommentTarget::Schema(reader.identifier()?),
        Some("database") => CommentTarget::Database(reader.identifier()?),
        Some("role") => CommentTarget::Role(reader.identifier()?),
        Some(_) => column(reader).map_err(|error| error.at(position))?,
        None if reader.peek("constraint") => {
            return Err(Error::unsupported("COMMENT ON CONSTRAINT is not supported").at(position));
        }
        None => return other_object(reader, "COMMENT ON"),
    };
    reader.expect("is")?;
    let text = if reader.accept("null") { None } else { Some(reader.string()?) };
    Ok(Statement::Comment(Comment { target, text }))
}

fn column(reader: &mut Reader<'_>) -> Result<CommentTarget> {
    let mut parts = vec![reader.identifier()?];
    while reader.accept_token(&Token::Period) {
        parts.push(reader.identifier()?);
    }
    match (parts.pop(), parts.is_empty()) {
        (Some(column), false) => Ok(CommentTarget::Column(ObjectName::from_parts(&parts, "headwater")?, column)),
        _ => Err(Error::new(ErrorKind::SyntaxError, "column name must be qualified")
            .hint("Write COMMENT ON COLUMN t.c IS '...'.")),
    }
}
