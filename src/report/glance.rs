//! An update in a few words, for a line of a list.

use super::{diff, view::ResourceChange};

/// So many attributes are named.
const NAMED: usize = 3;
/// Two values longer than this together are not shown.
const SHORT: usize = 60;

/// The attributes that change.
pub(super) struct Glance {
    /// Each with its values before and after, where these are short.
    pub(super) named: Vec<(String, Option<(String, String)>)>,
    /// How many more there are.
    pub(super) more: usize,
}

/// What changes of an object that is updated.
pub(super) fn glance(change: &ResourceChange) -> Glance {
    let before = diff::attributes(&change.change.before, None);
    let after = diff::attributes(&change.change.after, Some(&change.change.after_unknown));
    let mut glance = Glance { named: Vec::new(), more: 0 };
    for (key, new) in &after {
        let old = before.get(key);
        if old == Some(new) {
            continue;
        }
        if glance.named.len() == NAMED {
            glance.more += 1;
            continue;
        }
        let (old, new) = (old.map_or_else(|| "null".into(), diff::Node::brief), new.brief());
        let long = old.len() + new.len() > SHORT || old.ends_with("...]") || old.ends_with("...}");
        glance.named.push((key.clone(), (!long).then_some((old, new))));
    }
    glance.more += before.keys().filter(|key| !after.contains_key(*key)).count();
    glance
}
