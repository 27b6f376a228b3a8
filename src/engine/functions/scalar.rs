//! A function of one row as DataFusion sees it: picks the overload, casts the arguments, runs the body for each row.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, DataFusionError, Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::catalog::pg_type::PgType;
use crate::engine::functions::FunctionContext;
use crate::engine::functions::kind::Kind;
use crate::engine::functions::value::{self, Value};
use crate::error::{Error, ErrorKind, Result};

/// What a body is called with: one row of arguments.
pub struct Arguments<'a> {
    /// The values, in order.
    pub values: &'a [Value<'a>],
    /// What the session knows.
    pub session: &'a FunctionContext,
    /// The fields of the arguments.
    pub fields: &'a [FieldRef],
    /// The field of the result.
    pub result: &'a FieldRef,
}

/// The body of a function, for one row.
pub type Body = fn(&Arguments<'_>) -> Result<Value<'static>>;

/// One signature of a function and its body.
#[derive(Clone, Copy)]
pub struct Overload {
    pub takes: &'static [Kind],
    /// The last parameter may be repeated, also zero times.
    pub variadic: bool,
    pub gives: Kind,
    /// NULL in, NULL out, without a call of the body.
    pub strict: bool,
    pub body: Body,
}

impl Overload {
    /// A strict overload: NULL if any argument is.
    pub const fn new(takes: &'static [Kind], gives: Kind, body: Body) -> Self {
        Self { takes, variadic: false, gives, strict: true, body }
    }

    /// The body sees NULLs.
    pub const fn with_nulls(takes: &'static [Kind], gives: Kind, body: Body) -> Self {
        Self { takes, variadic: false, gives, strict: false, body }
    }

    /// The last parameter may be repeated; the body sees NULLs.
    pub const fn variadic(takes: &'static [Kind], gives: Kind, body: Body) -> Self {
        Self { takes, variadic: true, gives, strict: false, body }
    }

    fn parameter(&self, at: usize) -> Option<Kind> {
        self.takes.get(at).or(if self.variadic { self.takes.last() } else { None }).copied()
    }

    /// The types to cast the arguments to and the sum of the distances.
    fn accept(&self, given: &[DataType]) -> Option<(Vec<DataType>, u32)> {
        let least = if self.variadic { self.takes.len() - 1 } else { self.takes.len() };
        if given.len() < least {
            return None;
        }
        let mut total = 0;
        let mut types = Vec::with_capacity(given.len());
        for (at, data_type) in given.iter().enumerate() {
            let (target, distance) = self.parameter(at)?.accept(data_type)?;
            total += distance;
            types.push(target);
        }
        Some((types, total))
    }
}

/// A call in a form that runs faster, where there is one that means the same.
pub type Simplify = fn(&[Expr], &DFSchema, &FunctionContext) -> Result<Option<Expr>>;

/// A function: its name, how steady it is, its overloads.
#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    pub volatility: Volatility,
    pub overloads: &'static [Overload],
    simpler: Option<Simplify>,
}

impl Function {
    /// The same arguments always give the same result.
    pub const fn immutable(name: &'static str, overloads: &'static [Overload]) -> Self {
        Self { name, volatility: Volatility::Immutable, overloads, simpler: None }
    }

    /// The result is steady within a statement.
    pub const fn stable(name: &'static str, overloads: &'static [Overload]) -> Self {
        Self { name, volatility: Volatility::Stable, overloads, simpler: None }
    }

    /// The optimizer asks for a faster form of a call.
    pub const fn with_simpler(self, simpler: Simplify) -> Self {
        Self { simpler: Some(simpler), ..self }
    }

    /// Every call may differ.
    pub const fn volatile(name: &'static str, overloads: &'static [Overload]) -> Self {
        Self { name, volatility: Volatility::Volatile, overloads, simpler: None }
    }
}

/// A [`Function`] bound to a session, given to DataFusion.
pub struct ScalarFunction {
    function: &'static Function,
    signature: Signature,
    session: Arc<FunctionContext>,
    /// The arguments' fields, as the call was planned; without them those that the call is run with count.
    fields: Option<Vec<FieldRef>>,
}

impl ScalarFunction {
    pub(super) fn new(function: &'static Function, session: Arc<FunctionContext>) -> Self {
        Self { function, signature: Signature::user_defined(function.volatility), session, fields: None }
    }

    /// The same function for arguments of these fields, if it is not that already.
    pub(super) fn bound(&self, fields: &[FieldRef]) -> Option<Self> {
        let bound = || Self { fields: Some(fields.to_vec()), ..Self::new(self.function, Arc::clone(&self.session)) };
        (self.fields.as_deref() != Some(fields)).then(bound)
    }

    fn overload(&self, given: &[DataType]) -> Result<(&'static Overload, Vec<DataType>)> {
        let best = self
            .function
            .overloads
            .iter()
            .filter_map(|overload| overload.accept(given).map(|(types, distance)| (overload, types, distance)))
            .min_by_key(|(_, _, distance)| *distance);
        match best {
            Some((overload, types, _)) => Ok((overload, types)),
            None => Err(undefined(self.function.name, given)),
        }
    }

