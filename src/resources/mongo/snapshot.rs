//! Snapshots of a replica set: the current one, which a policy wants to be young enough, and those that it no longer keeps.
//!
//! Whether one is due is a matter of the clock, and the plan knows none. So reading decides it: the current snapshot is found
//! for as long as the last good one is young enough, and of the others only those are found that no rule keeps.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    engine::{Action, Error, Found, Known, Output, Outputs, Removal, Resource, Verdict, World},
    model::{Address, causes, duration::Duration, environment::MongoBackup},
    providers::ReadWrite,
    resources::{Any, Effects, Facts, Handle, Live},
    snapshot::{
        Ending, Status, Step, Unlocked,
        backups::{BackupError, Backups, Entry, History, Made, filled},
        retention::Leave,
    },
};

/// How long a deletion waits for another run that is at the set.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MongoSnapshot {
    pub cluster: String,
    pub policy: String,
    #[serde(flatten)]
    pub part: Part,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Part {
    Old(Old),
    Current(Current),
}

/// The last good one, young enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Current {
    pub every: Duration,
    pub snapshot_command: Vec<String>,
    pub max_lock: Duration,
    pub max_lag: Duration,
    /// Why it is due, once reading has told.
    #[serde(skip)]
    pub due: Facts<Option<String>>,
}

/// One that no rule keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Old {
    /// Its name in the catalogue.
    pub name: String,
    pub status: Status,
    pub member: Option<String>,
    pub vm_host: Option<String>,
    pub snapshot_ids: Vec<String>,
    pub delete_command: Vec<String>,
    #[serde(skip)]
    pub why: Facts<String>,
}

/// A snapshot that was tried, and is none.
#[derive(Debug, thiserror::Error)]
#[error("{message}{}", hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct NoSnapshot {
    pub ending: Ending,
    pub message: String,
    pub hint: Option<String>,
}

/// Stands for the catalogue of a set, so that it can be said to be unreadable; none is ever made.
fn catalogue(cluster: &str) -> Address {
    Address::new("mongo_catalogue", cluster)
}

impl MongoSnapshot {
    pub fn address(cluster: &str) -> Address {
        Address::new("mongo_snapshot", &format!("{cluster}/current"))
    }

    pub fn current(cluster: &str, name: &str, policy: &MongoBackup) -> Self {
        let current = Current {
            every: policy.every,
            snapshot_command: policy.snapshot_command.clone(),
            max_lock: policy.max_lock,
            max_lag: policy.max_lag,
            due: Facts(None),
        };
        Self { cluster: cluster.into(), policy: name.into(), part: Part::Current(current) }
    }

    fn old(cluster: &str, policy: &str, name: &str, entry: &Entry, delete: &[String], why: &str) -> Self {
        let manifest = &entry.manifest;
        let old = Old {
            name: name.into(),
            status: manifest.status,
            member: manifest.member.clone(),
            vm_host: manifest.vm_host.clone(),
            snapshot_ids: manifest.snapshot_ids.clone(),
            delete_command: delete.to_vec(),
            why: Facts(why.into()),
        };
        Self { cluster: cluster.into(), policy: policy.into(), part: Part::Old(old) }
    }

    /// Looks at the clock and at what was taken of these sets.
    pub(in crate::resources) async fn read<M>(
        backups: &Backups<M>,
        sets: &BTreeSet<String>,
        world: &mut World<Any>,
    ) {
        for (cluster, set) in backups.sets.iter().filter(|(cluster, _)| sets.contains(*cluster)) {
            match backups.history(cluster).await {
                Ok(history) => find(cluster, &set.name, &set.policy, &history, world),
                Err(error) => {
                    world.unreadable.insert(catalogue(cluster), causes(&error));
                }
            }
        }
    }
}

fn find(cluster: &str, name: &str, policy: &MongoBackup, history: &History, world: &mut World<Any>) {
    let ours = |resource: MongoSnapshot| Found {
        resource: Any::from(resource),
        outputs: Outputs::new(),
        owned: true,
        protected: false,
    };
    let address = MongoSnapshot::address(cluster);
    let due = history.due(policy.every);
    if due.is_due() {
        world.facts.insert(address.clone(), Outputs::from([(Output::Due, due.to_string())]));
    } else {
        world.found.insert(address, ours(MongoSnapshot::current(cluster, name, policy)));
    }
    let Some(delete) = &policy.delete_command else { return };
    let retention = history.retention(&policy.keep, due.is_due(), Leave::default());
    for (old, why) in &retention.removed {
        let Some(entry) = history.entries.get(old) else { continue };
        let address = Address::new("mongo_snapshot", &format!("{cluster}/{old}"));
        world.found.insert(address, ours(MongoSnapshot::old(cluster, name, old, entry, delete, why)));
    }
}

