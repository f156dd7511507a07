//! The instances of a cluster: one writes, the others read.

mod roll;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Owner, about, belongs_to, cluster::AuroraCluster, exists_already, foreign, group_suffix, is_busy,
    is_missing, parameter_group::AuroraParameterGroup,
};
use crate::{
    engine::{Action, Error, Found, Outputs, Removal, Resource, Verdict},
    model::{Address, environment::ApplyWhen, mark::tag},
    providers::{
        ReadWrite,
        aws::{
            Aws, Estate, InstanceField, Interest, LIMIT,
            estate::{Instance, InstanceSpec},
        },
    },
    resources::{Effects, Facts, Handle, Recognise},
};

pub(in crate::resources) use roll::instances;

/// What Application Auto Scaling calls the readers that it makes.
const AUTOSCALED: &str = "application-autoscaling-";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuroraInstance {
    /// The cluster's name.
    pub cluster_name: String,
    #[serde(flatten)]
    pub spec: InstanceSpec,
    /// Parameters of its groups do not count before it restarts.
    pub waits_for_restart: bool,
    #[serde(skip)]
    pub wishes: Facts<Wishes>,
    #[serde(skip)]
    pub facts: Facts<InstanceFacts>,
}

/// How it is to be changed, as the YAML says.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    pub apply: ApplyWhen,
    /// The suffix of the instances' own parameter group, if there is one.
    pub group: Option<String>,
    /// The cluster may go to another major version now.
    pub upgrades: bool,
}

#[derive(Clone, Debug, Default)]
pub struct InstanceFacts {
    pub arn: String,
    pub status: String,
    pub environment: Option<String>,
    pub writer: bool,
    pub alone: bool,
    pub pending: BTreeMap<String, String>,
    /// Its last restart of the last two weeks, in seconds.
    pub restart: Option<u32>,
    pub autoscaled: bool,
    /// The YAML still has its cluster.
    pub declared: bool,
}

impl AuroraInstance {
    pub fn address(cluster: &str, number: &str) -> Address {
        Address::new("aurora_instance", &format!("{cluster}/{number}"))
    }

    fn is_first(&self) -> bool {
        self.spec.identifier.strip_prefix(&self.spec.cluster) == Some("-1")
    }

    /// Its restart is part of the change.
    fn restarts(&self, before: &Self) -> bool {
        let at_once = self.wishes.apply == ApplyWhen::Immediately;
        let disturbing =
            |field: &InstanceField| matches!(field, InstanceField::Class | InstanceField::CaCertificate);
        (at_once && differences(&before.spec, &self.spec).iter().any(disturbing))
            || (before.waits_for_restart && !self.waits_for_restart)
    }

    fn outage(&self) -> String {
        let seen = match self.facts.restart {
            Some(seconds) => format!("its last restart was seen to take {}", about(seconds)),
            None => "no restart of it was seen in the last two weeks".into(),
        };
        match (self.facts.writer, self.facts.alone) {
            (_, true) => format!("OUTAGE: it is the only instance; {seen}"),
            (true, false) => format!(
                "the readers go first, then another instance becomes the writer (connections are cut for some seconds), then this one restarts; {seen}"
            ),
            (false, false) => format!("this reader restarts; {seen}"),
        }
    }
}

pub(super) fn differences(old: &InstanceSpec, new: &InstanceSpec) -> Vec<InstanceField> {
    let monitoring = |spec: &InstanceSpec| (spec.monitoring_interval, spec.monitoring_role.clone());
    [
        (old.class != new.class, InstanceField::Class),
        (old.promotion_tier != new.promotion_tier, InstanceField::PromotionTier),
        (old.parameter_group != new.parameter_group, InstanceField::ParameterGroup),
        (old.publicly_accessible != new.publicly_accessible, InstanceField::PubliclyAccessible),
        (old.auto_minor_version_upgrade != new.auto_minor_version_upgrade, InstanceField::AutoMinor),
        (old.ca_certificate != new.ca_certificate, InstanceField::CaCertificate),
        (monitoring(old) != monitoring(new), InstanceField::Monitoring),
        (old.maintenance_window != new.maintenance_window, InstanceField::MaintenanceWindow),
        (old.tags != new.tags, InstanceField::Tags),
    ]
    .into_iter()
    .filter_map(|(differs, field)| differs.then_some(field))
    .collect()
}

