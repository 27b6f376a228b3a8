//! The `headwater` program: flags to settings, then one of its jobs.

fn main() {}
