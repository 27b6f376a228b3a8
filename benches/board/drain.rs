//! Ten million rows of six columns through a PostgreSQL client, which counts and drops them: text, binary, and in parts.

use std::pin::pin;

use futures::TryStreamExt;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::Outcome;
use crate::measure::{Meter, forget_peak, memory_mb};

const QUERY: &str = "SELECT id, kind, price, weight, at, name FROM events";
/// Rows of each part that a portal is asked for.
const PART: i32 = 10_000;

/// Prints a line a way of fetching. `process` is the server's, or `backend` for PostgreSQL's process of the connection.
pub async fn run(name: &str, connection: &str, process: &str) -> Outcome<()> {
    for way in ["text", "binary", "binary, portal of 10,000 rows"] {
        let (mut client, driver) = tokio_postgres::connect(connection, NoTls).await?;
        let driver = tokio::spawn(driver);
        let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        let process = if process == "backend" { backend.to_string() } else { process.to_owned() };
        forget_peak(&process);
        let before = memory_mb(&process).0;
        let meter = Meter::start(&process);
        let mut rows = 0_u64;
        match way {
            "text" => {
                let mut stream = pin!(client.simple_query_raw(QUERY).await?);
                while let Some(message) = stream.try_next().await? {
                    rows += u64::from(matches!(message, SimpleQueryMessage::Row(_)));
                }
            }
            "binary" => {
                let mut stream = pin!(client.query_raw(QUERY, Vec::<i32>::new()).await?);
                while stream.try_next().await?.is_some() {
                    rows += 1;
                }
            }
            _ => {
                let transaction = client.transaction().await?;
                let portal = transaction.bind(QUERY, &[]).await?;
                loop {
                    let mut part = pin!(transaction.query_portal_raw(&portal, PART).await?);
                    let before = rows;
                    while part.try_next().await?.is_some() {
                        rows += 1;
                    }
                    if rows == before {
                        break;
                    }
                }
            }
        }
        let (wall, cpu) = (meter.wall(), meter.cpu());
        let grown = memory_mb(&process).1 - before;
        println!(
            "| {name} | {way} | {rows} | {wall:.2} | {:.2} | {cpu:.2} | {before:.0} | {grown:.0} |",
            rows as f64 / wall / 1e6
        );
        drop(client);
        driver.await??;
    }
    Ok(())
}
