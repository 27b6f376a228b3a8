//! Who sends a request: HTTP Basic with the roles and passwords of the PostgreSQL wire; without it the first role, where
//! `trust` lets that in.
//!
//! To check a password takes milliseconds, on purpose; a client that sends many requests is checked once ([`Proved`]).

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::session::{Login, Session};
use crate::wire::http::Shared;
use crate::wire::http::arrivals::Peer;
use crate::wire::proof::{proof, wrong_password};

/// Who is meant by a request that does not say.
const FIRST_ROLE: &str = "headwater";

/// A session for the request's sender, who has proved to be it.
pub(super) async fn session(shared: &Shared, headers: &HeaderMap, peer: Peer) -> Result<Session> {
    if shared.stopping.is_cancelled() {
        return Err(Error::new(ErrorKind::CannotConnectNow, "the server is stopping"));
    }
    let is_here = peer.address.ip().is_loopback();
    let (user, password) = match headers.get(header::AUTHORIZATION) {
        None => (FIRST_ROLE.to_owned(), String::new()),
        Some(_) if shared.database.config().tls.is_some() && !is_here && !peer.is_encrypted => {
            return Err(Error::new(ErrorKind::InsufficientPrivilege, "a password came over the network in clear")
                .detail("This server has a certificate, and takes passwords from other machines by HTTPS only.")
                .hint("Use https:// with the same host and port, and change the password."));
        }
        Some(value) => basic(value.as_bytes()).ok_or_else(|| {
            Error::new(ErrorKind::InvalidAuthorization, "the authorization is not understood")
                .hint("Send \"Authorization: Basic\" with the name of a role and its password.")
        })?,
    };
    let server = shared.database.server();
    let trust = shared.database.config().trust;
    let verifier = server.verifier(&user);
    let proof = proof(trust, &user, verifier.clone(), is_here)?;
    let shown = shared.proved.shown(&verifier, &password);
    if !shared.proved.holds(&user, shown) {
        let is_met = tokio::task::spawn_blocking(move || proof.met_by(&password)).await;
        if !is_met.map_err(|error| Error::internal(format!("the password's check ended: {error}")))? {
            return Err(wrong_password(&user));
        }
        if let Some(Some(_)) = verifier {
            shared.proved.keep(&user, shown);
        }
    }
    shared.database.session_for(Login {
        user,
        wire: "http",
        address: Some(peer.address.ip().to_string()),
        encrypted: peer.is_encrypted,
        settings: BTreeMap::new(),
    })
}

/// Name and password of `Basic <base64 of name:password>`.
fn basic(value: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, credentials) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = plain.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The last password that each role has proved itself with: as numbers that only this process can make of it, together
/// with the verifier that it was checked against.
#[derive(Default)]
pub(super) struct Proved {
    secrets: [RandomState; 2],
    held: Mutex<HashMap<String, Shown>>,
}

type Shown = [u64; 2];

impl Proved {
    fn shown(&self, verifier: &Option<Option<String>>, password: &str) -> Shown {
        self.secrets.each_ref().map(|secret| secret.hash_one((verifier, password)))
    }

    fn holds(&self, user: &str, shown: Shown) -> bool {
        self.held.lock().get(user) == Some(&shown)
    }

    fn keep(&self, user: &str, shown: Shown) {
        self.held.lock().insert(user.to_owned(), shown);
    }
}
