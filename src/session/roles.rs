//! CREATE, ALTER and DROP of roles. Passwords become SCRAM verifiers at once and are kept nowhere.

use crate::buffer::TableChanges;
use crate::catalog::definition::RoleDef;
use crate::catalog::name::Oid;
use crate::dialect::{AlterRole, CreateRole, Drop, RoleOptions, RoleSetting, SetValue, Setting};
use crate::engine::Scope;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::session::reply::Tag;
use crate::session::scram::verifier;

impl Session {
    pub(super) fn create_role(&self, create: &CreateRole) -> Result<Tag> {
        let tag = Tag("CREATE ROLE".to_owned());
        let exists = self.server.buffer().current().catalog.role(&create.name).is_some();
        if exists && create.if_not_exists {
            self.notice(format!("role \"{}\" already exists, skipping", create.name));
            return Ok(tag);
        }
        let mut role = RoleDef {
            oid: Oid::NONE,
            name: create.name.clone(),
            verifier: None,
            superuser: false,
            login: false,
            settings: Default::default(),
        };
        apply(&mut role, &create.options)?;
        self.server.buffer().define(|draft| draft.create_role(role), |_| TableChanges::default())?;
        Ok(tag)
    }

    pub(super) fn alter_role(&self, alter: &AlterRole) -> Result<Tag> {
        self.server.buffer().define(
            |draft| {
                let (AlterRole::Options(name, _) | AlterRole::Rename(name, _) | AlterRole::Setting(name, _)) = alter;
                let mut role = RoleDef::clone(&*draft.require_role(name)?);
                match alter {
                    AlterRole::Options(_, options) => apply(&mut role, options)?,
                    AlterRole::Rename(_, to) => role.name.clone_from(to),
                    AlterRole::Setting(_, setting) => self.apply_setting(&mut role, setting)?,
                }
                draft.replace_role(role)
            },
            |()| TableChanges::default(),
        )?;
        Ok(Tag("ALTER ROLE".to_owned()))
    }

    pub(super) fn drop_roles(&self, scope: &Scope, drop: &Drop) -> Result<()> {
        for name in &drop.names {
            if drop.if_exists && scope.version.catalog.role(&name.name).is_none() {
                self.notice(format!("role \"{}\" does not exist, skipping", name.name));
                continue;
            }
            if name.name == self.login.user {
                return Err(Error::new(crate::error::ErrorKind::ObjectInUse, "current user cannot be dropped"));
            }
            self.server.buffer().define(|draft| draft.drop_role(&name.name), |()| TableChanges::default())?;
        }
        Ok(())
    }

    fn apply_setting(&self, role: &mut RoleDef, setting: &RoleSetting) -> Result<()> {
        match setting {
            RoleSetting::Set(name, SetValue::Values(values)) => {
                let value = values.join(", ");
                // Tried on a copy: what no session could start with is refused here.
                self.settings.lock().clone().set(name, &value)?;
                role.settings.insert(name.clone(), value);
            }
            RoleSetting::Set(name, SetValue::Default) | RoleSetting::Reset(Setting::Named(name)) => {
                role.settings.remove(name);
            }
            RoleSetting::Reset(Setting::All) => role.settings.clear(),
        }
        Ok(())
    }
}

fn apply(role: &mut RoleDef, options: &RoleOptions) -> Result<()> {
    if options.connection_limit.is_some() || options.valid_until.is_some() || !options.memberships.is_empty() {
        return Err(Error::unsupported("CONNECTION LIMIT, VALID UNTIL and IN ROLE are not supported yet"));
    }
    role.superuser = options.superuser.unwrap_or(role.superuser);
    role.login = options.login.unwrap_or(role.login);
    if let Some(password) = &options.password {
        role.verifier = password.as_deref().map(verifier).transpose()?;
    }
    Ok(())
}
