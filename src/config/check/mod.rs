//! What types cannot say: names that must exist, limits of Postgres and AWS, and the rules of `protect`.
//!
//! Each check is a small function that adds problems. A check that asks for something to be *present* stays silent where a
//! part of the same thing did not fit its type: the missing part is probably the misspelt one, which is said already.

mod aurora;
mod backups;
mod clusters;
pub mod limits;
mod mongo;
mod mongo_authentication;
mod names;
pub mod naming;
mod people;
mod platform;
mod protect;
mod references;
mod services;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    problem::{Draft, Problems, did_you_mean},
    source::{Spot, quoted},
    structure::Unfit,
    tree::{Node, Value},
};
use crate::model::environment::{Environment, Platform};

/// What the checks look at.
pub(crate) struct Facts<'a> {
    /// The environment's name.
    pub(crate) name: &'a str,
    pub(crate) environment: &'a Environment,
    /// The tree the environment was made of, for places.
    pub(crate) root: &'a Node,
    pub(crate) start: Spot,
    pub(crate) unfit: &'a Unfit,
    pub(crate) names: Names,
    pub(crate) platform_known: bool,
}

/// Every name that is declared, also of what did not fit its type and so is not in the environment.
#[derive(Debug)]
pub(crate) struct Names(BTreeMap<&'static str, BTreeSet<String>>);

const SECTIONS: [&str; 6] =
    ["services", "people", "developer_groups", "clusters", "mongo_clusters", "backup_policies"];

impl Names {
    pub(crate) fn of(root: &Node) -> Self {
        let sections = SECTIONS.into_iter().map(|section| {
            let map = root.entry(&[section]).and_then(|entry| entry.node.map());
            let names = map.into_iter().flatten().filter(|(_, entry)| !entry.node.is_null());
            (section, names.map(|(name, _)| name.clone()).collect())
        });
        Self(sections.collect())
    }

    fn of_section(&self, section: &str) -> impl Iterator<Item = &String> + Clone {
        self.0.get(section).into_iter().flatten()
    }

    fn has(&self, section: &str, name: &str) -> bool {
        self.0.get(section).is_some_and(|names| names.contains(name))
    }
}

/// Runs every check.
pub(crate) fn all(facts: &Facts<'_>, problems: &mut Problems) {
    platform::check(facts, problems);
    names::check(facts, problems);
    naming::check(facts, problems);
    references::check(facts, problems);
    services::check(facts, problems);
    people::check(facts, problems);
    clusters::check(facts, problems);
    if facts.aws() {
        aurora::check(facts, problems);
    }
    backups::check(facts, problems);
    mongo::check(facts, problems);
    mongo_authentication::check(facts, problems);
    if facts.environment.protect {
        protect::check(facts, problems);
    }
}

impl Facts<'_> {
    /// Where the value at a path of keys is written, or the nearest thing around it that is.
    fn at(&self, path: &[&str]) -> Spot {
        (1..=path.len())
            .rev()
            .find_map(|length| {
                let entry = self.root.entry(&path[..length])?;
                Some(if length == path.len() { entry.node.spot } else { entry.key })
            })
            .unwrap_or(self.start)
    }

    /// Where the key at the end of a path is written.
    fn key(&self, path: &[&str]) -> Spot {
        self.root.entry(path).map_or_else(|| self.at(path), |entry| entry.key)
    }

    /// Where an item of a list is written.
    fn item(&self, path: &[&str], index: usize) -> Spot {
        match self.root.entry(path).map(|entry| &entry.node.value) {
            Some(Value::List(items)) => items.get(index).map_or_else(|| self.at(path), |item| item.spot),
            _ => self.at(path),
        }
    }

    /// On AWS for certain.
    fn aws(&self) -> bool {
        self.platform_known && matches!(self.environment.platform, Platform::Aws(_))
    }

    /// On the local platform for certain.
    fn local(&self) -> bool {
        self.platform_known && matches!(self.environment.platform, Platform::Local(_))
    }

    /// Whether a section holds all that its author wrote, so that a name it lacks does not exist. A key beside it that does
    /// not fit may be the section, misspelt.
    fn knows(&self, section: &str) -> bool {
        self.root.entry(&[section]).is_some_and(|entry| entry.node.map().is_some()) || self.unfit.spares_top()
    }

    /// Says that a name does not exist in a section, unless it does.
    fn refer(&self, problems: &mut Problems, section: &str, word: &str, name: &str, spot: Spot) -> bool {
        if self.names.has(section, name) {
            return true;
        }
        if self.knows(section) {
            let near = problems.near(name, self.names.of_section(section)).map(str::to_owned);
            let mend = did_you_mean(near.as_deref(), self.names.of_section(section));
            problems
                .add(spot, format!("there is no {word} {}", quoted(name)))
                .mend_if(mend.or_else(|| Some(format!("declare it under `{section}:`"))));
        }
        false
    }

    /// Says which items of a list are there twice.
    fn no_twins(&self, problems: &mut Problems, path: &[&str], items: &[String]) {
        let mut first: HashMap<&str, usize> = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            if let Some(earlier) = first.get(item.as_str()) {
                problems
                    .add(self.item(path, index), format!("{} is in `{}` twice", quoted(item), path.join(".")))
                    .also("first here", self.item(path, *earlier))
                    .mend("keep one of them");
            } else {
                first.insert(item, index);
            }
        }
    }
}

/// Says that something is demanded by `protect: true`, and where that is written.
fn demanded<'p>(facts: &Facts<'_>, problems: &'p mut Problems, spot: Spot, summary: String) -> &'p mut Draft {
    problems.add(spot, summary).also("demanded by this", facts.key(&["protect"]))
}
