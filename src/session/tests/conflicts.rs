//! Another program changes the table between what a statement reads and its commit: the rows afterwards are those of one
//! order of the two, or the statement fails with 40001 and has left nothing.

use std::sync::Arc;

use futures::FutureExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use parking_lot::Mutex;
use url::Url;

use super::{code, done, rows, server_on};
use crate::error::Result;
use crate::session::{Login, Reply, Session};
use crate::tables::{HookedStore, Stores};

/// The rows `(id, v)` of the table, sorted, and whether it refuses ids from 1000 on.
#[derive(Clone, Debug, PartialEq)]
struct State {
    rows: Vec<(i64, i64)>,
    checked: bool,
}

/// A statement, `{n}` in it a number of its program's own, and what it means; `None` where it must fail.
struct Act {
    sql: &'static str,
    model: fn(State, i64) -> Option<State>,
}

const fn act(sql: &'static str, model: fn(State, i64) -> Option<State>) -> Act {
    Act { sql, model }
}

const INSERT: Act = act("INSERT INTO t (id, v) VALUES ({n}, 1)", |state, n| state.with(&[(n, 1)]));
const UPDATE: Act =
    act("UPDATE t SET v = {n} WHERE id < 15", |state, n| state.map(|id, v| Some(if id < 15 { n } else { v })));
const DELETE_OTHERS: Act = act("DELETE FROM t WHERE id >= 35", |state, _| state.map(|id, v| (id < 35).then_some(v)));
const DELETE_ALL: Act = act("DELETE FROM t", |state, _| state.map(|_, _| None));
const MERGE: Act = act(
    "MERGE INTO t USING (VALUES (12, {n}), (700, {n})) AS s(k, w) ON t.id = s.k
     WHEN MATCHED THEN UPDATE SET v = s.w WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.k, s.w)",
    |state, n| {
        let new: Vec<_> = [12, 700].into_iter().filter(|id| !state.has(*id)).map(|id| (id, n)).collect();
        state.map(|id, v| Some(if id == 12 || id == 700 { n } else { v }))?.with(&new)
    },
);
const MERGE_NEW: Act = act(
    "MERGE INTO t USING (VALUES (700, {n})) AS s(k, w) ON t.id = s.k WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.k, s.w)",
    |state, n| if state.has(700) { Some(state) } else { state.with(&[(700, n)]) },
);
const OPTIMIZE: Act = act("OPTIMIZE t FULL", |state, _| Some(state));
const CHECK: Act = act("ALTER TABLE t ADD CONSTRAINT c{n} CHECK (id < 1000)", |state, _| {
    state.rows.iter().all(|(id, _)| *id < 1000).then_some(State { checked: true, ..state })
});
const REPLACE: Act = act("CREATE OR REPLACE TABLE t AS SELECT 1::bigint AS id, {n}::bigint AS v", |_, n| {
    Some(State { rows: vec![(1, n)], checked: false })
});
const RESTORE: Act = act("RESTORE TABLE t TO VERSION AS OF 2", |_, _| Some(at_version(2)));

const OURS: [Act; 18] = [
    INSERT,
    UPDATE,
    act("UPDATE t SET v = v + {n} WHERE id < 5", |state, n| state.map(|id, v| Some(if id < 5 { v + n } else { v }))),
    act("UPDATE t SET v = {n} + (SELECT max(v) FROM t) WHERE id = 35", |state, n| {
        let most = state.rows.iter().map(|(_, v)| *v).max().unwrap_or_default();
        state.map(|id, v| Some(if id == 35 { n + most } else { v }))
    }),
    act("DELETE FROM t WHERE id < 5", |state, _| state.map(|id, v| (id >= 5).then_some(v))),
    DELETE_OTHERS,
    DELETE_ALL,
    act("TRUNCATE t", |state, _| state.map(|_, _| None)),
    MERGE,
    MERGE_NEW,
    act("MERGE INTO t USING (VALUES (12)) AS s(k) ON t.id = s.k WHEN MATCHED THEN UPDATE SET v = {n}", |state, n| {
        state.map(|id, v| Some(if id == 12 { n } else { v }))
    }),
    act(
        "MERGE INTO t USING (SELECT k FROM generate_series(0, 29) AS g(k)) AS s ON t.id = s.k WHEN NOT MATCHED BY SOURCE THEN DELETE",
        |state, _| state.map(|id, v| (id < 30).then_some(v)),
    ),
    OPTIMIZE,
    act("OPTIMIZE t ZORDER BY (v, id)", |state, _| Some(state)),
    act("ALTER TABLE t ADD COLUMN w{n} int DEFAULT 7", |state, _| Some(state)),
    CHECK,
    REPLACE,
    RESTORE,
];

