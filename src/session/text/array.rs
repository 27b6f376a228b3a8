//! Array literals: `{1,2,NULL}`, `{"a b",{...}}`.

use crate::error::{Error, ErrorKind, Result};

/// An element of a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// An unquoted NULL.
    Null,
    /// A value's text, unquoted and unescaped.
    Value(String),
    /// A nested array.
    Array(Vec<Element>),
}

/// Appends an element's text, quoted where it would not read back as itself.
pub fn write_element(out: &mut Vec<u8>, text: &[u8]) {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case(b"null")
        && !text
            .iter()
            .any(|byte| matches!(byte, b'{' | b'}' | b'"' | b'\\' | b',' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c));
    if plain {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Reads an array literal.
pub fn read_array(text: &str) -> Result<Vec<Element>> {
    let mut reader = Reader { rest: text.trim_ascii(), whole: text };
    let elements = reader.array(0)?;
    match reader.rest.trim_ascii().is_empty() {
        true => Ok(elements),
        false => Err(reader.malformed("Junk after closing right brace.")),
    }
}

/// PostgreSQL's own limit.
const DIMENSIONS_MAX: usize = 6;

struct Reader<'a> {
    rest: &'a str,
    whole: &'a str,
}

impl Reader<'_> {
    fn malformed(&self, detail: &str) -> Error {
        Error::new(ErrorKind::InvalidTextRepresentation, format!("malformed array literal: \"{}\"", self.whole))
            .detail(detail)
    }

    fn eat(&mut self, letter: char) -> bool {
        self.rest = self.rest.trim_ascii_start();
        match self.rest.strip_prefix(letter) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Element>> {
        if depth >= DIMENSIONS_MAX {
            return Err(Error::new(
                ErrorKind::ProgramLimitExceeded,
                format!("number of array dimensions exceeds the maximum allowed ({DIMENSIONS_MAX})"),
            ));
        }
        if !self.eat('{') {
            return Err(self.malformed("Array value must start with \"{\" or dimension information."));
        }
        let mut elements = Vec::new();
        if self.eat('}') {
            return Ok(elements);
        }
        loop {
            elements.push(self.element(depth)?);
            if self.eat('}') {
                return Ok(elements);
            }
            if !self.eat(',') {
                return Err(self.malformed("Unexpected end of input."));
            }
        }
    }

    fn element(&mut self, depth: usize) -> Result<Element> {
        self.rest = self.rest.trim_ascii_start();
        if self.rest.starts_with('{') {
            return Ok(Element::Array(self.array(depth + 1)?));
        }
        if self.eat('"') {
            return self.quoted().map(Element::Value);
        }
        self.bare()
    }

    fn quoted(&mut self) -> Result<String> {
        let mut value = String::new();
        let mut letters = self.rest.chars();
        loop {
            match letters.next() {
                Some('"') => break,
                Some('\\') => value.push(letters.next().ok_or_else(|| self.malformed("Unexpected end of input."))?),
                Some(letter) => value.push(letter),
                None => return Err(self.malformed("Unexpected end of input.")),
            }
        }
        self.rest = letters.as_str();
        Ok(value)
    }

    fn bare(&mut self) -> Result<Element> {
        let mut value = String::new();
        let mut escaped = false;
        let mut letters = self.rest.chars();
        loop {
            let before = letters.as_str();
            match letters.next() {
                Some(',' | '}') => {
                    self.rest = before;
                    break;
                }
                Some('"' | '{') => return Err(self.malformed("Incorrectly quoted array element.")),
                Some('\\') => {
                    escaped = true;
                    value.push(letters.next().ok_or_else(|| self.malformed("Unexpected end of input."))?);
                }
                Some(letter) => value.push(letter),
                None => return Err(self.malformed("Unexpected end of input.")),
            }
        }
        let trimmed = value.trim_ascii_end();
        match trimmed {
            "" => Err(self.malformed("Unexpected \",\" or \"}\" character.")),
            null if !escaped && null.eq_ignore_ascii_case("null") => Ok(Element::Null),
            text => Ok(Element::Value(text.to_owned())),
        }
    }
}
