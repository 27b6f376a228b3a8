//! Dates, times and intervals from text: ISO 8601 and the other spellings that PostgreSQL reads with its default settings.

use arrow::datatypes::IntervalMonthDayNano;
use chrono::{DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::error::{Error, ErrorKind, Result};

/// Microseconds of a day.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// A date, a time of day and a zone, each where the text has one.
#[derive(Debug, Default)]
struct Parts {
    date: Option<NaiveDate>,
    time_micros: Option<i64>,
    zone: Option<Zone>,
}

#[derive(Clone, Copy, Debug)]
enum Zone {
    Seconds(i32),
    Named(Tz),
}

/// What `now`, `today` and the session's zone mean while text is read.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: DateTime<Utc>,
    pub zone: Tz,
}

/// Days since 1970-01-01.
pub fn date(text: &str, moment: Moment) -> Result<i32> {
    let parts = split(text, "date", moment)?;
    let date = parts.date.ok_or_else(|| invalid_time("date", text))?;
    Ok(date.to_epoch_days())
}

/// Microseconds since midnight.
pub fn time(text: &str, moment: Moment) -> Result<i64> {
    split(text, "time", moment)?.time_micros.ok_or_else(|| invalid_time("time", text))
}

/// Microseconds since 1970-01-01; a zone in the text is ignored, as in PostgreSQL.
pub fn timestamp(text: &str, moment: Moment) -> Result<i64> {
    let parts = split(text, "timestamp", moment)?;
    let date = parts.date.ok_or_else(|| invalid_time("timestamp", text))?;
    Ok(i64::from(date.to_epoch_days()) * DAY_MICROS + parts.time_micros.unwrap_or(0))
}

/// Microseconds since 1970-01-01 in UTC; without a zone in the text, the session's.
pub fn timestamptz(text: &str, moment: Moment) -> Result<i64> {
    let parts = split(text, "timestamp with time zone", moment)?;
    let date = parts.date.ok_or_else(|| invalid_time("timestamp with time zone", text))?;
    let local = i64::from(date.to_epoch_days()) * DAY_MICROS + parts.time_micros.unwrap_or(0);
    match parts.zone {
        Some(Zone::Seconds(seconds)) => Ok(local - i64::from(seconds) * 1_000_000),
        Some(Zone::Named(zone)) => local_to_utc(local, &zone),
        None => local_to_utc(local, &moment.zone),
    }
}

/// The moment at which a wall in `zone` shows `local`; in a gap or overlap by the offset before it, as PostgreSQL does.
pub fn local_to_utc(local_micros: i64, zone: &Tz) -> Result<i64> {
    let local = wall(local_micros)?;
    let offset = match zone.offset_from_local_datetime(&local) {
        MappedLocalTime::Single(offset) => offset,
        MappedLocalTime::Ambiguous(_, later) => later,
        MappedLocalTime::None => zone.offset_from_utc_datetime(&(local - TimeDelta::days(1))),
    };
    Ok(local_micros - i64::from(offset.fix().local_minus_utc()) * 1_000_000)
}

/// What a wall in `zone` shows at that moment.
pub fn utc_to_local(micros: i64, zone: &Tz) -> Result<i64> {
    let offset = zone.offset_from_utc_datetime(&wall(micros)?);
    Ok(micros + i64::from(offset.fix().local_minus_utc()) * 1_000_000)
}

fn wall(micros: i64) -> Result<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros)
        .map(|moment| moment.naive_utc())
        .ok_or_else(|| Error::new(ErrorKind::DatetimeFieldOverflow, "timestamp out of range"))
}

/// A time zone by its name, an abbreviation that means one, or an offset such as `+02:30`.
pub fn named_zone(name: &str) -> Option<Tz> {
    match name.to_ascii_lowercase().as_str() {
        "utc" | "z" | "zulu" | "gmt" | "etc/utc" | "ut" => Some(Tz::UTC),
        lower => chrono_tz::TZ_VARIANTS.iter().copied().find(|zone| zone.name().eq_ignore_ascii_case(lower)),
    }
}

fn invalid_time(pg_type: &str, text: &str) -> Error {
    let kind = ErrorKind::InvalidDatetimeFormat;
    Error::new(kind, format!("invalid input syntax for type {pg_type}: \"{text}\""))
}

