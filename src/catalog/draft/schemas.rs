//! Edits of schemas.

use std::sync::Arc;

use crate::catalog::definition::{RelationDef, SchemaDef};
use crate::catalog::dependency::{dependents, describe, describe_source, still_needed};
use crate::catalog::draft::{Draft, Object, check_name, is_system_schema};
use crate::catalog::name::Oid;
use crate::error::{Error, ErrorKind, Result};

impl Draft {
    /// Makes a schema.
    pub fn create_schema(&mut self, name: &str, owner: Oid) -> Result<Oid> {
        self.check_new_schema(name)?;
        let oid = self.allocate_oid()?;
        self.put_schema(SchemaDef { oid, name: name.to_owned(), owner, comment: None });
        Ok(oid)
    }

    /// Gives a schema another name; its relations go with it.
    pub fn rename_schema(&mut self, name: &str, new_name: &str) -> Result<()> {
        let schema = self.users_schema(name)?;
        self.check_new_schema(new_name)?;
        self.put_schema(SchemaDef { name: new_name.to_owned(), ..schema });
        Ok(())
    }

    /// Gives a schema another owner.
    pub fn own_schema(&mut self, name: &str, owner: Oid) -> Result<()> {
        let schema = self.users_schema(name)?;
        self.put_schema(SchemaDef { owner, ..schema });
        Ok(())
    }

    /// Sets or, with `None`, removes a schema's comment.
    pub fn comment_on_schema(&mut self, name: &str, comment: Option<String>) -> Result<()> {
        let schema = self.users_schema(name)?;
        self.put_schema(SchemaDef { comment, ..schema });
        Ok(())
    }

    /// Drops a schema and, with `cascade`, what is in it and what stands on that. Returns the relations that went.
    pub fn drop_schema(&mut self, name: &str, cascade: bool) -> Result<Vec<Arc<RelationDef>>> {
        let schema = self.require_schema(name)?;
        if is_system_schema(schema.oid) {
            return Err(Error::new(
                ErrorKind::DependentObjectsStillExist,
                format!("cannot drop schema {name} because it is required by the database system"),
            ));
        }
        let inside: Vec<Arc<RelationDef>> = self.relations_in(schema.oid).cloned().collect();
        let sources: Vec<_> = self.sources().filter(|source| source.schema == schema.oid).cloned().collect();
        if !(cascade || inside.is_empty() && sources.is_empty()) {
            let mut lines: Vec<String> = inside
                .iter()
                .map(|relation| format!("{} depends on schema {name}", describe(self, relation)))
                .collect();
            let of_sources =
                sources.iter().map(|source| format!("{} depends on schema {name}", describe_source(self, source)));
            lines.extend(of_sources.chain(dependents(self, &inside).lines));
            return Err(still_needed(&format!("schema {name}"), &lines));
        }
        let dropped = self.drop_all(inside);
        for source in sources {
            self.take_source(source.oid);
        }
        self.touched.insert(Object::Schema(schema.oid));
        self.working.remove_schema(name);
        Ok(dropped)
    }

    fn put_schema(&mut self, schema: SchemaDef) {
        self.touched.insert(Object::Schema(schema.oid));
        self.working.put_schema(schema);
    }

    /// A schema that users may change.
    fn users_schema(&self, name: &str) -> Result<SchemaDef> {
        let schema = self.require_schema(name)?;
        if is_system_schema(schema.oid) {
            return Err(Error::new(
                ErrorKind::InsufficientPrivilege,
                format!("permission denied: \"{name}\" is a system schema"),
            ));
        }
        Ok(SchemaDef::clone(&schema))
    }

    fn check_new_schema(&self, name: &str) -> Result<()> {
        check_name("schema", name)?;
        if self.schema(name).is_some() {
            return Err(Error::new(ErrorKind::DuplicateSchema, format!("schema \"{name}\" already exists")));
        }
        if name.starts_with("pg_") {
            return Err(Error::new(ErrorKind::ReservedName, format!("unacceptable schema name \"{name}\""))
                .detail("The prefix \"pg_\" is reserved for system schemas."));
        }
        Ok(())
    }
}
