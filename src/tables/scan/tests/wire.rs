//! A plan that is sent as bytes gives the same rows.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion_proto::bytes::{physical_plan_from_bytes, physical_plan_to_bytes};

use super::fixture::Session;

/// The rows of a plan that was encoded and decoded.
pub async fn there_and_back(session: &Session, plan: &Arc<dyn ExecutionPlan>) -> String {
    let bytes = physical_plan_to_bytes(Arc::clone(plan)).unwrap();
    let context = session.task_ctx();
    let plan = physical_plan_from_bytes(&bytes, context.as_ref()).unwrap();
    let batches = collect(plan, context).await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}
