//! Tables at rest: versions, files, commits, and how well files are clustered.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use futures::future::BoxFuture;

use crate::buffer::{DbVersion, Tail};
use crate::catalog::definition::{RelationDef, TableDef};
use crate::engine::facts::shapes::Shape;
use crate::engine::facts::{Fact, FactContext, Key, Maker, Row};
use crate::engine::functions::value::{Value, text_list};
use crate::engine::write::is_clustered;
use crate::error::{Error, Result};
use crate::tables::{CommitRecord, FileEntry, Snapshot};

pub(super) const FACTS: &[Fact] = &[
    Fact { relation: "facts.tables", key: &["table_name"], make: Maker::Now(tables) },
    Fact { relation: "facts.files", key: &["table_name"], make: Maker::Now(files) },
    Fact { relation: "facts.clustering", key: &["table_name"], make: Maker::Now(clustering) },
    Fact { relation: "facts.commits", key: &["table_name"], make: Maker::Later(commits) },
];

/// Commits shown of one table: older ones are in its log, for `DESCRIBE HISTORY`.
const COMMITS_MAX: usize = 1000;

/// The tables that the key asks for, with the names of their schemas.
fn wanted(context: &FactContext, key: Option<&Key>) -> Vec<(String, Arc<RelationDef>)> {
    let catalog = &context.session.catalog;
    let relations = catalog.relations().filter(|relation| relation.table().is_some());
    let relations = relations.filter(|relation| Key::wants(key, relation.oid.0, &relation.name));
    relations
        .map(|relation| {
            let schema = catalog.schema_by_oid(relation.schema).map(|schema| schema.name.clone());
            (schema.unwrap_or_default(), Arc::clone(relation))
        })
        .collect()
}

fn count(number: impl TryInto<i64>) -> Value<'static> {
    Value::Int(number.try_into().unwrap_or(i64::MAX))
}

fn optional_count(number: Option<u64>) -> Value<'static> {
    number.map_or(Value::Null, count)
}

fn moment_of_ms(milliseconds: i64) -> Value<'static> {
    Value::Timestamp(milliseconds.saturating_mul(1000))
}

fn named(shape: &'static Shape, schema: &str, relation: &RelationDef) -> Row {
    Row::new(shape).set("schema_name", schema).set("table_name", relation.name.as_str())
}

fn names(list: &[String]) -> Value<'static> {
    text_list(list.iter().map(|name| Some(name.as_str())))
}

fn tables(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let rows = wanted(context, key).into_iter().filter_map(|(schema, relation)| {
        let table: &TableDef = relation.table()?;
        let row = named(shape, &schema, &relation)
            .set("id", relation.oid.0)
            .set("location", table.location.as_str())
            .set("partitioned_by", names(&table.partitioned_by))
            .set("clustered_by", names(&table.clustered_by))
            .set("external", table.external);
        let row = event_time(context, &relation, table, row);
        let at_rest = context.version.as_ref().map(|version| {
            Ok((version.snapshot(relation.oid)?, version.tail(relation.oid)?, version.watermark(relation.oid)?))
        });
        Some(match at_rest {
            None => row,
            Some(Err(error)) => row.set("version", Value::Null).set("error", Error::to_string(&error)),
            Some(Ok((snapshot, tail, watermark))) => row
                .set("version", snapshot.version)
                .set("committed_at", moment_of_ms(snapshot.committed_at_ms))
                .set("rows", optional_count(rows(snapshot, tail)))
                .set("files", count(snapshot.files().len()))
                .set("bytes", count(snapshot.files().size_bytes()))
                .set("tail_rows", count(tail.rows()))
                .set("tail_bytes", count(tail.bytes()))
                .set("tail_since", tail.since_ms().map_or(Value::Null, moment_of_ms))
                .set("watermark_lsn", watermark.0),
        })
    });
    Ok(rows.collect())
}

/// How far the events of a table with a watermark have got.
fn event_time(context: &FactContext, relation: &RelationDef, table: &TableDef, row: Row) -> Row {
    let Some(watermark) = &table.event_watermark else { return row };
    let row = row.set("event_watermark", watermark.to_string()).set("late_policy", table.late_policy().name());
    let Some(time) = context.version.as_ref().and_then(|version| version.event_time(relation)) else { return row };
    let now_ms = context.session.started_at.timestamp_millis();
    let (late_rows, future_rows) = time.counts("");
    let row = row.set("late_rows", late_rows).set("future_rows", future_rows);
    match time.watermark_micros(table, now_ms) {
        None => row,
        Some(micros) => row
            .set("event_watermark_at", Value::Timestamp(micros))
            .set("event_watermark_lag_ms", now_ms.saturating_sub(micros.div_euclid(1000))),
    }
}

/// The rows of a table; unknown where some take the place of others, which may be there.
fn rows(snapshot: &Snapshot, tail: &Tail) -> Option<u64> {
    let in_files = snapshot.files().rows().filter(|rows| *rows == 0 || !tail.has_keys())?;
    Some(in_files + tail.rows() as u64)
}

