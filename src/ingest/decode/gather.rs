//! Records become columns: the column of each field is found by its name, values go into arrays of the table's types.
//!
//! A record is there whole or not at all: one that fails leaves a gap in the arrays, which the end takes out. Invariant:
//! between two records every array has as many values as there were records.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, BooleanBuilder, RecordBatch};
use arrow::compute::{concat_batches, filter};
use bytes::Bytes;

use super::column::Column;
use super::guess::Guess;
use super::{NewField, Payload, Refused, Work, columnar, exact, reason};
use crate::catalog::definition::RelationDef;
use crate::catalog::name::NAME_BYTES_MAX;
use crate::engine::functions::cast::parse_time::Moment;
use crate::engine::write::shape::{Given, Shaped};
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};

/// So many fields without a column are told apart.
const FIELDS_MAX: usize = 1000;
/// How far ahead of the last field the next one is looked for, in the order of the first record.
const AHEAD_MAX: usize = 4;

/// What a field's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Column(usize),
    /// No column takes it.
    None(usize),
}

/// Gathers records.
pub(super) struct Gather<'a> {
    relation: &'a RelationDef,
    work: &'a Work,
    moment: Moment,
    slots: Vec<Slot>,
    /// What names stand for, folded and as they are.
    names: HashMap<String, Target>,
    /// The fields in the order in which the first record has them, and how far the present one is.
    order: Vec<(String, Target)>,
    next: usize,
    /// Fields without a column.
    others: Vec<Other>,
    adds_fields: bool,
    origins: Vec<Origin>,
    /// Those of them that failed.
    failed: Vec<usize>,
    parts: Vec<Part>,
    refused: Vec<(Order, Refused)>,
    payload: usize,
    /// Records of the payload so far.
    number: u32,
}

/// The place of a record among all: its payload, and its number there.
pub(super) type Order = (usize, u32);

/// What payloads hold, with the payload of each.
pub(super) struct Gathered {
    pub rows: RecordBatch,
    /// For each of the rows, in the order in which they came.
    pub payloads: Vec<usize>,
    /// In that order, too.
    pub refused: Vec<(Order, Refused)>,
    pub new_fields: Vec<NewField>,
    pub ignored_fields: BTreeMap<String, u64>,
}

/// The values of one column.
struct Slot {
    /// None for a generated column.
    column: Option<Column>,
    is_given: bool,
    /// For a column with a default: which records have no value for it.
    missing: Option<BooleanBuilder>,
}

/// A field that no column takes.
struct Other {
    name: String,
    records: u64,
    guess: Guess,
    /// The column is there, but computes its values.
    is_generated: bool,
}

/// Where a record's text stands.
#[derive(Clone, Copy)]
struct Origin {
    payload: u32,
    number: u32,
    start: u32,
    length: u32,
}

/// Rows that came as columns.
struct Part {
    given: HashMap<usize, Given>,
    /// The rows as they came, and the place of the first.
    rows: RecordBatch,
    first: Order,
    /// Those of them with a value that does not fit.
    failed: Vec<usize>,
}

impl<'a> Gather<'a> {
    pub fn new(scope: &Scope, relation: &'a RelationDef, work: &'a Work) -> Result<Self> {
        let table = relation.table().ok_or_else(|| {
            Error::new(ErrorKind::WrongObjectType, format!("\"{}\" is not a table", relation.name))
                .hint("Rows can be added to tables only.")
        })?;
        let moment = scope.functions.moment();
        let mut gather = Self {
            relation,
            work,
            moment,
            slots: Vec::with_capacity(relation.columns.len()),
            names: HashMap::new(),
            order: Vec::new(),
            next: 0,
            others: Vec::new(),
            adds_fields: crate::ingest::evolution::adds_fields(table),
            origins: Vec::new(),
            failed: Vec::new(),
            parts: Vec::new(),
            refused: Vec::new(),
            payload: 0,
            number: 0,
        };
        for (at, column) in relation.columns.iter().enumerate() {
            let is_generated = column.generated.is_some();
            let target = if is_generated { gather.other(&column.name, true) } else { Target::Column(at) };
            gather.names.insert(column.name.clone(), target);
            let missing = (column.default.is_some() && !is_generated).then(BooleanBuilder::new);
            let column = (!is_generated).then(|| Column::new(&column.pg_type, moment)).transpose()?;
            gather.slots.push(Slot { column, is_given: false, missing });
        }
        Ok(gather)
    }

