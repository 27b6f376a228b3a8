//! Messages: how they are cut, and where their parts are.

use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SetExpr, TableFactor, TableVersion};

use super::*;

fn texts(sql: &str) -> Vec<(String, usize)> {
    parse(sql).unwrap().into_iter().map(|parsed| (parsed.origin.text.to_string(), parsed.origin.offset)).collect()
}

#[test]
fn each_statement_keeps_its_text_and_place() {
    let pairs = texts("SELECT 1; ;  -- first\n/* ; */ SELECT 'ü;ü' ;\nSELECT $$;$$");
    let expected = [("SELECT 1", 0), ("SELECT 'ü;ü'", 30), ("SELECT $$;$$", 45)];
    assert_eq!(pairs, expected.map(|(text, offset)| (text.to_owned(), offset)));
}

#[test]
fn nothing_is_no_statement() {
    for empty in ["", " ", ";", ";;\n;", "-- only a comment", "/* and /* nested */ */", "\u{a0}"] {
        assert!(parse(empty).map_or(empty == "\u{a0}", |found| found.is_empty()), "{empty:?}");
    }
}

#[test]
fn strings_and_names_are_postgresqls() {
    for sql in [
        "SELECT 'a''b', E'\\n', U&'\\0041', $tag$ it's $tag$, B'01', X'1F', N'x'",
        "SELECT 'a'\n  'b'",
        "SELECT \"a\"\"b\", \"É\", étoile, _x$1 FROM t",
        "SELECT 1_000, 0x1F, 1e10, .5, 5.",
        "SELECT a[1], a[1:2], ARRAY[1,2], ARRAY[[1],[2]], '{1}'::int[]",
        "SELECT (a).x, (a.b).y, t.* FROM t",
        "SELECT count(*) FILTER (WHERE a), string_agg(a, ',' ORDER BY b), percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
        "SELECT DISTINCT ON (a) * FROM t, LATERAL (SELECT 1) s, unnest(a) WITH ORDINALITY AS u(x, n)",
        "SELECT * FROM generate_series(1, 3) AS s(i), f(a => 1, b := 2)",
        "TABLE t",
        "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 LIMIT 1 OFFSET 2",
        "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT * FROM r",
        "WITH x AS MATERIALIZED (SELECT 1) SELECT * FROM x",
        "SELECT extract(epoch FROM a), a AT TIME ZONE 'UTC', interval '1 day', date '2020-01-01', timestamptz 'now'",
        "SELECT a::regclass::oid::text, CAST(a AS numeric(10,2)), a COLLATE \"C\"",
        "SELECT c.relname OPERATOR(pg_catalog.~) '^(t)$' COLLATE pg_catalog.default FROM pg_catalog.pg_class c",
        "SELECT a = ANY(ARRAY[1]), a <> ALL (SELECT 1), a ILIKE 'x' ESCAPE '!', a SIMILAR TO 'b', a ~* 'c'",
        "SELECT rank() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (ORDER BY a)",
        "SELECT interval, t.interval, max(interval), interval '1 day' * 2, interval (3) '1 s', interval '1' day, a::interval FROM t",
        "SELECT a FROM t FETCH FIRST 3 ROWS ONLY",
        "SELECT FROM t",
        "SELECT a, count(*) FROM t GROUP BY GROUPING SETS ((a), ()), ROLLUP (b), CUBE (c)",
        "VALUES (1, DEFAULT), ($1, $2)",
        "SELECT j->'a'->>'b', j #> '{a}', j @> '{}', j ? 'a' FROM t",
        "SELECT current_date, current_user, session_user, localtimestamp",
        "SELECT a AS \"select\", b value FROM t AS x (c, d)",
    ] {
        assert!(matches!(one(sql), Statement::Query(_)), "{sql}");
    }
}

fn version(sql: &str) -> TableVersion {
    let Statement::Query(query) = one(sql) else { panic!("{sql}") };
    let SetExpr::Select(select) = *query.body else { panic!("{sql}") };
    let TableFactor::Table { version, .. } = select.from[0].relation.clone() else { panic!("{sql}") };
    version.unwrap()
}

