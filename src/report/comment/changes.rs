//! What a comment shows for people, once more for machines, and unseen: so that `apply` can say what differs from what was
//! approved when all it has is the comment.

use std::{collections::BTreeMap, fmt::Write as _};

use sha2::{Digest as _, Sha256};

use super::marker::{decode, encode};
use crate::report::{
    count, escape, text,
    view::{PlanView, ResourceChange, Verdict},
};

const BEGIN: &str = "<!-- infra:changes ";
const END: &str = "-->";

/// One line for each change, the dangerous first, for as long as there is room.
pub(super) fn hidden(view: &PlanView, most: usize) -> String {
    if view.resource_changes.is_empty() {
        return String::new();
    }
    let environment = encode(&view.environment);
    let mut lines = format!("{BEGIN}env={environment} total={}\n", view.resource_changes.len());
    for change in text::by_risk(view) {
        let (word, address) = (text::sign(change.verdict()).1, encode(change.address.as_str()));
        let line = format!("{word} {address} {}\n", fingerprint(change));
        if lines.len() + line.len() + END.len() > most {
            break;
        }
        lines.push_str(&line);
    }
    lines + END + "\n"
}

/// Enough to see that a change is another than the one that was approved; what approves is the digest.
fn fingerprint(change: &ResourceChange) -> String {
    let text = serde_json::to_string(&change.change).unwrap_or_default();
    let mut hex = String::with_capacity(8);
    for byte in Sha256::digest(text.as_bytes()).iter().take(4) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The changes of an approved plan, as its comment has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approved {
    /// How many there are; fewer may be told.
    total: usize,
    /// By address: what becomes of it, and a fingerprint.
    changes: BTreeMap<String, (String, String)>,
}

impl Approved {
    /// `None` if the comment has no such part of this environment.
    pub fn read(body: &str, environment: &str) -> Option<Self> {
        let begin = format!("{BEGIN}env={} total=", encode(environment));
        let mut lines = body.lines().skip_while(|line| !line.starts_with(&begin));
        let total = lines.next()?.trim_end().strip_prefix(&begin)?.parse().ok()?;
        let mut changes = BTreeMap::new();
        for line in lines.map(str::trim_end).take_while(|line| *line != END) {
            let mut words = line.split(' ');
            let (word, address) = (words.next()?, decode(words.next()?)?);
            changes.insert(address, (word.to_owned(), words.next()?.to_owned()));
        }
        Some(Self { total, changes })
    }

    /// What differs between the approved plan and the one that would be applied now, a line each.
    pub fn difference(&self, now: &PlanView) -> Vec<String> {
        let mut lines = Vec::new();
        let untold = self.total.saturating_sub(self.changes.len());
        let known: BTreeMap<&str, &ResourceChange> =
            now.resource_changes.iter().map(|change| (change.address.as_str(), change)).collect();
        let held: BTreeMap<&str, &str> =
            now.held.iter().map(|held| (held.address.as_str(), held.message.as_str())).collect();
        for (address, (word, _)) in
            self.changes.iter().filter(|(address, _)| !known.contains_key(address.as_str()))
        {
            let why = held.get(address.as_str()).map_or_else(
                || "is no longer in the plan".into(),
                |message| format!("is now held: {}", escape::visible(message)),
            );
            lines.push(format!("- {} was to be {}, and {why}", escape::visible(address), past(word)));
        }
        for (address, change) in known {
            let (shown, becomes) = (escape::visible(address), past(text::sign(change.verdict()).1));
            match self.changes.get(address) {
                // It may be one of those that the comment had no room for.
                None if untold > 0 && change.verdict() != Verdict::Delete => {}
                None => {
                    lines.push(format!("+ {shown} is now to be {becomes}, and was not in the approved plan"));
                }
                Some((word, _)) if *word != text::sign(change.verdict()).1 => {
                    lines.push(format!("~ {shown} was to be {}, and is now to be {becomes}", past(word)));
                }
                Some((_, old)) if *old != fingerprint(change) => {
                    lines.push(format!("~ {shown} is still to be {becomes}, but differently"));
                }
                Some(_) => {}
            }
        }
        if untold > 0 {
            let more = count(untold, "change");
            lines.push(format!(
                "({more} of the approved plan had no room in its comment and cannot be compared)"
            ));
        }
        lines
    }
}

fn past(word: &str) -> &str {
    match word {
        "destroy" => "destroyed",
        "replace" => "replaced",
        "update" => "updated",
        "create" => "created",
        _ => "changed",
    }
}
