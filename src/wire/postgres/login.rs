//! Proving who one is: SCRAM-SHA-256 against the verifier in the catalog, or nothing where that is allowed.
//!
//! A password never crosses the wire, and an unknown role is refused like a wrong password.

use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth};

use crate::config::Trust;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::postgres::answer;
use crate::wire::postgres::frame::{Body, Frame, violation};
use crate::wire::postgres::startup::Opening;
use crate::wire::tls::Tls;

const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// What a client must show.
pub(super) enum Proof {
    /// Nothing.
    Trust,
    /// That it knows the password.
    Password(ScramSecret),
    /// What nobody can: the exchange takes place and fails, so that it tells nothing of which roles exist.
    Impossible(ScramSecret),
}

/// Decides what a client must show. `verifier` is the outcome of looking the role up: none, without or with a password.
pub(super) fn proof(trust: Trust, user: &str, verifier: Option<Option<String>>, local: bool) -> Result<Proof> {
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
    let digits = text.trim_end_matches('=');
    if text.len() % 4 != 0 || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() / 4 * 3), 0_u32, 0);
    for letter in digits.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// Runs the exchange. False when the client left in its midst.
pub(super) async fn prove(opening: &mut Opening, user: &str, proof: Proof, tls: Option<&Tls>) -> Result<bool> {
    let (secret, possible) = match proof {
        Proof::Trust => return Ok(true),
        Proof::Password(secret) => (secret, true),
        Proof::Impossible(secret) => (secret, false),
    };
    let bound = tls.filter(|_| opening.encrypted);
    let mechanisms: &[&str] = if bound.is_some() { &[SCRAM_PLUS, SCRAM] } else { &[SCRAM] };
    answer::authentication(&mut opening.out, &answer::Authentication::Mechanisms(mechanisms));
    opening.send().await?;
    let Some(frame) = opening.receive().await? else { return Ok(false) };
    let (mechanism, first) = initial_response(frame)?;
    if !mechanisms.contains(&mechanism.as_str()) {
        return Err(violation("client selected an invalid SASL authentication mechanism"));
    }
    let mut server = ScramServerAuth::new();
    if let Some(tls) = bound {
        server.configure_certificate(&tls.certificate_pem).map_err(|error| Error::internal(error.to_string()))?;
    }
    let (challenge, waiting) =
        server.on_client_first_message_with_secret(&first, secret).map_err(|_| violation("malformed SCRAM message"))?;
    answer::authentication(&mut opening.out, &answer::Authentication::Continue(&challenge));
    opening.send().await?;
    let Some(frame) = opening.receive().await? else { return Ok(false) };
    let last = password_body(frame)?;
    // Whatever went wrong, the client learns no more than that the password is not the right one.
    let signature =
        waiting.on_client_final_message(&last).ok().filter(|_| possible).ok_or_else(|| wrong_password(user))?;
    answer::authentication(&mut opening.out, &answer::Authentication::Final(&signature));
    Ok(true)
}

fn wrong_password(user: &str) -> Error {
    Error::new(ErrorKind::InvalidPassword, format!("password authentication failed for user \"{user}\""))
}

fn password_body(frame: Frame) -> Result<bytes::Bytes> {
    match frame.letter {
        b'p' => Ok(frame.body),
        other => Err(violation(format!("expected SASL response, got message type {other}"))),
    }
}

/// The mechanism's name and the first SCRAM message.
fn initial_response(frame: Frame) -> Result<(String, bytes::Bytes)> {
    let mut body = Body::new(password_body(frame)?);
    let mechanism = body.text()?;
    let length = usize::try_from(body.i32()?).map_err(|_| violation("the SASL initial response is missing"))?;
    Ok((mechanism, body.bytes(length)?))
}
