//! The log: lines of text or JSON on standard error.

use std::io::IsTerminal;

use headwater::{Config, Error, ErrorKind, Result};
use tracing_subscriber::EnvFilter;

/// Starts the log as the settings say.
pub fn start(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log_level).map_err(|error| {
        Error::new(ErrorKind::InvalidParameterValue, format!("log_level \"{}\" is no filter", config.log_level))
            .detail(error.to_string())
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = if config.log_json { builder.json().try_init() } else { builder.try_init() };
    started.map_err(|error| Error::internal(format!("the log cannot start: {error}")))
}
