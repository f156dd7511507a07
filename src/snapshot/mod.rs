//! Consistent snapshots of a MongoDB replica set: one secondary is locked, a command snapshots its disks, and the lock is
//! released whatever happens.

mod attempt;
pub mod backups;
pub mod choose;
mod command;
pub mod guardian;
mod hand;
mod journal;
pub mod manifest;
mod outcome;
mod release;
pub mod retention;
mod supervisor;
mod survey;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use choose::{Choice, Rules, Survey, choose};
pub use command::{gate, words};
pub use guardian::guard;
pub use manifest::{Ending, Manifest, OpTime, Proof, Status, Unlocked};
pub use survey::{NoSurvey, survey};

use jiff::Timestamp;
use serde::Serialize;

use crate::{model::mongo_uri::Host, providers::mongo::Access};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Request {
    pub access: Access,
    pub rules: Rules,
    /// The snapshot command, each argument by itself. `{host}` in an argument becomes the machine of the member.
    pub command: Vec<String>,
    /// Machines of members, by `host:port` or by `host`; the others have the member's host as their name.
    pub vm_hosts: BTreeMap<String, String>,
    /// The folder where this machine remembers what it has locked.
    pub state: PathBuf,
    /// For the manifest alone.
    pub environment: Option<String>,
    pub policy: Option<String>,
    /// How long to wait for the server to grant the lock.
    pub lock_timeout: Duration,
    /// How long to wait until the unlock is confirmed, before it is called unknown. The retries go on beyond it.
    pub unlock_patience: Duration,
    /// Variables that the snapshot command does not get to see, because a connection string or a password is in them.
    pub hidden_variables: Vec<String>,
}

/// A state of the procedure, for people who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Since the beginning.
    pub elapsed: Duration,
    pub text: String,
    /// Somebody has to do something now.
    pub alarm: bool,
}

/// How it ended, and all that is to be kept of it.
#[derive(Clone, Debug)]
pub struct Taken {
    pub ending: Ending,
    /// What to do about an ending that is no success.
    pub hint: Option<String>,
    /// Written whatever the ending is.
    pub manifest: Manifest,
}

/// Takes one snapshot. `stop` resolves with a signal's number when the run is to end; the unlock is never skipped.
///
/// Runs this very binary twice more (`infra __guard`, `infra __gate`), so the caller must be `infra`.
pub async fn take(request: &Request, stop: impl Future<Output = u8>, progress: &dyn Fn(&Step)) -> Taken {
    supervisor::take(request, stop, progress).await
}

/// A lock that a killed run of this machine had left, and that is released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stale {
    pub member: String,
    pub run_id: String,
    pub since: Timestamp,
}

/// Only releases the lock that a killed run of this machine has left, if it is provably that.
///
/// # Errors
/// How it ended, why, and what to do about it.
pub async fn release_stale(
    request: &Request,
    stop: impl Future<Output = u8>,
    progress: &dyn Fn(&Step),
) -> Result<Option<Stale>, (Ending, String, Option<String>)> {
    supervisor::release_stale(request, stop, progress).await
}

/// Where the program of a command is, as a shell would find it, or why it cannot be run.
pub fn program(command: &[String]) -> Result<PathBuf, String> {
    command::resolve(command).map(command::Resolved::program).map_err(|error| error.to_string())
}

/// The command as it would run for this member, or why it cannot.
pub fn command_for(request: &Request, member: &str) -> Result<Vec<String>, String> {
    let resolved = command::resolve(&request.command).map_err(|error| error.to_string())?;
    Ok(resolved.words(&request.vm_host(member)))
}

impl Request {
    /// What the snapshot command calls the machine of a member.
    pub fn vm_host(&self, member: &str) -> String {
        let host = member.parse().map_or_else(|_| member.to_owned(), |host: Host| host.name);
        let named = self.vm_hosts.get(member).or_else(|| self.vm_hosts.get(&host)).cloned();
        named.unwrap_or(host)
    }
}
