//! Output names that occur twice: kept apart inside by a mark that clients never see.
//!
//! `SELECT n.oid, n.*` and `SELECT a.*, b.*` are plain in PostgreSQL and an error in DataFusion. The second and later
//! columns of one name get the suffix [`MARK`] and a number; [`shown_name`] takes it off. Wildcards that would bring a
//! second column of a name are written out first, which needs the columns of what is in FROM: tables and views from the
//! catalog, subqueries and common table expressions from their own text. Where columns are not known (a table function
//! with a schema of its own), wildcards stay.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins,
};

use crate::catalog::Found;
use crate::catalog::name::ObjectName;
use crate::engine::facts::shapes;
use crate::engine::shim::{ShimContext, names};

/// What parts a name from the number that keeps it apart. No keyboard writes it.
const MARK: char = '\u{1f}';

/// The name that clients see for a column of a rewritten query.
pub fn shown_name(internal: &str) -> &str {
    internal.split_once(MARK).map_or(internal, |(name, _)| name)
}

/// A column of a table in FROM.
#[derive(Clone, Debug)]
struct Column {
    /// The alias or name of its table; `None` for a column that USING merged.
    table: Option<Ident>,
    name: String,
}

/// The columns of everything in a FROM clause; `None` where they are not known.
type Columns = Option<Vec<Column>>;

/// Keeps output names apart while a statement is walked.
pub(super) struct Outputs<'a> {
    context: &'a ShimContext<'a>,
    /// The common table expressions in sight: name and columns, innermost last.
    expressions: Vec<(String, Option<Vec<String>>)>,
    /// How many of them each open query added.
    added: Vec<usize>,
}

impl<'a> Outputs<'a> {
    pub(super) fn new(context: &'a ShimContext<'a>) -> Self {
        Self { context, expressions: Vec::new(), added: Vec::new() }
    }

    /// On the way into a query: its common table expressions come in sight.
    pub(super) fn enter(&mut self, query: &Query) {
        let before = self.expressions.len();
        for expression in query.with.iter().flat_map(|with| &with.cte_tables) {
            let columns = match expression.alias.columns.is_empty() {
                false => Some(expression.alias.columns.iter().map(|column| folded(&column.name)).collect()),
                true => self.names_of(&expression.query),
            };
            self.expressions.push((folded(&expression.alias.name), columns));
        }
        self.added.push(self.expressions.len() - before);
    }

    /// True for a query whose columns no other query names.
    pub(super) fn is_outermost(&self) -> bool {
        self.added.len() == 1
    }

    /// On the way out: the query's names are kept apart.
    pub(super) fn leave(&mut self, query: &mut Query) {
        self.part_body(&mut query.body);
        let added = self.added.pop().unwrap_or(0);
        self.expressions.truncate(self.expressions.len() - added);
    }

