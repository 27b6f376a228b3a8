//! A message as tokens, and the way back from a place in a token to a character of the message.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace};

use crate::catalog::name::quote_identifier;
use crate::dialect::create_source::SourceStatement;
use crate::dialect::language::Language;
use crate::dialect::merge;
use crate::dialect::place;
use crate::dialect::role::AlterRole;
use crate::dialect::statement::Statement;
use crate::error::{Error, ErrorKind, Result};

/// The most branches of UNION, INTERSECT and EXCEPT in one statement.
const BRANCHES_MAX: usize = 1_000;
/// The most joins, and the most queries in WITH, in one statement.
const PARTS_MAX: usize = 500;
/// The longest message, as in PostgreSQL's protocol.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// The most operators in one expression, or UNIONs in one query.
const CHAIN_MAX: usize = 20_000;
/// From here on an expression is parsed on a stack of its own.
const CHAIN_DEEP: usize = 200;
/// From this many parentheses inside each other on, too: frames of the parser are large.
const NESTING_DEEP: usize = 6;
/// Room for [`CHAIN_MAX`] frames of dropping, printing or visiting.
const DEEP_STACK_BYTES: usize = 64 << 20;

/// One statement of a message.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What it says.
    pub statement: Statement,
    /// Where it says so.
    pub origin: Origin,
}

/// The text of a statement and where it stood; cheap to clone.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its own text, without the semicolon.
    pub text: Arc<str>,
    /// Characters before it in the message.
    pub offset: usize,
    lines: Arc<[usize]>,
}

impl Parsed {
    pub(super) fn new(statement: Statement, text: &str, offset: usize, lines: Arc<[usize]>) -> Self {
        Self { statement, origin: Origin { text: text.into(), offset, lines } }
    }

    /// The text as others may see it, in logs and `system.queries`: a password is not in it.
    pub fn shown(&self) -> Cow<'_, str> {
        let (verb, name, options) = match &self.statement {
            Statement::CreateRole(create) => ("CREATE", &create.name, &create.options),
            Statement::AlterRole(AlterRole::Options(name, options)) => ("ALTER", name, options),
            Statement::Source(SourceStatement::Create(create)) => return Cow::Owned(create.shown()),
            _ => return Cow::Borrowed(&self.origin.text),
        };
        match options.password {
            Some(Some(_)) => Cow::Owned(format!("{verb} ROLE {} PASSWORD '***'", quote_identifier(name))),
            _ => Cow::Borrowed(&self.origin.text),
        }
    }

    /// Where a span of the statement's AST begins: the character of the message, counted from 1.
    pub fn position(&self, span: Span) -> Option<usize> {
        offset_in(&self.origin.lines, span.start).map(|offset| offset + 1)
    }
}

impl Origin {
    /// The error with its place in the message.
    pub fn located(&self, error: Error) -> Error {
        // A span counts in the whole message, `offset_by` adds what stands before the statement.
        let position =
            |(line, column)| (offset_in(&self.lines, Location { line, column })? + 1).checked_sub(self.offset);
        let error = error.located(position);
        let found = place::of(&error, &self.text);
        match found.and_then(|token| offset_in(&line_starts(&self.text), token.span.start)) {
            Some(offset) => error.at(offset + 1),
            None => error,
        }
        .offset_by(self.offset)
    }
}

