//! Every setting, in one place: its name, type, default and meaning, and what it is set to, by whom.
//!
//! Two tables, one type: [`SERVER_SETTINGS`] (flag, environment, file) and [`SESSION_SETTINGS`] (SET, SHOW). Two stages:
//! [`Settings`] is what was typed, checked and with its origin; [`Config`] is what it means. After `Config` nothing
//! is parsed or checked again. Files, `--help`, `docs/settings.md` and `system.settings` are made from the tables.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::thread;

use url::Url;

use crate::error::{Error, ErrorKind, Result};

mod document;
mod server_table;
mod session_settings;
mod session_table;
mod setting;
mod settings;
mod size;
mod time_zone;

pub use document::settings_document;
pub use server_table::SERVER_SETTINGS;
pub use session_settings::{SessionSettings, SettingRow, join_values};
pub use session_table::SESSION_SETTINGS;
pub use setting::{Kind, Setting};
pub use settings::{Effective, Origin, Settings, unread_variables};

/// From where a role without a password may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// From this machine.
    Loopback,
    /// From anywhere.
    All,
    /// From nowhere.
    Nowhere,
}

/// What the settings of a server mean.
#[derive(Clone)]
pub struct Config {
    /// The folder of the catalog and the lock; of the tables too, unless `tables_url` says otherwise.
    pub folder: PathBuf,
    /// Where tables without a LOCATION go, when not in the folder.
    pub tables_url: Option<Url>,
    /// Options of object stores.
    pub store_options: BTreeMap<String, String>,
    /// Listener of the PostgreSQL wire.
    pub pg: Option<String>,
    /// Listener of Arrow Flight SQL.
    pub flight: Option<String>,
    /// Listener of HTTP.
    pub http: Option<String>,
    /// Clients that may be connected at a time.
    pub connections_max: usize,
    /// The first role's password, to be set at start.
    pub password: Option<String>,
    /// From where a role without a password may log in.
    pub trust: Trust,
    /// Certificate chain and private key: TLS is offered.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Memory that all statements share.
    pub memory_bytes_max: usize,
    /// Where statements spill; `spill` in the folder if `None`.
    pub spill_folder: Option<PathBuf>,
    /// Bytes that all spill files together may take.
    pub spill_bytes_max: u64,
    /// Parts that a plan is cut into.
    pub target_partitions: usize,
    /// Data files are written to about this size.
    pub target_file_bytes: u64,
    /// How long rows may be in the log and the tail alone; 0 is not at all.
    pub flush_interval_ms: u64,
    /// Tails of this size are flushed earlier.
    pub flush_bytes: u64,
    /// So many small files of one size are merged after a flush; 0 for never.
    pub merge_files_min: usize,
    /// What all tails together may take.
    pub tail_bytes_max: usize,
    /// Files of the write-ahead log have about this size.
    pub log_segment_bytes: u64,
    /// The largest body that brings rows, as it is sent.
    pub ingest_body_bytes_max: usize,
    /// What such a body may take once it is decompressed, and it or the batch of a source once it is decoded.
    pub ingest_decoded_bytes_max: usize,
    /// How deep the values of a JSON record may be nested.
    pub ingest_json_depth_max: usize,
    /// The default of `statement_timeout`; 0 for none.
    pub statement_timeout_ms: u64,
    /// How long running statements may take at shutdown.
    pub shutdown_deadline_ms: u64,
    /// Folders and URLs that statements may name.
    pub file_locations: Vec<String>,
    /// The filter of the log.
    pub log_level: String,
    /// Log lines are JSON.
    pub log_json: bool,
    /// What each setting is set to and where that was said.
    pub settings: Settings,
}

impl Config {
    /// The defaults, for a program that embeds a database in `folder`: no listeners.
    pub fn in_folder(folder: impl AsRef<Path>) -> Self {
        let listeners_off = Self::from_settings(Settings::default()).expect("the defaults of the table are valid");
        Self { folder: folder.as_ref().to_owned(), pg: None, flight: None, http: None, ..listeners_off }
    }