    fn part_body(&self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.part(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.part_body(left);
                self.part_body(right);
            }
            _ => {}
        }
    }

    fn part(&self, select: &mut Select) {
        let wild = select.projection.iter().any(is_wildcard);
        if wild {
            // A lone `*` over one table cannot repeat a name.
            let lone = select.projection.len() == 1 && select.from.len() == 1 && select.from[0].joins.is_empty();
            match (lone, self.written_out(select)) {
                (false, Some(items)) if repeats(&items) => select.projection = items,
                _ => return,
            }
        }
        let mut taken = HashSet::new();
        for item in &mut select.projection {
            let Some(name) = name_of(item) else { continue };
            let unique = unique_name(&name, &mut taken);
            if unique != name
                && let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
            {
                let expr = std::mem::replace(expr, Expr::Identifier(Ident::new("")));
                *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', unique) };
            }
        }
    }

    /// The items with every wildcard replaced by its columns; `None` where those are not known.
    pub(super) fn written_out(&self, select: &Select) -> Option<Vec<SelectItem>> {
        let mut items = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(options) if is_plain(options) => {
                    items.extend(self.tables_columns(&select.from)?.into_iter().map(Column::into_item));
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
                    if is_plain(options) =>
                {
                    let table = name.0.last().and_then(ObjectNamePart::as_ident)?;
                    let columns = self.table_columns(&select.from, table)?;
                    items.extend(columns.into_iter().map(Column::into_item));
                }
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => return None,
                plain => items.push(plain.clone()),
            }
        }
        Some(items)
    }

    fn tables_columns(&self, from: &[TableWithJoins]) -> Columns {
        let mut all = Vec::new();
        for table in from {
            all.extend(self.joined_columns(table)?);
        }
        Some(all)
    }

    fn joined_columns(&self, table: &TableWithJoins) -> Columns {
        let mut columns = self.factor_columns(&table.relation)?;
        for join in &table.joins {
            let right = self.factor_columns(&join.relation)?;
            let merged = merged_names(&join.join_operator, &columns, &right)?;
            let is_merged = |column: &Column| merged.contains(&column.name);
            let one_sided = matches!(
                join.join_operator,
                JoinOperator::LeftSemi(_) | JoinOperator::LeftAnti(_) | JoinOperator::Semi(_) | JoinOperator::Anti(_)
            );
            let mut all: Vec<Column> = merged.iter().map(|name| Column { table: None, name: name.clone() }).collect();
            all.extend(columns.into_iter().filter(|column| !is_merged(column)));
            if !one_sided {
                all.extend(right.into_iter().filter(|column| !is_merged(column)));
            }
            columns = all;
        }
        Some(columns)
    }

    /// The tables whose columns names are, of those that are one table's and only one's.
    pub(super) fn tables_of(&self, from: &[TableWithJoins], names: Vec<String>) -> Vec<(String, Ident)> {
        let Some(columns) = self.tables_columns(from) else { return Vec::new() };
        let table_of = |name: &str| {
            let mut named = columns.iter().filter(|column| column.name == name);
            match (named.next(), named.next()) {
                (Some(column), None) => column.table.clone(),
                _ => None,
            }
        };
        names.into_iter().filter_map(|name| table_of(&name).map(|table| (name, table))).collect()
    }

    /// The tables on the left that the columns come from which inner and left joins merge; nothing where that is not known.
    pub(super) fn left_sides(&self, table: &TableWithJoins) -> Vec<(String, Ident)> {
        let mut found = Vec::new();
        let merges = |join: &Join| {
            let constraint = constraint_of(&join.join_operator);
            matches!(constraint, Some(JoinConstraint::Using(_) | JoinConstraint::Natural))
        };
        if !table.joins.iter().any(merges) {
            return found;
        }
        let Some(mut columns) = self.factor_columns(&table.relation) else { return found };
        for join in &table.joins {
            let Some(right) = self.factor_columns(&join.relation) else { return found };
            let Some(merged) = merged_names(&join.join_operator, &columns, &right) else { return found };
            let keeps_left = matches!(
                join.join_operator,
                JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::Left(_) | JoinOperator::LeftOuter(_)
            );
            for name in merged.iter().filter(|_| keeps_left) {
                let left = columns.iter().find(|column| column.name == *name);
                found.extend(left.and_then(|column| column.table.clone()).map(|table| (name.clone(), table)));
            }
            columns.extend(right.into_iter().filter(|column| !merged.contains(&column.name)));
        }
        found
    }

    /// The columns of the table of that name or alias in FROM.
    fn table_columns(&self, from: &[TableWithJoins], table: &Ident) -> Columns {
        let factors = from
            .iter()
            .flat_map(|entry| std::iter::once(&entry.relation).chain(entry.joins.iter().map(|join| &join.relation)));
        for factor in factors {
            if factor_name(factor).is_some_and(|name| folded(&name) == folded(table)) {
                return self.factor_columns(factor);
            }
        }
        None
    }

    fn factor_columns(&self, factor: &TableFactor) -> Columns {
        let (names, alias) = match factor {
            TableFactor::Table { name, alias, args: None, .. } => (self.relation_columns(name)?, alias),
            TableFactor::Derived { subquery, alias, .. } => (self.names_of(subquery)?, alias),
            TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::Table { alias: Some(alias), args: Some(_), .. }
                if !alias.columns.is_empty() =>
            {
                let names = alias.columns.iter().map(|column| folded(&column.name));
                return Some(names.map(|name| Column { table: Some(alias.name.clone()), name }).collect());
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => return self.joined_columns(table_with_joins),
            _ => return None,
        };
        let table = factor_name(factor);
        let renamed = |at: usize, name: String| match alias.as_ref().and_then(|alias| alias.columns.get(at)) {
            Some(column) => folded(&column.name),
            None => name,
        };
        Some(
            names
                .into_iter()
                .enumerate()
                .map(|(at, name)| Column { table: table.clone(), name: renamed(at, name) })
                .collect(),
        )
    }

    fn relation_columns(&self, name: &datafusion::sql::sqlparser::ast::ObjectName) -> Option<Vec<String>> {
        let parts: Vec<String> = name.0.iter().filter_map(ObjectNamePart::as_ident).map(folded).collect();
        let name = match parts.as_slice() {
            [name] => {
                if let Some((_, columns)) = self.expressions.iter().rev().find(|(known, _)| known == name) {
                    return columns.clone();
                }
                ObjectName::bare(name)
            }
            [schema, name] | [_, schema, name] => ObjectName::qualified(schema, name),
            _ => return None,
        };
        if let Some(shape) = shapes::resolve(&name, self.context.search_path) {
            return Some(shape.columns.iter().map(|column| column.name.to_owned()).collect());
        }
        match self.context.catalog.find(&name, self.context.search_path)? {
            Found::Relation(relation) => Some(relation.columns.iter().map(|column| column.name.clone()).collect()),
            Found::System(_) => None,
        }
    }

    /// The internal names of a query's columns.
    fn names_of(&self, query: &Query) -> Option<Vec<String>> {
        self.body_names(&query.body)
    }

    fn body_names(&self, body: &SetExpr) -> Option<Vec<String>> {
        match body {
            SetExpr::Select(select) => Some(parted(self.written_out(select)?.iter().map(figured_name))),
            SetExpr::Query(query) => self.names_of(query),
            SetExpr::SetOperation { left, .. } => self.body_names(left),
            SetExpr::Values(values) => {
                Some((1..=values.rows.first()?.content.len()).map(|number| format!("column{number}")).collect())
            }
            _ => None,
        }
    }
}

