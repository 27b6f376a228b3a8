//! The rows that a group of statements looks at, and what it makes of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{concat_batches, interleave, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::common::JoinType;
use datafusion::logical_expr::{LogicalPlanBuilder, ident};
use tokio_util::sync::CancellationToken;

use crate::buffer::{DbVersion, Rows, encoded_keys};
use crate::catalog::definition::{RelationDef, TableDef};
use crate::engine::Engine;
use crate::engine::Scope;
use crate::engine::conflict::{CONSUMER, EXCLUDED, NUMBER_COLUMN, as_present, meeting};
use crate::engine::delete::target_column;
use crate::engine::target::Target;
use crate::error::{Error, Result};
use crate::log::Effect;

/// Where a row stands: in which batch, and there.
type Place = (usize, usize);

/// The rows with the keys that a group proposes.
pub(super) struct Present {
    schema: SchemaRef,
    /// The columns of the primary key.
    key: Vec<usize>,
    batches: Vec<RecordBatch>,
    known: HashMap<Box<[u8]>, Known>,
}

/// What is known of a key.
#[derive(Clone, Copy, Default)]
struct Known {
    /// The row that has it, as the statements so far have made it.
    place: Option<Place>,
    /// Several rows had it before.
    is_of_many: bool,
    was_there: bool,
    is_changed: bool,
}

impl Present {
    /// Looks the proposed keys up.
    pub async fn look(
        engine: &Engine,
        relation: &Arc<RelationDef>,
        version: &Arc<DbVersion>,
        proposed: &[&RecordBatch],
    ) -> Result<Self> {
        let names = relation.table().map(TableDef::primary_key).unwrap_or_default();
        let schema = relation.arrow_schema();
        let key = names.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>()?;
        let mut present = Self { schema: Arc::clone(&schema), key, batches: Vec::new(), known: HashMap::new() };
        let (mut keys, mut distinct) = (Vec::new(), Vec::new());
        for rows in proposed {
            let mut first = Vec::new();
            for (number, own) in (0..).zip(present.keys(rows)?) {
                if !present.known.contains_key(&own) {
                    present.known.insert(own.clone(), Known::default());
                    keys.push(own);
                    first.push(number);
                }
            }
            distinct.push(take_record_batch(&rows.project(&present.key)?, &UInt32Array::from(first))?);
        }
        let sought = concat_batches(&Arc::new(schema.project(&present.key)?), &distinct)?;
        let found = version.tail(relation.oid)?.find(&sought)?;
        if let Some(rows) = &found.rows {
            present.note(rows, found.of.iter().map(|number| &keys[*number]))?;
        }
        let left = (0..).zip(&found.covers).filter(|(_, covers)| !**covers).map(|(number, _)| number);
        let left: Vec<u64> = left.collect();
        if !left.is_empty() && !version.snapshot(relation.oid)?.files().is_empty() {
            let sought = take_record_batch(&sought, &UInt64Array::from(left.clone()))?;
            for rows in in_files(engine, relation, version, sought, left).await? {
                let numbers = rows.column(rows.num_columns() - 1).as_primitive::<UInt64Type>().clone();
                present.note(&rows, numbers.values().iter().map(|number| &keys[*number as usize]))?;
            }
        }
        Ok(present)
    }

