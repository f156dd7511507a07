//! What `infra access` tells: a table, CSV, or why somebody may do something.

mod csv;
#[cfg(test)]
mod tests;
mod why;

pub use csv::csv;
pub use why::why;

use super::{
    escape,
    grid::{self, Row},
    paint::{Manner, Page},
};
use crate::model::access_matrix::{AccessMatrix, Entry, Right, Who, WhoKind};

/// Columns of text before a table goes on below itself.
const WIDTH: usize = 118;

/// The table, and every difference.
pub fn table(matrix: &AccessMatrix, colour: bool) -> String {
    let mut page = Page::new(if colour { Manner::Colour } else { Manner::Plain });
    let several = matrix.places.iter().any(|place| place.cluster != matrix.places[0].cluster);
    let columns: Vec<String> = matrix
        .places
        .iter()
        .map(|place| {
            let label = place.label();
            let short = label.strip_prefix(&format!("{}/", place.cluster)).filter(|_| !several);
            short.unwrap_or(&label).to_owned()
        })
        .collect();
    let row = |who: &Who| Row {
        title: title(who),
        cells: matrix
            .places
            .iter()
            .map(|place| matrix.entry(who, place).map_or_else(|| "-".into(), cell))
            .collect(),
    };
    let rows: Vec<Row> = matrix.who.iter().map(row).collect();
    if rows.is_empty() || columns.is_empty() {
        page.bare("Nobody may do anything: nothing is declared.");
    } else {
        grid::draw(&mut page, "who", &columns, &rows, WIDTH);
        let marked = if matrix.compared { "; !: differs" } else { "" };
        let legend = format!(
            "owns: everything; writes, reads: data; some: single objects; connects: nothing else; -: nothing{marked}"
        );
        let legend = page.dim(&legend);
        page.bare(&legend);
    }
    if matrix.compared {
        differences(&mut page, matrix);
    }
    page.finish()
}

fn differences(page: &mut Page, matrix: &AccessMatrix) {
    let differing: Vec<&Entry> = matrix.entries.iter().filter(|entry| entry.differs()).collect();
    for entry in &differing {
        page.bare("");
        page.bare(&escape::line(&format!("{} in {}:", title(&entry.who), entry.place.label())));
        for (sign, rights) in [("+", &entry.extra), ("-", &entry.missing)] {
            for right in rights {
                let sign = if sign == "+" { page.green(sign) } else { page.red(sign) };
                page.bare(&format!("  {sign} {}", escape::line(&told(right))));
            }
        }
    }
    if !matrix.unreadable.is_empty() {
        page.bare("");
    }
    for (what, why) in &matrix.unreadable {
        page.bare(&escape::line(&format!("Not compared: {what}: {why}")));
    }
    page.bare("");
    page.bare(&if differing.is_empty() && matrix.unreadable.is_empty() {
        "No differences. The servers let everybody do what is declared, and nothing else.".to_owned()
    } else {
        let extra: usize = differing.iter().map(|entry| entry.extra.len()).sum();
        let missing: usize = differing.iter().map(|entry| entry.missing.len()).sum();
        format!("Differences: {extra} more than declared (+), {missing} less (-). infra plan shows what mends them.")
    });
}

/// `SELECT on table app.item, by dev_ana -> dev_backend`.
fn told(right: &Right) -> String {
    format!("{}, by {}", right.text(), right.chain())
}

fn cell(entry: &Entry) -> String {
    let declared = entry.declared.level;
    let level = match &entry.actual {
        Some(actual) if actual.level != declared => format!("{} -> {}", declared.word(), actual.level.word()),
        _ => declared.word().to_owned(),
    };
    if entry.differs() { format!("{level} !") } else { level }
}

/// A person under her name, everybody else under his login.
fn title(who: &Who) -> String {
    match who.kind {
        WhoKind::Person => format!("{} ({})", who.name, who.login),
        WhoKind::Unknown => format!("{} (unknown)", who.login),
        WhoKind::Service | WhoKind::Infra => who.login.clone(),
    }
}
