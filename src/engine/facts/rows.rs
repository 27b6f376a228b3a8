//! Rows that ship in the program with PostgreSQL's own numbers: types and functions, from `catalog/rows/*.tsv`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use datafusion::logical_expr::Volatility;

use crate::catalog::pg_type::oid_of;
use crate::engine::functions::kind::Kind;
use crate::engine::functions::scalar::{Function, Overload};
use crate::engine::functions::{all, type_name_of};

const TYPES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/catalog/rows/pg_type.tsv"));
const FUNCTIONS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/catalog/rows/pg_proc.tsv"));

/// Functions of ours that PostgreSQL does not have are numbered from here; its own numbers end below.
const OWN_FUNCTIONS: u32 = 9500;
/// The pseudo-types of parameters that take several types.
const ANY: u32 = 2276;
const ANY_ARRAY: u32 = 2277;
const ANY_ELEMENT: u32 = 2283;

/// A built-in type: the fields of its line.
pub(crate) struct TypeRow {
    pub(crate) oid: u32,
    pub(crate) name: &'static str,
    pub(crate) fields: Vec<&'static str>,
}

impl TypeRow {
    /// The name `format_type` shows: of an array, its element's and brackets.
    pub(crate) fn display_name(&self) -> String {
        match self.name.strip_prefix('_') {
            Some(element) => format!("{element}[]"),
            None => self.name.to_owned(),
        }
    }
}

/// A function that can be called, or that a type is read and written by.
pub(crate) struct FunctionRow {
    pub(crate) oid: u32,
    pub(crate) name: &'static str,
    /// `f` function, `a` aggregate, `w` window.
    pub(crate) kind: &'static str,
    pub(crate) volatility: &'static str,
    pub(crate) strict: bool,
    pub(crate) set: bool,
    pub(crate) defaults: i16,
    pub(crate) variadic: u32,
    pub(crate) result: u32,
    pub(crate) arguments: Vec<u32>,
}

impl FunctionRow {
    /// The type of the result, as `\df` shows it.
    pub(crate) fn result_name(&self) -> String {
        let set = if self.set { "SETOF " } else { "" };
        format!("{set}{}", type_name_of(self.result))
    }

    /// The types of the arguments, as `\df` shows them.
    pub(crate) fn argument_names(&self) -> String {
        let last = self.arguments.len().saturating_sub(1);
        let names = self.arguments.iter().enumerate().map(|(at, oid)| match self.variadic != 0 && at == last {
            true => format!("VARIADIC {}", type_name_of(*oid)),
            false => type_name_of(*oid),
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

static TYPE_ROWS: LazyLock<Vec<TypeRow>> = LazyLock::new(|| TYPES.lines().filter_map(parse_type).collect());
static TYPES_BY_OID: LazyLock<HashMap<u32, usize>> =
    LazyLock::new(|| TYPE_ROWS.iter().enumerate().map(|(at, row)| (row.oid, at)).collect());
static FUNCTION_ROWS: LazyLock<Vec<FunctionRow>> = LazyLock::new(|| {
    let mut rows: Vec<FunctionRow> = FUNCTIONS.lines().filter_map(parse_function).collect();
    let known: HashSet<&str> = rows.iter().map(|row| row.name).collect();
    let overloads = all().filter(|function| !known.contains(function.name));
    let overloads = overloads.flat_map(|function| function.overloads.iter().map(move |overload| (function, overload)));
    let own = overloads.zip(OWN_FUNCTIONS..).map(|((function, overload), oid)| own_row(oid, function, overload));
    rows.extend(own.collect::<Vec<_>>());
    rows
});
static FUNCTIONS_BY_OID: LazyLock<HashMap<u32, usize>> =
    LazyLock::new(|| FUNCTION_ROWS.iter().enumerate().map(|(at, row)| (row.oid, at)).collect());

/// The row of a function that PostgreSQL does not have.
fn own_row(oid: u32, function: &'static Function, overload: &Overload) -> FunctionRow {
    let type_oid = |kind: &Kind| match kind {
        Kind::Any => ANY,
        Kind::AnyArray => ANY_ARRAY,
        other => other.pg_type().map_or(ANY_ELEMENT, |pg_type| oid_of(&pg_type)),
    };
    FunctionRow {
        oid,
        name: function.name,
        kind: "f",
        volatility: match function.volatility {
            Volatility::Immutable => "i",
            Volatility::Stable => "s",
            Volatility::Volatile => "v",
        },
        strict: overload.strict,
        set: false,
        defaults: 0,
        variadic: overload.takes.last().filter(|_| overload.variadic).map_or(0, type_oid),
        result: type_oid(&overload.gives),
        arguments: overload.takes.iter().map(type_oid).collect(),
    }
}

fn parse_type(line: &'static str) -> Option<TypeRow> {
    let fields: Vec<&'static str> = line.split('\t').collect();
    Some(TypeRow { oid: fields.first()?.parse().ok()?, name: fields.get(1).copied()?, fields })
}

fn parse_function(line: &'static str) -> Option<FunctionRow> {
    let fields: Vec<&'static str> = line.split('\t').collect();
    let field = |at: usize| fields.get(at).copied();
    Some(FunctionRow {
        oid: field(0)?.parse().ok()?,
        name: field(1)?,
        kind: field(2)?,
        volatility: field(3)?,
        strict: field(4)? == "t",
        set: field(5)? == "t",
        defaults: field(6)?.parse().ok()?,
        variadic: field(7)?.parse().ok()?,
        result: field(8)?.parse().ok()?,
        arguments: field(9)?.split_whitespace().map(|oid| oid.parse().ok()).collect::<Option<_>>()?,
    })
}

/// All built-in types.
pub(crate) fn types() -> &'static [TypeRow] {
    &TYPE_ROWS
}

/// The built-in type of that number.
pub(crate) fn type_by_oid(oid: u32) -> Option<&'static TypeRow> {
    TYPES_BY_OID.get(&oid).map(|at| &TYPE_ROWS[*at])
}

/// All functions.
pub(crate) fn functions() -> &'static [FunctionRow] {
    &FUNCTION_ROWS
}

/// The function of that number.
pub(crate) fn function_by_oid(oid: u32) -> Option<&'static FunctionRow> {
    FUNCTIONS_BY_OID.get(&oid).map(|at| &FUNCTION_ROWS[*at])
}

/// The number of the first function of that name.
pub(crate) fn function_oid(name: &str) -> Option<u32> {
    FUNCTION_ROWS.iter().find(|row| row.name == name).map(|row| row.oid)
}
