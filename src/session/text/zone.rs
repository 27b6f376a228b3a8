//! Time zones: the session's zone and the offset it has at an instant.

use std::cell::Cell;

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::error::{Error, ErrorKind, Result};

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

/// No zone is further from Greenwich (PostgreSQL's own limit).
const OFFSET_SECONDS_MAX: i32 = 15 * 3600 + 59 * 60 + 59;

/// chrono ends at year 262143; later instants take the offset of this one (in seconds, year 9999).
const FAR_SECONDS: i64 = 253_402_300_799;

impl Zone {
    /// Reads a zone's name (any case), `UTC`, `Z`, or an offset such as `+02`, `-03:30`.
    pub fn parse(text: &str) -> Result<Self> {
        Self::find(text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidParameterValue, format!("invalid value for parameter \"TimeZone\": \"{text}\""))
        })
    }

    /// As [`Zone::parse`], with no message.
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
            Self::Named(zone) => {
                let seconds = seconds.clamp(-FAR_SECONDS, FAR_SECONDS);
                DateTime::from_timestamp(seconds, 0)
                    .map_or(0, |at| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
            }
        }
    }

    /// Seconds east of Greenwich for a clock on the wall that shows `seconds` since 1970 began there.
    ///
    /// An hour that happens twice is the first one; one that is skipped takes the offset from before the gap.
    pub fn offset_of_local(self, seconds: i64) -> i32 {
        match self {
            Self::Fixed(offset) => offset,
            Self::Named(zone) => {
                let seconds = seconds.clamp(-FAR_SECONDS, FAR_SECONDS);
                let Some(at) = DateTime::from_timestamp(seconds, 0) else { return 0 };
                local_offset(zone, at.naive_utc()).unwrap_or_else(|| self.offset_at(seconds - 86_400))
            }
        }
    }

    /// The name that `SHOW TimeZone` gives.
    pub fn name(self) -> String {
        match self {
            Self::Fixed(0) => "UTC".to_owned(),
            Self::Fixed(offset) => {
                let mut text = Vec::new();
                write_offset(&mut text, offset);
                String::from_utf8_lossy(&text).into_owned()
            }
            Self::Named(zone) => zone.name().to_owned(),
        }
    }
}

fn local_offset(zone: Tz, at: NaiveDateTime) -> Option<i32> {
    zone.offset_from_local_datetime(&at).earliest().map(|offset| offset.fix().local_minus_utc())
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
    let pair = |out: &mut Vec<u8>, value: u32| out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
    pair(out, seconds / 3600);
    if seconds % 3600 != 0 {
        out.push(b':');
        pair(out, seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
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
