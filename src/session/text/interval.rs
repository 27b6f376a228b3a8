//! Intervals: months, days and microseconds, in the `postgres` style.

use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind, Result};
use crate::session::text::datetime::write_fraction;
use crate::session::text::invalid_syntax;
use crate::session::text::number::write_integer;

/// A span of time: its three parts do not convert into one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Months, years included.
    pub months: i32,
    /// Days, weeks included.
    pub days: i32,
    /// The rest.
    pub micros: i64,
}

/// Appends an interval: `1 year 2 mons 3 days 04:05:06.7`.
pub fn write_interval(out: &mut Vec<u8>, span: Span) {
    let start = out.len();
    let mut after_negative = false;
    for (value, unit) in [(span.months / 12, "year"), (span.months % 12, "mon"), (span.days, "day")] {
        if value == 0 {
            continue;
        }
        if out.len() > start {
            out.push(b' ');
        }
        if after_negative && value > 0 {
            out.push(b'+');
        }
        write_integer(out, value);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
        after_negative = value < 0;
    }
    if out.len() > start && span.micros == 0 {
        return;
    }
    if out.len() > start {
        out.push(b' ');
    }
    if span.micros < 0 {
        out.push(b'-');
    } else if after_negative {
        out.push(b'+');
    }
    write_clock(out, span.micros.unsigned_abs());
}

/// `HH:MM:SS[.f]`, with as many digits of hours as it takes.
fn write_clock(out: &mut Vec<u8>, micros: u64) {
    let seconds = micros / 1_000_000;
    for (index, value) in [seconds / 3600, seconds / 60 % 60, seconds % 60].into_iter().enumerate() {
        if index > 0 {
            out.push(b':');
        }
        if value < 10 {
            out.push(b'0');
        }
        write_integer(out, value);
    }
    write_fraction(out, (micros % 1_000_000) as u32);
}

/// Exact sums while reading: parts may be fractions and may overflow.
#[derive(Default)]
struct Sum {
    months: f64,
    days: f64,
    micros: f64,
}

/// Reads an interval: `1 day 02:03`, `1-2`, `P1DT2H`, `3 hours ago`, `1.5 weeks`.
pub fn read_interval(text: &str) -> Result<Span> {
    let wrong = || invalid_syntax(&PgType::Interval, text);
    let trimmed = text.trim_ascii();
    let sum = match trimmed.strip_prefix(['P', 'p']) {
        Some(iso) => read_iso(iso),
        None => read_words(trimmed),
    };
    settle(sum.ok_or_else(wrong)?).ok_or_else(|| {
        Error::new(ErrorKind::DatetimeFieldOverflow, format!("interval field value out of range: \"{text}\""))
    })
}

fn settle(sum: Sum) -> Option<Span> {
    // A fraction of a month becomes days of 30, a fraction of a day becomes time, as in PostgreSQL.
    let months = sum.months.trunc();
    let days = sum.days + (sum.months - months) * 30.0;
    let whole_days = days.trunc();
    let micros = (sum.micros + (days - whole_days) * 86_400_000_000.0).round();
    let fits = months.abs() <= f64::from(i32::MAX) && whole_days.abs() <= f64::from(i32::MAX) && micros.abs() < 9.2e18;
    fits.then_some(Span { months: months as i32, days: whole_days as i32, micros: micros as i64 })
}

fn add(sum: &mut Sum, value: f64, unit: &str) -> Option<()> {
    const SECOND: f64 = 1_000_000.0;
    match unit {
        "millennium" | "millennia" | "mil" | "mils" => sum.months += value * 12_000.0,
        "century" | "centuries" | "c" | "cent" => sum.months += value * 1_200.0,
        "decade" | "decades" | "dec" | "decs" => sum.months += value * 120.0,
        // Years that are no whole number of months keep whole months only.
        "year" | "years" | "y" | "yr" | "yrs" => sum.months += (value * 12.0).trunc(),
        "month" | "months" | "mon" | "mons" => sum.months += value,
        "week" | "weeks" | "w" => sum.days += value * 7.0,
        "day" | "days" | "d" => sum.days += value,
        "hour" | "hours" | "h" | "hr" | "hrs" => sum.micros += value * 3600.0 * SECOND,
        "minute" | "minutes" | "m" | "min" | "mins" => sum.micros += value * 60.0 * SECOND,
        "second" | "seconds" | "s" | "sec" | "secs" | "" => sum.micros += value * SECOND,
        "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => sum.micros += value * 1_000.0,
        "microsecond" | "microseconds" | "us" | "usec" | "usecs" => sum.micros += value,
        _ => return None,
    }
    Some(())
}

fn read_words(text: &str) -> Option<Sum> {
    let lower = text.to_ascii_lowercase();
    let mut sum = Sum::default();
    let mut words = lower.split_ascii_whitespace().filter(|word| *word != "@").peekable();
    words.peek()?;
    let mut ago = false;
    while let Some(word) = words.next() {
        if word == "ago" {
            ago = true;
        } else if word.contains(':') {
            sum.micros += clock(word)?;
        } else if let Some((years, months)) = year_month(word) {
            sum.months += years * 12.0 + months;
        } else {
            let end = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
            let value: f64 = word[..end].parse().ok()?;
            let unit = match end < word.len() {
                true => &word[end..],
                false => words
                    .next_if(|next| next.starts_with(|c: char| c.is_ascii_alphabetic()) && *next != "ago")
                    .unwrap_or(""),
            };
            add(&mut sum, value, unit)?;
        }
    }
    if ago {
        sum = Sum { months: -sum.months, days: -sum.days, micros: -sum.micros };
    }
    Some(sum)
}

/// `1-2`: one year and two months.
fn year_month(word: &str) -> Option<(f64, f64)> {
    let sign = if word.starts_with('-') { -1.0 } else { 1.0 };
    let (years, months) = word.trim_start_matches(['-', '+']).split_once('-')?;
    Some((sign * f64::from(years.parse::<u32>().ok()?), sign * f64::from(months.parse::<u32>().ok()?)))
}

/// `[-]HH:MM[:SS[.f]]` in microseconds.
fn clock(word: &str) -> Option<f64> {
    let sign = if word.starts_with('-') { -1.0 } else { 1.0 };
    let mut parts = word.trim_start_matches(['-', '+']).split(':');
    let hours: f64 = f64::from(parts.next()?.parse::<u32>().ok()?);
    let minutes: f64 = f64::from(parts.next()?.parse::<u32>().ok()?);
    let seconds: f64 = parts.next().map_or(Some(0.0), |seconds| seconds.parse().ok())?;
    if minutes >= 60.0 || !(0.0..61.0).contains(&seconds) || parts.next().is_some() {
        return None;
    }
    Some(sign * (((hours * 60.0 + minutes) * 60.0) * 1_000_000.0 + (seconds * 1_000_000.0).round()))
}

fn read_iso(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let mut in_time = false;
    let mut number = String::new();
    for letter in text.chars() {
        match letter.to_ascii_lowercase() {
            't' if number.is_empty() => in_time = true,
            digit @ ('0'..='9' | '.' | '-' | '+') => number.push(digit),
            unit => {
                let value: f64 = std::mem::take(&mut number).parse().ok()?;
                let unit = match (unit, in_time) {
                    ('y', false) => "year",
                    ('m', false) => "month",
                    ('w', false) => "week",
                    ('d', false) => "day",
                    ('h', true) => "hour",
                    ('m', true) => "minute",
                    ('s', true) => "second",
                    _ => return None,
                };
                add(&mut sum, value, unit)?;
            }
        }
    }
    (number.is_empty() && !text.is_empty()).then_some(sum)
}
