//! What runs out or is broken: disk, memory, files, logs, paths. The statement fails with its code, others live on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::SinkExt;

use crate::program::run;
use crate::rows::told;
use crate::server::{Server, WITHOUT_TAILS, headwater};

/// All files below a folder, staging files too.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => files.extend(all_files(&entry)),
            false => files.push(entry),
        }
    }
    files.sort();
    files
}

/// Waits until no file is below the folder: tasks of a failed statement end a moment after it.
async fn emptied(folder: &Path) {
    let until = Instant::now() + Duration::from_secs(30);
    while !all_files(folder).is_empty() {
        assert!(Instant::now() < until, "{:?} stay", all_files(folder));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Rows that do not compress.
fn noise(rows: u32) -> String {
    format!("SELECT n, md5(n::text) || md5((-n)::text) || md5((n * 7)::text) FROM generate_series(1, {rows}) AS g(n)")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_the_statement_and_leaves_nothing() {
    let server = Server::start_on_small_disk(12, &WITHOUT_TAILS);
    let client = server.connect().await;
    assert_eq!(told(&client, "CREATE TABLE t (n int, v text)").await, "done 0");
    assert_eq!(told(&client, &format!("INSERT INTO t {}", noise(100))).await, "done 100");
    let tables = server.seen_folder().join("tables");
    let before = all_files(&tables);
    for statement in [
        format!("INSERT INTO t {}", noise(400_000)),
        format!("CREATE TABLE u AS {}", noise(400_000)),
        format!(
            "MERGE INTO t USING ({}) AS s(n, v) ON t.n = s.n WHEN NOT MATCHED THEN INSERT VALUES (s.n, s.v)",
            noise(400_000)
        ),
    ] {
        let failed = told(&client, &statement).await;
        assert!(failed.starts_with("53100 "), "{failed}");
        assert_eq!(all_files(&tables), before, "{statement} leaves files");
    }
    assert_eq!(told(&client, "SELECT count(*), min(n), max(n) FROM t").await, "100 | 1 | 100");
    assert_eq!(told(&client, "UPDATE t SET v = 'x' WHERE n = 1").await, "done 1");
    assert_eq!(told(&client, "SELECT count(*) FROM t WHERE v = 'x'").await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_over_its_memory_fails_and_others_live_on() {
    let server = Server::start_with(&["--memory-bytes-max", "32MiB", "--spill-bytes-max", "1MiB"]);
    let (greedy, modest) = (server.connect().await, server.connect().await);
    assert_eq!(told(&modest, "CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) AS g(n)").await, "done 1000");
    let running = tokio::spawn(async move {
        let hungry =
            "SELECT length(string_agg(md5(n::text) || md5((-n)::text), '')) FROM generate_series(1, 800000) AS g(n)";
        let failed = told(&greedy, hungry).await;
        assert!(failed.starts_with("53200 out of memory"), "{failed}");
        let spilling =
            "SELECT count(*) FROM (SELECT md5(n::text), count(*) FROM generate_series(1, 800000) AS g(n) GROUP BY 1) s";
        let failed = told(&greedy, spilling).await;
        assert!(failed.starts_with("53100") && failed.contains("spill folder is full"), "{failed}");
        greedy
    });
    let mut asked = 0;
    while !running.is_finished() {
        assert_eq!(told(&modest, "SELECT count(*) FROM t").await, "1000");
        asked += 1;
    }
    assert!(asked > 2, "the others were not served meanwhile");
    let greedy = running.await.unwrap();
    assert_eq!(told(&greedy, "SELECT sum(n) FROM t").await, "500500");
    emptied(&server.folder().join("spill")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_outgrows_its_memory_goes_through_the_disk() {
    let server = Server::start_with(&["--memory-bytes-max", "64MiB", "--target-partitions", "2"]);
    let client = server.connect().await;
    let rows =
        "SELECT n, md5(n::text) AS hash, repeat(md5((-n)::text), 5) AS other FROM generate_series(1, 400000) AS g(n)";
    assert_eq!(told(&client, &format!("CREATE TABLE t AS {rows}")).await, "done 400000");
    let order = "FROM (SELECT hash, lag(hash) OVER (ORDER BY hash, n) AS before FROM t) s";
    assert_eq!(told(&client, &format!("SELECT count(*), sum((before > hash)::int) {order}")).await, "400000 | 0");
    let clustered = "CREATE TABLE s CLUSTER BY (hash) AS SELECT * FROM t";
    assert_eq!(told(&client, clustered).await, "done 400000");
    let join = "SELECT count(*) FROM t JOIN s ON t.n = s.n AND t.hash = s.hash AND t.other = s.other";
    assert_eq!(told(&client, join).await, "400000");
    let every = "UPDATE s SET other = 'x' WHERE n % 2 = 0";
    assert_eq!(told(&client, every).await, "done 200000");
    let merge = "MERGE INTO s USING (SELECT n * 6 AS n FROM generate_series(1, 100000) AS g(n)) AS k ON s.n = k.n \
         WHEN MATCHED THEN UPDATE SET other = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (k.n, 'new', 'new')";
    assert_eq!(told(&client, merge).await, "done 100000");
    assert_eq!(told(&client, "DELETE FROM s WHERE other = 'x'").await, "done 133334");
    let rest = "SELECT count(*), count(*) FILTER (WHERE other = 'merged'), count(*) FILTER (WHERE hash = 'new') FROM s";
    assert_eq!(told(&client, rest).await, "300000 | 66666 | 33334");
    let plan = told(&client, "EXPLAIN ANALYZE SELECT * FROM t ORDER BY other").await;
    let spills = plan.split("spill_count=").nth(1).and_then(|rest| rest.split([',', ']']).next());
    assert!(spills.is_some_and(|count| count != "0"), "{plan}");
    emptied(&server.folder().join("spill")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_of_many_parts_is_planned_or_refused() {
    let server = Server::start();
    let client = server.connect().await;
    let joined = |parts: Vec<String>, by: &str| parts.join(by);
    let union = |branches: usize| joined((1..=branches).map(|n| format!("SELECT {n}")).collect(), " UNION ALL ");
    assert_eq!(told(&client, &format!("SELECT count(*) FROM ({}) u", union(300))).await, "300");
    let chain = |queries: usize| {
        let parts = (1..queries).map(|n| format!("c{n} AS (SELECT a + 1 AS a FROM c{})", n - 1)).collect();
        format!("WITH c0 AS (SELECT 0 AS a), {} SELECT a FROM c{}", joined(parts, ", "), queries - 1)
    };
    assert_eq!(told(&client, &chain(150)).await, "149");
    let refused = "54001 stack depth limit exceeded";
    assert_eq!(told(&client, &union(1_100)).await, refused);
    assert_eq!(told(&client, &chain(600)).await, refused);
    let joins = (0..600).map(|n| format!("(VALUES ({n})) AS t{n}(a)")).collect();
    assert_eq!(told(&client, &format!("SELECT 1 FROM {}", joined(joins, " CROSS JOIN "))).await, refused);
    assert_eq!(told(&client, "SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_table_is_named_and_the_others_serve() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::open(&data, &WITHOUT_TAILS);
    let client = server.connect().await;
    for name in ["corrupt", "missing", "sound"] {
        assert_eq!(told(&client, &format!("CREATE TABLE {name} (n int)")).await, "done 0");
        assert_eq!(told(&client, &format!("INSERT INTO {name} VALUES (1), (2)")).await, "done 2");
    }
    let file = |table: &str, ending: &str| {
        let files = all_files(&data.join("tables"));
        let found = |path: &&PathBuf| {
            path.to_string_lossy().contains(&format!("/{table}-")) && path.to_string_lossy().ends_with(ending)
        };
        files.iter().find(found).expect("the table has the file").clone()
    };
    fs::remove_file(file("missing", ".parquet")).unwrap();
    let lost = told(&client, "SELECT sum(n) FROM missing").await;
    assert!(lost.starts_with("58P01") && lost.contains("/missing-"), "{lost}");
    assert_eq!(told(&client, "SELECT sum(n) FROM sound").await, "3");
    fs::write(file("corrupt", "1.json"), "{\"add\": nonsense\n").unwrap();
    server.kill_and_restart();
    let client = server.connect().await;
    let broken = told(&client, "SELECT sum(n) FROM corrupt").await;
    assert!(broken.starts_with("XX001") && broken.contains("table \"corrupt\""), "{broken}");
    assert_eq!(told(&client, "SELECT sum(n) FROM sound").await, "3");
    assert_eq!(told(&client, "INSERT INTO sound VALUES (3)").await, "done 1");
    assert_eq!(server.terminate(), Some(0));
    let report = run(headwater().arg("check").arg("--data").arg(&data));
    let text = String::from_utf8_lossy(&report.stdout);
    assert_eq!(report.status.code(), Some(1), "{text}");
    assert!(text.contains("table \"corrupt\"") && text.contains("DROP TABLE"), "{text}");
    assert!(text.contains("the file is missing") && text.contains("RESTORE TABLE missing"), "{text}");
    // The way out that it names.
    let server = Server::open(&data, &[]);
    let client = server.connect().await;
    assert_eq!(told(&client, "RESTORE TABLE missing TO VERSION AS OF 0").await, "done 0");
    assert_eq!(told(&client, "SELECT count(*) FROM missing").await, "0");
    assert_eq!(told(&client, "DROP TABLE corrupt").await, "done 0");
    drop((client, server));
    let report = run(headwater().arg("check").arg("--data").arg(&data));
    assert_eq!(report.status.code(), Some(0), "{}", String::from_utf8_lossy(&report.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_does_not_lead_out_of_the_allowed_locations() {
    let folder = tempfile::tempdir().unwrap();
    let (allowed, secret) = (folder.path().join("allowed"), folder.path().join("secret"));
    fs::create_dir_all(allowed.join("inner")).unwrap();
    fs::create_dir_all(&secret).unwrap();
    fs::write(allowed.join("good.csv"), "a\n1\n").unwrap();
    fs::write(secret.join("file.csv"), "a\n2\n").unwrap();
    std::os::unix::fs::symlink(&secret, allowed.join("link")).unwrap();
    std::os::unix::fs::symlink(secret.join("file.csv"), allowed.join("link.csv")).unwrap();
    let server = Server::start_with(&["--file-locations", allowed.to_str().unwrap()]);
    let client = server.connect().await;
    let (allowed, secret) = (allowed.display(), secret.display());
    assert_eq!(told(&client, &format!("SELECT * FROM read_csv('{allowed}/good.csv')")).await, "1");
    for path in [
        format!("{secret}/file.csv"),
        format!("file://{secret}/file.csv"),
        format!("{allowed}/../secret/file.csv"),
        format!("{allowed}/inner/../../secret/file.csv"),
        format!("{allowed}/link/file.csv"),
        format!("{allowed}/link.csv"),
        format!("{allowed}/%2e%2e/secret/file.csv"),
        format!("file://{allowed}/%2E%2E/secret/file.csv"),
        format!("file://{allowed}/.%2e/secret/file.csv"),
        format!("{allowed}-not/file.csv"),
        "/etc/passwd".to_owned(),
        "../../etc/passwd".to_owned(),
        "s3://other/file.csv".to_owned(),
    ] {
        let reads_and_writes = [
            format!("SELECT * FROM read_csv('{path}')"),
            format!("SELECT * FROM read_json('{path}')"),
            format!("SELECT * FROM read_parquet('{path}')"),
            format!("CREATE TABLE t (a int) LOCATION '{path}'"),
            format!("CREATE TABLE t USING DELTA LOCATION '{path}'"),
            format!("COPY (SELECT 1) TO '{path}'"),
        ];
        for sql in reads_and_writes {
            let refused = told(&client, &sql).await;
            assert!(refused.starts_with("42501 permission denied for location"), "{sql}: {refused}");
        }
    }
    assert_eq!(fs::read_to_string(format!("{secret}/file.csv")).unwrap(), "a\n2\n");
    let listed = told(&client, &format!("SELECT * FROM read_csv('{allowed}/')")).await;
    assert!(listed.starts_with("42501"), "a listing follows links: {listed}");
    fs::remove_file(format!("{allowed}/link")).unwrap();
    fs::remove_file(format!("{allowed}/link.csv")).unwrap();
    assert_eq!(told(&client, &format!("SELECT * FROM read_csv('{allowed}/')")).await, "1");
    // A folder that holds something else is not taken for a table, nor emptied when the statement fails.
    let taken = told(&client, &format!("CREATE TABLE t LOCATION '{allowed}' AS SELECT 1 / 0")).await;
    assert!(taken.starts_with("55000"), "{taken}");
    assert_eq!(told(&client, &format!("SELECT * FROM read_csv('{allowed}/good.csv')")).await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_row_of_csv_is_named_or_skipped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    fs::write(&file, "id,v\n1,a\ntwo,b\n3,c\n99999999999,d\n").unwrap();
    let server = Server::start_with(&["--file-locations", folder.path().to_str().unwrap()]);
    let client = server.connect().await;
    assert_eq!(told(&client, "CREATE TABLE t (id int, v text)").await, "done 0");
    let copy = format!("COPY t FROM '{}' WITH (FORMAT csv, HEADER", file.display());
    let error = client.batch_execute(&format!("{copy})")).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!((error.code().code(), error.where_()), ("22P02", Some("COPY t, line 3, column id: \"two\"")));
    assert_eq!(told(&client, "SELECT count(*) FROM t").await, "0");
    let psql = run(server.psql().args(["-c", &format!("{copy}, ON_ERROR ignore)")]));
    assert_eq!(String::from_utf8_lossy(&psql.stdout).trim(), "COPY 2");
    assert!(String::from_utf8_lossy(&psql.stderr).contains("2 rows were skipped"), "{psql:?}");
    assert_eq!(told(&client, "SELECT sum(id) FROM t").await, "4");
    let refused = told(&client, &format!("{copy}, ON_ERROR skip, REJECT_LIMIT 1)")).await;
    assert_eq!(refused, "22P02 skipped more than REJECT_LIMIT (1) rows due to data type incompatibility");
    assert_eq!(told(&client, "SELECT count(*) FROM t").await, "2");
    // The same from the client; each row is named.
    let psql = run(server
        .psql()
        .args(["-c", &format!("\\{}, ON_ERROR skip, LOG_VERBOSITY verbose)", copy.replacen("COPY", "copy", 1))]));
    assert_eq!(String::from_utf8_lossy(&psql.stdout).trim(), "COPY 2");
    let notices = String::from_utf8_lossy(&psql.stderr);
    for part in ["(COPY t, line 3, column id: \"two\")", "line 5, column id: \"99999999999\"", "2 rows were skipped"] {
        assert!(notices.contains(part), "{notices}");
    }
    // A row that reads well may still not be one of the table's, from a file as from the client.
    assert_eq!(told(&client, "CREATE TABLE c (id int CHECK (id < 3), v text NOT NULL)").await, "done 0");
    for (rows, code) in [("1,a\n3,b\n", "23514"), ("1,a\n2,\n", "23502")] {
        fs::write(&file, rows).unwrap();
        for source in [format!("'{}'", file.display()), "STDIN".to_owned()] {
            let copy = format!("COPY c FROM {source} (FORMAT csv)");
            let refused = match source == "STDIN" {
                false => client.batch_execute(&copy).await.unwrap_err(),
                true => {
                    let mut sink = Box::pin(client.copy_in(&copy).await.unwrap());
                    sink.send(bytes::Bytes::from(rows)).await.unwrap();
                    sink.as_mut().finish().await.unwrap_err()
                }
            };
            assert_eq!(refused.code().map(|code| code.code()), Some(code), "{copy} of {rows:?}");
        }
    }
    assert_eq!(told(&client, "SELECT count(*) FROM c").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_killed_while_it_loads_frees_what_it_held() {
    let server = Server::start();
    let client = server.connect().await;
    assert_eq!(told(&client, "CREATE TABLE t (n bigint, v text)").await, "done 0");
    let before = all_files(&server.folder().join("tables"));
    let mut load = server.psql().args(["-c", &format!("INSERT INTO t {}", noise(200_000_000))]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while told(&client, "SELECT count(*) FROM system.queries WHERE state = 'running' AND sql LIKE 'INSERT INTO t%'")
        .await
        != "1"
    {
        assert!(Instant::now() < until, "the load does not begin");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    load.kill().unwrap();
    load.wait().unwrap();
    let held = "SELECT count(*) FROM system.queries WHERE state = 'running' AND sql LIKE 'INSERT INTO t%'";
    while told(&client, held).await != "0" || all_files(&server.folder().join("tables")) != before {
        let left = (
            told(&client, "SELECT state, duration_ms, sql FROM system.queries").await,
            all_files(&server.folder().join("tables")),
        );
        assert!(Instant::now() < until, "the load still runs, or its files stay: {left:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(told(&client, "INSERT INTO t VALUES (1, 'a')").await, "done 1");
    assert_eq!(told(&client, "DELETE FROM t").await, "done 1");
}
