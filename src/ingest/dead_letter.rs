//! Dead letters: what could not be stored in a table `t` is kept in `t$dead_letter`, made when first needed.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};

use crate::catalog::definition::{ColumnDef, RelationDef};
use crate::catalog::pg_type::PgType;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::decode::Refused;
use crate::ingest::side_table::side_table;

const SUFFIX: &str = "$dead_letter";
const COMMENT: &str = "records that could not be stored";

/// The table for the dead letters of `relation`.
pub(super) async fn table_of(engine: &Arc<Engine>, relation: &RelationDef) -> Result<Arc<RelationDef>> {
    side_table(engine, relation, SUFFIX, COMMENT, columns(), &[]).await.and_then(fitting)
}

fn columns() -> Vec<ColumnDef> {
    let columns = [
        ("raw", PgType::Bytea),
        ("reason", PgType::Text),
        ("source", PgType::Text),
        ("position", PgType::Int8),
        ("at", PgType::Timestamptz),
    ];
    (1..).zip(columns).map(|(number, (name, pg_type))| ColumnDef::new(number, name, pg_type)).collect()
}

/// Somebody may have made a table of that name for something else.
fn fitting(found: Arc<RelationDef>) -> Result<Arc<RelationDef>> {
    let shape = |columns: &[ColumnDef]| -> Vec<(String, PgType)> {
        columns.iter().map(|column| (column.name.clone(), column.pg_type.clone())).collect()
    };
    match found.table().is_some() && shape(&found.columns) == shape(&columns()) {
        true => Ok(found),
        false => Err(Error::new(
            ErrorKind::InvalidTableDefinition,
            format!("\"{}\" cannot take dead letters: its columns are others", found.name),
        )
        .hint("Give it another name; it is made anew when it is needed.")),
    }
}

/// Dead letters as rows of their table.
pub(super) fn rows(letters: &RelationDef, refused: &[Refused], at: DateTime<Utc>) -> Result<RecordBatch> {
    let at = TimestampMicrosecondArray::from_value(at.timestamp_micros(), refused.len());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryViewArray::from_iter_values(refused.iter().map(|letter| &letter.raw))),
        Arc::new(StringViewArray::from_iter_values(refused.iter().map(|letter| &letter.reason))),
        Arc::new(StringViewArray::from_iter_values(refused.iter().map(|letter| &letter.source))),
        Arc::new(Int64Array::from_iter_values(refused.iter().map(|letter| letter.place))),
        Arc::new(at.with_timezone("UTC")),
    ];
    Ok(RecordBatch::try_new(letters.arrow_schema(), columns)?)
}
