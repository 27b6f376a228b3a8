//! A table against a plain model of it: random statements, after each of them the rows, random questions, and old versions.
//!
//! HEADWATER_MODEL_SEED and HEADWATER_MODEL_STEPS ask for another run or a longer one; a failure names seed, step and statement.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use headwater::{Config, Database, Reply, Session};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::embedded::{counted, done, lines};

/// Statements on each table.
const STEPS: usize = 30;
const SEED: u64 = 20_261_122;
/// With more rows than this most of them are deleted next.
const ROWS_MAX: usize = 1000;
/// Texts that partition the table: some need care as names of folders.
const TEXTS: [&str; 5] = ["a", "b", "ü/ß", "x=y%20z", " sp ace'"];

/// How the table of a run is made, whose columns are always the same; and whether small inserts stay in its tail.
const TABLES: [(&str, bool); 7] = [
    ("", true),
    ("", false),
    ("PARTITIONED BY (g)", true),
    ("CLUSTER BY (k)", true),
    ("PARTITIONED BY (g) CLUSTER BY (v)", false),
    ("CLUSTER BY (k, g) WITH (target_file_bytes = 2000)", true),
    ("PARTITIONED BY (g) CLUSTER BY (k, v) WITH (target_file_bytes = 1000)", false),
];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Null,
    Int(i64),
    Text(String),
}

impl Cell {
    fn sql(&self) -> String {
        match self {
            Self::Text(text) => format!("'{}'", text.replace('\'', "''")),
            other => other.to_string(),
        }
    }

