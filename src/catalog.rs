//! Names to definitions: what exists in the database, with permanent numbers.
//!
//! Readers hold an immutable snapshot; a change is one SQLite transaction followed by one publish.

pub mod definition;
pub mod name;
pub mod pg_type;
