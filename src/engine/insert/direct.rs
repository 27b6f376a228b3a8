//! INSERT of rows that are written out: literals, parameters and DEFAULT become arrays without a plan.
//!
//! [`Direct`] is what can be known before parameters have values; a prepared statement keeps it. Invariant: its rows are
//! those that the plan of the statement gives. Where that is not certain, or a value does not fit, there are none, and the
//! statement is planned: then the plan has the last word, and says what is wrong.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::Field;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast;

use crate::catalog::Snapshot;
use crate::catalog::definition::ColumnDef;
use crate::catalog::pg_type::PgType;
use crate::dialect;
use crate::engine::assign::{is_assignable, unbounded};
use crate::engine::conflict::{Conflict, Setter};
use crate::engine::functions::cast::cast_array;
use crate::engine::functions::value;
use crate::engine::insert::cell::{Cell, cell};
use crate::engine::insert::{positions, refuse_generated, target_of};
use crate::engine::target::Target;
use crate::engine::update::{is_default, with_parameter_type};
use crate::engine::write::is_sorted;
use crate::engine::{Engine, Scope};
use crate::error::{Error, Result};

/// An INSERT whose rows are written out.
pub struct Direct {
    pub(in crate::engine) target: Target,
    pub(in crate::engine) conflict: Option<Arc<Conflict>>,
    /// The clauses of DO UPDATE, where they are compiled and have no parameters.
    pub(in crate::engine) setter: Option<Arc<Setter>>,
    /// Where the values of each column of the table come from.
    columns: Vec<Source>,
    /// How many rows there are.
    count: usize,
    /// The types of `$1`, `$2`, ..., where they are known.
    pub(in crate::engine) parameters: Vec<Option<PgType>>,
    /// What the names of the statement were looked up in.
    seen: (Arc<Snapshot>, Vec<String>),
}

/// Where the values of a column come from.
enum Source {
    /// From the statement, row by row.
    Cells(Vec<Cell>),
    /// From a default that is a literal.
    Constant(Cell),
    /// From its default, or it has none, or it is generated.
    Default,
}

impl Direct {
    /// The statement, if its rows are written out and it means something: whatever is wrong with it is for the plan to say.
    /// `parameters` are the types that the client has given.
    pub(in crate::engine) fn of(scope: &Scope, insert: &ast::Insert, parameters: &[Option<PgType>]) -> Option<Self> {
        let target = target_of(scope, insert).ok()?;
        let conflict = Conflict::of(&target, insert).ok()?.map(Arc::new);
        let (rows, count) = match &insert.source {
            Some(source) => written_rows(source).map(|rows| (rows, rows.len()))?,
            None => (&[][..], 1),
        };
        if count > 1 && is_sorted(&target.relation) {
            return None;
        }
        let positions = positions(&target, &insert.columns).ok()?;
        let width = rows.first().map_or(0, |row| row.content.len());
        let is_even = rows.iter().all(|row| row.content.len() == width);
        if !is_even || width > positions.len() || (!insert.columns.is_empty() && width < positions.len()) {
            return None;
        }
        let mut types = parameters.to_vec();
        for (value, position) in rows.iter().flat_map(|row| row.content.iter().zip(&positions)) {
            types = with_parameter_type(types, value, &target.relation.columns[*position].pg_type);
        }
        let mut columns: Vec<Source> = target.relation.columns.iter().map(default_of).collect();
        for (place, position) in positions.iter().take(width).enumerate() {
            let values: Vec<&ast::Expr> = rows.iter().map(|row| &row.content[place]).collect();
            if values.iter().all(|value| is_default(value)) {
                continue;
            }
            refuse_generated(&target, *position).ok()?;
            let column = &target.relation.columns[*position];
            let cells = cells(&values, &column.pg_type)?;
            note_casts(&cells, &column.pg_type, parameters, &mut types)?;
            columns[*position] = Source::Cells(cells);
        }
        let seen = (Arc::clone(&scope.version.catalog), scope.search_path().to_vec());
        Some(Self { target, conflict, setter: None, columns, count, parameters: types, seen })
    }

    /// True where it still means the same in `scope`.
    pub(in crate::engine) fn holds(&self, scope: &Scope) -> bool {
        let (catalog, search_path) = &self.seen;
        Arc::ptr_eq(catalog, &scope.version.catalog) && search_path == scope.search_path()
    }

    /// Compiles the clauses of DO UPDATE, if it can be done without a plan.
    pub(in crate::engine) fn compile(&mut self, engine: &Engine, scope: &Scope) {
        let update = self.conflict.as_ref().filter(|_| self.looks()).and_then(|conflict| conflict.update());
        self.setter = update.and_then(|update| engine.setter(scope, &self.target, update, &[])).map(Arc::new);
    }

    /// True where it changes rows by what they hold: what its clauses mean takes a plan to know, or [`Self::compile`].
    pub(in crate::engine) fn looks(&self) -> bool {
        self.conflict
            .as_ref()
            .is_some_and(|conflict| conflict.update().is_some() && !conflict.replaces_unseen(&self.target.relation))
    }

