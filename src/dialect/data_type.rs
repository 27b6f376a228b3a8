//! Types of columns.

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::pg_type::{PgType, parse_type_name};
use crate::dialect::reader::Reader;
use crate::error::{Error, ErrorKind, Result};

/// Types of PostgreSQL that cannot be columns here, and what to use.
const OTHERS: &[(&str, &str)] = &[
    ("smallserial", "Use smallint and give the numbers yourself."),
    ("serial", "Use integer and give the numbers yourself."),
    ("bigserial", "Use bigint and give the numbers yourself."),
    ("money", "Use numeric(18,2)."),
    ("timetz", "Use timestamptz."),
    ("time with time zone", "Use timestamptz."),
    ("xml", "Use text."),
    ("inet", "Use text."),
    ("cidr", "Use text."),
    ("macaddr", "Use text."),
    ("bit", "Use bytea or text."),
    ("bit varying", "Use bytea or text."),
    ("tsvector", "Use text."),
    ("tsquery", "Use text."),
    ("point", "Use two double precision columns."),
    ("tinyint", "Use smallint."),
    ("blob", "Use bytea."),
    ("datetime", "Use timestamp."),
    ("clob", "Use text."),
];

/// A type, with its modifiers and array marks.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<PgType> {
    let position = reader.position();
    let parsed = reader.run(Parser::parse_data_type)?;
    let found = from_ast(&parsed).map_err(|error| error.at(position))?;
    // The standard's spelling of an array.
    if !reader.accept("array") {
        return Ok(found);
    }
    if reader.accept_token(&Token::LBracket) {
        reader.integer()?;
        reader.expect_token(&Token::RBracket)?;
    }
    Ok(PgType::Array(Box::new(found)))
}

fn from_ast(parsed: &DataType) -> Result<PgType> {
    if let DataType::Array(element) = parsed {
        return match element {
            ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::AngleBracket(element) => {
                // PostgreSQL has one array type, whatever the number of dimensions.
                match from_ast(element)? {
                    nested @ PgType::Array(_) => Ok(nested),
                    element => Ok(PgType::Array(Box::new(element))),
                }
            }
            ArrayElemTypeDef::Parenthesis(_) | ArrayElemTypeDef::None => {
                Err(Error::new(ErrorKind::SyntaxError, "an array type needs the type of its elements")
                    .hint("Write integer[]."))
            }
        };
    }
    let name = parsed.to_string();
    let found = parse_type_name(&name).filter(is_in_range);
    found.ok_or_else(|| unknown(&name))
}

/// Modifiers that PostgreSQL refuses too.
fn is_in_range(found: &PgType) -> bool {
    match found {
        PgType::Numeric(Some((precision, scale))) => {
            (1..=76).contains(precision) && i16::from(*scale) <= i16::from(*precision) && *scale >= 0
        }
        PgType::Varchar(Some(length)) | PgType::Char(length) => (1..=10_485_760).contains(length),
        _ => true,
    }
}

fn unknown(name: &str) -> Error {
    let lower = name.to_ascii_lowercase();
    let bare = lower.split('(').next().unwrap_or(&lower).trim();
    if let Some((_, hint)) = OTHERS.iter().find(|(other, _)| *other == bare) {
        return Error::unsupported(format!("type {lower} is not supported")).hint(*hint);
    }
    if parse_type_name(bare).is_some() {
        return Error::new(ErrorKind::InvalidParameterValue, format!("type modifier of {lower} is out of range"))
            .detail("numeric has 1 to 76 digits and a scale from 0 to its precision; a length is from 1 to 10485760.");
    }
    Error::new(ErrorKind::UndefinedObject, format!("type \"{lower}\" does not exist"))
}
