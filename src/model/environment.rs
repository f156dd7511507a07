//! What an environment declares: the types behind the YAML and behind `schemas/environment.json`.
//!
//! Doc comments here are the descriptions that editors show. Defaults are those a field has when it is absent;
//! `protect: true` turns some of them into rules, which `config` checks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;

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
    #[serde(default)]
    pub subnets: Vec<String>,
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
    pub log_exports: Option<std::collections::BTreeSet<LogExport>>,
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
    #[schemars(range(min = 0.0, max = 256.0))]
    pub min: f64,
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

/// A MongoDB replica set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MongoCluster {
    /// Connection string; a password in it belongs into a variable or a file.
    pub uri: MachineValue,
    /// Name of one of `backup_policies`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_policy: Option<String>,
    /// Host of the virtual machine by member (`host:port`). Default: the member's host name without the port.
    #[serde(default)]
    pub vm_hosts: BTreeMap<String, String>,
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
    /// Most connections of each of its logins. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub connection_limit: Option<u32>,
    /// Postgres settings of its sessions.
    #[serde(default)]
    pub settings: BTreeMap<String, Scalar>,
    /// Name of one of `mongo_clusters` on which it also gets a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongo: Option<String>,
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

/// A backup policy: exactly one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BackupPolicy {
    /// For Aurora clusters: continuous backup by AWS.
    Aurora(AuroraBackup),
    /// For MongoDB: consistent snapshots of a secondary's disks.
    Mongo(MongoBackup),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuroraBackup {
    /// How many days back the cluster can be restored.
    #[schemars(range(min = 1, max = 35))]
    pub retention_days: u8,
    /// Daily, in UTC: `02:00-03:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub window: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MongoBackup {
    /// A snapshot is due when the last good one is this old.
    pub every: Duration,
    #[serde(default)]
    pub keep: Keep,
    /// Command that takes the snapshot; `{host}` is filled in.
    #[serde(default = "make_vm_snapshot")]
    pub snapshot_command: Vec<String>,
    /// Command that deletes one; `{host}` and `{snapshot}` are filled in. Without it nothing is pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_command: Option<Vec<String>>,
    /// The lock is released when this has passed, whatever the command does.
    #[serde(default = "ten_minutes")]
    pub max_lock: Duration,
    /// A member further behind the primary than this is not snapshotted.
    #[serde(default = "thirty_seconds")]
    pub max_lag: Duration,
}

/// How many snapshots are kept; a snapshot stays when any of these keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<u32>,
}

/// What has been removed on purpose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    #[serde(default)]
    pub services: BTreeMap<String, RemovedService>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovedService {
    pub data: RemovedData,
    /// The cluster it lived on; may be left out when there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemovedData {
    /// Logins shut, sessions ended, the database closed and renamed; declaring the service again restores it.
    Keep,
    /// The data is dropped for good.
    Drop,
}

fn seven() -> u16 {
    7
}

fn yes() -> bool {
    true
}

fn make_vm_snapshot() -> Vec<String> {
    vec!["make-vm-snapshot".into(), "{host}".into()]
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}
