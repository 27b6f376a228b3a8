use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringViewArray};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::buffer::{Addition, Claim, DbVersion, Rows};
use crate::config::Config;
use crate::database::Database;
use crate::log::{Durability, Effect};
use crate::session::Reply;

mod event_watermark;
mod faults;

#[tokio::test]
async fn what_sessions_do_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { flush_interval_ms: 0, ..Config::in_folder(folder.path()) };
    let database = Database::open(config).await.unwrap();
    let session = database.session().unwrap();
    session.sql("CREATE TABLE t (a int)").await.unwrap();
    session.sql("INSERT INTO t VALUES (1), (2), (3)").await.unwrap();
    let Reply::Rows(rows) = session.sql("SELECT a FROM t").await.unwrap() else { unreachable!("a SELECT gives rows") };
    assert!(database.server().metrics_page().contains("\nheadwater_statements_running 1\n"));
    rows.collect().await.unwrap();
    assert_eq!(session.sql("SELECT nothing FROM t").await.err().map(|error| error.sqlstate()), Some("42703"));
    let page = database.server().metrics_page();
    for line in [
        "headwater_connections_total 1",
        "headwater_connections_open 1",
        "headwater_statements_running 0",
        "headwater_statements_total 3",
        "headwater_rows_returned_total 3",
        "headwater_commits_total 1",
        "headwater_tables 1",
        "headwater_statement_errors_total{sqlstate=\"42703\"} 1",
        "headwater_statement_seconds_count 3",
    ] {
        assert!(page.lines().any(|written| written == line), "no line {line:?} in\n{page}");
    }
}

#[tokio::test]
async fn a_session_knows_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(Config::in_folder(folder.path())).await.unwrap();
    let session = database.session().unwrap();
    let settings = session.settings();
    assert_eq!(settings.lock().show("session_authorization").unwrap(), "headwater");
    assert_eq!(settings.lock().show("is_superuser").unwrap(), "on");
}

#[tokio::test]
async fn a_series_of_bigint_counts_beyond_integer() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(Config::in_folder(folder.path())).await.unwrap();
    let session = database.session().unwrap();
    let far = "SELECT max(n * 1000003) FROM generate_series(1::bigint, 2000 * 8) AS s(n)";
    let Reply::Rows(rows) = session.sql(far).await.unwrap() else { unreachable!("a SELECT gives rows") };
    assert_eq!(rows.collect().await.unwrap().iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    let near = "SELECT max(n * 1000003) FROM generate_series(1, 2000 * 8) AS s(n)";
    let Reply::Rows(rows) = session.sql(near).await.unwrap() else { unreachable!("a SELECT gives rows") };
    assert_eq!(rows.collect().await.err().map(|error| error.sqlstate()), Some("22003"));
}

#[tokio::test]
async fn what_a_killed_process_spilled_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("spill/datafusion-old");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("rows"), "x").unwrap();
    let _database = Database::open(Config::in_folder(folder.path())).await.unwrap();
    assert!(!left.exists());
}

/// Positions and keys stand and fall with the rows that they came with, over restarts and the end of log segments.
#[tokio::test]
async fn notes_of_the_log_outlive_its_segments() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { log_segment_bytes: 1, flush_interval_ms: 3_600_000, ..Config::in_folder(folder.path()) };
    let (key, name) = ("batch 1", "headwater/source/s/0");
    let mut database = Database::open(config.clone()).await.unwrap();
    let session = database.session().unwrap();
    session.sql("CREATE TABLE t (a int); CREATE TABLE other (a int)").await.unwrap();
    for round in 0..3 {
        let buffer = database.server().buffer();
        let (version, t) = (buffer.current(), |version: &DbVersion, name: &str| {
            version.catalog.relations().find(|relation| relation.name == name).unwrap().clone()
        });
        let (table, other) = (t(&version, "t"), t(&version, "other"));
        assert_eq!(buffer.position(table.oid, name), (round > 0).then_some(round - 1));
        let rows = |number: i32| {
            let schema = Arc::clone(version.snapshot(table.oid).unwrap().arrow_schema());
            vec![RecordBatch::try_new(schema, vec![Arc::new(Int32Array::from(vec![number, number]))]).unwrap()]
        };
        let claimed = match (buffer.claim(table.oid, key).unwrap(), round) {
            (Claim::New(claimed), 0) => {
                assert!(buffer.claim(table.oid, key).is_err(), "it is on its way");
                Some((claimed, 5))
            }
            (Claim::Used(fact), 1 | 2) => {
                assert_eq!((fact.rows, fact.refused), (2, 5));
                None
            }
            _ => unreachable!("round {round}: the key is forgotten or was never new"),
        };
        let addition = Addition {
            rows: vec![Rows::inserted(&table, rows(1)), Rows::inserted(&other, rows(2))],
            positions: vec![(table.oid, name.to_owned(), round)],
            key: claimed,
            events: Vec::new(),
            rights: Vec::new(),
        };
        buffer.add(addition, Durability::Synced).await.unwrap();
        assert_eq!(buffer.position(table.oid, name), Some(round));
        let before = buffer.log_status().segments;
        session_of(&database, "FLUSH TABLE t").await;
        session_of(&database, "FLUSH TABLE other").await;
        assert!(buffer.log_status().segments < before + 2, "segments go once their rows are in files");
        let snapshot = Arc::clone(buffer.current().snapshot(table.oid).unwrap());
        assert_eq!(snapshot.app_version(name), Some(round), "the commit says how far the source was read");
        // Only a tail is left to come back with the next start.
        session_of(&database, &format!("INSERT INTO t VALUES ({round})")).await;
        database.close().await.unwrap();
        drop(database);
        database = Database::open(config.clone()).await.unwrap();
        let session = database.session().unwrap();
        let Reply::Rows(found) = session.sql("SELECT a FROM t").await.unwrap() else { unreachable!("a SELECT") };
        let count: usize = found.collect().await.unwrap().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(count, 3 * (round as usize + 1));
    }
}

