//! The secrets that a CancelRequest must know.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Protocol 3.0 has four bytes for a secret; 3.2 lets it be longer.
const SECRET_BYTES: [usize; 2] = [4, 32];

type Secrets = Arc<Mutex<HashMap<i32, Vec<u8>>>>;

/// The secrets of the open connections, by session.
#[derive(Default)]
pub(super) struct Keys(Secrets);

/// A connection's secret; it is forgotten with the connection.
pub(super) struct Key {
    secrets: Secrets,
    pid: i32,
    pub(super) secret: Vec<u8>,
}

impl Keys {
    /// A secret for a new session.
    pub(super) fn issue(&self, pid: i32, minor: u16) -> Key {
        let random: [u8; 32] = rand::random();
        let secret = random[..SECRET_BYTES[usize::from(minor >= 2)]].to_vec();
        self.0.lock().insert(pid, secret.clone());
        Key { secrets: Arc::clone(&self.0), pid, secret }
    }

    /// True when `secret` is that of the session.
    pub(super) fn fits(&self, pid: i32, secret: &[u8]) -> bool {
        let secrets = self.0.lock();
        let Some(known) = secrets.get(&pid) else { return false };
        // All bytes are compared, so that time tells nothing.
        known.len() == secret.len() && known.iter().zip(secret).fold(0, |sum, (one, other)| sum | (one ^ other)) == 0
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.secrets.lock().remove(&self.pid);
    }
}
