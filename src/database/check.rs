//! `headwater check`: every part of a database folder that no server has open, looked at.
//!
//! Read only. The catalog's own consistency, then for each table: does its log open, is every file that it names
//! there and as long as the log says.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;

use crate::buffer::location_url;
use crate::catalog::Catalog;
use crate::catalog::definition::RelationDef;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;
use crate::tables::{Snapshot, Stores, Table};

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Tables looked at.
    pub tables: usize,
    /// Data files looked at.
    pub files: usize,
    /// What is wrong, in the order it was found.
    pub findings: Vec<Finding>,
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

    fn add(&mut self, object: impl fmt::Display, problem: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding { object: object.to_string(), problem: problem.into(), remedy: remedy.into() });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{}: {}\n  do: {}", finding.object, finding.problem, finding.remedy)?;
        }
        let verdict = if self.is_sound() { "sound".to_owned() } else { format!("{} problems", self.findings.len()) };
        write!(f, "{} tables, {} files: {verdict}", self.tables, self.files)
    }
}

pub(super) async fn run(config: &Config, folder: &Path) -> Result<Report> {
    let mut report = Report::default();
    let catalog = Catalog::open(&folder.join("catalog.sqlite"))?;
    for problem in catalog.check()? {
        report.add(problem.object, problem.message, problem.hint);
    }
    let stores = Arc::new(Stores::new(config.store_options.clone())?);
    for relation in catalog.snapshot().relations().filter(|relation| relation.table().is_some()) {
        report.tables += 1;
        match open(relation, &stores).await {
            Ok(table) => check_files(relation, &table.snapshot(), &mut report).await?,
            Err(error) => report.add(
                format!("table \"{}\"", relation.name),
                error.to_string(),
                "Restore the table's folder from a backup, or DROP TABLE; the other tables are not affected.",
            ),
        }
    }
    Ok(report)
}

async fn open(relation: &RelationDef, stores: &Arc<Stores>) -> Result<Arc<Table>> {
    let location = relation.table().map(|table| table.location.as_str()).unwrap_or_default();
    Table::open(stores, &Clock::Real, &location_url(location)?).await
}

async fn check_files(relation: &RelationDef, snapshot: &Snapshot, report: &mut Report) -> Result<()> {
    let listed: HashMap<String, u64> = snapshot
        .store()
        .list(Some(snapshot.root()))
        .map_ok(|object| (object.location.to_string(), object.size))
        .try_collect()
        .await
        .map_err(|error| crate::error::Error::new(crate::error::ErrorKind::IoError, error.to_string()))?;
    for file in snapshot.files().iter() {
        report.files += 1;
        let path = snapshot.object_path(file)?.to_string();
        let problem = match listed.get(&path) {
            None => "the file is missing".to_owned(),
            Some(size) if *size != file.size_bytes => {
                format!("the file has {size} bytes, the log says {}", file.size_bytes)
            }
            Some(_) => continue,
        };
        report.add(
            format!("table \"{}\", file {path}", relation.name),
            problem,
            format!(
                "Bring the file back from a backup, or RESTORE TABLE {} TO VERSION AS OF one without it.",
                relation.name
            ),
        );
    }
    Ok(())
}
