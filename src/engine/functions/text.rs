//! Functions on text.

use crate::catalog::name::quote_identifier;
use crate::engine::functions::cast::print::print;
use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::names::identifier_parts;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::{Value, text_list};
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::immutable(
        "quote_ident",
        &[Overload::new(&[K::Text], K::Text, |a| Ok(Value::text(quote_identifier(a.text(0)?))))],
    ),
    Function::stable("quote_literal", &[Overload::new(&[K::Any], K::Text, |a| quote_literal(a, "NULL"))]),
    Function::stable("quote_nullable", &[Overload::with_nulls(&[K::Any], K::Text, |a| quote_literal(a, "NULL"))]),
    Function::stable("format", &[Overload::variadic(&[K::Text, K::Any], K::Text, format)]),
    Function::stable("concat", &[Overload::variadic(&[K::Any], K::Text, concat)]),
    Function::stable("concat_ws", &[Overload::variadic(&[K::Text, K::Any], K::Text, concat_with_separator)]),
    Function::immutable(
        "to_hex",
        &[Overload::new(&[K::Int4], K::Text, to_hex_short), Overload::new(&[K::Int8], K::Text, to_hex)],
    ),
    Function::immutable("to_ascii", &[Overload::new(&[K::Text], K::Text, |a| Ok(Value::text(a.text(0)?)))]),
    Function::immutable("unistr", &[Overload::new(&[K::Text], K::Text, |a| unistr(a.text(0)?))]),
    Function::immutable("upper", &[Overload::new(&[K::Text], K::Text, |a| Ok(Value::text(upper(a.text(0)?))))]),
    Function::immutable("repeat", &[Overload::new(&[K::Text, K::Int4], K::Text, repeat)]),
    Function::immutable(
        "lpad",
        &[
            Overload::new(&[K::Text, K::Int4], K::Text, |a| padded(a, false)),
            Overload::new(&[K::Text, K::Int4, K::Text], K::Text, |a| padded(a, false)),
        ],
    ),
    Function::immutable(
        "rpad",
        &[
            Overload::new(&[K::Text, K::Int4], K::Text, |a| padded(a, true)),
            Overload::new(&[K::Text, K::Int4, K::Text], K::Text, |a| padded(a, true)),
        ],
    ),
    Function::immutable("chr", &[Overload::new(&[K::Int4], K::Text, chr)]),
    Function::immutable("like_escape", &[Overload::new(&[K::Text, K::Text], K::Text, like_escape)]),
    Function::immutable("similar_to_escape", &[Overload::new(&[K::Text, K::Text], K::Text, similar_to_escape)]),
    Function::immutable(
        "parse_ident",
        &[Overload::new(&[K::Text], K::Array(&K::Text), |a| {
            Ok(text_list(identifier_parts(a.text(0)?)?.iter().map(|part| Some(part.as_str()))))
        })],
    ),
    Function::volatile(
        "gen_random_uuid",
        &[Overload::new(&[], K::Uuid, |_| Ok(Value::text(uuid::Uuid::new_v4().to_string())))],
    ),
    Function::volatile("uuidv7", &[Overload::new(&[], K::Uuid, |_| Ok(Value::text(uuid::Uuid::now_v7().to_string())))]),
];

/// The most bytes that one text may have, as in PostgreSQL.
const TEXT_BYTES_MAX: usize = 0x3fff_ffff;

fn check_length(bytes: usize) -> Result<()> {
    match bytes > TEXT_BYTES_MAX {
        true => Err(Error::new(ErrorKind::ProgramLimitExceeded, "requested length too large")),
        false => Ok(()),
    }
}

fn repeat(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (text, times) = (arguments.text(0)?, usize::try_from(arguments.integer(1)?).unwrap_or(0));
    check_length(text.len().saturating_mul(times))?;
    Ok(Value::text(text.repeat(times)))
}

