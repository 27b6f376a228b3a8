//! Random words and broken statements: an answer or an error with a place, never a panic, never a hang.

use super::*;

/// A small generator, so that a failure has a seed.
pub(super) struct Random(pub u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

const STATEMENTS: &[&str] = &[
    "SELECT a, count(*) FROM s.t AS x JOIN u ON x.a = u.a WHERE a IS NOT DISTINCT FROM 1 AND b IN (1, 2) GROUP BY a",
    "INSERT INTO t (a, b) VALUES (1, DEFAULT), ($1, 'x') ON CONFLICT (a) DO NOTHING RETURNING *",
    "UPDATE t SET a = 1 FROM u WHERE t.a = u.a RETURNING *",
    "DELETE FROM t USING u WHERE t.a = u.a",
    "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = u.b WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
    "CREATE TABLE IF NOT EXISTS s.t (a bigint PRIMARY KEY, b numeric(10, 2) NOT NULL DEFAULT 1, CONSTRAINT c CHECK (a > 0)) PARTITIONED BY (a) CLUSTER BY (b) LOCATION 's3://x' WITH (k = 'v', delta.x = 1)",
    "ALTER TABLE t ADD COLUMN a int, DROP COLUMN b, ALTER c SET NOT NULL, SET (a = 1), OWNER TO x",
    "COPY t (a, b) FROM STDIN WITH (FORMAT csv, HEADER match, DELIMITER ';', FORCE_NULL (a), ON_ERROR ignore) WHERE a > 1",
    "COPY t TO 'f' CSV HEADER QUOTE AS '|' FORCE QUOTE *",
    "VACUUM t RETAIN 168 HOURS DRY RUN",
    "OPTIMIZE t WHERE a > 1 ZORDER BY (a, b) FULL",
    "EXPLAIN (ANALYZE, FORMAT json) SELECT 1",
    "SET LOCAL search_path TO a, \"B\", 'c'",
    "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE",
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1",
    "FETCH FORWARD 10 FROM c",
    "CREATE ROLE x WITH LOGIN PASSWORD 'secret' CONNECTION LIMIT 3 IN ROLE y",
    "GRANT SELECT (a), INSERT ON TABLE t TO x WITH GRANT OPTION",
    "COMMENT ON COLUMN s.t.a IS 'text'",
    "RESTORE TABLE t TO TIMESTAMP AS OF '2024-01-01'",
    "SELECT * FROM t VERSION AS OF 3 x, u FOR SYSTEM_TIME AS OF now()",
    "PREPARE p (int, text) AS SELECT $1",
    "CREATE OR REPLACE VIEW v (a, b) AS SELECT 1, 2",
];

const MARKS: &[&str] = &[
    "(", ")", ",", ";", ".", "=", "*", "-", "+", "::", "[", "]", "'a'", "\"b\"", "$1", "1", "1.5e3", "<>", "||", "->>",
    "--x\n", "/*", "*/", "'", "\"", "$$", "$a$", "E'\\", "U&'", ":", ":=", "=>", "?", "@", "é", "\u{0}", "\n", "\t",
    "{", "}", "\\", "`", "#", "~", "!", "%", "^", "&", "|", "NULL", "DEFAULT", "AS", "OF", "IS", "NOT", "DISTINCT",
    "FROM", "VERSION", "AT", "TIME", "ZONE", "WITH", "BY", "ON", "TO", "SET", "ALL", "ANY",
];

fn check(sql: &str) {
    match parse(sql) {
        Ok(found) => {
            for parsed in found {
                assert!(sql.contains(&*parsed.origin.text), "{sql:?}");
            }
        }
        Err(error) => {
            let length = sql.chars().count();
            let at = error.position();
            assert!(at.is_none_or(|at| (1..=length + 1).contains(&at)), "{sql:?}: {error} at {at:?} of {length}");
            assert!(!error.message().contains(" at Line:"), "{sql:?}: {error}");
        }
    }
}

#[test]
fn soup_of_words_never_panics() {
    let mut words: Vec<&str> = STATEMENTS.iter().flat_map(|sql| sql.split(' ')).collect();
    words.extend(MARKS);
    let mut random = Random(0xC0FF_EE01);
    for _ in 0..20_000 {
        let length = random.below(20);
        let soup: Vec<&str> = (0..length).map(|_| words[random.below(words.len())]).collect();
        check(&soup.join(if random.below(4) == 0 { "" } else { " " }));
    }
}

#[test]
fn broken_statements_never_panic() {
    let mut random = Random(0xBADC_0DE5);
    for _ in 0..20_000 {
        let mut words: Vec<&str> = STATEMENTS[random.below(STATEMENTS.len())].split(' ').collect();
        for _ in 0..=random.below(3) {
            let at = random.below(words.len());
            match random.below(4) {
                0 if words.len() > 1 => drop(words.remove(at)),
                1 => words.insert(at, MARKS[random.below(MARKS.len())]),
                2 => words[at] = STATEMENTS[random.below(STATEMENTS.len())].split(' ').next().unwrap(),
                _ => words.truncate(at.max(1)),
            }
        }
        check(&words.join(" "));
    }
}

#[test]
fn bytes_of_a_statement_may_be_anything() {
    let mut random = Random(0xD1CE_D1CE);
    for _ in 0..10_000 {
        let mut letters: Vec<char> = STATEMENTS[random.below(STATEMENTS.len())].chars().collect();
        for _ in 0..=random.below(4) {
            let at = random.below(letters.len());
            letters[at] = char::from_u32(u32::try_from(random.below(0x2FF)).unwrap()).unwrap_or('x');
        }
        check(&letters.into_iter().collect::<String>());
    }
}
