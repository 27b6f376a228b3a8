//! TLS for every wire: the certificate and key are read once, at start.

use std::path::Path;
use std::sync::Arc;

use pgwire::tokio::tokio_rustls::TlsAcceptor;
use pgwire::tokio::tokio_rustls::rustls::ServerConfig;
use pgwire::tokio::tokio_rustls::rustls::crypto::ring;
use pgwire::tokio::tokio_rustls::rustls::pki_types::pem::PemObject;
use pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use pgwire::tokio::tokio_rustls::server::TlsStream;
use tokio::net::TcpStream;

use crate::error::{Error, ErrorKind, Result};

/// The first byte of a client that starts with TLS at once.
pub(super) const TLS_HANDSHAKE: u8 = 0x16;

/// A server's certificate and key, for one protocol.
pub(super) struct Tls {
    /// What clients may name as what they want to speak.
    protocol: &'static [u8],
    acceptor: TlsAcceptor,
    /// The certificate as it was read: SCRAM binds a login to it.
    pub(super) certificate_pem: Vec<u8>,
}

impl Tls {
    /// Reads PEM files.
    pub(super) fn load(certificate: &Path, key: &Path, protocol: &'static str) -> Result<Self> {
        let protocol = protocol.as_bytes();
        let certificate_pem = read(certificate)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate_pem)
            .collect::<Result<_, _>>()
            .map_err(|error| invalid(certificate, &error.to_string()))?;
        if chain.is_empty() {
            return Err(invalid(certificate, "it holds no certificate"));
        }
        let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| invalid(key, &error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal(format!("TLS cannot be set up: {error}")))?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| invalid(key, &error.to_string()))?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Self { protocol, acceptor: TlsAcceptor::from(Arc::new(config)), certificate_pem })
    }

    /// The handshake. `direct` clients must have named the protocol.
    pub(super) async fn accept(&self, stream: TcpStream, direct: bool) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = self.acceptor.accept(stream).await?;
        if direct && stream.get_ref().1.alpn_protocol() != Some(self.protocol) {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "direct TLS without the protocol's name"));
        }
        Ok(stream)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Error::from(error).within(format!("the file {} cannot be read", path.display())))
}

fn invalid(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::InvalidParameterValue, format!("the file {} cannot be used for TLS: {why}", path.display()))
}
