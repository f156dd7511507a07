//! Backup policies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::duration::Duration;

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
    /// Also when writes with `w: majority` wait until the unlock, as with a primary, a secondary and an arbiter.
    #[serde(default)]
    pub allow_degraded: bool,
}

/// How many snapshots are kept; a snapshot stays when any of these keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The newest so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// The newest of each of the last so many hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly: Option<u32>,
    /// The newest of each of the last so many days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<u32>,
    /// The newest of each of the last so many weeks (ISO).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<u32>,
    /// The newest of each of the last so many months (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<u32>,
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
