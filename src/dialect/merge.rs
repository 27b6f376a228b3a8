//! `DO NOTHING` in MERGE, which sqlparser does not know.
//!
//! Its two words are given the keywords of an action that the clause may have (`DELETE`, or `INSERT VALUES (0)`) before the text
//! is parsed; the words themselves stay, and tell the clause from a real one afterwards.

use datafusion::sql::sqlparser::ast::MergeAction;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace, Word};

/// Makes each `THEN DO NOTHING` something that sqlparser reads.
pub(super) fn disguise_do_nothing(tokens: &mut Vec<TokenWithSpan>) {
    // Every statement comes by here, and hardly any has the word.
    if !tokens.iter().any(|token| word(token).is_some_and(|word| word.keyword == Keyword::NOTHING)) {
        return;
    }
    let words: Vec<usize> = (0..tokens.len()).filter(|at| word(&tokens[*at]).is_some()).collect();
    let is = |at: usize, text: &str| {
        word(&tokens[at]).is_some_and(|word| word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
    };
    let mut found = Vec::new();
    for (place, window) in words.windows(3).enumerate() {
        if let [then, action, rest] = *window
            && is(then, "then")
            && is(action, "do")
            && is(rest, "nothing")
        {
            let before = &words[..place];
            let matched = before.iter().rposition(|at| is(*at, "matched"));
            let inserts = matched.is_some_and(|matched| {
                let by_source = words.get(matched + 2).is_some_and(|at| is(*at, "source"));
                matched > 0 && is(words[matched - 1], "not") && !by_source
            });
            found.push((action, rest, inserts));
        }
    }
    // From the last to the first: the places of the others stay.
    for (action, rest, inserts) in found.into_iter().rev() {
        if inserts {
            set_keyword(&mut tokens[action], Keyword::INSERT);
            set_keyword(&mut tokens[rest], Keyword::VALUES);
            let span = tokens[rest].span;
            let row = [Token::LParen, Token::Number("0".to_owned(), false), Token::RParen];
            tokens.splice(rest + 1..rest + 1, row.map(|token| TokenWithSpan { token, span }));
        } else {
            set_keyword(&mut tokens[action], Keyword::DELETE);
            tokens[rest].token = Token::Whitespace(Whitespace::Space);
        }
    }
}

/// True where the action of a clause was written as DO NOTHING.
pub fn is_do_nothing(action: &MergeAction) -> bool {
    let is_do = |token: &AttachedToken| word(&token.0).is_some_and(|word| word.value.eq_ignore_ascii_case("do"));
    match action {
        MergeAction::Delete { delete_token } => is_do(delete_token),
        MergeAction::Insert(insert) => is_do(&insert.insert_token),
        MergeAction::Update(_) => false,
    }
}

fn word(token: &TokenWithSpan) -> Option<&Word> {
    match &token.token {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

fn set_keyword(token: &mut TokenWithSpan, keyword: Keyword) {
    if let Token::Word(word) = &mut token.token {
        word.keyword = keyword;
    }
}
