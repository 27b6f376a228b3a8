//! Dates, times and timestamps: counts since 1970 to text (ISO style) and back.
//!
//! The largest and smallest count mean infinity and -infinity, on disk, in binary and here.

use crate::session::text::zone::{ZoneCursor, write_offset};

mod read;

pub use read::{read_date, read_time, read_timestamp, read_timestamptz};

/// Microseconds in a day.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL starts to count.
pub const POSTGRES_EPOCH_DAYS: i32 = 10_957;

/// Microseconds from 1970-01-01 to 2000-01-01.
pub const POSTGRES_EPOCH_MICROS: i64 = POSTGRES_EPOCH_DAYS as i64 * DAY_MICROS;

/// Year, month and day of a count of days since 1970-01-01 in the Gregorian calendar; year 0 is 1 BC.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    // The years start in March and the eras have 400 of them (Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_shifted + 2) / 5 + 1) as u32;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`].
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_shifted = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * month_shifted + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

const PAIRS: &[u8; 200] =
    b"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

fn pair(value: u32) -> [u8; 2] {
    let at = (value % 100) as usize * 2;
    [PAIRS[at], PAIRS[at + 1]]
}

/// Appends a date.
pub fn write_date(out: &mut Vec<u8>, days: i32) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        days => {
            if write_day(out, i64::from(days)) {
                out.extend_from_slice(b" BC");
            }
        }
    }
}

/// Appends year, month and day; true when the year is before Christ, which is said at the very end.
fn write_day(out: &mut Vec<u8>, days: i64) -> bool {
    let (year, month, day) = civil_from_days(days);
    let (shown, before) = if year > 0 { (year, false) } else { (1 - year, true) };
    if shown < 10_000 {
        let (century, rest) = (pair(shown as u32 / 100), pair(shown as u32 % 100));
        out.extend_from_slice(&[century[0], century[1], rest[0], rest[1]]);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(shown).as_bytes());
    }
    let (month, day) = (pair(month), pair(day));
    out.extend_from_slice(&[b'-', month[0], month[1], b'-', day[0], day[1]]);
    before
}

/// Appends a time of day given in microseconds; `24:00:00` is one.
pub fn write_time(out: &mut Vec<u8>, micros: i64) {
    let seconds = (micros / 1_000_000) as u32;
    let (hour, minute, second) = (pair(seconds / 3600), pair(seconds / 60 % 60), pair(seconds % 60));
    out.extend_from_slice(&[hour[0], hour[1], b':', minute[0], minute[1], b':', second[0], second[1]]);
    write_fraction(out, (micros % 1_000_000) as u32);
}

/// Appends `.ffffff` without its trailing zeros; nothing for 0.
pub(crate) fn write_fraction(out: &mut Vec<u8>, micros: u32) {
    if micros == 0 {
        return;
    }
    let (a, b, c) = (pair(micros / 10_000), pair(micros / 100 % 100), pair(micros % 100));
    let digits = [b'.', a[0], a[1], b[0], b[1], c[0], c[1]];
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    out.extend_from_slice(&digits[..digits.len() - zeros]);
}

/// Appends a timestamp without time zone.
pub fn write_timestamp(out: &mut Vec<u8>, micros: i64) {
    if write_instant(out, micros, "") {
        out.extend_from_slice(b" BC");
    }
}

/// Appends an instant in the cursor's zone.
pub fn write_timestamptz(out: &mut Vec<u8>, micros: i64, zone: &ZoneCursor) {
    if micros == i64::MAX || micros == i64::MIN {
        return write_timestamp(out, micros);
    }
    let offset = zone.offset_at(micros.div_euclid(1_000_000));
    let before = write_instant(out, micros.saturating_add(i64::from(offset) * 1_000_000), "");
    write_offset(out, offset);
    if before {
        out.extend_from_slice(b" BC");
    }
}

/// Appends a timestamp as ISO 8601, which JSON asks for: `2024-01-02T03:04:05`.
pub fn write_iso_timestamp(out: &mut Vec<u8>, micros: i64, zone: Option<&ZoneCursor>) {
    if micros == i64::MAX || micros == i64::MIN {
        return write_timestamp(out, micros);
    }
    let offset = zone.map(|zone| zone.offset_at(micros.div_euclid(1_000_000)));
    let local = micros.saturating_add(i64::from(offset.unwrap_or(0)) * 1_000_000);
    write_instant(out, local, "T");
    if let Some(offset) = offset {
        write_offset(out, offset);
        if offset % 3600 == 0 {
            out.extend_from_slice(b":00");
        }
    }
}

fn write_instant(out: &mut Vec<u8>, micros: i64, separator: &str) -> bool {
    match micros {
        i64::MAX => {
            out.extend_from_slice(b"infinity");
            false
        }
        i64::MIN => {
            out.extend_from_slice(b"-infinity");
            false
        }
        micros => {
            let before = write_day(out, micros.div_euclid(DAY_MICROS));
            out.extend_from_slice(if separator.is_empty() { b" " } else { separator.as_bytes() });
            write_time(out, micros.rem_euclid(DAY_MICROS));
            before
        }
    }
}
