//! One setting: its name, type, default, meaning, and where it may be set.
//!
//! Invariant: a value that is kept has passed [`Kind::canonical`], so reading it back cannot fail.

use crate::config::{size, time_zone};
use crate::error::{Error, ErrorKind, Result};

/// A setting, of the server or of a session.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its only name: `--memory-bytes-max`, `HEADWATER_MEMORY_BYTES_MAX` and `memory_bytes_max = ...` follow from it.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// The value where nobody sets it; empty for none.
    pub default: &'static str,
    /// One or two sentences for the reader of `--help`, `docs/settings.md` and `system.settings`.
    pub help: &'static str,
    /// Where it may be set.
    pub place: Place,
}

/// Where a setting may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By flag, environment or file, when the server starts.
    Server,
    /// As [`Place::Server`], but never shown.
    Secret,
    /// By SET, in a session.
    Session,
    /// By SET; clients are told each change (ParameterStatus).
    Reported,
    /// By nobody: SHOW tells a fact.
    Fact,
    /// By nobody; clients are told (ParameterStatus).
    ReportedFact,
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// on or off, and PostgreSQL's other spellings.
    Bool,
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A number.
    Real,
    /// A number of bytes, `512 MiB`, or `60%` of the machine's memory.
    Bytes,
    /// A number of milliseconds, or `30s`, `5min`, ...
    Milliseconds,
    /// A number of kilobytes, or `64MB`, ...; PostgreSQL's memory settings.
    Kilobytes,
    /// Any text.
    Text,
    /// A path on the server.
    Path,
    /// A folder or a URL.
    Location,
    /// `HOST:PORT`, or `off`.
    Address,
    /// Several texts, separated by commas.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Names of schemas, quoted where needed.
    Schemas,
    /// A time zone.
    TimeZone,
    /// PostgreSQL's style of dates; only `ISO, MDY` is offered.
    DateStyle,
    /// The encoding of text; only UTF-8 is offered.
    Encoding,
}

const MILLISECOND_UNITS: [(&str, f64); 6] =
    [("us", 0.001), ("ms", 1.0), ("s", 1e3), ("min", 6e4), ("h", 3.6e6), ("d", 8.64e7)];
const KILOBYTE_UNITS: [(&str, f64); 5] =
    [("B", 1.0 / 1024.0), ("kB", 1.0), ("MB", 1024.0), ("GB", 1048576.0), ("TB", 1073741824.0)];

impl Setting {
    /// The flag of the command line, without dashes.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("HEADWATER_{}", self.name.to_uppercase())
    }

    /// Checks a value and gives it in its one spelling (numbers in the base unit).
    pub fn canonical(&self, value: &str) -> Result<String> {
        self.kind.canonical(self.name, value.trim())
    }

    /// True where SHOW must not print the value.
    pub fn is_secret(&self) -> bool {
        self.place == Place::Secret
    }

    /// True for what a client or a program may SET.
    pub fn is_settable_in_session(&self) -> bool {
        matches!(self.place, Place::Session | Place::Reported)
    }
}

impl Kind {
    /// The name of the type, as `pg_settings.vartype` and the docs have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer { .. } | Self::Milliseconds | Self::Kilobytes => "integer",
            Self::Real => "real",
            Self::Bytes => "bytes",
            Self::Choice(_) => "enum",
            Self::Path => "path",
            Self::Location => "folder or URL",
            Self::Address => "HOST:PORT or off",
            Self::List => "list",
            Self::Text | Self::Schemas | Self::TimeZone | Self::DateStyle | Self::Encoding => "string",
        }
    }

    /// The unit of a bare number, as `pg_settings.unit` has it.
    pub fn unit(&self) -> Option<&'static str> {
        match self {
            Self::Milliseconds => Some("ms"),
            Self::Kilobytes => Some("kB"),
            Self::Bytes => Some("B"),
            _ => None,
        }
    }

    /// The words of an enumeration.
    pub fn words(&self) -> &'static [&'static str] {
        match self {
            Self::Choice(words) => words,
            _ => &[],
        }
    }

    /// The bounds of a number.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        match self {
            Self::Integer { min, max } => Some((*min, *max)),
            Self::Milliseconds | Self::Kilobytes => Some((0, i64::from(i32::MAX))),
            _ => None,
        }
    }

    /// How SHOW prints a canonical value: with the largest unit that divides it.
    pub fn shown(&self, canonical: &str) -> String {
        let units: &[(&str, f64)] = match self {
            Self::Milliseconds => &MILLISECOND_UNITS[1..],
            Self::Kilobytes => &KILOBYTE_UNITS[1..],
            _ => return canonical.to_owned(),
        };
        let Ok(number @ 1..) = canonical.parse::<i64>() else { return canonical.to_owned() };
        let largest = units.iter().rev().find(|(_, factor)| number % (*factor as i64) == 0);
        largest.map_or_else(|| canonical.to_owned(), |(unit, factor)| format!("{}{unit}", number / *factor as i64))
    }

    /// Checks a value and gives it in its one spelling.
    pub fn canonical(&self, name: &str, value: &str) -> Result<String> {
        match self {
            Self::Bool => parse_bool(value)
                .map(|on| if on { "on" } else { "off" }.to_owned())
                .ok_or_else(|| invalid(format!("parameter \"{name}\" requires a Boolean value"))),
            Self::Integer { min, max } => {
                let number = value.parse::<i64>().map_err(|_| refused(name, value))?;
                within(name, number, (*min, *max), "")
            }
            Self::Real => value.parse::<f64>().map(|_| value.to_owned()).map_err(|_| refused(name, value)),
            Self::Bytes => size::parse(value).map(|bytes| bytes.to_string()).ok_or_else(|| {
                refused(name, value)
                    .hint("Give a number of bytes, with a unit such as 512MiB or 2GiB, or a share such as 60%.")
            }),
            Self::Milliseconds => with_unit(name, value, &MILLISECOND_UNITS, "ms"),
            Self::Kilobytes => with_unit(name, value, &KILOBYTE_UNITS, "kB"),
            Self::Choice(words) => {
                let found =
                    words.iter().find(|word| word.eq_ignore_ascii_case(value)).or_else(|| bool_word(words, value));
                let hint = || format!("Available values: {}.", words.join(", "));
                found.map(|word| (*word).to_owned()).ok_or_else(|| refused(name, value).hint(hint()))
            }
            Self::Address => parse_address(name, value),
            Self::Location | Self::Path if value.is_empty() => Err(refused(name, value)),
            Self::TimeZone => time_zone::canonical(value).ok_or_else(|| refused(name, value)),
            Self::DateStyle => date_style(name, value),
            Self::Encoding => encoding(name, value),
            Self::Text | Self::Path | Self::Location | Self::List | Self::Schemas => Ok(value.to_owned()),
        }
    }
}

