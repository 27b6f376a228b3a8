use object_store::{ObjectStoreExt as _, PutMode};

use super::*;

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
