//! CREATE, ALTER of roles; a user is a role that can log in.

use crate::dialect::reader::Reader;
use crate::dialect::settings::{SetValue, Setting, read_name, read_value};
use crate::dialect::statement::Statement;
use crate::error::{Error, ErrorKind, Result};

use datafusion::sql::sqlparser::tokenizer::Token;

/// `CREATE ROLE | USER name options`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRole {
    /// IF NOT EXISTS (ours)
    pub if_not_exists: bool,
    /// The role.
    pub name: String,
    /// Its options; LOGIN is set for CREATE USER.
    pub options: RoleOptions,
}

/// `ALTER ROLE | USER name ...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterRole {
    /// Other options.
    Options(String, RoleOptions),
    /// RENAME TO
    Rename(String, String),
    /// SET name = value, or RESET name.
    Setting(String, RoleSetting),
}

/// A setting that the role's sessions start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSetting {
    /// SET
    Set(String, SetValue),
    /// RESET
    Reset(Setting),
}

/// Options of a role; what is `None` was not said.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RoleOptions {
    /// SUPERUSER
    pub superuser: Option<bool>,
    /// LOGIN
    pub login: Option<bool>,
    /// PASSWORD: `Some(None)` is PASSWORD NULL. Clear text or a SCRAM verifier; never printed.
    pub password: Option<Option<String>>,
    /// CONNECTION LIMIT
    pub connection_limit: Option<i64>,
    /// IN ROLE and ROLE: memberships, which are not kept yet.
    pub memberships: Vec<String>,
    /// VALID UNTIL
    pub valid_until: Option<String>,
}

// The derived form would show the password.
impl std::fmt::Debug for RoleOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleOptions")
            .field("superuser", &self.superuser)
            .field("login", &self.login)
            .field("password", &self.password.as_ref().map(|password| password.as_ref().map(|_| "***")))
            .field("connection_limit", &self.connection_limit)
            .field("memberships", &self.memberships)
            .field("valid_until", &self.valid_until)
            .finish()
    }
}

/// After CREATE ROLE, USER or GROUP.
pub(super) fn read_create(reader: &mut Reader<'_>) -> Result<Statement> {
    let is_user = matches!(&reader.parser.get_current_token().token, Token::Word(word) if word.value.eq_ignore_ascii_case("user"));
    if is_user && reader.peek("mapping") {
        return Err(Error::unsupported("CREATE USER MAPPING is not supported").at(reader.position()));
    }
    let if_not_exists = reader.accept("if not exists");
    let name = reader.identifier()?;
    reader.accept("with");
    let mut options = read_options(reader)?;
    if is_user {
        options.login.get_or_insert(true);
    }
    Ok(Statement::CreateRole(CreateRole { if_not_exists, name, options }))
}

/// After ALTER ROLE, USER or GROUP.
pub(super) fn read_alter(reader: &mut Reader<'_>) -> Result<Statement> {
    let position = reader.position();
    let name = reader.identifier()?;
    if reader.peek("in database") || reader.peek("add") || reader.peek("drop") {
        return Err(Error::unsupported("this form of ALTER ROLE is not supported").at(position));
    }
    if reader.accept("rename to") {
        return Ok(Statement::AlterRole(AlterRole::Rename(name, reader.identifier()?)));
    }
    if reader.accept("set") {
        let setting = read_name(reader)?;
        if !reader.accept_token(&Token::Eq) && !reader.accept("to") {
            return Err(reader.unexpected_for("= or TO"));
        }
        let value =
            if reader.accept("default") { SetValue::Default } else { SetValue::Values(reader.list(read_value)?) };
        return Ok(Statement::AlterRole(AlterRole::Setting(name, RoleSetting::Set(setting, value))));
    }
    if reader.accept("reset") {
        let setting = if reader.accept("all") { Setting::All } else { Setting::Named(read_name(reader)?) };
        return Ok(Statement::AlterRole(AlterRole::Setting(name, RoleSetting::Reset(setting))));
    }
    reader.accept("with");
    if reader.statement_ends() {
        return Err(reader.unexpected_for("an option of the role"));
    }
    Ok(Statement::AlterRole(AlterRole::Options(name, read_options(reader)?)))
}

fn read_options(reader: &mut Reader<'_>) -> Result<RoleOptions> {
    let mut options = RoleOptions::default();
    while !reader.statement_ends() {
        let position = reader.position();
        let words = [
            "superuser",
            "nosuperuser",
            "login",
            "nologin",
            "encrypted password",
            "password",
            "connection limit",
            "valid until",
            "in role",
            "in group",
            "role",
            "admin",
            "inherit",
            "noinherit",
            "createdb",
            "nocreatedb",
            "createrole",
            "nocreaterole",
            "replication",
            "noreplication",
            "bypassrls",
            "nobypassrls",
            "sysid",
        ];
        match reader.accept_one(&words) {
            Some(word @ ("superuser" | "nosuperuser")) => options.superuser = Some(word == "superuser"),
            Some(word @ ("login" | "nologin")) => options.login = Some(word == "login"),
            Some("encrypted password" | "password") => {
                options.password = Some(if reader.accept("null") { None } else { Some(reader.string()?) });
            }
            Some("connection limit") => options.connection_limit = Some(reader.integer()?),
            Some("valid until") => options.valid_until = Some(reader.string()?),
            Some("in role" | "in group" | "role" | "admin") => {
                options.memberships.extend(reader.list(Reader::identifier)?)
            }
            Some(
                "inherit" | "nocreatedb" | "nocreaterole" | "noreplication" | "nobypassrls" | "createdb" | "createrole",
            ) => {}
            Some(word) => {
                return Err(Error::unsupported(format!("role option {} is not supported", word.to_ascii_uppercase()))
                    .at(position));
            }
            None => {
                return Err(Error::new(ErrorKind::SyntaxError, reader.unexpected().message())
                    .hint(format!("Known options are {}.", words.join(", ").to_ascii_uppercase()))
                    .at(position));
            }
        }
    }
    Ok(options)
}
