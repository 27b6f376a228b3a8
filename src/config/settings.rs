//! What was typed: each server setting's value and where it was set.
//!
//! A flag beats the environment, the environment beats the file, the file beats the default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::config::server_table::{SERVER_SETTINGS, server_setting};
use crate::config::setting::Setting;
use crate::error::{Error, ErrorKind, Result, nearest};

/// Where a value was set; a later one beats an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the table's default.
    Default,
    /// In this file.
    File(String),
    /// In the environment.
    Environment,
    /// On the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Checked values of server settings. Debug output shows no secret.
#[derive(Clone)]
pub struct Settings {
    values: BTreeMap<&'static str, (String, Origin)>,
}

/// One line of `headwater config` and of `system.settings`.
#[derive(Clone, Debug)]
pub struct Effective {
    /// What is known of the setting.
    pub setting: &'static Setting,
    /// The value in force; a secret shows as stars.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

impl Default for Settings {
    fn default() -> Self {
        let default = |setting: &'static Setting| {
            let checked = match setting.default {
                "" => String::new(),
                default => setting.canonical(default).expect("the defaults of the table are valid"),
            };
            (setting.name, (checked, Origin::Default))
        };
        Self { values: SERVER_SETTINGS.iter().map(default).collect() }
    }
}

impl Settings {
    /// Puts values from the three places over the defaults.
    pub fn read(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut settings = Self::default();
        if let Some(path) = file {
            settings.read_file(path)?;
        }
        for setting in SERVER_SETTINGS {
            if let Some(value) = environment(&setting.variable()) {
                settings.set(setting, &value, Origin::Environment)?;
            }
        }
        for (name, value) in flags {
            settings.set_named(name, value, Origin::Flag)?;
        }
        Ok(settings)
    }

    /// Sets one value; an unknown name is an error that names the nearest one.
    pub fn set_named(&mut self, name: &str, value: &str, origin: Origin) -> Result<()> {
        let setting = server_setting(name).ok_or_else(|| unknown(name))?;
        self.set(setting, value, origin)
    }

    /// The value in force; empty for none.
    pub fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |(value, _)| value)
    }

    /// The value in force, if there is one.
    pub fn given(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    /// Every setting with its value and origin, in the order of the table.
    pub fn effective(&self) -> Vec<Effective> {
        let line = |setting: &'static Setting| {
            let (value, origin) = self.values.get(setting.name).cloned().unwrap_or((String::new(), Origin::Default));
            let value = match setting.is_secret() && !value.is_empty() {
                true => "********".to_owned(),
                false => setting.kind.shown(&value),
            };
            Effective { setting, value, origin }
        };
        SERVER_SETTINGS.iter().map(line).collect()
    }

    fn set(&mut self, setting: &'static Setting, value: &str, origin: Origin) -> Result<()> {
        let checked = match value.trim() {
            "" if setting.default.is_empty() => String::new(),
            _ => setting.canonical(value).map_err(|error| error.within(&origin))?,
        };
        self.values.insert(setting.name, (checked, origin));
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> Result<()> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::from(error).within(format!("the configuration file {shown}")))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Error::new(ErrorKind::SyntaxError, format!("the configuration file {shown} is not TOML"))
                .detail(error.to_string())
        })?;
        for (name, value) in &table {
            let value = plain(name, value).map_err(|error| error.within(format!("file {shown}")))?;
            self.set_named(name, &value, Origin::File(shown.clone()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.effective().into_iter().map(|line| (line.setting.name, line.value))).finish()
    }
}

/// A value of the file as text; lists are joined with commas.
fn plain(name: &str, value: &toml::Value) -> Result<String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(on) => Ok(on.to_string()),
        toml::Value::Array(parts) => {
            Ok(parts.iter().map(|part| plain(name, part)).collect::<Result<Vec<_>>>()?.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => {
            Err(Error::new(ErrorKind::InvalidParameterValue, format!("\"{name}\" must be a text, a number or a list")))
        }
    }
}

/// Variables that are no settings: of one job of the program (`--format`, ...) or of the tests.
const OTHER_VARIABLES: [&str; 7] = ["CONFIG", "CUSTOMERS", "FORMAT", "HISTORY", "BLESS", "MARK", "MODEL_STEPS"];

/// What to tell of variables that look like ours and that nobody reads: mostly slips. They are no errors, because
/// Kubernetes makes variables from the name of a service.
pub fn unread_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let settings = SERVER_SETTINGS.iter().map(|setting| setting.name.to_uppercase());
    let known: Vec<String> = settings.chain(OTHER_VARIABLES.map(str::to_owned)).collect();
    let warning = |name: String| {
        // The second are secrets of sources.
        let is_ours = |rest: &&str| ["TEST_", "SECRET_"].iter().any(|start| rest.starts_with(start));
        let rest = name.strip_prefix("HEADWATER_").filter(|rest| !is_ours(rest))?;
        match nearest(rest, known.iter().map(String::as_str)) {
            Some(near) if near == rest => None,
            Some(near) => Some(format!("nobody reads the variable {name}: did you mean HEADWATER_{near}?")),
            None => Some(format!("nobody reads the variable {name}: `headwater config` lists the settings")),
        }
    };
    names.filter_map(warning).collect()
}

fn unknown(name: &str) -> Error {
    let error = Error::new(ErrorKind::UndefinedObject, format!("unknown setting \"{name}\""));
    match nearest(name, SERVER_SETTINGS.iter().map(|setting| setting.name)) {
        Some(near) => error.hint(format!("Did you mean \"{near}\"? `headwater config` lists the settings.")),
        None => error.hint("`headwater config` lists the settings."),
    }
}
