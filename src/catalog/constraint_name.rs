//! The names that constraints get when their declaration gives none, as PostgreSQL makes them.

use crate::catalog::definition::ConstraintKind;
use crate::catalog::name::NAME_BYTES_MAX;

/// A name for a constraint of `table` that none of `taken` has: `t_pkey`, `t_a_b_key`, `t_a_check`, `t_check1`, `t_a_fkey`.
/// For CHECK, `columns` are those that the expression reads: one gives the name, more give none.
pub fn choose(table: &str, columns: &[String], kind: &ConstraintKind, taken: &[&str]) -> String {
    let (middle, label) = match kind {
        ConstraintKind::PrimaryKey { .. } => (String::new(), "pkey"),
        ConstraintKind::Unique { .. } => (columns.join("_"), "key"),
        ConstraintKind::ForeignKey { .. } => (columns.join("_"), "fkey"),
        ConstraintKind::Check { .. } if columns.len() == 1 => (columns[0].clone(), "check"),
        ConstraintKind::Check { .. } => (String::new(), "check"),
    };
    let mut number = 0_u32;
    loop {
        let label = if number == 0 { label.to_owned() } else { format!("{label}{number}") };
        let name = shortened(table, &middle, &label);
        if !taken.contains(&name.as_str()) {
            return name;
        }
        number += 1;
    }
}

/// `table_middle_label` within the longest name; the longer of the first two gives way, as in PostgreSQL.
fn shortened(table: &str, middle: &str, label: &str) -> String {
    let (mut table, mut middle) = (table.to_owned(), middle.to_owned());
    let separators = if middle.is_empty() { 1 } else { 2 };
    while table.len() + middle.len() + label.len() + separators > NAME_BYTES_MAX {
        let longer = if table.len() > middle.len() { &mut table } else { &mut middle };
        if longer.pop().is_none() {
            break;
        }
    }
    if middle.is_empty() { format!("{table}_{label}") } else { format!("{table}_{middle}_{label}") }
}
