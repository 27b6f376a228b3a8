//! What may stand between ON CONFLICT and DO, and sqlparser does not read: expressions, collations, operator classes, WHERE.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::reader::is_word;
use crate::error::Error;

/// The error for a token that does not belong, in place of a syntax error, if it belongs to such a conflict target; `before`
/// are the tokens before it, the nearest first.
pub(super) fn refused<'t>(token: &Token, mut before: impl Iterator<Item = &'t Token>) -> Option<Error> {
    let mut is_closed = false;
    let opening = before.find(|token| {
        is_closed |= **token == Token::RParen;
        !matches!(token, Token::Word(_) | Token::Comma | Token::RParen)
    });
    if opening != Some(&Token::LParen)
        || !["conflict", "on"].iter().all(|word| before.next().is_some_and(|token| is_word(token, word)))
    {
        return None;
    }
    let what = match token {
        Token::Word(_) if is_closed && is_word(token, "where") => "WHERE",
        Token::LParen if !is_closed => "an expression",
        Token::Word(_) if !is_closed => "a collation or an operator class",
        _ => return None,
    };
    Some(
        Error::unsupported(format!("{what} in the target of ON CONFLICT is not supported"))
            .hint("Name the columns of a PRIMARY KEY or UNIQUE constraint: ON CONFLICT (a, b)."),
    )
}
