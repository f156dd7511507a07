//! What a plan would still change once everything is adopted: where what exists is weaker than what is declared.

use std::collections::BTreeSet;

use super::Added;
use crate::{
    compose::compose,
    engine::{Action, Cycle, plan},
    model::{
        Address,
        environment::Environment,
        names::{IAM, Names},
    },
    resources::{Any, Ours, Seen, as_adopted},
};

/// One change that would follow the adoption.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    pub address: Address,
    /// `will be created`, `will be updated in-place`, or why it is held.
    pub what: String,
    /// Each attribute that differs.
    pub details: Vec<String>,
}

/// Compares what would be declared with what exists, as if all of it had our mark.
///
/// # Errors
/// When resources depend on each other in a circle.
pub fn differences(
    name: &str,
    environment: &Environment,
    added: &Added,
    seen: Seen,
) -> Result<BTreeSet<Difference>, Cycle> {
    let merged = added.to(environment);
    let desired = compose(name, &merged);
    let before = compose(name, environment).resources;
    let new: BTreeSet<Address> =
        desired.resources.keys().filter(|address| !before.contains_key(*address)).cloned().collect();
    let ours = Ours { environment: name, names: &Names::of(&merged) };
    let world = as_adopted(seen, &desired, ours);
    let steps = plan(&desired, &world)?.steps.into_iter().filter(|step| new.contains(&step.address));
    let differences = steps.filter_map(|step| {
        let (what, details) = match &step.action {
            Action::Keep => return None,
            Action::Create { .. } => ("will be created".to_owned(), Vec::new()),
            Action::Update { old, new } => ("will be updated in-place".into(), details(old, new)),
            Action::Replace { old, new, .. } => ("must be replaced".into(), details(old, new)),
            Action::Delete { .. } => ("will be destroyed".into(), Vec::new()),
            Action::Hold { why } => (format!("is held: {why}"), Vec::new()),
        };
        Some(Difference { address: step.address.clone(), what, details })
    });
    Ok(differences.collect())
}

/// `attribute = before -> after`, by attribute; maps by their own keys.
fn details(old: &Any, new: &Any) -> Vec<String> {
    let (Ok(old), Ok(new)) = (serde_json::to_value(old), serde_json::to_value(new)) else {
        return Vec::new();
    };
    let mut details = Vec::new();
    walk("", &old, &new, &mut details);
    let password = details.iter().any(|line| line.starts_with(&format!("member_of.{IAM} ")));
    if password {
        details.push("from then on it logs in by IAM token, and no password lets it in any more".into());
    }
    details
}

fn walk(path: &str, old: &serde_json::Value, new: &serde_json::Value, details: &mut Vec<String>) {
    use serde_json::Value;
    if old == new {
        return;
    }
    if let (Value::Object(before), Value::Object(after)) = (old, new) {
        for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
            walk(&path, &of(before), &of(after), details);
        }
        return;
    }
    if path == "mark" {
        return;
    }
    details.push(format!("{path} = {old} -> {new}"));
}
