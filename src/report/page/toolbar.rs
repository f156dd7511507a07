//! What all pages have: search, filters, the count of what is shown, the theme. It needs the script, and shows itself only
//! when that runs; without it, all of a page can be read.

use maud::{Markup, html};

/// A kind of item, which can be shown alone.
pub(super) struct Filter<'a> {
    /// What the items have as `data-kind`.
    pub(super) kind: &'a str,
    pub(super) sign: &'a str,
    pub(super) label: &'a str,
    pub(super) count: usize,
}

/// `noun` is what is counted, in the plural; `folds`: there are details to fold.
pub(super) fn toolbar(noun: &str, placeholder: &str, filters: &[Filter<'_>], folds: bool) -> Markup {
    html! {
        div.toolbar role="search" aria-label={ "Search " (noun) } hidden {
            div.find {
                label for="search" { span.unseen { "Search " (noun) } }
                input #search type="search" placeholder=(placeholder) autocomplete="off" spellcheck="false"
                    aria-describedby="shown" aria-keyshortcuts="/";
                kbd aria-hidden="true" { "/" }
            }
            @if filters.len() > 1 {
                div.filters role="group" aria-label={ "Show only " (noun) " of a kind" } {
                    @for filter in filters {
                        button type="button" .filter data-filter=(filter.kind) aria-pressed="false" {
                            span.sign aria-hidden="true" { (filter.sign) }
                            (filter.label) " " span.number { (filter.count) }
                        }
                    }
                }
            }
            @if folds {
                div.folds {
                    button #unfold type="button" { "Expand all" }
                    button #fold type="button" { "Collapse all" }
                }
            }
            p #shown role="status" aria-live="polite" data-noun=(noun) {}
        }
    }
}

pub(super) fn theme() -> Markup {
    html! {
        button #theme type="button" hidden { span aria-hidden="true" { "◐" } " " span #theme-name { "Theme" } }
    }
}
