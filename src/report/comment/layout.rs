//! What stands where in a comment, and what is left out when it does not fit. Destroys, refusals, what could not be read and
//! totals are never left out.

use std::collections::BTreeMap;

use super::Limit;
use crate::report::{
    count,
    glance::glance,
    markdown::{cell, code, fence, prose, prose_cell},
    text,
    view::{PlanView, ResourceChange, Verdict},
};

/// Full plans of fewer lines than this are shown unfolded.
const FEW_LINES: usize = 15;
/// So many names are listed where a list may be long, and all are told elsewhere or matter little.
const LISTED: usize = 20;
/// So many refusals of one kind are told each by itself.
const SAME_KIND: usize = 5;
/// What is put around a list of names: a marker, a heading, a title.
const AROUND: usize = 600;
/// A message of a server may be of any length.
const MESSAGE: usize = 400;

/// What is shown of a plan's objects below the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bodies {
    All,
    /// Without the counts of what is unchanged.
    NoContext,
    NoCreates,
    /// Of destroys and replacements.
    Dangerous,
    None,
}

/// The plan as a page without marker, life and origin.
pub fn page(view: &PlanView, limit: Limit) -> String {
    let digest = format!("\n\ndigest {}", code(&format!("sha256:{}", view.digest)));
    let (head, rest, more) = fitted(view, limit.without(&digest));
    let mut page = format!("{head}\n{rest}{digest}");
    for part in &more {
        page.push_str("\n\n");
        page.push_str(part);
    }
    page
}

/// The heading; the rest, within the limit; and what has to be told in further comments, each within the limit.
pub(super) fn fitted(view: &PlanView, limit: Limit) -> (String, String, Vec<String>) {
    let head = heading(view);
    let changes = text::by_risk(view);
    let limit = limit.without(&head);
    let all = join([caution(view), table(&changes, changes.len()), below(view)]);
    if limit.fits(&all) {
        for bodies in [Bodies::All, Bodies::NoContext, Bodies::NoCreates, Bodies::Dangerous, Bodies::None] {
            let full = if changes.is_empty() { String::new() } else { full(view, changes.len(), bodies) };
            let rest = join([caution(view), table(&changes, changes.len()), full, below(view)]);
            if limit.fits(&rest) {
                return (head, rest, Vec::new());
            }
        }
    }
    let (rest, more) = capped(view, &changes, limit);
    (head, rest, more)
}

/// Without bodies; with as many lines of the table as there is room for.
fn capped(view: &PlanView, changes: &[&ResourceChange], limit: Limit) -> (String, Vec<String>) {
    let around = join([caution(view), TOO_LONG.into(), below(view)]);
    let room = limit.without(&around).without(&table(changes, 0)).without("\n\n\n\n\n\n");
    let (mut used, mut rows) = (0, 0);
    for change in changes {
        used += room.length(&row(change)) + 1;
        if used > room.most {
            break;
        }
        rows += 1;
    }
    // Counted here: the counts of a plan that was read from a file may be any.
    let dangerous = changes.iter().filter(|change| change.verdict() <= Verdict::Replace).count();
    if rows >= dangerous {
        return (join([caution(view), table(changes, rows), TOO_LONG.into(), below(view)]), Vec::new());
    }
    // Not even the destroys have room in a table: only their names, in further comments too.
    let names = changes[..dangerous].iter().map(|change| code(change.address.as_str()));
    let rest = format!("Besides, {}.", others(&changes[dangerous..]));
    let around = join([caution(view), rest.clone(), below(view)]);
    let mut pages = vec![String::new()];
    let mut left =
        limit.without(&around).without(CONTINUED).without("\n\n\n\n\n\n\n\n").most.saturating_sub(AROUND);
    for name in names {
        let length = limit.length(&name) + 2;
        if length > left && pages.last().is_some_and(|page| !page.is_empty()) {
            pages.push(String::new());
            left = limit.without(CONTINUED).most.saturating_sub(AROUND);
        }
        left = left.saturating_sub(length);
        if let Some(page) = pages.last_mut() {
            let separator = if page.is_empty() { "" } else { ", " };
            page.push_str(separator);
            page.push_str(&name);
        }
    }
    let number = pages.len();
    let titled = |place: usize, names: String| {
        let place = if number > 1 { format!(" ({} of {number})", place + 1) } else { String::new() };
        format!("**Destroyed or replaced**{place}: {names}")
    };
    let mut pages = pages.into_iter().enumerate().map(|(place, names)| titled(place, names));
    let first = pages.next().unwrap_or_default();
    let continued = if number > 1 { CONTINUED.into() } else { String::new() };
    let more = pages.map(|names| format!("{}\n\n{names}\n", heading(view)));
    (join([caution(view), first, continued, rest, below(view)]), more.collect())
}

