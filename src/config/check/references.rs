//! Names that must be declared elsewhere, and names given twice in a list.

use super::Facts;
use crate::{
    config::{
        problem::{Problems, listed},
        source::{Spot, quoted},
    },
    model::environment::{BackupPolicy, ServiceSelection},
};

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    let environment = facts.environment;
    for (name, service) in &environment.services {
        let path = ["services", name, "cluster"];
        match &service.cluster {
            Some(cluster) => {
                facts.refer(problems, "clusters", "cluster", cluster, facts.at(&path));
            }
            None => cluster_is_plain(facts, problems, &path),
        }
        if let Some(mongo) = &service.mongo {
            facts.refer(
                problems,
                "mongo_clusters",
                "MongoDB cluster",
                mongo,
                facts.at(&["services", name, "mongo"]),
            );
        }
        facts.no_twins(problems, &["services", name, "extensions"], &service.extensions);
    }
    for (name, removed) in &environment.removed.services {
        let path = ["removed", "services", name, "cluster"];
        match &removed.cluster {
            Some(cluster) => {
                facts.refer(problems, "clusters", "cluster", cluster, facts.at(&path));
            }
            None => cluster_is_plain(facts, problems, &path),
        }
    }
    no_cluster_at_all(facts, problems);
    groups(facts, problems);
    for (name, cluster) in &environment.clusters {
        let path = ["clusters", name, "backup_policy"];
        policy(facts, problems, cluster.backup_policy.as_deref(), "aurora", "mongo", &path);
    }
    for (name, cluster) in &environment.mongo_clusters {
        let path = ["mongo_clusters", name, "backup_policy"];
        policy(facts, problems, cluster.backup_policy.as_deref(), "mongo", "aurora", &path);
    }
}

/// The cluster may be left out only where there is no choice.
fn cluster_is_plain(facts: &Facts<'_>, problems: &mut Problems, path: &[&str]) {
    let Some((_, owner)) = path.split_last() else { return };
    let mut clusters = facts.names.of_section("clusters");
    let several = clusters.next().is_some() && clusters.next().is_some();
    if several && facts.unfit.spares(path) && facts.unfit.spares(owner) {
        let clusters: Vec<&str> = facts.names.of_section("clusters").map(String::as_str).collect();
        let name = owner.last().copied().unwrap_or_default();
        problems
            .add(facts.key(owner), format!("{} does not say on which cluster it is", quoted(name)))
            .mend(format!("add `cluster:` with one of {}", listed(&clusters, "and")));
    }
}

fn no_cluster_at_all(facts: &Facts<'_>, problems: &mut Problems) {
    let services = facts.names.of_section("services").next().is_some();
    // Services that name clusters which do not exist say so themselves.
    let named = facts.environment.services.values().any(|service| service.cluster.is_some());
    if services && !named && facts.knows("clusters") && facts.names.of_section("clusters").next().is_none() {
        problems
            .add(facts.key(&["services"]), "there are services, but no cluster for them to be on")
            .mend("declare one: `clusters: {main: {}}` is enough on the local platform");
    }
}

fn groups(facts: &Facts<'_>, problems: &mut Problems) {
    for (name, group) in &facts.environment.developer_groups {
        let path = ["developer_groups", name, "members"];
        for (index, member) in group.members.iter().enumerate() {
            if facts.names.has("people", member) {
                continue;
            }
            let spot = facts.item(&path, index);
            if facts.names.has("developer_groups", member) {
                problems
                    .add(spot, format!("`{member}` is a group; members of a group are people"))
                    .mend("list its members here instead");
            } else {
                facts.refer(problems, "people", "person", member, spot);
            }
        }
        facts.no_twins(problems, &path, &group.members);
        if let ServiceSelection::Named(services) = &group.services {
            let path = ["developer_groups", name, "services"];
            for (index, service) in services.iter().enumerate() {
                if facts.names.has("services", service) {
                    continue;
                }
                let spot = facts.item(&path, index);
                if service == "all" {
                    problems
                        .add(spot, "there is no service `all`")
                        .mend("for every service write `services: all`, without brackets");
                } else {
                    facts.refer(problems, "services", "service", service, spot);
                }
            }
            facts.no_twins(problems, &path, services);
        }
    }
}

fn policy(
    facts: &Facts<'_>,
    problems: &mut Problems,
    name: Option<&str>,
    wanted: &str,
    other: &str,
    path: &[&str],
) {
    let Some(name) = name else { return };
    let spot: Spot = facts.at(path);
    facts.refer(problems, "backup_policies", "backup policy", name, spot);
    let kind = match facts.environment.backup_policies.get(name) {
        Some(BackupPolicy::Aurora(_)) => "aurora",
        Some(BackupPolicy::Mongo(_)) => "mongo",
        None => return,
    };
    if kind != wanted {
        let of_kind = facts.environment.backup_policies.iter().filter(|(_, policy)| match policy {
            BackupPolicy::Aurora(_) => wanted == "aurora",
            BackupPolicy::Mongo(_) => wanted == "mongo",
        });
        let names: Vec<&str> = of_kind.map(|(name, _)| name.as_str()).take(10).collect();
        let mend = if names.is_empty() {
            format!("declare a policy with `{wanted}:` under `backup_policies:`")
        } else {
            format!("policies for it: {}", listed(&names, "and"))
        };
        problems
            .add(
                spot,
                format!("the backup policy `{name}` is for {}, and this is {}", word(other), word(wanted)),
            )
            .also("the policy", facts.key(&["backup_policies", name]))
            .mend(mend);
    }
}

fn word(kind: &str) -> &'static str {
    if kind == "mongo" { "MongoDB" } else { "Aurora" }
}