    /// The next payload begins.
    pub fn begin(&mut self, payload: usize) {
        (self.payload, self.number) = (payload, 0);
    }

    /// What a field of this name is for.
    pub fn target(&mut self, name: &str) -> Result<Target> {
        let ahead = self.order.iter().skip(self.next).take(AHEAD_MAX);
        if let Some((skipped, (_, target))) = ahead.enumerate().find(|(_, (held, _))| held == name) {
            self.next += skipped + 1;
            return Ok(*target);
        }
        let target = self.find(name)?;
        if self.next == self.order.len() {
            self.order.push((name.to_owned(), target));
            self.next += 1;
        }
        Ok(target)
    }

    /// An unquoted name in SQL is folded: so is the name of a field, unless a column has exactly that name.
    fn find(&mut self, name: &str) -> Result<Target> {
        if let Some(target) = self.names.get(name) {
            return Ok(*target);
        }
        let folded = name.to_lowercase();
        if let Some(target) = self.names.get(&folded) {
            return Ok(*target);
        }
        if self.others.len() >= FIELDS_MAX {
            let message =
                format!("more than {FIELDS_MAX} different fields are no columns of \"{}\"", self.relation.name);
            return Err(Error::new(ErrorKind::ProgramLimitExceeded, message));
        }
        if self.adds_fields && (folded.is_empty() || folded.len() > NAME_BYTES_MAX || folded.contains('\0')) {
            let message = format!("field \"{folded}\" cannot become a column");
            return Err(Error::new(ErrorKind::InvalidName, message)
                .detail(format!("The name of a column has 1 to {NAME_BYTES_MAX} bytes.")));
        }
        let target = self.other(&folded, false);
        self.names.insert(folded, target);
        Ok(target)
    }

    fn other(&mut self, name: &str, is_generated: bool) -> Target {
        self.others.push(Other { name: name.to_owned(), records: 0, guess: Guess::default(), is_generated });
        Target::None(self.others.len() - 1)
    }

    /// All columns that can be given, in order.
    pub fn all_columns(&self) -> Vec<Target> {
        let is_given = |(_, slot): &(usize, &Slot)| slot.column.is_some();
        self.slots.iter().enumerate().filter(is_given).map(|(at, _)| Target::Column(at)).collect()
    }

    /// An error where two of the fields are for one column.
    pub fn refuse_twice(&self, targets: &[Target]) -> Result<()> {
        let twice = |(at, target): (usize, &Target)| match target {
            Target::Column(column) if targets[..at].contains(target) => Some(*column),
            _ => None,
        };
        targets.iter().enumerate().find_map(twice).map_or(Ok(()), |column| Err(self.twice(column)))
    }

    fn twice(&self, column: usize) -> Error {
        let name = &self.relation.columns[column].name;
        Error::new(ErrorKind::DuplicateColumn, format!("column \"{name}\" specified more than once"))
    }

    /// Takes a value as JSON text.
    pub fn put_json(&mut self, target: Target, raw: &str) -> Result<()> {
        let depth_max = self.work.limits.depth_max;
        match target {
            Target::Column(at) => self.put(at, |column| column.push_json(raw, depth_max)),
            Target::None(at) => {
                let other = &mut self.others[at];
                other.records += 1;
                other.guess.see(raw);
                Ok(())
            }
        }
    }

    /// Takes a value as text, or NULL.
    pub fn put_text(&mut self, target: Target, text: Option<&str>) -> Result<()> {
        match (target, text) {
            (Target::Column(at), None) => self.put(at, |column| {
                column.push_null();
                Ok(())
            }),
            (Target::Column(at), Some(text)) => self.put(at, |column| column.push_text(text)),
            (Target::None(at), text) => {
                let other = &mut self.others[at];
                other.records += 1;
                text.into_iter().for_each(|text| other.guess.see_text(text));
                Ok(())
            }
        }
    }

    fn put(&mut self, at: usize, push: impl FnOnce(&mut Column) -> Result<()>) -> Result<()> {
        let row = self.origins.len();
        let Slot { column: Some(column), is_given, .. } = &mut self.slots[at] else {
            return Err(Error::internal("a value was given for a generated column"));
        };
        *is_given = true;
        if column.len() > row {
            return Err(self.twice(at));
        }
        push(column).map_err(|error| error.within(format!("column \"{}\"", self.relation.columns[at].name)))
    }

