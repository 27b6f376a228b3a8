//! Two writers from one version, in every order, ours and plain deltalake: the rows afterwards are those of one order or
//! the other, or there is a clean error. Never a row twice, never one that came back.

use std::sync::Arc;

use deltalake::DeltaTable;
use deltalake::datafusion::prelude::{col, lit};
use deltalake::delta_datafusion::create_session;
use deltalake::logstore::LogStoreRef;
use deltalake::protocol::SaveMode;

use super::*;
use tokio_util::sync::CancellationToken;

use crate::tables::Operation;
use crate::tables::fixture::{Fixture, Rows, append, batch_of, longs, rows, stream, two_longs};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Append,
    Optimize,
    DeleteSome,
    DeleteAll,
    Overwrite,
    Update,
    Merge,
}

const ALL: [Op; 7] = [Op::Append, Op::Optimize, Op::DeleteSome, Op::DeleteAll, Op::Overwrite, Op::Update, Op::Merge];

impl Op {
    /// What the operation means. `salt` keeps the new rows of two writers apart.
    fn model(self, rows: &Rows, salt: i64) -> Rows {
        let mut after = match self {
            Op::Append => [rows.clone(), fresh(salt)].concat(),
            Op::Optimize => rows.clone(),
            Op::DeleteSome => rows.iter().copied().filter(|(id, _)| *id >= 5).collect(),
            Op::DeleteAll => Vec::new(),
            Op::Overwrite => fresh(salt),
            Op::Update => rows.iter().map(|(id, v)| if *id < 15 { (*id, 7) } else { (*id, *v) }).collect(),
            Op::Merge => merged(rows, salt),
        };
        after.sort_unstable();
        after
    }

    fn name(self) -> &'static str {
        match self {
            Op::Append | Op::Overwrite => "WRITE",
            Op::Optimize => "OPTIMIZE",
            Op::DeleteSome | Op::DeleteAll => "DELETE",
            Op::Update => "UPDATE",
            Op::Merge => "MERGE",
        }
    }

    /// The change as our engine would make it: files found on the writer's snapshot, rewritten from it.
    async fn prepare(self, writer: &TableWriter, salt: i64) -> Change {
        let base = writer.snapshot();
        let touched: Vec<Arc<FileEntry>> = match self {
            Op::Append => Vec::new(),
            Op::DeleteSome | Op::Update => {
                let limit: i64 = if self == Op::Update { 15 } else { 5 };
                let least = |file: &FileEntry| file.stats.columns["id"].min.clone();
                base.files().iter().filter(|file| least(file) < Some(limit.into())).cloned().collect()
            }
            _ => base.files().iter().cloned().collect(),
        };
        let after = self.model(&rows(base, &touched).await, salt);
        let added = match after.is_empty() {
            true => Vec::new(),
            false => writer.write(stream(vec![batch_of(&after)]), &WriteOptions::default()).await.unwrap(),
        };
        let removed: Vec<String> = touched.iter().map(|file| file.path.clone()).collect();
        let reads = match self {
            Op::Append => Reads::Nothing,
            Op::Optimize => Reads::Files(removed.clone()),
            Op::DeleteSome | Op::DeleteAll | Op::Overwrite | Op::Update => Reads::Present,
            Op::Merge => Reads::Everything,
        };
        let data_change = self != Op::Optimize;
        Change { added, removed, reads, data_change, ..Change::new(Operation::new(self.name())) }
    }

    async fn by_deltalake(self, table: DeltaTable, salt: i64) -> deltalake::DeltaResult<()> {
        match self {
            Op::Append => table.write(vec![batch_of(&fresh(salt))]).with_save_mode(SaveMode::Append).await.map(drop),
            Op::Optimize => table.optimize().await.map(drop),
            Op::DeleteSome => table.delete().with_predicate(col("id").lt(lit(5_i64))).await.map(drop),
            Op::DeleteAll => table.delete().await.map(drop),
            Op::Overwrite => {
                table.write(vec![batch_of(&fresh(salt))]).with_save_mode(SaveMode::Overwrite).await.map(drop)
            }
            Op::Update => {
                let update = table.update().with_predicate(col("id").lt(lit(15_i64)));
                update.with_update("v", lit(7_i64)).await.map(drop)
            }
            Op::Merge => {
                let source: Rows = [vec![(12, 1)], fresh(salt)].concat();
                let source = create_session().into_inner().read_batch(batch_of(&source))?;
                let merge = table.merge(source, col("target.id").eq(col("source.id")));
                let merge = merge.with_source_alias("source").with_target_alias("target");
                let merge = merge.when_matched_update(|update| update.update("v", col("source.v")))?;
                let merge = merge
                    .when_not_matched_insert(|insert| insert.set("id", col("source.id")).set("v", col("source.v")))?;
                merge.await.map(drop)
            }
        }
    }
}

fn fresh(salt: i64) -> Rows {
    (salt..salt + 3).map(|id| (id, id)).collect()
}