async fn session_of(database: &Arc<Database>, sql: &str) {
    database.session().unwrap().sql(sql).await.unwrap();
}

/// Upserts and deletes by key against a map: read through the tail, over flushes, and after a start that reads the log.
#[tokio::test]
async fn what_is_replaced_by_key_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { flush_interval_ms: 3_600_000, ..Config::in_folder(folder.path()) };
    let mut database = Database::open(config.clone()).await.unwrap();
    session_of(&database, "CREATE TABLE t (v int, p int, k text, PRIMARY KEY (k, p)) PARTITIONED BY (p)").await;
    let (mut random, mut expected) = (StdRng::seed_from_u64(3), BTreeMap::<(i32, String), i32>::new());
    for round in 0..120 {
        let keys: Vec<(i32, String)> = (0..random.random_range(1..9))
            .map(|_| (random.random_range(0..3), format!("key {}", random.random_range(0..20))))
            .collect();
        match random.random_range(0..12) {
            0 => session_of(&database, "FLUSH TABLE t").await,
            1 => {
                database.close().await.unwrap();
                drop(database);
                database = Database::open(config.clone()).await.unwrap();
            }
            2 => {
                session_of(&database, "UPDATE t SET v = -v WHERE p = 1").await;
                expected.iter_mut().filter(|((p, _), _)| *p == 1).for_each(|(_, v)| *v = -*v);
            }
            3..6 => {
                change(&database, Effect::Delete, &keys, round).await;
                expected.retain(|key, _| !keys.contains(key));
            }
            _ => {
                change(&database, Effect::Upsert, &keys, round).await;
                expected.extend(keys.into_iter().map(|key| (key, round)));
            }
        }
        let shown: Vec<String> = expected.iter().map(|((p, k), v)| format!("{p}|{k}|{v}")).collect();
        assert_eq!(texts(&database, "SELECT p || '|' || k || '|' || v FROM t ORDER BY p, k").await, shown, "{round}");
        let counted = format!("{}|{}", shown.len(), expected.values().filter(|v| **v > 50).count());
        let counts = "SELECT count(*) || '|' || count(*) FILTER (WHERE v > 50) FROM t";
        assert_eq!(texts(&database, counts).await, [counted]);
        let largest: Vec<String> = expected.values().max().map(ToString::to_string).into_iter().collect();
        assert_eq!(texts(&database, "SELECT max(v)::text FROM t HAVING max(v) IS NOT NULL").await, largest);
        let some = expected.keys().filter(|(p, k)| *p == 2 && k.as_str() > "key 15").count();
        assert_eq!(texts(&database, "SELECT k FROM t WHERE p = 2 AND k > 'key 15'").await.len(), some);
    }
}

async fn change(database: &Database, effect: Effect, keys: &[(i32, String)], v: i32) {
    let buffer = database.server().buffer();
    let table = buffer.current().catalog.relations().find(|relation| relation.name == "t").unwrap().clone();
    let schema = Arc::clone(buffer.current().snapshot(table.oid).unwrap().arrow_schema());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![v; keys.len()])),
        Arc::new(keys.iter().map(|(p, _)| Some(*p)).collect::<Int32Array>()),
        Arc::new(keys.iter().map(|(_, k)| Some(k.as_str())).collect::<StringViewArray>()),
    ];
    let rows = RecordBatch::try_new(schema, columns).unwrap();
    let batches = vec![if effect == Effect::Delete { rows.project(&[2, 1]).unwrap() } else { rows }];
    let rows = vec![Rows { table: Arc::clone(&table), effect, batches }];
    buffer.add(Addition { rows, ..Addition::default() }, Durability::Synced).await.unwrap();
}

async fn texts(database: &Arc<Database>, sql: &str) -> Vec<String> {
    let session = database.session().unwrap();
    let Reply::Rows(found) = session.sql(sql).await.unwrap() else { unreachable!("a SELECT") };
    let column = |rows: &RecordBatch| -> Vec<String> {
        let column = arrow::compute::cast(rows.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        column.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
    };
    found.collect().await.unwrap().iter().flat_map(column).collect()
}
