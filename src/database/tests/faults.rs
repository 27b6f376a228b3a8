//! Tables in a store that fails by chance: what a statement says of its outcome is so, and no row is lost or doubled.
//!
//! HEADWATER_FAULTS_STEPS asks for more steps, HEADWATER_FAULTS_SEED for the statements of an earlier run, which it has printed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::FutureExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use url::Url;

use crate::buffer::{Addition, Rows};
use crate::clock::Clock;
use crate::config::Config;
use crate::database::Database;
use crate::database::flusher::flush_all;
use crate::error::{ErrorKind, Result};
use crate::log::Durability;
use crate::session::Reply;
use crate::tables::{Chance, FaultyStore, HookedStore, Stores};

const STEPS: u64 = 200;
const TABLES: [&str; 2] = ["plain", "keyed"];
const CREATE: &str = "CREATE TABLE plain (id bigint, v bigint) WITH (delta.checkpointInterval = 7);
     CREATE TABLE keyed (id bigint PRIMARY KEY, v bigint) WITH (delta.checkpointInterval = 7)";

type Held = BTreeMap<i64, i64>;

/// A database over a store, its statements, and what its tables should hold.
struct Run {
    folder: tempfile::TempDir,
    bucket: Arc<dyn ObjectStore>,
    chance: Arc<Chance>,
    database: Option<Arc<Database>>,
    random: StdRng,
    rows: [Held; 2],
    next: i64,
    /// Statements that were done, that failed, and that could not say.
    outcomes: [u64; 3],
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_statement_says_of_its_outcome_is_so_whatever_the_store_answers() {
    let steps = number("HEADWATER_FAULTS_STEPS").unwrap_or(STEPS);
    let seed = number("HEADWATER_FAULTS_SEED").unwrap_or_else(rand::random);
    println!("HEADWATER_FAULTS_SEED={seed}");
    let mut run = Run {
        folder: tempfile::tempdir().unwrap(),
        bucket: Arc::new(InMemory::new()),
        chance: Chance::new(seed),
        database: None,
        random: StdRng::seed_from_u64(seed),
        rows: Default::default(),
        next: 0,
        outcomes: [0; 3],
    };
    run.open().await;
    run.database().session().unwrap().sql(CREATE).await.unwrap();
    for step in 0..steps {
        if run.random.random_ratio(1, 12) {
            run.chance.set(if run.random.random() { 100 } else { 0 });
            run.open().await;
            run.chance.set(0);
        }
        run.step(step).await;
    }
    run.open().await;
    for (table, rows) in run.rows.iter().enumerate() {
        assert_eq!(run.read(table).await.unwrap(), *rows, "{} in the end", TABLES[table]);
    }
    println!("{steps} statements: {:?} were done, failed, could not say", run.outcomes);
    assert!(run.outcomes[..2].iter().all(|count| *count * 10 > steps), "the store failed too seldom or too often");
}

impl Run {
    fn database(&self) -> &Arc<Database> {
        self.database.as_ref().expect("it is open")
    }

