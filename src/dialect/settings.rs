//! SET, SHOW, RESET and DISCARD.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::create_source::SourceStatement;
use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::dialect::transaction;
use crate::error::Result;

/// `SET [SESSION | LOCAL] name = value`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetVariable {
    /// SESSION (the default) or LOCAL.
    pub scope: SetScope,
    /// The setting's name, folded; `TIME ZONE` is `timezone`, `NAMES` is `client_encoding`.
    pub name: String,
    /// The value.
    pub value: SetValue,
}

/// How long a SET holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetScope {
    /// Until the session ends.
    Session,
    /// Until the transaction ends.
    Local,
}

/// What a setting is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// DEFAULT
    Default,
    /// Values, unquoted; lists such as a search path have several.
    Values(Vec<String>),
}

impl SetValue {
    /// The value as one text, lists with commas; `None` for DEFAULT.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Default => None,
            Self::Values(values) => Some(values.join(", ")),
        }
    }
}

/// What SHOW and RESET are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// One setting by its folded name.
    Named(String),
    /// ALL
    All,
}

/// What DISCARD drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// ALL
    All,
    /// PLANS
    Plans,
    /// SEQUENCES
    Sequences,
    /// TEMP
    Temporary,
}

pub(super) fn read_set(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.accept("session characteristics as transaction") {
        return Ok(Statement::SetTransaction { session: true, modes: transaction::read_modes(reader)? });
    }
    if reader.accept("transaction") {
        return Ok(Statement::SetTransaction { session: false, modes: transaction::read_modes(reader)? });
    }
    if reader.accept("constraints") {
        if !reader.accept("all") {
            reader.list(Reader::name)?;
        }
        if reader.accept_one(&["deferred", "immediate"]).is_none() {
            return Err(reader.unexpected_for("DEFERRED or IMMEDIATE"));
        }
        return Ok(Statement::SetConstraints);
    }
    let scope = read_scope(reader);
    if reader.accept("session authorization") {
        return read_role(reader, scope);
    }
    if reader.peek("role") && !is_assignment(reader) {
        reader.expect("role")?;
        return read_role(reader, scope);
    }
    if reader.accept("time zone") {
        let value = read_zone(reader)?;
        return Ok(Statement::Set(SetVariable { scope, name: "timezone".to_owned(), value }));
    }
    if reader.peek("names") && !is_assignment(reader) {
        reader.expect("names")?;
        let name = "client_encoding".to_owned();
        let value = if reader.statement_ends() || reader.accept("default") {
            SetValue::Default
        } else {
            SetValue::Values(vec![read_value(reader)?])
        };
        return Ok(Statement::Set(SetVariable { scope, name, value }));
    }
    let name = read_name(reader)?;
    if !reader.accept_token(&Token::Eq) && !reader.accept("to") {
        return Err(reader.unexpected_for("= or TO"));
    }
    let value = if reader.accept("default") { SetValue::Default } else { SetValue::Values(reader.list(read_value)?) };
    Ok(Statement::Set(SetVariable { scope, name, value }))
}

/// SESSION and LOCAL are also names: `SET session = 1` sets a setting of that name.
fn read_scope(reader: &mut Reader<'_>) -> SetScope {
    if is_assignment(reader) || reader.peek("session authorization") {
        return SetScope::Session;
    }
    match reader.accept_one(&["local", "session"]) {
        Some("local") => SetScope::Local,
        _ => SetScope::Session,
    }
}

fn is_assignment(reader: &Reader<'_>) -> bool {
    match &reader.parser.peek_nth_token_ref(1).token {
        Token::Eq | Token::Period => true,
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case("to"),
        _ => false,
    }
}

fn read_role(reader: &mut Reader<'_>, scope: SetScope) -> Result<Statement> {
    if reader.accept_one(&["none", "default"]).is_some() {
        return Ok(Statement::SetRole { scope, role: None });
    }
    let role = match reader.optional_string() {
        Some(name) => name,
        None => reader.identifier()?,
    };
    Ok(Statement::SetRole { scope, role: Some(role) })
}

/// `'zone'`, `zone`, LOCAL, DEFAULT, hours, or INTERVAL '-08:00' HOUR TO MINUTE.
fn read_zone(reader: &mut Reader<'_>) -> Result<SetValue> {
    if reader.accept_one(&["local", "default"]).is_some() {
        return Ok(SetValue::Default);
    }
    if reader.accept("interval") {
        let offset = reader.string()?;
        reader.accept("hour to minute");
        return Ok(SetValue::Values(vec![offset]));
    }
    Ok(SetValue::Values(vec![read_value(reader)?]))
}

/// `name` or `extension.name`.
pub(super) fn read_name(reader: &mut Reader<'_>) -> Result<String> {
    let mut name = reader.identifier()?;
    while reader.accept_token(&Token::Period) {
        name = format!("{name}.{}", reader.identifier()?);
    }
    Ok(name)
}

/// A word, a string or a number as text.
pub(super) fn read_value(reader: &mut Reader<'_>) -> Result<String> {
    if let Some(text) = reader.optional_string() {
        return Ok(text);
    }
    let sign = if reader.accept_token(&Token::Minus) { "-" } else { "" };
    if let Token::Number(digits, _) = &reader.parser.peek_token_ref().token {
        let number = format!("{sign}{digits}");
        reader.parser.advance_token();
        return Ok(number);
    }
    if !sign.is_empty() {
        return Err(reader.unexpected_for("a number"));
    }
    reader.identifier()
}

pub(super) fn read_show(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.accept("sources") {
        return Ok(Statement::Source(SourceStatement::Show));
    }
    Ok(Statement::Show(read_setting(reader)?))
}

pub(super) fn read_reset(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.accept_one(&["session authorization", "role"]).is_some() {
        return Ok(Statement::SetRole { scope: SetScope::Session, role: None });
    }
    Ok(Statement::Reset(read_setting(reader)?))
}

fn read_setting(reader: &mut Reader<'_>) -> Result<Setting> {
    if reader.accept("all") {
        return Ok(Setting::All);
    }
    if reader.accept("time zone") {
        return Ok(Setting::Named("timezone".to_owned()));
    }
    if reader.accept("transaction isolation level") {
        return Ok(Setting::Named("transaction_isolation".to_owned()));
    }
    if reader.accept("session authorization") {
        return Ok(Setting::Named("session_authorization".to_owned()));
    }
    read_name(reader).map(Setting::Named)
}

pub(super) fn read_discard(reader: &mut Reader<'_>) -> Result<Statement> {
    let what = match reader.accept_one(&["all", "plans", "sequences", "temporary", "temp"]) {
        Some("all") => Discard::All,
        Some("plans") => Discard::Plans,
        Some("sequences") => Discard::Sequences,
        Some(_) => Discard::Temporary,
        None => return Err(reader.unexpected_for("ALL, PLANS, SEQUENCES or TEMP")),
    };
    Ok(Statement::Discard(what))
}
