use std::time::Duration;

use object_store::{ObjectStoreExt as _, PutMode};

use super::*;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::tables::fixture::{append, batch_of, checkpoint, ids, stream, two_longs};
use crate::tables::{Change, Table, VacuumOptions, WriteOptions};

#[tokio::test]
async fn a_put_forces_file_and_folders_and_keeps_put_if_absent() {
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::new(BTreeMap::new()).unwrap();
    let url = Url::from_directory_path(folder.path()).unwrap();
    let place = stores.place(&url).unwrap();
    let at = place.object_path("a/b/c.json").unwrap();
    place.store.put_opts(&at, "one".into(), PutMode::Create.into()).await.unwrap();
    let first = stores.fsyncs();
    assert!(first >= 4, "file, b, a and the folder: {first}");
    let fsyncs_of = async |path: &str| {
        let before = stores.fsyncs();
        place.store.put(&place.object_path(path).unwrap(), "x".into()).await.unwrap();
        stores.fsyncs() - before
    };
    assert_eq!(fsyncs_of("a/b/d.json").await, 2, "file and b");
    assert_eq!(fsyncs_of("a/e/f.json").await, 3, "file, e, and a, which holds e's name");
    assert_eq!(fsyncs_of("a/e/g.json").await, 2, "file and e");
    assert_eq!(fsyncs_of("h/i/j.json").await, 4, "file, i, h and the folder");
    std::fs::remove_file(folder.path().join("a/b/d.json")).unwrap();
    let again = place.store.put_opts(&at, "two".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(again, object_store::Error::AlreadyExists { .. }), "{again}");
    assert_eq!(place.store.get(&at).await.unwrap().bytes().await.unwrap(), "one");
    place.store.put(&at, "three".into()).await.unwrap();
    assert_eq!(place.store.get(&at).await.unwrap().bytes().await.unwrap(), "three");
    let left: Vec<_> = std::fs::read_dir(folder.path().join("a/b")).unwrap().collect();
    assert_eq!(left.len(), 1, "no staging file is left: {left:?}");
}

#[test]
fn unknown_options_and_schemes_are_errors() {
    let error = Stores::new([("endpont".to_owned(), "x".to_owned())].into()).unwrap_err();
    assert!(error.message().contains("endpont"), "{error}");
    let stores = Stores::new(BTreeMap::new()).unwrap();
    let error = stores.get(&Url::parse("ftp://host/x").unwrap()).unwrap_err();
    assert_eq!(error.sqlstate(), "0A000");
}

/// What is not built says so; what is lacks an account here, or finds its bucket.
#[test]
fn urls_of_other_clouds_are_known() {
    let stores = Stores::new(BTreeMap::new()).unwrap();
    for (url, is_built) in [("az://container/x", cfg!(feature = "azure")), ("gs://bucket/x", cfg!(feature = "gcp"))] {
        match stores.get(&Url::parse(url).unwrap()) {
            Ok(_) => assert!(is_built),
            Err(error) => {
                let sqlstate = if is_built { "22023" } else { "0A000" };
                assert_eq!(error.sqlstate(), sqlstate, "{error}");
                assert!(
                    error
                        .hint_text()
                        .is_some_and(|hint| hint.contains("GOOGLE_") || hint.contains("AZURE_") || !is_built)
                );
            }
        }
    }
}

/// The stores of the S3 server that `tests/s3/run` starts; `None` without one.
fn s3_stores() -> Option<Arc<Stores>> {
    let Ok(endpoint) = std::env::var("HEADWATER_TEST_S3") else {
        eprintln!("skipped: no S3 server (run it by tests/s3/run)");
        return None;
    };
    let options = [
        ("endpoint", endpoint.as_str()),
        ("region", "us-east-1"),
        ("access_key_id", "test"),
        ("secret_access_key", "test"),
        ("allow_http", "true"),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Some(Arc::new(Stores::new(options).unwrap()))
}

#[tokio::test]
async fn s3_racing_writers_lose_nothing() {
    let Some(stores) = s3_stores() else { return };
    let url = Url::parse(&format!("s3://headwater/{}/a b", uuid::Uuid::new_v4())).unwrap();
    let table = Table::create(&stores, &Clock::Real, &url, &two_longs()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..4 {
        // Each with a handle of its own, as four processes would have.
        let table = Table::open(&stores, &Clock::Real, &url).await.unwrap();
        tasks.spawn(async move {
            for at in 0..5 {
                let from = writer * 1000 + at * 10;
                append(&table, from..from + 10).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let wanted: Vec<i64> = (0..4).flat_map(|writer| writer * 1000..writer * 1000 + 50).collect();
    assert_eq!(ids(&table.refresh().await.unwrap()).await, wanted);
    checkpoint(&table).await;
    append(&table, 5000..5001).await;
    let opened = Table::open(&stores, &Clock::Real, &url).await.unwrap();
    assert_eq!(ids(&opened.snapshot()).await.len(), wanted.len() + 1, "from a checkpoint and a commit");
    let again = Table::create(&stores, &Clock::Real, &url, &two_longs()).await.err().unwrap();
    assert_eq!(again.sqlstate(), "42P07");
    let report = table
        .vacuum(VacuumOptions { retain: Some(Duration::ZERO), dry_run: false }, &CancellationToken::new())
        .await
        .unwrap();
    assert!(report.files.is_empty(), "{report:?}");
}

#[tokio::test]
async fn s3_a_large_file_goes_up_in_parts() {
    let Some(stores) = s3_stores() else { return };
    let url = Url::parse(&format!("s3://headwater/{}", uuid::Uuid::new_v4())).unwrap();
    let table = Table::create(&stores, &Clock::Real, &url, &two_longs()).await.unwrap();
    let mut writer = table.lock().await.unwrap();
    // Rows that do not compress, for more than the 10 MiB of one request.
    let mix = |id: i64| id.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
    let rows: Vec<(i64, i64)> = (0..1_500_000).map(|id| (mix(id), mix(mix(id)))).collect();
    let options = WriteOptions { row_group_rows_max: 200_000, ..WriteOptions::default() };
    let files = writer.write(stream(vec![batch_of(&rows)]), &options).await.unwrap();
    assert!(files.len() == 1 && files[0].size_bytes > 15 << 20, "{} bytes", files[0].size_bytes);
    let snapshot = writer.commit(Change::append(files)).await.unwrap();
    assert_eq!(ids(&snapshot).await.len(), rows.len());
}

#[tokio::test]
async fn s3_without_keys_or_bucket_says_so() {
    let Some(stores) = s3_stores() else { return };
    let url = Url::parse("s3://no-such-bucket/t").unwrap();
    let error = Table::create(&stores, &Clock::Real, &url, &two_longs()).await.err().unwrap();
    assert!(matches!(error.sqlstate(), "58P01" | "58030" | "42501"), "{error:?}");
}
