//! Text to values, with PostgreSQL's spellings and its error messages.

use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind, Result};

/// The error for text that is no value of a type: `invalid input syntax for type integer: "x"`.
pub fn invalid(pg_type: &str, text: &str) -> Error {
    Error::new(ErrorKind::InvalidTextRepresentation, format!("invalid input syntax for type {pg_type}: \"{text}\""))
}

/// A boolean: any unambiguous beginning of true, false, yes, no, on, off, or 1 and 0.
pub fn boolean(text: &str) -> Result<bool> {
    let word = text.trim().to_ascii_lowercase();
    let begins = |full: &str, least: usize| word.len() >= least && full.starts_with(&word);
    if word == "1" || begins("true", 1) || begins("yes", 1) || begins("on", 2) {
        return Ok(true);
    }
    if word == "0" || begins("false", 1) || begins("no", 1) || begins("off", 2) {
        return Ok(false);
    }
    Err(invalid("boolean", text))
}

/// An integer of any width; `pg_type` names the type in errors and bounds the value.
pub fn integer(text: &str, pg_type: &PgType) -> Result<i64> {
    let word = text.trim();
    let number: i128 = parse_digits(word).ok_or_else(|| invalid(&pg_type.to_string(), text))?;
    let (least, most) = match pg_type {
        PgType::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        PgType::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        PgType::Oid | PgType::Reg(_) => (i64::from(i32::MIN), i64::from(u32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    match i64::try_from(number) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(Error::new(
            ErrorKind::NumericValueOutOfRange,
            format!("value \"{text}\" is out of range for type {pg_type}"),
        )),
    }
}

/// Optional sign and digits. `None` for anything else; a number of any size is at least recognised as one.
fn parse_digits(word: &str) -> Option<i128> {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(word.parse().unwrap_or(i128::MAX))
}

/// A floating-point number, `NaN` or `Infinity`.
pub fn float(text: &str, pg_type: &PgType) -> Result<f64> {
    let word = text.trim();
    let named = match word.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "inf" | "+inf" | "infinity" | "+infinity" => Some(f64::INFINITY),
        "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    };
    if let Some(number) = named {
        return Ok(number);
    }
    if word.is_empty()
        || !word.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
    {
        return Err(invalid(&pg_type.to_string(), text));
    }
    let number: f64 = word.parse().map_err(|_| invalid(&pg_type.to_string(), text))?;
    let too_large = number.is_infinite() || (*pg_type == PgType::Float4 && (number as f32).is_infinite());
    match too_large {
        true => {
            Err(Error::new(ErrorKind::NumericValueOutOfRange, format!("\"{text}\" is out of range for type {pg_type}")))
        }
        false => Ok(number),
    }
}

/// A decimal number as digits and scale: `-12.50e1` is `(-1250, 1)`.
pub fn decimal(text: &str) -> Result<(i128, i8)> {
    let word = text.trim();
    let (mantissa, exponent) = match word.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| invalid("numeric", text))?),
        None => (word, 0),
    };
    let (sign, unsigned) = match mantissa.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("numeric", text));
    }
    let overflow =
        || Error::new(ErrorKind::NumericValueOutOfRange, format!("numeric value \"{text}\" has more than 38 digits"));
    let significant = digits.trim_start_matches('0');
    let unscaled: i128 = if significant.is_empty() { 0 } else { significant.parse().map_err(|_| overflow())? };
    let scale = i32::try_from(fraction.len()).unwrap_or(i32::MAX).saturating_sub(exponent);
    if scale < 0 {
        let factor = 10i128.checked_pow(scale.unsigned_abs()).ok_or_else(overflow)?;
        return Ok((sign * unscaled.checked_mul(factor).ok_or_else(overflow)?, 0));
    }
    Ok((sign * unscaled, i8::try_from(scale).map_err(|_| overflow())?))
}

