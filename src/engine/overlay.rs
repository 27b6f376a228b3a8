//! Relations that must be opened before a statement can be planned: other versions of tables, changes, files.
//!
//! The AST's `t VERSION AS OF 3` or `read_parquet('x')` becomes an internal name, and the overlay holds what it
//! stands for. Planning itself reads nothing.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::datasource::{TableProvider, provider_as_source};
use datafusion::logical_expr::TableSource;
use datafusion::sql::sqlparser::ast::{self, TableFactor, TableVersion, VisitMut, VisitorMut};

use crate::catalog::name::ObjectName;
use crate::dialect;
use crate::engine::values::constant;
use crate::engine::{Engine, Scope, changes, read_files};
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{At, LakeScan};

/// What internal names stand for, in one statement.
#[derive(Default)]
pub(in crate::engine) struct Overlay {
    sources: HashMap<String, Arc<dyn TableSource>>,
}

impl Overlay {
    /// What an internal name stands for.
    pub(in crate::engine) fn get(&self, name: &str) -> Option<&Arc<dyn TableSource>> {
        self.sources.get(name)
    }

    /// Gives `provider` an internal name.
    pub(in crate::engine) fn add(&mut self, provider: Arc<dyn TableProvider>) -> String {
        let name = format!("__relation_{}", self.sources.len());
        self.sources.insert(name.clone(), provider_as_source(provider));
        name
    }
}

impl Engine {
    /// Opens what `tree` names and planning cannot find, and puts internal names in its place.
    pub(in crate::engine) async fn overlay<T: VisitMut>(&self, scope: &Scope, tree: &mut T) -> Result<Overlay> {
        let mut overlay = Overlay::default();
        let mut search = Search { found: Vec::new() };
        if let ControlFlow::Break(error) = tree.visit(&mut search) {
            return Err(error);
        }
        if search.found.is_empty() {
            return Ok(overlay);
        }
        let mut names = Vec::with_capacity(search.found.len());
        for wanted in search.found {
            names.push(overlay.add(self.open_wanted(scope, wanted).await?));
        }
        let mut rename = Rename { names: names.into_iter() };
        match tree.visit(&mut rename) {
            ControlFlow::Continue(()) => Ok(overlay),
            ControlFlow::Break(error) => Err(error),
        }
    }

    async fn open_wanted(&self, scope: &Scope, wanted: Wanted) -> Result<Arc<dyn TableProvider>> {
        match wanted {
            Wanted::Version { name, version } => {
                let relation = scope.versioned_table(&name)?;
                let at = at(scope, *version)?;
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

struct Search {
    found: Vec<Wanted>,
}

impl VisitorMut for Search {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        match wanted(factor) {
            Ok(found) => {
                self.found.extend(found);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// Puts the internal names where [`Search`] found relations, in the same order.
struct Rename<I> {
    names: I,
}

impl<I: Iterator<Item = String>> VisitorMut for Rename<I> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        match wanted(factor) {
            Ok(None) => return ControlFlow::Continue(()),
            Ok(Some(_)) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        if let TableFactor::Table { name, alias, args, version, .. } = factor
            && let Some(internal) = self.names.next()
        {
            let shown = name.0.last().and_then(|part| part.as_ident()).cloned();
            let internal = ast::ObjectName::from(vec![ast::Ident::new(internal)]);
            *name = internal;
            *args = None;
            *version = None;
            if let (None, Some(shown)) = (&alias, shown) {
                *alias = Some(ast::TableAlias { explicit: true, name: shown, columns: Vec::new(), at: None });
            }
        }
        ControlFlow::Continue(())
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
