//! The merged document, for people who ask where a value comes from.

use std::fmt::Write;

use super::{
    source::Sources,
    tree::{Node, Value},
};

/// What an environment says in the end, and where each value of it is written.
#[derive(Debug)]
pub struct Document {
    root: Node,
    sources: Sources,
}

/// A line of YAML and the place it comes from, if it shows a value.
type Line = (String, Option<String>);

/// Origins stand in one column, but a single long value shall not push them all out of sight.
const FARTHEST_COLUMN: usize = 70;

impl Document {
    pub(crate) fn new(root: Node, sources: Sources) -> Self {
        Self { root, sources }
    }

    /// As YAML, keys sorted, each value with `# file:line`.
    pub fn render(&self) -> String {
        let mut lines = Vec::new();
        self.lines(&self.root, 0, &mut lines);
        let lengths =
            lines.iter().filter(|(_, origin)| origin.is_some()).map(|(text, _)| text.chars().count());
        let column = lengths.filter(|length| *length <= FARTHEST_COLUMN).max().unwrap_or(0);
        let mut rendered = String::new();
        for (text, origin) in &lines {
            let _ = match origin {
                Some(origin) => writeln!(rendered, "{text:column$}  # {origin}"),
                None => writeln!(rendered, "{text}"),
            };
        }
        rendered
    }

    /// The same without origins.
    pub fn to_json(&self) -> serde_json::Value {
        self.root.to_json()
    }

    fn lines(&self, node: &Node, indent: usize, lines: &mut Vec<Line>) {
        let margin = " ".repeat(indent);
        match &node.value {
            Value::Map(map) => {
                for (key, entry) in map {
                    let front = format!("{margin}{}:", word(key));
                    self.entry(&front, &entry.node, indent, lines);
                }
            }
            Value::List(items) => {
                for item in items {
                    self.entry(&format!("{margin}-"), item, indent, lines);
                }
            }
            value => lines.push((format!("{margin}{}", scalar(value)), Some(self.sources.origin(node.spot)))),
        }
    }

    fn entry(&self, front: &str, node: &Node, indent: usize, lines: &mut Vec<Line>) {
        let origin = || Some(self.sources.origin(node.spot));
        match &node.value {
            Value::Map(map) if map.is_empty() => lines.push((format!("{front} {{}}"), origin())),
            Value::List(items) if items.is_empty() => lines.push((format!("{front} []"), origin())),
            Value::Map(_) | Value::List(_) => {
                lines.push((front.to_owned(), None));
                self.lines(node, indent + 2, lines);
            }
            value => lines.push((format!("{front} {}", scalar(value)), origin())),
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => word(text),
        Value::Null { .. } | Value::List(_) | Value::Map(_) => "null".into(),
    }
}

/// A text as YAML, in quotes unless it is plainly a word in every version of YAML.
fn word(text: &str) -> String {
    let path = text.starts_with("../") || text.starts_with("./");
    let plain = (path || text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./@".contains(c));
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if plain && !reserved.contains(&text.to_lowercase().as_str()) {
        text.to_owned()
    } else {
        // JSON's strings are YAML's double-quoted ones.
        serde_json::Value::from(text).to_string()
    }
}
