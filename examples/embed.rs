//! The library in a program of yours: open, define, insert, query with parameters, stream, cancel, close.
//!
//!     cargo run --example embed -- FOLDER

use futures::StreamExt;
use headwater::{Config, Database, Error, Reply, Rows, ScalarValue, Session};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "headwater-data".to_owned());
    let database = Database::open(Config::in_folder(folder)).await?;
    let session = database.session()?;

    session.sql("DROP TABLE IF EXISTS visits").await?;
    session.sql("CREATE TABLE visits (id bigint, path text, at timestamptz DEFAULT now())").await?;
    let insert = "INSERT INTO visits (id, path) SELECT n, '/page/' || n % 3 FROM generate_series(1, 100000) AS s(n)";
    if let Reply::Done(tag) = session.sql(insert).await? {
        println!("{}", tag.0);
    }

    // Parameters are values, never text.
    let query = "SELECT path, count(*) AS visits FROM visits WHERE id <= $1 GROUP BY path ORDER BY path";
    for batch in rows(session.sql_with(query, vec![ScalarValue::from(50_000_i64)]).await?).collect().await? {
        println!("{}", headwater::arrow::util::pretty::pretty_format_batches(&[batch])?);
    }

    // Batches come as they are computed: only those that are read are made.
    let mut all = rows(session.sql("SELECT id FROM visits").await?);
    let mut count = 0;
    while let Some(batch) = all.stream.next().await {
        count += batch?.num_rows();
    }
    println!("{count} rows streamed");

    println!("cancelled: {}", cancel_halfway(&session).await?);
    database.close().await
}

/// Reads a few of very many rows, then ends the statement, as another task could.
async fn cancel_halfway(session: &Session) -> Result<String, Error> {
    let canceller = session.canceller();
    let mut endless = rows(session.sql("SELECT n * n FROM generate_series(1, 1000000000) AS s(n)").await?);
    while let Some(batch) = endless.stream.next().await {
        match batch {
            Ok(_) => canceller.cancel(),
            Err(error) => return Ok(Error::from(error).sqlstate().to_owned()),
        }
    }
    Ok("not in time".to_owned())
}

fn rows(reply: Reply) -> Rows {
    match reply {
        Reply::Rows(rows) => rows,
        _ => unreachable!("a SELECT gives rows"),
    }
}
