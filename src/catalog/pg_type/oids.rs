//! PostgreSQL's numbers for types: oid, array oid, length, type modifier. Source: `pg_type.dat` of PostgreSQL 16.

use super::{PgType, RegKind};

/// (type, oid, oid of its array type, length in bytes or -1)
const TYPES: &[(PgType, u32, u32, i16)] = &[
    (PgType::Bool, 16, 1000, 1),
    (PgType::Bytea, 17, 1001, -1),
    (PgType::InternalChar, 18, 1002, 1),
    (PgType::Name, 19, 1003, 64),
    (PgType::Int8, 20, 1016, 8),
    (PgType::Int2, 21, 1005, 2),
    (PgType::Int4, 23, 1007, 4),
    (PgType::Text, 25, 1009, -1),
    (PgType::Oid, 26, 1028, 4),
    (PgType::Json, 114, 199, -1),
    (PgType::Float4, 700, 1021, 4),
    (PgType::Float8, 701, 1022, 8),
    (PgType::Unknown, 705, 0, -2),
    (PgType::Char(1), 1042, 1014, -1),
    (PgType::Varchar(None), 1043, 1015, -1),
    (PgType::Date, 1082, 1182, 4),
    (PgType::Time, 1083, 1183, 8),
    (PgType::Timestamp, 1114, 1115, 8),
    (PgType::Timestamptz, 1184, 1185, 8),
    (PgType::Interval, 1186, 1187, 16),
    (PgType::Numeric(None), 1700, 1231, -1),
    (PgType::Reg(RegKind::Proc), 24, 1008, 4),
    (PgType::Reg(RegKind::Class), 2205, 2210, 4),
    (PgType::Reg(RegKind::Type), 2206, 2211, 4),
    (PgType::Reg(RegKind::Namespace), 4089, 4090, 4),
    (PgType::Record, 2249, 2287, -1),
    (PgType::Void, 2278, 0, 4),
    (PgType::Uuid, 2950, 2951, 16),
    (PgType::Jsonb, 3802, 3807, -1),
];

fn row(pg_type: &PgType) -> &'static (PgType, u32, u32, i16) {
    let same = |other: &PgType| match (pg_type, other) {
        (PgType::Numeric(_), PgType::Numeric(_)) => true,
        (PgType::Varchar(_), PgType::Varchar(_)) => true,
        (PgType::Char(_), PgType::Char(_)) => true,
        (one, other) => one == other,
    };
    TYPES.iter().find(|row| same(&row.0)).unwrap_or(&TYPES[7])
}

/// The oid of a type.
pub fn oid_of(pg_type: &PgType) -> u32 {
    match pg_type {
        PgType::Array(element) => array_oid(element),
        plain => row(plain).1,
    }
}

/// The oid of the array type over `element`; an array of arrays is of the same type.
fn array_oid(element: &PgType) -> u32 {
    match element {
        PgType::Array(inner) => array_oid(inner),
        plain => row(plain).2,
    }
}

/// The length in bytes that `pg_type.typlen` shows, -1 for variable.
pub fn typlen(pg_type: &PgType) -> i16 {
    match pg_type {
        PgType::Array(_) => -1,
        plain => row(plain).3,
    }
}

/// The type modifier that RowDescription and `pg_attribute.atttypmod` show, -1 for none.
pub fn typmod(pg_type: &PgType) -> i32 {
    match pg_type {
        PgType::Numeric(Some((precision, scale))) => ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4,
        PgType::Varchar(Some(length)) | PgType::Char(length) => i32::try_from(*length).map_or(-1, |length| length + 4),
        PgType::Array(element) => typmod(element),
        _ => -1,
    }
}

/// The type with this oid, or `None` when there is none such here.
pub fn type_of_oid(oid: u32) -> Option<PgType> {
    if let Some(row) = TYPES.iter().find(|row| row.1 == oid) {
        return Some(row.0.clone());
    }
    TYPES.iter().find(|row| row.2 == oid && oid != 0).map(|row| PgType::Array(Box::new(row.0.clone())))
}
