//! Rows over HTTP: every format, wrong input, retries, dead letters, new fields, limits, logins.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use flate2::Compression;
use flate2::write::GzEncoder;
use headwater::arrow;
use serde_json::json;

use crate::http::{Answer, post, try_post};
use crate::rows::told;
use crate::server::Server;
use crate::tidy::root;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
const CSV: (&str, &str) = ("Content-Type", "text/csv");
/// Nothing is flushed but for its size.
const NEVER: [&str; 2] = ["--flush-interval-ms", "1h"];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn some_rows() -> RecordBatch {
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let name: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
    RecordBatch::try_from_iter_with_nullable([("id", id, true), ("name", name, true)]).unwrap()
}

/// The same three rows in every format that the server takes.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let rows = some_rows();
    let mut stream = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    stream.write(&rows).unwrap();
    let mut file = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    file.write(&rows).unwrap();
    let mut parquet = parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    parquet.write(&rows).unwrap();
    vec![
        ("application/json", br#"[{"id":1,"name":"a"},{"id":2},{"id":3,"name":"c"}]"#.to_vec()),
        (
            "application/x-ndjson",
            b"{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":null}\n{\"name\":\"c\",\"id\":3}\n".to_vec(),
        ),
        ("text/csv; charset=utf-8", b"name,id\na,1\n,2\nc,3\n".to_vec()),
        ("text/csv; header=absent", b"1,a\n2,\n3,c\n".to_vec()),
        ("application/vnd.apache.arrow.stream", stream.into_inner().unwrap()),
        ("application/vnd.apache.arrow.file", file.into_inner().unwrap()),
        ("application/vnd.apache.parquet", parquet.into_inner().unwrap()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_format_and_encoding_brings_the_same_rows() {
    let mut server = Server::start_with(&NEVER);
    let client = server.connect().await;
    client.batch_execute("CREATE SCHEMA s; CREATE TABLE s.t (id bigint NOT NULL, name text)").await.unwrap();
    let mut lsn = 0;
    for (content_type, body) in bodies() {
        let encoded =
            [("identity", body.clone()), ("gzip", gzip(&body)), ("zstd", zstd::encode_all(&body[..], 1).unwrap())];
        for (encoding, body) in encoded {
            let headers = [("Content-Type", content_type), ("Content-Encoding", encoding)];
            let answer = post(server.http(), "/v1/ingest/s.t", &headers, &body);
            assert_eq!(answer.status, 202, "{content_type} {encoding}: {}", answer.body);
            let (number, rest) = (answer.number("lsn"), answer.json());
            assert_eq!(rest, json!({"rows": 3, "dead_letter": 0, "lsn": number, "duplicate": false}));
            assert!(number > lsn, "changes are numbered");
            lsn = number;
            let rows = told(&client, "SELECT string_agg(id || coalesce(name, '-'), ',' ORDER BY id) FROM s.t").await;
            assert_eq!(rows, "1a,2-,3c", "{content_type} {encoding}");
            client.batch_execute("TRUNCATE s.t").await.unwrap();
            let cut = post(server.http(), "/v1/ingest/s.t", &headers, &body[..body.len() - 5]);
            assert!(encoding == "identity" || cut.failure() == (400, "08P01".to_owned()), "{encoding} {}", cut.body);
            client.batch_execute("TRUNCATE s.t; DROP TABLE IF EXISTS s.\"t$dead_letter\"").await.unwrap();
        }
    }
    // What was acknowledged is there after a crash, and after a flush.
    post(server.http(), "/v1/ingest/s.t", &[NDJSON], b"{\"id\":7,\"name\":\"x\"}");
    server.kill_and_restart();
    let client = server.connect().await;
    assert_eq!(told(&client, "SELECT id FROM s.t").await, "7");
    client.batch_execute("FLUSH TABLE s.t").await.unwrap();
    assert_eq!(told(&client, "SELECT id FROM s.t").await, "7");
    assert_eq!(told(&client, "SELECT count(*) FROM system.queries WHERE wire = 'http'").await, "0");
    post(server.http(), "/v1/ingest/s.t", &[JSON], b"{\"id\":8}");
    let noted = told(&client, "SELECT sql, state, rows FROM system.queries WHERE wire = 'http'").await;
    assert_eq!(noted, "INGEST INTO t | done | 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_get_an_answer_that_helps() {
    let limits =
        ["--ingest-body-bytes-max", "1MiB", "--ingest-decoded-bytes-max", "4MiB", "--ingest-json-depth-max", "20"];
    let server = Server::start_with(&limits);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (id bigint, v text); CREATE VIEW w AS SELECT * FROM t").await.unwrap();
    let post = |path: &str, headers: &[(&str, &str)], body: &[u8]| post(server.http(), path, headers, body);
    let good = b"{\"id\":1}";
    for (path, headers, body, expected) in [
        ("/v1/ingest/nothing", vec![JSON], &good[..], (404, "42P01")),
        ("/v1/ingest/x.t", vec![JSON], good, (404, "42P01")),
        ("/v1/ingest/w", vec![JSON], good, (400, "42809")),
        ("/v1/ingest/1%2B1", vec![JSON], good, (400, "42602")),
        ("/v1/ingest/t", vec![], good, (415, "0A000")),
        ("/v1/ingest/t", vec![("Content-Type", "text/plain")], good, (415, "0A000")),
        ("/v1/ingest/t", vec![("Content-Type", "text/csv; charset=latin1")], good, (415, "0A000")),
        ("/v1/ingest/t", vec![JSON, ("Content-Encoding", "br")], good, (415, "0A000")),
        ("/v1/ingest/t", vec![JSON, ("Content-Encoding", "gzip")], good, (400, "08P01")),
        ("/v1/ingest/t", vec![JSON, ("Content-Encoding", "zstd")], good, (400, "08P01")),
        ("/v1/ingest/t?upsert=1", vec![JSON], good, (400, "08P01")),
        ("/v1/ingest/t", vec![JSON, ("Idempotency-Key", "")], good, (400, "22023")),
        ("/v1/ingest/t", vec![JSON], b"[{\"id\":1}", (400, "22P02")),
        ("/v1/ingest/t", vec![JSON], b"\xff\xfe", (400, "22P02")),
        ("/v1/ingest/t", vec![CSV], b"id,id\n1,2\n", (400, "42701")),
        ("/v1/ingest/t", vec![("Content-Type", "application/vnd.apache.parquet")], b"PAR1 no PAR1", (400, "22P03")),
        ("/v1/ingest/t", vec![("Content-Type", "application/vnd.apache.arrow.file")], b"PAR1", (400, "22P03")),
        ("/v1/ingest/t", vec![("Content-Type", "application/vnd.apache.arrow.stream")], b"hello there", (400, "22P03")),
        ("/v1/events", vec![JSON], b"[]", (400, "22P02")),
        ("/v1/events", vec![JSON], b"{\"events\":{}}", (400, "08P01")),
        ("/v1/events", vec![JSON], b"{\"events\":[],\"batch\":\"a\"}", (400, "22P02")),
        ("/v1/events", vec![JSON], b"{\"events\":[]}", (404, "42P01")),
        ("/v1/events", vec![NDJSON], b"{\"events\":[]}", (415, "0A000")),
    ] {
        let answer = post(path, &headers, body);
        let (status, sqlstate) = answer.failure();
        assert_eq!((status, sqlstate.as_str()), expected, "{path} {headers:?}: {}", answer.body);
    }
    let large = vec![b'['; 2 << 20];
    assert_eq!(post("/v1/ingest/t", &[JSON], &large).failure(), (413, "54000".to_owned()));
    let zeros = vec![b' '; 100 << 20];
    for (encoding, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd::encode_all(&zeros[..], 1).unwrap())] {
        let answer = post("/v1/ingest/t", &[JSON, ("Content-Encoding", encoding)], &bomb);
        assert_eq!(answer.failure(), (413, "54000".to_owned()), "{encoding} {} bytes", bomb.len());
        assert!(answer.json()["message"].as_str().unwrap().contains("ingest_decoded_bytes_max"), "{}", answer.body);
    }
    // Nesting costs no stack: within the limit of bytes it is one dead letter.
    let deep = [b"{\"v\":".to_vec(), vec![b'['; 400_000], vec![b']'; 400_000], b"}".to_vec()].concat();
    let answer = post("/v1/ingest/t", &[NDJSON], &deep);
    assert_eq!((answer.status, answer.number("rows"), answer.number("dead_letter")), (202, 0, 1), "{}", answer.body);
    let record = format!("{{\"id\":2,\"v\":\"{}\"}}", "x".repeat(1 << 19));
    assert_eq!(post("/v1/ingest/t", &[JSON], record.as_bytes()).number("rows"), 1);
    let letters = "SELECT count(*), sum(length(raw)), min(reason) FROM \"t$dead_letter\"";
    let nested = "54000: column \"v\": the value is nested 400000 levels deep, 20 are allowed";
    assert_eq!(told(&client, letters).await, format!("1 | {} | {nested}", deep.len()));
    assert_eq!(told(&client, "SELECT count(*), max(length(v)) FROM t").await, "1 | 524288");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_do_not_fit_are_dead_letters_of_the_same_change() {
    let mut server = Server::start_with(&NEVER);
    let client = server.connect().await;
    let columns = "id bigint NOT NULL, v int CHECK (v >= 0), day date GENERATED ALWAYS AS (CAST(at AS date)) STORED, \
                   at timestamp DEFAULT timestamp '2026-01-02 03:04:05'";
    client.batch_execute(&format!("CREATE TABLE t ({columns}) PARTITIONED BY (day)")).await.unwrap();
    let lines = [
        r#"{"id": 1, "v": 5, "extra": true}"#,
        r#"{"v": 1}"#,
        r#"{"id": 2, "v": -1}"#,
        r#"{"id": 3, "v": 1.5}"#,
        r#"{"id": 4, "at": "2026-05-06T00:00:00Z"}"#,
        r#"{"id": "#,
    ];
    let answer = post(server.http(), "/v1/ingest/t", &[NDJSON], lines.join("\n").as_bytes());
    assert_eq!((answer.number("rows"), answer.number("dead_letter")), (2, 4), "{}", answer.body);
    assert_eq!(answer.json()["ignored_fields"], json!({"extra": 1}));
    for restart in [false, true] {
        if restart {
            server.kill_and_restart();
        }
        let client = server.connect().await;
        let rows = "SELECT string_agg(id || ' ' || day || ' ' || coalesce(v, 0), ', ' ORDER BY id) FROM t";
        assert_eq!(told(&client, rows).await, "1 2026-01-02 5, 4 2026-05-06 0");
        let letters = "SELECT string_agg(position || ' ' || left(reason, 5) || ' ' || source, ', ' ORDER BY position), \
                       count(DISTINCT at) FROM \"t$dead_letter\" WHERE at > now() - INTERVAL '1 hour'";
        assert_eq!(told(&client, letters).await, "2 23502 http, 3 23514 http, 4 22P02 http, 6 22P02 http | 1");
        let raw = "SELECT encode(raw, 'escape') FROM \"t$dead_letter\" WHERE position = 3";
        assert_eq!(told(&client, raw).await, lines[2]);
    }
    let client = server.connect().await;
    let counted = "SELECT count(*) FROM t$dead_letter";
    assert_eq!(told(&client, counted).await, "4", "its name needs no quotes");
    client.batch_execute("FLUSH TABLE t; DROP TABLE t$dead_letter; CREATE TABLE t$dead_letter (x int)").await.unwrap();
    let refused = post(server.http(), "/v1/ingest/t", &[NDJSON], b"{\"id\":9}\n{}");
    assert_eq!(refused.failure(), (400, "42P16".to_owned()));
    assert_eq!(told(&client, "SELECT count(*) FROM t").await, "2", "nothing of a batch is there that fails");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_used_once_whatever_happens() {
    let mut server = Server::start_with(&NEVER);
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (id bigint); CREATE TABLE u (id bigint); CREATE TABLE events (id bigint)")
        .await
        .unwrap();
    let body = b"{\"id\":1}\n{\"id\":\"x\"}\n{\"id\":2}";
    let send = |server: &Server, table: &str, key: &str| {
        post(server.http(), &format!("/v1/ingest/{table}"), &[NDJSON, ("Idempotency-Key", key)], body)
    };
    let first = send(&server, "t", "a");
    let numbers = |answer: &Answer| ["rows", "dead_letter", "lsn"].map(|name| answer.number(name));
    assert_eq!(numbers(&first)[..2], [2, 1]);
    for step in ["again", "kill", "flush", "kill"] {
        match step {
            "kill" => server.kill_and_restart(),
            "flush" => server.connect().await.batch_execute("FLUSH TABLE t; FLUSH TABLE t$dead_letter").await.unwrap(),
            _ => {}
        }
        let retry = send(&server, "t", "a");
        assert_eq!((retry.status, numbers(&retry)), (202, numbers(&first)), "{step}");
        assert_eq!(retry.json()["duplicate"], true);
    }
    assert_eq!(send(&server, "u", "a").json()["duplicate"], false, "keys are a table's own");
    assert_eq!(send(&server, "t", "b").json()["duplicate"], false);
    let client = server.connect().await;
    assert_eq!(told(&client, "SELECT count(*) FROM t").await, "4");
    let events = br#"{"batch_id": "e1", "events": [{"id": 1}, {"id": 2}]}"#;
    assert_eq!(post(server.http(), "/v1/events", &[JSON], events).json()["duplicate"], false);
    assert_eq!(post(server.http(), "/v1/events", &[JSON], events).json()["duplicate"], true);
    let differ = post(server.http(), "/v1/events", &[JSON, ("Idempotency-Key", "e2")], events);
    assert_eq!(differ.failure(), (400, "08P01".to_owned()));
    let elsewhere = br#"{"batch_id": "e1", "table": "u", "events": [{"id": 9}]}"#;
    assert_eq!(post(server.http(), "/v1/events", &[JSON], elsewhere).json()["duplicate"], false);
    assert_eq!(told(&client, "SELECT count(*) FROM events").await, "2");
}

/// Writers that send each batch under its key until it is acknowledged, over servers that are killed: each batch is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_over_kill_9_lose_and_double_nothing() {
    const WRITERS: i64 = 3;
    const ROUNDS: i64 = 12;
    let mut server = Server::start_with(&["--flush-interval-ms", "100"]);
    server.connect().await.batch_execute("CREATE TABLE t (writer bigint, batch bigint, n bigint)").await.unwrap();
    let mut sent = 0;
    for round in 0..ROUNDS {
        let address = server.http();
        // The last batch of the round before may be unacknowledged: it is sent again, under its key.
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| std::thread::spawn(move || write_until_broken(address, writer, round))).collect();
        tokio::time::sleep(Duration::from_millis(30 + 37 * round as u64 % 200)).await;
        server.kill_and_restart();
        for writer in writers {
            let (writer, under_way) = writer.join().unwrap();
            let retried = send_batch(server.http(), writer, round, under_way).unwrap();
            assert_eq!(retried.status, 202, "{}", retried.body);
            sent += under_way + 1;
        }
    }
    let client = server.connect().await;
    let counts = "SELECT count(*), count(DISTINCT (writer || ' ' || batch || ' ' || n)), count(*) % 3 FROM t";
    assert_eq!(told(&client, counts).await, format!("{} | {} | 0", sent * 3, sent * 3));
    assert!(sent > WRITERS * ROUNDS, "the writers hardly wrote");
}

fn send_batch(address: SocketAddr, writer: i64, round: i64, batch: i64) -> std::io::Result<Answer> {
    let number = round * 1_000_000 + batch;
    let lines: Vec<String> = (0..3).map(|n| format!("{{\"writer\":{writer},\"batch\":{number},\"n\":{n}}}")).collect();
    let key = format!("{writer}-{number}");
    try_post(address, "/v1/ingest/t", &[NDJSON, ("Idempotency-Key", &key)], lines.join("\n").as_bytes())
}

/// The writer, and the number of the batch that was not acknowledged.
fn write_until_broken(address: SocketAddr, writer: i64, round: i64) -> (i64, i64) {
    let broken =
        (0..).find(|batch| send_batch(address, writer, round, *batch).map_or(true, |answer| answer.status != 202));
    (writer, broken.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_fields_become_columns_where_the_table_wants_them() {
    let mut server = Server::start_with(&NEVER);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (id bigint) WITH (schema_evolution = 'add')").await.unwrap();
    let post_line = |server: &Server, line: &str| post(server.http(), "/v1/ingest/t", &[NDJSON], line.as_bytes());
    assert_eq!(post_line(&server, r#"{"id":1}"#).number("rows"), 1);
    let answer = post_line(&server, r#"{"id":2,"Name":"x","at":"2026-01-01T00:00:00Z","o":{"a":1},"nothing":null}"#);
    assert_eq!(answer.json()["added_columns"], json!(["name", "at", "o"]), "{}", answer.body);
    assert_eq!(answer.json()["ignored_fields"], json!({"nothing": 1}));
    // Two that add the same columns at the same time.
    let address = server.http();
    let both: Vec<_> = (3..7)
        .map(|id| {
            std::thread::spawn(move || {
                post(address, "/v1/ingest/t", &[NDJSON], format!("{{\"id\":{id},\"v\":1.5}}").as_bytes())
            })
        })
        .collect();
    for thread in both {
        let answer = thread.join().unwrap();
        assert_eq!((answer.status, answer.number("rows")), (202, 1), "{}", answer.body);
    }
    for restart in [false, true] {
        if restart {
            server.kill_and_restart();
        }
        let client = server.connect().await;
        let columns = "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) \
                       FROM information_schema.columns WHERE table_name = 't'";
        let expected = "id bigint, name text, at timestamp with time zone, o json, v double precision";
        assert_eq!(told(&client, columns).await, expected);
        assert_eq!(told(&client, "SELECT count(*), count(name), count(v), max(o->>'a') FROM t").await, "6 | 1 | 4 | 1");
    }
    let client = server.connect().await;
    client.batch_execute("ALTER TABLE t SET (schema_evolution = 'none')").await.unwrap();
    let answer = post_line(&server, r#"{"id":7,"late":1}"#);
    assert_eq!(answer.json()["ignored_fields"], json!({"late": 1}));
    let wrong = client.batch_execute("ALTER TABLE t SET (schema_evolution = 'yes')").await.unwrap_err();
    assert_eq!(wrong.code().unwrap().code(), "22023");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_too_fast_is_told_to_wait() {
    let flags = ["--flush-interval-ms", "1h", "--flush-bytes", "1GiB", "--tail-bytes-max", "1MiB"];
    let server = Server::start_with(&flags);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (id bigint, v text)").await.unwrap();
    let lines: String = (0..20_000).map(|id| format!("{{\"id\":{id},\"v\":\"{}\"}}\n", "x".repeat(80))).collect();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..20 {
        let answer = post(server.http(), "/v1/ingest/t", &[NDJSON], lines.as_bytes());
        match answer.status {
            202 => accepted += 1,
            _ => {
                assert_eq!(answer.failure(), (429, "53400".to_owned()), "{}", answer.body);
                assert_eq!(answer.header("Retry-After"), Some("1"));
                refused += 1;
            }
        }
    }
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
    assert_eq!(told(&client, "SELECT count(*) FROM t").await, (accepted * 20_000).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_passwords_are_those_of_the_other_wire() {
    let folder = tempfile::tempdir().unwrap();
    let basic = |credentials: &str| {
        use base64::Engine;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
    };
    let status = |server: &Server, authorization: Option<&str>| {
        let mut headers = vec![JSON];
        headers.extend(authorization.map(|value| ("Authorization", value)));
        let answer = post(server.http(), "/v1/ingest/t", &headers, b"{\"who\":null}");
        if answer.status == 401 {
            assert!(answer.header("WWW-Authenticate").unwrap().starts_with("Basic"), "{}", answer.body);
            assert!(answer.json()["sqlstate"].as_str().unwrap().starts_with("28"), "{}", answer.body);
        }
        answer.status
    };
    let trusting = Server::open(folder.path(), &[]);
    let client = trusting.connect().await;
    client
        .batch_execute("CREATE TABLE t (who text, by text DEFAULT current_user); CREATE ROLE ann LOGIN PASSWORD 'pä:ss'; CREATE ROLE idle")
        .await
        .unwrap();
    assert_eq!(status(&trusting, None), 202);
    assert_eq!(status(&trusting, Some(&basic("ann:pä:ss"))), 202);
    assert_eq!(told(&client, "SELECT string_agg(by, ',' ORDER BY by) FROM t").await, "ann,headwater");
    for wrong in ["ann:", "ann:pä:s", "idle:", "nobody:x", "ann"] {
        assert_eq!(status(&trusting, Some(&basic(wrong))), 401, "{wrong}");
    }
    for wrong in ["Bearer abc", "Basic ===", "Basic"] {
        assert_eq!(status(&trusting, Some(wrong)), 401, "{wrong}");
    }
    client.batch_execute("ALTER ROLE ann PASSWORD 'new'").await.unwrap();
    assert_eq!(status(&trusting, Some(&basic("ann:pä:ss"))), 401);
    assert_eq!(status(&trusting, Some(&basic("ann:new"))), 202);
    client.batch_execute("ALTER ROLE ann NOLOGIN").await.unwrap();
    assert_eq!(status(&trusting, Some(&basic("ann:new"))), 401);
    client.batch_execute("ALTER ROLE ann LOGIN PASSWORD 'pä:ss'").await.unwrap();
    drop(trusting);
    let strict = Server::open(folder.path(), &["--trust", "none"]);
    assert_eq!(status(&strict, None), 401);
    assert_eq!(status(&strict, Some(&basic("headwater:"))), 401);
    assert_eq!(status(&strict, Some(&basic("ann:pä:ss"))), 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_asked_for_only_when_it_is_wanted() {
    let server = Server::start_with(&["--ingest-body-bytes-max", "1MiB"]);
    server.connect().await.batch_execute("CREATE TABLE t (id bigint)").await.unwrap();
    let ask = |path: &str, length: usize| {
        let mut stream = TcpStream::connect(server.http()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).unwrap();
        (stream, String::from_utf8_lossy(&answer[..read]).into_owned())
    };
    assert!(ask("/v1/ingest/nothing", 8).1.starts_with("HTTP/1.1 404 "));
    assert!(ask("/v1/ingest/t", 2 << 20).1.starts_with("HTTP/1.1 413 "));
    let (mut stream, answer) = ask("/v1/ingest/t", 8);
    assert!(answer.starts_with("HTTP/1.1 100 Continue"), "{answer}");
    stream.write_all(b"{\"id\":1}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");

    // Bodies without a length are counted as they come.
    let mut stream = TcpStream::connect(server.http()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = "POST /v1/ingest/t HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let part = [format!("{:x}\r\n", 1 << 19).into_bytes(), vec![b' '; 1 << 19], b"\r\n".to_vec()].concat();
    (0..3).for_each(|_| drop(stream.write_all(&part)));
    let mut answer = [0; 32];
    let read = stream.read(&mut answer).unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_room_in_memory_is_refused_and_the_next_one_taken() {
    let server = Server::start_with(&["--memory-bytes-max", "16MiB"]);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (id bigint, v text)").await.unwrap();
    let body = format!("{{\"id\":1,\"v\":\"{}\"}}", "x".repeat(20 << 20));
    let answer = post(server.http(), "/v1/ingest/t", &[JSON], body.as_bytes());
    assert_eq!(
        (answer.failure(), answer.header("Retry-After")),
        ((503, "53200".to_owned()), Some("1")),
        "{}",
        answer.body
    );
    assert_eq!(post(server.http(), "/v1/ingest/t", &[JSON], b"{\"id\":2}").status, 202);
    assert_eq!(told(&client, "SELECT id FROM t").await, "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_disk_cannot_take_is_not_acknowledged() {
    let server = Server::start_on_small_disk(48, &[]);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (id bigint, v text)").await.unwrap();
    let filler = server.seen_folder().parent().unwrap().join("filler");
    let send = |id: i64| {
        // What does not compress.
        let noise: String = (0..1 << 20).map(|_| char::from(b'a' + rand::random::<u8>() % 26)).collect();
        post(server.http(), "/v1/ingest/t", &[JSON], format!("{{\"id\":{id},\"v\":\"{noise}\"}}").as_bytes())
    };
    assert_eq!(send(0).status, 202);
    // As large as the disk: what room there is, it takes.
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 1 << 16]).is_ok() {}
    let mut acknowledged = 1;
    let refused = (1..40).map(|id| (id, send(id))).find(|(_, answer)| {
        acknowledged += i32::from(answer.status == 202);
        answer.status != 202
    });
    let (_, answer) = refused.expect("the disk is full");
    assert_eq!(
        (answer.failure(), answer.header("Retry-After")),
        ((503, "53100".to_owned()), Some("1")),
        "{}",
        answer.body
    );
    assert_eq!(told(&client, "SELECT count(*) FROM t").await, acknowledged.to_string());
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    let mut tries = 0;
    while send(100 + tries).status != 202 {
        tries += 1;
        assert!(tries < 50, "the server does not recover when space returns");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(told(&client, "SELECT count(*) FROM t").await, (acknowledged + 1).to_string());
}

/// A record of 100 MB is refused by its size, or taken whole where the settings allow it, and is there after a crash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_a_hundred_megabytes_is_refused_or_taken_whole() {
    let body = format!("{{\"id\":1,\"v\":\"{}\"}}\n{{\"id\":2}}\n", "x".repeat(100_000_000));
    let mut server = Server::start_with(&["--flush-interval-ms", "1h", "--flush-bytes", "1GiB"]);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (id bigint, v text)").await.unwrap();
    let refused = post(server.http(), "/v1/ingest/t", &[NDJSON], body.as_bytes());
    assert_eq!(refused.failure(), (413, "54000".to_owned()), "{}", refused.body);
    let packed = gzip(body.as_bytes());
    let taken = post(server.http(), "/v1/ingest/t", &[NDJSON, ("Content-Encoding", "gzip")], &packed);
    assert_eq!((taken.status, taken.number("rows")), (202, 2), "{}", taken.body);
    server.kill_and_restart();
    let client = server.connect().await;
    assert_eq!(told(&client, "SELECT count(*), max(length(v)), min(left(v, 3)) FROM t").await, "2 | 100000000 | xxx");
}

/// Text that is not UTF-8 is a dead letter, of its own record where the format has lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_is_no_utf8_is_a_dead_letter() {
    let server = Server::start_with(&NEVER);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (id bigint, v text)").await.unwrap();
    for (kind, body) in [
        (NDJSON, &b"{\"id\":1,\"v\":\"a\"}\n{\"id\":2,\"v\":\"\xff\xfe\"}\n{\"id\":3,\"v\":\"\xc3\xa4\"}\n"[..]),
        (CSV, &b"id,v\n1,a\n2,\xff\xfe\n3,\xc3\xa4\n"[..]),
        (NDJSON, &b"{\"id\":1,\"v\":\"a\"}\n{\"id\":2,\"v\":\"\xed\xa0\x80\"}\n{\"id\":3,\"v\":\"\xc3\xa4\"}\n"[..]),
    ] {
        let answer = post(server.http(), "/v1/ingest/t", &[kind], body);
        assert_eq!(
            (answer.status, answer.number("rows"), answer.number("dead_letter")),
            (202, 2, 1),
            "{}",
            answer.body
        );
        assert_eq!(told(&client, "SELECT string_agg(v, ',' ORDER BY id) FROM t").await, "a,ä");
        assert_eq!(told(&client, "SELECT position FROM t$dead_letter").await, "2", "{kind:?}");
        client.batch_execute("TRUNCATE t; DROP TABLE t$dead_letter").await.unwrap();
    }
}

/// Every command of docs/ingest.md, as a reader would type it, against a server of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_documentation_work() {
    let server = Server::start_with(&NEVER);
    let text = std::fs::read_to_string(root().join("docs/ingest.md")).unwrap();
    let (http, port) = (server.http().to_string(), server.port().to_string());
    let mut runs = 0;
    for block in text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        let commands = block
            .replace("localhost:8080", &http)
            .replace("psql ", &format!("psql -X -h 127.0.0.1 -p {port} -U headwater -d headwater "));
        let (commands, expected): (Vec<&str>, Vec<&str>) =
            commands.lines().partition(|line| !line.starts_with("# -> "));
        let folder = tempfile::tempdir().unwrap();
        let output =
            Command::new("bash").current_dir(folder.path()).args(["-euc", &commands.join("\n")]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{block}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
        // The number of a change is another one on each server.
        let without_lsn = |text: &str| match text.split_once("\"lsn\":") {
            Some((before, rest)) => {
                format!("{before}\"lsn\":{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            None => text.to_owned(),
        };
        let said: Vec<String> = said.lines().map(without_lsn).collect();
        let expected: Vec<String> = expected.iter().map(|line| without_lsn(&line["# -> ".len()..])).collect();
        assert_eq!(said, expected, "{block}");
        runs += 1;
    }
    assert!(runs >= 5, "docs/ingest.md has lost its commands");
}
