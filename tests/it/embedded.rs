//! A database within the test program: its statements, and their rows as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use headwater::{Config, Database, Reply, Session};

/// How often a row is there.
pub type Rows = BTreeMap<Vec<String>, i64>;

/// A new database, in a folder that lasts as long as the test.
pub async fn database() -> (tempfile::TempDir, Arc<Database>) {
    open(|_| {}).await
}

/// A new database in which every statement writes files: there is a version for each.
pub async fn database_without_tails() -> (tempfile::TempDir, Arc<Database>) {
    open(|config| config.flush_interval_ms = 0).await
}

async fn open(edit: impl FnOnce(&mut Config)) -> (tempfile::TempDir, Arc<Database>) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::in_folder(folder.path());
    edit(&mut config);
    let database = Database::open(config).await.unwrap();
    (folder, database)
}

/// Runs a statement to its end; gives its tag.
pub async fn done(session: &Session, sql: &str) -> String {
    match session.sql(sql).await {
        Ok(Reply::Done(tag)) => tag.0,
        Ok(Reply::Rows(rows)) => {
            rows.collect().await.unwrap();
            "rows".to_owned()
        }
        Ok(_) => panic!("{sql}: an unexpected reply"),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

/// The rows of a query, in order.
pub async fn lines(session: &Session, sql: &str) -> Vec<Vec<String>> {
    let Reply::Rows(rows) = session.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")) else {
        panic!("{sql} gives no rows")
    };
    let batches = rows.collect().await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let Some(first) = batches.first() else { return Vec::new() };
    let all = concat_batches(&first.schema(), &batches).unwrap();
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> =
        all.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
    (0..all.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect()).collect()
}

/// The rows without their order.
pub fn counted(rows: Vec<Vec<String>>) -> Rows {
    let mut counts = Rows::new();
    rows.into_iter().for_each(|row| *counts.entry(row).or_default() += 1);
    counts
}