/// Fills up with the third argument, or blanks, to the length that the second one says, or cuts at it.
fn padded(arguments: &Arguments<'_>, at_end: bool) -> Result<Value<'static>> {
    let (text, length) = (arguments.text(0)?, usize::try_from(arguments.integer(1)?).unwrap_or(0));
    let fill = if arguments.len() > 2 { arguments.text(2)? } else { " " };
    let missing = length.saturating_sub(text.chars().count());
    check_length(missing.saturating_mul(fill.chars().map(char::len_utf8).max().unwrap_or(0)))?;
    let filling: String = if fill.is_empty() { String::new() } else { fill.chars().cycle().take(missing).collect() };
    let text: String = text.chars().take(length).collect();
    Ok(Value::text(if at_end { text + &filling } else { filling + &text }))
}

fn quote_literal(arguments: &Arguments<'_>, null: &str) -> Result<Value<'static>> {
    if arguments.is_null(0) {
        return Ok(Value::text(null));
    }
    let text = print(&arguments.values[0], &arguments.pg_type(0), arguments.session)?;
    Ok(Value::text(quoted(&text)))
}

/// A text as a literal that reads back the same.
fn quoted(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

/// `%s`, `%I`, `%L`, `%%`, with positions (`%2$s`) and widths (`%-10s`, `%*s`).
fn format(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    if arguments.is_null(0) {
        return Ok(Value::Null);
    }
    let mut out = String::new();
    let mut letters = arguments.text(0)?.chars().peekable();
    let mut next = 1;
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut spec = String::new();
        while let Some(c) = letters.next_if(|c| c.is_ascii_digit() || matches!(c, '$' | '-' | '*')) {
            spec.push(c);
        }
        match letters.next() {
            Some('%') => out.push('%'),
            Some(kind @ ('s' | 'I' | 'L')) => out.push_str(&format_one(arguments, &spec, kind, &mut next)?),
            Some(other) => {
                let message = format!("unrecognized format() type specifier \"{other}\"");
                return Err(
                    Error::new(ErrorKind::InvalidParameterValue, message).hint("For a single \"%\" use \"%%\".")
                );
            }
            None => {
                return Err(Error::new(ErrorKind::InvalidParameterValue, "unterminated format() type specifier")
                    .hint("For a single \"%\" use \"%%\"."));
            }
        }
    }
    Ok(Value::text(out))
}

fn format_one(arguments: &Arguments<'_>, spec: &str, kind: char, next: &mut usize) -> Result<String> {
    let too_few = || Error::new(ErrorKind::InvalidParameterValue, "too few arguments for format()");
    let (position, width) = spec.split_once('$').map_or((None, spec), |(position, width)| (Some(position), width));
    let (left, width) = width.strip_prefix('-').map_or((false, width), |rest| (true, rest));
    let width = match width {
        "*" => {
            *next += 1;
            arguments.values.get(*next - 1).ok_or_else(too_few)?;
            arguments.integer(*next - 1)?
        }
        "" => 0,
        digits => digits.parse().unwrap_or(i64::MAX),
    };
    let at = position.and_then(|position| position.parse().ok()).unwrap_or(*next);
    *next = at + 1;
    let value = arguments.values.get(at).ok_or_else(too_few)?;
    let text = match (value, kind) {
        (Value::Null, 'L') => "NULL".to_owned(),
        (Value::Null, 'I') => {
            return Err(Error::new(
                ErrorKind::InvalidParameterValue,
                "null values cannot be formatted as an SQL identifier",
            ));
        }
        (Value::Null, _) => String::new(),
        (value, kind) => {
            let text = print(value, &arguments.pg_type(at), arguments.session)?;
            match kind {
                'I' => quote_identifier(&text),
                'L' => quoted(&text),
                _ => text,
            }
        }
    };
    let size = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    check_length(size)?;
    let blanks = " ".repeat(size.saturating_sub(text.chars().count()));
    Ok(if left || width < 0 { text + &blanks } else { blanks + &text })
}

/// A value as `concat` shows it: booleans are `t` and `f`.
fn plain_text(arguments: &Arguments<'_>, at: usize) -> Result<Option<String>> {
    Ok(match &arguments.values[at] {
        Value::Null => None,
        Value::Bool(truth) => Some(if *truth { "t" } else { "f" }.to_owned()),
        value => Some(print(value, &arguments.pg_type(at), arguments.session)?),
    })
}

fn concat(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let mut out = String::new();
    for at in 0..arguments.len() {
        out.push_str(&plain_text(arguments, at)?.unwrap_or_default());
    }
    Ok(Value::text(out))
}

fn concat_with_separator(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    if arguments.is_null(0) {
        return Ok(Value::Null);
    }
    let mut parts = Vec::new();
    for at in 1..arguments.len() {
        parts.extend(plain_text(arguments, at)?);
    }
    Ok(Value::text(parts.join(arguments.text(0)?)))
}

fn to_hex(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::text(format!("{:x}", arguments.integer(0)?)))
}

fn to_hex_short(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::text(format!("{:x}", arguments.integer(0)? as i32)))
}

