//! Properties of the source itself: floors, fences, sizes, banned words, forgotten files.
//!
//! Everything here is a text search over the tree, so it needs no compiler and says exactly what to mend.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The house, roof first. A module may use only itself and the modules to its right.
const HOUSE: [&str; 18] = [
    "wire",
    "database",
    "session",
    "pipelines",
    "views",
    "ingest",
    "quality",
    "engine",
    "access",
    "dialect",
    "buffer",
    "tables",
    "log",
    "catalog",
    "metrics",
    "config",
    "clock",
    "error",
];

/// Files at the top of `src` that are no floor.
const ROOTS: [&str; 2] = ["lib", "main"];

const FILE_LINES_MAX: usize = 600;

/// Words that may stand only on some floors: whoever else needs the thing asks that floor.
const FENCES: [(&str, &[&str]); 9] = [
    ("pgwire::", &["wire"]),
    ("arrow_flight::", &["wire"]),
    ("axum::", &["wire"]),
    ("deltalake::", &["tables"]),
    ("rusqlite::", &["catalog"]),
    ("SessionContext", &["engine"]),
    ("SessionState", &["engine"]),
    ("LogicalPlan", &["engine", "access", "views"]),
    ("clap::", &["main"]),
];

/// Text that must not appear under `src`, and what to write instead.
const BANNED: [(&str, &str); 11] = [
    ("super::super", "crate::"),
    ("use crate::{", "one `use crate::floor::...` line a floor"),
    ("async_trait", "a forwarder to a plain function that returns BoxFuture"),
    ("#[allow", "#[expect(..., reason = \"...\")]"),
    ("#![allow", "#[expect(..., reason = \"...\")]"),
    ("#[ignore", "a test that runs"),
    ("println!(\"DEBUG", "tracing"),
    ("TODO", "an issue"),
    ("FIXME", "an issue"),
    ("unimplemented!(", "Error::unsupported"),
    ("unsafe {", "safe code"),
];

/// The wall clock and sleeping are passed in, so that a test can move them.
const CLOCK: [(&str, &str); 4] = [
    ("SystemTime::now", "clock.now()"),
    ("Utc::now", "clock.now()"),
    ("Local::now", "clock.now()"),
    ("tokio::time::sleep", "clock.sleep()"),
];

/// Names that say nothing about what a thing is.
const EMPTY_NAMES: [&str; 9] = ["util", "utils", "common", "helper", "helpers", "misc", "manager", "handler", "mod"];

#[test]
fn every_module_is_a_floor_of_the_house() {
    for (path, _) in files("src", "rs") {
        let module = module(&path);
        let known = HOUSE.contains(&module.as_str()) || ROOTS.contains(&module.as_str());
        assert!(known, "{}: `{module}` is no floor of the house (tests/it/tidy.rs, src/README.md)", shown(&path));
    }
}

#[test]
fn modules_depend_only_downward() {
    for (path, text) in files("src", "rs") {
        let Some(floor) = floor(&path) else { continue };
        for used in text.split("crate::").skip(1) {
            let name = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            let target = HOUSE.iter().position(|module| *module == name);
            assert!(target.is_some(), "{}: `crate::{name}` names no floor", shown(&path));
            assert!(Some(floor) <= target, "{} reaches up to `{name}`", shown(&path));
        }
        let is_root_of_floor = path.parent() == Some(root().join("src").as_path());
        assert!(!is_root_of_floor || !text.contains("use super::"), "{}: write `crate::`, not `super::`", shown(&path));
    }
}

#[test]
fn the_program_uses_only_the_library() {
    for (path, text) in files("src", "rs").into_iter().filter(|(path, _)| module(path) == "main") {
        for word in ["datafusion::", "deltalake::", "pgwire::", "rusqlite::", "tokio_postgres"] {
            assert!(!text.contains(word), "{}: the program may not name {word}, only `headwater::`", shown(&path));
        }
    }
}

