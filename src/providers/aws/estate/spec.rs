//! What can be declared of clusters and instances, in the form in which it is compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::environment::MasterAuth;

/// What the instances of a cluster share. `None`: left to AWS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterSpec {
    pub identifier: String,
    /// `16.4`; as declared, a prefix.
    pub engine_version: String,
    pub port: u16,
    pub master_username: String,
    /// AWS tells only whether there is a secret; a cluster without one is taken for one that logs in by IAM.
    pub master_auth: MasterAuth,
    pub master_secret_kms_key: Option<String>,
    pub subnet_group: String,
    pub security_groups: BTreeSet<String>,
    pub parameter_group: String,
    pub storage_encrypted: bool,
    pub kms_key: Option<String>,
    /// `aurora` or `aurora-iopt1`.
    pub storage_type: String,
    pub capacity: Option<Capacity>,
    pub backup_retention_days: u16,
    pub backup_window: Option<String>,
    pub maintenance_window: Option<String>,
    pub deletion_protection: bool,
    pub copy_tags_to_snapshots: bool,
    pub iam_authentication: bool,
    pub log_exports: BTreeSet<String>,
    pub performance_insights: Option<PerformanceInsights>,
    pub database_insights: String,
    pub data_api: bool,
    pub auto_minor_version_upgrade: bool,
    pub tags: BTreeMap<String, String>,
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

/// One instance of a cluster. `None`: left to AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    pub identifier: String,
    /// The cluster's identifier.
    pub cluster: String,
    /// `db.serverless` for Serverless v2.
    pub class: String,
    pub availability_zone: Option<String>,
    /// Who becomes the writer when the writer is lost: the lowest.
    pub promotion_tier: u8,
    pub parameter_group: String,
    pub publicly_accessible: bool,
    pub auto_minor_version_upgrade: bool,
    pub ca_certificate: Option<String>,
    /// Seconds; 0: no enhanced monitoring.
    pub monitoring_interval: u16,
    pub monitoring_role: Option<String>,
    pub maintenance_window: Option<String>,
    pub tags: BTreeMap<String, String>,
}
