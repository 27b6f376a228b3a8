//! How files are dealt out to the partitions of a scan, and whether that keeps them sorted.
//!
//! An order is declared only where it can be proven: every file says that its rows are sorted, no file holds a NULL in the
//! column, and within a group each file ends before the next begins.

use arrow::array::{Array, UInt32Array};
use arrow::compute::{SortOptions, take};
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result;

use super::columns::{Columns, Source};
use super::index::{ColumnIndex, FileIndex};

/// The tag of our `add` actions that says how a file's rows are sorted, all ascending: a JSON array of column names.
pub const SORTED_TAG: &str = "headwater.sorted";

/// A scan of less reads its files one after the other: a second thread costs a point query more than it gains.
const SPLIT_BYTES_MIN: u64 = 16 << 20;

/// Files by partition of the scan.
#[derive(Debug, PartialEq)]
pub(super) struct Dealt {
    pub groups: Vec<Vec<u32>>,
    /// The column, by its place in the schema, that each group is sorted by: ascending, without NULLs.
    pub sorted_by: Option<usize>,
}

/// Deals `selected` out to at most `target` groups. `wanted` tells the columns whose order would be of use.
pub(super) fn deal(
    columns: &Columns,
    index: &FileIndex,
    selected: &[u32],
    wanted: &[usize],
    target: usize,
) -> Result<Dealt> {
    let bytes = index.size_bytes(Some(selected));
    let target = if bytes < SPLIT_BYTES_MIN { 1 } else { target.clamp(1, selected.len().max(1)) };
    if let Some(at) = sorted_column(columns, index, selected)
        && wanted.contains(&at)
        && let Some(column) = columns.index(index, at)?
        && let Some(groups) = in_order(index, &column, selected, target)?
    {
        return Ok(Dealt { groups, sorted_by: Some(at) });
    }
    Ok(Dealt { groups: by_bytes(index, selected, bytes, target), sorted_by: None })
}

/// The column that all files say they are sorted by.
fn sorted_column(columns: &Columns, index: &FileIndex, selected: &[u32]) -> Option<usize> {
    let files = index.files();
    let tag = files[*selected.first()? as usize].tags.get(SORTED_TAG)?;
    if selected.iter().any(|at| files[*at as usize].tags.get(SORTED_TAG) != Some(tag)) {
        return None;
    }
    let names: Vec<String> = serde_json::from_str(tag).ok()?;
    let at = columns.schema.index_of(names.first()?).ok()?;
    // Floats have two zeros and many NaNs; no order of theirs is relied upon.
    let data = columns.sources[at] == Source::Data && !columns.schema.field(at).data_type().is_floating();
    data.then_some(at)
}

/// Each file goes to the group of the fewest bytes among those that end before it begins.
fn in_order(index: &FileIndex, column: &ColumnIndex, selected: &[u32], target: usize) -> Result<Option<Vec<Vec<u32>>>> {
    let known = |at: &u32| {
        let at = *at as usize;
        column.min.is_valid(at) && column.max.is_valid(at) && column.nulls.is_valid(at) && column.nulls.value(at) == 0
    };
    if !selected.iter().all(known) {
        return Ok(None);
    }
    let picked = UInt32Array::from(selected.to_vec());
    let (mins, maxs) = (take(&column.min, &picked, None)?, take(&column.max, &picked, None)?);
    let field = SortField::new_with_options(mins.data_type().clone(), SortOptions::default());
    let converter = RowConverter::new(vec![field])?;
    let (mins, maxs) = (converter.convert_columns(&[mins])?, converter.convert_columns(&[maxs])?);
    let mut order: Vec<usize> = (0..selected.len()).collect();
    order.sort_by(|a, b| (mins.row(*a), maxs.row(*a)).cmp(&(mins.row(*b), maxs.row(*b))));
    let mut groups: Vec<(u64, Vec<usize>)> = vec![(0, Vec::new()); target];
    for at in order {
        let fits = |group: &&mut (u64, Vec<usize>)| group.1.last().is_none_or(|last| maxs.row(*last) <= mins.row(at));
        let Some(group) = groups.iter_mut().filter(fits).min_by_key(|group| group.0) else { return Ok(None) };
        group.0 += index.files()[selected[at] as usize].size_bytes;
        group.1.push(at);
    }
    let files = |(_, group): (u64, Vec<usize>)| group.into_iter().map(|at| selected[at]).collect::<Vec<u32>>();
    Ok(Some(groups.into_iter().map(files).filter(|group| !group.is_empty()).collect()))
}

/// Neighbours stay together; DataFusion splits large files further and lets idle partitions steal.
fn by_bytes(index: &FileIndex, selected: &[u32], bytes: u64, target: usize) -> Vec<Vec<u32>> {
    let mut groups = vec![Vec::new(); target];
    let (mut seen, last) = (0, target - 1);
    for at in selected {
        let group = u128::from(seen) * target as u128 / u128::from(bytes.max(1));
        groups[usize::try_from(group).unwrap_or(last).min(last)].push(*at);
        seen += index.files()[*at as usize].size_bytes;
    }
    groups.retain(|group| !group.is_empty());
    groups
}
