//! SQL types as PostgreSQL names them, and how Arrow and Delta hold them.
//!
//! Invariant: every value that enters or leaves the server has exactly one [`PgType`]. Where Arrow alone cannot
//! tell two types apart (uuid and text, json and text, varchar(n) and text), the field's metadata does, under [`TYPE_KEY`].

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};

mod names;
mod oids;

pub use names::parse_type_name;
pub use oids::{oid_of, type_of_oid, typlen, typmod};

/// The metadata key of an Arrow field that names its SQL type, e.g. `uuid` or `varchar(10)`.
pub const TYPE_KEY: &str = "pg.type";

/// A SQL type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PgType {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric(precision, scale)`; `None` when the declaration gave none.
    Numeric(Option<(u8, i8)>),
    /// `text`
    Text,
    /// `varchar(n)`, at most n characters.
    Varchar(Option<u32>),
    /// `char(n)`, padded with blanks to n characters.
    Char(u32),
    /// `name`, an identifier of at most 63 bytes.
    Name,
    /// The one-byte type `"char"` of the system catalogs.
    InternalChar,
    /// `bytea`
    Bytea,
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp` without time zone, microseconds.
    Timestamp,
    /// `timestamptz`, microseconds in UTC.
    Timestamptz,
    /// `interval`
    Interval,
    /// `uuid`, held as text.
    Uuid,
    /// `json`, held as text.
    Json,
    /// `jsonb`, held as text.
    Jsonb,
    /// `oid`
    Oid,
    /// `regclass`, `regtype`, `regproc`, `regnamespace`: an oid that prints as a name.
    Reg(RegKind),
    /// A composite value; sent as `jsonb` text unless its type is registered.
    Record,
    /// An array of any of these.
    Array(Box<PgType>),
    /// The type of a bare `NULL` or an untyped literal.
    Unknown,
    /// The result of a function that gives nothing.
    Void,
}

/// The kinds of oid that print as a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegKind {
    /// A relation.
    Class,
    /// A type.
    Type,
    /// A function.
    Proc,
    /// A schema.
    Namespace,
}

/// The precision and scale of a `numeric` column that was declared without any: the widest that Delta holds.
pub const NUMERIC_DEFAULT: (u8, i8) = (38, 10);

impl PgType {
    /// The Arrow type that holds values of this type inside the engine.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric(given) => {
                let (precision, scale) = given.unwrap_or(NUMERIC_DEFAULT);
                if precision <= 38 {
                    DataType::Decimal128(precision, scale)
                } else {
                    DataType::Decimal256(precision, scale)
                }
            }
            Self::Text | Self::Varchar(_) | Self::Char(_) | Self::Name | Self::InternalChar => DataType::Utf8View,
            Self::Uuid | Self::Json | Self::Jsonb | Self::Record | Self::Unknown | Self::Void => DataType::Utf8View,
            Self::Bytea => DataType::BinaryView,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Oid | Self::Reg(_) => DataType::UInt32,
            Self::Array(element) => DataType::List(Arc::new(Field::new("element", element.arrow(), true))),
        }
    }

    /// True where the Arrow type alone does not tell this type, so that [`TYPE_KEY`] must.
    fn needs_metadata(&self) -> bool {
        match self {
            Self::Varchar(_) | Self::Char(_) | Self::Name | Self::InternalChar | Self::Uuid | Self::Json => true,
            Self::Jsonb | Self::Record | Self::Unknown | Self::Void | Self::Oid | Self::Reg(_) => true,
            Self::Array(element) => element.needs_metadata(),
            _ => false,
        }
    }

    /// An Arrow field of this type that remembers the type.
    pub fn field(&self, name: &str, nullable: bool) -> Field {
        let field = Field::new(name, self.arrow(), nullable);
        match self.needs_metadata() {
            true => field.with_metadata([(TYPE_KEY.to_owned(), self.to_string())].into()),
            false => field,
        }
    }

    /// The type without its length or precision, as errors name it.
    #[must_use]
    pub fn bare(&self) -> Self {
        match self {
            Self::Numeric(_) => Self::Numeric(None),
            Self::Varchar(_) => Self::Varchar(None),
            Self::Array(element) => Self::Array(Box::new(element.bare())),
            other => other.clone(),
        }
    }

    /// The type of an Arrow field: what its metadata says, else what its Arrow type means.
    pub fn of(field: &Field) -> Self {
        match field.metadata().get(TYPE_KEY).and_then(|name| parse_type_name(name)) {
            Some(named) => named,
            None => Self::of_arrow(field.data_type()),
        }
    }

    /// What a bare Arrow type means in SQL.
    pub fn of_arrow(data_type: &DataType) -> Self {
        match data_type {
            DataType::Null => Self::Text,
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => Self::Int2,
            DataType::Int32 | DataType::UInt16 => Self::Int4,
            DataType::Int64 | DataType::UInt32 => Self::Int8,
            DataType::UInt64 => Self::Numeric(Some((20, 0))),
            DataType::Float16 | DataType::Float32 => Self::Float4,
            DataType::Float64 => Self::Float8,
            DataType::Decimal32(p, s)
            | DataType::Decimal64(p, s)
            | DataType::Decimal128(p, s)
            | DataType::Decimal256(p, s) => Self::Numeric(Some((*p, *s))),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytea
            }
            DataType::Date32 => Self::Date,
            DataType::Date64 | DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::Timestamptz,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Interval(_) | DataType::Duration(_) => Self::Interval,
            DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
                Self::of_list(element)
            }
            DataType::ListView(element) | DataType::LargeListView(element) => Self::of_list(element),
            DataType::Dictionary(_, values) => Self::of_arrow(values),
            DataType::RunEndEncoded(_, values) => Self::of(values),
            DataType::Struct(_) | DataType::Map(_, _) | DataType::Union(_, _) => Self::Jsonb,
        }
    }

    /// PostgreSQL has one array type an element type, whatever the number of dimensions.
    fn of_list(element: &FieldRef) -> Self {
        match Self::of(element) {
            nested @ Self::Array(_) => nested,
            Self::Record => Self::Jsonb,
            plain => Self::Array(Box::new(plain)),
        }
    }
}

impl fmt::Display for PgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        names::write_type_name(self, f)
    }
}

/// A JSON value as PostgreSQL prints `jsonb`: keys by length then bytes, a blank after `:` and `,`.
pub fn jsonb_text(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|(one, _), (other, _)| one.len().cmp(&other.len()).then_with(|| one.cmp(other)));
            let parts: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), jsonb_text(value)))
                .collect();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(jsonb_text).collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}
