//! The changes of one ALTER TABLE, gathered: the definition that they lead to, and how rows get there.
//!
//! Invariant: nothing has happened before [`Alteration::metadata`] and the rest are handed to the engine at once, so a
//! statement with several changes makes them all in one commit, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::sql::sqlparser::ast;

use crate::catalog::definition::{
    ColumnDef, ConstraintDef, ConstraintKind, EVENT_OPTIONS, RelationDef, RelationKind, TableDef,
};
use crate::catalog::name::{Oid, quote_identifier};
use crate::dialect;
use crate::dialect::{Constraint, NewColumn, Watermark};
use crate::engine::Scope;
use crate::engine::create::{checks, event_watermark};
use crate::engine::definition::Requirement;
use crate::error::{Error, ErrorKind, Result};
use crate::session::create_table::{add_constraint, new_column};
use crate::tables::{MetadataChange, is_property};

/// A table on its way from one definition to another.
pub(super) struct Alteration {
    old: Arc<RelationDef>,
    pub new: RelationDef,
    pub table: TableDef,
    /// For each new column where its values come from, over the old columns; `None` is its default.
    pub values: Vec<Option<ast::Expr>>,
    /// The rows have to be written again.
    pub rewrites: bool,
    /// The views that go with a column.
    pub views: BTreeSet<Oid>,
    /// What becomes of the options that stand in the table's log; `None` removes one.
    properties: BTreeMap<String, Option<String>>,
}

impl Alteration {
    pub fn of(old: &Arc<RelationDef>) -> Result<Self> {
        let Some(table) = old.table() else {
            return Err(Error::new(ErrorKind::WrongObjectType, format!("\"{}\" is not a table", old.name)));
        };
        let own = |column: &ColumnDef| dialect::parse_expression(&quote_identifier(&column.name)).map(Some);
        let values = old.columns.iter().map(own).collect::<Result<_>>()?;
        Ok(Self {
            old: Arc::clone(old),
            new: RelationDef::clone(old),
            table: table.clone(),
            values,
            rewrites: false,
            views: BTreeSet::new(),
            properties: BTreeMap::new(),
        })
    }

    /// Where a column is.
    pub fn position(&self, column: &str) -> Result<usize> {
        self.new.columns.iter().position(|held| held.name == column).ok_or_else(|| {
            Error::new(
                ErrorKind::UndefinedColumn,
                format!("column \"{column}\" of relation \"{}\" does not exist", self.new.name),
            )
        })
    }

    pub fn add_column(&mut self, scope: &Scope, column: &NewColumn, constraints: &[Constraint]) -> Result<()> {
        self.refuse_taken(&column.name)?;
        let number = self.new.columns.iter().map(|column| column.number).max().unwrap_or_default();
        self.new.columns.push(ColumnDef { number: number + 1, ..new_column(self.new.columns.len(), column)? });
        self.values.push(None);
        self.rewrites |= column.default.is_some() || column.generated.is_some() || column.not_null;
        constraints.iter().try_for_each(|constraint| self.add_constraint(scope, constraint))
    }

