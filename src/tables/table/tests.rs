use std::time::Duration;

use datafusion::common::ScalarValue;

use super::*;
use tokio_util::sync::CancellationToken;

use crate::catalog::pg_type::PgType;
use crate::tables::fixture::{Fixture, append, checkpoint, column, ids, longs, stream, two_longs};
use crate::tables::{MetadataChange, WriteOptions};

#[tokio::test]
async fn what_is_committed_is_seen_by_every_handle() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    let other = fixture.open().await;
    let snapshot = append(&table, 0..100).await;
    assert_eq!(snapshot.version, 1);
    assert_eq!(snapshot.files().rows(), Some(100));
    assert_eq!(other.snapshot().version, 0);
    let seen = other.refresh().await.unwrap();
    assert_eq!(ids(&seen).await, (0..100).collect::<Vec<_>>());
    let file = &seen.files().all()[0];
    let stats = &file.stats.columns["v"];
    assert_eq!(
        (stats.min.clone(), stats.max.clone()),
        (Some(ScalarValue::from(0_i64)), Some(ScalarValue::from(198_i64)))
    );
    assert!(stats.exact && stats.null_count == Some(0), "{stats:?}");
    assert_eq!(file.path, snapshot.files().all()[0].path);
    let again = Table::create(&fixture.stores, &fixture.clock, &fixture.url(), &two_longs()).await.err().unwrap();
    assert_eq!(again.sqlstate(), "42P07");
}

#[tokio::test]
async fn a_commit_is_forced_to_disk_with_its_files() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    let writer = table.lock().await.unwrap();
    let before = fixture.stores.fsyncs();
    let files = writer.write(stream(vec![longs(0..10)]), &WriteOptions::default()).await.unwrap();
    let written = fixture.stores.fsyncs();
    assert!(written >= before + 2, "the file and its folder");
    drop(writer);
    let mut writer = table.lock().await.unwrap();
    writer.commit(Change::append(files)).await.unwrap();
    assert!(fixture.stores.fsyncs() >= written + 2, "the commit and the log's folder");
}

#[tokio::test]
async fn a_checkpoint_holds_everything_and_opens() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    for at in 0..5 {
        append(&table, at * 10..at * 10 + 10).await;
    }
    let mut writer = table.lock().await.unwrap();
    let files = writer.write(stream(vec![longs(50..60)]), &WriteOptions::default()).await.unwrap();
    writer.commit(Change { app: Some(("app".into(), 41)), ..Change::append(files) }).await.unwrap();
    checkpoint(&table).await;
    let listing = Listing::read(table.log.place(), 0).await.unwrap();
    assert_eq!(listing.checkpoints.keys().copied().collect::<Vec<_>>(), [6]);
    // Without the commits before it, the checkpoint alone must do.
    for version in 0..6 {
        std::fs::remove_file(fixture.folder.path().join(format!("t/_delta_log/{version:020}.json"))).unwrap();
    }
    let opened = fixture.open().await.snapshot();
    assert_eq!(ids(&opened).await, (0..60).collect::<Vec<_>>());
    assert_eq!(opened.app_version("app"), Some(41));
    let known = table.snapshot();
    assert_eq!(opened.committed_at_ms, known.committed_at_ms);
    for (left, right) in opened.files().iter().zip(known.files().iter()) {
        assert_eq!(left, right, "statistics and tags survive");
    }
    append(&fixture.open().await, 60..61).await;
}

#[tokio::test]
async fn an_application_commits_a_version_once() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    for _ in 0..2 {
        let mut writer = table.lock().await.unwrap();
        let files = writer.write(stream(vec![longs(0..10)]), &WriteOptions::default()).await.unwrap();
        writer.commit(Change { app: Some(("wal".into(), 7)), ..Change::append(files) }).await.unwrap();
    }
    let snapshot = table.snapshot();
    assert_eq!((snapshot.version, snapshot.files().rows()), (1, Some(10)));
    assert_eq!(std::fs::read_dir(fixture.folder.path().join("t")).unwrap().count(), 2, "the second file is gone");
}

