//! INSERT ... ON CONFLICT: no key is doubled, whoever else inserts; what does not fit its memory fails; files without the
//! keys stay as they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::embedded::{database, database_without_tails, done, lines};
use crate::rows::told;
use crate::server::Server;

const CLIENTS: i64 = 8;
const ROUNDS: i64 = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_that_upsert_the_same_keys_double_none_and_lose_none() {
    let server = Server::start_with(&["--flush-interval-ms", "50"]);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE counts (k int PRIMARY KEY, n bigint)").await.unwrap();
    client.batch_execute("CREATE TABLE firsts (k bigint PRIMARY KEY, client bigint)").await.unwrap();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let client = server.connect().await;
        clients.push(tokio::spawn(async move {
            let count = "INSERT INTO counts VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET n = counts.n + excluded.n RETURNING n";
            let count = client.prepare(count).await.unwrap();
            let first = "INSERT INTO firsts VALUES ($1, $2), ($1 + 1, $2) ON CONFLICT DO NOTHING";
            let first = client.prepare(first).await.unwrap();
            let (mut last, mut won) = ([0; 3], 0);
            for round in 0..ROUNDS {
                let key = (number + round) % 3;
                let n: i64 = client.query_one(&count, &[&(key as i32), &1_i64]).await.unwrap().get(0);
                assert!(n > last[key as usize], "a count that was given goes back");
                last[key as usize] = n;
                won += client.execute(&first, &[&round, &number]).await.unwrap();
            }
            won
        }));
    }
    let mut won = 0;
    for client in clients {
        won += client.await.unwrap();
    }
    let total = CLIENTS * ROUNDS;
    let counts = "SELECT count(*), count(DISTINCT k), sum(n) FROM counts";
    assert_eq!(told(&client, counts).await, format!("3 | 3 | {total}"));
    let keys = ROUNDS + 1;
    assert_eq!(won, keys as u64, "each key went in once");
    assert_eq!(told(&client, "SELECT count(*), count(DISTINCT k) FROM firsts").await, format!("{keys} | {keys}"));
}

