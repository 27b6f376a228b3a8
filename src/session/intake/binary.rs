//! Values in PostgreSQL's binary form, on their way in.

use arrow::datatypes::{IntervalMonthDayNano, i256};

use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind, Result};
use crate::session::intake::{Intake, Kind, interval, list_end, narrow, push_string};
use crate::session::text::bare_name;
use crate::session::text::bytes::write_uuid;
use crate::session::text::datetime::{DAY_MICROS, POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS};
use crate::session::text::interval::Span;
use crate::session::text::number::WrittenDecimal;

impl Intake {
    /// Appends a value given in binary.
    pub fn push_binary(&mut self, bytes: &[u8]) -> Result<()> {
        let pg_type = &self.pg_type;
        match &mut self.kind {
            Kind::Bool(builder) => builder.append_value(fixed::<1>(bytes, pg_type)?[0] != 0),
            Kind::Int2(builder) => builder.append_value(i16::from_be_bytes(fixed(bytes, pg_type)?)),
            Kind::Int4(builder) => builder.append_value(i32::from_be_bytes(fixed(bytes, pg_type)?)),
            Kind::Int8(builder) => builder.append_value(i64::from_be_bytes(fixed(bytes, pg_type)?)),
            Kind::Oid(builder) => builder.append_value(u32::from_be_bytes(fixed(bytes, pg_type)?)),
            Kind::Float4(builder) => builder.append_value(f32::from_be_bytes(fixed(bytes, pg_type)?)),
            Kind::Float8(builder) => builder.append_value(f64::from_be_bytes(fixed(bytes, pg_type)?)),
            Kind::Numeric(builder, precision, scale) => {
                builder.append_value(narrow(decode_numeric(bytes)?.at_scale(*precision, *scale)?)?);
            }
            Kind::WideNumeric(builder, precision, scale) => {
                builder.append_value(decode_numeric(bytes)?.at_scale(*precision, *scale)?);
            }
            Kind::Text(builder) => {
                let text = decode_text(bytes, pg_type)?;
                push_string(builder, &text, pg_type)?;
            }
            Kind::Bytes(builder) => builder.append_value(bytes),
            Kind::Date(builder) => builder.append_value(unix_days(i32::from_be_bytes(fixed(bytes, pg_type)?))),
            Kind::Time(builder) => {
                let micros = i64::from_be_bytes(fixed(bytes, pg_type)?);
                if !(0..=DAY_MICROS).contains(&micros) {
                    return Err(Error::new(ErrorKind::DatetimeFieldOverflow, "time out of range"));
                }
                builder.append_value(micros);
            }
            Kind::Timestamp(builder) | Kind::Timestamptz(builder) => {
                builder.append_value(unix_micros(i64::from_be_bytes(fixed(bytes, pg_type)?))?);
            }
            Kind::Interval(builder) => builder.append_value(decode_interval(bytes, pg_type)?),
            Kind::List { .. } => self.push_binary_array(bytes)?,
        }
        Ok(())
    }

    fn push_binary_array(&mut self, bytes: &[u8]) -> Result<()> {
        let pg_type = self.pg_type.clone();
        let Kind::List { elements, offsets, nulls } = &mut self.kind else { return Ok(()) };
        let parts = split_array(bytes, &pg_type)?;
        // Read once beside the column: a bad element must leave nothing behind.
        let mut probe = Intake::new(&elements.pg_type, elements.zone);
        for part in parts.iter().flatten() {
            probe.push_binary(part)?;
        }
        for part in parts {
            match part {
                Some(part) => elements.push_binary(part)?,
                None => elements.push_null(),
            }
        }
        offsets.push(list_end(elements)?);
        nulls.append_non_null();
        Ok(())
    }
}

fn invalid(pg_type: &PgType) -> Error {
    Error::new(
        ErrorKind::InvalidBinaryRepresentation,
        format!("incorrect binary data format for type {}", bare_name(pg_type)),
    )
}

fn fixed<const N: usize>(bytes: &[u8], pg_type: &PgType) -> Result<[u8; N]> {
    bytes
        .try_into()
        .map_err(|_| invalid(pg_type).detail(format!("The value has {} bytes; the type takes {N}.", bytes.len())))
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = bytes.split_first_chunk()?;
    *bytes = tail;
    Some(head)
}

fn unix_days(days: i32) -> i32 {
    match days {
        i32::MAX | i32::MIN => days,
        days => days.saturating_add(POSTGRES_EPOCH_DAYS),
    }
}

fn unix_micros(micros: i64) -> Result<i64> {
    match micros {
        i64::MAX | i64::MIN => Ok(micros),
        micros => micros
            .checked_add(POSTGRES_EPOCH_MICROS)
            .ok_or_else(|| Error::new(ErrorKind::DatetimeFieldOverflow, "timestamp out of range")),
    }
}

