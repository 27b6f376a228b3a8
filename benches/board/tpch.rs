//! TPC-H in this process: our database beside plain DataFusion over the very files our tables consist of.
//!
//! Both run each query in turn, so that what else the machine does hits both; the least CPU time of the rounds counts.

use std::path::Path;
use std::sync::Arc;

use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::SessionContext;
use headwater::{Config, Database, Session};

use crate::measure::{Meter, THIS};
use crate::{Outcome, rows, text};

/// The tables, as the generator names its files.
const TABLES: [&str; 8] = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"];

/// Makes the tables from the generator's Parquet files, unless they are there.
pub async fn load(folder: &Path, source: &Path) -> Outcome<()> {
    let config = Config { file_locations: vec![source.display().to_string()], ..Config::in_folder(folder) };
    let database = Database::open(config).await?;
    let session = database.session()?;
    let meter = Meter::start(THIS);
    for table in TABLES {
        let file = source.join(format!("{table}.parquet"));
        let create = format!("CREATE TABLE IF NOT EXISTS {table} AS SELECT * FROM read_parquet('{}')", file.display());
        session.sql(&create).await?;
    }
    println!("load of TPC-H: {:.1} s, CPU {:.1} s", meter.wall(), meter.cpu());
    Ok(database.close().await?)
}

/// Prints a line a query and the sums: CPU seconds of plain DataFusion and ours.
pub async fn run(folder: &Path, queries: &Path, rounds: usize) -> Outcome<()> {
    let database = Database::open(Config::in_folder(folder)).await?;
    let session = database.session()?;
    let plain = plain(&session).await?;
    let (mut sums, mut walls) = ([0.0; 2], [0.0; 2]);
    println!("| query | rows | DataFusion CPU s | Headwater CPU s | ratio | DataFusion s | Headwater s |");
    println!("|---|---|---|---|---|---|---|");
    for number in 1..=22 {
        let query = std::fs::read_to_string(queries.join(format!("q{number:02}.sql")))?;
        let (mut cpu, mut wall, mut counts) = ([f64::MAX; 2], [f64::MAX; 2], [0; 2]);
        for _ in 0..rounds {
            for engine in 0..2 {
                let meter = Meter::start(THIS);
                counts[engine] = match engine {
                    0 => plain.sql(&query).await?.collect().await?.iter().map(|batch| batch.num_rows()).sum(),
                    _ => rows(&session, &query).await?.iter().map(|batch| batch.num_rows()).sum(),
                };
                cpu[engine] = meter.cpu().min(cpu[engine]);
                wall[engine] = meter.wall().min(wall[engine]);
            }
        }
        if counts[0] != counts[1] {
            return Err(format!("query {number}: {} rows from DataFusion, {} from us", counts[0], counts[1]).into());
        }
        println!(
            "| {number} | {} | {:.2} | {:.2} | {:.2} | {:.3} | {:.3} |",
            counts[0],
            cpu[0],
            cpu[1],
            cpu[1] / cpu[0],
            wall[0],
            wall[1]
        );
        for engine in 0..2 {
            sums[engine] += cpu[engine];
            walls[engine] += wall[engine];
        }
    }
    let ratio = sums[1] / sums[0];
    println!("| all | | {:.2} | {:.2} | **{ratio:.3}** | {:.2} | {:.2} |", sums[0], sums[1], walls[0], walls[1]);
    Ok(database.close().await?)
}

/// DataFusion as it comes, over the files of our tables.
async fn plain(session: &Session) -> Outcome<SessionContext> {
    let context = SessionContext::new();
    for table in TABLES {
        let files = format!(
            "SELECT t.location || '/' || f.path FROM system.tables t JOIN system.files f ON f.table_name = t.name \
             WHERE t.name = '{table}' AND t.schema_name = 'public' AND f.schema_name = 'public' ORDER BY 1"
        );
        let urls: Vec<_> = text(session, &files).await?.iter().map(ListingTableUrl::parse).collect::<Result<_, _>>()?;
        let options = ListingOptions::new(Arc::new(ParquetFormat::default()));
        let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options);
        let config = config.infer_schema(&context.state()).await?;
        let provider =
            ListingTable::try_new(config)?.with_cache(context.runtime_env().cache_manager.get_file_statistic_cache());
        context.register_table(table, Arc::new(provider))?;
    }
    Ok(context)
}
