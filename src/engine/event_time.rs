//! Event times of rows that go to files at once: the watermark follows them as it follows those of the tail.

use datafusion::common::ScalarValue;

use crate::catalog::definition::RelationDef;
use crate::engine::Engine;
use crate::tables::FileEntry;

const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// The newest event of each file, in microseconds since 1970, where it is known exactly.
pub(in crate::engine) fn newest_events(relation: &RelationDef, files: &[FileEntry]) -> Vec<i64> {
    let Some(watermark) = relation.table().and_then(|table| table.event_watermark.as_ref()) else { return Vec::new() };
    let newest = |file: &FileEntry| {
        let stats = file.stats.columns.get(watermark.column.as_str()).filter(|stats| stats.exact)?;
        match stats.max {
            Some(ScalarValue::TimestampMicrosecond(micros, _)) => micros,
            Some(ScalarValue::Date32(day)) => day.map(|day| i64::from(day).saturating_mul(MICROS_PER_DAY)),
            _ => None,
        }
    };
    files.iter().filter_map(newest).collect()
}

impl Engine {
    /// Says how far the events of files have got that were committed. The rows are there: an error must not deny them.
    pub(in crate::engine) async fn tell_events(&self, relation: &RelationDef, newest_micros: Vec<i64>) {
        if !newest_micros.is_empty()
            && let Err(error) = self.buffer().tell_events(relation, newest_micros.into_iter()).await
        {
            tracing::warn!(table = %relation.name, %error, "the watermark does not follow rows that were loaded");
        }
    }
}
