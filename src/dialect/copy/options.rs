//! The options of COPY.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::copy::CopyTarget;
use crate::dialect::options::unknown;
use crate::dialect::reader::Reader;
use crate::error::{Error, ErrorKind, Result};

/// Options as they were given; what is `None` was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// FORMAT; without it what the ending of the file's path says, else text.
    pub format: Option<CopyFileFormat>,
    /// DELIMITER
    pub delimiter: Option<u8>,
    /// NULL: the text that stands for it.
    pub null: Option<String>,
    /// DEFAULT: the text that stands for the column's default, of COPY FROM.
    pub default: Option<String>,
    /// HEADER
    pub header: Option<CopyHeader>,
    /// QUOTE
    pub quote: Option<u8>,
    /// ESCAPE
    pub escape: Option<u8>,
    /// FORCE_QUOTE; an empty list means all columns.
    pub force_quote: Option<Vec<String>>,
    /// FORCE_NOT_NULL; an empty list means all columns.
    pub force_not_null: Option<Vec<String>>,
    /// FORCE_NULL; an empty list means all columns.
    pub force_null: Option<Vec<String>>,
    /// ENCODING: UTF8, which is the only one.
    pub encoding: Option<String>,
    /// FREEZE: rows of a load are never visible before its end, so there is nothing to do.
    pub freeze: bool,
    /// ON_ERROR ignore or skip: leave out rows that cannot be read, and count them.
    pub ignore_errors: bool,
    /// REJECT_LIMIT: the most rows that ON_ERROR ignore leaves out.
    pub reject_limit: Option<u64>,
    /// LOG_VERBOSITY: what is told of rows left out.
    pub verbosity: CopyVerbosity,
}

/// LOG_VERBOSITY of COPY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyVerbosity {
    /// Nothing is told.
    Silent,
    /// Their number.
    #[default]
    Default,
    /// Each one, and their number.
    Verbose,
}

/// Formats of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFileFormat {
    /// PostgreSQL's tab-separated text.
    Text,
    /// Comma-separated values.
    Csv,
    /// PostgreSQL's binary format.
    Binary,
    /// Parquet.
    Parquet,
    /// One JSON document a line.
    Json,
}

/// HEADER of COPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyHeader {
    /// No first line with names.
    Off,
    /// A first line with names, which is skipped on the way in.
    On,
    /// A first line that must have the names of the columns.
    Match,
}

const KNOWN: [&str; 15] = [
    "format",
    "delimiter",
    "null",
    "default",
    "header",
    "quote",
    "escape",
    "force_quote",
    "force_not_null",
    "force_null",
    "encoding",
    "freeze",
    "on_error",
    "reject_limit",
    "log_verbosity",
];

const ONLY_CSV: [&str; 5] = ["quote", "escape", "force_quote", "force_not_null", "force_null"];
const NOT_BINARY: [&str; 3] = ["delimiter", "null", "default"];
const ONLY_FROM: [&str; 7] =
    ["force_not_null", "force_null", "on_error", "reject_limit", "log_verbosity", "freeze", "default"];

impl CopyFileFormat {
    /// The word for it in FORMAT.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Csv => "csv",
            Self::Binary => "binary",
            Self::Parquet => "parquet",
            Self::Json => "json",
        }
    }

    /// The format that a file's name tells.
    fn of_file(path: &str) -> Option<Self> {
        match path.rsplit('.').next()? {
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            "json" | "ndjson" | "jsonl" => Some(Self::Json),
            _ => None,
        }
    }
}

