//! OPTIMIZE, VACUUM, RESTORE, FLUSH, TRUNCATE, DESCRIBE: looking after tables and into them.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::catalog::definition::RelationDef;
use crate::catalog::name::ObjectName;
use crate::dialect::{Describe, DescribeHistory, Flush, Optimize, Restore, TimePoint, Truncate, Vacuum};
use crate::engine::Scope;
use crate::error::{Error, ErrorKind, Result};
use crate::session::Session;
use crate::session::execute::done;
use crate::session::reply::{Reply, RowsTag, Tag};
use crate::session::rows::TextRows;
use crate::tables::{At, VacuumOptions};

pub(super) const DESCRIBE_COLUMNS: &[&str] = &["column_name", "data_type", "nullable", "default", "comment"];
pub(super) const HISTORY_COLUMNS: &[&str] =
    &["version", "timestamp", "operation", "parameters", "files_added", "files_removed", "rows_added", "rows_removed"];
pub(super) const OPTIMIZE_COLUMNS: &[&str] = &["files_removed", "files_added", "bytes_removed", "bytes_added"];
pub(super) const VACUUM_COLUMNS: &[&str] = &["path"];

/// Versions that DESCRIBE HISTORY shows unless a LIMIT says otherwise.
const HISTORY_ROWS_MAX: usize = 1000;

impl Session {
    pub(super) async fn truncate(&self, scope: &Scope, truncate: &Truncate, cancel: &CancellationToken) -> Result<Tag> {
        for name in &truncate.names {
            self.server.engine().truncate(scope, name, cancel).await?;
        }
        Ok(Tag("TRUNCATE TABLE".to_owned()))
    }

    pub(super) async fn optimize(
        &self,
        scope: &Scope,
        optimize: &Optimize,
        cancel: &CancellationToken,
    ) -> Result<Reply> {
        let relation = table(scope, &optimize.table)?;
        let report = self.server.engine().optimize(scope, &relation, optimize, cancel).await?;
        let counts = [report.files_removed, report.files_added, report.bytes_removed, report.bytes_added];
        TextRows::new(OPTIMIZE_COLUMNS).row(&counts.map(|count| Some(count.to_string()))).reply(RowsTag::Select)
    }

    pub(super) async fn vacuum(&self, scope: &Scope, vacuum: &Vacuum, cancel: &CancellationToken) -> Result<Reply> {
        let relations: Vec<Arc<RelationDef>> = match vacuum.tables.as_slice() {
            [] => scope.version.catalog.relations().filter(|relation| relation.table().is_some()).cloned().collect(),
            named => named.iter().map(|name| table(scope, name)).collect::<Result<_>>()?,
        };
        let retain = vacuum.retain_hours.map(retention).transpose()?;
        let mut rows = TextRows::new(VACUUM_COLUMNS);
        for relation in relations {
            let options = VacuumOptions { retain, dry_run: vacuum.dry_run };
            let table = scope.version.table(relation.oid)?;
            let report = table.vacuum(options, cancel).await?;
            self.server.buffer().follow(relation.oid, table.snapshot())?;
            if vacuum.dry_run {
                for path in report.files.iter().chain(&report.log_files) {
                    rows = rows.row(&[Some(path.clone())]);
                }
            } else if !report.files.is_empty() {
                self.notice(format!(
                    "vacuumed \"{}\": {} files, {} bytes",
                    relation.name,
                    report.files.len(),
                    report.size_bytes
                ));
            }
        }
        if vacuum.dry_run { rows.reply(RowsTag::Select) } else { Ok(done("VACUUM")) }
    }

    /// Rows that the log alone holds go to files.
    pub(super) async fn flush(&self, scope: &Scope, flush: &Flush, cancel: &CancellationToken) -> Result<Reply> {
        let relation = table(scope, &flush.table)?;
        self.server.engine().flush(scope, &relation, cancel).await?;
        Ok(done("FLUSH TABLE"))
    }

    pub(super) async fn restore(&self, scope: &Scope, restore: &Restore, cancel: &CancellationToken) -> Result<Tag> {
        let relation = table(scope, &restore.table)?;
        let at = match &restore.to {
            TimePoint::Version(version) => At::Version(*version),
            TimePoint::Timestamp(expression) => At::Timestamp(self.server.engine().moment(scope, expression)?),
        };
        self.server.engine().flush(scope, &relation, cancel).await?;
        let snapshot = scope.version.table(relation.oid)?.restore(&at, cancel).await?;
        self.server.buffer().follow(relation.oid, snapshot)?;
        Ok(Tag("RESTORE TABLE".to_owned()))
    }

    pub(super) async fn history(&self, scope: &Scope, history: &DescribeHistory) -> Result<Reply> {
        let relation = table(scope, &history.table)?;
        let limit = history.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(HISTORY_ROWS_MAX);
        let mut rows = TextRows::new(HISTORY_COLUMNS);
        for commit in scope.version.table(relation.oid)?.history(limit).await? {
            let parameters: Vec<String> =
                commit.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            rows = rows.row(&[
                Some(commit.version.to_string()),
                commit.committed_at.map(|at| at.format("%Y-%m-%d %H:%M:%S%.3f+00").to_string()),
                Some(commit.operation.clone()),
                Some(parameters.join(", ")),
                Some(commit.files_added.to_string()),
                Some(commit.files_removed.to_string()),
                commit.rows_added.map(|rows| rows.to_string()),
                commit.rows_removed.map(|rows| rows.to_string()),
            ]);
        }
        rows.reply(RowsTag::Select)
    }

    pub(super) fn describe_relation(&self, scope: &Scope, describe: &Describe) -> Result<Reply> {
        let relation = scope.version.catalog.require(&describe.relation, scope.search_path())?;
        let mut rows = TextRows::new(DESCRIBE_COLUMNS);
        for column in &relation.columns {
            rows = rows.row(&[
                Some(column.name.clone()),
                Some(column.pg_type.to_string()),
                Some(if column.not_null { "NO" } else { "YES" }.to_owned()),
                column.default.clone().or_else(|| column.generated.as_ref().map(|text| format!("generated: {text}"))),
                column.comment.clone(),
            ]);
        }
        rows.reply(RowsTag::Select)
    }
}

fn retention(hours: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(hours * 3600.0).map_err(|error| {
        Error::new(ErrorKind::InvalidParameterValue, "the retention of VACUUM is out of range")
            .detail(error.to_string())
    })
}

/// The table of that name; a view is none.
fn table(scope: &Scope, name: &ObjectName) -> Result<Arc<RelationDef>> {
    let relation = scope.version.catalog.require(name, scope.search_path())?;
    match relation.table() {
        Some(_) => Ok(relation),
        None => Err(Error::new(ErrorKind::WrongObjectType, format!("\"{}\" is not a table", relation.name))),
    }
}
