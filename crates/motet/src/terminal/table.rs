//! Plain tables: columns padded to their widest cell, two spaces between, no lines.

use super::ink;
use console::measure_text_width;

/// Rows of cells under a head. Cells may hold colours; their width is what is seen.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell));
            cells.chain([self.head[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(measure_text_width(cell)))));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let head: Vec<String> = self.head.iter().map(|text| ink::quiet().apply_to(text).to_string()).collect();
        std::iter::once(line(&head)).chain(self.rows.iter().map(|row| line(row))).collect()
    }

    pub(crate) fn print(&self) {
        self.lines().iter().for_each(super::print);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_blanks_at_the_end() {
        let mut table = Table::new(&["SERVICE", "X"]);
        table.row(vec!["a".into(), "1".into()]);
        table.row(vec!["embedder-long".into(), String::new()]);
        let lines: Vec<String> =
            table.lines().iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect();
        assert_eq!(lines, ["SERVICE        X", "a              1", "embedder-long"]);
    }
}
