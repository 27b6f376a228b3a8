//! Values as text, exactly as PostgreSQL's output functions write them.

use std::fmt::Write;

use arrow::array::Array;
use arrow::datatypes::IntervalMonthDayNano;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike};
use chrono_tz::Tz;

use crate::catalog::pg_type::{PgType, RegKind};
use crate::engine::functions::FunctionContext;
use crate::engine::functions::names;
use crate::engine::functions::value::{self, Value};
use crate::error::{Error, ErrorKind, Result};

/// The text of a value that is not NULL.
pub fn print(value: &Value<'_>, pg_type: &PgType, session: &FunctionContext) -> Result<String> {
    Ok(match value {
        Value::Null => String::new(),
        Value::Bool(truth) => if *truth { "true" } else { "false" }.to_owned(),
        Value::Int(number) => match pg_type {
            PgType::Reg(kind) => print_reg(*number, *kind, session),
            _ => number.to_string(),
        },
        Value::Float(number) if *pg_type == PgType::Float4 => float4(*number as f32),
        Value::Float(number) => float8(*number),
        Value::Decimal(digits, scale) => decimal(*digits, *scale),
        Value::Text(text) => text.to_string(),
        Value::Bytes(bytes) => bytea(bytes),
        Value::Date(days) => date(*days)?,
        Value::Time(micros) => time(*micros),
        Value::Timestamp(micros) if *pg_type == PgType::Timestamptz => timestamptz(*micros, &session.time_zone)?,
        Value::Timestamp(micros) => timestamp(*micros)?,
        Value::Interval(span) => interval(*span),
        Value::List(items) => array(items.as_ref(), pg_type, session)?,
    })
}

fn print_reg(number: i64, kind: RegKind, session: &FunctionContext) -> String {
    match u32::try_from(number) {
        Ok(0) => "-".to_owned(),
        Ok(oid) => names::reg_name(oid, kind, session).unwrap_or_else(|| oid.to_string()),
        Err(_) => number.to_string(),
    }
}

/// A double in the fewest digits that read back the same.
pub fn float8(number: f64) -> String {
    match shortest(number.is_nan(), number.is_infinite(), number.is_sign_negative(), number == 0.0) {
        Some(word) => word.to_owned(),
        None => layout(&format!("{number:e}"), 15),
    }
}

/// A single in the fewest digits that read back the same.
pub fn float4(number: f32) -> String {
    match shortest(number.is_nan(), number.is_infinite(), number.is_sign_negative(), number == 0.0) {
        Some(word) => word.to_owned(),
        None => layout(&format!("{number:e}"), 6),
    }
}

fn shortest(nan: bool, infinite: bool, negative: bool, zero: bool) -> Option<&'static str> {
    match (nan, infinite, negative, zero) {
        (true, ..) => Some("NaN"),
        (_, true, false, _) => Some("Infinity"),
        (_, true, true, _) => Some("-Infinity"),
        (_, _, false, true) => Some("0"),
        (_, _, true, true) => Some("-0"),
        _ => None,
    }
}

/// From `-1.25e-7` to PostgreSQL's layout: plain for exponents from -4 up to `plain_max`, else `-1.25e-07`.
fn layout(scientific: &str, plain_max: i32) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if !(-4..plain_max).contains(&exponent) {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.unsigned_abs());
    }
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1));
    }
    let whole = exponent.unsigned_abs() as usize + 1;
    match digits.len() > whole {
        true => format!("{sign}{}.{}", &digits[..whole], &digits[whole..]),
        false => format!("{sign}{digits}{}", "0".repeat(whole - digits.len())),
    }
}

/// A decimal with all digits of its scale.
pub fn decimal(digits: i128, scale: i8) -> String {
    if scale <= 0 {
        return format!("{digits}{}", "0".repeat(if digits == 0 { 0 } else { scale.unsigned_abs().into() }));
    }
    let scale = usize::from(scale.unsigned_abs());
    let sign = if digits < 0 { "-" } else { "" };
    let text = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = text.split_at(text.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// `\x` and hexadecimal digits.
pub fn bytea(bytes: &[u8]) -> String {
    bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The civil date of a day number.
pub fn civil(days: i32) -> Result<NaiveDate> {
    NaiveDate::from_epoch_days(days).ok_or_else(|| Error::new(ErrorKind::DatetimeFieldOverflow, "date out of range"))
}

/// The civil date and time of microseconds since 1970.
pub fn civil_time(micros: i64) -> Result<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros)
        .map(|moment| moment.naive_utc())
        .ok_or_else(|| Error::new(ErrorKind::DatetimeFieldOverflow, "timestamp out of range"))
}

/// `2026-01-31`, with `BC` for years before 1.
pub fn date(days: i32) -> Result<String> {
    let (text, era) = year_month_day(civil(days)?);
    Ok(format!("{text}{era}"))
}

fn year_month_day(date: NaiveDate) -> (String, &'static str) {
    let (year, era) = if date.year() > 0 { (date.year(), "") } else { (1 - date.year(), " BC") };
    (format!("{year:04}-{:02}-{:02}", date.month(), date.day()), era)
}

/// `23:59:59.5`
pub fn time(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}{}", fraction(micros.rem_euclid(1_000_000)))
}

