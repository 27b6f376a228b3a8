//! The PostgreSQL wire: what drivers do, what no driver should do, and what a server must bear.

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt, TryStreamExt, pin_mut};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::raw::{Raw, bind, execute, field, letters, message, parse, query, startup, sync};
use crate::server::Server;

/// A value of the only row, as text.
async fn one(client: &Client, sql: &str) -> String {
    let messages = client.simple_query(sql).await.expect("the statement runs");
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.and_then(|row| row.get(0)).unwrap_or("NULL").to_owned()
}

#[test]
fn statements_and_portals_have_names() {
    let server = Server::start();
    let (mut raw, _) = Raw::log_in(server.port());
    assert_eq!(
        raw.talk(&[parse("a", "SELECT 1, 2"), bind("", "a", &[]), execute("", 0), sync()]),
        "1 2 D C:SELECT 1 ZI"
    );
    assert_eq!(raw.talk(&[parse("a", "SELECT 1"), execute("", 0), sync()]), "E:42P05 ZI");
    assert_eq!(raw.talk(&[bind("", "nope", &[]), sync()]), "E:26000 ZI");
    assert_eq!(raw.talk(&[execute("nope", 0), sync()]), "E:34000 ZI");
    assert_eq!(raw.talk(&[bind("", "a", &[0, 1, 1]), sync()]), "E:08P01 ZI");
    assert_eq!(raw.talk(&[bind("", "a", &[9]), sync()]), "E:22023 ZI");
    assert_eq!(raw.talk(&[message('C', b"Sa\0"), message('C', b"Sa\0"), sync()]), "3 3 ZI");
    assert_eq!(raw.talk(&[bind("", "a", &[]), sync()]), "E:26000 ZI");
    assert_eq!(raw.talk(&[parse("", "SELECT 1; SELECT 2"), sync()]), "E:42601 ZI");
    // Poolers clean up by SQL what drivers prepared by protocol.
    assert_eq!(raw.talk(&[parse("b", "SELECT 1"), parse("c", "SELECT 1"), sync()]), "1 1 ZI");
    assert_eq!(raw.talk(&[query("DEALLOCATE b")]), "C:DEALLOCATE ZI");
    assert_eq!(raw.talk(&[query("DISCARD ALL")]), "C:DISCARD ALL ZI");
    assert_eq!(raw.talk(&[parse("b", "SELECT 1"), parse("c", "SELECT 1"), sync()]), "1 1 ZI");
}

#[test]
fn a_portal_is_read_in_parts() {
    let server = Server::start();
    let (mut raw, _) = Raw::log_in(server.port());
    let setup = [parse("", "SELECT v FROM generate_series(1, 5) AS t(v)"), bind("p", "", &[1])];
    let fetch = || execute("p", 2);
    let found = raw.talk(&[setup.concat(), fetch(), fetch(), fetch(), fetch(), sync()]);
    assert_eq!(found, "1 2 D D s D D s D C:SELECT 1 C:SELECT 0 ZI");
    // Outside a transaction a portal ends with Sync.
    assert_eq!(raw.talk(&[fetch(), sync()]), "E:34000 ZI");
    assert_eq!(raw.talk(&[query("BEGIN")]), "C:BEGIN ZT");
    assert_eq!(raw.talk(&[setup.concat(), fetch(), sync()]), "1 2 D D s ZT");
    assert_eq!(raw.talk(&[bind("p", "", &[]), sync()]), "E:42P03 ZE");
    assert_eq!(raw.talk(&[query("SELECT 1")]), "E:25P02 ZE");
    assert_eq!(raw.talk(&[query("COMMIT")]), "C:ROLLBACK ZI");
}

#[test]
fn an_error_ends_the_message_or_the_batch() {
    let server = Server::start();
    let (mut raw, _) = Raw::log_in(server.port());
    assert_eq!(raw.talk(&[query("SELECT 1; SELECT nope; SELECT 2")]), "T D C:SELECT 1 E:42703 ZI");
    let batch = [parse("", "SELECT nope"), bind("", "", &[]), execute("", 0), message('H', b""), sync()];
    assert_eq!(raw.talk(&batch), "E:42703 ZI");
    assert_eq!(raw.talk(&[query("")]), "I ZI");
    assert_eq!(raw.talk(&[query("-- nothing")]), "I ZI");
    assert_eq!(
        raw.talk(&[parse("", ""), bind("", "", &[]), message('D', b"P\0"), execute("", 0), sync()]),
        "1 2 n I ZI"
    );
}