/// The tables that can be read, with their snapshots.
fn readable(context: &FactContext, key: Option<&Key>) -> Vec<(String, Arc<RelationDef>, Arc<Snapshot>)> {
    let Some(version) = &context.version else { return Vec::new() };
    let snapshot = |version: &DbVersion, relation: &RelationDef| version.snapshot(relation.oid).ok().cloned();
    wanted(context, key)
        .into_iter()
        .filter_map(|(schema, relation)| snapshot(version, &relation).map(|snapshot| (schema, relation, snapshot)))
        .collect()
}

fn files(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (schema, relation, snapshot) in readable(context, key) {
        for file in snapshot.files().iter() {
            rows.push(
                named(shape, &schema, &relation)
                    .set("path", file.path.as_str())
                    .set("rows", optional_count(file.live_rows()))
                    .set("bytes", count(file.size_bytes))
                    .set("partition", partition(&snapshot, file))
                    .set("level", level(file.size_bytes))
                    .set("clustered", is_clustered(&relation, file))
                    .set("modified_at", moment_of_ms(file.modified_at_ms)),
            );
        }
    }
    Ok(rows)
}

/// `day=2026-01-31/region=eu`; NULL for a table without partitions.
fn partition(snapshot: &Snapshot, file: &FileEntry) -> Option<String> {
    let columns = snapshot.partition_columns().iter().zip(&file.partition);
    let parts: Vec<String> =
        columns.map(|(column, value)| format!("{column}={}", value.as_deref().unwrap_or("NULL"))).collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The tier of a size: 0 below a mebibyte, one more with each doubling.
fn level(bytes: u64) -> i32 {
    i32::try_from((bytes >> 20).checked_ilog2().map_or(0, |level| level + 1)).unwrap_or(0)
}

fn clustering(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (schema, relation, snapshot) in readable(context, key) {
        for column in snapshot.clustered_by() {
            let depth = overlap_depth(snapshot.files().iter().map(AsRef::as_ref), &column);
            let fraction = if snapshot.files().is_empty() { 0.0 } else { depth / snapshot.files().len() as f64 };
            rows.push(
                named(shape, &schema, &relation)
                    .set("column_name", column)
                    .set("hit_fraction", Value::Float(fraction))
                    .set("overlap_depth", Value::Float(depth))
                    .set("files", count(snapshot.files().len())),
            );
        }
    }
    Ok(rows)
}

/// How many files a look-up of one value reads: the mean, over the least values of all files, of the files whose range
/// holds the value. A file without bounds is read by every look-up.
fn overlap_depth<'a>(files: impl Iterator<Item = &'a FileEntry>, column: &str) -> f64 {
    let (mut starts, mut ends, mut unbounded): (Vec<&ScalarValue>, Vec<&ScalarValue>, usize) =
        (Vec::new(), Vec::new(), 0);
    for file in files {
        let stats = file.stats.columns.get(column);
        match stats.and_then(|stats| stats.min.as_ref().zip(stats.max.as_ref())) {
            Some((min, max)) => {
                starts.push(min);
                ends.push(max);
            }
            None => unbounded += 1,
        }
    }
    if starts.is_empty() {
        return unbounded as f64;
    }
    let order = |one: &&ScalarValue, two: &&ScalarValue| one.partial_cmp(two).unwrap_or(Ordering::Equal);
    starts.sort_by(order);
    ends.sort_by(order);
    // At the start of a file, those that have started and not ended hold the value.
    let (mut ended, mut total) = (0, 0);
    for (at, start) in starts.iter().enumerate() {
        while ended < ends.len() && ends[ended] < *start {
            ended += 1;
        }
        let started = at + starts[at..].iter().take_while(|other| *other == start).count();
        total += started - ended;
    }
    total as f64 / starts.len() as f64 + unbounded as f64
}

fn commits(context: FactContext, shape: &'static Shape, key: Option<Key>) -> BoxFuture<'static, Result<Vec<Row>>> {
    Box::pin(async move {
        let mut rows = Vec::new();
        let Some(version) = &context.version else { return Ok(rows) };
        for (schema, relation) in wanted(&context, key.as_ref()) {
            // A table that cannot be opened has its row in `system.tables`.
            let Ok(table) = version.table(relation.oid) else { continue };
            for commit in table.history(COMMITS_MAX).await? {
                rows.push(commit_row(named(shape, &schema, &relation), &commit));
            }
        }
        Ok(rows)
    })
}

fn commit_row(row: Row, commit: &CommitRecord) -> Row {
    let app = commit.apps.first();
    row.set("version", commit.version)
        .set("committed_at", commit.committed_at.map(|at| Value::Timestamp(at.timestamp_micros())))
        .set("operation", commit.operation.as_str())
        .set("rows_added", optional_count(commit.rows_added))
        .set("rows_removed", optional_count(commit.rows_removed))
        .set("files_added", count(commit.files_added))
        .set("files_removed", count(commit.files_removed))
        .set("bytes_added", count(commit.bytes_added))
        .set("bytes_removed", count(commit.bytes_removed))
        .set("app_id", app.map(|(id, _)| id.clone()))
        .set("app_version", app.map(|(_, version)| *version))
        .set("user_name", commit.user_name.clone())
}