impl CopyOptions {
    /// `[WITH] (name value, ...)` or the old words.
    pub(super) fn read(reader: &mut Reader<'_>, binary: bool) -> Result<Self> {
        let mut options = Self::default();
        reader.accept("with");
        if binary || !reader.accept_token(&Token::LParen) {
            let mut position = reader.position();
            while options.read_old(reader).map_err(|error| placed(error, position))? {
                position = reader.position();
            }
            return Ok(options);
        }
        let mut seen = BTreeSet::new();
        reader.list(|reader| {
            let position = reader.position();
            let name = reader.identifier()?;
            if !seen.insert(name.clone()) {
                return Err(Error::new(ErrorKind::SyntaxError, "conflicting or redundant options").at(position));
            }
            options.read_one(reader, &name).map_err(|error| placed(error, position))
        })?;
        reader.expect_token(&Token::RParen)?;
        Ok(options)
    }

    /// Where no option says the format, `COPY BINARY t` and the name of a file do.
    pub(super) fn infer_format(&mut self, binary: bool, target: &CopyTarget) {
        self.format = match target {
            _ if binary => Some(CopyFileFormat::Binary),
            CopyTarget::File(path) => self.format.or_else(|| CopyFileFormat::of_file(path)),
            CopyTarget::Client => self.format,
        };
    }

    fn read_one(&mut self, reader: &mut Reader<'_>, name: &str) -> Result<()> {
        match name {
            "format" => self.format = Some(format(&word(reader)?)?),
            "delimiter" => self.delimiter = Some(delimiter(&reader.string()?)?),
            "null" => self.null = Some(reader.string()?),
            "default" => self.default = Some(reader.string()?),
            "header" => {
                self.header = Some(if reader.accept("match") {
                    CopyHeader::Match
                } else if boolean(reader, name)? {
                    CopyHeader::On
                } else {
                    CopyHeader::Off
                });
            }
            "quote" => self.quote = Some(single_byte("quote", &reader.string()?)?),
            "escape" => self.escape = Some(single_byte("escape", &reader.string()?)?),
            "force_quote" => self.force_quote = Some(columns_or_all(reader)?),
            "force_not_null" => self.force_not_null = Some(columns_or_all(reader)?),
            "force_null" => self.force_null = Some(columns_or_all(reader)?),
            "encoding" => self.encoding = Some(encoding(word(reader)?)?),
            "freeze" => self.freeze = boolean(reader, name)?,
            "on_error" => self.ignore_errors = one_of(name, &word(reader)?, &["stop", "ignore", "skip"])? != "stop",
            "reject_limit" => {
                let limit = reader.integer()?;
                self.reject_limit = Some(u64::try_from(limit).ok().filter(|limit| *limit > 0).ok_or_else(|| {
                    Error::new(
                        ErrorKind::InvalidParameterValue,
                        format!("REJECT_LIMIT ({limit}) must be greater than zero"),
                    )
                })?);
            }
            "log_verbosity" => {
                self.verbosity = match one_of(name, &word(reader)?, &["default", "silent", "verbose"])? {
                    "silent" => CopyVerbosity::Silent,
                    "verbose" => CopyVerbosity::Verbose,
                    _ => CopyVerbosity::Default,
                }
            }
            _ => return Err(unknown("COPY", name, &KNOWN)),
        }
        Ok(())
    }

    /// One option of the old form; false when none comes.
    fn read_old(&mut self, reader: &mut Reader<'_>) -> Result<bool> {
        let Some(words) = reader.accept_one(&[
            "binary",
            "csv",
            "freeze",
            "header",
            "delimiters",
            "delimiter",
            "null",
            "quote",
            "escape",
            "force not null",
            "force null",
            "force quote",
            "encoding",
        ]) else {
            return Ok(false);
        };
        reader.accept("as");
        match words {
            "binary" => self.format = Some(CopyFileFormat::Binary),
            "csv" => self.format = Some(CopyFileFormat::Csv),
            "freeze" => self.freeze = true,
            "header" => self.header = Some(CopyHeader::On),
            "delimiter" | "delimiters" => self.delimiter = Some(delimiter(&reader.string()?)?),
            "null" => self.null = Some(reader.string()?),
            "quote" => self.quote = Some(single_byte("quote", &reader.string()?)?),
            "escape" => self.escape = Some(single_byte("escape", &reader.string()?)?),
            "encoding" => self.encoding = Some(encoding(reader.string()?)?),
            "force not null" => self.force_not_null = Some(reader.list(Reader::identifier)?),
            "force null" => self.force_null = Some(reader.list(Reader::identifier)?),
            _ if reader.accept_token(&Token::Mul) => self.force_quote = Some(Vec::new()),
            _ => self.force_quote = Some(reader.list(Reader::identifier)?),
        }
        Ok(true)
    }

