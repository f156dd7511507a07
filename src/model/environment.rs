//! What an environment declares: the types behind the YAML and behind `schemas/environment.json`.
//!
//! Doc comments here are the descriptions that editors show. Defaults are those a field has when it is absent;
//! `protect: true` turns some of them into rules, which `config` checks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{NameTemplates, ServiceNames};

mod backup;
mod cluster;
mod mongo;

pub use backup::{AuroraBackup, BackupPolicy, Keep, MongoBackup};
pub use cluster::{
    ApplyWhen, Autoscaling, Cluster, Connection, DatabaseInsights, LogExport, MasterAuth, Monitoring,
    PerformanceInsights, Scalar, Serverless, Storage, Tls,
};
pub use mongo::{MongoAuthentication, MongoCluster, MongoScram, MongoX509};

/// One environment: all `*.yaml` of its folder, over what it extends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Folder whose content lies under this one, relative to this one: maps merge by key, all else replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// Destroys need `--allow-destroy=<address>`, and the safe defaults become rules.
    #[serde(default)]
    pub protect: bool,
    /// Where the environment runs.
    pub platform: Platform,
    /// Whether each service gets a database of its own, or a schema of its own in the shared database.
    #[serde(default)]
    pub isolation: Isolation,
    /// What developer groups may do, unless the group says otherwise.
    #[serde(default)]
    pub developers: Access,
    /// How Postgres roles, databases and schemas are named, where it is not as `infra` would.
    #[serde(default, skip_serializing_if = "NameTemplates::is_default")]
    pub names: NameTemplates,
    /// Most connections of logins, where it is not as `infra` would.
    #[serde(default, skip_serializing_if = "ConnectionLimits::is_default")]
    pub connection_limits: ConnectionLimits,
    /// How services on Kubernetes become IAM roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
    /// ARN of the IAM Identity Center role under which people named by `sso` work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sso_role: Option<String>,
    /// ARN of an IAM policy: the most that any role made here can ever do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<String>,
    /// Where locks, history and the snapshot catalogue are kept; a folder or `s3://bucket/prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// AWS tags of everything that can carry them.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Postgres clusters: Aurora on AWS, one server of its own each on the local platform.
    #[serde(default)]
    pub clusters: BTreeMap<String, Cluster>,
    /// MongoDB replica sets, which exist already.
    #[serde(default)]
    pub mongo_clusters: BTreeMap<String, MongoCluster>,
    /// Services: each gets an isolated database or schema, its roles and its logins.
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
    /// People who may log in.
    #[serde(default)]
    pub people: BTreeMap<String, Person>,
    /// Groups of people, and the services they work on.
    #[serde(default)]
    pub developer_groups: BTreeMap<String, DeveloperGroup>,
    /// When to take backups, and how long to keep them.
    #[serde(default)]
    pub backup_policies: BTreeMap<String, BackupPolicy>,
    /// What has been removed on purpose, and what becomes of its data.
    #[serde(default)]
    pub removed: Removed,
}

/// Where an environment runs: exactly one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Platform {
    /// Real Postgres servers on this machine, on loopback; for development and tests.
    Local(Local),
    /// Amazon Web Services.
    Aws(Aws),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Local {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// The twelve digits of the account; any other account is refused.
    #[schemars(regex(pattern = "^[0-9]{12}$"))]
    pub account: String,
    /// Region of everything but IAM, which has none.
    pub region: String,
    /// Profile of the AWS configuration files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Role to assume before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// Another endpoint for every AWS service, such as an emulator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<MachineValue>,
}

/// A value that differs per machine: written out, or taken from a variable or a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MachineValue {
    Plain(String),
    Env(FromEnv),
    File(FromFile),
}

/// The name of an environment variable that holds the value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromEnv {
    pub env: String,
}

/// The path of a file that holds the value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromFile {
    pub file: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Each service has a database of its own.
    #[default]
    Database,
    /// Each service has a schema of its own in one shared database.
    Schema,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    None,
    #[default]
    ReadOnly,
    ReadWrite,
}

/// How a Kubernetes service account becomes an IAM role: exactly one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WorkloadIdentity {
    /// IAM roles for service accounts, by the cluster's OIDC provider.
    Irsa(Irsa),
    /// EKS Pod Identity.
    PodIdentity(PodIdentity),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Irsa {
    /// Issuer without `https://`, such as `oidc.eks.eu-central-1.amazonaws.com/id/ABC123`.
    pub oidc_provider: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PodIdentity {
    /// ARN of the EKS cluster.
    pub cluster_arn: String,
}

/// Most connections of logins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionLimits {
    /// Of a service's `app` and `reader` each. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ConnectionLimit>,
    /// Of a service's `migrator`. Default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrator: Option<ConnectionLimit>,
    /// Of a person. Default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<ConnectionLimit>,
}

impl ConnectionLimits {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A number, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ConnectionLimit {
    None(NoLimit),
    Most(#[schemars(range(min = 1, max = 10000))] u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoLimit {
    None,
}

impl ConnectionLimit {
    /// As Postgres counts: -1 is none.
    pub fn number(self) -> i32 {
        match self {
            Self::None(NoLimit::None) => -1,
            Self::Most(most) => i32::try_from(most).unwrap_or(i32::MAX),
        }
    }

    /// The other way round, for what can be declared.
    pub fn of(number: i32) -> Option<Self> {
        match u32::try_from(number) {
            Ok(most @ 1..=10_000) => Some(Self::Most(most)),
            Err(_) if number == -1 => Some(Self::None(NoLimit::None)),
            _ => None,
        }
    }
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Kubernetes `namespace/name` that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub service_account: Option<String>,
    /// Name of one of `clusters`; may be left out when there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Postgres extensions it needs.
    #[serde(default)]
    pub extensions: Vec<String>,
    /// Most connections of `app` and of `reader`, or `none`. Default: what `connection_limits` says, and 50 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_limit: Option<ConnectionLimit>,
    /// Postgres settings of its sessions.
    #[serde(default)]
    pub settings: BTreeMap<String, Scalar>,
    /// Name of one of `mongo_clusters` on which it also gets a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongo: Option<String>,
    /// Names that do not follow the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<ServiceNames>,
}

/// A person who may log in. On AWS exactly one of `principal` and `sso`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// ARN of the IAM user or role that is this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^arn:aws[a-z-]*:iam::[0-9]{12}:(user|role)/.+$"))]
    pub principal: Option<String>,
    /// Session name under the environment's `sso_role`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9_+=,.@-]{2,64}$"))]
    pub sso: Option<String>,
}

/// A group of people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeveloperGroup {
    /// Names out of `people`.
    #[serde(default)]
    pub members: Vec<String>,
    /// `all`, or names out of `services`.
    pub services: ServiceSelection,
    /// Another access than the environment's `developers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ServiceSelection {
    All(All),
    Named(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum All {
    All,
}

/// What has been removed on purpose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Services that have left `services`.
    #[serde(default)]
    pub services: BTreeMap<String, RemovedService>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovedService {
    /// `keep` shuts and renames the database, and declaring the service again restores it; `drop` drops it for good.
    pub data: RemovedData,
    /// The cluster it lived on; may be left out when there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The names it had, where they did not follow the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<ServiceNames>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemovedData {
    /// Logins shut, sessions ended, the database closed and renamed; declaring the service again restores it.
    Keep,
    /// The data is dropped for good.
    Drop,
}

fn yes() -> bool {
    true
}
