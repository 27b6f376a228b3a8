//! An immutable picture of all definitions, with look-ups by number and by name.
//!
//! The maps are behind `Arc`s: a clone is a few pointers, and an edit copies only the maps that it touches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::catalog::definition::{ConstraintKind, RelationDef, RelationKind, RoleDef, SchemaDef, SourceDef, ViewDef};
use crate::catalog::name::{ObjectName, Oid};
use crate::catalog::system::{self, SystemView};
use crate::error::{Error, ErrorKind, Result, nearest};

/// The schemas that are part of the program, with their numbers.
pub(super) const SYSTEM_SCHEMAS: [(&str, Oid); 3] =
    [("pg_catalog", Oid::PG_CATALOG), ("information_schema", Oid::INFORMATION_SCHEMA), ("system", Oid::SYSTEM)];

/// Everything that exists, at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Grows by one with every published change.
    pub generation: u64,
    schemas: Arc<BTreeMap<String, Arc<SchemaDef>>>,
    relations: Arc<HashMap<Oid, Arc<RelationDef>>>,
    /// Schema, then name.
    names: Arc<BTreeMap<Oid, BTreeMap<String, Oid>>>,
    roles: Arc<BTreeMap<String, Arc<RoleDef>>>,
    sources: Arc<BTreeMap<Oid, Arc<SourceDef>>>,
    /// From a relation to those whose definition names it.
    dependents: Arc<BTreeMap<Oid, BTreeSet<Oid>>>,
}

/// What a name in a query stands for.
#[derive(Clone, Debug)]
pub enum Found {
    /// A table or view of a user.
    Relation(Arc<RelationDef>),
    /// A view that ships in the program.
    System(&'static SystemView),
}

impl Snapshot {
    /// A database with nothing but the schemas of the program.
    pub(super) fn empty() -> Self {
        let schemas = SYSTEM_SCHEMAS.iter().map(|(name, oid)| {
            let comment = Some(system::schema_description(name).to_owned());
            let schema = SchemaDef { oid: *oid, name: (*name).to_owned(), owner: Oid::FIRST_ROLE, comment };
            (schema.name.clone(), Arc::new(schema))
        });
        Self {
            generation: 0,
            schemas: Arc::new(schemas.collect()),
            relations: Arc::default(),
            names: Arc::default(),
            roles: Arc::default(),
            sources: Arc::default(),
            dependents: Arc::default(),
        }
    }

    /// All schemas, by name.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<SchemaDef>> {
        self.schemas.values()
    }

    /// The schema of that name.
    pub fn schema(&self, name: &str) -> Option<Arc<SchemaDef>> {
        self.schemas.get(name).cloned()
    }

    /// The schema of that number.
    pub fn schema_by_oid(&self, oid: Oid) -> Option<Arc<SchemaDef>> {
        self.schemas.values().find(|schema| schema.oid == oid).cloned()
    }

    /// The schema of that name, or 3F000.
    pub fn require_schema(&self, name: &str) -> Result<Arc<SchemaDef>> {
        self.schema(name).ok_or_else(|| {
            let error = Error::new(ErrorKind::InvalidSchemaName, format!("schema \"{name}\" does not exist"));
            with_nearest(error, name, self.schemas.keys().map(String::as_str))
        })
    }

    /// All relations of users, in no order.
    pub fn relations(&self) -> impl Iterator<Item = &Arc<RelationDef>> {
        self.relations.values()
    }

    /// The relations of one schema, by name.
    pub fn relations_in(&self, schema: Oid) -> impl Iterator<Item = &Arc<RelationDef>> {
        self.names.get(&schema).into_iter().flat_map(BTreeMap::values).filter_map(|oid| self.relations.get(oid))
    }

    /// The relation of that number.
    pub fn relation_by_oid(&self, oid: Oid) -> Option<Arc<RelationDef>> {
        self.relations.get(&oid).cloned()
    }

    /// The relation of that name in one schema.
    pub fn relation_in(&self, schema: Oid, name: &str) -> Option<Arc<RelationDef>> {
        let oid = self.names.get(&schema)?.get(name)?;
        self.relations.get(oid).cloned()
    }

    /// What `name` stands for: in its schema, or in the first schema of the search path that has it.
    /// As in PostgreSQL, `pg_catalog` comes before the path that does not list it.
    pub fn find(&self, name: &ObjectName, search_path: &[String]) -> Option<Found> {
        if let Some(schema) = &name.schema {
            return self.find_in(schema, &name.name);
        }
        let listed = search_path.iter().any(|schema| schema == "pg_catalog");
        let implicit = (!listed).then_some("pg_catalog");
        implicit
            .into_iter()
            .chain(search_path.iter().map(String::as_str))
            .find_map(|schema| self.find_in(schema, &name.name))
    }

