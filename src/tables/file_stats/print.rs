//! Statistics as Delta's log spells them.

use std::fmt::Write;

use arrow::array::temporal_conversions::{as_date, as_datetime};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use chrono::Datelike;
use datafusion::common::ScalarValue;

use super::{FileStats, TEXT_CHARS_MAX};

pub(super) fn print(stats: &FileStats, rows: u64) -> String {
    let mut text = format!("{{\"numRecords\":{rows}");
    let nulls = |column: &super::ColumnStats| column.null_count.map(|count| count.to_string());
    print_group(&mut text, "minValues", stats, |column| {
        column.min.as_ref().and_then(|value| json_value(value, cut_min))
    });
    print_group(&mut text, "maxValues", stats, |column| {
        column.max.as_ref().and_then(|value| json_value(value, cut_max))
    });
    print_group(&mut text, "nullCount", stats, nulls);
    text.push('}');
    text
}

fn print_group(
    text: &mut String,
    group: &str,
    stats: &FileStats,
    value: impl Fn(&super::ColumnStats) -> Option<String>,
) {
    write!(text, ",\"{group}\":{{").expect("a String takes all text");
    let mut first = true;
    for (name, column) in &stats.columns {
        let Some(value) = value(column) else { continue };
        if !std::mem::take(&mut first) {
            text.push(',');
        }
        write!(text, "{}:{value}", json_text(name)).expect("a String takes all text");
    }
    text.push('}');
}

/// A bound as JSON. `cut` shortens a long text to something that still is a bound.
fn json_value(value: &ScalarValue, cut: fn(&str) -> Option<String>) -> Option<String> {
    use ScalarValue as S;
    match value {
        S::Boolean(Some(value)) => Some(value.to_string()),
        S::Int8(Some(value)) => Some(value.to_string()),
        S::Int16(Some(value)) => Some(value.to_string()),
        S::Int32(Some(value)) => Some(value.to_string()),
        S::Int64(Some(value)) => Some(value.to_string()),
        S::Float32(Some(value)) if value.is_finite() => serde_json::to_string(value).ok(),
        S::Float64(Some(value)) if value.is_finite() => serde_json::to_string(value).ok(),
        S::Decimal128(Some(unscaled), _, scale) => Some(decimal_text(*unscaled, *scale)),
        S::Date32(Some(days)) => Some(format!("\"{}\"", as_date::<Date32Type>(i64::from(*days))?.format("%Y-%m-%d"))),
        S::TimestampMicrosecond(Some(micros), zone) => {
            let at = as_datetime::<TimestampMicrosecondType>(*micros).filter(has_plain_year)?;
            let suffix = if zone.is_some() { "Z" } else { "" };
            Some(format!("\"{}{suffix}\"", at.format("%Y-%m-%dT%H:%M:%S%.6f")))
        }
        S::Utf8(Some(text)) | S::LargeUtf8(Some(text)) | S::Utf8View(Some(text)) => Some(json_text(&cut(text)?)),
        _ => None,
    }
}

/// Other engines cannot read a timestamp's year unless it has four digits, and then not the table: it goes without.
fn has_plain_year(at: &impl Datelike) -> bool {
    (1..=9999).contains(&at.year())
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `unscaled / 10^scale` in plain digits.
fn decimal_text(unscaled: i128, scale: i8) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let sign = if unscaled < 0 { "-" } else { "" };
    match usize::try_from(scale) {
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) => {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) => format!("{sign}{digits}{}", "0".repeat(usize::from(scale.unsigned_abs()))),
    }
}

/// A prefix sorts before everything that starts with it.
fn cut_min(text: &str) -> Option<String> {
    Some(text.chars().take(TEXT_CHARS_MAX).collect())
}

/// The prefix with its last raisable character raised sorts after everything that starts with the prefix.
fn cut_max(text: &str) -> Option<String> {
    if text.chars().nth(TEXT_CHARS_MAX).is_none() {
        return Some(text.to_owned());
    }
    let mut prefix: Vec<char> = text.chars().take(TEXT_CHARS_MAX).collect();
    while let Some(last) = prefix.pop() {
        // The gap of the surrogates is no characters.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            prefix.push(next);
            return Some(prefix.into_iter().collect());
        }
    }
    None
}
