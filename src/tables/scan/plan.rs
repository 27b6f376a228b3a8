//! From a snapshot, a projection and filters to DataFusion's Parquet scan.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use chrono::{DateTime, Utc};
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use parquet::arrow::arrow_reader::RowSelection;
use url::{Position, Url};

use super::columns::Source;
use super::index::{ColumnIndex, FileIndex};
use super::order::{Dealt, deal};
use super::readers::WaryReaders;
use super::source::{GuardedSource, Sending};
use super::{LakeScan, prune, summary};
use crate::tables::deletion_vector;
use crate::tables::file_set::FileEntry;

/// More entries than this (files times columns) are not worth their memory: dynamic filters then skip row groups, not files.
const FILE_STATISTICS_MAX: usize = 1_000_000;

/// So many deletion vectors are read at a time.
const VECTOR_READS_MAX: usize = 16;

/// One in so many files, or fewer, are "a few".
const FEW: usize = 8;

/// Reading a row's other columns late pays from so many of them on.
const LATE_COLUMNS_MIN: usize = 6;

/// The scan of what `filters` may need. See [`datafusion::catalog::TableProvider::scan`].
pub(super) fn plan<'a>(
    scan: &'a LakeScan,
    state: &'a dyn Session,
    projection: Option<&'a Vec<usize>>,
    filters: &'a [Expr],
    limit: Option<usize>,
) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>>> {
    async move {
        let draft = Draft::new(scan, state, projection, filters, limit)?;
        let selections = draft.selections().await?;
        draft.finish(state, selections)
    }
    .boxed()
}

/// A scan whose files are chosen.
struct Draft<'a> {
    scan: &'a LakeScan,
    projection: Vec<usize>,
    filters: &'a [Expr],
    limit: Option<usize>,
    /// The files that are left, or, where most are, all of them.
    index: Arc<FileIndex>,
    /// Files by their place in `index`; `None` is all.
    selected: Option<Vec<u32>>,
    /// Selected because of a limit: what is left out was not ruled out.
    cut: bool,
    /// The statistics of the columns that the query touches, by their place in the schema.
    known: Vec<(usize, Arc<ColumnIndex>)>,
    partition_target: usize,
}

impl<'a> Draft<'a> {
    fn new(
        scan: &'a LakeScan,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &'a [Expr],
        limit: Option<usize>,
    ) -> Result<Self> {
        let width = scan.columns.schema.fields().len();
        let projection = projection.cloned().unwrap_or_else(|| (0..width).collect());
        let mut selected = prune::prune(state, &scan.columns, &scan.index, filters)?;
        let exact = |filter| prune::support(&scan.columns, filter) == TableProviderFilterPushDown::Exact;
        let limit = limit.filter(|_| filters.iter().all(exact));
        let enough = limit.and_then(|rows| enough_for(&scan.index, selected.as_deref(), rows));
        let cut = enough.is_some();
        selected = enough.or(selected);
        let mut index = Arc::clone(&scan.index);
        // A few of many files: their statistics alone are cheaper than those columns of all files.
        if let Some(few) = selected.take_if(|few| few.len() * FEW <= index.files().len()) {
            index = Arc::new(FileIndex::new(few.iter().map(|at| Arc::clone(&index.files()[*at as usize])).collect()));
        }
        let mut touched: HashSet<usize> = projection.iter().copied().collect();
        for column in filters.iter().flat_map(|filter| filter.column_refs()) {
            touched.extend(scan.columns.schema.index_of(&column.name).ok());
        }
        let mut known = Vec::new();
        for at in touched {
            if let Some(column) = scan.columns.index(&index, at)? {
                known.push((at, column));
            }
        }
        let partition_target = state.config().target_partitions();
        let draft = Self { scan, projection, filters, limit, index, selected, cut, known, partition_target };
        let picked = draft.picked();
        for (at, column) in &draft.known {
            column.require_readable(scan.columns.schema.field(*at), draft.index().files(), &picked)?;
        }
        Ok(draft)
    }

    fn index(&self) -> &FileIndex {
        &self.index
    }

    fn picked(&self) -> Vec<u32> {
        let all = || (0..u32::try_from(self.index().files().len()).unwrap_or(u32::MAX)).collect();
        self.selected.clone().unwrap_or_else(all)
    }

    fn file(&self, at: u32) -> &Arc<FileEntry> {
        &self.index().files()[at as usize]
    }

    /// The rows that are left of each file with a deletion vector.
    async fn selections(&self) -> Result<Vec<(u32, RowSelection)>> {
        let marked: Vec<u32> =
            self.picked().into_iter().filter(|at| self.file(*at).deletion_vector.is_some()).collect();
        stream::iter(marked)
            .map(|at| self.selection(at).map(move |read| read.map(|selection| (at, selection))).boxed())
            .buffered(VECTOR_READS_MAX)
            .try_filter_map(|(at, selection)| async move { Ok(selection.map(|selection| (at, selection))) })
            .try_collect()
            .await
    }

