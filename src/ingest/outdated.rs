//! Rows and deletions that are older than what they would change (`SEQUENCE BY`): they are left out.
//!
//! How new a deletion was is kept in a table `t$deleted`, until a newer row of the key comes: an older one does not bring the
//! row back. A deletion that does not say how new it is counts as it comes, and nothing is kept of it. Invariant: in whatever
//! order and batches changes come that all say how new they are, the table holds what the newest of each key says.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{concat_batches, filter, filter_record_batch, is_not_null, is_null};
use arrow::datatypes::Schema;
use tokio_util::sync::CancellationToken;

use crate::buffer::{Right, Rows, encoded_keys};
use crate::catalog::definition::{ColumnDef, RelationDef, TableDef};
use crate::catalog::pg_type::PgType;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::decode::Newness;
use crate::ingest::side_table::side_table;
use crate::log::Effect;

const SUFFIX: &str = "$deleted";
const COMMENT: &str = "how new the deletions of rows were";
/// The number of the table: another one of that name starts anew.
const OF: &str = "deleted$table";
const AT: &str = "deleted$at";

/// How new changes of keys are, both as bytes that compare as they do.
type Held = HashMap<Box<[u8]>, Box<[u8]>>;

/// Changes of a table, each key once, and how new the rows and the keys that go are.
pub(super) struct Changes {
    pub rows: RecordBatch,
    pub deleted: RecordBatch,
    pub newness: [Newness; 2],
}

/// Those of them that count, what is to be noted beside them, and what has to be held until all have landed.
pub(super) struct Current {
    pub rows: RecordBatch,
    pub deleted: RecordBatch,
    pub beside: Vec<Rows>,
    pub rights: Vec<Right>,
}

/// Leaves out what the table has newer rows or deletions for.
pub(super) async fn without_outdated(
    engine: &Arc<Engine>,
    relation: &Arc<RelationDef>,
    sequence: &str,
    changes: Changes,
) -> Result<Current> {
    let graves = Graves::of(engine, relation, sequence).await?;
    // From here on nobody else changes rows: what is found stays.
    let rights = vec![engine.buffer().own_rows(relation).await?, engine.buffer().share_rows(&graves.relation).await?];
    let Changes { rows, deleted, newness: [of_rows, of_deleted] } = changes;
    let places = graves.key.iter().map(|name| rows.schema_ref().index_of(name)).collect::<Result<Vec<_>, _>>()?;
    let keys = rows.project(&places)?;
    let all = concat_batches(&keys.schema(), [&keys, &deleted])?;
    let buried = newest(engine, &graves.relation, graves.named(&all)?, sequence, 1).await?;
    let mut held = newest(engine, relation, all, sequence, 0).await?;
    for (key, sequence) in &buried {
        let newest = held.entry(key.clone()).or_default();
        *newest = sequence.clone().max(std::mem::take(newest));
    }
    let rows_kept = is_current(&keys, &of_rows, &held)?;
    let (rows, keys) = (filter_record_batch(&rows, &rows_kept)?, filter_record_batch(&keys, &rows_kept)?);
    let deleted_kept = is_current(&deleted, &of_deleted, &held)?;
    let (deleted, sequences) =
        (filter_record_batch(&deleted, &deleted_kept)?, filter(&of_deleted.sequence, &deleted_kept)?);
    let noted = graves.dug(engine, &deleted, &sequences)?;
    let silent = filter_record_batch(&deleted, &is_null(&sequences)?)?;
    let mended = graves.named(&in_graves(&concat_batches(&keys.schema(), [&keys, &silent])?, &buried)?)?;
    let beside = [(Effect::Upsert, noted), (Effect::Delete, mended)].into_iter().map(|(effect, rows)| Rows {
        table: Arc::clone(&graves.relation),
        effect,
        batches: vec![rows],
    });
    Ok(Current { rows, deleted, beside: beside.collect(), rights })
}

/// The table `t$deleted`.
struct Graves {
    relation: Arc<RelationDef>,
    /// The primary key of the table that it is of, and the table's number.
    key: Vec<String>,
    of: i64,
}

