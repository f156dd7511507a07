//! What an environment becomes. Alone knows that a service is a database, roles and access, and holds every naming rule.

mod access;
mod access_matrix;
mod admission;
mod aurora;
mod backups;
mod callers;
mod identity;
mod mongo;
mod output;
mod people;
mod picture;
pub mod recognise;
mod service;
mod shared;

use std::collections::{BTreeMap, BTreeSet};

pub use access::{Expected, expected};
pub use access_matrix::{OWNER, access_matrix};
pub use admission::{Admission, admission};
pub use aurora::{identifier, interest};
pub use backups::snapshotted;
pub use callers::{Caller, callers};
pub use output::{Places, cluster_of, database_of, role_arn, service_output};
pub use picture::{Drawn, picture};

use crate::{
    engine::Desired,
    model::{
        environment::{Environment, Isolation, Platform, RemovedData},
        mark::{Mark, Subject},
        names::Names,
    },
    resources::{
        Any, aurora::cluster::AuroraCluster, local_server::LocalServer, mongo::cluster as replica_set,
    },
};

/// Everything that the environment declares, as resources. Pure: the same environment gives the same resources.
pub fn compose(name: &str, environment: &Environment) -> Desired<Any> {
    let mut composition = Composition::new(name, environment);
    composition.servers();
    for (service, declared) in &environment.services {
        let cluster = composition.cluster_of(declared.cluster.as_deref());
        match environment.isolation {
            Isolation::Database => composition.service_database(cluster, service, declared),
            Isolation::Schema => composition.service_schema(cluster, service, declared),
        }
    }
    for (service, removed) in &environment.removed.services {
        let cluster = composition.cluster_of(removed.cluster.as_deref());
        match removed.data {
            RemovedData::Keep => composition.retired_service(cluster, service),
            RemovedData::Drop => composition.dropped_service(cluster, service),
        }
    }
    if environment.isolation == Isolation::Schema {
        for cluster in composition.shared_clusters() {
            composition.shared_database(cluster);
        }
    }
    composition.groups();
    composition.people();
    composition.mongo();
    composition.identities();
    composition.snapshots();
    composition.desired
}

/// Everything that `infra destroy` removes: what is found at these addresses may be deleted, data or not.
pub fn destroy(environment: &Environment) -> Desired<Any> {
    let clusters = environment.clusters.keys();
    let removed = match environment.platform {
        Platform::Local(_) => clusters.map(|cluster| LocalServer::address(cluster)).collect(),
        Platform::Aws(_) => clusters.map(|cluster| AuroraCluster::address(cluster)).collect(),
    };
    let looked_at = environment.mongo_clusters.keys().map(|cluster| replica_set(cluster)).collect();
    Desired { resources: BTreeMap::new(), removed, looked_at }
}

struct Composition<'a> {
    name: &'a str,
    environment: &'a Environment,
    names: Names,
    desired: Desired<Any>,
}

impl<'a> Composition<'a> {
    /// Nothing is composed yet; what the names and the selections of an environment mean is known.
    fn new(name: &'a str, environment: &'a Environment) -> Self {
        Self { name, environment, names: Names::of(environment), desired: Desired::default() }
    }

    fn mark(&self, subject: Subject) -> Mark {
        Mark {
            environment: self.name.into(),
            subject,
            retired: false,
            protect: self.environment.protect,
            note: None,
        }
    }

    /// The cluster a service lives on; `config` has seen to it that one without a name has just one choice.
    fn cluster_of(&self, named: Option<&'a str>) -> &'a str {
        named.or_else(|| self.environment.clusters.keys().next().map(String::as_str)).unwrap_or_default()
    }

    fn add(&mut self, address: crate::model::Address, resource: impl Into<Any>) {
        self.desired.resources.insert(address, resource.into());
    }

    fn servers(&mut self) {
        if matches!(self.environment.platform, Platform::Aws(_)) {
            return self.aurora();
        }
        for (name, cluster) in &self.environment.clusters {
            let parameters =
                cluster.parameters.iter().map(|(key, value)| (key.clone(), value.text())).collect();
            let server = LocalServer {
                name: name.clone(),
                engine_version: cluster.engine_version.clone(),
                port: cluster.connection.port,
                parameters,
                running: true,
            };
            self.add(LocalServer::address(name), server);
        }
    }

    /// Clusters on which services share a database.
    fn shared_clusters(&self) -> BTreeSet<&'a str> {
        let environment = self.environment;
        let declared = environment.services.values().map(|service| service.cluster.as_deref());
        let removed = environment.removed.services.values().map(|service| service.cluster.as_deref());
        declared.chain(removed).map(|named| self.cluster_of(named)).collect()
    }
}

#[cfg(test)]
mod tests;
