//! The mark by which we know our own: a comment in Postgres, tags on AWS. What has none is never changed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The mark on AWS: tags, written in the call that creates what they stand on.
pub mod tag {
    use std::collections::BTreeMap;

    pub const MANAGED: &str = "infra:managed";
    pub const ENVIRONMENT: &str = "infra:env";
    /// The address of what carries it.
    pub const ID: &str = "infra:id";
    /// It must not be destroyed without being named, whatever the YAML says by then.
    pub const PROTECT: &str = "infra:protect";
    /// On a cluster: `new` until our logins are in it, `ready` from then on. One that was adopted has none.
    pub const CONTENT: &str = "infra:content";
    pub const CONTENT_NEW: &str = "new";
    pub const CONTENT_READY: &str = "ready";
    /// All tags of ours begin so; `config` lets nobody else declare such a one.
    pub const PREFIX: &str = "infra:";

    /// The tags of the mark.
    pub fn of(environment: &str, address: &str, protect: bool) -> BTreeMap<String, String> {
        let mut tags = BTreeMap::from([
            (MANAGED.to_owned(), "true".to_owned()),
            (ENVIRONMENT.to_owned(), environment.to_owned()),
            (ID.to_owned(), address.to_owned()),
        ]);
        if protect {
            tags.insert(PROTECT.into(), "true".into());
        }
        tags
    }

    /// The environment whose mark is among the tags, if one is.
    pub fn environment(tags: &BTreeMap<String, String>) -> Option<&str> {
        let managed = tags.get(MANAGED).is_some_and(|value| value == "true");
        managed.then(|| tags.get(ENVIRONMENT).map(String::as_str)).flatten()
    }
}

/// `infra:managed;env=test;service=orders;protect`. Names hold no `;` and no `=`, which `config` checks. What a person has
/// written stands on the lines behind it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub environment: String,
    /// What it was made for.
    pub subject: Subject,
    /// Retired: out of service, but its data is kept.
    pub retired: bool,
    /// It must not be destroyed without being named, whatever the YAML says by then.
    pub protect: bool,
    /// What somebody has written there besides; it stands on the lines behind the mark, and stays.
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Service(String),
    /// A database that several services share.
    Shared(String),
    Group(String),
    Person(String),
    /// What `infra` itself needs, such as the user that takes backups.
    Infra(String),
}

impl Subject {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Service(name) => ("service", name),
            Self::Shared(name) => ("shared", name),
            Self::Group(name) => ("group", name),
            Self::Person(name) => ("person", name),
            Self::Infra(name) => ("infra", name),
        }
    }

    fn of(key: &str, name: &str) -> Option<Self> {
        let name = name.to_owned();
        match key {
            "service" => Some(Self::Service(name)),
            "shared" => Some(Self::Shared(name)),
            "group" => Some(Self::Group(name)),
            "person" => Some(Self::Person(name)),
            "infra" => Some(Self::Infra(name)),
            _ => None,
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.retired { "retired" } else { "managed" };
        let (key, name) = self.subject.parts();
        write!(f, "infra:{state};env={};{key}={name}", self.environment)?;
        if self.protect {
            f.write_str(";protect")?;
        }
        self.note.as_ref().map_or(Ok(()), |note| write!(f, "\n{note}"))
    }
}

/// A text that is not a mark of ours; a person's own comment, most likely.
#[derive(Debug, thiserror::Error)]
#[error("not a mark of infra")]
pub struct NoMark;

impl FromStr for Mark {
    type Err = NoMark;

    fn from_str(text: &str) -> Result<Self, NoMark> {
        let (text, note) = match text.split_once('\n') {
            Some((mark, note)) => (mark, Some(note.to_owned())),
            None => (text, None),
        };
        let mut parts = text.split(';');
        let retired = match parts.next() {
            Some("infra:managed") => false,
            Some("infra:retired") => true,
            _ => return Err(NoMark),
        };
        let (mut environment, mut subject, mut protect) = (None, None, false);
        for part in parts {
            match part.split_once('=') {
                Some(("env", name)) => environment = Some(name.to_owned()),
                Some((key, name)) => subject = Subject::of(key, name).or(subject),
                None => protect |= part == "protect",
            }
        }
        match (environment, subject) {
            (Some(environment), Some(subject)) => Ok(Self { environment, subject, retired, protect, note }),
            _ => Err(NoMark),
        }
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for text in [
            "infra:managed;env=test;service=orders",
            "infra:retired;env=test;service=orders;protect",
            "infra:managed;env=prod;person=ana;protect",
            "infra:managed;env=prod;infra=backup",
            "infra:managed;env=prod;service=orders\nAsk ana;service=billing;protect\nor boris",
        ] {
            assert_eq!(text.parse::<Mark>().unwrap().to_string(), text);
        }
        let noted: Mark =
            "infra:managed;env=prod;service=orders\nAsk ana;service=billing;protect".parse().unwrap();
        assert_eq!((noted.subject, noted.protect), (Subject::Service("orders".into()), false));
        for foreign in
            ["", "orders", "infra:managed", "infra:managed;env=test", "infra:other;env=a;service=b"]
        {
            assert!(foreign.parse::<Mark>().is_err(), "{foreign}");
        }
    }
}
