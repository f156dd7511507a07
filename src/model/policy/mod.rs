//! Policy documents of IAM in one canonical form, so that `==` means "allows the same".
//!
//! AWS returns a document as it was sent, and others send it differently: one value or a list of one, any order, any
//! case of an action. None of that is a difference; everything else is, what we do not know included.

mod parse;
#[cfg(test)]
mod tests;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use parse::{BadDocument, decoded};

/// The only version that documents should have; without one they are of 2008 and mean something else.
pub const VERSION: &str = "2012-10-17";

/// A document as it was found. What cannot be understood is kept as it is, so that it shows as a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Policy<R: Ord = String> {
    Document(Document<R>),
    Text(String),
}

/// `R` is the type of a resource's ARN: a text, or one that is known late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document<R: Ord = String> {
    #[serde(rename = "Version")]
    pub version: String,
    /// Always sorted: to IAM their order means nothing.
    #[serde(rename = "Statement")]
    statements: Vec<Statement<R>>,
    /// `Id`, and whatever we do not know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Json>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement<R: Ord = String> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    pub effect: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principals>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_principal: Option<Principals>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<BTreeSet<Word>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_action: Option<BTreeSet<Word>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub resource: Option<BTreeSet<R>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub not_resource: Option<BTreeSet<R>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: Conditions,
    /// Whatever we do not know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Json>,
}

/// A default that asks nothing of `R`.
fn none<T>() -> Option<T> {
    None
}

/// By their kind: `AWS`, `Federated`, `Service`. Accounts are their twelve digits.
pub type Principals = BTreeMap<String, BTreeSet<String>>;
/// By operator, then by key.
pub type Conditions = BTreeMap<Word, BTreeMap<Word, BTreeSet<String>>>;

/// Words of documents that we write. However somebody else spells them they are shown like this, so that no plan shows a
/// change that is none.
const SPELLINGS: [&str; 10] = [
    "rds-db:connect",
    "sts:AssumeRole",
    "sts:AssumeRoleWithWebIdentity",
    "sts:TagSession",
    "StringEquals",
    "StringLike",
    "aws:userid",
    "kms:Decrypt",
    "kms:ViaService",
    "secretsmanager:GetSecretValue",
];

/// A word whose case means nothing to IAM: an action, an operator, the key of a condition.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Word(String);

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        let known = SPELLINGS.into_iter().find(|spelling| spelling.eq_ignore_ascii_case(text));
        Self(known.unwrap_or(text).to_owned())
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Word {}

impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Word {
    fn cmp(&self, other: &Self) -> Ordering {
        let lower = |word: &Self| word.0.to_ascii_lowercase();
        lower(self).cmp(&lower(other))
    }
}

/// A value that is compared and kept, but not understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Value);

