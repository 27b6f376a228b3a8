//! kill -9 while clients of every kind write and read: every acknowledged statement is there once, of the others each whole
//! or not at all, and every read sees whole statements only.
//!
//! Writers number what they send. In each round the server is killed at a random moment, some starts too, and the log's end
//! is torn as a loss of power would ([`crate::log_end`]); then all is counted. HEADWATER_TORTURE_ROUNDS asks for more rounds,
//! HEADWATER_TORTURE_SEED for the choices of an earlier run, which it has printed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use regex::bytes::Regex;
use tokio_postgres::Client;

use crate::bucket::{Store, flags};
use crate::http::try_post;
use crate::log_end::{Harm, harm};
use crate::program::run;
use crate::proxy::Proxy;
use crate::rows::{Answer, ask, told};
use crate::server::{Server, headwater};

const ROUNDS: i64 = 300;
/// Rounds for one over a bucket.
const ROUNDS_A_ROUND_OF_BUCKET: i64 = 30;
/// A server is killed within this many milliseconds of its first write.
const PAUSE_MS_MAX: u64 = 300;
const PAUSE_MS_MAX_OF_BUCKET: u64 = 3000;
/// A start that is killed has lived so long at most.
const START_MS_MAX: u64 = 150;
/// Rows of a statement that adds rows.
const BATCH: i64 = 3;
/// Numbers of a round begin with a multiple of this.
const ROUND: i64 = 1000;

/// Flushes are frequent, segments of the log few statements long.
const FLAGS: [&str; 6] = ["--flush-interval-ms", "40", "--log-segment-bytes", "16KiB", "--log-level", "error"];

const TABLES: &str = "CREATE TABLE numbers (writer bigint, n bigint, part bigint, mark text) WITH (delta.checkpointInterval = 20);
     CREATE TABLE newest (k bigint PRIMARY KEY, writer bigint, n bigint, mark text) WITH (delta.checkpointInterval = 20);
     CREATE TABLE accounts (k bigint PRIMARY KEY, v bigint, mark text) WITH (delta.checkpointInterval = 20);
     CREATE TABLE ledger (id bigint, amount bigint) WITH (delta.checkpointInterval = 20);
     INSERT INTO ledger VALUES (1, 1000), (2, 1000)";

/// What is zero in every read: statements that are there in part, keys that are there twice, money that was made or lost.
const ZEROS: [&str; 4] = [
    "SELECT count(*) FROM (SELECT 1 FROM numbers WHERE n >= {since} GROUP BY writer, n HAVING count(*) <> 3 OR sum(part) <> 6) AS s",
    "SELECT count(*) FROM (SELECT 1 FROM newest GROUP BY writer HAVING count(*) <> 3 OR min(n) <> max(n) OR sum(k) <> 30 * writer + 3) AS s",
    "SELECT coalesce(sum(v) FILTER (WHERE k < 100), 0) + count(*) - count(DISTINCT k) FROM accounts",
    "SELECT sum(amount) - 2000 + count(*) - 2 FROM ledger",
];

/// How a writer writes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Insert,
    /// Over HTTP, under a key, again and again until it is acknowledged.
    Post,
    /// Rows that take the place of others by key.
    Replace,
    /// From account to account, by rows that are read and replaced by key.
    Transfer,
    /// From account to account, in files.
    Update,
}

const WRITERS: [Way; 8] =
    [Way::Insert, Way::Insert, Way::Post, Way::Post, Way::Replace, Way::Transfer, Way::Transfer, Way::Update];

/// What a writer knows.
#[derive(Default)]
struct Progress {
    /// Statements that are there for ever: they were acknowledged, or were found there after a kill.
    there: BTreeSet<i64>,
    under_way: Option<i64>,
    next: i64,
}

type Writers = Arc<[Mutex<Progress>; WRITERS.len()]>;

/// Errors that say that the store fails.
type Faults = &'static [&'static str];

/// The statement has left nothing, but for 40003, which leaves it open.
const FAULTS: Faults = &["58030", "42501", "40003"];

