use super::*;
use crate::clock::Clock;
use crate::tables::fixture::{Fixture, append, checkpoint, ids, longs, stream, two_longs};
use crate::tables::{At, Change, Operation, WriteOptions};

const AT_ONCE: VacuumOptions = VacuumOptions { retain: Some(Duration::ZERO), dry_run: false };

async fn merge_all(table: &Arc<Table>) {
    let mut writer = table.lock().await.unwrap();
    let all = ids(writer.snapshot()).await;
    let removed: Vec<String> = writer.snapshot().files().iter().map(|file| file.path.clone()).collect();
    let batch = longs(all[0]..all[all.len() - 1] + 1);
    let added = writer.write(stream(vec![batch]), &WriteOptions::default()).await.unwrap();
    writer.commit(Change::rewrite(Operation::new("OPTIMIZE"), added, removed)).await.unwrap();
}

fn fixture() -> Fixture {
    Fixture { clock: Clock::Real, ..Fixture::new() }
}

async fn vacuum(table: &Arc<Table>, options: VacuumOptions) -> VacuumReport {
    table.vacuum(options, &CancellationToken::new()).await.unwrap()
}

#[tokio::test]
async fn what_a_snapshot_needs_stays() {
    let fixture = fixture();
    let table = fixture.create(&two_longs()).await;
    for at in 0..3 {
        append(&table, at * 10..at * 10 + 10).await;
    }
    let held = table.snapshot();
    let old = table.snapshot_at(&At::Version(2)).await.unwrap();
    merge_all(&table).await;
    let dry = vacuum(&table, VacuumOptions { dry_run: true, ..AT_ONCE }).await;
    assert_eq!(dry, VacuumReport::default(), "a query still holds version 3");
    assert_eq!(ids(&held).await.len(), 30);
    drop(held);
    let dry = vacuum(&table, VacuumOptions { dry_run: true, ..AT_ONCE }).await;
    assert_eq!(dry.files.len(), 1, "the old snapshot needs two files of three");
    assert_eq!(vacuum(&table, AT_ONCE).await, dry);
    assert_eq!(ids(&table.snapshot_at(&At::Version(2)).await.unwrap()).await.len(), 20);
    drop(old);
    assert_eq!(vacuum(&table, AT_ONCE).await.files.len(), 2);
    assert_eq!(ids(&fixture.open().await.snapshot()).await.len(), 30);
    let error = table.restore(&At::Version(3), &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.sqlstate(), "58P01");
    assert!(error.detail_text().unwrap().contains("parquet"), "{error}");
}

#[tokio::test]
async fn retained_versions_and_uncommitted_files_stay() {
    let fixture = fixture();
    let table = fixture.create(&two_longs()).await;
    append(&table, 0..10).await;
    merge_all(&table).await;
    let writer = table.lock().await.unwrap();
    writer.write(stream(vec![longs(0..5)]), &WriteOptions::default()).await.unwrap();
    drop(writer);
    let report = vacuum(&table, VacuumOptions::default()).await;
    assert!(report.files.is_empty(), "all is younger than a week: {report:?}");
    let report = vacuum(&table, AT_ONCE).await;
    assert_eq!(report.files.len(), 1, "the merged file goes, the uncommitted one stays: {report:?}");
    let report = vacuum(&table, AT_ONCE).await;
    assert!(report.files.is_empty());
}

#[tokio::test]
async fn the_log_is_cut_before_a_checkpoint_that_is_old_enough() {
    let fixture = fixture();
    let mut spec = two_longs();
    spec.properties.insert("delta.logRetentionDuration".into(), "interval 0 days".into());
    let table = fixture.create(&spec).await;
    for at in 0..3 {
        append(&table, at * 10..at * 10 + 10).await;
    }
    checkpoint(&table).await;
    append(&table, 30..40).await;
    tokio::task::yield_now().await;
    let report = vacuum(&table, AT_ONCE).await;
    assert_eq!(report.log_files.len(), 3, "{report:?}");
    assert_eq!(ids(&fixture.open().await.snapshot()).await.len(), 40);
    append(&table, 40..50).await;
    assert_eq!(fixture.open().await.history(100).await.unwrap().len(), 4);
}

#[tokio::test]
async fn an_older_version_is_not_opened_while_files_are_deleted() {
    let fixture = fixture();
    let table = fixture.create(&two_longs()).await;
    append(&table, 0..10).await;
    append(&table, 10..20).await;
    let closed = table.log().close_past().await;
    let opening = tokio::spawn({
        let table = Arc::clone(&table);
        async move { table.snapshot_at(&At::Version(1)).await.unwrap() }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!opening.is_finished());
    drop(closed);
    assert_eq!(ids(&opening.await.unwrap()).await.len(), 10);
}

#[tokio::test]
async fn a_canceled_vacuum_or_restore_leaves_the_table_as_it_was() {
    let fixture = fixture();
    let table = fixture.create(&two_longs()).await;
    append(&table, 0..10).await;
    append(&table, 10..20).await;
    merge_all(&table).await;
    tokio::task::yield_now().await;
    let canceled = CancellationToken::new();
    canceled.cancel();
    let before = table.snapshot().version;
    assert_eq!(table.vacuum(AT_ONCE, &canceled).await.unwrap_err().kind(), ErrorKind::QueryCanceled);
    assert_eq!(table.restore(&At::Version(1), &canceled).await.unwrap_err().kind(), ErrorKind::QueryCanceled);
    assert_eq!(table.refresh().await.unwrap().version, before);
    assert_eq!(table.restore(&At::Version(1), &CancellationToken::new()).await.unwrap().version, before + 1);
}