#[test]
fn malformed_messages_are_violations() {
    let server = Server::start();
    let (mut raw, _) = Raw::log_in(server.port());
    // What is wrong inside a whole message costs the statement only.
    for bad in [message('B', b"\0\0\0\0\0\0\xff\xff"), message('P', b"\0SELECT 1\0\0\x05"), message('D', b"X\0")] {
        assert_eq!(raw.talk(&[bad, sync()]), "E:08P01 ZI");
    }
    assert_eq!(raw.talk(&[message('Q', b"SELECT '\xff'\0")]), "E:22021 ZI");
    // What makes the next message impossible to find ends the connection.
    for bad in [&b"@\0\0\0\x04"[..], b"Q\x7f\xff\xff\xff", b"Q\0\0\0\x03"] {
        let (mut raw, _) = Raw::log_in(server.port());
        raw.send(bad);
        let reply = raw.reply().expect("the server says why");
        assert_eq!((field(&reply.1, 'S').as_str(), field(&reply.1, 'C').as_str()), ("FATAL", "08P01"));
        assert!(raw.reply().is_none(), "the connection is closed");
    }
    for junk in [&b"\0\0\0\x04"[..], &[0xff; 20], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut raw = Raw::open(server.port());
        raw.send(junk);
        assert!(raw.reply().is_none());
    }
    let (_, replies) = Raw::log_in(server.port());
    assert!(letters(&replies).ends_with("K ZI"), "the server lives on");
}

#[test]
fn versions_and_databases_are_negotiated() {
    let server = Server::start();
    let talk = |version: u32, body: &[u8]| {
        let mut raw = Raw::open(server.port());
        raw.send(&startup(version, body));
        raw.until('Z')
    };
    let login = b"user\0headwater\0database\0headwater\0\0";
    let key = |replies: &[(char, Vec<u8>)]| replies.iter().find(|reply| reply.0 == 'K').map(|reply| reply.1.len());
    assert_eq!(key(&talk(3 << 16, login)), Some(8));
    assert_eq!(key(&talk(3 << 16 | 2, login)), Some(36));
    let newer = talk(3 << 16 | 9, login);
    assert_eq!(newer[0], ('v', vec![0, 3, 0, 2, 0, 0, 0, 0]));
    let option = talk(3 << 16, b"user\0headwater\0database\0headwater\0_pq_.x\0y\0\0");
    assert_eq!(option[0], ('v', b"\0\x03\0\0\0\0\0\x01_pq_.x\0".to_vec()));
    let codes = [
        (3 << 16, &b"user\0headwater\0database\0nope\0\0"[..], "3D000"),
        (3 << 16, b"user\0nobody\0database\0headwater\0\0", "28000"),
        (3 << 16, b"database\0headwater\0\0", "28000"),
        (3 << 16, b"user\0headwater\0database\0headwater\0nosuch\0x\0\0", "42704"),
        (2 << 16, login, "0A000"),
    ];
    for (version, body, code) in codes {
        let replies = talk(version, body);
        let (_, last) = replies.last().expect("the server says why");
        assert_eq!((field(last, 'S').as_str(), field(last, 'C').as_str()), ("FATAL", code));
    }
}