    /// True when the option is given, with anything but its default.
    fn is_given(&self, option: &str) -> bool {
        match option {
            "delimiter" => self.delimiter.is_some(),
            "null" => self.null.is_some(),
            "default" => self.default.is_some(),
            "header" => self.header.is_some(),
            "quote" => self.quote.is_some(),
            "escape" => self.escape.is_some(),
            "force_quote" => self.force_quote.is_some(),
            "force_not_null" => self.force_not_null.is_some(),
            "force_null" => self.force_null.is_some(),
            "encoding" => self.encoding.is_some(),
            "freeze" => self.freeze,
            "on_error" => self.ignore_errors,
            "reject_limit" => self.reject_limit.is_some(),
            "log_verbosity" => self.verbosity != CopyVerbosity::Default,
            _ => false,
        }
    }

    /// The first of these options that is given, as PostgreSQL writes it.
    fn first_given(&self, options: &[&str]) -> Option<String> {
        options.iter().find(|option| self.is_given(option)).map(|option| option.to_ascii_uppercase())
    }

    /// That the options go together, as PostgreSQL demands.
    pub(super) fn check(&self, from: bool) -> Result<()> {
        let format = self.format.unwrap_or(CopyFileFormat::Text);
        let syntax = |message: String| Err(Error::new(ErrorKind::SyntaxError, message));
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidParameterValue, message));
        // Files of columns have no lines to say anything about.
        if matches!(format, CopyFileFormat::Parquet | CopyFileFormat::Json)
            && let Some(name) = self.first_given(&KNOWN)
        {
            return Err(Error::unsupported(format!("COPY {name} is not an option of the format {}", format.name()))
                .hint("It belongs to the formats of lines, text and csv."));
        }
        if format == CopyFileFormat::Binary {
            if let Some(name) = self.first_given(&NOT_BINARY) {
                return syntax(format!("cannot specify {name} in BINARY mode"));
            }
            if self.header.is_some() {
                return Err(Error::unsupported("cannot specify HEADER in BINARY mode"));
            }
            if self.ignore_errors {
                return syntax("only ON_ERROR STOP is allowed in BINARY mode".to_owned());
            }
        }
        if format != CopyFileFormat::Csv
            && let Some(name) = self.first_given(&ONLY_CSV)
        {
            let name = name.to_ascii_lowercase().replace('_', " ");
            return Err(Error::unsupported(format!("COPY {name} available only in CSV mode")));
        }
        let header_match = (self.header == Some(CopyHeader::Match)).then(|| "HEADER MATCH".to_owned());
        if !from && let Some(name) = self.first_given(&ONLY_FROM).or(header_match) {
            return invalid(format!("COPY {name} cannot be used with COPY TO"));
        }
        if from && self.force_quote.is_some() {
            return invalid("COPY FORCE_QUOTE cannot be used with COPY FROM".to_owned());
        }
        if self.reject_limit.is_some() && !self.ignore_errors {
            return syntax("COPY REJECT_LIMIT requires ON_ERROR to be set to IGNORE".to_owned());
        }
        if self.default.is_some() {
            return Err(Error::unsupported("COPY DEFAULT is not supported")
                .hint("Leave the column out of the list: its default is then taken for every row."));
        }
        self.check_characters(format == CopyFileFormat::Csv)
    }

    fn check_characters(&self, csv: bool) -> Result<()> {
        let invalid = |message: &str| Err(Error::new(ErrorKind::InvalidParameterValue, message));
        let delimiter = self.delimiter.unwrap_or(if csv { b',' } else { b'\t' });
        if matches!(delimiter, b'\n' | b'\r') {
            return invalid("COPY delimiter cannot be newline or carriage return");
        }
        if !csv && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&delimiter) {
            return invalid(&format!("COPY delimiter cannot be \"{}\"", char::from(delimiter)));
        }
        if csv && delimiter == self.quote.unwrap_or(b'"') {
            return invalid("COPY delimiter and quote must be different");
        }
        match &self.null {
            Some(null) if null.contains(['\n', '\r']) => {
                invalid("COPY null representation cannot use newline or carriage return")
            }
            Some(null) if null.as_bytes().contains(&delimiter) => {
                invalid("COPY delimiter character must not appear in the NULL specification")
            }
            _ => Ok(()),
        }
    }
}

