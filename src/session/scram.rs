//! A password's SCRAM-SHA-256 verifier, in the form that PostgreSQL keeps: nothing the password can be read from.

use crate::error::{Error, ErrorKind, Result};

/// The longest password in bytes; hashing a longer one would be a way to busy the server.
const PASSWORD_BYTES_MAX: usize = 1024;

/// `SCRAM-SHA-256$4096:salt$stored:server`. A text that has this form already is kept, as in PostgreSQL.
pub fn verifier(password: &str) -> Result<String> {
    if password.starts_with("SCRAM-SHA-256$") {
        return Ok(password.to_owned());
    }
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidPassword, "a password must have between 1 and 1024 bytes"));
    }
    Ok(postgres_protocol::password::scram_sha_256(password.as_bytes()))
}
