//! INSERT of rows that are written out, which takes no plan: the same rows, answers and errors as by way of one.
//!
//! HEADWATER_INSERTS_SEED and HEADWATER_INSERTS_STEPS ask for another run or a longer one; a failure names the statement.

use headwater::arrow::datatypes::TimeUnit;
use headwater::{Error, Reply, Result, ScalarValue, Session};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::embedded::{counted, database, done, lines};

const STEPS: usize = 250;
const SEED: u64 = 20_261_122;

/// A query with LIMIT is planned; without it VALUES are not.
const PLANNED: &str = " LIMIT 99";

/// The columns of the table.
const COLUMNS: [(&str, &str); 22] = [
    ("id", "bigint PRIMARY KEY"),
    ("b", "boolean"),
    ("i2", "smallint CHECK (i2 <> 13)"),
    ("i4", "integer DEFAULT 7"),
    ("i8", "bigint DEFAULT -5"),
    ("f4", "real"),
    ("f8", "double precision DEFAULT 1.5"),
    ("n", "numeric"),
    ("n2", "numeric(10, 2) DEFAULT 1.005"),
    ("n0", "numeric(5, 0)"),
    ("t", "text DEFAULT 'a default'"),
    ("tt", "text NOT NULL DEFAULT 'must be'"),
    ("v", "varchar(5)"),
    ("c", "char(4)"),
    ("u", "uuid"),
    ("j", "json"),
    ("jb", "jsonb"),
    ("y", "bytea"),
    ("d", "date DEFAULT '2026-01-31'"),
    ("ts", "timestamp"),
    ("tz", "timestamptz DEFAULT '2026-01-31 12:00'"),
    ("a", "integer[] DEFAULT '{1,2}'"),
];

/// Whatever somebody may write for a column.
const VALUES: [&str; 72] = [
    "NULL",
    "DEFAULT",
    "TRUE",
    "false",
    "0",
    "5",
    "-5",
    "007",
    "13",
    "1.5",
    "-1.5",
    "1.005",
    "-1.005",
    "2.675",
    ".5",
    "5.",
    "1e3",
    "-1e-3",
    "32767",
    "32768",
    "-32768",
    "3000000000",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "123456789012345678901234567890",
    "0.1234567890123456789",
    "- 5",
    "+5",
    "(5)",
    "1 + 1",
    "1_000",
    "''",
    "'5'",
    "' 5 '",
    "'-5'",
    "'1.5'",
    "'1.005'",
    "'99999.5'",
    "'1e3'",
    "'NaN'",
    "'Infinity'",
    "'t'",
    "'yes'",
    "'abc'",
    "'abc   '",
    "'abcdef'",
    "'it''s'",
    "E'a\\nb'",
    "'ünï'",
    "'2026-01-31'",
    "'2026-02-30'",
    "'2026-01-31 12:34:56.789'",
    "'2026-07-31 12:34:56+02'",
    "'12:34:56'",
    "'1 day 02:00'",
    "'{1,2,NULL}'",
    "'{\"b\": 1, \"a\": [1, 2]}'",
    "'[1, 2'",
    "'\\x00ff'",
    "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
    "'{a0eebc999c0b4ef8bb6d6bb9bd380a11}'",
    "DATE '2026-01-31'",
    "TIMESTAMP '2026-01-31 12:00'",
    "'5'::integer",
    "CAST(5 AS bigint)",
    "1.5::numeric(10, 2)",
    "1.005::numeric",
    "5::text",
    "'abcdef'::varchar(2)",
    "'{\"b\":1}'::jsonb",
    "lower('ABC')",
];

