//! An Aurora cluster: storage, endpoints, and what its instances share.

mod apply;
mod change;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Owner, about, cluster_name, group_suffix, parameter_group::AuroraParameterGroup,
    subnet_group::AuroraSubnetGroup,
};
use crate::{
    engine::{Found, Known, Output, Outputs, Removal, Resource, Verdict},
    model::{
        Address,
        environment::{ApplyWhen, MasterAuth},
        mark::tag,
        version::{numbers, satisfies},
    },
    providers::aws::{
        ClusterField, Estate, Interest,
        estate::{Cluster, ClusterSpec},
    },
    resources::{Facts, Recognise},
};
use change::{Cost, cost, differences, name};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuroraCluster {
    pub name: String,
    #[serde(flatten)]
    pub spec: ClusterSpec,
    #[serde(skip)]
    pub wishes: Facts<Wishes>,
    #[serde(skip)]
    pub facts: Facts<ClusterFacts>,
}

/// How it is to be changed, as the YAML says.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    pub apply: ApplyWhen,
    pub allow_major_upgrade: bool,
    /// The suffixes of the parameter groups in use: what must be there before the cluster.
    pub groups: BTreeSet<String>,
    /// The instances' own group, which a major upgrade must name.
    pub instance_parameter_group: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct ClusterFacts {
    pub arn: String,
    pub resource_id: String,
    pub status: String,
    pub environment: Option<String>,
    /// What waits for the window, by attribute; the spec has these values already.
    pub pending: BTreeMap<String, String>,
    /// What stands there before the window.
    pub live: BTreeMap<String, String>,
    pub members: Vec<String>,
    /// Instances that must restart before parameters of the cluster's group count.
    pub waiting_for_restart: Vec<String>,
    /// The longest restart of one of its instances in the last two weeks, in seconds.
    pub restart: Option<u32>,
    /// Versions that the present one can be upgraded to.
    pub upgrades: Vec<String>,
    pub final_snapshot: bool,
    pub keep_backups: bool,
}

impl AuroraCluster {
    pub fn address(name: &str) -> Address {
        Address::new("aurora_cluster", name)
    }

    /// Where the newest version for a prefix is told.
    pub fn version_of(prefix: &str) -> Address {
        Address::new("aurora_version", prefix)
    }

    /// Where the ARN of a key is told that was declared by alias or id.
    pub fn key_of(declared: &str) -> Address {
        Address::new("kms_key", declared)
    }

    fn major(version: &str) -> &str {
        version.split('.').next().unwrap_or_default()
    }

    /// The upgrade is one from a major version to another.
    fn upgrades_major(&self, before: &Self) -> bool {
        Self::major(&self.spec.engine_version) != Self::major(&before.spec.engine_version)
    }

    fn outage(&self) -> String {
        match self.facts.restart {
            Some(seconds) => format!("a restart was last seen to take {}", about(seconds)),
            None => "no restart was seen in the last two weeks; Aurora's take about a minute".into(),
        }
    }
}

impl Resource for AuroraCluster {
    fn depends_on(&self) -> Vec<Address> {
        let groups = self.wishes.groups.iter();
        let groups = groups.map(|suffix| AuroraParameterGroup::address(&self.name, suffix));
        std::iter::once(AuroraSubnetGroup::address(&self.name)).chain(groups).collect()
    }

