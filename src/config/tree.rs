//! YAML as a tree in which every key and every value knows where it is written.

use std::collections::BTreeMap;

use super::source::Spot;

/// A value and where it is written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) spot: Spot,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `written` tells `key: null` from `key:` with nothing behind it. The first removes on purpose.
    Null {
        written: bool,
    },
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

/// Sorted by key, so that the same input gives the same bytes however it is spread over files.
pub(crate) type Map = BTreeMap<String, Entry>;

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where the key is written.
    pub(crate) key: Spot,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null { .. })
    }

    /// The entry at a path of keys.
    pub(crate) fn entry(&self, path: &[&str]) -> Option<&Entry> {
        let (last, front) = path.split_last()?;
        let parent = front.iter().try_fold(self, |node, key| Some(&node.map()?.get(*key)?.node))?;
        parent.map()?.get(*last)
    }

    /// The same value without its places, for serde.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null { .. } => serde_json::Value::Null,
            Value::Boolean(value) => (*value).into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Text(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(map) => map
                .iter()
                .map(|(key, entry)| (key.clone(), entry.node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}
