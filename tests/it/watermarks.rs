//! Watermarks of events: late rows are stored, left out or put aside once each, whatever happens to the server.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio_postgres::Client;

use crate::http::{post, try_post};
use crate::rows::told;
use crate::server::Server;
use crate::serving::get;
use crate::sources::{arrives, number, put, source, start};

const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// An event: when it was, in seconds after [`FIRST_DAY`], who caused it, and a value.
#[derive(Clone, Copy)]
struct Event {
    id: i64,
    seconds: i64,
    user: i64,
    value: i64,
}

const FIRST_DAY: &str = "2026-01-01 00:00:00+00";
const COLUMNS: &str = "id bigint NOT NULL, ts timestamptz NOT NULL, user_id bigint, value bigint";

impl Event {
    fn time(self) -> String {
        let (day, rest) = (1 + self.seconds.div_euclid(86400), self.seconds.rem_euclid(86400));
        format!("2026-01-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
    }

    fn json(self) -> String {
        let Self { id, user, value, .. } = self;
        format!("{{\"id\": {id}, \"ts\": \"{}\", \"user_id\": {user}, \"value\": {value}}}", self.time())
    }

    fn csv(self) -> String {
        let Self { id, user, value, .. } = self;
        format!("{id},{},{user},{value}", self.time())
    }
}

fn lines(events: &[Event]) -> String {
    events.iter().map(|event| event.json() + "\n").collect()
}

/// Sends a batch under its key until a server has it.
fn send(address: SocketAddr, table: &str, key: &str, body: &str) -> std::io::Result<()> {
    let headers = [NDJSON, ("Idempotency-Key", key)];
    let answer = try_post(address, &format!("/v1/ingest/{table}"), &headers, body.as_bytes())?;
    match answer.status {
        202 => Ok(()),
        status => Err(std::io::Error::other(format!("{status} {}", answer.body))),
    }
}

/// Two days of events in three partitions, each about in the order of time; one in a hundred comes hours later.
fn two_days(random: &mut StdRng, pieces: usize) -> Vec<Vec<Vec<Event>>> {
    const EVENTS: i64 = 4000;
    let mut id = 0;
    let mut partition = |_| {
        let mut events: Vec<(i64, Event)> = (0..EVENTS)
            .map(|_| {
                id += 1;
                let seconds = random.random_range(0..2 * 86400);
                let is_late = random.random_range(0..100) == 0;
                let delay = if is_late { random.random_range(3600..36000) } else { random.random_range(0..90) };
                let (user, value) = (random.random_range(0..50), random.random_range(-1000..1000));
                (seconds + delay, Event { id, seconds, user, value })
            })
            .collect();
        events.sort_by_key(|(arrives, _)| *arrives);
        let events: Vec<Event> = events.into_iter().map(|(_, event)| event).collect();
        events.chunks(events.len().div_ceil(pieces)).map(<[Event]>::to_vec).collect()
    };
    (0..3).map(&mut partition).collect()
}

/// What minutes look like, of rows of a relation.
fn minutes(relation: &str) -> String {
    format!(
        "SELECT date_bin('1 minute', ts, timestamptz '{FIRST_DAY}') AS minute, count(*) AS events, sum(value) AS total,
                min(value) AS least, max(value) AS most, count(DISTINCT user_id) AS users
           FROM {relation} AS r GROUP BY 1"
    )
}

/// "Two days of events replayed into minute windows give the same answer as one batch load": out of order, late, by way of
/// files and requests, over flushes, kills and retries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_days_of_events_replayed_give_the_same_minutes_as_one_load() {
    const PIECES: usize = 16;
    let mut random = StdRng::seed_from_u64(20_260_101);
    let partitions = two_days(&mut random, PIECES);
    let (mut server, folder) = start(&["--flush-interval-ms", "300"]);
    let client = server.connect().await;
    client.batch_execute(&format!("CREATE TABLE loaded ({COLUMNS})")).await.unwrap();
    let mut all: Vec<Event> = partitions.iter().flatten().flatten().copied().collect();
    all.shuffle(&mut random);
    load(&client, "loaded", &all).await;
    let policies = ["update", "drop", "side"];
    for policy in policies {
        let watermark = "WATERMARK FOR ts AS ts - INTERVAL '2 minutes'";
        let table = format!("CREATE TABLE {policy}_t ({COLUMNS}, {watermark}) WITH (late = '{policy}')");
        client.batch_execute(&table).await.unwrap();
        for part in 0..2 {
            let path = folder.path().join(format!("{policy}{part}"));
            fs::create_dir(&path).unwrap();
            let create = source(&format!("{policy}{part}"), &path, &format!("INTO {policy}_t WITH ({{path}})"));
            client.batch_execute(&create).await.unwrap();
        }
    }
    for piece in 0..PIECES {
        for policy in policies {
            for (part, pieces) in partitions[..2].iter().enumerate() {
                put(folder.path(), &format!("{policy}{part}/{piece}.json"), lines(&pieces[piece]));
            }
        }
        let (body, key) = (lines(&partitions[2][piece]), format!("piece {piece}"));
        let address = server.http();
        let sender = {
            let (body, key) = (body.clone(), key.clone());
            std::thread::spawn(move || {
                policies.map(|policy| send(address, &format!("{policy}_t"), &key, &body).is_ok())
            })
        };
        tokio::time::sleep(Duration::from_millis(random.random_range(0..250))).await;
        match random.random_range(0..3) {
            0 => server.kill_and_restart(),
            1 => {
                let client = server.connect().await;
                client.batch_execute("FLUSH TABLE update_t; FLUSH TABLE drop_t; FLUSH TABLE side_t").await.unwrap();
            }
            _ => {}
        }
        let sent = sender.join().unwrap();
        for (policy, _) in policies.iter().zip(sent).filter(|(_, sent)| !sent) {
            send(server.http(), &format!("{policy}_t"), &key, &body).unwrap();
        }
        // The next piece comes when this one is there: each partition goes on about as the others do.
        let client = server.connect().await;
        for policy in policies {
            let read = format!("SELECT count(*) FROM \"{policy}0$files\" WHERE finished");
            arrives(&client, &read, piece as i64 + 1).await;
            arrives(&client, &read.replace("0$", "1$"), piece as i64 + 1).await;
        }
    }
    compare(&server.connect().await, all.len() as i64).await;
    server.kill_and_restart();
    compare(&server.connect().await, all.len() as i64).await;
}

