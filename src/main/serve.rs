//! `headwater serve`: opens the database, listens, and closes it in order when told to stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use headwater::{Config, Database, Result, Server, Trust};
use tokio::signal::unix::{SignalKind, signal};

/// Serves until SIGTERM or Ctrl-C.
pub async fn run(config: Config) -> Result<ExitCode> {
    let (_database, server) = start(config).await?;
    finish(server).await
}

/// Opens the database and says where it can be reached and what is unsafe about it.
pub async fn start(config: Config) -> Result<(Arc<Database>, Server)> {
    let database = Database::open(config).await?;
    set_password(&database).await?;
    let server = Server::start(&database).await?;
    println!("headwater {} serves {}", env!("CARGO_PKG_VERSION"), database.config().folder.display());
    if let Some(address) = server.postgres_address() {
        println!("listening for postgres on {address}");
    }
    if let Some(address) = server.http_address() {
        println!("listening for http on {address}");
    }
    for warning in warnings(&database, &server) {
        println!("warning: {warning}");
    }
    Ok((database, server))
}

/// The first role gets the password that the settings name.
async fn set_password(database: &Database) -> Result<()> {
    if let Some(password) = &database.config().password {
        let text = format!("ALTER ROLE headwater PASSWORD '{}'", password.replace('\'', "''"));
        database.session()?.sql(&text).await?;
    }
    Ok(())
}

/// What is unsafe about the way the database is served.
fn warnings(database: &Database, server: &Server) -> Vec<String> {
    let is_open = |address: Option<SocketAddr>| address.is_some_and(|address| !address.ip().is_loopback());
    let (postgres, http) = (is_open(server.postgres_address()), is_open(server.http_address()));
    let from = match database.config().trust {
        Trust::All if postgres => Some("on the network"),
        Trust::All | Trust::Loopback => Some("on this machine"),
        Trust::Nowhere => None,
    };
    let mut warnings = Vec::new();
    let (roles, trust) = (database.roles_without_password().join(", "), database.config().settings.get("trust"));
    if let Some(place) = from.filter(|_| !roles.is_empty()) {
        warnings.push(format!("anyone {place} may log in as {roles} without a password (trust = {trust})"));
    }
    if (postgres || http) && database.config().tls.is_none() {
        warnings.push(
            "clients on the network are served without TLS: what they read, and passwords that come by HTTP, can be seen \
             (tls_cert, tls_key)"
                .to_owned(),
        );
    }
    if http {
        warnings.push("http is open to the network: /metrics tells how busy the server is".to_owned());
    }
    warnings
}

/// Waits for the signal, then stops accepting, lets statements finish, and closes the database.
pub async fn finish(server: Server) -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    // Not before a signal is waited for: who reads it may end the server at once.
    println!("ready");
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    println!("stopping");
    server.stop().await?;
    println!("stopped");
    Ok(ExitCode::SUCCESS)
}
