//! New tables: their folder first, then their entry in the catalog.
//!
//! A table is there whole or not at all; a folder that no catalog names is what a crash in between leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use url::Url;

use crate::buffer::TableChanges;
use crate::catalog::definition::{ConstraintKind, EventWatermarkDef, RelationDef, TableDef};
use crate::catalog::pg_type::PgType;
use crate::dialect::Watermark;
use crate::engine::values::constant;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{Table, TableSpec, is_property};

impl Engine {
    /// A new folder of ours, for a table of that name.
    pub fn new_location(&self, name: &str) -> Result<Url> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let plain: String = name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
        let url = self.config().tables_url.join(&format!("{}-{}", plain, &id[..8]));
        url.map_err(|error| Error::internal(format!("a table's location cannot be made: {error}")))
    }

    /// Makes the folder of a table that no catalog names yet.
    pub async fn new_folder(&self, relation: &RelationDef, location: &Url) -> Result<Arc<Table>> {
        let definition = relation.table().ok_or_else(|| Error::internal("not a table"))?;
        let spec = TableSpec {
            columns: relation.columns.clone(),
            partitioned_by: definition.partitioned_by.clone(),
            clustered_by: definition.clustered_by.clone(),
            checks: checks(definition),
            properties: properties(definition),
            name: Some(relation.name.clone()),
            comment: relation.comment.clone(),
        };
        Table::create(self.stores(), self.buffer().clock(), location, &spec).await
    }

    /// Puts a finished table into the catalog; its folder goes again when that fails.
    pub async fn name_table(&self, relation: RelationDef, table: &Arc<Table>) -> Result<()> {
        let owned = relation.table().is_some_and(|definition| !definition.external);
        let opened = Arc::clone(table);
        let named = self.buffer().define(
            |draft| draft.create_relation(relation),
            |oid| TableChanges { opened: vec![(*oid, opened)], closed: Vec::new() },
        );
        match named {
            Ok(_) => Ok(()),
            Err(error) if owned => Err(self.take_back(table, error).await),
            Err(error) => Err(error),
        }
    }

    /// Deletes the folder of a table that did not come to be.
    pub async fn take_back(&self, table: &Arc<Table>, error: Error) -> Error {
        if let Err(left) = table.delete_folder().await {
            tracing::warn!(location = %table.location(), error = %left, "the folder of an unfinished table stays");
        }
        error
    }
}

/// The options that stand in the table's log.
pub fn properties(definition: &TableDef) -> BTreeMap<String, String> {
    let options = definition.options.iter().filter(|(name, _)| is_property(name));
    options.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The table's CHECK constraints.
pub fn checks(definition: &TableDef) -> Vec<(String, String)> {
    definition
        .constraints
        .iter()
        .filter_map(|constraint| match &constraint.kind {
            ConstraintKind::Check { expression } => Some((constraint.name.clone(), expression.clone())),
            _ => None,
        })
        .collect()
}

const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// The watermark that a statement gives a table; it knows of no event yet.
pub fn event_watermark(scope: &Scope, watermark: &Watermark) -> Result<EventWatermarkDef> {
    let wrong = |why: &str| {
        let message = format!("the delay of the watermark {why}: {}", watermark.delay);
        Error::new(ErrorKind::InvalidParameterValue, message)
            .hint("It is an interval of days or less, such as INTERVAL '5 seconds'.")
            .at(watermark.position)
    };
    let delay_micros = match constant(scope, watermark.delay.clone(), &PgType::Interval.arrow()) {
        Err(error) => return Err(wrong("is no constant interval").detail(error.message().to_owned())),
        Ok(ScalarValue::IntervalMonthDayNano(Some(delay))) if delay.months == 0 => {
            i64::from(delay.days) * MICROS_PER_DAY + delay.nanoseconds / 1000
        }
        Ok(_) => return Err(wrong("is of no fixed length")),
    };
    if delay_micros < 0 {
        return Err(wrong("is negative"));
    }
    let (column, delay) = (watermark.column.clone(), watermark.delay.to_string());
    Ok(EventWatermarkDef { column, delay, delay_micros, identity: uuid::Uuid::new_v4().simple().to_string() })
}