    async fn selection(&self, at: u32) -> Result<Option<RowSelection>> {
        let file = self.file(at);
        let Some(vector) = &file.deletion_vector else { return Ok(None) };
        // Two files may share a bitmap; their selections differ in length.
        let id = format!("{} {}", vector.unique_id(), file.path);
        if let Some(known) = self.scan.index.known_selection(&id) {
            return Ok(Some(known));
        }
        let snapshot = &self.scan.snapshot;
        let read = deletion_vector::live_rows(snapshot.store().as_ref(), snapshot.location(), file).await?;
        if let Some(selection) = &read {
            self.scan.index.keep_selection(id, selection.clone());
        }
        Ok(read)
    }

    fn finish(self, state: &dyn Session, selections: Vec<(u32, RowSelection)>) -> Result<Arc<dyn ExecutionPlan>> {
        let picked = self.picked();
        let dealt = deal(&self.scan.columns, self.index(), &picked, &self.projection, self.partition_target)?;
        let source = self.source(state, &picked, !selections.is_empty())?;
        summary::record(source.metrics(), self.scan.index.files().len(), picked.len());
        let places = self.projection.iter().map(|at| self.scan.columns.places[*at]).collect();
        let config = FileScanConfigBuilder::new(store_url(self.scan.snapshot.location())?, source)
            .with_file_groups(self.file_groups(&dealt, selections)?)
            .with_statistics(self.statistics()?)
            .with_projection_indices(Some(places))?
            .with_limit(self.limit)
            .with_output_ordering(self.orderings(&dealt))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// What the optimizer may believe of all selected files together.
    fn statistics(&self) -> Result<Statistics> {
        let selected = self.selected.as_deref();
        let mut statistics = Statistics::new_unknown(self.scan.columns.scan.table_schema());
        statistics.num_rows = self.index().live_rows(selected);
        let bytes = usize::try_from(self.index().size_bytes(selected)).unwrap_or(usize::MAX);
        statistics.total_byte_size = Precision::Inexact(bytes);
        for (at, column) in &self.known {
            let place = self.scan.columns.places[*at];
            statistics.column_statistics[place] = self.index().column_statistics(column, selected)?;
        }
        Ok(if self.cut { statistics.to_inexact() } else { statistics })
    }

    fn file_groups(&self, dealt: &Dealt, selections: Vec<(u32, RowSelection)>) -> Result<Vec<FileGroup>> {
        let mut selections: HashMap<u32, RowSelection> = selections.into_iter().collect();
        let columns = &self.scan.columns;
        let files: usize = dealt.groups.iter().map(Vec::len).sum();
        let with_statistics =
            files.saturating_mul(columns.schema.fields().len()) <= FILE_STATISTICS_MAX || dealt.sorted_by.is_some();
        let constants = self.constants()?;
        let mut groups = Vec::with_capacity(dealt.groups.len().max(1));
        for group in &dealt.groups {
            let mut files = Vec::with_capacity(group.len());
            for at in group {
                let mut file = self.partitioned_file(*at, &constants)?;
                if with_statistics {
                    file.statistics = Some(Arc::new(self.file_statistics(*at)?));
                }
                if let Some(selection) = selections.remove(at) {
                    file = file.with_extension(ParquetRowSelection::new(selection));
                }
                files.push(file);
            }
            groups.push(FileGroup::new(files));
        }
        // A scan of nothing still is a scan, so that EXPLAIN ANALYZE can say how many files it ruled out.
        if groups.is_empty() {
            groups.push(FileGroup::new(Vec::new()));
        }
        Ok(groups)
    }

    /// The columns that are one value a file, in the order of the scan.
    fn constants(&self) -> Result<Vec<ArrayRef>> {
        let columns = &self.scan.columns;
        let mut constant: Vec<usize> =
            (0..columns.sources.len()).filter(|at| columns.sources[*at].is_constant()).collect();
        constant.sort_by_key(|at| columns.places[*at]);
        constant.into_iter().map(|at| columns.constants(self.index(), at)).collect()
    }

    fn partitioned_file(&self, at: u32, constants: &[ArrayRef]) -> Result<PartitionedFile> {
        let file = self.file(at);
        let meta = ObjectMeta {
            location: self.scan.snapshot.object_path(file)?,
            last_modified: DateTime::<Utc>::from_timestamp_millis(file.modified_at_ms).unwrap_or_default(),
            size: file.size_bytes,
            e_tag: None,
            version: None,
        };
        let value = |array: &ArrayRef| ScalarValue::try_from_array(array, at as usize);
        let values = constants.iter().map(value).collect::<Result<Vec<_>>>()?;
        Ok(PartitionedFile::new_from_meta(meta).with_partition_values(values))
    }

    fn file_statistics(&self, at: u32) -> Result<Statistics> {
        let file = self.file(at);
        let columns = vec![ColumnStatistics::new_unknown(); self.scan.columns.places.len()];
        let rows = file.live_rows().and_then(|rows| usize::try_from(rows).ok());
        let mut statistics = Statistics {
            num_rows: rows.map_or(Precision::Absent, Precision::Exact),
            total_byte_size: Precision::Absent,
            column_statistics: columns,
        };
        for (place, column) in &self.known {
            statistics.column_statistics[self.scan.columns.places[*place]] = column.of_file(file, at as usize)?;
        }
        Ok(statistics)
    }

    /// Ascending, NULLs last: what SQL means by default, and what its reverse is the reverse of.
    fn orderings(&self, dealt: &Dealt) -> Vec<LexOrdering> {
        let Some(at) = dealt.sorted_by else { return Vec::new() };
        let name = self.scan.columns.schema.field(at).name();
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(name, self.scan.columns.places[at]));
        let options = SortOptions { descending: false, nulls_first: false };
        LexOrdering::new([PhysicalSortExpr::new(column, options)]).into_iter().collect()
    }

