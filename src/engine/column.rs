//! What clients see of a result's columns: names may repeat, types are SQL's.

use crate::catalog::name::Oid;
use crate::catalog::pg_type::PgType;

/// A column of a result, as clients see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name shown; not necessarily unique.
    pub name: String,
    /// Its SQL type.
    pub pg_type: PgType,
    /// The relation it comes from unchanged, if it does.
    pub relation: Option<Oid>,
    /// The column's number in that relation, or 0.
    pub number: i16,
}
