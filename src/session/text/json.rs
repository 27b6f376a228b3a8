//! JSON: checking a `json` text, and the canonical form of `jsonb`.
//!
//! Numbers are kept as written, so that no digit is lost.

use std::collections::BTreeMap;

use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind, Result};
use crate::session::text::number::read_decimal;

/// Nesting deeper than this is refused, so that no text exhausts the stack.
const DEPTH_MAX: usize = 512;

/// Fails unless the text is JSON.
pub fn check_json(text: &str) -> Result<()> {
    parse(text, &PgType::Json).map(|_| ())
}

/// The text that PostgreSQL's `jsonb` prints for a JSON text: keys sorted by length then bytes, the last of equal keys kept.
pub fn normalize_jsonb(text: &str) -> Result<String> {
    let value = parse(text, &PgType::Jsonb)?;
    let mut out = Vec::with_capacity(text.len() + 8);
    value.write(&mut out);
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Appends a string as a JSON string.
pub fn write_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            0..32 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            other => out.push(other),
        }
    }
    out.push(b'"');
}

enum Value<'a> {
    Word(&'static str),
    Number(&'a str),
    Text(String),
    List(Vec<Value<'a>>),
    // PostgreSQL's order of keys: shorter first, then by bytes.
    Object(BTreeMap<(usize, String), Value<'a>>),
}

impl Value<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Word(word) => out.extend_from_slice(word.as_bytes()),
            Value::Number(text) => write_number(out, text),
            Value::Text(text) => write_json_string(out, text),
            Value::List(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Value::Object(members) => {
                out.push(b'{');
                for (index, ((_, key), item)) in members.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    write_json_string(out, key);
                    out.extend_from_slice(b": ");
                    item.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// A number as `numeric` prints it: no exponent, the written scale kept.
fn write_number(out: &mut Vec<u8>, text: &str) {
    let Ok(number) = read_decimal(text) else { return out.extend_from_slice(text.as_bytes()) };
    if number.negative && !number.digits.is_empty() {
        out.push(b'-');
    }
    let places = number.scale.max(0) as usize;
    let zeros = number.scale.min(0).unsigned_abs() as usize;
    let whole = number.digits.len().saturating_sub(places);
    match (whole, number.digits.is_empty()) {
        (0, _) | (_, true) => out.push(b'0'),
        _ => {
            out.extend_from_slice(&number.digits[..whole]);
            out.extend(std::iter::repeat_n(b'0', zeros));
        }
    }
    if places > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', places - (number.digits.len() - whole)));
        out.extend_from_slice(&number.digits[whole..]);
    }
}

fn parse<'a>(text: &'a str, pg_type: &PgType) -> Result<Value<'a>> {
    let mut parser = Parser { text, at: 0, numeric: *pg_type == PgType::Jsonb };
    let value = parser.value(0).and_then(|value| {
        parser.blanks();
        if parser.at == text.len() { Ok(value) } else { Err(parser.unexpected("end of input")) }
    });
    value.map_err(|detail| {
        Error::new(ErrorKind::InvalidTextRepresentation, "invalid input syntax for type json").detail(detail)
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    numeric: bool,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn unexpected(&self, wanted: &str) -> String {
        match self.text[self.at..].split_ascii_whitespace().next() {
            Some(found) => {
                let found: String = found.chars().take(32).collect();
                format!("Expected {wanted}, but found \"{found}\".")
            }
            None => "The input string ended unexpectedly.".to_owned(),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, String> {
        if depth > DEPTH_MAX {
            return Err(format!("The text is nested deeper than {DEPTH_MAX} levels."));
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => ["true", "false", "null"]
                .into_iter()
                .find(|word| self.text[self.at..].starts_with(word))
                .map(|word| {
                    self.at += word.len();
                    Value::Word(word)
                })
                .ok_or_else(|| self.unexpected("JSON value")),
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, String> {
        self.at += 1;
        let mut members = BTreeMap::new();
        if self.eat(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("string or \"}\""));
            }
            let key = self.string()?;
            if !self.eat(b':') {
                return Err(self.unexpected("\":\""));
            }
            let value = self.value(depth + 1)?;
            members.insert((key.len(), key), value);
            if self.eat(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("\",\" or \"}\""));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, String> {
        self.at += 1;
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat(b']') {
                return Ok(Value::List(items));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("\",\" or \"]\""));
            }
        }
    }

    fn number(&mut self) -> Result<Value<'a>, String> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let whole = self.digits();
        let zero_led = whole > 1 && self.text.as_bytes()[self.at - whole] == b'0';
        let mut sound = whole > 0 && !zero_led;
        if self.peek() == Some(b'.') {
            self.at += 1;
            sound &= self.digits() > 0;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            sound &= self.digits() > 0;
        }
        let text = &self.text[start..self.at];
        if !sound || self.numeric && read_decimal(text).is_err() {
            return Err(format!("Token \"{text}\" is invalid."));
        }
        Ok(Value::Number(text))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut value = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain =
                rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or("The input string ended unexpectedly.")?;
            value.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(value);
                }
                Some(b'\\') => value.push(self.escape()?),
                other => {
                    return Err(format!("Character with value 0x{:02x} must be escaped.", other.unwrap_or(0)));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let letter = self.text.as_bytes().get(self.at + 1).copied().unwrap_or(0);
        self.at += 2;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return Err("Escape sequence is invalid.".to_owned()),
        })
    }

    fn code_point(&mut self) -> Result<char, String> {
        let high = self.hex4()?;
        if (0xd800..0xdc00).contains(&high) {
            if !self.numeric && !self.text[self.at..].starts_with("\\u") {
                // `json` only checks the shape; `jsonb` must have the character.
                return Ok(char::REPLACEMENT_CHARACTER);
            }
            if !self.text[self.at..].starts_with("\\u") {
                return Err("Unicode low surrogate must follow a high surrogate.".to_owned());
            }
            self.at += 2;
            let low = self.hex4()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err("Unicode low surrogate must follow a high surrogate.".to_owned());
            }
            return char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or_else(String::new);
        }
        match char::from_u32(high) {
            Some('\0') if self.numeric => Err("\\u0000 cannot be converted to text.".to_owned()),
            Some(letter) => Ok(letter),
            None if !self.numeric => Ok(char::REPLACEMENT_CHARACTER),
            None => Err("Unicode high surrogate must precede a low surrogate.".to_owned()),
        }
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at..self.at + 4).filter(|four| four.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = digits.and_then(|four| u32::from_str_radix(four, 16).ok());
        self.at += 4;
        value.ok_or_else(|| "\"\\u\" must be followed by four hexadecimal digits.".to_owned())
    }
}
