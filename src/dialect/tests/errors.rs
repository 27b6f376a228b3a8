//! Errors: their code, their words and their place.

use super::*;

#[test]
fn syntax_errors_point_at_the_token() {
    for (sql, message, position) in [
        ("SELEC 1", "syntax error at or near \"SELEC\"", 1),
        ("SELECT 1 FROM", "syntax error at end of input", 14),
        ("SELECT * FORM t", "syntax error at or near \"t\"", 15),
        ("SELECT 1; DROP TABL t", "syntax error at or near \"TABL\"", 16),
        ("SELECT 'é' WHERE )", "syntax error at or near \")\"", 18),
        ("SELECT 1\n\n  FROM t WHERE a = = 1", "syntax error at or near \"=\"", 30),
        ("CREATE TABLE t (a int,)", "syntax error at or near \")\"", 23),
        ("CREATE TABLE t (a int b)", "syntax error at or near \"b\"", 23),
        ("INSERT INTO t VALUES (1", "syntax error at end of input", 24),
        ("BEGIN TRANSACTIO", "syntax error at or near \"TRANSACTIO\"", 7),
        ("DROP TABLE t CASCADE x", "syntax error at or near \"x\"", 22),
        ("VACUUM t RETAIN x HOURS", "syntax error at or near \"x\"", 17),
        ("FETCH", "syntax error at end of input", 6),
        ("SELECT 1 SELECT 2", "syntax error at or near \"SELECT\"", 10),
    ] {
        let error = fails(sql);
        assert_eq!((error.message(), error.position()), (message, Some(position)), "{sql}");
        assert_eq!(error.sqlstate(), "42601", "{sql}");
    }
}

#[test]
fn broken_tokens_are_told_as_postgresql_tells_them() {
    for (sql, message, position) in [
        ("SELECT 'abc", "unterminated quoted string at or near \"'abc\"", 8),
        ("SELECT \"abc", "unterminated quoted identifier at or near \"\"abc\"", 8),
        ("SELECT /* abc", "unterminated /* comment at or near", 8),
        ("SELECT $a$ abc", "unterminated dollar-quoted string at or near", 8),
    ] {
        let error = fails(sql);
        assert!(error.message().starts_with(message), "{sql}: {error}");
        assert!(error.position().is_some_and(|at| at >= position), "{sql}: {:?}", error.position());
    }
}

#[test]
fn errors_without_a_place_get_the_one_that_the_text_has() {
    use ErrorKind as Kind;
    for (sql, kind, message, position) in [
        ("SELECT a, b FROM t", Kind::UndefinedColumn, "column \"b\" does not exist", Some(11)),
        ("SELECT b, b FROM t", Kind::UndefinedColumn, "column \"b\" does not exist", Some(8)),
        ("SELECT 1 FROM t JOIN u USING (b)", Kind::UndefinedColumn, "column \"b\" does not exist", None),
        ("SELECT 'é', nope(1)", Kind::UndefinedFunction, "function nope does not exist", Some(13)),
        ("SELECT nope, nope (1)", Kind::UndefinedFunction, "function nope(integer) does not exist", Some(14)),
        ("SELECT f(1), f('x')", Kind::UndefinedFunction, "function f(text) does not exist", None),
        ("SELECT a - 1, a + b", Kind::UndefinedFunction, "operator does not exist: integer + text", Some(17)),
        ("SELECT a + 1, a + b", Kind::UndefinedFunction, "operator does not exist: integer + text", None),
        ("SELECT a LIKE 1", Kind::UndefinedFunction, "operator does not exist: text ~~ integer", Some(10)),
        ("SELECT * FROM nope(1)", Kind::UndefinedFunction, "table function nope does not exist", Some(15)),
        ("SELECT sum(a) OVER w", Kind::UndefinedObject, "window \"w\" does not exist", Some(20)),
        ("SELECT sum(a) OVER (w)", Kind::UndefinedObject, "window \"w\" does not exist", Some(20)),
        (
            "SELECT '{1,x}'::int[]",
            Kind::InvalidTextRepresentation,
            "invalid input syntax for type integer: \"x\"",
            Some(8),
        ),
        ("SELECT 'x'::nope", Kind::UndefinedObject, "type \"nope\" does not exist", Some(13)),
        ("SELECT 'x'::int", Kind::InvalidTextRepresentation, "invalid input syntax for type integer: \"x\"", Some(8)),
        ("SELECT 'x'::int, 'x'", Kind::InvalidTextRepresentation, "invalid input syntax for type integer: \"x\"", None),
    ] {
        let parsed = parse(sql).unwrap().remove(0);
        assert_eq!(parsed.origin.located(Error::new(kind, message)).position(), position, "{sql}: {message}");
        let second = parse(&format!("SELECT 1; {sql}")).unwrap().remove(1);
        assert_eq!(second.origin.located(Error::new(kind, message)).position(), position.map(|at| at + 10), "{sql}");
    }
}

#[test]
fn unknown_options_name_the_known_ones() {
    for (sql, near) in [
        ("COPY t FROM STDIN (FORMATT csv)", "format"),
        ("EXPLAIN (ANALIZE) SELECT 1", "analyze"),
        ("VACUUM (FULLL) t", "full"),
        ("CREATE VIEW v WITH (securty_barrier) AS SELECT 1", "security_barrier"),
    ] {
        let error = fails(sql);
        assert!(error.message().starts_with("unrecognized"), "{error}");
        assert!(
            error.hint_text().is_some_and(|hint| hint.contains(near) && hint.contains("Known options are")),
            "{error}"
        );
        assert!(error.position().is_some(), "{error}");
    }
    let Statement::CreateTable(table) = one("CREATE TABLE t (a int) WITH (flush_intervall = '1 s')") else { panic!() };
    let error = table.options.require_known("table", &["flush_interval", "late"]).unwrap_err();
    assert_eq!(error.position(), Some(30));
    assert!(error.hint_text().unwrap().contains("Perhaps you meant \"flush_interval\""), "{error}");
}

