//! Text to dates, times and timestamps: the ISO forms, the common others, `infinity`, `epoch` and BC.

use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind, Result};
use crate::session::text::datetime::{DAY_MICROS, civil_from_days, days_from_civil};
use crate::session::text::invalid_syntax;
use crate::session::text::zone::{Zone, parse_offset};

/// What a text said, before it becomes one number.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    days: Option<i64>,
    micros: Option<i64>,
    zone: Option<Zone>,
    infinite: Option<bool>,
}

/// Why a text is no date.
enum Fault {
    Syntax,
    Range,
}

/// Reads a date as days since 1970.
pub fn read_date(text: &str) -> Result<i32> {
    let moment = moment(text, &PgType::Date)?;
    match (moment.infinite, moment.days) {
        (Some(later), _) => Ok(if later { i32::MAX } else { i32::MIN }),
        (None, Some(days)) => i32::try_from(days).map_err(|_| out_of_range(&PgType::Date, text)),
        (None, None) => Err(invalid_syntax(&PgType::Date, text)),
    }
}

/// Reads a time of day as microseconds; a date or zone beside it is ignored.
pub fn read_time(text: &str) -> Result<i64> {
    moment(text, &PgType::Time)?.micros.ok_or_else(|| invalid_syntax(&PgType::Time, text))
}

/// Reads a timestamp without time zone as microseconds since 1970; a zone in the text is ignored, as in PostgreSQL.
pub fn read_timestamp(text: &str) -> Result<i64> {
    read_instant(text, &PgType::Timestamp, |_, local| local)
}

/// Reads an instant as microseconds since 1970 UTC; without a zone in the text it is in `zone`.
pub fn read_timestamptz(text: &str, zone: Zone) -> Result<i64> {
    read_instant(text, &PgType::Timestamptz, |given, local| {
        let offset = given.unwrap_or(zone).offset_of_local(local.div_euclid(1_000_000));
        local - i64::from(offset) * 1_000_000
    })
}

fn read_instant(text: &str, pg_type: &PgType, settle: impl FnOnce(Option<Zone>, i64) -> i64) -> Result<i64> {
    let moment = moment(text, pg_type)?;
    if let Some(later) = moment.infinite {
        return Ok(if later { i64::MAX } else { i64::MIN });
    }
    let days = moment.days.ok_or_else(|| invalid_syntax(pg_type, text))?;
    let local = days.checked_mul(DAY_MICROS).and_then(|start| start.checked_add(moment.micros.unwrap_or(0)));
    // A day of slack keeps the zone's shift from wrapping.
    let local = local.filter(|local| local.unsigned_abs() < (i64::MAX - DAY_MICROS) as u64);
    Ok(settle(moment.zone, local.ok_or_else(|| out_of_range(pg_type, text))?))
}

fn out_of_range(pg_type: &PgType, text: &str) -> Error {
    let noun = if *pg_type == PgType::Date { "date" } else { "timestamp" };
    Error::new(ErrorKind::DatetimeFieldOverflow, format!("{noun} out of range: \"{text}\""))
}

fn moment(text: &str, pg_type: &PgType) -> Result<Moment> {
    parse(text.trim_ascii()).map_err(|fault| match fault {
        Fault::Syntax => invalid_syntax(pg_type, text),
        Fault::Range => {
            Error::new(ErrorKind::DatetimeFieldOverflow, format!("date/time field value out of range: \"{text}\""))
        }
    })
}

fn parse(text: &str) -> Result<Moment, Fault> {
    if let Some(fast) = parse_iso(text.as_bytes()) {
        return Ok(fast);
    }
    match text.to_ascii_lowercase().as_str() {
        "infinity" | "+infinity" => return Ok(Moment { infinite: Some(true), ..Moment::default() }),
        "-infinity" => return Ok(Moment { infinite: Some(false), ..Moment::default() }),
        "epoch" => return Ok(Moment { days: Some(0), micros: Some(0), zone: Some(Zone::Fixed(0)), infinite: None }),
        _ => {}
    }
    let (text, before_christ) = match text.len().checked_sub(3).and_then(|at| text.split_at_checked(at)) {
        Some((rest, tail)) if tail.eq_ignore_ascii_case(" bc") => (rest, true),
        Some((rest, tail)) if tail.eq_ignore_ascii_case(" ad") => (rest, false),
        _ => (text, false),
    };
    let mut moment = Moment::default();
    let mut words = Vec::new();
    for word in split_words(text) {
        take_word(word, &mut moment, &mut words)?;
    }
    if !words.is_empty() {
        moment.days = Some(date_of_words(&words)?);
    }
    if before_christ {
        let (year, month, day) = civil_from_days(moment.days.ok_or(Fault::Syntax)?);
        moment.days = Some(days_from_civil(1 - year, month, day));
    }
    if moment.days.is_none() && moment.micros.is_none() { Err(Fault::Syntax) } else { Ok(moment) }
}

