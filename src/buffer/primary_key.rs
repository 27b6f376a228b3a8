//! Rows by their primary key: which columns it has, and where in a batch a key stands.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::row::{Row, RowConverter, Rows, SortField};

use crate::catalog::definition::{RelationDef, TableDef};
use crate::error::{Error, Result};

/// The columns of a table's primary key.
pub(super) fn of(relation: &RelationDef) -> Result<&[String]> {
    let key = relation.table().map(TableDef::primary_key).unwrap_or_default();
    match key {
        [] => Err(Error::internal(format!("rows of \"{}\" are replaced by key, but it has none", relation.name))),
        key => Ok(key),
    }
}

/// The columns of a key, of all columns.
pub(super) fn schema(all: &SchemaRef, key: &[String]) -> Result<SchemaRef> {
    let field = |name: &String| Ok(FieldRef::clone(&all.fields()[all.index_of(name)?]));
    Ok(Arc::new(Schema::new(key.iter().map(field).collect::<Result<Vec<_>>>()?)))
}

/// Keys as bytes that compare as they do.
pub fn encoded(keys: &[ArrayRef]) -> Result<Rows> {
    let fields = keys.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    Ok(RowConverter::new(fields)?.convert_columns(keys)?)
}

/// Finds rows by their key.
pub(super) struct KeyIndex {
    encoded: Rows,
    /// The rows, by key, and those of one key as they stand.
    sorted: Vec<u32>,
}

impl KeyIndex {
    /// Of the key columns of a batch.
    pub fn of(keys: &[ArrayRef]) -> Result<Self> {
        let encoded = encoded(keys)?;
        let mut sorted: Vec<u32> = (0..).take(encoded.num_rows()).collect();
        sorted.sort_by(|one, other| encoded.row(*one as usize).cmp(&encoded.row(*other as usize)));
        Ok(Self { encoded, sorted })
    }

    /// The places of the rows with this key.
    pub fn places(&self, key: Row<'_>) -> impl Iterator<Item = usize> {
        let start = self.sorted.partition_point(|at| self.encoded.row(*at as usize) < key);
        self.sorted[start..].iter().map(|at| *at as usize).take_while(move |at| self.encoded.row(*at) == key)
    }

    /// True for each of these keys that no row has.
    pub fn lacks(&self, keys: &[ArrayRef]) -> Result<BooleanArray> {
        let keys = encoded(keys)?;
        Ok(keys.iter().map(|key| Some(self.places(key).next().is_none())).collect())
    }

    /// True for each row behind which no other has its key; nothing where that holds for all.
    pub fn last_of_each(&self) -> Option<BooleanArray> {
        let row = |at: &u32| self.encoded.row(*at as usize);
        let repeated = |pair: &[u32]| row(&pair[0]) == row(&pair[1]);
        let mut last = vec![true; self.sorted.len()];
        self.sorted.windows(2).filter(|pair| repeated(pair)).for_each(|pair| last[pair[0] as usize] = false);
        last.contains(&false).then(|| BooleanArray::from(last))
    }

    /// The memory it takes.
    pub fn bytes(&self) -> usize {
        self.encoded.size() + size_of_val(self.sorted.as_slice())
    }
}
