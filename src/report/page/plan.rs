//! A plan as a page: risk first, each change folded, all of it searchable.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    Document, anchor, code, prose,
    toolbar::{Filter, theme, toolbar},
};
use crate::{
    engine::Finding,
    model::Address,
    report::{
        count, escape,
        glance::glance,
        text,
        view::{Held, PlanView, ResourceChange, Verdict},
    },
};

/// Plans of fewer changes than this are shown unfolded.
const FEW: usize = 6;

/// How a kind of change is told: its class, its sign, its title, and what becomes of each.
fn words(verdict: Verdict) -> (&'static str, &'static str, &'static str, &'static str) {
    match verdict {
        Verdict::Delete => ("delete", "−", "Destroy", "will be destroyed"),
        Verdict::Replace => ("replace", "±", "Replace", "must be replaced"),
        Verdict::Update => ("update", "~", "Update", "will be updated in-place"),
        Verdict::Create => ("create", "+", "Create", "will be created"),
    }
}

pub fn plan(view: &PlanView) -> Document {
    let sorted = text::by_risk(view);
    let mut kinds: BTreeMap<Verdict, Vec<&ResourceChange>> = BTreeMap::new();
    for change in &sorted {
        kinds.entry(change.verdict()).or_default().push(change);
    }
    let held = reasons(&view.held);
    let mut filters: Vec<Filter<'_>> = kinds
        .iter()
        .map(|(verdict, changes)| {
            let (kind, sign, label, _) = words(*verdict);
            Filter { kind, sign, label, count: changes.len() }
        })
        .collect();
    if !view.held.is_empty() {
        filters.push(Filter { kind: "hold", sign: "‖", label: "Held", count: view.held.len() });
    }
    let few = sorted.len() < FEW;
    let body = html! {
        a.skip href="#changes" { "Skip to the changes" }
        (header(view, &filters))
        (toolbar("objects", "Search names, attributes, SQL …", &filters, true))
        main #changes tabindex="-1" {
            (refused(&view.guards))
            (unreadable(&held))
            @for (verdict, changes) in &kinds {
                (section(*verdict, changes, few || *verdict <= Verdict::Replace))
            }
            (held_back(&held))
            p #nothing hidden { "Nothing here matches. " kbd { "Esc" } " clears the search." }
            (notes(view))
            (unmanaged(view))
            (order(view))
        }
        (footer(view))
    };
    Document { title: format!("{} · {} · infra plan", view.environment, text::totals(view)), body }
}