    pub fn drop_column(&mut self, column: &str, cascade: bool) -> Result<()> {
        let position = self.position(column)?;
        if self.table.partitioned_by.iter().any(|name| name == column) {
            return Err(Error::new(
                ErrorKind::InvalidTableDefinition,
                format!("cannot drop partition column \"{column}\""),
            ));
        }
        let reads = |text: &Option<String>| text.as_deref().is_some_and(|text| names_column(text, column));
        if let Some(reader) = self.new.columns.iter().find(|other| other.name != column && reads(&other.generated)) {
            return Err(Error::new(
                ErrorKind::DependentObjectsStillExist,
                format!("cannot drop column \"{column}\" because column \"{}\" is generated from it", reader.name),
            ));
        }
        let is_check = |held: &ConstraintDef| matches!(held.kind, ConstraintKind::Check { .. });
        let depends = |held: &ConstraintDef| match &held.kind {
            ConstraintKind::Check { expression } => names_column(expression, column),
            _ => held.columns().iter().any(|name| name == column),
        };
        let check = self.table.constraints.iter().find(|held| is_check(held) && depends(held));
        if let (false, Some(check)) = (cascade, check) {
            return Err(Error::new(
                ErrorKind::DependentObjectsStillExist,
                format!("cannot drop column \"{column}\" because constraint \"{}\" needs it", check.name),
            )
            .hint("Use DROP COLUMN ... CASCADE to drop the constraint too."));
        }
        if self.table.event_watermark.as_ref().is_some_and(|watermark| watermark.column == column) {
            if !cascade {
                return Err(Error::new(
                    ErrorKind::DependentObjectsStillExist,
                    format!("cannot drop column \"{column}\" because the table's watermark needs it"),
                )
                .hint("Use DROP COLUMN ... CASCADE to drop the watermark too."));
            }
            self.drop_watermark(column)?;
        }
        self.table.constraints.retain(|held| !depends(held));
        self.table.clustered_by.retain(|name| name != column);
        self.new.columns.remove(position);
        self.values.remove(position);
        self.rewrites = true;
        match self.new.columns.is_empty() {
            true => Err(Error::new(ErrorKind::InvalidTableDefinition, "a table needs at least one column")),
            false => Ok(()),
        }
    }

    pub fn rename_column(&mut self, column: &str, to: &str) -> Result<()> {
        let position = self.position(column)?;
        self.refuse_taken(to)?;
        let reads = |text: &str| names_column(text, column);
        let in_checks = checks(&self.table).iter().any(|(_, expression)| reads(expression));
        if in_checks || self.new.columns.iter().any(|other| other.generated.as_deref().is_some_and(reads)) {
            return Err(Error::unsupported(format!(
                "column \"{column}\" is read by a check or a generated column and cannot be renamed"
            ))
            .hint("Drop the constraint, rename the column, add the constraint again."));
        }
        if self.table.partitioned_by.iter().any(|name| name == column) {
            return Err(Error::unsupported(format!("partition column \"{column}\" cannot be renamed"))
                .hint("CREATE TABLE ... AS SELECT with the new name."));
        }
        self.new.columns[position].name = to.to_owned();
        self.table.rename_column(column, to);
        self.rewrites = true;
        Ok(())
    }

    pub fn set_not_null(&mut self, column: &str, not_null: bool) -> Result<()> {
        let position = self.position(column)?;
        if !not_null && self.table.primary_key().iter().any(|key| key == column) {
            return Err(Error::new(
                ErrorKind::InvalidTableDefinition,
                format!("column \"{column}\" is in a primary key"),
            ));
        }
        self.new.columns[position].not_null = not_null;
        Ok(())
    }

    pub fn add_constraint(&mut self, scope: &Scope, constraint: &Constraint) -> Result<()> {
        add_constraint(scope, &mut self.new, &mut self.table, constraint).map(drop)
    }

    pub fn add_watermark(&mut self, scope: &Scope, watermark: &Watermark) -> Result<()> {
        if let Some(held) = &self.table.event_watermark {
            let message = format!("table \"{}\" has a watermark already", self.new.name);
            return Err(Error::new(ErrorKind::DuplicateObject, message)
                .detail(held.to_string())
                .hint("ALTER TABLE ... DROP WATERMARK FOR drops it.")
                .at(watermark.position));
        }
        self.table.event_watermark = Some(event_watermark(scope, watermark)?);
        Ok(())
    }

    /// Without its watermark, a table has none of the options that say what it does.
    pub fn drop_watermark(&mut self, column: &str) -> Result<()> {
        match self.table.event_watermark.take_if(|held| held.column == column) {
            Some(_) => {
                self.reset_options(&EVENT_OPTIONS.map(str::to_owned));
                Ok(())
            }
            None => {
                let message = format!("table \"{}\" has no watermark for column \"{column}\"", self.new.name);
                Err(Error::new(ErrorKind::UndefinedObject, message))
            }
        }
    }

