//! The settings of one session: what SET, SET LOCAL, RESET and SHOW act on.
//!
//! Three layers, the upper hides the lower: set for the transaction, set for the session, the session's defaults
//! (server, role, client). A transaction that is rolled back takes its SETs with it.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::config::Config;
use crate::config::session_table::{SESSION_SETTINGS, session_setting};
use crate::config::setting::{Kind, Place, Setting};
use crate::config::time_zone;
use crate::error::{Error, ErrorKind, Result, nearest};

/// Canonical values by name in lower case.
type Values = BTreeMap<String, String>;

/// The settings of one session.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    defaults: Values,
    session: Values,
    local: Values,
    /// `session` as it was at BEGIN.
    before: Option<Values>,
    revision: u64,
    /// What the client was last told, by name.
    told: BTreeMap<&'static str, String>,
}

/// A row of `pg_settings`.
#[derive(Clone, Debug)]
pub struct SettingRow {
    /// What is known of the setting.
    pub setting: &'static Setting,
    /// The value in force, in the base unit.
    pub value: String,
    /// The value after RESET, in the base unit.
    pub reset_value: String,
    /// `default`, `client` or `session`: where the value in force was set.
    pub source: &'static str,
}

impl SessionSettings {
    /// The settings a session starts with, before its role and its client have their say.
    pub fn new(config: &Config) -> Self {
        let mut settings = Self::default();
        settings.state("max_connections", &config.connections_max.to_string());
        settings.defaults.insert("statement_timeout".to_owned(), config.statement_timeout_ms.to_string());
        settings
    }

    /// Changes what RESET goes back to: the role's settings, then those of the client's start-up message.
    pub fn set_default(&mut self, name: &str, value: &str) -> Result<()> {
        let (key, value) = checked(name, value)?;
        self.defaults.insert(key, value);
        self.revision += 1;
        Ok(())
    }

    /// Says how things are, for a setting that nobody can SET (`is_superuser`, `session_authorization`, ...).
    pub fn state(&mut self, name: &str, value: &str) {
        self.defaults.insert(name.to_ascii_lowercase(), value.to_owned());
        self.revision += 1;
    }

