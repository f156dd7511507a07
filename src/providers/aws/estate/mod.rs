//! What there is in an account, as plain data: read once for a plan, and normalised to how it is declared.

mod convert;
mod read;
mod spec;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    iam::Iam,
    secrets::{Secrets, SecretsOfInterest},
};
use crate::model::{mark, version::satisfies};

pub(in crate::providers) use read::ENGINE;
pub use spec::{Capacity, ClusterSpec, InstanceSpec, PerformanceInsights};

/// Everything of one account and region that concerns us.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estate {
    pub account: String,
    pub region: String,
    pub partition: String,
    pub clusters: Vec<Cluster>,
    pub instances: Vec<Instance>,
    pub subnet_groups: Vec<SubnetGroup>,
    pub parameter_groups: Vec<ParameterGroup>,
    pub scaling: Vec<Scaling>,
    /// Versions of Aurora PostgreSQL that can be had, oldest first.
    pub versions: Vec<EngineVersion>,
    /// ARNs of keys, by how they are declared (alias, id, ARN).
    pub keys: BTreeMap<String, String>,
    /// Restarts of the last two weeks, oldest first.
    pub restarts: Vec<Restart>,
    #[serde(default)]
    pub iam: Iam,
    #[serde(default)]
    pub secrets: Secrets,
}

/// What to look at more closely than from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    pub environment: String,
    /// Clusters of the YAML, by their identifiers on AWS.
    pub clusters: BTreeMap<String, Declared>,
    /// Keys as they are declared.
    pub keys: BTreeSet<String>,
    pub secrets: SecretsOfInterest,
}

/// What the YAML says of a cluster that matters also when it is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub name: String,
    pub final_snapshot: bool,
    pub keep_backups: bool,
}

impl Declared {
    /// One of which nothing is said: no data goes.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), final_snapshot: true, keep_backups: true }
    }
}

impl Interest {
    /// In what one object of a cluster turns out to be, after its name was found taken.
    pub fn of_one(marks: &BTreeMap<String, String>, identifier: &str, cluster: &str) -> Self {
        let environment = mark::tag::environment(marks).unwrap_or_default().to_owned();
        Self {
            environment,
            clusters: [(identifier.to_owned(), Declared::named(cluster))].into(),
            ..Self::default()
        }
    }
}

/// A cluster as it is, and how it fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub spec: ClusterSpec,
    pub arn: String,
    pub resource_id: String,
    pub status: String,
    pub endpoint: Option<String>,
    pub reader_endpoint: Option<String>,
    pub master_secret: Option<MasterSecret>,
    pub members: Vec<Member>,
    /// States of the security groups.
    pub security_groups: BTreeMap<String, String>,
    /// Changes that wait for the maintenance window, by the name of the attribute.
    pub pending: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterSecret {
    pub arn: String,
    pub status: String,
    pub kms_key: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub instance: String,
    pub writer: bool,
    /// `in-sync`, `applying`, `pending-reboot`.
    pub parameter_group_status: String,
}

/// An instance as it is, and how it fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub spec: InstanceSpec,
    pub arn: String,
    pub status: String,
    pub parameter_group_status: String,
    /// Changes that wait for the maintenance window, by the name of the attribute.
    pub pending: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetGroup {
    pub name: String,
    pub arn: String,
    pub description: String,
    /// Zones by subnet.
    pub subnets: BTreeMap<String, String>,
    /// `None`: not looked at.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Whose parameters a group holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    #[default]
    Cluster,
    Instance,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterGroup {
    pub level: Level,
    pub name: String,
    pub arn: String,
    pub family: String,
    /// What differs from the engine's own values. `None`: not looked at.
    pub parameters: Option<BTreeMap<String, String>>,
    /// `None`: not looked at.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Reader autoscaling of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The cluster's identifier.
    pub cluster: String,
    pub min: u8,
    pub max: u8,
    pub policies: BTreeMap<String, ScalingPolicy>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScalingPolicy {
    /// `RDSReaderAverageCPUUtilization` or `RDSReaderAverageDatabaseConnections`.
    pub metric: String,
    pub target: f64,
    pub scale_in_cooldown: u32,
    pub scale_out_cooldown: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineVersion {
    pub version: String,
    pub family: String,
    pub upgrades: Vec<String>,
}

/// How long an instance was away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    pub instance: String,
    pub seconds: u32,
}

impl Estate {
    pub fn cluster(&self, identifier: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.spec.identifier == identifier)
    }

    pub fn members<'a>(&'a self, cluster: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.instances.iter().filter(move |instance| instance.spec.cluster == cluster)
    }

    /// The newest version that begins with a prefix, number by number.
    pub fn newest(&self, prefix: &str) -> Option<&EngineVersion> {
        self.versions.iter().rev().find(|version| satisfies(&version.version, prefix))
    }
}
