//! Notes of the log: how far sources have been read, and the keys under which clients have sent rows.
//!
//! The log alone holds them. Before it lets segments go, the notes that still count are logged again
//! ([`Buffer::release_log`](super::Buffer::release_log)), each with the change that first said it, so that the newest is
//! known whatever their order. Positions also go into the Delta commits of the rows that they belong to: a source goes on
//! from there where the log is lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::catalog::Snapshot;
use crate::catalog::name::Oid;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{KeyFact, Lsn, Note};

/// How long a client can send rows again under their key.
const KEY_RETENTION_MS: i64 = 24 * 60 * 60 * 1000;

/// How far sources have been read, by table and name: the position, and the change that said so.
#[derive(Clone, Default)]
pub(super) struct Positions(Arc<BTreeMap<(Oid, String), (Lsn, i64)>>);

impl Positions {
    pub fn get(&self, table: Oid, name: &str) -> Option<i64> {
        self.0.get(&(table, name.to_owned())).map(|(_, value)| *value)
    }

    /// What the newest note of each name says of a table.
    pub fn of(&self, table: Oid) -> Vec<(String, i64)> {
        let of_table = self.0.range((table, String::new())..).take_while(|((oid, _), _)| *oid == table);
        of_table.map(|((_, name), (_, value))| (name.clone(), *value)).collect()
    }

    /// Takes what a change says, unless a newer one has said otherwise.
    pub fn hear(&mut self, lsn: Lsn, note: &Note) {
        let Note::Position { table, name, value, said_by } = note else { return };
        let said = (said_by.unwrap_or(lsn), *value);
        let held = Arc::make_mut(&mut self.0).entry((*table, name.clone())).or_insert(said);
        if held.0 <= said.0 {
            *held = said;
        }
    }

    fn notes(&self) -> impl Iterator<Item = Note> {
        self.0.iter().map(|((table, name), (said_by, value))| Note::Position {
            table: *table,
            name: name.clone(),
            value: *value,
            said_by: Some(*said_by),
        })
    }
}

/// The keys under which clients have sent rows.
#[derive(Default)]
pub(super) struct Keys(Mutex<KeysHeld>);

#[derive(Default)]
struct KeysHeld {
    used: HashMap<(Oid, String), KeyFact>,
    claimed: HashSet<(Oid, String)>,
}

/// What is known of a key when rows come with it.
pub enum Claim {
    /// Nothing: the rows are to be added with this claim.
    New(ClaimedKey),
    /// The rows are there.
    Used(KeyFact),
}

/// A key that nobody else can use until its rows have been added, or have not.
pub struct ClaimedKey {
    keys: Arc<Keys>,
    key: (Oid, String),
}

impl ClaimedKey {
    /// The note that says what became of the rows.
    pub(super) fn note(&self, at_ms: i64, rows: i64, refused: i64) -> Note {
        Note::Key { table: self.key.0, key: self.key.1.clone(), fact: KeyFact { lsn: None, at_ms, rows, refused } }
    }
}

impl Drop for ClaimedKey {
    fn drop(&mut self) {
        self.keys.0.lock().claimed.remove(&self.key);
    }
}

impl Keys {
    /// Claims a key; the error is 40001 while others hold it.
    pub fn claim(self: &Arc<Self>, table: Oid, key: &str, now_ms: i64) -> Result<Claim> {
        let key = (table, key.to_owned());
        let mut held = self.0.lock();
        if let Some(fact) = held.used.get(&key).filter(|fact| !is_over(fact, now_ms)) {
            return Ok(Claim::Used(*fact));
        }
        if !held.claimed.insert(key.clone()) {
            let message = format!("rows with the key \"{}\" are being added right now", key.1);
            return Err(Error::new(ErrorKind::SerializationFailure, message).hint("Ask again with the same key."));
        }
        Ok(Claim::New(ClaimedKey { keys: Arc::clone(self), key }))
    }

    /// Takes what a change says.
    pub fn hear(&self, lsn: Lsn, note: &Note) {
        let Note::Key { table, key, fact } = note else { return };
        let fact = KeyFact { lsn: fact.lsn.or(Some(lsn)), ..*fact };
        self.0.lock().used.insert((*table, key.clone()), fact);
    }

    /// Forgets keys that are too old, and those of tables that are gone.
    fn tidy(&self, catalog: &Snapshot, now_ms: i64) {
        let mut held = self.0.lock();
        held.used.retain(|(table, _), fact| !is_over(fact, now_ms) && catalog.relation_by_oid(*table).is_some());
    }

    fn notes(&self) -> Vec<Note> {
        let note = |((table, key), fact): (&(Oid, String), &KeyFact)| Note::Key {
            table: *table,
            key: key.clone(),
            fact: *fact,
        };
        self.0.lock().used.iter().map(note).collect()
    }
}

fn is_over(fact: &KeyFact, now_ms: i64) -> bool {
    fact.at_ms < now_ms - KEY_RETENTION_MS
}

/// All notes that still count.
pub(super) fn living(positions: &Positions, keys: &Keys, catalog: &Snapshot, now_ms: i64) -> Vec<Note> {
    keys.tidy(catalog, now_ms);
    let positions = positions.notes().filter(|note| catalog.relation_by_oid(note.table()).is_some());
    positions.chain(keys.notes()).collect()
}
