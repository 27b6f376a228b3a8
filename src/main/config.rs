//! `headwater config`: the settings in force and where each was set.

use std::io::Write;
use std::process::ExitCode;

use headwater::{Config, Result, settings_document};

/// Prints a line a setting, as a TOML file would have it, with its origin; or the reference.
pub fn print(config: &Config, document: bool) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if document {
        out.write_all(settings_document().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in config.settings.effective() {
        let assignment = format!("{} = {}", line.setting.name, quoted(&line.value));
        writeln!(out, "{assignment:<60} # {}", line.origin)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The value as a TOML text.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}
