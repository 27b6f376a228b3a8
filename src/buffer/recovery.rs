//! What the log of a former process holds and Delta does not, back into tails.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use arrow::array::RecordBatch;

use super::append::Arrival;
use super::event_time::EventTimes;
use super::notes::{Keys, Positions};
use super::{OpenTable, TableState};
use crate::catalog::Snapshot;
use crate::catalog::definition::RelationDef;
use crate::catalog::name::Oid;
use crate::clock::Clock;
use crate::error::Result;
use crate::log::{Effect, Log, LogOptions, Logged, Lsn, Opened};

/// Rows of changes that enter a tail together.
const RUN_ROWS_MAX: usize = 1 << 16;

/// The file with the log's own name: a log that was lost and begun anew is another one, whose numbers mean nothing to tables.
const NAME_FILE: &str = "name";

/// A log that was read, and what it says beside the rows.
pub(super) struct Recovered {
    pub opened: Opened,
    /// The greatest watermark: a number that must not be used again.
    pub used: Lsn,
    /// The oldest change of a table that cannot be opened.
    pub kept_from: Option<Lsn>,
    pub positions: Positions,
    pub keys: Keys,
    pub event_times: EventTimes,
}

/// Reads the log, and puts rows after each table's watermark into its tail.
pub(super) fn recover(
    folder: &Path,
    options: LogOptions,
    clock: &Clock,
    definitions: &Snapshot,
    tables: &mut HashMap<Oid, TableState>,
) -> Result<Recovered> {
    let now_ms = clock.now().timestamp_millis();
    let (mut used, mut kept_from, mut rows) = (Lsn::ZERO, None, 0_usize);
    for state in tables.values() {
        if let TableState::Open(open) = state {
            used = used.max(open.watermark);
        }
    }
    let (mut positions, keys, mut event_times) = (Positions::default(), Keys::default(), EventTimes::default());
    let mut runs: HashMap<Oid, Run> = HashMap::new();
    let opened = Log::<Arrival>::open(folder, options, &mut |logged| match logged {
        Logged::Note(lsn, note) => {
            positions.hear(lsn, &note);
            keys.hear(lsn, &note);
            event_times.hear(&note, now_ms);
            Ok(())
        }
        Logged::Rows(logged) => match tables.get_mut(&logged.table) {
            Some(TableState::Open(open)) if open.watermark < logged.lsn => {
                let (table, lsn, effect) = (logged.table, logged.lsn, logged.effect);
                let batch = logged.decode()?;
                rows += batch.num_rows();
                let whole = match runs.get_mut(&table) {
                    Some(run) if run.takes(effect) => {
                        run.push(lsn, batch);
                        None
                    }
                    _ => runs.insert(table, Run::new(lsn, effect, batch)),
                };
                whole.map_or(Ok(()), |run| run.enter(open, definitions.relation_by_oid(table).as_deref(), now_ms))
            }
            Some(TableState::Broken(_)) => {
                kept_from.get_or_insert(logged.lsn);
                Ok(())
            }
            // Delta holds the rows already, or the table was dropped.
            _ => Ok(()),
        },
    })?;
    for (table, run) in runs {
        if let Some(TableState::Open(open)) = tables.get_mut(&table) {
            run.enter(open, definitions.relation_by_oid(table).as_deref(), now_ms)?;
        }
    }
    if rows > 0 {
        tracing::info!(rows, "rows that were in the log alone are back");
    }
    Ok(Recovered { opened, used, kept_from, positions, keys, event_times })
}

/// Changes that follow each other and do the same to one table: they enter its tail together, many small ones as few large.
struct Run {
    effect: Effect,
    /// The oldest and the newest.
    changes: (Lsn, Lsn),
    rows: usize,
    batches: Vec<RecordBatch>,
}

impl Run {
    fn new(lsn: Lsn, effect: Effect, batch: RecordBatch) -> Self {
        Self { effect, changes: (lsn, lsn), rows: batch.num_rows(), batches: vec![batch] }
    }

    fn takes(&self, effect: Effect) -> bool {
        self.effect == effect && self.rows < RUN_ROWS_MAX
    }

    fn push(&mut self, lsn: Lsn, batch: RecordBatch) {
        self.changes.1 = lsn;
        self.rows += batch.num_rows();
        self.batches.push(batch);
    }

    fn enter(self, table: &mut OpenTable, relation: Option<&RelationDef>, now_ms: i64) -> Result<()> {
        let rows: Vec<&RecordBatch> = self.batches.iter().collect();
        table.change((self.changes, now_ms), relation, self.effect, &rows)
    }
}

/// The name of the log in `folder`, under which tables keep their watermarks; a new one where it has none.
pub(super) fn name(folder: &Path) -> Result<String> {
    let path = folder.join(NAME_FILE);
    match std::fs::read_to_string(&path) {
        Ok(name) if !name.is_empty() => return Ok(name),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    crate::log::make_folder(folder)?;
    let name = format!("headwater/{}", uuid::Uuid::new_v4());
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    Ok(name)
}
