//! `headwater demo`: serves a shop's data, made by `sql/demo.sql`, to try things on.

use std::process::ExitCode;
use std::time::Instant;

use headwater::{Config, Database, Reply, Result};

use crate::serve;

/// The tables and their rows, made with SQL alone; `:customers` stands for the number of customers. What a start that
/// was interrupted has made stays, and the next one makes the rest.
const DATA: &str = include_str!("../../sql/demo.sql");

const QUERIES: [(&str, &str); 3] = [
    (
        "revenue by month and country",
        "SELECT date_trunc('month', o.ordered_at)::date AS month, c.country, sum(i.quantity * i.unit_price) AS revenue\n\
         FROM orders o JOIN customers c USING (customer_id) JOIN order_items i USING (order_id)\n\
         WHERE o.status <> 'cancelled' GROUP BY 1, 2 ORDER BY revenue DESC LIMIT 10;",
    ),
    (
        "products that are often returned",
        "SELECT p.name, p.category, count(*) AS sold, round(100.0 * count(i.returned_at) / count(*), 1) AS returned_percent\n\
         FROM order_items i JOIN products p USING (product_id)\n\
         GROUP BY p.name, p.category ORDER BY returned_percent DESC, p.name LIMIT 10;",
    ),
    (
        "the best month of each category",
        "SELECT category, month, revenue FROM (\n\
         \x20 SELECT p.category, date_trunc('month', o.ordered_at)::date AS month, sum(i.quantity * i.unit_price) AS revenue,\n\
         \x20        row_number() OVER (PARTITION BY p.category ORDER BY sum(i.quantity * i.unit_price) DESC) AS place\n\
         \x20 FROM order_items i JOIN orders o USING (order_id) JOIN products p USING (product_id) GROUP BY 1, 2\n\
         ) AS months WHERE place = 1 ORDER BY category;",
    ),
];

/// Loads the data set unless it is there, then serves it.
pub async fn run(config: Config, customers: u32) -> Result<ExitCode> {
    let (database, server) = serve::start(config).await?;
    if !is_loaded(&database).await? {
        load(&database, customers).await?;
    }
    if let Some(address) = server.postgres_address() {
        println!("\n  psql -h {} -p {} -U headwater headwater\n", address.ip(), address.port());
    }
    for (title, query) in QUERIES {
        println!("-- {title}\n{query}\n");
    }
    serve::finish(server).await
}

/// The data set counts as loaded when its last table has rows.
async fn is_loaded(database: &Database) -> Result<bool> {
    let session = database.session()?;
    let text = "SELECT 1 FROM system.tables WHERE name = 'order_items' AND rows > 0";
    match session.sql(text).await? {
        Reply::Rows(rows) => Ok(rows.collect().await?.iter().any(|batch| batch.num_rows() > 0)),
        _ => Ok(false),
    }
}

async fn load(database: &Database, customers: u32) -> Result<()> {
    let started = Instant::now();
    println!("making the demo's tables ...");
    let session = database.session()?;
    for parsed in session.parse(&DATA.replace(":customers", &customers.to_string()))? {
        let prepared = session.prepare(&parsed, &[]).await?;
        if let Reply::Done(tag) = session.execute(&prepared, Vec::new()).await? {
            tracing::info!(tag = tag.0, "demo");
        }
    }
    println!("made in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}
