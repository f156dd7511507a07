//! Holds a tree against the shape the types demand, and takes out what does not fit, so that everything else can still be
//! read and checked in the same run.

use std::collections::BTreeSet;

use super::{
    problem::{Draft, Problems, did_you_mean, listed},
    shape::{Record, Shape},
    source::{Sources, Spot, promises_secret, quoted},
    tree::{Entry, Map, Node, Value},
    wording::{Wording, found},
};

/// The paths at or below which something does not fit: there, checks that ask whether something is present stay silent.
#[derive(Debug, Default)]
pub(crate) struct Unfit {
    paths: BTreeSet<String>,
    /// Whether a key of the top itself is among them.
    top: bool,
}

impl Unfit {
    fn add(&mut self, path: &[String], key: Option<&str>) {
        let mut text = String::new();
        for part in path.iter().map(String::as_str).chain(key) {
            text.push_str(part);
            text.push('\n');
        }
        self.top |= path.len() + usize::from(key.is_some()) == 1;
        self.paths.insert(text);
    }

    /// Whether nothing directly at the top was taken out.
    pub(crate) fn spares_top(&self) -> bool {
        !self.top
    }

    /// Whether nothing at the path or below it was taken out.
    pub(crate) fn spares(&self, path: &[&str]) -> bool {
        let mut text = path.join("\n");
        text.push('\n');
        self.paths.range(text.clone()..).next().is_none_or(|unfit| !unfit.starts_with(&text))
    }
}

/// Checks a whole document; the answer is what of it can be used.
pub(crate) fn check(
    root: Node,
    shape: &Shape,
    whole: bool,
    start: Spot,
    sources: &Sources,
    problems: &mut Problems,
) -> (Node, Unfit) {
    let spot = root.spot;
    let mut walk = Walk { sources, problems, unfit: Unfit::default(), path: Vec::new(), whole };
    let empty = Node { spot, value: Value::Map(Map::new()) };
    let fitting = walk.fit(root, shape, start).unwrap_or(empty);
    (fitting, walk.unfit)
}

struct Walk<'a> {
    sources: &'a Sources,
    problems: &'a mut Problems,
    unfit: Unfit,
    path: Vec<String>,
    whole: bool,
}

