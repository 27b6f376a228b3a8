//! The clause ON CONFLICT, resolved against the constraints of its table.

use datafusion::sql::sqlparser::ast::{self, ConflictTarget, OnConflictAction, OnInsert};

use crate::catalog::definition::{ColumnDef, ConstraintKind, RelationDef, TableDef};
use crate::dialect;
use crate::engine::conflict::EXCLUDED;
use crate::engine::target::Target;
use crate::error::{Error, ErrorKind, Result};

/// What an INSERT does about rows whose keys are taken.
pub(in crate::engine) struct Conflict {
    /// The columns of each key that a proposed row may share with another row: one with DO UPDATE, at least one with DO
    /// NOTHING.
    pub keys: Vec<Vec<String>>,
    pub action: ConflictAction,
}

/// What happens to a proposed row whose key is taken.
pub(in crate::engine) enum ConflictAction {
    /// It is left out.
    Nothing,
    /// The row that has the key is changed.
    Update(Box<ast::DoUpdate>),
}

impl Conflict {
    /// The clause of an INSERT; `None` where every row goes in: without a clause, and with DO NOTHING on a table that has
    /// no key.
    pub(in crate::engine) fn of(target: &Target, insert: &ast::Insert) -> Result<Option<Self>> {
        let on = match &insert.on {
            None => return Ok(None),
            Some(OnInsert::OnConflict(on)) => on,
            Some(_) => {
                return Err(Error::unsupported("ON DUPLICATE KEY UPDATE is not supported")
                    .hint("Use ON CONFLICT (columns) DO UPDATE SET ..."));
            }
        };
        let relation = &target.relation;
        let keys = match (&on.conflict_target, &on.action) {
            (Some(ConflictTarget::Columns(columns)), _) => vec![key_of_columns(relation, columns)?],
            (Some(ConflictTarget::OnConstraint(name)), _) => vec![key_of_constraint(relation, name)?],
            (None, OnConflictAction::DoNothing) => keys(relation).map(|(_, key)| key.to_vec()).collect(),
            (None, OnConflictAction::DoUpdate(_)) => {
                return Err(Error::new(
                    ErrorKind::SyntaxError,
                    "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                )
                .hint("For example, ON CONFLICT (column_name)."));
            }
        };
        let action = match &on.action {
            OnConflictAction::DoNothing => ConflictAction::Nothing,
            OnConflictAction::DoUpdate(_) if target.alias == EXCLUDED => {
                return Err(Error::new(ErrorKind::AmbiguousAlias, "table reference \"excluded\" is ambiguous")
                    .hint("Give the table another alias: excluded is the row that is proposed."));
            }
            OnConflictAction::DoUpdate(update) => ConflictAction::Update(Box::new(update.clone())),
        };
        Ok((!keys.is_empty()).then_some(Self { keys, action }))
    }
}

impl Conflict {
    /// What becomes of rows that are there, if they change.
    pub(in crate::engine) fn update(&self) -> Option<&ast::DoUpdate> {
        match &self.action {
            ConflictAction::Update(update) => Some(update),
            ConflictAction::Nothing => None,
        }
    }

    /// True where rows that change keep the primary key, by which the tail tells them.
    pub(super) fn keeps_key(&self, relation: &RelationDef) -> bool {
        match &self.action {
            ConflictAction::Nothing => true,
            ConflictAction::Update(update) => {
                let key = primary_key(relation);
                let assigned = |assignment: &ast::Assignment| targets(assignment).iter().any(|name| key.contains(name));
                !key.is_empty() && !update.assignments.iter().any(assigned)
            }
        }
    }

    /// True where a proposed row takes the place of the one with its primary key whatever that holds: every other column
    /// is set to the proposed value, once.
    pub(in crate::engine) fn replaces_unseen(&self, relation: &RelationDef) -> bool {
        let ConflictAction::Update(update) = &self.action else { return false };
        let key = primary_key(relation);
        let is_own = |column: &&ColumnDef| !key.contains(&column.name) && column.generated.is_none();
        let own: Vec<&ColumnDef> = relation.columns.iter().filter(is_own).collect();
        let is_replaced =
            |column: &&ColumnDef| update.assignments.iter().any(|assignment| takes_proposed(assignment, &column.name));
        let is_whole = own.len() == update.assignments.len() && own.iter().all(is_replaced);
        is_whole && update.selection.is_none() && self.is_by_primary_key(relation)
    }

