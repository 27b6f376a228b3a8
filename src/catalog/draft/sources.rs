//! Edits of sources.

use std::sync::Arc;

use crate::catalog::definition::SourceDef;
use crate::catalog::draft::{Draft, Object};
use crate::catalog::name::Oid;
use crate::error::{Error, ErrorKind, Result};

impl Draft {
    /// Makes a source, with a number of its own.
    pub fn create_source(&mut self, mut source: SourceDef) -> Result<Oid> {
        if self.source_in(source.schema, &source.name).is_some() {
            let message = format!("source \"{}\" already exists", source.name);
            return Err(Error::new(ErrorKind::DuplicateObject, message));
        }
        if let Some(missing) = source.references().find(|oid| self.relation_by_oid(*oid).is_none()) {
            let message = format!("the table of source \"{}\" (number {missing}) does not exist", source.name);
            return Err(Error::new(ErrorKind::UndefinedTable, message).detail("It was dropped by another session."));
        }
        source.oid = self.allocate_oid()?;
        let oid = source.oid;
        self.put_source(source);
        Ok(oid)
    }

    /// Says why a source does not read, or with `None` that it does.
    pub fn pause_source(&mut self, oid: Oid, pause: Option<String>) -> Result<()> {
        let source = self.existing_source(oid)?;
        if source.pause != pause {
            self.put_source(SourceDef { pause, ..SourceDef::clone(&source) });
        }
        Ok(())
    }

    /// Drops a source. Gives its definition; the tables stay.
    pub fn drop_source(&mut self, oid: Oid) -> Result<Arc<SourceDef>> {
        let source = self.existing_source(oid)?;
        self.take_source(oid);
        Ok(source)
    }

    fn existing_source(&self, oid: Oid) -> Result<Arc<SourceDef>> {
        self.source_by_oid(oid).ok_or_else(|| {
            Error::new(ErrorKind::UndefinedObject, format!("source with number {oid} does not exist"))
                .detail("It was dropped by another session.")
        })
    }

    fn put_source(&mut self, source: SourceDef) {
        self.touched.insert(Object::Source(source.oid));
        self.working.put_source(source);
    }

    pub(super) fn take_source(&mut self, oid: Oid) {
        self.touched.insert(Object::Source(oid));
        self.working.remove_source(oid);
    }
}
