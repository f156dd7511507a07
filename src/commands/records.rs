//! What an environment remembers, and its backups.

use std::{env, time::Duration};

use super::{
    Stop, platform,
    session::{Session, run_url, user},
    snapshot::{VARIABLE, state_folder},
};
use crate::{
    compose,
    model::environment::{MachineValue, Platform},
    providers::{
        ReadOnly, ReadWrite,
        aws::{Aws, Cloud},
        ledger::{Holder, Ledger, LedgerError, host},
    },
    snapshot::backups::{Backups, Set},
    ui::Failure,
};

/// Where this machine remembers what it has locked, if it is to be elsewhere.
const STATE_VARIABLE: &str = "INFRA_STATE_DIR";

/// How long the holder of a lease may show no sign of life, if not the default.
const LEASE_VARIABLE: &str = "INFRA_LEASE_SECONDS";

/// Where an environment's ledger is.
enum Location {
    /// Beside the environments.
    Project,
    Folder(std::path::PathBuf),
    Bucket(String, Box<Cloud>),
}

impl Session {
    /// Who is at work, for whoever finds the environment or a set taken.
    pub(super) fn holder(&self, verb: &str) -> Holder {
        Holder {
            who: user(),
            host: host(),
            operation: format!("infra {verb} -e {}", self.name),
            pid: std::process::id(),
            since: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            url: run_url(),
        }
    }

    /// The environment's ledger, to be read.
    pub(super) async fn ledger_to_read<M>(&self, aws: Option<&Aws<M>>) -> Result<Ledger<ReadOnly>, Stop> {
        Ok(match self.location(aws).await? {
            Location::Project => Ledger::<ReadOnly>::of_project(&self.project, &self.name),
            Location::Folder(folder) => Ledger::<ReadOnly>::folder(&folder),
            Location::Bucket(url, cloud) => {
                Ledger::<ReadOnly>::bucket(&url, &cloud).map_err(|error| unusable(&error))?
            }
        })
    }

    /// The environment's ledger, to be written.
    pub(super) async fn ledger_to_write<M>(&self, aws: Option<&Aws<M>>) -> Result<Ledger<ReadWrite>, Stop> {
        let ledger = match self.location(aws).await? {
            Location::Project => Ledger::<ReadWrite>::of_project(&self.project, &self.name),
            Location::Folder(folder) => Ledger::<ReadWrite>::folder(&folder),
            Location::Bucket(url, cloud) => {
                Ledger::<ReadWrite>::bucket(&url, &cloud).map_err(|error| unusable(&error))?
            }
        };
        Ok(match life()? {
            Some(life) => ledger.with_life(life),
            None => ledger,
        })
    }

    /// Whether what the ledger holds lies with what the environment makes on this machine, and goes with it.
    pub(super) fn ledger_goes_with_it(&self) -> bool {
        self.environment.ledger.is_none() && matches!(self.environment.platform, Platform::Local(_))
    }

    /// `None` if no replica set has a backup policy.
    pub(super) async fn backups_to_read(
        &self,
        command: &str,
        aws: Option<&Aws<ReadOnly>>,
    ) -> Result<Option<Backups<ReadOnly>>, Stop> {
        if compose::snapshotted(&self.environment).next().is_none() {
            return Ok(None);
        }
        let ledger = self.ledger_to_read(aws).await?;
        Ok(Some(self.backups(command, ledger)))
    }

    /// `None` if no replica set has a backup policy.
    pub(super) async fn backups_to_take(
        &self,
        command: &str,
        aws: Option<&Aws<ReadWrite>>,
    ) -> Result<Option<Backups<ReadWrite>>, Stop> {
        if compose::snapshotted(&self.environment).next().is_none() {
            return Ok(None);
        }
        let ledger = self.ledger_to_write(aws).await?;
        Ok(Some(self.backups(command, ledger)))
    }

    async fn location<M>(&self, aws: Option<&Aws<M>>) -> Result<Location, Stop> {
        match &self.environment.ledger {
            None => Ok(Location::Project),
            Some(url) if url.starts_with("s3://") => {
                let cloud = match aws {
                    Some(aws) => Some(aws.cloud()),
                    None => Cloud::of_machine().await,
                };
                let cloud = cloud.ok_or_else(|| {
                    Failure::new(format!("nothing says in which region the ledger {url} is"))
                        .hint("export AWS_REGION=..., or set it in the profile")
                })?;
                Ok(Location::Bucket(url.clone(), Box::new(cloud)))
            }
            Some(folder) => Ok(Location::Folder(self.folder().join(folder))),
        }
    }

    fn backups<M>(&self, command: &str, ledger: Ledger<M>) -> Backups<M> {
        let application = self.application(command);
        let sets = compose::snapshotted(&self.environment).map(|(cluster, name, policy)| {
            let declared = &self.environment.mongo_clusters[cluster];
            let set = Set {
                name: name.clone(),
                policy: policy.clone(),
                vm_hosts: declared.vm_hosts.clone(),
                access: platform::mongo_access(cluster, declared, &self.folder(), &application),
            };
            (cluster.clone(), set)
        });
        let variables = self.environment.mongo_clusters.values().filter_map(|declared| match &declared.uri {
            MachineValue::Env(variable) => Some(variable.env.clone()),
            MachineValue::Plain(_) | MachineValue::File(_) => None,
        });
        let told = env::var_os(STATE_VARIABLE).filter(|folder| !folder.is_empty());
        Backups {
            environment: self.name.clone(),
            ledger,
            sets: sets.collect(),
            holder: self.holder(command),
            state: state_folder(told.map(Into::into)).map_err(|stop| platform::told(&stop)),
            hidden_variables: variables.chain([VARIABLE.to_owned()]).collect(),
        }
    }
}

fn life() -> Result<Option<Duration>, Stop> {
    let Some(text) = env::var(LEASE_VARIABLE).ok().filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse() {
        Ok(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(Failure::new(format!("{LEASE_VARIABLE} is `{text}`, which is no number of seconds"))
            .hint("such as 90, which is the default")
            .into()),
    }
}

fn unusable(error: &LedgerError) -> Stop {
    Failure::of(error).into()
}
