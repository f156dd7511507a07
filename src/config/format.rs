//! YAML in one layout: two columns for each level, lists under their keys, no blanks at ends of lines, one blank line at
//! most. Only white space between things changes, so comments and the order of keys stay; and it is proven before anything
//! is handed out.
//!
//! ```text
//! lines --scan--> which are structure, which belong to a text or to brackets that are still open
//!       --levels--> the column of each by the columns of those around it
//! ```

use serde_json::Value;

mod scan;

use scan::{Scanner, is_block_text, without_comment};

/// Why a text is left as it is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFormatted {
    #[error("this is no YAML: {0}")]
    NoYaml(String),
    #[error("it cannot be laid out anew without changing what it says")]
    Uncertain,
}

/// The text in the usual layout. What it says is the same: both texts are read and compared.
///
/// # Errors
/// When it is no YAML, or when it cannot be proven that nothing but the layout would change.
pub fn format(text: &str) -> Result<String, NotFormatted> {
    let before = read(text).map_err(NotFormatted::NoYaml)?;
    let formatted = lay_out(text);
    let same = read(&formatted).is_ok_and(|after| after == before)
        && marks(text).eq(marks(&formatted))
        && lay_out(&formatted) == formatted;
    if same { Ok(formatted) } else { Err(NotFormatted::Uncertain) }
}

fn read(text: &str) -> Result<Value, String> {
    // A file with nothing but comments says nothing.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Value::Null);
    }
    serde_yaml::from_str(text).map_err(|error| {
        let said = error.to_string();
        let line = said.lines().next().unwrap_or_default();
        line.strip_prefix("error: ").unwrap_or(line).to_owned()
    })
}

/// Everything that can be seen.
fn marks(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_whitespace() && *c != '\u{feff}')
}

/// A place where things stand below each other: the column they had, and the one they get.
#[derive(Clone, Copy, Debug)]
struct Level {
    old: usize,
    new: usize,
    /// Of the dashes of a list, which may stand in the column of the key above.
    list: bool,
}

#[derive(Default)]
struct Layout {
    levels: Vec<Level>,
    out: String,
    /// Comments wait for what comes below them, whose column they share.
    comments: Vec<(usize, String)>,
    blank: bool,
}

fn lay_out(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let lines: Vec<&str> = text.lines().collect();
    let mut layout = Layout::default();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim_end();
        let content = line.trim_start();
        let column = line.len() - content.len();
        at += 1;
        if content.is_empty() {
            layout.blank();
        } else if content.starts_with('#') {
            layout.comments.push((column, content.to_owned()));
        } else {
            at = layout.structure(column, content, &lines, at);
        }
    }
    layout.flush(None);
    layout.out
}

impl Layout {
    fn blank(&mut self) {
        if self.comments.is_empty() {
            self.blank = true;
        } else {
            self.comments.push((usize::MAX, String::new()));
        }
    }

    fn line(&mut self, column: usize, content: &str) {
        if std::mem::take(&mut self.blank) && !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out.extend(std::iter::repeat_n(' ', column));
        self.out.push_str(content);
        self.out.push('\n');
    }

    /// Comments go where what follows goes, unless they stand in the column of something that ended before.
    fn flush(&mut self, next: Option<Level>) {
        for (column, comment) in std::mem::take(&mut self.comments) {
            if comment.is_empty() {
                self.blank = true;
                continue;
            }
            let of_next = next.filter(|next| next.old == column);
            let level =
                of_next.or_else(|| self.levels.iter().rev().find(|level| level.old == column).copied());
            let new = level.or(next).or_else(|| self.levels.first().copied()).map_or(0, |level| level.new);
            self.line(new, &comment);
        }
    }

    /// Closes the levels that end here, and says in which column this line goes.
    fn enter(&mut self, column: usize, list: bool) -> (Vec<Level>, Level) {
        let mut levels = self.levels.clone();
        while levels
            .last()
            .is_some_and(|level| level.old > column || (level.old == column && level.list && !list))
        {
            levels.pop();
        }
        match levels.last().copied() {
            Some(level) if level.old == column && level.list == list => (levels, level),
            Some(level) => {
                let level = Level { old: column, new: level.new + 2, list };
                levels.push(level);
                (levels, level)
            }
            None => {
                let level = Level { old: column, new: 0, list };
                levels.push(level);
                (levels, level)
            }
        }
    }

    /// A line with a key, an item or a value, and what belongs to it on the lines below. Says which line comes next.
    fn structure(&mut self, column: usize, content: &str, lines: &[&str], mut next: usize) -> usize {
        let (levels, level) = self.enter(column, is_item(content));
        self.flush(Some(level));
        self.levels = levels;
        let (mut old, mut new, mut rest) = (level.old, level.new, content);
        let mut shown = String::new();
        // What stands behind a dash is a level of its own.
        while is_item(rest) && rest.len() > 1 {
            let inner = rest[1..].trim_start();
            if inner.starts_with('#') {
                break;
            }
            old += rest.len() - inner.len();
            new += 2;
            shown.push_str("- ");
            rest = inner;
            self.levels.push(Level { old, new, list: is_item(rest) });
        }
        shown.push_str(rest);
        self.line(level.new, &shown);
        let mut scanner = Scanner::default();
        scanner.line(rest);
        if !scanner.is_open() && is_block_text(without_comment(rest)) {
            // The text is deeper than the key, or the dash, that it belongs to.
            let parent = if rest.contains(": ") || !shown.starts_with("- ") {
                (old, new)
            } else {
                (old.saturating_sub(2).max(column), new.saturating_sub(2))
            };
            return self.block_text(parent, lines, next);
        }
        while scanner.is_open() && next < lines.len() {
            let line = lines[next];
            let inner = line.trim_start();
            let at = line.len() - inner.len();
            // Moved as a whole with the line that opened it.
            let moved = (at + new).saturating_sub(old);
            scanner.line(inner);
            self.line(if inner.trim_end().is_empty() { 0 } else { moved }, inner.trim_end());
            next += 1;
        }
        next
    }

    /// A text whose line ends count: moved as a whole.
    fn block_text(&mut self, parent: (usize, usize), lines: &[&str], mut next: usize) -> usize {
        let (old, new) = parent;
        let first = lines[next..].iter().find(|line| !line.trim().is_empty());
        let Some(first) = first else { return next };
        let column = first.len() - first.trim_start_matches(' ').len();
        if column <= old {
            return next;
        }
        let mut blanks = 0;
        while next < lines.len() {
            let line = lines[next];
            let at = line.len() - line.trim_start_matches(' ').len();
            if line.trim().is_empty() && at <= column {
                blanks += 1;
            } else if at < column {
                break;
            } else {
                for _ in 0..blanks {
                    self.out.push('\n');
                }
                blanks = 0;
                self.out.extend(std::iter::repeat_n(' ', new + 2));
                self.out.push_str(&line[column..]);
                self.out.push('\n');
            }
            next += 1;
        }
        self.blank = blanks > 0;
        next
    }
}

/// An item of a list: a dash alone, or before a blank.
fn is_item(content: &str) -> bool {
    content == "-" || content.starts_with("- ")
}

#[cfg(test)]
mod tests;
