//! GRANT and REVOKE: read and kept as they are; whoever checks them gives them meaning.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::name::ObjectName;
use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::{Error, Result};

/// What is granted or revoked, on what, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// `select`, `insert`, ... with their columns (none means all); `all` alone means all of them.
    pub privileges: Vec<(String, Vec<String>)>,
    /// The kind of object: `table`, `all tables in schema`, `schema`, `database`, `sequence`, ...; `role` grants memberships.
    pub kind: String,
    /// The objects.
    pub objects: Vec<ObjectName>,
    /// The roles; `public` is everyone.
    pub roles: Vec<String>,
    /// WITH GRANT OPTION, or GRANT OPTION FOR.
    pub grant_option: bool,
    /// CASCADE, of REVOKE.
    pub cascade: bool,
}

pub(super) fn read_grant(reader: &mut Reader<'_>) -> Result<Statement> {
    let mut privileges = read(reader, "to")?;
    privileges.grant_option = reader.accept_one(&["with grant option", "with admin option"]).is_some();
    read_grantor(reader)?;
    Ok(Statement::Grant(Box::new(privileges)))
}

pub(super) fn read_revoke(reader: &mut Reader<'_>) -> Result<Statement> {
    let grant_option = reader.accept_one(&["grant option for", "admin option for"]).is_some();
    let mut privileges = read(reader, "from")?;
    read_grantor(reader)?;
    privileges.grant_option = grant_option;
    privileges.cascade = reader.accept_one(&["cascade", "restrict"]) == Some("cascade");
    Ok(Statement::Revoke(Box::new(privileges)))
}

fn read(reader: &mut Reader<'_>, direction: &str) -> Result<Privileges> {
    let privileges = reader.list(read_privilege)?;
    let (kind, objects) = if reader.accept("on") { read_objects(reader)? } else { ("role".to_owned(), Vec::new()) };
    reader.expect(direction)?;
    let roles = reader.list(|reader| {
        reader.accept("group");
        reader.identifier()
    })?;
    Ok(Privileges { privileges, kind, objects, roles, grant_option: false, cascade: false })
}

fn read_privilege(reader: &mut Reader<'_>) -> Result<(String, Vec<String>)> {
    let name = reader.identifier()?;
    if name == "all" {
        reader.accept("privileges");
    }
    Ok((name, reader.optional_column_list()?))
}

fn read_objects(reader: &mut Reader<'_>) -> Result<(String, Vec<ObjectName>)> {
    const KINDS: [&str; 16] = [
        "all tables in schema",
        "all sequences in schema",
        "all functions in schema",
        "all routines in schema",
        "table",
        "schema",
        "database",
        "sequence",
        "function",
        "procedure",
        "routine",
        "domain",
        "language",
        "tablespace",
        "type",
        "parameter",
    ];
    if reader.peek("foreign") || reader.peek("large object") {
        return Err(Error::unsupported("GRANT on this kind of object is not supported").at(reader.position()));
    }
    let kind = reader.accept_one(&KINDS).unwrap_or("table");
    let objects = reader.list(|reader| {
        let name = reader.name()?;
        // The types of a function's arguments.
        if reader.accept_token(&Token::LParen) {
            while !reader.accept_token(&Token::RParen) {
                if reader.statement_ends() {
                    return Err(reader.unexpected());
                }
                reader.parser.advance_token();
            }
        }
        Ok(name)
    })?;
    Ok((kind.to_owned(), objects))
}

fn read_grantor(reader: &mut Reader<'_>) -> Result<()> {
    if reader.accept("granted by") {
        reader.identifier()?;
    }
    Ok(())
}