struct Torture {
    server: Server,
    /// Where the log is.
    folder: PathBuf,
    /// Before the bucket, where the tables are in one.
    proxy: Option<Proxy>,
    pause_ms_max: u64,
    random: StdRng,
    writers: Writers,
    harms: Vec<Harm>,
    starts: Duration,
    started: Instant,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn rounds() -> i64 {
    number("HEADWATER_TORTURE_ROUNDS").map_or(ROUNDS, |rounds| rounds as i64)
}

fn seeded() -> StdRng {
    let seed = number("HEADWATER_TORTURE_SEED").unwrap_or_else(rand::random);
    println!("HEADWATER_TORTURE_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_after_every_kill() {
    let server = Server::start_with(&FLAGS);
    let mut torture = Torture::new(server.folder().to_owned(), server, None, PAUSE_MS_MAX, seeded());
    torture.run(rounds()).await;
    let server = &mut torture.server;
    assert_eq!(server.terminate(), Some(0));
    let checked = run(headwater().args(["check", "--data"]).arg(server.folder()));
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_fails_by_chance_loses_and_doubles_nothing() {
    let (store, folder, mut random) = (Store::start(), tempfile::tempdir().unwrap(), seeded());
    let proxy = Proxy::start(store.address, random.random());
    let flags = flags(proxy.address, folder.path());
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(FLAGS).collect();
    let server = Server::open(Path::new("s3://lake/database"), &flags);
    let mut torture = Torture::new(folder.path().join("catalog"), server, Some(proxy), PAUSE_MS_MAX_OF_BUCKET, random);
    torture.run(rounds() / ROUNDS_A_ROUND_OF_BUCKET).await;
}

impl Torture {
    fn new(folder: PathBuf, server: Server, proxy: Option<Proxy>, pause_ms_max: u64, random: StdRng) -> Self {
        let (writers, harms, starts, started) = (Arc::default(), Vec::new(), Duration::ZERO, Instant::now());
        Self { server, folder, proxy, pause_ms_max, random, writers, harms, starts, started }
    }

    async fn run(&mut self, rounds: i64) {
        self.server.connect().await.batch_execute(TABLES).await.expect("the tables can be made");
        for round in 0..rounds {
            self.round(round).await;
        }
        self.report();
    }

    async fn round(&mut self, round: i64) {
        let (mut tasks, faults) = (tokio::task::JoinSet::new(), if self.proxy.is_some() { FAULTS } else { &[] });
        for (number, way) in WRITERS.into_iter().enumerate() {
            self.writers[number].lock().next = round * ROUND;
            let (client, http) = (self.server.connect().await, self.server.http());
            tasks.spawn(write(number, way, client, http, Arc::clone(&self.writers), faults));
        }
        let since = oldest(&self.writers, round);
        tasks.spawn(read(self.server.connect().await, since, faults));
        tasks.spawn(maintain(self.server.connect().await, self.random.random(), faults));
        self.fail(100);
        tokio::time::sleep(Duration::from_millis(self.random.random_range(0..self.pause_ms_max))).await;
        self.server.kill();
        // Answers may still be on their way: what they say is promised.
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        let writers = &self.writers;
        self.harms.push(harm(&self.folder, &mut self.random, |body| is_promised(body, writers)));
        if self.random.random_bool(0.1) {
            self.server.start_and_kill_after(Duration::from_millis(self.random.random_range(0..START_MS_MAX)));
        }
        self.fail(0);
        let starting = Instant::now();
        self.server.start_again();
        self.starts += starting.elapsed();
        check(&self.server.connect().await, &self.writers, since, round).await;
    }

    /// From now on the bucket fails so many of a thousand times.
    fn fail(&self, permille: u32) {
        if let Some(proxy) = &self.proxy {
            proxy.fail(permille);
        }
    }

    /// What was done; a run that hardly did anything proves nothing.
    fn report(&self) {
        let rounds = self.harms.len();
        let count = |is_so: fn(&Harm) -> bool| self.harms.iter().filter(|harm| is_so(harm)).count();
        let (cut, flipped) = (count(|harm| harm.cut > 0), count(|harm| harm.flipped_bits > 0));
        let junk = count(|harm| harm.junk > 0);
        let there = self.writers.iter().map(|writer| writer.lock().there.len());
        let landed: Vec<_> = WRITERS.into_iter().zip(there).collect();
        println!(
            "{rounds} kills in {:.0?}, {:.0?} a start; log cut {cut}, bits flipped {flipped}, junk behind its end {junk} times; \
             statements {landed:?}",
            self.started.elapsed(),
            self.starts / rounds as u32,
        );
        assert!(landed.iter().all(|(_, there)| there * 10 >= rounds), "somebody hardly wrote");
        assert!(junk * 4 >= rounds && (cut + flipped) * 50 >= rounds, "the log was hardly harmed");
    }
}

/// True for a change of the log that must not be lost: one that was acknowledged, or that no writer has made.
fn is_promised(body: &[u8], writers: &Writers) -> bool {
    static MARK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"#(\d+)\.(\d+)#").unwrap());
    let number = |text: &[u8]| std::str::from_utf8(text).unwrap().parse::<i64>().unwrap();
    let mut marks = MARK.captures_iter(body).map(|mark| (number(&mark[1]) as usize, number(&mark[2]))).peekable();
    marks.peek().is_none() || marks.any(|(writer, n)| writers[writer].lock().there.contains(&n))
}

/// The statement with this number, but for HTTP. Its mark is found in the log, too.
fn statement(way: Way, writer: usize, n: i64) -> String {
    let mark = format!("'#{writer}.{n}#'");
    let rows = |row: &dyn Fn(i64) -> String| (1..=BATCH).map(row).collect::<Vec<_>>().join(", ");
    match way {
        Way::Insert | Way::Post => {
            format!("INSERT INTO numbers VALUES {}", rows(&|part| format!("({writer}, {n}, {part}, {mark})")))
        }
        Way::Replace => format!(
            "INSERT INTO newest VALUES {} ON CONFLICT (k) DO UPDATE SET writer = excluded.writer, n = excluded.n, mark = excluded.mark",
            rows(&|part| format!("({}, {writer}, {n}, {mark})", writer as i64 * 10 + part - 1))
        ),
        Way::Transfer => format!(
            "INSERT INTO accounts VALUES ({}, -{n}, {mark}), ({}, {n}, {mark}), ({}, 1, {mark}) \
             ON CONFLICT (k) DO UPDATE SET v = accounts.v + excluded.v, mark = excluded.mark",
            n % 7,
            7 + n % 5,
            100 + writer
        ),
        Way::Update => "UPDATE ledger SET amount = CASE id WHEN 1 THEN amount - 1 ELSE amount + 1 END".to_owned(),
    }
}

/// True once a batch is acknowledged, false where the connection has broken.
async fn post(http: SocketAddr, writer: usize, n: i64) -> bool {
    let line = |part| format!("{{\"writer\":{writer},\"n\":{n},\"part\":{part},\"mark\":\"#{writer}.{n}#\"}}");
    let body = (1..=BATCH).map(line).collect::<Vec<_>>().join("\n");
    let posted = tokio::task::spawn_blocking(move || {
        let (key, kind) = (format!("{writer}-{n}"), ("Content-Type", "application/x-ndjson"));
        try_post(http, "/v1/ingest/numbers", &[kind, ("Idempotency-Key", &key)], body.as_bytes())
    });
    let Ok(answer) = posted.await.unwrap() else { return false };
    assert_eq!(answer.status, 202, "{}", answer.body);
    true
}

/// What a client hears of a statement.
enum Heard {
    Answered(Answer),
    /// It has left nothing: another statement came first, or the store failed.
    Refused,
    /// Whether it is done will be seen.
    Nothing,
}

/// Sends a statement; an error that is not to be expected ends the test.
async fn heard(client: &Client, sql: &str, faults: Faults) -> Heard {
    match ask(client, sql).await {
        Answer::Failed(code, _) if code == "connection" => Heard::Nothing,
        Answer::Failed(code, _) if code == "40003" && faults.contains(&"40003") => Heard::Nothing,
        Answer::Failed(code, _) if code == "40001" || faults.contains(&code.as_str()) => Heard::Refused,
        Answer::Failed(code, message) => panic!("{sql}: {code} {message}"),
        answer => Heard::Answered(answer),
    }
}

/// Writes until the connection breaks.
async fn write(writer: usize, way: Way, client: Client, http: SocketAddr, writers: Writers, faults: Faults) {
    loop {
        let n = {
            let mut progress = writers[writer].lock();
            let again = progress.under_way.filter(|_| way == Way::Post);
            progress.next += i64::from(again.is_none());
            let n = again.unwrap_or(progress.next);
            *progress.under_way.insert(n)
        };
        let heard = match way {
            Way::Post if post(http, writer, n).await => Heard::Answered(Answer::Done(0)),
            Way::Post => Heard::Nothing,
            _ => heard(&client, &statement(way, writer, n), faults).await,
        };
        let mut progress = writers[writer].lock();
        match heard {
            Heard::Nothing => return,
            Heard::Answered(_) => drop(progress.there.insert(n)),
            Heard::Refused => {}
        }
        progress.under_way = None;
    }
}

/// The oldest number that something may still become of.
fn oldest(writers: &Writers, round: i64) -> i64 {
    writers.iter().filter_map(|writer| writer.lock().under_way).min().unwrap_or(round * ROUND)
}

fn zeros(since: i64) -> [String; ZEROS.len()] {
    ZEROS.map(|query| query.replace("{since}", &since.to_string()))
}

/// Reads until the connection breaks: no statement is ever there in part.
async fn read(client: Client, since: i64, faults: Faults) {
    for query in zeros(since).iter().cycle() {
        match heard(&client, query, faults).await {
            Heard::Answered(answer) => {
                let Answer::Rows(_, rows) = answer else { panic!("{query} gives no rows") };
                assert_eq!(rows, [[Some("0".to_owned())]], "{query}");
            }
            Heard::Refused => {}
            Heard::Nothing => return,
        }
    }
}

/// Moves rows about until the connection breaks.
async fn maintain(client: Client, seed: u64, faults: Faults) {
    const WAYS: [(&str, &str); 3] = [("FLUSH TABLE", ""), ("OPTIMIZE", ""), ("VACUUM", "RETAIN 0 HOURS")];
    let mut random = StdRng::seed_from_u64(seed);
    loop {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
        let (what, how) = WAYS[random.random_range(0..WAYS.len())];
        let table = ["numbers", "newest", "accounts", "ledger"][random.random_range(0..4)];
        if let Heard::Nothing = heard(&client, &format!("{what} {table} {how}"), faults).await {
            return;
        }
    }
}

/// What there is of each writer: rows, and a sum.
const TOTALS: &str = "SELECT writer, count(*), sum(n)::bigint FROM numbers GROUP BY writer
     UNION ALL SELECT writer, count(*), max(n) FROM newest GROUP BY writer
     UNION ALL SELECT k - 100, 1, v FROM accounts WHERE k >= 100
     UNION ALL SELECT 7, count(*), max(amount) - 1000 FROM ledger";

/// Counts everything, and finds out what became of the statements that were under way.
async fn check(client: &Client, writers: &Writers, since: i64, round: i64) {
    let zeros = format!("SELECT ({})", zeros(since).join("), ("));
    assert_eq!(told(client, &zeros).await, "0 | 0 | 0 | 0", "round {round}");
    let mut recent: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    let sql = "SELECT DISTINCT writer, n FROM numbers WHERE n >= $1";
    for row in client.query(sql, &[&since]).await.expect("the table can be read") {
        recent.entry(row.get(0)).or_default().insert(row.get(1));
    }
    let totals = client.query(TOTALS, &[]).await.expect("the tables can be read");
    let totals: BTreeMap<i64, (i64, i64)> = totals.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
    for (writer, way) in WRITERS.into_iter().enumerate() {
        let found = totals.get(&(writer as i64)).copied().unwrap_or_default();
        let progress = &mut *writers[writer].lock();
        // What was under way may have landed.
        match way {
            Way::Insert | Way::Post => {
                let recent = recent.remove(&(writer as i64)).unwrap_or_default();
                progress.there.extend(progress.under_way.filter(|n| recent.contains(n)));
                let known: BTreeSet<i64> = progress.there.range(since..).copied().collect();
                assert_eq!(recent, known, "round {round}: writer {writer}");
            }
            _ if found != expected(way, &progress.there) => progress.there.extend(progress.under_way),
            _ => {}
        }
        assert_eq!(found, expected(way, &progress.there), "round {round}: {way:?} of writer {writer}");
        // A batch is sent again, under its key, until it is acknowledged.
        progress.under_way = progress.under_way.filter(|_| way == Way::Post);
    }
}

/// Rows, and a sum of them, where these statements are there.
fn expected(way: Way, there: &BTreeSet<i64>) -> (i64, i64) {
    let (count, any) = (there.len() as i64, i64::from(!there.is_empty()));
    match way {
        Way::Insert | Way::Post => (BATCH * count, BATCH * there.iter().sum::<i64>()),
        Way::Replace => (BATCH * any, there.last().copied().unwrap_or_default()),
        Way::Transfer => (any, count),
        Way::Update => (2, count),
    }
}
