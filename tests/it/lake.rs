//! What tables promise over their whole life: changes, readers beside maintenance, writers beside each other.

use arrow::array::AsArray;
use futures::{SinkExt, StreamExt};
use headwater::{Reply, Session};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::embedded::{Rows, counted, database, database_without_tails, done, lines};
use crate::rows::{Answer, ask};
use crate::server::{Server, WITHOUT_TAILS};

/// A statement that changes `t (k, v)` somehow.
fn random_statement(random: &mut StdRng) -> String {
    let (k, v) = (random.random_range(0..12), random.random_range(0..3));
    match random.random_range(0..9) {
        0 | 1 => format!("INSERT INTO t SELECT n % 12, n % 3 FROM generate_series({k}, {}) AS g(n)", k + 4 + v),
        2 => format!("INSERT INTO t VALUES ({k}, NULL), ({k}, NULL)"),
        3 => format!("UPDATE t SET v = {v} WHERE k = {k}"),
        4 => format!("UPDATE t SET k = (k + 1) % 12 WHERE k < {k}"),
        5 => format!("DELETE FROM t WHERE k = {k} AND v = {v}"),
        6 => format!("DELETE FROM t WHERE k > {k} AND v IS NULL"),
        7 => format!(
            "MERGE INTO t USING (VALUES ({k}, {v}), ({}, 7)) AS s(k, v) ON t.k = s.k WHEN MATCHED AND t.v = 1 THEN DELETE \
             WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v)",
            k + 1
        ),
        _ => "OPTIMIZE t FULL".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_changes_lead_from_one_version_to_another() {
    let (_folder, database) = database_without_tails().await;
    let session = database.session().unwrap();
    let mut random = StdRng::seed_from_u64(20_261_121);
    done(&session, "CREATE TABLE t (k int, v int)").await;
    let mut states = vec![Rows::new()];
    let mut optimized = 0;
    while states.len() < 60 {
        let statement = random_statement(&mut random);
        done(&session, &statement).await;
        let rows = counted(lines(&session, "SELECT k, v FROM t").await);
        let history = lines(&session, "DESCRIBE HISTORY t LIMIT 100").await;
        // A statement that found nothing to change made no version.
        for commit in &history[..history.len() - states.len()] {
            optimized += usize::from(commit[2] == "OPTIMIZE");
            states.push(rows.clone());
        }
    }
    assert!(optimized > 3, "only {optimized} versions that move rows");
    for (from, to) in [(0, 59), (1, 2), (10, 30), (29, 31), (44, 59)].into_iter().chain((1..59).map(|at| (at, at + 1)))
    {
        let sql = format!("SELECT k, v, _change_type FROM table_changes('t', {}, {to})", from + 1);
        let mut rows = states[from].clone();
        for mut change in lines(&session, &sql).await {
            let kind = change.pop().unwrap();
            let weight = match kind.as_str() {
                "insert" | "update_postimage" => 1,
                "delete" | "update_preimage" => -1,
                other => panic!("{other}"),
            };
            *rows.entry(change).or_default() += weight;
        }
        rows.retain(|_, count| *count != 0);
        assert_eq!(rows, states[to], "versions {from} to {to}");
    }
    for version in 1..60 {
        if states[version] == states[version - 1] {
            let sql = format!("SELECT * FROM table_changes('t', {version}, {version})");
            assert_eq!(lines(&session, &sql).await, Vec::<Vec<String>>::new(), "version {version} moved rows only");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_query_reads_on_while_its_files_are_replaced_and_vacuumed() {
    let (folder, database) = database_without_tails().await;
    let (reader, writer) = (database.session().unwrap(), database.session().unwrap());
    done(&writer, "CREATE TABLE t (n bigint)").await;
    for part in 0..8 {
        let sql = format!(
            "INSERT INTO t SELECT n FROM generate_series({}, {}) AS g(n)",
            part * 10_000,
            part * 10_000 + 9_999
        );
        done(&writer, &sql).await;
    }
    let Reply::Rows(mut rows) = reader.sql("SELECT n FROM t").await.unwrap() else { panic!("no rows") };
    let Reply::Rows(mut old) = reader.sql("SELECT n FROM t VERSION AS OF 4").await.unwrap() else { panic!("no rows") };
    let first = rows.stream.next().await.unwrap().unwrap();
    done(&writer, "OPTIMIZE t FULL").await;
    done(&writer, "DELETE FROM t").await;
    done(&writer, "VACUUM t RETAIN 0 HOURS").await;
    assert!(data_files(folder.path()) >= 8, "the files of a running query are gone");
    let mut seen = first.num_rows();
    while let Some(batch) = rows.stream.next().await {
        seen += batch.unwrap().num_rows();
    }
    assert_eq!(seen, 80_000);
    let mut sum = 0;
    while let Some(batch) = old.stream.next().await {
        sum += batch.unwrap().column(0).as_primitive::<arrow::datatypes::Int64Type>().values().iter().sum::<i64>();
    }
    assert_eq!(sum, (0..40_000).sum::<i64>());
    drop((rows, old));
    done(&writer, "VACUUM t RETAIN 0 HOURS").await;
    assert_eq!(data_files(folder.path()), 0, "nobody reads them any more");
}

fn data_files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true if path.file_name().is_some_and(|name| name == "_delta_log") => 0,
            true => data_files(&path),
            false => usize::from(path.extension().is_some_and(|extension| extension == "parquet")),
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_loads_of_one_table_overlap() {
    let server = Server::start();
    let (slow, quick) = (server.connect().await, server.connect().await);
    assert_eq!(ask(&slow, "CREATE TABLE t (n int CHECK (n > 0))").await, Answer::Done(0));
    let mut load = Box::pin(slow.copy_in("COPY t FROM STDIN").await.unwrap());
    load.send(bytes::Bytes::from("1\n2\n")).await.unwrap();
    load.flush().await.unwrap();
    // The load has begun and has not ended: others write, change and merge files.
    let within = std::time::Duration::from_secs(60);
    for (sql, count) in
        [("INSERT INTO t VALUES (10), (11)", 2), ("UPDATE t SET n = 12 WHERE n = 11", 1), ("OPTIMIZE t FULL", 0)]
    {
        let answer = tokio::time::timeout(within, ask(&quick, sql)).await.expect("a load holds up other writers");
        assert!(matches!(answer, Answer::Done(done) if done == count) || count == 0, "{sql}: {answer:?}");
    }
    load.send(bytes::Bytes::from("3\n")).await.unwrap();
    assert_eq!(load.as_mut().finish().await.unwrap(), 3);
    let Answer::Rows(_, rows) = ask(&quick, "SELECT string_agg(n::text, ',' ORDER BY n) FROM t").await else {
        panic!()
    };
    assert_eq!(rows[0][0].as_deref(), Some("1,2,3,10,12"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_began_before_the_table_changed_its_columns_is_refused() {
    let server = Server::start();
    let (slow, quick) = (server.connect().await, server.connect().await);
    assert_eq!(ask(&slow, "CREATE TABLE t (n int)").await, Answer::Done(0));
    let mut load = Box::pin(slow.copy_in("COPY t FROM STDIN").await.unwrap());
    load.send(bytes::Bytes::from("1\n")).await.unwrap();
    load.flush().await.unwrap();
    assert_eq!(ask(&quick, "ALTER TABLE t ADD CHECK (n > 1)").await, Answer::Done(0));
    let error = load.as_mut().finish().await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().code().code(), "40001");
    let Answer::Rows(_, rows) = ask(&quick, "SELECT count(*) FROM t").await else { panic!() };
    assert_eq!(rows[0][0].as_deref(), Some("0"));
    assert_eq!(data_files(server.folder()), 0, "the files of the refused load stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_tells_what_was_pruned() {
    let (_folder, database) = database_without_tails().await;
    let session = database.session().unwrap();
    done(&session, "CREATE TABLE t (n bigint, v text)").await;
    for part in 0..5 {
        let sql = format!(
            "INSERT INTO t SELECT n, 'v' || n FROM generate_series({}, {}) AS g(n)",
            part * 100,
            part * 100 + 99
        );
        done(&session, &sql).await;
    }
    let plan = explained(&session, "EXPLAIN ANALYZE SELECT v FROM t WHERE n = 250").await;
    assert!(plan.contains("files_pruned_by_lake=5 total → 1 matched"), "{plan}");
    assert!(plan.contains("row_groups_pruned_statistics=1 total → 1 matched"), "{plan}");
    assert!(plan.contains("\nFiles Pruned: 4 of 5\nRow Groups Pruned: 0 of 1\nBytes Scanned: "), "{plan}");
    let plan = explained(&session, "EXPLAIN ANALYZE SELECT v FROM t WHERE n % 100 < 0").await;
    assert!(plan.contains("\nFiles Pruned: 0 of 5\nRow Groups Pruned: 0 of 5\n"), "{plan}");
    let plan = explained(&session, "EXPLAIN DELETE FROM t WHERE n = 250").await;
    assert!(plan.starts_with("Delete on t") && plan.contains("DataSourceExec"), "{plan}");
    let plan = explained(&session, "EXPLAIN ANALYZE DELETE FROM t WHERE n = 250").await;
    assert!(plan.contains("\nRows: 1\nFiles Pruned: 4 of "), "{plan}");
    assert_eq!(lines(&session, "SELECT count(*) FROM t").await, [["499"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_log_and_catalog_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let catalog = data.join("catalog.sqlite");
    let statements: [&str; 4] = [
        "ALTER TABLE t ADD COLUMN extra text",
        "ALTER TABLE t ADD CONSTRAINT large CHECK (id > 0)",
        "ALTER TABLE t RENAME COLUMN name TO title",
        "ALTER TABLE t DROP COLUMN extra",
    ];
    let mut server = Server::open(&data, &[]);
    let client = server.connect().await;
    assert_eq!(ask(&client, "CREATE TABLE t (id int PRIMARY KEY, name text DEFAULT 'nobody')").await, Answer::Done(0));
    assert_eq!(ask(&client, "INSERT INTO t VALUES (1, 'a')").await, Answer::Done(1));
    for statement in statements {
        assert_eq!(server.terminate(), Some(0));
        let before = std::fs::read(&catalog).unwrap();
        server = Server::open(&data, &[]);
        assert_eq!(ask(&server.connect().await, statement).await, Answer::Done(0));
        assert_eq!(server.terminate(), Some(0));
        // As if the machine had stopped after the commit and before the catalog was written.
        std::fs::write(&catalog, before).unwrap();
        server = Server::open(&data, &[]);
    }
    let client = server.connect().await;
    assert_eq!(ask(&client, "INSERT INTO t (id) VALUES (2)").await, Answer::Done(1));
    let Answer::Rows(names, rows) = ask(&client, "SELECT * FROM t ORDER BY id").await else { panic!("no rows") };
    assert_eq!(names, ["id", "title"]);
    assert_eq!(rows[1], [Some("2".to_owned()), Some("nobody".to_owned())], "the default stays with its column");
    for (sql, code) in [("INSERT INTO t VALUES (-1)", "23514"), ("INSERT INTO t VALUES (NULL)", "23502")] {
        let Answer::Failed(failed, _) = ask(&client, sql).await else { panic!("{sql}") };
        assert_eq!(failed, code, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zorder_lets_filters_on_either_column_skip_files() {
    let (_folder, database) = database_without_tails().await;
    let session = database.session().unwrap();
    done(
        &session,
        "CREATE TABLE t (a int, b text, v text, p int) PARTITIONED BY (p) WITH (target_file_bytes = 120000)",
    )
    .await;
    let rows = "SELECT (n * 7919) % 200, 'b' || lpad(((n * 104729) % 211)::text, 3, '0'), md5(n::text), n % 2
         FROM generate_series(1, 400000::bigint) AS g(n)";
    done(&session, &format!("INSERT INTO t {rows}")).await;
    let before = counted(lines(&session, "SELECT * FROM t").await);
    done(&session, "OPTIMIZE t WHERE p = 0 ZORDER BY (a, b)").await;
    let sorted = "SELECT partition, count(*) FROM system.files WHERE table_name = 't' GROUP BY partition ORDER BY 1";
    let files: Vec<usize> = lines(&session, sorted).await.iter().map(|row| row[1].parse().unwrap()).collect();
    assert!(files[0] >= 8, "{files:?}");
    for filter in ["a = 20", "b = 'b100'"] {
        let (pruned, total) = pruning(&session, &format!("SELECT v FROM t WHERE p = 0 AND {filter}")).await;
        let read = total - pruned;
        assert!(read * 2 <= files[0], "{filter}: {read} of {} files", files[0]);
    }
    assert_eq!(counted(lines(&session, "SELECT * FROM t").await), before);
    // What is sorted so already stays; FULL sorts it again.
    let again = lines(&session, "OPTIMIZE t WHERE p = 0 ZORDER BY (a, b)").await;
    assert_eq!(again[0][0], "0");
    let again = lines(&session, "OPTIMIZE t WHERE p = 0 ZORDER BY (a, b) FULL").await;
    assert_eq!(again[0][0], files[0].to_string());
    let changes = lines(&session, "SELECT * FROM table_changes('t', 2)").await;
    assert!(changes.is_empty(), "rows only moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_clustered_by_several_columns_lie_along_a_curve() {
    let (_folder, database) = database_without_tails().await;
    let session = database.session().unwrap();
    let rows = |from: u32, count: u32| {
        format!(
            "SELECT (n * 7919) % 200 AS a, 'b' || lpad(((n * 104729) % 211)::text, 3, '0') AS b, md5(n::text) AS v
             FROM generate_series({from}, {}::bigint) AS g(n)",
            from + count - 1
        )
    };
    let layout = "CLUSTER BY (a, b) WITH (target_file_bytes = 500000)";
    done(&session, &format!("CREATE TABLE loaded {layout} AS {}", rows(1, 200_000))).await;
    done(&session, &format!("CREATE TABLE merged (a bigint, b text, v text) {layout}")).await;
    for part in 0..20 {
        done(&session, &format!("INSERT INTO merged {}", rows(1 + part * 10_000, 10_000))).await;
    }
    let unclustered = "SELECT count(*) FROM system.files WHERE table_name = 'merged' AND NOT clustered";
    assert_eq!(lines(&session, unclustered).await, [["20"]], "a small load makes a file as it comes");
    let sums = "SELECT count(*), sum(a), min(b), max(b), count(DISTINCT b || v), min(v), max(v) FROM merged";
    let before = lines(&session, sums).await;
    done(&session, "OPTIMIZE merged").await;
    assert_eq!(lines(&session, sums).await, before);
    for table in ["loaded", "merged"] {
        let files = format!("SELECT count(*), bool_and(clustered) FROM system.files WHERE table_name = '{table}'");
        let files = lines(&session, &files).await;
        assert!(files[0][0].parse::<usize>().unwrap() >= 8 && files[0][1] == "true", "{table}: {files:?}");
        for filter in ["a = 20", "b = 'b100'"] {
            let (pruned, total) = pruning(&session, &format!("SELECT v FROM {table} WHERE {filter}")).await;
            assert!(pruned * 2 >= total, "{table}, {filter}: {pruned} of {total} files pruned");
        }
        assert_eq!(lines(&session, &format!("OPTIMIZE {table}")).await[0][0], "0", "{table} is clustered");
        // Along a curve rows are in no order that a scan may rely upon.
        let sorted = lines(&session, &format!("SELECT a, b FROM {table} WHERE a < 20 ORDER BY a, b")).await;
        assert!(sorted.is_sorted_by_key(|row| (row[0].parse::<i64>().unwrap(), row[1].clone())), "{table}");
    }
    // A few more rows go onto the curve by themselves.
    done(&session, &format!("INSERT INTO loaded {}", rows(1, 100))).await;
    done(&session, &format!("INSERT INTO loaded {}", rows(1, 100))).await;
    assert_eq!(lines(&session, "OPTIMIZE loaded").await[0][..2], ["2", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_found_in_one_file_of_a_table_clustered_by_its_key() {
    let (_folder, database) = database_without_tails().await;
    let session = database.session().unwrap();
    done(&session, "CREATE TABLE t (k bigint, v text) CLUSTER BY (k) WITH (target_file_bytes = 200000)").await;
    let rows = "SELECT (n * 7919) % 100003, md5(n::text) FROM generate_series(1, 60000::bigint) AS g(n)";
    done(&session, &format!("INSERT INTO t {rows}")).await;
    for key in [7919, 50_000, 99_999] {
        let (pruned, total) = pruning(&session, &format!("SELECT v FROM t WHERE k = {key}")).await;
        assert!(total >= 8 && pruned >= total - 1, "{key}: {pruned} of {total} files pruned");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_found_by_its_time() {
    let (_folder, database) = database_without_tails().await;
    let session = database.session().unwrap();
    done(&session, "SET TimeZone = 'Asia/Tokyo'").await;
    done(&session, "CREATE TABLE t (n int)").await;
    for n in 1..=3 {
        done(&session, &format!("INSERT INTO t VALUES ({n})")).await;
    }
    let times =
        lines(&session, "SELECT committed_at::text FROM system.commits WHERE table_name = 't' ORDER BY version").await;
    let count = async |at: &str| lines(&session, &format!("SELECT count(*) FROM t {at}")).await.concat().concat();
    for (version, at) in times.concat().iter().enumerate() {
        let version = version.to_string();
        assert_eq!(count(&format!("TIMESTAMP AS OF '{at}'")).await, version, "{at}");
        assert_eq!(count(&format!("TIMESTAMP AS OF TIMESTAMPTZ '{at}' + interval '100 microseconds'")).await, version);
        assert_eq!(count(&format!("FOR SYSTEM_TIME AS OF '{at}'")).await, version, "{at}");
    }
    let before_last = format!("'{}'::timestamptz - interval '1 millisecond'", times[3][0]);
    assert_eq!(count(&format!("TIMESTAMP AS OF {before_last}")).await, "2");
    done(&session, &format!("RESTORE TABLE t TO TIMESTAMP AS OF '{}'", times[1][0])).await;
    assert_eq!(lines(&session, "SELECT n FROM t").await, [["1"]]);
}

async fn explained(session: &Session, sql: &str) -> String {
    lines(session, sql).await.concat().join("\n")
}

/// How many files of how many a query does not read.
async fn pruning(session: &Session, query: &str) -> (usize, usize) {
    let plan = explained(session, &format!("EXPLAIN ANALYZE {query}")).await;
    let line = plan.lines().find_map(|line| line.strip_prefix("Files Pruned: ")).expect("a line on files");
    let (pruned, total) = line.split_once(" of ").unwrap();
    (pruned.parse().unwrap(), total.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_in_the_history() {
    let (folder, database) = database_without_tails().await;
    let session = database.session().unwrap();
    done(&session, "CREATE TABLE t (n int)").await;
    for n in 0..3 {
        done(&session, &format!("INSERT INTO t VALUES ({n})")).await;
    }
    done(&session, "OPTIMIZE t FULL").await;
    let dry = lines(&session, "VACUUM t RETAIN 0 HOURS DRY RUN").await;
    assert!(dry.len() == 3 && dry.concat().iter().all(|path| path.ends_with(".parquet")), "{dry:?}");
    assert_eq!(data_files(folder.path()), 4, "a dry run removes nothing");
    assert!(lines(&session, "VACUUM t RETAIN 1 HOUR DRY RUN").await.is_empty(), "younger files stay");
    done(&session, "VACUUM t RETAIN 0 HOURS").await;
    assert_eq!(data_files(folder.path()), 1);
    done(&session, "VACUUM t RETAIN 0 HOURS").await;
    let history = "SELECT operation, files_removed, files_added, bytes_removed > 0 FROM system.maintenance_history ORDER BY version";
    assert_eq!(lines(&session, history).await, [["OPTIMIZE", "3", "1", "true"], ["VACUUM END", "3", "0", "true"]]);
    assert_eq!(lines(&session, "SELECT sum(n) FROM t").await, [["3"]]);
    assert_eq!(lines(&session, "SELECT sum(n) FROM t VERSION AS OF 5").await, [["3"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_statement_tells_how_far_it_is() {
    let (_folder, database) = database_without_tails().await;
    let (worker, watcher) = (database.session().unwrap(), database.session().unwrap());
    done(&worker, "CREATE TABLE t (n bigint)").await;
    for part in 0..8 {
        let rows = format!("SELECT n + {part} FROM generate_series(1, 20000::bigint) AS g(n)");
        done(&worker, &format!("INSERT INTO t {rows}")).await;
    }
    // Rows are made while they are read: here the query stands still after the first.
    let Reply::Rows(mut rows) = worker.sql("SELECT n FROM t").await.unwrap() else { panic!("no rows") };
    rows.stream.next().await.unwrap().unwrap();
    let watch = "SELECT state, rows > 0, progress < 1, files_total FROM system.queries WHERE sql = 'SELECT n FROM t'";
    assert_eq!(lines(&watcher, watch).await, [["running", "true", "true", "8"]]);
    while rows.stream.next().await.is_some() {}
    drop(rows);
    let watch = "SELECT state, rows, progress, files_total FROM system.queries WHERE sql = 'SELECT n FROM t'";
    assert_eq!(lines(&watcher, watch).await, [["done", "160000", "1.0", "8"]]);
    done(&worker, "OPTIMIZE t FULL").await;
    let done_lately = "SELECT state, progress, bytes_scanned > 0 FROM system.queries WHERE sql = 'OPTIMIZE t FULL'";
    assert_eq!(lines(&watcher, done_lately).await, [["done", "1.0", "true"]]);
    done(&worker, "CREATE TABLE u AS SELECT n * 2 AS m FROM t").await;
    let created = "SELECT rows, progress FROM system.queries WHERE sql LIKE 'CREATE TABLE u AS%'";
    assert_eq!(lines(&watcher, created).await, [["160000", "1.0"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_open_portal_or_a_transaction_reads_is_not_vacuumed() {
    let server = Server::start_with(&WITHOUT_TAILS);
    let (mut reader, writer) = (server.connect().await, server.connect().await);
    assert_eq!(ask(&writer, "CREATE TABLE t (n bigint)").await, Answer::Done(0));
    for part in 0..4 {
        let rows = format!("SELECT {part} * 10000 + n FROM generate_series(0, 9999) AS g(n)");
        assert_eq!(ask(&writer, &format!("INSERT INTO t {rows}")).await, Answer::Done(10_000));
    }
    let block = reader.transaction().await.unwrap();
    let portal = block.bind("SELECT n FROM t", &[]).await.unwrap();
    let mut seen: Vec<i64> = block.query_portal(&portal, 10).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(seen.len(), 10);
    assert_eq!(ask(&writer, "DELETE FROM t").await, Answer::Done(40_000));
    assert_eq!(ask(&writer, "VACUUM t RETAIN 0 HOURS").await, Answer::Done(0));
    assert_eq!(data_files(server.folder()), 4, "an open portal reads them");
    seen.extend(block.query_portal(&portal, 0).await.unwrap().iter().map(|row| row.get::<_, i64>(0)));
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..40_000));
    let sum: i64 = block.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0);
    assert_eq!(sum, 40_000, "a transaction sees the version that it began with");
    drop(portal);
    block.commit().await.unwrap();
    // A prepared plan of the old version goes with the next one.
    let sum: i64 = reader.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0);
    assert_eq!(sum, 0);
    // What the reader has prepared is closed a little later.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while data_files(server.folder()) > 0 {
        assert!(std::time::Instant::now() < until, "nobody reads them any more");
        assert_eq!(ask(&writer, "VACUUM t RETAIN 0 HOURS").await, Answer::Done(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_writes_again_only_the_files_that_hold_its_keys() {
    let (_folder, database) = database_without_tails().await;
    let session = database.session().unwrap();
    done(&session, "CREATE TABLE t (k bigint, v text)").await;
    for part in 0..10 {
        let rows = format!("SELECT n, 'old' FROM generate_series({}, {}) AS g(n)", part * 1000, part * 1000 + 999);
        done(&session, &format!("INSERT INTO t {rows}")).await;
    }
    let keys = "SELECT 3000 + n * 2 AS k FROM generate_series(0, 99) AS g(n) UNION ALL SELECT 90000 + n FROM generate_series(1, 5) AS g(n)";
    let merge = format!(
        "MERGE INTO t USING ({keys}) AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = 'new' WHEN NOT MATCHED THEN INSERT VALUES (s.k, 'added')"
    );
    assert_eq!(done(&session, &merge).await, "MERGE 105");
    let commit = &lines(&session, "DESCRIBE HISTORY t LIMIT 1").await[0];
    assert_eq!(commit[2], "MERGE");
    assert_eq!(commit[5], "1", "files removed");
    let counts = lines(&session, "SELECT v, count(*) FROM t GROUP BY v ORDER BY v").await;
    assert_eq!(counts, [["added", "5"], ["new", "100"], ["old", "9900"]]);
}

/// Runs a statement until no concurrent change is in its way.
async fn insist(session: &Session, sql: &str) {
    while let Err(error) = session.sql(sql).await {
        assert_eq!(error.sqlstate(), "40001", "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_that_are_added_beside_other_changes_are_not_lost() {
    let (_folder, database) = database().await;
    let session = database.session().unwrap();
    done(&session, "CREATE TABLE t (k int, v int)").await;
    done(&session, "INSERT INTO t SELECT n, 0 FROM generate_series(1, 700) AS g(n)").await;
    let mut tasks = tokio::task::JoinSet::new();
    let mut repeat = |count: usize, sql: fn(usize) -> String| {
        let session = database.session().unwrap();
        tasks.spawn(async move {
            for at in 0..count {
                insist(&session, &sql(at)).await;
            }
        });
    };
    repeat(6, |at| format!("ALTER TABLE t ADD COLUMN a{at} int DEFAULT {at}"));
    repeat(6, |at| format!("ALTER TABLE t ADD COLUMN b{at} int DEFAULT {at}"));
    repeat(6, |at| format!("ALTER TABLE t ALTER COLUMN k SET DEFAULT {at}"));
    repeat(12, |_| "UPDATE t SET v = v + 1 WHERE k % 7 = 0".to_owned());
    repeat(12, |at| format!("INSERT INTO t (k, v) VALUES ({}, 0)", 1000 + at * 7));
    repeat(12, |at| format!("DELETE FROM t WHERE k = {}", at * 7 + 1));
    tasks.join_all().await;
    for at in 0..6 {
        let lost = format!("SELECT count(*) FROM t WHERE a{at} IS DISTINCT FROM {at} OR b{at} IS DISTINCT FROM {at}");
        assert_eq!(lines(&session, &lost).await, [["0"]], "a{at} or b{at}");
    }
    let sums = "SELECT count(*), sum(v), min(v) FILTER (WHERE k % 7 = 0) FROM t";
    assert_eq!(lines(&session, sums).await, [["700", "1200", "12"]]);
    done(&session, "INSERT INTO t (v) VALUES (-1)").await;
    assert_eq!(lines(&session, "SELECT k FROM t WHERE v = -1").await, [["5"]]);
}
