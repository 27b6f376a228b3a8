//! What the log alone answers, point queries, planning over many files, and a MERGE in little memory; in this process.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use headwater::{Config, Database, Reply, Session};

use crate::measure::{Meter, THIS, Times, forget_peak, memory_mb};
use crate::{Outcome, rows, text};

/// The tables, and how they are made. Ids are scattered, so that clustering has work to do.
const TABLES: [(&str, &str); 3] = [
    (
        "events",
        "CREATE TABLE events AS SELECT i AS id, (i % 1000)::int AS kind, (i % 100000 / 100.0)::numeric(12,2) AS price, \
         i * 0.5::float8 AS weight, timestamp '2026-01-01' + i * interval '1 second' AS at, 'event number ' || i AS name \
         FROM generate_series(1, 10000000::bigint) AS s(i)",
    ),
    (
        "points",
        "CREATE TABLE points CLUSTER BY (id) AS SELECT i * 7919 % 20000003 AS id, (i % 1000)::int AS kind, i * 0.5::float8 AS weight, \
         'point ' || i AS name FROM generate_series(1, 20000000::bigint) AS s(i)",
    ),
    ("shards", "CREATE TABLE shards (id bigint, weight float8, shard int) PARTITIONED BY (shard) CLUSTER BY (id)"),
];
/// As many files as partitions.
const SHARDS: &str =
    "INSERT INTO shards SELECT i, i * 0.5::float8, (i / 100)::int FROM generate_series(0, 999999::bigint) AS s(i)";

/// Small files, so that a table of this size has as many as a large one.
const FILE_BYTES: u64 = 16 << 20;
const RUNS: u32 = 200;
/// What the statements of the MERGE may have.
const MERGE_MEMORY_BYTES: usize = 512 << 20;

async fn open(folder: &Path) -> Outcome<Arc<Database>> {
    Ok(Database::open(Config { target_file_bytes: FILE_BYTES, ..Config::in_folder(folder) }).await?)
}

/// Makes the tables that are not there.
pub async fn load(folder: &Path) -> Outcome<()> {
    let database = open(folder).await?;
    let session = database.session()?;
    let there = text(&session, "SELECT name FROM system.tables").await?;
    for (table, create) in TABLES {
        if there.iter().any(|name| name == table) {
            continue;
        }
        forget_peak(THIS);
        let meter = Meter::start(THIS);
        session.sql(create).await?;
        if table == "shards" {
            session.sql(SHARDS).await?;
        }
        let (wall, cpu, peak) = (meter.wall(), meter.cpu(), memory_mb(THIS).1);
        println!(
            "load of {table}: {wall:.1} s, CPU {cpu:.1} s, peak {peak:.0} MB, {} files",
            files(&session, table).await?.len()
        );
    }
    Ok(database.close().await?)
}

async fn files(session: &Session, table: &str) -> Outcome<HashSet<String>> {
    let paths = text(session, &format!("SELECT path FROM system.files WHERE table_name = '{table}'")).await?;
    Ok(paths.into_iter().collect())
}

/// Answers from the log, point queries, planning.
pub async fn run(folder: &Path) -> Outcome<()> {
    let database = open(folder).await?;
    let session = database.session()?;
    println!("| query | p50 ms | p99 ms | of which planning p50 | p99 | note |\n|---|---|---|---|---|---|");
    for what in ["count(*)", "min(id)", "max(id)", "count(*), min(at), max(price)"] {
        let query = format!("SELECT {what} FROM events");
        let plan = text(&session, &format!("EXPLAIN {query}")).await?.join("\n");
        let note = if plan.contains("DataSourceExec") { "READS DATA" } else { "no scan in the plan" };
        time(&session, |_| query.clone(), &query, note).await?;
    }
    let id = |run: u32| u64::from(run) * 99_991 % 20_000_000;
    let point = |run| format!("SELECT name FROM points WHERE id = {}", id(run));
    let note = pruned(&session, &point(7)).await?;
    time(&session, point, "SELECT name FROM points WHERE id = ...", &note).await?;
    let shard = |run| format!("SELECT weight FROM shards WHERE id = {}", id(run) % 1_000_000);
    let note = pruned(&session, &shard(7)).await?;
    time(&session, shard, "SELECT weight FROM shards WHERE id = ...", &note).await?;
    Ok(database.close().await?)
}

/// How many files the scan of a query was left with.
async fn pruned(session: &Session, query: &str) -> Outcome<String> {
    let plan = text(session, &format!("EXPLAIN ANALYZE {query}")).await?.join("\n");
    let files = plan.split("files_pruned_by_lake=").nth(1).and_then(|rest| rest.split([',', ']']).next());
    Ok(format!("files {}", files.ok_or("EXPLAIN ANALYZE tells no files")?))
}

async fn time(session: &Session, query: impl Fn(u32) -> String, shown: &str, note: &str) -> Outcome<()> {
    let (mut whole, mut planning) = (Times::default(), Times::default());
    rows(session, &query(0)).await?;
    for run in 0..RUNS {
        let query = query(run);
        let started = Instant::now();
        let Reply::Rows(rows) = session.sql(&query).await? else { return Err("a query gives rows".into()) };
        planning.push(started.elapsed());
        rows.collect().await?;
        whole.push(started.elapsed());
    }
    let [p50, p99] = [0.5, 0.99].map(|share| whole.ms(share));
    let [plan50, plan99] = [0.5, 0.99].map(|share| planning.ms(share));
    println!("| `{shown}` | {p50:.2} | {p99:.2} | {plan50:.2} | {plan99:.2} | {note} |");
    Ok(())
}

/// MERGE of 100,000 keys into the 20 M rows: first of neighbours, then of keys all over the table.
pub async fn merge(folder: &Path) -> Outcome<()> {
    let config =
        Config { target_file_bytes: FILE_BYTES, memory_bytes_max: MERGE_MEMORY_BYTES, ..Config::in_folder(folder) };
    let database = Database::open(config).await?;
    let session = database.session()?;
    println!(
        "| keys | wall s | CPU s | peak MB | files rewritten | of | rows changed |\n|---|---|---|---|---|---|---|"
    );
    for (keys, id) in [("neighbours", "5000000 + i"), ("scattered", "i * 199")] {
        session.sql("DROP TABLE IF EXISTS changes").await?;
        let changes = format!(
            "CREATE TABLE changes AS SELECT {id} AS id, 'changed {keys} ' || i AS name FROM generate_series(1, 100000::bigint) AS s(i)"
        );
        session.sql(&changes).await?;
        let before = files(&session, "points").await?;
        forget_peak(THIS);
        let meter = Meter::start(THIS);
        let merge = "MERGE INTO points USING changes ON points.id = changes.id WHEN MATCHED THEN UPDATE SET name = changes.name \
                     WHEN NOT MATCHED THEN INSERT (id, name) VALUES (changes.id, changes.name)";
        let Reply::Done(tag) = session.sql(merge).await? else { return Err("MERGE gives a tag".into()) };
        let (wall, cpu, peak) = (meter.wall(), meter.cpu(), memory_mb(THIS).1);
        let gone = before.difference(&files(&session, "points").await?).count();
        let changed =
            text(&session, &format!("SELECT count(*) FROM points WHERE name LIKE 'changed {keys} %'")).await?.join("");
        if changed != "100000" {
            return Err(format!("{changed} rows were changed").into());
        }
        println!("| {keys} | {wall:.1} | {cpu:.1} | {peak:.0} | {gone} | {} | {} |", before.len(), tag.0);
    }
    Ok(database.close().await?)
}
