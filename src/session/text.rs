//! PostgreSQL's text form of values, both ways.
//!
//! `write_*` appends a value to a byte buffer exactly as PostgreSQL's output function would; `read_*` accepts what its
//! input function accepts and fails with the same SQLSTATE and message. No protocol and no column lives here: see
//! [`crate::session::cells`] for columns on their way out and [`crate::session::intake`] for those on their way in.

pub mod array;
pub mod bytes;
pub mod datetime;
pub mod interval;
pub mod json;
pub mod number;
pub mod zone;

use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind};

/// `invalid input syntax for type integer: "x"`
pub(crate) fn invalid_syntax(pg_type: &PgType, text: &str) -> Error {
    let kind = match pg_type {
        PgType::Date | PgType::Time | PgType::Timestamp | PgType::Timestamptz | PgType::Interval => {
            ErrorKind::InvalidDatetimeFormat
        }
        _ => ErrorKind::InvalidTextRepresentation,
    };
    Error::new(kind, format!("invalid input syntax for type {}: \"{text}\"", bare_name(pg_type)))
}

/// The type's name without its modifiers, as input functions name it.
pub(crate) fn bare_name(pg_type: &PgType) -> String {
    match pg_type {
        PgType::Numeric(_) => "numeric".to_owned(),
        PgType::Varchar(_) => "character varying".to_owned(),
        PgType::Char(_) => "character".to_owned(),
        PgType::Time => "time".to_owned(),
        PgType::Timestamp => "timestamp".to_owned(),
        other => other.to_string(),
    }
}