async fn load(client: &Client, table: &str, events: &[Event]) {
    let body: String = events.iter().map(|event| event.csv() + "\n").collect();
    let sink = client.copy_in::<_, bytes::Bytes>(&format!("COPY {table} FROM STDIN WITH (FORMAT csv)")).await.unwrap();
    let mut sink = std::pin::pin!(sink);
    futures::SinkExt::send(&mut sink, body.into()).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), events.len() as u64);
}

async fn compare(client: &Client, all: i64) {
    let late = |policy: &str| format!("SELECT late_rows FROM system.tables WHERE name = '{policy}_t'");
    let sided = "(SELECT id, ts, user_id, value FROM side_t UNION ALL SELECT id, ts, user_id, value FROM side_t$late)";
    for relation in ["update_t", sided] {
        for (one, other) in [(relation, "loaded"), ("loaded", relation)] {
            let differ = format!("SELECT count(*) FROM ({} EXCEPT ALL {}) AS d", minutes(one), minutes(other));
            assert_eq!(number(client, &differ).await, 0, "{one} against {other}");
        }
        assert_eq!(number(client, &format!("SELECT count(DISTINCT id) FROM {relation} AS r")).await, all);
        assert_eq!(number(client, &format!("SELECT count(*) FROM {relation} AS r")).await, all);
    }
    // What is counted as late is what is aside, or missing.
    let (sided, dropped) = (number(client, &late("side")).await, number(client, &late("drop")).await);
    assert!(sided > all / 200 && dropped > all / 200 && number(client, &late("update")).await > all / 200);
    assert!(sided < all / 10 && dropped < all / 10, "{sided} and {dropped} of {all} are late: too many");
    assert_eq!(number(client, "SELECT count(*) FROM side_t$late").await, sided);
    assert_eq!(number(client, "SELECT count(*) FROM drop_t").await, all - dropped);
    assert_eq!(
        number(client, "SELECT count(*) FROM drop_t AS d JOIN loaded AS l USING (id, ts, user_id, value)").await,
        all - dropped
    );
    assert_eq!(number(client, "SELECT count(*) FROM side_t$late WHERE ts >= late$watermark").await, 0);
    for policy in ["update", "drop", "side"] {
        let ahead = format!(
            "SELECT count(*) FROM system.tables WHERE name = '{policy}_t'
                AND event_watermark_at <= (SELECT max(ts) - interval '2 minutes' FROM {policy}_t)"
        );
        assert_eq!(number(client, &ahead).await, 1, "{policy}: no row says that the watermark is there");
    }
}

