//! The ledger of a source: which files were read, and how far.
//!
//! It is a table like others: a row for each step of a file, the last one says that it is finished. Who deletes the rows of a
//! file has it read again when the source starts next.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::Int64Type;
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use futures::StreamExt;
use object_store::ObjectMeta;
use tokio_util::sync::CancellationToken;

use super::Begun;
use crate::catalog::definition::{RelationDef, SourceDef};
use crate::catalog::name::Oid;
use crate::dialect;
use crate::dialect::Statement;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};

/// The columns of a ledger, as CREATE TABLE has them.
pub const LEDGER_COLUMNS: &str = "path text NOT NULL, version text NOT NULL, bytes bigint NOT NULL, \
    modified_at timestamptz NOT NULL, records bigint NOT NULL, finished boolean NOT NULL, read_at timestamptz NOT NULL";

/// What is known of the files of a source.
pub(super) struct Ledger {
    engine: Arc<Engine>,
    table: Oid,
    /// Files that were read to their end: sums of path and version, as there may be millions.
    finished: HashMap<u128, u64>,
    begun: Begun,
}

/// The version of a file: two that differ have different contents.
pub(super) fn version(file: &ObjectMeta) -> String {
    let own = || format!("{}-{}", file.last_modified.timestamp_micros(), file.size);
    file.e_tag.clone().unwrap_or_else(own)
}

impl Ledger {
    /// Reads the ledger of a source.
    pub async fn open(engine: &Arc<Engine>, source: &SourceDef) -> Result<Self> {
        let table = source.ledger.ok_or_else(|| Error::internal("a source of files has no ledger"))?;
        let mut ledger = Self { engine: Arc::clone(engine), table, finished: HashMap::new(), begun: Begun::new() };
        let scope = engine.background_scope();
        let relation = ledger.relation()?;
        let name = scope.version.catalog.name_of(&relation).quoted();
        let query = dialect::parse_query(&format!("SELECT path, version, records, finished FROM {name}"))?;
        let planned = engine.plan_query(&scope, &query, &[]).await?;
        let mut rows = engine.run(&scope, &planned, &[], &CancellationToken::new()).await?;
        while let Some(batch) = rows.next().await.transpose()? {
            ledger.take(&batch);
        }
        Ok(ledger)
    }

    fn take(&mut self, batch: &RecordBatch) {
        let (paths, versions) = (batch.column(0).as_string_view(), batch.column(1).as_string_view());
        let (records, finished) = (batch.column(2).as_primitive::<Int64Type>(), batch.column(3).as_boolean());
        for row in (0..batch.num_rows()).filter(|row| paths.is_valid(*row) && versions.is_valid(*row)) {
            self.hear(paths.value(row), versions.value(row), records.value(row).unsigned_abs(), finished.value(row));
        }
    }

    fn hear(&mut self, path: &str, version: &str, records: u64, finished: bool) {
        let key = sum(path);
        if finished {
            self.finished.insert(key, short(version));
            self.begun.remove(path);
        } else if !self.finished.contains_key(&key) {
            let begun = self.begun.entry(path.to_owned()).or_default();
            if records >= begun.1 {
                *begun = (version.to_owned(), records);
            }
        }
    }

    /// How many files were read to their end.
    pub fn finished(&self) -> u64 {
        self.finished.len() as u64
    }

    /// `None` for a file to read; else true where it is what it was when it was read.
    pub fn is_finished(&self, file: &ObjectMeta) -> Option<bool> {
        self.finished.get(&sum(file.location.as_ref())).map(|held| *held == short(&version(file)))
    }

    /// The version and the number of records that are stored of a file that was not read to its end.
    pub fn begun(&self, file: &ObjectMeta) -> Option<(String, u64)> {
        self.begun.get(file.location.as_ref()).cloned()
    }

    /// What was added to the table with [`Ledger::row`] is there.
    pub fn note(&mut self, file: &ObjectMeta, records: u64, finished: bool) {
        self.hear(file.location.as_ref(), &version(file), records, finished);
    }

    /// The row that says how far a file was read.
    pub fn row(
        &self,
        file: &ObjectMeta,
        records: u64,
        finished: bool,
        now: DateTime<Utc>,
    ) -> Result<(Arc<RelationDef>, RecordBatch)> {
        let number =
            |value: u64| -> ArrayRef { Arc::new(Int64Array::from(vec![i64::try_from(value).unwrap_or(i64::MAX)])) };
        let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
        let time = |value: DateTime<Utc>| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(vec![value.timestamp_micros()]).with_timezone("UTC"))
        };
        let values = BTreeMap::from([
            ("path", text(file.location.as_ref())),
            ("version", text(&version(file))),
            ("bytes", number(file.size)),
            ("modified_at", time(file.last_modified)),
            ("records", number(records)),
            ("finished", Arc::new(BooleanArray::from(vec![finished]))),
            ("read_at", time(now)),
        ]);
        let relation = self.relation()?;
        let schema = relation.arrow_schema();
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            columns.push(match values.get(field.name().as_str()) {
                Some(value) => cast(value, field.data_type())?,
                None => new_null_array(field.data_type(), 1),
            });
        }
        Ok((relation, RecordBatch::try_new(schema, columns)?))
    }

    fn relation(&self) -> Result<Arc<RelationDef>> {
        let relation = self.engine.buffer().current().catalog.relation_by_oid(self.table);
        relation.ok_or_else(|| Error::new(ErrorKind::UndefinedTable, "the source's list of files was dropped"))
    }
}

/// Forgets the files that were modified then or later.
pub(super) async fn forget(engine: &Arc<Engine>, source: &SourceDef, moment: DateTime<Utc>) -> Result<()> {
    let scope = engine.background_scope();
    let ledger = source.ledger.and_then(|oid| scope.version.catalog.relation_by_oid(oid));
    let ledger = ledger.ok_or_else(|| Error::internal("a source of files has no ledger"))?;
    let name = scope.version.catalog.name_of(&ledger).quoted();
    let text = format!("DELETE FROM {name} WHERE modified_at >= $1");
    let Some(Statement::Delete(delete)) = dialect::parse(&text)?.pop().map(|parsed| parsed.statement) else {
        return Err(Error::internal("the text is no DELETE"));
    };
    let moment = ScalarValue::TimestampMicrosecond(Some(moment.timestamp_micros()), Some("UTC".into()));
    engine.delete(&scope, &delete, &[moment], &CancellationToken::new()).await.map(drop)
}

fn short(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Two sums of 64 bits: no two paths of this world share both.
fn sum(path: &str) -> u128 {
    let mut other = DefaultHasher::new();
    (path, "path").hash(&mut other);
    u128::from(short(path)) << 64 | u128::from(other.finish())
}
