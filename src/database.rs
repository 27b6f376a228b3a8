//! Database: opens the floors bottom-up, hands out sessions, closes top-down.
//!
//! One process owns a database folder at a time (`<folder>/lock`). Closing waits for running statements, up to a
//! deadline, then cancels them. Invariant: what a statement acknowledged is durable before the answer leaves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::buffer::{Buffer, BufferOptions};
use crate::catalog::{Catalog, FolderLock};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{Engine, EngineConfig};
use crate::error::{Error, Result};
use crate::log::LogOptions;
use crate::session::{Login, Server, Session, Sessions};
use crate::tables::Stores;

mod check;
mod flusher;
mod merger;

pub use check::Report;

/// The write-ahead log, in the database folder.
const LOG: &str = "log";
/// Where statements spill, in the database folder, when the settings name no other place.
const SPILL: &str = "spill";

/// An open database: a folder or a bucket, and everything that runs over it.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use headwater::{Config, Database, Reply};
///
/// let folder = tempfile::tempdir().unwrap();
/// let database = Database::open(Config::in_folder(folder.path())).await?;
/// let session = database.session()?;
/// session.sql("CREATE TABLE visits (path text, at timestamptz DEFAULT now())").await?;
/// session.sql("INSERT INTO visits (path) VALUES ('/'), ('/docs'), ('/')").await?;
/// let Reply::Rows(rows) = session.sql("SELECT path, count(*) FROM visits GROUP BY path ORDER BY path").await? else {
///     unreachable!("a SELECT gives rows")
/// };
/// let batches = rows.collect().await?;
/// assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
/// database.close().await?;
/// # Ok::<(), headwater::Error>(()) }).unwrap();
/// ```
pub struct Database {
    server: Arc<Server>,
    config: Config,
    /// Ends what goes on in the background.
    closing: CancellationToken,
}

impl Database {
    /// Opens a database; its folder is made if there is none.
    pub fn open(config: Config) -> BoxFuture<'static, Result<Arc<Self>>> {
        Self::open_with(config, Clock::Real)
    }

    /// As [`Database::open`], with time passed in.
    pub fn open_with(config: Config, clock: Clock) -> BoxFuture<'static, Result<Arc<Self>>> {
        Box::pin(async move {
            let stores = Stores::new(config.store_options.clone())?;
            Self::open_over(config, clock, stores).await
        })
    }

    /// As [`Database::open_with`], with the stores that tables are in.
    fn open_over(config: Config, clock: Clock, stores: Stores) -> BoxFuture<'static, Result<Arc<Self>>> {
        Box::pin(async move {
            let folder = config.folder.clone();
            make_private_folder(&folder)?;
            let lock = FolderLock::take(&folder)?;
            let catalog = Catalog::open(&folder.join("catalog.sqlite"))?;
            let stores = Arc::new(stores);
            let options = BufferOptions {
                log: LogOptions { segment_bytes: config.log_segment_bytes, ..LogOptions::default() },
                tail_bytes_max: config.tail_bytes_max,
            };
            let buffer = Buffer::open(catalog, Arc::clone(&stores), clock, &folder.join(LOG), options).await?;
            let buffer = Arc::new(buffer);
            clear_spill(&folder.join(SPILL))?;
            let engine = Engine::new(engine_config(&config, &folder)?, Arc::clone(&buffer))?;
            let server = Arc::new(Server::new(engine, buffer, config.clone(), lock));
            let closing = CancellationToken::new();
            flusher::start(&server, merger::start(&server, closing.clone()));
            server.sources().start();
            Ok(Arc::new(Self { server, config, closing }))
        })
    }

    /// A session of the first role, for programs that embed the database.
    pub fn session(&self) -> Result<Session> {
        Session::open(&self.server, Login::embedded())
    }

    /// A session for a client that has proved who it is.
    pub fn session_for(&self, login: Login) -> Result<Session> {
        Session::open(&self.server, login)
    }

    /// The open sessions.
    pub fn sessions(&self) -> &Sessions {
        self.server.sessions()
    }

    /// The settings the database was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Roles that log in without a password, where `trust` lets them.
    pub fn roles_without_password(&self) -> Vec<String> {
        let current = self.server.buffer().current();
        let open = current.catalog.roles().filter(|role| role.login && role.verifier.is_none());
        open.map(|role| role.name.clone()).collect()
    }

    /// What all sessions share.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Starts no more statements, waits for running ones until `shutdown_deadline_ms`, then cancels them. The folder may
    /// then be opened again.
    pub fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.close_within(Duration::from_millis(self.config.shutdown_deadline_ms))
    }

    /// As [`Database::close`], with another deadline for statements that run.
    pub fn close_within(&self, deadline: Duration) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.closing.cancel();
            self.server.sources().close().await;
            self.server.drain(deadline).await?;
            if let Err(error) = flusher::flush_all(&self.server).await {
                tracing::warn!(%error, "rows stay in the log until the next start");
            }
            self.server.release(deadline).await;
            Ok(())
        })
    }

    /// Looks at every part of a database folder that no server has open.
    pub fn check(config: Config) -> BoxFuture<'static, Result<Report>> {
        Box::pin(async move {
            let folder = config.folder.clone();
            let _lock = FolderLock::take(&folder)?;
            check::run(&config, &folder).await
        })
    }
}

fn engine_config(config: &Config, folder: &Path) -> Result<EngineConfig> {
    Ok(EngineConfig {
        memory_bytes_max: config.memory_bytes_max,
        spill_folder: config.spill_folder.clone().unwrap_or_else(|| folder.join(SPILL)),
        spill_bytes_max: config.spill_bytes_max,
        target_partitions: config.target_partitions,
        target_file_bytes: config.target_file_bytes,
        uses_tails: config.flush_interval_ms > 0,
        tables_url: tables_url(config, folder)?,
        file_locations: config.file_locations.clone(),
    })
}

/// Where tables without a LOCATION go: the bucket, or the folder's `tables`.
fn tables_url(config: &Config, folder: &Path) -> Result<Url> {
    match &config.tables_url {
        Some(url) => Ok(url.clone()),
        None => {
            let folder = folder.join("tables");
            make_private_folder(&folder)?;
            let absolute = std::fs::canonicalize(&folder)?;
            Url::from_directory_path(&absolute)
                .map_err(|()| Error::internal(format!("{} is no path", absolute.display())))
        }
    }
}

/// Removes what statements of a process that was killed have spilled. Only our own folder: another may be shared.
fn clear_spill(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::from(error).within(format!("the spill folder {} cannot be cleared", folder.display())))
        }
        _ => Ok(()),
    }
}

/// Makes a folder that only its owner can enter.
fn make_private_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::from(error).within(format!("the folder {} cannot be made", folder.display())))
}

#[cfg(test)]
mod tests;