/// Writers of random events over kills: each batch is there once, each late row is aside once, and the watermark is never
/// ahead of the rows, nor behind what rows were judged by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_rows_are_aside_once_over_kills() {
    const ROUNDS: i64 = 12;
    const WRITERS: i64 = 2;
    let mut server = Server::start_with(&["--flush-interval-ms", "100"]);
    let client = server.connect().await;
    let create =
        format!("CREATE TABLE t ({COLUMNS}, WATERMARK FOR ts AS ts - INTERVAL '5 seconds') WITH (late = 'side')");
    client.batch_execute(&create).await.unwrap();
    // A late row makes the table for them.
    send_batch(server.http(), WRITERS, 0, 20).unwrap();
    send_batch(server.http(), WRITERS, 0, 0).unwrap();
    let mut batches = 2;
    for round in 0..ROUNDS {
        let address = server.http();
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| std::thread::spawn(move || write_until_broken(address, writer, round))).collect();
        tokio::time::sleep(Duration::from_millis(100 + 37 * round as u64 % 300)).await;
        server.kill_and_restart();
        for writer in writers {
            let (writer, under_way) = writer.join().unwrap();
            send_batch(server.http(), writer, round, under_way).unwrap();
            batches += under_way + 1;
        }
        let client = server.connect().await;
        let counts =
            "SELECT count(*) || ' ' || count(DISTINCT id) FROM (SELECT id FROM t UNION ALL SELECT id FROM t$late) AS a";
        assert_eq!(told(&client, counts).await, format!("{} {}", batches * 4, batches * 4), "round {round}");
        let aside = "SELECT (SELECT count(*) FROM t$late) - late_rows FROM system.tables WHERE name = 't'";
        assert_eq!(number(&client, aside).await, 0, "round {round}");
        let wrong = "SELECT count(*) FROM t$late WHERE ts >= late$watermark";
        assert_eq!(number(&client, wrong).await, 0, "round {round}");
        let watermark = "SELECT count(*) FROM system.tables WHERE name = 't'
            AND event_watermark_at = (SELECT max(ts) - interval '5 seconds' FROM t)
            AND event_watermark_at >= (SELECT max(late$watermark) FROM t$late)";
        assert_eq!(number(&client, watermark).await, 1, "round {round}");
    }
    assert!(batches > WRITERS * ROUNDS, "the writers hardly wrote");
    println!("{batches} batches over {ROUNDS} kills");
}

/// Events that jump about, each batch with one that is late for most.
fn send_batch(address: SocketAddr, writer: i64, round: i64, batch: i64) -> std::io::Result<()> {
    let step = round * 1000 + batch;
    let event = |n: i64| {
        let id = ((writer * 1000 + round) * 100_000 + batch) * 4 + n;
        Event { id, seconds: 1000 + step - n * 3, user: writer, value: n }
    };
    let events: Vec<Event> = (0..4).map(event).collect();
    send(address, "t", &format!("{writer}-{step}"), &lines(&events))
}

