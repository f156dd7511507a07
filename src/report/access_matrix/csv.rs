//! The matrix as CSV (RFC 4180), a line for each login and place where it may something or differs.

use super::super::escape::visible;
use crate::model::access_matrix::{AccessMatrix, Level, Right, System};

const HEAD: [&str; 13] = [
    "who", "kind", "login", "system", "cluster", "database", "schema", "service", "declared", "actual",
    "extra", "missing", "through",
];

pub fn csv(matrix: &AccessMatrix) -> String {
    let mut text = line(&HEAD.map(str::to_owned));
    for entry in &matrix.entries {
        let place = &entry.place;
        let word = |level: Level| if level == Level::None { "none" } else { level.word() };
        let list = |rights: &[Right]| rights.iter().map(Right::text).collect::<Vec<_>>().join("; ");
        let actual = entry.actual.as_ref();
        let rights = actual.unwrap_or(&entry.declared);
        let mut chains: Vec<String> = rights.rights.iter().map(Right::chain).collect();
        chains.sort();
        chains.dedup();
        text.push_str(&line(&[
            entry.who.name.clone(),
            entry.who.kind.word().into(),
            entry.who.login.clone(),
            match place.system {
                System::Postgres => "postgres".into(),
                System::Mongodb => "mongodb".into(),
            },
            place.cluster.clone(),
            place.database.clone(),
            place.schema.clone().unwrap_or_default(),
            place.service.clone().unwrap_or_default(),
            word(entry.declared.level).into(),
            actual.map(|rights| word(rights.level).to_owned()).unwrap_or_default(),
            list(&entry.extra),
            list(&entry.missing),
            chains.join("; "),
        ]));
    }
    text
}

fn line(fields: &[String]) -> String {
    format!("{}\r\n", fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(","))
}

/// Quoted where it must be. What a spreadsheet would take for a formula begins with a quote there, so that it is text.
fn quoted(field: &str) -> String {
    let field = visible(field);
    let field = if field.starts_with(['=', '+', '-', '@']) { format!("'{field}") } else { field };
    if field.contains([',', '"', ' ']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}
