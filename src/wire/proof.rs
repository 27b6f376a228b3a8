//! What a client must show to log in, the same on every wire: its password, or nothing where that is allowed.
//!
//! Only the verifier of a password is known. An unknown role is refused like a wrong password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use crate::config::Trust;
use crate::error::{Error, ErrorKind, Result};

#[cfg(test)]
mod tests;

/// What a client must show.
pub(in crate::wire) enum Proof {
    /// Nothing.
    Trust,
    /// That it knows the password.
    Password(ScramSecret),
    /// What nobody can: the exchange takes place and fails, so that it tells nothing of which roles exist.
    Impossible(ScramSecret),
}

/// Decides what a client must show. `verifier` is the outcome of looking the role up: none, without or with a password.
pub(in crate::wire) fn proof(trust: Trust, user: &str, verifier: Option<Option<String>>, local: bool) -> Result<Proof> {
    // A role with a password must always show it.
    let trusted = match trust {
        Trust::Loopback => local,
        Trust::All => true,
        Trust::Nowhere => false,
    };
    match (verifier, trusted) {
        (None, true) => Err(Error::new(ErrorKind::InvalidAuthorization, format!("role \"{user}\" does not exist"))),
        (Some(None), true) => Ok(Proof::Trust),
        (Some(Some(text)), _) => match parse_verifier(&text) {
            Some(secret) => Ok(Proof::Password(secret)),
            None => Err(Error::new(
                ErrorKind::InvalidAuthorization,
                format!("the stored password of role \"{user}\" is damaged"),
            )
            .hint("Set it again: ALTER ROLE ... PASSWORD '...'.")),
        },
        (Some(None) | None, false) => Ok(Proof::Impossible(random_secret())),
    }
}

fn random_secret() -> ScramSecret {
    let (salt, stored, server): ([u8; 16], [u8; 32], [u8; 32]) = (rand::random(), rand::random(), rand::random());
    ScramSecret::Verifier {
        salt: salt.to_vec(),
        iterations: 4096,
        stored_key: stored.to_vec(),
        server_key: server.to_vec(),
    }
}

/// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`
fn parse_verifier(text: &str) -> Option<ScramSecret> {
    let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
    let (salt, keys) = rest.split_once('$')?;
    let (stored, server) = keys.split_once(':')?;
    let (stored_key, server_key) = (decode_base64(stored)?, decode_base64(server)?);
    if stored_key.len() != 32 || server_key.len() != 32 {
        return None;
    }
    Some(ScramSecret::Verifier {
        salt: decode_base64(salt)?,
        iterations: iterations.parse().ok()?,
        stored_key,
        server_key,
    })
}

/// Standard alphabet, padded.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

impl Proof {
    /// True for the password that is asked for, and where none is. It takes some time, whatever the outcome. The client's
    /// part of the exchange is played here, for wires on which the password itself comes.
    pub(in crate::wire) fn met_by(self, password: &str) -> bool {
        let (secret, possible) = match self {
            Self::Trust => return true,
            Self::Password(secret) => (secret, true),
            Self::Impossible(secret) => (secret, false),
        };
        let mut client = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let begun = ScramServerAuth::new().on_client_first_message_with_secret(client.message(), secret);
        let Ok((challenge, waiting)) = begun else { return false };
        client.update(challenge.as_bytes()).is_ok()
            && waiting.on_client_final_message(client.message()).is_ok()
            && possible
    }
}

/// The error that tells nothing else.
pub(in crate::wire) fn wrong_password(user: &str) -> Error {
    Error::new(ErrorKind::InvalidPassword, format!("password authentication failed for user \"{user}\""))
}
