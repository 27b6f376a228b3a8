//! `to_char`, `to_date` and `to_timestamp` with PostgreSQL's templates (`YYYY-MM-DD HH24:MI:SS`).

use arrow::datatypes::IntervalMonthDayNano;
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use crate::engine::functions::cast::parse_time::{self, DAY_MICROS, local_to_utc, utc_to_local};
use crate::engine::functions::cast::print::{civil_time, offset};
use crate::engine::functions::format_number;
use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::Value;
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::stable(
        "to_char",
        &[
            Overload::new(&[K::Timestamp, K::Text], K::Text, timestamp_to_char),
            Overload::new(&[K::Timestamptz, K::Text], K::Text, timestamptz_to_char),
            Overload::new(&[K::Interval, K::Text], K::Text, interval_to_char),
            Overload::new(&[K::Int4, K::Text], K::Text, format_number::number_to_char),
            Overload::new(&[K::Int8, K::Text], K::Text, format_number::number_to_char),
            Overload::new(&[K::Numeric, K::Text], K::Text, format_number::number_to_char),
            Overload::new(&[K::Float8, K::Text], K::Text, format_number::number_to_char),
        ],
    ),
    Function::stable(
        "to_date",
        &[Overload::new(&[K::Text, K::Text], K::Date, to_date), Overload::new(&[K::Text], K::Date, plain_date)],
    ),
    Function::stable(
        "to_timestamp",
        &[
            Overload::new(&[K::Float8], K::Timestamptz, seconds_to_timestamp),
            Overload::new(&[K::Text, K::Text], K::Timestamptz, to_timestamp),
            Overload::new(&[K::Text], K::Timestamptz, plain_timestamp),
        ],
    ),
];

/// The templates' words, longest first where one begins another.
const WORDS: &[&str] = &[
    "YYYY", "Y,YYY", "YYY", "YY", "Y", "IYYY", "IYY", "IY", "IDDD", "ID", "IW", "I", "HH24", "HH12", "HH", "MI",
    "SSSSS", "SSSS", "SS", "MS", "US", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "AM", "PM", "am", "pm", "A.M.",
    "P.M.", "a.m.", "p.m.", "MONTH", "Month", "month", "MON", "Mon", "mon", "MM", "DAY", "Day", "day", "DY", "Dy",
    "dy", "DDD", "DD", "D", "WW", "W", "CC", "J", "Q", "RM", "rm", "BC", "AD", "B.C.", "A.D.", "TZH", "TZM", "TZ",
    "tz", "OF",
];

/// A piece of a template.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    /// A word, with FM before it and TH after it.
    Word { word: &'static str, fill: bool, ordinal: Option<bool> },
    /// Anything else.
    Text(&'a str),
}

/// Splits a template into its pieces.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut fill = true;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            fill = false;
            rest = after;
            continue;
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            pieces.push(Piece::Text(&quoted[..end]));
            rest = quoted.get(end + 1..).unwrap_or_default();
            continue;
        }
        if let Some(word) = word_at(rest) {
            rest = &rest[word.len()..];
            let ordinal = if rest.starts_with("TH") {
                Some(true)
            } else if rest.starts_with("th") {
                Some(false)
            } else {
                None
            };
            rest = if ordinal.is_some() { &rest[2..] } else { rest };
            pieces.push(Piece::Word { word, fill, ordinal });
            fill = true;
            continue;
        }
        let length = rest.chars().next().map_or(1, char::len_utf8);
        pieces.push(Piece::Text(&rest[..length]));
        rest = &rest[length..];
    }
    pieces
}

/// The longest word at the start; those without a meaning in their case are read in any case.
fn word_at(text: &str) -> Option<&'static str> {
    let exact = WORDS.iter().filter(|word| text.starts_with(**word)).max_by_key(|word| word.len());
    let folded = || {
        let begins = |word: &&&str| text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        WORDS.iter().filter(begins).max_by_key(|word| word.len())
    };
    match (exact, folded()) {
        (Some(exact), Some(folded)) if folded.len() > exact.len() => Some(folded),
        (Some(exact), _) => Some(exact),
        (None, folded) => folded.copied(),
    }
}

