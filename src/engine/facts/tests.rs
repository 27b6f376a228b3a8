use crate::engine::functions::tests::Bench;

/// What psql 15 sends for its `\d` commands, unchanged but for the number of the relation.
const PSQL: &str = include_str!("tests/psql15.sql");

#[test]
fn every_query_of_psql_runs() {
    let bench = Bench::new();
    let relation = |name: &str| {
        let found = bench.session.catalog.relations().find(|relation| relation.name == name);
        found.expect("the relation").oid.0.to_string()
    };
    let mut failed = Vec::new();
    for sql in PSQL.split("\n;;\n") {
        let sql = sql.replace("16384", &relation("t")).replace("16392", &relation("v"));
        if let Err(error) = bench.run(&sql) {
            failed.push(format!("{sql}\n   {error:?}"));
        }
    }
    assert!(failed.is_empty(), "{} fail:\n{}", failed.len(), failed.join("\n\n"));
}
