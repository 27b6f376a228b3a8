//! Two hundred clients at a time, each asking short queries one after the other.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::Outcome;
use crate::measure::{Meter, Times, memory_mb};

const CLIENTS: usize = 200;

/// Prints one line; an error of any client is the program's.
pub async fn run(connection: &str, process: &str, seconds: u64) -> Outcome<()> {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (client, driver) = tokio_postgres::connect(connection, NoTls).await?;
        tokio::spawn(driver);
        clients.push(client);
    }
    let connected = memory_mb(process).0;
    let meter = Meter::start(process);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut running = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        running.spawn(async move {
            let point = client.prepare("SELECT name FROM points WHERE id = $1").await?;
            let mut times = Times::default();
            let mut id = number as i64;
            while Instant::now() < until {
                let started = Instant::now();
                match id % 4 {
                    0 => drop(client.query_one("SELECT 1", &[]).await?),
                    1 => drop(client.query_one("SELECT count(*), max(at) FROM events", &[]).await?),
                    2 => drop(
                        client
                            .simple_query("SELECT kind, count(*) FROM events WHERE id < 1000 GROUP BY kind LIMIT 5")
                            .await?,
                    ),
                    _ => drop(client.query(&point, &[&(id * 7919 % 20_000_000)]).await?),
                }
                times.push(started.elapsed());
                id += 1;
            }
            Ok::<_, tokio_postgres::Error>(times)
        });
    }
    let mut samples = Vec::new();
    for quarter in 1..=4 {
        let at = until - Duration::from_secs(seconds) * (4 - quarter) / 4;
        tokio::time::sleep_until(at.into()).await;
        samples.push(memory_mb(process).0);
    }
    let mut times = Times::default();
    while let Some(ended) = running.join_next().await {
        times.append(&mut ended??);
    }
    let (wall, cpu) = (meter.wall(), meter.cpu());
    let each: Vec<String> = samples.iter().map(|sample| format!("{sample:.0}")).collect();
    println!(
        "| clients | queries | queries/s | p50 ms | p99 ms | CPU s | memory MB: connected, then each quarter | errors |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    println!(
        "| {CLIENTS} | {} | {:.0} | {:.1} | {:.1} | {cpu:.1} | {connected:.0}, {} | 0 |",
        times.len(),
        times.len() as f64 / wall,
        times.ms(0.5),
        times.ms(0.99),
        each.join(", ")
    );
    Ok(())
}
