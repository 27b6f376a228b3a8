//! CREATE VIEW, CREATE SCHEMA, COMMENT, DROP and ALTER SCHEMA: changes of the catalog alone.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, Visitor};

use crate::buffer::{DbVersion, TableChanges};
use crate::catalog::Found;
use crate::catalog::definition::{ColumnDef, RelationDef, RelationKind, ViewDef};
use crate::catalog::describe as described;
use crate::catalog::name::{ObjectName, Oid};
use crate::dialect;
use crate::dialect::walk;
use crate::dialect::{AlterSchema, Comment, CommentTarget, CreateSchema, CreateView, Drop, DropKind, SchemaChange};
use crate::engine::Scope;
use crate::error::{Error, ErrorKind, Result};
use crate::session::Session;
use crate::session::reply::Tag;

impl Session {
    pub(super) async fn create_view(&self, scope: &Scope, create: &CreateView) -> Result<Tag> {
        let tag = Tag("CREATE VIEW".to_owned());
        let (schema, taken) = self.place(scope, &create.name)?;
        if taken && create.if_not_exists {
            self.notice(format!("relation \"{}\" already exists, skipping", create.name.name));
            return Ok(tag);
        }
        let planned = self.server.engine().plan_query(scope, &create.query, &[]).await?;
        if !planned.parameters.is_empty() {
            return Err(Error::new(ErrorKind::UndefinedParameter, "a view cannot have parameters"));
        }
        if create.column_names.len() > planned.columns.len() {
            return Err(Error::new(
                ErrorKind::InvalidTableDefinition,
                "CREATE VIEW specifies more column names than columns",
            ));
        }
        let mut columns: Vec<ColumnDef> = Vec::with_capacity(planned.columns.len());
        for (position, column) in planned.columns.iter().enumerate() {
            let name = create.column_names.get(position).unwrap_or(&column.name).clone();
            if columns.iter().any(|earlier| earlier.name == name) {
                return Err(Error::new(
                    ErrorKind::DuplicateColumn,
                    format!("column \"{name}\" specified more than once"),
                ));
            }
            let new = dialect::NewColumn {
                name,
                pg_type: column.pg_type.clone(),
                not_null: false,
                default: None,
                generated: None,
                comment: None,
            };
            columns.push(crate::session::create_table::new_column(position, &new)?);
        }
        let replaced = scope.version.catalog.relation_in(schema, &create.name.name).filter(|_| create.or_replace);
        let view = RelationDef {
            oid: replaced.as_ref().map_or(Oid::NONE, |replaced| replaced.oid),
            schema,
            name: create.name.name.clone(),
            owner: scope.version.catalog.require_role(&self.login.user)?.oid,
            comment: None,
            columns,
            kind: RelationKind::View(ViewDef {
                bindings: bindings(scope, &create.query),
                query: create.query.to_string(),
                search_path: scope.search_path().to_vec(),
                depends_on: bindings(scope, &create.query).into_values().collect::<BTreeSet<_>>().into_iter().collect(),
            }),
        };
        self.server.buffer().define(
            |draft| if replaced.is_some() { draft.replace_view(view) } else { draft.create_relation(view) },
            |_| TableChanges::default(),
        )?;
        Ok(tag)
    }

    pub(super) fn create_schema(&self, scope: &Scope, create: &CreateSchema) -> Result<Tag> {
        let tag = Tag("CREATE SCHEMA".to_owned());
        if create.if_not_exists && scope.version.catalog.schema(&create.name).is_some() {
            self.notice(format!("schema \"{}\" already exists, skipping", create.name));
            return Ok(tag);
        }
        let owner = scope.version.catalog.require_role(create.owner.as_deref().unwrap_or(&self.login.user))?.oid;
        self.server.buffer().define(|draft| draft.create_schema(&create.name, owner), |_| TableChanges::default())?;
        Ok(tag)
    }

    pub(super) fn alter_schema(&self, alter: &AlterSchema) -> Result<Tag> {
        self.server.buffer().define(
            |draft| match &alter.change {
                SchemaChange::Rename(name) => draft.rename_schema(&alter.name, name),
                SchemaChange::OwnerTo(role) => {
                    let owner = draft.require_role(role)?.oid;
                    draft.own_schema(&alter.name, owner)
                }
            },
            |()| TableChanges::default(),
        )?;
        Ok(Tag("ALTER SCHEMA".to_owned()))
    }

    pub(super) fn comment(&self, scope: &Scope, comment: &Comment) -> Result<Tag> {
        let text = comment.text.clone();
        let relation = |name: &ObjectName| scope.version.catalog.require(name, scope.search_path());
        let of_kind = |name: &ObjectName, kind| {
            let found = relation(name)?;
            refuse_other_kind(&found, kind).map(|()| found.oid)
        };
        self.server.buffer().define(
            |draft| match &comment.target {
                CommentTarget::Table(name) => draft.comment_on_relation(of_kind(name, DropKind::Table)?, text),
                CommentTarget::View(name) => draft.comment_on_relation(of_kind(name, DropKind::View)?, text),
                CommentTarget::Column(name, column) => draft.comment_on_column(relation(name)?.oid, column, text),
                CommentTarget::Schema(name) => draft.comment_on_schema(name, text),
                CommentTarget::Database(_) | CommentTarget::Role(_) => {
                    Err(Error::unsupported("comments on databases and roles are not supported"))
                }
            },
            |()| TableChanges::default(),
        )?;
        Ok(Tag("COMMENT".to_owned()))
    }

