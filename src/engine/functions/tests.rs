use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::common::TableReference;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{MemTable, TableProvider, ViewTable, provider_as_source};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::catalog::definition::{
    ColumnDef, ConstraintDef, ConstraintKind, RelationDef, RelationKind, TableDef, ViewDef,
};
use crate::catalog::name::{ObjectName, Oid};
use crate::catalog::pg_type::{PgType, parse_type_name};
use crate::catalog::{Catalog, Found};
use crate::config::{Config, Effective, SessionSettings, SettingRow, Settings};
use crate::engine::facts::sources::{ServerFacts, SessionFact, SourceFact, StatementFact};
use crate::engine::facts::{self, FactContext};
use crate::engine::functions::cast::print;
use crate::engine::functions::value::{self, Value};
use crate::engine::functions::{self, FunctionContext};
use crate::engine::shim;
use crate::error::{Error, Result};

/// A small database over plain DataFusion: what the engine does, without tables on disk.
pub(crate) struct Bench {
    pub(crate) session: Arc<FunctionContext>,
    state: SessionState,
    tables: HashMap<Oid, Arc<dyn TableProvider>>,
}

/// The names and types of a query's columns, and its rows as text.
type Answer = (Vec<(String, PgType)>, Vec<Vec<String>>);

/// Columns of a table, as `name type` pairs; `!` after the type for NOT NULL.
fn columns(text: &str) -> Vec<ColumnDef> {
    let column = |(at, text): (usize, &str)| {
        let (name, type_name) = text.trim().split_once(' ').expect("name and type");
        let pg_type = parse_type_name(type_name.trim_end_matches('!')).expect("a type");
        let number = i16::try_from(at + 1).expect("few columns");
        ColumnDef { not_null: type_name.ends_with('!'), ..ColumnDef::new(number, name, pg_type) }
    };
    text.split(';').enumerate().map(column).collect()
}

fn relation(name: &str, columns: Vec<ColumnDef>, kind: RelationKind) -> RelationDef {
    RelationDef {
        oid: Oid::NONE,
        schema: Oid::PUBLIC,
        name: name.to_owned(),
        owner: Oid::FIRST_ROLE,
        comment: None,
        columns,
        kind,
    }
}

impl Bench {
    /// Tables `t` and `u`, the view `v`, and nothing else.
    pub(crate) fn new() -> Self {
        let catalog = Catalog::in_memory().expect("a catalog");
        let build = |draft: &mut crate::catalog::Draft| {
            let key = ConstraintKind::PrimaryKey { columns: vec!["id".to_owned()] };
            let check = ConstraintKind::Check { expression: "n > 0".to_owned() };
            let table = TableDef {
                location: "file:///t".to_owned(),
                constraints: vec![
                    ConstraintDef { oid: Oid::NONE, name: "t_pkey".to_owned(), kind: key },
                    ConstraintDef { oid: Oid::NONE, name: "t_n_check".to_owned(), kind: check },
                ],
                ..TableDef::default()
            };
            let mut t = relation(
                "t",
                columns("id int4!;name text;n numeric(10,2);ts timestamptz;k int8"),
                RelationKind::Table(table),
            );
            t.comment = Some("hi".to_owned());
            t.columns[1].default = Some("'x'::text".to_owned());
            let t = draft.create_relation(t)?;
            let u = relation("u", columns("id int4;t_id int4;tag text"), RelationKind::Table(TableDef::default()));
            let u = draft.create_relation(u)?;
            let view = ViewDef {
                query: "SELECT id, name FROM t".to_owned(),
                search_path: vec!["public".to_owned()],
                depends_on: vec![t],
                bindings: Default::default(),
            };
            draft.create_relation(relation("v", columns("id int4;name text"), RelationKind::View(view)))?;
            Ok((t, u))
        };
        let ((t, u), snapshot) = catalog.change(build).expect("definitions");
        let settings: HashMap<&str, &str> = [("application_name", "bench"), ("search_path", "public")].into();
        let session = Arc::new(FunctionContext {
            database: "headwater".to_owned(),
            user: "headwater".to_owned(),
            session_user: "headwater".to_owned(),
            search_path: vec!["public".to_owned()],
            catalog: snapshot,
            time_zone: chrono_tz::Tz::UTC,
            started_at: "2026-02-03T04:05:06.789Z".parse::<DateTime<Utc>>().expect("a moment"),
            server_started_at: DateTime::UNIX_EPOCH,
            backend_pid: 7,
            client_address: None,
            read_setting: Arc::new(move |name| settings.get(name).map(|value| (*value).to_owned())),
            write_setting: Arc::new(|_, _, _| Ok(())),
            size_of: Arc::new(|_| Some(8192)),
            server: Arc::new(Alone),
        });
        let mut bench = Self { state: state(&session), session, tables: HashMap::new() };
        bench.fill(t, "VALUES (1, 'one', 1.50, timestamptz '2026-01-01 00:00:00+00', 10), (2, 'two', 2.25, NULL, 20), (3, NULL, NULL, NULL, 20)");
        bench.fill(u, "VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c')");
        bench
    }

