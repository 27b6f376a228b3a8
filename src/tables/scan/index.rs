//! The statistics of a list of files by column, as arrays: what pruning and the optimizer read.
//!
//! Built when a query first needs a column and kept with the list, so that planning over ten thousand files evaluates a
//! few vectors instead of visiting each file. Invariant: entry `i` of every array is of file `i` of the list.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, BooleanArray, StringArray, UInt32Array, UInt64Array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Field};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue};
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::RowSelection;

use crate::error::{Error, ErrorKind};
use crate::tables::file_set::FileEntry;
use crate::tables::file_stats::{self, ColumnStats, has_bounds};

/// The files of a list and, per column that a query has asked for, their statistics.
#[derive(Default)]
pub struct FileIndex {
    files: Arc<[Arc<FileEntry>]>,
    columns: Mutex<HashMap<(String, DataType), Arc<ColumnIndex>>>,
    row_counts: OnceLock<ArrayRef>,
    /// Bitmaps that were read, by deletion vector and file.
    selections: Mutex<HashMap<String, RowSelection>>,
}

/// One column's statistics over all files of the list.
pub(super) struct ColumnIndex {
    /// Not above any value of the file; null where unknown.
    pub min: ArrayRef,
    /// Not below any value of the file; null where unknown.
    pub max: ArrayRef,
    /// Rows of the file (deleted ones included) where the column is null; null where unknown.
    pub nulls: UInt64Array,
    /// Where both bounds are values that a scan of the file gives.
    exact: BooleanArray,
    /// Files whose partition value is not of the column's type: everything of it is unknown.
    unreadable: HashSet<usize>,
    of_all_files: OnceLock<ColumnStatistics>,
}

impl FileIndex {
    /// The index of these files; empty until asked.
    pub fn new(files: Arc<[Arc<FileEntry>]>) -> Self {
        Self { files, ..Self::default() }
    }

    pub(super) fn files(&self) -> &Arc<[Arc<FileEntry>]> {
        &self.files
    }

    /// Rows in each file, deleted ones included: what the counts of nulls are counted in.
    pub(super) fn row_counts(&self) -> &ArrayRef {
        self.row_counts.get_or_init(|| Arc::new(self.files.iter().map(|file| file.rows).collect::<UInt64Array>()))
    }

    /// The statistics of a column that is in the files.
    pub(super) fn data_column(&self, field: &Field) -> Result<Arc<ColumnIndex>> {
        self.column(field, || ColumnIndex::of_data(&self.files, field))
    }

    /// The values of the `at`-th partition column.
    pub(super) fn partition_column(&self, field: &Field, at: usize) -> Result<Arc<ColumnIndex>> {
        self.column(field, || ColumnIndex::of_partition(&self.files, field, at))
    }

    fn column(&self, field: &Field, build: impl FnOnce() -> Result<ColumnIndex>) -> Result<Arc<ColumnIndex>> {
        let key = (field.name().clone(), field.data_type().clone());
        let mut columns = self.columns.lock();
        if let Some(known) = columns.get(&key) {
            return Ok(Arc::clone(known));
        }
        let built = Arc::new(build()?);
        columns.insert(key, Arc::clone(&built));
        Ok(built)
    }

    /// Rows that a scan of these files gives. `None` selects all.
    pub(super) fn live_rows(&self, selected: Option<&[u32]>) -> Precision<usize> {
        let mut rows = Some(0_u64);
        self.visit(selected, |file| rows = rows.zip(file.live_rows()).map(|(sum, more)| sum + more));
        rows.and_then(|rows| usize::try_from(rows).ok()).map_or(Precision::Absent, Precision::Exact)
    }

    /// Bytes of these files as stored.
    pub(super) fn size_bytes(&self, selected: Option<&[u32]>) -> u64 {
        let mut bytes = 0;
        self.visit(selected, |file| bytes += file.size_bytes);
        bytes
    }

    fn visit(&self, selected: Option<&[u32]>, mut visit: impl FnMut(&FileEntry)) {
        match selected {
            None => self.files.iter().for_each(|file| visit(file)),
            Some(selected) => selected.iter().for_each(|at| visit(&self.files[*at as usize])),
        }
    }

    pub(super) fn known_selection(&self, id: &str) -> Option<RowSelection> {
        self.selections.lock().get(id).cloned()
    }

    pub(super) fn keep_selection(&self, id: String, selection: RowSelection) {
        self.selections.lock().insert(id, selection);
    }

