//! Bytes: as text and back, and how many.

use arrow::datatypes::Field;
use base64::engine::general_purpose::STANDARD as BASE64;
use base64::{DecodeError, Engine};
use datafusion::common::DFSchema;
use datafusion::functions::unicode;
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::catalog::pg_type::PgType;
use crate::engine::functions::FunctionContext;
use crate::engine::functions::cast::{parse, print};
use crate::engine::functions::kind::{Kind as K, is_text};
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::Value;
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::immutable("encode", &[Overload::new(&[K::Bytea, K::Text], K::Text, encode)]),
    Function::immutable("decode", &[Overload::new(&[K::Text, K::Text], K::Bytea, decode)]),
    Function::immutable(
        "length",
        &[
            Overload::new(&[K::Text], K::Int4, |a| Ok(Value::Int(characters(a.text(0)?, &a.fields[0])))),
            Overload::new(&[K::Bytea], K::Int4, octets),
        ],
    )
    .with_simpler(length_of_text),
    Function::immutable(
        "octet_length",
        &[Overload::new(&[K::Text], K::Int4, octets), Overload::new(&[K::Bytea], K::Int4, octets)],
    ),
];

/// PostgreSQL breaks base64 into lines.
const LINE_DIGITS: usize = 76;

/// DataFusion's `character_length`, which counts a batch at once. It does not know that the blanks of `char(n)` count for nothing.
fn length_of_text(args: &[Expr], schema: &DFSchema, _: &FunctionContext) -> Result<Option<Expr>> {
    let [text] = args else { return Ok(None) };
    let (_, field) = text.to_field(schema)?;
    let is_plain = is_text(field.data_type()) && !matches!(PgType::of(&field), PgType::Char(_));
    Ok(is_plain.then(|| unicode::character_length().call(args.to_vec())))
}

fn characters(text: &str, field: &Field) -> i64 {
    let text = match PgType::of(field) {
        PgType::Char(_) => text.trim_end_matches(' '),
        _ => text,
    };
    count(text.chars().count())
}

fn octets(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    match &arguments.values[0] {
        Value::Text(text) => Ok(Value::Int(count(text.len()))),
        Value::Bytes(bytes) => Ok(Value::Int(count(bytes.len()))),
        _ => Err(Error::internal("text or bytea expected")),
    }
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

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
    let encoded = BASE64.encode(bytes);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(LINE_DIGITS).filter_map(|line| str::from_utf8(line).ok()).collect();
    lines.join("\n")
}

fn from_base64(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|letter| !letter.is_ascii_whitespace()).collect();
    BASE64.decode(digits.as_slice()).map_err(|error| {
        let message = match error {
            DecodeError::InvalidByte(_, letter) if letter != b'=' => {
                format!("invalid symbol \"{}\" found while decoding base64 sequence", char::from(letter))
            }
            _ => "invalid base64 end sequence".to_owned(),
        };
        Error::new(ErrorKind::InvalidParameterValue, message)
    })
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