    fn run(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let (overload, _) = self.overload(&types)?;
        let constant = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)))
            && self.function.volatility != Volatility::Volatile;
        let rows = if constant { 1 } else { args.number_rows };
        let columns =
            args.args.iter().map(|column| column.to_array(rows)).collect::<DataFusionResult<Vec<ArrayRef>>>()?;
        let mut results = Vec::with_capacity(rows);
        let mut row_values = Vec::with_capacity(columns.len());
        for row in 0..rows {
            row_values.clear();
            for column in &columns {
                row_values.push(value::read(column.as_ref(), row)?);
            }
            let null = overload.strict && row_values.iter().any(|value| matches!(value, Value::Null));
            let arguments = Arguments {
                values: &row_values,
                session: &self.session,
                fields: self.fields.as_ref().unwrap_or(&args.arg_fields),
                result: &args.return_field,
            };
            results.push(if null { Value::Null } else { (overload.body)(&arguments)? });
        }
        let array = value::build(args.return_field.data_type(), results)?;
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}

/// The error for a call that no overload takes, in PostgreSQL's words.
pub(super) fn undefined(name: &str, given: &[DataType]) -> Error {
    let types: Vec<String> = given.iter().map(|data_type| PgType::of_arrow(data_type).bare().to_string()).collect();
    Error::new(ErrorKind::UndefinedFunction, format!("function {name}({}) does not exist", types.join(", ")))
        .hint("No function matches the given name and argument types. You might need to add explicit type casts.")
}

impl fmt::Debug for ScalarFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScalarFunction").field(&self.function.name).finish()
    }
}

impl PartialEq for ScalarFunction {
    fn eq(&self, other: &Self) -> bool {
        let fields = self.fields == other.fields;
        self.function.name == other.function.name && fields && Arc::ptr_eq(&self.session, &other.session)
    }
}

impl Eq for ScalarFunction {}

impl Hash for ScalarFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for ScalarFunction {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        let fields: Vec<FieldRef> =
            types.iter().map(|data_type| Arc::new(arrow::datatypes::Field::new("", data_type.clone(), true))).collect();
        let (overload, _) = self.overload(types)?;
        Ok(overload.gives.result(self.function.name, &fields, &[]).data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let (overload, _) = self.overload(&types)?;
        Ok(overload.gives.result(self.function.name, args.arg_fields, args.scalar_arguments))
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        Ok(self.overload(types)?.1)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> DataFusionResult<ExprSimplifyResult> {
        let simpler = self.function.simpler.map(|simpler| simpler(&args, info.schema(), &self.session)).transpose()?;
        Ok(simpler.flatten().map_or(ExprSimplifyResult::Original(args), ExprSimplifyResult::Simplified))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        self.run(&args).map_err(DataFusionError::from)
    }
}

impl<'a> Arguments<'a> {
    /// The number of arguments.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True when the argument is NULL or was not given.
    pub fn is_null(&self, at: usize) -> bool {
        matches!(self.values.get(at), None | Some(Value::Null))
    }

    /// A text argument.
    pub fn text(&self, at: usize) -> Result<&str> {
        match self.values.get(at) {
            Some(Value::Text(text)) => Ok(text),
            other => Err(unexpected(at, "text", other)),
        }
    }

    /// An integer or oid argument.
    pub fn integer(&self, at: usize) -> Result<i64> {
        match self.values.get(at) {
            Some(Value::Int(number)) => Ok(*number),
            other => Err(unexpected(at, "integer", other)),
        }
    }

    /// An oid argument.
    pub fn oid(&self, at: usize) -> Result<u32> {
        let number = self.integer(at)?;
        u32::try_from(number).map_err(|_| Error::new(ErrorKind::NumericValueOutOfRange, "OID out of range"))
    }

    /// A floating-point argument.
    pub fn float(&self, at: usize) -> Result<f64> {
        match self.values.get(at) {
            Some(Value::Float(number)) => Ok(*number),
            other => Err(unexpected(at, "double precision", other)),
        }
    }

    /// A boolean argument.
    pub fn boolean(&self, at: usize) -> Result<bool> {
        match self.values.get(at) {
            Some(Value::Bool(truth)) => Ok(*truth),
            other => Err(unexpected(at, "boolean", other)),
        }
    }

    /// The elements of an array argument.
    pub fn list(&self, at: usize) -> Result<&ArrayRef> {
        match self.values.get(at) {
            Some(Value::List(items)) => Ok(items),
            other => Err(unexpected(at, "array", other)),
        }
    }

    /// The SQL type of an argument.
    pub fn pg_type(&self, at: usize) -> PgType {
        self.fields.get(at).map_or(PgType::Unknown, |field| PgType::of(field))
    }
}

fn unexpected(at: usize, wanted: &str, value: Option<&Value<'_>>) -> Error {
    Error::internal(format!("argument {} of a function should be {wanted}, not {value:?}", at + 1))
}
