//! Lists of options: `(name value, name = value, name)`; those of a statement are checked against what it knows.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::names::fold;
use crate::dialect::reader::Reader;
use crate::error::{Error, ErrorKind, Result, nearest};

/// Options in the order they were written.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Each with its place.
    pub list: Vec<Choice>,
}

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The name, folded; may have dots (`delta.appendOnly` is kept as written inside quotes).
    pub name: String,
    /// The value as text; `None` when only the name was given, which means true.
    pub value: Option<String>,
    /// The character of the message where the name begins, from 1.
    pub position: usize,
}

impl Options {
    /// `WITH (...)`-like: `(name [=] value, ...)`, the parenthesis included.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut seen = BTreeSet::new();
        let list = reader.parenthesised(|reader| {
            let choice = Choice::read(reader)?;
            if !seen.insert(choice.name.clone()) {
                return Err(Error::new(
                    ErrorKind::SyntaxError,
                    format!("option \"{}\" specified more than once", choice.name),
                )
                .at(choice.position));
            }
            Ok(choice)
        })?;
        Ok(Self { list })
    }

    /// The value of an option.
    pub fn get(&self, name: &str) -> Option<&Choice> {
        self.list.iter().find(|choice| choice.name == name)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// That all options are among `known`; `what` is whose they are, e.g. `table`.
    pub fn require_known(&self, what: &str, known: &[&str]) -> Result<()> {
        match self.list.iter().find(|choice| !known.contains(&choice.name.as_str())) {
            Some(choice) => Err(unknown(what, &choice.name, known).at(choice.position)),
            None => Ok(()),
        }
    }
}

impl Choice {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let position = reader.position();
        let name = option_name(reader)?;
        let explicit = reader.accept_token(&Token::Eq);
        let value = value(reader)?;
        if explicit && value.is_none() {
            return Err(reader.unexpected_for("the option's value"));
        }
        Ok(Self { name, value, position })
    }

    /// The value, which must be there.
    pub fn text(&self) -> Result<&str> {
        self.value.as_deref().ok_or_else(|| self.invalid("it needs a value"))
    }

    /// The value as a switch; no value is `true`.
    pub fn boolean(&self) -> Result<bool> {
        match self.value.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("true" | "on" | "yes" | "1") => Ok(true),
            Some("false" | "off" | "no" | "0") => Ok(false),
            Some(_) => Err(self.invalid("it takes true or false")),
        }
    }

    /// The value as a single byte.
    pub fn character(&self) -> Result<u8> {
        match self.text()?.as_bytes() {
            [byte] => Ok(*byte),
            _ => Err(self.invalid("it takes one single-byte character")),
        }
    }

    /// The value as a whole number that is not negative.
    pub fn count(&self) -> Result<u64> {
        self.text()?.parse().map_err(|_| self.invalid("it takes a whole number"))
    }

    /// The value as one of a few words.
    pub fn word<'w>(&self, words: &[&'w str]) -> Result<&'w str> {
        let given = self.text()?.to_ascii_lowercase();
        let found = words.iter().copied().find(|word| *word == given);
        found.ok_or_else(|| self.invalid(&format!("it takes {}", words.join(", "))))
    }

    /// The error for a value that does not fit.
    pub fn invalid(&self, why: &str) -> Error {
        let message = match &self.value {
            Some(value) => format!("invalid value for option \"{}\": \"{value}\"", self.name),
            None => format!("invalid use of option \"{}\"", self.name),
        };
        let mut letters = why.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let hint: String = first.into_iter().chain(letters).chain(['.']).collect();
        Error::new(ErrorKind::InvalidParameterValue, message).hint(hint).at(self.position)
    }
}

/// The error for an option that nobody knows.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    let error = Error::new(ErrorKind::SyntaxError, format!("unrecognized {what} option \"{name}\""));
    let all = format!("Known options are {}.", known.join(", "));
    match nearest(name, known.iter().copied()) {
        Some(near) => error.hint(format!("Perhaps you meant \"{near}\". {all}")),
        None => error.hint(all),
    }
}

/// `name` or `delta.enableChangeDataFeed`; a part after a dot keeps its case, because Delta's names have capitals.
fn option_name(reader: &mut Reader<'_>) -> Result<String> {
    let mut name = match &reader.parser.peek_token_ref().token {
        Token::Word(word) if word.quote_style.is_some() => word.value.clone(),
        Token::Word(word) => fold(&word.value),
        Token::SingleQuotedString(text) => text.clone(),
        _ => return Err(reader.unexpected_for("the name of an option")),
    };
    reader.parser.advance_token();
    while reader.accept_token(&Token::Period) {
        let Token::Word(word) = &reader.parser.peek_token_ref().token else {
            return Err(reader.unexpected_for("the rest of the option's name"));
        };
        name = format!("{name}.{}", word.value);
        reader.parser.advance_token();
    }
    Ok(name)
}

fn value(reader: &mut Reader<'_>) -> Result<Option<String>> {
    if let Some(text) = reader.optional_string() {
        return Ok(Some(text));
    }
    let sign = if reader.accept_token(&Token::Minus) { "-" } else { "" };
    let text = match &reader.parser.peek_token_ref().token {
        Token::Number(digits, _) => format!("{sign}{digits}"),
        _ if !sign.is_empty() => return Err(reader.unexpected_for("a number")),
        Token::Word(word) if word.quote_style.is_some() => word.value.clone(),
        Token::Word(word) => fold(&word.value),
        _ => return Ok(None),
    };
    reader.parser.advance_token();
    Ok(Some(text))
}
