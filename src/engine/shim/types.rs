//! Type names in queries, as our [`PgType`].

use arrow::datatypes::FieldRef;
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType};

use crate::catalog::pg_type::{PgType, parse_type_name};

/// Plans type names.
#[derive(Debug)]
pub(super) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &DataType) -> DataFusionResult<Option<FieldRef>> {
        Ok(pg_type(sql_type).map(|pg_type| pg_type.field("", true).into()))
    }
}

/// The SQL type that a name in a query means; `None` for those we do not have.
pub(in crate::engine) fn pg_type(sql_type: &DataType) -> Option<PgType> {
    match sql_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::AngleBracket(element)) => {
            match pg_type(element)? {
                nested @ PgType::Array(_) => Some(nested),
                plain => Some(PgType::Array(Box::new(plain))),
            }
        }
        // FLOAT without a precision is double precision.
        DataType::Float(datafusion::sql::sqlparser::ast::ExactNumberInfo::None) => Some(PgType::Float8),
        other => by_name(&other.to_string()),
    }
}

fn by_name(written: &str) -> Option<PgType> {
    let name = written.strip_prefix("pg_catalog.").unwrap_or(written);
    // The one-byte type of the catalogs is written in quotes; without them CHAR is character(1).
    if name == "\"char\"" {
        return Some(PgType::InternalChar);
    }
    let plain = name.replace('"', "");
    match plain.to_ascii_lowercase().as_str() {
        "int2vector" => Some(PgType::Array(Box::new(PgType::Int2))),
        "oidvector" => Some(PgType::Array(Box::new(PgType::Oid))),
        "cstring" | "xid" | "aclitem" | "refcursor" => Some(PgType::Text),
        lower => parse_type_name(lower).or_else(|| timestamp(lower)),
    }
}

/// `timestamp(3) with time zone` and its kin: the precision is read and not kept.
fn timestamp(name: &str) -> Option<PgType> {
    let (head, rest) = name.split_once('(')?;
    let (_, tail) = rest.split_once(')')?;
    parse_type_name(&format!("{}{tail}", head.trim_end()))
}
