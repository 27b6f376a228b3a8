//! Delta's schema text and Arrow's schema, both ways.
//!
//! SQL types that Delta cannot name (uuid, json, varchar(n), ...) are Delta strings that carry the SQL name in the
//! field's metadata, under [`SQL_TYPE`]. Other readers see strings.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::definition::ColumnDef;
use crate::catalog::pg_type::{PgType, TYPE_KEY, parse_type_name};
use crate::error::{Error, ErrorKind, Result};

/// The key of a Delta field's metadata that holds its SQL type.
const SQL_TYPE: &str = "headwater.type";
/// Where Spark keeps the declared length of `char` and `varchar`.
const SPARK_TYPE: &str = "__CHAR_VARCHAR_TYPE_STRING";
/// The expression of a generated column.
pub(in crate::tables) const GENERATED: &str = "delta.generationExpression";
const COMMENT: &str = "comment";

/// A Delta struct type: the whole schema, or a nested column.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(in crate::tables) struct StructType {
    #[serde(rename = "type")]
    kind: String,
    pub fields: Vec<StructField>,
}

/// A column or a nested field.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(in crate::tables) struct StructField {
    pub name: String,
    #[serde(rename = "type")]
    pub delta_type: DeltaType,
    pub nullable: bool,
    #[serde(default)]
    pub metadata: BTreeMap<String, Value>,
}

/// A type as Delta names it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(untagged)]
pub(in crate::tables) enum DeltaType {
    Primitive(String),
    Struct(StructType),
    #[serde(rename_all = "camelCase")]
    Array {
        #[serde(rename = "type")]
        kind: String,
        element_type: Box<DeltaType>,
        contains_null: bool,
    },
    #[serde(rename_all = "camelCase")]
    Map {
        #[serde(rename = "type")]
        kind: String,
        key_type: Box<DeltaType>,
        value_type: Box<DeltaType>,
        value_contains_null: bool,
    },
}

impl StructType {
    /// The schema of these columns.
    pub fn of_columns(columns: &[ColumnDef]) -> Result<Self> {
        let fields = columns.iter().map(StructField::of_column).collect::<Result<_>>()?;
        Ok(Self { kind: "struct".into(), fields })
    }

    /// Reads a `schemaString`.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            Error::new(ErrorKind::DataCorrupted, "the table's schema text is damaged").detail(error.to_string())
        })
    }

    /// The `schemaString`.
    pub fn print(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::internal(format!("cannot write a schema: {error}")))
    }

    /// The schema that a scan gives.
    pub fn arrow(&self) -> Result<Schema> {
        Ok(Schema::new(self.fields.iter().map(StructField::arrow).collect::<Result<Vec<_>>>()?))
    }

    /// The columns as the catalog describes them, numbered from 1.
    pub fn columns(&self) -> Result<Vec<ColumnDef>> {
        let number = |at: usize| {
            i16::try_from(at + 1)
                .map_err(|_| Error::new(ErrorKind::ProgramLimitExceeded, "the table has too many columns"))
        };
        self.fields.iter().enumerate().map(|(at, field)| field.column(number(at)?)).collect()
    }

    /// True where a column, or a part of one, is `timestamp_ntz`.
    pub fn has_timestamp_ntz(&self) -> bool {
        self.fields.iter().any(|field| field.delta_type.has_timestamp_ntz())
    }
}

impl StructField {
    /// The field of a column.
    pub fn of_column(column: &ColumnDef) -> Result<Self> {
        let mut metadata = BTreeMap::new();
        let delta_type =
            DeltaType::of(&column.pg_type).map_err(|error| error.within(format!("column \"{}\"", column.name)))?;
        if column.pg_type.field("", true).metadata().contains_key(TYPE_KEY) {
            metadata.insert(SQL_TYPE.to_owned(), Value::from(column.pg_type.to_string()));
        }
        if let Some(comment) = &column.comment {
            metadata.insert(COMMENT.to_owned(), Value::from(comment.as_str()));
        }
        if let Some(expression) = &column.generated {
            metadata.insert(GENERATED.to_owned(), Value::from(expression.as_str()));
        }
        Ok(Self { name: column.name.clone(), delta_type, nullable: !column.not_null, metadata })
    }

    fn column(&self, number: i16) -> Result<ColumnDef> {
        Ok(ColumnDef {
            number,
            name: self.name.clone(),
            pg_type: PgType::of(&self.arrow()?),
            not_null: !self.nullable,
            default: None,
            generated: self.text(GENERATED),
            comment: self.text(COMMENT),
        })
    }

