//! DECLARE, FETCH, MOVE and CLOSE.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::Result;

/// `DECLARE name [BINARY] [INSENSITIVE] [[NO] SCROLL] CURSOR [WITH | WITHOUT HOLD] FOR query`
#[derive(Clone, Debug)]
pub struct DeclareCursor {
    /// The cursor's name.
    pub name: String,
    /// BINARY: rows in binary format.
    pub binary: bool,
    /// SCROLL, NO SCROLL, or neither.
    pub scroll: Option<bool>,
    /// WITH HOLD: outlives its transaction.
    pub hold: bool,
    /// The query.
    pub query: Box<ast::Query>,
}

/// `FETCH | MOVE direction FROM name`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchCursor {
    /// The cursor.
    pub name: String,
    /// Where to go.
    pub direction: Direction,
    /// MOVE: go there and give no rows.
    pub only_move: bool,
}

/// Where FETCH goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// That many rows forward; less than none means backward; 0 is the present row.
    Forward(i64),
    /// All rows that follow.
    ForwardAll,
    /// All rows before.
    BackwardAll,
    /// The row of that number; from the end when negative, before the first when 0.
    Absolute(i64),
    /// The row that far from the present one.
    Relative(i64),
}

pub(super) fn read_declare(reader: &mut Reader<'_>) -> Result<Statement> {
    let name = reader.identifier()?;
    let (mut binary, mut scroll) = (false, None);
    while let Some(word) = reader.accept_one(&["binary", "insensitive", "asensitive", "no scroll", "scroll"]) {
        match word {
            "binary" => binary = true,
            "no scroll" => scroll = Some(false),
            "scroll" => scroll = Some(true),
            // A cursor reads a snapshot: it never sees later changes.
            _ => {}
        }
    }
    reader.expect("cursor")?;
    let hold = reader.accept_one(&["with hold", "without hold"]) == Some("with hold");
    reader.expect("for")?;
    let query = reader.query()?;
    Ok(Statement::DeclareCursor(Box::new(DeclareCursor { name, binary, scroll, hold, query })))
}

pub(super) fn read_fetch(reader: &mut Reader<'_>, only_move: bool) -> Result<Statement> {
    let direction = read_direction(reader)?;
    reader.accept_one(&["from", "in"]);
    Ok(Statement::FetchCursor(FetchCursor { name: reader.identifier()?, direction, only_move }))
}

fn read_direction(reader: &mut Reader<'_>) -> Result<Direction> {
    // `FETCH next` reads from a cursor that is called next.
    let is_name = matches!(reader.parser.peek_nth_token_ref(1).token, Token::EOF | Token::SemiColon);
    if is_name {
        return Ok(Direction::Forward(1));
    }
    let words = ["next", "prior", "first", "last", "absolute", "relative", "all", "forward", "backward"];
    let Some(word) = reader.accept_one(&words) else {
        return match reader.parser.peek_token_ref().token {
            Token::Number(..) | Token::Minus => reader.integer().map(Direction::Forward),
            _ => Ok(Direction::Forward(1)),
        };
    };
    Ok(match word {
        "next" => Direction::Forward(1),
        "prior" => Direction::Forward(-1),
        "first" => Direction::Absolute(1),
        "last" => Direction::Absolute(-1),
        "absolute" => Direction::Absolute(reader.integer()?),
        "relative" => Direction::Relative(reader.integer()?),
        "all" => Direction::ForwardAll,
        forward_or_backward => {
            let backward = forward_or_backward == "backward";
            if reader.accept("all") {
                if backward { Direction::BackwardAll } else { Direction::ForwardAll }
            } else {
                let has_count = matches!(reader.parser.peek_token_ref().token, Token::Number(..) | Token::Minus);
                let count = if has_count { reader.integer()? } else { 1 };
                Direction::Forward(if backward { count.saturating_neg() } else { count })
            }
        }
    })
}

pub(super) fn read_close(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.accept("all") {
        return Ok(Statement::CloseCursor(None));
    }
    reader.identifier().map(|name| Statement::CloseCursor(Some(name)))
}