    /// True where the primary key alone tells which rows are in the way.
    pub(super) fn is_by_primary_key(&self, relation: &RelationDef) -> bool {
        let key = primary_key(relation);
        match self.keys.as_slice() {
            [by] => key.len() == by.len() && key.iter().all(|column| by.contains(column)),
            _ => false,
        }
    }
}

fn primary_key(relation: &RelationDef) -> &[String] {
    relation.table().map(TableDef::primary_key).unwrap_or_default()
}

/// The columns that SET assigns.
fn targets(assignment: &ast::Assignment) -> Vec<String> {
    let name = |name: &ast::ObjectName| name.0.last().and_then(|part| part.as_ident()).map(dialect::identifier);
    match &assignment.target {
        ast::AssignmentTarget::ColumnName(column) => name(column).into_iter().collect(),
        ast::AssignmentTarget::Tuple(columns) => columns.iter().filter_map(name).collect(),
    }
}

/// True for `SET column = excluded.column`.
fn takes_proposed(assignment: &ast::Assignment, column: &str) -> bool {
    let is_column = matches!(&assignment.target, ast::AssignmentTarget::ColumnName(_));
    let takes = match &assignment.value {
        ast::Expr::CompoundIdentifier(parts) => {
            parts.iter().map(dialect::identifier).eq([EXCLUDED, column].map(str::to_owned))
        }
        _ => false,
    };
    is_column && takes && targets(assignment) == [column]
}

/// The table's primary key and unique constraints: names and columns.
fn keys(relation: &RelationDef) -> impl Iterator<Item = (&str, &[String])> {
    let constraints = relation.table().map(|table| table.constraints.as_slice()).unwrap_or_default();
    constraints.iter().filter_map(|constraint| match &constraint.kind {
        ConstraintKind::PrimaryKey { columns } | ConstraintKind::Unique { columns } => {
            Some((constraint.name.as_str(), columns.as_slice()))
        }
        ConstraintKind::Check { .. } | ConstraintKind::ForeignKey { .. } => None,
    })
}

/// The key that has exactly these columns, in any order.
fn key_of_columns(relation: &RelationDef, columns: &[ast::Ident]) -> Result<Vec<String>> {
    let mut named = Vec::with_capacity(columns.len());
    for column in columns {
        let name = dialect::identifier(column);
        if relation.column(&name).is_none() {
            return Err(Error::new(ErrorKind::UndefinedColumn, format!("column \"{name}\" does not exist")));
        }
        named.push(name);
    }
    let has_same =
        |key: &[String]| key.iter().all(|column| named.contains(column)) && named.iter().all(|name| key.contains(name));
    let found = keys(relation).find(|(_, key)| has_same(key));
    found.map(|(_, key)| key.to_vec()).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidColumnReference,
            "there is no unique or exclusion constraint matching the ON CONFLICT specification",
        )
    })
}

fn key_of_constraint(relation: &RelationDef, name: &ast::ObjectName) -> Result<Vec<String>> {
    let name = dialect::object_name(name)?.name;
    if let Some((_, key)) = keys(relation).find(|(known, _)| *known == name) {
        return Ok(key.to_vec());
    }
    let constraints = relation.table().map(|table| table.constraints.as_slice()).unwrap_or_default();
    Err(match constraints.iter().any(|constraint| constraint.name == name) {
        true => Error::new(ErrorKind::WrongObjectType, "constraint in ON CONFLICT clause has no associated index"),
        false => Error::new(
            ErrorKind::UndefinedObject,
            format!("constraint \"{name}\" for table \"{}\" does not exist", relation.name),
        ),
    })
}