impl Graves {
    async fn of(engine: &Arc<Engine>, relation: &RelationDef, sequence: &str) -> Result<Self> {
        let key = relation.table().map(TableDef::primary_key).unwrap_or_default().to_vec();
        let all = [&[OF.to_owned()], key.as_slice()].concat();
        let plain = |name: &String| {
            let pg_type = relation.column(name).map_or(PgType::Int8, |column| column.pg_type.clone());
            (name.clone(), pg_type)
        };
        // It may be of the key itself.
        let sequence = Some(sequence.to_owned()).filter(|name| !key.contains(name));
        let columns = all.iter().chain(&sequence).map(plain).chain([(AT.to_owned(), PgType::Timestamptz)]);
        let column = |(number, (name, pg_type)): (i16, (String, PgType))| ColumnDef {
            not_null: all.contains(&name),
            ..ColumnDef::new(number, &name, pg_type)
        };
        let columns: Vec<ColumnDef> = (1..).zip(columns).map(column).collect();
        let found = side_table(engine, relation, SUFFIX, COMMENT, columns.clone(), &all).await?;
        let shape = |columns: &[ColumnDef]| -> Vec<_> {
            columns.iter().map(|column| (column.name.clone(), column.pg_type.clone())).collect()
        };
        let has_key = found.table().map(TableDef::primary_key) == Some(all.as_slice());
        if !has_key || shape(&found.columns) != shape(&columns) {
            let message = format!("\"{}\" cannot take deletions: its columns or its key are others", found.name);
            return Err(Error::new(ErrorKind::InvalidTableDefinition, message)
                .hint("Give it another name; it is made anew when it is needed."));
        }
        Ok(Self { relation: found, key, of: i64::from(relation.oid.0) })
    }

    /// Keys of the table as keys of this one.
    fn named(&self, keys: &RecordBatch) -> Result<RecordBatch> {
        let of: ArrayRef = Arc::new(Int64Array::from_value(self.of, keys.num_rows()));
        let fields = self.relation.arrow_schema().fields()[..=self.key.len()].to_vec();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), [&[of], keys.columns()].concat())?)
    }

    /// The rows for deletions that say how new they are.
    fn dug(&self, engine: &Engine, deleted: &RecordBatch, sequences: &ArrayRef) -> Result<RecordBatch> {
        let says = is_not_null(sequences)?;
        let named = self.named(&filter_record_batch(deleted, &says)?)?;
        let now = engine.buffer().clock().now().timestamp_micros();
        let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from_value(now, named.num_rows()).with_timezone("UTC"));
        let schema = self.relation.arrow_schema();
        let has_own = schema.fields().len() > self.key.len() + 2;
        let sequences = has_own.then(|| filter(sequences, &says)).transpose()?;
        let columns = named.columns().iter().cloned().chain(sequences).chain([at]);
        Ok(RecordBatch::try_new(schema, columns.collect())?)
    }
}

/// Looks keys up: how new each is that is there, by the key without its first `skipped` columns.
async fn newest(
    engine: &Arc<Engine>,
    relation: &RelationDef,
    keys: RecordBatch,
    sequence: &str,
    skipped: usize,
) -> Result<Held> {
    let width = keys.num_columns();
    let mut held = Held::new();
    if keys.num_rows() == 0 {
        return Ok(held);
    }
    for batch in engine.rows_with_keys(relation, keys, sequence, &CancellationToken::new()).await? {
        let newest = batch.column(width);
        let keys = encoded_keys(&batch.columns()[skipped..width])?;
        let sequences = encoded_keys(std::slice::from_ref(newest))?;
        // A row that does not say how new it is is older than all others.
        for at in (0..batch.num_rows()).filter(|at| newest.is_valid(*at)) {
            let sequence: Box<[u8]> = sequences.row(at).as_ref().into();
            let held = held.entry(keys.row(at).as_ref().into()).or_default();
            *held = sequence.max(std::mem::take(held));
        }
    }
    Ok(held)
}

/// True for what is as new as what is held, at least, or counts anyway.
fn is_current(keys: &RecordBatch, newness: &Newness, held: &Held) -> Result<BooleanArray> {
    let (keys, sequences) = (encoded_keys(keys.columns())?, encoded_keys(std::slice::from_ref(&newness.sequence))?);
    let is_current = |at: usize| {
        let held = held.get(keys.row(at).as_ref());
        newness.is_free.value(at) || held.is_none_or(|held| sequences.row(at).as_ref() >= &**held)
    };
    Ok((0..keys.num_rows()).map(|at| Some(is_current(at))).collect())
}

fn in_graves(keys: &RecordBatch, buried: &Held) -> Result<RecordBatch> {
    let encoded = encoded_keys(keys.columns())?;
    let there: BooleanArray = encoded.iter().map(|key| Some(buried.contains_key(key.as_ref()))).collect();
    Ok(filter_record_batch(keys, &there)?)
}