    fn plus(&self, number: i64) -> Self {
        match self {
            Self::Int(value) => Self::Int(value + number),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Int(value) => value.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

type Row = Vec<Cell>;

/// A table at one version.
#[derive(Clone, Debug)]
struct State {
    columns: Vec<String>,
    rows: Vec<Row>,
}

/// A condition on one row, with SQL's three truth values.
enum Predicate {
    Compare(usize, &'static str, Cell),
    IsNull(usize, bool),
    In(usize, Vec<Cell>),
    Not(Box<Predicate>),
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
}

impl Predicate {
    fn random(random: &mut StdRng, state: &State, depth: usize) -> Self {
        let column = random.random_range(0..state.columns.len());
        let inner = |random: &mut StdRng| Box::new(Self::random(random, state, depth - 1));
        match random.random_range(0..if depth == 0 { 5 } else { 9 }) {
            0..=2 => {
                let operator = *["=", "<>", "<", "<=", ">", ">="].choose(random).unwrap();
                Self::Compare(column, operator, cell(random, state, column))
            }
            3 => Self::IsNull(column, random.random_bool(0.5)),
            4 => Self::In(column, (0..random.random_range(1..4)).map(|_| cell(random, state, column)).collect()),
            5 => Self::Not(inner(random)),
            6 | 7 => Self::And(inner(random), inner(random)),
            _ => Self::Or(inner(random), inner(random)),
        }
    }

    fn holds(&self, row: &Row) -> Option<bool> {
        let compare = |at: usize, operator: &str, cell: &Cell| {
            let known = row[at] != Cell::Null && *cell != Cell::Null;
            known.then(|| match operator {
                "=" => row[at] == *cell,
                "<>" => row[at] != *cell,
                "<" => row[at] < *cell,
                "<=" => row[at] <= *cell,
                ">" => row[at] > *cell,
                _ => row[at] >= *cell,
            })
        };
        let either = |one: Option<bool>, other: Option<bool>| match (one, other) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        match self {
            Self::Compare(at, operator, cell) => compare(*at, operator, cell),
            Self::IsNull(at, wanted) => Some((row[*at] == Cell::Null) == *wanted),
            Self::In(at, cells) => cells.iter().map(|cell| compare(*at, "=", cell)).fold(Some(false), either),
            Self::Not(inner) => inner.holds(row).map(|held| !held),
            Self::Or(one, other) => either(one.holds(row), other.holds(row)),
            Self::And(one, other) => {
                either(one.holds(row).map(|held| !held), other.holds(row).map(|held| !held)).map(|held| !held)
            }
        }
    }

    /// The condition over the columns of `table`, a prefix like `t.`.
    fn sql(&self, state: &State, table: &str) -> String {
        let name = |at: &usize| format!("{table}{}", state.columns[*at]);
        match self {
            Self::Compare(at, operator, cell) => format!("{} {operator} {}", name(at), cell.sql()),
            Self::IsNull(at, wanted) => format!("{} IS {}NULL", name(at), if *wanted { "" } else { "NOT " }),
            Self::In(at, cells) => {
                format!("{} IN ({})", name(at), cells.iter().map(Cell::sql).collect::<Vec<_>>().join(", "))
            }
            Self::Not(inner) => format!("NOT ({})", inner.sql(state, table)),
            Self::And(one, other) => format!("({} AND {})", one.sql(state, table), other.sql(state, table)),
            Self::Or(one, other) => format!("({} OR {})", one.sql(state, table), other.sql(state, table)),
        }
    }
}

/// A value of the column; few, so that rows meet, and sometimes NULL.
fn cell(random: &mut StdRng, state: &State, column: usize) -> Cell {
    match state.columns[column].as_str() {
        _ if random.random_bool(0.1) => Cell::Null,
        "g" => Cell::Text((*TEXTS.choose(random).unwrap()).to_owned()),
        "k" => Cell::Int(random.random_range(0..40)),
        _ => Cell::Int(random.random_range(-5..60)),
    }
}

fn row(random: &mut StdRng, state: &State) -> Row {
    (0..state.columns.len()).map(|column| cell(random, state, column)).collect()
}

/// Tails are flushed when a statement asks for it, or there are none.
fn config(folder: &std::path::Path, has_tail: bool) -> Config {
    Config { flush_interval_ms: if has_tail { 3_600_000 } else { 0 }, ..Config::in_folder(folder) }
}

/// A run of statements on one table.
struct Run {
    folder: tempfile::TempDir,
    has_tail: bool,
    database: Arc<Database>,
    session: Session,
    random: StdRng,
    state: State,
    /// By version, as far back as VACUUM lets us.
    history: BTreeMap<i64, State>,
    version: i64,
    seen: BTreeMap<&'static str, usize>,
}

impl Run {
    async fn new(layout: &str, has_tail: bool, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(config(folder.path(), has_tail)).await.unwrap();
        let session = database.session().unwrap();
        done(&session, &format!("CREATE TABLE t (k bigint UNIQUE CHECK (k < 1000), g text, v int) {layout}")).await;
        let state = State { columns: ["k", "g", "v"].map(str::to_owned).to_vec(), rows: Vec::new() };
        let history = BTreeMap::from([(0, state.clone())]);
        let random = StdRng::seed_from_u64(seed);
        Self { folder, has_tail, database, session, random, state, history, version: 0, seen: BTreeMap::new() }
    }

    fn at(&self, column: &str) -> usize {
        self.state.columns.iter().position(|name| name == column).unwrap()
    }

    fn predicate(&mut self) -> Predicate {
        Predicate::random(&mut self.random, &self.state, 2)
    }

    /// One random statement, on the table and on the model; gives its text.
    async fn step(&mut self) -> String {
        if self.state.rows.len() > ROWS_MAX {
            self.state.rows.retain(|row| row[0] == Cell::Int(2) && matches!(row[2], Cell::Int(v) if v < 100));
            let sql = format!("DELETE FROM t WHERE (k = 2 AND {} < 100) IS NOT TRUE", self.state.columns[2]);
            return self.run("purge", sql).await;
        }
        match self.random.random_range(0..28) {
            0..=3 => self.insert().await,
            4 => self.bulk().await,
            5..=8 => self.update().await,
            9..=11 => self.delete().await,
            12..=15 => self.merge().await,
            16..=17 => self.optimize().await,
            18 => self.alter().await,
            19 => self.restore().await,
            20 => self.broken().await,
            21 => self.reopen().await,
            22 => self.vacuum().await,
            23 if self.has_tail => self.run("flush", "FLUSH TABLE t".to_owned()).await,
            25..=27 => self.upsert().await,
            _ => {
                self.state.rows.clear();
                self.run("truncate", "TRUNCATE t".to_owned()).await
            }
        }
    }

    async fn run(&mut self, kind: &'static str, sql: String) -> String {
        *self.seen.entry(kind).or_default() += 1;
        done(&self.session, &sql).await;
        sql
    }

    async fn insert(&mut self) -> String {
        let count = self.random.random_range(1..6);
        let rows: Vec<Row> = (0..count).map(|_| row(&mut self.random, &self.state)).collect();
        let sql = format!("INSERT INTO t ({}) VALUES {}", self.state.columns.join(", "), values(&rows));
        self.state.rows.extend(rows);
        self.run("insert", sql).await
    }

    /// Enough rows for several files.
    async fn bulk(&mut self) -> String {
        let (count, shift) = (self.random.random_range(100..12_000), self.random.random_range(0..7));
        for n in 0..count {
            let mut row = vec![Cell::Null; self.state.columns.len()];
            row[0] = Cell::Int((n * 7 + shift) % 40);
            row[1] = Cell::Text(["a", "b", "c"][usize::try_from(n % 3).unwrap()].to_owned());
            row[2] = if n % 11 == 0 { Cell::Null } else { Cell::Int((n * 13 + shift) % 500) };
            self.state.rows.push(row);
        }
        let v = self.state.columns[2].clone();
        let sql = format!(
            "INSERT INTO t (k, g, {v}) SELECT (n * 7 + {shift}) % 40, substr('abc', (n % 3 + 1)::int, 1),
             CASE WHEN n % 11 <> 0 THEN (n * 13 + {shift}) % 500 END FROM generate_series(0, {}::bigint) AS s(n)",
            count - 1
        );
        self.fill_defaults(usize::try_from(count).unwrap());
        self.run("bulk", sql).await
    }

    /// The newest rows left out the columns behind the first three.
    fn fill_defaults(&mut self, count: usize) {
        let from = self.state.rows.len() - count;
        if let Some(column) = self.state.columns.iter().position(|name| name == "x") {
            self.state.rows[from..].iter_mut().for_each(|row| row[column] = Cell::Int(7));
        }
    }

    async fn update(&mut self) -> String {
        let condition = self.predicate();
        let column = self.random.random_range(0..self.state.columns.len());
        let name = self.state.columns[column].clone();
        let by = if name != "g" && self.random.random_bool(0.5) { Some(self.random.random_range(1..4)) } else { None };
        let new = cell(&mut self.random, &self.state, column);
        let sql = format!(
            "UPDATE t SET {name} = {} WHERE {}",
            by.map_or_else(|| new.sql(), |by| format!("{name} + {by}")),
            condition.sql(&self.state, "")
        );
        for row in self.state.rows.iter_mut().filter(|row| condition.holds(row) == Some(true)) {
            row[column] = by.map_or_else(|| new.clone(), |by| row[column].plus(by));
        }
        self.run("update", sql).await
    }

    async fn delete(&mut self) -> String {
        let condition = self.predicate();
        let sql = format!("DELETE FROM t WHERE {}", condition.sql(&self.state, ""));
        self.state.rows.retain(|row| condition.holds(row) != Some(true));
        self.run("delete", sql).await
    }

    async fn merge(&mut self) -> String {
        let keys: Vec<Row> = (0..self.random.random_range(1..9))
            .map(|_| {
                let key =
                    if self.random.random_bool(0.1) { Cell::Null } else { Cell::Int(self.random.random_range(0..8)) };
                vec![key, Cell::Int(self.random.random_range(100..200))]
            })
            .collect();
        let matched = self.predicate();
        let (updates, inserts, unmatched) =
            (self.random.random_bool(0.7), self.random.random_bool(0.6), self.random.random_bool(0.25));
        let v = self.state.columns[2].clone();
        let mut sql = format!(
            "MERGE INTO t USING (SELECT k::bigint AS k, n FROM (VALUES {}) AS l(k, n)) AS s ON t.k = s.k
             WHEN MATCHED AND {} THEN {}",
            values(&keys),
            matched.sql(&self.state, "t."),
            if updates { format!("UPDATE SET {v} = s.n") } else { "DELETE".to_owned() }
        );
        if inserts {
            sql += &format!(" WHEN NOT MATCHED THEN INSERT (k, g, {v}) VALUES (s.k, 'm', s.n)");
        }
        if unmatched {
            sql += &format!(" WHEN NOT MATCHED BY SOURCE AND t.g = 'b' THEN UPDATE SET {v} = -1");
        }
        let matches = |key: &Cell, row: &Row| *key != Cell::Null && row[0] == *key;
        let (old, mut twice) = (self.state.rows.clone(), false);
        let mut rows = Vec::new();
        for row in &old {
            let found: Vec<&Row> = keys.iter().filter(|key| matches(&key[0], row)).collect();
            let mut row = row.clone();
            match found.as_slice() {
                [] if unmatched && row[1] == Cell::Text("b".to_owned()) => row[2] = Cell::Int(-1),
                [] => {}
                found if matched.holds(&row) == Some(true) => {
                    twice |= found.len() > 1;
                    if !updates {
                        continue;
                    }
                    row[2] = found[0][1].clone();
                }
                _ => {}
            }
            rows.push(row);
        }
        if twice {
            *self.seen.entry("merged twice").or_default() += 1;
            assert_eq!(self.failure(&sql).await, "21000", "{sql}");
            return sql;
        }
        self.state.rows = rows;
        if inserts {
            let new: Vec<&Row> = keys.iter().filter(|key| old.iter().all(|row| !matches(&key[0], row))).collect();
            for key in &new {
                let mut row = vec![Cell::Null; self.state.columns.len()];
                row[..3].clone_from_slice(&[key[0].clone(), Cell::Text("m".to_owned()), key[1].clone()]);
                self.state.rows.push(row);
            }
            self.fill_defaults(new.len());
        }
        self.run("merge", sql).await
    }

    /// What has the key, be it several rows, is changed or in the way; a NULL is nobody's key.
    async fn upsert(&mut self) -> String {
        let mut proposed: Vec<Row> =
            (0..self.random.random_range(1..6)).map(|_| row(&mut self.random, &self.state)).collect();
        for row in proposed.iter_mut().filter(|row| row[0] != Cell::Null) {
            row[0] = Cell::Int(self.random.random_range(0..15));
        }
        let (updates, condition) = (self.random.random_bool(0.7), self.predicate());
        let (names, v) = (self.state.columns.join(", "), self.state.columns[2].clone());
        let action = match updates {
            true => format!("UPDATE SET g = excluded.g, {v} = t.{v} + 100 WHERE {}", condition.sql(&self.state, "t.")),
            false => "NOTHING".to_owned(),
        };
        let sql = format!("INSERT INTO t ({names}) VALUES {} ON CONFLICT (k) DO {action}", values(&proposed));
        let (mut rows, mut new, mut taken) = (self.state.rows.clone(), Vec::new(), BTreeSet::new());
        for proposed in proposed {
            if proposed[0] != Cell::Null && taken.contains(&proposed[0]) {
                if updates {
                    *self.seen.entry("upserted twice").or_default() += 1;
                    assert_eq!(self.failure(&sql).await, "21000", "{sql}");
                    return sql;
                }
                continue;
            }
            let has_key = |row: &&mut Row| proposed[0] != Cell::Null && row[0] == proposed[0];
            let mut present: Vec<&mut Row> = rows.iter_mut().filter(has_key).collect();
            let is_new = present.is_empty();
            present.retain(|row| updates && condition.holds(row) == Some(true));
            if is_new || !present.is_empty() {
                taken.insert(proposed[0].clone());
            }
            for row in present {
                (row[1], row[2]) = (proposed[1].clone(), row[2].plus(100));
            }
            if is_new {
                new.push(proposed);
            }
        }
        self.state.rows = [rows, new].concat();
        self.run("upsert", sql).await
    }

    async fn optimize(&mut self) -> String {
        let v = self.state.columns[2].clone();
        let sql = match self.random.random_range(0..5) {
            0 => format!("OPTIMIZE t ZORDER BY (k, {v})"),
            1 => format!("OPTIMIZE t ZORDER BY (k, {v}) FULL"),
            2 => "OPTIMIZE t WHERE g = 'a' FULL".to_owned(),
            3 => "OPTIMIZE t".to_owned(),
            _ => "OPTIMIZE t FULL".to_owned(),
        };
        self.run("optimize", sql).await
    }

    /// A fourth column comes and goes, the third changes its name.
    async fn alter(&mut self) -> String {
        if self.random.random_bool(0.3) {
            let (old, new) = if self.state.columns[2] == "v" { ("v", "w") } else { ("w", "v") };
            self.state.columns[2] = new.to_owned();
            return self.run("rename", format!("ALTER TABLE t RENAME COLUMN {old} TO {new}")).await;
        }
        if self.state.columns.len() > 3 {
            let name = self.state.columns.pop().unwrap();
            self.state.rows.iter_mut().for_each(|row| row.truncate(3));
            return self.run("drop column", format!("ALTER TABLE t DROP COLUMN {name}")).await;
        }
        let (name, default, value) = match self.random.random_bool(0.5) {
            true => ("x", " DEFAULT 7", Cell::Int(7)),
            false => ("y", "", Cell::Null),
        };
        self.state.columns.push(name.to_owned());
        self.state.rows.iter_mut().for_each(|row| row.push(value.clone()));
        self.run("add column", format!("ALTER TABLE t ADD COLUMN {name} int{default}")).await
    }

    /// Back to an older version of the same columns: what only the catalog knows of a column does not come back with it.
    async fn restore(&mut self) -> String {
        let same = |(version, state): (&i64, &State)| (state.columns == self.state.columns).then_some(*version);
        let versions: Vec<i64> = self.history.iter().filter_map(same).collect();
        let Some(version) = versions.choose(&mut self.random).copied() else { return "nothing to restore".to_owned() };
        self.state = self.history[&version].clone();
        self.run("restore", format!("RESTORE TABLE t TO VERSION AS OF {version}")).await
    }

    /// A statement of which one row breaks a rule: nothing of it is done.
    async fn broken(&mut self) -> String {
        let breaks = self.state.rows.iter().any(|row| row[0] != Cell::Null);
        let sql = match self.random.random_bool(0.5) && breaks {
            true => "UPDATE t SET k = k + 2000".to_owned(),
            false => "INSERT INTO t (k, g) VALUES (1, 'a'), (1000, 'b')".to_owned(),
        };
        *self.seen.entry("broken").or_default() += 1;
        assert_eq!(self.failure(&sql).await, "23514", "{sql}");
        sql
    }

    async fn failure(&self, sql: &str) -> String {
        match self.session.sql(sql).await {
            Err(error) => error.sqlstate().to_owned(),
            Ok(Reply::Rows(rows)) => rows.collect().await.expect_err(sql).sqlstate().to_owned(),
            Ok(_) => "no failure".to_owned(),
        }
    }

    async fn reopen(&mut self) -> String {
        *self.seen.entry("reopen").or_default() += 1;
        self.database.close().await.unwrap();
        self.database = Database::open(config(self.folder.path(), self.has_tail)).await.unwrap();
        self.session = self.database.session().unwrap();
        "a new start".to_owned()
    }

    async fn vacuum(&mut self) -> String {
        self.history.clear();
        self.run("vacuum", "VACUUM t RETAIN 0 HOURS".to_owned()).await
    }

    /// The table is what the model says, now and then.
    async fn check(&mut self, what: &str) {
        let facts = &lines(&self.session, "SELECT version, tail_rows FROM system.tables WHERE name = 't'").await[0];
        let version: i64 = facts[0].parse().unwrap();
        assert!(version >= self.version, "{what}: version {version} after {}", self.version);
        self.version = version;
        // What is in the tail is in no version.
        if facts[1] == "0" {
            self.history.insert(version, self.state.clone());
        }
        self.compare(&self.state, "t", what).await;
        let condition = self.predicate();
        let sql = condition.sql(&self.state, "");
        let rows: Vec<&Row> = self.state.rows.iter().filter(|row| condition.holds(row) == Some(true)).collect();
        let found = lines(&self.session, &format!("SELECT * FROM t WHERE {sql}")).await;
        assert_eq!(counted(found), counted(rows.iter().map(|row| shown(row)).collect()), "{what}, then WHERE {sql}");
        self.compare_facts(what).await;
        let versions: Vec<i64> = self.history.keys().copied().collect();
        let Some(old) = versions.choose(&mut self.random).copied() else { return };
        self.compare(&self.history[&old], &format!("t VERSION AS OF {old}"), what).await;
    }

    async fn compare(&self, state: &State, table: &str, what: &str) {
        let found = lines(&self.session, &format!("SELECT {} FROM {table}", state.columns.join(", "))).await;
        let wanted = counted(state.rows.iter().map(shown).collect());
        assert_eq!(counted(found), wanted, "{what}, then {table}");
    }

    /// What statistics answer, and what order a scan declares.
    async fn compare_facts(&self, what: &str) {
        for name in &self.state.columns[..3] {
            let at = self.at(name);
            let mut cells: Vec<&Cell> = self.state.rows.iter().map(|row| &row[at]).collect();
            let nulls = cells.iter().filter(|cell| ***cell == Cell::Null).count();
            cells.sort();
            let (cells, end) =
                (&cells[nulls..], |cell: Option<&&Cell>| cell.map_or("NULL".to_owned(), |cell| cell.to_string()));
            let facts =
                [(cells.len() + nulls).to_string(), cells.len().to_string(), end(cells.first()), end(cells.last())];
            let sql = format!("SELECT count(*), count({name}), min({name}), max({name}) FROM t");
            assert_eq!(lines(&self.session, &sql).await, [facts], "{what}, then {sql}");
            let sql = format!("SELECT {name} FROM t ORDER BY {name} LIMIT 20");
            let mut first: Vec<Vec<String>> = cells.iter().take(20).map(|cell| vec![cell.to_string()]).collect();
            first.resize((cells.len() + nulls).min(20), vec!["NULL".to_owned()]);
            assert_eq!(lines(&self.session, &sql).await, first, "{what}, then {sql}");
        }
    }
}

fn shown(row: &Row) -> Vec<String> {
    row.iter().map(Cell::to_string).collect()
}

fn values(rows: &[Row]) -> String {
    let tuple = |row: &Row| format!("({})", row.iter().map(Cell::sql).collect::<Vec<_>>().join(", "));
    rows.iter().map(tuple).collect::<Vec<_>>().join(", ")
}

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_statements_do_to_a_table_what_they_do_to_a_plain_model() {
    let (seed, steps) = (asked("HEADWATER_MODEL_SEED", SEED), asked("HEADWATER_MODEL_STEPS", STEPS as u64));
    let runs = TABLES.iter().enumerate().map(|(number, (layout, has_tail))| {
        tokio::spawn(async move {
            let mut run = Run::new(layout, *has_tail, seed.wrapping_add(number as u64)).await;
            for step in 0..steps {
                let sql = run.step().await;
                run.check(&format!("seed {seed}, table {layout:?}, step {step}: {sql}")).await;
            }
            run.seen
        })
    });
    let mut seen = BTreeMap::<&str, usize>::new();
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap().into_iter().for_each(|(kind, count)| *seen.entry(kind).or_default() += count);
    }
    println!("{seen:?}");
    let rare = [
        "merge",
        "merged twice",
        "upsert",
        "upserted twice",
        "optimize",
        "restore",
        "reopen",
        "vacuum",
        "add column",
        "broken",
        "flush",
    ];
    let usual = (seed, steps) == (SEED, STEPS as u64);
    assert!(!usual || rare.iter().all(|kind| seen.contains_key(kind)), "{seen:?}");
}