#[test]
fn settings_are_reported_when_they_change() {
    let server = Server::start();
    let (mut raw, replies) = Raw::log_in(server.port());
    let names: Vec<String> = replies
        .iter()
        .filter(|reply| reply.0 == 'S')
        .map(|reply| String::from_utf8_lossy(reply.1.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned())
        .collect();
    for name in ["server_version", "client_encoding", "DateStyle", "TimeZone", "integer_datetimes", "is_superuser"] {
        assert!(names.iter().any(|found| found == name), "{name} is missing in {names:?}");
    }
    assert_eq!(raw.talk(&[query("SET TimeZone = 'Europe/Paris'")]), "C:SET S ZI");
    assert_eq!(raw.talk(&[query("SET TimeZone = 'Europe/Paris'")]), "C:SET ZI");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_cross_in_binary() {
    let server = Server::start();
    let client = server.connect().await;
    let sql = "SELECT $1::int2, $2::int4, $3::int8, $4::float4, $5::float8, $6::bool, $7::text, $8::bytea, $9::int4[]";
    let row = client
        .query_one(
            sql,
            &[
                &1_i16,
                &-2_i32,
                &(1_i64 << 60),
                &1.5_f32,
                &-0.1_f64,
                &true,
                &"höh",
                &&b"\0\xff"[..],
                &vec![Some(1), None],
            ],
        )
        .await
        .expect("the statement runs");
    assert_eq!((row.get::<_, i16>(0), row.get::<_, i32>(1), row.get::<_, i64>(2)), (1, -2, 1 << 60));
    assert_eq!((row.get::<_, f32>(3), row.get::<_, f64>(4), row.get::<_, bool>(5)), (1.5, -0.1, true));
    assert_eq!((row.get::<_, &str>(6), row.get::<_, &[u8]>(7)), ("höh", &b"\0\xff"[..]));
    assert_eq!(row.get::<_, Vec<Option<i32>>>(8), [Some(1), None]);
    let nulls = client.query_one("SELECT $1::int4, $2::text", &[&None::<i32>, &None::<String>]).await.expect("it runs");
    assert_eq!((nulls.get::<_, Option<i32>>(0), nulls.get::<_, Option<String>>(1)), (None, None));
    let moment = std::time::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    let row = client.query_one("SELECT $1::timestamptz, $1::timestamptz::text", &[&moment]).await.expect("it runs");
    assert_eq!(row.get::<_, std::time::SystemTime>(0), moment);
    assert_eq!(row.get::<_, &str>(1), "2023-11-14 22:13:20.123456+00");
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_goes_both_ways() {
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (a int, b text, c float8)").await.expect("a table is made");
    let sink = client.copy_in("COPY t FROM STDIN (FORMAT csv, HEADER)").await.expect("COPY starts");
    pin_mut!(sink);
    for piece in ["a,b,c\n1,\"x,", " \"\"y\"\"\nz\",1.5\n2,,", "\n3,\"\",-1e300\n"] {
        sink.send(bytes::Bytes::from(piece)).await.expect("the server reads");
    }
    assert_eq!(sink.finish().await.expect("the rows are stored"), 3);
    let out = |sql: &'static str| {
        let client = &client;
        async move {
            let stream = client.copy_out(sql).await.expect("COPY starts");
            let pieces: Vec<bytes::Bytes> = stream.try_collect().await.expect("the rows come");
            (pieces.len(), String::from_utf8_lossy(&pieces.concat()).into_owned())
        }
    };
    let (pieces, text) = out("COPY (SELECT * FROM t ORDER BY a) TO STDOUT").await;
    assert_eq!(text, "1\tx, \"y\"\\nz\t1.5\n2\t\\N\t\\N\n3\t\t-1e+300\n");
    assert_eq!(pieces, 3, "a row a message");
    let (_, csv) = out("COPY (SELECT * FROM t ORDER BY a) TO STDOUT (FORMAT csv, HEADER)").await;
    assert_eq!(csv, "a,b,c\n1,\"x, \"\"y\"\"\nz\",1.5\n2,,\n3,\"\",-1e+300\n");
    let binary: Vec<bytes::Bytes> = client
        .copy_out("COPY (SELECT * FROM t ORDER BY a) TO STDOUT (FORMAT binary)")
        .await
        .expect("COPY starts")
        .try_collect()
        .await
        .expect("the rows come");
    let sink = client.copy_in("COPY t FROM STDIN (FORMAT binary)").await.expect("COPY starts");
    pin_mut!(sink);
    sink.send(bytes::Bytes::from(binary.concat())).await.expect("the server reads");
    assert_eq!(sink.finish().await.expect("the rows are stored"), 3);
    assert_eq!(one(&client, "SELECT count(*) FROM t WHERE c = 1.5").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_fails_stores_nothing() {
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (a int, b text)").await.expect("a table is made");
    let sink = client.copy_in("COPY t FROM STDIN").await.expect("COPY starts");
    pin_mut!(sink);
    sink.send(bytes::Bytes::from_static(b"1\tx\nzz\ty\n")).await.expect("the server reads");
    let error = sink.finish().await.expect_err("the second row is wrong");
    let error = error.as_db_error().expect("the server says why");
    assert_eq!(error.code().code(), "22P02");
    assert_eq!(error.where_(), Some("COPY t, line 2, column a: \"zz\""));
    let mut raw = Raw::log_in(server.port()).0;
    raw.send(&query("COPY t FROM STDIN"));
    assert_eq!(letters(&raw.until('G')), "G");
    assert_eq!(raw.talk(&[message('d', b"5\tx\n"), message('f', b"changed my mind\0")]), "E:57014 ZI");
    // A client that vanishes in the midst.
    let mut raw = Raw::log_in(server.port()).0;
    raw.send(&query("COPY t FROM STDIN"));
    raw.until('G');
    raw.send(&message('d', b"6\tx\n"));
    drop(raw);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(one(&client, "SELECT count(*) FROM t").await, "0");
}

/// Runs until someone stops it.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000) a(x), generate_series(1, 100000) b(y)";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_cancelled() {
    let server = Server::start();
    let client = server.connect().await;
    let token = client.cancel_token();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        token.cancel_query(NoTls).await.expect("the request is taken");
    };
    let (outcome, ()) = tokio::join!(client.simple_query(ENDLESS), cancel);
    assert_eq!(outcome.expect_err("it was cancelled").code().map(|code| code.code()), Some("57014"));
    client.batch_execute("SET statement_timeout = '300ms'").await.expect("the setting is known");
    let error = client.simple_query(ENDLESS).await.expect_err("it takes too long");
    assert_eq!(error.code().map(|code| code.code()), Some("57014"));
    assert!(error.as_db_error().is_some_and(|error| error.message().contains("statement timeout")));
    assert_eq!(one(&client, "SELECT 1").await, "1");
}

#[test]
fn a_cancel_request_needs_the_secret() {
    let server = Server::start();
    let (mut busy, replies) = Raw::log_in(server.port());
    let key = &replies.iter().find(|reply| reply.0 == 'K').expect("a key is given").1;
    busy.send(&query("SELECT count(*) FROM generate_series(1, 3000000)"));
    let wrong = [&key[..4], &[key[4] ^ 1], &key[5..]].concat();
    let mut stranger = Raw::open(server.port());
    stranger.send(&startup(80_877_102, &wrong));
    assert!(stranger.reply().is_none());
    assert_eq!(letters(&busy.until('Z')), "T D C:SELECT 1 ZI");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_its_statement() {
    let server = Server::start();
    let (mut raw, _) = Raw::log_in(server.port());
    raw.send(&query(ENDLESS));
    std::thread::sleep(Duration::from_millis(500));
    drop(raw);
    let client = server.connect().await;
    let until = Instant::now() + Duration::from_secs(5);
    while one(&client, "SELECT count(*) FROM system.sessions").await != "1" {
        assert!(Instant::now() < until, "the session is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_proved_and_never_sent() {
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute("CREATE ROLE alice LOGIN PASSWORD 'sécret'").await.expect("a role is made");
    let log_in = |user: &'static str, password: &'static str| {
        let text = format!("host=127.0.0.1 port={} user={user} password={password} dbname=headwater", server.port());
        async move {
            let (client, connection) = tokio_postgres::connect(&text, NoTls).await?;
            tokio::spawn(connection);
            Ok::<String, tokio_postgres::Error>(one(&client, "SELECT current_user").await)
        }
    };
    assert_eq!(log_in("alice", "sécret").await.expect("the password is right"), "alice");
    let wrong = log_in("alice", "secret").await.expect_err("the password is wrong");
    assert_eq!(wrong.code().map(|code| code.code()), Some("28P01"));
    client.batch_execute("ALTER ROLE alice PASSWORD 'other'").await.expect("a password is changed");
    assert!(log_in("alice", "sécret").await.is_err());
    assert_eq!(log_in("alice", "other").await.expect("the password is right"), "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_are_served_and_no_more() {
    let server = Server::start_with(&["--connections-max", "200"]);
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(server.connect().await);
    }
    let text = format!("host=127.0.0.1 port={} user=headwater dbname=headwater", server.port());
    let refused = tokio_postgres::connect(&text, NoTls).await.err().expect("there are too many");
    assert_eq!(refused.code().map(|code| code.code()), Some("53300"));
    let memory = || memory_kilobytes(server.id());
    for _ in 0..2 {
        let answers = clients.iter().map(|client| one(client, "SELECT 40 + 2"));
        assert!(futures::future::join_all(answers).await.iter().all(|answer| answer == "42"));
    }
    let before = memory();
    for _ in 0..5 {
        let answers = clients.iter().map(|client| one(client, "SELECT 40 + 2"));
        futures::future::join_all(answers).await;
    }
    assert!(memory() < before + 64 * 1024, "memory grew from {before} to {} KiB", memory());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_result_takes_little_memory() {
    let server = Server::start();
    let client = server.connect().await;
    let sql = "SELECT v, v * 2, v / 3.0::float8, 'row ' || v, v % 7 = 0, timestamp '2024-01-01' FROM generate_series(1, 1000000) t(v)";
    // Once before, so that what is loaded once is loaded.
    client.query(&sql.replace("1000000", "100000"), &[]).await.expect("the statement runs");
    let before = memory_kilobytes(server.id());
    let rows = client.query_raw::<_, i32, _>(sql, []).await.expect("the statement runs");
    pin_mut!(rows);
    let mut count = 0;
    let mut most = 0;
    while let Some(row) = rows.next().await {
        row.expect("the rows come");
        count += 1;
        if count % 100_000 == 0 {
            most = most.max(memory_kilobytes(server.id()));
        }
    }
    assert_eq!(count, 1_000_000);
    assert!(most < before + 24 * 1024, "memory grew from {before} to {most} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_stops_its_statement() {
    let server = Server::start();
    let watcher = server.connect().await;
    let rows = |count: u32| format!("SELECT repeat('x', 200) || v FROM generate_series(1, {count}) t(v)");
    let count = "SELECT rows FROM system.queries WHERE state = 'running' AND sql LIKE '%repeat(''x''%' AND sql NOT LIKE '%system%'";
    let copy = |count| format!("COPY ({}) TO STDOUT", rows(count));
    for (some, sql) in [(rows(200_000), rows(100_000_000)), (copy(200_000), copy(100_000_000))] {
        let (mut stalled, _) = Raw::log_in(server.port());
        assert!(stalled.talk(&[query(&some)]).ends_with("200000 ZI"));
        let before = memory_kilobytes(server.id());
        stalled.send(&query(&sql));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let sent = one(&watcher, count).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(one(&watcher, count).await, sent, "{sql}: rows are made that nobody takes");
        let after = memory_kilobytes(server.id());
        assert!(after < before + 24 * 1024, "{sql}: memory grew from {before} to {after} KiB");
    }
}

/// Resident memory of a process.
fn memory_kilobytes(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_stopping_server_says_so() {
    let mut server = Server::start();
    let (mut raw, _) = Raw::log_in(server.port());
    assert_eq!(server.terminate(), Some(0));
    let reply = raw.reply().expect("the server says goodbye");
    assert_eq!((reply.0, field(&reply.1, 'C').as_str()), ('E', "57P01"));
    assert!(raw.reply().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_objects_print_as_names() {
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (a int)").await.expect("a table is made");
    assert_eq!(one(&client, "SELECT 't'::regclass").await, "t");
    assert_eq!(one(&client, "SELECT 23::regtype").await, "integer");
    assert_eq!(one(&client, "SELECT 0::regclass").await, "-");
}
