//! The safe defaults, which `protect: true` turns into rules.

use super::{Facts, demanded};
use crate::{
    config::problem::Problems,
    model::environment::{Access, BackupPolicy, Cluster, Isolation, Tls},
};

/// Fewest days a protected cluster can be restored to.
const RETENTION_DAYS: u8 = 7;

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    let environment = facts.environment;
    if environment.isolation == Isolation::Schema {
        let spot = facts.at(&["isolation"]);
        demanded(facts, problems, spot, "a protected environment needs `isolation: database`".into())
            .mend("write `isolation: database`, or delete the line: it is the default");
    }
    if environment.developers == Access::ReadWrite {
        let spot = facts.at(&["developers"]);
        demanded(facts, problems, spot, "developers may not write in a protected environment".into())
            .mend("write `developers: read-only` or `developers: none`");
    }
    for (name, group) in &environment.developer_groups {
        if group.access == Some(Access::ReadWrite) {
            let spot = facts.at(&["developer_groups", name, "access"]);
            demanded(
                facts,
                problems,
                spot,
                format!("the group `{name}` may not write in a protected environment"),
            )
            .mend("write `access: read-only` or `access: none`, or delete the line");
        }
    }
    if facts.aws() {
        for (name, cluster) in &environment.clusters {
            self::cluster(facts, problems, name, cluster);
        }
    }
}

/// What only Aurora has, and so only counts there.
fn cluster(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    let path = ["clusters", name];
    let at = |key| facts.at(&["clusters", name, key]);
    if cluster.deletion_protection == Some(false) {
        demanded(
            facts,
            problems,
            at("deletion_protection"),
            format!("the cluster `{name}` needs its deletion protection"),
        )
        .mend("write `deletion_protection: true`, or delete the line");
    }
    if !cluster.final_snapshot {
        demanded(
            facts,
            problems,
            at("final_snapshot"),
            format!("the cluster `{name}` needs a final snapshot"),
        )
        .mend("write `final_snapshot: true`, or delete the line");
    }
    if cluster.connection.tls != Tls::VerifyFull {
        let spot = facts.at(&["clusters", name, "connection", "tls"]);
        demanded(facts, problems, spot, format!("the cluster `{name}` needs `tls: verify-full`"))
            .mend("write `tls: verify-full`, or delete the line: it is the default");
    }
    let readers_fit = facts.unfit.spares(&path);
    if cluster.readers == 0 && readers_fit {
        let spot = facts
            .root
            .entry(&["clusters", name, "readers"])
            .map_or_else(|| facts.key(&path), |entry| entry.node.spot);
        demanded(
            facts,
            problems,
            spot,
            format!("the cluster `{name}` needs a reader in another availability zone"),
        )
        .mend("write `readers: 1` or more");
    }
    match &cluster.backup_policy {
        None if facts.unfit.spares(&path) => {
            demanded(
                facts,
                problems,
                facts.key(&path),
                format!("the cluster `{name}` needs a backup policy"),
            )
            .mend(format!("add `backup_policy:` with one that keeps {RETENTION_DAYS} days or more"));
        }
        Some(policy) => {
            if let Some(BackupPolicy::Aurora(aurora)) = facts.environment.backup_policies.get(policy)
                && aurora.retention_days < RETENTION_DAYS
            {
                let spot = facts.at(&["backup_policies", policy, "aurora", "retention_days"]);
                demanded(
                    facts,
                    problems,
                    spot,
                    format!("the cluster `{name}` needs backups of {RETENTION_DAYS} days or more, and `{policy}` keeps {}", aurora.retention_days),
                )
                .mend(format!("write `retention_days: {RETENTION_DAYS}` or more"));
            }
        }
        None => {}
    }
}
