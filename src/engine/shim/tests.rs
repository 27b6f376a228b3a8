use crate::catalog::pg_type::PgType;
use crate::engine::functions::tests::Bench;

#[track_caller]
fn names(sql: &str, expected: &[&str]) {
    assert_eq!(Bench::new().names(sql), expected, "{sql}");
}

#[track_caller]
fn rows(sql: &str, expected: &[&str]) {
    assert_eq!(Bench::new().rows(sql), expected, "{sql}");
}

#[track_caller]
fn types(sql: &str, expected: &[PgType]) {
    let (columns, _) = Bench::new().run(sql).expect(sql);
    let found: Vec<PgType> = columns.into_iter().map(|(_, pg_type)| pg_type).collect();
    assert_eq!(found, expected, "{sql}");
}

#[test]
fn unnamed_items_are_named_as_postgresql_does() {
    names("SELECT 1, 'a'::text, 1::int, count(*), coalesce(1, 2)", &["?column?", "text", "int4", "count", "coalesce"]);
    names("SELECT id::text, (id), -id, id + 1, t.name FROM t", &["id", "id", "?column?", "?column?", "name"]);
    names("SELECT CASE WHEN true THEN 1 END, CASE WHEN true THEN 1 ELSE id END FROM t", &["case", "id"]);
    names(
        "SELECT (SELECT max(id) FROM t), EXISTS (SELECT 1), ARRAY(SELECT 1), ARRAY[1]",
        &["max", "exists", "array", "array"],
    );
    names(
        "SELECT extract(year from now()), trim('a'), current_date, current_user",
        &["extract", "btrim", "current_date", "current_user"],
    );
    names(
        "SELECT pg_catalog.upper('a'), date '2026-01-01', interval '1 day', '{1}'::int[]",
        &["upper", "date", "interval", "int4"],
    );
    names("SELECT 1 AS \"A b\", 2 AS C", &["A b", "c"]);
    names("SELECT count FROM (SELECT count(*) FROM t) s", &["count"]);
}

#[test]
fn equal_output_names_stay_apart_inside_and_equal_outside() {
    names("SELECT 1, 1", &["?column?", "?column?"]);
    names("SELECT t.id, u.id FROM t, u", &["id", "id"]);
    names("SELECT t.*, u.* FROM t JOIN u ON t.id = u.t_id", &["id", "name", "n", "ts", "k", "id", "t_id", "tag"]);
    names("SELECT * FROM t JOIN u ON t.id = u.t_id", &["id", "name", "n", "ts", "k", "id", "t_id", "tag"]);
    names("SELECT * FROM t JOIN u USING (id)", &["id", "name", "n", "ts", "k", "t_id", "tag"]);
    names("SELECT u.id, u.* FROM u", &["id", "id", "t_id", "tag"]);
    names("SELECT * FROM (SELECT t.id, u.id FROM t, u) s", &["id", "id"]);
    names("WITH c AS (SELECT u.id, u.* FROM u) SELECT *, 1 AS id FROM c", &["id", "id", "t_id", "tag", "id"]);
    rows("SELECT * FROM (SELECT u.id, u.id + 10 AS id, tag FROM u) s ORDER BY 1 LIMIT 1", &["1|11|a"]);
    rows("SELECT a.id, b.id FROM u a JOIN u b ON a.id = b.t_id ORDER BY 1, 2", &["1|1", "1|2", "2|3"]);
    rows("SELECT 1, 1 UNION SELECT 2, 2 ORDER BY 1", &["1|1", "2|2"]);
}

#[test]
fn integer_literals_are_integers_where_they_fit() {
    types(
        "SELECT 1, 2147483648, -1, 1 + 1, id + 1, k + 1 FROM t",
        &[PgType::Int4, PgType::Int8, PgType::Int4, PgType::Int4, PgType::Int4, PgType::Int8],
    );
    types(
        "SELECT CASE WHEN true THEN 1 ELSE 0 END, coalesce(null, 5), sum(1), count(1) FROM t",
        &[PgType::Int4, PgType::Int4, PgType::Int8, PgType::Int8],
    );
    types("SELECT * FROM (VALUES (1, 2147483648)) v", &[PgType::Int4, PgType::Int8]);
    rows("SELECT 2147483647 + 1", &["ERROR 22003: integer out of range"]);
    rows("SELECT k * 9223372036854775807 FROM t", &["ERROR 22003: bigint out of range"]);
    rows("SELECT id + 1, count(*) FROM t GROUP BY id + 1 ORDER BY 1", &["2|1", "3|1", "4|1"]);
    rows("SELECT id FROM t ORDER BY 1 LIMIT 1", &["1"]);
    rows("SELECT count(*), k FROM t GROUP BY 2 ORDER BY 2", &["1|10", "2|20"]);
}

