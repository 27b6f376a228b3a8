//! `headwater check`: every part of a database folder that no server has open, looked at.
//!
//! Read only. The catalog's own consistency; for each table its whole log, every file that it names, and whether the catalog
//! says the same; and what unfinished statements have left, which is waste but no damage.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::buffer::{agrees, location_url};
use crate::catalog::Catalog;
use crate::catalog::definition::RelationDef;
use crate::clock::Clock;
use crate::config::Config;
use crate::database::{LOG, SPILL};
use crate::error::Result;
use crate::tables::{Stores, Table};

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Tables looked at.
    pub tables: usize,
    /// Data files looked at.
    pub files: usize,
    /// What is wrong, in the order it was found.
    pub findings: Vec<Finding>,
    /// What unfinished statements have left behind: it takes room and harms nobody.
    pub leftovers: Vec<Finding>,
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The table, file or record.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl Report {
    /// True when nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn leave(&mut self, object: impl fmt::Display, problem: impl Into<String>, remedy: impl Into<String>) {
        self.leftovers.push(Finding { object: object.to_string(), problem: problem.into(), remedy: remedy.into() });
    }

    fn add(&mut self, object: impl fmt::Display, problem: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding { object: object.to_string(), problem: problem.into(), remedy: remedy.into() });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.findings.iter().chain(&self.leftovers) {
            writeln!(f, "{}: {}\n  do: {}", finding.object, finding.problem, finding.remedy)?;
        }
        let verdict = if self.is_sound() { "sound".to_owned() } else { format!("{} problems", self.findings.len()) };
        write!(f, "{} tables, {} files: {verdict}", self.tables, self.files)?;
        match self.leftovers.len() {
            0 => Ok(()),
            left => write!(f, ", {left} left over"),
        }
    }
}

pub(super) async fn run(config: &Config, folder: &Path) -> Result<Report> {
    let mut report = Report::default();
    let catalog = Catalog::open(&folder.join("catalog.sqlite"))?;
    for problem in catalog.check()? {
        report.add(problem.object, problem.message, problem.hint);
    }
    let stores = Arc::new(Stores::new(config.store_options.clone())?);
    let mut folders = HashSet::new();
    for relation in catalog.snapshot().relations() {
        let Some(table) = relation.table() else { continue };
        report.tables += 1;
        let location = location_url(&table.location)?;
        folders.extend(location.to_file_path().ok());
        match Table::open(&stores, &Clock::Real, &location).await {
            Ok(table) => check_table(relation, &table, &mut report).await?,
            Err(error) => report.add(
                format!("table \"{}\"", relation.name),
                error.to_string(),
                "Restore the table's folder from a backup, or DROP TABLE; the other tables are not affected.",
            ),
        }
    }
    check_log(&folder.join(LOG), &mut report);
    find_leftovers(folder, &folders, &mut report)?;
    Ok(report)
}

fn check_log(folder: &Path, report: &mut Report) {
    match crate::log::check(folder) {
        Ok(found) if found.torn_bytes > 0 => report.leave(
            "the log",
            format!("a crash has torn its end: {} bytes that were never acknowledged", found.torn_bytes),
            "Nothing: the next start cuts them off.",
        ),
        Ok(_) => {}
        Err(error) => {
            let remedy = error.hint_text().unwrap_or("Restore the folder of the log from a copy.").to_owned();
            report.add("the log", error.to_string(), remedy);
        }
    }
}

async fn check_table(relation: &RelationDef, table: &Table, report: &mut Report) -> Result<()> {
    let name = &relation.name;
    if !agrees(relation, &table.snapshot())? {
        report.add(
            format!("table \"{name}\""),
            "the catalog and the table's log have different columns, constraints or clustering",
            "Open the database: the catalog then follows the log.",
        );
    }
    let found = table.check().await?;
    report.files += found.files;
    for (path, problem) in found.bad_log {
        report.add(
            format!("table \"{name}\", file {path}"),
            problem,
            "Bring the file back from a backup. Versions from there to the next checkpoint cannot be read, newer ones can.",
        );
    }
    for (path, problem) in found.bad_files {
        report.add(
            format!("table \"{name}\", file {path}"),
            problem,
            format!("Bring the file back from a backup, or RESTORE TABLE {name} TO VERSION AS OF one without it."),
        );
    }
    if let Some(first) = found.orphans.first() {
        report.leave(
            format!("table \"{name}\""),
            format!(
                "{} files of {} bytes are in no version, the first is {first}",
                found.orphans.len(),
                found.orphan_bytes
            ),
            format!("VACUUM {name} removes them once they are a day old."),
        );
    }
    Ok(())
}

/// Looks for what lies in the database's folder and belongs to nothing: folders of tables that did not come to be, files
/// that were being written when a process ended.
fn find_leftovers(folder: &Path, tables: &HashSet<PathBuf>, report: &mut Report) -> Result<()> {
    let remedy = "Nothing reads it: delete it.";
    for path in entries(&folder.join("tables"))? {
        if !tables.contains(&path.canonicalize()?) {
            report.leave(path.display(), "the catalog knows no table there", remedy);
        }
    }
    for path in entries(&folder.join(SPILL))? {
        report.leave(path.display(), "a statement has spilled this and ended", "The next start removes it.");
    }
    for table in tables {
        find_staging(table, report)?;
    }
    Ok(())
}

/// Files with `#` and a number behind their name.
fn find_staging(folder: &Path, report: &mut Report) -> Result<()> {
    for path in entries(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_digit());
        if path.is_dir() {
            find_staging(&path, report)?;
        } else if name.rsplit_once('#').is_some_and(|(_, number)| is_number(number)) {
            report.leave(
                path.display(),
                "a file that was being written when a process ended",
                "Nothing reads it: delete it.",
            );
        }
    }
    Ok(())
}

/// What lies in a folder, sorted; nothing in one that is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut paths = listed.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
