//! Rows in the log and the tail: visible at once, there after kill -9, in files once and never twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::http::post;
use crate::rows::told;
use crate::server::Server;

/// A server that flushes only when it is told to, or has to.
const NEVER: [&str; 2] = ["--flush-interval-ms", "1h"];

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

/// Rows in the tail and files of a table.
async fn at_rest(client: &Client, table: &str) -> (i64, i64) {
    let sql = "SELECT tail_rows, files FROM system.tables WHERE name = $1";
    let row = client.query_one(sql, &[&table]).await.expect("the table is there");
    (row.get(0), row.get(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_the_tail_survive_kill_9_and_go_to_files_once() {
    let mut server = Server::start_with(&NEVER);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (id bigint, text text, day date) PARTITIONED BY (day)").await.unwrap();
    for id in 0..50 {
        let insert =
            format!("INSERT INTO t VALUES ({id}, 'row {id}', '2026-01-{:02}'), ({id}, NULL, NULL)", id % 3 + 1);
        client.batch_execute(&insert).await.unwrap();
        assert_eq!(number(&client, "SELECT count(*) FROM t").await, 2 * (id + 1));
    }
    assert_eq!(at_rest(&client, "t").await, (100, 0));
    let sums = "SELECT count(*) * 1000000 + sum(id)::bigint + count(text) FROM t";
    let before = number(&client, sums).await;

    server.kill_and_restart();
    let client = server.connect().await;
    assert_eq!(at_rest(&client, "t").await, (100, 0));
    assert_eq!(number(&client, sums).await, before);

    client.batch_execute("FLUSH TABLE t").await.unwrap();
    assert_eq!(at_rest(&client, "t").await, (0, 4));
    client.batch_execute("INSERT INTO t VALUES (1000, 'after', '2026-01-01')").await.unwrap();
    server.kill_and_restart();
    let client = server.connect().await;
    assert_eq!(at_rest(&client, "t").await, (1, 4));
    assert_eq!(number(&client, "SELECT count(*) FROM t").await, 101);
    assert_eq!(number(&client, "SELECT max(id) FROM t WHERE day = '2026-01-01'").await, 1000);

    assert_eq!(server.terminate(), Some(0));
    let checked = crate::server::headwater().args(["check", "--data"]).arg(server.folder()).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_change_rows_see_those_of_the_tail() {
    let server = Server::start_with(&NEVER);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (id bigint, v bigint)").await.unwrap();
    client.batch_execute("INSERT INTO t SELECT i, 0 FROM generate_series(1, 10) AS s(i)").await.unwrap();
    client.batch_execute("UPDATE t SET v = 1 WHERE id <= 5").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (11, 0)").await.unwrap();
    client.batch_execute("DELETE FROM t WHERE id = 11 OR id = 1").await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) * 100 + sum(v)::bigint FROM t").await, 904);
    client.batch_execute("INSERT INTO t VALUES (12, 7)").await.unwrap();
    client
        .batch_execute("MERGE INTO t USING (VALUES (12), (13)) AS s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = 8 WHEN NOT MATCHED THEN INSERT VALUES (s.id, 9)")
        .await
        .unwrap();
    assert_eq!(number(&client, "SELECT sum(v)::bigint FROM t WHERE id >= 12").await, 17);
    client.batch_execute("INSERT INTO t VALUES (14, 0); ALTER TABLE t ADD COLUMN w bigint DEFAULT 5").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (15, 0, 1)").await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM t WHERE w IS NULL OR w = 5").await, 12);
    client.batch_execute("TRUNCATE t; INSERT INTO t VALUES (1, 1, 1)").await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM t").await, 1);
    client.batch_execute("DROP TABLE t; CREATE TABLE t (id bigint)").await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM t").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn count_min_and_max_are_known_without_a_scan() {
    let server = Server::start_with(&NEVER);
    let client = server.connect().await;
    client
        .batch_execute(
            "CREATE TABLE t (id bigint, text text);
             INSERT INTO t SELECT i, 'a' || i FROM generate_series(1, 1000) AS s(i);
             FLUSH TABLE t;
             INSERT INTO t VALUES (-5, 'z'), (NULL, NULL)",
        )
        .await
        .unwrap();
    let sql = "SELECT count(*) * 10000 + max(id) - min(id) FROM t";
    assert_eq!(number(&client, sql).await, 10_021_005);
    let plan: Vec<String> =
        client.query(&format!("EXPLAIN {sql}"), &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(!plan.contains("Scan") && !plan.contains("DataSource"), "{plan}");
    assert_eq!(number(&client, "SELECT count(*) FROM t WHERE text > 'z'").await, 0);
    assert_eq!(number(&client, "SELECT count(text) FROM t").await, 1001);
}

/// Writers, flushes, updates and readers at the same time, and a kill in their midst.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushes_beside_writers_lose_and_double_nothing() {
    let mut server = Server::start_with(&["--flush-interval-ms", "50"]);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (writer bigint, n bigint)").await.unwrap();
    for round in 0..3_i64 {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged: Vec<Arc<AtomicI64>> = (0..3).map(|_| Arc::default()).collect();
        let mut writers = Vec::new();
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            let (client, stop, acknowledged) = (server.connect().await, Arc::clone(&stop), Arc::clone(acknowledged));
            writers.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let n = acknowledged.load(Ordering::Relaxed);
                    let insert = format!("INSERT INTO t VALUES ({}, {n})", round * 10 + writer as i64);
                    if client.batch_execute(&insert).await.is_err() {
                        return;
                    }
                    acknowledged.store(n + 1, Ordering::Relaxed);
                }
            }));
        }
        // A reader never sees fewer rows than before, nor a gap.
        for _ in 0..20 {
            let gaps = "SELECT count(*) FROM (SELECT writer, max(n) + 1 - count(*) AS gap FROM t GROUP BY writer) WHERE gap <> 0";
            assert_eq!(number(&client, gaps).await, 0);
            client.batch_execute("DELETE FROM t WHERE writer = 999").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if round == 1 {
            server.kill_and_restart();
        } else {
            stop.store(true, Ordering::Relaxed);
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let client = server.connect().await;
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            let writer = round * 10 + writer as i64;
            let there = number(&client, &format!("SELECT count(DISTINCT n) FROM t WHERE writer = {writer}")).await;
            let rows = number(&client, &format!("SELECT count(*) FROM t WHERE writer = {writer}")).await;
            let acknowledged = acknowledged.load(Ordering::Relaxed);
            assert!(
                rows == there && (acknowledged..=acknowledged + 1).contains(&rows),
                "{rows} rows, {acknowledged} acknowledged"
            );
            assert!(acknowledged > 10, "the writer hardly wrote");
        }
        if round == 1 {
            return;
        }
    }
}

