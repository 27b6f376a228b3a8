//! What the log of a former process holds and Delta does not, back into tails.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::TableState;
use super::append::Arrival;
use super::event_time::EventTimes;
use super::notes::{Keys, Positions};
use crate::catalog::Snapshot;
use crate::catalog::name::Oid;
use crate::clock::Clock;
use crate::error::Result;
use crate::log::{Log, LogOptions, Logged, Lsn, Opened};

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
    let opened = Log::<Arrival>::open(folder, options, &mut |logged| match logged {
        Logged::Note(lsn, note) => {
            positions.hear(lsn, &note);
            keys.hear(lsn, &note);
            event_times.hear(&note, now_ms);
            Ok(())
        }
        Logged::Rows(logged) => match tables.get_mut(&logged.table) {
            Some(TableState::Open(open)) if open.watermark < logged.lsn => {
                let (lsn, effect, relation) = (logged.lsn, logged.effect, definitions.relation_by_oid(logged.table));
                let batch = logged.decode()?;
                rows += batch.num_rows();
                open.change(((lsn, lsn), now_ms), relation.as_deref(), effect, &[&batch])
            }
            Some(TableState::Broken(_)) => {
                kept_from.get_or_insert(logged.lsn);
                Ok(())
            }
            // Delta holds the rows already, or the table was dropped.
            _ => Ok(()),
        },
    })?;
    if rows > 0 {
        tracing::info!(rows, "rows that were in the log alone are back");
    }
    Ok(Recovered { opened, used, kept_from, positions, keys, event_times })
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