const TOO_LONG: &str = "The full plan is too long for a comment; it is in the output of the job.";
const CONTINUED: &str = "What else is destroyed does not fit here, and is told in the next comment.";

fn join<const N: usize>(parts: [String; N]) -> String {
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { String::new() } else { format!("\n{}", parts.join("\n\n")) }
}

fn heading(view: &PlanView) -> String {
    let counts = if view.counts.changes() == 0 { "No changes".into() } else { text::totals(view) };
    let heading = format!("### infra plan · {} · `{counts}`", prose(&view.environment));
    if view.left_out == 0 {
        return heading;
    }
    let more = count(view.left_out, "more change");
    format!("{heading}\n\n{more} not included, because of `--target` or `--exclude`.")
}

fn caution(view: &PlanView) -> String {
    let destroyed: Vec<String> = (text::by_risk(view).into_iter())
        .filter(|change| matches!(change.verdict(), Verdict::Delete | Verdict::Replace))
        .map(|change| code(change.address.as_str()))
        .collect();
    let mut lines = Vec::new();
    if !destroyed.is_empty() {
        let number = count(destroyed.len(), "object");
        lines.push(format!("**{number} will be destroyed**: {}.", listed(&destroyed)));
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in &view.guards {
        let told = kinds.entry(&finding.guard).or_default();
        *told += 1;
        if *told <= SAME_KIND {
            lines.push(format!("Refused: {} ({})", prose(&cut(&finding.message)), code(&cut(&finding.hint))));
        }
    }
    for (kind, told) in kinds.into_iter().filter(|(_, told)| *told > SAME_KIND) {
        lines.push(format!("Refused: {} more by the guard {}.", told - SAME_KIND, code(kind)));
    }
    for (message, addresses) in unreadable(view) {
        lines.push(format!("**Could not be read**: {}: {}", listed(&addresses), prose(&cut(message))));
    }
    if lines.is_empty() { String::new() } else { format!("> [!CAUTION]\n> {}", lines.join("\n>\n> ")) }
}

/// By what was the matter: one server that cannot be reached may hold thousands.
fn unreadable(view: &PlanView) -> BTreeMap<&str, Vec<String>> {
    let mut messages: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for held in view.held.iter().filter(|held| held.reason == "unreadable") {
        messages.entry(&held.message).or_default().push(code(held.address.as_str()));
    }
    messages
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}

fn listed(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(LISTED).cloned().collect();
    if names.len() > LISTED {
        shown.push(format!("and {} more", names.len() - LISTED));
    }
    shown.join(", ")
}

fn table(changes: &[&ResourceChange], rows: usize) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut lines = vec!["| | object | change | why |".to_string(), "|---|---|---|---|".to_string()];
    lines.extend(changes.iter().take(rows).map(|change| row(change)));
    if changes.len() > rows {
        lines.push(format!("| | ... and {} | | |", others(&changes[rows..])));
    }
    lines.join("\n")
}

/// `12 more updates, 400 more creates`
fn others(changes: &[&ResourceChange]) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for change in changes {
        *counts.entry(change.verdict()).or_default() += 1;
    }
    let told =
        counts.into_iter().map(|(verdict, number)| count(number, &format!("more {}", text::sign(verdict).1)));
    let told: Vec<String> = told.collect();
    if told.is_empty() { "nothing".into() } else { told.join(", ") }
}

