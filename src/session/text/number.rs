//! Booleans, integers, floats and decimals.

use arrow::datatypes::i256;

use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind, Result};
use crate::session::text::{bare_name, invalid_syntax};

/// Appends an integer.
pub fn write_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a `double precision` with as few digits as read back the same value.
pub fn write_float8(out: &mut Vec<u8>, value: f64) {
    // Whole numbers below 10^15 print as integers: the common case, and far cheaper than the search for digits.
    if value.abs() < 1e15 && value.trunc() == value && !(value == 0.0 && value.is_sign_negative()) {
        return write_integer(out, value as i64);
    }
    if !value.is_finite() {
        return out.extend_from_slice(non_finite(value));
    }
    write_shortest(out, ryu::Buffer::new().format_finite(value), 15);
}

/// Appends a `real` with as few digits as read back the same value.
pub fn write_float4(out: &mut Vec<u8>, value: f32) {
    if value.abs() < 1e6 && value.trunc() == value && !(value == 0.0 && value.is_sign_negative()) {
        return write_integer(out, value as i64);
    }
    if !value.is_finite() {
        return out.extend_from_slice(non_finite(f64::from(value)));
    }
    write_shortest(out, ryu::Buffer::new().format_finite(value), 6);
}

fn non_finite(value: f64) -> &'static [u8] {
    if value.is_nan() {
        b"NaN"
    } else if value > 0.0 {
        b"Infinity"
    } else {
        b"-Infinity"
    }
}

