//! Table functions: `generate_series` over integers and times, produced while it is read.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, TableType};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::memory::{LazyBatchGenerator, LazyMemoryExec};
use parking_lot::RwLock;

use crate::catalog::pg_type::PgType;
use crate::engine::functions::FunctionContext;
use crate::engine::functions::cast::{CAST, convert, parse_time};
use crate::engine::functions::datetime::moved;
use crate::engine::functions::kind::is_text;
use crate::engine::functions::value::{self, Value};
use crate::error::{Error, ErrorKind, Result};

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// The table function of that name over constant arguments; `None` when there is none.
pub fn table(name: &str, arguments: &[Expr], session: &FunctionContext) -> Option<Result<Arc<dyn TableProvider>>> {
    match name {
        "generate_series" => Some(generate_series(arguments, session)),
        _ => None,
    }
}

/// The value of an argument that reads no column.
fn constant(expr: &Expr) -> Result<ScalarValue> {
    let schema = Arc::new(DFSchema::empty());
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(&schema)).build());
    match simplifier.simplify(simplifier.coerce(expr.clone(), &schema)?)? {
        Expr::Literal(value, _) => Ok(value),
        other => Err(Error::unsupported(format!("argument of a table function must be constant: {other}"))),
    }
}

fn generate_series(arguments: &[Expr], session: &FunctionContext) -> Result<Arc<dyn TableProvider>> {
    let values = arguments.iter().map(constant).collect::<Result<Vec<_>>>()?;
    if !(2..=3).contains(&values.len()) {
        return Err(Error::new(ErrorKind::UndefinedFunction, "function generate_series takes two or three arguments"));
    }
    let data_type = series_type(&values, arguments)?;
    let read = |at: usize, to: &PgType| -> Result<Value<'static>> {
        let array = values[at].to_array()?;
        let from = PgType::of_arrow(array.data_type());
        convert::convert(value::read(array.as_ref(), 0)?.into_owned(), &from, to, &to.arrow(), session)
    };
    let element = PgType::of_arrow(&data_type);
    let step_type = if data_type.is_integer() { element.clone() } else { PgType::Interval };
    let (start, end) = (read(0, &element)?, read(1, &element)?);
    let step = match values.len() {
        3 => read(2, &step_type)?,
        _ if data_type.is_integer() => Value::Int(1),
        _ => {
            return Err(Error::new(
                ErrorKind::UndefinedFunction,
                "generate_series over times needs a step of type interval",
            ));
        }
    };
    let any_null = [&start, &end, &step].iter().any(|value| matches!(value, Value::Null));
    check_step(&step)?;
    let zone = matches!(element, PgType::Timestamptz).then_some(session.time_zone);
    let next = if any_null { None } else { Some(start) };
    let schema = Arc::new(Schema::new(vec![Field::new("generate_series", data_type, true)]));
    Ok(Arc::new(Series { schema, state: State { next, end, step, zone } }))
}

/// The common type: the widest integer, else a timestamp; dates count in the session's time zone as in PostgreSQL.
fn series_type(values: &[ScalarValue], arguments: &[Expr]) -> Result<DataType> {
    let types: Vec<DataType> = values.iter().take(2).map(ScalarValue::data_type).collect();
    let any = |test: &dyn Fn(&DataType) -> bool| types.iter().any(test);
    let known =
        types.iter().all(|given| given.is_integer() || given.is_temporal() || given.is_null() || is_text(given));
    if !known {
        return Err(Error::unsupported("generate_series over numeric or double precision is not available")
            .hint("Make a series of integers and scale it: SELECT i * 0.5 FROM generate_series(0, 10) AS i."));
    }
    if any(&|given| matches!(given, DataType::Timestamp(_, None))) {
        return Ok(PgType::Timestamp.arrow());
    }
    if any(&DataType::is_temporal) || types.iter().all(is_text) {
        return Ok(PgType::Timestamptz.arrow());
    }
    // DataFusion reads every whole number as bigint; PostgreSQL only those that were cast or do not fit in an integer.
    let small = values.iter().zip(arguments).all(|(value, argument)| match value {
        ScalarValue::Int64(Some(number)) => i32::try_from(*number).is_ok() && !is_cast_to_bigint(argument),
        other => other.data_type() != DataType::Int64,
    });
    Ok(if small { DataType::Int32 } else { DataType::Int64 })
}