const THEIRS: [Act; 7] = [INSERT, UPDATE, DELETE_OTHERS, MERGE_NEW, OPTIMIZE, CHECK, RESTORE];

impl Act {
    fn sql(&self, n: i64) -> String {
        self.sql.replace("{n}", &n.to_string())
    }
}

impl State {
    fn has(&self, id: i64) -> bool {
        self.rows.iter().any(|row| row.0 == id)
    }

    fn with(mut self, new: &[(i64, i64)]) -> Option<Self> {
        self.rows.extend(new);
        self.rows.sort_unstable();
        (!self.checked || self.rows.iter().all(|(id, _)| *id < 1000)).then_some(self)
    }

    /// Each row with a new value, or without one gone.
    fn map(mut self, value: impl Fn(i64, i64) -> Option<i64>) -> Option<Self> {
        self.rows = self.rows.into_iter().filter_map(|(id, v)| Some((id, value(id, v)?))).collect();
        Some(self)
    }
}

/// Version `n` has `n` files of ten rows.
fn at_version(n: i64) -> State {
    State { rows: (0..n * 10).map(|id| (id, 0)).collect(), checked: false }
}

/// The version that each case begins with.
const BASE: i64 = 4;

/// Two programs with one table.
struct Race {
    ours: Session,
    theirs: Arc<Session>,
    /// What the other program does just before our next commit.
    next: Arc<Mutex<Option<String>>>,
    _folder: tempfile::TempDir,
}

