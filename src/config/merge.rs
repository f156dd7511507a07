//! Laying trees over each other: the files of one folder beside each other, and a folder over the one it extends.

use std::collections::btree_map;

use super::{
    problem::Problems,
    shape::{ENVIRONMENT, Shape},
    source::quoted,
    tree::{Map, Node, Value},
};

/// Adds one more file of the same folder. Sections that are maps may be spread over files; a key given twice is a mistake,
/// because neither file is over the other.
pub(crate) fn join(root: &mut Node, file: Node, problems: &mut Problems) {
    let (Value::Map(into), Value::Map(from)) = (&mut root.value, file.value) else { return };
    for (name, entry) in from {
        match into.entry(name) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(entry);
            }
            btree_map::Entry::Occupied(mut first) => {
                let section = quoted(first.key());
                let first = first.get_mut();
                match (&mut first.node.value, entry.node.value) {
                    (Value::Map(section_map), Value::Map(more)) => {
                        for (name, entry) in more {
                            match section_map.entry(name) {
                                btree_map::Entry::Vacant(vacant) => {
                                    vacant.insert(entry);
                                }
                                btree_map::Entry::Occupied(first) => {
                                    let name = quoted(first.key());
                                    problems
                                        .add(entry.key, format!("{name} is given twice in {section}"))
                                        .also("first given here", first.get().key)
                                        .mend("keep one of them");
                                }
                            }
                        }
                    }
                    // `services:` with nothing behind it, as in a file that has only comments so far.
                    (_, Value::Null { written: false }) => {}
                    (value @ Value::Null { written: false }, other) => *value = other,
                    _ => {
                        problems
                            .add(entry.key, format!("{section} is given twice"))
                            .also("first given here", first.key)
                            .mend("keep one of them");
                    }
                }
            }
        }
    }
}

/// `over` laid over `base`: maps merge by key, everything else replaces, `null` removes.
pub(crate) fn overlay(base: Node, over: Node, problems: &mut Problems) -> Node {
    lay(base, over, Some(&ENVIRONMENT), problems)
}

fn lay(base: Node, over: Node, shape: Option<&Shape>, problems: &mut Problems) -> Node {
    match (base.value, over.value) {
        (Value::Map(below), Value::Map(above)) => {
            let value = if replaces(&below, &above, shape) {
                Value::Map(above)
            } else {
                Value::Map(lay_maps(below, above, shape, problems))
            };
            Node { spot: over.spot, value }
        }
        (_, value) => Node { spot: over.spot, value },
    }
}

/// `platform: {local: {}}` over `platform: {aws: ...}` is meant instead of it, not beside it.
fn replaces(below: &Map, above: &Map, shape: Option<&Shape>) -> bool {
    shape.is_some_and(Shape::is_one_of) && !above.keys().any(|key| below.contains_key(key))
}

fn lay_maps(mut below: Map, above: Map, shape: Option<&Shape>, problems: &mut Problems) -> Map {
    for (name, entry) in above {
        let Some(under) = below.remove(&name) else {
            below.insert(name, entry);
            continue;
        };
        match entry.node.value {
            Value::Null { written: true } if !under.node.is_null() => {}
            Value::Null { written: false } if !under.node.is_null() => {
                problems
                    .add(
                        entry.key,
                        format!("{} has no value here, but one in what this extends", quoted(&name)),
                    )
                    .also("its value", under.key)
                    .mend("write `null` to remove it, `{}` to change nothing, or delete the line");
                below.insert(name, under);
            }
            value => {
                let over = Node { spot: entry.node.spot, value };
                let shape = shape.and_then(|shape| shape.below(&name));
                let node = lay(under.node, over, shape, problems);
                below.insert(name, super::tree::Entry { key: entry.key, node });
            }
        }
    }
    below
}