    fn find_in(&self, schema: &str, name: &str) -> Option<Found> {
        if let Some(view) = system::view(schema, name) {
            return Some(Found::System(view));
        }
        self.relation_in(self.schemas.get(schema)?.oid, name).map(Found::Relation)
    }

    /// The user's relation that `name` stands for; `None` too when it is a system view.
    pub fn resolve(&self, name: &ObjectName, search_path: &[String]) -> Option<Arc<RelationDef>> {
        match self.find(name, search_path)? {
            Found::Relation(relation) => Some(relation),
            Found::System(_) => None,
        }
    }

    /// The user's relation that `name` stands for, or the error that says why there is none.
    pub fn require(&self, name: &ObjectName, search_path: &[String]) -> Result<Arc<RelationDef>> {
        match self.find(name, search_path) {
            Some(Found::Relation(relation)) => Ok(relation),
            Some(Found::System(view)) => Err(Error::new(
                ErrorKind::InsufficientPrivilege,
                format!("permission denied: \"{}\" is a system view", view.name),
            )),
            None => Err(self.undefined(name, search_path)),
        }
    }

    /// The error for a relation that is not there, with the nearest name that is.
    pub fn undefined(&self, name: &ObjectName, search_path: &[String]) -> Error {
        if let Some(schema) = name.schema.as_deref()
            && let Err(missing) = self.require_schema(schema)
        {
            let error = Error::new(ErrorKind::UndefinedTable, format!("relation \"{name}\" does not exist"));
            return error.detail(capitalised(missing.message()));
        }
        let error = Error::new(ErrorKind::UndefinedTable, format!("relation \"{name}\" does not exist"));
        let schemas: Vec<&str> = match &name.schema {
            Some(schema) => vec![schema],
            None => search_path.iter().map(String::as_str).collect(),
        };
        let names = schemas
            .iter()
            .filter_map(|schema| self.names.get(&self.schemas.get(*schema)?.oid))
            .flat_map(|names| names.keys().map(String::as_str));
        with_nearest(error, &name.name, names)
    }

    /// What a name inside a view's text stands for: what it meant when the view was made, else by its search path.
    pub fn find_in_view(&self, view: &ViewDef, name: &ObjectName) -> Option<Found> {
        match view.bindings.get(&name.quoted()) {
            Some(oid) => self.relation_by_oid(*oid).map(Found::Relation),
            None => self.find(name, &view.search_path),
        }
    }

    /// The full name of a relation.
    pub fn name_of(&self, relation: &RelationDef) -> ObjectName {
        match self.schema_by_oid(relation.schema) {
            Some(schema) => ObjectName::qualified(&schema.name, &relation.name),
            None => ObjectName::bare(&relation.name),
        }
    }

    /// True when the bare name of `relation` finds it under this search path (`pg_table_is_visible`).
    pub fn is_visible(&self, relation: &RelationDef, search_path: &[String]) -> bool {
        self.resolve(&ObjectName::bare(&relation.name), search_path).is_some_and(|found| found.oid == relation.oid)
    }

    /// All roles, by name.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<RoleDef>> {
        self.roles.values()
    }

    /// The role of that name.
    pub fn role(&self, name: &str) -> Option<Arc<RoleDef>> {
        self.roles.get(name).cloned()
    }

    /// The role of that number.
    pub fn role_by_oid(&self, oid: Oid) -> Option<Arc<RoleDef>> {
        self.roles.values().find(|role| role.oid == oid).cloned()
    }

    /// The role of that name, or 42704.
    pub fn require_role(&self, name: &str) -> Result<Arc<RoleDef>> {
        self.role(name).ok_or_else(|| Error::new(ErrorKind::UndefinedObject, format!("role \"{name}\" does not exist")))
    }

    /// All sources, in the order they were made.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<SourceDef>> {
        self.sources.values()
    }

    /// The source of that number.
    pub fn source_by_oid(&self, oid: Oid) -> Option<Arc<SourceDef>> {
        self.sources.get(&oid).cloned()
    }

    /// The source of that name in one schema.
    pub fn source_in(&self, schema: Oid, name: &str) -> Option<Arc<SourceDef>> {
        self.sources().find(|source| source.schema == schema && source.name == name).cloned()
    }

    /// The source that `name` stands for, or 42704.
    pub fn require_source(&self, name: &ObjectName, search_path: &[String]) -> Result<Arc<SourceDef>> {
        let schemas: Vec<Oid> = match &name.schema {
            Some(schema) => vec![self.require_schema(schema)?.oid],
            None => search_path.iter().filter_map(|schema| Some(self.schema(schema)?.oid)).collect(),
        };
        schemas.iter().find_map(|schema| self.source_in(*schema, &name.name)).ok_or_else(|| {
            let error = Error::new(ErrorKind::UndefinedObject, format!("source \"{name}\" does not exist"));
            with_nearest(error, &name.name, self.sources().map(|source| source.name.as_str()))
        })
    }

    /// The relations whose definition names `oid`: views that read it, tables whose foreign key points to it.
    pub fn dependents_of(&self, oid: Oid) -> Vec<Arc<RelationDef>> {
        let dependents = self.dependents.get(&oid).into_iter().flatten();
        dependents.filter_map(|dependent| self.relation_by_oid(*dependent)).collect()
    }
}

