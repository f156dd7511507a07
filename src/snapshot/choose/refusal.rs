//! Why nothing of a set may be locked.

use super::{Dialled, Member, PRIMARY, Refusal, Rules, Survey, exclusion::Excluded, named};

const ROLE: &str = "create what it needs in mongosh: db.getSiblingDB(\"admin\").createRole({role: \"infraSnapshot\", roles: [], \
    privileges: [{resource: {cluster: true}, actions: [\"fsync\", \"unlock\", \"inprog\", \"replSetGetStatus\", \
    \"replSetGetConfig\"]}]}), and grant it to our user";

const SHARDED: &str = "no lock on one member makes the shards agree with each other: use Percona Backup for MongoDB, Ops Manager \
    or Atlas for a sharded cluster";

/// The first reason that there is. `chosen` and `rejected` are what looking at each member alone has left.
pub(super) fn of(
    survey: &Survey,
    rules: &Rules,
    chosen: &mut Vec<&Member>,
    rejected: &mut Vec<(&Member, Excluded)>,
) -> Option<Refusal> {
    let set = &survey.set;
    let no = |message: String, hint: Option<&str>| {
        Some(Refusal::NoMember { message, hint: hint.map(str::to_owned) })
    };
    if set.is_empty() || survey.members.is_empty() {
        return no(
            "this is no replica set: locking the only server would stop all writes".into(),
            Some("make it a replica set of three members, or snapshot it while it is stopped"),
        );
    }
    if survey.expected_set.as_ref().is_some_and(|expected| expected != set) {
        let expected = survey.expected_set.as_deref().unwrap_or_default();
        return no(
            format!("the set is named {set}, but the connection string says replicaSet={expected}"),
            Some("correct the connection string, unless these are the wrong hosts"),
        );
    }
    if survey.config_server {
        return no(format!("{set} holds the metadata of a sharded cluster (configsvr)"), Some(SHARDED));
    }
    let answers = survey.members.iter().filter_map(|member| match &member.dialled {
        Dialled::Answered(answer) => Some((member, answer)),
        _ => None,
    });
    if answers.clone().any(|(_, answer)| answer.shard == Some(true)) {
        return no(format!("{set} is a shard of a sharded cluster"), Some(SHARDED));
    }
    let mut locked: Vec<_> =
        answers.filter(|(_, answer)| answer.locked).map(|(member, _)| member.host.clone()).collect();
    if !locked.is_empty() {
        locked.sort_unstable();
        return Some(Refusal::ForeignLock { members: locked });
    }
    let mut bearing: Vec<_> = survey.members.iter().filter(|member| !member.arbiter).collect();
    bearing.sort_unstable_by_key(|member| &member.host);
    if let [alone] = bearing[..] {
        return no(
            format!(
                "{} is the only member of {set} that bears data: locking it would stop all writes",
                alone.host
            ),
            Some("add members that bear data; three are usual"),
        );
    }
    let primaries: Vec<_> = bearing
        .iter()
        .filter(|member| member.healthy && member.state == PRIMARY)
        .map(|member| &*member.host)
        .collect();
    match primaries[..] {
        [] => {
            return no(
                format!("{set} has no primary; a locked member could not vote for one"),
                Some("wait until one is elected, or find out in rs.status() why none is"),
            );
        }
        [_] => {}
        _ => {
            return no(
                format!("{set} has more than one primary ({})", primaries.join(", ")),
                Some("an election is under way: try again in a minute"),
            );
        }
    }
    if let Some(name) = &rules.member {
        return asked_for(survey, name, chosen, rejected);
    }
    if chosen.is_empty() {
        return Some(Refusal::NoMember { message: all_reasons(set, rejected), hint: hint(rejected) });
    }
    None
}

fn asked_for(
    survey: &Survey,
    name: &str,
    chosen: &[&Member],
    rejected: &[(&Member, Excluded)],
) -> Option<Refusal> {
    let named = named(survey, name);
    match named.len() {
        0 => {
            let mut all: Vec<_> = survey.members.iter().map(|member| member.host.as_str()).collect();
            all.sort_unstable();
            let message = format!("{} has no member {name}", survey.set);
            Some(Refusal::NoMember { message, hint: Some(format!("its members are {}", all.join(", "))) })
        }
        1 if !chosen.is_empty() => None,
        1 => {
            let why: Vec<_> =
                rejected.iter().filter(|(_, why)| *why != Excluded::NotNamed).cloned().collect();
            let reason = why.first().map(|(_, why)| why.to_string()).unwrap_or_default();
            let host = named.first().copied().unwrap_or(name);
            let message = format!("{host} was asked for, but may not be locked: {reason}");
            Some(Refusal::NoMember { message, hint: hint(&why) })
        }
        _ => {
            let both: Vec<_> = named.iter().copied().collect();
            let message = format!("{name} is more than one member of {}", survey.set);
            Some(Refusal::NoMember { message, hint: Some(format!("say which: {}", both.join(" or "))) })
        }
    }
}

fn all_reasons(set: &str, rejected: &[(&Member, Excluded)]) -> String {
    let mut reasons: Vec<_> =
        rejected.iter().map(|(member, why)| format!("{}: {why}", member.host)).collect();
    reasons.sort_unstable();
    format!("no member of {set} may be locked\n{}", reasons.join("\n"))
}

/// What would make one of them eligible.
fn hint(rejected: &[(&Member, Excluded)]) -> Option<String> {
    let any = |of: fn(&Excluded) -> bool| rejected.iter().any(|(_, why)| of(why));
    let mut hints = Vec::new();
    if any(|why| matches!(why, Excluded::Writes { .. } | Excluded::Votes { .. })) {
        hints.push("add a member that bears data, or accept that with --allow-degraded");
    }
    if any(|why| matches!(why, Excluded::Lag { .. })) {
        hints.push("wait until it has caught up, or allow more with --max-lag");
    }
    if any(|why| matches!(why, Excluded::Rights(_))) {
        hints.push(ROLE);
    }
    if hints.is_empty() { None } else { Some(hints.join("\n")) }
}
