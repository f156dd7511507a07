//! A role of IAM: what a service on Kubernetes, or a person, becomes in order to log in.

mod change;
mod quota;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use quota::quotas;

use super::Recognise;
use crate::{
    engine::{Found, Known, Late, Output, Outputs, Removal, Resource, Verdict, World},
    model::{
        Address,
        mark::tag,
        policy::{Document, Policy},
    },
    providers::aws::{
        Estate, Interest,
        iam::{PATH, PREFIX, Role},
    },
};

/// The one inline policy of a role.
pub const POLICY: &str = "infra";

/// For whom a role is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    Service(&'a str),
    Person(&'a str),
}

impl Holder<'_> {
    pub fn address(self) -> Address {
        Address::new(
            "iam_role",
            &match self {
                Self::Service(name) => format!("service/{name}"),
                Self::Person(name) => format!("person/{name}"),
            },
        )
    }

    /// IAM's names are unique in an account, so they hold the environment.
    pub fn role(self, environment: &str) -> String {
        match self {
            Self::Service(name) => format!("{PREFIX}{environment}-svc-{name}"),
            Self::Person(name) => format!("{PREFIX}{environment}-dev-{name}"),
        }
    }
}

/// Path and name never change: both follow from the environment and from whom it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamRole {
    pub name: String,
    pub path: String,
    /// Who may become it.
    pub trust: Policy<Late>,
    /// Inline policies. Declared is at most [`POLICY`]; any other is somebody else's, and goes.
    pub policies: BTreeMap<String, Policy<Late>>,
    /// ARNs of managed policies. Declared as none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub attached: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<String>,
    pub tags: BTreeMap<String, String>,
}

impl IamRole {
    /// The folder of an environment's roles.
    pub fn path(environment: &str) -> String {
        format!("{PATH}{environment}/")
    }

    /// Stands for the folder, so that it can be said to be unreadable; no such thing exists by itself.
    fn folder(path: &str) -> Address {
        Address::new("iam_path", path.trim_matches('/'))
    }

    /// The roles, if they could not be read, and the account's quotas.
    pub(super) fn survey<R>(estate: &Estate, interest: &Interest, world: &mut World<R>) {
        if let Some(why) = &estate.iam.unreadable {
            world.unreadable.insert(Self::folder(&Self::path(&interest.environment)), why.clone());
        }
        let numbers = estate.iam.quotas.iter();
        world.facts.extend(numbers.map(|(quota, number)| {
            (quota::address(quota), Outputs::from([(Output::Count, number.to_string())]))
        }));
    }

    fn found(role: &Role, environment: &str) -> Option<(Address, Found<Self>)> {
        let path = Self::path(environment);
        let address = Self::address_of(&role.name, environment);
        if role.path != path && (address.is_none() || is_at_home(role)) {
            return None;
        }
        // Names differ by more than case, and a role of another case is in the way of ours.
        let exact = address.as_ref().is_some_and(|(_, exact)| *exact);
        let address = address.map_or_else(|| Address::new("iam_role", &role.name), |(address, _)| address);
        let mark = tag::environment(&role.tags) == Some(environment)
            && role.tags.get(tag::ID).is_some_and(|id| id == address.as_str());
        let found = Found {
            resource: Self::of(role),
            outputs: Outputs::from([(Output::Arn, role.arn.clone())]),
            owned: exact && mark && role.path == path,
            protected: role.tags.get(tag::PROTECT).is_some_and(|value| value == "true"),
        };
        Some((address, found))
    }

    /// The address of the role that would have this name, and whether it is the name to the letter.
    fn address_of(name: &str, environment: &str) -> Option<(Address, bool)> {
        let lower = name.to_ascii_lowercase();
        let rest = lower.strip_prefix(PREFIX)?.strip_prefix(environment)?;
        let holder = match (rest.strip_prefix("-svc-"), rest.strip_prefix("-dev-")) {
            (Some(service), _) if !service.is_empty() => Holder::Service(service),
            (_, Some(person)) if !person.is_empty() => Holder::Person(person),
            _ => return None,
        };
        Some((holder.address(), lower == name))
    }

    fn of(role: &Role) -> Self {
        let late = |policy: &Policy| policy.clone().map(Late::Known);
        Self {
            name: role.name.clone(),
            path: role.path.clone(),
            trust: late(&role.trust),
            policies: role.policies.iter().map(|(name, policy)| (name.clone(), late(policy))).collect(),
            attached: role.attached.clone(),
            permissions_boundary: role.permissions_boundary.clone(),
            tags: role.tags.clone(),
        }
    }

    fn documents(&self) -> impl Iterator<Item = &Policy<Late>> {
        self.policies.values().chain([&self.trust])
    }

    fn lates(&self) -> impl Iterator<Item = &Late> {
        self.documents().filter_map(Policy::document).flat_map(Document::resources)
    }
}

/// Lies in the folder of the environment whose mark it carries. `infra-prod-svc-svc-x` may be of `prod` or of `prod-svc`.
fn is_at_home(role: &Role) -> bool {
    tag::environment(&role.tags).is_some_and(|environment| role.path == IamRole::path(environment))
}

impl Recognise for IamRole {
    /// All roles that are ours, or that have a name which ours would have.
    fn recognise(estate: &Estate, interest: &Interest) -> Vec<(Address, Found<Self>)> {
        estate.iam.roles.iter().filter_map(|role| Self::found(role, &interest.environment)).collect()
    }
}

impl Resource for IamRole {
    /// A cluster only for as long as its id is awaited: a role needs no cluster that can be looked into.
    fn depends_on(&self) -> Vec<Address> {
        let awaited: BTreeSet<&Address> = self.lates().filter_map(Late::awaits).collect();
        awaited.into_iter().cloned().chain([Self::folder(&self.path)]).collect()
    }

    fn bind(&mut self, known: &Known) {
        let bound = |policy: &mut Policy<Late>| {
            *policy = policy.clone().map(|mut late| {
                late.bind(known);
                late
            });
        };
        bound(&mut self.trust);
        self.policies.values_mut().for_each(bound);
    }

    fn unbound(&self) -> Vec<&Late> {
        self.lates().filter(|late| late.known().is_none()).collect()
    }

    fn costs(&self, before: &Self) -> Vec<String> {
        let mut costs = Vec::new();
        let gone = before.trust.document().map(|trust| trust.deleted_principals()).unwrap_or_default();
        if self.trust != before.trust && !gone.is_empty() {
            let ids = gone.into_iter().collect::<Vec<_>>().join(", ");
            costs.push(format!(
                "{ids}: whom the trust named was deleted; who has that name now is another, and could not become it"
            ));
        }
        costs
    }

    fn verdict(&self, _: &Self) -> Verdict {
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        Removal::Delete
    }

    fn environment(&self) -> Option<&str> {
        tag::environment(&self.tags)
    }
}
