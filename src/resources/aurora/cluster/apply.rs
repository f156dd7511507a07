//! Making, changing and removing clusters.

use super::{
    AuroraCluster,
    change::{Cost, cost, differences, name},
    outputs,
};
use crate::{
    engine::{Action, Error, Outputs, Resource as _},
    model::{
        environment::{ApplyWhen, MasterAuth},
        mark::tag,
    },
    providers::{
        ReadWrite,
        aws::{
            Aws, AwsError, ClusterField, LIMIT, MajorUpgrade, UPGRADE_LIMIT,
            estate::{Cluster, ClusterSpec},
        },
    },
    resources::{
        Effects, Handle,
        aurora::{exists_already, foreign, is_busy, is_missing},
    },
};

/// One call of `ModifyDBCluster`, and what it is for. Attributes of different costs never travel together: what asks for
/// no outage must not bring one along.
struct Phase {
    fields: Vec<ClusterField>,
    immediately: bool,
    major: bool,
}

impl AuroraCluster {
    /// In which order, and with what, an update is made. Pure.
    fn phases(&self, before: &Self) -> Vec<Phase> {
        let fields = differences(&before.spec, &self.spec);
        let major = self.upgrades_major(before);
        let immediately = self.wishes.apply == ApplyWhen::Immediately;
        let of = |wanted: &dyn Fn(ClusterField) -> bool| {
            let of = fields.iter().copied().filter(|field| wanted(*field));
            of.collect::<Vec<_>>()
        };
        let own_calls = [ClusterField::DataApi, ClusterField::Tags];
        // A major version takes the parameter group of its family in the same call.
        let group = |field| major && field == ClusterField::ParameterGroup;
        let quiet = of(&|field| {
            matches!(cost(field), Cost::InPlace | Cost::Restart)
                && !own_calls.contains(&field)
                && !group(field)
        });
        let deferrable = of(&|field| cost(field) == Cost::Deferrable);
        // To apply at once would bring whatever waits for the window along.
        let flush = immediately || before.facts.pending.is_empty();
        let outage = of(&|field| cost(field) == Cost::Outage || group(field));
        let phases = [
            Phase { fields: quiet, immediately: false, major: false },
            Phase { fields: deferrable, immediately: flush, major: false },
            Phase { fields: outage, immediately, major },
        ];
        phases.into_iter().filter(|phase| !phase.fields.is_empty()).collect()
    }

    /// One for each cluster that ever had the name.
    fn final_snapshot(&self) -> Option<String> {
        let id: String = self.facts.resource_id.trim_start_matches("cluster-").chars().take(12).collect();
        let name = format!("{}-final-{}", self.spec.identifier, id.to_lowercase());
        self.facts.final_snapshot.then(|| name.trim_end_matches('-').to_owned())
    }
}

impl Effects for AuroraCluster {
    fn effects(action: &Action<Self>) -> Vec<String> {
        match action {
            Action::Create { new } => vec![format!(
                "rds:CreateDBCluster {} (aurora-postgresql {})",
                new.spec.identifier, new.spec.engine_version
            )],
            Action::Update { old, new } => {
                let identifier = &new.spec.identifier;
                let mut calls: Vec<String> = (new.phases(old).iter())
                    .map(|phase| {
                        let fields: Vec<&str> = phase.fields.iter().map(|field| name(*field)).collect();
                        let when = if phase.immediately { " ApplyImmediately" } else { "" };
                        let major = if phase.major { " AllowMajorVersionUpgrade" } else { "" };
                        format!("rds:ModifyDBCluster {identifier}{when}{major} ({})", fields.join(", "))
                    })
                    .collect();
                if old.spec.data_api != new.spec.data_api {
                    let switch = if new.spec.data_api { "Enable" } else { "Disable" };
                    calls.push(format!("rds:{switch}HttpEndpoint {identifier}"));
                }
                if old.spec.tags != new.spec.tags {
                    calls.push(format!("rds:AddTagsToResource, rds:RemoveTagsFromResource {identifier}"));
                }
                calls
            }
            Action::Delete { old } => {
                let identifier = &old.spec.identifier;
                let unprotect = format!("rds:ModifyDBCluster {identifier} (deletion_protection false)");
                let snapshot = old.final_snapshot().map_or_else(
                    || "without a final snapshot".to_owned(),
                    |name| format!("final snapshot {name}"),
                );
                let delete = format!("rds:DeleteDBCluster {identifier} ({snapshot})");
                old.spec.deletion_protection.then_some(unprotect).into_iter().chain([delete]).collect()
            }
            Action::Replace { .. } | Action::Keep | Action::Hold { .. } => Vec::new(),
        }
    }
}

impl Handle<AuroraCluster> for Aws<ReadWrite> {
    async fn create(&self, new: &AuroraCluster, progress: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let identifier = &new.spec.identifier;
        match self.create_cluster(&new.spec).await {
            Err(error) if exists_already(&error) => {
                let fleet = self.fleet().await?;
                let environment = tag::environment(&new.spec.tags);
                let ours = |cluster: &&Cluster| tag::environment(&cluster.spec.tags) == environment;
                fleet
                    .cluster(identifier)
                    .filter(ours)
                    .ok_or_else(|| foreign(format!("cluster {identifier}")))?;
            }
            other => other?,
        }
        let cluster = self.cluster_at_rest(identifier, &[], LIMIT, progress).await?;
        Ok(outputs(&cluster))
    }

