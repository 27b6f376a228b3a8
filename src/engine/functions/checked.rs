//! `+`, `-` and `*` of integers that say `out of range` where DataFusion's operators wrap around.

use std::sync::LazyLock;

use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;
use std::sync::Arc;

use crate::engine::functions::value::out_of_range;
use crate::error::{Error, Result};

/// The operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
}

impl Operator {
    const ALL: [Self; 3] = [Self::Add, Self::Subtract, Self::Multiply];

    fn function_name(self) -> &'static str {
        match self {
            Self::Add => "int_add",
            Self::Subtract => "int_subtract",
            Self::Multiply => "int_multiply",
        }
    }
}

/// The operator as a function call.
pub fn call(operator: Operator, left: Expr, right: Expr) -> Expr {
    let function = &FUNCTIONS[operator as usize];
    Expr::ScalarFunction(datafusion::logical_expr::expr::ScalarFunction::new_udf(
        Arc::clone(function),
        vec![left, right],
    ))
}

/// The function of that name.
pub(super) fn scalar(name: &str) -> Option<Arc<ScalarUDF>> {
    FUNCTIONS.iter().find(|function| function.name() == name).cloned()
}

static FUNCTIONS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let function = |operator| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Checked { operator, signature }))
    };
    Operator::ALL.into_iter().map(function).collect()
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    signature: Signature,
}

/// The wider of two integer types.
pub fn common_type(types: &[DataType]) -> Option<DataType> {
    let rank = |data_type: &DataType| match data_type {
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => Some(0),
        DataType::Int32 | DataType::UInt16 => Some(1),
        DataType::Int64 => Some(2),
        _ => None,
    };
    let widest = types.iter().map(rank).collect::<Option<Vec<_>>>()?.into_iter().max()?;
    Some([DataType::Int16, DataType::Int32, DataType::Int64][widest].clone())
}

impl Checked {
    fn common(types: &[DataType]) -> Result<DataType> {
        common_type(types).ok_or_else(|| Error::internal(format!("checked integer operator over {types:?}")))
    }

    fn run(&self, args: &ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let kernel = match self.operator {
            Operator::Add => add,
            Operator::Subtract => sub,
            Operator::Multiply => mul,
        };
        let [left, right] = args.args.as_slice() else {
            return Err(Error::internal("an operator takes two operands").into());
        };
        apply(left, right, kernel).map_err(|error| match error {
            DataFusionError::ArrowError(_, _) => out_of_range(args.return_field.data_type()).into(),
            other => other,
        })
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.operator.function_name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        Ok(Self::common(types)?)
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let common = Self::common(types)?;
        Ok(vec![common.clone(), common])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        self.run(&args)
    }
}