impl Race {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let session = async |name: &str, store: Arc<dyn ObjectStore>| {
            let stores = Stores::new(Default::default()).unwrap();
            stores.put(&Url::parse("memory://shared/").unwrap(), store);
            let folder = folder.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            let server = server_on(&folder, stores, "memory://shared/".to_owned()).await;
            Session::open(&server, Login::embedded()).unwrap()
        };
        let theirs = Arc::new(session("theirs", Arc::clone(&bucket)).await);
        let next = Arc::new(Mutex::new(None::<String>));
        let (other, armed) = (Arc::clone(&theirs), Arc::clone(&next));
        let hooked = HookedStore::new(bucket, move |put| {
            let (other, armed) = (Arc::clone(&other), Arc::clone(&armed));
            async move {
                let sql = if put.path.as_ref().ends_with(".json") { armed.lock().take() } else { None };
                if let Some(sql) = sql {
                    done(&other, &sql).await;
                }
                put.done().await
            }
            .boxed()
        });
        let ours = session("ours", Arc::new(hooked)).await;
        done(&theirs, "CREATE TABLE t (id bigint, v bigint) LOCATION 'memory://shared/t'").await;
        for file in 0..BASE {
            let ids = format!("generate_series({}, {}::bigint)", file * 10, file * 10 + 9);
            done(&theirs, &format!("INSERT INTO t SELECT id, 0 FROM {ids} AS s(id)")).await;
        }
        done(&ours, "CREATE TABLE t USING DELTA LOCATION 'memory://shared/t'").await;
        Self { ours, theirs, next, _folder: folder }
    }

    /// Runs our statement, theirs in the midst of it.
    async fn run(&self, ours: &str, theirs: String) -> Result<()> {
        *self.next.lock() = Some(theirs);
        match self.ours.sql(ours).await? {
            Reply::Rows(rows) => rows.collect().await.map(drop),
            _ => Ok(()),
        }
    }

    async fn rows(&self) -> Vec<(i64, i64)> {
        let row = |line: &String| {
            let (id, v) = line.split_once(' ').unwrap();
            (id.parse().unwrap(), v.parse().unwrap())
        };
        rows(&self.theirs, "SELECT id, v FROM t ORDER BY id, v").await.unwrap().iter().map(row).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_another_program_in_between_is_followed_or_refused() {
    let race = Race::start().await;
    let base = at_version(BASE);
    let mut landed = Vec::new();
    for theirs in &THEIRS {
        for ours in &OURS {
            let case = format!("{} before the commit of {}", theirs.sql, ours.sql);
            let outcome = race.run(&ours.sql(1000), theirs.sql(2000)).await;
            assert!(race.next.lock().is_none(), "{case}: nothing was committed: {outcome:?}");
            let after = race.rows().await;
            let theirs_alone = (theirs.model)(base.clone(), 2000).unwrap();
            if outcome.is_ok() {
                let ours_first = (ours.model)(base.clone(), 1000).and_then(|state| (theirs.model)(state, 2000));
                let theirs_first = (ours.model)(theirs_alone, 1000);
                let serial = [ours_first, theirs_first];
                assert!(serial.iter().flatten().any(|state| state.rows == after), "{case}: {after:?}");
                landed.push((theirs.sql, ours.sql));
            } else {
                assert_eq!(code(outcome), "40001", "{case}");
                assert_eq!(after, theirs_alone.rows, "{case}: what failed has left something");
            }
            done(&race.theirs, &format!("RESTORE TABLE t TO VERSION AS OF {BASE}")).await;
        }
    }
    // What must not fail needlessly: appends, and work on rows that nobody touched.
    let not_refused = |theirs: &Act, ours: &Act| landed.contains(&(theirs.sql, ours.sql));
    let redefines = |act: &&Act| act.sql.starts_with("ALTER") || act.sql.starts_with("CREATE");
    for theirs in THEIRS.iter().filter(|theirs| !redefines(theirs)) {
        assert!(not_refused(theirs, &INSERT), "an INSERT fails after {}", theirs.sql);
    }
    for ours in OURS.iter().filter(|ours| !redefines(ours) && !ours.sql.contains("NOT MATCHED THEN")) {
        assert!(not_refused(&INSERT, ours), "{} fails after an INSERT", ours.sql);
    }
    let catalog = &race.theirs.scope().version.catalog;
    let table = catalog.relations().find(|relation| relation.name == "t").unwrap().oid;
    let report = race.theirs.scope().version.table(table).unwrap().check().await.unwrap();
    assert_eq!((report.orphans, report.bad_files, report.bad_log), Default::default());
}

#[tokio::test]
async fn a_transaction_sees_what_others_had_committed_before_its_first_look() {
    let race = Race::start().await;
    let seen = async || rows(&race.ours, "SELECT count(*) FROM t").await.unwrap().concat();
    done(&race.theirs, "CREATE TABLE u (id bigint) LOCATION 'memory://shared/u'").await;
    done(&race.ours, "CREATE TABLE u USING DELTA LOCATION 'memory://shared/u'").await;
    // Neither what sets up a session nor a look at another table is a look at this one.
    for before in ["SET search_path TO public", "SELECT 1", "SELECT count(*) FROM u"] {
        done(&race.ours, &format!("BEGIN; {before}")).await;
        done(&race.theirs, "INSERT INTO t VALUES (1, 1)").await;
        let first = seen().await;
        assert_eq!(first, rows(&race.theirs, "SELECT count(*) FROM t").await.unwrap().concat(), "{before}");
        done(&race.theirs, "INSERT INTO t VALUES (2, 2)").await;
        assert_eq!(seen().await, first, "{before}: the second look sees what the first one saw");
        done(&race.ours, "COMMIT").await;
    }
    assert_eq!(seen().await, "46");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_another_program_adds_in_between_is_not_doubled() {
    let race = Race::start().await;
    done(&race.ours, "ALTER TABLE t ADD UNIQUE (id)").await;
    let base = at_version(BASE);
    for (ours, theirs, expected, upserted) in [
        ("INSERT INTO t VALUES (700, 1) ON CONFLICT DO NOTHING", "INSERT INTO t VALUES (700, 2)", "40001", None),
        (
            "INSERT INTO t VALUES (3, 1), (700, 1) ON CONFLICT (id) DO UPDATE SET v = 9",
            "INSERT INTO t VALUES (700, 2)",
            "40001",
            None,
        ),
        (
            "INSERT INTO t VALUES (3, 1) ON CONFLICT (id) DO UPDATE SET v = 9",
            "DELETE FROM t WHERE id = 3",
            "40001",
            None,
        ),
        (
            "INSERT INTO t VALUES (3, 1) ON CONFLICT (id) DO UPDATE SET v = 9",
            "INSERT INTO t VALUES (700, 2)",
            "00000",
            Some(3),
        ),
    ] {
        let outcome = race.run(ours, theirs.to_owned()).await;
        assert!(race.next.lock().is_none(), "{ours}: nothing was committed: {outcome:?}");
        assert_eq!(code(outcome), expected, "{ours} with {theirs} in between");
        let theirs_alone = match theirs.starts_with("INSERT") {
            true => base.clone().with(&[(700, 2)]),
            false => base.clone().map(|id, v| (id != 3).then_some(v)),
        };
        let after = theirs_alone.unwrap().map(|id, v| Some(if Some(id) == upserted { 9 } else { v })).unwrap();
        assert_eq!(race.rows().await, after.rows, "{ours} with {theirs} in between");
        done(&race.theirs, &format!("RESTORE TABLE t TO VERSION AS OF {BASE}")).await;
    }
}
