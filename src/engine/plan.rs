//! Names to tables and AST to plan, over one pinned version of the database.
//!
//! Invariant: planning reads nothing from disk. What needs reading (another version of a table, the schema of a
//! file) is opened before, by [`overlay`](crate::engine::overlay), and found here under an internal name.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, DataFusionError, TableReference};
use datafusion::datasource::{TableProvider, ViewTable, cte_worktable::CteWorkTable, provider_as_source};
use datafusion::logical_expr::expr_rewriter::normalize_col_with_schemas_and_ambiguity_check;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;

use crate::catalog::Found;
use crate::catalog::definition::{RelationDef, RelationKind};
use crate::catalog::name::ObjectName;
use crate::catalog::pg_type::PgType;
use crate::catalog::system::SystemView;
use crate::dialect;
use crate::engine::column::Column;
use crate::engine::facts::FactContext;
use crate::engine::overlay::Overlay;
use crate::engine::scan::table_source;
use crate::engine::shim;
use crate::engine::{Engine, Scope, facts, functions};
use crate::error::{Error, ErrorKind, Result};

/// Views that name views that name views ... at most so deep.
const VIEW_DEPTH_MAX: usize = 32;

/// A statement that has been planned.
#[derive(Clone)]
pub struct Planned {
    /// The plan; its fields may carry internal names.
    pub(in crate::engine) plan: LogicalPlan,
    /// What clients see, one entry a field of the plan.
    pub columns: Arc<[Column]>,
    /// The types of `$1`, `$2`, ...
    pub parameters: Vec<PgType>,
}

impl Engine {
    /// Plans a query. `parameters` are the types the client has given; the others are inferred.
    pub async fn plan_query(
        &self,
        scope: &Scope,
        query: &ast::Query,
        parameters: &[Option<PgType>],
    ) -> Result<Planned> {
        let overlay = self.overlay(scope, query).await?;
        let (plan, names) = Planner::new(scope, &overlay).query(query.clone(), parameters)?;
        Ok(Planned { columns: columns_of(plan.schema(), &names), parameters: parameters_of(&plan, parameters)?, plan })
    }
}

/// Plans ASTs over one scope.
pub(in crate::engine) struct Planner<'a> {
    scope: &'a Scope,
    overlay: &'a Overlay,
    view_depth: usize,
}

impl<'a> Planner<'a> {
    pub(in crate::engine) fn new(scope: &'a Scope, overlay: &'a Overlay) -> Self {
        Self { scope, overlay, view_depth: 0 }
    }

    /// The plan of a query and the names its columns show.
    pub(in crate::engine) fn query(
        &self,
        query: ast::Query,
        parameters: &[Option<PgType>],
    ) -> Result<(LogicalPlan, Vec<String>)> {
        let mut query = query;
        self.overlay.rename(self.scope, &mut query)?;
        let mut context = planner_context(&shim::written_types(&query, parameters));
        shim::rewrite_query(&mut query, &self.shim_context())?;
        let statement = ast::Statement::Query(Box::new(query));
        let plan = self.sql_to_rel().sql_statement_to_plan_with_context(statement, &mut context)?;
        let plan = shim::unified(plan, &self.scope.functions)?;
        let names = plan.schema().fields().iter().map(|field| shim::shown_name(field.name()).to_owned()).collect();
        Ok((plan, names))
    }

    /// A scalar expression over the columns of `schema`.
    pub(in crate::engine) fn expression(
        &self,
        expression: ast::Expr,
        schema: &DFSchema,
        parameters: &[Option<PgType>],
    ) -> Result<Expr> {
        let mut expression = expression;
        self.overlay.rename(self.scope, &mut expression)?;
        let mut context = planner_context(&shim::written_types(&expression, parameters));
        shim::rewrite_expression(&mut expression, &self.shim_context())?;
        let planned = self.sql_to_rel().sql_to_expr(expression, schema, &mut context)?;
        let planned = normalize_col_with_schemas_and_ambiguity_check(planned, &[&[schema]], &[])?;
        shim::unified_expression(planned, schema, &self.scope.functions)
    }

