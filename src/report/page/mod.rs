//! Pages for a browser: each is one file that loads nothing and sends nothing, so that it can be kept, mailed and published.
//!
//! What a name holds gets into a page as escaped text alone (`maud` escapes whatever is spliced), never into the style or the
//! script; and these run only because the page's policy names their hashes, so that nothing else does.

mod access;
mod plan;
mod toolbar;

use std::{borrow::Cow, fmt::Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::escape;

pub use access::access;
pub use plan::plan;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// A circle of three arcs, as one sees it in a tab.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%234f46e5'/%3E%3Cpath d='M8 3v10M3 8h10' stroke='white' stroke-width='2' stroke-linecap='round'/%3E%3C/svg%3E";

/// A page before it becomes a text.
pub struct Document {
    title: String,
    body: Markup,
}

impl Document {
    /// The whole file. `mask` is what may be written of a text; it sees names and markup, never style and script, whose
    /// hashes it would break.
    pub fn render(&self, mask: impl for<'a> Fn(&'a str) -> Cow<'a, str>) -> String {
        let title = escape::visible(&self.title);
        let body = mask(&self.body.0);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy());
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    meta name="robots" content="noindex, nofollow";
                    meta name="generator" content={ "infra " (env!("CARGO_PKG_VERSION")) };
                    title { (mask(&title)) }
                    link rel="icon" href=(ICON);
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (PreEscaped(body.as_ref()))
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string() + "\n"
    }
}

/// Nothing may be loaded, framed, sent or run but this very style and script; and the script cannot make markup of texts.
fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// A name or a value, in the letters of a machine. Nothing in it turns the direction of what stands around it, and on a
/// narrow screen it breaks where its parts do.
fn code(name: &str) -> Markup {
    let shown = escape::visible(name);
    html! {
        code {
            bdi { @for part in shown.split_inclusive(['/', '.', '_']) { (part) wbr; } }
        }
    }
}

/// Prose that came from elsewhere; what stands in backticks is a name.
fn prose(text: &str) -> Markup {
    let shown = escape::visible(text);
    let parts: Vec<&str> = shown.split('`').collect();
    html! {
        bdi {
            @if parts.len() % 2 == 1 {
                @for (place, part) in parts.iter().enumerate() {
                    @if place % 2 == 1 { code { (part) } } @else { (part) }
                }
            } @else {
                (shown)
            }
        }
    }
}

/// The anchor of an address: one for each, and none that needs to be escaped in a link.
fn anchor(address: &str) -> String {
    let mut anchor = String::with_capacity(address.len());
    for c in address.chars() {
        if c.is_ascii_alphanumeric() || "_./-".contains(c) {
            anchor.push(c);
        } else {
            let _ = write!(anchor, ":{:x}:", u32::from(c));
        }
    }
    anchor
}
