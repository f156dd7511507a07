//! `infra snapshot`.

use std::{path::PathBuf, time};

use clap::Args;

use super::span::span;

/// Exit codes of a snapshot; where they are told, our lock is gone unless it is 7.
const SNAPSHOT_EXIT_CODES: &str = "\
The snapshot command runs with INFRA_RUN_ID, INFRA_MONGO_HOST, INFRA_MONGO_SET, INFRA_MONGO_OPTIME and INFRA_VM_HOST
set. It must return as soon as the moment of the snapshot is fixed: the member is locked for as long as it runs.

Exit codes: 0 a consistent snapshot; 1 error; 7 it is not certain that the member is unlocked: page someone;
10 no member may be locked; 11 the lock was not obtained in time; 12 the snapshot command failed; 13 max-lock passed;
14 consistency lost (lock released by others, server restarted, primary lost); 15 somebody else's lock or run;
129, 130, 143 interrupted. In every case but 7 our lock is gone, and that was read back.";

#[derive(Args, Debug)]
#[command(after_help = SNAPSHOT_EXIT_CODES)]
pub struct Snapshot {
    /// The connection string; `-` reads it from standard input. A password in it can be seen in the process list
    #[arg(value_name = "URI")]
    pub uri: Option<String>,
    /// Read the connection string from this file; a third way is the variable INFRA_MONGO_URI
    #[arg(long, value_name = "FILE")]
    pub uri_file: Option<PathBuf>,
    /// What snapshots the disks of a machine, with its arguments; `{host}` becomes the machine, which comes last without it
    #[arg(long, value_name = "COMMAND", default_value = "make-vm-snapshot")]
    pub command: String,
    /// The machine of a member, if it is not the member's host name; may be repeated
    #[arg(long, value_name = "MEMBER=VM")]
    pub vm_host: Vec<String>,
    /// Only this member, `host:port` or `host`
    #[arg(long, value_name = "HOST")]
    pub member: Option<String>,
    /// Longest that the member may stay locked
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = span)]
    pub max_lock: time::Duration,
    /// Farthest that the member may be behind
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = span)]
    pub max_lag: time::Duration,
    /// How long to wait for the lock
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = span)]
    pub lock_timeout: time::Duration,
    /// Also when writes with `w: majority` would wait for the unlock, or no election would be possible
    #[arg(long)]
    pub allow_degraded: bool,
    /// Only say which member would be locked, and why not the others; locks nothing
    #[arg(long, conflicts_with = "release_stale")]
    pub dry_run: bool,
    /// Only release the lock that a killed run of this machine has left, if there is one that is provably that
    #[arg(long)]
    pub release_stale: bool,
    /// Print nothing but JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// Where this machine remembers what it has locked [default: $XDG_STATE_HOME/infra or ~/.local/state/infra]
    #[arg(long, value_name = "DIR", env = "INFRA_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// How long to try to unlock before exit code 7
    #[arg(long, value_name = "DURATION", default_value = "60s", hide = true, value_parser = span)]
    pub unlock_patience: time::Duration,
}
