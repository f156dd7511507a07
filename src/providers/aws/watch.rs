//! Waiting until AWS is done: one look at everything serves all that wait.
//!
//! The SDK's own waiters back off for up to half an hour and take a single `available` for the end. RDS says `available`
//! for a moment after a change was accepted, so we believe it only when it has said so three times.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use super::{
    Aws, AwsError,
    estate::{Cluster, Instance},
};
use crate::providers::ReadWrite;

/// Looks in a row that must find the same, as AWS's own CloudFormation handlers have it.
const LOOKS: u32 = 3;
/// Failed looks in a row that are borne.
const FAILURES: u32 = 3;
/// What creating, changing and deleting may take.
pub const LIMIT: Duration = Duration::from_hours(2);
/// A new major version is installed, and all catalogs are converted.
pub const UPGRADE_LIMIT: Duration = Duration::from_hours(4);

/// States that nothing leads out of without a person.
const BROKEN: [&str; 11] = [
    "failed",
    "inaccessible-encryption-credentials",
    "inaccessible-encryption-credentials-recoverable",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "migration-failed",
    "restore-error",
    "restore-failed",
    "stopped",
];

/// All clusters and instances at one moment.
#[derive(Debug)]
pub(super) struct Seen {
    at: Instant,
    pub(super) clusters: Vec<Cluster>,
    pub(super) instances: Vec<Instance>,
}

/// The latest look. Whoever waits holds the lock while looking, so that all the others get the same answer.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Option<Arc<Seen>>>);

/// What is being waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal<'a> {
    /// For messages: `cluster prod-main`.
    pub what: &'a str,
    pub wanted: &'static str,
    pub limit: Duration,
}

/// How a look finds what is waited for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    There,
    /// Not yet, and what it says of itself.
    Not(String),
    /// It will never be.
    Broken(String),
}

impl Look {
    /// By its status alone.
    pub(super) fn at(status: &str) -> Self {
        match status {
            // Storage optimisation goes on for hours and is in nobody's way.
            "available" | "storage-optimization" => Self::There,
            broken if BROKEN.contains(&broken) || broken.starts_with("incompatible-") => {
                Self::Broken(broken.into())
            }
            other => Self::Not(other.into()),
        }
    }

    fn and(self, holds: bool, otherwise: impl Into<String>) -> Self {
        if self == Self::There && !holds { Self::Not(otherwise.into()) } else { self }
    }
}

impl Aws<ReadWrite> {
    /// A look that was begun after `since`.
    async fn look(&self, since: Instant) -> Result<Arc<Seen>, AwsError> {
        let mut latest = self.watch.0.lock().await;
        if let Some(seen) = latest.as_ref().filter(|seen| seen.at > since) {
            return Ok(seen.clone());
        }
        if let Some(seen) = latest.as_ref() {
            sleep_until(seen.at + self.poll).await;
        }
        let at = Instant::now();
        let (clusters, instances) = futures::try_join!(self.clusters(), self.instances())?;
        let seen = Arc::new(Seen { at, clusters, instances });
        *latest = Some(seen.clone());
        Ok(seen)
    }

    /// Waits until three looks in a row find it there.
    pub(super) async fn wait(
        &self,
        goal: Goal<'_>,
        progress: &dyn Fn(&str),
        find: impl Fn(&Seen) -> Look,
    ) -> Result<Arc<Seen>, AwsError> {
        let begun = Instant::now();
        let (mut since, mut there, mut failures) = (begun, 0, 0);
        let mut state = "unknown".to_owned();
        loop {
            match self.look(since).await {
                Ok(seen) => {
                    since = seen.at;
                    failures = 0;
                    match find(&seen) {
                        Look::There => {
                            there += 1;
                            state = goal.wanted.into();
                            if there >= LOOKS {
                                return Ok(seen);
                            }
                        }
                        Look::Not(now) => {
                            there = 0;
                            if state != now {
                                progress(&now);
                            }
                            state = now;
                        }
                        Look::Broken(now) => {
                            let why = format!("it is {now}, which it does not leave by itself");
                            return Err(AwsError::Unfit { what: goal.what.into(), why });
                        }
                    }
                }
                Err(error) if failures + 1 >= FAILURES => return Err(error),
                Err(_) => failures += 1,
            }
            if begun.elapsed() > goal.limit {
                let Goal { what, wanted, limit } = goal;
                return Err(AwsError::TimedOut { what: what.into(), wanted, limit, state });
            }
        }
    }

    /// Waits until a cluster is at rest: available, nothing of it still being applied, and none of `awaited` pending.
    pub async fn cluster_at_rest(
        &self,
        identifier: &str,
        awaited: &[&str],
        limit: Duration,
        progress: &dyn Fn(&str),
    ) -> Result<Cluster, AwsError> {
        let what = format!("cluster {identifier}");
        let goal = Goal { what: &what, wanted: "available", limit };
        let find = |seen: &Seen| match cluster(seen, identifier) {
            Some(cluster) => rest(cluster, awaited),
            None => Look::Not("not visible yet".into()),
        };
        let seen = self.wait(goal, progress, find).await?;
        cluster(&seen, identifier).cloned().ok_or_else(|| gone(&what))
    }

