//! `bytea` and `uuid`.

use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind, Result};
use crate::session::text::invalid_syntax;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends bytes as `\x` and hexadecimal digits.
pub fn write_bytea(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(2 + bytes.len() * 2);
    out.extend_from_slice(b"\\x");
    write_hex(out, bytes);
}

fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Reads `bytea` in hexadecimal (`\x...`) or escape (`a\000`) form.
pub fn read_bytea(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => read_hex(digits),
        None => read_escaped(text),
    }
}

fn read_hex(digits: &str) -> Result<Vec<u8>> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidParameterValue, message);
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut high = None;
    for letter in digits.chars() {
        if letter.is_ascii_whitespace() && high.is_none() {
            continue;
        }
        let value =
            letter.to_digit(16).ok_or_else(|| invalid(format!("invalid hexadecimal digit: \"{letter}\"")))? as u8;
        match high.take() {
            Some(first) => bytes.push(first << 4 | value),
            None => high = Some(value),
        }
    }
    match high {
        Some(_) => Err(invalid("invalid hexadecimal data: odd number of digits".to_owned())),
        None => Ok(bytes),
    }
}

fn read_escaped(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            [b'\\', ..] => {
                return Err(Error::new(ErrorKind::InvalidTextRepresentation, "invalid input syntax for type bytea"));
            }
            [byte, tail @ ..] => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Appends a uuid in its usual form.
pub fn write_uuid(out: &mut Vec<u8>, uuid: &[u8; 16]) {
    for (index, group) in [&uuid[..4], &uuid[4..6], &uuid[6..8], &uuid[8..10], &uuid[10..]].into_iter().enumerate() {
        if index > 0 {
            out.push(b'-');
        }
        write_hex(out, group);
    }
}

/// Reads a uuid: 32 digits, hyphens after any group of four, optional braces.
pub fn read_uuid(text: &str) -> Result<[u8; 16]> {
    parse_uuid(text).ok_or_else(|| invalid_syntax(&PgType::Uuid, text))
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut uuid = [0_u8; 16];
    let mut count = 0;
    let mut hyphen_allowed = false;
    for letter in inner.bytes() {
        if letter == b'-' && hyphen_allowed && count % 4 == 0 && count < 32 {
            hyphen_allowed = false;
            continue;
        }
        let value = char::from(letter).to_digit(16)? as u8;
        *uuid.get_mut(count / 2)? |= if count % 2 == 0 { value << 4 } else { value };
        count += 1;
        hyphen_allowed = true;
    }
    (count == 32).then_some(uuid)
}
