//! A plan for people, word for word as Terraform says it where Terraform has a word for it: tfcmt, Atlantis and
//! people's eyes look for these lines.

use std::collections::BTreeSet;

use super::{
    count, diff, escape,
    paint::{Manner, Page, Sign},
    view::{Held, PlanView, ResourceChange, Verdict, verdict},
};

/// How much to show, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    pub colour: bool,
    /// With the SQL and API calls, and without caps on lists.
    pub verbose: bool,
    /// Only the list of changes and the counts.
    pub summary: bool,
}

/// So many unmanaged objects are named.
const UNMANAGED: usize = 10;
/// So many objects held for the same reason are named.
const SAME_REASON: usize = 5;
/// A plan with more changes than this ends with a list of them.
const LONG: usize = 10;

/// The whole plan, ending in a line break.
pub fn render(view: &PlanView, style: Style) -> String {
    let mut page = Page::new(if style.colour { Manner::Colour } else { Manner::Plain });
    let sorted = by_risk(view);
    if !sorted.is_empty() && !style.summary {
        legend(&mut page, &sorted);
        page.bare("infra will perform the following actions:");
        page.bare("");
        for change in &sorted {
            object(&mut page, change, style.verbose);
        }
    }
    held(&mut page, &view.held, style.verbose);
    notes(&mut page, view);
    unmanaged(&mut page, view, style);
    if !sorted.is_empty() && (style.summary || sorted.len() > LONG || view.counts.destroyed() > 0) {
        page.bare("Changes by action:");
        for change in &sorted {
            let (sign, word) = sign(change.verdict());
            page.line(sign, 2, &format!("{word:8} {}", escape::visible(change.address.as_str())));
        }
        page.bare("");
    }
    page.bare(&sentence(view, &page));
    if !sorted.is_empty() {
        if view.left_out > 0 {
            page.bare(&left_out(view));
        }
        page.bare(&format!("Plan digest: sha256:{}", escape::visible(&view.digest.to_string())));
    }
    guards(&mut page, view);
    page.finish()
}

/// The objects of a plan as the content of a `diff` fence. `shown` says which bodies are wanted.
pub(super) fn fenced(view: &PlanView, shown: impl Fn(Verdict) -> bool) -> String {
    let mut page = Page::new(Manner::Fence);
    for change in by_risk(view).into_iter().filter(|change| shown(change.verdict())) {
        object(&mut page, change, false);
    }
    page.finish()
}

/// One object as the content of a `diff` fence, without what is said above it.
pub(super) fn block(change: &ResourceChange) -> String {
    let mut page = Page::new(Manner::Fence);
    attributes(&mut page, change);
    page.finish()
}

/// The dangerous first, then by address.
pub(super) fn by_risk(view: &PlanView) -> Vec<&ResourceChange> {
    let mut sorted: Vec<&ResourceChange> = view.resource_changes.iter().collect();
    sorted.sort_by(|a, b| a.verdict().cmp(&b.verdict()).then_with(|| a.address.cmp(&b.address)));
    sorted
}

pub(super) fn sign(verdict: Verdict) -> (Sign, &'static str) {
    match verdict {
        Verdict::Delete => (Sign::Remove, "destroy"),
        Verdict::Replace => (Sign::Replace, "replace"),
        Verdict::Update => (Sign::Change, "update"),
        Verdict::Create => (Sign::Add, "create"),
    }
}

/// The symbol of what is to be done, as in a plan.
pub(super) fn mark(actions: &[String]) -> &'static str {
    match verdict(actions) {
        Verdict::Delete => "-",
        Verdict::Replace => "-/+",
        Verdict::Update => "~",
        Verdict::Create => "+",
    }
}

fn legend(page: &mut Page, changes: &[&ResourceChange]) {
    let used: BTreeSet<Verdict> = changes.iter().map(|change| change.verdict()).collect();
    page.bare("Resource actions are indicated with the following symbols:");
    for (verdict, words) in [
        (Verdict::Create, "create"),
        (Verdict::Update, "update in-place"),
        (Verdict::Delete, "destroy"),
        (Verdict::Replace, "destroy and then create replacement"),
    ] {
        if used.contains(&verdict) {
            page.line(sign(verdict).0, 2, words);
        }
    }
    page.bare("");
}

fn object(page: &mut Page, change: &ResourceChange, verbose: bool) {
    let fate = match change.verdict() {
        Verdict::Delete => format!("will be {}", page.bold_red("destroyed")),
        Verdict::Replace => format!("must be {}", page.bold_red("replaced")),
        Verdict::Update => "will be updated in-place".into(),
        Verdict::Create => "will be created".into(),
    };
    let address = page.bold(&format!("# {}", escape::visible(change.address.as_str())));
    let made = change.reason.as_ref().filter(|_| change.verdict() == Verdict::Create);
    let why = made.map(|reason| format!(" ({})", escape::visible(reason))).unwrap_or_default();
    page.line(Sign::None, 0, &format!("{address} {fate}{why}"));
    if let Some(reason) = change.reason.as_ref().filter(|_| made.is_none()) {
        page.line(Sign::None, 0, &format!("# (because {})", escape::visible(reason)));
    }
    for cost in &change.costs {
        page.line(Sign::None, 0, &format!("# ({})", escape::visible(cost)));
    }
    attributes(page, change);
    if verbose {
        for effect in &change.effects {
            for line in effect.lines() {
                let line = page.dim(&format!("> {}", escape::visible(line)));
                page.line(Sign::None, 2, &line);
            }
        }
    }
    page.bare("");
}

