//! The way back: from what exists without our mark to the YAML that would declare it. Pure.
//!
//! ```text
//! World -> Cluster -> Shape (one place, its owner, groups and logins) -> Names -> Proposal
//! ```
//! A shape is found by who owns, who is a member of whom and who may connect; names decide only between equals.

mod difference;
mod leftover;
mod naming;
mod people;
mod servers;
mod shape;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub use difference::{Difference, differences};
use serde::Serialize;

use crate::{
    config::naming::{Kind, unsayable},
    engine::{Error, Resource as _, World},
    model::{
        Address,
        environment::{
            Cluster as DeclaredCluster, ConnectionLimit, ConnectionLimits, DeveloperGroup, Environment,
            Isolation, Person, Platform, PodIdentity, Service, WorkloadIdentity,
        },
        mark::Subject,
        names::{NameTemplates, Names},
    },
    providers::aws::Estate,
    resources::{
        Any, mongo::role::MongoRole, pg_database::PgDatabase, pg_extension::PgExtension, pg_role::PgRole,
        pg_schema::PgSchema,
    },
};
use shape::Shape;

/// What was seen.
#[derive(Debug)]
pub struct Survey<'a> {
    /// The environment's name.
    pub name: &'a str,
    pub environment: &'a Environment,
    pub world: &'a World<Any>,
    /// The account, for clusters that are not declared.
    pub estate: Option<&'a Estate>,
}

/// What could be written into the YAML.
#[derive(Debug, Default, PartialEq)]
pub struct Proposal {
    pub added: Added,
    /// Why something is not in it, or what its author has to fill in.
    pub remarks: BTreeSet<Remark>,
}

/// New parts of the YAML, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Added {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    #[serde(skip_serializing_if = "NameTemplates::is_default")]
    pub names: NameTemplates,
    #[serde(skip_serializing_if = "ConnectionLimits::is_default")]
    pub connection_limits: ConnectionLimits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub clusters: BTreeMap<String, DeclaredCluster>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Service>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, Person>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub developer_groups: BTreeMap<String, DeveloperGroup>,
}

/// Something that was found, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    pub about: String,
    pub why: String,
}

impl Remark {
    fn of(about: &Address, why: impl Into<String>) -> Self {
        Self { about: about.to_string(), why: why.into() }
    }
}

impl Proposal {
    /// Says of which clusters nothing was seen, for their servers could not be asked.
    pub fn unseen<'a>(&mut self, environment: &Environment, seen: impl Iterator<Item = &'a str>) {
        let seen: BTreeSet<&str> = seen.collect();
        for cluster in environment.clusters.keys().filter(|cluster| !seen.contains(cluster.as_str())) {
            let why = "it does not run, or could not be asked: nothing of what is inside was seen".into();
            self.remarks.insert(Remark { about: format!("clusters.{cluster}"), why });
        }
    }
}

impl Added {
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
            && self.services.is_empty()
            && self.people.is_empty()
            && self.developer_groups.is_empty()
    }

    /// As YAML, in the order of the fields; empty if there is nothing.
    ///
    /// # Errors
    /// None that can be mended; what is written is plain data.
    pub fn sections(&self) -> Result<Vec<String>, Error> {
        let whole = serde_json::to_value(self)?;
        let order = [
            "isolation",
            "names",
            "connection_limits",
            "workload_identity",
            "clusters",
            "services",
            "people",
            "developer_groups",
        ];
        let mut sections = Vec::new();
        for key in order {
            let Some(value) = whole.get(key) else { continue };
            let mut value = without_empty(value, 0);
            if key == "clusters" {
                unsaid(&mut value)?;
            }
            let section = serde_json::Map::from_iter([(key.to_owned(), value)]);
            sections.push(serde_yaml::to_string(&section)?);
        }
        Ok(sections)
    }

    /// The environment as it would be.
    pub fn to(&self, environment: &Environment) -> Environment {
        let mut merged = environment.clone();
        let Self {
            isolation,
            names,
            connection_limits,
            workload_identity,
            clusters,
            services,
            people,
            developer_groups,
        } = self.clone();
        merged.isolation = isolation.unwrap_or(merged.isolation);
        if !names.is_default() {
            merged.names = names;
        }
        if !connection_limits.is_default() {
            merged.connection_limits = connection_limits;
        }
        merged.workload_identity = merged.workload_identity.or(workload_identity);
        merged.clusters.extend(clusters);
        merged.services.extend(services);
        merged.people.extend(people);
        merged.developer_groups.extend(developer_groups);
        merged
    }
}

/// What a cluster holds that is neither marked nor declared.
struct Cluster {
    name: String,
    roles: BTreeMap<String, PgRole>,
    databases: BTreeMap<String, PgDatabase>,
    schemas: Vec<PgSchema>,
    extensions: Vec<PgExtension>,
}