/// Bytes: `\x` and hexadecimal digits, or text with `\\` and `\ooo` escapes.
pub fn bytea(text: &str) -> Result<Vec<u8>> {
    let Some(hex) = text.strip_prefix("\\x") else { return escaped_bytes(text) };
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if digits.len() % 2 == 1 {
        return Err(Error::new(ErrorKind::InvalidParameterValue, "invalid hexadecimal data: odd number of digits"));
    }
    let digit = |byte: u8| {
        char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or_else(|| {
            Error::new(ErrorKind::InvalidParameterValue, format!("invalid hexadecimal digit: \"{}\"", char::from(byte)))
        })
    };
    digits.chunks_exact(2).map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Text with `\\` and `\ooo` escapes.
pub fn escaped_bytes(text: &str) -> Result<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octal = bytes.get(at + 1..at + 4).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match (byte, bytes.get(at + 1), octal) {
            (b'\\', Some(b'\\'), _) => {
                out.push(b'\\');
                at += 2;
            }
            (b'\\', _, Some(digits)) => {
                let number = digits.iter().fold(0u32, |number, digit| number * 8 + u32::from(digit - b'0'));
                out.push(u8::try_from(number).map_err(|_| invalid("bytea", text))?);
                at += 4;
            }
            (b'\\', ..) => return Err(invalid("bytea", text)),
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Ok(out)
}

/// A UUID in its canonical spelling.
pub fn uuid(text: &str) -> Result<String> {
    uuid::Uuid::try_parse(text.trim()).map(|id| id.hyphenated().to_string()).map_err(|_| invalid("uuid", text))
}

/// JSON, unchanged when it is valid.
pub fn json(text: &str) -> Result<String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(invalid("json", text).detail(format!("{error}."))),
    }
}

/// The elements of `{a,"b c",{...},NULL}`; an inner array is given as its own text.
pub fn array_elements(text: &str) -> Result<Vec<Option<String>>> {
    let malformed = |detail: &str| {
        Error::new(ErrorKind::InvalidTextRepresentation, format!("malformed array literal: \"{text}\"")).detail(detail)
    };
    let inner = text.trim();
    let inner = inner
        .strip_prefix('{')
        .ok_or_else(|| malformed("Array value must start with \"{\" or dimension information."))?;
    let inner = inner.strip_suffix('}').ok_or_else(|| malformed("Unexpected end of input."))?;
    let mut elements = Vec::new();
    if inner.trim().is_empty() {
        return Ok(elements);
    }
    let mut letters = inner.chars().peekable();
    loop {
        elements.push(array_element(&mut letters).ok_or_else(|| malformed("Unexpected array element."))?);
        match letters.next() {
            Some(',') => {}
            None => return Ok(elements),
            Some(_) => return Err(malformed("Junk after closing right brace.")),
        }
    }
}

/// One element, up to the comma or the end; `None` when it is malformed, `Some(None)` for NULL.
fn array_element(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Option<String>> {
    let mut element = String::new();
    let (mut quoted, mut depth, mut in_quotes) = (false, 0usize, false);
    while let Some(&letter) = letters.peek() {
        if !in_quotes && depth == 0 && letter == ',' {
            break;
        }
        letters.next();
        match letter {
            '\\' => {
                if depth > 0 {
                    element.push('\\');
                }
                element.push(letters.next()?);
                quoted = true;
                continue;
            }
            '"' => {
                in_quotes = !in_quotes;
                quoted = true;
                if depth == 0 {
                    continue;
                }
            }
            '{' if !in_quotes => depth += 1,
            '}' if !in_quotes => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if !(element.is_empty() && !in_quotes && letter.is_whitespace()) {
            element.push(letter);
        }
    }
    if in_quotes || depth > 0 {
        return None;
    }
    if !quoted {
        element.truncate(element.trim_end().len());
        if element.is_empty() {
            return None;
        }
        if element.eq_ignore_ascii_case("null") {
            return Some(None);
        }
    }
    Some(Some(element))
}