    async fn update(
        &self,
        old: &AuroraCluster,
        new: &AuroraCluster,
        progress: &dyn Fn(&str),
    ) -> Result<Outputs, Error> {
        let identifier = &new.spec.identifier;
        if old.facts.status != "available" {
            self.cluster_at_rest(identifier, &[], LIMIT, progress).await?;
        }
        // Tags first: they need no rest, and the mark is among them.
        self.retag(&old.facts.arn, &old.spec.tags, &new.spec.tags).await?;
        if old.spec.data_api != new.spec.data_api {
            self.switch_data_api(&old.facts.arn, new.spec.data_api).await?;
        }
        let mut cluster = None;
        for phase in new.phases(old) {
            let major = phase.major.then(|| MajorUpgrade {
                instance_parameter_group: new.wishes.instance_parameter_group.clone(),
            });
            let call = async || {
                let sent = (&old.spec, &new.spec, &phase.fields[..], phase.immediately, major.as_ref());
                self.modify_cluster(sent.0, sent.1, sent.2, sent.3, sent.4).await
            };
            self.when_at_rest(identifier, progress, call).await?;
            // What was not asked for at once may wait for the window, and is then as good as made.
            let awaited = phase.fields.iter().filter(|_| phase.immediately).map(|field| name(*field));
            let awaited: Vec<&str> = awaited.collect();
            let limit = if phase.major { UPGRADE_LIMIT } else { LIMIT };
            let at_rest = self.cluster_at_rest(identifier, &awaited, limit, progress).await?;
            self.check(&at_rest, old, new, &phase.fields).await?;
            cluster = Some(at_rest);
        }
        Ok(cluster.map(|cluster| outputs(&cluster)).unwrap_or_default())
    }

    /// Everything that is in it goes with it: autoscaling first, or it would make new readers; then all members, those
    /// that nobody declared too.
    async fn delete(&self, old: &AuroraCluster, progress: &dyn Fn(&str)) -> Result<(), Error> {
        let identifier = &old.spec.identifier;
        let fleet = self.fleet().await?;
        let Some(cluster) = fleet.cluster(identifier) else { return Ok(()) };
        self.end_scaling(identifier).await?;
        if cluster.status != "deleting" {
            if cluster.spec.deletion_protection {
                let open = ClusterSpec { deletion_protection: false, ..cluster.spec.clone() };
                let fields = [ClusterField::DeletionProtection];
                let call = async || self.modify_cluster(&cluster.spec, &open, &fields, false, None).await;
                self.when_at_rest(identifier, progress, call).await?;
                self.cluster_at_rest(identifier, &[], LIMIT, progress).await?;
            }
            for member in fleet.members(identifier).filter(|member| member.status != "deleting") {
                match self.delete_instance(&member.spec.identifier).await {
                    Err(error) if !is_missing(&error) && !is_busy(&error) => return Err(error.into()),
                    _ => {}
                }
            }
            let snapshot = old.final_snapshot();
            let (mut tries, mut number) = (0, 1);
            loop {
                let snapshot = snapshot.as_ref().map(|name| match number {
                    1 => name.clone(),
                    more => format!("{name}-{more}"),
                });
                match self.delete_cluster(identifier, snapshot.as_deref(), old.facts.keep_backups).await {
                    Ok(()) => break,
                    Err(error) if is_missing(&error) => return Ok(()),
                    // Of an earlier try; data may have come since.
                    Err(error) if error.is(&["DBClusterSnapshotAlreadyExistsFault"]) && number < 9 => {
                        number += 1;
                    }
                    Err(error) if is_busy(&error) && tries < 600 => {
                        tries += 1;
                        progress(&format!("waiting: {error}"));
                        tokio::time::sleep(self.pause()).await;
                        let now = self.fleet().await?;
                        if now.cluster(identifier).is_none_or(|cluster| cluster.status == "deleting") {
                            break;
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for member in fleet.members(identifier) {
            self.instance_gone(&member.spec.identifier, progress).await?;
        }
        Ok(self.cluster_gone(identifier, progress).await?)
    }
}

impl Aws<ReadWrite> {
    /// Calls, and calls again once the cluster is at rest for as long as RDS says that it is busy.
    async fn when_at_rest(
        &self,
        identifier: &str,
        progress: &dyn Fn(&str),
        call: impl AsyncFn() -> Result<(), AwsError>,
    ) -> Result<(), Error> {
        const TRIES: u32 = 5;
        for _ in 1..TRIES {
            match call().await {
                Err(error) if is_busy(&error) => {
                    self.cluster_at_rest(identifier, &[], LIMIT, progress).await?;
                }
                other => return Ok(other?),
            }
        }
        Ok(call().await?)
    }

    /// A change that RDS refuses later leaves the cluster available and as it was; only its events say why.
    async fn check(
        &self,
        found: &Cluster,
        old: &AuroraCluster,
        new: &AuroraCluster,
        fields: &[ClusterField],
    ) -> Result<(), Error> {
        let mut now = AuroraCluster { spec: found.spec.clone(), ..new.clone() };
        super::overlay(&mut now.spec, &found.pending);
        let mut wanted = new.clone();
        wanted.adopt(&now);
        let left = differences(&now.spec, &wanted.spec);
        let missing: Vec<&str> = (fields.iter().filter(|field| left.contains(field)))
            // Which way the master logs in, AWS does not tell.
            .filter(|field| **field != ClusterField::MasterAuth || new.spec.master_auth == MasterAuth::Secret)
            .map(|field| name(*field))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let events = self.cluster_events(&new.spec.identifier).await.unwrap_or_default();
        let said = events.last().map_or_else(String::new, |event| format!("; AWS says: {event}"));
        let versions = if missing.contains(&"engine_version") {
            format!(" (still {})", old.spec.engine_version)
        } else {
            String::new()
        };
        Err(Box::new(AwsError::Unfit {
            what: format!("cluster {}", new.spec.identifier),
            why: format!(
                "AWS accepted the change of {}{versions}, but did not make it{said}",
                missing.join(", ")
            ),
        }))
    }
}
