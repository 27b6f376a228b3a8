//! CREATE TABLE: with columns, from a query, or over a Delta folder that is there already.
//!
//! The folder and its first versions are made before the catalog names it ([`crate::engine::create`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::catalog::constraint_name;
use crate::catalog::definition::{
    ColumnDef, ConstraintDef, ConstraintKind, EVENT_OPTIONS, RelationDef, RelationKind, TableDef, event_option_value,
};
use crate::catalog::name::{ObjectName, Oid};
use crate::catalog::pg_type::PgType;
use crate::dialect::{Choice, Constraint, ConstraintRule, CreateTable, NewColumn, Options};
use crate::engine::create::{checks, event_watermark, properties};
use crate::engine::definition::{NewRows, Redefined};
use crate::engine::{Planned, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{EVOLUTION_OPTION, evolution_value};
use crate::session::Session;
use crate::session::alter_table::REMAKE_HINT;
use crate::session::reply::Tag;
use crate::tables::{MetadataChange, Table, is_property, property_names, property_value};

/// The option of a table, as WITH and SET name it, that is not a property of Delta's.
const TARGET_FILE_BYTES: &str = "target_file_bytes";

impl Session {
    pub(super) async fn create_table(
        &self,
        scope: &Scope,
        create: &CreateTable,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Tag> {
        if create.temporary {
            return Err(Error::unsupported("temporary tables are not supported yet")
                .hint("Make a table and drop it when done."));
        }
        let (schema, taken) = self.place(scope, &create.name)?;
        if taken && create.or_replace {
            return self.replace_table(scope, create, schema, parameters, cancel).await;
        }
        if taken {
            return match create.if_not_exists {
                true => {
                    self.notice(format!("relation \"{}\" already exists, skipping", create.name.name));
                    Ok(Tag("CREATE TABLE".to_owned()))
                }
                false => Err(Error::new(
                    ErrorKind::DuplicateTable,
                    format!("relation \"{}\" already exists", create.name.name),
                )),
            };
        }
        let planned = match &create.query {
            Some(query) => Some(self.server.engine().plan_query(scope, query, &[]).await?),
            None => None,
        };
        let location = self.location(create)?;
        if create.using_delta {
            return self.register_table(scope, create, schema, location).await;
        }
        let relation = new_relation(scope, create, schema, planned.as_ref(), &location, &self.login.user)?;
        self.server.engine().check_definition(scope, &relation)?;
        let table = self.server.engine().new_folder(&relation, &location).await?;
        let rows = match (&planned, create.with_no_data) {
            (Some(planned), false) => {
                let filled = self.server.engine().fill(scope, &relation, &table, planned, parameters, cancel).await;
                Some(match filled {
                    Ok(rows) => rows,
                    Err(error) => return Err(self.server.engine().take_back(&table, error).await),
                })
            }
            _ => None,
        };
        self.tell_unenforced(&relation, &[]);
        self.server.engine().name_table(relation, &table).await?;
        Ok(Tag(match rows {
            Some(rows) => format!("SELECT {rows}"),
            None if planned.is_some() => "CREATE TABLE AS".to_owned(),
            None => "CREATE TABLE".to_owned(),
        }))
    }

    /// CREATE OR REPLACE over a table that is there: its next version has other columns and rows. One commit, so that
    /// readers see the old table or the new one, and its history goes on.
    async fn replace_table(
        &self,
        scope: &Scope,
        create: &CreateTable,
        schema: Oid,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Tag> {
        let name = &create.name.name;
        let found = scope.version.catalog.relation_in(schema, name);
        let Some((old, before)) = found.as_ref().and_then(|found| Some((found, found.table()?))) else {
            return Err(Error::new(ErrorKind::WrongObjectType, format!("\"{name}\" is not a table"))
                .hint("DROP the view first, or give the table another name."));
        };
        let planned = match &create.query {
            Some(query) => Some(self.server.engine().plan_query(scope, query, &[]).await?),
            None => None,
        };
        let location = Url::parse(&before.location)
            .map_err(|error| Error::internal(format!("the table's location is no URL: {error}")))?;
        let mut new = new_relation(scope, create, schema, planned.as_ref(), &location, &self.login.user)?;
        new.oid = old.oid;
        if let RelationKind::Table(definition) = &mut new.kind {
            definition.external = before.external;
        }
        for column in &old.columns {
            if new.column(&column.name).is_none_or(|replaced| replaced.pg_type != column.pg_type) {
                self.refuse_readers(scope, old, &column.name, REMAKE_HINT).await?;
            }
        }
        self.server.engine().check_definition(scope, &new)?;
        let checks_of = |relation: &RelationDef| relation.table().map(checks).unwrap_or_default();
        let mut metadata = MetadataChange {
            columns: Some(new.columns.clone()),
            partitioned_by: Some(create.partitioned_by.clone()),
            clustered_by: Some(create.clustered_by.clone()),
            comment: Some(new.comment.clone()),
            ..MetadataChange::default()
        };
        metadata.checks.extend(checks_of(old).into_iter().map(|(name, _)| (name, None)));
        metadata.checks.extend(checks_of(&new).into_iter().map(|(name, text)| (name, Some(text))));
        metadata.properties.extend(properties(before).into_keys().map(|name| (name, None)));
        let set = new.table().map(properties).unwrap_or_default();
        metadata.properties.extend(set.into_iter().map(|(name, value)| (name, Some(value))));
        self.tell_unenforced(&new, &before.constraints);
        let query = create.query.as_ref().filter(|_| !create.with_no_data);
        let rows = NewRows::Given(query.map(|query| (query.clone(), parameters.to_vec())));
        let redefined =
            Redefined { old: Arc::clone(old), new, metadata, rows, requirements: Vec::new(), views: Vec::new() };
        let count = self.server.engine().redefine(scope, redefined, "CREATE OR REPLACE TABLE", cancel).await?;
        Ok(Tag(match query {
            Some(_) => format!("SELECT {count}"),
            None => "CREATE TABLE".to_owned(),
        }))
    }

    /// Keys are declared, for optimizers and for who reads them; rows that break them are taken.
    pub(super) fn tell_unenforced(&self, relation: &RelationDef, before: &[ConstraintDef]) {
        for constraint in relation.table().map(|table| table.constraints.as_slice()).unwrap_or_default() {
            let is_check = matches!(constraint.kind, ConstraintKind::Check { .. });
            if !is_check && before.iter().all(|held| held.name != constraint.name) {
                self.notice(format!("constraint \"{}\" is declared, but not enforced", constraint.name));
            }
        }
    }

    /// The schema of a new object, and whether the name is taken in it.
    pub(super) fn place(&self, scope: &Scope, name: &ObjectName) -> Result<(Oid, bool)> {
        let catalog = &scope.version.catalog;
        let schema = match &name.schema {
            Some(schema) => catalog.require_schema(schema)?,
            None => scope.search_path().iter().find_map(|schema| catalog.schema(schema)).ok_or_else(|| {
                Error::new(ErrorKind::InvalidSchemaName, "no schema has been selected to create in")
                    .hint("SET search_path to a schema that exists.")
            })?,
        };
        Ok((schema.oid, catalog.relation_in(schema.oid, &name.name).is_some()))
    }

    /// Where the table's folder is: what LOCATION says, if it is allowed, or a new folder of ours.
    fn location(&self, create: &CreateTable) -> Result<Url> {
        if let Some(location) = &create.location {
            return self.server.engine().allowed_location(location);
        }
        self.server.engine().new_location(&create.name.name)
    }

    async fn register_table(&self, scope: &Scope, create: &CreateTable, schema: Oid, location: Url) -> Result<Tag> {
        let buffer = self.server.buffer();
        let table = Table::open(buffer.stores(), buffer.clock(), &location).await?;
        let snapshot = table.snapshot();
        if let Some(choice) = create.options.list.iter().find(|choice| is_property(&choice.name)) {
            return Err(Error::unsupported(format!(
                "option \"{}\" cannot be set while a table is registered",
                choice.name
            ))
            .hint("Register the table, then use ALTER TABLE ... SET.")
            .at(choice.position));
        }
        let mut relation = new_relation(scope, create, schema, None, &location, &self.login.user)?;
        relation.columns = snapshot.columns()?;
        relation.comment = relation.comment.or_else(|| snapshot.comment().map(str::to_owned));
        if let RelationKind::Table(definition) = &mut relation.kind {
            definition.partitioned_by = snapshot.partition_columns().to_vec();
            definition.clustered_by = snapshot.clustered_by();
            let held = |name: &'static str| Some((name.to_owned(), snapshot.properties().get(name)?.clone()));
            definition.options.extend(property_names().filter_map(held));
            definition.constraints = snapshot
                .checks()
                .into_iter()
                .map(|(name, expression)| ConstraintDef {
                    oid: Oid::NONE,
                    name,
                    kind: ConstraintKind::Check { expression },
                })
                .collect();
        }
        self.server.engine().name_table(relation, &table).await?;
        Ok(Tag("CREATE TABLE".to_owned()))
    }
}

fn new_relation(
    scope: &Scope,
    create: &CreateTable,
    schema: Oid,
    planned: Option<&Planned>,
    location: &Url,
    user: &str,
) -> Result<RelationDef> {
    let columns = match planned {
        Some(planned) => query_columns(create, planned)?,
        None => create
            .columns
            .iter()
            .enumerate()
            .map(|(position, column)| new_column(position, column))
            .collect::<Result<_>>()?,
    };
    let mut table = TableDef {
        location: location.as_str().trim_end_matches('/').to_owned(),
        external: create.location.is_some(),
        partitioned_by: create.partitioned_by.clone(),
        clustered_by: create.clustered_by.clone(),
        constraints: Vec::new(),
        event_watermark: create.watermark.as_ref().map(|watermark| event_watermark(scope, watermark)).transpose()?,
        options: table_options(&create.options)?,
    };
    let mut relation = RelationDef {
        oid: Oid::NONE,
        schema,
        name: create.name.name.clone(),
        owner: scope.version.catalog.require_role(user)?.oid,
        comment: create.comment.clone(),
        columns,
        kind: RelationKind::Table(table.clone()),
    };
    for constraint in &create.constraints {
        add_constraint(scope, &mut relation, &mut table, constraint)?;
    }
    require_columns(&relation, &create.partitioned_by, "partition")?;
    require_columns(&relation, &create.clustered_by, "clustering")?;
    relation.kind = RelationKind::Table(table);
    Ok(relation)
}

/// Adds a constraint to a table's definition; a primary key makes its columns NOT NULL.
pub(super) fn add_constraint(
    scope: &Scope,
    relation: &mut RelationDef,
    table: &mut TableDef,
    constraint: &Constraint,
) -> Result<String> {
    let (kind, columns) = match &constraint.rule {
        ConstraintRule::Check(condition) => {
            (ConstraintKind::Check { expression: condition.to_string() }, crate::dialect::column_names(condition))
        }
        ConstraintRule::PrimaryKey(columns) => {
            if !table.primary_key().is_empty() {
                return Err(Error::new(
                    ErrorKind::InvalidTableDefinition,
                    format!("multiple primary keys for table \"{}\" are not allowed", relation.name),
                ));
            }
            require_columns(relation, columns, "key")?;
            for column in relation.columns.iter_mut().filter(|column| columns.contains(&column.name)) {
                column.not_null = true;
            }
            (ConstraintKind::PrimaryKey { columns: columns.clone() }, columns.clone())
        }
        ConstraintRule::Unique(columns) => {
            require_columns(relation, columns, "key")?;
            (ConstraintKind::Unique { columns: columns.clone() }, columns.clone())
        }
        ConstraintRule::ForeignKey { columns, table: referenced, referenced: referenced_columns } => {
            require_columns(relation, columns, "key")?;
            let other = scope.version.catalog.require(referenced, scope.search_path())?;
            let referenced_columns = match referenced_columns.as_slice() {
                [] => other.table().map(|table| table.primary_key().to_vec()).unwrap_or_default(),
                named => named.to_vec(),
            };
            require_columns(&other, &referenced_columns, "referenced")?;
            let kind =
                ConstraintKind::ForeignKey { columns: columns.clone(), references: other.oid, referenced_columns };
            (kind, columns.clone())
        }
    };
    let taken: Vec<&str> = table.constraints.iter().map(|constraint| constraint.name.as_str()).collect();
    let name = match &constraint.name {
        Some(name) if taken.contains(&name.as_str()) => {
            return Err(Error::new(
                ErrorKind::DuplicateObject,
                format!("constraint \"{name}\" for relation \"{}\" already exists", relation.name),
            ));
        }
        Some(name) => name.clone(),
        None => constraint_name::choose(&relation.name, &columns, &kind, &taken),
    };
    table.constraints.push(ConstraintDef { oid: Oid::NONE, name: name.clone(), kind });
    Ok(name)
}

fn require_columns(relation: &RelationDef, names: &[String], what: &str) -> Result<()> {
    match names.iter().find(|name| relation.column(name).is_none()) {
        None => Ok(()),
        Some(name) => Err(Error::new(ErrorKind::UndefinedColumn, format!("{what} column \"{name}\" does not exist"))),
    }
}

/// The column of a definition.
pub(super) fn new_column(position: usize, column: &NewColumn) -> Result<ColumnDef> {
    let number = i16::try_from(position + 1)
        .map_err(|_| Error::new(ErrorKind::ProgramLimitExceeded, "tables can have at most 1600 columns"))?;
    Ok(ColumnDef {
        number,
        name: column.name.clone(),
        pg_type: column.pg_type.clone(),
        not_null: column.not_null,
        default: column.default.as_ref().map(ToString::to_string),
        generated: column.generated.as_ref().map(ToString::to_string),
        comment: column.comment.clone(),
    })
}

fn query_columns(create: &CreateTable, planned: &Planned) -> Result<Vec<ColumnDef>> {
    if create.column_names.len() > planned.columns.len() {
        return Err(Error::new(ErrorKind::SyntaxError, "too many column names were specified"));
    }
    let mut columns: Vec<ColumnDef> = Vec::with_capacity(planned.columns.len());
    for (position, column) in planned.columns.iter().enumerate() {
        let name = create.column_names.get(position).unwrap_or(&column.name).clone();
        if columns.iter().any(|earlier| earlier.name == name) {
            return Err(Error::new(ErrorKind::DuplicateColumn, format!("column \"{name}\" specified more than once"))
                .hint("Give the query's columns different names with AS."));
        }
        let new = NewColumn {
            name,
            pg_type: storable(&column.pg_type),
            not_null: false,
            default: None,
            generated: None,
            comment: None,
        };
        columns.push(new_column(position, &new)?);
    }
    Ok(columns)
}

/// The type that keeps a query's column.
fn storable(pg_type: &PgType) -> PgType {
    match pg_type {
        PgType::Unknown | PgType::Name | PgType::InternalChar => PgType::Text,
        PgType::Oid | PgType::Reg(_) => PgType::Int8,
        PgType::Numeric(Some((precision, scale))) if *precision > 38 => PgType::Numeric(Some((38, (*scale).min(38)))),
        other => other.clone(),
    }
}

/// The options of WITH, checked.
pub(super) fn table_options(options: &Options) -> Result<BTreeMap<String, String>> {
    let own = [TARGET_FILE_BYTES, EVOLUTION_OPTION].into_iter().chain(EVENT_OPTIONS);
    let known: Vec<&str> = own.chain(property_names()).collect();
    options.require_known("table", &known)?;
    let value = |choice: &Choice| match choice.name.as_str() {
        TARGET_FILE_BYTES => Ok(choice.count()?.to_string()),
        EVOLUTION_OPTION => {
            evolution_value(choice.value.as_deref().unwrap_or_default()).map_err(|error| error.at(choice.position))
        }
        name if EVENT_OPTIONS.contains(&name) => {
            event_option_value(name, choice.text()?).map_err(|error| error.at(choice.position))
        }
        name => {
            property_value(name, choice.value.as_deref().unwrap_or("true")).map_err(|error| error.at(choice.position))
        }
    };
    options.list.iter().map(|choice| Ok((choice.name.clone(), value(choice)?))).collect()
}
