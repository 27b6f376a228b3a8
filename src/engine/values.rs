//! Small pieces that several statements need: constants of an AST, a plan under other names.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Volatility, cast};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::sql::sqlparser::ast;
use parking_lot::Mutex;

use crate::engine::Scope;
use crate::engine::functions::cast::{CAST, depends_on_session};
use crate::engine::overlay::Overlay;
use crate::engine::plan::Planner;
use crate::engine::update::has_subquery;
use crate::error::{Error, Result};

/// The value of an expression without columns, as `data_type`.
pub(in crate::engine) fn constant(scope: &Scope, expression: ast::Expr, data_type: &DataType) -> Result<ScalarValue> {
    let schema = DFSchema::empty();
    let overlay = Overlay::default();
    let planned = Planner::new(scope, &overlay).expression(expression, &schema, &[])?;
    evaluate(scope, cast(planned, data_type.clone()))
}

/// The value of an expression without columns.
pub(in crate::engine) fn evaluate(scope: &Scope, expression: Expr) -> Result<ScalarValue> {
    let schema = DFSchema::empty();
    let physical = compiled(scope, expression, &schema)?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one_row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    let values = physical.evaluate(&one_row)?.into_array(1)?;
    Ok(ScalarValue::try_from_array(&values, 0)?)
}

/// An expression ready to run. Some functions run only in the form that simplification gives them.
pub(in crate::engine) fn compiled(scope: &Scope, expression: Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(scope.state.config_options()))
        .with_query_execution_start_time(scope.state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let expression = simplifier.simplify(simplifier.coerce(expression, schema)?)?;
    Ok(scope.state.create_physical_expr(expression, schema)?)
}

/// True where a value hangs on its columns alone, and not on when or by whom it is computed.
pub(in crate::engine) fn is_steady(value: &Expr, schema: &DFSchema) -> Result<bool> {
    let changes = |part: &Expr| match part {
        Expr::ScalarFunction(call) if call.func.name() == CAST => depends_on_session(&call.args, schema),
        Expr::ScalarFunction(call) => Ok(call.func.signature().volatility != Volatility::Immutable),
        _ => Ok(false),
    };
    Ok(!value.exists(changes)?)
}

/// True where every session may compute the value with the expression as one session has planned it: [`is_steady`], and
/// without moments, whose operators are planned for the session's time zone.
pub(in crate::engine) fn is_lasting(value: &Expr, schema: &DFSchema) -> Result<bool> {
    let is_moment = |part: &Expr| Ok(matches!(part.get_type(schema)?, DataType::Timestamp(_, Some(_))));
    Ok(is_steady(value, schema)? && !has_subquery(value) && !value.exists(is_moment)?)
}

/// The plan with its columns called `names`, without qualifiers.
pub(in crate::engine) fn renamed(plan: LogicalPlan, names: &[String]) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .zip(names)
        .map(|((qualifier, field), name)| {
            Expr::Column(Column::new(qualifier.cloned(), field.name())).alias(name.clone())
        })
        .collect();
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// A plan that gives the rows of `stream`, once.
pub(in crate::engine) fn stream_plan(name: &str, stream: SendableRecordBatchStream) -> Result<LogicalPlan> {
    let schema = stream.schema();
    let partition = OneStream { schema: Arc::clone(&schema), stream: Mutex::new(Some(stream)) };
    let table = StreamingTable::try_new(schema, vec![Arc::new(partition)])?;
    Ok(LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.build()?)
}

/// A partition whose rows can be read one time.
struct OneStream {
    schema: SchemaRef,
    stream: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for OneStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneStream")
    }
}

impl PartitionStream for OneStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        match self.stream.lock().take() {
            Some(stream) => stream,
            None => {
                let failed = futures::stream::once(async { Err(Error::internal("a stream was read twice").into()) });
                Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), failed))
            }
        }
    }
}
