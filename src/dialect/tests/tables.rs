//! CREATE TABLE, ALTER TABLE, views, schemas, DROP.

use super::*;
use crate::catalog::pg_type::PgType;

fn create(sql: &str) -> CreateTable {
    match one(sql) {
        Statement::CreateTable(table) => *table,
        other => panic!("{other:?}"),
    }
}

fn alter(sql: &str) -> AlterRelation {
    match one(sql) {
        Statement::AlterRelation(alter) => *alter,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_with_everything() {
    let table = create(
        "CREATE TABLE IF NOT EXISTS S.\"T\" (
           id BIGINT PRIMARY KEY, ts TIMESTAMP WITH TIME ZONE NOT NULL, v DOUBLE PRECISION DEFAULT 1 + 1 NOT NULL,
           name VARCHAR(10) COMMENT 'a name', tags text[] NULL, u UUID UNIQUE REFERENCES s.u (id) ON DELETE CASCADE,
           day DATE GENERATED ALWAYS AS (CAST(ts AS DATE)) STORED,
           CHECK (v >= 0), CONSTRAINT sane CHECK (v < 1e6 AND id IS NOT DISTINCT FROM 1),
           CONSTRAINT k UNIQUE (id, ts), FOREIGN KEY (id, v) REFERENCES o)
         PARTITIONED BY (day) CLUSTER BY (id, \"Ts\") LOCATION 's3://b/t' COMMENT 'c'
         WITH (flush_interval = '10 s', late = side, delta.enableChangeDataFeed = true, fast)",
    );
    assert_eq!(table.name, ObjectName::qualified("s", "T"));
    assert!(table.if_not_exists && !table.temporary);
    let types: Vec<String> = table.columns.iter().map(|column| column.pg_type.to_string()).collect();
    let expected =
        ["bigint", "timestamp with time zone", "double precision", "character varying(10)", "text[]", "uuid", "date"];
    assert_eq!(types, expected);
    let not_null: Vec<bool> = table.columns.iter().map(|column| column.not_null).collect();
    assert_eq!(not_null, [true, true, true, false, false, false, false]);
    assert_eq!(table.columns[2].default.as_ref().unwrap().to_string(), "1 + 1");
    assert_eq!(table.columns[3].comment.as_deref(), Some("a name"));
    assert_eq!(table.columns[6].generated.as_ref().unwrap().to_string(), "CAST(ts AS DATE)");
    let rules: Vec<String> = table.constraints.iter().map(rule).collect();
    assert_eq!(
        rules,
        [
            "- primary id",
            "- unique u",
            "- foreign u s.u id",
            "- check v >= 0",
            "sane check v < 1e6 AND id IS NOT DISTINCT FROM 1",
            "k unique id,ts",
            "- foreign id,v o ",
        ]
    );
    assert_eq!((table.partitioned_by, table.clustered_by), (names(&["day"]), names(&["id", "Ts"])));
    assert_eq!((table.location.as_deref(), table.comment.as_deref()), (Some("s3://b/t"), Some("c")));
    let options: Vec<(&str, Option<&str>)> =
        table.options.list.iter().map(|choice| (choice.name.as_str(), choice.value.as_deref())).collect();
    let expected = [
        ("flush_interval", Some("10 s")),
        ("late", Some("side")),
        ("delta.enableChangeDataFeed", Some("true")),
        ("fast", None),
    ];
    assert_eq!(options, expected);
}

fn rule(constraint: &Constraint) -> String {
    let name = constraint.name.as_deref().unwrap_or("-");
    match &constraint.rule {
        ConstraintRule::Check(condition) => format!("{name} check {condition}"),
        ConstraintRule::PrimaryKey(columns) => format!("{name} primary {}", columns.join(",")),
        ConstraintRule::Unique(columns) => format!("{name} unique {}", columns.join(",")),
        ConstraintRule::ForeignKey { columns, table, referenced } => {
            format!("{name} foreign {} {table} {}", columns.join(","), referenced.join(","))
        }
    }
}

#[test]
fn all_types_of_columns() {
    for (written, meant) in [
        ("int", PgType::Int4),
        ("int2", PgType::Int2),
        ("INTEGER", PgType::Int4),
        ("float", PgType::Float8),
        ("float(10)", PgType::Float4),
        ("real", PgType::Float4),
        ("decimal", PgType::Numeric(None)),
        ("numeric(12)", PgType::Numeric(Some((12, 0)))),
        ("dec(12, 3)", PgType::Numeric(Some((12, 3)))),
        ("bool", PgType::Bool),
        ("character varying(5)", PgType::Varchar(Some(5))),
        ("char(3)", PgType::Char(3)),
        ("char", PgType::Char(1)),
        ("bpchar", PgType::Char(1)),
        ("bytea", PgType::Bytea),
        ("time", PgType::Time),
        ("timestamp(3)", PgType::Timestamp),
        ("timestamp(3) with time zone", PgType::Timestamptz),
        ("timestamp without time zone", PgType::Timestamp),
        ("timestamptz", PgType::Timestamptz),
        ("interval", PgType::Interval),
        ("json", PgType::Json),
        ("jsonb", PgType::Jsonb),
        ("name", PgType::Name),
        ("\"char\"", PgType::InternalChar),
        ("int[]", PgType::Array(Box::new(PgType::Int4))),
        ("int[3][3]", PgType::Array(Box::new(PgType::Int4))),
        ("int ARRAY", PgType::Array(Box::new(PgType::Int4))),
        ("pg_catalog.int4", PgType::Int4),
        ("numeric(5,2)[]", PgType::Array(Box::new(PgType::Numeric(Some((5, 2)))))),
    ] {
        assert_eq!(create(&format!("CREATE TABLE t (a {written} NOT NULL)")).columns[0].pg_type, meant, "{written}");
    }
}

#[test]
fn tables_from_queries_and_folders() {
    let table = create("CREATE TABLE t (a, b) CLUSTER BY (a) AS SELECT 1, 2 WITH NO DATA");
    assert!(table.query.is_some() && table.with_no_data);
    assert_eq!(table.column_names, names(&["a", "b"]));
    assert!(create("CREATE TEMP TABLE t AS TABLE u").temporary);
    let table = create("CREATE TABLE t USING DELTA LOCATION 's3://b/x'");
    assert!(table.using_delta && table.columns.is_empty());
    assert!(create("CREATE TABLE t ()").columns.is_empty());
    for (sql, code) in [
        ("CREATE TABLE t (a int) AS SELECT 1", "42601"),
        ("CREATE TABLE t (a)", "42601"),
        ("CREATE TABLE t USING DELTA", "42601"),
        ("CREATE TABLE t USING parquet LOCATION 'x'", "42601"),
        ("CREATE TABLE t (a int) PARTITION BY RANGE (a)", "0A000"),
        ("CREATE TABLE t (LIKE u INCLUDING ALL)", "0A000"),
        ("CREATE TABLE t (a int) INHERITS (u)", "0A000"),
        ("CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY)", "0A000"),
        ("CREATE TABLE t (a int, UNIQUE (a) DEFERRABLE)", "0A000"),
        ("CREATE TABLE t (a int) WITH (a = 1, a = 2)", "42601"),
        ("CREATE TABLE t (\"\" int)", "42601"),
    ] {
        assert_eq!(fails(sql).sqlstate(), code, "{sql}");
    }
    let long = "x".repeat(64);
    assert_eq!(fails(&format!("CREATE TABLE {long} (a int)")).sqlstate(), "42622");
}

#[test]
fn alter_table_in_all_forms() {
    let change = |sql: &str| alter(sql).change;
    assert!(matches!(change("ALTER TABLE t RENAME TO u"), AlterTable::Rename(to) if to == "u"));
    assert!(
        matches!(change("ALTER TABLE t RENAME a TO b"), AlterTable::RenameColumn { column, to } if column == "a" && to == "b")
    );
    assert!(
        matches!(change("ALTER TABLE t RENAME COLUMN A TO \"B\""), AlterTable::RenameColumn { column, to } if column == "a" && to == "B")
    );
    assert!(matches!(change("ALTER TABLE t RENAME CONSTRAINT a TO b"), AlterTable::RenameConstraint { .. }));
    assert!(matches!(change("ALTER TABLE t SET SCHEMA s"), AlterTable::SetSchema(schema) if schema == "s"));
    let view = alter("ALTER VIEW IF EXISTS s.v RENAME TO w");
    assert!(view.is_view && view.if_exists);
    let AlterTable::Changes(changes) = change(
        "ALTER TABLE ONLY t ADD COLUMN IF NOT EXISTS a int NOT NULL DEFAULT 3, ADD b text CHECK (b <> ''), DROP COLUMN c CASCADE,
         DROP IF EXISTS d, ADD CONSTRAINT k PRIMARY KEY (a), ADD CHECK (a > 1), DROP CONSTRAINT IF EXISTS x, ALTER a DROP NOT NULL,
         ALTER COLUMN a SET DEFAULT 4, ALTER a DROP DEFAULT, ALTER a TYPE bigint USING a * 2, SET (x = 1), RESET (x, y),
         CLUSTER BY NONE, OWNER TO bob",
    ) else {
        panic!()
    };
    let shown: Vec<String> =
        changes.iter().map(|change| format!("{change:?}").split([' ', '(']).next().unwrap().to_owned()).collect();
    let expected = [
        "AddColumn",
        "AddColumn",
        "DropColumn",
        "DropColumn",
        "AddConstraint",
        "AddConstraint",
        "DropConstraint",
        "SetNotNull",
        "SetDefault",
        "SetDefault",
        "SetType",
        "SetOptions",
        "ResetOptions",
        "ClusterBy",
        "OwnerTo",
    ];
    assert_eq!(shown, expected);
    assert!(matches!(&changes[1], TableChange::AddColumn { constraints, .. } if constraints.len() == 1));
    assert!(
        matches!(&changes[3], TableChange::DropColumn { if_exists: true, column, cascade: false } if column == "d")
    );
    assert_eq!(fails("ALTER TABLE t ENABLE ROW LEVEL SECURITY").sqlstate(), "0A000");
    assert_eq!(fails("ALTER TABLE t ALTER a SET STATISTICS 3").sqlstate(), "0A000");
    assert_eq!(fails("ALTER TABLE t FROBNICATE").sqlstate(), "42601");
}

#[test]
fn views_and_schemas() {
    let Statement::CreateView(view) = one("CREATE OR REPLACE VIEW v (a, B) AS SELECT 1, 2") else { panic!() };
    assert!(view.or_replace && !view.temporary);
    assert_eq!(view.column_names, names(&["a", "b"]));
    assert!(matches!(one("CREATE TEMP VIEW v AS VALUES (1)"), Statement::CreateView(view) if view.temporary));
    assert_eq!(fails("CREATE VIEW v AS SELECT 1 WITH CHECK OPTION").sqlstate(), "0A000");
    let schema = |sql: &str| match one(sql) {
        Statement::CreateSchema(schema) => schema,
        other => panic!("{other:?}"),
    };
    let made = schema("CREATE SCHEMA IF NOT EXISTS s AUTHORIZATION bob");
    assert_eq!((made.name.as_str(), made.owner.as_deref(), made.if_not_exists), ("s", Some("bob"), true));
    assert_eq!(schema("CREATE SCHEMA AUTHORIZATION bob").name, "bob");
    assert!(
        matches!(one("ALTER SCHEMA s RENAME TO r"), Statement::AlterSchema(AlterSchema { change: SchemaChange::Rename(to), .. }) if to == "r")
    );
    assert!(matches!(one("ALTER SCHEMA s OWNER TO r"), Statement::AlterSchema(_)));
}

#[test]
fn drop_truncate_and_comment() {
    let Statement::Drop(dropped) = one("DROP TABLE IF EXISTS a, s.b CASCADE") else { panic!() };
    let expected = vec![ObjectName::bare("a"), ObjectName::qualified("s", "b")];
    assert_eq!(dropped, Drop { kind: DropKind::Table, if_exists: true, names: expected, cascade: true });
    assert!(matches!(one("DROP VIEW v RESTRICT"), Statement::Drop(Drop { kind: DropKind::View, cascade: false, .. })));
    assert!(matches!(one("DROP SCHEMA s"), Statement::Drop(Drop { kind: DropKind::Schema, .. })));
    assert!(matches!(one("DROP USER u"), Statement::Drop(Drop { kind: DropKind::Role, .. })));
    assert!(matches!(
        one("TRUNCATE a, b RESTART IDENTITY CASCADE"),
        Statement::Truncate(Truncate { cascade: true, restart_identity: true, .. })
    ));
    let comment = |sql: &str| match one(sql) {
        Statement::Comment(comment) => comment,
        other => panic!("{other:?}"),
    };
    assert_eq!(comment("COMMENT ON TABLE t IS 'x'").text.as_deref(), Some("x"));
    let column = CommentTarget::Column(ObjectName::qualified("s", "t"), "c".to_owned());
    assert_eq!(comment("COMMENT ON COLUMN s.t.c IS NULL"), Comment { target: column, text: None });
    assert_eq!(fails("COMMENT ON COLUMN c IS 'x'").sqlstate(), "42601");
    assert!(matches!(one("COMMENT ON FUNCTION f(int) IS 'x'"), Statement::Unsupported(_)));
}

#[test]
fn columns_of_an_expression() {
    let expression = parse_expression("a > 0 AND t.\"B\" IN (SELECT c) OR f(a)").unwrap();
    assert_eq!(column_names(&expression), names(&["B", "a", "c"]));
}
