//! Two values side by side, as Terraform shows them: attributes aligned, what is unchanged hidden and counted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{
    count, escape,
    paint::{Page, Sign},
};
use crate::model::secret;

/// Shown although unchanged, because they say which object it is (Terraform's list).
const TELLING: [&str; 3] = ["id", "name", "tags"];
/// A flat map in a list stands on one line up to this many characters; so does a value that changes its type.
const SHORT: usize = 120;
/// Unchanged lines shown around a changed one.
const CONTEXT: usize = 3;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Unknown,
    Null,
    /// Numbers, booleans and `(sensitive value)`, as they are shown.
    Bare(String),
    Text(String),
    /// A text that is a JSON document: a policy.
    Json(String, Box<Node>),
    List(Vec<Node>),
    Map(Attributes),
}

pub(super) type Attributes = BTreeMap<String, Node>;

impl Node {
    /// `unknown` has the shape of Terraform's `after_unknown`.
    pub(super) fn of(value: &Value, unknown: Option<&Value>) -> Self {
        if unknown == Some(&Value::Bool(true)) {
            return Self::Unknown;
        }
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) | Value::Number(_) => Self::Bare(value.to_string()),
            Value::String(text) if text == secret::SHOWN => Self::Bare(text.clone()),
            Value::String(text) => match document(text) {
                Some(document) => Self::Json(text.clone(), Box::new(document)),
                None => Self::Text(text.clone()),
            },
            Value::Array(items) => {
                let unknown = |place: usize| unknown.and_then(|unknown| unknown.get(place));
                Self::List(
                    items.iter().enumerate().map(|(place, item)| Self::of(item, unknown(place))).collect(),
                )
            }
            Value::Object(_) => Self::Map(attributes(value, unknown)),
        }
    }

    /// On one line, whatever it is.
    pub(super) fn inline(&self) -> String {
        match self {
            Self::Unknown => "(known after apply)".into(),
            Self::Null => "null".into(),
            Self::Bare(shown) => shown.clone(),
            Self::Text(text) | Self::Json(text, _) => escape::quoted(text),
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::inline).collect::<Vec<_>>().join(", "))
            }
            Self::Map(map) if map.is_empty() => "{}".into(),
            Self::Map(map) => {
                let inner: Vec<String> = (map.iter())
                    .map(|(key, node)| format!("{} = {}", escape::key(key), node.inline()))
                    .collect();
                format!("{{ {} }}", inner.join(", "))
            }
        }
    }

    /// On one line, and without what would make that line long.
    pub(super) fn brief(&self) -> String {
        let inline = self.inline();
        match self {
            Self::List(_) if inline.len() > SHORT => "[...]".into(),
            Self::Map(_) if inline.len() > SHORT => "{...}".into(),
            _ => inline,
        }
    }

    fn is_flat(&self) -> bool {
        match self {
            Self::Unknown | Self::Null | Self::Bare(_) => true,
            Self::Text(text) => !text.contains('\n'),
            Self::Json(..) | Self::Map(_) => false,
            Self::List(items) => items.is_empty(),
        }
    }

    /// A map that reads well on one line of a list.
    fn short(&self) -> Option<String> {
        let Self::Map(map) = self else { return None };
        let inline = map.values().all(Self::is_flat).then(|| self.inline())?;
        (inline.len() <= SHORT).then_some(inline)
    }

    /// What is all new or all gone, and fits on one line: lists, and maps of them. Terraform gives each element a line of
    /// its own; with privileges that makes a plan four times as long, and no clearer.
    fn compact(&self) -> Option<String> {
        let plain = |node: &Self| {
            node.is_flat() || matches!(node, Self::List(items) if items.iter().all(Self::is_flat))
        };
        let fits = match self {
            Self::List(_) => plain(self),
            Self::Map(map) => map.values().all(plain),
            _ => false,
        };
        fits.then(|| self.inline()).filter(|inline| inline.len() <= SHORT)
    }

    fn lines(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) if text.contains('\n') => {
                // One trailing line break is what makes it lines; any more are shown.
                Some(text.strip_suffix('\n').unwrap_or(text).split('\n').collect())
            }
            _ => None,
        }
    }
}

/// The attributes of an object; nothing when it is none.
pub(super) fn attributes(value: &Value, unknown: Option<&Value>) -> Attributes {
    let unknown = |key: &str| unknown.and_then(|unknown| unknown.get(key));
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), Node::of(value, unknown(key)))).collect()
}

fn document(text: &str) -> Option<Node> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    (value.is_object() || value.is_array()).then(|| Node::of(&value, None))
}

