//! `headwater check` finds what is wrong with a database, and tells it from what is merely left over.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::program::run;
use crate::rows::told;
use crate::server::{Server, WITHOUT_TAILS, headwater};

/// The exit code and what is printed.
fn check(data: &Path) -> (Option<i32>, String) {
    let output = run(headwater().arg("check").arg("--data").arg(data));
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The folder of the only table.
fn table_folder(data: &Path) -> PathBuf {
    fs::read_dir(data.join("tables")).unwrap().next().unwrap().unwrap().path()
}

fn commit_file(table: &Path, version: i64) -> PathBuf {
    table.join(format!("_delta_log/{version:020}.json"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_older_than_the_newest_checkpoint_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::open(&data, &WITHOUT_TAILS);
    let client = server.connect().await;
    assert_eq!(told(&client, "CREATE TABLE t (n int)").await, "done 0");
    for n in 1..=3 {
        assert_eq!(told(&client, &format!("INSERT INTO t VALUES ({n})")).await, "done 1");
    }
    assert_eq!(told(&client, "UPDATE t SET n = 10 WHERE n = 1").await, "done 1");
    for n in 5..=100 {
        assert_eq!(told(&client, &format!("INSERT INTO t VALUES ({n})")).await, "done 1");
    }
    let table = table_folder(&data);
    let until = Instant::now() + Duration::from_secs(30);
    while !table.join("_delta_log/_last_checkpoint").exists() {
        assert!(Instant::now() < until, "no checkpoint is written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.terminate(), Some(0));
    let (code, sound) = check(&data);
    assert_eq!((code, sound.as_str()), (Some(0), "1 tables, 99 files: sound\n"));

    let update = fs::read_to_string(commit_file(&table, 4)).unwrap();
    let spoilt: Vec<String> = update
        .lines()
        .map(|line| if line.contains("\"remove\"") { line.replace("part-", "other-") } else { line.to_owned() })
        .collect();
    fs::write(commit_file(&table, 4), spoilt.join("\n")).unwrap();
    let (code, found) = check(&data);
    assert_eq!(code, Some(1), "{found}");
    assert!(found.contains("0004.json") && found.contains("removed a file that was not part of the table"), "{found}");
    fs::write(commit_file(&table, 4), update).unwrap();

    fs::write(commit_file(&table, 7), "{\"add\": nonsense\n").unwrap();
    fs::remove_file(commit_file(&table, 50)).unwrap();
    let (code, found) = check(&data);
    assert_eq!(code, Some(1), "{found}");
    assert!(found.contains("0007.json: ") && found.contains("is damaged"), "{found}");
    assert!(found.contains("0050.json: the commit is missing"), "{found}");
    assert!(found.contains("2 problems"), "{found}");

    // What does not need the damaged commits still serves.
    let server = Server::open(&data, &WITHOUT_TAILS);
    let client = server.connect().await;
    assert_eq!(told(&client, "SELECT count(*) FROM t").await, "99");
    assert_eq!(told(&client, "SELECT count(*) FROM t VERSION AS OF 6").await, "5");
    let lost = told(&client, "SELECT count(*) FROM t VERSION AS OF 8").await;
    assert!(lost.starts_with("XX001") && lost.contains("0007.json"), "{lost}");
    assert_eq!(told(&client, "INSERT INTO t VALUES (101)").await, "done 1");
    assert_eq!(told(&client, "SELECT count(*) FROM t VERSION AS OF 100").await, "99");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_that_disagrees_with_a_log_is_found_and_mended_by_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::open(&data, &WITHOUT_TAILS);
    assert_eq!(told(&server.connect().await, "CREATE TABLE t (n int)").await, "done 0");
    assert_eq!(server.terminate(), Some(0));
    let catalog = data.join("catalog.sqlite");
    let before = fs::read(&catalog).unwrap();
    server = Server::open(&data, &WITHOUT_TAILS);
    assert_eq!(told(&server.connect().await, "ALTER TABLE t ADD COLUMN extra text").await, "done 0");
    assert_eq!(server.terminate(), Some(0));
    fs::write(&catalog, before).unwrap();
    let (code, found) = check(&data);
    assert_eq!(code, Some(1), "{found}");
    assert!(found.contains("table \"t\": the catalog and the table's log have different columns"), "{found}");
    server = Server::open(&data, &WITHOUT_TAILS);
    assert_eq!(told(&server.connect().await, "SELECT count(extra) FROM t").await, "0");
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(check(&data), (Some(0), "1 tables, 0 files: sound\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_over_is_told_and_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::open(&data, &WITHOUT_TAILS);
    let client = server.connect().await;
    assert_eq!(told(&client, "CREATE TABLE t (n int)").await, "done 0");
    assert_eq!(told(&client, "INSERT INTO t VALUES (1)").await, "done 1");
    assert_eq!(told(&client, "UPDATE t SET n = 2").await, "done 1");
    assert_eq!(server.terminate(), Some(0));
    // A file that an older version names is none of them.
    assert_eq!(check(&data), (Some(0), "1 tables, 1 files: sound\n".to_owned()));
    let table = table_folder(&data);
    fs::write(table.join("part-unfinished.zstd.parquet"), "12345").unwrap();
    fs::write(table.join("_delta_log/00000000000000000003.json#42"), "{").unwrap();
    fs::create_dir_all(data.join("tables/gone-12345678/_delta_log")).unwrap();
    fs::create_dir_all(data.join("spill")).unwrap();
    fs::write(data.join("spill/rows"), "x").unwrap();
    let (code, found) = check(&data);
    assert_eq!(code, Some(0), "{found}");
    for (what, remedy) in [
        ("1 files of 5 bytes are in no version, the first is part-unfinished.zstd.parquet", "VACUUM t"),
        ("00000000000000000003.json#42: a file that was being written", "delete it"),
        ("tables/gone-12345678: the catalog knows no table there", "delete it"),
        ("spill/rows: a statement has spilled this", "The next start removes it."),
    ] {
        let (_, after) = found.split_once(what).unwrap_or_else(|| panic!("{what} is not in\n{found}"));
        assert!(after.lines().nth(1).unwrap().contains(remedy), "{found}");
    }
    assert!(found.ends_with("1 tables, 1 files: sound, 4 left over\n"), "{found}");
}
