//! A working copy of the definitions: every edit checks its rules here, and nothing is real before it is published.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::catalog::definition::{RelationDef, RoleDef, SchemaDef, SourceDef};
use crate::catalog::name::{NAME_BYTES_MAX, Oid};
use crate::catalog::snapshot::{SYSTEM_SCHEMAS, Snapshot};
use crate::error::{Error, ErrorKind, Result};

mod relations;
mod roles;
mod schemas;
mod sources;

/// A working copy of a [`Snapshot`]; it reads as one, its own edits included.
pub struct Draft {
    working: Snapshot,
    touched: BTreeSet<Object>,
    next_oid: Arc<AtomicU32>,
}

/// What the store keeps under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    Schema(Oid),
    Relation(Oid),
    Role(Oid),
    Source(Oid),
}

/// One row of the store to write, in its final state.
pub(super) enum Write {
    Schema(Arc<SchemaDef>),
    Relation(Arc<RelationDef>),
    Role(Arc<RoleDef>),
    Source(Arc<SourceDef>),
    Delete(Oid),
}

impl Draft {
    pub(super) fn over(base: &Snapshot, next_oid: Arc<AtomicU32>) -> Self {
        Self { working: base.clone(), touched: BTreeSet::new(), next_oid }
    }

    /// A number that no object has or ever had.
    pub fn allocate_oid(&mut self) -> Result<Oid> {
        let oid = self.next_oid.fetch_add(1, Ordering::SeqCst);
        if oid < Oid::FIRST_USER.0 || oid == u32::MAX {
            self.next_oid.store(u32::MAX, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::ProgramLimitExceeded, "the catalog has no object numbers left")
                .hint("Move the tables to a new database folder with CREATE TABLE ... USING DELTA LOCATION."));
        }
        Ok(Oid(oid))
    }

    /// True when there is nothing to publish.
    pub fn is_unchanged(&self) -> bool {
        self.touched.is_empty()
    }

    /// The final state of everything that was touched, and the snapshot to publish.
    pub(super) fn finish(mut self) -> (Snapshot, Vec<Write>) {
        self.working.generation += 1;
        let mut deletions = Vec::new();
        let mut writes = Vec::new();
        for object in &self.touched {
            let (oid, write) = match *object {
                Object::Schema(oid) => (oid, self.working.schema_by_oid(oid).map(Write::Schema)),
                Object::Relation(oid) => (oid, self.working.relation_by_oid(oid).map(Write::Relation)),
                Object::Role(oid) => (oid, self.working.role_by_oid(oid).map(Write::Role)),
                Object::Source(oid) => (oid, self.working.source_by_oid(oid).map(Write::Source)),
            };
            match write {
                Some(write) => writes.push(write),
                None => deletions.push(Write::Delete(oid)),
            }
        }
        // Deletions first: a new object may have the name of one that goes.
        deletions.append(&mut writes);
        (self.working, deletions)
    }

    fn put_relation(&mut self, relation: RelationDef) {
        self.touched.insert(Object::Relation(relation.oid));
        self.working.put_relation(relation);
    }

    fn take_relation(&mut self, oid: Oid) -> Option<Arc<RelationDef>> {
        self.touched.insert(Object::Relation(oid));
        self.working.remove_relation(oid)
    }
}

impl Deref for Draft {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.working
    }
}

fn check_name(kind: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::SyntaxError, "zero-length delimited identifier"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::new(ErrorKind::NameTooLong, format!("{kind} name \"{name}\" is too long"))
            .detail(format!("It has {} bytes; a name has at most {NAME_BYTES_MAX}.", name.len())));
    }
    if name.contains('\0') {
        return Err(Error::new(ErrorKind::InvalidName, format!("{kind} name contains a zero byte")));
    }
    Ok(())
}

fn is_system_schema(oid: Oid) -> bool {
    SYSTEM_SCHEMAS.iter().any(|(_, system)| *system == oid)
}