fn out_of_range(text: &str) -> Error {
    Error::new(ErrorKind::DatetimeFieldOverflow, format!("date/time field value out of range: \"{text}\""))
}

fn split(text: &str, pg_type: &str, moment: Moment) -> Result<Parts> {
    let trimmed = text.trim();
    if let Some(parts) = special(trimmed, moment) {
        return Ok(parts);
    }
    let mut parts = Parts::default();
    let mut words: Vec<&str> = trimmed.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    // `2026-01-31T10:00`: one word to split at the T.
    if let Some(first) = words.first().copied()
        && let Some((day, clock)) = first.split_once(['T', 't'])
        && day.starts_with(|c: char| c.is_ascii_digit())
        && clock.starts_with(|c: char| c.is_ascii_digit())
    {
        words.splice(0..1, [day, clock]);
    }
    let mut loose: Vec<&str> = Vec::new();
    for word in words {
        read_word(word, text, pg_type, &mut parts, &mut loose)?;
    }
    if !loose.is_empty() {
        parts.date = Some(date_of_words(&loose, text, pg_type)?);
    }
    Ok(parts)
}

fn special(word: &str, moment: Moment) -> Option<Parts> {
    let local = moment.now.with_timezone(&moment.zone).naive_local();
    let of = |date: NaiveDate, time_micros| Parts { date: Some(date), time_micros: Some(time_micros), zone: None };
    match word.to_ascii_lowercase().as_str() {
        "now" => {
            let micros = local.and_utc().timestamp_micros().rem_euclid(DAY_MICROS);
            Some(of(local.date(), micros))
        }
        "today" => Some(of(local.date(), 0)),
        "tomorrow" => Some(of(local.date().succ_opt()?, 0)),
        "yesterday" => Some(of(local.date().pred_opt()?, 0)),
        "epoch" => Some(Parts { zone: Some(Zone::Seconds(0)), ..of(NaiveDate::default(), 0) }),
        _ => None,
    }
}

fn read_word<'a>(word: &'a str, text: &str, pg_type: &str, parts: &mut Parts, loose: &mut Vec<&'a str>) -> Result<()> {
    let digit_first = word.starts_with(|c: char| c.is_ascii_digit());
    if word.contains(':') && digit_first {
        let (clock, zone) = split_zone(word);
        parts.time_micros = Some(clock_micros(clock).ok_or_else(|| invalid_time(pg_type, text))?);
        if parts.time_micros.is_some_and(|micros| micros > DAY_MICROS) {
            return Err(out_of_range(text));
        }
        if let Some(zone) = zone {
            parts.zone = Some(read_zone(zone).ok_or_else(|| invalid_time(pg_type, text))?);
        }
        return Ok(());
    }
    match word.to_ascii_lowercase().as_str() {
        "pm" | "am" => return half_of_day(word, text, parts),
        "ad" => return Ok(()),
        // There is no year 0: the year before 1 is 1 BC.
        "bc" => {
            let before = parts.date.and_then(|date| date.with_year(1 - date.year()));
            parts.date = Some(before.ok_or_else(|| invalid_time(pg_type, text))?);
            return Ok(());
        }
        _ => {}
    }
    if parts.time_micros.is_some() && loose.is_empty() && parts.date.is_some() {
        parts.zone = Some(read_zone(word).ok_or_else(|| invalid_time(pg_type, text))?);
        return Ok(());
    }
    if digit_first && word.bytes().filter(|byte| matches!(byte, b'-' | b'/' | b'.')).count() == 2 || is_compact(word) {
        parts.date = Some(numeric_date(word, text, pg_type)?);
        return Ok(());
    }
    loose.push(word);
    Ok(())
}

fn half_of_day(word: &str, text: &str, parts: &mut Parts) -> Result<()> {
    let micros = parts.time_micros.ok_or_else(|| invalid_time("time", text))?;
    let half = DAY_MICROS / 2;
    let pm = word.eq_ignore_ascii_case("pm");
    parts.time_micros = Some(if pm && micros < half {
        micros + half
    } else if !pm && micros >= half {
        micros - half
    } else {
        micros
    });
    Ok(())
}

