use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::catalog::Catalog;
use crate::catalog::definition::{ColumnDef, RelationKind};
use crate::catalog::pg_type::PgType;

const SECOND: i64 = 1_000_000;
const IDENTITY: &str = "w";

fn definition(options: &[(&str, &str)]) -> TableDef {
    let (column, delay) = ("ts".to_owned(), "INTERVAL '5 seconds'".to_owned());
    let watermark = EventWatermarkDef { column, delay, delay_micros: 5 * SECOND, identity: IDENTITY.to_owned() };
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TableDef { event_watermark: Some(watermark), options, location: "file:///t".to_owned(), ..TableDef::default() }
}

/// A catalog with one table, and that table.
fn table(options: &[(&str, &str)]) -> (Catalog, Arc<RelationDef>) {
    let catalog = Catalog::in_memory().unwrap();
    let relation = RelationDef {
        oid: Oid::NONE,
        schema: Oid::PUBLIC,
        name: "t".to_owned(),
        owner: Oid::FIRST_ROLE,
        comment: None,
        columns: vec![ColumnDef::new(1, "ts", PgType::Timestamptz)],
        kind: RelationKind::Table(definition(options)),
    };
    let (oid, _) = catalog.change(|draft| draft.create_relation(relation)).unwrap();
    let relation = catalog.snapshot().relation_by_oid(oid).unwrap();
    (catalog, relation)
}

/// A note of a partition with its newest event, in seconds.
fn note(table: Oid, partition: &str, newest: Option<i64>) -> Note {
    let fact = EventFact { micros: newest.map(|seconds| seconds * SECOND), ..EventFact::default() };
    Note::EventTime { table, name: partition_name(IDENTITY, partition), fact, is_repeated: false }
}

/// What a change says that was judged by the watermark at this time.
fn judged(times: &EventTimes, relation: &RelationDef, now_ms: i64, mut notes: Vec<Note>) -> Vec<Note> {
    let micros = times.of(relation).unwrap().watermark_micros(relation.table().unwrap(), now_ms);
    if micros.is_some() {
        let fact = EventFact { micros, ..EventFact::default() };
        notes.push(Note::EventTime { table: relation.oid, name: IDENTITY.to_owned(), fact, is_repeated: false });
    }
    notes
}

struct Bench {
    catalog: Catalog,
    relation: Arc<RelationDef>,
    times: EventTimes,
    now_ms: i64,
    logged: Vec<Note>,
}

impl Bench {
    fn new(options: &[(&str, &str)]) -> Self {
        let (catalog, relation) = table(options);
        Self { catalog, relation, times: EventTimes::default(), now_ms: 0, logged: Vec::new() }
    }

    /// A change lands whose rows have these newest events, by partition.
    fn land(&mut self, newest: &[(&str, Option<i64>)]) {
        let notes = newest.iter().map(|(partition, newest)| note(self.relation.oid, partition, *newest)).collect();
        let notes = judged(&self.times, &self.relation, self.now_ms, notes);
        self.times.hear_change(&notes, self.now_ms, &self.catalog.snapshot());
        self.logged.extend(notes);
    }

    /// The watermark, in seconds.
    fn watermark(&self) -> Option<i64> {
        seconds(&self.times, &self.relation, self.now_ms)
    }

    /// What a start knows that reads the log; `repeats` says that it holds only what was logged again.
    fn restarted(&self, repeats: bool) -> EventTimes {
        let mut times = EventTimes::default();
        let notes = if repeats { self.times.notes(&self.catalog.snapshot()) } else { self.logged.clone() };
        notes.iter().for_each(|note| times.hear(note, self.now_ms));
        times
    }
}

fn seconds(times: &EventTimes, relation: &RelationDef, now_ms: i64) -> Option<i64> {
    let micros = times.of(relation).unwrap().watermark_micros(relation.table().unwrap(), now_ms);
    micros.map(|micros| micros / SECOND)
}