    fn adopt(&mut self, found: &Self) {
        let (mine, theirs) = (&mut self.spec, &found.spec);
        // A prefix that is satisfied is; and what AWS upgraded by itself within the major version is never lowered.
        let same_major = Self::major(&mine.engine_version) == Self::major(&theirs.engine_version);
        let newer = numbers(&theirs.engine_version) >= numbers(&mine.engine_version);
        if satisfies(&theirs.engine_version, &mine.engine_version) || (same_major && newer) {
            mine.engine_version.clone_from(&theirs.engine_version);
        }
        for (mine, theirs) in [
            (&mut mine.kms_key, &theirs.kms_key),
            (&mut mine.master_secret_kms_key, &theirs.master_secret_kms_key),
            (&mut mine.backup_window, &theirs.backup_window),
            (&mut mine.maintenance_window, &theirs.maintenance_window),
        ] {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
        if let (Some(mine), Some(theirs)) = (&mut mine.performance_insights, &theirs.performance_insights)
            && mine.kms_key.is_none()
        {
            mine.kms_key.clone_from(&theirs.kms_key);
        }
        // Without any, AWS takes the network's own.
        if mine.security_groups.is_empty() {
            mine.security_groups.clone_from(&theirs.security_groups);
        }
        // Once it is there it cannot be taken away; unused it costs nothing.
        if mine.capacity.is_none() {
            mine.capacity = theirs.capacity;
        }
        if let Some(content) = theirs.tags.get(tag::CONTENT) {
            mine.tags.insert(tag::CONTENT.into(), content.clone());
        } else {
            mine.tags.remove(tag::CONTENT);
        }
    }

    fn bind(&mut self, known: &Known) {
        let told = |address: Address, output| known.get(&address).and_then(|told| told.get(&output)).cloned();
        let spec = &mut self.spec;
        if let Some(version) = told(Self::version_of(&spec.engine_version), Output::Version) {
            spec.engine_version = version;
        }
        let insights = spec.performance_insights.as_mut().map(|insights| &mut insights.kms_key);
        let keys = [Some(&mut spec.kms_key), Some(&mut spec.master_secret_kms_key), insights];
        for key in keys.into_iter().flatten().flatten() {
            if let Some(arn) = told(Self::key_of(key), Output::Arn) {
                *key = arn;
            }
        }
    }

    fn costs(&self, before: &Self) -> Vec<String> {
        let mut costs = Vec::new();
        let fields = differences(&before.spec, &self.spec);
        let immediately = self.wishes.apply == ApplyWhen::Immediately;
        let window = before.spec.maintenance_window.as_deref().unwrap_or("its maintenance window");
        for field in &fields {
            match cost(*field) {
                Cost::Outage if immediately || *field == ClusterField::Port => {
                    let members = before.facts.members.join(", ");
                    costs.push(format!(
                        "OUTAGE: {} restarts all instances at once ({members}); {}",
                        name(*field),
                        before.outage()
                    ));
                }
                Cost::Outage => costs.push(format!(
                    "{} waits for the maintenance window {window}, and is an outage then",
                    name(*field)
                )),
                Cost::Restart => {
                    costs.push(format!("{} takes effect when the instances restart", name(*field)));
                }
                Cost::Deferrable | Cost::InPlace => {}
            }
        }
        if self.upgrades_major(before) && fields.contains(&ClusterField::EngineVersion) {
            costs.push(format!(
                "MAJOR UPGRADE from {} to {}: it cannot be undone other than by restoring a backup",
                before.spec.engine_version, self.spec.engine_version
            ));
        }
        if before.spec.master_auth == MasterAuth::Iam && self.spec.master_auth == MasterAuth::Secret {
            costs.push("the master gets another password, which AWS makes and keeps".into());
        }
        let flushes = immediately && fields.iter().any(|field| cost(*field) != Cost::InPlace);
        if flushes && !before.facts.pending.is_empty() {
            let pending: Vec<String> =
                before.facts.pending.iter().map(|(name, value)| format!("{name} {value}")).collect();
            costs.push(format!("at once with it comes what waits for the window: {}", pending.join(", ")));
        }
        costs
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let window = self.spec.maintenance_window.as_deref().unwrap_or("maintenance");
        for (name, value) in &self.facts.pending {
            notes.push(format!("{name} {value} is scheduled for the window {window}"));
        }
        if !self.facts.waiting_for_restart.is_empty() {
            notes.push(format!(
                "parameters of {} wait for a restart of {}",
                self.spec.parameter_group,
                self.facts.waiting_for_restart.join(", ")
            ));
        }
        if self.facts.status != "available" && !self.facts.status.is_empty() {
            notes.push(format!("it is {}", self.facts.status));
        }
        notes
    }

    fn verdict(&self, before: &Self) -> Verdict {
        let (new, old) = (&self.spec, &before.spec);
        let fixed = [
            ("the identifier", &new.identifier, &old.identifier),
            ("the master's name", &new.master_username, &old.master_username),
            ("the subnet group", &new.subnet_group, &old.subnet_group),
        ];
        for (what, wanted, found) in fixed {
            if wanted != found {
                return Verdict::Refuse(format!(
                    "{what} of a cluster cannot be changed: it is {found}, declared is {wanted}"
                ));
            }
        }
        if new.storage_encrypted != old.storage_encrypted || new.kms_key != old.kms_key {
            let key = |key: &Option<String>| key.clone().unwrap_or_else(|| "none".into());
            return Verdict::Refuse(format!(
                "the encryption of a cluster cannot be changed (its key is {}, declared is {}); restore a snapshot under the new key and adopt that",
                key(&old.kms_key),
                key(&new.kms_key)
            ));
        }
        let versions = (numbers(&new.engine_version), numbers(&old.engine_version));
        if versions.0 < versions.1 {
            return Verdict::Refuse(format!(
                "it runs {}, and AWS does not downgrade to {}; declare the version it has",
                old.engine_version, new.engine_version
            ));
        }
        if new.engine_version != old.engine_version {
            if self.upgrades_major(before) && !self.wishes.allow_major_upgrade {
                return Verdict::Refuse(format!(
                    "from {} to {} is an upgrade to another major version; say `allow_major_upgrade: true` if that is meant",
                    old.engine_version, new.engine_version
                ));
            }
            // In the window its groups would change too, which nothing shows until then.
            if self.upgrades_major(before) && self.wishes.apply != ApplyWhen::Immediately {
                return Verdict::Refuse(format!(
                    "from {} to {} is an upgrade to another major version, which is made at once or not at all; say `apply: immediately` when it is to happen",
                    old.engine_version, new.engine_version
                ));
            }
            let upgrades = &before.facts.upgrades;
            if !upgrades.is_empty() && !upgrades.contains(&new.engine_version) {
                return Verdict::Refuse(format!(
                    "AWS cannot upgrade {} to {}; it can to {}",
                    old.engine_version,
                    new.engine_version,
                    upgrades.join(", ")
                ));
            }
        }
        if new.port != old.port && self.wishes.apply != ApplyWhen::Immediately {
            return Verdict::Refuse(format!(
                "another port ({} instead of {}) restarts all instances at once, whatever the window; say `apply: immediately` if that is meant",
                new.port, old.port
            ));
        }
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        Removal::Declared(format!(
            "cluster {} is no longer declared, but its data is there; `infra destroy --target aurora_cluster.{}` removes it",
            self.name, self.name
        ))
    }

    fn environment(&self) -> Option<&str> {
        self.facts.environment.as_deref()
    }
}

impl Recognise for AuroraCluster {
    fn recognise(estate: &Estate, interest: &Interest) -> Vec<(Address, Found<Self>)> {
        let found = estate.clusters.iter().filter_map(|cluster| {
            let identifier = &cluster.spec.identifier;
            let declared = interest.clusters.get(identifier);
            let owner = Owner::of(Some(&cluster.spec.tags), interest);
            if !owner.concerns_us(declared.is_some()) {
                return None;
            }
            let name = cluster_name(cluster, interest);
            let outputs = outputs(cluster);
            let members: Vec<String> = cluster.members.iter().map(|member| member.instance.clone()).collect();
            let restarts = estate.restarts.iter().filter(|restart| members.contains(&restart.instance));
            let waiting =
                cluster.members.iter().filter(|member| member.parameter_group_status == "pending-reboot");
            let version = estate.versions.iter().find(|one| one.version == cluster.spec.engine_version);
            let mut spec = cluster.spec.clone();
            let live = overlay(&mut spec, &cluster.pending);
            let groups = group_suffix(&spec.parameter_group, estate, interest).into_iter().collect();
            let resource = Self {
                name: name.clone(),
                spec,
                wishes: Facts(Wishes { groups, ..Wishes::default() }),
                facts: Facts(ClusterFacts {
                    arn: cluster.arn.clone(),
                    resource_id: cluster.resource_id.clone(),
                    status: cluster.status.clone(),
                    environment: owner.environment.clone(),
                    pending: cluster.pending.clone(),
                    live,
                    restart: restarts.map(|restart| restart.seconds).max(),
                    waiting_for_restart: waiting.map(|member| member.instance.clone()).collect(),
                    upgrades: version.map(|version| version.upgrades.clone()).unwrap_or_default(),
                    members,
                    final_snapshot: declared.is_none_or(|declared| declared.final_snapshot),
                    keep_backups: declared.is_none_or(|declared| declared.keep_backups),
                }),
            };
            let Owner { owned, protected, .. } = owner;
            Some((Self::address(&name), Found { resource, outputs, owned, protected }))
        });
        found.collect()
    }
}

/// A change that waits for the window is as good as made. Answers with what is there until then.
fn overlay(spec: &mut ClusterSpec, pending: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut live = BTreeMap::new();
    for (name, value) in pending {
        let before = match name.as_str() {
            "engine_version" => std::mem::replace(&mut spec.engine_version, value.clone()),
            "storage_type" => std::mem::replace(&mut spec.storage_type, value.clone()),
            "iam_authentication" => {
                std::mem::replace(&mut spec.iam_authentication, value == "true").to_string()
            }
            "backup_retention_days" => {
                let days = value.parse().unwrap_or(spec.backup_retention_days);
                std::mem::replace(&mut spec.backup_retention_days, days).to_string()
            }
            "log_exports" => {
                let logs = value.split(',').filter(|log| !log.is_empty()).map(Into::into).collect();
                let before = std::mem::replace(&mut spec.log_exports, logs);
                before.into_iter().collect::<Vec<_>>().join(",")
            }
            _ => continue,
        };
        live.insert(name.clone(), before);
    }
    live
}

pub(super) fn outputs(cluster: &Cluster) -> Outputs {
    let mut outputs = Outputs::from([
        (Output::ResourceId, cluster.resource_id.clone()),
        (Output::Arn, cluster.arn.clone()),
        (Output::Port, cluster.spec.port.to_string()),
    ]);
    outputs.retain(|_, value| !value.is_empty());
    outputs
}

#[cfg(test)]
mod tests;
