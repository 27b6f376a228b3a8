//! Whatever the filter and whoever wrote the statistics: the rows are those of a scan of everything.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, collect};

use super::fixture::{Dice, Lake, Writer, plan, rows, shown};
use super::wire;
use crate::tables::scan::ScanSummary;

const TEXTS: [&str; 8] = ["", "a", "ab", "abcd", "abcde", "abcdefghij", "zürich/ä", "\u{10FFFF}z"];
const PLACES: [Option<&str>; 6] = [Some("x"), Some("a b/c=d%20"), Some("ü"), Some("'"), None, Some("y")];

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("rid", DataType::Int64, false),
        Field::new("place", DataType::Utf8View, true),
        Field::new("i", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("s", DataType::Utf8View, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("tz", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("d", DataType::Date32, true),
        Field::new("num", DataType::Decimal128(30, 4), true),
        Field::new("ok", DataType::Boolean, true),
        Field::new("level", DataType::Int32, true),
    ])
}

/// Some rows around a centre, so that files differ and overlap.
fn some_rows(dice: &mut Dice, first: i64, narrow: bool, old: bool) -> RecordBatch {
    let count = dice.below(20) as usize;
    let centre = dice.below(60) as i64 - 30;
    let near = |dice: &mut Dice| centre + dice.below(12) as i64;
    let micros = |dice: &mut Dice| (centre + dice.below(4) as i64) * 1000 + dice.below(1000) as i64;
    let int = |dice: &mut Dice| dice.below(5).checked_sub(1).map(|_| near(dice));
    let float = |dice: &mut Dice| match dice.below(12) {
        0 => None,
        1 => Some(f64::NAN),
        2 => Some(-f64::NAN),
        3 => Some(-0.0),
        4 => Some(f64::INFINITY),
        _ => Some(near(dice) as f64 / 4.0),
    };
    macro_rules! many {
        ($make:expr) => {
            (0..count).map(|_| $make(dice)).collect::<Vec<_>>()
        };
    }
    let ints: ArrayRef = match narrow {
        true => Arc::new(Int32Array::from(many!(|dice: &mut Dice| int(dice).map(|value| value as i32)))),
        false => Arc::new(Int64Array::from(many!(int))),
    };
    let all_null = dice.below(5) == 0;
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("rid", Arc::new(Int64Array::from_iter_values(first..first + count as i64))),
        ("i", ints),
        ("f", Arc::new(Float64Array::from(many!(float)))),
        (
            "s",
            Arc::new(StringViewArray::from(many!(|dice: &mut Dice| {
                let text = *dice.one_of(&TEXTS);
                dice.maybe(text)
            }))),
        ),
    ];
    if !old {
        let wide = |dice: &mut Dice| int(dice).map(|value| i128::from(value) * 1_234_567_890_123_456_789_i128 / 7);
        let times = many!(|dice: &mut Dice| {
            let at = micros(dice);
            dice.maybe(at).filter(|_| !all_null)
        });
        columns.push(("ts", Arc::new(TimestampMicrosecondArray::from(times))));
        columns.push((
            "tz",
            Arc::new(TimestampMicrosecondArray::from(many!(|dice: &mut Dice| Some(micros(dice)))).with_timezone("UTC")),
        ));
        columns.push((
            "d",
            Arc::new(Date32Array::from(many!(|dice: &mut Dice| int(dice).map(|value| value.unsigned_abs() as i32)))),
        ));
        let numbers = Decimal128Array::from(many!(wide)).with_precision_and_scale(30, 4).unwrap();
        columns.push(("num", Arc::new(numbers)));
        columns.push((
            "ok",
            Arc::new(BooleanArray::from(many!(|dice: &mut Dice| {
                let side = centre > 0 || dice.below(2) == 0;
                dice.maybe(side)
            }))),
        ));
    }
    RecordBatch::try_from_iter(columns).unwrap()
}

fn lake(dice: &mut Dice) -> Lake {
    let mut lake = Lake::new(schema(), &["place", "level"]);
    for file in 0..2 + dice.below(10) as i64 {
        let (narrow, old) = (dice.below(4) == 0, dice.below(4) == 0);
        let rows = some_rows(dice, file * 1000, narrow, old);
        let level = [Some("1"), Some("-2"), None, Some("3")][dice.below(4) as usize];
        let place = *dice.one_of(&PLACES);
        let writer = *dice.one_of(&[Writer::Own, Writer::Own, Writer::Foreign, Writer::Foreign, Writer::Silent]);
        lake.file(&rows, &[place, level], writer, &[]);
    }
    lake
}

