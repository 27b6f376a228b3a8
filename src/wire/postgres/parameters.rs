//! Values of a Bind to the engine's scalars.

use bytes::Bytes;
use datafusion::common::ScalarValue;

use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind, Result};
use crate::session::intake::{Intake, decode_numeric, free_decimal, utf8};
use crate::session::text::number::{WrittenDecimal, read_decimal};
use crate::session::text::zone::Zone;
use crate::wire::postgres::answer::Format;
use crate::wire::postgres::frame::violation;
use crate::wire::postgres::message::Bind;

/// The values for `$1`, `$2`, ... of these types.
pub(super) fn decode(bind: &Bind, types: &[PgType], zone: Zone) -> Result<Vec<ScalarValue>> {
    if bind.values.len() != types.len() {
        return Err(violation(format!(
            "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
            bind.values.len(),
            bind.statement,
            types.len()
        )));
    }
    let formats = formats(&bind.formats, types.len())?;
    let values = bind.values.iter().zip(types).zip(formats).enumerate();
    values
        .map(|(index, ((value, pg_type), format))| {
            let decoded = match value {
                None => null(pg_type),
                Some(bytes) => one(bytes, pg_type, format, zone),
            };
            decoded.map_err(|error| match error.kind() {
                ErrorKind::InvalidBinaryRepresentation => {
                    let message = format!("incorrect binary data format in bind parameter {}", index + 1);
                    Error::new(ErrorKind::InvalidBinaryRepresentation, message).detail(error.message())
                }
                _ => error.context(format!("unnamed portal parameter ${}", index + 1)),
            })
        })
        .collect()
}

fn formats(codes: &[i16], count: usize) -> Result<Vec<Format>> {
    if codes.len() > 1 && codes.len() != count {
        return Err(violation(format!("bind message has {} parameter formats but {count} parameters", codes.len())));
    }
    crate::wire::postgres::rows::spread_formats(codes, count)
}

fn null(pg_type: &PgType) -> Result<ScalarValue> {
    Ok(ScalarValue::try_from(&pg_type.arrow())?)
}

fn one(bytes: &Bytes, pg_type: &PgType, format: Format, zone: Zone) -> Result<ScalarValue> {
    if *pg_type == PgType::Numeric(None) {
        // No column says how many digits to keep, so all are kept.
        let number = match format {
            Format::Text => read_decimal(utf8(bytes)?)?,
            Format::Binary => decode_numeric(bytes)?,
        };
        return decimal(&number);
    }
    let mut intake = Intake::new(pg_type, zone);
    match format {
        Format::Text => intake.push_text(utf8(bytes)?)?,
        Format::Binary => intake.push_binary(bytes)?,
    }
    let array = intake.finish()?;
    debug_assert_eq!(*array.data_type(), pg_type.arrow(), "a parameter has its type's Arrow type");
    Ok(ScalarValue::try_from_array(&array, 0)?)
}

fn decimal(number: &WrittenDecimal) -> Result<ScalarValue> {
    let (value, precision, scale) = free_decimal(number)?;
    let narrow = value.to_i128().filter(|_| precision <= arrow::datatypes::DECIMAL128_MAX_PRECISION);
    Ok(match narrow {
        Some(narrow) => ScalarValue::Decimal128(Some(narrow), precision, scale),
        None => ScalarValue::Decimal256(Some(value), precision, scale),
    })
}

/// The types that a Parse gives, by oid; 0 and `unknown` leave it to us.
pub(super) fn declared_types(oids: &[u32]) -> Result<Vec<Option<PgType>>> {
    oids.iter()
        .map(|oid| match (oid, crate::catalog::pg_type::type_of_oid(*oid)) {
            (0, _) | (_, Some(PgType::Unknown)) => Ok(None),
            // A bare oid says nothing of a length.
            (_, Some(PgType::Char(_))) => Ok(Some(PgType::Text)),
            (_, Some(pg_type)) => Ok(Some(pg_type)),
            (oid, None) => Err(Error::new(ErrorKind::UndefinedObject, format!("type with OID {oid} does not exist"))
                .hint("Leave the parameter's type to the server, or cast it from text.")),
        })
        .collect()
}