impl Cluster {
    fn all(survey: &Survey<'_>) -> Vec<Self> {
        let declared = super::compose(survey.name, survey.environment).resources;
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        let free = survey.world.found.iter().filter(|(address, found)| {
            let marked = found.resource.environment().is_some();
            let seen = !survey.world.unreadable.contains_key(*address);
            !found.owned && !marked && seen && !declared.contains_key(*address)
        });
        for (_, found) in free {
            let any = &found.resource;
            if let Ok(role) = PgRole::try_from(any.clone()) {
                // One that the YAML cannot name is told of, and taken for nothing else.
                if unsayable(&role.name, Kind::Role, Isolation::Database).is_some() {
                    continue;
                }
                Self::of(&mut all, &role.cluster).roles.insert(role.name.clone(), role);
            } else if let Ok(database) = PgDatabase::try_from(any.clone()) {
                let cluster = Self::of(&mut all, &database.cluster);
                cluster.databases.insert(database.name.clone(), database);
            } else if let Ok(schema) = PgSchema::try_from(any.clone()) {
                Self::of(&mut all, &schema.cluster).schemas.push(schema);
            } else if let Ok(extension) = PgExtension::try_from(any.clone()) {
                Self::of(&mut all, &extension.cluster).extensions.push(extension);
            }
        }
        all.into_values().collect()
    }

    fn of<'a>(all: &'a mut BTreeMap<String, Self>, name: &str) -> &'a mut Self {
        all.entry(name.to_owned()).or_insert_with(|| Self {
            name: name.into(),
            roles: BTreeMap::new(),
            databases: BTreeMap::new(),
            schemas: Vec::new(),
            extensions: Vec::new(),
        })
    }
}

/// Without lists and maps that hold nothing, except for what a section itself holds: a service is declared by being there.
fn without_empty(value: &serde_json::Value, depth: usize) -> serde_json::Value {
    use serde_json::Value;
    let is_empty = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null => true,
        _ => false,
    };
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| depth == 0 || !is_empty(value));
            kept.map(|(key, value)| (key.clone(), without_empty(value, depth + 1))).collect()
        }
        other => other.clone(),
    }
}

/// Leaves out what a cluster has without being told.
fn unsaid(clusters: &mut serde_json::Value) -> Result<(), Error> {
    let usual: DeclaredCluster = serde_json::from_value(serde_json::json!({}))?;
    let usual = serde_json::to_value(usual)?;
    for cluster in clusters.as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
        if let Some(map) = cluster.as_object_mut() {
            map.retain(|key, value| usual.get(key) != Some(value));
        }
    }
    Ok(())
}

/// What of the world could be declared, and why the rest could not.
pub fn recognise(survey: &Survey<'_>) -> Proposal {
    let environment = survey.environment;
    let mut proposal = Proposal::default();
    let clusters = Cluster::all(survey);
    let isolation = isolation(environment, &clusters);
    if isolation != environment.isolation {
        proposal.added.isolation = Some(isolation);
    }
    let mut shapes = Vec::new();
    for cluster in &clusters {
        shapes.extend(shape::all(cluster, isolation, &mut proposal.remarks));
    }
    shape::tell_apart(&mut shapes, environment);
    let (people, convention) = loop {
        let mut remarks = BTreeSet::new();
        let people = people::all(&clusters, &shapes, &mut remarks);
        let convention = naming::convention(environment, isolation, &shapes, &people);
        let clashing = clashing(&shapes, environment, isolation, &convention.templates);
        if clashing.is_empty() {
            proposal.remarks.extend(remarks);
            break (people, convention);
        }
        shapes.retain(|shape| !clashing.contains_key(&shape.service));
        proposal.remarks.extend(clashing.into_values());
    };
    proposal.added.names = convention.templates.clone();
    let limits = naming::limits(environment, &shapes, &people);
    if limits != environment.connection_limits {
        proposal.added.connection_limits = limits;
    }
    let named = Added {
        isolation: proposal.added.isolation,
        names: convention.templates.clone(),
        ..Added::default()
    };
    let names = Names::of(&named.to(environment));
    for shape in &shapes {
        let service = service(shape, &shapes, survey, &names, limits, &mut proposal);
        proposal.added.services.insert(shape.service.clone(), service);
    }
    let merged = proposal.added.to(environment);
    let names = Names::of(&merged);
    let of_services = merged.services.keys().map(|service| names.roles(service));
    let taken: BTreeSet<String> =
        of_services.flat_map(|roles| roles.all().map(str::to_owned)).chain([names.shared_owner()]).collect();
    let (people, groups) = people::declared(&people, &taken, &shapes, environment, &convention);
    (proposal.added.people, proposal.added.developer_groups) = (people, groups);
    servers::undeclared(survey, &mut proposal);
    fill_in(environment, &mut proposal);
    leftover::remarks(survey, &clusters, &mut proposal);
    proposal
}

