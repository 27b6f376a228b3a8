//! The only owner of DataFusion: context, planning, running, functions.

pub mod facts;
pub mod functions;
pub mod shim;