fn fraction(micros: i64) -> String {
    match micros {
        0 => String::new(),
        _ => format!(".{micros:06}").trim_end_matches('0').to_owned(),
    }
}

/// `2026-01-31 23:59:59.5`
pub fn timestamp(micros: i64) -> Result<String> {
    let moment = civil_time(micros)?;
    let (day, era) = year_month_day(moment.date());
    Ok(format!("{day} {}{era}", time(micros.rem_euclid(86_400_000_000))))
}

/// `2026-01-31 23:59:59.5+01`, in the session's zone.
pub fn timestamptz(micros: i64, zone: &Tz) -> Result<String> {
    let utc = civil_time(micros)?;
    let offset_seconds = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
    let local = micros + i64::from(offset_seconds) * 1_000_000;
    let (day, era) = year_month_day(civil_time(local)?.date());
    Ok(format!("{day} {}{}{era}", time(local.rem_euclid(86_400_000_000)), offset(offset_seconds)))
}

/// `+05:30`, `-08`: minutes and seconds only where there are any.
pub fn offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let all = seconds.unsigned_abs();
    let (hour, minute, second) = (all / 3600, all / 60 % 60, all % 60);
    match (minute, second) {
        (0, 0) => format!("{sign}{hour:02}"),
        (_, 0) => format!("{sign}{hour:02}:{minute:02}"),
        _ => format!("{sign}{hour:02}:{minute:02}:{second:02}"),
    }
}

/// `1 year 2 mons 3 days 04:05:06`
pub fn interval(span: IntervalMonthDayNano) -> String {
    let micros = span.nanoseconds / 1000;
    let mut parts: Vec<String> = Vec::new();
    // PostgreSQL writes a plus sign before a part that follows a negative one.
    let mut after_negative = false;
    for (number, word) in [(span.months / 12, "year"), (span.months % 12, "mon"), (span.days, "day")] {
        if number != 0 {
            let plus = if after_negative && number > 0 { "+" } else { "" };
            let plural = if number == 1 { "" } else { "s" };
            parts.push(format!("{plus}{number} {word}{plural}"));
            after_negative = number < 0;
        }
    }
    if micros != 0 || parts.is_empty() {
        let sign = if micros < 0 {
            "-"
        } else if after_negative {
            "+"
        } else {
            ""
        };
        parts.push(format!("{sign}{}", time_of_any_size(micros.unsigned_abs())));
    }
    parts.join(" ")
}

fn time_of_any_size(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    let rest = i64::try_from(micros % 1_000_000).unwrap_or(0);
    format!("{:02}:{:02}:{:02}{}", seconds / 3600, seconds / 60 % 60, seconds % 60, fraction(rest))
}

/// `{1,NULL,"a b"}`, nested for more dimensions.
pub fn array(items: &dyn Array, pg_type: &PgType, session: &FunctionContext) -> Result<String> {
    let element = match pg_type {
        PgType::Array(element) => element.as_ref().clone(),
        other => other.clone(),
    };
    let mut parts = Vec::with_capacity(items.len());
    for row in 0..items.len() {
        parts.push(match value::read(items, row)? {
            Value::Null => "NULL".to_owned(),
            Value::List(inner) => array(inner.as_ref(), &element, session)?,
            Value::Bool(truth) => if truth { "t" } else { "f" }.to_owned(),
            item => quote_element(&print(&item, &element, session)?),
        });
    }
    Ok(format!("{{{}}}", parts.join(",")))
}

fn quote_element(text: &str) -> String {
    let special = |c: char| matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace();
    if text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text.to_owned()
    }
}

/// Hours, minutes and microseconds of a civil time, for callers that format it themselves.
pub fn micros_of_day(moment: &NaiveDateTime) -> i64 {
    i64::from(moment.num_seconds_from_midnight()) * 1_000_000 + i64::from(moment.nanosecond() / 1000)
}