impl Walk<'_> {
    /// The part of `node` that fits; `anchor` is the key it stands behind, for what is missing in it.
    fn fit(&mut self, node: Node, shape: &Shape, anchor: Spot) -> Option<Node> {
        let spot = node.spot;
        if let Value::Text(text) = &node.value
            && !self.plain(text, spot)
        {
            return None;
        }
        let value = match (shape, node.value) {
            (Shape::Record(record), Value::Map(map)) => Value::Map(self.record(map, record, anchor)?),
            (Shape::Named(shape), Value::Map(map)) => Value::Map(self.named(map, shape)),
            (Shape::OneOf(variants), Value::Map(map)) => {
                let variants: Vec<(&str, &Shape)> =
                    variants.iter().map(|(name, shape)| (name.as_str(), shape)).collect();
                Value::Map(self.one_of(map, &variants, anchor, spot)?)
            }
            (Shape::List(shape), Value::List(items)) => {
                Value::List(items.into_iter().filter_map(|item| self.item(item, shape)).collect())
            }
            (Shape::Either(branches), value) => {
                let node = Node { spot, value };
                let Some(branch) = branches.iter().find(|branch| takes(branch, &node.value)) else {
                    self.misfit(&node, shape, anchor);
                    return None;
                };
                if branches.iter().any(|branch| matches!(branch, Shape::Boolean)) {
                    self.unambiguous(&node)?;
                }
                if let (Shape::Words(words), Value::Text(text)) = (branch, &node.value)
                    && !words.contains(text)
                {
                    self.misfit(&node, shape, anchor);
                    return None;
                }
                return self.fit(node, branch, anchor);
            }
            (shape, value) => {
                let node = Node { spot, value };
                if !fits(&node, shape) {
                    self.misfit(&node, shape, anchor);
                    return None;
                }
                if matches!(shape, Shape::Integer { .. }) {
                    self.unambiguous(&node)?;
                }
                return Some(node);
            }
        };
        Some(Node { spot, value })
    }

    /// What no text may contain, wherever it stands.
    fn plain(&mut self, text: &str, spot: Spot) -> bool {
        let name = self.name();
        let problem = if text.contains("${") {
            self.problems
                .add(spot, format!("{name} contains `${{`, but nothing is filled in here"))
                .because("there is no templating: what is written is what is used")
                .mend("write the value out; secrets and addresses that differ per machine are `{env: NAME}` or `{file: PATH}`")
        } else if super::source::inline_password(text).is_some() {
            self.problems
                .add(spot, format!("{name} has a password in it"))
                .mend("take the whole value from a variable or a file: `{env: NAME}` or `{file: PATH}`")
        } else if text.chars().any(char::is_control) {
            self.problems
                .add(spot, format!("{name} contains a line end or another control character"))
                .mend("write it on one line, without `|` or `>`")
        } else {
            return true;
        };
        let _: &mut Draft = problem;
        self.unfit.add(&self.path, None);
        false
    }

    /// Numbers whose text and value differ: `0640` is 640 in YAML but not in Postgres.
    fn unambiguous(&mut self, node: &Node) -> Option<()> {
        let meant = match &node.value {
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            _ => return Some(()),
        };
        let written = self.sources.written(node.spot).trim();
        if meant == written {
            return Some(());
        }
        let name = self.name();
        let mend = format!("write `{meant}` if that is meant, or `\"{written}\"` for the text as it stands");
        self.problems
            .add(node.spot, format!("{name} is written `{written}`, which YAML reads as {meant}"))
            .mend(mend);
        self.unfit.add(&self.path, None);
        None
    }

    /// The value where a message speaks about it: `clusters.main.readers`.
    fn name(&self) -> String {
        if self.path.is_empty() { "the file".into() } else { format!("`{}`", self.path.join(".")) }
    }

    fn inside(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path.join(".")) }
    }

    fn item(&mut self, item: Node, shape: &Shape) -> Option<Node> {
        if item.is_null() {
            let name = self.name();
            self.problems.add(item.spot, format!("{name} has an item without a value")).mend("delete it");
            self.unfit.add(&self.path, None);
            return None;
        }
        let spot = item.spot;
        self.fit(item, shape, spot)
    }

    fn below(&mut self, name: String, entry: Entry, shape: &Shape) -> Option<(String, Entry)> {
        self.path.push(name);
        let node = self.fit(entry.node, shape, entry.key);
        let name = self.path.pop()?;
        Some((name, Entry { key: entry.key, node: node? }))
    }

    fn record(&mut self, map: Map, record: &Record, anchor: Spot) -> Option<Map> {
        let mut fitting = Map::new();
        let mut misspelt: Vec<String> = Vec::new();
        let mut wrong: Vec<String> = Vec::new();
        for (name, entry) in map {
            let Some(shape) = record.properties.get(&name) else {
                let meant = self.unknown(&name, &entry, record.properties.keys());
                misspelt.extend(meant);
                continue;
            };
            if entry.node.is_null() {
                continue;
            }
            match self.below(name.clone(), entry, shape) {
                Some((name, entry)) => {
                    fitting.insert(name, entry);
                }
                None => wrong.push(name),
            }
        }
        let mut complete = true;
        for name in record.required.iter().filter(|name| !fitting.contains_key(*name)) {
            complete = false;
            self.unfit.add(&self.path, Some(name));
            let said = misspelt.contains(name) || wrong.contains(name);
            if said || (self.path.is_empty() && !self.whole) {
                continue;
            }
            let place = self.inside();
            let expected = record.properties.get(name).map(Shape::expected).unwrap_or_default();
            let mend = match name.as_str() {
                "platform" => "add `platform: {local: {}}`, or `platform: {aws: {account: \"111122223333\", region: eu-central-1}}`".into(),
                _ => format!("add `{name}:` with {expected}"),
            };
            self.problems.add(anchor, format!("`{name}` is missing{place}")).mend(mend);
        }
        // Without a platform there is no `Environment`; the caller puts one in, and leaves out what depends on it.
        (complete || self.path.is_empty()).then_some(fitting)
    }

    /// Says that a key is unknown; the answer is the key that was meant.
    fn unknown<'n>(
        &mut self,
        name: &str,
        entry: &Entry,
        known: impl Iterator<Item = &'n String> + Clone,
    ) -> Option<String> {
        self.unfit.add(&self.path, Some(name));
        let near = self.problems.near(name, known.clone()).map(str::to_owned);
        let place = self.inside();
        let draft = self.problems.add(entry.key, format!("unknown key {}{place}", quoted(name)));
        if promises_secret(name) {
            draft.because("no secret is ever written here: logins to Postgres are by IAM, and the address of a MongoDB is `{env: NAME}` or `{file: PATH}`");
        }
        draft.mend_if(did_you_mean(near.as_deref(), known));
        near
    }

    fn named(&mut self, map: Map, shape: &Shape) -> Map {
        let mut fitting = Map::new();
        for (name, entry) in map {
            if name.contains("${") || name.chars().any(char::is_control) {
                let place = self.inside();
                self.unfit.add(&self.path, Some(&name));
                self.problems
                    .add(entry.key, format!("the name {}{place} cannot be used", quoted(&name)))
                    .because("there is no templating, and names have no control characters");
            } else if entry.node.is_null() {
                self.unfit.add(&self.path, Some(&name));
                self.no_value(&name, &entry, shape);
            } else if let Some((name, entry)) = self.below(name, entry, shape) {
                fitting.insert(name, entry);
            }
        }
        fitting
    }

    /// `orders:` with nothing behind it. That could mean a service with defaults, or its removal, so it means neither.
    fn no_value(&mut self, name: &str, entry: &Entry, shape: &Shape) {
        let place = self.inside();
        let removes = matches!(entry.node.value, Value::Null { written: true });
        let (summary, mend) = match shape {
            _ if removes => (
                format!("{} removes nothing: what this extends has no {}{place}", "`null`", quoted(name)),
                "delete the line".to_owned(),
            ),
            Shape::Record(record) if record.required.is_empty() => (
                format!("{}{place} has no value", quoted(name)),
                format!("write `{name}: {{}}` for one with all the defaults, or delete the line"),
            ),
            _ => {
                (format!("{}{place} has no value", quoted(name)), "write one, or delete the line".to_owned())
            }
        };
        self.problems.add(entry.key, summary).mend(mend);
    }

    fn one_of(&mut self, map: Map, variants: &[(&str, &Shape)], anchor: Spot, spot: Spot) -> Option<Map> {
        let names: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
        let (known, unknown): (Vec<_>, Vec<_>) = map
            .into_iter()
            .filter(|(_, entry)| !matches!(entry.node.value, Value::Null { written: true }))
            .partition(|(name, _)| names.contains(&name.as_str()));
        let any_unknown = !unknown.is_empty();
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        for (name, entry) in unknown {
            self.unknown(&name, &entry, owned.iter());
        }
        let name = self.name();
        let expected = listed(&names, "and");
        let mut known = known.into_iter();
        match (known.next(), known.next()) {
            (None, _) => {
                if !any_unknown {
                    let at = if spot.end > spot.start { spot } else { anchor };
                    self.problems
                        .add(at, format!("{name} needs exactly one of {expected}, and has none"))
                        .mend(format!("write {}", Shape::variants(&names)));
                }
                self.unfit.add(&self.path, None);
                None
            }
            (Some((first, one)), Some((second, other))) => {
                self.unfit.add(&self.path, None);
                self.problems
                    .add(
                        other.key,
                        format!("{name} needs exactly one of {expected}, and has `{first}` and `{second}`"),
                    )
                    .also("the other one", one.key)
                    .mend("keep one of them");
                None
            }
            (Some((variant, mut entry)), None) => {
                let shape = variants.iter().find(|(name, _)| *name == variant).map(|(_, shape)| *shape)?;
                if entry.node.is_null() && matches!(shape, Shape::Record(_)) {
                    // `platform: {local: }` and the like: the braces are implied, since the key itself is the choice.
                    entry.node.value = Value::Map(Map::new());
                }
                let fitting = self.below(variant, entry, shape)?;
                Some(Map::from([fitting]))
            }
        }
    }

    fn misfit(&mut self, node: &Node, shape: &Shape, anchor: Spot) {
        self.unfit.add(&self.path, None);
        let name = self.name();
        let expected = shape.expected();
        let words = Wording { sources: self.sources, problems: self.problems, path: &self.path };
        let mend = words.mend(node, shape);
        let is_reference = node
            .map()
            .is_some_and(|map| map.len() == 1 && (map.contains_key("env") || map.contains_key("file")));
        // A block of lines has no end that could be marked.
        let at = if node.spot.end > node.spot.start { node.spot } else { anchor };
        if is_reference {
            self.problems
                .add(at, format!("{name} cannot be taken from a variable or a file"))
                .because("`{env: NAME}` and `{file: PATH}` are for `uri`, `host` and `endpoint_url`; the rest is the same on every machine")
                .mend("write the value itself");
            return;
        }
        let mut found = found(node);
        if matches!(shape, Shape::Integer { .. } | Shape::Number { .. } | Shape::Boolean)
            && matches!(node.value, Value::Text(_))
        {
            found = format!("the text {found}");
        }
        self.problems.add(at, format!("{name} is {found}; expected {expected}")).mend_if(mend);
    }
}