/// `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS[.f]`, what nearly every value is: no allocation.
fn parse_iso(text: &[u8]) -> Option<Moment> {
    let two = |at: usize| {
        let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then_some(u32::from(tens) * 10 + u32::from(ones))
    };
    if text.len() < 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let (year, month, day) = (two(0)? * 100 + two(2)?, two(5)?, two(8)?);
    let days = checked_day(i64::from(year), month, day).ok()?;
    if text.len() == 10 {
        return Some(Moment { days: Some(days), ..Moment::default() });
    }
    if text.len() < 19 || !matches!(text[10], b' ' | b'T') || text[13] != b':' || text[16] != b':' {
        return None;
    }
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    if hour > 23 || minute > 59 || second > 59 || text.len() > 26 {
        return None;
    }
    let mut micros = (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1_000_000;
    if text.len() > 19 {
        if text[19] != b'.' {
            return None;
        }
        let mut weight = 100_000;
        for digit in text[20..].iter().map(|byte| byte.wrapping_sub(b'0')) {
            if digit > 9 {
                return None;
            }
            micros += i64::from(digit) * weight;
            weight /= 10;
        }
    }
    Some(Moment { days: Some(days), micros: Some(micros), ..Moment::default() })
}

/// Splits at blanks, and at the `T` between a date and a time.
fn split_words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', ','])
        .flat_map(|word| {
            let at = word.find(['T', 't']).filter(|at| {
                let bytes = word.as_bytes();
                *at > 0 && bytes[at - 1].is_ascii_digit() && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
            });
            match at {
                Some(at) => [&word[..at], &word[at + 1..]],
                None => [word, ""],
            }
        })
        .filter(|word| !word.is_empty())
}

fn take_word<'a>(word: &'a str, moment: &mut Moment, words: &mut Vec<&'a str>) -> Result<(), Fault> {
    if word.contains(':') && word.starts_with(|c: char| c.is_ascii_digit()) {
        let (time, zone) = split_zone(word);
        moment.micros = Some(parse_time(time)?);
        if let Some(zone) = zone {
            moment.zone = Some(Zone::find(zone).or_else(|| abbreviation(zone)).ok_or(Fault::Syntax)?);
        }
        return Ok(());
    }
    if moment.micros.is_some() {
        if word.eq_ignore_ascii_case("am") || word.eq_ignore_ascii_case("pm") {
            return half_of_day(moment, word.eq_ignore_ascii_case("pm"));
        }
        let zone = parse_offset(word).map(Zone::Fixed).or_else(|| Zone::find(word)).or_else(|| abbreviation(word));
        if let Some(zone) = zone {
            moment.zone = Some(zone);
            return Ok(());
        }
    }
    words.push(word);
    Ok(())
}

fn half_of_day(moment: &mut Moment, after_noon: bool) -> Result<(), Fault> {
    const HALF: i64 = DAY_MICROS / 2;
    let hour_micros = 3_600_000_000;
    let micros = moment.micros.ok_or(Fault::Syntax)?;
    if micros >= HALF + hour_micros || micros < hour_micros {
        return Err(Fault::Range);
    }
    moment.micros = Some(micros % HALF + if after_noon { HALF } else { 0 });
    Ok(())
}

/// The zones whose letters everyone writes; the rest must be given by name or offset.
fn abbreviation(word: &str) -> Option<Zone> {
    let hours = match word.to_ascii_lowercase().as_str() {
        "wet" => 0,
        "cet" | "bst" | "west" => 1,
        "cest" | "eet" => 2,
        "eest" | "msk" => 3,
        "est" => -5,
        "edt" => -4,
        "cst" => -6,
        "cdt" => -5,
        "mst" => -7,
        "mdt" => -6,
        "pst" => -8,
        "pdt" => -7,
        "jst" => 9,
        _ => return None,
    };
    Some(Zone::Fixed(hours * 3600))
}