/// Writes as much as the disk takes.
fn fill(path: &std::path::Path) {
    let mut file = std::fs::File::create(path).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
}

/// What cannot be logged is not acknowledged and not seen; once there is space, the same server goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_acknowledges_nothing_that_is_not_durable() {
    let server = Server::start_on_small_disk(8, &NEVER);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (n bigint, v text)").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (0, 'before')").await.unwrap();
    let filler = server.seen_folder().join("filler");
    for round in 1..=2 {
        fill(&filler);
        let mut acknowledged = 0;
        let refused = loop {
            let insert = format!("INSERT INTO t VALUES ({round}, repeat('x', 1000))");
            match client.batch_execute(&insert).await {
                Ok(()) => acknowledged += 1,
                Err(error) => break error.as_db_error().expect("the server lives").clone(),
            }
        };
        assert_eq!(refused.code().code(), "53100", "{refused:?}");
        let count = format!("SELECT count(*) FROM t WHERE n = {round}");
        assert_eq!(number(&client, &count).await, acknowledged);
        std::fs::remove_file(&filler).unwrap();
        client.batch_execute(&format!("INSERT INTO t VALUES ({round}, 'after')")).await.unwrap();
        assert_eq!(number(&client, &count).await, acknowledged + 1);
    }
    client.batch_execute("FLUSH TABLE t").await.unwrap();
    assert_eq!(at_rest(&client, "t").await, (0, 1));
}