fn header(view: &PlanView, filters: &[Filter<'_>]) -> Markup {
    let sentence = text::summary(view);
    html! {
        header {
            div.top {
                p.product { b { "infra" } " plan" }
                (theme())
            }
            h1 { bdi { (escape::visible(&view.environment)) } @if view.protect { " " span.badge { "protected" } } }
            p.sentence { (sentence) }
            @if !view.resource_changes.is_empty() {
                (bar(filters))
                @if view.left_out > 0 { p.quiet { (text::left_out(view)) } }
                p.digest { span.quiet { "Digest" } " " code { "sha256:" (view.digest) } }
            }
        }
    }
}

/// The shares of what happens, in one line. Counted here: the counts of a plan that was read from a file may be any.
fn bar(filters: &[Filter<'_>]) -> Markup {
    let parts: Vec<_> = filters.iter().filter(|filter| filter.kind != "hold").collect();
    let all: usize = parts.iter().map(|filter| filter.count).sum();
    let at = |place: usize| parts[..place].iter().map(|part| part.count).sum::<usize>();
    html! {
        svg.bar viewBox={ "0 0 " (all) " 1" } preserveAspectRatio="none" aria-hidden="true" {
            @for (place, part) in parts.iter().enumerate() {
                rect class=(part.kind) x=(at(place)) width=(part.count) height="1" {}
            }
        }
    }
}

fn refused(findings: &[Finding]) -> Markup {
    html! {
        @if !findings.is_empty() {
            section.alert aria-labelledby="refused" {
                h2 #refused { "Refused to be applied as is" }
                ul {
                    @for finding in findings {
                        li {
                            p { (prose(&finding.message)) }
                            p.quiet { "Hint: " (prose(&finding.hint)) }
                            @if !finding.addresses.is_empty() { p { (links(finding.addresses.iter())) } }
                        }
                    }
                }
            }
        }
    }
}

/// What could not be read is nothing that a reader may miss.
fn unreadable(held: &[(&str, &str, Vec<&Address>)]) -> Markup {
    let messages: Vec<_> = held.iter().filter(|(reason, ..)| *reason == "unreadable").collect();
    html! {
        @if !messages.is_empty() {
            section.alert aria-labelledby="unreadable" {
                h2 #unreadable { "Could not be read" }
                ul {
                    @for (_, message, addresses) in messages {
                        li { p { (prose(message)) } p.quiet { (count(addresses.len(), "object")) " held, see below" } }
                    }
                }
            }
        }
    }
}

fn section(verdict: Verdict, changes: &[&ResourceChange], open: bool) -> Markup {
    let (class, _, title, _) = words(verdict);
    html! {
        section.changes aria-labelledby=(class) data-group {
            h2 id=(class) { (title) " " span.number { (changes.len()) } }
            @for change in changes { (details(change, open)) }
        }
    }
}

fn details(change: &ResourceChange, open: bool) -> Markup {
    let (class, sign, _, fate) = words(change.verdict());
    let address = change.address.as_str();
    html! {
        details.change.(class) id=(anchor(address)) data-item data-kind=(class) open[open] {
            summary {
                span.sign aria-hidden="true" { (sign) }
                span.what { (code(address)) " " span.fate { (fate) } (at_a_glance(change)) }
                @if !change.costs.is_empty() { span.badge.cost { (count(change.costs.len(), "cost")) } }
            }
            div.inside {
                @if let Some(reason) = &change.reason { p.reason { "Because " (prose(reason)) } }
                @if !change.costs.is_empty() {
                    ul.costs { @for cost in &change.costs { li { (prose(cost)) } } }
                }
                (diff(change))
                @if !change.effects.is_empty() {
                    h3 { "SQL and calls" }
                    pre.effects tabindex="0" role="region" aria-label={ "SQL and calls of " (escape::visible(address)) } {
                        @for line in change.effects.iter().flat_map(|effect| effect.lines()) {
                            span { (escape::visible(line)) } "\n"
                        }
                    }
                }
                @if !change.after.is_empty() { p.quiet { "After " (links(change.after.iter())) } }
            }
        }
    }
}

fn at_a_glance(change: &ResourceChange) -> Markup {
    let glance = (change.verdict() == Verdict::Update).then(|| glance(change));
    html! {
        @if let Some(glance) = glance {
            span.glance {
                @for (key, values) in &glance.named {
                    span {
                        (code(key))
                        @if let Some((old, new)) = values { " " (prose(old)) " → " (prose(new)) }
                    }
                }
                @if glance.more > 0 { span { (glance.more) " more" } }
            }
        }
    }
}

/// The lines of a `diff` fence, each with the class of its sign.
fn diff(change: &ResourceChange) -> Markup {
    let block = text::block(change);
    let name = escape::visible(change.address.as_str());
    html! {
        pre.diff tabindex="0" role="region" aria-label={ "Attributes of " (name) } {
            @for line in block.lines() {
                @let (sign, rest) = line.split_at(line.len().min(1));
                @let (class, sign) = match sign {
                    "+" => ("plus", "+"), "-" => ("minus", "-"), "!" => ("tilde", "~"),
                    _ if rest.trim_start().starts_with("# (") => ("note", " "),
                    _ => ("same", " "),
                };
                span class=(class) { (sign) (rest) } "\n"
            }
        }
    }
}

/// Objects that are held, by reason and message.
fn reasons(held: &[Held]) -> Vec<(&str, &str, Vec<&Address>)> {
    let mut reasons: BTreeMap<(bool, &str, &str), Vec<&Address>> = BTreeMap::new();
    for one in held {
        let first = one.reason != "unreadable";
        reasons.entry((first, &one.reason, &one.message)).or_default().push(&one.address);
    }
    reasons.into_iter().map(|((_, reason, message), addresses)| (reason, message, addresses)).collect()
}

fn held_back(held: &[(&str, &str, Vec<&Address>)]) -> Markup {
    let all: usize = held.iter().map(|(.., addresses)| addresses.len()).sum();
    html! {
        @if all > 0 {
            section.changes aria-labelledby="hold" data-group {
                h2 #hold { "Held " span.number { (all) } }
                p.quiet { "What differs, or could not be read, and is left as it is." }
                @for (reason, message, addresses) in held {
                    div.held data-group {
                        p { span.badge { (escape::visible(reason)) } " " (prose(message)) }
                        ul.plain {
                            @for address in addresses {
                                li id=(anchor(address.as_str())) data-item data-kind="hold" {
                                    (code(address.as_str()))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn notes(view: &PlanView) -> Markup {
    html! {
        @if !view.notes.is_empty() {
            section aria-labelledby="notes" {
                h2 #notes { "Notes" }
                ul.plain {
                    @for note in &view.notes { li { (code(note.address.as_str())) ": " (prose(&note.message)) } }
                }
            }
        }
    }
}

fn unmanaged(view: &PlanView) -> Markup {
    html! {
        @if !view.unmanaged.is_empty() {
            section aria-labelledby="unmanaged" {
                h2 #unmanaged { "Unmanaged " span.number { (view.unmanaged.len()) } }
                details.more {
                    summary {
                        "Reported, never touched: "
                        @for (place, (kind, number)) in view.unmanaged_counts.iter().enumerate() {
                            @if place > 0 { ", " }
                            (number) " " (prose(kind))
                        }
                    }
                    ul.plain { @for address in &view.unmanaged { li { (code(address.as_str())) } } }
                }
            }
        }
    }
}

fn order(view: &PlanView) -> Markup {
    html! {
        @if view.order.len() > 1 {
            section aria-labelledby="order" {
                h2 #order { "Order" }
                details.more {
                    summary { "In which " (count(view.order.len(), "change")) " are made" }
                    ol { @for address in &view.order { li { (link(address)) } } }
                }
            }
        }
    }
}

fn footer(view: &PlanView) -> Markup {
    let options = [("target", &view.options.targets), ("exclude", &view.options.excludes)];
    html! {
        footer {
            p {
                "Written by infra " (escape::visible(&view.infra_version)) ". "
                "This file is all there is: it loads nothing and sends nothing. "
                a href="#changes" { "Back to the changes" }
            }
            @for (name, patterns) in options.iter().filter(|(_, patterns)| !patterns.is_empty()) {
                p { "Made with " @for pattern in *patterns { (code(&format!("--{name} {pattern}"))) " " } }
            }
        }
    }
}

fn link(address: &Address) -> Markup {
    html! { a href={ "#" (anchor(address.as_str())) } { (code(address.as_str())) } }
}

fn links<'a>(addresses: impl Iterator<Item = &'a Address>) -> Markup {
    html! {
        @for (place, address) in addresses.enumerate() {
            @if place > 0 { ", " }
            (link(address))
        }
    }
}