/// What `to_char` knows of a moment.
struct Clock {
    local: NaiveDateTime,
    zone: Option<(String, i32)>,
}

fn micros(arguments: &Arguments<'_>) -> Result<i64> {
    match &arguments.values[0] {
        Value::Timestamp(micros) => Ok(*micros),
        other => Err(Error::internal(format!("timestamp expected, not {other:?}"))),
    }
}

fn timestamp_to_char(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let clock = Clock { local: civil_time(micros(arguments)?)?, zone: None };
    Ok(Value::text(render(arguments.text(1)?, &clock)))
}

fn timestamptz_to_char(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (utc, zone) = (micros(arguments)?, &arguments.session.time_zone);
    let local = utc_to_local(utc, zone)?;
    let offset_seconds = i32::try_from((local - utc) / 1_000_000).unwrap_or(0);
    let moment = civil_time(local)?;
    let abbreviation = civil_time(utc)?.and_utc().with_timezone(zone).format("%Z").to_string();
    Ok(Value::text(render(arguments.text(1)?, &Clock { local: moment, zone: Some((abbreviation, offset_seconds)) })))
}

/// An interval's parts are shown as they are; a year has 12 months, an hour may pass 24.
fn interval_to_char(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let Value::Interval(span) = &arguments.values[0] else { return Err(Error::internal("interval expected")) };
    let mut out = String::new();
    for piece in pieces(arguments.text(1)?) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Word { word, fill, .. } => out.push_str(&interval_word(word, fill, span)),
        }
    }
    Ok(Value::text(out))
}

fn interval_word(word: &str, fill: bool, span: &IntervalMonthDayNano) -> String {
    let micros = span.nanoseconds / 1000;
    let seconds = micros / 1_000_000;
    let padded = |number: i64, width: usize| if fill { format!("{number:0width$}") } else { number.to_string() };
    match word.to_ascii_uppercase().as_str() {
        "YYYY" | "YYY" | "YY" | "Y" => padded((span.months / 12).into(), word.len()),
        "MM" => padded((span.months % 12).into(), 2),
        "DD" => padded(span.days.into(), 2),
        "HH24" => padded(seconds / 3600, 2),
        "HH" | "HH12" => padded(
            match seconds / 3600 % 12 {
                0 => 12,
                hour => hour,
            },
            2,
        ),
        "MI" => padded(seconds / 60 % 60, 2),
        "SS" => padded(seconds % 60, 2),
        "MS" => padded(micros / 1000 % 1000, 3),
        "US" => padded(micros % 1_000_000, 6),
        _ => String::new(),
    }
}

fn render(template: &str, clock: &Clock) -> String {
    let mut out = String::new();
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Word { word, fill, ordinal } => {
                let text = render_word(word, fill, clock);
                out.push_str(&text);
                if let Some(upper) = ordinal {
                    let suffix = ordinal_suffix(text.trim().parse().unwrap_or(0));
                    out.push_str(&if upper { suffix.to_ascii_uppercase() } else { suffix.to_owned() });
                }
            }
        }
    }
    out
}

fn ordinal_suffix(number: i64) -> &'static str {
    match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// A name in the case of its template word, padded to nine letters where the whole name was asked for.
fn named(name: &str, word: &str, fill: bool) -> String {
    let text = match word {
        upper if upper.chars().all(|c| c.is_ascii_uppercase()) => name.to_ascii_uppercase(),
        lower if lower.chars().all(|c| c.is_ascii_lowercase()) => name.to_ascii_lowercase(),
        _ => name.to_owned(),
    };
    if fill && word.len() > 2 && !word.eq_ignore_ascii_case("mon") { format!("{text:<9}") } else { text }
}

