//! The first packets: TLS, cancel requests, and what the client wants to be and to have.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::session::{DATABASE, Session};
use crate::wire::postgres::connection::{Connection, Ends};
use crate::wire::postgres::frame::{Body, Broken, Frame, read_frame, violation};
use crate::wire::postgres::keys::Key;
use crate::wire::postgres::{Level, Outbox, answer};
use crate::wire::tls::{TLS_HANDSHAKE, Tls};

#[cfg(test)]
mod tests;

/// The longest first packet.
const STARTUP_BYTES_MAX: usize = 10_000;

/// Codes that stand where a version would.
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// The newest minor version of protocol 3 that we speak.
const MINOR_MAX: u16 = 2;

/// Both directions of a connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection before it has a session.
pub(super) struct Opening {
    stream: Box<dyn Stream>,
    pub(super) encrypted: bool,
    code: u32,
    packet: Bytes,
    minor: u16,
    /// Messages that wait to be sent.
    pub(super) out: Vec<u8>,
}

/// What the startup packet asked for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) user: String,
    pub(super) database: String,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) minor: u16,
}

/// Brings the connection to its startup packet; `None` when it is not one for us.
pub(super) async fn negotiate(stream: TcpStream, tls: Option<&Tls>) -> std::io::Result<Option<Opening>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] == TLS_HANDSHAKE {
        // A client that starts with TLS must say for which protocol (PostgreSQL 17's sslnegotiation=direct).
        let Some(tls) = tls else { return Ok(None) };
        let stream = tls.accept(stream, true).await?;
        return read_startup(Box::new(stream), true).await.map(Some);
    }
    negotiate_in_clear(stream, tls).await
}

async fn negotiate_in_clear(mut stream: TcpStream, tls: Option<&Tls>) -> std::io::Result<Option<Opening>> {
    let mut asked_gss = false;
    loop {
        let (code, packet) = read_packet(&mut stream).await?;
        match (code, tls) {
            (SSL_REQUEST, Some(tls)) => {
                // Only these eight bytes were read: nothing sent in clear can pass for encrypted.
                stream.write_all(b"S").await?;
                let stream = tls.accept(stream, false).await?;
                return read_startup(Box::new(stream), true).await.map(Some);
            }
            (SSL_REQUEST, None) => {
                stream.write_all(b"N").await?;
                return read_after_refusal(stream).await.map(Some);
            }
            (GSS_REQUEST, _) if !asked_gss => {
                stream.write_all(b"N").await?;
                asked_gss = true;
            }
            _ => return Ok(Some(Opening::new(Box::new(stream), false, code, packet))),
        }
    }
}

/// After a refused TLS a client may still ask for GSS once.
async fn read_after_refusal(mut stream: TcpStream) -> std::io::Result<Opening> {
    let (code, packet) = read_packet(&mut stream).await?;
    if code == GSS_REQUEST {
        stream.write_all(b"N").await?;
        return read_startup(Box::new(stream), false).await;
    }
    Ok(Opening::new(Box::new(stream), false, code, packet))
}

async fn read_startup(mut stream: Box<dyn Stream>, encrypted: bool) -> std::io::Result<Opening> {
    let (code, packet) = read_packet(&mut stream).await?;
    Ok(Opening::new(stream, encrypted, code, packet))
}

async fn read_packet(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u32, Bytes)> {
    let length = stream.read_u32().await? as usize;
    if !(8..=STARTUP_BYTES_MAX).contains(&length) {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "invalid length of startup packet"));
    }
    let code = stream.read_u32().await?;
    let mut packet = vec![0; length - 8];
    stream.read_exact(&mut packet).await?;
    Ok((code, Bytes::from(packet)))
}

impl Opening {
    fn new(stream: Box<dyn Stream>, encrypted: bool, code: u32, packet: Bytes) -> Self {
        Self { stream, encrypted, code, packet, minor: 0, out: Vec::new() }
    }

    /// Session and secret, when the packet asks to cancel a statement.
    pub(super) fn cancel_request(&self) -> Option<(i32, &[u8])> {
        let (pid, secret) = self.packet.split_first_chunk()?;
        (self.code == CANCEL_REQUEST).then(|| (i32::from_be_bytes(*pid), secret))
    }

    /// Reads the startup packet, and tells a client of a newer protocol what we speak.
    pub(super) fn request(&mut self) -> Result<Request> {
        let (major, minor) = (self.code >> 16, (self.code & 0xffff) as u16);
        if major != 3 {
            return Err(Error::unsupported(format!(
                "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{MINOR_MAX}"
            )));
        }
        let (request, unknown) = parse_startup(self.packet.clone(), minor.min(MINOR_MAX))?;
        if minor > MINOR_MAX || !unknown.is_empty() {
            answer::negotiate_version(&mut self.out, request.minor, &unknown);
        }
        self.minor = request.minor;
        Ok(request)
    }