#[test]
fn time_travel_is_in_the_tree() {
    assert!(matches!(version("SELECT * FROM s.t VERSION AS OF 12 x WHERE a = 1"), TableVersion::VersionAsOf(_)));
    assert!(matches!(version("SELECT * FROM t TIMESTAMP AS OF '2024-01-01'"), TableVersion::TimestampAsOf(_)));
    assert!(matches!(
        version("SELECT * FROM t FOR SYSTEM_TIME AS OF now() - interval '1 hour' AS x"),
        TableVersion::ForSystemTimeAsOf(_)
    ));
    assert!(matches!(version("SELECT * FROM t VERSION AS OF $1"), TableVersion::VersionAsOf(_)));
    for sql in [
        "SELECT * FROM t at",
        "SELECT * FROM t changes JOIN u before ON true",
        "SELECT * FROM t version",
        "SELECT timestamp FROM t AS timestamp",
        "SELECT a AT TIME ZONE 'UTC' at FROM changes",
        "SELECT * FROM t VERSION AS OF 1 a JOIN t VERSION AS OF 2 b ON a.id = b.id",
        "SELECT * FROM t FOR UPDATE",
    ] {
        one(sql);
    }
}

#[test]
fn names_are_folded_unless_quoted() {
    let Statement::Query(query) = one("SELECT 1 FROM Public.\"Tab\"") else { panic!() };
    let SetExpr::Select(select) = *query.body else { panic!() };
    let TableFactor::Table { name, .. } = &select.from[0].relation else { panic!() };
    assert_eq!(object_name(name).unwrap(), ObjectName::qualified("public", "Tab"));
}

#[test]
fn spans_lead_back_to_characters() {
    let parsed = parse("SELECT 1;\n  SELECT 'é',\n  nope").unwrap().remove(1);
    let Statement::Query(query) = &parsed.statement else { panic!() };
    let SetExpr::Select(select) = query.body.as_ref() else { panic!() };
    let SelectItem::UnnamedExpr(Expr::Identifier(name)) = &select.projection[1] else { panic!() };
    assert_eq!(parsed.position(name.span), Some(27));
    assert_eq!(parsed.origin.offset, 12);
}

#[test]
fn printing_what_was_read_reads_the_same() {
    for sql in [
        "SELECT a, b AS c FROM t WHERE a IS NOT DISTINCT FROM b AND NOT c ORDER BY 1 DESC NULLS LAST LIMIT 3",
        "SELECT -a ^ 2, a - -1, NOT a = b, (a OR b) AND c, a || b ~ c FROM t",
        "SELECT * FROM t VERSION AS OF 3 JOIN u USING (a) LEFT JOIN LATERAL (SELECT 1) z ON true",
        "WITH a AS (SELECT 1) SELECT CASE WHEN x THEN 1 ELSE 2 END, x::int4[], EXISTS (SELECT 1) FROM a",
        "SELECT sum(a) OVER (PARTITION BY b ORDER BY c), a IN (1, 2), a BETWEEN 1 AND 2 FROM t GROUP BY a HAVING true",
        "INSERT INTO t (a, b) VALUES (1, DEFAULT) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING *",
        "INSERT INTO t DEFAULT VALUES",
        "UPDATE t AS x SET a = 1, b = y.b FROM y WHERE x.id = y.id RETURNING x.a",
        "DELETE FROM t USING u WHERE t.a = u.a RETURNING *",
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.d THEN DELETE WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a)",
    ] {
        let printed = print(&one(sql));
        assert_eq!(print(&one(&printed)), printed, "{sql}");
    }
}

fn print(statement: &Statement) -> String {
    match statement {
        Statement::Query(query) => query.to_string(),
        Statement::Insert(insert) => insert.to_string(),
        Statement::Update(update) => update.to_string(),
        Statement::Delete(delete) => delete.to_string(),
        Statement::Merge(merge) => merge.to_string(),
        other => panic!("{other:?}"),
    }
}
