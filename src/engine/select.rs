//! `--target` and `--exclude`: a part of a plan that can stand alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Plan, Step};
use crate::model::Address;

/// Which steps are wanted. Patterns are addresses in which `*` stands for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub targets: Vec<String>,
    pub excludes: Vec<String>,
}

/// A pattern that no address of the environment matches.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing in this environment has an address like `{pattern}`")]
pub struct UnknownTarget {
    pub pattern: String,
    /// The nearest addresses there are, nearest first.
    pub near: Vec<Address>,
}

/// Keeps what the selection wants, what that waits for, and drops what is excluded with all that waits for it.
/// Answers with the part of the plan and the number of changes left out.
///
/// # Errors
/// When a pattern matches nothing: a typing error must not read as "no changes".
pub fn select<R: Clone>(plan: &Plan<R>, selection: &Selection) -> Result<(Plan<R>, usize), UnknownTarget> {
    let matching = |patterns: &[String]| -> Result<BTreeSet<&Address>, UnknownTarget> {
        let mut all = BTreeSet::new();
        for pattern in patterns {
            let before = all.len();
            all.extend(plan.steps.iter().map(|step| &step.address).filter(|a| matches(pattern, a.as_str())));
            if all.len() == before && !plan.steps.iter().any(|step| matches(pattern, step.address.as_str())) {
                return Err(UnknownTarget { pattern: pattern.clone(), near: near(pattern, plan) });
            }
        }
        Ok(all)
    };
    let mut kept: BTreeSet<&Address> = plan.steps.iter().map(|step| &step.address).collect();
    if !selection.targets.is_empty() {
        let steps: BTreeMap<&Address, &Step<R>> =
            plan.steps.iter().map(|step| (&step.address, step)).collect();
        let mut open: Vec<&Address> = matching(&selection.targets)?.into_iter().collect();
        kept.clear();
        while let Some(address) = open.pop() {
            if kept.insert(address) {
                open.extend(steps.get(address).into_iter().flat_map(|step| &step.after));
            }
        }
    }
    let mut dropped = matching(&selection.excludes)?;
    // Steps stand in dependency order, so one pass finds all that waits for what is dropped.
    let mut going: BTreeSet<&Address> = BTreeSet::new();
    for step in plan.steps.iter().filter(|step| step.action.changes_anything()) {
        if dropped.contains(&step.address) || step.after.iter().any(|parent| going.contains(parent)) {
            going.insert(&step.address);
        }
    }
    dropped.extend(going);
    let changing = |plan: &Plan<R>| plan.steps.iter().filter(|step| step.action.changes_anything()).count();
    let steps: Vec<Step<R>> = (plan.steps.iter())
        .filter(|step| kept.contains(&step.address) && !dropped.contains(&step.address))
        .cloned()
        .collect();
    let part = Plan { steps, ..plan.clone() };
    let left_out = changing(plan) - changing(&part);
    Ok((part, left_out))
}

/// Whether `text` has the shape of `pattern`, in which `*` stands for any text, also none.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(previous) = last.replace(part) {
            let Some(at) = rest.find(previous) else { return false };
            rest = &rest[at + previous.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

fn near<R>(pattern: &str, plan: &Plan<R>) -> Vec<Address> {
    let mut by_distance: Vec<(f64, &Address)> = plan
        .steps
        .iter()
        .map(|step| (strsim::jaro_winkler(pattern, step.address.as_str()), &step.address))
        .collect();
    by_distance.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    by_distance
        .into_iter()
        .take(3)
        .filter(|(score, _)| *score > 0.6)
        .map(|(_, address)| address.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("pg_role.main/ana", "pg_role.main/ana", true),
            ("pg_role.*", "pg_role.main/ana", true),
            ("*/ana", "pg_role.main/ana", true),
            ("pg_*.main/*a", "pg_role.main/ana", true),
            ("*", "", true),
            ("pg_role.main", "pg_role.main/ana", false),
            ("a*a", "a", false),
            ("*role*role*", "pg_role.main", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
