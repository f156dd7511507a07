//! What Aurora and a connection demand of a Postgres cluster.

use std::{collections::HashMap, net::IpAddr};

use super::Facts;
use crate::{
    config::{problem::Problems, source::quoted},
    model::environment::{Cluster, MachineValue, Tls},
};

const MINUTES_PER_DAY: u32 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Shortest window AWS takes, for backups and for maintenance.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBCluster.html>
pub(super) const WINDOW_MINUTES: u32 = 30;

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    for (name, cluster) in &facts.environment.clusters {
        facts.no_twins(problems, &["clusters", name, "subnets"], &cluster.subnets);
        facts.no_twins(problems, &["clusters", name, "security_groups"], &cluster.security_groups);
        capacity(facts, problems, name, cluster);
        maintenance_window(facts, problems, name, cluster);
        connection(facts, problems, name, cluster);
        if facts.aws() {
            on_aws(facts, problems, name, cluster);
        }
    }
    if facts.local() {
        ports(facts, problems);
    }
}

fn on_aws(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    let path = ["clusters", name];
    if name.contains('_') || name.contains("--") || name.ends_with('-') {
        problems
            .add(facts.key(&path), format!("the cluster name `{name}` cannot be used on AWS"))
            .because("an Aurora identifier has no `_`, no two hyphens in a row, and none at its end")
            .mend(format!("such as `{}`", name.replace('_', "-").replace("--", "-").trim_end_matches('-')));
    }
    if !facts.unfit.spares(&path) {
        return;
    }
    match (&cluster.instance_class, &cluster.serverless) {
        (None, None) => {
            problems
                .add(
                    facts.key(&path),
                    format!("the cluster `{name}` has neither `instance_class` nor `serverless`"),
                )
                .mend("add `instance_class: db.r6g.large`, or `serverless: {min: 0.5, max: 8}`");
        }
        (Some(_), Some(_)) => {
            problems
                .add(
                    facts.key(&["clusters", name, "serverless"]),
                    format!("the cluster `{name}` has both `instance_class` and `serverless`"),
                )
                .also("the other one", facts.key(&["clusters", name, "instance_class"]))
                .mend("keep one of them; `instance_class: null` removes one that is inherited");
        }
        (Some(class), None) if !class.starts_with("db.") => {
            problems
                .add(
                    facts.at(&["clusters", name, "instance_class"]),
                    format!("{} is not an instance class", quoted(class)),
                )
                .mend("such as db.r6g.large");
        }
        _ => {}
    }
    if cluster.subnets.len() < 2 {
        problems
            .add(facts.key(&path), format!("the cluster `{name}` has {} subnets", cluster.subnets.len()))
            .because("Aurora wants two or more, in different availability zones")
            .mend("add `subnets: [subnet-..., subnet-...]`");
    }
}

fn capacity(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    let Some(serverless) = cluster.serverless else { return };
    for (key, units) in [("min", serverless.min), ("max", serverless.max)] {
        if (units * 2.0).fract() != 0.0 {
            problems.add(
                facts.at(&["clusters", name, "serverless", key]),
                format!("`{key}` is {units}; capacity goes in steps of 0.5"),
            );
        }
    }
    if serverless.min > serverless.max {
        problems
            .add(
                facts.at(&["clusters", name, "serverless", "min"]),
                format!("`min` is {}, more than `max`, which is {}", serverless.min, serverless.max),
            )
            .also("the other one", facts.at(&["clusters", name, "serverless", "max"]));
    }
}

fn maintenance_window(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    let Some(window) = &cluster.maintenance_window else { return };
    let spot = facts.at(&["clusters", name, "maintenance_window"]);
    let ends = window.split_once('-').and_then(|(start, end)| Some((weekly(start)?, weekly(end)?)));
    let Some((start, end)) = ends else {
        problems
            .add(spot, format!("{} is not a maintenance window", quoted(window)))
            .mend("write days and times in UTC, such as \"sun:03:00-sun:03:30\"");
        return;
    };
    let week = 7 * MINUTES_PER_DAY;
    let length = (end + week - start) % week;
    if !(WINDOW_MINUTES..=MINUTES_PER_DAY).contains(&length) {
        problems
            .add(spot, format!("the maintenance window {} lasts {length} minutes", quoted(window)))
            .because("AWS takes 30 minutes to 24 hours");
    }
}

/// Minutes since Monday 00:00 of `sun:03:00`.
fn weekly(text: &str) -> Option<u32> {
    let (day, time) = text.split_once(':')?;
    let day = DAYS.iter().position(|name| *name == day)?;
    Some(u32::try_from(day).ok()? * MINUTES_PER_DAY + daily(time)?)
}

/// Minutes since midnight of `03:00`.
pub(super) fn daily(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str, below: u32| {
        let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        two.then(|| digits.parse::<u32>().ok()).flatten().filter(|number| *number < below)
    };
    Some(number(hour, 24)? * 60 + number(minute, 60)?)
}

fn connection(facts: &Facts<'_>, problems: &mut Problems, name: &str, cluster: &Cluster) {
    let connection = &cluster.connection;
    let loopback = matches!(&connection.host, Some(MachineValue::Plain(host)) if is_loopback(host));
    if connection.tls == Tls::Disable && facts.aws() && !loopback {
        problems
            .add(
                facts.at(&["clusters", name, "connection", "tls"]),
                "an unencrypted connection to another machine",
            )
            .because(
                "`tls: disable` is for the local platform, and for a `host` on loopback such as 127.0.0.1",
            )
            .mend("write `tls: verify-full`, or `verify-ca` behind a forwarded port");
    }
    if let Some(tunnel) = &connection.tunnel {
        let path = ["clusters", name, "connection", "tunnel"];
        super::backups::command(
            facts,
            problems,
            tunnel,
            &path,
            &["local_port"],
            &["host", "port", "local_port"],
        );
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Two servers of this machine cannot listen on one port.
fn ports(facts: &Facts<'_>, problems: &mut Problems) {
    let mut taken: HashMap<u16, &str> = HashMap::new();
    for (name, cluster) in &facts.environment.clusters {
        if let Some(port) = cluster.connection.port
            && let Some(other) = taken.insert(port, name)
        {
            let at = |name: &str| facts.at(&["clusters", name, "connection", "port"]);
            problems
                .add(at(name), format!("the clusters `{other}` and `{name}` have the same port"))
                .also(&format!("that of `{other}`"), at(other))
                .mend("give one of them another port, or none: then a free one is chosen");
        }
    }
}
