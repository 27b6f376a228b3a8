//! HTTP: rows that programs push (`/v1/ingest/{table}`, `/v1/events`), whether the server lives (`/healthz`), whether it
//! takes work (`/readyz`), and its counters (`/metrics`).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::error::Result;
use crate::wire::tls::Tls;

mod arrivals;
mod body;
mod failure;
mod ingest;
mod login;

use arrivals::{Arrivals, Peer};

/// What the answers are made from.
#[derive(Clone)]
struct Shared {
    database: Arc<Database>,
    stopping: CancellationToken,
    proved: Arc<login::Proved>,
}

/// Serves until `stopped`; from `stopping` on the server is not ready.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    database: Arc<Database>,
    stopping: CancellationToken,
    stopped: CancellationToken,
) -> Result<()> {
    let arrivals = Arrivals::of(listener, tls, database.server().clock().clone())?;
    let shared = Shared { database, stopping, proved: Arc::default() };
    let router = Router::new()
        .route("/v1/ingest/{table}", post(ingest::ingest))
        .route("/v1/events", post(ingest::events))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(shared);
    let service = router.into_make_service_with_connect_info::<Peer>();
    axum::serve(arrivals, service).with_graceful_shutdown(stopped.cancelled_owned()).await?;
    Ok(())
}

async fn ready(State(shared): State<Shared>) -> impl IntoResponse {
    match shared.stopping.is_cancelled() {
        false => (StatusCode::OK, "ready\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shared.database.server().metrics_page())
}
