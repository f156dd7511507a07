//! What AWS demands of the attributes of an Aurora cluster.

use std::{collections::HashMap, sync::LazyLock};

use regex_lite::Regex;

use super::{Facts, limits::AURORA_IDENTIFIER, people::is_role};
use crate::{
    config::{problem::Problems, source::quoted},
    model::environment::{Cluster, DatabaseInsights},
};

/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBCluster.html>
const ADVANCED_INSIGHTS_DAYS: u16 = 465;
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html>
const MONITORING_SECONDS: [u16; 6] = [1, 5, 10, 15, 30, 60];
/// Names that RDS does not take for a master.
const RESERVED: [&str; 5] = ["admin", "postgres", "public", "rdsadmin", "root"];

static ZONE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[a-z]{2}(-[a-z]+)+-[0-9]+[a-z]$").ok());

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    identifiers(facts, problems);
    for (name, cluster) in &facts.environment.clusters {
        version(facts, problems, name, cluster);
        instances(facts, problems, name, cluster);
        autoscaling(facts, problems, name, cluster);
        insights(facts, problems, name, cluster);
        master(facts, problems, name, cluster);
        pause(facts, problems, name, cluster);
    }
}

/// Two clusters of one account cannot have one identifier.
fn identifiers(facts: &Facts<'_>, problems: &mut Problems) {
    let mut known: HashMap<String, &str> = HashMap::new();
    for (name, cluster) in &facts.environment.clusters {
        let identifier = cluster.identifier.clone().unwrap_or_else(|| format!("{}-{name}", facts.name));
        let spot = || match cluster.identifier {
            Some(_) => facts.at(&["clusters", name, "identifier"]),
            None => facts.key(&["clusters", name]),
        };
        let longest = AURORA_IDENTIFIER - "-16".len();
        if identifier.len() > longest {
            problems
                .add(
                    spot(),
                    format!(
                        "the identifier `{identifier}` has {} bytes; it may have {longest}",
                        identifier.len()
                    ),
                )
                .because("with the number of an instance it must fit the 63 bytes of an Aurora identifier");
        }
        if let Some(other) = known.insert(identifier.clone(), name) {
            problems
                .add(
                    spot(),
                    format!("the clusters `{other}` and `{name}` have the same identifier `{identifier}`"),
                )
                .mend("give one of them another `identifier`");
        }
    }
}

fn version(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    if cluster.engine_version.is_none() && facts.unfit.spares(&["clusters", name]) {
        problems
            .add(facts.key(&["clusters", name]), format!("the cluster `{name}` has no `engine_version`"))
            .because("on AWS it says which major version it is, and stays")
            .mend("add `engine_version: \"17\"`; any 17.x satisfies it");
    }
}

fn instances(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    for (index, zone) in cluster.zones.iter().enumerate() {
        if !ZONE.as_ref().is_none_or(|regex| regex.is_match(zone)) {
            problems
                .add(
                    facts.item(&["clusters", name, "zones"], index),
                    format!("{} is not an availability zone", quoted(zone)),
                )
                .mend("such as eu-central-1a");
        }
    }
    let Some(monitoring) = &cluster.monitoring else { return };
    if !MONITORING_SECONDS.contains(&monitoring.interval) {
        problems
            .add(
                facts.at(&["clusters", name, "monitoring", "interval"]),
                format!("`interval` is {}; AWS takes 1, 5, 10, 15, 30 or 60 seconds", monitoring.interval),
            )
            .mend("such as 60; delete `monitoring` to switch it off");
    }
    if !is_role(&monitoring.role_arn) {
        problems
            .add(
                facts.at(&["clusters", name, "monitoring", "role_arn"]),
                format!("{} is not the ARN of an IAM role", quoted(&monitoring.role_arn)),
            )
            .mend("such as \"arn:aws:iam::111122223333:role/rds-monitoring\"");
    }
}

fn autoscaling(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    let Some(scaling) = cluster.autoscaling else { return };
    let path = ["clusters", name, "autoscaling"];
    if scaling.cpu.is_some() == scaling.connections.is_some() {
        problems
            .add(facts.key(&path), "`autoscaling` has to have exactly one of `cpu` and `connections`")
            .mend("such as `autoscaling: {min: 1, max: 4, cpu: 60}`");
    }
    if scaling.min > scaling.max {
        problems.add(
            facts.at(&["clusters", name, "autoscaling", "min"]),
            format!("`min` is {}, more than `max`, which is {}", scaling.min, scaling.max),
        );
    }
    if cluster.readers > scaling.min {
        problems
            .add(
                facts.at(&["clusters", name, "autoscaling", "min"]),
                format!(
                    "`min` is {}, fewer than the {} `readers` that are always there",
                    scaling.min, cluster.readers
                ),
            )
            .mend(format!("write `min: {}` or more", cluster.readers));
    }
}

fn insights(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    let days = cluster.performance_insights.as_ref().map(|insights| insights.retention_days);
    if let Some(days) = days.filter(|days| *days != 7 && *days != 731 && (days % 31 != 0 || *days > 23 * 31))
    {
        problems
            .add(
                facts.at(&["clusters", name, "performance_insights", "retention_days"]),
                format!("`retention_days` is {days}; AWS takes 7, a multiple of 31 up to 713, or 731"),
            )
            .mend(format!("such as {}", (days / 31 * 31).clamp(31, 713)));
    }
    if cluster.database_insights == DatabaseInsights::Advanced
        && days.is_none_or(|days| days < ADVANCED_INSIGHTS_DAYS)
    {
        problems
            .add(
                facts.at(&["clusters", name, "database_insights"]),
                "`database_insights: advanced` needs Performance Insights of 465 days or more",
            )
            .mend("add `performance_insights: {retention_days: 465}`");
    }
}

fn master(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    let Some(master) = &cluster.master_username else { return };
    let own = master.starts_with("infra_admin") || master.starts_with("infra_planner");
    if RESERVED.contains(&master.as_str()) || master.starts_with("rds") || master.starts_with("pg_") || own {
        problems
            .add(
                facts.at(&["clusters", name, "master_username"]),
                format!("the master cannot be called `{master}`"),
            )
            .because("the name is taken by Postgres, by AWS or by `infra` itself")
            .mend("delete the line; it is infra_master then");
    }
}

fn pause(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    let Some((serverless, pause)) = cluster.serverless.and_then(|of| Some((of, of.pause_after?))) else {
        return;
    };
    let spot = facts.at(&["clusters", name, "serverless", "pause_after"]);
    if serverless.min > 0.0 {
        problems
            .add(spot, "`pause_after` has a meaning only with `min: 0`")
            .mend("write `min: 0`, or delete the line");
    } else if !(300..=86_400).contains(&pause.as_secs()) {
        problems.add(spot, format!("`pause_after` is {pause}; AWS takes 5m to 1d"));
    }
}
