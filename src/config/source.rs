//! The files an environment was read from, and the places in them.
//!
//! A [`Spot`] is three numbers, so that the tree may carry one for every key and value; it becomes a [`Place`], with the
//! line and column people read, only when a problem or an origin is shown.

use std::{ops::Range, sync::LazyLock};

use regex_lite::Regex;
use serde::{Serialize, Serializer};

use crate::model::secret;

/// Longest line that is shown in full; of a longer one only the part around the mark is shown.
const SHOWN_CHARACTERS: usize = 140;

/// From where to where something is written, in bytes of one of the [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) file: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// One file as it was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// The path as it is shown to people.
    file: String,
    text: String,
    /// Where each line starts, in bytes.
    lines: Vec<usize>,
    /// What must never be shown, in bytes: passwords written into a connection string.
    secrets: Vec<Range<usize>>,
}

/// All files of one environment, in the order in which they were read.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

/// Where something is written, as people and editors count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path as it was reached from the folder of environments.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// In bytes from the start of the file.
    pub byte: usize,
    /// The end is exclusive.
    pub end_line: usize,
    pub end_column: usize,
    pub end_byte: usize,
    /// The line, without its end; secrets are masked, and a very long line is cut.
    pub text_of_line: String,
    /// Which characters of `text_of_line` are meant, counted from 0.
    pub marked: Range<usize>,
}

