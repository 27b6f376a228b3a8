//! DROP and TRUNCATE.

use crate::catalog::name::ObjectName;
use crate::dialect::create_source;
use crate::dialect::reader::Reader;
use crate::dialect::statement::{Statement, other_object};
use crate::error::{Error, Result};

/// `DROP kind [IF EXISTS] names [CASCADE | RESTRICT]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// The kind of object.
    pub kind: DropKind,
    /// IF EXISTS
    pub if_exists: bool,
    /// The objects; schemas and roles have bare names.
    pub names: Vec<ObjectName>,
    /// CASCADE
    pub cascade: bool,
}

/// What DROP drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropKind {
    /// TABLE
    Table,
    /// VIEW
    View,
    /// SCHEMA
    Schema,
    /// ROLE or USER
    Role,
}

/// `TRUNCATE [TABLE] names [CASCADE | RESTRICT]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncate {
    /// The tables.
    pub names: Vec<ObjectName>,
    /// CASCADE
    pub cascade: bool,
    /// RESTART IDENTITY
    pub restart_identity: bool,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.accept("source") {
        return create_source::read_drop(reader);
    }
    let kind = match reader.accept_one(&["table", "view", "schema", "role", "user", "group"]) {
        Some("table") => DropKind::Table,
        Some("view") => DropKind::View,
        Some("schema") => DropKind::Schema,
        Some(_) => DropKind::Role,
        None => return other_object(reader, "DROP"),
    };
    let if_exists = reader.accept("if exists");
    let names = match kind {
        DropKind::Table | DropKind::View => reader.list(Reader::name)?,
        DropKind::Schema | DropKind::Role => reader.list(|reader| reader.identifier().map(ObjectName::bare))?,
    };
    Ok(Statement::Drop(Drop { kind, if_exists, names, cascade: read_cascade(reader) }))
}

pub(super) fn read_truncate(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.accept("table");
    if reader.peek("only") {
        return Err(Error::unsupported("TRUNCATE ONLY is not supported").at(reader.position()));
    }
    let names = reader.list(Reader::name)?;
    let restart_identity = reader.accept("restart identity");
    if !restart_identity {
        reader.accept("continue identity");
    }
    Ok(Statement::Truncate(Truncate { names, cascade: read_cascade(reader), restart_identity }))
}

/// CASCADE, or RESTRICT, which is the default.
pub(super) fn read_cascade(reader: &mut Reader<'_>) -> bool {
    reader.accept_one(&["cascade", "restrict"]) == Some("cascade")
}