/// Statements that wait for one table are carried out together: each finds what those before it have done, and what fails
/// leaves nothing and fails alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_are_carried_out_together_do_not_disturb_each_other() {
    let server = Server::start_with(&["--flush-interval-ms", "60"]);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (k int PRIMARY KEY, n int CHECK (n < 5000), g int)").await.unwrap();
    client.batch_execute("INSERT INTO t SELECT k, 1 FROM generate_series(0, 7) AS g(k)").await.unwrap();
    let mut clients = Vec::new();
    for number in 0..12 {
        let client = server.connect().await;
        clients.push(tokio::spawn(async move {
            let mut added = 0;
            for round in 0..12 {
                let (one, other) = ((number + round) % 5, 5 + round % 3);
                let insert = format!("INSERT INTO t (k, n) VALUES ({one}, 1)");
                let again = "ON CONFLICT (k) DO UPDATE SET n = t.n + excluded.n";
                let (sql, expected) = match (number + round) % 8 {
                    0 => (format!("{insert}, ({other}, 1) {again}"), Ok(2)),
                    1 => (format!("{insert}, ({one}, 1) {again}"), Err("21000")),
                    2 => (format!("INSERT INTO t VALUES ({one}, 4999) {again}"), Err("23514")),
                    3 => (format!("{insert} ON CONFLICT (k) DO UPDATE SET n = t.n / (t.n - t.n)"), Err("22012")),
                    4 => (format!("{insert} ON CONFLICT (k) DO UPDATE SET n = 0 WHERE t.n < 0 RETURNING k"), Ok(0)),
                    5 => (format!("{insert} ON CONFLICT DO NOTHING"), Ok(0)),
                    _ => (format!("{insert} {again} RETURNING t.n, k AS key"), Ok(1)),
                };
                match (client.execute(&sql, &[]).await, expected) {
                    (Ok(rows), Ok(expected)) => {
                        assert_eq!(rows, expected, "{sql}");
                        added += rows;
                    }
                    (Err(error), Err(code)) => assert_eq!(error.code().unwrap().code(), code, "{sql}: {error:?}"),
                    (outcome, expected) => panic!("{sql}: {outcome:?}, not {expected:?}"),
                }
            }
            added
        }));
    }
    let mut added = 0;
    for client in clients {
        added += client.await.unwrap();
    }
    let sums = "SELECT count(*), count(DISTINCT k), sum(n) FROM t";
    assert_eq!(told(&client, sums).await, format!("8 | 8 | {}", added + 8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_before_its_turn_keeps_nobody_from_theirs() {
    let (_folder, database) = database().await;
    let session = database.session().unwrap();
    done(&session, "CREATE TABLE t (k int PRIMARY KEY, n int)").await;
    let upsert = "INSERT INTO t VALUES (1, 1) ON CONFLICT (k) DO UPDATE SET n = t.n + 1";
    let (mut acknowledged, mut gone) = (0, 0);
    for round in 0..40 {
        let running: Vec<_> = (0..6)
            .map(|_| {
                let session = database.session().unwrap();
                tokio::spawn(async move { session.sql(upsert).await.map(drop) })
            })
            .collect();
        tokio::time::sleep(std::time::Duration::from_micros(round * 97 % 3000)).await;
        for (number, task) in running.into_iter().enumerate() {
            if number % 2 == 0 {
                task.abort();
            }
            match task.await {
                Ok(outcome) => {
                    outcome.unwrap();
                    acknowledged += 1;
                }
                Err(_) => gone += 1,
            }
        }
    }
    assert!(gone > 0 && acknowledged >= 120, "{acknowledged} acknowledged, {gone} gone");
    done(&session, upsert).await;
    let n: i64 = lines(&session, "SELECT n FROM t").await[0][0].parse().unwrap();
    assert!((acknowledged + 1..=acknowledged + 1 + gone).contains(&n), "{n} of {acknowledged} and {gone}");
}

/// Money goes from account to account in one statement, through the tail, while rows are flushed, files written again and the
/// server killed: the sum is zero in every read, and every acknowledged transfer is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_sum_to_zero_in_every_read_and_over_kills() {
    let mut server = Server::start_with(&["--flush-interval-ms", "40"]);
    let mut client = server.connect().await;
    client.batch_execute("CREATE TABLE accounts (k bigint PRIMARY KEY, v bigint, note text)").await.unwrap();
    client.batch_execute("CREATE TABLE newest (writer bigint PRIMARY KEY, n bigint)").await.unwrap();
    let acknowledged: Vec<Arc<AtomicI64>> = (0..3).map(|_| Arc::default()).collect();
    for round in 0..4 {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for (writer, done) in acknowledged.iter().enumerate() {
            let (client, stop, done) = (server.connect().await, Arc::clone(&stop), Arc::clone(done));
            writers.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let n = done.load(Ordering::Relaxed) + 1;
                    let (from, to, count) = (n % 7, 7 + n % 5, 100 + writer);
                    let transfer = format!(
                        "INSERT INTO accounts VALUES ({from}, -{n}), ({to}, {n}), ({count}, 1) \
                         ON CONFLICT (k) DO UPDATE SET v = accounts.v + excluded.v"
                    );
                    let newest = format!(
                        "INSERT INTO newest VALUES ({writer}, {n}) ON CONFLICT (writer) DO UPDATE SET n = excluded.n"
                    );
                    if client.batch_execute(&transfer).await.is_err() {
                        return;
                    }
                    done.store(n, Ordering::Relaxed);
                    if client.batch_execute(&newest).await.is_err() {
                        return;
                    }
                }
            }));
        }
        for read in 0..25 {
            let sums = "SELECT coalesce(sum(v) FILTER (WHERE k < 100), 0), count(*) - count(DISTINCT k) FROM accounts";
            assert_eq!(told(&client, sums).await, "0 | 0");
            if read % 5 == 0 {
                client.batch_execute("UPDATE accounts SET note = coalesce(note, '') || 'x' WHERE k < 4").await.unwrap();
            }
        }
        match round % 2 {
            0 => server.kill_and_restart(),
            _ => stop.store(true, Ordering::Relaxed),
        }
        for writer in writers {
            writer.await.unwrap();
        }
        client = server.connect().await;
        for (writer, done) in acknowledged.iter().enumerate() {
            let n = done.load(Ordering::Relaxed);
            let there = format!("SELECT v FROM accounts WHERE k = {}", 100 + writer);
            let there: i64 = client.query_one(&there, &[]).await.unwrap().get(0);
            assert!((n..=n + 1).contains(&there), "{there} transfers, {n} acknowledged");
            // What was on its way when the server was killed may have landed.
            done.store(there, Ordering::Relaxed);
            let newest = format!("SELECT n FROM newest WHERE writer = {writer}");
            let newest: i64 = client.query_one(&newest, &[]).await.unwrap().get(0);
            assert!((n - 1..=n).contains(&newest), "{newest} is the newest, {n} acknowledged");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_outgrow_the_memory_are_refused_and_nothing_is_done() {
    let server = Server::start_with(&["--memory-bytes-max", "32MiB"]);
    let client = server.connect().await;
    assert_eq!(told(&client, "CREATE TABLE t (k bigint PRIMARY KEY, v text)").await, "done 0");
    let rows = |count: u32| format!("SELECT n, repeat(md5(n::text), 5) FROM generate_series(1, {count}) AS g(n)");
    let first = format!("INSERT INTO t {} ON CONFLICT (k) DO NOTHING", rows(20_000));
    assert_eq!(told(&client, &first).await, "done 20000");
    for action in ["NOTHING", "UPDATE SET v = excluded.v"] {
        let failed = told(&client, &format!("INSERT INTO t {} ON CONFLICT (k) DO {action}", rows(400_000))).await;
        assert!(failed.starts_with("53200 out of memory"), "{failed}");
        let version = "SELECT count(*), count(DISTINCT k), max(k) FROM t";
        assert_eq!(told(&client, version).await, "20000 | 20000 | 20000");
    }
    let again = format!("INSERT INTO t {} ON CONFLICT (k) DO UPDATE SET v = 'new'", rows(20_000));
    assert_eq!(told(&client, &again).await, "done 20000");
    assert_eq!(told(&client, "SELECT count(*), min(v), max(v) FROM t").await, "20000 | new | new");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_files_whose_rows_change_are_written_again() {
    let (_folder, database) = database_without_tails().await;
    let session = database.session().unwrap();
    done(&session, "CREATE TABLE t (k bigint PRIMARY KEY, v text)").await;
    for part in 0..10 {
        let rows = format!("SELECT n, 'old' FROM generate_series({}, {}) AS g(n)", part * 1000, part * 1000 + 999);
        done(&session, &format!("INSERT INTO t {rows}")).await;
    }
    let insert = |keys: &str, action: &str| {
        format!("INSERT INTO t SELECT n, 'added' FROM {keys} AS g(n) ON CONFLICT (k) DO {action}")
    };
    // Rows of two files have the keys, WHERE leaves one of these alone.
    let upsert = insert("generate_series(3990, 4009)", "UPDATE SET v = 'new' WHERE t.k < 4000 AND random() >= 0");
    let plan = lines(&session, &format!("EXPLAIN {upsert}")).await.concat().join("\n");
    assert!(plan.starts_with("Insert on t\nConflict Resolution: UPDATE\n") && plan.contains("HashJoin"), "{plan}");
    assert_eq!(done(&session, &upsert).await, "INSERT 0 10");
    let commit = &lines(&session, "DESCRIBE HISTORY t LIMIT 1").await[0];
    assert_eq!((commit[2].as_str(), commit[5].as_str()), ("MERGE", "1"), "one file is removed");
    assert_eq!(done(&session, &insert("generate_series(9990, 10009)", "NOTHING")).await, "INSERT 0 10");
    let commit = &lines(&session, "DESCRIBE HISTORY t LIMIT 1").await[0];
    assert_eq!((commit[2].as_str(), commit[5].as_str()), ("MERGE", "0"), "no file is removed");
    assert_eq!(done(&session, &insert("generate_series(9990, 10009)", "NOTHING")).await, "INSERT 0 0");
    assert_eq!(lines(&session, "DESCRIBE HISTORY t LIMIT 1").await[0], *commit, "nothing to do is no commit");
    let counts = lines(&session, "SELECT v, count(*) FROM t GROUP BY v ORDER BY v").await;
    assert_eq!(counts, [["added", "10"], ["new", "10"], ["old", "9990"]]);
}
