//! Where in a statement an error belongs that came without a place.
//!
//! The planner forgets where names and literals stood, so they are looked for in the text. Invariant: nothing is guessed;
//! but for a column, whose first mention is meant, what stands there twice gets no place.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::dialect::language::Language;
use crate::dialect::reader::is_word;
use crate::error::{Error, ErrorKind};

/// The token of the statement's text that the error is about.
pub(super) fn of(error: &Error, text: &str) -> Option<TokenWithSpan> {
    // The planner's place for an operator is that of its operand.
    if error.position().is_some() && error.kind() != ErrorKind::UndefinedFunction {
        return None;
    }
    let message = error.message();
    let tokens = || -> Option<Vec<TokenWithSpan>> {
        let tokens = Tokenizer::new(&Language::for_tokens(0), text).tokenize_with_location().ok()?;
        Some(tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect())
    };
    match error.kind() {
        ErrorKind::UndefinedColumn => {
            let name = message.strip_prefix("column \"")?.strip_suffix("\" does not exist")?;
            column(&tokens()?, name)
        }
        ErrorKind::UndefinedFunction => match message.strip_prefix("operator does not exist: ") {
            Some(operands) => {
                let symbols: Vec<&str> =
                    operands.split(' ').filter(|word| !word.contains(char::is_alphanumeric)).collect();
                let tokens = tokens()?;
                let is = |spelled: fn(&str) -> &str| {
                    only(&tokens, |tokens, at| {
                        let text = tokens[at].token.to_string();
                        symbols.iter().any(|symbol| text.eq_ignore_ascii_case(spelled(symbol)))
                    })
                };
                is(|symbol| symbol).or_else(|| is(in_words))
            }
            None => {
                let name = message.strip_prefix("table ").unwrap_or(message).strip_prefix("function ")?;
                let name = name.split(['(', ' ']).next()?;
                let named = |tokens: &[TokenWithSpan], at: usize| {
                    is_named(&tokens[at], name) || name == "strpos" && is_named(&tokens[at], "position")
                };
                only(&tokens()?, |tokens, at| named(tokens, at) && is_followed(tokens, at, &Token::LParen))
            }
        },
        ErrorKind::UndefinedObject => {
            let (what, name) = message.strip_suffix("\" does not exist")?.split_once(" \"")?;
            let tokens = tokens()?;
            match what {
                "type" => only(&tokens, |tokens, at| is_named(&tokens[at], name)),
                "window" => only(&tokens, |tokens, at| {
                    tokens[at].token == Token::LParen && tokens.get(at + 1).is_some_and(|next| is_named(next, name))
                        || is_named(&tokens[at], name) && at > 0 && is_word(&tokens[at - 1].token, "over")
                }),
                _ => None,
            }
        }
        ErrorKind::InvalidTextRepresentation | ErrorKind::InvalidDatetimeFormat => {
            let (what, literal) = message.strip_suffix('"')?.split_once(": \"")?;
            if !what.starts_with("invalid input syntax for type ") && what != "malformed array literal" {
                return None;
            }
            // Of an array the error names the element.
            let is = |text: &str| text == literal || text.starts_with('{') && text.contains(literal);
            only(&tokens()?, |tokens, at| matches!(&tokens[at].token, Token::SingleQuotedString(text) if is(text)))
        }
        _ => None,
    }
}

/// What an operator is called where it has no symbol.
fn in_words(symbol: &str) -> &str {
    match symbol {
        "=" => "in",
        "~~" => "like",
        "~~*" => "ilike",
        other => other,
    }
}

fn is_named(token: &TokenWithSpan, name: &str) -> bool {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase() == name,
        Token::Word(word) => word.value == name,
        _ => false,
    }
}

fn is_followed(tokens: &[TokenWithSpan], at: usize, by: &Token) -> bool {
    tokens.get(at + 1).is_some_and(|next| next.token == *by)
}

/// The one token that it holds for.
fn only(tokens: &[TokenWithSpan], holds: impl Fn(&[TokenWithSpan], usize) -> bool) -> Option<TokenWithSpan> {
    let mut found = (0..tokens.len()).filter(|at| holds(tokens, *at));
    match (found.next(), found.next()) {
        (Some(at), None) => Some(tokens[at].clone()),
        _ => None,
    }
}

/// Where the column first stands.
fn column(tokens: &[TokenWithSpan], name: &str) -> Option<TokenWithSpan> {
    let at = tokens.iter().position(|token| is_named(token, name))?;
    // PostgreSQL gives no place for what USING names, and the parenthesis for what ON CONFLICT names.
    let opened = tokens[..at].iter().rposition(|token| token.token == Token::LParen).unwrap_or(0);
    let follows = |word: &str| tokens[..opened].last().is_some_and(|token| is_word(&token.token, word));
    (!follows("using")).then(|| tokens[if follows("conflict") { opened } else { at }].clone())
}