fn is_compact(word: &str) -> bool {
    word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// `2026-01-31`, `2026/01/31`, `01/31/2026`, `20260131`.
fn numeric_date(word: &str, text: &str, pg_type: &str) -> Result<NaiveDate> {
    let fields: Vec<&str> = match is_compact(word) {
        true => vec![&word[..4], &word[4..6], &word[6..]],
        false => word.split(['-', '/', '.']).collect(),
    };
    let month_by_name = fields.get(1).and_then(|name| month_of(name));
    let number = |at: usize| fields.get(at).and_then(|field: &&str| field.parse::<u32>().ok());
    let (Some(first), Some(last)) = (number(0), number(2)) else { return Err(invalid_time(pg_type, text)) };
    let Some(middle) = month_by_name.or(number(1)) else { return Err(invalid_time(pg_type, text)) };
    let year_first = fields[0].len() > 2;
    let (year, month, day) = match (year_first, month_by_name.is_some()) {
        (true, _) => (first, middle, last),
        (false, true) => (last, middle, first),
        (false, false) => (last, first, middle),
    };
    i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
        .ok_or_else(|| out_of_range(text))
}

/// `January 31 2026`, `31 Jan 2026`.
fn date_of_words(words: &[&str], text: &str, pg_type: &str) -> Result<NaiveDate> {
    let month = words.iter().find_map(|word| month_of(word)).ok_or_else(|| invalid_time(pg_type, text))?;
    let numbers: Vec<u32> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let [one, two] = numbers[..] else { return Err(invalid_time(pg_type, text)) };
    let (year, day) = if one > 31 { (one, two) } else { (two, one) };
    i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
        .ok_or_else(|| out_of_range(text))
}

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

fn month_of(word: &str) -> Option<u32> {
    let word = word.to_ascii_lowercase();
    if word.len() < 3 {
        return None;
    }
    let at = MONTHS.iter().position(|month| month.starts_with(&word))?;
    u32::try_from(at + 1).ok()
}

/// `10:00:00+02` to the clock and the zone.
fn split_zone(word: &str) -> (&str, Option<&str>) {
    match word.find(|c: char| matches!(c, '+' | '-') || c.is_ascii_alphabetic()) {
        Some(at) => (&word[..at], Some(&word[at..])),
        None => (word, None),
    }
}

fn read_zone(word: &str) -> Option<Zone> {
    let Some(rest) = word.strip_prefix(['+', '-']) else { return named_zone(word).map(Zone::Named) };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |field| field.parse::<i32>().ok());
    let seconds = match digits.len() {
        1 | 2 => digits.parse::<i32>().ok()? * 3600,
        4 | 6 => part(0, 2)? * 3600 + part(2, 4)? * 60 + part(4, 6)?,
        _ => return None,
    };
    Some(Zone::Seconds(if word.starts_with('-') { -seconds } else { seconds }))
}

/// Microseconds of `10`, `10:00`, `10:00:00.123`; more than a day is not checked.
fn clock_micros(clock: &str) -> Option<i64> {
    let mut fields = clock.split(':');
    let hours: i64 = fields.next()?.parse().ok()?;
    let minutes: i64 = fields.next().map_or(Some(0), |field| field.parse().ok())?;
    let seconds = fields.next().map_or(Some(0), fraction_micros)?;
    if fields.next().is_some() || minutes > 59 || seconds > 60_000_000 {
        return None;
    }
    Some(hours * 3_600_000_000 + minutes * 60_000_000 + seconds)
}

/// A decimal number times a million, rounded.
fn fraction_micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{fraction:0<7}");
    let micros: i64 = padded.get(..6)?.parse().ok()?;
    let round = i64::from(padded.as_bytes().get(6).is_some_and(|digit| *digit >= b'5'));
    whole.checked_mul(1_000_000)?.checked_add(micros + round)
}

/// An interval in PostgreSQL's words (`1 year 2 mons -3 days 04:05:06`) or ISO 8601 (`P1Y2M3DT4H5M6S`).
pub fn interval(text: &str) -> Result<IntervalMonthDayNano> {
    let trimmed = text.trim();
    let read = match trimmed.starts_with('P') {
        true => iso_interval(trimmed),
        false => worded_interval(trimmed),
    };
    let sum = read.ok_or_else(|| invalid_time("interval", text))?;
    sum.finish().ok_or_else(|| {
        Error::new(ErrorKind::DatetimeFieldOverflow, format!("interval field value out of range: \"{text}\""))
    })
}

/// Parts of an interval while they are added up.
#[derive(Debug, Default)]
struct Sum {
    months: f64,
    days: f64,
    micros: f64,
}

