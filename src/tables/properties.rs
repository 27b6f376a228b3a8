//! Delta's own properties that a table may be given: those that we honour, each with what its value must be.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// What a property takes.
#[derive(Clone, Copy)]
enum Takes {
    Switch,
    /// A whole number from this one on.
    From(i64),
    Columns,
    Span,
}

const PROPERTIES: [(&str, Takes); 7] = [
    ("delta.appendOnly", Takes::Switch),
    ("delta.checkpointInterval", Takes::From(1)),
    ("delta.dataSkippingNumIndexedCols", Takes::From(-1)),
    ("delta.dataSkippingStatsColumns", Takes::Columns),
    ("delta.deletedFileRetentionDuration", Takes::Span),
    ("delta.enableExpiredLogCleanup", Takes::Switch),
    ("delta.logRetentionDuration", Takes::Span),
];

/// The names of the properties that we honour.
pub fn property_names() -> impl Iterator<Item = &'static str> {
    PROPERTIES.iter().map(|(name, _)| *name)
}

/// True for the name of a property that stands in the table's log.
pub fn is_property(name: &str) -> bool {
    name.starts_with("delta.")
}

/// The value as Delta writes it; an error says what the property takes.
pub fn property_value(name: &str, value: &str) -> Result<String> {
    let takes = PROPERTIES.iter().find(|(known, _)| *known == name).map(|(_, takes)| *takes);
    let (value, hint) = match takes {
        Some(Takes::Switch) => {
            let switch = value.to_ascii_lowercase();
            (matches!(switch.as_str(), "true" | "false").then_some(switch), "It takes true or false.".to_owned())
        }
        Some(Takes::From(least)) => {
            let fits = value.parse::<i64>().is_ok_and(|number| number >= least);
            (fits.then(|| value.to_owned()), format!("It takes a whole number from {least} on."))
        }
        Some(Takes::Columns) => (Some(value.to_owned()), String::new()),
        Some(Takes::Span) => (duration(value).map(|_| value.to_owned()), "Write it as 'interval 7 days'.".to_owned()),
        None => (None, "There is no such property.".to_owned()),
    };
    value.ok_or_else(|| {
        Error::new(ErrorKind::InvalidParameterValue, format!("invalid value for option \"{name}\"")).hint(hint)
    })
}

/// A span like `interval 30 days`.
pub(in crate::tables) fn duration(text: &str) -> Option<Duration> {
    let words: Vec<&str> = text.trim().trim_start_matches("interval").split_whitespace().collect();
    let [count, unit] = words.as_slice() else { return None };
    let seconds = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 24 * 3600,
        "week" => 7 * 24 * 3600,
        _ => return None,
    };
    Some(Duration::from_secs(count.parse::<u64>().ok()?.saturating_mul(seconds)))
}
