//! Time zones: the session's zone and the offset it has at an instant.

use std::cell::Cell;

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::session::text::datetime::{civil_from_days, days_from_civil};

/// A time zone, as `SET TIME ZONE` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Seconds east of Greenwich.
    Fixed(i32),
    /// A zone of the IANA database.
    Named(Tz),
}

impl Default for Zone {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl From<Tz> for Zone {
    fn from(zone: Tz) -> Self {
        match zone {
            Tz::UTC | Tz::Etc__UTC | Tz::GMT | Tz::Etc__GMT => Self::Fixed(0),
            zone => Self::Named(zone),
        }
    }
}

/// No zone is further from Greenwich (PostgreSQL's own limit).
const OFFSET_SECONDS_MAX: i32 = 15 * 3600 + 59 * 60 + 59;

/// The first second of 2037, the last year that the zone tables have rules for.
const RULES_END_SECONDS: i64 = 2_114_380_800;

/// chrono starts about the year -262143; before this one (-9999) no zone has an offset of its own.
const FAR_PAST_SECONDS: i64 = -377_705_116_800;

/// The instant whose offset a far one takes: years after the tables' end repeat, weekday by weekday, those before it.
fn ruled(seconds: i64) -> i64 {
    if seconds < RULES_END_SECONDS {
        return seconds.max(FAR_PAST_SECONDS);
    }
    let days = seconds.div_euclid(86_400);
    let (year, _, _) = civil_from_days(days);
    let start = days_from_civil(year, 1, 1);
    let length = days_from_civil(year + 1, 1, 1) - start;
    let alike = |other: &i64| {
        let other_start = days_from_civil(*other, 1, 1);
        (other_start - start) % 7 == 0 && days_from_civil(other + 1, 1, 1) - other_start == length
    };
    // Within 28 years every combination of weekday and leap year comes by.
    let year = (2009..2037).find(alike).unwrap_or(2036);
    seconds - (start - days_from_civil(year, 1, 1)) * 86_400
}

impl Zone {
    /// The zone of that name (any case), of `UTC`, `Z`, or of an offset such as `+02`, `-03:30`.
    pub fn find(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        if ["utc", "gmt", "z", "zulu"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
            return Some(Self::Fixed(0));
        }
        if text.starts_with(['+', '-']) {
            return parse_offset(text).map(Self::Fixed);
        }
        if let Ok(zone) = text.parse::<Tz>() {
            return Some(Self::Named(zone));
        }
        chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)).map(|zone| Self::Named(*zone))
    }

    /// Seconds east of Greenwich at an instant.
    pub fn offset_at(self, seconds: i64) -> i32 {
        match self {
            Self::Fixed(offset) => offset,
            Self::Named(zone) => DateTime::from_timestamp(ruled(seconds), 0)
                .map_or(0, |at| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()),
        }
    }

    /// Seconds east of Greenwich for a clock on the wall that shows `seconds` since 1970 began there.
    ///
    /// An hour that happens twice is the second one, in standard time; one that is skipped takes the offset from before the gap.
    pub fn offset_of_local(self, seconds: i64) -> i32 {
        match self {
            Self::Fixed(offset) => offset,
            Self::Named(zone) => {
                let seconds = ruled(seconds);
                let Some(at) = DateTime::from_timestamp(seconds, 0) else { return 0 };
                local_offset(zone, at.naive_utc()).unwrap_or_else(|| self.offset_at(seconds - 86_400))
            }
        }
    }
}

fn local_offset(zone: Tz, at: NaiveDateTime) -> Option<i32> {
    zone.offset_from_local_datetime(&at).latest().map(|offset| offset.fix().local_minus_utc())
}

/// Reads `+HH`, `+HHMM`, `+HH:MM`, `+HH:MM:SS`.
pub(crate) fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return None;
    }
    let mut parts = digits.split(':');
    let first = parts.next()?;
    let (hours, minutes): (i32, i32) = match (first.len(), parts.next()) {
        (1 | 2, None) => (first.parse().ok()?, 0),
        (1 | 2, Some(minutes)) => (first.parse().ok()?, minutes.parse().ok()?),
        (3 | 4, None) => {
            let (hours, minutes) = first.split_at(first.len() - 2);
            (hours.parse().ok()?, minutes.parse().ok()?)
        }
        _ => return None,
    };
    let seconds = parts.next().map_or(Some(0), |seconds| seconds.parse::<i32>().ok())?;
    let offset = hours * 3600 + minutes * 60 + seconds;
    let sane = minutes < 60 && seconds < 60 && offset <= OFFSET_SECONDS_MAX && parts.next().is_none();
    sane.then_some(sign * offset)
}

/// Appends an offset as `+HH[:MM[:SS]]`.
pub(crate) fn write_offset(out: &mut Vec<u8>, offset: i32) {
    out.push(if offset < 0 { b'-' } else { b'+' });
    let seconds = offset.unsigned_abs();
    let pair =
        |out: &mut Vec<u8>, value: u32| out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
    pair(out, seconds / 3600);
    if !seconds.is_multiple_of(3600) {
        out.push(b':');
        pair(out, seconds / 60 % 60);
    }
    if !seconds.is_multiple_of(60) {
        out.push(b':');
        pair(out, seconds % 60);
    }
}

/// A zone that remembers the last quarter of an hour it was asked about.
///
/// Since 1973 every change of an offset falls on a quarter of an hour, so within one the answer stays the same.
pub struct ZoneCursor {
    zone: Zone,
    quarter: Cell<i64>,
    offset: Cell<i32>,
}

const QUARTER_SECONDS: i64 = 900;
const QUARTERS_UNTIL_1973: i64 = 105_190;

impl ZoneCursor {
    /// A cursor over `zone`.
    pub fn new(zone: Zone) -> Self {
        Self { zone, quarter: Cell::new(i64::MIN), offset: Cell::new(0) }
    }

    /// Seconds east of Greenwich at an instant.
    pub fn offset_at(&self, seconds: i64) -> i32 {
        if let Zone::Fixed(offset) = self.zone {
            return offset;
        }
        let quarter = seconds.div_euclid(QUARTER_SECONDS);
        if quarter == self.quarter.get() {
            return self.offset.get();
        }
        let offset = self.zone.offset_at(seconds);
        if quarter > QUARTERS_UNTIL_1973 {
            self.quarter.set(quarter);
            self.offset.set(offset);
        }
        offset
    }
}
