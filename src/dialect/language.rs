//! The grammar of expressions and queries: sqlparser's PostgreSQL, with its faults of precedence mended.
//!
//! Mended: `a IS [NOT] DISTINCT FROM b AND c` (sqlparser reads `b AND c` as the right side), operators such as `~` and
//! `OPERATOR(...)` (they bind tighter than `=`), the sign (tighter than `^`), `ISNULL` (missing).

use std::any::TypeId;
use std::cell::Cell;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// PostgreSQL's order puts all operators without a place of their own here, between `+` and `BETWEEN`.
const OTHER_OPERATOR: u8 = 70;
/// The sign of a number: below `::` and `[]`, above everything else.
const SIGN: u8 = 125;

/// The dialect that the parser asks; everything not written here is PostgreSQL's.
#[derive(Debug)]
pub(super) struct Language {
    /// How many operands may still be begun. Where sqlparser can read a text in two ways it tries both, and nested tries
    /// multiply: without an end, forty levels of `extract(` before a mistake would take years.
    work: Cell<usize>,
}

impl Language {
    /// For a message of that many tokens.
    pub(super) fn for_tokens(tokens: usize) -> Self {
        Self { work: Cell::new(tokens.saturating_mul(20).saturating_add(200_000)) }
    }
}

impl Language {
    /// `x BETWEEN SYMMETRIC a AND b`: between the two in either order. What is written twice is paid for, since nested
    /// uses multiply.
    fn between_symmetric(&self, parser: &mut Parser<'_>, operand: &Expr) -> Result<Expr, ParserError> {
        let precedence = self.prec_value(Precedence::Between);
        let one = parser.parse_subexpr(precedence)?;
        parser.expect_keyword(Keyword::AND)?;
        let two = parser.parse_subexpr(precedence)?;
        let copied = [operand, &one, &two].iter().map(|expr| expr.to_string().len()).sum();
        self.work.set(self.work.get().checked_sub(copied).ok_or(ParserError::RecursionLimitExceeded)?);
        let between = |low: &Expr, high: &Expr| {
            let [expr, low, high] = [operand, low, high].map(|expr| Box::new(expr.clone()));
            Box::new(Expr::Between { expr, negated: false, low, high })
        };
        let either = Expr::BinaryOp { left: between(&one, &two), op: BinaryOperator::Or, right: between(&two, &one) };
        Ok(Expr::Nested(Box::new(either)))
    }
}

static BASE: PostgreSqlDialect = PostgreSqlDialect {};

macro_rules! postgresql {
    ($($feature:ident),* $(,)?) => { $(fn $feature(&self) -> bool { BASE.$feature() })* };
}

impl Dialect for Language {
    // sqlparser asks for PostgreSQL by type in many places.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_string_literal_concatenation_with_newline(&self) -> bool {
        true
    }

    // With names as expressions, the parser reads every argument twice: nested calls cost 2 to the power of their depth.
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        true
    }

    // Without AS these would eat the next clause: `INSERT INTO t SELECT 1 ON CONFLICT ...`, `... RETURNING a`.
    fn is_column_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        !starts_clause(*keyword) && BASE.is_column_alias(keyword, parser)
    }

    fn is_table_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        !starts_clause(*keyword) && BASE.is_table_alias(keyword, parser)
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        match self.work.get().checked_sub(1) {
            Some(left) => self.work.set(left),
            None => return Some(Err(ParserError::RecursionLimitExceeded)),
        }
        let op = match &parser.peek_token_ref().token {
            Token::Minus => UnaryOperator::Minus,
            Token::Plus => UnaryOperator::Plus,
            Token::Word(word) if word.keyword == Keyword::INTERVAL && !starts_interval(parser) => {
                return Some(parser.parse_identifier().map(Expr::Identifier));
            }
            _ => return None,
        };
        parser.advance_token();
        Some(parser.parse_subexpr(SIGN).map(|operand| {
            // `- -1` would be printed as `--1`, which is a comment.
            let is_signed = matches!(operand, Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, .. });
            let operand = if is_signed { Expr::Nested(Box::new(operand)) } else { operand };
            Expr::UnaryOp { op, expr: Box::new(operand) }
        }))
    }

    fn parse_infix(&self, parser: &mut Parser<'_>, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        if is_isnull(parser) {
            parser.advance_token();
            return Some(Ok(Expr::IsNull(Box::new(left.clone()))));
        }
        if parser.parse_keywords(&[Keyword::BETWEEN, Keyword::SYMMETRIC]) {
            return Some(self.between_symmetric(parser, left));
        }
        if parser.parse_keywords(&[Keyword::NOT, Keyword::BETWEEN, Keyword::SYMMETRIC]) {
            let between = self.between_symmetric(parser, left);
            return Some(between.map(|expr| Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }));
        }
        let negated = if parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
            false
        } else if parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
            true
        } else {
            return None;
        };
        // IS does not associate; without this check a chain would copy its left side again and again.
        if matches!(left, Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..)) {
            return Some(parser.expected_ref("parentheses around IS DISTINCT FROM", parser.get_current_token()));
        }
        Some(parser.parse_subexpr(precedence).map(|right| {
            let (left, right) = (Box::new(left.clone()), Box::new(right));
            if negated { Expr::IsNotDistinctFrom(left, right) } else { Expr::IsDistinctFrom(left, right) }
        }))
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        match &parser.peek_token_ref().token {
            Token::Tilde
            | Token::TildeAsterisk
            | Token::ExclamationMarkTilde
            | Token::ExclamationMarkTildeAsterisk
            | Token::DoubleTilde
            | Token::DoubleTildeAsterisk
            | Token::ExclamationMarkDoubleTilde
            | Token::ExclamationMarkDoubleTildeAsterisk => Some(Ok(OTHER_OPERATOR)),
            Token::Word(word) if word.keyword == Keyword::OPERATOR => Some(Ok(OTHER_OPERATOR)),
            Token::Word(_) if is_isnull(parser) => Some(Ok(self.prec_value(Precedence::Is))),
            _ => BASE.get_next_precedence(parser),
        }
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        BASE.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, letter: char) -> bool {
        BASE.is_delimited_identifier_start(letter)
    }

    fn is_identifier_start(&self, letter: char) -> bool {
        BASE.is_identifier_start(letter)
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        BASE.is_identifier_part(letter)
    }

    fn is_custom_operator_part(&self, letter: char) -> bool {
        BASE.is_custom_operator_part(letter)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        // Reserved in PostgreSQL; the parser would read them twice after every mistake.
        matches!(keyword, Keyword::ARRAY | Keyword::CASE | Keyword::CAST | Keyword::NOT)
            || BASE.is_reserved_for_identifier(keyword)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        BASE.prec_value(precedence)
    }

    postgresql!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_set_names,
        supports_alter_column_type_using,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
    );
}

/// `INTERVAL '1 day'`, or a column that is called interval. Reading it as both is a recursion that nothing bounds.
fn starts_interval(parser: &Parser<'_>) -> bool {
    let follows = |index| {
        matches!(
            parser.peek_nth_token_ref(index).token,
            Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::Placeholder(_) | Token::Number(..)
        )
    };
    match parser.peek_nth_token_ref(1).token {
        Token::LParen => follows(2) && parser.peek_nth_token_ref(3).token == Token::RParen && follows(4),
        _ => follows(1),
    }
}

fn starts_clause(keyword: Keyword) -> bool {
    matches!(keyword, Keyword::ON | Keyword::RETURNING | Keyword::TO)
}

fn is_isnull(parser: &Parser<'_>) -> bool {
    matches!(&parser.peek_token_ref().token,
        Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("isnull"))
}
