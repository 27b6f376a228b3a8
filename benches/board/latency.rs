//! How long after their acknowledgement rows are seen, at 50,000 rows a second: a writer at a fixed pace, and a reader that asks
//! for the newest batch as soon as it hears that it was acknowledged.

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::SinkExt;
use tokio::sync::watch;
use tokio_postgres::Client;

use crate::Outcome;
use crate::ingest::Poster;
use crate::measure::{Times, cpu_seconds, family, forget_peak, memory_mb};
use crate::server::{Server, connect, emptied};

/// Rows of a batch, and the time from one to the next.
const ROWS: i64 = 500;
const PACE: Duration = Duration::from_millis(10);

/// How batches are written.
enum Way {
    Ndjson(Poster),
    Copy(Client),
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::Ndjson(_) => "HTTP, NDJSON",
            Self::Copy(_) => "COPY, text",
        }
    }

    /// Returns once the rows from this id on are acknowledged.
    async fn write(&mut self, first: i64) -> Outcome<()> {
        let ids = first..first + ROWS;
        match self {
            Self::Ndjson(poster) => {
                let line = |id| format!("{{\"id\":{id},\"device\":\"sensor-{}\",\"value\":{id}.5}}\n", id % 997);
                let body: String = ids.map(line).collect();
                let is_taken = tokio::task::block_in_place(|| poster.post(body.as_bytes()))?;
                is_taken.then_some(()).ok_or_else(|| "the server is under pressure".into())
            }
            Self::Copy(client) => {
                let body: String = ids.map(|id| format!("{id}\tsensor-{}\t{id}.5\n", id % 997)).collect();
                let mut sink = pin!(client.copy_in("COPY readings (id, device, value) FROM STDIN").await?);
                sink.send(Bytes::from(body)).await?;
                sink.finish().await?;
                Ok(())
            }
        }
    }
}

/// Our server, by both ways.
pub async fn run(program: &str, folder: &Path, seconds: u64) -> Outcome<()> {
    println!(
        "| server | way | rows/s | acknowledged p50 ms | p99 ms | seen p50 ms | p99 ms | max ms | reads | CPU s | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for is_http in [true, false] {
        let server = Server::start(program, emptied(folder)?, &[])?;
        let way = match is_http {
            true => Way::Ndjson(Poster::new(&server.http, "application/x-ndjson")?),
            false => Way::Copy(connect(&server.connection).await?),
        };
        measure("Headwater", way, &server.connection, &server.id(), "", seconds).await?;
    }
    emptied(folder).map(drop)
}

/// PostgreSQL, whose readers have an index.
pub async fn peer(name: &str, connection: &str, process: &str, seconds: u64) -> Outcome<()> {
    measure(name, Way::Copy(connect(connection).await?), connection, process, "PRIMARY KEY", seconds).await
}

/// Prints one line.
async fn measure(name: &str, way: Way, connection: &str, process: &str, key: &str, seconds: u64) -> Outcome<()> {
    let (client, way_name) = (connect(connection).await?, way.name());
    let create =
        format!("CREATE TABLE readings (id bigint {key}, device text, value double precision, at timestamptz)");
    client.batch_execute(&format!("DROP TABLE IF EXISTS readings; {create}")).await?;
    forget_peak(process);
    let cpu = || family(process).iter().map(|process| cpu_seconds(process)).sum::<f64>();
    let (cpu_before, started) = (cpu(), Instant::now());
    let (told, heard) = watch::channel((0, started));
    let writer = tokio::spawn(write(way, told, started + Duration::from_secs(seconds)));
    let mut seen = read(&client, heard).await?;
    let mut acknowledged = writer.await??;
    let rows = i64::try_from(acknowledged.len())? * ROWS;
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu() - cpu_before);
    let there: i64 = client.query_one("SELECT count(*) FROM readings", &[]).await?.get(0);
    if there != rows {
        return Err(format!("{rows} rows were acknowledged, {there} are there").into());
    }
    let peak: f64 = family(process).iter().map(|process| memory_mb(process).1).sum();
    println!(
        "| {name} | {way_name} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {} | {cpu:.1} | {peak:.0} |",
        rows as f64 / wall,
        acknowledged.ms(0.5),
        acknowledged.ms(0.99),
        seen.ms(0.5),
        seen.ms(0.99),
        seen.ms(1.0),
        seen.len()
    );
    Ok(())
}

/// Writes at the pace, or as fast as it can where it has fallen behind. Tells the last id of each batch, and when it was acknowledged.
async fn write(mut way: Way, told: watch::Sender<(i64, Instant)>, until: Instant) -> Outcome<Times> {
    let (mut times, mut first, mut due) = (Times::default(), 1, Instant::now());
    while due < until {
        tokio::time::sleep_until(due.into()).await;
        let started = Instant::now();
        way.write(first).await?;
        times.push(started.elapsed());
        first += ROWS;
        told.send((first - 1, Instant::now()))?;
        due += PACE;
    }
    Ok(times)
}

/// Asks for the newest batch that was acknowledged, until there are no more: from the acknowledgement to the answer that has it.
async fn read(client: &Client, mut heard: watch::Receiver<(i64, Instant)>) -> Outcome<Times> {
    let query = client.prepare("SELECT count(*) FROM readings WHERE id = $1").await?;
    let mut times = Times::default();
    while heard.changed().await.is_ok() {
        let (id, at) = *heard.borrow_and_update();
        while client.query_one(&query, &[&id]).await?.get::<_, i64>(0) == 0 {}
        times.push(at.elapsed());
    }
    Ok(times)
}