    fn arrow(&self) -> Result<Field> {
        let data_type = self.delta_type.arrow().map_err(|error| error.within(format!("column \"{}\"", self.name)))?;
        let field = Field::new(&self.name, data_type, self.nullable);
        let declared = self.text(SQL_TYPE).or_else(|| self.text(SPARK_TYPE));
        match declared.as_deref().and_then(parse_type_name) {
            // What the file holds decides; a name that does not fit it was not written by us.
            Some(named) if named.arrow() == *field.data_type() => {
                Ok(field.with_metadata(named.field("", true).metadata().clone()))
            }
            _ => Ok(field),
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.metadata.get(key).and_then(Value::as_str).map(str::to_owned)
    }
}

impl DeltaType {
    /// The Delta type that holds a SQL type.
    pub fn of(pg_type: &PgType) -> Result<Self> {
        let name = match pg_type {
            PgType::Time
            | PgType::Interval
            | PgType::Oid
            | PgType::Reg(_)
            | PgType::Record
            | PgType::Unknown
            | PgType::Void => {
                return Err(unstorable(pg_type));
            }
            PgType::Array(element) => {
                let element_type = Box::new(Self::of(element)?);
                return Ok(Self::Array { kind: "array".into(), element_type, contains_null: true });
            }
            other => primitive_of(&other.arrow()).ok_or_else(|| unstorable(pg_type))?,
        };
        Ok(Self::Primitive(name))
    }

    fn arrow(&self) -> Result<DataType> {
        Ok(match self {
            Self::Primitive(name) => arrow_of_primitive(name)?,
            Self::Struct(fields) => DataType::Struct(Fields::from(fields.arrow()?.fields().to_vec())),
            Self::Array { element_type, contains_null, .. } => {
                DataType::List(Arc::new(Field::new("element", element_type.arrow()?, *contains_null)))
            }
            Self::Map { key_type, value_type, value_contains_null, .. } => {
                let entry = Fields::from(vec![
                    Field::new("key", key_type.arrow()?, false),
                    Field::new("value", value_type.arrow()?, *value_contains_null),
                ]);
                DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
            }
        })
    }

    fn has_timestamp_ntz(&self) -> bool {
        match self {
            Self::Primitive(name) => name == "timestamp_ntz",
            Self::Struct(fields) => fields.has_timestamp_ntz(),
            Self::Array { element_type, .. } => element_type.has_timestamp_ntz(),
            Self::Map { key_type, value_type, .. } => key_type.has_timestamp_ntz() || value_type.has_timestamp_ntz(),
        }
    }
}

fn primitive_of(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int16 => "short".into(),
        DataType::Int32 => "integer".into(),
        DataType::Int64 => "long".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Decimal128(precision, scale) if *scale >= 0 => format!("decimal({precision},{scale})"),
        DataType::Utf8View => "string".into(),
        DataType::BinaryView => "binary".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp_ntz".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp".into(),
        _ => return None,
    })
}

fn arrow_of_primitive(name: &str) -> Result<DataType> {
    Ok(match name {
        "boolean" => DataType::Boolean,
        "byte" => DataType::Int8,
        "short" => DataType::Int16,
        "integer" => DataType::Int32,
        "long" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "string" => DataType::Utf8View,
        "binary" => DataType::BinaryView,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => {
            decimal(other).ok_or_else(|| Error::unsupported(format!("Delta type \"{other}\" is not supported")))?
        }
    })
}

fn decimal(name: &str) -> Option<DataType> {
    let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    Some(DataType::Decimal128(precision.trim().parse().ok()?, scale.trim().parse().ok()?))
}

fn unstorable(pg_type: &PgType) -> Error {
    let hint = match pg_type {
        PgType::Time => "Store it as a timestamp, as text, or as bigint microseconds.",
        PgType::Interval => "Store it as bigint microseconds, or as text.",
        PgType::Oid | PgType::Reg(_) => "Store it as bigint.",
        PgType::Numeric(_) => "Delta's numeric holds at most 38 digits, and no negative scale.",
        _ => "Cast it to text, or use jsonb.",
    };
    Error::unsupported(format!("type {pg_type} cannot be stored in a table")).hint(hint)
}

#[cfg(test)]
mod tests;
