//! The type of a column that is to be made for values that were seen.
//!
//! Whole numbers become bigint (numeric(38, 0) beyond it), other numbers double precision, true and false boolean, RFC 3339
//! times with an offset timestamptz, objects and arrays json, all else text; a mixture of those becomes text.

use arrow::datatypes::Field;
use chrono::DateTime;

use crate::catalog::pg_type::PgType;

use super::column::unescaped;

/// What a column's values have in common so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guess(Option<PgType>);

impl Guess {
    /// Sees a value as JSON text, which is well formed.
    pub fn see(&mut self, raw: &str) {
        let seen = match raw.as_bytes().first() {
            Some(b'{' | b'[') => PgType::Json,
            Some(b't' | b'f') => PgType::Bool,
            Some(b'"') => match unescaped(raw).is_ok_and(|text| is_moment(&text)) {
                true => PgType::Timestamptz,
                false => PgType::Text,
            },
            Some(b'-' | b'0'..=b'9') => of_number(raw),
            _ => return,
        };
        self.add(seen);
    }

    /// Sees a value as CSV has it.
    pub fn see_text(&mut self, text: &str) {
        let digits = text.strip_prefix('-').unwrap_or(text);
        // Zeros before a number are a part of a name, such as a postal code.
        let is_number = digits.starts_with(|first: char| first.is_ascii_digit())
            && (digits == "0" || digits.starts_with("0.") || !digits.starts_with('0'))
            && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'))
            && digits.parse::<f64>().is_ok_and(f64::is_finite);
        self.add(match text {
            "true" | "false" => PgType::Bool,
            number if is_number => of_number(number),
            moment if is_moment(moment) => PgType::Timestamptz,
            _ => PgType::Text,
        });
    }

    /// Sees values of an Arrow type.
    pub fn see_type(&mut self, field: &Field) {
        self.add(match PgType::of(field) {
            PgType::Array(element) if element.arrow().is_nested() => PgType::Json,
            PgType::Jsonb => PgType::Json,
            PgType::Time | PgType::Interval | PgType::Name | PgType::Unknown => PgType::Text,
            PgType::Numeric(Some((precision, scale))) if precision > 38 || scale < 0 => PgType::Text,
            other => other,
        });
    }

    fn add(&mut self, seen: PgType) {
        self.0 = Some(match self.0.take() {
            None => seen,
            Some(held) if held == seen => held,
            Some(held) => together(held, seen),
        });
    }

    /// The type; none where nothing but NULL was seen.
    pub fn pg_type(&self) -> Option<PgType> {
        self.0.clone()
    }
}

fn together(one: PgType, other: PgType) -> PgType {
    let is_whole =
        |pg_type: &PgType| matches!(pg_type, PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Numeric(_));
    let is_number = |pg_type: &PgType| is_whole(pg_type) || matches!(pg_type, PgType::Float4 | PgType::Float8);
    match (one, other) {
        (PgType::Json, _) | (_, PgType::Json) => PgType::Json,
        (one @ PgType::Numeric(_), other) | (other, one @ PgType::Numeric(_)) if is_whole(&other) => one,
        (one, other) if is_whole(&one) && is_whole(&other) => PgType::Int8,
        (one, other) if is_number(&one) && is_number(&other) => PgType::Float8,
        _ => PgType::Text,
    }
}

fn of_number(text: &str) -> PgType {
    match (text.parse::<i64>(), text.contains(['.', 'e', 'E'])) {
        (Ok(_), _) => PgType::Int8,
        (Err(_), false) if text.len() <= 38 => PgType::Numeric(Some((38, 0))),
        _ => PgType::Float8,
    }
}

fn is_moment(text: &str) -> bool {
    text.len() >= 20 && DateTime::parse_from_rfc3339(text).is_ok()
}