fn atom(dice: &mut Dice) -> String {
    let op = *dice.one_of(&["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]);
    let n = dice.below(70) as i64 - 35;
    let micros = n * 1000 + dice.below(1000) as i64;
    let time = chrono::DateTime::from_timestamp_micros(micros).unwrap();
    let text = dice.one_of(&TEXTS).replace('\'', "''");
    let place = dice.one_of(&PLACES).unwrap_or("z").replace('\'', "''");
    let column = *dice.one_of(&["i", "f", "s", "ts", "tz", "d", "num", "ok", "place", "level"]);
    match dice.below(18) {
        0 => format!("i {op} {n}"),
        1 => {
            format!("f {op} {}", *dice.one_of(&["1.25", "-0.0", "0.0", "'NaN'::double", "'Infinity'::double", "-3.5"]))
        }
        2 => format!("s {op} '{text}'"),
        3 => format!("ts {op} TIMESTAMP '{}'", time.format("%Y-%m-%d %H:%M:%S%.6f")),
        4 => format!("tz {op} TIMESTAMPTZ '{}Z'", time.format("%Y-%m-%d %H:%M:%S%.6f")),
        5 => format!("d {op} DATE '1970-01-{:02}'", 1 + dice.below(28)),
        6 => format!("num {op} {}", n as f64 * 1e14),
        7 => (*dice.one_of(&["ok", "NOT ok", "ok IS NOT TRUE", "ok = false"])).to_owned(),
        8 => format!("place {op} '{place}'"),
        9 => format!("level {op} {}", n % 4),
        10 | 11 => format!("{column} IS {}NULL", *dice.one_of(&["", "NOT "])),
        12 => format!("i IN ({n}, {}, {})", n + 3, n - 20),
        13 => format!("s LIKE '{}%'", text.chars().next().unwrap_or('a')),
        14 => format!("i + level {op} {n}"),
        15 => format!("i BETWEEN {n} AND {}", n + 5),
        16 => format!("s NOT IN ('{text}', 'ab')"),
        _ => format!("coalesce(place, 'none') || s {op} '{place}{text}'"),
    }
}

fn predicate(dice: &mut Dice, depth: u64) -> String {
    match dice.below(if depth == 0 { 1 } else { 4 }) {
        // In brackets: the parser gives IS NOT DISTINCT FROM the wrong precedence.
        0 => format!("({})", atom(dice)),
        1 => format!("({} AND {})", predicate(dice, depth - 1), predicate(dice, depth - 1)),
        2 => format!("({} OR {})", predicate(dice, depth - 1), predicate(dice, depth - 1)),
        _ => format!("NOT ({})", predicate(dice, depth - 1)),
    }
}

#[tokio::test]
async fn any_filter_gives_the_rows_of_a_full_scan() {
    let mut pruned = 0;
    // A longer run: HEADWATER_TEST_SEEDS=200 cargo test --lib any_filter
    let seeds: u64 = std::env::var("HEADWATER_TEST_SEEDS").map_or(8, |text| text.parse().unwrap());
    for seed in 1..=seeds {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let lake = lake(&mut dice);
        let sessions = [lake.session(false), lake.session(true)];
        for round in 0..24 {
            let session = &sessions[round % 2];
            let filter = predicate(&mut dice, 2);
            let sql = |table| format!("SELECT rid FROM {table} WHERE {filter} ORDER BY rid");
            let scan = plan(session, &sql("t")).await;
            pruned += ScanSummary::of_plan(scan.as_ref()).files_pruned;
            let found = rows(session, &sql("t")).await;
            assert_eq!(found, rows(session, &sql("truth")).await, "seed {seed}: {filter}\n{}", shown(&scan));
            if round % 6 == 0 {
                assert_eq!(wire::there_and_back(session, &scan).await, found, "sent, seed {seed}: {filter}");
            }
        }
    }
    assert!(pruned > 150, "only {pruned} files were pruned: the test tests nothing");
}

#[tokio::test]
async fn every_column_arrives() {
    let mut dice = Dice(77);
    let lake = lake(&mut dice);
    let session = lake.session(false);
    for query in
        ["SELECT * FROM", "SELECT level, rid FROM", "SELECT place, rid FROM", "SELECT num, level, f, place, rid FROM"]
    {
        let sql = |table| format!("{query} {table} ORDER BY rid");
        assert_eq!(rows(&session, &sql("t")).await, rows(&session, &sql("truth")).await, "{query}");
    }
    let sql = |table| format!("SELECT count(*) AS a, count(ts) AS b, count(place) AS c, sum(level) AS d FROM {table}");
    assert_eq!(rows(&session, &sql("t")).await, rows(&session, &sql("truth")).await);
}

#[tokio::test]
async fn the_file_column_names_the_rows_file_and_prunes() {
    let mut dice = Dice(5);
    let lake = lake(&mut dice);
    let session = lake.session(false);
    session.register_table("f", Arc::new(lake.scan().with_place_columns("__file", "__row"))).unwrap();
    let wrong = "SELECT count(*) FROM f WHERE __file <> 'part-' || lpad((rid / 1000)::text, 5, '0') || '.parquet'";
    assert_eq!(rows(&session, wrong).await.lines().nth(3).unwrap().replace(' ', ""), "|0|");
    let rows_apart = "SELECT count(DISTINCT __file || ' ' || __row::text) - count(*) FROM f";
    assert_eq!(rows(&session, rows_apart).await.lines().nth(3).unwrap().replace(' ', ""), "|0|");
    let misplaced = "SELECT count(*) FROM (SELECT __row, row_number() OVER (PARTITION BY __file ORDER BY __row) AS n, rid, \
         row_number() OVER (PARTITION BY __file ORDER BY rid) AS m FROM f WHERE rid % 7 = 3) WHERE n <> m OR __row < 0";
    assert_eq!(rows(&session, misplaced).await.lines().nth(3).unwrap().replace(' ', ""), "|0|");
    let one = "SELECT __file, rid, level FROM f WHERE __file = 'part-00001.parquet' AND rid >= 0";
    let summary = ScanSummary::of_plan(plan(&session, one).await.as_ref());
    assert_eq!(summary.files_total - summary.files_pruned, 1);
    let sql = "SELECT rid, __file FROM f ORDER BY rid";
    let scan = plan(&session, sql).await;
    assert_eq!(wire::there_and_back(&session, &scan).await, rows(&session, sql).await);
    let subset = lake.scan().with_files(vec![Arc::clone(&lake.files[1])]).with_place_columns("__file", "__row");
    session.register_table("one", Arc::new(subset)).unwrap();
    assert_eq!(
        rows(&session, "SELECT rid FROM one ORDER BY rid").await,
        rows(&session, "SELECT rid FROM f WHERE __file = 'part-00001.parquet' ORDER BY rid").await
    );
}

#[tokio::test]
async fn dynamic_filters_of_joins_and_top_k_do_not_lose_rows() {
    for seed in 1..=3_u64 {
        let mut dice = Dice(seed * 7919);
        let lake = lake(&mut dice);
        let session = lake.session(false);
        for column in ["i", "f", "s", "ts", "tz", "num", "level", "place"] {
            for direction in ["ASC", "DESC", "DESC NULLS LAST", "ASC NULLS FIRST"] {
                let top = |table| format!("SELECT {column} FROM {table} ORDER BY {column} {direction} LIMIT 5");
                assert_eq!(
                    rows(&session, &top("t")).await,
                    rows(&session, &top("truth")).await,
                    "seed {seed}, {column} {direction}"
                );
            }
            let join = |table| {
                format!(
                    "SELECT count(*) AS n, sum(a.rid) AS s FROM {table} a JOIN (SELECT DISTINCT {column} AS k FROM truth WHERE rid % 7 = 0) b ON a.{column} = b.k"
                )
            };
            assert_eq!(rows(&session, &join("t")).await, rows(&session, &join("truth")).await, "seed {seed}, {column}");
        }
    }
}

/// The sum of a counter over all scans of a plan that has run.
fn counted(plan: &dyn ExecutionPlan, name: &str) -> usize {
    let of_this = plan.metrics().and_then(|metrics| metrics.sum_by_name(name));
    let pruned = |value: MetricValue| match value {
        MetricValue::PruningMetrics { pruning_metrics, .. } => pruning_metrics.pruned(),
        other => other.as_usize(),
    };
    of_this.map_or(0, pruned) + plan.children().iter().map(|child| counted(child.as_ref(), name)).sum::<usize>()
}

#[tokio::test]
async fn dynamic_filters_of_joins_and_top_k_reach_files_and_row_groups() {
    let schema = vec![Field::new("k", DataType::Int64, true), Field::new("v", DataType::Int64, true)];
    let mut lake = Lake::new(Schema::new(schema), &[]);
    for file in 0..6_i64 {
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(file * 100..file * 100 + 40));
        lake.file(&RecordBatch::try_from_iter([("k", Arc::clone(&keys)), ("v", keys)]).unwrap(), &[], Writer::Own, &[]);
    }
    let session = lake.session(false);
    for (sql, answer, groups_min) in [
        (
            "SELECT sum(t.v) AS s FROM t JOIN (SELECT DISTINCT k FROM truth WHERE k IN (303, 305)) b ON t.k = b.k",
            "608",
            1,
        ),
        ("SELECT sum(k) AS s FROM (SELECT k, v FROM t ORDER BY v DESC LIMIT 3)", "1614", 0),
    ] {
        let plan = plan(&session, sql).await;
        let found = collect(Arc::clone(&plan), session.task_ctx()).await.unwrap();
        assert!(
            pretty_format_batches(&found).unwrap().to_string().contains(&format!("| {answer} ")),
            "{sql}: {found:?}"
        );
        let files = counted(plan.as_ref(), "files_ranges_pruned_statistics");
        let groups = counted(plan.as_ref(), "row_groups_pruned_statistics")
            + counted(plan.as_ref(), "row_groups_pruned_dynamic_filter");
        assert!(files >= 3 && groups >= groups_min, "{sql}: {files} files, {groups} row groups\n{}", shown(&plan));
    }
}
