//! Rows over HTTP, as fast as two clients can send them: each answer comes after an fsync.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::ipc::writer::StreamWriter;
use tokio_postgres::NoTls;

use crate::Outcome;
use crate::measure::{Meter, Times, forget_peak, memory_mb};

const CLIENTS: usize = 2;
const ROWS: usize = 20_000;

/// Prints one line a format; rows that are not there in the end are an error.
pub async fn run(address: &str, connection: &str, process: &str, seconds: u64) -> Outcome<()> {
    let (client, driver) = tokio_postgres::connect(connection, NoTls).await?;
    tokio::spawn(driver);
    println!("| format | rows a request | rows | wall s | rows/s | server CPU s | p50 ms | p99 ms | peak MB |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let bodies = [
        ("NDJSON", "application/x-ndjson", lines()),
        ("CSV", "text/csv", csv()),
        ("Arrow", "application/vnd.apache.arrow.stream", stream(ROWS)?),
    ];
    for (name, content_type, body) in bodies {
        client
            .batch_execute(
                "DROP TABLE IF EXISTS readings;
                 CREATE TABLE readings (id bigint, device text, value double precision, at timestamptz)",
            )
            .await?;
        forget_peak(process);
        let meter = Meter::start(process);
        let until = Instant::now() + Duration::from_secs(seconds);
        let body = Arc::new(body);
        let senders: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (address, body) = (address.to_owned(), Arc::clone(&body));
                tokio::task::spawn_blocking(move || send_until(&address, content_type, &body, until))
            })
            .collect();
        let mut times = Times::default();
        for sender in senders {
            times.append(&mut sender.await??);
        }
        let (wall, cpu, rows) = (meter.wall(), meter.cpu(), times.len() * ROWS);
        let there: i64 = client.query_one("SELECT count(*) FROM readings", &[]).await?.get(0);
        if usize::try_from(there)? != rows {
            return Err(format!("{rows} rows were acknowledged, {there} are there").into());
        }
        println!(
            "| {name} | {ROWS} | {rows} | {wall:.1} | {:.0} | {cpu:.1} | {:.1} | {:.1} | {:.0} |",
            rows as f64 / wall,
            times.ms(0.5),
            times.ms(0.99),
            memory_mb(process).1
        );
    }
    Ok(())
}

/// Posts the body again and again over one connection; a refusal for pressure is waited for and sent again.
fn send_until(address: &str, content_type: &'static str, body: &[u8], until: Instant) -> Outcome<Times> {
    let (mut poster, mut times) = (Poster::new(address, content_type)?, Times::default());
    while Instant::now() < until {
        let started = Instant::now();
        match poster.post(body)? {
            true => times.push(started.elapsed()),
            false => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    Ok(times)
}

/// A connection over which rows of `readings` go.
pub struct Poster {
    stream: TcpStream,
    content_type: &'static str,
}

impl Poster {
    pub fn new(address: &str, content_type: &'static str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, content_type })
    }

    /// True once the rows are acknowledged; false where the server has to catch up first.
    pub fn post(&mut self, body: &[u8]) -> Outcome<bool> {
        let (content_type, length) = (self.content_type, body.len());
        let head = format!(
            "POST /v1/ingest/readings HTTP/1.1\r\nHost: bench\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(body)?;
        let answer = answer(&mut self.stream)?;
        match answer.get(9..12) {
            Some("202") => Ok(true),
            Some("429") => Ok(false),
            _ => Err(answer.into()),
        }
    }
}

fn answer(stream: &mut TcpStream) -> Outcome<String> {
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut part)?;
        answer.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let length =
            text.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse::<usize>().ok());
        match (text.split_once("\r\n\r\n"), length) {
            (Some((_, body)), Some(length)) if body.len() >= length => break,
            _ if read == 0 => return Err("the server hung up".into()),
            _ => {}
        }
    }
    Ok(String::from_utf8(answer)?)
}

fn lines() -> Vec<u8> {
    let line = |id: usize| {
        let (device, value, second) = (id % 997, id as f64 / 8.0, id % 60);
        format!(
            "{{\"id\":{id},\"device\":\"sensor-{device}\",\"value\":{value},\"at\":\"2026-01-01T00:00:{second:02}Z\"}}\n"
        )
    };
    (0..ROWS).map(line).collect::<String>().into()
}

fn csv() -> Vec<u8> {
    let line = |id: usize| {
        let (device, value, second) = (id % 997, id as f64 / 8.0, id % 60);
        format!("{id},sensor-{device},{value},2026-01-01T00:00:{second:02}Z\n")
    };
    let lines: String = (0..ROWS).map(line).collect();
    format!("id,device,value,at\n{lines}").into()
}

/// So many rows as Arrow.
pub fn stream(rows: usize) -> Outcome<Vec<u8>> {
    let numbers = 0..rows as i64;
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers.clone()));
    let device: ArrayRef =
        Arc::new(StringArray::from_iter_values(numbers.clone().map(|id| format!("sensor-{}", id % 997))));
    let value: ArrayRef = Arc::new(Float64Array::from_iter_values(numbers.clone().map(|id| id as f64 / 8.0)));
    let at = TimestampMicrosecondArray::from_iter_values(numbers.map(|id| 1_767_225_600_000_000 + id % 60 * 1_000_000));
    let at: ArrayRef = Arc::new(at.with_timezone("UTC"));
    let rows = RecordBatch::try_from_iter([("id", id), ("device", device), ("value", value), ("at", at)])?;
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(&rows)?;
    Ok(writer.into_inner()?)
}
