//! Parameters of a cluster, or of its instances, for one major version. Its name holds the version, so that the group of
//! the next one can be made before the cluster moves to it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Owner, Tags, belongs_to, exists_already, foreign, is_busy, is_missing, subnet_group::GroupFacts,
};
use crate::{
    engine::{Action, Error, Found, Outputs, Removal, Resource, Verdict},
    model::Address,
    providers::{
        ReadWrite,
        aws::{
            Aws, AwsError, Estate, Interest,
            estate::{Level, ParameterGroup},
        },
    },
    resources::{Effects, Facts, Handle, Recognise},
};

/// Parameters that Postgres reads once, when it starts (context `postmaster` of `pg_settings`), as far as people set them.
const AT_START: [&str; 22] = [
    "autovacuum_freeze_max_age",
    "autovacuum_max_workers",
    "autovacuum_multixact_freeze_max_age",
    "cron.database_name",
    "huge_pages",
    "logging_collector",
    "max_connections",
    "max_files_per_process",
    "max_locks_per_transaction",
    "max_logical_replication_workers",
    "max_pred_locks_per_transaction",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_wal_senders",
    "max_worker_processes",
    "pg_stat_statements.max",
    "rds.logical_replication",
    "shared_buffers",
    "shared_preload_libraries",
    "superuser_reserved_connections",
    "track_activity_query_size",
    "track_commit_timestamp",
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuroraParameterGroup {
    /// The cluster's name.
    pub cluster: String,
    pub name: String,
    pub level: Level,
    pub family: String,
    /// What differs from the engine's own values; when a value takes effect is the engine's choice, not a part of it.
    pub parameters: BTreeMap<String, String>,
    pub tags: Tags,
    #[serde(skip)]
    pub facts: Facts<GroupFacts>,
}

impl AuroraParameterGroup {
    /// `suffix` is what follows on the cluster's identifier: `pg16`, `pg16-instances`.
    pub fn address(cluster: &str, suffix: &str) -> Address {
        Address::new("aurora_parameter_group", &format!("{cluster}/{suffix}"))
    }

    /// The identifier of the cluster it is for, to which its name adds the rest.
    fn identifier(&self) -> &str {
        let major = self.family.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let identifier = self.name.strip_suffix(&Self::suffix(self.level, major));
        identifier.and_then(|identifier| identifier.strip_suffix('-')).unwrap_or(&self.name)
    }

    /// The end of the name of the group for a major version.
    pub fn suffix(level: Level, major: &str) -> String {
        match level {
            Level::Cluster => format!("pg{major}"),
            Level::Instance => format!("pg{major}-instances"),
        }
    }

    fn changed(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> BTreeSet<String> {
        let names = old.keys().chain(new.keys()).filter(|name| old.get(*name) != new.get(*name));
        names.cloned().collect()
    }
}

impl Resource for AuroraParameterGroup {
    fn depends_on(&self) -> Vec<Address> {
        Vec::new()
    }

    /// Booleans and numbers can be written in several ways; if what is there means the same, it is what was declared.
    fn adopt(&mut self, found: &Self) {
        for (name, value) in &mut self.parameters {
            if let Some(found) = found.parameters.get(name).filter(|found| alike(found, value)) {
                value.clone_from(found);
            }
        }
    }

    fn costs(&self, before: &Self) -> Vec<String> {
        let changed = Self::changed(&before.parameters, &self.parameters);
        let at_start: Vec<&str> =
            changed.iter().map(String::as_str).filter(|name| AT_START.contains(name)).collect();
        if at_start.is_empty() {
            return Vec::new();
        }
        let verb = if at_start.len() == 1 { "takes" } else { "take" };
        vec![format!(
            "{} {verb} effect when an instance restarts, which this change does not do",
            at_start.join(", ")
        )]
    }

    fn verdict(&self, before: &Self) -> Verdict {
        if self.family == before.family {
            Verdict::InPlace
        } else {
            Verdict::Refuse(format!("{} is a group of {}, and stays one", self.name, before.family))
        }
    }

    fn removal(&self) -> Removal {
        Removal::Delete
    }

    fn environment(&self) -> Option<&str> {
        self.facts.environment.as_deref()
    }
}

fn alike(one: &str, other: &str) -> bool {
    let word = |text: &str| match text.trim().to_lowercase().as_str() {
        "1" | "on" | "true" | "yes" => "1".to_owned(),
        "0" | "off" | "false" | "no" => "0".to_owned(),
        other => other.to_owned(),
    };
    word(one) == word(other)
}

impl Effects for AuroraParameterGroup {
    fn effects(action: &Action<Self>) -> Vec<String> {
        let kind = |group: &Self| match group.level {
            Level::Cluster => "DBClusterParameterGroup",
            Level::Instance => "DBParameterGroup",
        };
        let set = |new: &Self, names: &BTreeSet<String>| {
            let pairs = names.iter().filter_map(|name| Some((name, new.parameters.get(name)?)));
            let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
            let call = || format!("rds:Modify{} {} {}", kind(new), new.name, pairs.join(" "));
            (!pairs.is_empty()).then(call)
        };
        match action {
            Action::Create { new } => {
                let names = new.parameters.keys().cloned().collect();
                let create = format!("rds:Create{} {} (family {})", kind(new), new.name, new.family);
                std::iter::once(create).chain(set(new, &names)).collect()
            }
            Action::Update { old, new } => {
                let changed = Self::changed(&old.parameters, &new.parameters);
                let gone: Vec<&str> = (changed.iter().map(String::as_str))
                    .filter(|name| !new.parameters.contains_key(*name))
                    .collect();
                let reset = || format!("rds:Reset{} {} {}", kind(new), new.name, gone.join(" "));
                let tags = || format!("rds:AddTagsToResource, rds:RemoveTagsFromResource {}", new.name);
                let mut calls: Vec<String> = set(new, &changed).into_iter().collect();
                calls.extend((!gone.is_empty()).then(reset));
                calls.extend((old.tags != new.tags).then(tags));
                calls
            }
            Action::Delete { old } => vec![format!("rds:Delete{} {}", kind(old), old.name)],
            Action::Replace { .. } | Action::Keep | Action::Hold { .. } => Vec::new(),
        }
    }
}

impl Recognise for AuroraParameterGroup {
    fn recognise(estate: &Estate, interest: &Interest) -> Vec<(Address, Found<Self>)> {
        let ours = |group: &ParameterGroup| {
            let (cluster, rest) =
                belongs_to(&group.name, estate, interest).filter(|(_, rest)| rest.starts_with("pg"))?;
            let owner = Owner::of(group.tags.as_ref(), interest);
            let resource = Self {
                cluster: cluster.clone(),
                name: group.name.clone(),
                level: group.level,
                family: group.family.clone(),
                parameters: group.parameters.clone().unwrap_or_default(),
                tags: group.tags.clone().unwrap_or_default(),
                facts: Facts(GroupFacts { arn: group.arn.clone(), environment: owner.environment.clone() }),
            };
            let Owner { owned, protected, .. } = owner;
            Some((
                Self::address(&cluster, &rest),
                Found { resource, outputs: Outputs::new(), owned, protected },
            ))
        };
        estate.parameter_groups.iter().filter_map(ours).collect()
    }
}

impl Handle<AuroraParameterGroup> for Aws<ReadWrite> {
    async fn create(&self, new: &AuroraParameterGroup, progress: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let description = format!("Parameters of cluster {}", new.cluster);
        let made =
            self.create_parameter_group(new.level, &new.name, &new.family, &description, &new.tags).await;
        let old = match made {
            Ok(()) => AuroraParameterGroup { parameters: BTreeMap::new(), ..new.clone() },
            Err(error) if exists_already(&error) => {
                let interest = Interest::of_one(&new.tags, new.identifier(), &new.cluster);
                let estate = self.groups(&interest).await?;
                let mut found = AuroraParameterGroup::recognise(&estate, &interest).into_iter();
                let ours = found.find(|(_, found)| found.owned && found.resource.level == new.level);
                ours.ok_or_else(|| foreign(format!("parameter group {}", new.name)))?.1.resource
            }
            Err(error) => return Err(error.into()),
        };
        Handle::update(self, &old, new, progress).await
    }

    async fn update(
        &self,
        old: &AuroraParameterGroup,
        new: &AuroraParameterGroup,
        progress: &dyn Fn(&str),
    ) -> Result<Outputs, Error> {
        let changed = AuroraParameterGroup::changed(&old.parameters, &new.parameters);
        if !changed.is_empty() {
            let names: Vec<&str> = changed.iter().map(String::as_str).collect();
            let methods = self.methods(new.level, &new.name, &names).await?;
            let unknown: Vec<&str> =
                names.iter().copied().filter(|name| !methods.contains_key(*name)).collect();
            if !unknown.is_empty() {
                return Err(Box::new(AwsError::Unfit {
                    what: format!("parameter group {}", new.name),
                    why: format!("{} has no parameter {}", new.family, unknown.join(", ")),
                }));
            }
            let (mut set, mut reset) = (Vec::new(), Vec::new());
            for (name, method) in methods {
                match new.parameters.get(&name) {
                    Some(value) => set.push((name, value.clone(), method)),
                    None => reset.push((name, method)),
                }
            }
            self.set_parameters(new.level, &new.name, &set).await?;
            let again = async || self.reset_parameters(new.level, &new.name, &reset).await;
            self.patiently(progress, again, is_busy, |_| false).await?;
        }
        if old.tags != new.tags {
            self.retag(&old.facts.arn, &old.tags, &new.tags).await?;
        }
        Ok(Outputs::new())
    }

    async fn delete(&self, old: &AuroraParameterGroup, progress: &dyn Fn(&str)) -> Result<(), Error> {
        let call = async || self.delete_parameter_group(old.level, &old.name).await;
        self.patiently(progress, call, is_busy, is_missing).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_of_writing_the_same() {
        for (one, other, same) in [
            ("1", "on", true),
            ("OFF", "0", true),
            ("500", "500", true),
            ("a,b", "b,a", false),
            ("1", "10", false),
        ] {
            assert_eq!(alike(one, other), same, "{one} {other}");
        }
    }
}
