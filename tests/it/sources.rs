//! Sources: rows that come by themselves are there once, whatever happens to files, brokers and the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use tokio_postgres::Client;

use crate::rows::{Answer, ask};
use crate::server::Server;

/// What a source may take until its rows are there.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(30);

/// A server that may read files below a folder.
pub fn start(flags: &[&str]) -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let server = Server::start_with(&[&["--file-locations", path.to_str().unwrap()], flags].concat());
    (server, folder)
}

pub async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

pub async fn text(client: &Client, sql: &str) -> Option<String> {
    client.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

/// Waits until a query gives this number.
pub async fn arrives(client: &Client, sql: &str, expected: i64) {
    let start = Instant::now();
    loop {
        // A table that is made with its first row is not there before.
        let found = match client.query_one(sql, &[]).await {
            Ok(row) => row.get::<_, Option<i64>>(0).unwrap_or(-1),
            Err(_) => -1,
        };
        if found == expected {
            return;
        }
        if start.elapsed() > ARRIVAL_LIMIT {
            let sources = client.query("SELECT state, last_error FROM system.sources", &[]).await.unwrap();
            let sources: Vec<(String, Option<String>)> = sources.iter().map(|row| (row.get(0), row.get(1))).collect();
            panic!("{sql}: {found} instead of {expected}; {sources:?}");
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// A file that is there from one moment to the next.
pub fn put(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let (path, unfinished) = (folder.join(name), folder.join(format!(".{}", name.replace('/', "-"))));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&unfinished, text).unwrap();
    fs::rename(unfinished, &path).unwrap();
    path
}

pub fn source(name: &str, folder: &Path, more: &str) -> String {
    let path = folder.display();
    format!(
        "CREATE SOURCE {name} {more}",
        more = more.replace(
            "{path}",
            &format!("connector = 'files', path = '{path}', poll_interval = '50 ms', settle_time = '0 ms'")
        )
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_files_of_every_kind_are_read_once_each() {
    let (mut server, folder) = start(&[]);
    let (client, folder) = (server.connect().await, folder.path());
    for kind in ["csv", "json", "parquet"] {
        fs::create_dir(folder.join(kind)).unwrap();
    }
    let columns = "(id bigint NOT NULL, name text, day date)";
    let csv = source(
        "csv",
        &folder.join("csv"),
        &format!("{columns} WITH ({{path}}, pattern = '**/*.csv') FORMAT PLAIN ENCODE CSV"),
    );
    client.batch_execute(&csv).await.unwrap();
    let json = source("lines", &folder.join("json"), &format!("{columns} WITH ({{path}})"));
    client.batch_execute(&json).await.unwrap();
    put(folder, "csv/a.csv", "id,name,day\n1,one,2026-01-01\n2,\"two\nlines\",\n");
    put(folder, "csv/below/b.csv", "name,id\nthree,3\n");
    put(folder, "csv/c.txt", "not,wanted\n");
    put(folder, "json/a.ndjson", "{\"id\": 1, \"day\": \"2026-01-01\"}\n{\"id\": 2}\n");
    put(folder, "json/b.json", "[{\"id\": 3,\n \"name\": \"a [b] c\"}, {\"id\": 4}]");
    put(folder, "json/empty.json", "");
    arrives(&client, "SELECT count(*) FROM csv", 3).await;
    arrives(&client, "SELECT count(*) FROM lines", 4).await;
    assert_eq!(
        number(&client, "SELECT sum(id)::bigint FROM csv WHERE name IN ('one', E'two\\nlines', 'three')").await,
        6
    );
    assert_eq!(number(&client, "SELECT count(*) FROM csv WHERE day = '2026-01-01'").await, 1);
    assert_eq!(number(&client, "SELECT count(*) FROM lines WHERE name = 'a [b] c' AND id = 3").await, 1);
    // A file that comes late with an old date is new all the same.
    let late = folder.join("csv/.late");
    fs::write(&late, "id,name\n4,four\n").unwrap();
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(&late).unwrap().set_modified(old).unwrap();
    fs::rename(&late, folder.join("csv/late.csv")).unwrap();
    arrives(&client, "SELECT count(*) FROM csv", 4).await;

    // What we wrote ourselves comes back.
    let copy = format!(
        "COPY (SELECT i AS id, 'n' || i AS name FROM generate_series(1::bigint, 20000) AS s(i)) TO '{}' WITH (FORMAT parquet)",
        folder.join("parquet/big.parquet").display()
    );
    client.batch_execute(&copy).await.unwrap();
    put(folder, "parquet/bad.parquet", "PAR1 it is not");
    let parquet = source(
        "columns",
        &folder.join("parquet"),
        &format!("{columns} WITH ({{path}}, batch_rows = 3000) ENCODE PARQUET"),
    );
    client.batch_execute(&parquet).await.unwrap();
    arrives(&client, "SELECT count(*) FROM columns", 20_000).await;
    assert_eq!(number(&client, "SELECT count(DISTINCT id) FROM columns WHERE name = 'n' || id").await, 20_000);
    arrives(&client, "SELECT count(*) FROM columns$dead_letter WHERE source LIKE '%bad.parquet'", 1).await;

    server.kill_and_restart();
    let client = server.connect().await;
    put(folder, "csv/d.csv", "id\n5\n");
    put(folder, "json/c.json", "{\"id\": 5}");
    arrives(&client, "SELECT count(*) FROM csv", 5).await;
    arrives(&client, "SELECT count(*) FROM lines", 5).await;
    assert_eq!(number(&client, "SELECT count(*) FROM columns").await, 20_000);
    assert_eq!(number(&client, "SELECT count(*) FROM \"csv$files\" WHERE finished").await, 4);
    assert_eq!(number(&client, "SELECT records FROM \"lines$files\" WHERE path LIKE '%empty.json'").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_records_go_aside_and_a_source_that_gets_many_pauses() {
    let (server, folder) = start(&[]);
    let (client, folder) = (server.connect().await, folder.path());
    client.batch_execute("CREATE TABLE t (id bigint NOT NULL, v int CHECK (v < 100))").await.unwrap();
    let create =
        source("s", folder, "INTO t WITH ({path}, poison_window = 10, poison_limit = 0.5, record_bytes_max = '1 kB')");
    client.batch_execute(&create).await.unwrap();
    let large = "x".repeat(5000);
    let bad = format!(
        "{{\"id\": 1, \"v\": 1}}\n{{\"id\":\n{{\"id\": \"x\"}}\n{{\"v\": 1}}\n{{\"id\": 2, \"v\": 100}}\n{{\"id\": 3, \"v\": \"{large}\"}}\n{{\"id\": 4}}\n"
    );
    put(folder, "a.json", bad);
    arrives(&client, "SELECT count(*) FROM t", 2).await;
    let places =
        "SELECT string_agg(position::text, ',' ORDER BY position) FROM t$dead_letter WHERE source LIKE '%a.json'";
    assert_eq!(text(&client, places).await.as_deref(), Some("2,3,4,5,6"));
    assert_eq!(
        number(
            &client,
            "SELECT count(*) FROM t$dead_letter WHERE reason LIKE '23514%' AND raw = '{\"id\": 2, \"v\": 100}'::bytea"
        )
        .await,
        1
    );
    assert_eq!(
        number(&client, "SELECT count(*) FROM t$dead_letter WHERE reason LIKE '54000%' AND length(raw) = 1024").await,
        1
    );
    assert_eq!(text(&client, "SELECT state FROM system.sources").await.as_deref(), Some("running"));

    // 5 of 7 were bad; with these, 9 of 12.
    put(folder, "b.json", "{\"id\": 5}\nx\ny\nz\nw\n");
    arrives(&client, "SELECT count(*) FROM system.sources WHERE state = 'paused'", 1).await;
    let reason = text(&client, "SELECT pause_reason FROM system.sources").await.unwrap();
    assert!(reason.contains("9 of the last 12 records were refused"), "{reason}");
    put(folder, "c.json", "{\"id\": 6}\n");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(number(&client, "SELECT count(*) FROM t").await, 3);
    client.batch_execute("ALTER SOURCE s RESUME").await.unwrap();
    arrives(&client, "SELECT count(*) FROM t", 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_values_and_large_batches_are_refused_as_over_http() {
    let (server, folder) = start(&["--ingest-json-depth-max", "3", "--ingest-decoded-bytes-max", "64KiB"]);
    let (client, folder) = (server.connect().await, folder.path());
    client.batch_execute(&source("deep", folder, "(v json) WITH ({path}, pattern = '*.json')")).await.unwrap();
    put(folder, "a.json", "{\"v\": [[[1]]]}\n{\"v\": [[[[1]]]]}\n");
    arrives(&client, "SELECT count(*) FROM deep$dead_letter WHERE position = 2 AND reason LIKE '54000%'", 1).await;
    assert_eq!(number(&client, "SELECT count(*) FROM deep").await, 1);
    let copy = format!(
        "COPY (SELECT i AS id FROM generate_series(1::bigint, 20000) AS s(i)) TO '{}' WITH (FORMAT parquet)",
        folder.join("b.parquet").display()
    );
    client.batch_execute(&copy).await.unwrap();
    let large = "(id bigint) WITH ({path}, pattern = '*.parquet') ENCODE PARQUET";
    client.batch_execute(&source("large", folder, large)).await.unwrap();
    arrives(&client, "SELECT count(*) FROM large$dead_letter WHERE reason LIKE '54000%65536 bytes'", 1).await;
    assert_eq!(number(&client, "SELECT count(*) FROM large").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_are_made_paused_reset_and_dropped() {
    let (mut server, folder) = start(&[]);
    let (client, folder) = (server.connect().await, folder.path());
    let failed = async |client: &Client, sql: &str| match ask(client, sql).await {
        Answer::Failed(code, message) => format!("{code} {message}"),
        other => panic!("{sql}: {other:?}"),
    };
    let create = source("s", folder, "(id bigint) WITH ({path})");
    client.batch_execute(&create).await.unwrap();
    assert!(failed(&client, &create).await.contains("42710"));
    client.batch_execute(&create.replace("SOURCE", "SOURCE IF NOT EXISTS")).await.unwrap();
    assert_eq!(
        number(
            &client,
            "SELECT count(*) FROM system.sources WHERE name = 's' AND table_name = 'public.s' AND connector = 'files'"
        )
        .await,
        1
    );
    let unknown = failed(&client, &create.replace(" s ", " r ").replace("path", "pahht")).await;
    assert!(unknown.contains("pahht"), "{unknown}");
    // A source whose table does not fit leaves nothing behind.
    let other = failed(&client, &source("r", folder, "(id text) INTO s WITH ({path})")).await;
    assert!(other.contains("42804"), "{other}");
    assert_eq!(number(&client, "SELECT count(*) FROM system.tables WHERE name LIKE 'r%'").await, 0);

    put(folder, "a.json", "{\"id\": 1}");
    arrives(&client, "SELECT count(*) FROM s", 1).await;
    client.batch_execute("ALTER SOURCE s PAUSE").await.unwrap();
    put(folder, "b.json", "{\"id\": 2}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill_and_restart();
    let client = server.connect().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(number(&client, "SELECT count(*) FROM s").await, 1);
    assert_eq!(text(&client, "SELECT state FROM system.sources").await.as_deref(), Some("paused"));
    client.batch_execute("ALTER SOURCE s RESUME").await.unwrap();
    arrives(&client, "SELECT count(*) FROM s", 2).await;

    // Everything again, then nothing of it.
    client.batch_execute("ALTER SOURCE s RESET TO TIMESTAMP '2020-01-01'").await.unwrap();
    arrives(&client, "SELECT count(*) FROM s", 4).await;
    client.batch_execute("ALTER SOURCE s RESET TO TIMESTAMP '2200-01-01'").await.unwrap();
    assert!(failed(&client, "ALTER SOURCE s RESET TO OFFSET 5").await.contains("0A000"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(number(&client, "SELECT count(*) FROM s").await, 4);

    let needed = failed(&client, "DROP TABLE s").await;
    assert!(needed.contains("2BP01"), "{needed}");
    assert!(failed(&client, "DROP TABLE \"s$files\"").await.contains("2BP01"));
    client.batch_execute("DROP SOURCE s").await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM s").await, 4);
    assert_eq!(number(&client, "SELECT count(*) FROM system.tables WHERE name LIKE 's$%'").await, 0);
    // The next one of that name starts anew.
    client.batch_execute(&source("s", folder, "INTO s WITH ({path})")).await.unwrap();
    arrives(&client, "SELECT count(*) FROM s", 6).await;
    client.batch_execute("DROP TABLE s CASCADE").await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM system.sources").await, 0);
    assert_eq!(number(&client, "SELECT count(*) FROM system.tables").await, 0);
    client
        .batch_execute(&format!("CREATE SCHEMA x; {}", source("x.s", folder, "(id bigint) WITH ({path})")))
        .await
        .unwrap();
    arrives(&client, "SELECT count(*) FROM x.s", 2).await;
    assert!(failed(&client, "DROP SCHEMA x").await.contains("2BP01"));
    client.batch_execute("DROP SCHEMA x CASCADE").await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM system.sources").await, 0);
    assert_eq!(server.terminate(), Some(0));
}

/// Kills while files are read in many steps and new ones come, with flushes beside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_and_double_no_record() {
    const ROUNDS: i64 = 12;
    const LINES: i64 = 3000;
    let (mut server, folder) = start(&["--flush-interval-ms", "60"]);
    let (client, folder) = (server.connect().await, folder.path());
    let create = source("s", folder, "(id bigint NOT NULL, part text) WITH ({path}, batch_rows = 100) ENCODE CSV");
    client.batch_execute(&create).await.unwrap();
    let mut kills_midway = 0;
    for round in 0..ROUNDS {
        for part in 0..2 {
            let first = (round * 2 + part) * LINES;
            let lines: String = (first..first + LINES).map(|id| format!("{id},part {part}\n")).collect();
            put(folder, &format!("{}-{round}.csv", ["z", "a"][part as usize]), format!("id,part\n{lines}"));
        }
        tokio::time::sleep(Duration::from_millis(40 + (round as u64 * 37) % 160)).await;
        server.kill_and_restart();
        let client = server.connect().await;
        let twice = number(&client, "SELECT count(*) - count(DISTINCT id) FROM s").await;
        assert_eq!(twice, 0, "round {round}");
        let begun = "SELECT count(*) FROM (SELECT path, bool_or(finished) AS done FROM \"s$files\" GROUP BY path) WHERE NOT done";
        kills_midway += number(&client, begun).await;
    }
    let client = server.connect().await;
    let all = ROUNDS * 2 * LINES;
    arrives(&client, "SELECT count(*) FROM s", all).await;
    assert_eq!(
        number(&client, "SELECT count(DISTINCT id) * 1000000 + max(id) FROM s").await,
        all * 1_000_000 + all - 1
    );
    let read = "SELECT sum(records)::bigint FROM \"s$files\" WHERE finished";
    arrives(&client, read, all).await;
    assert!(kills_midway > 0, "no kill came in the midst of a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packed_files_are_unpacked_and_changed_ones_are_told() {
    let (server, folder) = start(&[]);
    let (client, folder) = (server.connect().await, folder.path());
    client.batch_execute(&source("s", folder, "(id bigint) WITH ({path})")).await.unwrap();
    let lines = |range: std::ops::Range<i64>| range.map(|id| format!("{{\"id\": {id}}}\n")).collect::<String>();
    let gzip = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    put(folder, "a.json.gz", gzip(&lines(0..50_000)));
    put(folder, "b.json.zst", zstd::encode_all(lines(50_000..60_000).as_bytes(), 1).unwrap());
    arrives(&client, "SELECT count(*) FROM s", 60_000).await;
    assert_eq!(number(&client, "SELECT count(DISTINCT id) FROM s").await, 60_000);
    // Half a file is what it is, and a dead letter.
    let whole = gzip(&lines(0..1000));
    put(folder, "c.json.gz", &whole[..whole.len() / 2]);
    arrives(&client, "SELECT count(*) FROM s$dead_letter WHERE source LIKE '%c.json.gz' AND reason LIKE 'XX001%'", 1)
        .await;
    let told = "SELECT count(*) FROM system.sources WHERE last_error LIKE '%changed after it had been read%'";
    assert_eq!(number(&client, told).await, 0);
    let before = number(&client, "SELECT count(*) FROM s").await;
    put(folder, "b.json.zst", zstd::encode_all(lines(0..7).as_bytes(), 1).unwrap());
    arrives(&client, told, 1).await;
    assert_eq!(number(&client, "SELECT count(*) FROM s").await, before);
    assert_eq!(text(&client, "SELECT state FROM system.sources").await.as_deref(), Some("running"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_waits_while_memory_is_full() {
    let (server, folder) = start(&["--tail-bytes-max", "4MiB"]);
    let (client, folder) = (server.connect().await, folder.path());
    let filler = "x".repeat(200);
    let lines: String = (0..200_000).map(|id| format!("{id},{filler}\n")).collect();
    put(folder, "large.csv", format!("id,filler\n{lines}"));
    let create = source("s", folder, "(id bigint, filler text) WITH ({path}, batch_bytes = '256 kB') ENCODE CSV");
    client.batch_execute(&create).await.unwrap();
    let start = Instant::now();
    let mut was_full = false;
    while number(&client, "SELECT count(*) FROM s").await < 200_000 {
        let tails = number(&client, "SELECT coalesce(sum(tail_bytes), 0)::bigint FROM system.tables").await;
        assert!(tails < 4 << 20, "{tails} bytes wait");
        was_full |= text(&client, "SELECT state FROM system.sources").await.as_deref() == Some("full");
        assert!(start.elapsed() < 2 * ARRIVAL_LIMIT, "{tails}");
    }
    assert!(was_full, "40 MB never filled 4 MiB");
    assert_eq!(number(&client, "SELECT errors FROM system.sources").await, 0);
    assert_eq!(number(&client, "SELECT count(DISTINCT id) FROM s").await, 200_000);
}
