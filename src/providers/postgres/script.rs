//! What a change runs, as data: a plan shows it, apply sends it, and both come from the same pure function.

use serde::Serialize;

/// Where a stage runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Place {
    /// The database from which shared catalogs are changed.
    Maintenance,
    Database(String),
}

/// Statements that are sent together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    pub place: Place,
    /// All or nothing; only what Postgres refuses inside a transaction goes without.
    pub transaction: bool,
    pub statements: Vec<String>,
}

/// All that one change runs, in order. Empty: there is nothing to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Script(pub Vec<Stage>);

impl Script {
    /// One transaction.
    pub fn transaction(place: Place, statements: Vec<String>) -> Self {
        Self::default().then(place, statements)
    }

    /// Another transaction behind; none if there is nothing to say in it.
    #[must_use]
    pub fn then(mut self, place: Place, statements: Vec<String>) -> Self {
        if !statements.is_empty() {
            self.0.push(Stage { place, transaction: true, statements });
        }
        self
    }

    /// A statement that stands outside of any transaction.
    #[must_use]
    pub fn then_alone(mut self, place: Place, statement: String) -> Self {
        self.0.push(Stage { place, transaction: false, statements: vec![statement] });
        self
    }

    /// Everything as text, in order.
    pub fn statements(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|stage| &stage.statements).map(String::as_str)
    }
}
