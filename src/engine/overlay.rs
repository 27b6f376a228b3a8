//! Relations that must be opened before a statement can be planned: other versions of tables, changes, files.
//!
//! [`Engine::overlay`] opens what a statement, and every view in it, names in this way. Planning, which reads nothing
//! itself, puts an internal name in the place of each `t VERSION AS OF 3` or `read_parquet('x')` that it meets
//! ([`Overlay::rename`]) and finds here what the name stands for. Invariant: what was not opened is an error, never dropped.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::datasource::{TableProvider, provider_as_source};
use datafusion::logical_expr::TableSource;
use datafusion::sql::sqlparser::ast::{self, TableFactor, TableVersion, Visit, VisitMut, Visitor, VisitorMut};

use crate::catalog::Found;
use crate::catalog::definition::RelationDef;
use crate::catalog::name::{ObjectName, Oid};
use crate::dialect;
use crate::dialect::walk;
use crate::engine::scan::table_provider;
use crate::engine::values::constant;
use crate::engine::{Engine, Scope, changes, read_files};
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{At, LakeScan};

/// What internal names stand for, in one statement.
#[derive(Default)]
pub(in crate::engine) struct Overlay {
    names: HashMap<Key, String>,
    /// What could not be opened is an error for whoever plans it: a name may turn out to be that of a WITH query.
    sources: HashMap<String, Result<Arc<dyn TableSource>>>,
}

/// A relation by its text, and the view in whose text it stands.
type Key = (Option<Oid>, String);

impl Overlay {
    /// What an internal name stands for.
    pub(in crate::engine) fn get(&self, name: &str) -> Option<&Result<Arc<dyn TableSource>>> {
        self.sources.get(name)
    }

    /// Gives `provider` an internal name.
    pub(in crate::engine) fn add(&mut self, provider: Arc<dyn TableProvider>) -> String {
        self.add_source(Ok(provider_as_source(provider)))
    }

    fn add_source(&mut self, source: Result<Arc<dyn TableSource>>) -> String {
        let name = format!("__relation_{}", self.sources.len());
        self.sources.insert(name.clone(), source);
        name
    }

    /// Puts internal names where `tree` names relations that were opened.
    pub(in crate::engine) fn rename<T: VisitMut>(&self, scope: &Scope, tree: &mut T) -> Result<()> {
        match walk::change(tree, &mut Rename { overlay: self, view: scope.view_oid() }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }
}

impl Engine {
    /// Opens what `tree` names and planning cannot find, also in the texts of views.
    pub(in crate::engine) async fn overlay<T: Visit>(&self, scope: &Scope, tree: &T) -> Result<Overlay> {
        let mut overlay = Overlay::default();
        for (scope, wanted) in wanted_in(scope, tree)? {
            let key = (scope.view_oid(), wanted.text());
            if !overlay.names.contains_key(&key) {
                let opened = self.open_wanted(&scope, wanted).await;
                let name = overlay.add_source(opened.map(provider_as_source));
                overlay.names.insert(key, name);
            }
        }
        Ok(overlay)
    }