impl Sources {
    /// Adds a file and answers its number.
    pub(crate) fn add(&mut self, file: String, text: String) -> u32 {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        self.0.push(Source { file, text, lines, secrets: Vec::new() });
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    fn get(&self, file: u32) -> Option<&Source> {
        self.0.get(usize::try_from(file).ok()?)
    }

    pub(crate) fn text(&self, file: u32) -> &str {
        self.get(file).map_or("", |source| &source.text)
    }

    pub(crate) fn file(&self, file: u32) -> &str {
        self.get(file).map_or("", |source| &source.file)
    }

    /// The number of the file that is shown under this path.
    pub(crate) fn number(&self, file: &str) -> Option<u32> {
        u32::try_from(self.0.iter().position(|source| source.file == file)?).ok()
    }

    /// What is written at a spot, letter by letter: `0123`, where the value is 123.
    pub(crate) fn written(&self, spot: Spot) -> &str {
        self.text(spot.file).get(spot.start as usize..spot.end as usize).unwrap_or("")
    }

    /// From now on nothing at this spot behind `://` is shown to anybody.
    pub(crate) fn hide(&mut self, spot: Spot) {
        if let Some(source) = self.0.get_mut(spot.file as usize) {
            source.secrets.push(spot.start as usize..spot.end as usize);
        }
    }

    pub(crate) fn place(&self, spot: Spot) -> Option<Place> {
        let source = self.get(spot.file)?;
        let (start, end) = (source.boundary(spot.start as usize), source.boundary(spot.end as usize));
        let (line, column) = source.line_and_column(start);
        let (end_line, end_column) = source.line_and_column(end.max(start));
        let (text_of_line, marked) = source.shown(line, start..end.max(start));
        Some(Place {
            file: source.file.clone(),
            line,
            column,
            byte: start,
            end_line,
            end_column,
            end_byte: end.max(start),
            text_of_line,
            marked,
        })
    }

    /// `file:line`, for origins.
    pub(crate) fn origin(&self, spot: Spot) -> String {
        self.get(spot.file).map_or_else(String::new, |source| {
            let (line, _) = source.line_and_column(source.boundary(spot.start as usize));
            format!("{}:{line}", source.file)
        })
    }
}

impl Source {
    /// The nearest start of a character at or before `byte`, so that slicing cannot fail.
    fn boundary(&self, byte: usize) -> usize {
        (0..=byte.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }

    fn line_and_column(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        (line, self.text.get(start..byte).unwrap_or("").chars().count() + 1)
    }

    fn line(&self, line: usize) -> Range<usize> {
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        let text = self.text.get(start..end).unwrap_or("");
        start..start + text.trim_end_matches(['\n', '\r']).len()
    }

    /// The line with secrets masked, and which characters of that text are marked.
    fn shown(&self, line: usize, marked: Range<usize>) -> (String, Range<usize>) {
        let range = self.line(line);
        let hidden = self.hidden(&range);
        let text = self.text.get(range.clone()).unwrap_or("");
        let (mut shown, mut count) = (String::new(), 0);
        let mut marks = (None, None);
        let mut behind = range.start;
        for (at, character) in text.char_indices().map(|(at, character)| (at + range.start, character)) {
            if at >= marked.start && marks.0.is_none() {
                marks.0 = Some(count);
            }
            if at >= marked.end && marks.1.is_none() {
                marks.1 = Some(count);
            }
            if at < behind {
                continue;
            }
            if let Some(secret) = hidden.iter().find(|secret| secret.contains(&at)) {
                shown.push_str(secret::SHOWN);
                count += secret::SHOWN.len();
                behind = secret.end;
            } else {
                // A tab is often the very problem, so it is shown.
                shown.push(match character {
                    '\t' => '\u{2192}',
                    other if other.is_control() => ' ',
                    other => other,
                });
                count += 1;
            }
        }
        let start = marks.0.unwrap_or(count);
        cut(shown, start..marks.1.unwrap_or(count).max(start + 1))
    }

    /// The parts of a line that must not be shown: what is known to be secret, and what merely looks like it, because a
    /// file with a syntax error was never understood.
    fn hidden(&self, line: &Range<usize>) -> Vec<Range<usize>> {
        let mut hidden: Vec<Range<usize>> = Vec::new();
        for secret in &self.secrets {
            let part = secret.start.max(line.start)..secret.end.min(line.end);
            if let Some(text) = self.text.get(part.clone()).filter(|text| !text.is_empty()) {
                let from = text.find("://").map_or(part.start, |at| part.start + at + 3);
                let to = text.rfind('@').map_or(part.end, |at| part.start + at);
                hidden.push(from..to.max(from));
            }
        }
        let text = self.text.get(line.clone()).unwrap_or("");
        if let Some(password) = inline_password(text) {
            hidden.push(line.start + password.start..line.start + password.end);
        }
        if let Some(value) = SECRET_KEY.captures(text).and_then(|found| found.get(2)) {
            hidden.push(line.start + value.start()..line.start + value.end());
        }
        hidden.retain(|part| !part.is_empty());
        hidden
    }
}

/// A key whose name promises a secret, and everything behind it on its line.
static SECRET_KEY: LazyLock<Regex> = LazyLock::new(|| {
    #[allow(clippy::expect_used, reason = "a constant pattern, which the tests of this file compile")]
    Regex::new(r#"(?i)(pass|passwd|password|pwd|secret|secret_key|token|api_key|access_key|private_key)["']?\s*:\s+(.*)$"#)
        .expect("a valid pattern")
});

/// Whether a key promises a secret by its name.
pub(crate) fn promises_secret(key: &str) -> bool {
    SECRET_KEY.is_match(&format!("{key}: ?"))
}

/// Where in `text` the password of a `scheme://user:password@host` is, in bytes. It reaches to the last `@`, because people
/// forget to percent-encode it.
pub(crate) fn inline_password(text: &str) -> Option<Range<usize>> {
    let authority = text.find("://")? + 3;
    let colon = authority + text.get(authority..)?.find(':')?;
    let at = text.rfind('@').filter(|at| *at > colon)?;
    if text.get(authority..colon)?.contains(['/', '@']) {
        return None;
    }
    let secret = text.get(colon + 1..at)?;
    // `mongodb://vm-1:27017/?appName=a@b` has a colon and an at sign, but no password: a port and a slash come between.
    let (port, behind) = secret.split_at(secret.find(['/', '?']).unwrap_or(secret.len()));
    let hosts =
        port.split([',', ':']).next().is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    if !behind.is_empty() && hosts && !port.contains('@') {
        return None;
    }
    Some(colon + 1..at)
}

/// `text` for a message: passwords masked, control characters shown as what they are, and not longer than a line.
pub(crate) fn quoted(text: &str) -> String {
    let masked = match inline_password(text) {
        Some(password) => format!("{}{}{}", &text[..password.start], secret::SHOWN, &text[password.end..]),
        None => text.to_owned(),
    };
    let shown: String = masked.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'");
    if shown.chars().count() > 60 {
        return format!("`{}...`", shown.chars().take(57).collect::<String>());
    }
    format!("`{shown}`")
}

fn cut(line: String, marked: Range<usize>) -> (String, Range<usize>) {
    let length = line.chars().count();
    if length <= SHOWN_CHARACTERS {
        return (line, marked);
    }
    let from = marked.start.saturating_sub(SHOWN_CHARACTERS / 2);
    let middle: String = line.chars().skip(from).take(SHOWN_CHARACTERS).collect();
    let front = if from > 0 { "..." } else { "" };
    let back = if from + SHOWN_CHARACTERS < length { "..." } else { "" };
    let end = (marked.end - from).min(SHOWN_CHARACTERS);
    (format!("{front}{middle}{back}"), marked.start - from + front.len()..end + front.len())
}

impl Serialize for Place {
    /// As the `range` and `snippet` of a diagnostic of `terraform validate -json`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.diagnostic().serialize(serializer)
    }
}

impl Place {
    /// `range` and `snippet`, field by field as `terraform validate -json` writes them.
    pub(crate) fn diagnostic(&self) -> serde_json::Value {
        serde_json::json!({
            "range": {
                "filename": self.file,
                "start": {"line": self.line, "column": self.column, "byte": self.byte},
                "end": {"line": self.end_line, "column": self.end_column, "byte": self.end_byte},
            },
            "snippet": {
                "context": null,
                "code": self.text_of_line,
                "start_line": self.line,
                "highlight_start_offset": self.marked.start,
                "highlight_end_offset": self.marked.end,
                "values": [],
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found() {
        for (text, password) in [
            ("mongodb://admin:hunter2@vm-1,vm-2/admin", Some("hunter2")),
            ("mongodb://admin:hun/ter@2@vm-1", Some("hun/ter@2")),
            ("mongodb://admin@vm-1:27017", None),
            ("mongodb://vm-1:27017,vm-2:27017/?replicaSet=a@b", None),
            ("mongodb://vm-1:27017/?a=b@c", None),
            ("mongodb://u:12345@vm-1", Some("12345")),
            ("https://example.com/a:b@c", None),
            ("no scheme:at@all", None),
        ] {
            let found = inline_password(text).map(|range| &text[range]);
            assert_eq!(found, password, "{text}");
        }
    }

    #[test]
    fn secrets_are_masked_in_lines_and_the_mark_follows() {
        let mut sources = Sources::default();
        let text = "uri: mongodb://u:canary@h # x\npassword: canary\nplain: ä value\n";
        let file = sources.add("a.yaml".into(), text.into());
        let spot = |start: usize, end: usize| Spot {
            file,
            start: u32::try_from(start).unwrap(),
            end: u32::try_from(end).unwrap(),
        };
        let place = sources.place(spot(5, 25)).unwrap();
        assert_eq!(place.text_of_line, "uri: mongodb://u:(sensitive value)@h # x");
        assert_eq!(place.marked, 5..36);
        let place = sources.place(spot(30, 38)).unwrap();
        assert_eq!(place.text_of_line, "password: (sensitive value)");
        let at = text.find("value\n").unwrap();
        let place = sources.place(spot(at, at + 5)).unwrap();
        assert_eq!((place.line, place.column, place.marked), (3, 10, 9..14));
    }
}