    pub fn set_options(&mut self, options: BTreeMap<String, String>) {
        let logged = options.iter().filter(|(name, _)| is_property(name));
        self.properties.extend(logged.map(|(name, value)| (name.clone(), Some(value.clone()))));
        self.table.options.extend(options);
    }

    pub fn reset_options(&mut self, names: &[String]) {
        self.properties.extend(names.iter().filter(|name| is_property(name)).map(|name| (name.clone(), None)));
        self.table.options.retain(|name, _| !names.contains(name));
    }

    fn refuse_taken(&self, column: &str) -> Result<()> {
        match self.new.column(column) {
            None => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::DuplicateColumn,
                format!("column \"{column}\" of relation \"{}\" already exists", self.new.name),
            )),
        }
    }

    /// The new definition.
    pub fn definition(&self) -> RelationDef {
        RelationDef { kind: RelationKind::Table(self.table.clone()), ..self.new.clone() }
    }

    /// What of it the table's log has to say; `None` where only the catalog changes.
    pub fn metadata(&self) -> Option<MetadataChange> {
        let logged = |columns: &[ColumnDef]| -> Vec<ColumnDef> {
            columns.iter().map(|column| ColumnDef { default: None, ..column.clone() }).collect()
        };
        let mut change = MetadataChange { properties: self.properties.clone(), ..MetadataChange::default() };
        if self.rewrites || logged(&self.new.columns) != logged(&self.old.columns) {
            change.columns = Some(self.new.columns.clone());
        }
        let old = self.old_checks();
        let new: BTreeMap<_, _> = checks(&self.table).into_iter().collect();
        change.checks.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), None)));
        change
            .checks
            .extend(new.into_iter().filter(|(name, _)| !old.contains_key(name)).map(|(name, text)| (name, Some(text))));
        if self.old.table().is_some_and(|table| table.clustered_by != self.table.clustered_by) {
            change.clustered_by = Some(self.table.clustered_by.clone());
        }
        let is_empty = change.columns.is_none() && change.checks.is_empty() && change.clustered_by.is_none();
        (!is_empty || !change.properties.is_empty()).then_some(change)
    }

    /// What must hold for the rows that are there, where they are not written again. A condition on a column that they
    /// do not have makes that needed.
    pub fn requirements(&mut self) -> Vec<Requirement> {
        let mut requirements = Vec::new();
        let name = &self.new.name;
        for column in self.new.columns.iter().filter(|column| column.not_null) {
            match self.old.column(&column.name) {
                Some(old) if old.not_null => {}
                Some(_) => requirements.push(Requirement {
                    condition: format!("{} IS NOT NULL", quote_identifier(&column.name)),
                    otherwise: Error::new(
                        ErrorKind::NotNullViolation,
                        format!("column \"{}\" of relation \"{name}\" contains null values", column.name),
                    ),
                }),
                None => self.rewrites = true,
            }
        }
        let old = self.old_checks();
        for (check, condition) in checks(&self.table).into_iter().filter(|(check, _)| !old.contains_key(check)) {
            let is_new = |column: &&ColumnDef| self.old.column(&column.name).is_none();
            self.rewrites |=
                self.new.columns.iter().filter(is_new).any(|column| names_column(&condition, &column.name));
            let message = format!("check constraint \"{check}\" of relation \"{name}\" is violated by some row");
            requirements.push(Requirement { condition, otherwise: Error::new(ErrorKind::CheckViolation, message) });
        }
        if self.rewrites {
            requirements.clear();
        }
        requirements
    }

    fn old_checks(&self) -> BTreeMap<String, String> {
        self.old.table().map(checks).unwrap_or_default().into_iter().collect()
    }
}

/// True when the expression's text reads the column; also when it cannot be read.
fn names_column(text: &str, column: &str) -> bool {
    dialect::parse_expression(text)
        .map_or(true, |expression| dialect::column_names(&expression).iter().any(|name| name == column))
}