/// A message and where its lines begin.
pub(super) struct Source<'a> {
    pub text: &'a str,
    tokens: Vec<TokenWithSpan>,
    pub language: Language,
    /// Characters before each line.
    pub lines: Arc<[usize]>,
    chain: usize,
    nesting: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self> {
        if text.len() > MESSAGE_BYTES_MAX {
            return Err(Error::new(ErrorKind::ProgramLimitExceeded, "the message is longer than 1 GiB"));
        }
        let lines: Arc<[usize]> = line_starts(text).into();
        let mut tokens = Vec::new();
        let language = Language::for_tokens(0);
        let tokenizer = &mut Tokenizer::new(&language, text);
        tokenizer.tokenize_with_location_into_buf(&mut tokens).map_err(|error| {
            let offset = offset_in(&lines, error.location).unwrap_or(0);
            lexical_error(&error.message, text, offset)
        })?;
        forget_foreign_keywords(&mut tokens);
        merge::disguise_do_nothing(&mut tokens);
        check_counts(&tokens, &lines)?;
        let Extent { chain, place, nesting } = extent(&tokens);
        if chain > CHAIN_MAX {
            let error = Error::new(ErrorKind::StatementTooComplex, "stack depth limit exceeded")
                .detail(format!("One expression has more than {CHAIN_MAX} operators."))
                .hint("Use IN (...), = ANY(array) or a join with VALUES instead of a long chain of conditions.");
            return Err(match offset_in(&lines, place) {
                Some(offset) => error.at(offset + 1),
                None => error,
            });
        }
        let language = Language::for_tokens(tokens.len());
        Ok(Self { text, tokens, language, lines, chain, nesting })
    }

    /// True when trees of this message may be deeper than an ordinary stack bears.
    pub(super) fn is_deep(&self) -> bool {
        self.chain > CHAIN_DEEP
    }

    /// Parses on a stack that bears the depth of this message.
    pub(super) fn within_stack<T>(&self, parse: impl FnOnce(Vec<TokenWithSpan>) -> Result<T>) -> Result<T> {
        let tokens = self.tokens.clone();
        match self.is_deep() || self.nesting > NESTING_DEEP {
            true => stacker::grow(DEEP_STACK_BYTES, || parse(tokens)),
            false => parse(tokens),
        }
    }

    /// Characters before a place.
    pub(super) fn offset(&self, place: Location) -> Option<usize> {
        offset_in(&self.lines, place)
    }

    /// All characters.
    pub(super) fn length(&self) -> usize {
        self.text.chars().count()
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    starts.extend(text.chars().enumerate().filter(|(_, letter)| *letter == '\n').map(|(offset, _)| offset + 1));
    starts
}

fn offset_in(lines: &[usize], place: Location) -> Option<usize> {
    let line = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(place.column).ok()?.checked_sub(1)?;
    Some(lines.get(line)? + column)
}

/// What the tokenizer says, as PostgreSQL says it.
fn lexical_error(message: &str, text: &str, offset: usize) -> Error {
    let lower = message.to_ascii_lowercase();
    let what = if lower.contains("unterminated string") || lower.contains("unterminated encoded") {
        "unterminated quoted string"
    } else if lower.contains("close delimiter") {
        "unterminated quoted identifier"
    } else if lower.contains("multi-line comment") {
        "unterminated /* comment"
    } else if lower.contains("dollar") {
        "unterminated dollar-quoted string"
    } else {
        return Error::new(ErrorKind::SyntaxError, format!("syntax error: {}", message.trim())).at(offset + 1);
    };
    let rest: String = text.chars().skip(offset).take(40).collect();
    Error::new(ErrorKind::SyntaxError, format!("{what} at or near \"{rest}\"")).at(offset + 1)
}

/// With time travel on, sqlparser also reads clauses of other systems after a table: `FROM t at`, `FROM t changes` would
/// not be aliases. These words are taken back to plain names where PostgreSQL has no use for them.
fn forget_foreign_keywords(tokens: &mut [TokenWithSpan]) {
    let mut places = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let Token::Word(word) = &token.token else { continue };
        let forget = match word.keyword {
            Keyword::CHANGES | Keyword::BEFORE => true,
            Keyword::AT => {
                let mut next = tokens[index + 1..].iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
                !matches!(next.next().map(|token| &token.token), Some(Token::Word(word)) if word.keyword == Keyword::TIME)
            }
            _ => false,
        };
        if forget {
            places.push(index);
        }
    }
    for index in places {
        if let Token::Word(word) = &mut tokens[index].token {
            word.keyword = Keyword::NoKeyword;
        }
    }
}