fn is_cast_to_bigint(argument: &Expr) -> bool {
    let none = DFSchema::empty();
    let is_cast = |part: &Expr| match part {
        Expr::Cast(_) => true,
        Expr::ScalarFunction(function) => function.name() == CAST,
        _ => false,
    };
    let to_bigint = |part: &Expr| Ok(is_cast(part) && part.get_type(&none)? == DataType::Int64);
    argument.exists(to_bigint).unwrap_or(false)
}

fn check_step(step: &Value<'_>) -> Result<()> {
    let zero = match step {
        Value::Int(step) => *step == 0,
        Value::Interval(step) => *step == IntervalMonthDayNano::ZERO,
        _ => false,
    };
    match zero {
        true => Err(Error::new(ErrorKind::InvalidParameterValue, "step size cannot equal zero")),
        false => Ok(()),
    }
}

/// A series as a table of one column.
#[derive(Debug)]
struct Series {
    schema: SchemaRef,
    state: State,
}

/// Where a series stands.
#[derive(Clone, Debug)]
struct State {
    next: Option<Value<'static>>,
    end: Value<'static>,
    step: Value<'static>,
    /// Steps of days keep the hour of this zone.
    zone: Option<chrono_tz::Tz>,
}

impl State {
    /// The next value, if it is not past the end.
    fn advance(&mut self) -> Result<Option<Value<'static>>> {
        let Some(current) = self.next.take() else { return Ok(None) };
        let (past, following) = match (&current, &self.end, &self.step) {
            (Value::Int(now), Value::Int(end), Value::Int(step)) => {
                (if *step > 0 { now > end } else { now < end }, now.checked_add(*step).map(Value::Int))
            }
            (Value::Timestamp(now), Value::Timestamp(end), Value::Interval(step)) => {
                let backward = step.months < 0 || step.days < 0 || step.nanoseconds < 0;
                (if backward { now < end } else { now > end }, Some(Value::Timestamp(self.later(*now, *step)?)))
            }
            other => return Err(Error::internal(format!("series over {other:?}"))),
        };
        if past {
            return Ok(None);
        }
        self.next = following;
        Ok(Some(current))
    }

    fn later(&self, now: i64, step: IntervalMonthDayNano) -> Result<i64> {
        match &self.zone {
            Some(zone) if *zone != chrono_tz::Tz::UTC => {
                let whole_days = IntervalMonthDayNano::new(step.months, step.days, 0);
                let local = moved(parse_time::utc_to_local(now, zone)?, whole_days)?;
                Ok(parse_time::local_to_utc(local, zone)? + step.nanoseconds / 1000)
            }
            _ => moved(now, step),
        }
    }
}

/// Makes the batches of a series.
#[derive(Debug)]
struct Generator {
    schema: SchemaRef,
    state: State,
    first: State,
}

impl Generator {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut values = Vec::new();
        while values.len() < BATCH_ROWS {
            match self.state.advance()? {
                Some(value) => values.push(value),
                None => break,
            }
        }
        if values.is_empty() {
            return Ok(None);
        }
        let column = value::build(self.schema.field(0).data_type(), values)?;
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), vec![column])?))
    }
}

impl fmt::Display for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("generate_series")
    }
}

impl LazyBatchGenerator for Generator {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn generate_next_batch(&mut self) -> DataFusionResult<Option<RecordBatch>> {
        Ok(self.batch()?)
    }

    fn reset_state(&self) -> Arc<RwLock<dyn LazyBatchGenerator>> {
        let (schema, first) = (Arc::clone(&self.schema), self.first.clone());
        Arc::new(RwLock::new(Self { schema, state: first.clone(), first }))
    }
}

impl Series {
    fn plan(&self, projection: Option<&Vec<usize>>) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let generator =
            Generator { schema: Arc::clone(&self.schema), state: self.state.clone(), first: self.state.clone() };
        let plan = LazyMemoryExec::try_new(Arc::clone(&self.schema), vec![Arc::new(RwLock::new(generator))])?;
        Ok(Arc::new(plan.with_projection(projection.cloned())))
    }
}

impl TableProvider for Series {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn scan<'a, 'b, 'c, 'd, 't>(
        &'a self,
        _: &'b dyn Session,
        projection: Option<&'c Vec<usize>>,
        _: &'d [Expr],
        _: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = DataFusionResult<Arc<dyn ExecutionPlan>>> + Send + 't>>
    where
        'a: 't,
        'b: 't,
        'c: 't,
        'd: 't,
        Self: 't,
    {
        Box::pin(std::future::ready(self.plan(projection)))
    }
}
