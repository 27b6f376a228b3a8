//! Every program in `sql/` runs in the embedded shell, and prints what the comment at its end says.
//!
//! So does the SQL of the documents, each in a database of its own. The comment is `/* prints ... */`; HEADWATER_BLESS=1 writes it. `demo.sql` is checked by the demo's own numbers.

use std::process::Command;

use crate::program::text_of;
use crate::server::headwater;
use crate::tidy::{files, root};

const MARK: &str = "/* prints\n";

fn shell(folder: &tempfile::TempDir) -> Command {
    let mut command = headwater();
    command.arg("sql").arg("--data").arg(folder.path().join("data")).args(["--format", "csv"]);
    command
}

#[test]
fn every_program_prints_what_its_end_says() {
    let programs: Vec<_> = files("sql", "sql").into_iter().filter(|(path, _)| !path.ends_with("demo.sql")).collect();
    assert!(programs.len() >= 3, "only {} programs", programs.len());
    for (path, text) in programs {
        let folder = tempfile::tempdir().unwrap();
        let printed = text_of(shell(&folder).arg("-f").arg(&path));
        let (program, expected) = text.split_once(MARK).unwrap_or((&text, "*/"));
        if std::env::var_os("HEADWATER_BLESS").is_some() {
            std::fs::write(&path, format!("{program}{MARK}{printed}*/\n")).unwrap();
        } else {
            assert_eq!(printed, expected.trim_end().trim_end_matches("*/"), "{}", path.display());
        }
    }
}

#[test]
fn the_demo_is_deterministic_and_large() {
    let (_, text) = files("sql", "sql").into_iter().find(|(path, _)| path.ends_with("demo.sql")).expect("sql/demo.sql");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.sql");
    std::fs::write(&file, text.replace(":customers", "2000")).unwrap();
    let count = "SELECT (SELECT count(*) FROM customers) AS customers, (SELECT count(*) FROM orders) AS orders, \
        count(*) AS items, count(returned_at) AS returned, sum(quantity) AS sold, max(product_id) AS product FROM order_items";
    let printed = text_of(shell(&folder).arg("-f").arg(&file).args(["-c", count]));
    // The same numbers as PostgreSQL 15 gives; the demo itself is 25 times as large.
    assert_eq!(printed, "customers,orders,items,returned,sold,product\n2000,16000,32000,641,80000,1000\n");
}

#[test]
fn the_sql_of_the_documents_runs() {
    let readme = (root().join("README.md"), include_str!("../../README.md").to_owned());
    let documents: Vec<_> = files("docs", "md").into_iter().chain([readme]).collect();
    let mut blocks_run = 0;
    for (path, text) in documents {
        let blocks: Vec<&str> = text.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        if blocks.is_empty() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let allowed = folder.path().join("files");
        std::fs::create_dir(&allowed).unwrap();
        let program = folder.path().join("document.sql");
        std::fs::write(&program, blocks.join("\n").replace("/srv/files", &allowed.display().to_string())).unwrap();
        let done = shell(&folder).arg("--file-locations").arg(&allowed).arg("-f").arg(&program).output().unwrap();
        assert!(done.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&done.stderr));
        blocks_run += blocks.len();
    }
    assert!(blocks_run > 5, "only {blocks_run} blocks");
}
