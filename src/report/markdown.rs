//! Markdown in which nothing that a name holds can mention a person, break a fence, or end a table; and a plan in it.

use super::{
    comment::{self, Limit},
    escape,
    view::PlanView,
};

/// The plan as a page, short enough for a comment.
pub fn render(view: &PlanView) -> String {
    comment::page(view, Limit::GITHUB) + "\n"
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A code span: in it nothing is a mention, a link or HTML.
pub(super) fn code(name: &str) -> String {
    let shown = escape::visible(name);
    if shown.is_empty() {
        return String::new();
    }
    let ticks = "`".repeat(longest_run(&shown) + 1);
    let edge = |c: char| c == '`' || c == ' ';
    let pad = if shown.starts_with(edge) || shown.ends_with(edge) { " " } else { "" };
    format!("{ticks}{pad}{shown}{pad}{ticks}")
}

/// A code span in a table, where a pipe ends the cell even inside of one.
pub(super) fn cell(name: &str) -> String {
    // Whether a backslash in front of an escaped pipe escapes its backslash is not agreed on.
    code(name).replace("\\|", "\\\\u007c").replace('|', "\\|")
}

/// Prose that came from elsewhere: no HTML, no mention, no link, no emphasis. The invisible space behind `@` and `#` is
/// how Renovate and Dependabot quote names: an entity alone would be decoded before mentions are looked for.
pub(super) fn prose(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let text = escape::visible(text);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '@' => shown.push_str("@&#8203;"),
            '#' => shown.push_str("&#35;&#8203;"),
            '`' => shown.push_str("&#96;"),
            // `https://` and `www.` become links by themselves.
            ':' if rest.peek() == Some(&'/') => shown.push_str("&#58;"),
            '.' if shown.to_ascii_lowercase().ends_with("www") => shown.push_str("&#46;"),
            '*' | '_' | '[' | ']' | '~' | '\\' | '!' | '$' => {
                shown.push('\\');
                shown.push(c);
            }
            c => shown.push(c),
        }
    }
    shown
}

/// The same in a table.
pub(super) fn prose_cell(text: &str) -> String {
    prose(text).replace('|', "&#124;")
}

/// A fence that nothing in the content can close.
pub(super) fn fence(language: &str, content: &str) -> String {
    let ticks = "`".repeat(longest_run(content).max(2) + 1);
    format!("{ticks}{language}\n{}\n{ticks}", content.trim_end())
}