/// Services that cannot be declared, because a name of theirs would be that of two things; and why.
fn clashing(
    shapes: &[Shape],
    environment: &Environment,
    isolation: Isolation,
    templates: &NameTemplates,
) -> BTreeMap<String, Remark> {
    let mut with = Added { isolation: Some(isolation), names: templates.clone(), ..Added::default() };
    let names = Names::of(&with.to(environment));
    for shape in shapes {
        let own = Service { names: naming::own_names(shape, shapes, &names), ..Service::default() };
        with.services.insert(shape.service.clone(), own);
    }
    let names = Names::of(&with.to(environment));
    let mut taken = BTreeMap::new();
    if isolation == Isolation::Schema {
        taken.insert(names.shared_owner(), "the owner of the shared database".to_owned());
    }
    let mut clashing = BTreeMap::new();
    for shape in shapes {
        let roles = names.roles(&shape.service);
        let mut own = BTreeMap::new();
        let clash = roles.all().iter().find_map(|role| {
            let role = (*role).to_owned();
            let other = own.insert(role.clone(), format!("a role of service `{}`", shape.service));
            other.or_else(|| taken.get(&role).cloned()).map(|other| (role, other))
        });
        match clash {
            Some((role, other)) => {
                let why = format!("as a service it would have the role `{role}`, which is {other} already");
                clashing.insert(shape.service.clone(), Remark::of(&shape.address(), why));
            }
            None => taken.append(&mut own),
        }
    }
    clashing
}

/// What the environment says; but where nothing is declared yet, schemas of several owners in one database say that it is
/// shared.
fn isolation(environment: &Environment, clusters: &[Cluster]) -> Isolation {
    let declared = !environment.services.is_empty() || !environment.removed.services.is_empty();
    if declared || environment.isolation == Isolation::Schema {
        return environment.isolation;
    }
    let nobody = |cluster: &Cluster, role: &str| cluster.roles.get(role).is_some_and(|role| !role.login);
    let (mut own, mut shared) = (0, 0);
    for cluster in clusters {
        for (name, database) in &cluster.databases {
            let others = cluster.schemas.iter().filter(|schema| schema.database == *name);
            let others =
                others.filter(|schema| schema.owner != database.owner && nobody(cluster, &schema.owner));
            if others.count() > 0 {
                shared += 1;
            } else if nobody(cluster, &database.owner) {
                own += 1;
            }
        }
    }
    if shared > 0 && own == 0 { Isolation::Schema } else { Isolation::Database }
}

fn service(
    shape: &Shape,
    shapes: &[Shape],
    survey: &Survey<'_>,
    names: &Names,
    limits: ConnectionLimits,
    proposal: &mut Proposal,
) -> Service {
    let Survey { environment, world, .. } = survey;
    let limit = shape.limit.and_then(ConnectionLimit::of);
    let usual = limits.service.map_or(super::service::CONNECTIONS, ConnectionLimit::number);
    // There names follow from the service's alone.
    let of_service = Subject::Service(shape.service.clone());
    let mongo = environment.mongo_clusters.keys().find(|cluster| {
        let role = world.found.get(&MongoRole::address(cluster, &of_service));
        role.is_some_and(|found| !found.owned && found.resource.environment().is_none())
    });
    let mut service = Service {
        mongo: mongo.cloned(),
        cluster: (environment.clusters.len() != 1).then(|| shape.cluster.clone()),
        extensions: shape.extensions.clone(),
        connection_limit: limit.filter(|limit| limit.number() != usual),
        settings: shape.settings.clone(),
        names: naming::own_names(shape, shapes, names),
        ..Service::default()
    };
    if matches!(environment.platform, Platform::Aws(_)) {
        service.service_account = Some(format!("fill-in/{}", shape.service.replace('_', "-")));
        proposal.remarks.insert(Remark {
            about: format!("services.{}.service_account", shape.service),
            why:
                "the Kubernetes namespace/name that runs it is not known to Postgres; `fill-in` stands for it"
                    .into(),
        });
    }
    service
}

/// What AWS demands and no server tells.
fn fill_in(environment: &Environment, proposal: &mut Proposal) {
    let Platform::Aws(aws) = &environment.platform else { return };
    for (name, person) in &mut proposal.added.people {
        person.principal = Some(format!("arn:aws:iam::{}:user/fill-in-{name}", aws.account));
        proposal.remarks.insert(Remark {
            about: format!("people.{name}.principal"),
            why: "the IAM user or role that is this person is not known to Postgres; `fill-in` stands for it"
                .into(),
        });
    }
    if !proposal.added.services.is_empty() && environment.workload_identity.is_none() {
        let cluster_arn = format!("arn:aws:eks:{}:{}:cluster/fill-in", aws.region, aws.account);
        let identity = PodIdentity { cluster_arn };
        proposal.added.workload_identity = Some(WorkloadIdentity::PodIdentity(identity));
        proposal.remarks.insert(Remark {
            about: "workload_identity".into(),
            why: "how services on Kubernetes become IAM roles is not known; `fill-in` stands for the EKS cluster".into(),
        });
    }
}
