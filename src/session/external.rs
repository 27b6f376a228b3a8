//! Tables whose folder others write too: before a statement is planned, what they have committed since is read. So it is where
//! a commit of ours got no answer.

use std::collections::BTreeSet;

use crate::catalog::Found;
use crate::catalog::definition::RelationKind;
use crate::catalog::name::Oid;
use crate::dialect::{Statement, relation_names};
use crate::error::Result;
use crate::session::Session;

impl Session {
    /// Brings the external tables that a statement names, itself or through views, up to date: one look for the next
    /// commit a table. A transaction looks once.
    pub(super) async fn follow_other_writers(&self, statement: &Statement) -> Result<()> {
        let buffer = self.server.buffer();
        for oid in self.external_tables(statement) {
            if self.transaction.lock().looks_first(oid) {
                buffer.refresh(oid).await?;
                self.transaction.lock().follow(oid, &buffer.current())?;
            }
        }
        Ok(())
    }

    fn external_tables(&self, statement: &Statement) -> BTreeSet<Oid> {
        let names = relation_names(statement);
        let catalog = &self.server.buffer().current().catalog;
        let search_path = self.settings.lock().search_path();
        let found = names.iter().filter_map(|name| match catalog.find(name, &search_path) {
            Some(Found::Relation(relation)) => Some(relation.oid),
            _ => None,
        });
        let (mut left, mut seen, mut external): (Vec<Oid>, _, _) = (found.collect(), BTreeSet::new(), BTreeSet::new());
        while let Some(oid) = left.pop() {
            let Some(relation) = catalog.relation_by_oid(oid).filter(|_| seen.insert(oid)) else { continue };
            match &relation.kind {
                RelationKind::View(view) => left.extend(&view.depends_on),
                RelationKind::Table(table) if table.external || self.server.buffer().is_in_doubt(oid) => {
                    external.insert(oid);
                }
                RelationKind::Table(_) => {}
            }
        }
        external
    }
}