/// Refuses what has more parts than planning, which recurses over them, has stack for, and parameters that cannot be.
fn check_counts(tokens: &[TokenWithSpan], lines: &[usize]) -> Result<()> {
    let (mut branches, mut joins, mut expressions) = (0_usize, 0_usize, 0_usize);
    let mut after_as = false;
    for token in tokens {
        let mut what = None;
        match &token.token {
            Token::Word(word) => match word.keyword {
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => {
                    (branches, what) = (branches + 1, Some("UNION"))
                }
                Keyword::JOIN => (joins, what) = (joins + 1, Some("JOIN")),
                _ => {}
            },
            Token::LParen if after_as => (expressions, what) = (expressions + 1, Some("WITH")),
            Token::SemiColon => (branches, joins, expressions) = (0, 0, 0),
            Token::Placeholder(name) => {
                check_parameter(name).map_err(|error| match offset_in(lines, token.span.start) {
                    Some(offset) => error.at(offset + 1),
                    None => error,
                })?
            }
            _ => {}
        }
        if let Some(what) = what
            && (branches > BRANCHES_MAX || joins > PARTS_MAX || expressions > PARTS_MAX)
        {
            let most = if what == "UNION" { BRANCHES_MAX } else { PARTS_MAX };
            return Err(Error::new(ErrorKind::StatementTooComplex, "stack depth limit exceeded")
                .detail(format!("The statement has more than {most} parts made by {what}."))
                .hint("Use VALUES, an array or a table in place of many queries."));
        }
        match &token.token {
            Token::Whitespace(_) => {}
            Token::Word(word) => after_as = matches!(word.keyword, Keyword::AS | Keyword::MATERIALIZED),
            _ => after_as = false,
        }
    }
    Ok(())
}

/// The protocol counts parameters in 16 bits.
fn check_parameter(name: &str) -> Result<()> {
    match name.strip_prefix('$').map(str::parse::<u16>) {
        Some(Ok(1..)) | None => Ok(()),
        Some(_) => Err(Error::new(ErrorKind::UndefinedParameter, format!("there is no parameter {name}"))),
    }
}

/// How deep the trees of a message can be.
struct Extent {
    /// The most operators that can make one tree lean to a side. An upper bound: commas and clauses begin anew.
    chain: usize,
    /// Where that many are reached.
    place: Location,
    /// The most parentheses inside each other.
    nesting: usize,
}

fn extent(tokens: &[TokenWithSpan]) -> Extent {
    let mut stack = vec![(0_usize, 0_usize)];
    let mut extent = Extent { chain: 0, place: Location::empty(), nesting: 0 };
    for token in tokens {
        let level = stack.len() - 1;
        extent.nesting = extent.nesting.max(level);
        let (operators, unions) = &mut stack[level];
        match &token.token {
            Token::LParen | Token::LBracket => {
                *operators += 1;
                stack.push((0, 0));
            }
            Token::RParen | Token::RBracket => {
                if level > 0 {
                    stack.pop();
                }
            }
            Token::SemiColon => stack = vec![(0, 0)],
            Token::Comma => *operators = 0,
            Token::Word(word) => match word.keyword {
                Keyword::SELECT
                | Keyword::FROM
                | Keyword::WHERE
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::ORDER => {
                    *operators = 0;
                }
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => *unions += 1,
                keyword if is_operator(keyword) => *operators += 1,
                _ => {}
            },
            Token::Whitespace(Whitespace::Space | Whitespace::Newline | Whitespace::Tab) | Token::Number(..) => {}
            Token::SingleQuotedString(_) | Token::Placeholder(_) => {}
            _ => *operators += 1,
        }
        if let Some((operators, unions)) = stack.last() {
            let here = (*operators).max(*unions);
            if here > extent.chain {
                extent.chain = here;
                extent.place = token.span.start;
            }
        }
    }
    extent
}

/// Words that stand between or after operands.
fn is_operator(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::AND
            | Keyword::OR
            | Keyword::XOR
            | Keyword::NOT
            | Keyword::IS
            | Keyword::IN
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::SIMILAR
            | Keyword::BETWEEN
            | Keyword::NOTNULL
            | Keyword::COLLATE
            | Keyword::AT
            | Keyword::OPERATOR
            | Keyword::OVERLAPS
            | Keyword::DIV
            | Keyword::REGEXP
            | Keyword::RLIKE
            | Keyword::MEMBER
    )
}
