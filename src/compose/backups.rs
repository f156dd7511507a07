//! Snapshots of replica sets, for those that have a policy.

use super::Composition;
use crate::{
    model::environment::{BackupPolicy, Environment, MongoBackup},
    resources::mongo::snapshot::MongoSnapshot,
};

/// The replica sets that have a policy: each with the policy's name, and the policy.
pub fn snapshotted(environment: &Environment) -> impl Iterator<Item = (&String, &String, &MongoBackup)> {
    environment.mongo_clusters.iter().filter_map(|(cluster, declared)| {
        let name = declared.backup_policy.as_ref()?;
        match environment.backup_policies.get(name)? {
            BackupPolicy::Mongo(policy) => Some((cluster, name, policy)),
            BackupPolicy::Aurora(_) => None,
        }
    })
}

impl Composition<'_> {
    pub(super) fn snapshots(&mut self) {
        for (cluster, name, policy) in snapshotted(self.environment) {
            self.add(MongoSnapshot::address(cluster), MongoSnapshot::current(cluster, name, policy));
        }
    }
}
