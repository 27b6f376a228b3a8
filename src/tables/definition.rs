//! What the `protocol` and `metaData` actions of a table say, ready for use.
//!
//! Immutable; a change of metadata makes a new one ([`MetadataChange`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::catalog::definition::ColumnDef;
use crate::error::{Error, ErrorKind, Result};
use crate::tables::action::{Format, Metadata};
use crate::tables::delta_schema::{StructField, StructType};
use crate::tables::protocol::Protocol;

/// The prefix of the properties that hold CHECK constraints.
const CONSTRAINT: &str = "delta.constraints.";
/// The property that holds the clustering columns, a JSON array.
const CLUSTER_BY: &str = "headwater.clusterBy";

/// What protocol and metadata say; changes rarely.
#[derive(Clone, Debug)]
pub(in crate::tables) struct Definition {
    pub protocol: Protocol,
    pub metadata: Metadata,
    /// The schema that a scan gives: PgType metadata, Utf8View and BinaryView; partition columns in their declared place.
    pub schema: SchemaRef,
    pub properties: BTreeMap<String, String>,
    /// Why the table cannot be written, if so.
    pub read_only: Option<String>,
}

/// What a new table is.
#[derive(Clone, Debug, Default)]
pub struct TableSpec {
    pub columns: Vec<ColumnDef>,
    pub partitioned_by: Vec<String>,
    pub clustered_by: Vec<String>,
    /// Name and SQL text.
    pub checks: Vec<(String, String)>,
    /// `delta.*` and others, put into the table as they are.
    pub properties: BTreeMap<String, String>,
    pub name: Option<String>,
    pub comment: Option<String>,
}

/// A change of a table's metadata. What is `None` or empty stays.
#[derive(Clone, Debug, Default)]
pub struct MetadataChange {
    /// All columns from now on. Columns may be added at the end, nullable, and change their comment, default and
    /// nullability freely; anything else must come with a rewrite of every file (see [`crate::tables::Change`]).
    pub columns: Option<Vec<ColumnDef>>,
    pub partitioned_by: Option<Vec<String>>,
    pub clustered_by: Option<Vec<String>>,
    /// Properties to set; `None` removes one.
    pub properties: BTreeMap<String, Option<String>>,
    /// CHECK constraints to add, or with `None` to drop.
    pub checks: BTreeMap<String, Option<String>>,
    /// `Some(None)` removes the comment.
    pub comment: Option<Option<String>>,
}

impl Definition {
    /// Checks and unfolds the two actions.
    pub fn new(protocol: Protocol, metadata: Metadata) -> Result<Self> {
        if !metadata.format.provider.eq_ignore_ascii_case("parquet") {
            return Err(Error::unsupported(format!(
                "the table's files are \"{}\", not parquet",
                metadata.format.provider
            )));
        }
        let properties: BTreeMap<String, String> = metadata
            .configuration
            .iter()
            .filter_map(|(key, value)| value.clone().map(|value| (key.clone(), value)))
            .collect();
        protocol.check_readable(&properties)?;
        let struct_type = StructType::parse(&metadata.schema_string)?;
        let schema = Arc::new(struct_type.arrow()?);
        for column in &metadata.partition_columns {
            schema.index_of(column).map_err(|_| {
                Error::new(
                    ErrorKind::DataCorrupted,
                    format!("partition column \"{column}\" is not in the table's schema"),
                )
            })?;
        }
        let read_only = protocol.read_only_reason(&struct_type);
        Ok(Self { protocol, metadata, schema, properties, read_only })
    }

    /// The definition of a new table.
    pub fn of_spec(spec: &TableSpec, now_ms: i64) -> Result<Self> {
        check_partitioning(&spec.columns, &spec.partitioned_by)?;
        let schema = StructType::of_columns(&spec.columns)?;
        let mut properties = spec.properties.clone();
        properties.extend(spec.checks.iter().map(|(name, text)| (format!("{CONSTRAINT}{name}"), text.clone())));
        if !spec.clustered_by.is_empty() {
            properties.insert(CLUSTER_BY.to_owned(), json_list(&spec.clustered_by));
        }
        let metadata = Metadata {
            id: uuid::Uuid::new_v4().to_string(),
            name: spec.name.clone(),
            description: spec.comment.clone(),
            format: Format { provider: "parquet".into(), options: BTreeMap::new() },
            schema_string: schema.print()?,
            partition_columns: spec.partitioned_by.clone(),
            configuration: properties.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
            created_time: Some(now_ms),
        };
        Self::new(Protocol::required(&schema, &properties), metadata)
    }

