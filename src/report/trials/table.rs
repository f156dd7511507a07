//! Who may do what, as a table: a line for each login, a column for each database or schema.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        grid::{self, Row},
        paint::Page,
    },
    Trial, Trials,
};
use crate::model::access::{Observed, Operation};

/// Columns of text before a table goes on below itself.
const WIDTH: usize = 110;

impl Trials {
    pub(super) fn table(&self, page: &mut Page) {
        let several = self.has_several_clusters();
        let mut columns: Vec<String> = Vec::new();
        let mut cells: BTreeMap<&str, BTreeMap<String, Cell>> = BTreeMap::new();
        // A database of its own is one column; one that services share has one for each schema too.
        let mut schemas: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for trial in self.trials.iter().filter(|t| t.operation == Operation::Alter && t.object.is_none()) {
            let of = schemas.entry((&trial.cluster, &trial.database)).or_default();
            of.extend(trial.schema.as_deref());
        }
        for trial in &self.trials {
            let of = schemas.get(&(trial.cluster.as_str(), trial.database.as_str()));
            let merged = of.is_none_or(|schemas| schemas.len() < 2);
            let cluster = if several { format!("{}/", trial.cluster) } else { String::new() };
            let column = match &trial.schema {
                Some(schema) if !merged => format!("{cluster}{}.{schema}", trial.database),
                _ => format!("{cluster}{}", trial.database),
            };
            let cell = cells.entry(&trial.login).or_default().entry(column.clone()).or_default();
            cell.add(trial);
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        columns.sort();
        let rows: Vec<Row> = (cells.iter())
            .map(|(login, row)| Row {
                title: (*login).to_owned(),
                cells: columns.iter().map(|c| row.get(c).map_or_else(String::new, Cell::word)).collect(),
            })
            .collect();
        grid::draw(page, "login", &columns, &rows, WIDTH);
        if !columns.is_empty() {
            let legend = "owns: everything; writes, reads: data; temp: temporary tables only; connect: nothing else; \
                          -: nothing; !: differs";
            let legend = page.dim(legend);
            page.bare(&legend);
        }
    }
}

/// What one login may do in one place, in a word.
#[derive(Clone, Debug, Default)]
struct Cell {
    allowed: BTreeSet<Operation>,
    differences: usize,
}

impl Cell {
    fn add(&mut self, trial: &Trial) {
        // Single objects may be more open or less than what is to come; they are told where they differ.
        if trial.observed == Observed::Allowed && trial.object.is_none() {
            self.allowed.insert(trial.operation);
        }
        self.differences += usize::from(!trial.as_expected());
    }

    fn word(&self) -> String {
        use Operation as O;
        let may = |operation| self.allowed.contains(&operation);
        let word = if may(O::Alter) {
            "owns"
        } else if may(O::Insert) || may(O::Update) || may(O::Delete) {
            "writes"
        } else if may(O::Select) {
            "reads"
        } else if may(O::CreateTemporary) {
            "temp"
        } else if may(O::Connect) {
            "connect"
        } else if self.allowed.is_empty() {
            "-"
        } else {
            "usage"
        };
        if self.differences == 0 { word.into() } else { format!("{word} !{}", self.differences) }
    }
}