    /// Sends what waits to be sent.
    pub(super) async fn send(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).await?;
        self.stream.flush().await?;
        self.out.clear();
        Ok(())
    }

    /// The next message of a client that is not logged in yet; `None` when it has left.
    pub(super) async fn receive(&mut self) -> Result<Option<Frame>> {
        match read_frame(&mut self.stream).await {
            Ok(frame) => Ok(Some(frame)),
            Err(Broken::Closed) => Ok(None),
            Err(Broken::Protocol(error)) => Err(error),
        }
    }

    /// Says why there will be no session.
    pub(super) async fn refuse(&mut self, error: &Error) {
        answer::error(&mut self.out, error, Level::Fatal);
        if self.send().await.is_ok() {
            // The client may have hung up first.
            let _: std::io::Result<()> = self.stream.shutdown().await;
        }
    }

    /// The connection, with everything said that comes before the first statement.
    pub(super) fn ready(self, session: Session, key: Key, ends: Ends, clock: Clock) -> Connection {
        let (reader, writer) = tokio::io::split(self.stream);
        let mut outbox = Outbox::new(Box::new(writer), ends.gone.clone());
        outbox.buffer = self.out;
        answer::authentication(&mut outbox.buffer, &answer::Authentication::Ok);
        for (name, value) in session.settings().lock().take_reported_changes() {
            answer::parameter_status(&mut outbox.buffer, &name, &value);
        }
        answer::key_data(&mut outbox.buffer, session.pid(), &key.secret);
        answer::ready(&mut outbox.buffer, session.transaction_status());
        Connection::start(session, reader, outbox, key, ends, clock)
    }
}

/// Names and values until an empty name; also the protocol options that we do not know.
fn parse_startup(packet: Bytes, minor: u16) -> Result<(Request, Vec<String>)> {
    let mut body = Body::new(packet);
    let mut given = BTreeMap::new();
    let mut unknown = Vec::new();
    loop {
        let name =
            body.text().map_err(|_| violation("invalid startup packet layout: expected terminator as last byte"))?;
        if name.is_empty() {
            break;
        }
        let value = body.text()?;
        match name.starts_with("_pq_.") {
            true => unknown.push(name),
            false => {
                given.insert(name, value);
            }
        }
    }
    let user = given.remove("user").filter(|user| !user.is_empty()).ok_or_else(|| {
        Error::new(ErrorKind::InvalidAuthorization, "no PostgreSQL user name specified in startup packet")
    })?;
    let database = given.remove("database").filter(|name| !name.is_empty()).unwrap_or_else(|| user.clone());
    if given.remove("replication").is_some_and(|value| !matches!(value.as_str(), "false" | "off" | "no" | "0")) {
        return Err(Error::unsupported("replication connections are not supported"));
    }
    let mut settings =
        given.remove("options").map_or_else(|| Ok(BTreeMap::new()), |options| parse_options(&options))?;
    settings.append(&mut given);
    Ok((Request { user, database, settings, minor }, unknown))
}

/// `-c name=value --name=value`, with backslashes before blanks that belong to a value.
fn parse_options(options: &str) -> Result<BTreeMap<String, String>> {
    let mut words = vec![String::new()];
    let mut letters = options.chars();
    while let Some(letter) = letters.next() {
        match (letter, words.last_mut()) {
            ('\\', Some(word)) => word.extend(letters.next()),
            (letter, _) if letter.is_ascii_whitespace() => words.push(String::new()),
            (letter, Some(word)) => word.push(letter),
            (_, None) => {}
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut settings = BTreeMap::new();
    while let Some(word) = words.next() {
        let pair = match (word.as_str(), word.strip_prefix("--").or_else(|| word.strip_prefix("-c"))) {
            ("-c", _) => words.next(),
            (_, Some(pair)) => Some(pair.to_owned()),
            (_, None) => None,
        };
        let setting = pair.as_deref().and_then(|pair| pair.split_once('='));
        let (name, value) = setting.ok_or_else(|| {
            Error::new(ErrorKind::SyntaxError, format!("invalid command-line argument for server process: {word}"))
                .hint("Give options as \"-c name=value\".")
        })?;
        settings.insert(name.replace('-', "_"), value.to_owned());
    }
    Ok(settings)
}

impl Request {
    /// There is one database.
    pub(super) fn check_database(&self) -> Result<()> {
        if self.database == DATABASE {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidCatalogName, format!("database \"{}\" does not exist", self.database))
            .hint(format!("The database is \"{DATABASE}\".")))
    }
}