    fn shim_context(&self) -> shim::ShimContext<'_> {
        shim::ShimContext { catalog: &self.scope.version.catalog, search_path: self.scope.search_path() }
    }

    fn sql_to_rel(&self) -> SqlToRel<'_, Self> {
        SqlToRel::new_with_options(self, parser_options())
    }

    fn provider(&self, name: &TableReference) -> Result<Arc<dyn TableSource>> {
        if let TableReference::Bare { table } = name
            && let Some(source) = self.overlay.get(table)
        {
            return source.clone();
        }
        let name = self.object_name(name)?;
        let facts =
            FactContext { session: Arc::clone(&self.scope.functions), version: Some(Arc::clone(&self.scope.version)) };
        if let Some(provider) = facts::provider(&name, &facts) {
            return Ok(provider_as_source(provider));
        }
        match self.scope.find(&name) {
            Some(Found::Relation(relation)) => self.relation(&relation),
            Some(Found::System(view)) => self.system_view(view),
            None => Err(self.scope.version.catalog.undefined(&name, self.scope.search_path())),
        }
    }

    fn object_name(&self, name: &TableReference) -> Result<ObjectName> {
        let parts: Vec<String> =
            [name.catalog(), name.schema(), Some(name.table())].into_iter().flatten().map(str::to_owned).collect();
        ObjectName::from_parts(&parts, &self.scope.functions.database)
    }

    fn relation(&self, relation: &Arc<RelationDef>) -> Result<Arc<dyn TableSource>> {
        match &relation.kind {
            RelationKind::Table(_) => table_source(&self.scope.version, relation.oid),
            RelationKind::View(view) => {
                // The names that the definition records, whatever the text gives today.
                let names = relation.columns.iter().map(|column| column.name.clone()).collect();
                self.view(&relation.name, &view.query, self.scope.in_view(relation), Some(names))
            }
        }
    }

    fn system_view(&self, view: &SystemView) -> Result<Arc<dyn TableSource>> {
        self.view(view.name, view.sql, self.scope.with_search_path(&["pg_catalog".to_owned()]), None)
    }

    /// A view is planned as text in a scope of its own.
    fn view(&self, name: &str, text: &str, scope: Scope, names: Option<Vec<String>>) -> Result<Arc<dyn TableSource>> {
        if self.view_depth >= VIEW_DEPTH_MAX {
            return Err(Error::new(ErrorKind::ProgramLimitExceeded, format!("view \"{name}\" nests too deep"))
                .detail(format!("Views may name views {VIEW_DEPTH_MAX} levels deep.")));
        }
        let inner = Planner { scope: &scope, overlay: self.overlay, view_depth: self.view_depth + 1 };
        let (plan, shown) =
            inner.query(dialect::parse_query(text)?, &[]).map_err(|error| error.within(format!("view \"{name}\"")))?;
        let plan = crate::engine::values::renamed(plan, &names.unwrap_or(shown))?;
        Ok(provider_as_source(Arc::new(ViewTable::new(plan, Some(text.to_owned())))))
    }
}

fn planner_context(parameters: &[Option<PgType>]) -> PlannerContext {
    let fields =
        parameters.iter().map(|given| given.as_ref().map(|pg_type| Arc::new(pg_type.field("", true)))).collect();
    PlannerContext::new().with_prepare_param_data_types(fields)
}

/// How SQL text becomes plans: PostgreSQL's NULL order, decimals for literals with a point.
pub(in crate::engine) fn parser_options() -> ParserOptions {
    ParserOptions::new().with_parse_float_as_decimal(true).with_collect_spans(true)
}

/// The columns of a plan as clients see them.
pub(in crate::engine) fn columns_of(schema: &DFSchema, names: &[String]) -> Arc<[Column]> {
    schema
        .fields()
        .iter()
        .zip(names)
        .map(|(field, name)| Column { name: name.clone(), pg_type: PgType::of(field), relation: None, number: 0 })
        .collect()
}

/// The types of a plan's parameters: the client's word first, then what the plan infers, then text.
pub(in crate::engine) fn parameters_of(plan: &LogicalPlan, given: &[Option<PgType>]) -> Result<Vec<PgType>> {
    Ok(known_parameters(plan, given)?.into_iter().map(|known| known.unwrap_or(PgType::Text)).collect())
}

/// As [`parameters_of`], without those that nothing tells the type of.
pub(in crate::engine) fn known_parameters(plan: &LogicalPlan, given: &[Option<PgType>]) -> Result<Vec<Option<PgType>>> {
    let mut known = given.to_vec();
    for (name, field) in plan.get_parameter_fields()? {
        let Some(number) = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok()) else { continue };
        known.resize(known.len().max(number), None);
        if let (Some(place), Some(field)) = (number.checked_sub(1), field) {
            known[place].get_or_insert_with(|| PgType::of(&field));
        }
    }
    Ok(known)
}

impl ContextProvider for Planner<'_> {
    fn get_table_source(&self, name: TableReference) -> datafusion::common::Result<Arc<dyn TableSource>> {
        self.provider(&name).map_err(DataFusionError::from)
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> datafusion::common::Result<Arc<dyn TableSource>> {
        if let Some(provider) = functions::table(name, &args, &self.scope.functions) {
            return Ok(provider_as_source(provider.map_err(DataFusionError::from)?));
        }
        Err(Error::new(ErrorKind::UndefinedFunction, format!("table function {name} does not exist")).into())
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> datafusion::common::Result<Arc<dyn TableSource>> {
        let table: Arc<dyn TableProvider> = Arc::new(CteWorkTable::new(name, schema));
        Ok(provider_as_source(table))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.scope.expr_planners
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.scope.state.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(shim::type_planner())
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        functions::scalar(name, &self.scope.functions)
            .or_else(|| self.scope.state.scalar_functions().get(name).cloned())
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.scope.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        functions::aggregate(name).or_else(|| self.scope.state.aggregate_functions().get(name).cloned())
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.scope.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.scope.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.scope.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.scope.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.scope.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.scope.state.window_functions().keys().cloned().collect()
    }
}
