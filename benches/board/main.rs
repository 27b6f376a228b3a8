//! The board: what is to be reached, measured. `benches/run` makes the data and calls every part of it.

mod clients;
mod day;
mod drain;
mod ingest;
mod lake;
mod latency;
mod measure;
mod recovery;
mod server;
mod tpch;
mod writes;

use std::error::Error;
use std::path::Path;

use datafusion::arrow::array::{AsArray, RecordBatch};
use headwater::{Reply, Session};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "board tpch-load FOLDER SOURCE | tpch FOLDER QUERIES ROUNDS | lake-load FOLDER | lake FOLDER | merge FOLDER \
                     | drain NAME CONNECTION PID | clients CONNECTION PID SECONDS \
                     | ingest HTTP CONNECTION PID SECONDS | writes NAME CONNECTION UNLOGGED SECONDS \
                     | recovery PROGRAM FOLDER | day PROGRAM FOLDER HOURS \
                     | latency PROGRAM FOLDER SECONDS | latency-peer NAME CONNECTION PID SECONDS";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.as_slice() {
            ["tpch-load", folder, source] => tpch::load(Path::new(folder), Path::new(source)).await,
            ["tpch", folder, queries, rounds] => {
                tpch::run(Path::new(folder), Path::new(queries), rounds.parse()?).await
            }
            ["lake-load", folder] => lake::load(Path::new(folder)).await,
            ["lake", folder] => lake::run(Path::new(folder)).await,
            ["merge", folder] => lake::merge(Path::new(folder)).await,
            ["drain", name, connection, process] => drain::run(name, connection, process).await,
            ["clients", connection, process, seconds] => clients::run(connection, process, seconds.parse()?).await,
            ["ingest", http, connection, process, seconds] => {
                ingest::run(http, connection, process, seconds.parse()?).await
            }
            ["writes", name, connection, unlogged, seconds] => {
                writes::run(name, connection, unlogged, seconds.parse()?).await
            }
            ["recovery", program, folder] => recovery::run(program, Path::new(folder)).await,
            ["day", program, folder, hours] => day::run(program, Path::new(folder), hours.parse()?).await,
            ["latency", program, folder, seconds] => latency::run(program, Path::new(folder), seconds.parse()?).await,
            ["latency-peer", name, connection, process, seconds] => {
                latency::peer(name, connection, process, seconds.parse()?).await
            }
            _ => Err(USAGE.into()),
        }
    })
}

/// The rows of a query.
async fn rows(session: &Session, query: &str) -> Outcome<Vec<RecordBatch>> {
    match session.sql(query).await? {
        Reply::Rows(rows) => Ok(rows.collect().await?),
        _ => Err(format!("no rows from: {query}").into()),
    }
}

/// The values of a query's last column, which is text or is printed.
async fn text(session: &Session, query: &str) -> Outcome<Vec<String>> {
    let mut values = Vec::new();
    for batch in rows(session, query).await? {
        let column = batch.columns().last().ok_or("a query without columns")?;
        let column = datafusion::arrow::compute::cast(column, &datafusion::arrow::datatypes::DataType::Utf8)?;
        values.extend(column.as_string::<i32>().iter().map(|value| value.unwrap_or("NULL").to_owned()));
    }
    Ok(values)
}