#[test]
fn a_filter_on_a_column_reaches_the_scan_without_a_cast() {
    let bench = Bench::new();
    for condition in ["k = 10", "id > 5", "id IN (1, 2)", "k = '10'", "ts >= '2026-01-01'"] {
        let plan = bench.optimized(&format!("SELECT name FROM t WHERE {condition}"));
        let filter = plan.lines().find(|line| line.contains("Filter")).unwrap_or_default().to_owned();
        assert!(!filter.contains("CAST"), "{condition}: {plan}");
        assert!(!filter.contains("pg_cast"), "{condition}: {plan}");
    }
}

#[test]
fn a_scalar_subquery_gives_one_row_or_an_error() {
    rows("SELECT id, (SELECT tag FROM u WHERE u.id = t.id) FROM t ORDER BY 1", &["1|a", "2|b", "3|c"]);
    rows(
        "SELECT id, (SELECT tag FROM u WHERE u.t_id = t.id AND u.id > 2) FROM t ORDER BY 1",
        &["1|NULL", "2|c", "3|NULL"],
    );
    rows(
        "SELECT id, (SELECT tag FROM u WHERE u.t_id = t.id) FROM t",
        &["ERROR 21000: more than one row returned by a subquery used as an expression"],
    );
    rows(
        "SELECT (SELECT tag FROM u)",
        &["ERROR 21000: more than one row returned by a subquery used as an expression"],
    );
    rows("SELECT (SELECT tag FROM u WHERE false)", &["NULL"]);
    rows(
        "SELECT id, (SELECT tag FROM u WHERE u.t_id = t.id ORDER BY tag DESC LIMIT 1) FROM t ORDER BY 1",
        &["1|b", "2|c", "3|NULL"],
    );
    rows("SELECT id, (SELECT count(*) FROM u WHERE u.t_id = t.id) FROM t ORDER BY 1", &["1|2", "2|1", "3|0"]);
    rows("SELECT (SELECT t.id + 1) FROM t ORDER BY 1 LIMIT 1", &["2"]);
}

#[test]
fn a_correlation_may_be_any_condition() {
    rows("SELECT id, (SELECT count(*) FROM u WHERE u.id > t.id) FROM t ORDER BY 1", &["1|2", "2|1", "3|0"]);
    rows(
        "SELECT id, (SELECT sum(u.id) FROM u WHERE u.id <> t.id AND u.t_id = t.id) FROM t ORDER BY 1",
        &["1|2", "2|3", "3|NULL"],
    );
    rows(
        "SELECT id, (SELECT max(tag) FROM u WHERE u.t_id = t.id AND t.k > 10) FROM t ORDER BY 1",
        &["1|NULL", "2|c", "3|NULL"],
    );
    rows("SELECT id FROM t WHERE (SELECT count(*) FROM u WHERE u.id >= t.id) = 2", &["2"]);
    rows("SELECT id, (SELECT tag FROM u WHERE u.id > t.id + 1) FROM t ORDER BY 1", &["1|c", "2|NULL", "3|NULL"]);
    rows("SELECT k, (SELECT count(*) FROM u WHERE u.id < t.id) FROM t ORDER BY id", &["10|0", "20|1", "20|2"]);
}

#[test]
fn array_of_a_subquery_is_an_array() {
    rows("SELECT ARRAY(SELECT tag FROM u ORDER BY tag DESC)", &["{c,b,a}"]);
    rows(
        "SELECT id, ARRAY(SELECT tag FROM u WHERE u.t_id = t.id ORDER BY 1) FROM t ORDER BY 1",
        &["1|{a,b}", "2|{c}", "3|{}"],
    );
    rows("SELECT ARRAY(SELECT tag FROM u WHERE false)", &["{}"]);
    rows("SELECT ARRAY(SELECT 'x' || x FROM unnest(ARRAY['a', 'b']) x)", &["{xa,xb}"]);
    rows("SELECT ARRAY(SELECT tag FROM u ORDER BY tag LIMIT 2)", &["{a,b}"]);
}

