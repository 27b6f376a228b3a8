//! `headwater check`: what is wrong with a database, and what to do about it.

use std::process::ExitCode;

use headwater::{Config, Database, Result};

/// Prints the report; the exit code tells whether the database is sound.
pub async fn run(config: Config) -> Result<ExitCode> {
    let report = Database::check(config).await?;
    println!("{report}");
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
