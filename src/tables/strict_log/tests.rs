//! Answers that are lost, requests that fail, and what a crash leaves behind.

use futures::FutureExt;
use object_store::PutResult;
use url::Url;

use super::*;
use crate::tables::fixture::{Fixture, append, checkpoint, ids, longs, stream, two_longs};
use crate::tables::stores::hooked::{HookedStore, Put};
use crate::tables::{Change, Stores, Table, WriteOptions};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The object is stored, the answer says otherwise.
    AnswerLost,
    /// As above, and the answer is that of a second try: "already exists".
    AnsweredByItsOwnRetry,
    /// The object is not stored.
    RequestLost,
}

/// What becomes of the next PUTs of commits, the last one first.
#[derive(Debug, Default)]
struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    async fn put(&self, put: Put) -> object_store::Result<PutResult> {
        let fault = match put.path.as_ref().ends_with(".json") {
            true => self.0.lock().pop(),
            false => None,
        };
        let failed = || StoreError::Generic { store: "faulty", source: "connection reset".into() };
        match fault {
            None => put.done().await,
            Some(Fault::RequestLost) => Err(failed()),
            Some(Fault::AnswerLost) => put.done().await.and(Err(failed())),
            Some(Fault::AnsweredByItsOwnRetry) => {
                put.clone().done().await?;
                put.done().await
            }
        }
    }
}

async fn faulty_table() -> (Arc<Stores>, Arc<Faults>, Arc<Table>) {
    faulty_table_at(&Url::parse("memory://faulty/t").unwrap()).await
}

async fn faulty_table_at(url: &Url) -> (Arc<Stores>, Arc<Faults>, Arc<Table>) {
    let stores = Arc::new(Stores::new(Default::default()).unwrap());
    let faults = Arc::new(Faults::default());
    let faulty = Arc::clone(&faults);
    let put = move |put| {
        let faults = Arc::clone(&faulty);
        async move { faults.put(put).await }.boxed()
    };
    stores.put(url, Arc::new(HookedStore::new(stores.get(url).unwrap(), put)));
    let table = Table::create(&stores, &Clock::Real, url, &two_longs()).await.unwrap();
    append(&table, 0..10).await;
    (stores, faults, table)
}

#[tokio::test]
async fn a_lost_answer_is_looked_up() {
    for faults in [
        vec![Fault::AnswerLost],
        vec![Fault::AnsweredByItsOwnRetry],
        vec![Fault::RequestLost],
        vec![Fault::AnswerLost, Fault::RequestLost],
        vec![Fault::AnsweredByItsOwnRetry, Fault::RequestLost, Fault::RequestLost],
    ] {
        let (stores, faulty, table) = faulty_table().await;
        *faulty.0.lock() = faults.clone();
        let snapshot = append(&table, 10..20).await;
        assert_eq!(snapshot.version, 2, "{faults:?}");
        let opened = Table::open(&stores, &Clock::Real, table.location()).await.unwrap();
        assert_eq!(ids(&opened.snapshot()).await, (0..20).collect::<Vec<_>>(), "{faults:?}: once and only once");
    }
}

#[tokio::test]
async fn an_outcome_that_cannot_be_found_out_is_an_error_of_its_own() {
    let (_, faults, table) = faulty_table().await;
    let mut writer = table.lock().await.unwrap();
    let files = writer.write(stream(vec![longs(10..20)]), &WriteOptions::default()).await.unwrap();
    *faults.0.lock() = vec![Fault::RequestLost; 10];
    let error = writer.commit(Change::append(files.clone())).await.unwrap_err();
    assert_eq!(error.sqlstate(), "40003", "{error}");
    faults.0.lock().clear();
    writer.commit(Change::append(files)).await.unwrap();
    assert_eq!(table.snapshot().files().rows(), Some(20));
}