fn decode_text(bytes: &[u8], pg_type: &PgType) -> Result<String> {
    match (pg_type, bytes) {
        // Binary is the uuid itself; some drivers send its text all the same.
        (PgType::Uuid, bytes) if bytes.len() == 16 => {
            let mut text = Vec::with_capacity(36);
            write_uuid(&mut text, &fixed(bytes, pg_type)?);
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        (PgType::Uuid, _) => Err(invalid(pg_type)),
        (PgType::Jsonb, [1, rest @ ..]) => utf8(rest).map(str::to_owned),
        (PgType::Jsonb, [version, ..]) => Err(Error::new(
            ErrorKind::InvalidBinaryRepresentation,
            format!("unsupported jsonb version number {version}"),
        )),
        (_, bytes) => utf8(bytes).map(str::to_owned),
    }
}

/// Text that a client sent, checked.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let shown: Vec<String> = bytes[error.valid_up_to()..]
            .iter()
            .take(error.error_len().unwrap_or(3))
            .map(|byte| format!("0x{byte:02x}"))
            .collect();
        Error::new(
            ErrorKind::CharacterNotInRepertoire,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    })
}

fn decode_interval(bytes: &[u8], pg_type: &PgType) -> Result<IntervalMonthDayNano> {
    let raw: [u8; 16] = fixed(bytes, pg_type)?;
    let mut rest = raw.as_slice();
    let (Some(micros), Some(days), Some(months)) = (take(&mut rest), take(&mut rest), take(&mut rest)) else {
        return Err(invalid(pg_type));
    };
    interval(Span {
        months: i32::from_be_bytes(*months),
        days: i32::from_be_bytes(*days),
        micros: i64::from_be_bytes(*micros),
    })
}

/// Reads `ndigits, weight, sign, dscale` and the digits in base 10000.
pub(crate) fn decode_numeric(bytes: &[u8]) -> Result<WrittenDecimal> {
    parse_numeric(bytes)?.ok_or_else(|| invalid(&PgType::Numeric(None)))
}

fn parse_numeric(mut bytes: &[u8]) -> Result<Option<WrittenDecimal>> {
    let mut header = [0_u16; 4];
    for part in &mut header {
        let Some(raw) = take::<2>(&mut bytes) else { return Ok(None) };
        *part = u16::from_be_bytes(*raw);
    }
    let [count, weight, sign, dscale] = header;
    if matches!(sign, 0xc000 | 0xd000 | 0xf000) {
        return Err(
            Error::unsupported("numeric columns cannot hold NaN or infinity").hint("Use double precision for them.")
        );
    }
    if bytes.len() != usize::from(count) * 2 || !matches!(sign, 0 | 0x4000) || dscale > 0x3fff {
        return Ok(None);
    }
    let mut digits = Vec::with_capacity(usize::from(count) * 4);
    for pair in bytes.chunks_exact(2) {
        let group = u16::from_be_bytes([pair[0], pair[1]]);
        if group > 9999 {
            return Ok(None);
        }
        digits.extend([group / 1000, group / 100 % 10, group / 10 % 10, group % 10].map(|digit| digit as u8 + b'0'));
    }
    // The first group counts 10000^weight, so this many digits stand after the point.
    let scale = (i32::from(count) - 1 - i32::from(weight as i16)) * 4;
    let mut number = WrittenDecimal { negative: sign == 0x4000, digits, scale };
    // Groups carry zeros beyond the displayed scale.
    while number.scale > i32::from(dscale) && number.digits.last() == Some(&b'0') {
        number.digits.pop();
        number.scale -= 1;
    }
    let leading = number.digits.iter().take_while(|digit| **digit == b'0').count();
    number.digits.drain(..leading);
    if number.digits.is_empty() {
        number.scale = i32::from(dscale);
    }
    Ok(Some(number))
}

/// Splits a one-dimensional array into its elements.
fn split_array<'a>(mut bytes: &'a [u8], pg_type: &PgType) -> Result<Vec<Option<&'a [u8]>>> {
    let mut number = || take::<4>(&mut bytes).map(|raw| i32::from_be_bytes(*raw)).ok_or_else(|| invalid(pg_type));
    let (dimensions, _has_null, _element_oid) = (number()?, number()?, number()?);
    match dimensions {
        0 => return Ok(Vec::new()),
        1 => {}
        2.. => return Err(Error::unsupported("multidimensional arrays cannot be stored")),
        _ => return Err(invalid(pg_type)),
    }
    let (count, _lower_bound) = (number()?, number()?);
    let mut parts = Vec::new();
    for _ in 0..count {
        let length = take::<4>(&mut bytes).map(|raw| i32::from_be_bytes(*raw)).ok_or_else(|| invalid(pg_type))?;
        let part = match usize::try_from(length) {
            Err(_) => None,
            Ok(length) => {
                let (part, rest) = bytes.split_at_checked(length).ok_or_else(|| invalid(pg_type))?;
                bytes = rest;
                Some(part)
            }
        };
        parts.push(part);
    }
    match bytes.is_empty() {
        true => Ok(parts),
        false => Err(invalid(pg_type)),
    }
}

/// The number of a decimal whose own scale is kept, for a parameter that no column constrains.
pub(crate) fn free_decimal(number: &WrittenDecimal) -> Result<(i256, u8, i8)> {
    const DIGITS_MAX: usize = 76;
    let (precision, scale) = number.shape();
    let scale = i8::try_from(scale).ok().filter(|_| precision <= DIGITS_MAX).ok_or_else(|| {
        Error::new(ErrorKind::NumericValueOutOfRange, "value overflows numeric format")
            .detail(format!("A numeric value may have {DIGITS_MAX} digits."))
    })?;
    let precision = precision as u8;
    Ok((number.at_scale(precision, scale)?, precision, scale))
}
