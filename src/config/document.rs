//! `docs/settings.md`, made from the tables.

use std::fmt::Write;

use crate::config::server_table::SERVER_SETTINGS;
use crate::config::session_table::SESSION_SETTINGS;
use crate::config::setting::{Place, Setting};

const HEAD: &str = "# Settings

Made from `src/config/server_table.rs` and `src/config/session_table.rs`; a test keeps this page equal to them
(`HEADWATER_BLESS=1 cargo test --lib config` writes it).

## Of the server

Each is a flag (`--memory-bytes-max`), an environment variable (`HEADWATER_MEMORY_BYTES_MAX`) and a key of the TOML file
given with `--config` (`memory_bytes_max = \"2GiB\"`). A flag beats the environment, the environment beats the file.
`headwater config` prints what is in force and where it was set; variables of that form that nobody reads are told at the start.
Flags of one job are variables too: `HEADWATER_CUSTOMERS` (demo), `HEADWATER_FORMAT` and `HEADWATER_HISTORY` (sql), `HEADWATER_CONFIG`.

| setting | type | default | meaning |
|---|---|---|---|
";

const MIDDLE: &str = "
## Of a session

Set with `SET name = value`, `SET LOCAL` for one transaction, `ALTER ROLE ... SET`, or by the client when it connects.
Names with a dot (`myapp.user`) belong to applications and take any text. *Reported* ones are sent to the client at every
change; *facts* cannot be set.

| setting | type | default | meaning |
|---|---|---|---|
";

/// The text of `docs/settings.md`.
pub fn settings_document() -> String {
    let mut page = HEAD.to_owned();
    SERVER_SETTINGS.iter().for_each(|setting| line(&mut page, setting));
    page.push_str(MIDDLE);
    SESSION_SETTINGS.iter().for_each(|setting| line(&mut page, setting));
    page
}

fn line(page: &mut String, setting: &Setting) {
    let words = setting.kind.words();
    let kind =
        if words.is_empty() { setting.kind.name().to_owned() } else { format!("one of `{}`", words.join("`, `")) };
    let unit = setting.kind.unit().map_or(String::new(), |unit| format!(" ({unit})"));
    let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
    let remark = match setting.place {
        Place::Reported => " *Reported.*",
        Place::Fact => " *Fact.*",
        Place::ReportedFact => " *Fact, reported.*",
        Place::Secret => " *Secret: never shown.*",
        Place::Server | Place::Session => "",
    };
    let written = writeln!(page, "| `{}` | {kind}{unit} | {default} | {}{remark} |", setting.name, setting.help);
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}
