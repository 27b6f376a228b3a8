//! The body of a request: decompressed as it comes, never beyond its limits, and accounted to the memory of all statements.

use std::io;
use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use datafusion::execution::memory_pool::MemoryReservation;
use flate2::write::MultiGzDecoder;
use futures::StreamExt;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::http::failure::Failure;

/// How long a client may be silent in the midst of its body.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Reads a whole body. Each part is awaited together with `pause`, which ends when the client has been silent for too long.
pub(super) async fn read<P: Future<Output = ()>>(
    headers: &HeaderMap,
    body: Body,
    config: &Config,
    reservation: &MemoryReservation,
    pause: impl Fn(Duration) -> P,
) -> Result<Bytes, Failure> {
    let sent_max = config.ingest_body_bytes_max;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > sent_max) {
        return Err(too_large("the body", "ingest_body_bytes_max", sent_max));
    }
    let held = Held { bytes: Vec::new(), bytes_max: config.ingest_decoded_bytes_max, reservation, error: None };
    let mut decoder = Decoder::new(headers, held)?;
    if let (Decoder::Identity(held), Some(length)) = (&mut decoder, announced) {
        held.bytes.reserve_exact(length);
    }
    let (mut parts, mut sent) = (body.into_data_stream(), 0);
    loop {
        let part = tokio::select! {
            part = parts.next() => part,
            () = pause(SILENCE_MAX) => {
                let error = Error::new(ErrorKind::ProtocolViolation, "the body does not go on");
                return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, error));
            }
        };
        let Some(part) = part else { break };
        let part = part.map_err(|error| Failure::bad_request(format!("the body ended early: {error}")))?;
        sent += part.len();
        if sent > sent_max {
            return Err(too_large("the body", "ingest_body_bytes_max", sent_max));
        }
        let written = decoder.write_all(&part);
        decoder.outcome(written)?;
    }
    let flushed = decoder.finish();
    decoder.outcome(flushed)?;
    Ok(std::mem::take(&mut decoder.held().bytes).into())
}

fn too_large(what: &str, setting: &str, bytes_max: usize) -> Failure {
    let message = format!("{what} is larger than {setting}, {bytes_max} bytes");
    Error::new(ErrorKind::ProgramLimitExceeded, message).hint("Send the rows in several requests.").into()
}

/// What has come so far.
struct Held<'a> {
    bytes: Vec<u8>,
    bytes_max: usize,
    reservation: &'a MemoryReservation,
    /// Why it takes no more: the decoders' own errors could not say it.
    error: Option<Failure>,
}

impl Write for Held<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let taken = match self.bytes.len() + part.len() > self.bytes_max {
            true => Err(too_large("the decompressed body", "ingest_decoded_bytes_max", self.bytes_max)),
            false => self.reservation.try_grow(part.len()).map_err(|error| Error::from(error).into()),
        };
        if let Err(failure) = taken {
            self.error = Some(failure);
            return Err(io::Error::other("no more is taken"));
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Decoder<'a> {
    Identity(Held<'a>),
    Gzip(Box<MultiGzDecoder<Held<'a>>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Held<'a>>>),
}

impl<'a> Decoder<'a> {
    fn new(headers: &HeaderMap, held: Held<'a>) -> Result<Self, Failure> {
        let encoding = headers.get(header::CONTENT_ENCODING).map_or(Ok("identity"), |value| value.to_str());
        match encoding.unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "identity" => Ok(Self::Identity(held)),
            "gzip" | "x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(held)))),
            "zstd" => match zstd::stream::write::Decoder::new(held) {
                Ok(decoder) => Ok(Self::Zstd(Box::new(decoder))),
                Err(error) => Err(Error::internal(format!("zstd cannot be read: {error}")).into()),
            },
            other => {
                let error = Error::unsupported(format!("content encoding \"{other}\" is not supported"));
                Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error.hint("Use gzip, zstd or none.")))
            }
        }
    }

    fn held(&mut self) -> &mut Held<'a> {
        match self {
            Self::Identity(held) => held,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }

    fn write_all(&mut self, part: &[u8]) -> io::Result<()> {
        match self {
            Self::Identity(held) => held.write_all(part),
            Self::Gzip(decoder) => decoder.write_all(part),
            Self::Zstd(decoder) => decoder.write_all(part),
        }
    }

    /// The rest, and whether what came was whole.
    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zstd(decoder) => decoder.do_finish(),
        }
    }

    fn outcome(&mut self, outcome: io::Result<()>) -> Result<(), Failure> {
        let Err(error) = outcome else { return Ok(()) };
        let failure = self.held().error.take();
        Err(failure.unwrap_or_else(|| Failure::bad_request(format!("the body cannot be decompressed: {error}"))))
    }
}
