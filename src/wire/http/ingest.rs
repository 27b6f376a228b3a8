//! `POST /v1/ingest/{table}` and `POST /v1/events`: rows in, an answer once they are on stable storage.

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::catalog::definition::RelationDef;
use crate::dialect;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{Accepted, CsvLayout, Format, Payload};
use crate::session::{Delivery, Session};
use crate::wire::http::arrivals::Peer;
use crate::wire::http::failure::Failure;
use crate::wire::http::{Shared, body, failure, login};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The table of events that name none.
const EVENTS_TABLE: &str = "events";
/// What dead letters say of where they came from.
const SOURCE: &str = "http";

/// Adds the records of the body to the table of the path.
pub(super) async fn ingest(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(table): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let session = login::session(&shared, &parts.headers, peer).await?;
    refuse_options(&parts.uri)?;
    let relation = session.ingest_target(&dialect::parse_name(&table)?)?;
    let (format, key) = (format(&parts.headers)?, key(&parts.headers)?);
    let work = Work { shared: &shared, session: &session, headers: &parts.headers };
    let (bytes, held) = work.body(body).await?;
    let accepted = work.add(&relation, format, bytes, key).await;
    drop(held);
    Ok(answer(&accepted?))
}

/// Events in one envelope.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    events: &'a RawValue,
    batch_id: Option<String>,
    table: Option<String>,
}

/// Adds the events of an envelope to the table that it names.
pub(super) async fn events(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let session = login::session(&shared, &parts.headers, peer).await?;
    refuse_options(&parts.uri)?;
    if format(&parts.headers)? != Format::Json {
        return Err(unsupported_type("events come as application/json"));
    }
    let work = Work { shared: &shared, session: &session, headers: &parts.headers };
    let (bytes, held) = work.body(body).await?;
    let envelope: Envelope<'_> = serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(ErrorKind::InvalidTextRepresentation, "the body is not {\"events\": [...], \"batch_id\": \"...\"}")
            .detail(error.to_string())
    })?;
    if !envelope.events.get().starts_with('[') {
        return Err(Failure::bad_request("\"events\" is not an array"));
    }
    let key = match (key(&parts.headers)?, envelope.batch_id) {
        (Some(key), Some(id)) if key != id => {
            return Err(Failure::bad_request("Idempotency-Key and batch_id are both given, and differ"));
        }
        (key, id) => id.or(key),
    };
    let relation = session.ingest_target(&dialect::parse_name(envelope.table.as_deref().unwrap_or(EVENTS_TABLE))?)?;
    let events = bytes.slice_ref(envelope.events.get().as_bytes());
    let accepted = work.add(&relation, Format::Json, events, key).await;
    drop(held);
    Ok(answer(&accepted?))
}

/// What both requests need.
struct Work<'a> {
    shared: &'a Shared,
    session: &'a Session,
    headers: &'a HeaderMap,
}

impl Work<'_> {
    /// The whole body, and the memory that it is accounted for until the answer.
    async fn body(
        &self,
        body: axum::body::Body,
    ) -> Result<(Bytes, datafusion::execution::memory_pool::MemoryReservation), Failure> {
        let server = self.shared.database.server();
        let held = server.reservation(SOURCE);
        let clock = server.clock();
        let bytes = body::read(self.headers, body, server.config(), &held, |pause| clock.sleep(pause)).await?;
        // Columns take about what their text took.
        held.try_grow(bytes.len()).map_err(Error::from)?;
        Ok((bytes, held))
    }

    async fn add(&self, table: &RelationDef, format: Format, bytes: Bytes, key: Option<String>) -> Result<Accepted> {
        let payload = Payload { bytes, is_key: false, raw: None, place: None, before: 0, source: SOURCE.into() };
        self.session.ingest(table, Delivery { format, payload, key }).await
    }
}

fn refuse_options(uri: &Uri) -> Result<(), Failure> {
    match uri.query() {
        None | Some("") => Ok(()),
        Some(options) => Err(Failure::bad_request(format!("unknown option: {options}"))),
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let text = |value: &axum::http::HeaderValue| value.to_str().map(str::to_owned);
    let key = headers.get(IDEMPOTENCY_KEY).map(text).transpose();
    key.map_err(|_| Failure::bad_request("Idempotency-Key holds more than visible ASCII letters"))
}

/// The format that the content type names.
fn format(headers: &HeaderMap) -> Result<Format, Failure> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = given.split(';').map(|part| part.trim().to_ascii_lowercase());
    let mut format = match parts.next().unwrap_or_default().as_str() {
        "application/json" => Format::Json,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Format::NdJson,
        "text/csv" => Format::Csv(CsvLayout::default()),
        "application/vnd.apache.arrow.stream" => Format::ArrowStream,
        "application/vnd.apache.arrow.file" => Format::ArrowFile,
        "application/vnd.apache.parquet" => Format::Parquet,
        "" => return Err(unsupported_type("the request has no content type")),
        other => return Err(unsupported_type(&format!("content type \"{other}\" is not supported"))),
    };
    for parameter in parts.filter(|parameter| !parameter.is_empty()) {
        match (parameter.as_str(), &mut format) {
            ("charset=utf-8" | "charset=\"utf-8\"", _) | ("header=present", Format::Csv(_)) => {}
            ("header=absent", Format::Csv(layout)) => layout.has_header = false,
            (other, _) => {
                return Err(unsupported_type(&format!("parameter \"{other}\" of the content type is unknown")));
            }
        }
    }
    Ok(format)
}

fn unsupported_type(message: &str) -> Failure {
    let hint = "Use application/json, application/x-ndjson, text/csv, application/vnd.apache.arrow.stream, \
                application/vnd.apache.arrow.file or application/vnd.apache.parquet.";
    Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Error::unsupported(message).hint(hint))
}

fn answer(accepted: &Accepted) -> Response {
    let Accepted { lsn, rows, late_rows, dead_letters, ignored_fields, added_columns, is_duplicate, .. } = accepted;
    let mut body =
        serde_json::json!({ "rows": rows, "dead_letter": dead_letters, "lsn": lsn, "duplicate": is_duplicate });
    if *late_rows > 0 {
        body["late_rows"] = serde_json::json!(late_rows);
    }
    if !ignored_fields.is_empty() {
        body["ignored_fields"] = serde_json::json!(ignored_fields);
    }
    if !added_columns.is_empty() {
        body["added_columns"] = serde_json::json!(added_columns);
    }
    failure::json(StatusCode::ACCEPTED, &body)
}
