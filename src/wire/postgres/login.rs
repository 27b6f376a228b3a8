//! Proving who one is on the PostgreSQL wire: SCRAM-SHA-256, so that a password never crosses it.

use pgwire::api::auth::sasl::scram::ScramServerAuth;

use crate::error::{Error, Result};
use crate::wire::postgres::answer;
use crate::wire::postgres::frame::{Body, Frame, violation};
use crate::wire::postgres::startup::Opening;
use crate::wire::proof::{Proof, wrong_password};
use crate::wire::tls::Tls;

const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

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