/// Sets `v` of row 12, if it is there, and adds it and the fresh rows where they are not.
fn merged(rows: &Rows, salt: i64) -> Rows {
    let mut after: Rows = rows.iter().map(|(id, v)| if *id == 12 { (*id, 1) } else { (*id, *v) }).collect();
    for (id, v) in [vec![(12, 1)], fresh(salt)].concat() {
        if rows.iter().all(|(there, _)| *there != id) {
            after.push((id, v));
        }
    }
    after
}

/// Four files of ten rows.
async fn start() -> (Fixture, Arc<Table>, Rows) {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    for at in 0..4 {
        append(&table, at * 10..at * 10 + 10).await;
    }
    let before = rows(&table.snapshot(), table.snapshot().files().all()).await;
    (fixture, table, before)
}

fn serial_results(first: Op, second: Op, before: &Rows) -> [Rows; 2] {
    [second.model(&first.model(before, 1000), 2000), first.model(&second.model(before, 2000), 1000)]
}

async fn check(case: &str, fixture: &Fixture, before: &Rows, ops: (Op, Op), second_landed: bool) {
    let table = fixture.open().await;
    let snapshot = table.refresh().await.unwrap();
    let after = rows(&snapshot, snapshot.files().all()).await;
    match second_landed {
        true => assert!(serial_results(ops.0, ops.1, before).contains(&after), "{case}: {after:?}"),
        false => assert_eq!(after, ops.0.model(before, 1000), "{case}: the loser left something"),
    }
}

#[tokio::test]
async fn two_of_ours() {
    let mut landed = Vec::new();
    for first in ALL {
        for second in ALL {
            let (fixture, table, before) = start().await;
            let other = fixture.open().await;
            let mut stale = other.lock().await.unwrap();
            let late = second.prepare(&stale, 2000).await;
            let mut writer = table.lock().await.unwrap();
            let change = first.prepare(&writer, 1000).await;
            writer.commit(change).await.unwrap();
            let done = stale.commit(late).await;
            if let Err(error) = &done {
                assert_eq!(error.sqlstate(), "40001", "{first:?}, {second:?}: {error}");
                assert!(error.hint_text().is_some());
            } else {
                landed.push((first, second));
            }
            check(&format!("{first:?}, {second:?}"), &fixture, &before, (first, second), done.is_ok()).await;
        }
    }
    // What must not fail needlessly: appends, and work on rows that nobody touched.
    for first in [Op::Append, Op::Optimize, Op::DeleteSome, Op::Overwrite, Op::Merge] {
        assert!(landed.contains(&(first, Op::Append)), "an append after {first:?}");
    }
    for second in [Op::Optimize, Op::DeleteSome, Op::DeleteAll, Op::Overwrite, Op::Update] {
        assert!(landed.contains(&(Op::Append, second)), "{second:?} after an append");
    }
}

#[tokio::test]
async fn deltalake_first_then_ours() {
    for first in ALL {
        for second in ALL {
            let (fixture, table, before) = start().await;
            let mut stale = table.lock().await.unwrap();
            let late = second.prepare(&stale, 2000).await;
            first.by_deltalake(deltalake::open_table(fixture.url()).await.unwrap(), 1000).await.unwrap();
            let done = stale.commit(late).await;
            if let Err(error) = &done {
                assert_eq!(error.sqlstate(), "40001", "{first:?}, {second:?}: {error}");
            }
            check(&format!("{first:?}, {second:?}"), &fixture, &before, (first, second), done.is_ok()).await;
        }
    }
}

/// deltalake passes our gate when it is given our log.
#[tokio::test]
async fn ours_first_then_deltalake_through_the_gate() {
    for first in ALL {
        for second in ALL {
            let (fixture, table, before) = start().await;
            let log: LogStoreRef = Arc::clone(fixture.open().await.log()) as LogStoreRef;
            let mut stale = DeltaTable::new(log);
            stale.load().await.unwrap();
            let mut writer = table.lock().await.unwrap();
            let change = first.prepare(&writer, 1000).await;
            writer.commit(change).await.unwrap();
            let done = second.by_deltalake(stale, 2000).await;
            if is_known_anomaly(first, second, done.is_ok()) {
                continue;
            }
            check(&format!("{first:?}, {second:?}"), &fixture, &before, (first, second), done.is_ok()).await;
        }
    }
}

/// deltalake lets rows that were added meanwhile survive an overwrite or a delete without a condition. No row doubles or
/// comes back, but it is not an order of the two.
fn is_known_anomaly(first: Op, second: Op, landed: bool) -> bool {
    landed && matches!(first, Op::Append) && matches!(second, Op::Overwrite | Op::DeleteAll)
}

/// Without the gate deltalake corrupts the table; then we must not serve it, but say so and offer the way back.
#[tokio::test]
async fn ours_first_then_plain_deltalake() {
    let mut damaged = 0;
    for first in ALL {
        for second in ALL {
            let (fixture, table, before) = start().await;
            let stale = deltalake::open_table(fixture.url()).await.unwrap();
            let mut writer = table.lock().await.unwrap();
            let change = first.prepare(&writer, 1000).await;
            writer.commit(change).await.unwrap();
            drop(writer);
            let done = second.by_deltalake(stale, 2000).await;
            let case = format!("{first:?}, {second:?}");
            match table.refresh().await {
                Ok(_) if is_known_anomaly(first, second, done.is_ok()) => {}
                Ok(_) => check(&case, &fixture, &before, (first, second), done.is_ok()).await,
                Err(error) => {
                    damaged += 1;
                    check_damage(&case, &fixture, &table, &error).await;
                }
            }
        }
    }
    assert!(damaged > 0, "deltalake has mended its conflict check: the gate may be simpler now");
}

