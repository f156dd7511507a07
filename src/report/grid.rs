//! A table in text: a line for each row, a column for each thing, going on below itself where it gets too wide.

use std::fmt::Write as _;

use super::{escape, paint::Page};

/// One row: what it is, and its cells by the number of their column.
pub(super) struct Row {
    pub(super) title: String,
    pub(super) cells: Vec<String>,
}

/// Draws it, no line wider than `width` where that can be. Texts are made visible here.
pub(super) fn draw(page: &mut Page, title: &str, columns: &[String], rows: &[Row], width: usize) {
    let wide = |text: &str| text.chars().count();
    let columns: Vec<String> = columns.iter().map(|column| escape::visible(column)).collect();
    let titles: Vec<String> = rows.iter().map(|row| escape::visible(&row.title)).collect();
    let first = titles.iter().map(|title| wide(title)).chain([wide(title)]).max().unwrap_or_default();
    let cell =
        |row: &Row, place: usize| row.cells.get(place).map(|text| escape::visible(text)).unwrap_or_default();
    let widths: Vec<usize> = (columns.iter().enumerate())
        .map(|(place, column)| rows.iter().map(|row| wide(&cell(row, place))).chain([wide(column)]).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut from = 0;
    while from < columns.len() {
        let mut used = first;
        let fits = widths[from..].iter().take_while(|wide| {
            used += 2 + **wide;
            used <= width
        });
        let to = from + fits.count().max(1);
        if from > 0 {
            page.bare("");
        }
        let mut head = format!("{title:<first$}");
        for (column, wide) in columns.iter().zip(&widths).take(to).skip(from) {
            let _ = write!(head, "  {column:<wide$}");
        }
        let head = page.bold(head.trim_end());
        page.bare(&head);
        for (row, title) in rows.iter().zip(&titles) {
            let mut line = format!("{title:<first$}");
            for (place, wide) in widths.iter().enumerate().take(to).skip(from) {
                let _ = write!(line, "  {:<wide$}", cell(row, place));
            }
            page.bare(&escape::line(line.trim_end()));
        }
        from = to;
    }
}