/// The error with this place, if it has none of its own.
pub(super) fn placed(error: Error, position: usize) -> Error {
    if error.position().is_some() { error } else { error.at(position) }
}

fn format(name: &str) -> Result<CopyFileFormat> {
    match name.to_ascii_lowercase().as_str() {
        "text" => Ok(CopyFileFormat::Text),
        "csv" => Ok(CopyFileFormat::Csv),
        "binary" => Ok(CopyFileFormat::Binary),
        "parquet" => Ok(CopyFileFormat::Parquet),
        "json" | "ndjson" => Ok(CopyFileFormat::Json),
        _ => Err(Error::new(ErrorKind::InvalidParameterValue, format!("COPY format \"{name}\" not recognized"))
            .hint("Known formats are text, csv, binary, parquet and json.")),
    }
}

/// Text is UTF-8 everywhere.
fn encoding(name: String) -> Result<String> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_ascii_lowercase().as_str() {
        "utf8" | "unicode" => Ok(name),
        _ => Err(Error::unsupported(format!("COPY ENCODING \"{name}\" is not supported"))
            .hint("Only UTF8 is: convert the file, for instance with iconv.")),
    }
}

/// A word or a string.
fn word(reader: &mut Reader<'_>) -> Result<String> {
    match reader.optional_string() {
        Some(text) => Ok(text),
        None => reader.identifier(),
    }
}

fn one_of<'w>(option: &str, given: &str, words: &[&'w str]) -> Result<&'w str> {
    let found = words.iter().copied().find(|word| given.eq_ignore_ascii_case(word));
    found.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidParameterValue,
            format!("COPY {} \"{given}\" not recognized", option.to_ascii_uppercase()),
        )
        .hint(format!("Known values are {}.", words.join(", ")))
    })
}

/// No value means true.
fn boolean(reader: &mut Reader<'_>, option: &str) -> Result<bool> {
    if matches!(reader.parser.peek_token_ref().token, Token::Comma | Token::RParen) {
        return Ok(true);
    }
    let text = match &reader.parser.peek_token_ref().token {
        Token::Number(digits, _) => {
            let digits = digits.clone();
            reader.parser.advance_token();
            digits
        }
        _ => word(reader)?,
    };
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ if option == "header" => {
            Err(Error::new(ErrorKind::SyntaxError, "header requires a Boolean value or \"match\""))
        }
        _ => Err(Error::new(ErrorKind::SyntaxError, format!("{option} requires a Boolean value"))),
    }
}

fn columns_or_all(reader: &mut Reader<'_>) -> Result<Vec<String>> {
    if reader.accept_token(&Token::Mul) { Ok(Vec::new()) } else { reader.column_list() }
}

fn delimiter(text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::unsupported("COPY delimiter must be a single one-byte character")),
    }
}

fn single_byte(what: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::new(
            ErrorKind::InvalidParameterValue,
            format!("COPY {what} must be a single one-byte character"),
        )),
    }
}
