//! Rows over PostgreSQL's protocol, each answer behind an fsync: 64 clients with a row a statement, and COPY by one.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::SinkExt;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::Outcome;
use crate::measure::Times;
use crate::server::connect;

const CLIENTS: i64 = 64;
/// The keys that upserts go to, all of which are there before.
const KEYS: i64 = 100_000;
const COPIED_ROWS: usize = 2_000_000;
/// What COPY sends at a time.
const PART_BYTES: usize = 1 << 20;

/// What a client does, and the statement.
const WAYS: [(&str, &str); 3] = [
    ("INSERT", "INSERT INTO added VALUES ($1, $2, $3)"),
    (
        "upsert that replaces",
        "INSERT INTO keyed VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET n = excluded.n, name = excluded.name",
    ),
    ("upsert that counts", "INSERT INTO keyed VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET n = keyed.n + 1"),
];

/// Prints a line a way; rows that are not there in the end are an error. `unlogged` is what CREATE says before TABLE for COPY.
pub async fn run(name: &str, connection: &str, unlogged: &str, seconds: u64) -> Outcome<()> {
    let client = connect(connection).await?;
    client
        .batch_execute(&format!(
            "DROP TABLE IF EXISTS added, keyed, copied;
             CREATE TABLE added (id bigint, n bigint, name text);
             CREATE TABLE keyed (id bigint PRIMARY KEY, n bigint, name text);
             CREATE {unlogged} TABLE copied (id bigint, n bigint, name text);
             INSERT INTO keyed SELECT i, 0, 'name ' || i FROM generate_series(0, {KEYS} - 1) AS s(i)"
        ))
        .await?;
    for (way, statement) in WAYS {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut running = JoinSet::new();
        for number in 0..CLIENTS {
            running.spawn(repeat(connect(connection).await?, statement, number, until));
        }
        let started = Instant::now();
        let mut times = Times::default();
        while let Some(ended) = running.join_next().await {
            times.append(&mut ended??);
        }
        let (wall, done) = (started.elapsed().as_secs_f64(), times.len());
        println!(
            "| {name} | {way} | {done} | {:.0} | {:.1} | {:.1} |",
            done as f64 / wall,
            times.ms(0.5),
            times.ms(0.99)
        );
        let there: i64 = match way {
            "INSERT" => client.query_one("SELECT count(*) FROM added", &[]).await?.get(0),
            _ => client.query_one("SELECT count(*) FROM keyed", &[]).await?.get(0),
        };
        let expected = if way == "INSERT" { i64::try_from(done)? } else { KEYS };
        if there != expected {
            return Err(format!("{way}: {expected} rows should be there, {there} are").into());
        }
    }
    copy(name, &client).await
}

async fn repeat(client: Client, statement: &'static str, number: i64, until: Instant) -> Outcome<Times> {
    let statement = client.prepare(statement).await?;
    let (mut times, mut round) = (Times::default(), 0);
    while Instant::now() < until {
        let id = (number * 7919 + round * 104_729) % KEYS;
        let started = Instant::now();
        client.execute(&statement, &[&id, &round, &"some text of a row"]).await?;
        times.push(started.elapsed());
        round += 1;
    }
    Ok(times)
}

async fn copy(name: &str, client: &Client) -> Outcome<()> {
    let (mut parts, mut part) = (Vec::new(), Vec::with_capacity(PART_BYTES + 100));
    for id in 0..COPIED_ROWS {
        part.extend_from_slice(format!("{id}\t{}\tthe name of row {id}\n", id % 1000).as_bytes());
        if part.len() >= PART_BYTES || id + 1 == COPIED_ROWS {
            parts.push(Bytes::from(std::mem::take(&mut part)));
        }
    }
    let started = Instant::now();
    let mut sink = pin!(client.copy_in("COPY copied FROM STDIN").await?);
    for part in parts {
        sink.send(part).await?;
    }
    let rows = usize::try_from(sink.finish().await?)?;
    let wall = started.elapsed().as_secs_f64();
    if rows != COPIED_ROWS {
        return Err(format!("{rows} rows were copied").into());
    }
    println!("| {name} | COPY, text | {rows} | {:.0} | | |", rows as f64 / wall);
    Ok(())
}
