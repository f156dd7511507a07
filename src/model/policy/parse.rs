//! From the text of a document to its canonical form.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{Conditions, Document, Json, Principals, Statement, Word};
use crate::model::percent;

/// Documents without one are of this version, in which `${...}` is no variable.
const OLD_VERSION: &str = "2008-10-17";

/// A text that is no policy document.
#[derive(Debug, thiserror::Error)]
#[error("not a policy document: {0}")]
pub struct BadDocument(String);

/// AWS returns documents percent-encoded as RFC 3986 says; so a `+` is a `+`. What is no such text is left as it is.
pub fn decoded(text: &str) -> String {
    // No encoded text has these, and every JSON object has the first.
    if text.contains(['{', '"', ' ']) {
        return text.to_owned();
    }
    percent::decode(text).unwrap_or_else(|_| text.to_owned())
}

/// JSON in which a key twice is an error: readers differ in which of the two they take.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` is there twice")));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

impl<R: Ord + From<String>> Document<R> {
    /// # Errors
    /// When it is no JSON, has a key twice, or an element is not of its type.
    pub fn parse(text: &str) -> Result<Self, BadDocument> {
        let Strict(value) = serde_json::from_str(text).map_err(|error| BadDocument(error.to_string()))?;
        let mut map = object("the document", value)?;
        let version = match map.remove("Version") {
            None => OLD_VERSION.into(),
            Some(value) => string("Version", value)?,
        };
        let statements = match map.remove("Statement") {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(one) => vec![one],
        };
        let statements = statements.into_iter().map(statement).collect::<Result<_, _>>()?;
        Ok(Self::of(version, statements, rest(map)))
    }
}

fn statement<R: Ord + From<String>>(value: Value) -> Result<Statement<R>, BadDocument> {
    let mut map = object("Statement", value)?;
    let effect = map.remove("Effect").ok_or_else(|| BadDocument("a statement has no Effect".into()))?;
    let mut take = |name: &'static str| map.remove(name).map(|value| (name, value));
    let words = |(name, value)| words(name, value);
    let texts = |(name, value)| -> Result<BTreeSet<R>, BadDocument> {
        Ok(strings(name, value)?.into_iter().map(R::from).collect())
    };
    Ok(Statement {
        // The console leaves an empty one.
        sid: take("Sid").map(|(name, value)| string(name, value)).transpose()?.filter(|sid| !sid.is_empty()),
        effect: string("Effect", effect)?,
        principal: take("Principal").map(principals).transpose()?,
        not_principal: take("NotPrincipal").map(principals).transpose()?,
        action: take("Action").map(words).transpose()?,
        not_action: take("NotAction").map(words).transpose()?,
        resource: take("Resource").map(texts).transpose()?,
        not_resource: take("NotResource").map(texts).transpose()?,
        condition: take("Condition").map(conditions).transpose()?.unwrap_or_default(),
        other: rest(map),
    })
}

fn principals((name, value): (&'static str, Value)) -> Result<Principals, BadDocument> {
    if value == "*" {
        return Ok(Principals::from([("AWS".into(), BTreeSet::from(["*".into()]))]));
    }
    let kinds = object(name, value)?.into_iter().map(|(kind, values)| {
        let values = strings(name, values)?.iter().map(|value| principal(&kind, value)).collect();
        Ok((kind, values))
    });
    kinds.collect()
}

/// An account may be written as its number, or as the ARN of its root; numbers are unique in all partitions.
pub(super) fn principal(kind: &str, text: &str) -> String {
    let account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split(':').collect::<Vec<_>>()[..] {
        ["arn", partition, "iam", "", number, "root"]
            if kind == "AWS" && partition.starts_with("aws") && account(number) =>
        {
            number.to_owned()
        }
        _ => text.to_owned(),
    }
}

fn conditions((name, value): (&'static str, Value)) -> Result<Conditions, BadDocument> {
    let mut conditions = Conditions::new();
    for (operator, keys) in object(name, value)? {
        let mut by_key = BTreeMap::new();
        for (key, values) in object(&operator, keys)? {
            let values = scalars(&key, values)?;
            if by_key.insert(Word::from(key.as_str()), values).is_some() {
                return Err(BadDocument(format!("the key `{key}` is there twice")));
            }
        }
        if conditions.insert(Word::from(operator.as_str()), by_key).is_some() {
            return Err(BadDocument(format!("the operator `{operator}` is there twice")));
        }
    }
    Ok(conditions)
}

fn rest(map: Map<String, Value>) -> BTreeMap<String, Json> {
    map.into_iter().map(|(key, value)| (key, Json(value))).collect()
}

fn object(name: &str, value: Value) -> Result<Map<String, Value>, BadDocument> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(BadDocument(format!("{name} is {other}"))),
    }
}

fn string(name: &str, value: Value) -> Result<String, BadDocument> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(BadDocument(format!("{name} is {other}"))),
    }
}

/// One or a list.
fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        one => vec![one],
    }
}

fn strings(name: &str, value: Value) -> Result<BTreeSet<String>, BadDocument> {
    listed(value).into_iter().map(|value| string(name, value)).collect()
}

fn words(name: &str, value: Value) -> Result<BTreeSet<Word>, BadDocument> {
    Ok(strings(name, value)?.iter().map(|word| Word::from(word.as_str())).collect())
}

/// Values of a condition: to IAM `true` and `"true"` are one.
fn scalars(name: &str, value: Value) -> Result<BTreeSet<String>, BadDocument> {
    let scalar = |value| match value {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        other => Err(BadDocument(format!("the value of {name} is {other}"))),
    };
    listed(value).into_iter().map(scalar).collect()
}