impl Column {
    fn into_item(self) -> SelectItem {
        let name = Ident::with_quote('"', self.name);
        SelectItem::UnnamedExpr(match self.table {
            Some(table) => Expr::CompoundIdentifier(vec![table, name]),
            None => Expr::Identifier(name),
        })
    }
}

/// The columns that USING or NATURAL merge; `None` for joins whose columns are not known.
fn merged_names(operator: &JoinOperator, left: &[Column], right: &[Column]) -> Option<Vec<String>> {
    match constraint_of(operator)? {
        JoinConstraint::Using(names) => {
            names.iter().map(|name| name.0.last().and_then(ObjectNamePart::as_ident).map(folded)).collect()
        }
        JoinConstraint::Natural => {
            let shared = |column: &&Column| right.iter().any(|other| other.name == column.name);
            Some(left.iter().filter(shared).map(|column| column.name.clone()).collect())
        }
        JoinConstraint::On(_) | JoinConstraint::None => Some(Vec::new()),
    }
}

fn constraint_of(operator: &JoinOperator) -> Option<&JoinConstraint> {
    use JoinOperator as J;
    match operator {
        J::Join(c) | J::Inner(c) | J::Left(c) | J::LeftOuter(c) | J::Right(c) | J::RightOuter(c) | J::FullOuter(c) => {
            Some(c)
        }
        J::CrossJoin(c) | J::Semi(c) | J::LeftSemi(c) | J::Anti(c) | J::LeftAnti(c) => Some(c),
        _ => None,
    }
}

pub(super) fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// How other parts of the query call a table.
pub(super) fn factor_name(factor: &TableFactor) -> Option<Ident> {
    let alias: &Option<TableAlias> = match factor {
        TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
            alias
        }
        _ => return None,
    };
    match (alias, factor) {
        (Some(alias), _) => Some(alias.name.clone()),
        (None, TableFactor::Table { name, .. }) => name.0.last().and_then(ObjectNamePart::as_ident).cloned(),
        _ => None,
    }
}

pub(super) fn is_wildcard(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}

/// True for a wildcard without EXCLUDE, REPLACE and the like.
fn is_plain(options: &datafusion::sql::sqlparser::ast::WildcardAdditionalOptions) -> bool {
    options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_ilike.is_none()
}

fn name_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(idents)) => idents.last().map(folded),
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        _ => None,
    }
}

/// The name of an item, also before [`names`] gave it one.
fn figured_name(item: &SelectItem) -> String {
    match (name_of(item), item) {
        (Some(name), _) => name,
        (None, SelectItem::UnnamedExpr(expr)) => names::figure(expr),
        (None, _) => names::UNKNOWN.to_owned(),
    }
}

/// Names as [`Outputs::part`] leaves them.
fn parted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut taken = HashSet::new();
    names.map(|name| unique_name(&name, &mut taken)).collect()
}

/// The name with a mark: a column of a table has it, too.
pub(super) fn kept_apart(name: &str) -> String {
    format!("{}{MARK}0", shown_name(name))
}

/// The name, with the first free mark if it is taken.
fn unique_name(name: &str, taken: &mut HashSet<String>) -> String {
    let mut unique = name.to_owned();
    let mut number = 2;
    while !taken.insert(unique.clone()) {
        unique = format!("{}{MARK}{number}", shown_name(name));
        number += 1;
    }
    unique
}

fn repeats(items: &[SelectItem]) -> bool {
    let mut names: Vec<String> = items.iter().filter_map(name_of).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    names.len() < count
}