fn render_word(word: &str, fill: bool, clock: &Clock) -> String {
    let local = &clock.local;
    let padded = |number: i64, width: usize| if fill { format!("{number:0width$}") } else { number.to_string() };
    let year = i64::from(local.year());
    let micros = i64::from(local.nanosecond() / 1000);
    let weekday = usize::try_from(local.weekday().num_days_from_sunday()).unwrap_or(0);
    let month = usize::try_from(local.month0()).unwrap_or(0);
    match word {
        "YYYY" => padded(year, 4),
        "Y,YYY" => format!("{},{:03}", year / 1000, year % 1000),
        "YYY" => padded(year % 1000, 3),
        "YY" => padded(year % 100, 2),
        "Y" => (year % 10).to_string(),
        "IYYY" => padded(local.iso_week().year().into(), 4),
        "IYY" => padded(i64::from(local.iso_week().year()) % 1000, 3),
        "IY" => padded(i64::from(local.iso_week().year()) % 100, 2),
        "I" => (local.iso_week().year() % 10).to_string(),
        "IW" => padded(local.iso_week().week().into(), 2),
        "ID" => local.weekday().number_from_monday().to_string(),
        "IDDD" => {
            padded((i64::from(local.iso_week().week()) - 1) * 7 + i64::from(local.weekday().number_from_monday()), 3)
        }
        "MM" => padded(local.month().into(), 2),
        "MONTH" | "Month" | "month" => named(MONTHS[month], word, fill),
        "MON" | "Mon" | "mon" => named(&MONTHS[month][..3], word, fill),
        "RM" => {
            if fill {
                format!("{:<4}", ROMAN[month])
            } else {
                ROMAN[month].to_owned()
            }
        }
        "rm" => ROMAN[month].to_ascii_lowercase(),
        "DAY" | "Day" | "day" => named(DAYS[weekday], word, fill),
        "DY" | "Dy" | "dy" => named(&DAYS[weekday][..3], word, false),
        "DDD" => padded(local.ordinal().into(), 3),
        "DD" => padded(local.day().into(), 2),
        "D" => (weekday + 1).to_string(),
        "WW" => padded(i64::from(local.ordinal0() / 7 + 1), 2),
        "W" => (local.day0() / 7 + 1).to_string(),
        "Q" => (local.month0() / 3 + 1).to_string(),
        "CC" => padded((year + 99).div_euclid(100), 2),
        "J" => (i64::from(local.date().to_epoch_days()) + 2_440_588).to_string(),
        "BC" | "AD" => if year > 0 { "AD" } else { "BC" }.to_owned(),
        "B.C." | "A.D." => if year > 0 { "A.D." } else { "B.C." }.to_owned(),
        time => render_time(time, micros, &padded, clock),
    }
}

fn render_time(word: &str, micros: i64, padded: &dyn Fn(i64, usize) -> String, clock: &Clock) -> String {
    let local = &clock.local;
    let afternoon = local.hour() >= 12;
    match word {
        "HH24" => padded(local.hour().into(), 2),
        "HH12" | "HH" => padded(local.hour12().1.into(), 2),
        "MI" => padded(local.minute().into(), 2),
        "SS" => padded(local.second().into(), 2),
        "SSSS" | "SSSSS" => local.num_seconds_from_midnight().to_string(),
        "MS" => format!("{:03}", micros / 1000),
        "US" => format!("{micros:06}"),
        "AM" | "PM" => if afternoon { "PM" } else { "AM" }.to_owned(),
        "am" | "pm" => if afternoon { "pm" } else { "am" }.to_owned(),
        "A.M." | "P.M." => if afternoon { "P.M." } else { "A.M." }.to_owned(),
        "a.m." | "p.m." => if afternoon { "p.m." } else { "a.m." }.to_owned(),
        fraction if fraction.starts_with("FF") => {
            let digits = fraction[2..].parse().unwrap_or(6);
            format!("{micros:06}")[..digits].to_owned()
        }
        zone => match &clock.zone {
            None if zone == "OF" => "+00".to_owned(),
            None => String::new(),
            Some((name, _)) if zone == "TZ" => name.clone(),
            Some((name, _)) if zone == "tz" => name.to_ascii_lowercase(),
            Some((_, seconds)) if zone == "TZH" => offset(*seconds).chars().take(3).collect(),
            Some((_, seconds)) if zone == "TZM" => format!("{:02}", seconds.unsigned_abs() / 60 % 60),
            Some((_, seconds)) => offset(*seconds),
        },
    }
}

