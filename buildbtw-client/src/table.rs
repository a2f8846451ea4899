//! Tables: columns by the width that a terminal gives each character.

use std::io::{self, Write};

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use crate::style;
use crate::words::{harmless, wrap};

/// Spaces between two columns.
const GAP: usize = 2;

/// The least width that is left to the last column.
const LAST_MIN: usize = 20;

/// How many lines the last column has beside the others; what is longer stands below them.
const LINES: usize = 3;

/// How far to the right it stands below them.
const BELOW: usize = 4;

/// One field of a table.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A field in a colour.
    pub fn new(text: impl AsRef<str>, style: Style) -> Self {
        Self {
            text: harmless(text.as_ref()),
            style,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, style::PLAIN)
    }
}

/// A table. The last column may be long: it is broken at spaces and goes on in the next line, or
/// stands below the others as a whole, so that nothing is lost and the others stay readable.
#[derive(Debug, Default)]
pub struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    /// A table with a head for each column.
    pub fn new(heads: &[&'static str]) -> Self {
        Self {
            heads: heads.to_vec(),
            ..Self::default()
        }
    }

    /// A table without heads.
    pub fn bare() -> Self {
        Self::default()
    }

    /// The same, moved to the right.
    pub fn indented(mut self, columns: usize) -> Self {
        self.indent = columns;
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes it, `width` columns wide where the words allow it. Columns without any text are
    /// left out.
    pub fn write(&self, out: &mut dyn Write, width: usize) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let used: Vec<usize> = (0..columns)
            .filter(|&column| {
                self.rows
                    .iter()
                    .any(|row| row.get(column).is_some_and(|cell| !cell.text.is_empty()))
            })
            .collect();
        let Some((&last, front)) = used.split_last() else {
            return Ok(());
        };
        let widths: Vec<usize> = front
            .iter()
            .map(|&column| {
                let head = self.heads.get(column).map_or(0, |head| head.width());
                let widest = self
                    .rows
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.text.width())
                    .max();
                head.max(widest.unwrap_or(0))
            })
            .collect();
        let before = self.indent + widths.iter().map(|width| width + GAP).sum::<usize>();
        let room = width.saturating_sub(before).max(LAST_MIN);
        if !self.heads.is_empty() {
            let head: Vec<Cell> = self
                .heads
                .iter()
                .map(|head| Cell::new(head, style::FAINT))
                .collect();
            self.write_row(out, &head, front, &widths, last, before, room)?;
        }
        for row in &self.rows {
            self.write_row(out, row, front, &widths, last, before, room)?;
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one layout, used for heads and rows"
    )]
    fn write_row(
        &self,
        out: &mut dyn Write,
        row: &[Cell],
        front: &[usize],
        widths: &[usize],
        last: usize,
        before: usize,
        room: usize,
    ) -> io::Result<()> {
        let empty = Cell::default();
        let cell = |column: usize| row.get(column).unwrap_or(&empty);
        let text = &cell(last).text;
        let mut lines = wrap(text, room);
        let below = lines.len() > LINES || lines.iter().any(|line| line.width() > room);
        let below = below && !front.is_empty();
        if below {
            lines = wrap(text, (before + room).saturating_sub(self.indent + BELOW));
        }
        let has_tail = !text.is_empty() && !below;
        write!(out, "{:1$}", "", self.indent)?;
        let filled = front
            .iter()
            .rposition(|&column| !cell(column).text.is_empty());
        for (place, (&column, width)) in front.iter().zip(widths).enumerate() {
            if !has_tail && filled.is_none_or(|filled| place > filled) {
                break;
            }
            let Cell { text, style } = cell(column);
            write!(out, "{style}{text}{style:#}")?;
            // No spaces at the end of a line.
            if has_tail || filled.is_some_and(|filled| place < filled) {
                write!(out, "{:1$}", "", width + GAP - text.width())?;
            }
        }
        let style = cell(last).style;
        let margin = if below { self.indent + BELOW } else { before };
        if below {
            writeln!(out)?;
        }
        for (number, line) in lines.iter().enumerate() {
            if number > 0 || below {
                write!(out, "{:margin$}", "")?;
            }
            if line.is_empty() {
                writeln!(out)?;
            } else {
                writeln!(out, "{style}{line}{style:#}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(table: &Table, width: usize) -> String {
        let mut out = Vec::new();
        table.write(&mut out, width).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    #[test]
    fn columns_stand_under_each_other_whatever_the_script() {
        let mut table = Table::new(&["NAME", "STATUS", "NOTE"]);
        table.row(["漢字".into(), "built".into(), "x".into()]);
        table.row(["ab".into(), "pending".into(), "".into()]);
        assert_eq!(
            shown(&table, 80),
            "NAME  STATUS   NOTE\n漢字  built    x\nab    pending\n"
        );
    }

    #[test]
    fn the_last_column_goes_on_in_the_next_line() {
        let mut table = Table::bare().indented(2);
        table.row(["name".into(), "one two three four five six".into()]);
        assert_eq!(
            shown(&table, 30),
            "  name  one two three four\n        five six\n"
        );
    }

    #[test]
    fn a_long_last_column_stands_below_the_others() {
        let mut table = Table::new(&["NAME", "NOTE"]);
        table.row([
            "a-name".into(),
            "one two three four five six seven eight nine ten".into(),
        ]);
        table.row(["b".into(), "a-word-that-is-wider-than-that".into()]);
        table.row(["c".into(), "short".into()]);
        assert_eq!(
            shown(&table, 28),
            "NAME    NOTE\na-name  one two three four\n        five six seven eight\n        nine ten\n\
             b\n    a-word-that-is-wider-than-that\nc       short\n"
        );
        table.row([
            "d".into(),
            "one two three four five six seven eight nine ten eleven twelve".into(),
        ]);
        assert!(
            shown(&table, 28).contains("d\n    one two three four five\n    six seven"),
            "{}",
            shown(&table, 28)
        );
    }

    #[test]
    fn empty_columns_are_left_out() {
        let mut table = Table::new(&["A", "B", "C"]);
        table.row(["1".into(), "".into(), "3".into()]);
        assert_eq!(shown(&table, 80), "A  C\n1  3\n");
        assert_eq!(shown(&Table::new(&["A"]), 80), "");
    }
}
