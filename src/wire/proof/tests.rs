//! Who is trusted, and what a stored verifier must look like.

use crate::config::Trust;
use crate::session::scram::verifier;
use crate::wire::proof::{Proof, decode_base64, parse_verifier, proof};

/// PostgreSQL's verifier of the password `secret`, abridged to its shape.
const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=:\
                        AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn base64_is_read() {
    assert_eq!(decode_base64("aGVsbG8=").unwrap(), b"hello");
    assert_eq!(decode_base64("").unwrap(), b"");
    for bad in ["a", "aGVsbG8", "aGVs*G8=", "===="] {
        assert!(decode_base64(bad).is_none(), "{bad}");
    }
}

#[test]
fn verifiers_are_checked() {
    assert!(parse_verifier(VERIFIER).is_some());
    for bad in ["", "md5abc", "SCRAM-SHA-256$x:c2Fs$AA==:AA==", "SCRAM-SHA-256$4096:c2Fs$AA==:AA=="] {
        assert!(parse_verifier(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_password_is_always_asked_for_where_there_is_one() {
    for (trust, local) in [(Trust::All, true), (Trust::Loopback, true), (Trust::Nowhere, false)] {
        let asked = proof(trust, "a", Some(Some(VERIFIER.to_owned())), local).unwrap();
        assert!(matches!(asked, Proof::Password(_)));
    }
}

#[test]
fn roles_without_a_password_are_trusted_from_this_machine_only() {
    assert!(matches!(proof(Trust::Loopback, "a", Some(None), true).unwrap(), Proof::Trust));
    assert!(matches!(proof(Trust::Loopback, "a", Some(None), false).unwrap(), Proof::Impossible(_)));
    assert!(matches!(proof(Trust::Nowhere, "a", Some(None), true).unwrap(), Proof::Impossible(_)));
    assert!(matches!(proof(Trust::All, "a", Some(None), false).unwrap(), Proof::Trust));
}

#[test]
fn strangers_learn_nothing_of_which_roles_exist() {
    assert!(matches!(proof(Trust::Loopback, "a", None, false).unwrap(), Proof::Impossible(_)));
    let Err(error) = proof(Trust::Loopback, "a", None, true) else { unreachable!("the role does not exist") };
    assert_eq!((error.sqlstate(), error.message()), ("28000", "role \"a\" does not exist"));
}

#[test]
fn the_password_itself_is_enough_where_a_wire_brings_it() {
    let asked = |text: &str| proof(Trust::All, "a", Some(Some(text.to_owned())), true).unwrap();
    let stored = verifier("päss:word").unwrap();
    assert!(asked(&stored).met_by("päss:word"));
    for wrong in ["pass:word", "", "päss:word "] {
        assert!(!asked(&stored).met_by(wrong), "{wrong}");
    }
    assert!(!asked(VERIFIER).met_by("secret"));
    assert!(!proof(Trust::Nowhere, "a", None, true).unwrap().met_by("x"));
    assert!(proof(Trust::All, "a", Some(None), true).unwrap().met_by("anything"));
}
