//! Late rows: those whose event is older than the watermark of their table, where they come from outside.
//!
//! The table's policy says what becomes of them: they are stored (`update`), left out (`drop`), or kept in a table `t$late`
//! (`side`), made when first needed. Rows that replace others by key are always stored: to leave one out would leave an
//! older row in its place. All late rows are counted.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{filter_record_batch, not};

use crate::buffer::{EventTurn, Verdict};
use crate::catalog::definition::{ColumnDef, LatePolicy, RelationDef, TableDef};
use crate::catalog::pg_type::PgType;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::decode::NewField;
use crate::ingest::evolution;
use crate::ingest::side_table::side_table;

const SUFFIX: &str = "$late";
const COMMENT: &str = "rows that came after the watermark";
/// What is known of a late row beside its values: when it came, the watermark then, where it came from.
const LATE_COLUMNS: [(&str, PgType); 3] =
    [("late$at", PgType::Timestamptz), ("late$watermark", PgType::Timestamptz), ("late$source", PgType::Text)];

/// A way of rows into tables.
#[derive(Clone, Debug, Default)]
pub struct WayIn {
    /// What it is called among the partitions of event times.
    pub name: String,
    /// Its partitions, by the names that payloads have for where they come from; none for a way that is one.
    pub partitions: Vec<Arc<str>>,
}

impl WayIn {
    /// The names of its partitions.
    fn names(&self) -> Vec<String> {
        match self.partitions.as_slice() {
            [] => vec![self.name.clone()],
            all => all.iter().map(|partition| format!("{}/{partition}", self.name)).collect(),
        }
    }

    /// Which of them each source is.
    fn places(&self, sources: &[Arc<str>]) -> Vec<usize> {
        let places: HashMap<&str, usize> = (0..).zip(&self.partitions).map(|(at, name)| (&**name, at)).collect();
        sources.iter().map(|source| places.get(&**source).copied().unwrap_or_default()).collect()
    }
}

/// What becomes of rows.
pub(super) struct Judged {
    pub rows: RecordBatch,
    /// Those that go to another table.
    pub aside: Option<(Arc<RelationDef>, RecordBatch)>,
    pub verdict: Verdict,
    /// Held until the rows have landed.
    pub turn: EventTurn,
}

/// Judges rows that come from outside, each from a source; `None` where the table has no watermark. `is_keyed` says that
/// they replace others.
pub(super) async fn judge(
    engine: &Arc<Engine>,
    relation: &RelationDef,
    rows: &RecordBatch,
    sources: impl FnOnce() -> Vec<Arc<str>>,
    way: &WayIn,
    is_keyed: bool,
) -> Result<Option<Judged>> {
    let Some(turn) = engine.buffer().event_turn(relation).await? else { return Ok(None) };
    let sources = sources();
    let places = way.places(&sources);
    let verdict = turn.judge(rows, &way.names(), |row| places[row])?;
    let policy = relation.table().map_or(LatePolicy::Update, TableDef::late_policy);
    let (mut kept, mut aside) = (rows.clone(), None);
    if policy != LatePolicy::Update && !is_keyed && verdict.late_rows() > 0 {
        kept = filter_record_batch(rows, &not(&verdict.late)?)?;
        if policy == LatePolicy::Side {
            let late = filter_record_batch(rows, &verdict.late)?;
            let sources = sources.iter().zip(verdict.late.values()).filter(|(_, late)| *late).map(|(source, _)| source);
            let table = table_of(engine, relation).await?;
            let rows = aside_rows(&table, &late, sources, turn.watermark_micros(), engine.buffer().clock().now())?;
            aside = Some((table, rows));
        }
    }
    Ok(Some(Judged { rows: kept, aside, verdict, turn }))
}

/// The table for the late rows of `relation`, with all its columns.
async fn table_of(engine: &Arc<Engine>, relation: &RelationDef) -> Result<Arc<RelationDef>> {
    let own = relation.columns.iter().map(|column| (column.name.as_str(), column.pg_type.clone()));
    let wanted: Vec<(&str, PgType)> = own.chain(LATE_COLUMNS).collect();
    let columns = (1..).zip(&wanted).map(|(number, (name, pg_type))| ColumnDef::new(number, *name, pg_type.clone()));
    let found = side_table(engine, relation, SUFFIX, COMMENT, columns.collect(), &[]).await?;
    let fits = |(name, pg_type): &(&str, PgType)| found.column(name).is_none_or(|held| held.pg_type == *pg_type);
    if found.table().is_none() || !wanted.iter().all(fits) {
        let message = format!("\"{}\" cannot take late rows: its columns are others", found.name);
        return Err(Error::new(ErrorKind::InvalidTableDefinition, message)
            .hint("Give it another name; it is made anew when it is needed."));
    }
    let missing = wanted.iter().filter(|(name, _)| found.column(name).is_none());
    let missing: Vec<NewField> =
        missing.map(|(name, pg_type)| NewField { name: (*name).to_owned(), pg_type: pg_type.clone() }).collect();
    if missing.is_empty() {
        return Ok(found);
    }
    evolution::add_columns(engine, &engine.background_scope(), &found, &missing).await?;
    let held = engine.buffer().current().catalog.relation_by_oid(found.oid);
    held.ok_or_else(|| Error::new(ErrorKind::SerializationFailure, "the table of late rows was dropped meanwhile"))
}

/// Late rows as that table has them.
fn aside_rows<'a>(
    table: &RelationDef,
    late: &RecordBatch,
    sources: impl Iterator<Item = &'a Arc<str>>,
    watermark_micros: Option<i64>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<RecordBatch> {
    let count = late.num_rows();
    let moment = |micros: Option<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![micros; count]).with_timezone("UTC"))
    };
    let said: [ArrayRef; 3] = [
        moment(Some(now.timestamp_micros())),
        moment(watermark_micros),
        Arc::new(sources.map(|source| Some(&**source)).collect::<StringViewArray>()),
    ];
    let values = |column: &ColumnDef| {
        let said = LATE_COLUMNS.iter().position(|(name, _)| *name == column.name).map(|at| Arc::clone(&said[at]));
        let own = said.or_else(|| late.column_by_name(&column.name).cloned());
        own.unwrap_or_else(|| new_null_array(&column.pg_type.arrow(), count))
    };
    Ok(RecordBatch::try_new(table.arrow_schema(), table.columns.iter().map(values).collect())?)
}