    /// `SET name = value`
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let (key, value) = checked(name, value)?;
        self.local.remove(&key);
        self.session.insert(key, value);
        self.revision += 1;
        Ok(())
    }

    /// `SET LOCAL name = value`; outside a transaction it is checked and forgotten.
    pub fn set_local(&mut self, name: &str, value: &str) -> Result<()> {
        let (key, value) = checked(name, value)?;
        if self.before.is_some() {
            self.local.insert(key, value);
            self.revision += 1;
        }
        Ok(())
    }

    /// `RESET name`
    pub fn reset(&mut self, name: &str) -> Result<()> {
        settable(name)?;
        let key = name.to_ascii_lowercase();
        self.local.remove(&key);
        self.session.remove(&key);
        self.revision += 1;
        Ok(())
    }

    /// `RESET ALL`
    pub fn reset_all(&mut self) {
        self.local.clear();
        self.session.clear();
        self.revision += 1;
    }

    /// A transaction begins.
    pub fn begin(&mut self) {
        self.before = Some(self.session.clone());
    }

    /// A transaction ends: SET LOCAL ends with it, and SET too unless it was committed.
    pub fn end_transaction(&mut self, committed: bool) {
        self.local.clear();
        if let (Some(before), false) = (self.before.take(), committed) {
            self.session = before;
        }
        self.revision += 1;
    }

    /// `SHOW name`
    pub fn show(&self, name: &str) -> Result<String> {
        self.get(name).ok_or_else(|| unknown(name))
    }

    /// A setting's name as it is printed: `TimeZone`, whatever the spelling.
    pub fn shown_name(name: &str) -> &str {
        session_setting(name).map_or(name, |setting| setting.name)
    }

    /// The value as SHOW prints it; `None` for a name that nobody knows or has set.
    pub fn get(&self, name: &str) -> Option<String> {
        let known = session_setting(name);
        let value = self.canonical(name)?;
        Some(known.map_or_else(|| value.clone(), |setting| setting.kind.shown(&value)))
    }

    /// `SHOW ALL`: name, value and description.
    pub fn all(&self) -> Vec<(String, String, String)> {
        let row = |setting: &'static Setting| {
            let value = self.get(setting.name).unwrap_or_default();
            (setting.name.to_owned(), value, setting.help.to_owned())
        };
        let mut rows: Vec<_> = SESSION_SETTINGS.iter().map(row).collect();
        rows.sort_by_key(|(name, ..)| name.to_ascii_lowercase());
        rows
    }

    /// What `pg_settings` shows.
    pub fn rows(&self) -> Vec<SettingRow> {
        let row = |setting: &'static Setting| {
            let key = setting.name.to_ascii_lowercase();
            let source = match (
                self.local.contains_key(&key) || self.session.contains_key(&key),
                self.defaults.contains_key(&key),
            ) {
                (true, _) => "session",
                (false, true) => "client",
                (false, false) => "default",
            };
            let value = self.canonical(setting.name).unwrap_or_default();
            let reset_value = self.defaults.get(&key).cloned().unwrap_or_else(|| default_of(setting));
            SettingRow { setting, value, reset_value, source }
        };
        SESSION_SETTINGS.iter().map(row).collect()
    }

    /// The settings that the client is told of (ParameterStatus), with their values.
    pub fn reported(&self) -> Vec<(&'static str, String)> {
        let reported = |setting: &&Setting| matches!(setting.place, Place::Reported | Place::ReportedFact);
        let value = |setting: &Setting| (setting.name, self.get(setting.name).unwrap_or_default());
        SESSION_SETTINGS.iter().filter(reported).map(value).collect()
    }

    /// A number that grows with every change, so that the wire looks at [`SessionSettings::reported`] only then.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What the client must be told (ParameterStatus): everything the first time, then what has changed.
    pub fn take_reported_changes(&mut self) -> Vec<(String, String)> {
        let mut changes = self.reported();
        changes.retain(|(name, value)| self.told.get(name) != Some(value));
        self.told.extend(changes.iter().cloned());
        changes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The schemas of `search_path`, without `$user`.
    pub fn search_path(&self) -> Vec<String> {
        let path = self.canonical("search_path").unwrap_or_default();
        split_names(&path).into_iter().filter(|name| name != "$user").collect()
    }

    /// `TimeZone`
    pub fn time_zone(&self) -> Tz {
        self.canonical("timezone").and_then(|name| time_zone::find(&name)).unwrap_or(Tz::UTC)
    }

    /// `statement_timeout`; 0 for none.
    pub fn statement_timeout_ms(&self) -> u64 {
        self.canonical("statement_timeout").and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    fn canonical(&self, name: &str) -> Option<String> {
        let key = name.to_ascii_lowercase();
        let set = self.local.get(&key).or_else(|| self.session.get(&key)).or_else(|| self.defaults.get(&key));
        set.cloned().or_else(|| session_setting(name).map(default_of))
    }
}

/// The default in its canonical form.
fn default_of(setting: &Setting) -> String {
    setting.canonical(setting.default).unwrap_or_else(|_| setting.default.to_owned())
}

/// The key and the canonical value, for a setting that may be SET.
fn checked(name: &str, value: &str) -> Result<(String, String)> {
    let value = match settable(name)? {
        Some(setting) if setting.kind == Kind::Text => value.to_owned(),
        Some(setting) => setting.canonical(value)?,
        None => value.to_owned(),
    };
    Ok((name.to_ascii_lowercase(), value))
}

/// The setting, or `None` for a name with a dot: those belong to applications, which may keep anything there.
fn settable(name: &str) -> Result<Option<&'static Setting>> {
    match session_setting(name) {
        Some(setting) if setting.is_settable_in_session() => Ok(Some(setting)),
        Some(setting) => {
            let message = format!("parameter \"{}\" cannot be changed", setting.name);
            Err(Error::new(ErrorKind::CantChangeRuntimeParam, message))
        }
        None if is_custom(name) => Ok(None),
        None => Err(unknown(name)),
    }
}

fn is_custom(name: &str) -> bool {
    let is_word = |part: &str| {
        let starts_well = part.starts_with(|c: char| c.is_alphabetic() || c == '_');
        starts_well && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    name.contains('.') && name.split('.').all(is_word)
}

fn unknown(name: &str) -> Error {
    let error = Error::new(ErrorKind::UndefinedObject, format!("unrecognized configuration parameter \"{name}\""));
    let lower = name.to_ascii_lowercase();
    match nearest(&lower, SESSION_SETTINGS.iter().map(|setting| setting.name)) {
        Some(near) => error.hint(format!("Perhaps you meant \"{near}\".")),
        None => error.hint(
            "SHOW ALL lists the settings. Settings of the server are given when it starts: see `headwater config`.",
        ),
    }
}

/// The values of `SET name = a, b` as one text. The parser has taken the quotes off; names of schemas get theirs back.
pub fn join_values(name: &str, values: &[String]) -> String {
    match session_setting(name).map(|setting| setting.kind) {
        Some(Kind::Schemas) => values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", "),
        _ => values.join(", "),
    }
}

fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// Splits a list of identifiers: quoted ones as they are, others in lower case.
fn split_names(text: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted, mut was_quoted) = (Vec::new(), String::new(), false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                name.push('"');
            }
            '"' => (quoted, was_quoted) = (!quoted, true),
            ',' if !quoted => {
                names.push(std::mem::take(&mut name));
                was_quoted = false;
            }
            c if quoted => name.push(c),
            c if c.is_whitespace() => {}
            c if was_quoted => name.push(c),
            c => name.extend(c.to_lowercase()),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests;