fn write_until_broken(address: SocketAddr, writer: i64, round: i64) -> (i64, i64) {
    let broken = (0..).find(|batch| send_batch(address, writer, round, *batch).is_err());
    (writer, broken.unwrap())
}

/// A source makes its table with the watermark; rows by key are never left out; everything is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_declare_watermarks_and_rows_by_key_stay() {
    let (server, folder) = start(&[]);
    let (client, folder) = (server.connect().await, folder.path().canonicalize().unwrap());
    let create = |name: &str, more: &str| source(name, Path::new(&folder), more);
    let columns = "(id bigint PRIMARY KEY, ts timestamptz, v int, WATERMARK FOR ts AS ts - INTERVAL '1 minute')";
    let options = "WITH ({path}, late = 'drop', idle_timeout = '10s', pattern = 'k*')";
    client.batch_execute(&create("k", &format!("{columns} {options} FORMAT UPSERT"))).await.unwrap();
    let shown = "SELECT event_watermark, late_policy FROM system.tables WHERE name = 'k'";
    assert_eq!(told(&client, shown).await, "WATERMARK FOR ts AS ts - INTERVAL '1 minute' | drop");
    put(
        &folder,
        "k1.json",
        "{\"id\": 1, \"ts\": \"2026-01-01T12:00:00Z\", \"v\": 1}\n{\"id\": 2, \"ts\": \"2026-01-01T12:00:00Z\"}",
    );
    arrives(&client, "SELECT count(*) FROM k", 2).await;
    put(&folder, "k2.json", "{\"id\": 1, \"ts\": \"2026-01-01T10:00:00Z\", \"v\": 2}\n{\"id\": 3, \"ts\": null}");
    arrives(&client, "SELECT count(*) FROM k WHERE v = 2 OR id = 3", 2).await;
    let of_source =
        "SELECT event_watermark_at::text || ' ' || late_rows || ' ' || future_rows || ' ' || rows FROM system.sources";
    assert_eq!(told(&client, of_source).await, "2026-01-01 11:59:00+00 1 0 4");
    let (_, page) = get(server.http(), "/metrics");
    assert!(page.contains("\nheadwater_late_rows_total 1\n"), "{page}");
    assert!(page.contains("\nheadwater_event_watermark_lag_seconds{table=\"public.k\"} "), "{page}");

    // A table that is there has its own watermark and options.
    let plain = "CREATE TABLE plain (day date); CREATE TABLE d (day date, WATERMARK FOR day AS day - INTERVAL '1 day')";
    client.batch_execute(plain).await.unwrap();
    let day = "WATERMARK FOR day AS day - INTERVAL";
    for (more, sqlstate) in [
        (format!("(day date, {day} '1 day') INTO plain WITH ({{path}})"), "42P16"),
        (format!("(day date, {day} '2 days') INTO d WITH ({{path}})"), "42P16"),
        ("INTO d WITH ({path}, late = 'drop')".to_owned(), "42P16"),
        ("(day date) INTO made WITH ({path}, late = 'drop')".to_owned(), "22023"),
        (format!("(day date, {day} '1 month') INTO made WITH ({{path}})"), "22023"),
    ] {
        let answer = told(&client, &create("s", &more)).await;
        assert!(answer.starts_with(sqlstate), "{more}: {answer}");
    }
    assert_eq!(number(&client, "SELECT count(*) FROM system.tables WHERE name IN ('made', 's$files')").await, 0);
    let same = create("s", &format!("(day date, {day} '24 hours') INTO d WITH ({{path}}, pattern = 'd*')"));
    client.batch_execute(&same).await.unwrap();

    // Rows over HTTP tell how many were late.
    post(server.http(), "/v1/ingest/d", &[NDJSON], b"{\"day\": \"2026-01-10\"}");
    let late = post(server.http(), "/v1/ingest/d", &[NDJSON], b"{\"day\": \"2026-01-08\"}\n{\"day\": \"2026-01-09\"}");
    assert_eq!((late.number("rows"), late.number("late_rows")), (2, 1));
}
