//! The picture of an environment in the languages that others draw, and drawn.

mod dot;
mod layout;
mod mermaid;
mod svg;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::{PlanView, Verdict};
use crate::model::{
    Address,
    picture::{End, Fate, Kind, Picture},
};

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

/// What a plan does, by address.
pub fn fates(view: &PlanView) -> BTreeMap<Address, Fate> {
    let held = view.held.iter().map(|held| (held.address.clone(), Fate::Hold));
    let changed = view.resource_changes.iter().map(|change| {
        let fate = match change.verdict() {
            Verdict::Delete => Fate::Delete,
            Verdict::Replace => Fate::Replace,
            Verdict::Update => Fate::Update,
            Verdict::Create => Fate::Create,
        };
        (change.address.clone(), fate)
    });
    held.chain(changed).collect()
}

/// The sign of a fate, and a title.
fn titled(fate: Option<Fate>, title: &str) -> String {
    fate.map_or_else(|| title.to_owned(), |fate| format!("{} {title}", fate.sign()))
}

/// The word on a line: on those of groups, where both kinds go side by side.
fn word(picture: &Picture, from: End) -> bool {
    matches!(from, End::Node(node) if picture.nodes[node].kind == Kind::Group)
}

/// Nodes and frames that stand directly in a frame, or in none.
fn inside(picture: &Picture, frame: Option<usize>) -> (Vec<usize>, Vec<usize>) {
    let nodes = (0..picture.nodes.len()).filter(|node| picture.nodes[*node].frame == frame);
    let frames = (0..picture.frames.len()).filter(|inner| picture.frames[*inner].parent == frame);
    (nodes.collect(), frames.collect())
}

/// `8 services`, `1 cluster`: what a picture holds, for whoever cannot see it.
fn summary(picture: &Picture) -> String {
    let kinds = [
        (Kind::Person, "person", "people"),
        (Kind::Group, "group", "groups"),
        (Kind::Service, "service", "services"),
        (Kind::Database, "database", "databases"),
        (Kind::Instance, "instance", "instances"),
        (Kind::Backup, "backup policy", "backup policies"),
    ];
    let counted = kinds.iter().filter_map(|(kind, one, many)| {
        let number = picture.nodes.iter().filter(|node| node.kind == *kind).count();
        (number > 0).then(|| format!("{number} {}", if number == 1 { one } else { many }))
    });
    counted.collect::<Vec<_>>().join(", ")
}
