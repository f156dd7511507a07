//! What changed between the plan that was reviewed and the one that would be applied now.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    diff::{self, Attributes, Node},
    escape,
    view::{PlanView, ResourceChange, Verdict},
};

/// For people who must decide whether to approve again. Empty when apply would do the same.
pub fn difference(reviewed: &PlanView, now: &PlanView) -> String {
    let mut lines = Vec::new();
    if reviewed.environment != now.environment {
        lines.push(format!(
            "  the reviewed plan is for environment {}, this one for {}",
            escape::quoted(&reviewed.environment),
            escape::quoted(&now.environment)
        ));
    }
    let by_address = |view: &PlanView| -> BTreeMap<String, ResourceChange> {
        view.resource_changes.iter().map(|change| (change.address.to_string(), change.clone())).collect()
    };
    let (before, after) = (by_address(reviewed), by_address(now));
    let held: BTreeMap<&str, &str> =
        now.held.iter().map(|held| (held.address.as_str(), held.message.as_str())).collect();
    let addresses: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for address in addresses {
        let shown = escape::visible(address);
        match (before.get(address), after.get(address)) {
            (Some(old), None) => {
                let why = match held.get(address.as_str()) {
                    Some(message) => format!("is now held: {}", escape::visible(message)),
                    None => "is no longer in the plan".into(),
                };
                lines.push(format!("  - {shown} was to be {}, and {why}", word(old)));
            }
            (None, Some(new)) => {
                lines.push(format!(
                    "  + {shown} is now to be {}, and was not in the reviewed plan",
                    word(new)
                ));
            }
            (Some(old), Some(new)) if old.verdict() != new.verdict() => {
                lines.push(format!("  ~ {shown} was to be {}, and is now to be {}", word(old), word(new)));
            }
            (Some(old), Some(new)) => {
                let mut differing = sides(old, new);
                if differing.is_empty() && old.change != new.change {
                    differing.push("      why it changes differs".into());
                }
                if !differing.is_empty() {
                    lines.push(format!("  ~ {shown} is still to be {}, but differently:", word(new)));
                    lines.append(&mut differing);
                }
            }
            (None, None) => {}
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let digests = format!(
        "reviewed: sha256:{}\nnow:      sha256:{}",
        escape::visible(&reviewed.digest.to_string()),
        escape::visible(&now.digest.to_string())
    );
    format!("The plan is not the one that was reviewed:\n{}\n\n{digests}\n", lines.join("\n"))
}

fn word(change: &ResourceChange) -> &'static str {
    match change.verdict() {
        Verdict::Delete => "destroyed",
        Verdict::Replace => "replaced",
        Verdict::Update => "updated",
        Verdict::Create => "created",
    }
}

/// Attributes that start from, or lead to, something else.
fn sides(old: &ResourceChange, new: &ResourceChange) -> Vec<String> {
    let before = |change: &ResourceChange| diff::attributes(&change.change.before, None);
    let after =
        |change: &ResourceChange| diff::attributes(&change.change.after, Some(&change.change.after_unknown));
    let mut lines = attributes(&before(old), &before(new), "is now", "was");
    lines.extend(attributes(&after(old), &after(new), "becomes", "was to become"));
    lines
}

fn attributes(reviewed: &Attributes, now: &Attributes, is: &str, was: &str) -> Vec<String> {
    let keys: BTreeSet<&String> = reviewed.keys().chain(now.keys()).collect();
    let text = |node: Option<&Node>| node.map_or_else(|| "null".into(), Node::brief);
    (keys.into_iter())
        .filter(|key| reviewed.get(*key) != now.get(*key))
        .map(|key| {
            let (old, new) = (text(reviewed.get(key)), text(now.get(key)));
            format!("      {} {is} {new}, and {was} {old} when reviewed", escape::key(key))
        })
        .collect()
}