async fn check_damage(case: &str, fixture: &Fixture, table: &Arc<Table>, error: &Error) {
    use crate::tables::At;
    assert_eq!(error.sqlstate(), "XX001", "{case}: {error}");
    assert!(
        error.message().contains("commit 6") && error.hint_text().unwrap().contains("VERSION AS OF 5"),
        "{case}: {error}"
    );
    assert_eq!(table.lock().await.err().unwrap().sqlstate(), "XX001", "{case}");
    let reopened = fixture.open().await;
    assert_eq!(reopened.refresh().await.unwrap_err().sqlstate(), "XX001", "{case}: a restart forgets nothing");
    assert_eq!(reopened.snapshot().version, 5, "{case}");
    let wanted = rows(&table.snapshot(), table.snapshot().files().all()).await;
    let restored = reopened.restore(&At::Version(5), &CancellationToken::new()).await.unwrap();
    assert_eq!(rows(&restored, restored.files().all()).await, wanted, "{case}");
    append(table, 500..501).await;
    let again = fixture.open().await;
    assert_eq!(rows(&again.snapshot(), again.snapshot().files().all()).await.len(), wanted.len() + 1, "{case}");
}

#[tokio::test]
async fn metadata_and_appends_do_not_pass_each_other() {
    let (fixture, table, _) = start().await;
    let other = fixture.open().await;
    let mut stale = other.lock().await.unwrap();
    let files = stale.write(stream(vec![longs(100..110)]), &WriteOptions::default()).await.unwrap();
    let mut change = Change::new(Operation::new("ADD CONSTRAINT"));
    change.metadata = Some(crate::tables::MetadataChange {
        checks: [("small".to_owned(), Some("id < 100".to_owned()))].into(),
        ..Default::default()
    });
    let mut writer = table.lock().await.unwrap();
    writer.commit(change.clone()).await.unwrap();
    let error = stale.commit(Change::append(files.clone())).await.unwrap_err();
    assert_eq!(error.sqlstate(), "40001");
    for file in &files {
        assert!(!fixture.folder.path().join("t").join(&file.path).exists(), "the files of a refused commit stay");
    }
    drop(stale);
    let mut stale = other.lock().await.unwrap();
    let files = writer.write(stream(vec![longs(50..60)]), &WriteOptions::default()).await.unwrap();
    writer.commit(Change::append(files)).await.unwrap();
    assert_eq!(stale.commit(change).await.unwrap_err().sqlstate(), "40001", "the new rows may break the constraint");
}

#[tokio::test]
async fn append_only_and_read_only_tables_say_so() {
    let fixture = Fixture::new();
    let mut spec = two_longs();
    spec.properties.insert("delta.appendOnly".into(), "true".into());
    let table = fixture.create(&spec).await;
    append(&table, 0..10).await;
    let mut writer = table.lock().await.unwrap();
    let change = Op::DeleteAll.prepare(&writer, 0).await;
    assert_eq!(writer.commit(change).await.unwrap_err().sqlstate(), "55000");
    let change = Op::Optimize.prepare(&writer, 0).await;
    writer.commit(change).await.unwrap();
    drop(writer);
    let protocol =
        r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["appendOnly","rowTracking"]}}"#;
    std::fs::write(fixture.folder.path().join(format!("t/_delta_log/{:020}.json", 3)), protocol).unwrap();
    let mut writer = table.lock().await.unwrap();
    assert_eq!(rows(writer.snapshot(), writer.snapshot().files().all()).await.len(), 10);
    let error = writer.commit(Change::append(Vec::new())).await.unwrap_err();
    assert!(error.sqlstate() == "0A000" && error.message().contains("rowTracking"), "{error}");
}

#[tokio::test]
async fn a_change_data_feed_is_not_left_out() {
    let fixture = Fixture::new();
    let mut spec = two_longs();
    spec.properties.insert("delta.enableChangeDataFeed".into(), "true".into());
    let table = fixture.create(&spec).await;
    append(&table, 0..10).await;
    append(&table, 10..20).await;
    for op in [Op::Update, Op::Merge, Op::DeleteSome] {
        let mut writer = table.lock().await.unwrap();
        let change = op.prepare(&writer, 0).await;
        assert_eq!(writer.commit(change).await.unwrap_err().sqlstate(), "0A000", "{op:?}");
    }
    for op in [Op::Append, Op::Optimize, Op::DeleteAll] {
        let mut writer = table.lock().await.unwrap();
        let change = op.prepare(&writer, 0).await;
        writer.commit(change).await.unwrap();
    }
    assert_eq!(table.snapshot().files().len(), 0);
}
