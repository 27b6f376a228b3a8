//! Which of several changes of one key counts.
//!
//! The last one does, in the order of the records; where a column says how new rows are (`SEQUENCE BY`), the last of the
//! newest. A key that goes without saying how new it is, as a message without a value, goes whatever was there before.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::filter;
use arrow::row::{Row, Rows};

use super::DecodedPart;
use crate::buffer::encoded_keys;
use crate::error::Result;
use crate::ingest::decode::Newness;

/// A change among all: its record, whether it is a row (a record that does both lets its old key go first), its place.
type Order = (usize, bool, usize);

/// What counts of rows, or of keys that go.
pub(super) struct Counted {
    pub kept: BooleanArray,
    /// True where it counts whatever the table has.
    is_free: BooleanArray,
}

impl Counted {
    /// How new each is of those that count.
    pub fn newness(&self, part: &DecodedPart, sequence: &str) -> Result<Newness> {
        let is_free = filter(&self.is_free, &self.kept)?.as_boolean().clone();
        Ok(Newness { sequence: filter(&part.column(sequence)?, &self.kept)?, is_free })
    }
}

/// The change of a key that counts so far.
struct Winner<'a> {
    order: Order,
    sequence: Option<Row<'a>>,
    /// The key went before, whatever the table had.
    is_free: bool,
}

/// How new the changes of a part are, if they say so.
struct Sequences(Option<(Rows, ArrayRef)>);

impl Sequences {
    fn of(part: &DecodedPart, column: Option<&str>) -> Result<Self> {
        let Some(name) = column else { return Ok(Self(None)) };
        let column = part.column(name)?;
        Ok(Self(Some((encoded_keys(std::slice::from_ref(&column))?, column))))
    }

    fn at(&self, place: usize) -> Option<Row<'_>> {
        let (rows, column) = self.0.as_ref()?;
        column.is_valid(place).then(|| rows.row(place))
    }
}

/// The changes that count, of rows and of keys that go.
pub(super) fn winners(
    rows: &DecodedPart,
    gone: &DecodedPart,
    names: &[String],
    sequence: Option<&str>,
) -> Result<[Counted; 2]> {
    let keys = [rows.keys(names)?, gone.keys(names)?];
    let sequences = [Sequences::of(rows, sequence)?, Sequences::of(gone, sequence)?];
    let orders = |part: &DecodedPart, is_row: bool| -> Vec<Order> {
        part.records.iter().enumerate().map(|(at, record)| (*record, is_row, at)).collect()
    };
    let orders = [orders(rows, true), orders(gone, false)];
    let mut all: Vec<(Order, usize)> =
        (0..).zip(&orders).flat_map(|(part, orders)| orders.iter().map(move |order| (*order, part))).collect();
    all.sort_unstable();
    let mut winners: HashMap<Row<'_>, Winner<'_>> = HashMap::with_capacity(rows.records.len());
    for (order, part) in all {
        let (key, sequence) = (keys[part].row(order.2), sequences[part].at(order.2));
        let before = winners.get(&key);
        let is_older = before.and_then(|before| before.sequence).zip(sequence).is_some_and(|(held, new)| new < held);
        if !is_older {
            let is_free = sequence.is_none() || before.is_some_and(|before| before.is_free);
            winners.insert(key, Winner { order, sequence, is_free });
        }
    }
    let counted = |part: usize| {
        let winner = |order: &Order| winners.get(&keys[part].row(order.2)).filter(|winner| winner.order == *order);
        let found: Vec<_> = orders[part].iter().map(winner).collect();
        let of = |asked: fn(&Winner<'_>) -> bool| -> BooleanArray {
            found.iter().map(|winner| Some(winner.is_some_and(asked))).collect()
        };
        Counted { kept: of(|_| true), is_free: of(|winner| winner.is_free) }
    };
    Ok([counted(0), counted(1)])
}