/// PostgreSQL's spellings of a truth value: unique prefixes of true, false, yes, no; on, of(f), 1, 0.
pub fn parse_bool(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let is_prefix = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    match text.as_str() {
        "1" | "on" => Some(true),
        "0" => Some(false),
        _ if is_prefix("true", 1) || is_prefix("yes", 1) => Some(true),
        _ if is_prefix("false", 1) || is_prefix("no", 1) || is_prefix("off", 2) => Some(false),
        _ => None,
    }
}

/// Enumerations that grew out of a Boolean take its spellings too.
fn bool_word<'a>(words: &'a [&'static str], value: &str) -> Option<&'a &'static str> {
    let word = if parse_bool(value)? { "on" } else { "off" };
    words.iter().find(|known| **known == word)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidParameterValue, message)
}

fn refused(name: &str, value: &str) -> Error {
    invalid(format!("invalid value for parameter \"{name}\": \"{value}\""))
}

fn within(name: &str, number: i64, (min, max): (i64, i64), unit: &str) -> Result<String> {
    if number < min || number > max {
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        return Err(invalid(format!(
            "{number}{unit} is outside the valid range for parameter \"{name}\" ({min} .. {max})"
        )));
    }
    Ok(number.to_string())
}

fn with_unit(name: &str, value: &str, units: &[(&str, f64)], base: &str) -> Result<String> {
    let end = value.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(value.len());
    let (number, unit) = (value[..end].trim(), value[end..].trim());
    let number: f64 = number.parse().map_err(|_| refused(name, value))?;
    let factor = match unit {
        "" => 1.0,
        unit => units.iter().find(|(known, _)| *known == unit).map(|(_, factor)| *factor).ok_or_else(|| {
            let known: Vec<String> = units.iter().map(|(unit, _)| format!("\"{unit}\"")).collect();
            let (last, first) =
                known.split_last().map_or((String::new(), &[][..]), |(last, first)| (last.clone(), first));
            refused(name, value).hint(format!("Valid units for this parameter are {}, and {last}.", first.join(", ")))
        })?,
    };
    let rounded = (number * factor).round();
    if !rounded.is_finite() || rounded.abs() > i64::MAX as f64 {
        return Err(refused(name, value));
    }
    within(name, rounded as i64, (0, i64::from(i32::MAX)), base)
}

fn parse_address(name: &str, value: &str) -> Result<String> {
    if value.eq_ignore_ascii_case("off") {
        return Ok("off".to_owned());
    }
    match value.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(value.to_owned()),
        _ => Err(refused(name, value).hint("Give HOST:PORT (port 0 picks a free one), or off.")),
    }
}

fn date_style(name: &str, value: &str) -> Result<String> {
    let known =
        |word: &str| ["iso", "mdy", "us", "noneuro", "noneuropean"].contains(&word.to_ascii_lowercase().as_str());
    if value.split(',').all(|word| known(word.trim())) {
        return Ok("ISO, MDY".to_owned());
    }
    Err(refused(name, value).hint("Available values: \"ISO, MDY\"."))
}

fn encoding(name: &str, value: &str) -> Result<String> {
    let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match plain.as_str() {
        "utf8" | "unicode" => Ok("UTF8".to_owned()),
        _ => Err(refused(name, value).hint("Text is UTF-8 here: SET client_encoding = 'UTF8'.")),
    }
}
