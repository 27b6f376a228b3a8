//! The way out: one buffer, written when it is full, when the client asks, and when a statement has nothing to say.

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::wire::postgres::Fault;

/// The buffer is written once it holds this much.
pub(super) const FLUSH_BYTES: usize = 128 << 10;

/// A buffer that one giant row has grown beyond this is given back.
const KEEP_BYTES_MAX: usize = 1 << 20;

/// Messages on their way to the client. A client that does not read stops the statement that writes: no row is
/// computed while the buffer waits.
pub(super) struct Outbox {
    /// Append messages here.
    pub(super) buffer: Vec<u8>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    gone: CancellationToken,
}

impl Outbox {
    /// `gone` ends a write that nobody waits for any more.
    pub(super) fn new(writer: Box<dyn AsyncWrite + Send + Unpin>, gone: CancellationToken) -> Self {
        Self { buffer: Vec::with_capacity(8 << 10), writer, gone }
    }

    /// Writes the buffer if it is full.
    pub(super) async fn relieve(&mut self) -> Result<(), Fault> {
        if self.buffer.len() >= FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Writes everything.
    pub(super) async fn flush(&mut self) -> Result<(), Fault> {
        let write = async {
            self.writer.write_all(&self.buffer).await?;
            self.writer.flush().await
        };
        let written = tokio::select! {
            biased;
            written = write => written,
            () = self.gone.cancelled() => return Err(Fault::Closed),
        };
        written.map_err(|_| Fault::Closed)?;
        self.buffer.clear();
        self.buffer.shrink_to(KEEP_BYTES_MAX);
        Ok(())
    }

    /// Writes what is left and says goodbye.
    pub(super) async fn close(&mut self) {
        if self.flush().await.is_ok() {
            // The client may have hung up first.
            let _: std::io::Result<()> = self.writer.shutdown().await;
        }
    }
}