    fn fill(&mut self, oid: Oid, rows: &str) {
        let relation = self.session.catalog.relation_by_oid(oid).expect("the table");
        let schema = relation.arrow_schema();
        let batches = self.batches(rows).expect("rows");
        let columns = batches[0].columns().iter().zip(schema.fields());
        let arrays =
            columns.map(|(column, field)| arrow::compute::cast(column, field.data_type()).expect("a cast")).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).expect("a batch");
        let table = MemTable::try_new(schema, vec![vec![batch]]).expect("a table");
        self.tables.insert(oid, Arc::new(table));
    }

    /// The plan of a query.
    pub(crate) fn plan(&self, sql: &str) -> Result<LogicalPlan> {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql)
            .map_err(|error| Error::new(crate::error::ErrorKind::SyntaxError, error.to_string()))?;
        let Some(Statement::Query(mut query)) = statements.pop() else { panic!("a query: {sql}") };
        let context = shim::ShimContext { catalog: &self.session.catalog, search_path: &self.session.search_path };
        shim::rewrite_query(&mut query, &context)?;
        let options = ParserOptions::new().with_parse_float_as_decimal(true);
        Ok(SqlToRel::new_with_options(self, options).sql_statement_to_plan(Statement::Query(query))?)
    }

    fn batches(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let plan = self.plan(sql)?;
        let schema = Arc::clone(plan.schema().inner());
        let context = SessionContext::new_with_state(self.state.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let batches = runtime.block_on(async { context.execute_logical_plan(plan).await?.collect().await })?;
        Ok(if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches })
    }

    /// The rows of a query, printed as psql does; its columns' names and types come first.
    pub(crate) fn run(&self, sql: &str) -> Result<Answer> {
        let plan = self.plan(sql)?;
        let shown: Vec<(String, PgType)> = plan
            .schema()
            .fields()
            .iter()
            .map(|field| (shim::shown_name(field.name()).to_owned(), PgType::of(field)))
            .collect();
        let mut rows = Vec::new();
        for batch in self.batches(sql)? {
            for row in 0..batch.num_rows() {
                let cells = batch.columns().iter().zip(&shown).map(|(column, (_, pg_type))| {
                    Ok(match value::read(column.as_ref(), row)? {
                        Value::Null => "NULL".to_owned(),
                        Value::Bool(truth) => if truth { "t" } else { "f" }.to_owned(),
                        value => print::print(&value, pg_type, &self.session)?,
                    })
                });
                rows.push(cells.collect::<Result<Vec<_>>>()?);
            }
        }
        Ok((shown, rows))
    }

    /// The optimized plan, as EXPLAIN shows it.
    pub(crate) fn optimized(&self, sql: &str) -> String {
        let plan = self.plan(sql).expect(sql);
        self.state.optimize(&plan).expect(sql).display_indent().to_string()
    }

    /// The rows, cells joined by `|`.
    pub(crate) fn rows(&self, sql: &str) -> Vec<String> {
        match self.run(sql) {
            Ok((_, rows)) => rows.into_iter().map(|row| row.join("|")).collect(),
            Err(error) => vec![format!("ERROR {}: {}", error.sqlstate(), error.message())],
        }
    }

    /// The names that a client sees.
    pub(crate) fn names(&self, sql: &str) -> Vec<String> {
        match self.run(sql) {
            Ok((columns, _)) => columns.into_iter().map(|(name, _)| name).collect(),
            Err(error) => vec![format!("ERROR {}: {}", error.sqlstate(), error.message())],
        }
    }
}