    /// What checked settings mean together.
    pub fn from_settings(settings: Settings) -> Result<Self> {
        let (folder, tables_url) = places(&settings)?;
        let config = Self {
            folder,
            tables_url,
            store_options: store_options(&settings),
            pg: listener(&settings, "pg"),
            flight: listener(&settings, "flight"),
            http: listener(&settings, "http"),
            connections_max: number(&settings, "connections_max"),
            password: password(&settings)?,
            trust: match settings.get("trust") {
                "all" => Trust::All,
                "none" => Trust::Nowhere,
                _ => Trust::Loopback,
            },
            tls: tls(&settings)?,
            memory_bytes_max: number(&settings, "memory_bytes_max"),
            spill_folder: settings.given("spill_folder").map(PathBuf::from),
            spill_bytes_max: number(&settings, "spill_bytes_max"),
            target_partitions: match number(&settings, "target_partitions") {
                0 => thread::available_parallelism().map_or(1, std::num::NonZero::get),
                partitions => partitions,
            },
            target_file_bytes: number(&settings, "target_file_bytes"),
            flush_interval_ms: number(&settings, "flush_interval_ms"),
            flush_bytes: number(&settings, "flush_bytes"),
            merge_files_min: number(&settings, "merge_files_min"),
            tail_bytes_max: number(&settings, "tail_bytes_max"),
            log_segment_bytes: number(&settings, "log_segment_bytes"),
            ingest_body_bytes_max: number(&settings, "ingest_body_bytes_max"),
            ingest_decoded_bytes_max: number(&settings, "ingest_decoded_bytes_max"),
            ingest_json_depth_max: number(&settings, "ingest_json_depth_max"),
            statement_timeout_ms: number(&settings, "statement_timeout_ms"),
            shutdown_deadline_ms: number(&settings, "shutdown_deadline_ms"),
            file_locations: list(settings.get("file_locations")),
            log_level: settings.get("log_level").to_owned(),
            log_json: settings.get("log_format") == "json",
            settings,
        };
        match config.flight {
            None => Ok(config),
            Some(_) => Err(Error::unsupported("Arrow Flight SQL is not in this version").hint("Leave flight off.")),
        }
    }
}

/// Secrets stay out of logs: only what `headwater config` prints is shown.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("folder", &self.folder).field("settings", &self.settings).finish()
    }
}

/// A checked number cannot fail to parse; one too large for the type is its greatest value.
fn number<T: TryFrom<u64> + Default>(settings: &Settings, name: &str) -> T {
    settings.get(name).parse::<u64>().ok().and_then(|number| T::try_from(number).ok()).unwrap_or_default()
}

fn listener(settings: &Settings, name: &str) -> Option<String> {
    Some(settings.get(name).to_owned()).filter(|address| address != "off")
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The folder of the catalog, and the URL of the tables when they are elsewhere.
fn places(settings: &Settings) -> Result<(PathBuf, Option<Url>)> {
    let data = settings.get("data");
    let catalog_folder = settings.given("catalog_folder").map(PathBuf::from);
    if !data.contains("://") {
        return match catalog_folder {
            None => Ok((PathBuf::from(data), None)),
            Some(_) => Err(invalid("catalog_folder is only for a database in a bucket")
                .hint("Leave it out: a database in a folder keeps its catalog there.")),
        };
    }
    let mut url = Url::parse(data).map_err(|error| invalid(format!("data \"{data}\" is not a URL: {error}")))?;
    if url.scheme() == "file" {
        let folder =
            url.to_file_path().map_err(|()| invalid(format!("data \"{data}\" is not a path of this machine")))?;
        return Ok((folder, None));
    }
    let folder = catalog_folder.ok_or_else(|| {
        invalid(format!("the database {data} needs a folder for its catalog"))
            .hint("Give one with --catalog-folder; keep it as safe as the bucket.")
    })?;
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok((folder, Some(url)))
}

fn store_options(settings: &Settings) -> BTreeMap<String, String> {
    let names = ["endpoint", "region", "access_key_id", "secret_access_key"];
    let given = |name: &&str| Some(((*name).to_owned(), settings.given(&format!("s3_{name}"))?.to_owned()));
    let mut options: BTreeMap<String, String> = names.iter().filter_map(given).collect();
    if settings.get("s3_allow_http") == "on" {
        options.insert("allow_http".to_owned(), "true".to_owned());
    }
    options
}

fn password(settings: &Settings) -> Result<Option<String>> {
    match (settings.given("password"), settings.given("password_file")) {
        (Some(_), Some(_)) => Err(invalid("password and password_file are both set").hint("Set one of them.")),
        (Some(password), None) => Ok(Some(password.to_owned())),
        (None, None) => Ok(None),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Error::from(error).within(format!("the password file {path}")))?;
            match text.lines().next().map(str::trim_end) {
                Some(password) if !password.is_empty() => Ok(Some(password.to_owned())),
                _ => Err(invalid(format!("the password file {path} is empty"))),
            }
        }
    }
}

fn tls(settings: &Settings) -> Result<Option<(PathBuf, PathBuf)>> {
    match (settings.given("tls_cert"), settings.given("tls_key")) {
        (Some(cert), Some(key)) => Ok(Some((cert.into(), key.into()))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(invalid("tls_cert is set, tls_key is not").hint("TLS needs both.")),
        (None, Some(_)) => Err(invalid("tls_key is set, tls_cert is not").hint("TLS needs both.")),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidParameterValue, message)
}

#[cfg(test)]
mod tests;
