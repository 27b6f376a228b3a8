//! Rows judged by event time, with the time given by hand.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::catalog::definition::SourceFormat;
use crate::clock::Clock;
use crate::ingest::decode::DecodeLimits;
use crate::ingest::{Accepted, Batch, Beside, Broken, Format, Payload, WayIn, accept};
use crate::session::Delivery;

const TINY: u64 = 1;
const LARGE: u64 = 64 << 20;
const START: &str = "2026-01-01T00:00:00Z";

struct Bench {
    folder: tempfile::TempDir,
    clock: Clock,
    log_segment_bytes: u64,
    database: Arc<Database>,
}

impl Bench {
    /// Where the log keeps its changes, a start reads what they said; with tiny segments, what was said again.
    async fn new(log_segment_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(START.parse::<DateTime<Utc>>().unwrap());
        let database = Self::open(&folder, &clock, log_segment_bytes).await;
        Self { folder, clock, log_segment_bytes, database }
    }

    async fn open(folder: &tempfile::TempDir, clock: &Clock, log_segment_bytes: u64) -> Arc<Database> {
        let config = Config { flush_interval_ms: 3_600_000, log_segment_bytes, ..Config::in_folder(folder.path()) };
        Database::open_with(config, clock.clone()).await.unwrap()
    }

    async fn restart(self) -> Self {
        let Self { folder, clock, log_segment_bytes, database } = self;
        database.close().await.unwrap();
        drop(database);
        let database = Self::open(&folder, &clock, log_segment_bytes).await;
        Self { folder, clock, log_segment_bytes, database }
    }

    async fn sql(&self, sql: &str) {
        session_of(&self.database, sql).await;
    }

    /// Rows over HTTP: a number each, and how many seconds after the start its event was, if it has one.
    async fn send(&self, rows: &[(i64, Option<i64>)]) -> Accepted {
        let line = |(id, seconds): &(i64, Option<i64>)| {
            let start: DateTime<Utc> = START.parse().unwrap();
            let at = seconds.map(|seconds| start + TimeDelta::seconds(seconds));
            serde_json::json!({ "id": id, "ts": at.map(|at| at.to_rfc3339()) }).to_string()
        };
        let bytes = rows.iter().map(line).collect::<Vec<_>>().join("\n").into();
        let payload = Payload { bytes, is_key: false, raw: None, place: None, before: 0, source: "http".into() };
        let session = self.database.session().unwrap();
        let table = session.ingest_target(&crate::catalog::name::ObjectName::bare("t")).unwrap();
        session.ingest(&table, Delivery { format: Format::NdJson, payload, key: None }).await.unwrap()
    }

    /// A row of a partition of a source, by the seconds of its event.
    async fn take(&self, partition: &str, seconds: i64) {
        let at = START.parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds);
        let bytes = serde_json::json!({ "id": seconds, "ts": at.to_rfc3339() }).to_string().into();
        let payload = Payload { bytes, is_key: false, raw: None, place: None, before: 0, source: partition.into() };
        let engine = self.database.server().engine();
        let relations = engine.buffer().current();
        let batch = Batch {
            table: relations.catalog.relations().find(|relation| relation.name == "t").unwrap().oid,
            format: Format::Json,
            meaning: SourceFormat::Plain,
            sequence: None,
            payloads: vec![payload],
            way: WayIn { name: "source".to_owned(), partitions: vec!["a".into(), "b".into()] },
            broken: Broken::Fails,
            limits: DecodeLimits { depth_max: 10, bytes_max: 1000 },
            beside: Beside::default(),
            key: None,
        };
        accept(engine, &|| engine.background_scope(), batch).await.unwrap();
    }

    /// The watermark in seconds after the start, late rows, rows ahead of the clock.
    async fn facts(&self) -> String {
        let sql = format!(
            "SELECT coalesce(extract(epoch FROM event_watermark_at - timestamptz '{START}')::int::text, '-')
                || ' ' || late_rows || ' ' || future_rows FROM system.tables WHERE name = 't'"
        );
        texts(&self.database, &sql).await.remove(0)
    }

    async fn ids(&self, relation: &str) -> String {
        texts(&self.database, &format!("SELECT id::text FROM {relation} ORDER BY id")).await.join(" ")
    }
}