    /// This definition with the change applied; the protocol is raised where it must be.
    pub fn changed(&self, change: &MetadataChange) -> Result<Self> {
        let mut metadata = self.metadata.clone();
        if let Some(columns) = &change.columns {
            metadata.schema_string = self.changed_schema(columns)?.print()?;
        }
        if let Some(partitioned_by) = &change.partitioned_by {
            metadata.partition_columns.clone_from(partitioned_by);
        }
        if let Some(comment) = &change.comment {
            metadata.description.clone_from(comment);
        }
        let clustered = change
            .clustered_by
            .as_ref()
            .map(|columns| (CLUSTER_BY.to_owned(), (!columns.is_empty()).then(|| json_list(columns))));
        let checks = change.checks.iter().map(|(name, text)| (format!("{CONSTRAINT}{name}"), text.clone()));
        for (key, value) in change.properties.clone().into_iter().chain(checks).chain(clustered) {
            match value {
                Some(value) => metadata.configuration.insert(key, Some(value)),
                None => metadata.configuration.remove(&key),
            };
        }
        let schema = StructType::parse(&metadata.schema_string)?;
        check_partitioning(&schema.columns()?, &metadata.partition_columns)?;
        let properties =
            metadata.configuration.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
        let needed = Protocol::required(&schema, &properties);
        let protocol = self.protocol.raised_to(&needed).unwrap_or_else(|| self.protocol.clone());
        Self::new(protocol, metadata)
    }

    /// The new schema; a field that stays keeps the metadata that other engines gave it.
    fn changed_schema(&self, columns: &[ColumnDef]) -> Result<StructType> {
        let old = StructType::parse(&self.metadata.schema_string)?;
        let mut schema = StructType::of_columns(columns)?;
        for field in &mut schema.fields {
            if let Some(kept) = old.fields.iter().find(|kept| kept.name == field.name) {
                carry_over(kept, field);
            }
        }
        Ok(schema)
    }

    /// The columns as the catalog describes them.
    pub fn columns(&self) -> Result<Vec<ColumnDef>> {
        StructType::parse(&self.metadata.schema_string)?.columns()
    }

    /// CHECK constraints: name and SQL text.
    pub fn checks(&self) -> Vec<(String, String)> {
        let named = |(key, value): (&String, &String)| Some((key.strip_prefix(CONSTRAINT)?.to_owned(), value.clone()));
        self.properties.iter().filter_map(named).collect()
    }

    /// The clustering columns.
    pub fn clustered_by(&self) -> Vec<String> {
        self.properties.get(CLUSTER_BY).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

fn carry_over(kept: &StructField, field: &mut StructField) {
    for (key, value) in &kept.metadata {
        if !key.starts_with("headwater.") && key != "comment" && !key.starts_with("delta.generationExpression") {
            field.metadata.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

fn check_partitioning(columns: &[ColumnDef], partitioned_by: &[String]) -> Result<()> {
    use crate::catalog::pg_type::PgType;
    for name in partitioned_by {
        let column = columns.iter().find(|column| column.name == *name).ok_or_else(|| {
            Error::new(ErrorKind::UndefinedColumn, format!("column \"{name}\" named in PARTITIONED BY does not exist"))
        })?;
        if matches!(column.pg_type, PgType::Array(_) | PgType::Bytea | PgType::Json | PgType::Jsonb) {
            let message = format!("column \"{name}\" of type {} cannot partition a table", column.pg_type);
            return Err(
                Error::unsupported(message).hint("Partition by a number, a date, a timestamp, a boolean or a text.")
            );
        }
    }
    if !partitioned_by.is_empty() && partitioned_by.len() == columns.len() {
        let message = "a table needs a column that does not partition it";
        return Err(Error::new(ErrorKind::InvalidTableDefinition, message));
    }
    Ok(())
}

fn json_list(names: &[String]) -> String {
    serde_json::Value::from(names.to_vec()).to_string()
}