    pub async fn cluster_gone(&self, identifier: &str, progress: &dyn Fn(&str)) -> Result<(), AwsError> {
        let what = format!("cluster {identifier}");
        let goal = Goal { what: &what, wanted: "deleted", limit: LIMIT };
        let find = |seen: &Seen| match cluster(seen, identifier) {
            Some(cluster) => Look::Not(cluster.status.clone()),
            None => Look::There,
        };
        self.wait(goal, progress, find).await.map(drop)
    }

    /// Waits until an instance is at rest, and none of `awaited` pending.
    pub async fn instance_at_rest(
        &self,
        identifier: &str,
        awaited: &[&str],
        progress: &dyn Fn(&str),
    ) -> Result<Instance, AwsError> {
        let what = format!("instance {identifier}");
        let goal = Goal { what: &what, wanted: "available", limit: LIMIT };
        let find = |seen: &Seen| match instance(seen, identifier) {
            Some(instance) => Look::at(&instance.status)
                .and(instance.parameter_group_status != "applying", "applying parameters")
                .and(awaited.iter().all(|name| !instance.pending.contains_key(*name)), "still changing"),
            None => Look::Not("not visible yet".into()),
        };
        let seen = self.wait(goal, progress, find).await?;
        instance(&seen, identifier).cloned().ok_or_else(|| gone(&what))
    }

    pub async fn instance_gone(&self, identifier: &str, progress: &dyn Fn(&str)) -> Result<(), AwsError> {
        let what = format!("instance {identifier}");
        let goal = Goal { what: &what, wanted: "deleted", limit: LIMIT };
        let find = |seen: &Seen| match instance(seen, identifier) {
            Some(instance) => Look::Not(instance.status.clone()),
            None => Look::There,
        };
        self.wait(goal, progress, find).await.map(drop)
    }

    /// Waits until another instance than `identifier` is the writer.
    pub async fn failed_over(
        &self,
        cluster_identifier: &str,
        from: &str,
        progress: &dyn Fn(&str),
    ) -> Result<(), AwsError> {
        let what = format!("cluster {cluster_identifier}");
        let goal = Goal { what: &what, wanted: "failed over", limit: Duration::from_mins(15) };
        let find = |seen: &Seen| match cluster(seen, cluster_identifier) {
            Some(cluster) => {
                let writer = cluster.members.iter().find(|member| member.writer);
                rest(cluster, &[]).and(writer.is_some_and(|writer| writer.instance != from), "failing over")
            }
            None => Look::Not("not visible".into()),
        };
        self.wait(goal, progress, find).await.map(drop)
    }
}

fn rest(cluster: &Cluster, awaited: &[&str]) -> Look {
    let secret = cluster.master_secret.as_ref();
    let secret_ready = cluster.members.is_empty() || secret.is_none_or(|secret| secret.status == "active");
    Look::at(&cluster.status)
        .and(
            cluster.members.iter().all(|member| member.parameter_group_status != "applying"),
            "applying parameters",
        )
        .and(cluster.security_groups.values().all(|state| state == "active"), "changing security groups")
        .and(secret_ready, "making the master's secret")
        .and(awaited.iter().all(|name| !cluster.pending.contains_key(*name)), "still changing")
}

fn cluster<'a>(seen: &'a Seen, identifier: &str) -> Option<&'a Cluster> {
    seen.clusters.iter().find(|cluster| cluster.spec.identifier == identifier)
}

fn instance<'a>(seen: &'a Seen, identifier: &str) -> Option<&'a Instance> {
    seen.instances.iter().find(|instance| instance.spec.identifier == identifier)
}

fn gone(what: &str) -> AwsError {
    AwsError::Unfit { what: what.into(), why: "it was removed meanwhile".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_nobody_knows_is_waited_for() {
        assert_eq!(Look::at("available"), Look::There);
        assert_eq!(Look::at("configuring-something-new"), Look::Not("configuring-something-new".into()));
        assert!(matches!(Look::at("incompatible-network"), Look::Broken(_)));
    }

    #[test]
    fn available_is_not_at_rest() {
        let mut cluster = Cluster { status: "available".into(), ..Cluster::default() };
        assert_eq!(rest(&cluster, &["engine_version"]), Look::There);
        cluster.pending.insert("engine_version".into(), "16.6".into());
        assert_eq!(rest(&cluster, &["engine_version"]), Look::Not("still changing".into()));
        cluster.security_groups.insert("sg-1".into(), "adding".into());
        assert_eq!(rest(&cluster, &[]), Look::Not("changing security groups".into()));
    }
}