    /// Notes rows of the table, each with its key.
    fn note<'a>(&mut self, rows: &RecordBatch, keys: impl Iterator<Item = &'a Box<[u8]>>) -> Result<()> {
        let batch = self.batches.len();
        for (row, key) in keys.enumerate() {
            let known = self.known.get_mut(key).ok_or_else(|| Error::internal("a row was found that nobody sought"))?;
            known.is_of_many |= known.was_there;
            (known.place, known.was_there) = (Some((batch, row)), true);
        }
        let own = rows.columns()[..self.schema.fields().len()].to_vec();
        self.batches.push(RecordBatch::try_new(Arc::clone(&self.schema), own)?);
        Ok(())
    }

    /// The keys of rows.
    pub fn keys(&self, rows: &RecordBatch) -> Result<Vec<Box<[u8]>>> {
        let columns: Vec<ArrayRef> = self.key.iter().map(|at| Arc::clone(rows.column(*at))).collect();
        Ok(encoded_keys(&columns)?.iter().map(|key| key.as_ref().into()).collect())
    }

    /// Where the row with a key stands, if there is one.
    pub fn place(&self, key: &[u8]) -> Option<Place> {
        self.known.get(key).and_then(|known| known.place)
    }

    pub fn is_of_many(&self, key: &[u8]) -> bool {
        self.known.get(key).is_some_and(|known| known.is_of_many)
    }

    /// The rows at these places.
    pub fn rows<'a>(&self, places: impl Iterator<Item = &'a Place>) -> Result<RecordBatch> {
        let mut places: Vec<Place> = places.copied().collect();
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.schema)));
        }
        let mut used: Vec<usize> = places.iter().map(|(batch, _)| *batch).collect();
        used.sort_unstable();
        used.dedup();
        places.iter_mut().for_each(|(batch, _)| *batch = used.partition_point(|one| one < batch));
        let column = |at: usize| {
            let all: Vec<&dyn Array> = used.iter().map(|batch| self.batches[*batch].column(at).as_ref()).collect();
            interleave(&all, &places)
        };
        let columns = (0..self.schema.fields().len()).map(column).collect::<Result<_, _>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Takes what a statement does: the proposed rows with the numbers `new` go in, and `changed` take the places of those that
    /// have the keys of the proposed rows with the numbers `changing`. Gives what it has written, in the proposed order.
    pub fn write(
        &mut self,
        keys: &[Box<[u8]>],
        proposed: &RecordBatch,
        new: &[u32],
        changed: Option<&RecordBatch>,
        changing: &[u32],
    ) -> Result<RecordBatch> {
        let mut written: Vec<(u32, Place)> = Vec::with_capacity(new.len() + changing.len());
        written.extend(new.iter().map(|number| (*number, (self.batches.len(), *number as usize))));
        self.batches.push(proposed.clone());
        if let Some(changed) = changed {
            written.extend(changing.iter().zip(0..).map(|(number, row)| (*number, (self.batches.len(), row))));
            self.batches.push(changed.clone());
        }
        written.sort_unstable();
        for (number, place) in &written {
            let known = self.known.entry(keys[*number as usize].clone()).or_default();
            (known.place, known.is_changed) = (Some(*place), true);
        }
        self.rows(written.iter().map(|(_, place)| place))
    }

    /// What the group has made of the table.
    pub fn outcome(&self, relation: &Arc<RelationDef>) -> Result<Vec<Rows>> {
        let mut outcome = Vec::new();
        for (effect, was_there) in [(Effect::Upsert, true), (Effect::Insert, false)] {
            let changed = self.known.values().filter(|known| known.is_changed && known.was_there == was_there);
            let mut places: Vec<Place> = changed.filter_map(|known| known.place).collect();
            places.sort_unstable();
            if !places.is_empty() {
                outcome.push(Rows { table: Arc::clone(relation), effect, batches: vec![self.rows(places.iter())?] });
            }
        }
        Ok(outcome)
    }
}

/// The rows of files with one of these keys, and behind them the numbers of the keys.
async fn in_files(
    engine: &Engine,
    relation: &Arc<RelationDef>,
    version: &Arc<DbVersion>,
    sought: RecordBatch,
    numbers: Vec<u64>,
) -> Result<Vec<RecordBatch>> {
    let scope = Scope { version: Arc::clone(version), ..engine.background_scope() };
    let target = as_present(&Target { relation: Arc::clone(relation), alias: relation.name.clone() });
    let key: Vec<String> = sought.schema().fields().iter().map(|field| field.name().clone()).collect();
    let number = Arc::new(Field::new(NUMBER_COLUMN, DataType::UInt64, false));
    let schema = Schema::new(sought.schema().fields().iter().cloned().chain([number]).collect::<Vec<_>>());
    let columns = [sought.columns(), &[Arc::new(UInt64Array::from(numbers)) as ArrayRef]].concat();
    let mut kept = engine.nothing_kept(CONSUMER, Arc::new(schema));
    kept.push(RecordBatch::try_new(kept.schema(), columns)?)?;
    let pairs = meeting(kept.scan(EXCLUDED)?, &target, target.scan(&scope, None)?, &key, JoinType::Inner)?;
    let mut own: Vec<_> =
        relation.columns.iter().map(|column| target_column(&target, &column.name).alias(&column.name)).collect();
    own.push(ident(NUMBER_COLUMN));
    let plan = LogicalPlanBuilder::from(pairs).project(own)?.build()?;
    engine.collect(&scope, &plan, &CancellationToken::new()).await
}
