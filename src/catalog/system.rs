//! The views that ship in the program: SQL files under `catalog/`, one view each, compiled in.
//!
//! A file's path gives schema and name, its first line (`-- ...`) the description. Numbers are below
//! [`Oid::FIRST_USER`](crate::catalog::name::Oid::FIRST_USER) and never change: clients keep them.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::catalog::name::Oid;

/// A view of the program.
#[derive(Debug)]
pub struct SystemView {
    /// `pg_catalog`, `information_schema` or `system`.
    pub schema: &'static str,
    /// The view's name.
    pub name: &'static str,
    /// One sentence for people.
    pub description: &'static str,
    /// The query.
    pub sql: &'static str,
    /// Its permanent number.
    pub oid: Oid,
}

macro_rules! files {
    ($($oid:literal $path:literal,)*) => {
        &[$((Oid($oid), $path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path))),)*]
    };
}

/// Number, path and text of each file. Add a line here with every new file; never give a number twice.
/// Views that PostgreSQL has keep its numbers where those are fixed; ours start at 14000.
const FILES: &[(Oid, &str, &str)] = files![
    13260 "catalog/information_schema/check_constraints.sql",
    13295 "catalog/information_schema/columns.sql",
    13300 "catalog/information_schema/constraint_column_usage.sql",
    13305 "catalog/information_schema/constraint_table_usage.sql",
    13325 "catalog/information_schema/enabled_roles.sql",
    13227 "catalog/information_schema/information_schema_catalog_name.sql",
    13329 "catalog/information_schema/key_column_usage.sql",
    13339 "catalog/information_schema/referential_constraints.sql",
    13377 "catalog/information_schema/routines.sql",
    13382 "catalog/information_schema/schemata.sql",
    13411 "catalog/information_schema/table_constraints.sql",
    13416 "catalog/information_schema/table_privileges.sql",
    13425 "catalog/information_schema/tables.sql",
    13483 "catalog/information_schema/views.sql",
    12043 "catalog/pg_catalog/pg_indexes.sql",
    12104 "catalog/pg_catalog/pg_settings.sql",
    12222 "catalog/pg_catalog/pg_stat_activity.sql",
    12249 "catalog/pg_catalog/pg_stat_ssl.sql",
    12033 "catalog/pg_catalog/pg_tables.sql",
    12028 "catalog/pg_catalog/pg_views.sql",
    14004 "catalog/system/clustering.sql",
    14003 "catalog/system/commits.sql",
    14002 "catalog/system/files.sql",
    14008 "catalog/system/maintenance_history.sql",
    14005 "catalog/system/queries.sql",
    14007 "catalog/system/sessions.sql",
    14009 "catalog/system/sources.sql",
    14006 "catalog/system/settings.sql",
    14001 "catalog/system/tables.sql",
];

/// By schema, then by name.
static VIEWS: LazyLock<HashMap<&'static str, HashMap<&'static str, SystemView>>> = LazyLock::new(|| {
    let mut views: HashMap<_, HashMap<_, _>> = HashMap::new();
    for view in FILES.iter().filter_map(|(oid, path, text)| parse(*oid, path, text)) {
        views.entry(view.schema).or_default().insert(view.name, view);
    }
    views
});

/// `catalog/<schema>/<name>.sql` with its description in the first line.
fn parse(oid: Oid, path: &'static str, text: &'static str) -> Option<SystemView> {
    let (schema, name) = path.strip_prefix("catalog/")?.strip_suffix(".sql")?.split_once('/')?;
    let (first, sql) = text.split_once('\n')?;
    let description = first.strip_prefix("--")?.trim();
    Some(SystemView { schema, name, description, sql: sql.trim().trim_end_matches(';'), oid })
}

/// The system view of that name.
pub fn view(schema: &str, name: &str) -> Option<&'static SystemView> {
    VIEWS.get(schema)?.get(name)
}

/// All system views, in no order.
pub fn views() -> impl Iterator<Item = &'static SystemView> {
    VIEWS.values().flat_map(HashMap::values)
}

/// The comment of a schema of the program.
pub fn schema_description(schema: &str) -> &'static str {
    match schema {
        "pg_catalog" => "system catalog schema",
        "information_schema" => "the SQL standard's description of the database",
        "system" => "what the server knows of itself: tables, files, commits, queries, settings",
        _ => "",
    }
}

/// How many files are registered; one that cannot be read as a view is missing from [`views`].
#[cfg(test)]
pub(super) fn file_count() -> usize {
    FILES.len()
}