/// What `to_date` and `to_timestamp` read from a text.
#[derive(Debug)]
struct Read {
    year: i32,
    month: u32,
    day: u32,
    day_of_year: Option<u32>,
    micros: i64,
    afternoon: Option<bool>,
    offset_seconds: Option<i64>,
}

fn read(text: &str, template: &str) -> Result<Read> {
    let mut found =
        Read { year: 1, month: 1, day: 1, day_of_year: None, micros: 0, afternoon: None, offset_seconds: None };
    let mut rest = text.trim_start();
    for piece in pieces(template) {
        match piece {
            Piece::Text(separator) => {
                // A separator of the template skips one of the text, whichever it is.
                let letter = separator.chars().next().unwrap_or(' ');
                if letter.is_alphanumeric() {
                    rest = rest.get(separator.len()..).unwrap_or_default();
                } else {
                    rest = rest
                        .strip_prefix(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '+') || c == letter)
                        .unwrap_or(rest);
                }
            }
            Piece::Word { word, .. } => {
                rest = rest.trim_start_matches(' ');
                rest = read_word(word, rest, &mut found).ok_or_else(|| {
                    let given: String = rest.chars().take(word.len()).collect();
                    Error::new(ErrorKind::InvalidDatetimeFormat, format!("invalid value \"{given}\" for \"{word}\""))
                })?;
            }
        }
    }
    Ok(found)
}

/// Reads one word's value and gives what follows it.
fn read_word<'a>(word: &str, text: &'a str, found: &mut Read) -> Option<&'a str> {
    let digits = |most: usize| -> Option<(i64, &'a str)> {
        let end = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        Some((text.get(..end)?.parse().ok()?, &text[end..]))
    };
    let upper = word.to_ascii_uppercase();
    let (most, unit) = match upper.as_str() {
        "MONTH" | "MON" => return read_month(text, found),
        "DAY" | "DY" => return Some(text.trim_start_matches(|c: char| c.is_alphabetic())),
        "AM" | "PM" | "A.M." | "P.M." => {
            let end = text.find(|c: char| !c.is_alphabetic() && c != '.').unwrap_or(text.len());
            found.afternoon = Some(text.starts_with(['p', 'P']));
            return Some(&text[end..]);
        }
        "TZH" => {
            let (sign, rest) = text.strip_prefix('-').map_or((1, text.trim_start_matches('+')), |rest| (-1, rest));
            let end = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
            found.offset_seconds = Some(sign * rest[..end].parse::<i64>().ok()? * 3600);
            return Some(&rest[end..]);
        }
        "YYYY" => (if text.bytes().take_while(u8::is_ascii_digit).count() > 8 { 4 } else { 8 }, 0),
        "YYY" => (3, 0),
        "YY" => (2, 0),
        "DDD" | "MS" => (3, 0),
        "US" => (6, 0),
        "SSSS" | "SSSSS" => (5, 0),
        "J" => (8, 0),
        "D" | "ID" | "Q" | "W" | "Y" => (1, 0),
        fraction if fraction.starts_with("FF") => (6, 0),
        _ => (2, 0),
    };
    // Digits that are followed by more digits in the template are read by width.
    let most =
        if upper == "YYYY" && text.bytes().take_while(u8::is_ascii_digit).count() >= 8 { 4 } else { most + unit };
    let (number, rest) = digits(most)?;
    let read_digits = text.len() - rest.len();
    set_field(&upper, number, read_digits, found)?;
    Some(rest)
}

