//! What is kept of a run: one JSON document, written whether it came to a snapshot or not. Holds no secret.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::choose::Reasoned;
pub use crate::providers::mongo::OpTime;

/// The version of the document. It grows only by fields that may be absent.
pub const SCHEMA: u32 = 1;

/// One run of the procedure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: u32,
    pub run_id: String,
    /// `infra 0.1.0`
    pub tool_version: String,
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub policy: Option<String>,
    /// The set's name, `rs0`; absent if nobody could say.
    #[serde(default)]
    pub replica_set: Option<String>,
    /// The set's own id, 24 hexadecimal digits.
    #[serde(default)]
    pub replica_set_id: Option<String>,
    /// The member that was locked, `host:port`.
    #[serde(default)]
    pub member: Option<String>,
    /// What the snapshot command calls its machine.
    #[serde(default)]
    pub vm_host: Option<String>,
    #[serde(default)]
    pub server_version: Option<String>,
    pub status: Status,
    /// The same as `status: consistent`.
    pub consistent: bool,
    pub ending: Ending,
    /// What went wrong, and what to do.
    #[serde(default)]
    pub message: Option<String>,
    pub started_at: Timestamp,
    /// When the server had granted the lock.
    #[serde(default)]
    pub locked_at: Option<Timestamp>,
    #[serde(default)]
    pub unlocked_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    /// From asking for the lock to having it.
    #[serde(default)]
    pub acquire_ms: Option<u64>,
    /// From having the lock to its release.
    #[serde(default)]
    pub held_ms: Option<u64>,
    /// How long the snapshot command ran.
    #[serde(default)]
    pub command_ms: Option<u64>,
    pub unlocked: Unlocked,
    /// The last operation that the snapshot contains.
    #[serde(default)]
    pub optime: Option<OpTime>,
    /// How far the member was behind the newest one when it was chosen.
    #[serde(default)]
    pub lag_ms: Option<u64>,
    /// How long after the unlock the member applied operations again; absent if it was not seen to.
    #[serde(default)]
    pub moved_after_ms: Option<u64>,
    /// What was run, in full.
    pub command: Vec<String>,
    /// Absent if it never ran or was ended by a signal.
    #[serde(default)]
    pub exit_code: Option<i32>,
    #[serde(default)]
    pub signal: Option<i32>,
    /// The end of what the command wrote to its two streams.
    #[serde(default)]
    pub output: String,
    /// How many bytes before it were left out.
    #[serde(default)]
    pub output_omitted_bytes: u64,
    /// `{"snapshot_ids": [...]}` if that is the last line that the command wrote to stdout, else that line itself.
    #[serde(default)]
    pub snapshot_ids: Vec<String>,
    #[serde(default)]
    pub proof: Option<Proof>,
    /// Members that were not chosen, each with the reason.
    #[serde(default)]
    pub rejected: Vec<Reasoned>,
    #[serde(default)]
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The proof is complete and the command succeeded.
    Consistent,
    /// The command ran, so there may be a snapshot, but nothing vouches for it.
    Inconsistent,
    /// There is no snapshot.
    Failed,
}

/// Why the procedure ended. The exit codes follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Consistent,
    /// No member may be locked; nothing was.
    NoMember,
    /// The lock was not granted in time, and will not be.
    LockTimeout,
    /// The snapshot command failed, or could not be started.
    CommandFailed,
    /// `max_lock` passed before the snapshot command had ended.
    MaxLock,
    /// The lock did not hold, the member was restarted, or the primary was lost.
    ConsistencyLost,
    /// Somebody else has locked a member, or another run is at it.
    ForeignLock,
    /// It is not certain that the member is unlocked.
    StillLocked,
    /// By this signal.
    Interrupted(u8),
    Failed,
}

/// Whether our lock is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlocked {
    /// No lock was asked for.
    NothingLocked,
    /// It was read back that our lock is gone.
    Verified,
    Unknown,
}

/// What was compared with how it was just after the lock: `same_process` and `secondary` right after the unlock, since a locked
/// member keeps its state, and everything else just before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The server's name for the lock: it has another one each time it is taken.
    pub worker_opid: Option<i64>,
    /// The lock was held, not only waited for.
    pub held: bool,
    /// The same lock: it was never released in between.
    pub same_opid: bool,
    /// The same run of the server.
    pub same_process: bool,
    /// Nothing was applied in between.
    pub applied_unchanged: bool,
    /// The member is a secondary still.
    pub secondary: bool,
    /// How often it was locked after ours, and after our unlock.
    pub lock_count: i64,
    pub unlock_count: Option<i64>,
}

impl Proof {
    /// Whether it vouches for the snapshot.
    pub fn complete(&self) -> bool {
        self.held
            && self.same_opid
            && self.same_process
            && self.applied_unchanged
            && self.secondary
            && self.lock_count == 1
            && self.unlock_count == Some(0)
    }
}