    fn source(&self, state: &dyn Session, picked: &[u32], has_vectors: bool) -> Result<Arc<dyn FileSource>> {
        let global = state.config_options().execution.parquet.clone();
        let size_hint = global.metadata_size_hint;
        let options = TableParquetOptions { global, ..TableParquetOptions::default() };
        let store = Arc::clone(self.scan.snapshot.store());
        register(state, self.scan.snapshot.location(), &store)?;
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let mut readers: Arc<dyn ParquetFileReaderFactory> =
            Arc::new(CachedParquetFileReaderFactory::new(store, cache));
        let wary = self.wary_columns(picked);
        let mut sending = (!wary.is_empty()).then_some(Sending::WithoutPruning);
        if !wary.is_empty() {
            readers = Arc::new(WaryReaders { inner: readers, columns: Arc::new(wary) });
        }
        if has_vectors {
            sending = Some(Sending::Refused);
        }
        let mut source = ParquetSource::new(self.scan.columns.scan.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(readers);
        if let Some(bytes) = size_hint {
            source = source.with_metadata_size_hint(bytes);
        }
        if self.filters_rows() {
            source = source.with_pushdown_filters(true);
        }
        Ok(match sending {
            Some(sending) => Arc::new(GuardedSource::new(source, sending)),
            None => Arc::new(source),
        })
    }

    /// Floating-point columns of which some file may hold NaN: its bounds in the log would say that it does not.
    fn wary_columns(&self, picked: &[u32]) -> HashSet<String> {
        let floats = self.known.iter().filter(|(at, _)| self.scan.columns.sources[*at] == Source::Data);
        let floats = floats.map(|(at, column)| (self.scan.columns.schema.field(*at), column));
        let may_hold_nan =
            |column: &ColumnIndex| picked.iter().any(|at| !column.rules_out_nan(self.file(*at), *at as usize));
        let doubtful = floats.filter(|(field, column)| field.data_type().is_floating() && may_hold_nan(column));
        doubtful.map(|(field, _)| field.name().clone()).collect()
    }

    /// Filters are evaluated while Parquet is decoded, so that other columns are read only where a row passes, where that
    /// promises to save reading: few rows out of many columns.
    fn filters_rows(&self) -> bool {
        let data = |filter: &&Expr| prune::support(&self.scan.columns, filter) == TableProviderFilterPushDown::Inexact;
        let filters: Vec<&Expr> = self.filters.iter().filter(data).collect();
        let used: HashSet<String> =
            filters.iter().flat_map(|filter| filter.column_refs()).map(|column| column.name.clone()).collect();
        let late = self.projection.iter().filter(|at| !used.contains(self.scan.columns.schema.field(**at).name()));
        filters.iter().any(|filter| is_selective(filter)) && late.count() >= LATE_COLUMNS_MIN
    }
}

/// A guess: comparisons for equality and lists of values leave few rows, ranges leave many.
fn is_selective(filter: &Expr) -> bool {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => is_selective(left) || is_selective(right),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => is_selective(left) && is_selective(right),
        Expr::BinaryExpr(BinaryExpr { op: Operator::Eq, .. }) => true,
        Expr::InList(list) => !list.negated,
        Expr::Like(like) => !like.negated,
        _ => false,
    }
}

/// The first files that together have `rows` rows, where that is fewer than all.
fn enough_for(index: &FileIndex, selected: Option<&[u32]>, rows: usize) -> Option<Vec<u32>> {
    let everything: Vec<u32> = match selected {
        Some(selected) => selected.to_vec(),
        None => (0..u32::try_from(index.files().len()).ok()?).collect(),
    };
    let mut found = 0_u64;
    let mut enough = Vec::new();
    for at in &everything {
        if found >= rows as u64 {
            break;
        }
        found += index.files()[*at as usize].live_rows()?;
        enough.push(*at);
    }
    (enough.len() < everything.len()).then_some(enough)
}

/// Scheme and host of a location.
fn store_url(location: &Url) -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(&location[..Position::BeforePath])
}

/// The operators find the store by its URL.
fn register(state: &dyn Session, location: &Url, store: &Arc<dyn object_store::ObjectStore>) -> Result<()> {
    let url = store_url(location)?;
    if state.runtime_env().object_store(&url).is_err() {
        let root: &Url = url.as_ref();
        state.runtime_env().register_object_store(root, Arc::clone(store));
    }
    Ok(())
}