impl Resource for MongoSnapshot {
    fn depends_on(&self) -> Vec<Address> {
        match &self.part {
            Part::Current(_) => vec![catalogue(&self.cluster)],
            Part::Old(_) => vec![Self::address(&self.cluster)],
        }
    }

    fn bind(&mut self, known: &Known) {
        let told = known.get(&Self::address(&self.cluster)).and_then(|outputs| outputs.get(&Output::Due));
        if let Part::Current(current) = &mut self.part {
            current.due = Facts(told.cloned());
        }
    }

    fn reason(&self) -> Option<String> {
        match &self.part {
            Part::Current(current) => current.due.0.clone(),
            Part::Old(old) => Some(old.why.0.clone()),
        }
    }

    fn time_driven(&self) -> bool {
        true
    }

    fn verdict(&self, _: &Self) -> Verdict {
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        match &self.part {
            // What was taken stays when nobody wants any more of it.
            Part::Current(_) => Removal::Implied,
            Part::Old(_) => Removal::Delete,
        }
    }

    /// Deletions one after the other, since each takes the lease of the set.
    fn unit(&self) -> Option<String> {
        match &self.part {
            Part::Current(_) => None,
            Part::Old(_) => Some(format!("snapshots of {} that go", self.cluster)),
        }
    }
}

impl Effects for MongoSnapshot {
    fn effects(action: &Action<Self>) -> Vec<String> {
        let resource = action.wanted().or(action.existing());
        match resource.map(|resource| (&resource.cluster, &resource.part)) {
            Some((cluster, Part::Current(current))) => vec![
                format!("lock one secondary of {cluster} by fsyncLock, for {} at most", current.max_lock),
                format!("run {}", current.snapshot_command.join(" ")),
                "unlock it, whatever happens".into(),
            ],
            Some((_, Part::Old(old))) => {
                let host = old.vm_host.as_deref().unwrap_or_default();
                let run = |snapshot: &String| {
                    format!("run {}", filled(&old.delete_command, host, snapshot).join(" "))
                };
                let runs = old.snapshot_ids.iter().map(run);
                runs.chain([format!("forget {}", old.name)]).collect()
            }
            None => Vec::new(),
        }
    }
}

impl Live<ReadWrite> {
    fn kept(&self) -> Result<&Backups<ReadWrite>, Error> {
        self.backups.as_ref().ok_or_else(|| Box::new(NoBackups) as Error)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("this is a fault in infra: the environment has no backups")]
struct NoBackups;

impl Handle<MongoSnapshot> for Live<ReadWrite> {
    async fn create(&self, new: &MongoSnapshot, progress: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let step = |step: &Step| progress(&step.text);
        // What has begun is finished; whoever cannot wait leaves, and the guardian unlocks.
        let never = std::future::pending();
        match self.kept()?.take(&new.cluster, false, std::time::Duration::ZERO, never, &step).await? {
            Made::Taken(taken) => match NoSnapshot::of(&taken) {
                Some(error) => Err(Box::new(error)),
                None => Ok(Outputs::new()),
            },
            Made::NotDue => Ok(Outputs::new()),
        }
    }

    async fn update(&self, _: &MongoSnapshot, _: &MongoSnapshot, _: &dyn Fn(&str)) -> Result<Outputs, Error> {
        Ok(Outputs::new())
    }

    async fn delete(&self, old: &MongoSnapshot, _: &dyn Fn(&str)) -> Result<(), Error> {
        let Part::Old(part) = &old.part else { return Ok(()) };
        self.kept()?
            .delete(&old.cluster, &part.name, PATIENCE)
            .await
            .map_err(|error: BackupError| error.into())
    }
}

impl NoSnapshot {
    fn of(taken: &crate::snapshot::Taken) -> Option<Self> {
        let manifest = &taken.manifest;
        if taken.ending == Ending::Consistent {
            return None;
        }
        let message = manifest.message.clone().unwrap_or_else(|| "no consistent snapshot was taken".into());
        let unlocked = match manifest.unlocked {
            Unlocked::NothingLocked => "nothing was locked",
            Unlocked::Verified => "unlocked: verified",
            Unlocked::Unknown => "unlocked: UNKNOWN",
        };
        Some(Self {
            ending: taken.ending,
            message: format!("{message} ({unlocked})"),
            hint: taken.hint.clone(),
        })
    }
}

/// Of an error that went through the engine, whether a member may still be locked.
pub fn still_locked(error: &Error) -> bool {
    error.downcast_ref::<NoSnapshot>().is_some_and(|error| error.ending == Ending::StillLocked)
}
