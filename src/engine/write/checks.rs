//! What every row must pass before it reaches a file: types that Arrow cannot tell, NOT NULL, CHECK.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::physical_plan::PhysicalExpr;

use crate::catalog::definition::{ConstraintKind, RelationDef};
use crate::catalog::pg_type::PgType;
use crate::engine::Scope;
use crate::engine::values::{compiled, is_lasting};
use crate::engine::write::column_expression;
use crate::error::{Error, ErrorKind, Result};
use crate::tables::check_partition;

/// The checks of one table, compiled.
pub(in crate::engine) struct RowChecks {
    relation: String,
    schema: SchemaRef,
    types: Vec<PgType>,
    checks: Vec<(String, Arc<dyn PhysicalExpr>)>,
    /// The positions of the columns that partition the table.
    partition: Vec<usize>,
    /// True where they are the same for every session.
    pub(super) is_lasting: bool,
}

impl RowChecks {
    /// Compiles the table's constraints.
    pub(in crate::engine) fn new(scope: &Scope, relation: &RelationDef) -> Result<Self> {
        let schema = relation.arrow_schema();
        let nullable = nullable(&schema);
        let named = DFSchema::try_from_qualified_schema(relation.name.as_str(), &nullable)?;
        let (mut checks, mut is_lasting) = (Vec::new(), true);
        for constraint in relation.table().map(|table| table.constraints.as_slice()).unwrap_or_default() {
            if let ConstraintKind::Check { expression } = &constraint.kind {
                let condition = column_expression(scope, expression, &named)?;
                is_lasting &= self::is_lasting(&condition, &named)?;
                checks.push((constraint.name.clone(), compiled(scope, condition, &named)?));
            }
        }
        let types = relation.columns.iter().map(|column| column.pg_type.clone()).collect();
        let partitioned_by = relation.table().map(|table| table.partitioned_by.as_slice()).unwrap_or_default();
        let partition = partitioned_by.iter().map(|name| schema.index_of(name)).collect::<Result<_, _>>()?;
        Ok(Self { relation: relation.name.clone(), schema, types, checks, partition, is_lasting })
    }

    /// The schema of checked batches that come with `incoming`.
    pub(in crate::engine) fn schema_for(&self, incoming: &Schema) -> SchemaRef {
        let extra = incoming.fields().iter().skip(self.schema.fields().len()).cloned();
        Arc::new(Schema::new(self.schema.fields().iter().cloned().chain(extra).collect::<Vec<_>>()))
    }

    /// The batch with the table's exact types, or the first rule that a row of it breaks.
    pub(in crate::engine) fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(batch.num_columns());
        for ((field, pg_type), values) in self.schema.fields().iter().zip(&self.types).zip(batch.columns()) {
            let exact = match values.data_type() == field.data_type() {
                true => Arc::clone(values),
                false => arrow::compute::cast(values, field.data_type())?,
            };
            columns.push(conform(pg_type, &exact)?);
        }
        let extra = batch.columns()[self.schema.fields().len()..].iter().cloned();
        self.check_not_null(&columns)?;
        self.partition.iter().try_for_each(|at| check_partition(self.schema.field(*at).name(), &columns[*at]))?;
        self.check_conditions(&columns)?;
        let schema = self.schema_for(batch.schema_ref());
        Ok(RecordBatch::try_new(schema, columns.into_iter().chain(extra).collect())?)
    }

    fn check_not_null(&self, columns: &[ArrayRef]) -> Result<()> {
        for (field, values) in self.schema.fields().iter().zip(columns) {
            if field.is_nullable() || values.null_count() == 0 {
                continue;
            }
            let row = (0..values.len()).find(|row| values.is_null(*row)).unwrap_or_default();
            return Err(Error::new(
                ErrorKind::NotNullViolation,
                format!(
                    "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                    field.name(),
                    self.relation
                ),
            )
            .detail(failing_row(columns, row)));
        }
        Ok(())
    }

    fn check_conditions(&self, columns: &[ArrayRef]) -> Result<()> {
        if self.checks.is_empty() {
            return Ok(());
        }
        let batch = RecordBatch::try_new(Arc::new(nullable(&self.schema)), columns.to_vec())?;
        for (name, condition) in &self.checks {
            let verdicts = condition.evaluate(&batch)?.into_array(batch.num_rows())?;
            let verdicts: &BooleanArray = verdicts.as_boolean();
            // NULL passes: only a condition that is false is broken.
            if let Some(row) = (0..verdicts.len()).find(|row| verdicts.is_valid(*row) && !verdicts.value(*row)) {
                return Err(Error::new(
                    ErrorKind::CheckViolation,
                    format!("new row for relation \"{}\" violates check constraint \"{name}\"", self.relation),
                )
                .detail(failing_row(columns, row)));
            }
        }
        Ok(())
    }
}