#[test]
fn fences_hold() {
    for (path, text) in files("src", "rs") {
        for (word, floors) in FENCES {
            let allowed = floors.contains(&module(&path).as_str());
            assert!(allowed || !names(&text, word), "{}: {word} belongs to {floors:?} only", shown(&path));
        }
    }
}

#[test]
fn files_stay_short_and_say_what_they_are() {
    for (path, text) in files("src", "rs").into_iter().chain(files("tests", "rs")) {
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines, {FILE_LINES_MAX} are allowed", shown(&path));
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
        assert!(is_test || text.starts_with("//! "), "{} must open with a `//!` line", shown(&path));
    }
}

#[test]
fn banned_words_stay_out() {
    for (path, text) in files("src", "rs") {
        for (word, instead) in BANNED {
            assert!(!text.contains(word), "{}: {word} is banned, use {instead}", shown(&path));
        }
        for (word, instead) in CLOCK {
            let allowed = module(&path) == "clock";
            assert!(allowed || !text.contains(word), "{}: {word} is banned, use {instead}", shown(&path));
        }
    }
    for (path, text) in files("tests", "rs") {
        let allowed = path.ends_with("tests/it/tidy.rs");
        for word in ["async_trait", "#[ignore", "#[allow"] {
            assert!(allowed || !text.contains(word), "{}: {word} is banned", shown(&path));
        }
    }
}

#[test]
fn names_say_what_a_thing_is() {
    for (path, _) in files("src", "rs").into_iter().chain(files("tests", "rs")) {
        for part in path.strip_prefix(root()).expect("files are under the root").iter() {
            let name = part.to_string_lossy();
            let stem = name.trim_end_matches(".rs");
            let empty = stem.split('_').any(|word| EMPTY_NAMES.contains(&word));
            assert!(!empty, "{}: `{stem}` says nothing; name the thing", shown(&path));
        }
    }
}

#[test]
fn every_system_view_is_compiled_in_and_described() {
    let register = fs::read_to_string(root().join("src/catalog/system.rs")).unwrap_or_default();
    for (path, text) in files("catalog", "sql") {
        let name = shown(&path);
        assert!(register.contains(&name), "{name} is not in src/catalog/system.rs");
        assert!(text.starts_with("-- "), "{name} must start with a one-line description");
    }
}

#[test]
fn tests_of_a_module_are_in_a_file_of_their_own() {
    for (path, text) in files("src", "rs") {
        assert!(!text.contains("mod tests {"), "{}: move the tests to a sibling file tests.rs", shown(&path));
    }
}

/// As `cargo deny` does, which is not everywhere: deny.toml names every package that Cargo.lock has an older copy of.
#[test]
fn a_dependency_stands_twice_only_where_it_is_said() {
    let toml = |name: &str| fs::read_to_string(root().join(name)).unwrap().parse::<toml::Table>().unwrap();
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let (lock, deny) = (toml("Cargo.lock"), toml("deny.toml"));
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let version = text(&package["version"]).split('+').next().unwrap_or_default().to_owned();
        versions.entry(text(&package["name"])).or_default().push(version);
    }
    let numbers = |version: &String| -> Vec<u64> { version.split(['.', '-']).flat_map(str::parse).collect() };
    let mut twice = Vec::new();
    for (name, mut versions) in versions {
        versions.sort_by_key(numbers);
        versions.pop();
        twice.extend(versions.into_iter().map(|version| format!("{name}@{version}")));
    }
    let skipped: Vec<String> = deny["bans"]["skip"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(deny["bans"]["multiple-versions"].as_str(), Some("deny"));
    assert_eq!(skipped, twice, "deny.toml and Cargo.lock differ");
}

/// True where `text` names `word` in code or in comments, not as the tail of a longer name.
fn names(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

/// The first folder or file below `src`, without its ending.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).expect("source files are under src");
    let first = below.iter().next().expect("a file has a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn floor(path: &Path) -> Option<usize> {
    let module = module(path);
    HOUSE.iter().position(|name| *name == module)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

pub fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Every file under `folder` whose name ends with `extension`, with its text.
pub fn files(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == extension) {
                let text = fs::read_to_string(&path).expect("source is UTF-8");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}