#[tokio::test]
async fn the_past_is_found_by_version_and_by_time() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    let mut times = vec![fixture.clock.now()];
    for at in 0..4 {
        fixture.clock.advance(Duration::from_secs(60));
        append(&table, at * 10..at * 10 + 10).await;
        times.push(fixture.clock.now());
    }
    for (version, when) in times.iter().enumerate() {
        let rows = Some(version as u64 * 10);
        let version = version as i64;
        let by_version = table.snapshot_at(&At::Version(version)).await.unwrap();
        let later = At::Timestamp(*when + chrono::Duration::seconds(59));
        let by_time = table.snapshot_at(&later).await.unwrap();
        assert_eq!((by_version.version, by_version.files().rows()), (version, rows));
        assert_eq!(by_time.version, version);
        assert_eq!(table.snapshot_at(&At::Timestamp(*when)).await.unwrap().version, version);
    }
    let early = At::Timestamp(times[0] - chrono::Duration::seconds(1));
    assert_eq!(table.snapshot_at(&early).await.unwrap_err().sqlstate(), "22023");
    let error = table.snapshot_at(&At::Version(9)).await.unwrap_err();
    assert!(error.hint_text().unwrap().contains('4'), "{error}");
}

#[tokio::test]
async fn metadata_changes_raise_the_protocol_and_keep_files() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    append(&table, 0..10).await;
    let mut columns = table.snapshot().columns().unwrap();
    columns.push(column("w", PgType::Uuid));
    let mut change = Change::new(Operation::new("ADD COLUMNS"));
    change.metadata = Some(MetadataChange {
        columns: Some(columns),
        checks: [("positive".to_owned(), Some("id >= 0".to_owned()))].into(),
        comment: Some(Some("rows".into())),
        properties: [("headwater.x".to_owned(), Some("1".to_owned()))].into(),
        ..MetadataChange::default()
    });
    let mut writer = table.lock().await.unwrap();
    writer.commit(change).await.unwrap();
    drop(writer);
    let seen = fixture.open().await.snapshot();
    assert_eq!(seen.definition.protocol.writer, 3);
    assert_eq!(seen.checks(), [("positive".to_owned(), "id >= 0".to_owned())]);
    assert_eq!(seen.columns().unwrap()[2].pg_type, PgType::Uuid);
    assert_eq!((seen.comment(), seen.files().rows()), (Some("rows"), Some(10)));
    assert_eq!(seen.properties()["headwater.x"], "1");
    let plain = deltalake::open_table(fixture.url()).await.unwrap();
    assert_eq!(plain.version(), Some(2));
}