impl PartialOrd for Json {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Json {
    fn cmp(&self, other: &Self) -> Ordering {
        // Keys of maps are sorted, so equal values have equal texts.
        self.0.to_string().cmp(&other.0.to_string())
    }
}

impl<R: Ord> Statement<R> {
    /// One that allows these actions, to nobody and on nothing yet.
    pub fn allow(sid: &str, actions: &[&str]) -> Self {
        Self {
            sid: Some(sid.into()),
            effect: "Allow".into(),
            principal: None,
            not_principal: None,
            action: Some(actions.iter().map(|action| Word::from(*action)).collect()),
            not_action: None,
            resource: None,
            not_resource: None,
            condition: Conditions::new(),
            other: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn to(self, kind: &str, principal: &str) -> Self {
        let values = BTreeSet::from([parse::principal(kind, principal)]);
        Self { principal: Some(Principals::from([(kind.into(), values)])), ..self }
    }

    #[must_use]
    pub fn on(self, resources: impl IntoIterator<Item = R>) -> Self {
        Self { resource: Some(resources.into_iter().collect()), ..self }
    }

    #[must_use]
    pub fn only_if(mut self, operator: &str, key: &str, value: impl Into<String>) -> Self {
        let keys = self.condition.entry(operator.into()).or_default();
        keys.entry(key.into()).or_default().insert(value.into());
        self
    }

    fn map<S: Ord>(self, mut into: impl FnMut(R) -> S) -> Statement<S> {
        let Self {
            sid,
            effect,
            principal,
            not_principal,
            action,
            not_action,
            resource,
            not_resource,
            condition,
            other,
        } = self;
        let mut all = |set: Option<BTreeSet<R>>| set.map(|set| set.into_iter().map(&mut into).collect());
        let (resource, not_resource) = (all(resource), all(not_resource));
        Statement {
            sid,
            effect,
            principal,
            not_principal,
            action,
            not_action,
            resource,
            not_resource,
            condition,
            other,
        }
    }
}

impl<R: Ord> Document<R> {
    pub fn new(statements: Vec<Statement<R>>) -> Self {
        Self::of(VERSION.into(), statements, BTreeMap::new())
    }

    fn of(version: String, mut statements: Vec<Statement<R>>, other: BTreeMap<String, Json>) -> Self {
        statements.sort();
        Self { version, statements, other }
    }

    pub fn statements(&self) -> &[Statement<R>] {
        &self.statements
    }

    /// All resources, of whatever statement.
    pub fn resources(&self) -> impl Iterator<Item = &R> {
        self.statements
            .iter()
            .flat_map(|statement| statement.resource.iter().chain(&statement.not_resource).flatten())
    }

    /// Each resource as another, and in order again.
    #[must_use]
    pub fn map<S: Ord>(self, mut into: impl FnMut(R) -> S) -> Document<S> {
        let statements = self.statements.into_iter().map(|statement| statement.map(&mut into)).collect();
        Document::of(self.version, statements, self.other)
    }

    /// Ids that stand where users or roles stood which are no more. If a user of the same name exists again it is another
    /// one, whom the document does not mean.
    pub fn deleted_principals(&self) -> BTreeSet<&str> {
        self.statements
            .iter()
            .flat_map(|statement| statement.principal.iter().chain(&statement.not_principal))
            .flat_map(|principals| principals.values().flatten())
            .map(String::as_str)
            .filter(|principal| is_unique_id(principal))
            .collect()
    }
}

/// `AIDA...` is a user's, `AROA...` a role's.
fn is_unique_id(text: &str) -> bool {
    (text.starts_with("AIDA") || text.starts_with("AROA"))
        && text.len() >= 16
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

impl<R: Ord + Clone + fmt::Display> Document<R> {
    /// Without white space and with sorted keys: what is sent, and what quotas count.
    pub fn minified(&self) -> String {
        let known = self.clone().map(|resource| resource.to_string());
        serde_json::to_value(known).map(|value| value.to_string()).unwrap_or_default()
    }
}

impl<R: Ord + Clone + fmt::Display> Policy<R> {
    pub fn minified(&self) -> String {
        match self {
            Self::Document(document) => document.minified(),
            Self::Text(text) => text.clone(),
        }
    }

    /// As IAM counts: white space is free.
    pub fn size(&self) -> usize {
        self.minified().chars().filter(|character| !character.is_whitespace()).count()
    }
}

impl<R: Ord + From<String>> Policy<R> {
    /// Takes what AWS returned, percent-encoded or not.
    pub fn parse(returned: &str) -> Self {
        let text = decoded(returned);
        Document::parse(&text).map_or_else(|_| Self::Text(text), Self::Document)
    }
}

impl<R: Ord> Policy<R> {
    pub fn document(&self) -> Option<&Document<R>> {
        match self {
            Self::Document(document) => Some(document),
            Self::Text(_) => None,
        }
    }

    #[must_use]
    pub fn map<S: Ord>(self, into: impl FnMut(R) -> S) -> Policy<S> {
        match self {
            Self::Document(document) => Policy::Document(document.map(into)),
            Self::Text(text) => Policy::Text(text),
        }
    }
}

impl<R: Ord> From<Document<R>> for Policy<R> {
    fn from(document: Document<R>) -> Self {
        Self::Document(document)
    }
}
