//! Which member is locked. Pure.

mod exclusion;
mod refusal;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::mongo_uri::Host;
use exclusion::Excluded;

/// What a set looks like before anything is locked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Its name, `rs0`.
    pub set: String,
    /// The 24 hexadecimal digits by which it differs from every other set of this name.
    pub id: String,
    /// It holds the metadata of a sharded cluster.
    pub config_server: bool,
    pub members: Vec<Member>,
    /// Votes that an election takes.
    pub majority_votes: usize,
    /// Data-bearing voters that `w: majority` takes.
    pub write_majority: usize,
    pub election_timeout: Duration,
    /// The set name in the connection string, if it says one.
    pub expected_set: Option<String>,
}

/// A member: what the configuration says, what the set says of it, and what it says itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// As the configuration writes it, `host:port`.
    pub host: String,
    /// The number of `replSetGetStatus`: 1 primary, 2 secondary, ...
    pub state: i32,
    pub state_name: String,
    pub healthy: bool,
    pub arbiter: bool,
    pub hidden: bool,
    pub priority: f64,
    pub votes: u32,
    pub delay: Duration,
    pub builds_indexes: bool,
    pub tags: std::collections::BTreeMap<String, String>,
    /// When the last operation that it has applied was written; the epoch if none is.
    pub optime: Timestamp,
    pub sync_source: Option<String>,
    /// What the set says of why it is not well.
    pub message: Option<String>,
    pub dialled: Dialled,
}

/// What a member answered when it was dialled directly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Dialled {
    /// Nobody dials an arbiter: it knows no users.
    No,
    Failed(String),
    /// It did not answer at all, whatever the others believe of it still.
    Silent(String),
    Answered(Answer),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The name that it has for itself.
    pub me: String,
    pub secondary: bool,
    /// An `fsyncLock` is held, or waited for.
    pub locked: bool,
    /// `wiredTiger`, if it says so.
    pub engine: Option<String>,
    /// It keeps a journal, if it says so.
    pub journaled: Option<bool>,
    /// It is a shard of a sharded cluster, if it says so.
    pub shard: Option<bool>,
    /// An index is being built on it.
    pub building_index: bool,
    /// Cluster actions that our user lacks there.
    pub missing_rights: Vec<String>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Only this member: `host:port`, or its host if only one member is there.
    pub member: Option<String>,
    pub max_lag: Duration,
    pub max_lock: Duration,
    /// Also when writes with `w: majority` would wait for the unlock.
    pub allow_degraded: bool,
}

/// What is to be locked, or why nothing may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The best first, each with why it stands there. Empty if `refusal` says why.
    pub candidates: Vec<Reasoned>,
    pub rejected: Vec<Reasoned>,
    /// Why no member may be locked.
    pub refusal: Option<Refusal>,
    /// What people should know: no failover is possible meanwhile, an index is being built, ...
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoned {
    pub member: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No member may be locked (exit code 10): the message, and what to do.
    NoMember { message: String, hint: Option<String> },
    /// A lock that is not ours is held or waited for (exit code 15), on these members.
    ForeignLock { members: Vec<String> },
}

/// A lock this long asks much of the oplog, out of which the member must catch up.
const LONG_LOCK: Duration = Duration::from_mins(30);

const PRIMARY: i32 = 1;
const SECONDARY: i32 = 2;

/// Chooses the member to lock: the one that is missed the least.
pub fn choose(survey: &Survey, rules: &Rules) -> Choice {
    let mut chosen: Vec<&Member> = Vec::new();
    let mut rejected: Vec<(&Member, Excluded)> = Vec::new();
    for member in &survey.members {
        match exclusion::of(member, survey, rules) {
            Some(why) => rejected.push((member, why)),
            None => chosen.push(member),
        }
    }
    let refusal = refusal::of(survey, rules, &mut chosen, &mut rejected);
    if refusal.is_some() {
        rejected.extend(chosen.drain(..).map(|member| (member, Excluded::Refused)));
    }
    chosen.sort_by(|a, b| survey.compare(a, b));
    rejected.sort_by(|(a, _), (b, _)| a.host.cmp(&b.host));
    let reasoned = |member: &Member, reason| Reasoned { member: member.host.clone(), reason };
    Choice {
        warnings: chosen.first().map_or_else(Vec::new, |first| survey.warnings(first, rules)),
        candidates: chosen.iter().map(|member| reasoned(member, survey.praise(member))).collect(),
        rejected: rejected.iter().map(|(member, why)| reasoned(member, why.to_string())).collect(),
        refusal,
    }
}

/// Who is left to vote and to acknowledge writes while one member is locked.
struct Left {
    /// Healthy voters that answer.
    voters: usize,
    /// Those of them that bear data.
    writers: usize,
}