fn read_month<'a>(text: &'a str, found: &mut Read) -> Option<&'a str> {
    let lower = text.to_ascii_lowercase();
    let at = MONTHS.iter().position(|month| lower.starts_with(&month[..3].to_ascii_lowercase()))?;
    let whole = lower.starts_with(&MONTHS[at].to_ascii_lowercase());
    found.month = u32::try_from(at + 1).ok()?;
    Some(&text[if whole { MONTHS[at].len() } else { 3 }..])
}

fn set_field(word: &str, number: i64, digits: usize, found: &mut Read) -> Option<()> {
    let small = u32::try_from(number).ok()?;
    match word {
        "YYYY" => found.year = i32::try_from(number).ok()?,
        "YYY" | "YY" | "Y" => {
            found.year = i32::try_from(if number < 70 { 2000 + number } else { 1900 + number }).ok()?
        }
        "MM" => found.month = small,
        "DD" => found.day = small,
        "DDD" => found.day_of_year = Some(small),
        "HH24" | "HH" | "HH12" => found.micros += number * 3_600_000_000,
        "MI" => found.micros += number * 60_000_000,
        "SS" => found.micros += number * 1_000_000,
        "SSSS" | "SSSSS" => found.micros = number * 1_000_000,
        fraction if fraction == "MS" || fraction == "US" || fraction.starts_with("FF") => {
            found.micros += number * 10i64.pow(6u32.saturating_sub(u32::try_from(digits).ok()?));
        }
        "TZM" => found.offset_seconds = found.offset_seconds.map(|seconds| seconds + seconds.signum() * number * 60),
        _ => {}
    }
    Some(())
}

impl Read {
    fn local_micros(&self, text: &str) -> Result<i64> {
        let out_of_range =
            || Error::new(ErrorKind::DatetimeFieldOverflow, format!("date/time field value out of range: \"{text}\""));
        let date = match self.day_of_year {
            Some(day) => NaiveDate::from_yo_opt(self.year, day),
            None => NaiveDate::from_ymd_opt(self.year, self.month, self.day),
        };
        let date = date.ok_or_else(out_of_range)?;
        let half = DAY_MICROS / 2;
        let clock = match self.afternoon {
            Some(true) if self.micros < half => self.micros + half,
            Some(false) if self.micros >= half => self.micros - half,
            _ => self.micros,
        };
        if clock > DAY_MICROS {
            return Err(out_of_range());
        }
        Ok(i64::from(date.to_epoch_days()) * DAY_MICROS + clock)
    }
}

fn to_date(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let text = arguments.text(0)?;
    let micros = read(text, arguments.text(1)?)?.local_micros(text)?;
    Ok(Value::Date(i32::try_from(micros.div_euclid(DAY_MICROS)).unwrap_or(i32::MAX)))
}

fn to_timestamp(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let text = arguments.text(0)?;
    let found = read(text, arguments.text(1)?)?;
    let local = found.local_micros(text)?;
    Ok(Value::Timestamp(match found.offset_seconds {
        Some(seconds) => local - seconds * 1_000_000,
        None => local_to_utc(local, &arguments.session.time_zone)?,
    }))
}

fn plain_date(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Date(parse_time::date(arguments.text(0)?, arguments.session.moment())?))
}

fn plain_timestamp(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Timestamp(parse_time::timestamptz(arguments.text(0)?, arguments.session.moment())?))
}

fn seconds_to_timestamp(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let micros = arguments.float(0)? * 1e6;
    match micros.is_finite() && micros.abs() < 8.2e18 {
        true => Ok(Value::Timestamp(micros.round_ties_even() as i64)),
        false => Err(Error::new(
            ErrorKind::DatetimeFieldOverflow,
            format!("timestamp out of range: \"{}\"", arguments.float(0)?),
        )),
    }
}
