//! A connection to NATS servers and a stream of theirs: login, TLS, and consumers.
//!
//! A connection that breaks is not mended here: whoever reads hears of it, and opens another one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Info, RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{ClientConfig, RootCertStore};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::options::addresses;
use crate::catalog::definition::SourceDef;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::sources::options::Chosen;

/// How long a server may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A consumer that nobody asks goes by itself: who reads may be waiting for memory.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// A connection, and the stream.
pub(super) struct Connection {
    pub client: Client,
    pub context: Context,
    pub stream: Stream,
    trouble: watch::Receiver<Option<String>>,
}

impl Connection {
    pub async fn open(engine: &Engine, source: &SourceDef) -> Result<Self> {
        let chosen = Chosen(source);
        let servers = addresses(chosen.text("servers"))?;
        let (tell, trouble) = watch::channel(None);
        let has_tls_options = ["ca_pem", "certificate_pem"].iter().any(|name| !chosen.text(name).is_empty());
        let mut options = ConnectOptions::new()
            .name("headwater")
            .connection_timeout(ANSWER_LIMIT)
            // One that breaks is given up soon, or it would be tried for ever by a client that nobody has.
            .max_reconnects(servers.len())
            .tls_client_config(tls(engine, source)?)
            .require_tls(has_tls_options)
            .event_callback(move |event| {
                if matches!(event, Event::Disconnected | Event::SlowConsumer(_) | Event::ServerError(_)) {
                    tell.send_replace(Some(event.to_string()));
                }
                async {}
            });
        if let Some(password) = chosen.secret("password", engine)? {
            options = options.user_and_password(chosen.text("username").to_owned(), password);
        }
        if let Some(token) = chosen.secret("token", engine)? {
            options = options.token(token);
        }
        let client = options.connect(servers).await.map_err(|error| match error.kind() {
            ConnectErrorKind::AuthorizationViolation => {
                Error::new(ErrorKind::InvalidAuthorization, "the server refuses the login")
            }
            _ => failed("the servers cannot be reached", error),
        })?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ANSWER_LIMIT);
        let stream = stream(&context, chosen.text("stream")).await.map_err(|error| explained(error, &trouble))?;
        Ok(Self { client, context, stream, trouble })
    }

    /// What has gone wrong with it; waits for that.
    pub async fn trouble(&mut self) -> Error {
        let why = match self.trouble.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "closed".to_owned(),
        };
        Error::new(ErrorKind::IoError, format!("the connection has broken: {why}"))
    }

    /// Hands messages on from somewhere.
    pub async fn consumer(&self, source: &SourceDef, from: DeliverPolicy) -> Result<PullConsumer> {
        let filter_subject = Chosen(source).text("subject").to_owned();
        let made = consumer(&self.stream, pull::Config { filter_subject, ..reader(from) }).await;
        made.map_err(|error| explained(error, &self.trouble))
    }
}

/// A question that a login may not ask is never answered; the server says so aside.
fn explained(error: Error, trouble: &watch::Receiver<Option<String>>) -> Error {
    match trouble.borrow().as_deref() {
        Some(why) => failed(error.message(), why),
        None => error,
    }
}

fn reader(from: DeliverPolicy) -> pull::Config {
    pull::Config {
        description: Some("headwater".to_owned()),
        deliver_policy: from,
        ack_policy: AckPolicy::None,
        inactive_threshold: IDLE_MAX,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    }
}

async fn consumer(stream: &Stream, config: pull::Config) -> Result<PullConsumer> {
    stream.create_consumer(config).await.map_err(|error| failed("the stream cannot be read", error))
}

async fn stream(context: &Context, name: &str) -> Result<Stream> {
    let stream = context.get_stream(name).await.map_err(|error| match error.kind() {
        GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            Error::new(ErrorKind::UndefinedObject, format!("stream \"{name}\" does not exist"))
        }
        _ => failed("the stream cannot be looked at", error),
    })?;
    match stream.cached_info().config.retention {
        RetentionPolicy::Limits => Ok(stream),
        _ => Err(Error::unsupported(format!("stream \"{name}\" removes messages when they are delivered"))
            .hint("Read a stream with retention limits that has this one among its sources.")),
    }
}

/// The sequence of the first message that came then or later; the next one where there is none.
pub(super) async fn at(stream: &Stream, moment: DateTime<Utc>) -> Result<u64> {
    let start_time = async_nats::datetime::from_nanos(i128::from(moment.timestamp_micros()) * 1000)
        .map_err(|_| Error::new(ErrorKind::DatetimeFieldOverflow, format!("{moment} is out of range")))?;
    let found = consumer(stream, reader(DeliverPolicy::ByStartTime { start_time })).await?;
    let info = found.cached_info();
    let deleted = stream.delete_consumer(&info.name).await;
    deleted.map_err(|error| failed("a consumer cannot be removed", error))?;
    Ok(info.delivered.stream_sequence + 1)
}

/// When a stream was made, which no two of one name have in common.
pub(super) fn created(info: &Info) -> i64 {
    i64::try_from(info.created.unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

/// TLS, for servers that have it: by `ring`, as everywhere here.
fn tls(engine: &Engine, source: &SourceDef) -> Result<ClientConfig> {
    let chosen = Chosen(source);
    let invalid = |name: &str, why: String| {
        Error::new(ErrorKind::InvalidParameterValue, format!("option \"{name}\" cannot be used: {why}"))
    };
    let certificates = |name: &str| -> Result<Vec<CertificateDer<'static>>> {
        let read = CertificateDer::pem_slice_iter(chosen.text(name).as_bytes()).collect::<Result<Vec<_>, _>>();
        match read {
            Ok(read) if !read.is_empty() => Ok(read),
            Ok(_) => Err(invalid(name, "it holds no certificate".to_owned())),
            Err(error) => Err(invalid(name, error.to_string())),
        }
    };
    let mut roots = RootCertStore::empty();
    if chosen.text("ca_pem").is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        for certificate in certificates("ca_pem")? {
            roots.add(certificate).map_err(|error| invalid("ca_pem", error.to_string()))?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots);
    let Some(key) = chosen.secret("key_pem", engine)? else { return Ok(builder.with_no_client_auth()) };
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| invalid("key_pem", "it holds no key".to_owned()))?;
    builder
        .with_client_auth_cert(certificates("certificate_pem")?, key)
        .map_err(|error| invalid("certificate_pem", error.to_string()))
}

pub(super) fn failed(what: &str, error: impl fmt::Display) -> Error {
    Error::new(ErrorKind::IoError, format!("{what}: {error}"))
}
