//! The only owner of DataFusion: context, planning, running, functions.
