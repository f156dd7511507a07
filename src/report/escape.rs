//! Names and values come from YAML and from servers: what is shown of them must not steer a terminal or a CI runner.

use std::fmt::Write as _;

/// Whether a character acts on a terminal, or makes text look other than it is.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text with everything that acts on a terminal written out.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if acts(c) => {
                let _ = write!(shown, "\\u{:04x}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// A line that stands alone. GitHub's runner obeys `::error::` and `##[error]` also behind spaces.
pub fn line(text: &str) -> String {
    let shown = visible(&text.replace('\t', "    "));
    let start = shown.len() - shown.trim_start().len();
    let rest = &shown[start..];
    // `::: file:1:2` is our own second place of a problem, and no command.
    if rest.starts_with("::") && !rest.starts_with("::: ") {
        format!("{}\\u003a{}", &shown[..start], &rest[1..])
    } else if rest.starts_with("##[") {
        format!("{}\\u0023{}", &shown[..start], &rest[1..])
    } else {
        shown
    }
}

/// A string as HCL writes it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", visible(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The key of a map: bare where that is unambiguous.
pub(super) fn key(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let starts = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if starts && text.chars().all(bare) { text.into() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts() {
        assert_eq!(visible("a\u{1b}[31mb\u{9b}2J\u{202e}c\n"), "a\\u001b[31mb\\u009b2J\\u202ec\\n");
        assert_eq!(quoted("say \"hi\"\\"), r#""say \"hi\"\\""#);
        assert_eq!(line("  ::error::x"), "  \\u003a:error::x");
        assert_eq!(line("##[group]x"), "\\u0023#[group]x");
        assert_eq!(line("a::b"), "a::b");
        assert_eq!(line("  ::: a.yaml:1:2"), "  ::: a.yaml:1:2");
        assert_eq!(
            (key("a_b-1").as_str(), key("a b").as_str(), key("1").as_str()),
            ("a_b-1", "\"a b\"", "\"1\"")
        );
    }
}
