//! A start after kill -9 with a gigabyte in the tail: until the first answer, which must be right.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::Outcome;
use crate::ingest::{Poster, stream};
use crate::measure::{cpu_seconds, memory_mb};
use crate::server::{Server, connect, emptied, megabytes};

const TAIL_BYTES: i64 = 1 << 30;
/// Nothing is flushed.
const FLAGS: [&str; 6] = ["--flush-interval-ms", "1h", "--flush-bytes", "16GiB", "--tail-bytes-max", "16GiB"];
/// Rows of a change, and who sends them at the same time.
const SHAPES: [(usize, usize); 2] = [(20_000, 2), (100, 64)];

/// Prints a line a shape of changes.
pub async fn run(program: &str, folder: &Path) -> Outcome<()> {
    println!("| rows a change | changes | rows | tail MB | log MB | start to answer s | CPU s | peak MB |");
    println!("|---|---|---|---|---|---|---|---|");
    for (rows, senders) in SHAPES {
        let server = Server::start(program, emptied(folder)?, &FLAGS)?;
        let (changes, tail) = fill(&server, rows, senders).await?;
        let before = sums(&server).await?;
        drop(server);
        let log = megabytes(folder, "/log/")?;
        let wall = std::time::Instant::now();
        let server = Server::start(program, folder, &FLAGS)?;
        let after = sums(&server).await?;
        let wall = wall.elapsed().as_secs_f64();
        if after != before || after.0 != i64::try_from(changes * rows as u64)? {
            return Err(format!("{changes} changes of {rows} rows; {before:?} became {after:?}").into());
        }
        // All that the process has used.
        let (cpu, peak) = (cpu_seconds(&server.id()), memory_mb(&server.id()).1);
        println!("| {rows} | {changes} | {} | {tail:.0} | {log:.0} | {wall:.1} | {cpu:.1} | {peak:.0} |", after.0);
    }
    emptied(folder).map(drop)
}

/// Fills the tail; gives the changes and its size in MB.
async fn fill(server: &Server, rows: usize, senders: usize) -> Outcome<(u64, f64)> {
    let client = connect(&server.connection).await?;
    client
        .batch_execute("CREATE TABLE readings (id bigint, device text, value double precision, at timestamptz)")
        .await?;
    let (enough, changes, body) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(stream(rows)?));
    let senders: Vec<_> = (0..senders)
        .map(|_| {
            let (enough, changes, body) = (Arc::clone(&enough), Arc::clone(&changes), Arc::clone(&body));
            let http = server.http.clone();
            std::thread::spawn(move || {
                let mut poster = Poster::new(&http, "application/vnd.apache.arrow.stream")?;
                while !enough.load(Ordering::Relaxed) {
                    changes.fetch_add(u64::from(poster.post(&body)?), Ordering::Relaxed);
                }
                Outcome::Ok(())
            })
        })
        .collect();
    let tail = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let row = client.query_one("SELECT tail_bytes FROM system.tables WHERE name = 'readings'", &[]).await?;
        let bytes: i64 = row.get(0);
        if bytes >= TAIL_BYTES || senders.iter().any(std::thread::JoinHandle::is_finished) {
            break bytes;
        }
    };
    enough.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.join().map_err(|_| "a sender panicked")??;
    }
    Ok((changes.load(Ordering::Relaxed), tail as f64 / 1e6))
}

/// What is the same before and after.
async fn sums(server: &Server) -> Outcome<(i64, f64)> {
    let row = connect(&server.connection).await?.query_one("SELECT count(*), sum(value) FROM readings", &[]).await?;
    Ok((row.get(0), row.get(1)))
}