/// What stands before and after a value on its line.
#[derive(Clone, Copy, Default)]
struct Around<'a> {
    label: &'a str,
    /// Ends the value: a comma, or `-> null`.
    tail: &'a str,
    /// Ends the first line: why.
    note: &'a str,
}

/// The body of an object: `forced` are the attributes that force its replacement.
pub(super) fn body(page: &mut Page, before: &Attributes, after: &Attributes, forced: &BTreeSet<&str>) {
    map(page, before, after, 6, forced, true);
}

fn map(
    page: &mut Page,
    before: &Attributes,
    after: &Attributes,
    at: usize,
    forced: &BTreeSet<&str>,
    top: bool,
) {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    // An attribute that is null is one that is not set.
    let set = |node: Option<&'_ Node>| node.filter(|node| **node != Node::Null).cloned();
    let (mut shown, mut hidden) = (Vec::new(), 0);
    for key in keys {
        let (old, new) = (set(before.get(key)), set(after.get(key)));
        if old == new && (!TELLING.contains(&key.as_str()) || old.is_none()) {
            hidden += usize::from(old.is_some());
        } else {
            shown.push((key, escape::key(key), old, new));
        }
    }
    let width = shown.iter().map(|(_, key, ..)| key.chars().count()).max().unwrap_or(0);
    for (name, key, old, new) in &shown {
        let label = format!("{key:width$} = ");
        let null = format!(" {} null", page.arrow());
        let note = if forced.contains(name.as_str()) {
            format!(" {}", page.red("# forces replacement"))
        } else {
            String::new()
        };
        let tail = if top && new.is_none() { null.as_str() } else { "" };
        pair(page, old.as_ref(), new.as_ref(), at, Around { label: &label, tail, note: &note });
    }
    hide(page, at, hidden, "attribute");
}

fn hide(page: &mut Page, at: usize, hidden: usize, noun: &str) {
    if hidden > 0 {
        let note = page.dim(&format!("# ({} hidden)", count(hidden, &format!("unchanged {noun}"))));
        page.line(Sign::None, at, &note);
    }
}

fn pair(page: &mut Page, old: Option<&Node>, new: Option<&Node>, at: usize, around: Around<'_>) {
    let Around { label, tail, note } = around;
    match (old, new) {
        (None, None) => {}
        (None, Some(new)) => one(page, Sign::Add, new, at, around),
        (Some(old), None) => one(page, Sign::Remove, old, at, around),
        (Some(old), Some(new)) if old == new => one(page, Sign::None, old, at, around),
        (Some(Node::Map(old)), Some(Node::Map(new))) => {
            page.line(Sign::Change, at, &format!("{label}{{{note}"));
            map(page, old, new, at + 4, &BTreeSet::new(), false);
            page.line(Sign::None, at, &format!("}}{tail}"));
        }
        (Some(Node::List(old)), Some(Node::List(new))) => {
            page.line(Sign::Change, at, &format!("{label}[{note}"));
            elements(page, old, new, at + 4);
            page.line(Sign::None, at, &format!("]{tail}"));
        }
        (Some(Node::Json(_, old)), Some(Node::Json(_, new))) if old != new => {
            page.line(Sign::Change, at, &format!("{label}jsonencode({note}"));
            pair(page, Some(old), Some(new), at + 4, Around::default());
            page.line(Sign::None, at, &format!("){tail}"));
        }
        (Some(Node::Text(_)), Some(Node::Text(_)))
            if old.is_some_and(|old| old.lines().is_some())
                || new.is_some_and(|new| new.lines().is_some()) =>
        {
            let whole = |node: Option<&Node>| match node {
                Some(Node::Text(text)) => text.clone(),
                _ => String::new(),
            };
            page.line(Sign::Change, at, &format!("{label}<<-EOT{note}"));
            lines(page, &whole(old), &whole(new), at + 4);
            page.line(Sign::None, at, &format!("EOT{tail}"));
        }
        (Some(old), Some(new)) => {
            let change = format!("{label}{} {} {}{tail}{note}", old.brief(), page.arrow(), new.brief());
            page.line(Sign::Change, at, &change);
        }
    }
}