#[tokio::test]
async fn concurrent_writers_of_two_processes_lose_nothing() {
    let fixture = Fixture::new();
    fixture.create(&two_longs()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let table = fixture.open().await;
        tasks.spawn(async move {
            for at in 0..10 {
                let from = writer * 1000 + at * 10;
                append(&table, from..from + 10).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let snapshot = fixture.open().await.snapshot();
    let wanted: Vec<i64> = (0..4).flat_map(|writer| writer * 1000..writer * 1000 + 100).collect();
    assert_eq!((snapshot.version, ids(&snapshot).await), (40, wanted));
}

#[tokio::test]
async fn a_damaged_commit_is_named() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    append(&table, 0..10).await;
    let path = fixture.folder.path().join(format!("t/_delta_log/{:020}.json", 1));
    std::fs::write(path, "{\"add\":{").unwrap();
    let error = Table::open(&fixture.stores, &fixture.clock, &fixture.url()).await.err().unwrap();
    assert_eq!(error.sqlstate(), "XX001");
    assert!(error.message().contains("00000000000000000001.json"), "{error}");
    let missing = Url::from_file_path(fixture.folder.path().join("none")).unwrap();
    assert_eq!(Table::open(&fixture.stores, &fixture.clock, &missing).await.err().unwrap().sqlstate(), "58P01");
}

#[tokio::test]
async fn history_says_who_did_what() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    append(&table, 0..10).await;
    append(&table, 10..30).await;
    let mut writer = table.lock().await.unwrap();
    let gone: Vec<String> = writer.snapshot().files().iter().map(|file| file.path.clone()).collect();
    let change = Change::new(Operation::new("DELETE").with("predicate", "true"));
    writer.commit(Change { removed: gone, ..change }).await.unwrap();
    drop(writer);
    let history = table.history(3).await.unwrap();
    let names: Vec<_> = history.iter().map(|record| (record.version, record.operation.as_str())).collect();
    assert_eq!(names, [(3, "DELETE"), (2, "WRITE"), (1, "WRITE")]);
    assert_eq!((history[0].rows_removed, history[0].files_removed), (Some(30), 2));
    assert_eq!(history[1].rows_added, Some(20));
    let commit = table.log().read_commit(history[1].version).await.unwrap().unwrap();
    assert_eq!(commit.info["isBlindAppend"], true);
    assert_eq!(history[0].parameters["predicate"], "true");
    assert_eq!(table.history(100).await.unwrap().last().unwrap().operation, "CREATE TABLE");
}

#[tokio::test]
async fn restore_brings_rows_and_columns_back() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    append(&table, 0..10).await;
    let before = append(&table, 10..20).await;
    // DROP COLUMN v: all files written anew.
    let mut writer = table.lock().await.unwrap();
    let columns = vec![column("id", PgType::Int8)];
    let metadata = MetadataChange { columns: Some(columns), ..MetadataChange::default() };
    let rows = longs(0..20).project(&[0]).unwrap();
    let added = writer.write_as(&metadata, stream(vec![rows]), &WriteOptions::default()).await.unwrap();
    let mut change = Change::new(Operation::new("DROP COLUMNS"));
    change.removed = writer.snapshot().files().iter().map(|file| file.path.clone()).collect();
    change.added = added;
    change.metadata = Some(metadata);
    let dropped = writer.commit(change).await.unwrap();
    drop(writer);
    assert_eq!((dropped.arrow_schema().fields().len(), ids(&dropped).await.len()), (1, 20));
    let restored = table.restore(&At::Version(before.version), &CancellationToken::new()).await.unwrap();
    assert_eq!(restored.arrow_schema(), before.arrow_schema());
    assert_eq!(restored.files().all().as_ref(), before.files().all().as_ref());
    assert_eq!(table.history(1).await.unwrap()[0].operation, "RESTORE");
    assert_eq!(deltalake::open_table(fixture.url()).await.unwrap().get_file_uris().unwrap().count(), 2);
}

#[tokio::test]
async fn changes_name_the_files_of_each_version() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    let first = append(&table, 0..10).await;
    append(&table, 10..20).await;
    let mut writer = table.lock().await.unwrap();
    let added = writer.write(stream(vec![longs(0..20)]), &WriteOptions::default()).await.unwrap();
    let removed = writer.snapshot().files().iter().map(|file| file.path.clone()).collect();
    writer.commit(Change::rewrite(Operation::new("OPTIMIZE"), added, removed)).await.unwrap();
    let mut change = Change::new(Operation::new("DELETE"));
    change.removed = writer.snapshot().files().iter().map(|file| file.path.clone()).collect();
    writer.commit(change).await.unwrap();
    drop(writer);
    let changes = table.changes(0, 4).await.unwrap();
    let counts: Vec<_> = changes.iter().map(|change| (change.added.len(), change.removed.len())).collect();
    assert_eq!(counts, [(0, 0), (1, 0), (1, 0), (0, 0), (0, 1)], "a compaction changes nothing");
    assert_eq!(changes[1].added[0].path, first.files().all()[0].path);
    assert_eq!(changes[4].removed[0].rows, Some(20));
    assert!(changes[0].before.is_none() && changes[1].before.is_some());
    assert_eq!(table.changes(3, 9).await.unwrap_err().sqlstate(), "22023");
}

#[tokio::test]
async fn a_table_made_by_deltalake_is_opened_and_written() {
    let fixture = Fixture::new();
    let url = fixture.url();
    std::fs::create_dir_all(url.to_file_path().unwrap()).unwrap();
    let mut foreign = deltalake::DeltaTable::try_from_url(url.clone()).await.unwrap();
    for at in 0..3 {
        foreign = foreign.write(vec![longs(at * 10..at * 10 + 10)]).await.unwrap();
    }
    deltalake::checkpoints::create_checkpoint(&foreign, None).await.unwrap();
    foreign.write(vec![longs(30..40)]).await.unwrap();
    let table = fixture.open().await;
    let snapshot = append(&table, 40..50).await;
    assert_eq!(ids(&snapshot).await, (0..50).collect::<Vec<_>>());
    assert_eq!(snapshot.files().rows(), Some(50));
    let back = deltalake::open_table(url).await.unwrap();
    assert_eq!(back.get_file_uris().unwrap().count(), 5);
}

#[tokio::test]
async fn a_checkpoint_is_written_by_itself() {
    let fixture = Fixture::new();
    let mut spec = two_longs();
    spec.properties.insert("delta.checkpointInterval".into(), "5".into());
    let table = fixture.create(&spec).await;
    for at in 0..5 {
        append(&table, at..at + 1).await;
    }
    for _ in 0..500 {
        if !Listing::read(table.log.place(), 0).await.unwrap().checkpoints.is_empty() {
            return;
        }
        fixture.clock.sleep(Duration::from_millis(10)).await;
    }
    unreachable!("no checkpoint after five commits");
}