    pub(super) async fn drop_objects(&self, scope: &Scope, drop: &Drop) -> Result<Tag> {
        let word = match drop.kind {
            DropKind::Table => "TABLE",
            DropKind::View => "VIEW",
            DropKind::Schema => "SCHEMA",
            DropKind::Role => "ROLE",
        };
        let gone = match drop.kind {
            DropKind::Table | DropKind::View => self.drop_relations(scope, drop)?,
            DropKind::Schema => self.drop_schemas(scope, drop)?,
            DropKind::Role => self.drop_roles(scope, drop).map(|()| Vec::new())?,
        };
        delete_folders(&scope.version, &gone);
        self.follow_dropped_sources(&scope.version.catalog).await?;
        Ok(Tag(format!("DROP {word}")))
    }

    fn drop_relations(&self, scope: &Scope, drop: &Drop) -> Result<Vec<Arc<RelationDef>>> {
        let catalog = &scope.version.catalog;
        let mut oids = Vec::new();
        for name in &drop.names {
            let found = match catalog.find(name, scope.search_path()) {
                Some(Found::Relation(found)) => found,
                Some(Found::System(_)) => {
                    return Err(Error::new(
                        ErrorKind::InsufficientPrivilege,
                        format!("permission denied: \"{name}\" is a system catalog"),
                    ));
                }
                None if drop.if_exists => {
                    let kind = if drop.kind == DropKind::Table { "table" } else { "view" };
                    self.notice(format!("{kind} \"{name}\" does not exist, skipping"));
                    continue;
                }
                None => {
                    let kind = if drop.kind == DropKind::Table { "table" } else { "view" };
                    let error = catalog.undefined(name, scope.search_path());
                    return Err(match error.kind() {
                        ErrorKind::UndefinedTable => {
                            Error::new(ErrorKind::UndefinedTable, format!("{kind} \"{name}\" does not exist"))
                        }
                        _ => error,
                    });
                }
            };
            let other = if drop.kind == DropKind::Table {
                "DROP VIEW to remove a view"
            } else {
                "DROP TABLE to remove a table"
            };
            refuse_other_kind(&found, drop.kind).map_err(|error| error.hint(format!("Use {other}.")))?;
            oids.push(found.oid);
        }
        if oids.is_empty() {
            return Ok(Vec::new());
        }
        let gone =
            self.server.buffer().define(|draft| draft.drop_relations(&oids, drop.cascade), |gone| closed(gone))?;
        self.tell_cascade(scope, &gone, oids.len());
        Ok(gone)
    }

    fn drop_schemas(&self, scope: &Scope, drop: &Drop) -> Result<Vec<Arc<RelationDef>>> {
        let mut gone = Vec::new();
        for name in &drop.names {
            if scope.version.catalog.schema(&name.name).is_none() && drop.if_exists {
                self.notice(format!("schema \"{}\" does not exist, skipping", name.name));
                continue;
            }
            gone.extend(
                self.server
                    .buffer()
                    .define(|draft| draft.drop_schema(&name.name, drop.cascade), |gone| closed(gone))?,
            );
        }
        self.tell_cascade(scope, &gone, 0);
        Ok(gone)
    }

    /// CASCADE took more than was named: say what.
    pub(super) fn tell_cascade(&self, scope: &Scope, gone: &[Arc<RelationDef>], named: usize) {
        match gone.get(named..).unwrap_or_default() {
            [] => {}
            [one] => self.notice(format!("drop cascades to {}", described(&scope.version.catalog, one))),
            more => self.notice(format!("drop cascades to {} other objects", more.len())),
        }
    }
}

/// Relations that are gone are not open any more.
pub(super) fn closed(gone: &[Arc<RelationDef>]) -> TableChanges {
    TableChanges { opened: Vec::new(), closed: gone.iter().map(|relation| relation.oid).collect() }
}

/// The files of tables that are gone go as well, but for those of others and of tables that cannot be opened.
pub(super) fn delete_folders(before: &DbVersion, gone: &[Arc<RelationDef>]) {
    for relation in gone.iter().filter(|relation| relation.table().is_some_and(|table| !table.external)) {
        if let Ok(table) = before.table(relation.oid) {
            table.delete_folder_when_unused();
        }
    }
}

fn refuse_other_kind(found: &RelationDef, kind: DropKind) -> Result<()> {
    let wanted = match (&found.kind, kind) {
        (RelationKind::View(_), DropKind::Table) => "table",
        (RelationKind::Table(_), DropKind::View) => "view",
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::WrongObjectType, format!("\"{}\" is not a {wanted}", found.name)))
}

/// The relations that a view's query names, by the names it uses.
fn bindings(scope: &Scope, query: &ast::Query) -> BTreeMap<String, Oid> {
    struct Names<'a> {
        scope: &'a Scope,
        found: BTreeMap<String, Oid>,
    }
    impl Visitor for Names<'_> {
        type Break = Infallible;

        fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<Infallible> {
            if let Ok(name) = dialect::object_name(relation)
                && let Some(Found::Relation(found)) = self.scope.version.catalog.find(&name, self.scope.search_path())
            {
                self.found.insert(name.quoted(), found.oid);
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names { scope, found: BTreeMap::new() };
    let ControlFlow::Continue(()) = walk::look(query, &mut names);
    names.found
}