/// Killed on a full disk, the server has what it acknowledged and no more, whichever way it came, once there is space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_on_a_full_disk_has_what_it_acknowledged() {
    let mut server = Server::start_on_small_disk(16, &["--flush-interval-ms", "100", "--log-segment-bytes", "64KiB"]);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (n bigint, v text); CREATE TABLE k (k bigint PRIMARY KEY)").await.unwrap();
    let filler = server.seen_folder().join("filler");
    let (mut expected, mut refused) = ((0, 0), 0);
    for round in 0..4 {
        fill(&filler);
        // Room for some rows.
        let full = std::fs::metadata(&filler).unwrap().len();
        std::fs::File::options().write(true).open(&filler).unwrap().set_len(full - (200 << 10)).unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4_i64 {
            let (client, http) = (server.connect().await, server.http());
            writers.spawn(async move {
                let (mut there, id) = ((0, 0), (round * 4 + writer) * 1000);
                // Each ends with the first that is refused.
                loop {
                    let id = id + there.0 + there.1;
                    let noise = (0..3000).map(|_| char::from(b'a' + rand::random::<u8>() % 26)).collect::<String>();
                    match writer {
                        0 => {
                            let body = format!("{{\"n\":{id},\"v\":\"{noise}\"}}");
                            let posted =
                                post(http, "/v1/ingest/t", &[("Content-Type", "application/json")], body.as_bytes());
                            if posted.status != 202 {
                                return (posted.failure().1, there);
                            }
                            there.0 += 1;
                        }
                        1 => match told(
                            &client,
                            &format!("INSERT INTO k VALUES ({id}) ON CONFLICT (k) DO UPDATE SET k = excluded.k"),
                        )
                        .await
                        {
                            done if done == "done 1" => there.1 += 1,
                            failed => return (failed, there),
                        },
                        _ => match told(&client, &format!("INSERT INTO t VALUES ({id}, '{noise}')")).await {
                            done if done == "done 1" => there.0 += 1,
                            failed => return (failed, there),
                        },
                    }
                }
            });
        }
        while let Some(ended) = writers.join_next().await {
            let (failed, there) = ended.unwrap();
            assert!(failed.starts_with("53100"), "{failed}");
            expected = (expected.0 + there.0, expected.1 + there.1);
            refused += 1;
        }
        server.kill();
        std::fs::remove_file(&filler).unwrap();
        server.start_again();
        let client = server.connect().await;
        let counts = "SELECT (SELECT count(DISTINCT n) FROM t), (SELECT count(*) FROM t), (SELECT count(*) FROM k)";
        let (t, k) = expected;
        assert_eq!(told(&client, counts).await, format!("{t} | {t} | {k}"), "round {round}");
    }
    assert!(refused == 16 && expected.0 > 10, "{refused} refused, {expected:?} acknowledged");
    let client = server.connect().await;
    client.batch_execute("FLUSH TABLE t").await.unwrap();
    assert_eq!(at_rest(&client, "t").await.0, 0);
}

/// Nobody waits for the fsync of such a session; the rows are visible, and a kill of the server (not of the machine) leaves them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_may_go_on_before_its_rows_are_durable() {
    let mut server = Server::start_with(&NEVER);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (n bigint); SET synchronous_commit = off").await.unwrap();
    for n in 1..=50 {
        client.batch_execute(&format!("INSERT INTO t VALUES ({n})")).await.unwrap();
        assert_eq!(number(&client, "SELECT count(*) FROM t").await, n);
    }
    server.kill_and_restart();
    let client = server.connect().await;
    assert_eq!(number(&client, "SELECT count(*) * 10000 + sum(n)::bigint FROM t").await, 501_275);
}

/// Flushes leave many small files; merged in the background, few of them stay, and nothing is lost. It can be turned off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_flushes_leave_are_merged() {
    for (files_min, is_merged) in [("4", true), ("0", false)] {
        let mut server = Server::start_with(&["--flush-interval-ms", "10", "--merge-files-min", files_min]);
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (n bigint, part bigint) PARTITIONED BY (part)").await.unwrap();
        for n in 0..40 {
            client.batch_execute(&format!("INSERT INTO t VALUES ({n}, {})", n % 2)).await.unwrap();
            let flushed = Instant::now();
            while at_rest(&client, "t").await.0 > 0 {
                assert!(flushed.elapsed() < Duration::from_secs(30), "the rows are not flushed");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        let merged = Instant::now();
        let few = |files: i64| if is_merged { files <= 2 * 3 } else { files == 40 };
        while !few(at_rest(&client, "t").await.1) {
            assert!(merged.elapsed() < Duration::from_secs(30), "{:?} stay", at_rest(&client, "t").await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let sums = "SELECT count(*) * 1000000 + count(DISTINCT n) * 1000 + sum(n)::bigint FROM t";
        assert_eq!(number(&client, sums).await, 40_040_780);
        server.kill_and_restart();
        assert_eq!(number(&server.connect().await, sums).await, 40_040_780);
    }
}