/// Whether a scalar is one that may stand here.
fn fits(node: &Node, shape: &Shape) -> bool {
    match (shape, &node.value) {
        (Shape::Text(pattern), Value::Text(text)) => {
            pattern.as_ref().is_none_or(|pattern| pattern.fits(text))
        }
        (Shape::Duration, Value::Text(text)) => text.parse::<crate::model::duration::Duration>().is_ok(),
        (Shape::Boolean, Value::Boolean(_)) => true,
        (Shape::Integer { min, max }, Value::Integer(number)) => (min..=max).contains(&number),
        #[allow(clippy::cast_precision_loss, reason = "only compared with small limits")]
        (Shape::Number { min, max }, Value::Integer(number)) => (*min..=*max).contains(&(*number as f64)),
        (Shape::Number { min, max }, Value::Float(number)) => (*min..=*max).contains(number),
        (Shape::Words(words), Value::Text(text)) => words.contains(text),
        _ => false,
    }
}

/// Whether a branch is for this kind of value.
fn takes(shape: &Shape, value: &Value) -> bool {
    match value {
        Value::Text(_) => matches!(shape, Shape::Text(_) | Shape::Duration | Shape::Words(_)),
        Value::Integer(_) => matches!(shape, Shape::Integer { .. } | Shape::Number { .. }),
        Value::Float(_) => matches!(shape, Shape::Number { .. }),
        Value::Boolean(_) => matches!(shape, Shape::Boolean),
        Value::List(_) => matches!(shape, Shape::List(_)),
        Value::Map(_) => matches!(shape, Shape::Record(_) | Shape::Named(_) | Shape::OneOf(_)),
        Value::Null { .. } => false,
    }
}