/// Lays the digits that ryu found out as PostgreSQL does: fixed from 10^-4 to below 10^`fixed_below`, else with an exponent.
fn write_shortest(out: &mut Vec<u8>, found: &str, fixed_below: i32) {
    let found = match found.strip_prefix('-') {
        Some(rest) => {
            out.push(b'-');
            rest
        }
        None => found,
    };
    let (mantissa, exponent) = found.split_once('e').unwrap_or((found, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = [0_u8; 40];
    let (whole, fraction) = (whole.as_bytes(), fraction.as_bytes());
    digits[..whole.len()].copy_from_slice(whole);
    digits[whole.len()..whole.len() + fraction.len()].copy_from_slice(fraction);
    let all = &digits[..whole.len() + fraction.len()];
    let leading = all.iter().take_while(|digit| **digit == b'0').count().min(all.len().saturating_sub(1));
    let trailing = all[leading + 1..].iter().rev().take_while(|digit| **digit == b'0').count();
    let significant = &all[leading..all.len() - trailing];
    let point = whole.len() as i32 - leading as i32 + exponent.parse::<i32>().unwrap_or(0);
    if significant == b"0" {
        return out.push(b'0');
    }
    if (-4..fixed_below).contains(&(point - 1)) {
        write_fixed(out, significant, point);
    } else {
        write_scientific(out, significant, point - 1);
    }
}

fn write_fixed(out: &mut Vec<u8>, digits: &[u8], point: i32) {
    let count = digits.len() as i32;
    if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
        out.extend_from_slice(digits);
    } else if point >= count {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', (point - count) as usize));
    } else {
        let (whole, fraction) = digits.split_at(point as usize);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

fn write_scientific(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.push(b'e');
    out.push(if exponent < 0 { b'-' } else { b'+' });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    write_integer(out, exponent.unsigned_abs());
}

/// Appends `value / 10^scale`, with exactly `scale` digits after the point.
pub fn write_decimal(out: &mut Vec<u8>, value: i128, scale: i8) {
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let magnitude = value.unsigned_abs();
    // 128-bit division is slow; nearly all decimals are small.
    let digits = match u64::try_from(magnitude) {
        Ok(small) => buffer.format(small),
        Err(_) => buffer.format(magnitude),
    };
    write_scaled(out, digits.as_bytes(), scale);
}

/// As [`write_decimal`], for up to 76 digits.
pub fn write_wide_decimal(out: &mut Vec<u8>, value: i256, scale: i8) {
    match value.to_i128() {
        Some(narrow) => write_decimal(out, narrow, scale),
        None => {
            let text = value.to_string();
            let digits = text.strip_prefix('-').inspect(|_| out.push(b'-')).unwrap_or(&text);
            write_scaled(out, digits.as_bytes(), scale);
        }
    }
}

fn write_scaled(out: &mut Vec<u8>, digits: &[u8], scale: i8) {
    let places = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.extend_from_slice(digits);
        if digits != b"0" {
            out.extend(std::iter::repeat_n(b'0', places));
        }
    } else if digits.len() <= places {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', places - digits.len()));
        out.extend_from_slice(digits);
    } else {
        let (whole, fraction) = digits.split_at(digits.len() - places);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// Reads a boolean: any unambiguous start of true, false, yes, no, on, off, or 1 and 0.
pub fn read_bool(text: &str) -> Result<bool> {
    let word = text.trim_ascii();
    let starts = |full: &str, least: usize| {
        word.len() >= least && word.len() <= full.len() && full[..word.len()].eq_ignore_ascii_case(word)
    };
    // `on` and `off` share their first letter, so one letter is not enough for them.
    if !word.is_ascii() {
        Err(invalid_syntax(&PgType::Bool, text))
    } else if starts("true", 1) || starts("yes", 1) || starts("on", 2) || word == "1" {
        Ok(true)
    } else if starts("false", 1) || starts("no", 1) || starts("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(invalid_syntax(&PgType::Bool, text))
    }
}

/// Reads an integer of the named type.
pub fn read_integer<T: TryFrom<i64>>(text: &str, pg_type: &PgType) -> Result<T> {
    let trimmed = text.trim_ascii();
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let (mut amount, mut is_number) = (0_i64, !digits.is_empty());
    for byte in digits.bytes() {
        let digit = byte.wrapping_sub(b'0');
        is_number &= digit <= 9;
        amount = amount.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    if !is_number {
        return Err(invalid_syntax(pg_type, text));
    }
    let value = match digits.len() {
        // So few digits are no more than an i64 holds.
        ..=18 if trimmed.starts_with('-') => Some(-amount),
        ..=18 => Some(amount),
        _ => trimmed.parse().ok(),
    };
    value.and_then(|value| T::try_from(value).ok()).ok_or_else(|| {
        Error::new(
            ErrorKind::NumericValueOutOfRange,
            format!("value \"{text}\" is out of range for type {}", bare_name(pg_type)),
        )
    })
}

/// Reads a `double precision` or `real`; NaN and the infinities in any case.
pub fn read_float<T: std::str::FromStr + Into<f64> + Copy>(text: &str, pg_type: &PgType) -> Result<T> {
    let trimmed = text.trim_ascii();
    let word = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let named = ["nan", "infinity", "inf"].iter().any(|name| word.eq_ignore_ascii_case(name));
    let first = word.bytes().next().unwrap_or(b' ');
    if !(named || first.is_ascii_digit() || first == b'.') {
        return Err(invalid_syntax(pg_type, text));
    }
    let value: T = trimmed.parse().map_err(|_| invalid_syntax(pg_type, text))?;
    let number: f64 = value.into();
    let vanished =
        number == 0.0 && word.bytes().take_while(|b| !matches!(b, b'e' | b'E')).any(|b| matches!(b, b'1'..=b'9'));
    if !named && (number.is_infinite() || vanished) {
        return Err(Error::new(
            ErrorKind::NumericValueOutOfRange,
            format!("\"{trimmed}\" is out of range for type {}", bare_name(pg_type)),
        ));
    }
    Ok(value)
}

/// A decimal as written: its digits without the point, and how many of them stand after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenDecimal {
    /// True for a leading minus.
    pub negative: bool,
    /// The digits, most significant first, without leading zeros (empty for zero).
    pub digits: Vec<u8>,
    /// Digits after the point; negative when the exponent moved it to the right of the last digit.
    pub scale: i32,
}

/// The widest decimal that any column holds.
const DECIMAL_DIGITS_MAX: usize = 1000;

/// Reads a decimal number with optional point and exponent.
pub fn read_decimal(text: &str) -> Result<WrittenDecimal> {
    let wrong = || invalid_syntax(&PgType::Numeric(None), text);
    let trimmed = text.trim_ascii();
    let (negative, unsigned) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    if ["nan", "infinity", "inf"].iter().any(|name| unsigned.eq_ignore_ascii_case(name)) {
        return Err(Error::unsupported(format!("numeric columns cannot hold {trimmed}"))
            .hint("Use double precision for NaN and infinity."));
    }
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i32>().map_err(|_| wrong())?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    if whole.len() + fraction.len() > DECIMAL_DIGITS_MAX || exponent.unsigned_abs() as usize > DECIMAL_DIGITS_MAX {
        return Err(overflow());
    }
    let digits: Vec<u8> = digits().skip_while(|byte| *byte == b'0').collect();
    Ok(WrittenDecimal { negative, digits, scale: fraction.len() as i32 - exponent })
}

fn overflow() -> Error {
    Error::new(ErrorKind::NumericValueOutOfRange, "value overflows numeric format")
}

impl WrittenDecimal {
    /// The value times 10^`scale`, rounded half away from zero, checked against `precision`.
    pub fn at_scale(&self, precision: u8, scale: i8) -> Result<i256> {
        let value = self.unscaled(i32::from(scale)).filter(|value| fits(*value, precision));
        value.ok_or_else(|| {
            Error::new(ErrorKind::NumericValueOutOfRange, "numeric field overflow").detail(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than 10^{}.",
                i32::from(precision) - i32::from(scale)
            ))
        })
    }

    fn unscaled(&self, scale: i32) -> Option<i256> {
        let shift = scale - self.scale;
        let kept =
            if shift < 0 { self.digits.len().saturating_sub(shift.unsigned_abs() as usize) } else { self.digits.len() };
        let ten = i256::from_i128(10);
        let mut value = i256::ZERO;
        for digit in &self.digits[..kept] {
            value = value.checked_mul(ten)?.checked_add(i256::from_i128(i128::from(digit - b'0')))?;
        }
        // The digit after the last kept one decides the rounding, if it exists at that very place.
        let first_dropped = self.digits.len() as i64 + i64::from(shift);
        if shift < 0 && first_dropped >= 0 && self.digits.get(kept).is_some_and(|digit| *digit >= b'5') {
            value = value.checked_add(i256::ONE)?;
        }
        if shift > 0 && value != i256::ZERO {
            for _ in 0..shift {
                value = value.checked_mul(ten)?;
            }
        }
        Some(if self.negative { value.wrapping_neg() } else { value })
    }

    /// The narrowest precision and scale that hold the number as written.
    pub fn shape(&self) -> (usize, i32) {
        let scale = self.scale.max(0);
        let whole = (self.digits.len() as i32 - self.scale).max(0);
        ((whole + scale).max(1) as usize, scale)
    }
}

fn fits(value: i256, precision: u8) -> bool {
    let Some(limit) = i256::from_i128(10).checked_pow(u32::from(precision)) else { return true };
    value < limit && value > limit.wrapping_neg()
}