#[test]
fn types_say_what_to_use_instead() {
    for (name, code) in [
        ("nosuch", "42704"),
        ("serial", "0A000"),
        ("money", "0A000"),
        ("inet", "0A000"),
        ("numeric(100, 2)", "22023"),
        ("numeric(5, 6)", "22023"),
        ("varchar(0)", "22023"),
    ] {
        let error = fails(&format!("CREATE TABLE t (a {name})"));
        assert_eq!((error.sqlstate(), error.position()), (code, Some(19)), "{name}: {error}");
    }
    assert_eq!(fails("CREATE TABLE t (a nosuch)").message(), "type \"nosuch\" does not exist");
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let deep = |open: &str, core: &str, close: &str, times: usize| {
        format!("{}{core}{}", open.repeat(times), close.repeat(times))
    };
    for sql in [
        format!("SELECT {}", deep("(", "1", ")", 5_000)),
        format!("SELECT {}", deep("NOT ", "a", "", 5_000)),
        format!("SELECT {}", deep("- ", "a", "", 5_000)),
        format!("SELECT {}", deep("f(", "1", ")", 5_000)),
        format!("SELECT {}", deep("CASE WHEN ", "a", " THEN 1 END", 2_000)),
        deep("SELECT * FROM (", "SELECT 1", ") x", 1_000),
        deep("SELECT (", "SELECT 1", ")", 1_000),
        deep("EXPLAIN ", "SELECT 1", "", 3_000),
        deep("PREPARE p AS ", "SELECT 1", "", 3_000),
        deep("WITH a AS (", "SELECT 1", ") SELECT 1", 1_000),
        format!("CREATE TABLE t (a int{})", "[]".repeat(100_000)),
        format!("SELECT a{}", "::int".repeat(100_000)),
        format!("SELECT a{}", "[1]".repeat(100_000)),
        format!("SELECT 1{}", " + 1".repeat(100_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(100_000)),
        format!("SELECT a{}", " OR a".repeat(100_000)),
        format!("SELECT * FROM {}t{}", "(".repeat(500), ")".repeat(500)),
        format!("SELECT {}", "ARRAY[".repeat(3_000)),
        format!("SELECT {}", "ARRAY[".repeat(45)),
        format!("SELECT {}", "extract(".repeat(40)),
        format!("SELECT {}", "NOT (".repeat(40)),
        format!("SELECT {}", "CASE WHEN EXISTS (SELECT trim(".repeat(15)),
        format!("SELECT {}", "interval(f(position(".repeat(15)),
        format!("SELECT {}", "interval ".repeat(30_000)),
        format!("SELECT {}", "date ".repeat(30_000)),
        format!("SELECT {}", "~ ".repeat(30_000)),
        format!("SELECT {}", "@ ".repeat(5_000)),
        format!("SELECT {}", "PRIOR ".repeat(5_000)),
        format!("SELECT {}", "f(position(trim(".repeat(20)),
        format!("SELECT * FROM {}t a JOIN u b ON tru", "(".repeat(40)),
        format!("SELECT * FROM {}t a JOIN u b ON", "(SELECT * FROM (".repeat(12)),
    ] {
        let start = std::time::Instant::now();
        let error = parse(&sql).err().unwrap_or_else(|| panic!("{}", &sql[..60]));
        assert!(matches!(error.sqlstate(), "54001" | "42601"), "{}: {error}", &sql[..60]);
        assert!(start.elapsed().as_secs() < 10, "{}: {:?}", &sql[..60], start.elapsed());
    }
}

#[test]
fn nesting_that_people_write_is_fine() {
    let nested = format!("SELECT {}1{}", "(".repeat(25), ")".repeat(25));
    one(&nested);
    one(&format!("SELECT {}1{}", "coalesce(1, ".repeat(25), ")".repeat(25)));
    one(&format!("{}SELECT 1{}", "SELECT * FROM (".repeat(15), ") x".repeat(15)));
    one(&format!("SELECT * FROM {}t {}", "(".repeat(10), "JOIN t ON true) ".repeat(10)));
    one(&format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(20), " END".repeat(20)));
}

#[test]
fn long_chains_are_balanced() {
    let chain = (0..8_000).map(|number| format!("id = {number}")).collect::<Vec<_>>().join(" OR ");
    let Statement::Query(query) = one(&format!("SELECT * FROM t WHERE {chain}")) else { panic!() };
    // An ordinary stack must do from here on.
    let printed =
        std::thread::Builder::new().stack_size(256 << 10).spawn(move || query.to_string()).unwrap().join().unwrap();
    assert_eq!(printed, format!("SELECT * FROM t WHERE {chain}"));
}

#[test]
fn long_lists_are_quick() {
    let rows = (0..100_000).map(|number| format!("({number}, 'name {number}')")).collect::<Vec<_>>().join(", ");
    let sql = format!("INSERT INTO t VALUES {rows}");
    assert!(sql.len() > 2 << 20);
    one(&sql);
    let list = (0..100_000).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    one(&format!("SELECT * FROM t WHERE a IN ({list})"));
    let many = "SELECT 1;".repeat(50_000);
    let start = std::time::Instant::now();
    assert_eq!(parse(&many).unwrap().len(), 50_000);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
