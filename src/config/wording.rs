//! What a value is that does not fit, and what was probably meant.

use super::{
    problem::Problems,
    shape::Shape,
    source::{Sources, inline_password, quoted},
    tree::{Node, Value},
};

/// What a mend is made from.
pub(crate) struct Wording<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) problems: &'a Problems,
    /// The keys that lead to the value.
    pub(crate) path: &'a [String],
}

impl Wording<'_> {
    /// The mend where the value shows what was meant.
    pub(crate) fn mend(&self, node: &Node, shape: &Shape) -> Option<String> {
        let written = self.sources.written(node.spot).trim();
        match (shape, &node.value) {
            (Shape::Text(_) | Shape::Duration, Value::Integer(_) | Value::Float(_) | Value::Boolean(_)) => {
                if matches!(shape, Shape::Duration) {
                    return Some(format!("add the unit: {written}s, {written}m, {written}h or {written}d"));
                }
                Some(format!("write it in quotes: \"{written}\""))
            }
            (Shape::Either(branches), _) => branches.iter().find_map(|branch| self.mend(node, branch)),
            (Shape::Words(words), Value::Text(text)) => {
                let text = text.to_lowercase().replace(['_', ' '], "-");
                self.problems
                    .near(&text, words)
                    .or_else(|| self.problems.near(&text.replace('-', "_"), words))
                    .map(|near| format!("did you mean `{near}`?"))
            }
            (Shape::Boolean, Value::Text(text)) => match text.to_lowercase().as_str() {
                "yes" | "on" | "y" | "true" => Some("write `true`".into()),
                "no" | "off" | "n" | "false" => Some("write `false`".into()),
                _ => None,
            },
            (Shape::Integer { .. } | Shape::Number { .. }, Value::Text(text))
                if text.parse::<f64>().is_ok() =>
            {
                Some(format!("write it without quotes: {text}"))
            }
            (Shape::List(_), Value::Text(text)) if inline_password(text).is_none() => {
                Some(format!("write it in brackets: [{text}]"))
            }
            (Shape::OneOf(variants), Value::Text(text)) if variants.contains_key(text) => {
                let key = self.path.last().map_or("", String::as_str);
                Some(format!("write `{key}: {{{text}: {{}}}}`"))
            }
            (Shape::Named(_) | Shape::Record(_), Value::List(_)) => {
                Some("write a name and a colon in front of each, instead of a dash".into())
            }
            _ => None,
        }
    }
}

/// What is there, for a message.
pub(crate) fn found(node: &Node) -> String {
    match &node.value {
        Value::Null { .. } => "empty".into(),
        Value::Boolean(value) => format!("`{value}`"),
        Value::Integer(number) => format!("the number {number}"),
        Value::Float(number) => format!("the number {number}"),
        Value::Text(text) => quoted(text),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a map".into(),
    }
}