    async fn open_wanted(&self, scope: &Scope, wanted: Wanted) -> Result<Arc<dyn TableProvider>> {
        match wanted {
            Wanted::Version { name, version } => {
                let relation = scope.versioned_table(&name)?;
                let at = at(scope, *version)?;
                if let At::Timestamp(when) = &at
                    && scope
                        .version
                        .tail(relation.oid)?
                        .until_ms()
                        .is_some_and(|until_ms| until_ms <= when.timestamp_millis())
                {
                    // No version has the rows of the tail yet, and this is not before they came.
                    return table_provider(&scope.version, relation.oid);
                }
                let snapshot = scope.version.table(relation.oid)?.snapshot_at(&at).await?;
                Ok(Arc::new(LakeScan::new(snapshot)))
            }
            Wanted::Function { name, arguments } => match name.as_str() {
                "table_changes" => changes::provider(scope, &arguments).await,
                _ => read_files::provider(self, scope, &name, &arguments).await,
            },
        }
    }
}

/// A relation of the AST that has to be opened.
enum Wanted {
    Version { name: ObjectName, version: Box<TableVersion> },
    Function { name: String, arguments: Vec<ast::FunctionArg> },
}

impl Wanted {
    /// As it is written, but for its alias.
    fn text(&self) -> String {
        match self {
            Self::Version { name, version } => format!("{name} {version}"),
            Self::Function { name, arguments } => {
                let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
                format!("{name}({})", arguments.join(", "))
            }
        }
    }
}

/// Table functions that open something.
const OPENING_FUNCTIONS: [&str; 4] = ["read_parquet", "read_csv", "read_json", "table_changes"];

fn wanted(factor: &TableFactor) -> Result<Option<Wanted>> {
    match factor {
        TableFactor::Table { name, version: Some(version), args: None, .. } => {
            let name = dialect::object_name(name)?;
            Ok(Some(Wanted::Version { name, version: Box::new(version.clone()) }))
        }
        TableFactor::Table { name, args: Some(arguments), .. } => {
            let name = dialect::object_name(name)?;
            let opens = name.schema.is_none() && OPENING_FUNCTIONS.contains(&name.name.as_str());
            Ok(opens.then(|| Wanted::Function { name: name.name, arguments: arguments.args.clone() }))
        }
        _ => Ok(None),
    }
}

/// What a statement wants opened, each with the scope that its names belong to.
fn wanted_in<T: Visit>(scope: &Scope, tree: &T) -> Result<Vec<(Scope, Wanted)>> {
    let (mut found, mut views) = (Vec::new(), Vec::new());
    search(scope, tree, &mut found, &mut views)?;
    let mut seen = HashSet::new();
    while let Some(view) = views.pop() {
        if let Some(definition) = view.view()
            && seen.insert(view.oid)
        {
            search(&scope.in_view(&view), &dialect::parse_query(&definition.query)?, &mut found, &mut views)?;
        }
    }
    Ok(found)
}

fn search<T: Visit>(
    scope: &Scope,
    tree: &T,
    found: &mut Vec<(Scope, Wanted)>,
    views: &mut Vec<Arc<RelationDef>>,
) -> Result<()> {
    match walk::look(tree, &mut Search { scope, found, views }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Finds what is wanted, and the views that may want more.
struct Search<'a> {
    scope: &'a Scope,
    found: &'a mut Vec<(Scope, Wanted)>,
    views: &'a mut Vec<Arc<RelationDef>>,
}

impl Search<'_> {
    fn look_at(&mut self, factor: &TableFactor) -> Result<()> {
        if let Some(wanted) = wanted(factor)? {
            self.found.push((self.scope.clone(), wanted));
        } else if let TableFactor::Table { name, args: None, .. } = factor
            // A name that is none is reported when it is planned.
            && let Ok(name) = dialect::object_name(name)
            && let Some(Found::Relation(relation)) = self.scope.find(&name)
            && relation.view().is_some()
        {
            self.views.push(relation);
        }
        Ok(())
    }
}

impl Visitor for Search<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        self.look_at(factor).map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }
}

struct Rename<'a> {
    overlay: &'a Overlay,
    view: Option<Oid>,
}

impl Rename<'_> {
    fn rename(&self, factor: &mut TableFactor) -> Result<()> {
        let Some(wanted) = wanted(factor)? else { return Ok(()) };
        let text = wanted.text();
        let Some(internal) = self.overlay.names.get(&(self.view, text.clone())) else {
            return Err(Error::unsupported(format!("{text} cannot be read here")));
        };
        if let TableFactor::Table { name, alias, args, version, .. } = factor {
            let shown = name.0.last().and_then(|part| part.as_ident()).cloned();
            *name = ast::ObjectName::from(vec![ast::Ident::new(internal)]);
            *args = None;
            *version = None;
            if let (None, Some(shown)) = (&alias, shown) {
                *alias = Some(ast::TableAlias { explicit: true, name: shown, columns: Vec::new(), at: None });
            }
        }
        Ok(())
    }
}

impl VisitorMut for Rename<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        self.rename(factor).map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }
}

/// The point in a table's history that a clause names.
fn at(scope: &Scope, version: TableVersion) -> Result<At> {
    match version {
        TableVersion::VersionAsOf(expression) => {
            let value = constant(scope, expression, &arrow::datatypes::DataType::Int64)?;
            match value {
                datafusion::common::ScalarValue::Int64(Some(number)) => Ok(At::Version(number)),
                _ => Err(Error::new(ErrorKind::InvalidParameterValue, "the version of a table must be a number")),
            }
        }
        TableVersion::TimestampAsOf(expression) | TableVersion::ForSystemTimeAsOf(expression) => {
            Ok(At::Timestamp(moment(scope, expression)?))
        }
        _ => Err(Error::unsupported("this way to name a table's version is not supported")
            .hint("Write VERSION AS OF n or TIMESTAMP AS OF '2026-01-31 12:00'.")),
    }
}

impl Engine {
    /// The point in time that an expression without columns names.
    pub fn moment(&self, scope: &Scope, expression: &ast::Expr) -> Result<DateTime<Utc>> {
        moment(scope, expression.clone())
    }
}

fn moment(scope: &Scope, expression: ast::Expr) -> Result<DateTime<Utc>> {
    use arrow::datatypes::{DataType, TimeUnit};
    let zone = scope.functions.time_zone.name();
    let value = constant(scope, expression, &DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into())))?;
    match value {
        datafusion::common::ScalarValue::TimestampMicrosecond(Some(micros), _) => {
            DateTime::from_timestamp_micros(micros)
                .ok_or_else(|| Error::new(ErrorKind::DatetimeFieldOverflow, "timestamp out of range"))
        }
        _ => Err(Error::new(ErrorKind::InvalidParameterValue, "the time of a table's version must not be null")),
    }
}