    /// The record is over; `text` is a part of the payload.
    pub fn end_record(&mut self, text: &[u8], outcome: Result<()>) {
        let row = self.origins.len();
        self.number += 1;
        self.next = 0;
        let payload = &self.work.payloads[self.payload];
        if let Err(error) = &outcome {
            self.failed.push(row);
            let raw = payload.bytes.slice_ref(text);
            self.refused.push(((self.payload, self.number), refused(payload, raw, self.number, error)));
        }
        for slot in &mut self.slots {
            let Some(column) = &mut slot.column else { continue };
            let is_missing = column.len() == row;
            if is_missing {
                column.push_null();
            }
            slot.missing.iter_mut().for_each(|missing| missing.append_value(is_missing));
        }
        // Payloads are far smaller than 4 GiB: the log takes no change of more than 1 GiB.
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let start = text.as_ptr() as usize - payload.bytes.as_ptr() as usize;
        let (start, length) = (number(start), number(text.len()));
        self.origins.push(Origin { payload: number(self.payload), number: self.number, start, length });
    }

    /// The payload that began last is no records at all.
    pub fn refuse_payload(&mut self, error: &Error) {
        let at = self.payload;
        self.parts.retain(|part| part.first.0 != at);
        self.refused.retain(|(order, _)| order.0 != at);
        let payload = &self.work.payloads[at];
        self.refused.push(((at, 1), refused(payload, payload.bytes.clone(), 1, error)));
    }

    /// Takes rows that came as columns.
    pub fn put_rows(&mut self, rows: &RecordBatch) -> Result<()> {
        let schema = rows.schema();
        let targets = schema.fields().iter().map(|field| self.target(field.name())).collect::<Result<Vec<_>>>()?;
        self.next = 0;
        self.refuse_twice(&targets)?;
        let first = (self.payload, self.number + 1);
        let (mut given, mut failed) = (HashMap::new(), BTreeMap::new());
        for ((target, field), values) in targets.into_iter().zip(schema.fields()).zip(rows.columns()) {
            match target {
                Target::Column(at) => {
                    let column = &self.relation.columns[at];
                    let (values, unfit) = exact::fit(values, field, &column.pg_type, self.moment)?;
                    for (row, error) in unfit {
                        failed.entry(row).or_insert_with(|| error.within(format!("column \"{}\"", column.name)));
                    }
                    given.insert(at, Given { values, missing: None });
                }
                Target::None(at) => {
                    let there = values.len() - values.logical_null_count();
                    self.others[at].records += there as u64;
                    if there > 0 {
                        self.others[at].guess.see_type(field);
                    }
                }
            }
        }
        let payload = &self.work.payloads[self.payload];
        for (row, error) in &failed {
            let number = first.1 + u32::try_from(*row).unwrap_or(u32::MAX);
            let refused = refused(payload, columnar::row_text(rows, *row), number, error);
            self.refused.push(((self.payload, number), refused));
        }
        self.number = self.number.saturating_add(u32::try_from(rows.num_rows()).unwrap_or(u32::MAX));
        // The numbers of rows stay as they are: those that failed are taken out only once the rest is shaped.
        let failed: Vec<usize> = failed.into_keys().collect();
        self.parts.push(Part { given, rows: rows.clone(), first, failed });
        Ok(())
    }

    /// The rows, and what is none.
    pub fn finish(mut self, engine: &Engine, scope: &Scope) -> Result<Gathered> {
        let ignored = self.others.iter().filter(|other| other.records > 0);
        let is_new = |other: &&Other| self.adds_fields && !other.is_generated && other.guess.pg_type().is_some();
        let new = |other: &Other| Some(NewField { name: other.name.clone(), pg_type: other.guess.pg_type()? });
        let new_fields: Vec<NewField> = ignored.clone().filter(is_new).filter_map(new).collect();
        let ignored_fields = ignored.map(|other| (other.name.clone(), other.records)).collect();
        let stored = self.relation.arrow_schema();
        if !new_fields.is_empty() {
            let rows = RecordBatch::new_empty(stored);
            return Ok(Gathered { rows, payloads: Vec::new(), refused: Vec::new(), new_fields, ignored_fields });
        }
        let (mut rows, mut payloads) = (Vec::new(), Vec::new());
        for part in std::mem::take(&mut self.parts) {
            rows.push(self.shape_part(engine, scope, part, &mut payloads)?);
        }
        if !self.origins.is_empty() {
            rows.push(self.shape_records(engine, scope, &mut payloads)?);
        }
        let rows = match <[RecordBatch; 1]>::try_from(rows) {
            Ok([all]) => all,
            Err(parts) => concat_batches(&stored, &parts)?,
        };
        self.refused.sort_by_key(|(order, _)| *order);
        Ok(Gathered { rows, payloads, refused: self.refused, new_fields, ignored_fields })
    }

