//! What a query reads of a table at one version.
//!
//! A [`LakeScan`] turns a snapshot's list of files into DataFusion's own Parquet scan: [`prune`] chooses the files, [`order`]
//! deals them out, [`index`] tells the optimizer what is known of them, [`plan`] puts it together. Nothing of ours stands between
//! the rows and the operators above, so filters, limits, dynamic filters and orders reach the files, and the plan can be sent to
//! another machine. Invariant: statistics that we call exact are; where we are not sure, the rows are read.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

mod columns;
mod index;
mod order;
mod plan;
mod prune;
mod readers;
mod source;
mod summary;

#[cfg(test)]
mod tests;

pub use index::FileIndex;
pub use order::SORTED_TAG;
pub use summary::{ScanMeter, ScanSummary, files_of_plan};

use columns::{Columns, PlaceColumns};

use crate::tables::file_set::FileEntry;
use crate::tables::snapshot::Snapshot;

/// A table at one version, or some of its files, as something that can be scanned.
#[derive(Clone)]
pub struct LakeScan {
    snapshot: Arc<Snapshot>,
    index: Arc<FileIndex>,
    columns: Columns,
}

impl LakeScan {
    /// All files of a snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        let index = Arc::clone(snapshot.files().index());
        let columns = Columns::new(snapshot.arrow_schema(), snapshot.partition_columns(), None);
        Self { snapshot, index, columns }
    }

    /// Only these files, which must belong to the table.
    #[must_use]
    pub fn with_files(mut self, files: Vec<Arc<FileEntry>>) -> Self {
        self.index = Arc::new(FileIndex::new(files.into()));
        self
    }

    /// Two more columns, last: the path of the row's file, as in [`FileEntry::path`], and the row's place in it, from 0.
    #[must_use]
    pub fn with_place_columns(mut self, file: &str, row: &str) -> Self {
        let places = Some(PlaceColumns { file, row });
        self.columns = Columns::new(self.snapshot.arrow_schema(), self.snapshot.partition_columns(), places);
        self
    }
}

impl fmt::Debug for LakeScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LakeScan({:?}, {:?})", self.snapshot, self.index)
    }
}

impl TableProvider for LakeScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|filter| prune::support(&self.columns, filter)).collect())
    }

    fn scan<'this, 'state, 'projection, 'filters, 'scan>(
        &'this self,
        state: &'state dyn Session,
        projection: Option<&'projection Vec<usize>>,
        filters: &'filters [Expr],
        limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<dyn ExecutionPlan>>> + Send + 'scan>>
    where
        'this: 'scan,
        'state: 'scan,
        'projection: 'scan,
        'filters: 'scan,
        Self: 'scan,
    {
        Box::pin(plan::plan(self, state, projection, filters, limit))
    }
}
