//! The shape the types of [`crate::model::environment`] demand, in the form in which a tree can be held against it.
//!
//! It is made from the same JSON Schema that `infra schema` prints, so that an editor and `infra` cannot contradict each
//! other. Only what `schemars` writes for those types is understood; a test fails when they outgrow it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex_lite::Regex;
use serde_json::Value as Json;

/// What may stand at a place.
#[derive(Debug)]
pub(crate) enum Shape {
    Text(Option<Pattern>),
    Duration,
    Boolean,
    Integer {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    /// One of a few words.
    Words(Vec<String>),
    List(Box<Shape>),
    /// A map with keys of the type's own.
    Record(Record),
    /// A map with keys its author names.
    Named(Box<Shape>),
    /// A map with exactly one of these keys, which are the variants of an enum.
    OneOf(BTreeMap<String, Shape>),
    /// Whichever fits the kind of value that is there.
    Either(Vec<Shape>),
}

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) properties: BTreeMap<String, Shape>,
    pub(crate) required: BTreeSet<String>,
}

#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Option<Regex>,
    /// What it demands, in words.
    pub(crate) words: &'static str,
}

/// The patterns of the schema in words. The schema has no place for them: `description` is about the meaning of a key.
const WORDS: [(&str, &str); 9] = [
    ("^[0-9]{12}$", "the twelve digits of an AWS account, in quotes: \"111122223333\""),
    ("^[0-9]+(\\.[0-9]+)*$", "a version or its beginning, in quotes: \"16\" or \"16.4\""),
    (
        "^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
        "a daily window in UTC, such as \"02:00-03:00\"",
    ),
    (
        "^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        "a Kubernetes `namespace/name`, such as checkout/orders",
    ),
    (
        "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        "an identifier of AWS: small letters, digits and single hyphens, a letter first",
    ),
    ("^[a-z][a-z0-9_]{0,15}$", "a name of at most 16 small letters, digits and `_`, a letter first"),
    (
        "^arn:aws[a-z-]*:iam::[0-9]{12}:(user|role)/.+$",
        "the ARN of an IAM user or role, such as \"arn:aws:iam::111122223333:user/ana\"",
    ),
    (
        "^[A-Za-z0-9_+=,.@-]{2,64}$",
        "a session name: 2 to 64 letters, digits and `_+=,.@-`, such as ana@acme.example",
    ),
    (
        "^[A-Za-z0-9+=.@_-]+(/[A-Za-z0-9+=.@_-]+)*$",
        "the beginning of names of secrets: letters, digits and `+=.@_-`, with `/` in between",
    ),
];

/// The shape of an environment. Made once per process: 0.2 ms.
pub(crate) static ENVIRONMENT: LazyLock<Shape> = LazyLock::new(|| {
    let schema = super::schema_of_types();
    Shape::new(&schema, &schema["$defs"], 0)
});

impl Pattern {
    fn new(pattern: &str) -> Self {
        let words = WORDS
            .iter()
            .find(|(known, _)| *known == pattern)
            .map_or("another form of text", |(_, words)| words);
        Self { regex: Regex::new(pattern).ok(), words }
    }

    pub(crate) fn fits(&self, text: &str) -> bool {
        self.regex.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

impl Shape {
    fn new(schema: &Json, definitions: &Json, depth: usize) -> Self {
        // No type contains itself; this is only so that one which did could not hang us.
        if depth > 32 {
            return Self::Either(Vec::new());
        }
        let below = |schema: &Json| Self::new(schema, definitions, depth + 1);
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            return if name == "Duration" { Self::Duration } else { below(&definitions[name]) };
        }
        if let Some(branches) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            // `null` is dealt with before, by the merge: it removes.
            let branches: Vec<Self> =
                branches.iter().filter(|branch| branch["type"] != "null").map(below).collect();
            return Self::either(branches);
        }
        if let Some(words) = schema["enum"].as_array() {
            return Self::Words(words.iter().filter_map(Json::as_str).map(str::to_owned).collect());
        }
        if let Some(word) = schema["const"].as_str() {
            return Self::Words(vec![word.to_owned()]);
        }
        match type_of(schema) {
            "string" => Self::Text(schema["pattern"].as_str().map(Pattern::new)),
            "boolean" => Self::Boolean,
            "integer" => {
                let (min, max) = integers(schema["format"].as_str().unwrap_or(""));
                Self::Integer {
                    min: schema["minimum"].as_i64().unwrap_or(min),
                    max: schema["maximum"].as_i64().unwrap_or(max),
                }
            }
            "number" => Self::Number {
                min: schema["minimum"].as_f64().unwrap_or(f64::MIN),
                max: schema["maximum"].as_f64().unwrap_or(f64::MAX),
            },
            "array" => Self::List(Box::new(below(&schema["items"]))),
            _ if schema["additionalProperties"].is_object() => {
                Self::Named(Box::new(below(&schema["additionalProperties"])))
            }
            _ => Self::Record(Record {
                properties: schema["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, property)| (name.clone(), below(property)))
                    .collect(),
                required: schema["required"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|name| name.as_str().map(str::to_owned))
                    .collect(),
            }),
        }
    }

    /// Branches that are all words become one list of words, and records of one required key each the variants of an enum.
    fn either(branches: Vec<Self>) -> Self {
        let (mut words, mut variants, mut others) = (Vec::new(), BTreeMap::new(), Vec::new());
        for branch in branches {
            match branch {
                Self::Words(more) => words.extend(more),
                Self::Record(record) if record.properties.len() == 1 && record.required.len() == 1 => {
                    variants.extend(record.properties);
                }
                other => others.push(other),
            }
        }
        if !words.is_empty() {
            others.insert(0, Self::Words(words));
        }
        if !variants.is_empty() {
            others.push(Self::OneOf(variants));
        }
        if others.len() == 1 { others.remove(0) } else { Self::Either(others) }
    }

    /// The shape behind a key, where this is a map.
    pub(crate) fn below(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Record(record) => record.properties.get(key),
            Self::Named(shape) => Some(shape),
            Self::OneOf(variants) => variants.get(key),
            Self::Either(branches) => branches.iter().find_map(|branch| branch.below(key)),
            _ => None,
        }
    }