/// Letter by letter: a letter whose capital is two letters stays, as in PostgreSQL.
fn upper(text: &str) -> String {
    let capital = |letter: char| {
        let mut capitals = letter.to_uppercase();
        match (capitals.next(), capitals.next()) {
            (Some(capital), None) => capital,
            _ => letter,
        }
    };
    if text.is_ascii() { text.to_ascii_uppercase() } else { text.chars().map(capital).collect() }
}

fn chr(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let too_large = |message: String| Err(Error::new(ErrorKind::ProgramLimitExceeded, message));
    match arguments.integer(0)? {
        0 => too_large("null character not permitted".to_owned()),
        ..0 => Err(Error::new(ErrorKind::InvalidParameterValue, "character number must be positive")),
        number => match u32::try_from(number).ok().and_then(char::from_u32) {
            Some(letter) => Ok(Value::text(letter)),
            None => too_large(format!("requested character too large for encoding: {number}")),
        },
    }
}

/// A pattern of LIKE whose escape is a backslash, from one with another escape or, with an empty one, none.
fn like_escape(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let mut escapes = arguments.text(1)?.chars();
    let (escape, more) = (escapes.next(), escapes.next());
    if more.is_some() {
        return Err(Error::new(ErrorKind::InvalidEscapeSequence, "invalid escape string")
            .hint("Escape string must be empty or one character."));
    }
    let mut pattern = String::new();
    let mut letters = arguments.text(0)?.chars();
    while let Some(letter) = letters.next() {
        let (letter, escaped) = match Some(letter) == escape {
            true => (letters.next().unwrap_or(letter), true),
            false => (letter, letter == '\\'),
        };
        pattern.extend(escaped.then_some('\\').into_iter().chain([letter]));
    }
    Ok(Value::text(pattern))
}

/// A pattern of SIMILAR TO as a regular expression over the whole text.
fn similar_to_escape(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let escape = arguments.text(1)?.chars().next();
    let mut regex = "^(?:".to_owned();
    let mut letters = arguments.text(0)?.chars();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            _ if Some(letter) == escape => {
                regex.extend(['\\'].into_iter().chain(letters.next()));
            }
            '%' if !in_class => regex.push_str("(?s:.*)"),
            '_' if !in_class => regex.push_str("(?s:.)"),
            '.' | '^' | '$' | '\\' if !in_class => regex.extend(['\\', letter]),
            _ => {
                in_class = letter == '[' || (in_class && letter != ']');
                regex.push(letter);
            }
        }
    }
    regex.push_str(")$");
    Ok(Value::text(regex))
}

/// `\0061`, `\+000061`, `\u0061`, `\U00000061` and `\\`.
fn unistr(text: &str) -> Result<Value<'static>> {
    let invalid = || {
        Error::new(ErrorKind::SyntaxError, "invalid Unicode escape")
            .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        if let Some(after) = escaped.strip_prefix('\\') {
            out.push('\\');
            rest = after;
            continue;
        }
        let (digits, length) = match escaped.chars().next() {
            Some('+') => (&escaped[1..], 6),
            Some('u') => (&escaped[1..], 4),
            Some('U') => (&escaped[1..], 8),
            _ => (escaped, 4),
        };
        let number = digits.get(..length).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        out.push(number.and_then(char::from_u32).ok_or_else(invalid)?);
        rest = &digits[length..];
    }
    out.push_str(rest);
    Ok(Value::text(out))
}