/// A server that nobody else uses.
struct Alone;

impl ServerFacts for Alone {
    fn session_settings(&self) -> Vec<SettingRow> {
        SessionSettings::new(&Config::in_folder("x")).rows()
    }

    fn server_settings(&self) -> Vec<Effective> {
        Settings::default().effective()
    }

    fn sessions(&self) -> Vec<SessionFact> {
        vec![SessionFact {
            pid: 7,
            user: "headwater".to_owned(),
            wire: "embedded",
            address: None,
            encrypted: false,
            application_name: None,
            started_at: chrono::DateTime::UNIX_EPOCH,
        }]
    }

    fn statements(&self) -> Vec<StatementFact> {
        Vec::new()
    }

    fn sources(&self) -> Vec<SourceFact> {
        Vec::new()
    }
}

fn state(session: &Arc<FunctionContext>) -> SessionState {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    config.options_mut().execution.time_zone = Some("UTC".to_owned());
    let state = SessionStateBuilder::new().with_config(config).with_default_features();
    let mut state = state.with_optimizer_rules(shim::optimizer_rules()).build();
    let operators = Arc::new(shim::operators::Operators::new(Arc::clone(session)));
    datafusion::execution::FunctionRegistry::register_expr_planner(&mut state, operators).expect("a planner");
    state
}

impl ContextProvider for Bench {
    fn get_table_source(&self, name: TableReference) -> datafusion::common::Result<Arc<dyn TableSource>> {
        let name = match name.schema() {
            Some(schema) => ObjectName::qualified(schema, name.table()),
            None => ObjectName::bare(name.table()),
        };
        let context = FactContext { session: Arc::clone(&self.session), version: None };
        if let Some(provider) = facts::provider(&name, &context) {
            return Ok(provider_as_source(provider));
        }
        let view = |sql: &str| -> datafusion::common::Result<Arc<dyn TableSource>> {
            let plan = self.plan(sql)?;
            Ok(provider_as_source(Arc::new(ViewTable::new(plan, Some(sql.to_owned())))))
        };
        match self.session.catalog.find(&name, &self.session.search_path) {
            Some(Found::Relation(relation)) => match &relation.kind {
                RelationKind::Table(_) => Ok(provider_as_source(Arc::clone(&self.tables[&relation.oid]))),
                RelationKind::View(definition) => view(&definition.query),
            },
            Some(Found::System(system)) => view(system.sql),
            None => Err(self.session.catalog.undefined(&name, &self.session.search_path).into()),
        }
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> datafusion::common::Result<Arc<dyn TableSource>> {
        match functions::table(name, &args, &self.session) {
            Some(provider) => Ok(provider_as_source(provider?)),
            None => Err(Error::internal(format!("the tests know no table function {name}")).into()),
        }
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> datafusion::common::Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(shim::type_planner())
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        functions::scalar(name, &self.session).or_else(|| self.state.scalar_functions().get(name).cloned())
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        functions::aggregate(name).or_else(|| self.state.aggregate_functions().get(name).cloned())
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Lines of `expression <tab> result`, the results from PostgreSQL 15.
const EXPRESSIONS: &str = include_str!("tests/expressions.tsv");

#[test]
fn expressions_give_what_postgresql_gives() {
    let bench = Bench::new();
    let mut wrong = Vec::new();
    for line in EXPRESSIONS.lines().filter(|line| !line.is_empty()) {
        let (sql, expected) = line.split_once('\t').expect("expression and result");
        let found = bench.rows(&format!("SELECT {sql}")).join("/");
        let same = match expected.strip_prefix("ERROR ") {
            Some(state) => found.starts_with(&format!("ERROR {state}")),
            None => found == expected,
        };
        if !same {
            wrong.push(format!("{sql}\n   PostgreSQL: {expected}\n   here:       {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
