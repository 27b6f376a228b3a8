//! Edits of roles.

use crate::catalog::definition::RoleDef;
use crate::catalog::draft::{Draft, Object, check_name};
use crate::catalog::name::Oid;
use crate::error::{Error, ErrorKind, Result};

impl Draft {
    /// Makes a role; a number that is [`Oid::NONE`] is given here.
    pub fn create_role(&mut self, mut role: RoleDef) -> Result<Oid> {
        self.check_new_role(&role.name)?;
        if role.oid == Oid::NONE {
            role.oid = self.allocate_oid()?;
        }
        let oid = role.oid;
        self.write_role(role);
        Ok(oid)
    }

    /// Puts another definition in the place of the role with its number, also under another name.
    pub fn replace_role(&mut self, role: RoleDef) -> Result<()> {
        let Some(old) = self.role_by_oid(role.oid) else {
            return Err(Error::new(ErrorKind::UndefinedObject, format!("role \"{}\" does not exist", role.name)));
        };
        if old.name != role.name {
            self.check_new_role(&role.name)?;
        }
        let loses_last_superuser = old.superuser && !role.superuser && self.superusers() == 1;
        if loses_last_superuser {
            return Err(last_superuser(&old.name, "must stay a superuser"));
        }
        self.write_role(role);
        Ok(())
    }

    /// Drops a role that owns nothing.
    pub fn drop_role(&mut self, name: &str) -> Result<()> {
        let role = self.require_role(name)?;
        if role.superuser && self.superusers() == 1 {
            return Err(last_superuser(name, "cannot be dropped"));
        }
        let owned = self.owned_by(role.oid);
        if !owned.is_empty() {
            return Err(Error::new(
                ErrorKind::DependentObjectsStillExist,
                format!("role \"{name}\" cannot be dropped because some objects depend on it"),
            )
            .detail(owned.join("\n"))
            .hint("Give them another owner with ALTER ... OWNER TO, or drop them."));
        }
        self.touched.insert(Object::Role(role.oid));
        self.working.remove_role(name);
        Ok(())
    }

    fn write_role(&mut self, role: RoleDef) {
        self.touched.insert(Object::Role(role.oid));
        self.working.put_role(role);
    }

    fn superusers(&self) -> usize {
        self.roles().filter(|role| role.superuser).count()
    }

    fn owned_by(&self, role: Oid) -> Vec<String> {
        let schemas = self.schemas().filter(|schema| schema.owner == role);
        let relations = self.relations().filter(|relation| relation.owner == role);
        schemas
            .map(|schema| format!("owner of schema {}", schema.name))
            .chain(relations.map(|relation| format!("owner of {} {}", relation.kind_name(), self.name_of(relation))))
            .collect()
    }

    fn check_new_role(&self, name: &str) -> Result<()> {
        check_name("role", name)?;
        if name.starts_with("pg_") {
            return Err(Error::new(ErrorKind::ReservedName, format!("role name \"{name}\" is reserved"))
                .detail("Role names starting with \"pg_\" are reserved."));
        }
        if matches!(name, "public" | "none") {
            return Err(Error::new(ErrorKind::ReservedName, format!("role name \"{name}\" is reserved")));
        }
        if self.role(name).is_some() {
            return Err(Error::new(ErrorKind::DuplicateObject, format!("role \"{name}\" already exists")));
        }
        Ok(())
    }
}

fn last_superuser(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::ObjectInUse, format!("role \"{name}\" is the last superuser and {what}"))
}
