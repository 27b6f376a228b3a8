//! A day of one small batch a second, 250 times as fast: queries, inserts, files and logs in the evening beside those of the morning.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::Outcome;
use crate::ingest::Poster;
use crate::measure::{Times, cpu_seconds, memory_mb};
use crate::server::{Server, connect, emptied, megabytes};

/// A second of the day lasts so long, and a flush comes every ten.
const SECOND: Duration = Duration::from_millis(4);
const FLAGS: [&str; 2] = ["--flush-interval-ms", "40"];
const ROWS: i64 = 10;
/// Lines that are printed.
const PARTS: i64 = 8;
/// Seconds of the day between two rounds of questions, and between two flushes that somebody waits for.
const SECONDS_A_QUERY: i64 = 25;
const SECONDS_A_FLUSH: i64 = 500;
/// The day begins then.
const MIDNIGHT: &str = "timestamptz '2026-01-01 00:00:00Z'";

/// What was measured in a part of the day.
#[derive(Default)]
struct Part {
    /// Inserts, a query of the last five minutes, a count of all rows, flushes.
    times: [Times; 4],
    files_max: i64,
    late: Duration,
}

/// Prints a line for each part of so many hours.
pub async fn run(program: &str, folder: &Path, hours: i64) -> Outcome<()> {
    let server = Server::start(program, emptied(folder)?, &FLAGS)?;
    let (client, mut poster) = (connect(&server.connection).await?, Poster::new(&server.http, "text/csv")?);
    client
        .batch_execute("CREATE TABLE readings (id bigint, device text, value double precision, at timestamptz)")
        .await?;
    println!(
        "| until hour | insert p50 ms | p99 ms | five minutes p50 ms | p99 ms | count p50 ms | p99 ms | flush p50 ms | p99 ms \
         | commits | files, at most | write-ahead log MB | Delta log MB | data MB | CPU s | MB | behind s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let seconds = hours * 3600 / PARTS;
    for part in 0..PARTS {
        let cpu = cpu_seconds(&server.id());
        let mut measured = pass(part * seconds..(part + 1) * seconds, &client, &mut poster).await?;
        let shown: Vec<String> =
            measured.times.iter_mut().map(|times| format!("{:.1} | {:.1}", times.ms(0.5), times.ms(0.99))).collect();
        let commits: i64 = client.query_one("SELECT max(version) FROM system.commits", &[]).await?.get(0);
        println!(
            "| {} | {} | {commits} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.1} |",
            (part + 1) * hours / PARTS,
            shown.join(" | "),
            measured.files_max,
            megabytes(folder, "/log/")?,
            megabytes(folder, "/_delta_log/")?,
            megabytes(folder, ".parquet")? - megabytes(folder, ".checkpoint.parquet")?,
            cpu_seconds(&server.id()) - cpu,
            memory_mb(&server.id()).0,
            measured.late.as_secs_f64()
        );
    }
    drop(server);
    emptied(folder).map(drop)
}

/// Some seconds of the day.
async fn pass(seconds: std::ops::Range<i64>, client: &Client, poster: &mut Poster) -> Outcome<Part> {
    let since = format!("{MIDNIGHT} + ($1::bigint - 300) * interval '1 second'");
    let recent = format!("SELECT device, avg(value) FROM readings WHERE at >= {since} GROUP BY device");
    let recent = client.prepare(&recent).await?;
    let all = client.prepare("SELECT count(*) FROM readings").await?;
    let files = client.prepare("SELECT files FROM system.tables WHERE name = 'readings'").await?;
    let (mut part, started, begin) = (Part::default(), Instant::now(), seconds.start);
    for second in seconds {
        let due = started + SECOND * u32::try_from(second - begin)?;
        tokio::time::sleep_until(due.into()).await;
        part.late = part.late.max(due.elapsed());
        let [inserts, recents, counts, flushes] = &mut part.times;
        let body = batch(second);
        timed(inserts, async { tokio::task::block_in_place(|| poster.post(&body)) }).await?;
        if second % SECONDS_A_QUERY == 0 {
            part.files_max = part.files_max.max(client.query_one(&files, &[]).await?.get(0));
            timed(recents, async { Ok(client.query(&recent, &[&second]).await?) }).await?;
            let count: i64 = timed(counts, async { Ok(client.query_one(&all, &[]).await?) }).await?.get(0);
            if count != (second + 1) * ROWS {
                return Err(format!("{count} rows after {} batches", second + 1).into());
            }
        }
        if second % SECONDS_A_FLUSH == 0 {
            timed(flushes, async { Ok(client.batch_execute("FLUSH TABLE readings").await?) }).await?;
        }
    }
    Ok(part)
}

async fn timed<T>(times: &mut Times, what: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let started = Instant::now();
    let done = what.await?;
    times.push(started.elapsed());
    Ok(done)
}

fn batch(second: i64) -> Vec<u8> {
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let at = format!("2026-01-{:02}T{:02}:{minute:02}:{:02}Z", 1 + hour / 24, hour % 24, second % 60);
    let line = |row: i64| format!("{},sensor-{row},{}.5,{at}\n", second * ROWS + row, second % 997);
    let lines: String = (0..ROWS).map(line).collect();
    format!("id,device,value,at\n{lines}").into()
}