fn split_zone(word: &str) -> (&str, Option<&str>) {
    match word.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.') {
        Some(at) => (&word[..at], Some(&word[at..])),
        None => (word, None),
    }
}

fn parse_time(text: &str) -> Result<i64, Fault> {
    let mut parts = text.split(':');
    let mut number = |fallback: Option<i64>| match parts.next() {
        Some(part) if part.len() <= 2 => part.parse::<i64>().map_err(|_| Fault::Syntax),
        Some(_) => Err(Fault::Syntax),
        None => fallback.ok_or(Fault::Syntax),
    };
    let (hour, minute) = (number(None)?, number(None)?);
    let (second, micros) = match parts.next() {
        None => (0, 0),
        Some(part) => {
            let (second, fraction) = part.split_once('.').unwrap_or((part, ""));
            (second.parse::<i64>().map_err(|_| Fault::Syntax)?, parse_fraction(fraction)?)
        }
    };
    if parts.next().is_some() {
        return Err(Fault::Syntax);
    }
    let total = (hour * 3600 + minute * 60 + second) * 1_000_000 + micros;
    if minute > 59 || second > 60 || total > DAY_MICROS { Err(Fault::Range) } else { Ok(total) }
}

/// Digits after the point to microseconds, rounded.
pub(super) fn parse_fraction_digits(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digit = |at: usize| digits.as_bytes().get(at).map_or(0, |byte| i64::from(byte - b'0'));
    let micros = (0..6).fold(0, |sum, at| sum * 10 + digit(at));
    let rest = digits.as_bytes().get(6..).unwrap_or_default();
    // Exactly half goes to the even neighbour, as it does for PostgreSQL's rint().
    let half = rest.first() == Some(&b'5') && rest[1..].iter().all(|byte| *byte == b'0');
    let up = if half { micros % 2 == 1 } else { digit(6) >= 5 };
    Some(micros + i64::from(up))
}

fn parse_fraction(digits: &str) -> Result<i64, Fault> {
    parse_fraction_digits(digits).ok_or(Fault::Syntax)
}

fn checked_day(year: i64, month: u32, day: u32) -> Result<i64, Fault> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year == 0 || !(1..=12).contains(&month) || !(1..=length).contains(&day) {
        return Err(Fault::Range);
    }
    Ok(days_from_civil(year, month, day))
}

/// A date in one word (`2024-01-02`, `1/2/2024`, `20240102`, `2-Jan-2024`) or several (`Jan 2 2024`).
fn date_of_words(words: &[&str]) -> Result<i64, Fault> {
    let parts: Vec<&str> = match words {
        [word] if word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit()) => {
            vec![&word[..4], &word[4..6], &word[6..]]
        }
        words => words.iter().flat_map(|word| word.split(['-', '/', '.'])).filter(|part| !is_weekday(part)).collect(),
    };
    let [first, second, third] = parts.as_slice() else { return Err(Fault::Syntax) };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 6 {
        true => text.parse::<u32>().map_err(|_| Fault::Syntax),
        false => Err(Fault::Syntax),
    };
    if let Some(month) = month_of(first) {
        return checked_day(full_year(third, number(third)?), month, number(second)?);
    }
    if let Some(month) = month_of(second) {
        return match first.len() > 2 {
            true => checked_day(i64::from(number(first)?), month, number(third)?),
            false => checked_day(full_year(third, number(third)?), month, number(first)?),
        };
    }
    match first.len() > 2 {
        true => checked_day(i64::from(number(first)?), number(second)?, number(third)?),
        // DateStyle is MDY.
        false => checked_day(full_year(third, number(third)?), number(first)?, number(second)?),
    }
}

/// Two digits of a year mean 1970 to 2069.
fn full_year(text: &str, year: u32) -> i64 {
    match (text.len(), year) {
        (..=2, 70..) => i64::from(year) + 1900,
        (..=2, _) => i64::from(year) + 2000,
        _ => i64::from(year),
    }
}

fn month_of(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.to_ascii_lowercase();
    let matches = |month: &str| word.len() >= 3 && month.starts_with(&word);
    MONTHS.iter().position(|month| matches(month)).map(|at| at as u32 + 1)
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let word = word.to_ascii_lowercase();
    word.is_empty() || word.len() >= 3 && DAYS.iter().any(|day| day.starts_with(&word))
}
