//! LISTEN, UNLISTEN and NOTIFY.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::{Error, ErrorKind, Result};

/// The longest payload, as in PostgreSQL.
const PAYLOAD_BYTES_MAX: usize = 7_999;

/// `NOTIFY channel [, payload]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The channel.
    pub channel: String,
    /// The payload, empty if there is none.
    pub payload: String,
}

pub(super) fn read_listen(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.identifier().map(Statement::Listen)
}

pub(super) fn read_unlisten(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.accept_token(&Token::Mul) {
        return Ok(Statement::Unlisten(None));
    }
    reader.identifier().map(|channel| Statement::Unlisten(Some(channel)))
}

pub(super) fn read_notify(reader: &mut Reader<'_>) -> Result<Statement> {
    let channel = reader.identifier()?;
    let position = reader.position();
    let payload = if reader.accept_token(&Token::Comma) { reader.string()? } else { String::new() };
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidParameterValue, "payload string too long").at(position));
    }
    Ok(Statement::Notify(Notify { channel, payload }))
}