/// A value that is all new, all gone, or all the same.
fn one(page: &mut Page, sign: Sign, node: &Node, at: usize, around: Around<'_>) {
    let Around { label, tail, note } = around;
    match node {
        Node::Map(map) if !map.is_empty() => {
            page.line(sign, at, &format!("{label}{{{note}"));
            let set: Vec<_> = map.iter().filter(|(_, node)| **node != Node::Null).collect();
            let width = set.iter().map(|(key, _)| escape::key(key).chars().count()).max().unwrap_or(0);
            for (key, node) in set {
                let label = format!("{:width$} = ", escape::key(key));
                one(page, sign, node, at + 4, Around { label: &label, ..Around::default() });
            }
            page.inner(sign, at, &format!("}}{tail}"));
        }
        Node::List(items) if !items.is_empty() && node.compact().is_none() => {
            page.line(sign, at, &format!("{label}[{note}"));
            for item in items {
                element(page, sign, item, at + 4);
            }
            page.inner(sign, at, &format!("]{tail}"));
        }
        Node::Json(_, document) => {
            page.line(sign, at, &format!("{label}jsonencode({note}"));
            one(page, sign, document, at + 4, Around::default());
            page.inner(sign, at, &format!("){tail}"));
        }
        _ => {
            if let Some(lines) = node.lines() {
                page.line(sign, at, &format!("{label}<<-EOT{note}"));
                for line in lines {
                    page.inner(sign, at + 4, &escape::line(line));
                }
                page.inner(sign, at, &format!("EOT{tail}"));
            } else {
                page.line(sign, at, &format!("{label}{}{tail}{note}", node.inline()));
            }
        }
    }
}

fn element(page: &mut Page, sign: Sign, node: &Node, at: usize) {
    match node.compact() {
        Some(short) => page.line(sign, at, &format!("{short},")),
        None => one(page, sign, node, at, Around { tail: ",", ..Around::default() }),
    }
}

fn elements(page: &mut Page, old: &[Node], new: &[Node], at: usize) {
    enum Item<'a> {
        Same(&'a Node),
        One(Sign, &'a Node),
        Both(&'a Node, &'a Node),
    }
    let keys = |nodes: &[Node]| nodes.iter().map(Node::inline).collect::<Vec<_>>();
    let mut items = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &keys(old), &keys(new)) {
        let (mut gone, mut come) = (old[op.old_range()].iter(), new[op.new_range()].iter());
        if matches!(op, DiffOp::Equal { .. }) {
            items.extend(gone.map(Item::Same));
            continue;
        }
        // Large maps in the same place are one map that changed; anything smaller reads better as two lines.
        let large = |node: &Node| matches!(node, Node::Map(_)) && node.short().is_none();
        while let (Some(a), Some(b)) = (gone.as_slice().first(), come.as_slice().first()) {
            if !large(a) || !large(b) {
                break;
            }
            items.extend(gone.next().zip(come.next()).map(|(a, b)| Item::Both(a, b)));
        }
        items.extend(gone.map(|node| Item::One(Sign::Remove, node)));
        items.extend(come.map(|node| Item::One(Sign::Add, node)));
    }
    let changed: Vec<bool> = items.iter().map(|item| !matches!(item, Item::Same(_))).collect();
    let mut hidden = 0;
    for (place, item) in items.iter().enumerate() {
        // One unchanged neighbour shows where in the list it happens.
        if !changed[place.saturating_sub(1)..(place + 2).min(changed.len())].contains(&true) {
            hidden += 1;
            continue;
        }
        hide(page, at, std::mem::take(&mut hidden), "element");
        match item {
            Item::Same(node) => element(page, Sign::None, node, at),
            Item::One(sign, node) => element(page, *sign, node, at),
            Item::Both(old, new) => {
                pair(page, Some(old), Some(new), at, Around { tail: ",", ..Around::default() });
            }
        }
    }
    hide(page, at, hidden, "element");
}

fn lines(page: &mut Page, old: &str, new: &str, at: usize) {
    // A trailing line break that both have is no line of its own; one that only one has is a difference.
    let (old, new) = match (old.strip_suffix('\n'), new.strip_suffix('\n')) {
        (Some(a), Some(b)) => (a, b),
        _ => (old, new),
    };
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let ops = capture_diff_slices(Algorithm::Myers, &old, &new);
    for (place, op) in ops.iter().enumerate() {
        if let DiffOp::Equal { old_index, len, .. } = *op {
            let (first, last) = (place == 0, place + 1 == ops.len());
            let head = if first { 0 } else { CONTEXT.min(len) };
            let tail = if last { 0 } else { CONTEXT.min(len - head) };
            let show = |page: &mut Page, line: &&str| page.line(Sign::None, at, &escape::line(line));
            let same = &old[old_index..old_index + len];
            same[..head].iter().for_each(|line| show(page, line));
            hide(page, at, len - head - tail, "line");
            same[len - tail..].iter().for_each(|line| show(page, line));
            continue;
        }
        for line in &old[op.old_range()] {
            page.line(Sign::Remove, at, &escape::line(line));
        }
        for line in &new[op.new_range()] {
            page.line(Sign::Add, at, &escape::line(line));
        }
    }
}
