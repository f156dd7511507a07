//! Snapshots by policy: what has been taken, what is due, what is to go; and one hand at a time on each set.

mod delete;
pub mod history;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{Timestamp, tz::Offset};
use serde::{Deserialize, Serialize};

pub use delete::filled;
pub use history::{Due, History};

use super::{Manifest, Request, Rules, Status, Step, Taken, take};
use crate::{
    model::{causes, environment::MongoBackup},
    providers::{
        ReadWrite,
        ledger::{Holder, Lease, Ledger, LedgerError},
        mongo::Access,
    },
};

/// Documents that are read side by side.
const AT_ONCE: usize = 16;
/// How long to wait for the server to grant the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait until the unlock is confirmed. The retries go on beyond it.
const UNLOCK_PATIENCE: Duration = Duration::from_mins(1);

/// A replica set that has a backup policy.
#[derive(Clone, Debug)]
pub struct Set {
    /// The policy's name.
    pub name: String,
    pub policy: MongoBackup,
    pub vm_hosts: BTreeMap<String, String>,
    /// How it is reached, or why that cannot be known.
    pub access: Result<Access, String>,
}

/// The backups of one environment. `Backups<ReadOnly>` has no method that takes or deletes one.
#[derive(Clone, Debug)]
pub struct Backups<M> {
    pub environment: String,
    pub ledger: Ledger<M>,
    /// By their names in the YAML.
    pub sets: BTreeMap<String, Set>,
    /// Who we are, for whoever finds us at work.
    pub holder: Holder,
    /// Where this machine remembers what it has locked; or why there is no such place.
    pub state: Result<PathBuf, String>,
    /// Variables that no command gets to see.
    pub hidden_variables: Vec<String>,
}

/// A snapshot in the catalogue: the manifest of its run, and what has become of it since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub manifest: Manifest,
    /// When its deletion began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleting: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the replica set {cluster} cannot be used: {why}")]
    Unusable { cluster: String, why: String },
    #[error(
        "run {} ended ({}; snapshots: {}), but the catalogue does not know of it",
        manifest.run_id,
        if manifest.consistent { "consistent" } else { "not consistent" },
        if manifest.snapshot_ids.is_empty() { "none".to_owned() } else { manifest.snapshot_ids.join(", ") }
    )]
    NotRecorded {
        manifest: Box<Manifest>,
        #[source]
        source: LedgerError,
    },
    #[error("snapshot {snapshot} could not be deleted: {why}")]
    NotDeleted { snapshot: String, why: String },
}

/// What came of being asked for a snapshot.
#[derive(Debug)]
pub enum Made {
    Taken(Box<Taken>),
    /// Another run was faster: none is due any more.
    NotDue,
}

impl Entry {
    /// The moment that it is a snapshot of, or of the attempt.
    pub fn at(&self) -> Timestamp {
        self.manifest.locked_at.unwrap_or(self.manifest.started_at)
    }

    pub fn is_good(&self) -> bool {
        self.manifest.status == Status::Consistent && self.deleting.is_none()
    }

    /// Its name in the catalogue: `20261124T001500Z-18ead63f16be2407`.
    fn name(&self) -> String {
        let at = Offset::UTC.to_datetime(self.manifest.started_at).strftime("%Y%m%dT%H%M%SZ");
        format!("{at}-{}", self.manifest.run_id)
    }
}

fn folder(cluster: &str) -> String {
    format!("snapshots/{cluster}")
}

fn document(cluster: &str, name: &str) -> String {
    format!("{}/{name}.json", folder(cluster))
}

impl<M> Backups<M> {
    /// All that was ever tried on a set.
    pub async fn history(&self, cluster: &str) -> Result<History, LedgerError> {
        let folder = folder(cluster);
        let names = self.ledger.list(&folder).await?;
        let read = names.iter().map(|document| async {
            let name =
                document.strip_prefix(&folder)?.trim_start_matches('/').strip_suffix(".json")?.to_owned();
            // One that has gone since it was listed was deleted by another run.
            Some(self.ledger.read::<Entry>(document).await.transpose()?.map(|entry| (name, entry)))
        });
        let entries: Vec<Option<(String, Entry)>> =
            stream::iter(read).buffered(AT_ONCE).map(Option::transpose).try_collect().await?;
        Ok(History::new(entries.into_iter().flatten().collect(), Timestamp::now()))
    }

    /// # Errors
    /// If the YAML gives this set no policy.
    pub fn set(&self, cluster: &str) -> Result<&Set, BackupError> {
        self.sets.get(cluster).ok_or_else(|| BackupError::Unusable {
            cluster: cluster.into(),
            why: "the YAML gives it no backup policy".into(),
        })
    }
}

