//! What there is in an account, as plain data: read once for a plan, and normalised to how it is declared.

mod convert;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::iam::Iam;

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
}

/// What to look at more closely than from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    pub environment: String,
    /// Names of clusters in the YAML, by their identifiers on AWS.
    pub clusters: BTreeMap<String, String>,
    /// Keys as they are declared.
    pub keys: BTreeSet<String>,
}

/// `db.r6g.large` or Serverless v2 live in the instances; this is what they share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub identifier: String,
    pub arn: String,
    pub resource_id: String,
    pub engine: String,
    pub status: String,
    pub engine_version: String,
    pub endpoint: Option<String>,
    pub reader_endpoint: Option<String>,
    pub port: u16,
    pub master_username: String,
    pub master_secret: Option<MasterSecret>,
    pub members: Vec<Member>,
    pub subnet_group: String,
    /// With their states.
    pub security_groups: BTreeMap<String, String>,
    pub parameter_group: String,
    pub storage_encrypted: bool,
    pub kms_key: Option<String>,
    pub storage_type: String,
    pub capacity: Option<Capacity>,
    pub backup_retention_days: u16,
    pub backup_window: String,
    pub maintenance_window: String,
    pub deletion_protection: bool,
    pub copy_tags_to_snapshots: bool,
    pub iam_authentication: bool,
    pub log_exports: BTreeSet<String>,
    pub performance_insights: Option<PerformanceInsights>,
    pub database_insights: String,
    pub data_api: bool,
    pub auto_minor_version_upgrade: bool,
    pub tags: BTreeMap<String, String>,
    /// Changes that wait for the maintenance window, by the name of the attribute here.
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

/// Aurora capacity units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    pub min: f64,
    pub max: f64,
    /// Only where `min` is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_until_pause: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerformanceInsights {
    pub retention_days: u16,
    pub kms_key: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub identifier: String,
    pub arn: String,
    pub cluster: String,
    pub status: String,
    pub class: String,
    pub availability_zone: Option<String>,
    pub promotion_tier: u8,
    pub parameter_group: String,
    pub parameter_group_status: String,
    pub publicly_accessible: bool,
    pub auto_minor_version_upgrade: bool,
    pub ca_certificate: Option<String>,
    pub monitoring_interval: u16,
    pub monitoring_role: Option<String>,
    pub maintenance_window: String,
    pub tags: BTreeMap<String, String>,
    /// Changes that wait for the maintenance window, by the name of the attribute here.
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
        self.clusters.iter().find(|cluster| cluster.identifier == identifier)
    }

    pub fn members<'a>(&'a self, cluster: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.instances.iter().filter(move |instance| instance.cluster == cluster)
    }

    /// The newest version that begins with a prefix, number by number.
    pub fn newest(&self, prefix: &str) -> Option<&EngineVersion> {
        self.versions.iter().rev().find(|version| satisfies(&version.version, prefix))
    }
}

/// Whether a version begins with a prefix, number by number: 1 is no prefix of 16, nor 16.4 one of 16.40.
pub fn satisfies(version: &str, prefix: &str) -> bool {
    let mut numbers = version.split('.');
    prefix.split('.').all(|number| numbers.next() == Some(number))
}

/// The numbers of a version, for comparing; what is no number counts as 0.
pub fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|number| number.parse().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_numbers() {
        for (version, prefix, expected) in [
            ("16.4", "16", true),
            ("16.4", "16.4", true),
            ("16.40", "16.4", false),
            ("16.4", "1", false),
            ("16", "16.4", false),
        ] {
            assert_eq!(satisfies(version, prefix), expected, "{version} {prefix}");
        }
        assert!(numbers("16.10") > numbers("16.9"));
    }
}