fn table(options: &str) -> String {
    let columns = "id bigint, ts timestamptz, WATERMARK FOR ts AS ts - INTERVAL '5 seconds'";
    format!("CREATE TABLE t ({columns}) WITH (idle_timeout = '1min', max_future = '1min', {options})")
}

#[tokio::test]
async fn late_rows_are_stored_left_out_or_put_aside() {
    for policy in ["update", "drop", "side"] {
        let mut bench = Bench::new(TINY).await;
        bench.sql(&table(&format!("late = '{policy}'"))).await;
        assert_eq!(bench.facts().await, "- 0 0");
        // The rows of one change are judged by the watermark before it, and there is none yet.
        let first = bench.send(&[(1, Some(0)), (2, Some(-100))]).await;
        assert_eq!((first.rows, first.late_rows), (2, 0));
        assert_eq!(bench.facts().await, "-5 0 0");
        let second = bench.send(&[(3, Some(-6)), (4, Some(-5)), (5, None), (6, Some(3)), (7, Some(-9))]).await;
        assert_eq!((second.rows, second.late_rows), (if policy == "update" { 5 } else { 3 }, 2));
        assert_eq!(bench.facts().await, "-2 2 0");
        bench.sql("FLUSH TABLE t").await;
        bench = bench.restart().await;
        assert_eq!(bench.facts().await, "-2 2 0", "a start knows what was known");
        bench.send(&[(8, Some(-3))]).await;
        assert_eq!(bench.facts().await, "-2 3 0");
        let stored = if policy == "update" { "1 2 3 4 5 6 7 8" } else { "1 2 4 5 6" };
        assert_eq!(bench.ids("t").await, stored);
        if policy != "side" {
            assert_eq!(texts(&bench.database, "SELECT name FROM system.tables ORDER BY name").await, ["t"]);
            continue;
        }
        let late = "SELECT id || ' ' || extract(epoch FROM ts - late$watermark)::int || ' ' || late$source
                    FROM t$late WHERE late$at IS NOT NULL ORDER BY id";
        assert_eq!(texts(&bench.database, late).await, ["3 -1 http", "7 -4 http", "8 -1 http"]);
        // Its columns follow those of the table.
        bench.sql("ALTER TABLE t ADD COLUMN more text").await;
        bench.send(&[(9, Some(-3))]).await;
        assert_eq!(texts(&bench.database, "SELECT id::text FROM t$late WHERE more IS NULL").await.len(), 4);
        assert_eq!(bench.facts().await, "-2 4 0");
    }
}

#[tokio::test]
async fn an_event_ahead_of_the_clock_moves_nothing() {
    let bench = Bench::new(LARGE).await;
    bench.sql(&table("late = 'drop'")).await;
    let sent = bench.send(&[(1, Some(61)), (2, Some(0)), (3, Some(100_000_000))]).await;
    assert_eq!((sent.rows, sent.late_rows, sent.future_rows), (3, 0, 2));
    assert_eq!(bench.facts().await, "-5 0 2", "it is stored and counted");
    bench.send(&[(4, Some(60))]).await;
    assert_eq!(bench.facts().await, "55 0 2", "a minute ahead is allowed");
    bench.clock.advance(Duration::from_secs(1));
    bench.send(&[(5, Some(61))]).await;
    assert_eq!(bench.facts().await, "56 0 2");
    // A table of those rows alone has no watermark.
    bench.sql("TRUNCATE t; DROP TABLE t").await;
    bench.sql(&table("late = 'drop'")).await;
    bench.send(&[(1, Some(1000))]).await;
    assert_eq!(bench.facts().await, "- 0 1");
}