#[test]
fn the_watermark_is_the_least_of_the_partitions_that_are_not_idle() {
    let mut bench = Bench::new(&[("idle_timeout", "60000")]);
    assert_eq!(bench.watermark(), None);
    bench.land(&[("a", Some(100)), ("b", None)]);
    assert_eq!(bench.watermark(), None, "b has said nothing yet");
    bench.land(&[("b", Some(80))]);
    assert_eq!(bench.watermark(), Some(75));
    bench.now_ms += 60_000;
    bench.land(&[("a", Some(200))]);
    assert_eq!(bench.watermark(), Some(75), "b is not idle yet");
    bench.now_ms += 1;
    assert_eq!(bench.watermark(), Some(195), "b is idle");
    bench.land(&[("b", Some(90))]);
    assert_eq!(bench.watermark(), Some(195), "it has come back, and takes nothing back");
    bench.land(&[("a", Some(300))]);
    assert_eq!(bench.watermark(), Some(195), "but holds on");
    bench.land(&[("b", Some(250))]);
    assert_eq!(bench.watermark(), Some(245));
    bench.now_ms += 3_600_000;
    assert_eq!(bench.watermark(), Some(245), "where all are idle the watermark stays");
    let time = bench.times.of(&bench.relation).unwrap();
    assert_eq!(time.least_micros(bench.relation.table().unwrap(), bench.now_ms, "b"), Some(245 * SECOND));
}

#[test]
fn what_time_has_brought_while_a_change_was_on_its_way_stays() {
    let mut bench = Bench::new(&[("idle_timeout", "60000")]);
    bench.land(&[("a", Some(100)), ("b", Some(80))]);
    bench.now_ms += 60_000;
    bench.land(&[("a", Some(200))]);
    let notes = vec![note(bench.relation.oid, "b", Some(90))];
    let on_its_way = judged(&bench.times, &bench.relation, bench.now_ms, notes);
    assert_eq!(bench.watermark(), Some(75));
    bench.now_ms += 1;
    assert_eq!(bench.watermark(), Some(195), "b is idle");
    bench.times.hear_change(&on_its_way, bench.now_ms, &bench.catalog.snapshot());
    assert_eq!(bench.watermark(), Some(195));
}

#[test]
fn without_a_timeout_nobody_is_idle() {
    let mut bench = Bench::new(&[("idle_timeout", "0")]);
    bench.land(&[("a", Some(100)), ("b", Some(10))]);
    bench.now_ms += 1_000_000_000_000;
    bench.land(&[("a", Some(200))]);
    assert_eq!(bench.watermark(), Some(5));
}

#[test]
fn a_new_partition_begins_at_the_watermark() {
    let mut bench = Bench::new(&[]);
    bench.land(&[("a", Some(100))]);
    bench.land(&[("a", Some(200)), ("b", Some(50))]);
    assert_eq!(bench.watermark(), Some(95));
}

#[test]
fn another_definition_of_the_watermark_knows_nothing_of_the_old_one() {
    let mut bench = Bench::new(&[]);
    bench.land(&[("a", Some(100))]);
    let mut other = RelationDef::clone(&bench.relation);
    let mut table = definition(&[]);
    table.event_watermark.as_mut().unwrap().identity = "other".to_owned();
    other.kind = RelationKind::Table(table);
    bench.catalog.change(|draft| draft.replace_relation(other.clone())).unwrap();
    assert_eq!(seconds(&bench.times, &other, 0), None);
    assert_eq!(bench.times.notes(&bench.catalog.snapshot()), [], "nothing of it is logged again");
}

/// Random events, pauses and starts: the watermark rises only, and no start knows of more than was said, or of less than
/// rows were judged by.
#[test]
fn the_watermark_never_goes_back() {
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(&[("idle_timeout", "1000")]);
        let (mut last, mut starts) = (None, 0);
        for step in 0..100 {
            bench.now_ms += random.random_range(0..700);
            let partitions = ["a", "b", "c"].into_iter().filter(|_| random.random_range(0..3) == 0).collect::<Vec<_>>();
            let mut event = || (random.random_range(0..5) > 0).then(|| step * 10 - random.random_range(0..100));
            let newest: Vec<_> = partitions.into_iter().map(|partition| (partition, event())).collect();
            let judged_by = bench.watermark();
            assert!(judged_by >= last, "seed {seed}, step {step}: time alone takes nothing back");
            if !newest.is_empty() {
                bench.land(&newest);
            }
            assert!(bench.watermark() >= judged_by, "seed {seed}, step {step}");
            last = bench.watermark();
            if random.random_range(0..10) == 0 {
                for repeats in [false, true] {
                    let restarted = bench.restarted(repeats);
                    let found = seconds(&restarted, &bench.relation, bench.now_ms);
                    assert!(found <= last, "seed {seed}, step {step}: a start is never ahead");
                    assert!(newest.is_empty() || found >= judged_by, "seed {seed}, step {step}: {repeats}");
                }
                bench.times = bench.restarted(random.random_range(0..2) == 0);
                last = bench.watermark();
                starts += 1;
            }
        }
        assert!(starts > 0 && last.is_some(), "seed {seed} tries nothing");
    }
}
