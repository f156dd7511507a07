//! A plan as a comment on a pull request: what matters is visible, the rest folds away, and nothing in a name can
//! mention a person, break a fence or end a table.

use super::{
    count, diff, escape, text,
    view::{PlanView, ResourceChange, Verdict},
};

/// GitHub refuses comments of more than 65,536 characters; the rest is for what is put around.
const LIMIT: usize = 60_000;
/// Full plans of fewer lines than this are shown unfolded.
const FEW_LINES: usize = 15;
/// So many attributes of an update are named in the table.
const NAMED: usize = 3;
/// So many names are listed where a list may be long.
const LISTED: usize = 20;

/// The comment. Too long, it loses what is least missed first: bodies of creates, then of updates, then all bodies,
/// then lines of the table. Destroys come first in all of them; refusals and totals are never dropped.
pub fn render(view: &PlanView) -> String {
    let dangerous = |verdict| matches!(verdict, Verdict::Delete | Verdict::Replace);
    let risky = view.counts.destroyed();
    let levels: [(&dyn Fn(Verdict) -> bool, usize); 6] = [
        (&|_| true, usize::MAX),
        (&|verdict| verdict != Verdict::Create, usize::MAX),
        (&dangerous, usize::MAX),
        (&|_| false, usize::MAX),
        (&|_| false, risky.max(100)),
        // More destroys than a comment can hold: counted in the heading, and the plan is refused anyway.
        (&|_| false, 100),
    ];
    let mut comment = String::new();
    for (shown, rows) in levels {
        comment = at_level(view, shown, rows);
        if comment.chars().count() <= LIMIT {
            break;
        }
    }
    comment
}

fn at_level(view: &PlanView, shown: &dyn Fn(Verdict) -> bool, rows: usize) -> String {
    let mut out = vec![heading(view), caution(view)];
    let changes = text::by_risk(view);
    if !changes.is_empty() {
        out.push(table(&changes, rows));
        out.push(full(view, changes.len(), shown));
    }
    out.push(held(view));
    out.push(notes(view));
    out.push(listed("Unmanaged (reported, never touched)", view));
    out.push(format!("digest `sha256:{}`", escape::visible(&view.digest.to_string())));
    out.retain(|part| !part.is_empty());
    out.join("\n\n") + "\n"
}

fn heading(view: &PlanView) -> String {
    let counts = if view.counts.changes() == 0 { "No changes".into() } else { text::totals(view) };
    let heading = format!("### infra plan · {} · `{counts}`", html(&view.environment));
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
        lines.push(format!("**{number} will be destroyed**: {}.", capped(&destroyed)));
    }
    for finding in view.guards.iter().take(LISTED) {
        lines.push(format!("Refused: {} ({})", html(&finding.message), code(&finding.hint)));
    }
    if view.guards.len() > LISTED {
        lines.push(format!("... and {} more refusals.", view.guards.len() - LISTED));
    }
    if lines.is_empty() { String::new() } else { format!("> [!CAUTION]\n> {}", lines.join("\n>\n> ")) }
}

fn capped(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(LISTED).cloned().collect();
    if names.len() > LISTED {
        shown.push(format!("and {} more", names.len() - LISTED));
    }
    shown.join(", ")
}

fn table(changes: &[&ResourceChange], rows: usize) -> String {
    let mut lines = vec!["| | object | change | why |".to_string(), "|---|---|---|---|".to_string()];
    for change in changes.iter().take(rows) {
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
        let why = change.reason.as_deref().map(html).unwrap_or_default();
        lines.push(format!(
            "| {sign} | {} | {what} | {} |",
            cell(change.address.as_str()),
            why.replace('|', "\\|")
        ));
    }
    if changes.len() > rows {
        lines.push(format!("| | ... and {} more | | |", changes.len() - rows));
    }
    lines.join("\n")
}

/// `readers` 2→3
fn attributes(change: &ResourceChange) -> String {
    let before = diff::attributes(&change.change.before, None);
    let after = diff::attributes(&change.change.after, Some(&change.change.after_unknown));
    let mut named = Vec::new();
    let mut more = 0;
    for (key, new) in &after {
        let old = before.get(key);
        if old == Some(new) {
            continue;
        }
        if named.len() == NAMED {
            more += 1;
            continue;
        }
        let (old, new) = (old.map_or_else(|| "null".into(), diff::Node::brief), new.brief());
        named.push(if old.len() + new.len() > 60 || old.ends_with("...]") || old.ends_with("...}") {
            cell(key)
        } else {
            format!("{} {}→{}", cell(key), cell(&old), cell(&new))
        });
    }
    more += before.keys().filter(|key| !after.contains_key(*key)).count();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}

fn full(view: &PlanView, changes: usize, shown: &dyn Fn(Verdict) -> bool) -> String {
    let all = text::fenced(view, |_| true);
    let plan = text::fenced(view, shown);
    if plan.is_empty() {
        return "The full plan is too long for a comment; see the job's output.".into();
    }
    let fence = "`".repeat(longest_run(&plan).max(2) + 1);
    let open = if plan.lines().count() < FEW_LINES { " open" } else { "" };
    let title = if plan.len() == all.len() {
        format!("Full plan ({})", count(changes, "change"))
    } else {
        "The dangerous part of the plan; the rest is too long for a comment".into()
    };
    format!(
        "<details{open}><summary>{title}</summary>\n\n{fence}diff\n{}\n{fence}\n\n</details>",
        plan.trim_end()
    )
}

fn held(view: &PlanView) -> String {
    if view.held.is_empty() {
        return String::new();
    }
    let mut lines = vec![format!("**Held** ({}):\n", view.held.len())];
    for held in view.held.iter().take(LISTED) {
        lines.push(format!("- {}: {}", code(held.address.as_str()), html(&held.message)));
    }
    if view.held.len() > LISTED {
        lines.push(format!("- ... and {} more", view.held.len() - LISTED));
    }
    lines.join("\n")
}

fn notes(view: &PlanView) -> String {
    if view.notes.is_empty() {
        return String::new();
    }
    let mut lines = vec![format!("**Notes** ({}):\n", view.notes.len())];
    for note in view.notes.iter().take(LISTED) {
        lines.push(format!("- {}: {}", code(note.address.as_str()), html(&note.message)));
    }
    if view.notes.len() > LISTED {
        lines.push(format!("- ... and {} more", view.notes.len() - LISTED));
    }
    lines.join("\n")
}

fn listed(title: &str, view: &PlanView) -> String {
    if view.unmanaged.is_empty() {
        return String::new();
    }
    let names: Vec<String> = view.unmanaged.iter().map(|address| code(address.as_str())).collect();
    format!("{title}: {}", capped(&names))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A code span: in it nothing is a mention, a link or HTML.
fn code(name: &str) -> String {
    let shown = escape::visible(name);
    let ticks = "`".repeat(longest_run(&shown) + 1);
    let pad = if shown.starts_with('`') || shown.ends_with('`') { " " } else { "" };
    format!("{ticks}{pad}{shown}{pad}{ticks}")
}

/// A code span in a table, where a pipe ends the cell even inside of one.
fn cell(name: &str) -> String {
    code(name).replace('|', "\\|")
}

/// Prose that came from elsewhere: no HTML, no mention, no link, no emphasis.
fn html(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in escape::visible(text).chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '@' => shown.push_str("&#64;"),
            '#' => shown.push_str("&#35;"),
            '`' => shown.push_str("&#96;"),
            '*' | '_' | '[' | ']' | '~' | '\\' | '!' => {
                shown.push('\\');
                shown.push(c);
            }
            c => shown.push(c),
        }
    }
    shown
}
