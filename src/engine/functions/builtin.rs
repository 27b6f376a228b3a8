//! DataFusion's own functions under PostgreSQL's names.

use std::sync::Arc;

use datafusion::functions::string;
use datafusion::functions_nested::{array_has, remove, replace};
use datafusion::logical_expr::ScalarUDF;

/// The function that PostgreSQL calls `name` and DataFusion otherwise.
pub(super) fn scalar(name: &str) -> Option<Arc<ScalarUDF>> {
    Some(match name {
        // PostgreSQL's remove and replace every occurrence.
        "array_remove" => remove::array_remove_all_udf(),
        "array_replace" => replace::array_replace_all_udf(),
        "array_has_any" => array_has::array_has_any_udf(),
        "starts_with" => string::starts_with(),
        _ => return None,
    })
}
