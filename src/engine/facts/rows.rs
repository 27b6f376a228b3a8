//! Rows that ship in the program with PostgreSQL's own numbers: types and functions, from `catalog/rows/*.tsv`.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::engine::functions::type_name_of;

const TYPES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/catalog/rows/pg_type.tsv"));
const FUNCTIONS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/catalog/rows/pg_proc.tsv"));

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
static FUNCTION_ROWS: LazyLock<Vec<FunctionRow>> =
    LazyLock::new(|| FUNCTIONS.lines().filter_map(parse_function).collect());
static FUNCTIONS_BY_OID: LazyLock<HashMap<u32, usize>> =
    LazyLock::new(|| FUNCTION_ROWS.iter().enumerate().map(|(at, row)| (row.oid, at)).collect());

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