    fn shape_records(&mut self, engine: &Engine, scope: &Scope, payloads: &mut Vec<usize>) -> Result<RecordBatch> {
        let kept = kept(self.origins.len(), &self.failed);
        let mut given = HashMap::new();
        for (at, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.is_given) {
            let Some(column) = &mut slot.column else { continue };
            let missing = slot.missing.as_mut().map(BooleanBuilder::finish).filter(|missing| missing.true_count() > 0);
            given.insert(at, Given { values: column.finish()?, missing });
        }
        let origins: Vec<Origin> = match &kept {
            None => std::mem::take(&mut self.origins),
            Some(kept) => {
                self.origins.iter().zip(kept.values()).filter_map(|(origin, kept)| kept.then_some(*origin)).collect()
            }
        };
        let given = without_failed(given, kept.as_ref())?;
        let Shaped { rows, broken } = engine.shape(scope, self.relation, given, origins.len())?;
        let mut gone = broken.iter().map(|(row, _)| *row).peekable();
        let passed = origins.iter().enumerate().filter(|(row, _)| gone.next_if_eq(row).is_none());
        payloads.extend(passed.map(|(_, origin)| origin.payload as usize));
        for (row, error) in broken {
            let Origin { payload, number, start, length } = origins[row];
            let held = &self.work.payloads[payload as usize];
            let raw = held.bytes.slice(start as usize..(start + length) as usize);
            self.refused.push(((payload as usize, number), refused(held, raw, number, &error)));
        }
        Ok(rows)
    }

    fn shape_part(
        &mut self,
        engine: &Engine,
        scope: &Scope,
        part: Part,
        payloads: &mut Vec<usize>,
    ) -> Result<RecordBatch> {
        let count = part.rows.num_rows();
        let kept = kept(count, &part.failed);
        let numbers: Vec<usize> = (0..count).filter(|row| kept.as_ref().is_none_or(|kept| kept.value(*row))).collect();
        let given = without_failed(part.given, kept.as_ref())?;
        let Shaped { rows, broken } = engine.shape(scope, self.relation, given, numbers.len())?;
        payloads.extend(std::iter::repeat_n(part.first.0, rows.num_rows()));
        for (row, error) in broken {
            let (payload, first) = part.first;
            let number = first + u32::try_from(numbers[row]).unwrap_or(u32::MAX);
            let raw = columnar::row_text(&part.rows, numbers[row]);
            self.refused.push(((payload, number), refused(&self.work.payloads[payload], raw, number, &error)));
        }
        Ok(rows)
    }
}

/// True for the rows that did not fail, where some did.
fn kept(count: usize, failed: &[usize]) -> Option<BooleanArray> {
    if failed.is_empty() {
        return None;
    }
    let mut kept = vec![true; count];
    failed.iter().for_each(|row| kept[*row] = false);
    Some(BooleanArray::from(kept))
}

fn without_failed(given: HashMap<usize, Given>, kept: Option<&BooleanArray>) -> Result<HashMap<usize, Given>> {
    let Some(kept) = kept else { return Ok(given) };
    let fewer = |(at, Given { values, missing }): (usize, Given)| {
        let values: ArrayRef = filter(&values, kept)?;
        let missing = missing.map(|missing| filter(&missing, kept)).transpose()?;
        let missing = missing.map(|missing| BooleanArray::from(missing.to_data()));
        Ok((at, Given { values, missing }))
    };
    given.into_iter().map(fewer).collect()
}

/// A record of a payload that cannot be stored.
pub(super) fn refused(payload: &Payload, raw: Bytes, number: u32, error: &Error) -> Refused {
    Refused {
        raw: payload.raw.clone().unwrap_or(raw),
        reason: reason(error),
        place: payload.place.unwrap_or_else(|| payload.before + i64::from(number)),
        source: Arc::clone(&payload.source),
    }
}