/// Edits, for [`Draft`](crate::catalog::Draft) and the store. They keep the maps true to each other and check nothing.
impl Snapshot {
    pub(super) fn put_schema(&mut self, schema: SchemaDef) {
        let schemas = Arc::make_mut(&mut self.schemas);
        schemas.retain(|_, other| other.oid != schema.oid);
        schemas.insert(schema.name.clone(), Arc::new(schema));
    }

    pub(super) fn remove_schema(&mut self, name: &str) {
        Arc::make_mut(&mut self.schemas).remove(name);
    }

    pub(super) fn put_role(&mut self, role: RoleDef) {
        let roles = Arc::make_mut(&mut self.roles);
        roles.retain(|_, other| other.oid != role.oid);
        roles.insert(role.name.clone(), Arc::new(role));
    }

    pub(super) fn remove_role(&mut self, name: &str) {
        Arc::make_mut(&mut self.roles).remove(name);
    }

    pub(super) fn put_source(&mut self, source: SourceDef) {
        Arc::make_mut(&mut self.sources).insert(source.oid, Arc::new(source));
    }

    pub(super) fn remove_source(&mut self, oid: Oid) {
        Arc::make_mut(&mut self.sources).remove(&oid);
    }

    pub(super) fn put_relation(&mut self, relation: RelationDef) {
        self.remove_relation(relation.oid);
        let names = Arc::make_mut(&mut self.names).entry(relation.schema).or_default();
        names.insert(relation.name.clone(), relation.oid);
        let dependents = Arc::make_mut(&mut self.dependents);
        for referenced in references(&relation) {
            dependents.entry(referenced).or_default().insert(relation.oid);
        }
        Arc::make_mut(&mut self.relations).insert(relation.oid, Arc::new(relation));
    }

    pub(super) fn remove_relation(&mut self, oid: Oid) -> Option<Arc<RelationDef>> {
        if !self.relations.contains_key(&oid) {
            return None;
        }
        let relation = Arc::make_mut(&mut self.relations).remove(&oid)?;
        if let Some(names) = Arc::make_mut(&mut self.names).get_mut(&relation.schema) {
            names.remove(&relation.name);
        }
        let dependents = Arc::make_mut(&mut self.dependents);
        for referenced in references(&relation) {
            if let Some(of_referenced) = dependents.get_mut(&referenced) {
                of_referenced.remove(&oid);
            }
        }
        Some(relation)
    }
}

/// The relations that a definition names, itself left out.
pub(super) fn references(relation: &RelationDef) -> BTreeSet<Oid> {
    let mut found: BTreeSet<Oid> = match &relation.kind {
        RelationKind::View(view) => view.depends_on.iter().chain(view.bindings.values()).copied().collect(),
        RelationKind::Table(table) => {
            table.constraints.iter().filter_map(|constraint| target(&constraint.kind)).collect()
        }
    };
    found.remove(&relation.oid);
    found
}

fn target(constraint: &ConstraintKind) -> Option<Oid> {
    match constraint {
        ConstraintKind::ForeignKey { references, .. } => Some(*references),
        ConstraintKind::Check { .. } | ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => None,
    }
}

fn with_nearest<'a>(error: Error, name: &str, candidates: impl Iterator<Item = &'a str>) -> Error {
    match nearest(name, candidates) {
        Some(near) => error.hint(format!("Perhaps you meant \"{near}\".")),
        None => error,
    }
}

fn capitalised(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
