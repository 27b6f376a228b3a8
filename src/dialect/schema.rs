//! CREATE SCHEMA and ALTER SCHEMA.

use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::{Error, Result};

/// `CREATE SCHEMA [IF NOT EXISTS] name [AUTHORIZATION role]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSchema {
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// The schema.
    pub name: String,
    /// AUTHORIZATION: the owner; `current_user` stays a word.
    pub owner: Option<String>,
}

/// `ALTER SCHEMA name ...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterSchema {
    /// The schema.
    pub name: String,
    /// What to do.
    pub change: SchemaChange,
}

/// What ALTER SCHEMA does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaChange {
    /// RENAME TO
    Rename(String),
    /// OWNER TO
    OwnerTo(String),
}

pub(super) fn read_create(reader: &mut Reader<'_>) -> Result<Statement> {
    let if_not_exists = reader.accept("if not exists");
    if reader.accept("authorization") {
        let owner = reader.identifier()?;
        return Ok(Statement::CreateSchema(CreateSchema { if_not_exists, name: owner.clone(), owner: Some(owner) }));
    }
    let name = reader.identifier()?;
    let owner = if reader.accept("authorization") { Some(reader.identifier()?) } else { None };
    if reader.peek("create") || reader.peek("grant") {
        return Err(Error::unsupported("CREATE SCHEMA with objects in it is not supported")
            .hint("Make the objects with statements of their own.")
            .at(reader.position()));
    }
    Ok(Statement::CreateSchema(CreateSchema { if_not_exists, name, owner }))
}

pub(super) fn read_alter(reader: &mut Reader<'_>) -> Result<Statement> {
    let name = reader.identifier()?;
    let change = match reader.accept_one(&["rename to", "owner to"]) {
        Some("rename to") => SchemaChange::Rename(reader.identifier()?),
        Some(_) => SchemaChange::OwnerTo(reader.identifier()?),
        None => return Err(reader.unexpected_for("RENAME TO or OWNER TO")),
    };
    Ok(Statement::AlterSchema(AlterSchema { name, change }))
}