#[tokio::test]
async fn on_a_disk_a_commit_whose_fsync_failed_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::from_directory_path(folder.path().join("t")).unwrap();
    let (_, faults, table) = faulty_table_at(&url).await;
    let mut writer = table.lock().await.unwrap();
    let files = writer.write(stream(vec![longs(10..20)]), &WriteOptions::default()).await.unwrap();
    *faults.0.lock() = vec![Fault::AnswerLost];
    assert_eq!(writer.commit(Change::append(files)).await.unwrap_err().sqlstate(), "40003");
}

#[tokio::test]
async fn another_writer_that_came_first_is_not_taken_for_us() {
    let (stores, faults, table) = faulty_table().await;
    let other = Table::open(&stores, &Clock::Real, table.location()).await.unwrap();
    let mut writer = table.lock().await.unwrap();
    let files = writer.write(stream(vec![longs(10..20)]), &WriteOptions::default()).await.unwrap();
    append(&other, 20..30).await;
    *faults.0.lock() = vec![Fault::RequestLost];
    assert_eq!(writer.commit(Change::append(files)).await.unwrap().version, 3);
    assert_eq!(ids(&table.snapshot()).await, (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_crash_leaves_behind_is_not_in_the_way() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    append(&table, 0..10).await;
    // Files without a commit, a staging file of a commit, and a temporary file of another writer.
    let writer = table.lock().await.unwrap();
    writer.write(stream(vec![longs(10..20)]), &WriteOptions::default()).await.unwrap();
    drop(writer);
    let log = fixture.folder.path().join("t/_delta_log");
    std::fs::write(log.join(format!("{:020}.json#17", 2)), "{\"add\":{\"pa").unwrap();
    std::fs::write(log.join("_commit_x.json.tmp"), "{").unwrap();
    let opened = fixture.open().await;
    assert_eq!(ids(&opened.snapshot()).await.len(), 10);
    append(&opened, 10..20).await;
    assert_eq!(ids(&fixture.open().await.snapshot()).await.len(), 20);
}

#[tokio::test]
async fn a_handle_that_slept_through_a_log_cleanup_wakes_up_right() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    let sleeper = fixture.open().await;
    for at in 0..3 {
        append(&table, at * 10..at * 10 + 10).await;
    }
    checkpoint(&table).await;
    let log = fixture.folder.path().join("t/_delta_log");
    for version in 0..3 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    fixture.clock.advance(Duration::from_secs(3600));
    assert_eq!(append(&sleeper, 30..40).await.version, 4);
    assert_eq!(ids(&fixture.open().await.snapshot()).await, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_handle_that_cannot_catch_up_keeps_what_it_has() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    let sleeper = fixture.open().await;
    append(&table, 0..10).await;
    checkpoint(&table).await;
    let log = fixture.folder.path().join("t/_delta_log");
    for version in 0..2 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    // The listing names the checkpoint; nothing can be read of it.
    let file = log.join(format!("{:020}.checkpoint.parquet", 1));
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, "damaged").unwrap();
    fixture.clock.advance(Duration::from_secs(3600));
    assert!(sleeper.lock().await.is_err());
    assert_eq!(sleeper.snapshot().version, 0, "readers go on");
    std::fs::write(&file, whole).unwrap();
    assert_eq!(append(&sleeper, 10..20).await.version, 2, "and writers as soon as the log can be read");
}

#[tokio::test]
async fn a_hint_to_a_checkpoint_that_is_gone_costs_a_listing() {
    let fixture = Fixture::new();
    let table = fixture.create(&two_longs()).await;
    append(&table, 0..10).await;
    checkpoint(&table).await;
    append(&table, 10..20).await;
    checkpoint(&table).await;
    let log = fixture.folder.path().join("t/_delta_log");
    std::fs::remove_file(log.join(format!("{:020}.json", 0))).unwrap();
    std::fs::remove_file(log.join(format!("{:020}.checkpoint.parquet", 2))).unwrap();
    assert_eq!(ids(&fixture.open().await.snapshot()).await, (0..20).collect::<Vec<_>>());
}
