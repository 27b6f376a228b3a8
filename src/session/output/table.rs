//! A result as a table of text, as psql prints it.

use crate::catalog::pg_type::PgType;
use crate::session::cells::Cells;
use crate::session::reply::Column;

/// Rows that decide the widths of the columns; longer values that come later stick out.
const ROWS_MEASURED: usize = 1000;

/// Prints rows once the widths are known.
pub(super) struct TablePrinter {
    names: Vec<String>,
    numeric: Vec<bool>,
    held: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
}

impl TablePrinter {
    pub(super) fn new(columns: &[Column]) -> Self {
        let numeric = |column: &Column| {
            use PgType as P;
            matches!(column.pg_type, P::Int2 | P::Int4 | P::Int8 | P::Float4 | P::Float8 | P::Numeric(_) | P::Oid)
        };
        Self {
            names: columns.iter().map(|column| column.name.clone()).collect(),
            numeric: columns.iter().map(numeric).collect(),
            held: Vec::new(),
            widths: None,
        }
    }

    /// Takes the rows of a batch.
    pub(super) fn push(&mut self, cells: &[Cells<'_>], rows: usize, out: &mut Vec<u8>) {
        for row in 0..rows {
            self.held.push(cells.iter().map(|cell| text(cell, row)).collect());
            if self.widths.is_some() || self.held.len() == ROWS_MEASURED {
                self.flush(out);
            }
        }
    }

    /// Prints what is held and the number of rows.
    pub(super) fn finish(mut self, rows: u64, out: &mut Vec<u8>) {
        self.flush(out);
        let noun = if rows == 1 { "row" } else { "rows" };
        out.extend_from_slice(format!("({rows} {noun})\n\n").as_bytes());
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let widths = match self.widths.take() {
            Some(widths) => widths,
            None => {
                let widths = self.measure(&held);
                self.print_head(&widths, out);
                widths
            }
        };
        for row in &held {
            self.print_row(row, &widths, out);
        }
        self.widths = Some(widths);
    }

    fn measure(&self, rows: &[Vec<String>]) -> Vec<usize> {
        let width = |(index, name): (usize, &String)| {
            let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
            cells.chain([name.chars().count()]).max().unwrap_or(0)
        };
        self.names.iter().enumerate().map(width).collect()
    }

    fn print_head(&self, widths: &[usize], out: &mut Vec<u8>) {
        let names: Vec<String> =
            self.names.iter().zip(widths).map(|(name, width)| format!(" {name:^width$} ")).collect();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        out.extend_from_slice(format!("{}\n{}\n", names.join("|").trim_end(), rule.join("+")).as_bytes());
    }

    fn print_row(&self, row: &[String], widths: &[usize], out: &mut Vec<u8>) {
        let cell = |((text, width), numeric): ((&String, &usize), &bool)| match numeric {
            true => format!(" {text:>width$} "),
            false => format!(" {text:<width$} "),
        };
        let cells: Vec<String> = row.iter().zip(widths).zip(&self.numeric).map(cell).collect();
        out.extend_from_slice(cells.join("|").trim_end().as_bytes());
        out.push(b'\n');
    }
}

/// A cell on one line; NULL is empty, as in psql.
fn text(cell: &Cells<'_>, row: usize) -> String {
    if cell.is_null(row) {
        return String::new();
    }
    let mut text = Vec::new();
    cell.write_text(row, &mut text);
    String::from_utf8_lossy(&text).replace('\n', "\\n")
}