impl Survey {
    fn left_without(&self, target: &Member) -> Left {
        let others = self.members.iter().filter(|member| member.host != target.host);
        let silent = |member: &Member| matches!(member.dialled, Dialled::Silent(_));
        let voters = others.filter(|member| member.healthy && member.votes > 0 && !silent(member));
        let voters = voters.filter(|member| member.arbiter || matches!(member.state, PRIMARY | SECONDARY));
        let (mut all, mut writers) = (0, 0);
        for voter in voters {
            all += 1;
            writers += usize::from(!voter.arbiter);
        }
        Left { voters: all, writers }
    }

    /// How far a member is behind the newest operation that any member has. Not behind "now": in a set where nobody writes
    /// the newest operation is some seconds old.
    fn lag(&self, member: &Member) -> Duration {
        let newest = self.members.iter().map(|member| member.optime).max().unwrap_or(member.optime);
        newest.duration_since(member.optime).try_into().unwrap_or_default()
    }

    /// Members that follow this one.
    fn followers<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Member> {
        let follows =
            |other: &&Member| other.sync_source.as_deref().is_some_and(|source| same(source, &member.host));
        self.members.iter().filter(follows)
    }

    /// Without a vote first, since locking it costs neither a majority nor an election; then what applications do not read;
    /// then what is least likely to be elected.
    fn compare(&self, a: &Member, b: &Member) -> Ordering {
        let rank = |member: &Member| (member.votes > 0, !member.hidden, member.priority > 0.0);
        let feeds = |member: &Member| self.followers(member).next().is_some();
        rank(a)
            .cmp(&rank(b))
            .then_with(|| a.priority.total_cmp(&b.priority))
            .then_with(|| feeds(a).cmp(&feeds(b)))
            .then_with(|| self.lag(a).cmp(&self.lag(b)))
            .then_with(|| a.host.cmp(&b.host))
    }

    /// Why it stands where it stands.
    fn praise(&self, member: &Member) -> String {
        let mut words = Vec::new();
        if member.votes == 0 {
            words.push("no vote".to_owned());
        }
        if member.hidden {
            words.push("hidden".to_owned());
        }
        words.push(format!("priority {}", member.priority));
        words.push(format!("{} behind", exclusion::length(self.lag(member))));
        let mut followers: Vec<_> = self.followers(member).map(|follower| follower.host.as_str()).collect();
        followers.sort_unstable();
        if !followers.is_empty() {
            words.push(format!("followed by {}", followers.join(", ")));
        }
        words.join(", ")
    }

    fn warnings(&self, target: &Member, rules: &Rules) -> Vec<String> {
        let host = &target.host;
        let mut warnings = Vec::new();
        let left = self.left_without(target);
        if left.writers < self.write_majority {
            warnings.push(format!(
                "writes with w: majority wait until {host} is unlocked: they need {} voting members that bear data, {} are left",
                self.write_majority, left.writers
            ));
        }
        if left.voters <= self.majority_votes {
            warnings.push(format!(
                "no failover is possible while {host} is locked: an election takes {} votes, and without {host} and a lost \
                 primary {} are left; the primary is watched, and its loss ends the lock at once",
                self.majority_votes,
                left.voters.saturating_sub(1)
            ));
        }
        if let Dialled::Answered(answer) = &target.dialled {
            if answer.building_index {
                warnings
                    .push(format!("an index is being built on {host}: it is not finished before the unlock"));
            }
            if answer.engine.is_none() || answer.journaled.is_none() {
                warnings.push(format!(
                    "{host} does not tell our user its storage engine or whether it keeps a journal; both are taken for granted"
                ));
            }
        }
        let mut unasked: Vec<_> = (self.members.iter())
            .filter(|member| {
                !member.arbiter
                    && member.healthy
                    && matches!(member.dialled, Dialled::Failed(_) | Dialled::Silent(_))
            })
            .map(|member| member.host.as_str())
            .collect();
        unasked.sort_unstable();
        if !unasked.is_empty() {
            warnings
                .push(format!("nobody knows whether {} is locked: it cannot be asked", unasked.join(", ")));
        }
        if rules.max_lock > LONG_LOCK {
            warnings.push(format!(
                "max_lock is {}: the oplog must reach back further than that, or {host} cannot catch up",
                exclusion::length(rules.max_lock)
            ));
        }
        warnings
    }
}

/// Whether two texts name the same member; case and the usual port make no difference.
fn same(a: &str, b: &str) -> bool {
    match (a.parse::<Host>(), b.parse::<Host>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// The members that `--member` may mean: `host:port`, or a host alone.
fn named<'a>(survey: &'a Survey, name: &str) -> BTreeSet<&'a str> {
    let hosts = survey.members.iter().map(|member| member.host.as_str());
    let exact: BTreeSet<_> = hosts.clone().filter(|host| host.eq_ignore_ascii_case(name)).collect();
    if !exact.is_empty() {
        return exact;
    }
    let alone = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    hosts
        .filter(|host| host.parse::<Host>().is_ok_and(|host| host.name == alone) || same(host, name))
        .collect()
}
