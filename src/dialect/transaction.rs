//! BEGIN, COMMIT, ROLLBACK and savepoints.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::{Error, Result};

/// What a transaction is asked to be; what is `None` was not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// ISOLATION LEVEL
    pub isolation: Option<Isolation>,
    /// READ ONLY, or READ WRITE
    pub read_only: Option<bool>,
    /// [NOT] DEFERRABLE
    pub deferrable: Option<bool>,
}

/// Levels of isolation. All are snapshot isolation here, as REPEATABLE READ is in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// READ UNCOMMITTED
    ReadUncommitted,
    /// READ COMMITTED
    ReadCommitted,
    /// REPEATABLE READ
    RepeatableRead,
    /// SERIALIZABLE
    Serializable,
}

impl Isolation {
    /// As settings show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read uncommitted",
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        }
    }
}

pub(super) fn read_begin(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.accept_one(&["transaction", "work"]);
    Ok(Statement::Begin(read_some_modes(reader)?))
}

pub(super) fn read_start(reader: &mut Reader<'_>) -> Result<Statement> {
    Ok(Statement::Begin(read_some_modes(reader)?))
}

/// At least one mode.
pub(super) fn read_modes(reader: &mut Reader<'_>) -> Result<TransactionModes> {
    if reader.peek("snapshot") {
        return Err(Error::unsupported("SET TRANSACTION SNAPSHOT is not supported").at(reader.position()));
    }
    let modes = read_some_modes(reader)?;
    match modes == TransactionModes::default() {
        true => Err(reader.unexpected_for("ISOLATION LEVEL, READ ONLY or READ WRITE")),
        false => Ok(modes),
    }
}

fn read_some_modes(reader: &mut Reader<'_>) -> Result<TransactionModes> {
    let mut modes = TransactionModes::default();
    loop {
        match reader.accept_one(&["isolation level", "read only", "read write", "not deferrable", "deferrable"]) {
            Some("isolation level") => modes.isolation = Some(read_isolation(reader)?),
            Some(words @ ("read only" | "read write")) => modes.read_only = Some(words == "read only"),
            Some(words) => modes.deferrable = Some(words == "deferrable"),
            None => return Ok(modes),
        }
        reader.accept_token(&Token::Comma);
    }
}

fn read_isolation(reader: &mut Reader<'_>) -> Result<Isolation> {
    match reader.accept_one(&["read uncommitted", "read committed", "repeatable read", "serializable"]) {
        Some("read uncommitted") => Ok(Isolation::ReadUncommitted),
        Some("read committed") => Ok(Isolation::ReadCommitted),
        Some("repeatable read") => Ok(Isolation::RepeatableRead),
        Some(_) => Ok(Isolation::Serializable),
        None => Err(reader.unexpected_for("a level of isolation")),
    }
}

/// After COMMIT or END.
pub(super) fn read_commit(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.accept_one(&["transaction", "work"]);
    Ok(Statement::Commit { chain: read_chain(reader) })
}

/// After ROLLBACK or ABORT.
pub(super) fn read_rollback(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.accept_one(&["transaction", "work"]);
    if reader.accept("to") {
        reader.accept("savepoint");
        return reader.identifier().map(Statement::RollbackTo);
    }
    Ok(Statement::Rollback { chain: read_chain(reader) })
}

fn read_chain(reader: &mut Reader<'_>) -> bool {
    reader.accept_one(&["and chain", "and no chain"]) == Some("and chain")
}

pub(super) fn read_savepoint(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.identifier().map(Statement::Savepoint)
}

pub(super) fn read_release(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.accept("savepoint");
    reader.identifier().map(Statement::Release)
}