/// The major version that a parameter group of the engine's, or one of ours, is for.
fn major<'a>(group: &'a str, wishes: &'a Wishes) -> Option<&'a str> {
    let ours = || wishes.group.as_deref()?.strip_prefix("pg")?.strip_suffix("-instances");
    group.strip_prefix("default.aurora-postgresql").or_else(ours)
}

/// The attribute's name in plans and in what is pending.
fn name(field: InstanceField) -> &'static str {
    match field {
        InstanceField::Class => "class",
        InstanceField::PromotionTier => "promotion_tier",
        InstanceField::ParameterGroup => "parameter_group",
        InstanceField::PubliclyAccessible => "publicly_accessible",
        InstanceField::AutoMinor => "auto_minor_version_upgrade",
        InstanceField::CaCertificate => "ca_certificate",
        InstanceField::Monitoring => "monitoring_interval",
        InstanceField::MaintenanceWindow => "maintenance_window",
        InstanceField::Tags => "tags",
    }
}

impl Resource for AuroraInstance {
    fn depends_on(&self) -> Vec<Address> {
        let group = self.wishes.group.iter();
        let group = group.map(|suffix| AuroraParameterGroup::address(&self.cluster_name, suffix));
        let mut parents: Vec<Address> =
            std::iter::once(AuroraCluster::address(&self.cluster_name)).chain(group).collect();
        // The first to come is the writer; the others have it to follow.
        let first = Self::address(&self.cluster_name, "1");
        if !self.is_first() {
            parents.push(first);
        }
        parents
    }

