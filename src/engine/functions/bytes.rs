//! `encode` and `decode`: bytes as text and back.

use crate::engine::functions::cast::{parse, print};
use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::Value;
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::immutable("encode", &[Overload::new(&[K::Bytea, K::Text], K::Text, encode)]),
    Function::immutable("decode", &[Overload::new(&[K::Text, K::Text], K::Bytea, decode)]),
];

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// PostgreSQL breaks base64 into lines.
const LINE_DIGITS: usize = 76;

fn unknown(format: &str) -> Error {
    Error::new(ErrorKind::InvalidParameterValue, format!("unrecognized encoding: \"{format}\""))
}

fn encode(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let Value::Bytes(bytes) = &arguments.values[0] else { return Err(Error::internal("bytea expected")) };
    Ok(Value::text(match arguments.text(1)?.to_ascii_lowercase().as_str() {
        "hex" => print::bytea(bytes)[2..].to_owned(),
        "base64" => base64(bytes),
        "escape" => escaped(bytes),
        other => return Err(unknown(other)),
    }))
}

fn decode(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let text = arguments.text(0)?;
    Ok(Value::Bytes(match arguments.text(1)?.to_ascii_lowercase().as_str() {
        "hex" => parse::bytea(&format!("\\x{text}"))?.into(),
        "base64" => from_base64(text)?.into(),
        "escape" => parse::escaped_bytes(text)?.into(),
        other => return Err(unknown(other)),
    }))
}

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (at, chunk) in bytes.chunks(3).enumerate() {
        if at > 0 && at * 4 % LINE_DIGITS == 0 {
            out.push('\n');
        }
        let group = chunk.iter().fold(0, |group, byte| group << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            out.push(match place > chunk.len() {
                true => '=',
                false => char::from(DIGITS[group >> (18 - 6 * place) & 63]),
            });
        }
    }
    out
}

fn from_base64(text: &str) -> Result<Vec<u8>> {
    let invalid = |what: &str| Err(Error::new(ErrorKind::InvalidParameterValue, what));
    let (mut out, mut group, mut bits, mut padding) = (Vec::new(), 0u32, 0, 0);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace()) {
        let digit = DIGITS.iter().position(|digit| *digit == letter).and_then(|digit| u32::try_from(digit).ok());
        match digit {
            Some(digit) if padding == 0 => (group, bits) = (group << 6 | digit, bits + 6),
            None if letter == b'=' => padding += 1,
            _ => {
                let message = format!("invalid symbol \"{}\" found while decoding base64 sequence", char::from(letter));
                return invalid(&message);
            }
        }
        if bits >= 8 {
            bits -= 8;
            out.push((group >> bits & 0xff) as u8);
            group &= (1 << bits) - 1;
        }
    }
    match (bits, padding) {
        (0, 0) | (4, 2) | (2, 1) => Ok(out),
        _ => invalid("invalid base64 end sequence"),
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'\\' => text.push_str("\\\\"),
            0 | 128.. => text.push_str(&format!("\\{byte:03o}")),
            plain => text.push(char::from(*plain)),
        }
        text
    })
}
