//! What every line goes through on its way out: CI reads its own commands out of what a job prints, and `INFRA_MASK` says what
//! must not be seen. Names are escaped where they are rendered; this is the last door, also for what was forgotten there.

use std::{borrow::Cow, env, sync::OnceLock};

use regex_lite::Regex;

const VARIABLE: &str = "INFRA_MASK";
/// What stands in place of what is masked, as in the logs of CI.
const MASKED: &str = "***";

static SAFETY: OnceLock<Safety> = OnceLock::new();

#[derive(Debug, thiserror::Error)]
#[error("{VARIABLE} has a line that is no regular expression: {line}")]
pub struct BadMask {
    line: String,
    #[source]
    source: regex_lite::Error,
}

#[derive(Debug, Default)]
struct Safety {
    github: bool,
    gitlab: bool,
    masks: Vec<Regex>,
}

/// Reads the environment, once, before anything is printed.
///
/// # Errors
/// When a mask cannot be used: nothing is printed rather than what should be masked.
pub fn install() -> Result<(), BadMask> {
    let set = |name: &str| env::var_os(name).is_some_and(|value| value == "true");
    let masks = masks(&env::var(VARIABLE).unwrap_or_default())?;
    let _ = SAFETY.set(Safety { github: set("GITHUB_ACTIONS"), gitlab: set("GITLAB_CI"), masks });
    Ok(())
}

fn masks(text: &str) -> Result<Vec<Regex>, BadMask> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| Regex::new(line).map_err(|source| BadMask { line: line.into(), source })).collect()
}

/// Whether this is a job of GitHub Actions.
pub(super) fn github() -> bool {
    SAFETY.get().is_some_and(|safety| safety.github)
}

/// What may be printed of a text.
pub(super) fn safe(text: &str) -> Cow<'_, str> {
    match SAFETY.get() {
        Some(safety) => safety.printable(text),
        None => Cow::Borrowed(text),
    }
}

/// What may be written of a text, into a comment or a file of CI.
pub fn masked(text: &str) -> Cow<'_, str> {
    match SAFETY.get() {
        Some(safety) => safety.masked(text),
        None => Cow::Borrowed(text),
    }
}

impl Safety {
    fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.masks.iter().fold(Cow::Borrowed(text), |text, mask| {
            let matches_something = |found: regex_lite::Match<'_>| !found.is_empty();
            if mask.find(&text).is_some_and(matches_something) {
                Cow::Owned(mask.replace_all(&text, MASKED).into_owned())
            } else {
                text
            }
        })
    }

    /// The replacements are escapes of JSON too, so a document stays what it is.
    fn printable<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = self.masked(text);
        if (self.github || self.gitlab) && text.contains('\r') {
            text = Cow::Owned(text.replace('\r', "\\r"));
        }
        if self.github && (text.contains("::") || text.contains("##[")) {
            let lines = text.replace("##[", "\\u0023#[");
            text = Cow::Owned(lines.split_inclusive('\n').map(without_command).collect());
        }
        if self.gitlab && text.contains("section_") {
            let shown = text.replace("section_start:", "section\\u005fstart:");
            text = Cow::Owned(shown.replace("section_end:", "section\\u005fend:"));
        }
        text
    }
}

/// The runner trims a line before it looks for `::`.
fn without_command(line: &str) -> Cow<'_, str> {
    let rest = line.trim_start();
    // `::: file:1:2` is our own second place of a problem, and no command.
    if rest.starts_with("::") && !rest.starts_with("::: ") {
        let space = &line[..line.len() - rest.len()];
        Cow::Owned(format!("{space}\\u003a{}", &rest[1..]))
    } else {
        Cow::Borrowed(line)
    }
}

/// A value in a command of the runner.
pub(super) fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_gets_out() {
        let github = Safety { github: true, ..Safety::default() };
        for (text, shown) in [
            ("::error::x\n", "\\u003a:error::x\n"),
            ("a\n \t::add-mask::x", "a\n \t\\u003a:add-mask::x"),
            ("a\r::error::x\r\n", "a\\r::error::x\\r\n"),
            ("a ##[error]x", "a \\u0023#[error]x"),
            ("a::b\n  ::: f.yaml:1:2", "a::b\n  ::: f.yaml:1:2"),
            ("a%0A::error::x", "a%0A::error::x"),
        ] {
            assert_eq!(github.printable(text), shown);
            assert_eq!(Safety::default().printable(text), text);
        }
        let gitlab = Safety { gitlab: true, ..Safety::default() };
        assert_eq!(gitlab.printable("section_start:1:x\r"), "section\\u005fstart:1:x\\r");
        let document = "{\n\"a ##[x] section_end:\": \"::error::\"\n}";
        let both = Safety { github: true, gitlab: true, ..Safety::default() };
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let printed = both.printable(document);
        assert!(!printed.contains("##[") && read(&printed) == read(document), "{printed}");
        assert_eq!(escaped("50%\r\n"), "50%25%0D%0A");
    }

    #[test]
    fn what_is_masked_is_not_seen() {
        let masks = masks("tok-[a-z0-9]+\n\n  hunter2  \n").unwrap();
        let safety = Safety { masks, ..Safety::default() };
        assert_eq!(safety.printable("a tok-1f hunter2 tok"), "a *** *** tok");
        assert!(super::masks("(").is_err());
        // A mask that matches nothing at all would put stars between all letters.
        let nothing = Safety { masks: super::masks("x*").unwrap(), ..Safety::default() };
        assert_eq!(nothing.masked("ab"), "ab");
    }
}