fn parameters() -> Vec<ScalarValue> {
    vec![
        ScalarValue::Boolean(Some(true)),
        ScalarValue::Int16(Some(-3)),
        ScalarValue::Int32(Some(13)),
        ScalarValue::Int32(None),
        ScalarValue::Int64(Some(40_000)),
        ScalarValue::Float32(Some(0.1)),
        ScalarValue::Float64(Some(2.5)),
        ScalarValue::Float64(Some(f64::NAN)),
        ScalarValue::Decimal128(Some(12_345), 7, 3),
        ScalarValue::Decimal128(Some(i128::pow(10, 35)), 38, 2),
        ScalarValue::Utf8View(Some("5".to_owned())),
        ScalarValue::Utf8View(Some("abcdef".to_owned())),
        ScalarValue::Utf8View(Some("2026-01-31".to_owned())),
        ScalarValue::Utf8View(Some("{\"b\": 1, \"a\": 2}".to_owned())),
        ScalarValue::Utf8View(None),
        ScalarValue::BinaryView(Some(vec![0, 255])),
        ScalarValue::Date32(Some(20_000)),
        ScalarValue::Time64Microsecond(Some(1)),
        ScalarValue::TimestampMicrosecond(Some(1_700_000_000_000_000), None),
        ScalarValue::TimestampMicrosecond(Some(1_700_000_000_000_000), Some("UTC".into())),
        ScalarValue::new_interval_mdn(1, 2, 3),
        ScalarValue::try_from(&headwater::arrow::datatypes::DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap(),
    ]
}

/// A statement in two halves, between which it may be told to be planned, and the values of its parameters.
struct Insert {
    values: String,
    rest: String,
    parameters: Vec<ScalarValue>,
}

impl Insert {
    fn random(random: &mut StdRng, step: usize) -> Self {
        let mut given: Vec<usize> = (1..COLUMNS.len()).filter(|_| random.random_bool(0.15)).collect();
        given.insert(random.random_range(0..=given.len()), 0);
        let names: Vec<&str> = given.iter().map(|at| COLUMNS[*at].0).collect();
        let (known, mut parameters) = (self::parameters(), Vec::new());
        let rows = *[1, 1, 1, 2, 3].choose(random).unwrap();
        // Rows that look alike, or each as it comes.
        let alike: Vec<&str> = given.iter().map(|_| *VALUES.choose(random).unwrap()).collect();
        let is_alike = random.random_bool(0.5);
        let mut row = |number: usize| {
            let mut cells = Vec::new();
            for (place, at) in given.iter().enumerate() {
                cells.push(match at {
                    // The key is another one, most of the time.
                    0 => random.random_range(0..STEPS).max(step + number).to_string(),
                    at if random.random_bool(0.25) => {
                        parameters.push(known.choose(random).unwrap().clone());
                        let cast = if random.random_bool(0.2) { first_words(COLUMNS[*at].1) } else { String::new() };
                        format!("${}{cast}", parameters.len())
                    }
                    _ if is_alike => alike[place].to_owned(),
                    _ => (*VALUES.choose(random).unwrap()).to_owned(),
                });
            }
            format!("({})", cells.join(", "))
        };
        let rows: Vec<String> = (0..rows).map(&mut row).collect();
        let values = format!("INSERT INTO s{{}}.t ({}) VALUES {}", names.join(", "), rows.join(", "));
        let rest = [
            "",
            "",
            " RETURNING *",
            " RETURNING id, i4 + 1 AS more",
            " ON CONFLICT DO NOTHING",
            " ON CONFLICT (id) DO UPDATE SET t = excluded.t, i4 = t.i4 + 1",
            " ON CONFLICT (id) DO UPDATE SET t = excluded.t RETURNING id, t",
        ];
        Self { values, rest: (*rest.choose(random).unwrap()).to_owned(), parameters }
    }

    /// The statement for the table that is planned for, or the other one; both texts are equally long.
    fn text(&self, is_planned: bool) -> String {
        let between = if is_planned { PLANNED.to_owned() } else { " ".repeat(PLANNED.len()) };
        format!("{}{between}{}", self.values.replace("{}", if is_planned { "1" } else { "2" }), self.rest)
    }
}

/// `::type` of a column's definition.
fn first_words(definition: &str) -> String {
    let ends = [" PRIMARY", " CHECK", " DEFAULT", " NOT"];
    let end = ends.iter().filter_map(|word| definition.find(word)).min().unwrap_or(definition.len());
    format!("::{}", &definition[..end])
}

/// What came out, as text: an answer with its rows, or an error with everything that a client sees of it.
async fn outcome(session: &Session, text: &str, parameters: &[ScalarValue]) -> String {
    match answer(session, text, parameters).await {
        Ok(answer) => answer,
        Err(error) => told(&error),
    }
}

fn told(error: &Error) -> String {
    let rest = (error.detail_text(), error.hint_text(), error.context_text(), error.position());
    format!("{} {} {rest:?}", error.sqlstate(), error.message())
}

async fn answer(session: &Session, text: &str, parameters: &[ScalarValue]) -> Result<String> {
    match session.sql_with(text, parameters.to_vec()).await? {
        Reply::Done(tag) => Ok(tag.0),
        Reply::Rows(rows) => {
            let names: Vec<String> = rows.columns.iter().map(|column| format!("{column:?}")).collect();
            let batches = rows.collect().await?;
            let shown = headwater::arrow::util::pretty::pretty_format_batches(&batches).unwrap();
            Ok(format!("{}\n{shown}", names.join(" ")))
        }
        _ => panic!("{text}: an unexpected reply"),
    }
}

#[tokio::test]
async fn rows_that_are_written_out_are_what_a_plan_makes_of_them() {
    let number = |name: &str| std::env::var(name).ok().and_then(|given| given.parse::<u64>().ok());
    let mut random = StdRng::seed_from_u64(number("HEADWATER_INSERTS_SEED").unwrap_or(SEED));
    let steps = number("HEADWATER_INSERTS_STEPS").map_or(STEPS, |steps| steps as usize);
    let (_folder, database) = database().await;
    let session = database.session().unwrap();
    let columns: Vec<String> = COLUMNS.iter().map(|(name, definition)| format!("{name} {definition}")).collect();
    for schema in ["s1", "s2"] {
        done(&session, &format!("CREATE SCHEMA {schema}")).await;
        let generated = "g bigint GENERATED ALWAYS AS (coalesce(i4, 0) + 1) STORED";
        done(&session, &format!("CREATE TABLE {schema}.t ({}, {generated})", columns.join(", "))).await;
    }
    let zones = ["UTC", "America/New_York"];
    let (mut done_well, mut failed) = (0, 0);
    for step in 0..steps {
        if step % 20 == 0 {
            done(&session, &format!("SET TIME ZONE '{}'", zones[step / 20 % 2])).await;
        }
        let insert = Insert::random(&mut random, step);
        let planned = outcome(&session, &insert.text(true), &insert.parameters).await;
        let direct = outcome(&session, &insert.text(false), &insert.parameters).await;
        assert_eq!(direct, planned, "{} with {:?}", insert.text(false), insert.parameters);
        match planned.starts_with(|first: char| first.is_ascii_digit()) {
            true => failed += 1,
            false => done_well += 1,
        }
    }
    assert!(done_well > steps / 10 && failed > steps / 10, "{done_well} done, {failed} failed: both are to be seen");
    let all = async |schema: &str| counted(lines(&session, &format!("SELECT * FROM {schema}.t")).await);
    assert_eq!(all("s2").await, all("s1").await);
}

#[tokio::test]
async fn a_prepared_insert_follows_the_definition_of_its_table_and_the_settings_of_its_session() {
    let (_folder, database) = database().await;
    let (session, other) = (database.session().unwrap(), database.session().unwrap());
    done(&session, "CREATE TABLE t (k int, at timestamptz DEFAULT '2026-01-31 12:00')").await;
    let parsed = session.parse("INSERT INTO t (k) VALUES ($1)").unwrap().remove(0);
    let prepared = session.prepare(&parsed, &[]).await.unwrap();
    let insert = async |k: i32| session.execute(&prepared, vec![ScalarValue::Int32(Some(k))]).await.map(drop);
    insert(1).await.unwrap();
    done(&session, "SET TIME ZONE 'America/New_York'").await;
    insert(2).await.unwrap();
    done(&session, "RESET TIME ZONE").await;
    done(&other, "ALTER TABLE t ADD COLUMN more text DEFAULT 'more'").await;
    insert(3).await.unwrap();
    done(&other, "ALTER TABLE t ADD CHECK (k < 5)").await;
    assert_eq!(insert(9).await.unwrap_err().sqlstate(), "23514");
    done(&other, "ALTER TABLE t RENAME TO old; CREATE TABLE t (id int DEFAULT 7, k text)").await;
    insert(4).await.unwrap();
    done(&other, "CREATE SCHEMA nearer; CREATE TABLE nearer.t (k int)").await;
    insert(5).await.unwrap();
    done(&session, "SET search_path TO nearer, public").await;
    insert(6).await.unwrap();
    let rows = lines(&session, "SELECT k, at AT TIME ZONE 'UTC', more FROM old ORDER BY k").await;
    assert_eq!(
        rows,
        [
            ["1", "2026-01-31T12:00:00", "more"],
            ["2", "2026-01-31T17:00:00", "more"],
            ["3", "2026-01-31T12:00:00", "more"]
        ]
    );
    assert_eq!(lines(&session, "SELECT id, k FROM public.t ORDER BY k").await, [["7", "4"], ["7", "5"]]);
    assert_eq!(lines(&session, "SELECT k FROM nearer.t").await, [["6"]]);
    done(&other, "DROP TABLE nearer.t; DROP TABLE public.t").await;
    assert_eq!(insert(7).await.unwrap_err().sqlstate(), "42P01");
}
