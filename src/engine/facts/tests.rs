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

#[test]
fn every_system_view_runs_with_the_columns_of_postgresql() {
    let bench = Bench::new();
    for view in crate::catalog::system::views() {
        let (columns, _) = bench.run(&format!("SELECT * FROM {}.{}", view.schema, view.name)).expect(view.name);
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let Some(shape) = shape_line(view.schema, view.name) else { continue };
        let shape: Vec<&str> = shape.split(", ").filter_map(|column| column.split(' ').next()).collect();
        // `routines` is long and empty for users: the columns that tools read are there.
        match view.name {
            "routines" => assert!(names.iter().all(|name| shape.contains(name)), "{}", view.name),
            _ => assert_eq!(names, shape, "{}", view.name),
        }
    }
}

/// The columns that PostgreSQL has for a system relation.
fn shape_line(schema: &str, name: &str) -> Option<&'static str> {
    let lines = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/catalog/relations.txt")).lines();
    let mut lines = lines.filter_map(|line| line.split_once(": "));
    lines.find(|(head, _)| head.ends_with(&format!(" {schema}.{name}"))).map(|(_, columns)| columns)
}

#[test]
fn every_system_relation_can_be_read() {
    let bench = Bench::new();
    for shape in crate::engine::facts::shapes::all() {
        bench.run(&format!("SELECT * FROM {}.{}", shape.schema, shape.name)).expect(shape.name);
    }
}

#[test]
fn the_information_schema_describes_tables() {
    let bench = Bench::new();
    let rows = |sql: &str| bench.rows(sql);
    assert_eq!(
        rows("SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"),
        ["t|BASE TABLE", "u|BASE TABLE", "v|VIEW"]
    );
    assert_eq!(
        rows(
            "SELECT column_name, ordinal_position, is_nullable, data_type, numeric_precision, numeric_scale, column_default \
              FROM information_schema.columns WHERE table_name = 't' ORDER BY 2"
        ),
        [
            "id|1|NO|integer|32|0|NULL",
            "name|2|YES|text|NULL|NULL|'x'::text",
            "n|3|YES|numeric|10|2|NULL",
            "ts|4|YES|timestamp with time zone|NULL|NULL|NULL",
            "k|5|YES|bigint|64|0|NULL"
        ]
    );
    assert_eq!(
        rows(
            "SELECT constraint_name, constraint_type FROM information_schema.table_constraints \
              WHERE table_name = 't' AND constraint_name LIKE 't%' ORDER BY 1"
        ),
        ["t_n_check|CHECK", "t_pkey|PRIMARY KEY"]
    );
    assert_eq!(
        rows(
            "SELECT column_name, ordinal_position FROM information_schema.key_column_usage WHERE constraint_name = 't_pkey'"
        ),
        ["id|1"]
    );
    assert_eq!(
        rows("SELECT tablename, hasindexes FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"),
        ["t|t", "u|f"]
    );
    assert_eq!(
        rows("SELECT indexdef FROM pg_indexes WHERE tablename = 't'"),
        ["CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)"]
    );
}

#[test]
fn settings_and_sessions_are_tables() {
    let bench = Bench::new();
    assert_eq!(bench.rows("SELECT name, setting FROM pg_settings WHERE name = 'search_path'").len(), 1);
    assert_eq!(bench.rows("SELECT pid, user_name, state FROM system.sessions"), ["7|headwater|idle"]);
    assert_eq!(bench.rows("SELECT count(*) > 10 FROM system.settings WHERE scope = 'server'"), ["t"]);
}

#[test]
fn the_columns_of_system_views_are_attributes_too() {
    let bench = Bench::new();
    let sql = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'system.tables'::regclass";
    assert_eq!(bench.rows(sql), ["23"]);
    assert_eq!(bench.rows("SELECT count(*) FROM pg_class WHERE relnamespace = 0"), ["0"]);
}
