//! Who can do what where, as a page: a table to look things up in, and for each login what it may and by way of whom.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    Document, anchor, code, prose,
    toolbar::{Filter, theme, toolbar},
};
use crate::{
    model::access_matrix::{AccessMatrix, Entry, Level, Place, Right, Who, WhoKind},
    report::{count, escape},
};

/// A table of more cells than this says less than the list below it, and makes the page heavy.
const CELLS: usize = 20_000;

/// The entries of one login, by place.
type Of<'a> = BTreeMap<&'a Place, &'a Entry>;

pub fn access(matrix: &AccessMatrix) -> Document {
    let mut entries: BTreeMap<&Who, Of<'_>> = BTreeMap::new();
    for entry in &matrix.entries {
        entries.entry(&entry.who).or_default().insert(&entry.place, entry);
    }
    let none = Of::new();
    let of = |who: &Who| entries.get(who).unwrap_or(&none);
    let differing: Vec<&Who> =
        matrix.who.iter().filter(|who| of(who).values().any(|entry| entry.differs())).collect();
    let of_kind = |kind: WhoKind| matrix.who.iter().filter(|who| who.kind == kind).count();
    let filters = [
        Filter { kind: "differs", sign: "≠", label: "Different", count: differing.len() },
        Filter { kind: "person", sign: "", label: "People", count: of_kind(WhoKind::Person) },
        Filter { kind: "service", sign: "", label: "Services", count: of_kind(WhoKind::Service) },
        Filter { kind: "infra", sign: "", label: "infra", count: of_kind(WhoKind::Infra) },
        Filter { kind: "unknown", sign: "", label: "Unknown", count: of_kind(WhoKind::Unknown) },
    ];
    let filters: Vec<Filter<'_>> = filters.into_iter().filter(|filter| filter.count > 0).collect();
    let body = html! {
        a.skip href="#logins" { "Skip to the logins" }
        header {
            div.top { p.product { b { "infra" } " access" } (theme()) }
            h1 { bdi { (escape::visible(&matrix.environment)) } }
            p.sentence { (sentence(matrix, differing.len())) }
        }
        (toolbar("logins", "Search people, services, databases …", &filters, true))
        main #logins tabindex="-1" {
            (unreadable(matrix))
            @if !matrix.who.is_empty() && matrix.who.len().saturating_mul(matrix.places.len()) <= CELLS {
                (table(matrix, of))
            }
            section.changes aria-labelledby="each" data-group {
                h2 #each { "Each login " span.number { (matrix.who.len()) } }
                @for (place, who) in matrix.who.iter().enumerate() { (login(place, who, of(who), matrix.compared)) }
            }
            p #nothing hidden { "Nothing here matches. " kbd { "Esc" } " clears the search." }
        }
        footer {
            p { "Written by infra " (env!("CARGO_PKG_VERSION")) ". This file is all there is: it loads nothing and sends nothing." }
        }
    };
    Document { title: format!("{} · who can do what where · infra access", matrix.environment), body }
}

fn sentence(matrix: &AccessMatrix, differing: usize) -> String {
    let (who, places) = (count(matrix.who.len(), "login"), count(matrix.places.len(), "place"));
    let compared = match (matrix.compared, differing) {
        (false, _) => "as declared; the servers were not asked".into(),
        (true, 0) if matrix.unreadable.is_empty() => "as declared, and so it is on the servers".into(),
        (true, 0) => "compared with the servers as far as they could be read".into(),
        (true, number) => format!("{} other than declared", count(number, "login")),
    };
    format!("{who}, {places}: {compared}.")
}

fn unreadable(matrix: &AccessMatrix) -> Markup {
    html! {
        @if !matrix.unreadable.is_empty() {
            section.alert aria-labelledby="unreadable" {
                h2 #unreadable { "Could not be read" }
                ul { @for (what, why) in &matrix.unreadable { li { (code(what)) ": " (prose(why)) } } }
            }
        }
    }
}

fn table<'a>(matrix: &'a AccessMatrix, of: impl Fn(&'a Who) -> &'a Of<'a>) -> Markup {
    html! {
        section aria-labelledby="all" {
            h2 #all { "Who can do what where" }
            div.wide tabindex="0" role="region" aria-label="Who can do what where" {
                table {
                    thead { tr { th scope="col" { "Login" } @for place in &matrix.places { th scope="col" { (code(&place.label())) } } } }
                    tbody {
                        @for (number, who) in matrix.who.iter().enumerate() {
                            tr data-follow=(id(number, who)) {
                                th scope="row" { a href={ "#" (id(number, who)) } { (code(&who.login)) } }
                                @for place in &matrix.places {
                                    @match of(who).get(place) {
                                        Some(entry) => { (cell(entry)) }
                                        None => { td.none { "-" } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(entry: &Entry) -> Markup {
    let level = entry.actual.as_ref().map_or(entry.declared.level, |actual| actual.level);
    html! {
        td.(level_class(level)).differs[entry.differs()] {
            (level.word())
            @if entry.differs() { " ≠" }
        }
    }
}

fn level_class(level: Level) -> &'static str {
    match level {
        Level::None => "none",
        Level::Connects | Level::Some => "some",
        Level::Reads => "reads",
        Level::Writes => "writes",
        Level::Owns => "owns",
    }
}

/// Numbered, for two may have one name.
fn id(place: usize, who: &Who) -> String {
    format!("{place}-{}", anchor(&who.login))
}

fn login(place: usize, who: &Who, of: &Of<'_>, compared: bool) -> Markup {
    let differs = of.values().any(|entry| entry.differs());
    let kinds = if differs { format!("{} differs", who.kind.word()) } else { who.kind.word().to_owned() };
    let class = if differs { "delete" } else { "hold" };
    let mut levels: BTreeMap<Level, usize> = BTreeMap::new();
    for entry in of.values() {
        *levels.entry(entry.declared.level).or_default() += 1;
    }
    html! {
        details.change.(class) id=(id(place, who)) data-item data-kind=(kinds) open[differs] {
            summary {
                span.what {
                    (code(&who.login)) " "
                    span.fate { (who.kind.word()) @if who.name != who.login { " " (prose(&who.name)) } }
                    span.glance {
                        @if levels.is_empty() { span { "may nothing" } }
                        @for (level, number) in levels.iter().rev() { span { (level.word()) " " (number) } }
                    }
                }
                @if differs { span.badge.cost { "≠ declared" } }
            }
            div.inside {
                @if of.is_empty() { p.quiet { "Nowhere is it let in." } }
                @for (place, entry) in of { (entry_of(place, entry, compared)) }
            }
        }
    }
}

fn entry_of(place: &Place, entry: &Entry, compared: bool) -> Markup {
    html! {
        h3 { (code(&place.label())) " " span.badge { (entry.declared.level.word()) }
            @if let Some(actual) = entry.actual.as_ref().filter(|actual| actual.level != entry.declared.level) {
                " really: " span.badge.cost { (actual.level.word()) }
            }
        }
        @if entry.differs() {
            ul.differences {
                @for right in &entry.extra { li { b { "not declared: " } (right_of(right)) } }
                @for right in &entry.missing { li { b { "missing: " } (right_of(right)) } }
            }
        }
        @let rights = entry.actual.as_ref().filter(|_| compared).unwrap_or(&entry.declared);
        ul.rights { @for right in &rights.rights { li { (right_of(right)) } } }
    }
}

fn right_of(right: &Right) -> Markup {
    html! { (prose(&right.text())) @if !right.through.is_empty() { span.chain { (code(&right.chain())) } } }
}