pub(super) fn nullable(schema: &Schema) -> Schema {
    Schema::new(schema.fields().iter().map(|field| Field::clone(field).with_nullable(true)).collect::<Vec<_>>())
}

/// Characters of a value that an error shows.
const VALUE_CHARS_MAX: usize = 64;

fn failing_row(columns: &[ArrayRef], row: usize) -> String {
    let shown: Vec<String> = columns
        .iter()
        .map(|values| match values.is_null(row) {
            true => "null".to_owned(),
            false => arrow::util::display::array_value_to_string(values, row)
                .map_or_else(|_| "?".to_owned(), |text| text.chars().take(VALUE_CHARS_MAX).collect()),
        })
        .collect();
    format!("Failing row contains ({}).", shown.join(", "))
}

/// Brings values to what their SQL type demands beyond Arrow's: lengths, blanks, the form of uuid and json.
fn conform(pg_type: &PgType, values: &ArrayRef) -> Result<ArrayRef> {
    match pg_type {
        PgType::Varchar(Some(length)) => each(values, |text| bounded(text, *length, pg_type)),
        PgType::Char(length) => each(values, |text| padded(text, *length, pg_type)),
        PgType::Uuid => each(values, uuid),
        PgType::Json => each(values, |text| json(text).map(|_| text.to_owned())),
        PgType::Jsonb => each(values, |text| json(text).map(|value| crate::catalog::pg_type::jsonb_text(&value))),
        _ => Ok(Arc::clone(values)),
    }
}

fn each(values: &ArrayRef, change: impl Fn(&str) -> Result<String>) -> Result<ArrayRef> {
    let texts = values.as_string_view();
    let changed: StringViewArray = texts.iter().map(|text| text.map(&change).transpose()).collect::<Result<_>>()?;
    Ok(Arc::new(changed))
}

fn bounded(text: &str, length: u32, pg_type: &PgType) -> Result<String> {
    let length = length as usize;
    match text.char_indices().nth(length) {
        None => Ok(text.to_owned()),
        // Blanks beyond the length are cut without an error, as the SQL standard wants.
        Some((end, _)) if text[end..].chars().all(|letter| letter == ' ') => Ok(text[..end].to_owned()),
        Some(_) => Err(Error::new(ErrorKind::StringDataRightTruncation, format!("value too long for type {pg_type}"))),
    }
}

fn padded(text: &str, length: u32, pg_type: &PgType) -> Result<String> {
    let text = bounded(text, length, pg_type)?;
    let missing = (length as usize).saturating_sub(text.chars().count());
    Ok(text + &" ".repeat(missing))
}

fn uuid(text: &str) -> Result<String> {
    uuid::Uuid::parse_str(text.trim()).map(|value| value.hyphenated().to_string()).map_err(|_| {
        Error::new(ErrorKind::InvalidTextRepresentation, format!("invalid input syntax for type uuid: \"{text}\""))
    })
}

fn json(text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::InvalidTextRepresentation, "invalid input syntax for type json").detail(error.to_string())
    })
}