#[tokio::test]
async fn statements_move_the_watermark_and_lose_nothing() {
    let mut bench = Bench::new(LARGE).await;
    bench.sql(&table("late = 'drop'")).await;
    bench.sql(&format!("INSERT INTO t VALUES (1, '{START}'), (2, timestamptz '{START}' + interval '1 hour')")).await;
    assert_eq!(bench.facts().await, "-5 0 0", "also statements may be ahead of the clock");
    bench.sql(&format!("INSERT INTO t VALUES (3, timestamptz '{START}' - interval '1 day'), (4, NULL)")).await;
    assert_eq!((bench.ids("t").await.as_str(), bench.facts().await.as_str()), ("1 2 3 4", "-5 0 0"));
    // Requests are another partition: statements hold it back until they are idle.
    assert_eq!(bench.send(&[(5, Some(-6)), (6, Some(50))]).await.late_rows, 1);
    assert_eq!(bench.facts().await, "-5 1 0");
    bench.clock.advance(Duration::from_secs(60));
    bench.send(&[(7, Some(51))]).await;
    assert_eq!(bench.facts().await, "-5 1 0");
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(bench.facts().await, "46 1 0");
    // What rows were judged by is known to the next process, in which nobody is idle yet.
    assert_eq!(bench.send(&[(8, Some(45))]).await.late_rows, 1);
    bench = bench.restart().await;
    assert_eq!(bench.facts().await, "46 2 0");
    bench.sql(&format!("INSERT INTO t VALUES (9, '{START}')")).await;
    assert_eq!((bench.ids("t").await.as_str(), bench.facts().await.as_str()), ("1 2 3 4 6 7 9", "46 2 0"));
    // A watermark that is declared anew knows nothing.
    bench.sql("ALTER TABLE t DROP WATERMARK FOR ts").await;
    assert_eq!(bench.send(&[(10, Some(-1000))]).await.late_rows, 0);
    bench.sql("ALTER TABLE t ADD WATERMARK FOR ts AS ts - INTERVAL '1 second'").await;
    assert_eq!(bench.facts().await, "- 0 0");
    bench.send(&[(11, Some(7))]).await;
    assert_eq!(bench.facts().await, "6 0 0");
}

/// A source whose broker was away: the partition that is read first does not make the others late.
#[tokio::test]
async fn partitions_that_come_back_together_wait_for_each_other() {
    let bench = Bench::new(LARGE).await;
    bench.sql(&table("late = 'drop'")).await;
    bench.take("a", 0).await;
    assert_eq!(bench.facts().await, "- 0 0", "the other one has said nothing");
    bench.take("b", 1).await;
    assert_eq!(bench.facts().await, "-5 0 0");
    bench.clock.advance(Duration::from_secs(600));
    assert_eq!(bench.facts().await, "-5 0 0");
    bench.take("a", 590).await;
    assert_eq!(bench.facts().await, "-4 0 0", "b has its time again");
    bench.take("b", 2).await;
    assert_eq!(bench.facts().await, "-3 0 0");
    bench.clock.advance(Duration::from_secs(59));
    bench.take("a", 600).await;
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(bench.facts().await, "595 0 0", "b is idle while the source goes on");
    bench.take("b", 3).await;
    assert_eq!(bench.facts().await, "595 1 0");
}

/// Many requests at once: each row is stored, late or refused once, and the watermark seen from outside only rises.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beside_each_other_are_judged_in_turn() {
    let bench = Arc::new(Bench::new(LARGE).await);
    bench.sql(&table("late = 'side'")).await;
    bench.send(&[(0, Some(-5000))]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8_i64 {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move {
            let mut late = 0;
            for step in 0..20 {
                let rows: Vec<_> =
                    (0..5).map(|n| (1 + task * 100 + step * 5 + n, Some(-4000 + step * 10 - n * 4))).collect();
                let sent = bench.send(&rows).await;
                assert_eq!(sent.rows + sent.late_rows, 5);
                late += sent.late_rows;
            }
            late
        });
    }
    let late: u64 = tasks.join_all().await.into_iter().sum();
    assert!(late > 0);
    assert_eq!(bench.facts().await, format!("-3815 {late} 0"));
    let count = async |sql: &str| texts(&bench.database, sql).await;
    assert_eq!(count("SELECT count(*)::text FROM t$late").await, [late.to_string()]);
    let all = "SELECT (count(*) - count(DISTINCT id) + sum(id))::text FROM (SELECT id FROM t UNION ALL SELECT id FROM t$late)";
    assert_eq!(count(all).await, [(0..=800).sum::<i64>().to_string()]);
    // A row aside was behind the watermark that stands with it, one in the table was not, when it came.
    assert_eq!(count("SELECT count(*)::text FROM t$late WHERE ts >= late$watermark").await, ["0"]);
}
