//! A role in MongoDB: what a service, a group of people or `infra` itself may do there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Enlist, Naming, elsewhere, name, named, owned, path, removal, unit};
use crate::{
    engine::{Action, Error, Found, Outputs, Removal, Resource, Verdict},
    model::{
        Address,
        mark::{Mark, Subject},
    },
    providers::{
        ReadWrite,
        mongo::{
            Catalog, Mongo, MongoError,
            admin::{Made, NewRole},
            catalog::{ADMIN, Grant, Privileges},
        },
    },
    resources::{Effects, Facts, Handle, Live},
};

/// Name and cluster never change: both follow from the address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MongoRole {
    /// The replica set's name in the YAML.
    pub cluster: String,
    pub name: String,
    /// Roles whose rights it has.
    pub roles: BTreeSet<Grant>,
    /// Rights of its own.
    #[serde(default, skip_serializing_if = "Privileges::is_empty")]
    pub privileges: Privileges,
    /// From where those who have it must come. Declared is none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub restrictions: BTreeSet<String>,
    pub mark: Option<Mark>,
    /// Whether `infra` is logged in by means of it.
    #[serde(skip)]
    pub ourselves: Facts<bool>,
}

impl MongoRole {
    pub fn new(cluster: &str, mark: Mark) -> Self {
        Self {
            cluster: cluster.into(),
            name: name(&mark.subject),
            roles: BTreeSet::new(),
            privileges: Privileges::new(),
            restrictions: BTreeSet::new(),
            mark: Some(mark),
            ourselves: Facts::default(),
        }
    }

    pub fn address(cluster: &str, subject: &Subject) -> Address {
        Address::new("mongo_role", &format!("{cluster}/{}", path(subject)))
    }

    /// The address of a role that is granted to something.
    pub(super) fn granted(cluster: &str, grant: &Grant) -> Option<Address> {
        let subject = named(&grant.role, false).filter(|_| grant.database == ADMIN)?;
        Some(Self::address(cluster, &subject))
    }

    fn written<'a>(&'a self, mark: &'a str) -> NewRole<'a> {
        NewRole { name: &self.name, roles: &self.roles, privileges: &self.privileges, mark }
    }

    fn mark(&self) -> String {
        self.mark.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl Enlist for MongoRole {
    fn enlist(catalog: &Catalog, naming: Naming<'_>) -> Vec<(Address, Found<Self>)> {
        let cluster = &catalog.cluster;
        let we = catalog.ourselves.as_ref().and_then(|(name, database)| {
            catalog.users.iter().find(|user| user.name == *name && user.database == *database)
        });
        let of = |role: &crate::providers::mongo::catalog::Role| {
            let subject = named(&role.name, false);
            let address = subject.as_ref().map_or_else(
                || elsewhere("mongo_role", cluster, ADMIN, &role.name),
                |subject| Self::address(cluster, subject),
            );
            let (mark, owned) = subject
                .as_ref()
                .map_or((None, false), |subject| owned(role.mark.as_ref(), naming.environment, subject));
            let grant = Grant::new(&role.name, ADMIN);
            let protected = mark.as_ref().is_some_and(|mark| mark.protect);
            let resource = Self {
                cluster: cluster.clone(),
                name: role.name.clone(),
                roles: role.roles.clone(),
                privileges: role.privileges.clone(),
                restrictions: role.restrictions.clone(),
                mark,
                ourselves: Facts(we.is_some_and(|user| user.roles.contains(&grant))),
            };
            (address, Found { resource, outputs: Outputs::new(), owned, protected })
        };
        catalog.roles.iter().map(of).collect()
    }
}

impl Resource for MongoRole {
    fn depends_on(&self) -> Vec<Address> {
        let inherited = self.roles.iter().filter_map(|grant| Self::granted(&self.cluster, grant));
        inherited.chain([super::cluster(&self.cluster)]).collect()
    }

    fn verdict(&self, _: &Self) -> Verdict {
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        removal("role", &self.cluster, self.mark.as_ref().map(|mark| &mark.subject))
    }

    fn environment(&self) -> Option<&str> {
        self.mark.as_ref().map(|mark| mark.environment.as_str())
    }

    fn unit(&self) -> Option<String> {
        Some(unit(&self.cluster))
    }
}

/// Grants in words: `readWrite on billing`.
pub(super) fn words(grants: &BTreeSet<Grant>) -> String {
    let all: Vec<String> =
        grants.iter().map(|grant| format!("{} on {}", grant.role, grant.database)).collect();
    if all.is_empty() { "no role".into() } else { all.join(", ") }
}

impl Effects for MongoRole {
    fn effects(action: &Action<Self>) -> Vec<String> {
        let told = |verb: &str, role: &Self| {
            let own = role.privileges.iter().map(|(resource, actions)| {
                let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
                format!("; {} on {resource}", actions.join(", "))
            });
            format!("{verb} {} ({}{})", role.name, words(&role.roles), own.collect::<String>())
        };
        match action {
            Action::Create { new } => vec![told("createRole", new)],
            Action::Update { new, .. } => vec![told("updateRole", new)],
            Action::Delete { old } => vec![format!("dropRole {}", old.name)],
            Action::Replace { .. } | Action::Keep | Action::Hold { .. } => Vec::new(),
        }
    }
}

/// Something of that name stands in the way.
pub(super) fn in_the_way(what: &str, name: &str, mark: Option<&String>) -> Error {
    let mark: Option<Mark> = mark.and_then(|mark| mark.parse().ok());
    let whose = mark.map_or_else(
        || "it does not carry our mark".into(),
        |mark| format!("it carries the mark of environment {}", mark.environment),
    );
    Box::new(InTheWay { what: what.into(), name: name.into(), whose })
}

#[derive(Debug, thiserror::Error)]
#[error(
    "a {what} {name} exists by now, and {whose}; it is left alone. Drop it, or adopt it with infra import --adopt"
)]
struct InTheWay {
    what: String,
    name: String,
    whose: String,
}

impl Handle<MongoRole> for Live<ReadWrite> {
    async fn create(&self, new: &MongoRole, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let (client, mark) = (self.replicas(&new.cluster)?, new.mark());
        let written = new.written(&mark);
        if client.create_role(&written).await? == Made::Exists {
            // An earlier try made it and its answer was lost, or somebody was faster.
            let there = client.role(&new.name).await?;
            let there = there.and_then(|role| role.mark);
            if there.as_ref() != Some(&mark) {
                return Err(in_the_way("role", &new.name, there.as_ref()));
            }
            client.update_role(&written).await?;
        }
        Ok(Outputs::new())
    }

    async fn update(&self, _: &MongoRole, new: &MongoRole, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let mark = new.mark();
        self.replicas(&new.cluster)?.update_role(&new.written(&mark)).await?;
        Ok(Outputs::new())
    }

    async fn delete(&self, old: &MongoRole, _: &dyn Fn(&str)) -> Result<(), Error> {
        Ok(self.replicas(&old.cluster)?.drop_role(&old.name).await?)
    }
}

impl MongoRole {
    pub(in crate::resources) async fn adopt_by(
        &self,
        client: &Mongo<ReadWrite>,
        mark: &Mark,
    ) -> Result<(), MongoError> {
        client.mark_role(&self.name, &mark.to_string()).await
    }
}
