//! Event time: how far the events of tables have got, for tables with a watermark.
//!
//! It is known by partition: a way in whose events come about in their order, such as a partition of a Kafka topic, all
//! requests over HTTP, or all statements. The watermark of a table is the least of its partitions' newest events, less the
//! table's delay; partitions that are idle do not count. Partitions are spoken of by notes of the log, in the changes that bring
//! their rows, and each note says the greatest there was: so what is known is never ahead of the rows, and a start that
//! reads the log knows it again. Invariant: the watermark of a table never goes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Snapshot;
use crate::catalog::definition::{EventWatermarkDef, RelationDef, TableDef};
use crate::catalog::name::Oid;
use crate::log::{EventFact, Note};

/// What is known of all tables, by table and the identity of its watermark.
#[derive(Clone, Default)]
pub(super) struct EventTimes(Arc<BTreeMap<(Oid, String), Arc<EventTime>>>);

/// How far the events of a table have got.
#[derive(Clone, Debug, Default)]
pub struct EventTime {
    /// The watermark that was reached, in microseconds since 1970.
    reached_micros: Option<i64>,
    partitions: BTreeMap<String, Partition>,
}

/// What is known of one way in.
#[derive(Clone, Copy, Debug)]
struct Partition {
    fact: EventFact,
    /// When rows of it came last, or else when it was first heard of, in milliseconds since 1970.
    heard_ms: i64,
}

impl EventTimes {
    /// What is known of a table; nothing yet, or `None` for a table without a watermark.
    pub fn of(&self, relation: &RelationDef) -> Option<Arc<EventTime>> {
        let watermark = relation.table()?.event_watermark.as_ref()?;
        Some(self.0.get(&(relation.oid, watermark.identity.clone())).cloned().unwrap_or_default())
    }

    /// Takes what a change says at this time. What the watermark is before it stays: a partition that was idle and
    /// speaks again does not take it back.
    pub fn hear_change(&mut self, notes: &[Note], now_ms: i64, catalog: &Snapshot) {
        for note in notes {
            let Note::EventTime { table, .. } = note else { continue };
            if let Some(relation) = catalog.relation_by_oid(*table)
                && let Some(definition) = relation.table()
                && let Some(EventWatermarkDef { identity, .. }) = &definition.event_watermark
                && let Some(held) = Arc::make_mut(&mut self.0).get_mut(&(*table, identity.clone()))
            {
                let reached = held.watermark_micros(definition, now_ms);
                Arc::make_mut(held).reached_micros = reached;
            }
        }
        notes.iter().for_each(|note| self.hear(note, now_ms));
    }

    /// Takes what one note says.
    pub fn hear(&mut self, note: &Note, now_ms: i64) {
        let Note::EventTime { table, name, fact, is_repeated } = note else { return };
        let (identity, partition) = match name.split_once('/') {
            Some((identity, partition)) => (identity, Some(partition)),
            None => (name.as_str(), None),
        };
        let held = Arc::make_mut(&mut self.0).entry((*table, identity.to_owned())).or_default();
        let held = Arc::make_mut(held);
        let Some(partition) = partition else {
            held.reached_micros = held.reached_micros.max(fact.micros);
            return;
        };
        let new = Partition { fact: EventFact::default(), heard_ms: now_ms };
        let held = held.partitions.entry(partition.to_owned()).or_insert(new);
        held.fact = EventFact {
            micros: held.fact.micros.max(fact.micros),
            late_rows: held.fact.late_rows.max(fact.late_rows),
            future_rows: held.fact.future_rows.max(fact.future_rows),
        };
        if !is_repeated {
            held.heard_ms = held.heard_ms.max(now_ms);
        }
    }

    /// What still counts, to be logged again.
    pub fn notes(&self, catalog: &Snapshot) -> Vec<Note> {
        let mut notes = Vec::new();
        for ((table, identity), held) in &*self.0 {
            let relation = catalog.relation_by_oid(*table);
            let watermark = relation.as_ref().and_then(|relation| relation.table()?.event_watermark.as_ref());
            if watermark.is_some_and(|watermark| watermark.identity == *identity) {
                let repeated = |name, fact| Note::EventTime { table: *table, name, fact, is_repeated: true };
                let fact = EventFact { micros: held.reached_micros, ..EventFact::default() };
                notes.push(repeated(identity.clone(), fact));
                let partition =
                    |(name, partition): (&String, &Partition)| repeated(partition_name(identity, name), partition.fact);
                notes.extend(held.partitions.iter().map(partition));
            }
        }
        notes
    }
}

/// What notes call a partition.
pub(super) fn partition_name(identity: &str, partition: &str) -> String {
    format!("{identity}/{partition}")
}

impl EventTime {
    /// The watermark at this time, in microseconds since 1970; `None` before there is one.
    pub fn watermark_micros(&self, table: &TableDef, now_ms: i64) -> Option<i64> {
        self.reached_micros.max(self.least_micros(table, now_ms, ""))
    }

    /// The least of the newest events of partitions whose names begin like this, less the table's delay. Those that are
    /// idle do not count, unless they were the last to become so: time alone takes nothing back. One without an event
    /// leaves it open.
    pub fn least_micros(&self, table: &TableDef, now_ms: i64, prefix: &str) -> Option<i64> {
        let delay_micros = table.event_watermark.as_ref()?.delay_micros;
        let timeout_ms = table.idle_timeout_ms();
        let last_ms = self.named(prefix).map(|partition| partition.heard_ms).max()?;
        let living_ms = timeout_ms.map_or(i64::MIN, |timeout_ms| last_ms.min(now_ms.saturating_sub(timeout_ms)));
        let living = self.named(prefix).filter(|partition| partition.heard_ms >= living_ms);
        Some(living.map(|partition| partition.fact.micros).min()??.saturating_sub(delay_micros))
    }

    /// The rows that came late, and those of events too far ahead, by partitions whose names begin like this.
    pub fn counts(&self, prefix: &str) -> (i64, i64) {
        self.named(prefix).fold((0, 0), |(late, future), partition| {
            (late + partition.fact.late_rows, future + partition.fact.future_rows)
        })
    }

    /// True where none of these partitions has brought rows since this time.
    pub(super) fn is_silent_since(&self, names: &[String], since_ms: i64) -> bool {
        names.iter().filter_map(|name| self.partitions.get(name)).all(|partition| partition.heard_ms < since_ms)
    }

    /// What is known of a partition.
    pub(super) fn partition(&self, name: &str) -> Option<EventFact> {
        self.partitions.get(name).map(|partition| partition.fact)
    }

    fn named(&self, prefix: &str) -> impl Iterator<Item = &Partition> {
        self.partitions.iter().filter(move |(name, _)| name.starts_with(prefix)).map(|(_, partition)| partition)
    }
}

#[cfg(test)]
mod tests;
