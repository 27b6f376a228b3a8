//! Reads words, names and lists from the tokens of a message, on top of sqlparser's parser; errors get their position.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::catalog::name::{NAME_BYTES_MAX, ObjectName};
use crate::dialect::conflict;
use crate::dialect::names::{fold, object_name};
use crate::dialect::source::{Parsed, Source};
use crate::dialect::statement::{self, Statement};
use crate::error::{Error, ErrorKind, Result};

/// How deep statements may nest. The parser sometimes tries two ways at a parenthesis, so depth costs time.
const NESTING_MAX: usize = 100;
/// How many statements may be around one.
const STATEMENTS_MAX: usize = 8;

/// A place in a message.
pub(super) struct Reader<'a> {
    pub parser: Parser<'a>,
    source: &'a Source<'a>,
    /// Statements around the present one: EXPLAIN, PREPARE and COPY hold others.
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source<'a>, tokens: Vec<TokenWithSpan>) -> Self {
        let parser = Parser::new(&source.language).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens);
        Self { parser, source, depth: 0 }
    }

    /// Reads everything.
    pub(super) fn statements(mut self) -> Result<Vec<Parsed>> {
        let mut found: Vec<Parsed> = Vec::new();
        // Statements come in order: one walk over the text finds the bytes of all of them.
        let mut cursor = Cursor { characters: 0, bytes: 0 };
        loop {
            while self.parser.consume_token(&Token::SemiColon) {}
            if self.at_end() {
                return Ok(found);
            }
            let start = self.source.offset(self.parser.peek_token_ref().span.start).unwrap_or(0);
            let mut statement = self.statement()?;
            statement::settle(&mut statement, self.source.is_deep())?;
            if !self.at_end() && self.parser.peek_token_ref().token != Token::SemiColon {
                return Err(self.unexpected());
            }
            let end = self.source.offset(self.parser.get_current_token().span.end).unwrap_or(start);
            let from = cursor.move_to(self.source.text, start);
            let to = cursor.move_to(self.source.text, end);
            let text = self.source.text[from..to].trim_end();
            found.push(Parsed::new(statement, text, start, self.source.lines.clone()));
        }
    }

    /// Reads one statement.
    pub(super) fn statement(&mut self) -> Result<Statement> {
        if self.depth >= STATEMENTS_MAX {
            return Err(self.too_deep(STATEMENTS_MAX));
        }
        self.depth += 1;
        let statement = statement::read(self);
        self.depth -= 1;
        statement
    }

    /// That nothing follows.
    pub(super) fn end(&mut self) -> Result<()> {
        while self.parser.consume_token(&Token::SemiColon) {}
        if self.at_end() { Ok(()) } else { Err(self.unexpected()) }
    }

    /// True when the statement has no more tokens.
    pub(super) fn statement_ends(&self) -> bool {
        matches!(self.parser.peek_token_ref().token, Token::EOF | Token::SemiColon)
    }

    fn at_end(&self) -> bool {
        self.parser.peek_token_ref().token == Token::EOF
    }

    /// Takes these words (unquoted, in any case), if all of them come next.
    pub(super) fn accept(&mut self, words: &str) -> bool {
        if !self.peek(words) {
            return false;
        }
        for _ in words.split(' ') {
            self.parser.advance_token();
        }
        true
    }

    /// True when these words come next.
    pub(super) fn peek(&self, words: &str) -> bool {
        words.split(' ').enumerate().all(|(index, word)| is_word(&self.parser.peek_nth_token_ref(index).token, word))
    }

    /// Takes the first of these that comes next.
    pub(super) fn accept_one<'w>(&mut self, choices: &[&'w str]) -> Option<&'w str> {
        choices.iter().copied().find(|words| self.accept(words))
    }

    /// Takes these words, or fails.
    pub(super) fn expect(&mut self, words: &str) -> Result<()> {
        for word in words.split(' ') {
            if !self.accept(word) {
                return Err(self.unexpected_for(&word.to_ascii_uppercase()));
            }
        }
        Ok(())
    }

    /// Takes this token, if it comes next.
    pub(super) fn accept_token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    /// Takes this token, or fails.
    pub(super) fn expect_token(&mut self, token: &Token) -> Result<()> {
        match self.parser.consume_token(token) {
            true => Ok(()),
            false => Err(self.unexpected_for(&format!("\"{token}\""))),
        }
    }

    /// A name of one part.
    pub(super) fn identifier(&mut self) -> Result<String> {
        let position = self.position();
        let name = match &self.parser.peek_token_ref().token {
            Token::Word(word) if word.quote_style.is_some() => word.value.clone(),
            Token::Word(word) => fold(&word.value),
            _ => return Err(self.unexpected_for("a name")),
        };
        self.parser.advance_token();
        check_length(&name).map_err(|error| error.at(position))?;
        Ok(name)
    }

    /// A name with up to three parts.
    pub(super) fn name(&mut self) -> Result<ObjectName> {
        let position = self.position();
        if !matches!(self.parser.peek_token_ref().token, Token::Word(_)) {
            return Err(self.unexpected_for("a name"));
        }
        let name = self.run(|parser| parser.parse_object_name(false))?;
        let name = object_name(&name).map_err(|error| error.at(position))?;
        check_length(&name.name).map_err(|error| error.at(position))?;
        Ok(name)
    }

    /// `a, b, c`
    pub(super) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `(a, b, c)`
    pub(super) fn parenthesised<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_token(&Token::LParen)?;
        let items = self.list(item)?;
        self.expect_token(&Token::RParen)?;
        Ok(items)
    }

    /// `(a, b, c)` of plain names.
    pub(super) fn column_list(&mut self) -> Result<Vec<String>> {
        self.parenthesised(Self::identifier)
    }

    /// A column list, if a parenthesis comes next.
    pub(super) fn optional_column_list(&mut self) -> Result<Vec<String>> {
        if self.parser.peek_token_ref().token == Token::LParen { self.column_list() } else { Ok(Vec::new()) }
    }

    /// An expression.
    pub(super) fn expression(&mut self) -> Result<ast::Expr> {
        self.run(Parser::parse_expr)
    }

    /// `(expression)`
    pub(super) fn parenthesised_expression(&mut self) -> Result<ast::Expr> {
        self.expect_token(&Token::LParen)?;
        let expression = self.expression()?;
        self.expect_token(&Token::RParen)?;
        Ok(expression)
    }

    /// A query: SELECT, VALUES, WITH, TABLE or one in parentheses.
    pub(super) fn query(&mut self) -> Result<Box<ast::Query>> {
        self.run(Parser::parse_query)
    }

    /// `'text'` in any of PostgreSQL's quotes.
    pub(super) fn string(&mut self) -> Result<String> {
        match self.optional_string() {
            Some(text) => Ok(text),
            None => Err(self.unexpected_for("a string")),
        }
    }

    /// `'text'`, if it comes next.
    pub(super) fn optional_string(&mut self) -> Option<String> {
        let text = match &self.parser.peek_token_ref().token {
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text)
            | Token::NationalStringLiteral(text) => text.clone(),
            Token::DollarQuotedString(quoted) => quoted.value.clone(),
            _ => return None,
        };
        self.parser.advance_token();
        Some(text)
    }

    /// A whole number with an optional sign.
    pub(super) fn integer(&mut self) -> Result<i64> {
        let position = self.position();
        let negative = self.accept_token(&Token::Minus);
        let Token::Number(digits, _) = &self.parser.peek_token_ref().token else {
            return Err(self.unexpected_for("a whole number"));
        };
        let text = if negative { format!("-{digits}") } else { digits.clone() };
        let number = text.parse().map_err(|_| {
            Error::new(ErrorKind::SyntaxError, format!("\"{text}\" is not a whole number in range")).at(position)
        })?;
        self.parser.advance_token();
        Ok(number)
    }

    /// Runs a piece of sqlparser and gives its error a position.
    pub(super) fn run<T>(&mut self, parse: impl FnOnce(&mut Parser<'a>) -> Result<T, ParserError>) -> Result<T> {
        parse(&mut self.parser).map_err(|error| self.parser_error(&error))
    }

    /// Characters before the next token, from 1: what an error says.
    pub(super) fn position(&self) -> usize {
        self.position_of(self.parser.peek_token_ref().span.start)
    }

    fn position_of(&self, place: Location) -> usize {
        self.source.offset(place).unwrap_or_else(|| self.source.length()) + 1
    }

    /// The error for a next token that does not belong.
    pub(super) fn unexpected(&self) -> Error {
        self.unexpected_at(self.parser.peek_token_ref())
    }

    /// The same, saying what should have come.
    pub(super) fn unexpected_for(&self, expected: &str) -> Error {
        self.unexpected().detail(format!("Expected {expected}."))
    }

    fn unexpected_at(&self, token: &TokenWithSpan) -> Error {
        let error = match &token.token {
            Token::EOF => Error::new(ErrorKind::SyntaxError, "syntax error at end of input"),
            _ => Error::new(ErrorKind::SyntaxError, format!("syntax error at or near \"{}\"", self.written(token))),
        };
        error.at(self.position_of(token.span.start))
    }

    /// A token as it was written.
    fn written(&self, token: &TokenWithSpan) -> String {
        let range = self.source.offset(token.span.start).zip(self.source.offset(token.span.end));
        match range {
            Some((start, end)) if end > start => self.source.text.chars().skip(start).take(end - start).collect(),
            _ => token.token.to_string(),
        }
    }

    /// `Expected: x, found: y at Line: 1, Column: 2` as PostgreSQL would say it.
    fn parser_error(&self, error: &ParserError) -> Error {
        let message = match error {
            ParserError::RecursionLimitExceeded => return self.too_deep(NESTING_MAX),
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        };
        let (message, place) = split_place(message);
        let Some((expected, _)) = message.strip_prefix("Expected: ").and_then(|rest| rest.rsplit_once(", found: "))
        else {
            let position = place.map_or_else(|| self.position(), |place| self.position_of(place));
            return Error::new(ErrorKind::SyntaxError, format!("syntax error: {}", lowered(message))).at(position);
        };
        let error = match place {
            Some(place) => match self.index_at(place) {
                Some(at) => {
                    let token = self.parser.token_at(at);
                    let before = (0..at).rev().map(|index| &self.parser.token_at(index).token);
                    if let Some(error) = conflict::refused(&token.token, before.filter(|token| !is_space(token))) {
                        return error.at(self.position_of(place));
                    }
                    self.unexpected_at(token)
                }
                None => self.unexpected(),
            },
            None => self.unexpected_at(&TokenWithSpan::wrap(Token::EOF)),
        };
        error.detail(format!("Expected {expected}."))
    }

    fn too_deep(&self, levels: usize) -> Error {
        Error::new(ErrorKind::StatementTooComplex, "stack depth limit exceeded")
            .detail(format!("The statement nests more than {levels} levels deep."))
            .hint("Split the statement, or use WITH to name its parts.")
            .at(self.position())
    }

    /// The token that starts at a place: the parser's place is at it or a little after.
    fn index_at(&self, place: Location) -> Option<usize> {
        let near = self.parser.get_current_index();
        (near.saturating_sub(200)..near + 200).find(|index| {
            let token = self.parser.token_at(*index);
            token.span.start == place && !matches!(token.token, Token::EOF)
        })
    }
}

/// A place in a text that only moves forward.
struct Cursor {
    characters: usize,
    bytes: usize,
}

impl Cursor {
    fn move_to(&mut self, text: &str, characters: usize) -> usize {
        let steps = characters.saturating_sub(self.characters);
        let rest = &text[self.bytes..];
        self.bytes += rest.char_indices().nth(steps).map_or(rest.len(), |(bytes, _)| bytes);
        self.characters += steps;
        self.bytes
    }
}

fn is_space(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_))
}

pub(super) fn is_word(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

/// PostgreSQL cuts a long name and says so in a notice; a name that silently differs is worse than an error.
fn check_length(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::SyntaxError, "zero-length delimited identifier"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::new(ErrorKind::NameTooLong, format!("identifier \"{name}\" is too long"))
            .detail(format!("It has {} bytes; a name has at most {NAME_BYTES_MAX}.", name.len())));
    }
    Ok(())
}

fn split_place(message: &str) -> (&str, Option<Location>) {
    let split = || {
        let (before, place) = message.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        Some((before, Location::new(line.parse().ok()?, column.parse().ok()?)))
    };
    match split() {
        Some((before, place)) => (before, Some(place)),
        None => (message, None),
    }
}

fn lowered(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