impl Sum {
    /// Adds `number` of `unit`; a fraction of a month becomes days, a fraction of a day hours.
    fn add(&mut self, number: f64, unit: &str) -> Option<()> {
        let months = |sum: &mut Self, months: f64| {
            sum.months += months.trunc();
            sum.days += (months.fract() * 30.0).trunc();
            sum.micros += ((months.fract() * 30.0).fract() * DAY_MICROS as f64).round();
        };
        let unit = unit.to_ascii_lowercase();
        let stem = match unit.as_str() {
            "ms" => "millisecond",
            "us" => "microsecond",
            plain => plain.strip_suffix('s').filter(|stem| !stem.is_empty()).unwrap_or(plain),
        };
        match stem {
            "millennium" | "millennia" | "mil" => months(self, number * 12_000.0),
            "century" | "centurie" | "c" | "cent" => months(self, number * 1200.0),
            "decade" | "dec" => months(self, number * 120.0),
            "year" | "y" | "yr" => {
                let all = number * 12.0;
                self.months += all.round();
            }
            "month" | "mon" => months(self, number),
            "week" | "w" => {
                self.days += (number * 7.0).trunc();
                self.micros += (number * 7.0).fract() * DAY_MICROS as f64;
            }
            "day" | "d" => {
                self.days += number.trunc();
                self.micros += number.fract() * DAY_MICROS as f64;
            }
            "hour" | "h" | "hr" => self.micros += number * 3.6e9,
            "minute" | "m" | "min" => self.micros += number * 6e7,
            "second" | "sec" => self.micros += number * 1e6,
            "millisecond" | "msec" => self.micros += number * 1e3,
            "microsecond" | "usec" | "u" => self.micros += number,
            "" => self.micros += number * 1e6,
            _ => return None,
        }
        Some(())
    }

    fn finish(&self) -> Option<IntervalMonthDayNano> {
        let fits = |number: f64| number.abs() <= f64::from(i32::MAX);
        if !fits(self.months) || !fits(self.days) || self.micros.abs() * 1000.0 > 9.2e18 {
            return None;
        }
        Some(IntervalMonthDayNano::new(self.months as i32, self.days as i32, self.micros.round() as i64 * 1000))
    }
}

fn worded_interval(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let mut words = text.trim_start_matches('@').split_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case("ago") && words.peek().is_none() {
            return Some(Sum { months: -sum.months, days: -sum.days, micros: -sum.micros });
        }
        if word.contains(':') {
            let (sign, clock) = word.strip_prefix('-').map_or((1.0, word.trim_start_matches('+')), |rest| (-1.0, rest));
            sum.micros += sign * clock_micros(clock)? as f64;
            continue;
        }
        let unit_at = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (number, attached) = word.split_at(unit_at);
        let number: f64 = number.parse().ok()?;
        let next_is_unit = words.peek().is_some_and(|next| next.starts_with(|c: char| c.is_ascii_alphabetic()));
        let unit = match attached {
            "" if next_is_unit => words.next()?,
            attached => attached,
        };
        sum.add(number, unit)?;
    }
    Some(sum)
}

fn iso_interval(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let (mut in_time, mut number) = (false, String::new());
    for letter in text.chars().skip(1) {
        match letter {
            'T' => in_time = true,
            c if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => number.push(c),
            unit => {
                let unit = match (unit.to_ascii_uppercase(), in_time) {
                    ('Y', false) => "year",
                    ('M', false) => "month",
                    ('W', false) => "week",
                    ('D', false) => "day",
                    ('H', true) => "hour",
                    ('M', true) => "minute",
                    ('S', true) => "second",
                    _ => return None,
                };
                sum.add(number.parse().ok()?, unit)?;
                number.clear();
            }
        }
    }
    number.is_empty().then_some(sum)
}

/// The same day of another month, at most its last day.
pub fn add_months(date: NaiveDate, months: i32) -> Option<NaiveDate> {
    let all = i64::from(date.year()) * 12 + i64::from(date.month0()) + i64::from(months);
    let (year, month0) = (i32::try_from(all.div_euclid(12)).ok()?, u32::try_from(all.rem_euclid(12)).ok()?);
    (28..=31).rev().map(|last| last.min(date.day())).find_map(|day| NaiveDate::from_ymd_opt(year, month0 + 1, day))
}