/// Kind and name, and what changes of the attributes.
fn attributes(page: &mut Page, change: &ResourceChange) {
    let mark = sign(change.verdict()).0;
    page.line(mark, 2, &format!("{} {} {{", escape::key(&change.kind), escape::quoted(&change.name)));
    let before = diff::attributes(&change.change.before, None);
    let after = diff::attributes(&change.change.after, Some(&change.change.after_unknown));
    let forced =
        change.change.replace_paths.iter().filter_map(|path| path.first()).map(String::as_str).collect();
    diff::body(page, &before, &after, &forced);
    page.inner(mark, 2, "}");
}

/// Held objects, grouped by what holds them: a server that cannot be read may hold thousands.
fn held(page: &mut Page, held: &[Held], verbose: bool) {
    if held.is_empty() {
        return;
    }
    page.bare("Held:");
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut groups: std::collections::BTreeMap<&str, Vec<&Held>> = std::collections::BTreeMap::new();
    for one in held {
        groups.entry(&one.message).or_default().push(one);
    }
    for one in held {
        if !told.insert(&one.message) {
            continue;
        }
        let same = groups.remove(one.message.as_str()).unwrap_or_default();
        let cap = if verbose { same.len() } else { SAME_REASON };
        let message = escape::visible(&one.message);
        for one in same.iter().take(cap) {
            page.line(Sign::None, 0, &format!("{}: {message}", escape::visible(one.address.as_str())));
        }
        if same.len() > cap {
            page.line(Sign::None, 0, &format!("... and {} more: {message}", same.len() - cap));
        }
    }
    page.bare("");
}

fn notes(page: &mut Page, view: &PlanView) {
    if view.notes.is_empty() {
        return;
    }
    page.bare("Notes:");
    for note in &view.notes {
        let (address, message) = (escape::visible(note.address.as_str()), escape::visible(&note.message));
        page.line(Sign::None, 0, &format!("{address}: {message}"));
    }
    page.bare("");
}

fn unmanaged(page: &mut Page, view: &PlanView, style: Style) {
    let all = &view.unmanaged;
    if all.is_empty() {
        return;
    }
    let counts =
        view.unmanaged_counts.iter().map(|(kind, count)| format!("{count} {}", escape::visible(kind)));
    let counts: Vec<String> = counts.collect();
    page.bare(&format!("Unmanaged (reported, never touched): {}", counts.join(", ")));
    if !style.summary {
        let cap = if style.verbose { all.len() } else { UNMANAGED };
        let mut names: Vec<String> =
            all.iter().take(cap).map(|address| escape::visible(address.as_str())).collect();
        if all.len() > cap {
            names.push(format!("and {} more", all.len() - cap));
        }
        page.line(Sign::None, 0, &names.join(", "));
    }
    page.bare("");
}

/// `1 to add, 2 to change, 0 to destroy`
pub(super) fn totals(view: &PlanView) -> String {
    let counts = &view.counts;
    format!("{} to add, {} to change, {} to destroy", counts.added(), counts.update, counts.destroyed())
}

/// The sentence that sums a plan up, without colour.
pub(super) fn summary(view: &PlanView) -> String {
    sentence(view, &Page::new(Manner::Plain))
}

fn sentence(view: &PlanView, page: &Page) -> String {
    let counts = &view.counts;
    if counts.changes() == 0 {
        let no_changes = page.bold_green("No changes.");
        return if view.left_out > 0 {
            format!("{no_changes} {}", left_out(view))
        } else if counts.hold > 0 {
            format!("{no_changes} What differs is held, as said above ({}).", count(counts.hold, "object"))
        } else if view.options.destroy {
            format!("{no_changes} No objects need to be destroyed.")
        } else {
            format!("{no_changes} Your infrastructure matches the configuration.")
        };
    }
    let note = match counts.replace {
        0 => String::new(),
        1 => " (1 replacement is counted in add and destroy)".into(),
        many => format!(" ({many} replacements are counted in add and destroy)"),
    };
    format!("{} {}.{note}", page.bold("Plan:"), totals(view))
}

pub(super) fn left_out(view: &PlanView) -> String {
    let verb = if view.left_out == 1 { "is" } else { "are" };
    format!("{} {verb} not included, because of --target or --exclude.", count(view.left_out, "change"))
}

fn guards(page: &mut Page, view: &PlanView) {
    if view.guards.is_empty() {
        return;
    }
    page.bare("");
    page.bare(&page.bold_red("Refused to be applied as is:"));
    for finding in &view.guards {
        page.line(Sign::None, 0, &escape::visible(&finding.message));
        page.line(Sign::None, 2, &format!("hint: {}", escape::visible(&finding.hint)));
    }
}
