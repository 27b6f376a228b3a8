//! What UPDATE, DELETE and MERGE share: which files hold rows to change.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, cast, col, ident, lit};
use tokio_util::sync::CancellationToken;

use crate::engine::target::FILE_COLUMN;
use crate::engine::{Engine, Scope};
use crate::error::{Error, Result};
use crate::tables::{FileEntry, Snapshot};

/// Files that hold rows to change, with the number of those rows.
pub(in crate::engine) type Touched = BTreeMap<String, u64>;

impl Engine {
    /// Counts the rows of `matching` (a plan with [`FILE_COLUMN`]) by file.
    pub(in crate::engine) async fn touched(
        &self,
        scope: &Scope,
        matching: LogicalPlan,
        cancel: &CancellationToken,
    ) -> Result<Touched> {
        let file = cast(ident(FILE_COLUMN), arrow::datatypes::DataType::Utf8);
        let counted = LogicalPlanBuilder::from(matching)
            .project(vec![file.alias(FILE_COLUMN)])?
            .aggregate(vec![col(FILE_COLUMN)], vec![count(lit(1_i64)).alias("rows")])?
            .build()?;
        let mut touched = Touched::new();
        for batch in self.collect(scope, &counted, cancel).await? {
            let (paths, rows) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
            for row in 0..batch.num_rows() {
                touched.insert(paths.value(row).to_owned(), u64::try_from(rows.value(row)).unwrap_or_default());
            }
        }
        Ok(touched)
    }
}

/// The entries of these paths.
pub(in crate::engine) fn entries<'a>(
    snapshot: &Snapshot,
    paths: impl Iterator<Item = &'a String>,
) -> Result<Vec<Arc<FileEntry>>> {
    let files = snapshot.files();
    paths
        .map(|path| files.get(path).cloned().ok_or_else(|| Error::internal(format!("file \"{path}\" is not active"))))
        .collect()
}