    /// The rows, with generated columns, checked.
    pub(in crate::engine) fn rows(
        &self,
        engine: &Engine,
        scope: &Scope,
        parameters: &[ScalarValue],
    ) -> Result<RecordBatch> {
        let relation = &self.target.relation;
        let mut columns = Vec::with_capacity(relation.columns.len());
        for (column, source) in relation.columns.iter().zip(&self.columns) {
            columns.push(match source {
                Source::Cells(cells) => array(scope, column, cells, parameters)?,
                Source::Constant(cell) => {
                    let value = cell.value(column, &scope.functions)?;
                    value::build(&column.pg_type.arrow(), vec![value; self.count])?
                }
                Source::Default => engine.defaults(scope, column, self.count)?,
            });
        }
        let rules = engine.rules(scope, relation)?;
        rules.apply(&rules.filled(columns, self.count)?)
    }
}

/// The rows of VALUES.
fn written_rows(source: &ast::Query) -> Option<&[ast::Parens<Vec<ast::Expr>>]> {
    let ast::Query { with, body, order_by, limit_clause, fetch, locks, .. } = source;
    let is_bare = with.is_none() && order_by.is_none() && limit_clause.is_none() && fetch.is_none() && locks.is_empty();
    match body.as_ref() {
        ast::SetExpr::Values(values) if is_bare && !values.rows.is_empty() => Some(&values.rows),
        _ => None,
    }
}

/// Where the values of a column come from that a statement leaves out.
fn default_of(column: &ColumnDef) -> Source {
    let literal = || {
        let text = column.default.as_ref().filter(|_| column.generated.is_none())?;
        cell(&dialect::parse_expression(text).ok()?, &column.pg_type)
            .filter(|cell| !matches!(cell, Cell::Parameter { .. }))
    };
    literal().map_or(Source::Default, Source::Constant)
}

/// The values of one column, all of a kind: a plan first brings those of several rows to one type.
fn cells(values: &[&ast::Expr], pg_type: &PgType) -> Option<Vec<Cell>> {
    let cells: Vec<Cell> = values.iter().map(|value| cell(value, pg_type)).collect::<Option<_>>()?;
    let mut kinds = cells.iter().filter(|cell| !matches!(cell, Cell::Null)).map(std::mem::discriminant);
    let first = kinds.next();
    kinds.all(|kind| Some(kind) == first).then_some(cells)
}

/// A parameter that is cast has the type that it is cast to, if the client has given none; `None` where it has another one
/// already.
fn note_casts(
    cells: &[Cell],
    pg_type: &PgType,
    given: &[Option<PgType>],
    types: &mut Vec<Option<PgType>>,
) -> Option<()> {
    for cell in cells {
        let Cell::Parameter { place, is_cast: true } = cell else { continue };
        types.resize(types.len().max(place + 1), None);
        let is_given = given.get(*place).is_some_and(Option::is_some);
        if !is_given && types[*place].get_or_insert_with(|| pg_type.clone()) != pg_type {
            return None;
        }
    }
    Some(())
}

/// The values of a column as the table stores them.
fn array(scope: &Scope, column: &ColumnDef, cells: &[Cell], parameters: &[ScalarValue]) -> Result<ArrayRef> {
    let stored = column.pg_type.arrow();
    if !cells.iter().any(|cell| matches!(cell, Cell::Parameter { .. })) {
        let values = cells.iter().map(|cell| cell.value(column, &scope.functions)).collect::<Result<_>>()?;
        return value::build(&stored, values);
    }
    if let [Cell::Parameter { place, is_cast }] = cells {
        return parameter(scope, column, given(parameters, *place)?, *is_cast);
    }
    let null = ScalarValue::try_from(&stored)?;
    let values = cells.iter().map(|cell| match cell {
        Cell::Parameter { place, .. } => given(parameters, *place).cloned(),
        _ => Ok(null.clone()),
    });
    let values: Vec<ScalarValue> = values.collect::<Result<_>>()?;
    match values.iter().all(|value| value.data_type() == stored) {
        true => Ok(ScalarValue::iter_to_array(values)?),
        false => Err(unfit()),
    }
}

/// The one value of a column, from a parameter.
fn parameter(scope: &Scope, column: &ColumnDef, value: &ScalarValue, is_cast: bool) -> Result<ArrayRef> {
    let mut array = value.to_array_of_size(1)?;
    if is_cast {
        let from = Field::new("", array.data_type().clone(), true);
        array = cast_array(&array, &from, &column.pg_type, &scope.functions)?;
    }
    if *array.data_type() != column.pg_type.arrow() {
        let from = Field::new("", array.data_type().clone(), true);
        if !is_assignable(&from, column) {
            return Err(unfit());
        }
        array = cast_array(&array, &from, &unbounded(&column.pg_type), &scope.functions)?;
    }
    // What is beyond the column's digits would become NULL here.
    let exact = arrow::compute::cast(&array, &column.pg_type.arrow())?;
    if exact.null_count() == array.null_count() { Ok(exact) } else { Err(unfit()) }
}

fn given(parameters: &[ScalarValue], place: usize) -> Result<&ScalarValue> {
    parameters.get(place).ok_or_else(unfit)
}

/// Nobody sees it: the plan says what it makes of the value.
fn unfit() -> Error {
    Error::internal("a value needs a plan")
}