#[test]
fn predicates_over_subqueries_are_values_too() {
    rows("SELECT EXISTS (SELECT 1 FROM t WHERE id = 1), NOT EXISTS (SELECT 1 FROM t WHERE id = 9)", &["t|t"]);
    rows("SELECT id, EXISTS (SELECT 1 FROM u WHERE u.t_id = t.id) FROM t ORDER BY 1", &["1|t", "2|t", "3|f"]);
    rows("SELECT id, id IN (SELECT t_id FROM u) FROM t ORDER BY 1", &["1|t", "2|t", "3|f"]);
    rows("SELECT 9 IN (SELECT nullif(t_id, 2) FROM u), 1 IN (SELECT nullif(t_id, 2) FROM u)", &["NULL|t"]);
    rows("SELECT EXISTS (SELECT k FROM t GROUP BY k HAVING count(*) > 5)", &["f"]);
    rows("SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.t_id = t.id) ORDER BY 1", &["1", "2"]);
}

#[test]
fn table_functions_are_named_like_their_alias() {
    rows("SELECT s + 1 FROM generate_series(1, 3) AS s", &["2", "3", "4"]);
    rows("SELECT generate_series FROM pg_catalog.generate_series(1, 2)", &["1", "2"]);
    rows("SELECT s.n FROM generate_series(1, 5, 2) AS s(n)", &["1", "3", "5"]);
    rows("SELECT * FROM generate_series(3, 1, -1) s", &["3", "2", "1"]);
    rows(
        "SELECT * FROM generate_series(timestamp '2026-01-30', timestamp '2026-03-01', interval '1 month') s",
        &["2026-01-30 00:00:00", "2026-02-28 00:00:00"],
    );
    rows("SELECT * FROM generate_series(1, 3, 0)", &["ERROR 22023: step size cannot equal zero"]);
    rows("SELECT x FROM unnest(ARRAY['a', 'b']) x", &["a", "b"]);
    rows("SELECT x, n FROM unnest(ARRAY['a', 'b']) WITH ORDINALITY AS u(x, n)", &["a|1", "b|2"]);
    rows("SELECT i FROM generate_subscripts(ARRAY[7, 8], 1) i", &["1", "2"]);
    rows("SELECT generate_series(1, 3)", &["1", "2", "3"]);
    types("SELECT s FROM generate_series(1, 3) s", &[PgType::Int4]);
}

#[test]
fn registered_names_convert_both_ways() {
    rows("SELECT 't'::regclass, 'public.t'::regclass::oid = 't'::regclass, 'pg_class'::regclass::oid", &["t|t|1259"]);
    rows("SELECT oid::regclass::text FROM pg_class WHERE relname IN ('t', 'pg_type') ORDER BY 1", &["pg_type", "t"]);
    rows("SELECT 'nope'::regclass", &["ERROR 42P01: relation \"nope\" does not exist"]);
    rows("SELECT relname FROM pg_class WHERE oid = 't'::regclass", &["t"]);
    rows("SELECT 0::regclass::text", &["-"]);
}

#[test]
fn text_beside_another_type_is_a_literal_of_it() {
    rows("SELECT count(*) FROM t WHERE id = '1'", &["1"]);
    rows("SELECT count(*) FROM t WHERE id = 'x'", &["ERROR 22P02: invalid input syntax for type integer: \"x\""]);
    rows("SELECT count(*) FROM t WHERE ts > '2025-01-01'", &["1"]);
    rows("SELECT ARRAY[1, 2] = '{1,2}'", &["t"]);
}

#[test]
fn operators_collations_and_functions_may_name_pg_catalog() {
    rows("SELECT count(*) FROM t WHERE name OPERATOR(pg_catalog.~) '^(one)$' COLLATE pg_catalog.\"default\"", &["1"]);
    rows("SELECT pg_catalog.upper(name) FROM t WHERE id = 1", &["ONE"]);
    rows("SELECT 'a' COLLATE \"de_DE\"", &["ERROR 0A000: collation \"de_DE\" is not available"]);
    rows("SELECT 1 OPERATOR(pg_catalog.<@>) 2", &["ERROR 42883: operator does not exist: pg_catalog.<@>"]);
}

#[test]
fn names_without_parentheses_are_functions() {
    rows(
        "SELECT current_user, session_user, user, current_schema, current_database(), current_catalog",
        &["headwater|headwater|headwater|public|headwater|headwater"],
    );
    rows("SELECT current_date, current_timestamp", &["2026-02-03|2026-02-03 04:05:06.789+00"]);
}

#[test]
fn an_unknown_type_is_an_error_that_names_it() {
    rows("SELECT 1::nope", &["ERROR 42704: type \"nope\" does not exist"]);
}
