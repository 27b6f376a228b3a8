//! The dialect: what is read, what is refused and where, and that nothing makes it panic.

use crate::catalog::name::ObjectName;
use crate::dialect::copy::CopyOptions;
use crate::dialect::cursor::{Direction, FetchCursor};
use crate::dialect::explain::ExplainFormat;
use crate::dialect::maintenance::Analyze;
use crate::dialect::*;

mod copy;
mod errors;
mod fuzz;
mod precedence;
mod statements;
mod tables;
mod texts;

fn one(sql: &str) -> Statement {
    match parse(sql) {
        Ok(mut found) if found.len() == 1 => found.remove(0).statement,
        Ok(found) => panic!("{sql}: {} statements", found.len()),
        Err(error) => panic!("{:.300}: {error} at {:?}", sql, error.position()),
    }
}

fn fails(sql: &str) -> Error {
    match parse(sql) {
        Err(error) => error,
        Ok(found) => panic!("{sql}: {found:?}"),
    }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}