    fn adopt(&mut self, found: &Self) {
        let (mine, theirs) = (&mut self.spec, &found.spec);
        for (mine, theirs) in [
            (&mut mine.availability_zone, &theirs.availability_zone),
            (&mut mine.ca_certificate, &theirs.ca_certificate),
            (&mut mine.maintenance_window, &theirs.maintenance_window),
        ] {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
        // The default group changes with the cluster's version, by itself.
        if mine.parameter_group.starts_with("default.") && theirs.parameter_group.starts_with("default.") {
            mine.parameter_group.clone_from(&theirs.parameter_group);
        }
        // The group of another major version comes with the cluster's upgrade, or not yet.
        let (to, from) =
            (major(&mine.parameter_group, &self.wishes), major(&theirs.parameter_group, &found.wishes));
        if !self.wishes.upgrades && to.is_some() && from.is_some() && to != from {
            mine.parameter_group.clone_from(&theirs.parameter_group);
        }
        if self.wishes.apply == ApplyWhen::MaintenanceWindow {
            self.waits_for_restart = found.waits_for_restart;
        }
    }

    fn costs(&self, before: &Self) -> Vec<String> {
        let fields = differences(&before.spec, &self.spec);
        let mut costs = Vec::new();
        if self.restarts(before) {
            costs.push(before.outage());
            if !before.facts.pending.is_empty() {
                let pending: Vec<String> =
                    before.facts.pending.iter().map(|(name, value)| format!("{name} {value}")).collect();
                costs
                    .push(format!("at once with it comes what waits for the window: {}", pending.join(", ")));
            }
        } else if fields
            .iter()
            .any(|field| matches!(field, InstanceField::Class | InstanceField::CaCertificate))
        {
            let window = before.spec.maintenance_window.as_deref().unwrap_or("its");
            costs.push(format!("waits for the maintenance window {window}, and restarts the instance then"));
        }
        if fields.contains(&InstanceField::ParameterGroup) {
            costs.push("its parameters take effect when the instance restarts".into());
        }
        costs
    }

    fn notes(&self) -> Vec<String> {
        let window = self.spec.maintenance_window.as_deref().unwrap_or("maintenance");
        let pending = self.facts.pending.iter();
        let mut notes: Vec<String> = pending
            .map(|(name, value)| format!("{name} {value} is scheduled for the window {window}"))
            .collect();
        if self.waits_for_restart {
            notes.push("its parameters wait for a restart".into());
        }
        if self.facts.status != "available" && !self.facts.status.is_empty() {
            notes.push(format!("it is {}", self.facts.status));
        }
        notes
    }

    fn verdict(&self, before: &Self) -> Verdict {
        if self.spec.cluster != before.spec.cluster {
            return Verdict::Refuse(format!("it belongs to {}", before.spec.cluster));
        }
        if self.spec.availability_zone != before.spec.availability_zone {
            let zone = |zone: &Option<String>| zone.clone().unwrap_or_default();
            return Verdict::Replace(format!(
                "`availability_zone` is chosen when an instance is made: {} instead of {}",
                zone(&self.spec.availability_zone),
                zone(&before.spec.availability_zone)
            ));
        }
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        if self.facts.autoscaled {
            return Removal::Implied;
        }
        if self.facts.declared {
            return Removal::Delete;
        }
        Removal::Declared(format!("its cluster {} is no longer declared", self.cluster_name))
    }

    fn environment(&self) -> Option<&str> {
        self.facts.environment.as_deref()
    }

    /// All of a cluster together: they restart one after the other.
    fn unit(&self) -> Option<String> {
        Some(format!("aurora_instances.{}", self.cluster_name))
    }
}

impl Effects for AuroraInstance {
    fn effects(action: &Action<Self>) -> Vec<String> {
        let create = |new: &Self| {
            let zone =
                new.spec.availability_zone.as_ref().map_or(String::new(), |zone| format!(" in {zone}"));
            format!("rds:CreateDBInstance {} ({}{zone})", new.spec.identifier, new.spec.class)
        };
        let delete = |old: &Self| format!("rds:DeleteDBInstance {}", old.spec.identifier);
        match action {
            Action::Create { new } => vec![create(new)],
            Action::Update { old, new } => {
                let identifier = &new.spec.identifier;
                let fields = differences(&old.spec, &new.spec);
                let names: Vec<&str> = (fields.iter().filter(|field| **field != InstanceField::Tags))
                    .map(|field| name(*field))
                    .collect();
                let mut calls = Vec::new();
                if new.restarts(old) && old.facts.writer && !old.facts.alone {
                    calls.push(format!("rds:FailoverDBCluster {}", new.spec.cluster));
                }
                if !names.is_empty() {
                    let when =
                        if new.wishes.apply == ApplyWhen::Immediately { " ApplyImmediately" } else { "" };
                    calls.push(format!("rds:ModifyDBInstance {identifier}{when} ({})", names.join(", ")));
                }
                if old.waits_for_restart && !new.waits_for_restart {
                    calls.push(format!("rds:RebootDBInstance {identifier}"));
                }
                if fields.contains(&InstanceField::Tags) {
                    calls.push(format!("rds:AddTagsToResource, rds:RemoveTagsFromResource {identifier}"));
                }
                calls
            }
            Action::Replace { old, new, .. } => vec![delete(old), create(new)],
            Action::Delete { old } => vec![delete(old)],
            Action::Keep | Action::Hold { .. } => Vec::new(),
        }
    }
}

impl Recognise for AuroraInstance {
    fn recognise(estate: &Estate, interest: &Interest) -> Vec<(Address, Found<Self>)> {
        let found = estate.instances.iter().filter_map(|instance| {
            let cluster = estate.cluster(&instance.spec.cluster);
            let declared = interest.clusters.contains_key(&instance.spec.cluster);
            let owner = Owner::of(Some(&instance.spec.tags), interest);
            if !owner.concerns_us(declared) {
                return None;
            }
            let name = cluster.map_or_else(
                || format!("other/{}", instance.spec.cluster),
                |cluster| super::cluster_name(cluster, interest),
            );
            Some(found(instance, &name, declared, owner, estate, interest))
        });
        found.collect()
    }
}

fn found(
    instance: &Instance,
    cluster: &str,
    declared: bool,
    owner: Owner,
    estate: &Estate,
    interest: &Interest,
) -> (Address, Found<AuroraInstance>) {
    let identifier = &instance.spec.identifier;
    let of = estate.cluster(&instance.spec.cluster);
    let member = of.and_then(|of| of.members.iter().find(|member| member.instance == *identifier));
    // By its mark, by its name, or as something that nobody knows.
    let marked = instance.spec.tags.get(tag::ID).and_then(|id| id.parse::<Address>().ok());
    let numbered = belongs_to(identifier, estate, interest)
        .filter(|(name, rest)| name == cluster && rest.parse::<u8>().is_ok());
    let address = match (marked.filter(|_| owner.owned), numbered) {
        (Some(marked), _) => marked,
        (None, Some((_, number))) => AuroraInstance::address(cluster, &number),
        (None, None) => AuroraInstance::address(cluster, identifier),
    };
    let mut spec = instance.spec.clone();
    // A change that waits for the window is as good as made.
    for (name, value) in &instance.pending {
        match name.as_str() {
            "class" => spec.class.clone_from(value),
            "ca_certificate" => spec.ca_certificate = Some(value.clone()),
            _ => {}
        }
    }
    let waits = |status: &str| status == "pending-reboot";
    let restarts = estate.restarts.iter().rfind(|restart| restart.instance == *identifier);
    let group = group_suffix(&spec.parameter_group, estate, interest);
    let resource = AuroraInstance {
        cluster_name: cluster.to_owned(),
        spec,
        waits_for_restart: waits(&instance.parameter_group_status)
            || member.is_some_and(|member| waits(&member.parameter_group_status)),
        wishes: Facts(Wishes { group, ..Wishes::default() }),
        facts: Facts(InstanceFacts {
            arn: instance.arn.clone(),
            status: instance.status.clone(),
            environment: owner.environment,
            writer: member.is_some_and(|member| member.writer),
            alone: of.is_none_or(|of| of.members.len() < 2),
            pending: instance.pending.clone(),
            restart: restarts.map(|restart| restart.seconds),
            autoscaled: identifier.starts_with(AUTOSCALED),
            declared,
        }),
    };
    (address, Found { resource, outputs: Outputs::new(), owned: owner.owned, protected: owner.protected })
}

impl Handle<AuroraInstance> for Aws<ReadWrite> {
    async fn create(&self, new: &AuroraInstance, progress: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let identifier = &new.spec.identifier;
        let mut tries = 0;
        loop {
            match self.create_instance(&new.spec).await {
                Ok(()) => break,
                Err(error) if exists_already(&error) => {
                    let fleet = self.fleet().await?;
                    let environment = tag::environment(&new.spec.tags);
                    let mut members = fleet.members(&new.spec.cluster);
                    members
                        .find(|found| {
                            found.spec.identifier == *identifier
                                && tag::environment(&found.spec.tags) == environment
                        })
                        .ok_or_else(|| foreign(format!("instance {identifier}")))?;
                    break;
                }
                // A run that was killed may have left the cluster while it is made.
                Err(error) if tries < 12 && is_busy(&error) => {
                    tries += 1;
                    progress(&format!("waiting: {error}"));
                    self.cluster_at_rest(&new.spec.cluster, &[], LIMIT, progress).await?;
                }
                // A role for monitoring that was just made is not known everywhere at once.
                Err(error) if tries < 12 && error.to_string().contains("IAM role ARN") => {
                    tries += 1;
                    progress(&format!("waiting: {error}"));
                    tokio::time::sleep(self.pause()).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.instance_at_rest(identifier, &[], progress).await?;
        Ok(Outputs::new())
    }

    async fn update(
        &self,
        old: &AuroraInstance,
        new: &AuroraInstance,
        progress: &dyn Fn(&str),
    ) -> Result<Outputs, Error> {
        self.change_instance(old, new, progress).await?;
        Ok(Outputs::new())
    }

    /// A writer hands over first, if there is anybody to hand over to.
    async fn delete(&self, old: &AuroraInstance, progress: &dyn Fn(&str)) -> Result<(), Error> {
        let identifier = &old.spec.identifier;
        self.hand_over(&old.spec.cluster, identifier, progress).await?;
        let call = async || self.delete_instance(identifier).await;
        let going = |error: &crate::providers::aws::AwsError| {
            is_missing(error) || error.to_string().contains("already being deleted")
        };
        self.patiently(progress, call, is_busy, going).await?;
        Ok(self.instance_gone(identifier, progress).await?)
    }
}