    /// Whether a map here has exactly one key, so that another key replaces it.
    pub(crate) fn is_one_of(&self) -> bool {
        match self {
            Self::OneOf(_) => true,
            Self::Either(branches) => branches.iter().any(Self::is_one_of),
            _ => false,
        }
    }

    /// `{irsa: ...}` or `{pod_identity: ...}`, each in backticks.
    pub(crate) fn variants(names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| format!("`{{{name}: ...}}`")).collect();
        names.join(" or ")
    }

    /// What is expected, for a message: `a whole number from 1 to 35`.
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Text(None) => "a text".into(),
            Self::Text(Some(pattern)) => pattern.words.into(),
            Self::Duration => "a duration such as 30s, 10m, 6h or 14d".into(),
            Self::Boolean => "`true` or `false`".into(),
            Self::Integer { min, max } if *max <= i64::from(u32::MAX) => {
                format!("a whole number from {min} to {max}")
            }
            Self::Integer { .. } => "a whole number".into(),
            Self::Number { min, max } if *max < f64::MAX => format!("a number from {min} to {max}"),
            Self::Number { .. } => "a number".into(),
            Self::Words(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                super::problem::listed(&words, "or")
            }
            Self::List(item) => match &**item {
                Self::Text(None) => "a list of texts".into(),
                _ => "a list".into(),
            },
            Self::Record(_) | Self::Named(_) => "a map of keys and values".into(),
            Self::OneOf(variants) => {
                let names: Vec<&str> = variants.keys().map(String::as_str).collect();
                Self::variants(&names)
            }
            Self::Either(branches) if branches.iter().any(|branch| matches!(branch, Self::Boolean)) => {
                "a text, a number, `true` or `false`".into()
            }
            Self::Either(branches) => branches.iter().map(Self::expected).collect::<Vec<_>>().join(" or "),
        }
    }
}

/// `type` of a schema; an optional value has two, of which `null` is one.
fn type_of(schema: &Json) -> &str {
    match &schema["type"] {
        Json::String(name) => name,
        Json::Array(names) => {
            names.iter().filter_map(Json::as_str).find(|name| *name != "null").unwrap_or("")
        }
        _ => "",
    }
}

/// The range of a Rust integer by the `format` schemars gives it.
fn integers(format: &str) -> (i64, i64) {
    match format {
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" | "uint" => (0, i64::MAX),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pattern compiles and has words, and nothing in the schema was left without a meaning.
    fn complete(shape: &Shape, path: &str) {
        match shape {
            Shape::Text(Some(pattern)) => {
                assert!(pattern.regex.is_some(), "{path}");
                assert_ne!(pattern.words, "another form of text", "{path}");
            }
            Shape::List(item) => complete(item, &format!("{path}[]")),
            Shape::Named(value) => complete(value, &format!("{path}.*")),
            Shape::Record(record) => {
                for (name, property) in &record.properties {
                    complete(property, &format!("{path}.{name}"));
                }
            }
            Shape::OneOf(variants) => {
                for (name, variant) in variants {
                    complete(variant, &format!("{path}.{name}"));
                }
            }
            Shape::Either(branches) => {
                assert!(!branches.is_empty(), "{path}");
                for branch in branches {
                    complete(branch, path);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_whole_schema_is_understood() {
        complete(&ENVIRONMENT, "");
        let at = |path: &[&str]| path.iter().fold(&*ENVIRONMENT, |shape, key| shape.below(key).unwrap());
        assert!(at(&["platform"]).is_one_of());
        assert!(at(&["backup_policies", "x"]).is_one_of());
        assert!(at(&["mongo_clusters", "x", "uri"]).is_one_of());
        assert!(!at(&["clusters", "x"]).is_one_of());
        assert!(matches!(at(&["isolation"]), Shape::Words(words) if words.len() == 2));
        assert!(matches!(at(&["backup_policies", "x", "mongo", "every"]), Shape::Duration));
    }
}