    /// Opens the database, after a crash if it was open.
    async fn open(&mut self) {
        self.database = None;
        let url = Url::parse("memory://faulty/db/").unwrap();
        // Statements write files at once, or rows stay in the tail for ever, or for a moment.
        let flush_interval_ms = [0, 3_600_000, 50][self.random.random_range(0..3)];
        for _ in 0..200 {
            let stores = Stores::new(Default::default()).unwrap();
            stores.put(&url, Arc::new(FaultyStore::new(Arc::clone(&self.bucket), &self.chance)));
            let config =
                Config { tables_url: Some(url.clone()), flush_interval_ms, ..Config::in_folder(self.folder.path()) };
            match Database::open_over(config, Clock::Real, stores).await {
                Ok(database) => return self.database = Some(database),
                // A flush of the one before may still hold the folder.
                Err(error) if error.kind() == ErrorKind::ObjectInUse => {
                    Clock::Real.sleep(Duration::from_millis(20)).await
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the folder stays locked");
    }

    /// One statement while the store fails, and what is there then.
    async fn step(&mut self, step: u64) {
        let table = self.random.random_range(0..TABLES.len());
        let (sql, after) = self.statement(table);
        self.chance.set([0, 50, 100, 200][self.random.random_range(0..4)]);
        let outcome = self.done(&sql).await;
        let seen = self.read(table).await;
        self.chance.set(0);
        let there = match self.read(table).await {
            Ok(rows) => rows,
            // A table that could not be opened stays so until the next start.
            Err(_) => {
                self.open().await;
                self.read(table).await.unwrap()
            }
        };
        let before = std::mem::replace(&mut self.rows[table], there.clone());
        let at = format!("step {step}, {sql}: {outcome:?}");
        match &outcome {
            Ok(()) => assert_eq!(there, after, "{at}"),
            Err(error) if error.kind() == ErrorKind::StatementCompletionUnknown => {
                assert!(there == before || there == after, "{at}: {before:?} became {there:?}");
            }
            Err(error) => {
                assert_eq!(there, before, "{at}");
                assert!(!error.sqlstate().starts_with("XX"), "{at}");
            }
        }
        if let Ok(seen) = seen {
            assert_eq!(seen, there, "{at}: what was read while the store failed");
        }
        let kind =
            outcome.err().map_or(0, |error| 1 + usize::from(error.kind() == ErrorKind::StatementCompletionUnknown));
        self.outcomes[kind] += 1;
    }

    /// A statement, and the table's rows once it is done.
    fn statement(&mut self, table: usize) -> (String, Held) {
        let (name, mut rows) = (TABLES[table], self.rows[table].clone());
        let (n, v) = (self.random.random_range(0..5), self.random.random_range(1..1000));
        let old = rows.keys().nth(self.random.random_range(0..=rows.len())).copied().unwrap_or(-1);
        self.next += 3;
        let new = self.next;
        let sql = match self.random.random_range(0..if name == "keyed" { 11 } else { 9 }) {
            0..3 => {
                rows.extend([(new, 0), (new + 1, v)]);
                format!("INSERT INTO {name} VALUES ({new}, 0), ({}, {v})", new + 1)
            }
            3 | 4 => {
                rows.iter_mut().filter(|(id, _)| **id % 5 == n).for_each(|(_, held)| *held += 1);
                format!("UPDATE {name} SET v = v + 1 WHERE id % 5 = {n}")
            }
            5 => {
                rows.retain(|id, _| id % 11 != n);
                format!("DELETE FROM {name} WHERE id % 11 = {n}")
            }
            6 => {
                rows.extend([(old, v), (new, v)]);
                format!(
                    "MERGE INTO {name} USING (VALUES ({old}, {v}), ({new}, {v})) AS s(id, v) ON {name}.id = s.id \
                     WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)"
                )
            }
            7 => format!("FLUSH TABLE {name}"),
            8 => {
                format!("{} {name} {}", ["OPTIMIZE", "VACUUM"][n as usize % 2], ["", "RETAIN 0 HOURS"][n as usize % 2])
            }
            kind => {
                let (old_v, set) = if kind == 9 {
                    (0, "excluded.v")
                } else {
                    (rows.get(&old).copied().unwrap_or(0), "keyed.v + excluded.v")
                };
                rows.extend([(old, old_v + v), (new, v)]);
                format!("INSERT INTO {name} VALUES ({old}, {v}), ({new}, {v}) ON CONFLICT (id) DO UPDATE SET v = {set}")
            }
        };
        (sql, rows)
    }

    async fn done(&self, sql: &str) -> Result<()> {
        // A statement ends with its session.
        let session = self.database().session()?;
        if let Reply::Rows(rows) = session.sql(sql).await? {
            rows.collect().await?;
        }
        Ok(())
    }

    async fn read(&self, table: usize) -> Result<Held> {
        read(self.database(), TABLES[table]).await
    }
}

/// The rows; none may be there twice.
async fn read(database: &Arc<Database>, table: &str) -> Result<Held> {
    let session = database.session()?;
    let Reply::Rows(found) = session.sql(&format!("SELECT id, v FROM {table}")).await? else {
        unreachable!("a SELECT gives rows")
    };
    let mut rows = Held::new();
    let mut take = |batch: &RecordBatch| {
        let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().values().to_vec();
        for (id, v) in column(0).into_iter().zip(column(1)) {
            assert_eq!(rows.insert(id, v), None, "{table}: row {id} is there twice");
        }
    };
    found.collect().await?.iter().for_each(&mut take);
    Ok(rows)
}

/// A database on disk, where the answer to a commit can be lost: it is there, and its fsync failed.
async fn losing_answers() -> (tempfile::TempDir, Arc<Database>, Arc<AtomicBool>) {
    let folder = tempfile::tempdir().unwrap();
    let (stores, url) = (Stores::new(Default::default()).unwrap(), Url::parse("file:///").unwrap());
    let is_lost = Arc::new(AtomicBool::new(false));
    let lost = Arc::clone(&is_lost);
    let disk = stores.get(&url).unwrap();
    stores.put(
        &url,
        Arc::new(HookedStore::new(disk, move |put| {
            let lose = put.path.as_ref().ends_with(".json") && lost.swap(false, Ordering::SeqCst);
            let failed = || object_store::Error::Generic { store: "faulty", source: "input/output error".into() };
            async move { if lose { put.done().await.and(Err(failed())) } else { put.done().await } }.boxed()
        })),
    );
    let config = Config { flush_interval_ms: 3_600_000, ..Config::in_folder(folder.path()) };
    let database = Database::open_over(config, Clock::Real, stores).await.unwrap();
    database.session().unwrap().sql(CREATE).await.unwrap();
    (folder, database, is_lost)
}

#[tokio::test]
async fn a_flush_that_may_have_landed_is_not_done_again() {
    let (_folder, database, is_lost) = losing_answers().await;
    let session = database.session().unwrap();
    for table in TABLES {
        session.sql(&format!("INSERT INTO {table} VALUES (1, 1), (2, 2)")).await.unwrap();
        is_lost.store(true, Ordering::SeqCst);
        let flush = format!("FLUSH TABLE {table}");
        assert_eq!(session.sql(&flush).await.err().map(|error| error.sqlstate()), Some("40003"));
        // Neither the next rows nor the next flush come from a statement.
        let buffer = database.server().buffer();
        let version = buffer.current();
        let relation = version.catalog.relations().find(|relation| relation.name == table).unwrap();
        let three: ArrayRef = Arc::new(Int64Array::from(vec![3]));
        let schema = Arc::clone(version.snapshot(relation.oid).unwrap().arrow_schema());
        let rows = vec![Rows::inserted(
            relation,
            vec![RecordBatch::try_new(schema, vec![Arc::clone(&three), three]).unwrap()],
        )];
        buffer.add(Addition { rows, ..Addition::default() }, Durability::Synced).await.unwrap();
        flush_all(database.server()).await.unwrap();
        assert_eq!(read(&database, table).await.unwrap(), Held::from([(1, 1), (2, 2), (3, 3)]));
    }
}

#[tokio::test]
async fn who_comes_after_a_statement_that_may_have_landed_sees_whether_it_has() {
    let (_folder, database, is_lost) = losing_answers().await;
    let session = database.session().unwrap();
    session.sql("INSERT INTO keyed VALUES (1, 10), (2, 20)").await.unwrap();
    is_lost.store(true, Ordering::SeqCst);
    let lost = session.sql("FLUSH TABLE keyed; UPDATE keyed SET v = v + 1").await;
    assert_eq!(lost.err().map(|error| error.sqlstate()), Some("40003"));
    session.sql("UPDATE keyed SET v = v + 1").await.unwrap();
    is_lost.store(true, Ordering::SeqCst);
    let lost = session.sql("UPDATE keyed SET v = v + 100").await;
    assert_eq!(lost.err().map(|error| error.sqlstate()), Some("40003"));
    session
        .sql("INSERT INTO keyed VALUES (2, 1000) ON CONFLICT (id) DO UPDATE SET v = keyed.v + excluded.v")
        .await
        .unwrap();
    assert_eq!(read(&database, "keyed").await.unwrap(), Held::from([(1, 111), (2, 1121)]));
}
