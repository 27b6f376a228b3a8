//! What the tab key offers: SQL's words and the names in the database.

use headwater::{OutputFormat, Reply};
use rustyline::completion::{Completer, Pair};
use rustyline::{Context, Helper};

use crate::shell::Shell;

const WORDS: &str = "ADD ALL ALTER ANALYZE AND AS ASC BETWEEN BY CASE CAST CHECK CLUSTER COLUMN COMMENT CONFLICT \
    CONSTRAINT COPY CREATE CROSS DEFAULT DELETE DESC DESCRIBE DISTINCT DO DROP ELSE END EXCEPT EXCLUDED EXISTS \
    EXPLAIN FALSE FROM FULL GROUP HAVING HISTORY IF IN INNER INSERT INTERSECT INTERVAL INTO IS JOIN LEFT LIKE LIMIT \
    LOCATION MERGE NOT NOTHING NULL OFFSET ON OPTIMIZE OR ORDER OUTER OVER PARTITION PARTITIONED PRIMARY KEY RENAME \
    RESTORE RETURNING RIGHT SCHEMA SELECT SET SHOW TABLE THEN TIMESTAMP TO TRUE TRUNCATE UNION UPDATE USING VACUUM \
    VALUES VERSION VIEW WHEN WHERE WITH ZORDER";

const NAMES: &str = "SELECT table_name FROM information_schema.tables \
    UNION SELECT column_name FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1";

/// The words that complete a prefix.
pub struct Completion {
    words: Vec<String>,
}

impl Completion {
    /// SQL's words and the names that exist now; a database that cannot be asked offers the words alone.
    pub async fn of(shell: &Shell) -> Self {
        let mut words: Vec<String> = WORDS.split_whitespace().map(str::to_owned).collect();
        let mut names = Vec::new();
        if let Ok(Reply::Rows(rows)) = shell.session().sql(NAMES).await
            && shell.session().write_rows(rows, OutputFormat::Csv, &mut names).await.is_ok()
        {
            words.extend(String::from_utf8_lossy(&names).lines().skip(1).map(str::to_owned));
        }
        Self { words }
    }

    /// The words that begin as `prefix` does, in any case.
    fn matching(&self, prefix: &str) -> Vec<Pair> {
        let begins = |word: &&String| {
            word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
                && word.len() > prefix.len()
        };
        let pair = |word: &String| Pair { display: word.clone(), replacement: word.clone() };
        if prefix.is_empty() { Vec::new() } else { self.words.iter().filter(begins).map(pair).collect() }
    }
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..position];
        let start = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        let start = (start..=position).find(|at| before.is_char_boundary(*at)).unwrap_or(position);
        Ok((start, self.matching(&before[start..])))
    }
}

impl rustyline::hint::Hinter for Completion {
    type Hint = String;
}

impl rustyline::highlight::Highlighter for Completion {}
impl rustyline::validate::Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests;
