//! SQL functions by family, beside those that DataFusion brings.
//!
//! A function is found by its bare lower-case name when a statement is planned ([`scalar`], [`aggregate`], [`table`]) and
//! bound to the session's [`FunctionContext`]: nothing is registered ahead, so a statement pays only for what it names.
//! Invariant: a name found here wins over DataFusion's function of that name, because here it means what PostgreSQL means.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::FieldRef;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

use crate::catalog::Snapshot;
use crate::catalog::name::Oid;
use crate::engine::facts::sources::ServerFacts;
use crate::engine::functions::cast::CastFunction;
use crate::engine::functions::cast::parse_time::Moment;
use crate::engine::functions::scalar::{Function, ScalarFunction};
use crate::error::Result;

mod accumulators;
mod aggregates;
mod arrays;
mod builtin;
mod bytes;
pub mod cast;
mod catalog;
pub mod checked;
mod datetime;
pub mod divide;
mod exact;
mod format_number;
mod format_time;
mod json;
pub(crate) mod kind;
mod math;
mod names;
mod privileges;
mod regexp;
pub(crate) mod scalar;
mod series;
mod session;
mod sums;
mod text;
pub(crate) mod value;

#[cfg(test)]
pub(crate) mod tests;

pub use aggregates::SINGLE_VALUE;
pub use names::reg_name;
pub use series::table;

/// Reads a setting by its lower-case name.
pub type ReadSetting = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
/// Sets a setting: name, value, true when only for the transaction.
pub type WriteSetting = Arc<dyn Fn(&str, &str, bool) -> Result<()> + Send + Sync>;
/// The bytes of a relation on disk.
pub type SizeOf = Arc<dyn Fn(Oid) -> Option<u64> + Send + Sync>;

/// What functions know of the session that calls them. Made anew for each statement: the clock stands still in it.
#[derive(Clone)]
pub struct FunctionContext {
    /// The database's name.
    pub database: String,
    /// The current role.
    pub user: String,
    /// The role that logged in.
    pub session_user: String,
    /// The search path, without `$user` and without the implicit `pg_catalog`.
    pub search_path: Vec<String>,
    /// The definitions that the statement sees.
    pub catalog: Arc<Snapshot>,
    /// The session's `TimeZone`.
    pub time_zone: Tz,
    /// `now()`.
    pub started_at: DateTime<Utc>,
    /// When the server started.
    pub server_started_at: DateTime<Utc>,
    /// The number that CancelRequest and `pg_backend_pid()` name the session by.
    pub backend_pid: i32,
    /// The client's address, when it came over the network.
    pub client_address: Option<String>,
    /// Reads settings.
    pub read_setting: ReadSetting,
    /// Writes settings, for `set_config`.
    pub write_setting: WriteSetting,
    /// Sizes of relations.
    pub size_of: SizeOf,
    /// What the server knows of itself: sessions, statements, settings.
    pub server: Arc<dyn ServerFacts>,
}

impl FunctionContext {
    /// What `now`, `today` and local times mean.
    pub fn moment(&self) -> Moment {
        Moment { now: self.started_at, zone: self.time_zone }
    }

    /// The schema that unqualified new objects go to.
    pub fn current_schema(&self) -> Option<&str> {
        self.search_path.iter().map(String::as_str).find(|schema| self.catalog.schema(schema).is_some())
    }
}

impl fmt::Debug for FunctionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionContext").field("user", &self.user).field("search_path", &self.search_path).finish()
    }
}

/// The families, each a list of functions.
const FAMILIES: &[&[Function]] = &[
    session::FUNCTIONS,
    catalog::FUNCTIONS,
    privileges::FUNCTIONS,
    text::FUNCTIONS,
    bytes::FUNCTIONS,
    regexp::FUNCTIONS,
    math::FUNCTIONS,
    datetime::FUNCTIONS,
    format_time::FUNCTIONS,
    format_number::FUNCTIONS,
    arrays::FUNCTIONS,
    json::FUNCTIONS,
];

static FUNCTIONS: LazyLock<HashMap<&'static str, &'static Function>> = LazyLock::new(|| {
    FAMILIES.iter().flat_map(|family| family.iter()).map(|function| (function.name, function)).collect()
});

/// The function of one row of that name, bound to the session.
pub fn scalar(name: &str, session: &Arc<FunctionContext>) -> Option<Arc<ScalarUDF>> {
    let session = Arc::clone(session);
    if name == cast::CAST {
        return Some(Arc::new(ScalarUDF::new_from_impl(CastFunction::new(session))));
    }
    if let Some(function) = FUNCTIONS.get(name) {
        return Some(Arc::new(ScalarUDF::new_from_impl(ScalarFunction::new(function, session))));
    }
    checked::scalar(name).or_else(|| divide::scalar(name)).or_else(|| builtin::scalar(name))
}

/// A function of ours with the fields of its arguments, where these have types that values alone do not tell: what runs
/// may have lost them. `None` where it has these already, or needs none.
pub fn bound(function: &ScalarUDF, fields: &[FieldRef]) -> Option<Arc<ScalarUDF>> {
    if fields.iter().all(|field| field.metadata().is_empty()) {
        return None;
    }
    let inner = function.inner();
    if let Some(cast) = inner.downcast_ref::<CastFunction>() {
        return cast.bound(fields).map(|bound| Arc::new(ScalarUDF::new_from_impl(bound)));
    }
    let function = inner.downcast_ref::<ScalarFunction>()?;
    function.bound(fields).map(|bound| Arc::new(ScalarUDF::new_from_impl(bound)))
}

/// The aggregate function of that name, where DataFusion has none or another meaning.
pub fn aggregate(name: &str) -> Option<Arc<AggregateUDF>> {
    aggregates::aggregate(name)
}

/// All scalar functions of ours, for `pg_proc`.
pub fn all() -> impl Iterator<Item = &'static Function> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The name of a type by its number, for lists of functions.
pub(crate) fn type_name_of(oid: u32) -> String {
    names::type_name(oid, None).unwrap_or_else(|| "???".to_owned())
}