fn row(change: &ResourceChange) -> String {
    let sign = match change.verdict() {
        Verdict::Delete => "`-`",
        Verdict::Replace => "`-/+`",
        Verdict::Update => "`~`",
        Verdict::Create => "`+`",
    };
    let what = match change.verdict() {
        Verdict::Update => attributes(change),
        verdict => text::sign(verdict).1.into(),
    };
    let why: Vec<String> =
        change.reason.iter().chain(&change.costs).map(|why| prose_cell(&cut(why))).collect();
    format!("| {sign} | {} | {what} | {} |", cell(change.address.as_str()), why.join("; "))
}

/// `readers` 2→3
fn attributes(change: &ResourceChange) -> String {
    let glance = glance(change);
    let named = glance.named.iter().map(|(key, values)| match values {
        Some((old, new)) => format!("{} {}→{}", cell(&cut(key)), cell(old), cell(new)),
        None => cell(&cut(key)),
    });
    let more = (glance.more > 0).then(|| format!("{} more", glance.more));
    named.chain(more).collect::<Vec<_>>().join(", ")
}

fn full(view: &PlanView, changes: usize, bodies: Bodies) -> String {
    let plan = text::fenced(view, |verdict| match bodies {
        Bodies::All | Bodies::NoContext => true,
        Bodies::NoCreates => verdict != Verdict::Create,
        Bodies::Dangerous => matches!(verdict, Verdict::Delete | Verdict::Replace),
        Bodies::None => false,
    });
    if plan.is_empty() {
        return TOO_LONG.into();
    }
    let unchanged = |line: &&str| bodies == Bodies::All || !is_context(line);
    let plan = plan.lines().filter(unchanged).collect::<Vec<_>>().join("\n");
    let few = plan.lines().count() < FEW_LINES || !unreadable(view).is_empty();
    let open = if few { " open" } else { "" };
    let title = match bodies {
        Bodies::All | Bodies::NoContext => format!("Full plan ({})", count(changes, "change")),
        Bodies::NoCreates => "The plan without what is created, which is too long for a comment".into(),
        Bodies::Dangerous | Bodies::None => {
            "The dangerous part of the plan; the rest is too long for a comment".into()
        }
    };
    format!("<details{open}><summary>{title}</summary>\n\n{}\n\n</details>", fence("diff", &plan))
}

/// `# (3 unchanged attributes hidden)`
fn is_context(line: &str) -> bool {
    line.starts_with(' ') && line.trim_start().starts_with("# (") && line.ends_with(" hidden)")
}

/// What follows the plan.
fn below(view: &PlanView) -> String {
    let held: Vec<_> = view.held.iter().filter(|held| held.reason != "unreadable").collect();
    let held = bullets("Held", held.iter().map(|held| (held.address.as_str(), held.message.as_str())));
    let notes = view.notes.iter().map(|note| (note.address.as_str(), note.message.as_str()));
    let unmanaged: Vec<String> = view.unmanaged.iter().map(|address| code(address.as_str())).collect();
    let unmanaged = if unmanaged.is_empty() {
        String::new()
    } else {
        format!("Unmanaged (reported, never touched): {}", listed(&unmanaged))
    };
    join([held, bullets("Notes", notes), unmanaged]).trim_start().to_owned()
}

fn bullets<'a>(title: &str, items: impl ExactSizeIterator<Item = (&'a str, &'a str)>) -> String {
    let all = items.len();
    if all == 0 {
        return String::new();
    }
    let mut lines = vec![format!("**{title}** ({all}):\n")];
    lines.extend(
        items.take(LISTED).map(|(address, message)| format!("- {}: {}", code(address), prose(&cut(message)))),
    );
    if all > LISTED {
        lines.push(format!("- ... and {} more", all - LISTED));
    }
    lines.join("\n")
}
