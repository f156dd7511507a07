//! The page that `infra import` prints: YAML, and in comments what is not in it and why.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    compose::recognise::{Difference, Proposal},
    engine::Error,
    report::visible,
};

/// Names of others are shown in comments only after [`visible`], which leaves no line break in them.
pub(super) fn render(
    environment: &str,
    proposal: &Proposal,
    differences: &BTreeSet<Difference>,
) -> Result<String, Error> {
    let mut page = String::new();
    let mut line = |text: &str| {
        let _ = writeln!(page, "# {text}");
    };
    if proposal.added.is_empty() {
        line(&format!(
            "Nothing that environment {environment} could declare exists beside what it declares."
        ));
    } else {
        line(&format!(
            "What exists and environment {environment} does not declare. Put it into a file of its folder, look it"
        ));
        line(&format!(
            "over, and then `infra import -e {environment} --adopt all` writes our mark on it and changes nothing else."
        ));
    }
    for section in proposal.added.sections()? {
        let _ = write!(page, "\n{section}");
    }
    let mut line = |text: &str| {
        let _ = writeln!(page, "{}", if text.is_empty() { String::new() } else { format!("# {text}") });
    };
    if !differences.is_empty() {
        line("");
        line("What exists is not quite what this declares. Once it is adopted, infra plan would show:");
        for Difference { address, what, details } in differences {
            line(&format!("  {} {}", visible(address.as_str()), visible(what)));
            for detail in details {
                line(&format!("      {}", visible(detail)));
            }
        }
    }
    if !proposal.remarks.is_empty() {
        line("");
        line("Not in here, or to be looked at:");
        for remark in &proposal.remarks {
            line(&format!("  {}: {}", visible(&remark.about), visible(&remark.why)));
        }
    }
    Ok(page)
}
