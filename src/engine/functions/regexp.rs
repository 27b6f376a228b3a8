//! Regular expressions with PostgreSQL's functions and flags, on the `regex` crate's automata (no back-references).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::{Value, text_list};
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::immutable(
        "regexp_replace",
        &[
            Overload::new(&[K::Text, K::Text, K::Text], K::Text, |a| replace(a, "")),
            Overload::new(&[K::Text, K::Text, K::Text, K::Text], K::Text, |a| replace(a, a.text(3)?)),
        ],
    ),
    Function::immutable(
        "regexp_match",
        &[
            Overload::new(&[K::Text, K::Text], K::Array(&K::Text), |a| first_match(a, "")),
            Overload::new(&[K::Text, K::Text, K::Text], K::Array(&K::Text), |a| first_match(a, a.text(2)?)),
        ],
    ),
    Function::immutable(
        "regexp_split_to_array",
        &[
            Overload::new(&[K::Text, K::Text], K::Array(&K::Text), |a| split(a, "")),
            Overload::new(&[K::Text, K::Text, K::Text], K::Array(&K::Text), |a| split(a, a.text(2)?)),
        ],
    ),
    Function::immutable(
        "regexp_substr",
        &[
            Overload::new(&[K::Text, K::Text], K::Text, substring),
            Overload::new(&[K::Text, K::Text, K::Int4], K::Text, substring),
        ],
    ),
    Function::immutable("substring_regexp", &[Overload::new(&[K::Text, K::Text], K::Text, substring_of_group)]),
];

thread_local! {
    /// Compiled expressions of this thread, by flags and pattern: a query's pattern is compiled once.
    static COMPILED: RefCell<HashMap<(String, String), Arc<Regex>>> = RefCell::new(HashMap::new());
}

/// How many compiled expressions a thread keeps.
const COMPILED_MAX: usize = 256;

/// An expression with PostgreSQL's flags: `i` any case, `n` newline-sensitive, `x` expanded, `q` literal, `g` not here.
pub fn compiled(pattern: &str, flags: &str) -> Result<Arc<Regex>> {
    let key = (flags.to_owned(), pattern.to_owned());
    if let Some(found) = COMPILED.with_borrow(|all| all.get(&key).cloned()) {
        return Ok(found);
    }
    let regex = Arc::new(build(pattern, flags)?);
    COMPILED.with_borrow_mut(|all| {
        if all.len() >= COMPILED_MAX {
            all.clear();
        }
        all.insert(key, Arc::clone(&regex));
    });
    Ok(regex)
}

fn build(pattern: &str, flags: &str) -> Result<Regex> {
    // `***=`, `***:` and `(?i)` may begin a pattern.
    let (pattern, literal) = match pattern.strip_prefix("***=") {
        Some(rest) => (rest, true),
        None => (pattern.strip_prefix("***:").unwrap_or(pattern), false),
    };
    let pattern = if literal || flags.contains('q') { regex::escape(pattern) } else { translate(pattern) };
    let mut builder = RegexBuilder::new(&pattern);
    builder.dot_matches_new_line(true);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'c' => builder.case_insensitive(false),
            'n' | 'm' => builder.dot_matches_new_line(false).multi_line(true),
            'p' => builder.dot_matches_new_line(false),
            'w' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true).multi_line(false),
            'x' => builder.ignore_whitespace(true),
            'g' | 'q' | 't' | 'e' | 'b' => &mut builder,
            other => {
                let message = format!("invalid regular expression option: \"{other}\"");
                return Err(Error::new(ErrorKind::InvalidParameterValue, message));
            }
        };
    }
    builder.build().map_err(|error| {
        Error::new(ErrorKind::InvalidRegularExpression, format!("invalid regular expression: {}", reason(&error)))
    })
}

fn reason(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

/// PostgreSQL's escapes that are spelled otherwise here: `\m \M \y \Y \A \Z`.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('m') => out.push_str(r"\b{start}"),
            Some('M') => out.push_str(r"\b{end}"),
            Some('y') => out.push_str(r"\b"),
            Some('Y') => out.push_str(r"\B"),
            Some('Z') => out.push_str(r"\z"),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

/// `\1` and `\&` of PostgreSQL in the notation of the `regex` crate.
fn replacement(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '$' => out.push_str("$$"),
            '\\' => match letters.next() {
                Some('&') => out.push_str("${0}"),
                Some(digit) if digit.is_ascii_digit() => out.push_str(&format!("${{{digit}}}")),
                Some('\\') => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            plain => out.push(plain),
        }
    }
    out
}

fn replace(arguments: &Arguments<'_>, flags: &str) -> Result<Value<'static>> {
    let regex = compiled(arguments.text(1)?, flags)?;
    let limit = if flags.contains('g') { 0 } else { 1 };
    Ok(Value::text(regex.replacen(arguments.text(0)?, limit, replacement(arguments.text(2)?)).into_owned()))
}

fn first_match(arguments: &Arguments<'_>, flags: &str) -> Result<Value<'static>> {
    if flags.contains('g') {
        return Err(Error::new(
            ErrorKind::InvalidParameterValue,
            "regexp_match() does not support the \"global\" option",
        )
        .hint("Use the regexp_matches function instead."));
    }
    let regex = compiled(arguments.text(1)?, flags)?;
    Ok(match regex.captures(arguments.text(0)?) {
        None => Value::Null,
        Some(found) if found.len() == 1 => text_list([found.get(0).map(|whole| whole.as_str())]),
        Some(found) => text_list(found.iter().skip(1).map(|group| group.map(|group| group.as_str()))),
    })
}

fn split(arguments: &Arguments<'_>, flags: &str) -> Result<Value<'static>> {
    let regex = compiled(arguments.text(1)?, flags)?;
    let text = arguments.text(0)?;
    // An empty match at the start or the end splits nothing off.
    let parts: Vec<&str> = regex.split(text).collect();
    let parts = match regex.is_match("") && parts.len() > 2 {
        true => &parts[1..parts.len() - 1],
        false => &parts[..],
    };
    Ok(text_list(parts.iter().map(|part| Some(*part))))
}

fn substring(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let text = arguments.text(0)?;
    let skip = if arguments.len() > 2 { usize::try_from(arguments.integer(2)? - 1).unwrap_or(0) } else { 0 };
    let start = text.char_indices().nth(skip).map_or(text.len(), |(at, _)| at);
    let regex = compiled(arguments.text(1)?, "")?;
    Ok(Value::optional_text(regex.find(&text[start..]).map(|found| found.as_str())))
}

/// `substring(text FROM pattern)`: the first group, or the whole match without one.
fn substring_of_group(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let regex = compiled(arguments.text(1)?, "")?;
    let found = regex.captures(arguments.text(0)?);
    Ok(Value::optional_text(
        found.as_ref().and_then(|found| found.get(usize::from(found.len() > 1))).map(|group| group.as_str()),
    ))
}
