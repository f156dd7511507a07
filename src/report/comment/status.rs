//! The life of a comment: what became of the plan that it shows. The plan itself stays as it was approved.

use std::fmt::Write as _;

use super::marker::encode;
use crate::report::{
    Account, count,
    markdown::{code, fence, prose},
};

/// So many failures are told, each so far.
const FAILURES: usize = 5;
const MESSAGE: usize = 300;
/// So many lines of a difference are told.
const LINES: usize = 40;
/// A status that is longer is told in one line.
const MOST: usize = 5_000;
/// A comment with its status: what GitHub takes, and a little less.
const ALL: usize = 65_400;

/// What became of a plan.
#[derive(Clone, Debug)]
pub enum Status<'a> {
    Applying,
    /// It ended, well or not; `planned` counts all changes.
    Ended {
        account: &'a Account,
        planned: usize,
    },
    /// All was done, and something differs all the same; why.
    Differs(&'a str),
    /// It ended before anything was changed, and why.
    Refused(&'a str),
    /// What would be applied is not what was approved; a line for each difference.
    Stale(&'a [String]),
}

impl Status<'_> {
    /// `run` is a link to the run, if there is one.
    pub fn markdown(&self, run: Option<&str>) -> String {
        let run = run.map_or_else(|| "a run".into(), |run| format!("in {run}"));
        match self {
            Self::Applying => format!("**Applying** {run} ..."),
            Self::Ended { account, planned } if account.is_complete() => format!(
                "**Applied** ✔ {run}: {} added, {} changed, {} destroyed ({planned} of {planned}).",
                account.added, account.changed, account.destroyed
            ),
            Self::Ended { account, planned } => {
                let done = account.applied.len();
                let mut lines = vec![format!("**Failed** ✘ {run} ({done} of {planned} done).")];
                for failed in account.failed.iter().take(FAILURES) {
                    let message: String = failed.error.join(": ").chars().take(MESSAGE).collect();
                    lines.push(format!("- {}: {}", code(failed.address.as_str()), prose(&message)));
                }
                let told = account.failed.len().min(FAILURES);
                let waiting = account.skipped.len() + account.not_attempted.len();
                if account.failed.len() > told {
                    lines.push(format!("- ... and {} more failed", account.failed.len() - told));
                }
                if waiting > 0 {
                    lines.push(format!("- not attempted: {}", count(waiting, "change")));
                }
                lines.join("\n")
            }
            Self::Refused(why) => format!("**Not applied** ✘ {run}: {}", short(why)),
            Self::Differs(why) => format!("**Applied, but not complete** ✘ {run}: {}", short(why)),
            Self::Stale(difference) => {
                let told: Vec<&str> = difference.iter().take(LINES).map(String::as_str).collect();
                let mut told = told.join("\n");
                if difference.len() > LINES {
                    let _ = write!(told, "\n... and {} more", difference.len() - LINES);
                }
                let told: String = told.chars().take(MOST / 2).collect();
                let said = format!(
                    "**Not applied** ✘ {run}: the plan has changed since this one was approved, and nothing was changed. \
                     Plan again, and have that approved."
                );
                if told.is_empty() { said } else { format!("{said}\n\n{}", fence("diff", &told)) }
            }
        }
    }
}

fn short(why: &str) -> String {
    prose(&why.chars().take(MESSAGE).collect::<String>())
}

fn ends(environment: &str) -> (String, String) {
    let environment = encode(environment);
    (format!("<!-- infra:status env={environment} -->"), format!("<!-- infra:end env={environment} -->"))
}

/// Where a status will stand.
pub(super) fn slot(environment: &str) -> String {
    let (begin, end) = ends(environment);
    format!("{begin}\n{end}\n")
}

/// The comment with this as the status of one environment. `None` if it has no place for one.
pub fn with_status(body: &str, environment: &str, status: &str) -> Option<String> {
    let (begin, end) = ends(environment);
    // Whole lines only: nothing that a plan shows stands at the start of one.
    let lines: Vec<&str> = body.lines().map(str::trim_end).collect();
    let start = lines.iter().position(|line| *line == begin)?;
    let stop = start + lines[start..].iter().position(|line| *line == end)?;
    let (head, tail) = (lines[..=start].join("\n"), lines[stop..].join("\n"));
    let room = ALL.saturating_sub(head.chars().count() + tail.chars().count());
    // The first line of a status says all that must be said.
    let short = status.lines().next().unwrap_or_default();
    let status = if status.chars().count() <= MOST.min(room) { status } else { short };
    Some(format!("{head}\n\n{status}\n\n{tail}\n"))
}

/// The comment with its headings struck through: another took its place. Idempotent.
pub fn superseded(body: &str) -> String {
    let strike = |line: &str| match line.strip_prefix("### ") {
        Some(heading) if !heading.starts_with("~~") => format!("### ~~{heading}~~"),
        _ => line.to_owned(),
    };
    body.lines().map(strike).collect::<Vec<_>>().join("\n")
}