    /// What the optimizer may believe of a column over these files. `None` selects all.
    pub(super) fn column_statistics(&self, column: &ColumnIndex, selected: Option<&[u32]>) -> Result<ColumnStatistics> {
        let Some(selected) = selected else {
            if let Some(known) = column.of_all_files.get() {
                return Ok(known.clone());
            }
            let everything: Vec<u32> = (0..u32::try_from(self.files.len()).unwrap_or(u32::MAX)).collect();
            let statistics = column.summary(&self.files, &everything)?;
            return Ok(column.of_all_files.get_or_init(|| statistics).clone());
        };
        column.summary(&self.files, selected)
    }
}

impl fmt::Debug for FileIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileIndex({} files)", self.files.len())
    }
}

impl ColumnIndex {
    fn of_data(files: &[Arc<FileEntry>], field: &Field) -> Result<Self> {
        let data_type = field.data_type();
        let of = |file: &Arc<FileEntry>| file.stats.columns.get(field.name().as_str()).cloned().unwrap_or_default();
        let stats: Vec<ColumnStats> = files.iter().map(of).collect();
        // Exact bounds of floats are not used: `min` would have to tell -0.0 from 0.0 as DataFusion does.
        let usable = !data_type.is_floating();
        let exact = |(stats, file): (&ColumnStats, &Arc<FileEntry>)| {
            let bounded = stats.min.is_some() && stats.max.is_some();
            let empty = stats.null_count.is_some() && stats.null_count == file.rows;
            file.deletion_vector.is_none() && (usable && stats.exact && bounded || empty)
        };
        Ok(Self {
            min: bounds(stats.iter().map(|column| column.min.as_ref()), data_type)?,
            max: bounds(stats.iter().map(|column| column.max.as_ref()), data_type)?,
            nulls: stats.iter().map(|column| column.null_count).collect(),
            exact: stats.iter().zip(files).map(|pair| Some(exact(pair))).collect(),
            unreadable: HashSet::new(),
            of_all_files: OnceLock::new(),
        })
    }

    fn of_partition(files: &[Arc<FileEntry>], field: &Field, at: usize) -> Result<Self> {
        // Delta writes NULL as the empty text, too.
        let text = |file: &Arc<FileEntry>| file.partition.get(at).cloned().flatten().filter(|text| !text.is_empty());
        let texts: StringArray = files.iter().map(text).collect();
        let (values, unreadable) = partition_values(&texts, field.data_type())?;
        let nulls = |(at, file): (usize, &Arc<FileEntry>)| match (values.is_null(at), unreadable.contains(&at)) {
            (_, true) => None,
            (true, false) => file.rows,
            (false, false) => Some(0),
        };
        let exact = |(at, file): (usize, &Arc<FileEntry>)| {
            Some(file.rows.is_some() && file.deletion_vector.is_none() && !unreadable.contains(&at))
        };
        Ok(Self {
            nulls: files.iter().enumerate().map(nulls).collect(),
            exact: files.iter().enumerate().map(exact).collect(),
            min: Arc::clone(&values),
            max: values,
            unreadable,
            of_all_files: OnceLock::new(),
        })
    }

    /// True where the file's value cannot be read.
    pub(super) fn is_unreadable(&self, at: usize) -> bool {
        self.unreadable.contains(&at)
    }

    /// An error where the value of one of these files is needed and cannot be read.
    pub(super) fn require_readable(&self, field: &Field, files: &[Arc<FileEntry>], selected: &[u32]) -> Result<()> {
        let Some(at) = selected.iter().find(|at| self.unreadable.contains(&(**at as usize))) else { return Ok(()) };
        let file = &files[*at as usize];
        let message = format!("a value of partition column \"{}\" is not of its type", field.name());
        Err(Error::new(ErrorKind::DataCorrupted, message)
            .detail(format!("It is that of the file \"{}\".", file.path))
            .into())
    }

    /// What the optimizer may believe of this column in one file.
    pub(super) fn of_file(&self, file: &FileEntry, at: usize) -> Result<ColumnStatistics> {
        let exact = self.exact.value(at);
        Ok(ColumnStatistics {
            null_count: match self.nulls.is_valid(at) {
                true => precision(
                    usize::try_from(self.nulls.value(at)).unwrap_or(usize::MAX),
                    file.deletion_vector.is_none(),
                ),
                false => Precision::Absent,
            },
            min_value: bound(ScalarValue::try_from_array(&self.min, at)?, exact),
            max_value: bound(ScalarValue::try_from_array(&self.max, at)?, exact),
            ..ColumnStatistics::new_unknown()
        })
    }