impl Backups<ReadWrite> {
    /// One hand at a time on a set.
    pub async fn lease(&self, cluster: &str, patience: Duration) -> Result<Lease, LedgerError> {
        self.ledger.lease(&format!("mongo-{cluster}"), &self.holder, patience).await
    }

    /// Takes a snapshot if one is due, or in any case if it is `forced`, and writes down how it ended. `stop` is as for
    /// [`take`].
    pub async fn take(
        &self,
        cluster: &str,
        forced: bool,
        patience: Duration,
        stop: impl Future<Output = u8>,
        progress: &dyn Fn(&Step),
    ) -> Result<Made, BackupError> {
        let set = self.set(cluster)?;
        let request = self.request(cluster, set)?;
        let begun = Instant::now();
        let lease = self.lease(cluster, patience).await?;
        let made = {
            let mut work = Box::pin(self.take_leased(cluster, set, &request, forced, stop, progress));
            let lost = lease.lost();
            tokio::pin!(lost);
            tokio::select! {
                made = &mut work => made,
                // What has begun is finished: that no two members are locked is seen to again, just after the lock.
                why = lost => {
                    let text = format!("the lease of {cluster} was lost: {why}");
                    progress(&Step { elapsed: begun.elapsed(), text, alarm: true });
                    work.await
                }
            }
        };
        lease.release().await;
        made
    }

    async fn take_leased(
        &self,
        cluster: &str,
        set: &Set,
        request: &Request,
        forced: bool,
        stop: impl Future<Output = u8>,
        progress: &dyn Fn(&Step),
    ) -> Result<Made, BackupError> {
        if !forced && !self.history(cluster).await?.due(set.policy.every).is_due() {
            return Ok(Made::NotDue);
        }
        let taken = take(request, stop, progress).await;
        let entry = Entry { manifest: taken.manifest.clone(), deleting: None };
        if let Err(source) = self.ledger.put_new(&document(cluster, &entry.name()), &entry).await {
            return Err(BackupError::NotRecorded { manifest: Box::new(entry.manifest), source });
        }
        Ok(Made::Taken(Box::new(taken)))
    }

    /// Deletes a snapshot by the policy's command, and then forgets it. What has begun is gone on with, and what is gone is
    /// deleted.
    pub async fn delete(&self, cluster: &str, name: &str, patience: Duration) -> Result<(), BackupError> {
        let set = self.set(cluster)?;
        let lease = self.lease(cluster, patience).await?;
        let deleted = self.delete_leased(cluster, set, name).await;
        lease.release().await;
        deleted
    }

    /// The same for somebody who has the lease.
    async fn delete_leased(&self, cluster: &str, set: &Set, name: &str) -> Result<(), BackupError> {
        let document = document(cluster, name);
        let Some(mut entry) = self.ledger.read::<Entry>(&document).await? else { return Ok(()) };
        let Some(command) = &set.policy.delete_command else {
            let why = "the policy has no delete_command".into();
            return Err(BackupError::NotDeleted { snapshot: name.into(), why });
        };
        if entry.deleting.is_none() {
            entry.deleting = Some(Timestamp::now());
            self.ledger.replace(&document, &entry).await?;
        }
        let host = entry.manifest.vm_host.as_deref().unwrap_or_default();
        let hidden = super::command::hidden(&self.hidden_variables, None);
        for snapshot in &entry.manifest.snapshot_ids {
            delete::run(command, host, snapshot, &hidden)
                .await
                .map_err(|why| BackupError::NotDeleted { snapshot: snapshot.clone(), why })?;
        }
        Ok(self.ledger.delete(&document).await?)
    }

    fn request(&self, cluster: &str, set: &Set) -> Result<Request, BackupError> {
        let unusable = |why: &String| BackupError::Unusable { cluster: cluster.into(), why: why.clone() };
        let policy = &set.policy;
        Ok(Request {
            access: set.access.as_ref().map_err(unusable)?.clone(),
            rules: Rules {
                member: None,
                max_lag: policy.max_lag.into(),
                max_lock: policy.max_lock.into(),
                allow_degraded: policy.allow_degraded,
            },
            command: policy.snapshot_command.clone(),
            vm_hosts: set.vm_hosts.clone(),
            state: self.state.as_ref().map_err(unusable)?.clone(),
            environment: Some(self.environment.clone()),
            policy: Some(set.name.clone()),
            lock_timeout: LOCK_TIMEOUT,
            unlock_patience: UNLOCK_PATIENCE,
            hidden_variables: self.hidden_variables.clone(),
        })
    }
}

impl BackupError {
    /// In one line, with what it comes from.
    pub fn told(&self) -> String {
        causes(self)
    }
}
