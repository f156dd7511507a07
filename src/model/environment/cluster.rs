//! What can be declared of a Postgres cluster.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MachineValue, yes};
use crate::model::duration::Duration;

/// A Postgres cluster. On the local platform only `engine_version`, `parameters` and `connection` act.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Identifier on AWS; without it `<environment>-<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"), length(max = 55))]
    pub identifier: Option<String>,
    /// A prefix: `"16"` is satisfied by any 16.x, and nothing is ever downgraded. Without it: whatever Postgres is
    /// found locally; on AWS it must be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]+(\\.[0-9]+)*$"))]
    pub engine_version: Option<String>,
    /// Instance class of writer and readers; or `serverless`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_class: Option<String>,
    /// Capacity of Aurora Serverless v2; or `instance_class`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serverless: Option<Serverless>,
    /// Number of read replicas, spread over the availability zones.
    #[serde(default)]
    #[schemars(range(min = 0, max = 15))]
    pub readers: u8,
    /// More readers by load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// Availability zones of the instances, in turn, the writer first. Without it AWS chooses.
    #[serde(default)]
    pub zones: Vec<String>,
    /// TCP port. Default 5432.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1150, max = 65535))]
    pub port: Option<u16>,
    /// Subnets in two or more availability zones.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// Security groups, which decide who reaches the port.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// Key id, alias or ARN. Without it: the account's key for RDS. Storage is always encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Name of one of `backup_policies`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_policy: Option<String>,
    /// How the master logs in, who makes the logins of `infra` and is not used again. Default `secret`.
    #[serde(default)]
    pub master_auth: MasterAuth,
    /// Name of the master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z][a-z0-9_]{0,15}$"))]
    pub master_username: Option<String>,
    /// Key of the master's secret. Without it: the account's key for Secrets Manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_secret_kms_key: Option<String>,
    /// Logs that go to CloudWatch. Default `[iam-db-auth-error]`: who was refused, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_exports: Option<BTreeSet<LogExport>>,
    /// Performance Insights; `{}` is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance_insights: Option<PerformanceInsights>,
    /// CloudWatch Database Insights. `advanced` needs Performance Insights of 465 days or more.
    #[serde(default)]
    pub database_insights: DatabaseInsights,
    /// Enhanced monitoring of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,
    /// How storage is paid for: by use, or at a flat rate for much input and output.
    #[serde(default)]
    pub storage: Storage,
    /// Certificate authority of the instances. Without it: what AWS chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<String>,
    /// SQL over HTTPS (Data API).
    #[serde(default)]
    pub data_api: bool,
    /// Lets AWS take newer minor versions in the maintenance window.
    #[serde(default = "yes")]
    pub auto_minor_version_upgrade: bool,
    /// A change of the major version is refused without it.
    #[serde(default)]
    pub allow_major_upgrade: bool,
    /// Weekly, in UTC: `sun:03:00-sun:03:30`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_window: Option<String>,
    /// Refuses deletion on the server's side. Without it: what `protect` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// Take a snapshot before the cluster is removed.
    #[serde(default = "yes")]
    pub final_snapshot: bool,
    /// When changes that AWS can delay are made.
    #[serde(default)]
    pub apply: ApplyWhen,
    /// Server parameters by name; values as the server takes them.
    #[serde(default)]
    pub parameters: BTreeMap<String, Scalar>,
    /// Parameters of the instances' own group on AWS.
    #[serde(default)]
    pub instance_parameters: BTreeMap<String, Scalar>,
    /// Keep the continuous backups of a cluster that is removed. Without it: what `protect` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_backups: Option<bool>,
    /// How this machine reaches the cluster.
    #[serde(default)]
    pub connection: Connection,
}

/// Aurora capacity units, in steps of 0.5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serverless {
    /// Fewest capacity units.
    #[schemars(range(min = 0.0, max = 256.0))]
    pub min: f64,
    /// Most capacity units.
    #[schemars(range(min = 1.0, max = 256.0))]
    pub max: f64,
    /// Idle time after which it stands still; only with `min: 0`. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_after: Option<Duration>,
}

/// Readers that come and go with the load; exactly one of `cpu` and `connections`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Autoscaling {
    /// Fewest readers; not fewer than `readers`.
    #[schemars(range(min = 0, max = 15))]
    pub min: u8,
    /// Most readers.
    #[schemars(range(min = 1, max = 15))]
    pub max: u8,
    /// Average load of the readers' processors to hold, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 100.0))]
    pub cpu: Option<f64>,
    /// Average number of the readers' connections to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 16000.0))]
    pub connections: Option<f64>,
    /// Time between two steps down. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_in_cooldown: Option<Duration>,
    /// Time between two steps up. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_out_cooldown: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MasterAuth {
    /// A password that AWS makes, keeps in Secrets Manager, and changes.
    #[default]
    Secret,
    /// By IAM token; no password exists at all.
    Iam,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogExport {
    Postgresql,
    Instance,
    IamDbAuthError,
}

impl LogExport {
    /// As AWS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::Instance => "instance",
            Self::IamDbAuthError => "iam-db-auth-error",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformanceInsights {
    /// 7, a multiple of 31 up to 713, or 731.
    #[serde(default = "seven")]
    #[schemars(range(min = 7, max = 731))]
    pub retention_days: u16,
    /// Key id, alias or ARN; it cannot be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseInsights {
    #[default]
    Standard,
    Advanced,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Monitoring {
    /// Seconds between two measurements: 1, 5, 10, 15, 30 or 60.
    pub interval: u16,
    /// ARN of the role that lets RDS write to CloudWatch.
    pub role_arn: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    #[default]
    Standard,
    IoOptimized,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyWhen {
    Immediately,
    #[default]
    MaintenanceWindow,
}

/// A setting's value. Numbers and booleans may be written bare; it is the text that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
}

impl Scalar {
    /// The text as Postgres stores it: `true` becomes `on`.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Boolean(value) => if *value { "on" } else { "off" }.into(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// What is checked of the server's certificate. `disable` is for loopback only.
    #[serde(default)]
    pub tls: Tls,
    /// Certificate authorities in PEM; without it the bundled ones of RDS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Another host than the cluster's endpoint, such as that of a forwarded port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<MachineValue>,
    /// On the local platform: the port to listen on. Without it a free one is chosen when the server is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// A command that opens a tunnel; `{host}`, `{port}` and `{local_port}` are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Encrypted, with the certificate and the host name checked.
    #[default]
    VerifyFull,
    /// Encrypted, with the certificate checked against the authorities but not the name (forwarded ports).
    VerifyCa,
    /// Unencrypted; only ever for loopback.
    Disable,
}

fn seven() -> u16 {
    7
}