    /// True where the log's statistics of a floating-point column were taken with NaN in mind, and there is none.
    pub(super) fn rules_out_nan(&self, file: &FileEntry, at: usize) -> bool {
        let empty = self.nulls.is_valid(at) && Some(self.nulls.value(at)) == file.rows;
        empty || self.min.is_valid(at) && self.max.is_valid(at)
    }

    fn summary(&self, files: &[Arc<FileEntry>], selected: &[u32]) -> Result<ColumnStatistics> {
        // A file without rows has no say, but its partition values would have.
        let selected: Vec<u32> = selected.iter().copied().filter(|at| files[*at as usize].rows != Some(0)).collect();
        let (mut exact, mut min_known, mut max_known, mut nulls_exact, mut nulls) =
            (true, true, true, true, Some(0_u64));
        for at in selected.iter().map(|at| *at as usize) {
            let file = &files[at];
            let empty = self.nulls.is_valid(at) && Some(self.nulls.value(at)) == file.rows;
            exact &= self.exact.value(at);
            min_known &= self.min.is_valid(at) || empty;
            max_known &= self.max.is_valid(at) || empty;
            nulls_exact &= file.deletion_vector.is_none();
            nulls = nulls.filter(|_| self.nulls.is_valid(at)).map(|sum| sum + self.nulls.value(at));
        }
        let picked = UInt32Array::from(selected);
        let mut statistics = ColumnStatistics::new_unknown();
        if let Some(nulls) = nulls.and_then(|nulls| usize::try_from(nulls).ok()) {
            statistics.null_count = precision(nulls, nulls_exact);
        }
        if min_known && has_bounds(self.min.data_type()) {
            let mut min = MinAccumulator::try_new(self.min.data_type())?;
            min.update_batch(&[take(&self.min, &picked, None)?])?;
            statistics.min_value = bound(min.evaluate()?, exact);
        }
        if max_known && has_bounds(self.max.data_type()) {
            let mut max = MaxAccumulator::try_new(self.max.data_type())?;
            max.update_batch(&[take(&self.max, &picked, None)?])?;
            statistics.max_value = bound(max.evaluate()?, exact);
        }
        Ok(statistics)
    }
}

fn precision<T: fmt::Debug + Clone + PartialEq + Eq + PartialOrd>(value: T, exact: bool) -> Precision<T> {
    if exact { Precision::Exact(value) } else { Precision::Inexact(value) }
}

fn bound(value: ScalarValue, exact: bool) -> Precision<ScalarValue> {
    if value.is_null() { Precision::Absent } else { precision(value, exact) }
}

/// Delta's texts as values of the column's type, and where there is a text that means none.
fn partition_values(texts: &StringArray, data_type: &DataType) -> Result<(ArrayRef, HashSet<usize>)> {
    let lenient = CastOptions { safe: true, ..CastOptions::default() };
    let values = cast_with_options(texts, data_type, &lenient)?;
    let doubtful = |at: &usize| texts.is_valid(*at) && values.is_null(*at);
    let mut unreadable: HashSet<usize> = (0..texts.len()).filter(doubtful).collect();
    if unreadable.is_empty() {
        return Ok((values, unreadable));
    }
    // Arrow does not read every year that a timestamp may have.
    let value = |at: usize| match unreadable.contains(&at) {
        false => ScalarValue::try_from_array(&values, at),
        true => file_stats::timestamp(texts.value(at), data_type).map_or_else(|| ScalarValue::try_from(data_type), Ok),
    };
    let values = ScalarValue::iter_to_array((0..texts.len()).map(value).collect::<Result<Vec<_>>>()?)?;
    unreadable.retain(|at| values.is_null(*at));
    Ok((values, unreadable))
}

/// One entry a file; null where there is no bound, or none of the column's type.
fn bounds<'a>(values: impl Iterator<Item = Option<&'a ScalarValue>>, data_type: &DataType) -> Result<ArrayRef> {
    let null = ScalarValue::try_from(data_type)?;
    let values: Vec<ScalarValue> =
        values.map(|value| of_type(value, data_type).unwrap_or_else(|| null.clone())).collect();
    match values.is_empty() {
        true => Ok(new_null_array(data_type, 0)),
        false => ScalarValue::iter_to_array(values),
    }
}

/// A bound that was read under an older type of the column: widening keeps it a bound, anything else drops it.
fn of_type(value: Option<&ScalarValue>, data_type: &DataType) -> Option<ScalarValue> {
    let value = value?;
    match value.data_type() == *data_type {
        true => Some(value.clone()),
        false if value.data_type().is_integer() && data_type.is_integer() => value.cast_to(data_type).ok(),
        false if value.data_type().is_string() && data_type.is_string() => value.cast_to(data_type).ok(),
        false => None,
    }
}
