//! Why a member may not be locked, for as long as only the member itself is looked at.

use std::{fmt, time::Duration};

use super::{Answer, Dialled, Member, PRIMARY, Rules, SECONDARY, Survey, named, same};
use crate::model::duration;

/// The only engine whose files are consistent while the lock is held.
const ENGINE: &str = "wiredTiger";
const IN_MEMORY: &str = "inMemory";

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Excluded {
    Arbiter,
    Unhealthy {
        message: Option<String>,
    },
    Primary,
    State {
        name: String,
        message: Option<String>,
    },
    Delayed(Duration),
    NoIndexes,
    NotDialled,
    Unreachable(String),
    Impostor {
        me: String,
    },
    NoSecondary,
    Locked,
    Engine(String),
    NoJournal,
    Rights(Vec<String>),
    Empty,
    Lag {
        lag: Duration,
        most: Duration,
    },
    /// Fewer data-bearing voters would be left than `w: majority` takes.
    Writes {
        left: usize,
        needed: usize,
    },
    /// Fewer voters would be left than an election takes.
    Votes {
        left: usize,
        needed: usize,
    },
    /// `--member` names another one.
    NotNamed,
    /// Nothing is wrong with it, but the set is refused as a whole.
    Refused,
}

/// The first reason that there is.
pub(super) fn of(member: &Member, survey: &Survey, rules: &Rules) -> Option<Excluded> {
    if rules.member.as_ref().is_some_and(|name| !named(survey, name).contains(member.host.as_str())) {
        return Some(Excluded::NotNamed);
    }
    configured(member)
        .or_else(|| answered(member).err())
        .or_else(|| behind(member, survey, rules))
        .or_else(|| majority(member, survey, rules))
}

/// What the configuration and the set say of it.
fn configured(member: &Member) -> Option<Excluded> {
    let message = member.message.clone();
    if member.arbiter {
        return Some(Excluded::Arbiter);
    }
    if !member.healthy {
        return Some(Excluded::Unhealthy { message });
    }
    match member.state {
        SECONDARY => {}
        PRIMARY => return Some(Excluded::Primary),
        _ => return Some(Excluded::State { name: member.state_name.clone(), message }),
    }
    if member.delay > Duration::ZERO {
        return Some(Excluded::Delayed(member.delay));
    }
    (!member.builds_indexes).then_some(Excluded::NoIndexes)
}

/// What it says itself.
fn answered(member: &Member) -> Result<(), Excluded> {
    let answer: &Answer = match &member.dialled {
        Dialled::No => return Err(Excluded::NotDialled),
        Dialled::Failed(why) | Dialled::Silent(why) => return Err(Excluded::Unreachable(why.clone())),
        Dialled::Answered(answer) => answer,
    };
    if !same(&answer.me, &member.host) {
        return Err(Excluded::Impostor { me: answer.me.clone() });
    }
    if !answer.secondary {
        return Err(Excluded::NoSecondary);
    }
    if answer.locked {
        return Err(Excluded::Locked);
    }
    if let Some(engine) = answer.engine.as_ref().filter(|engine| *engine != ENGINE) {
        return Err(Excluded::Engine(engine.clone()));
    }
    if answer.journaled == Some(false) {
        return Err(Excluded::NoJournal);
    }
    if answer.missing_rights.is_empty() {
        Ok(())
    } else {
        Err(Excluded::Rights(answer.missing_rights.clone()))
    }
}

fn behind(member: &Member, survey: &Survey, rules: &Rules) -> Option<Excluded> {
    if member.optime.as_second() <= 0 {
        return Some(Excluded::Empty);
    }
    let lag = survey.lag(member);
    (lag > rules.max_lag).then_some(Excluded::Lag { lag, most: rules.max_lag })
}

/// What the others could no longer do without it.
fn majority(member: &Member, survey: &Survey, rules: &Rules) -> Option<Excluded> {
    if rules.allow_degraded {
        return None;
    }
    let left = survey.left_without(member);
    if left.writers < survey.write_majority {
        return Some(Excluded::Writes { left: left.writers, needed: survey.write_majority });
    }
    (left.voters < survey.majority_votes)
        .then_some(Excluded::Votes { left: left.voters, needed: survey.majority_votes })
}

/// A length of time for people, in whole seconds.
pub(super) fn length(of: Duration) -> String {
    duration::Duration::from_secs(of.as_secs()).to_string()
}

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |message: &Option<String>| {
            message
                .as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| format!(" ({text})"))
                .unwrap_or_default()
        };
        match self {
            Self::Arbiter => f.write_str("an arbiter: it bears no data"),
            Self::Unhealthy { message } => write!(f, "the others do not reach it{}", because(message)),
            Self::Primary => f.write_str("the primary: locking it would stop all writes"),
            Self::State { name, message } => write!(f, "{name}, not SECONDARY{}", because(message)),
            Self::Delayed(delay) => write!(f, "delayed: its data are {} old", length(*delay)),
            Self::NoIndexes => f.write_str("it builds no indexes (buildIndexes: false)"),
            Self::NotDialled => f.write_str("it was not asked"),
            Self::Unreachable(why) => f.write_str(why),
            Self::Impostor { me } => write!(f, "what answers there is {me}"),
            Self::NoSecondary => f.write_str("it says itself that it is no secondary"),
            Self::Locked => f.write_str("it is locked already"),
            Self::Engine(engine) if engine == IN_MEMORY => {
                write!(f, "its storage engine is {engine}: there is nothing on its disks")
            }
            Self::Engine(engine) => {
                write!(
                    f,
                    "its storage engine is {engine}; only {ENGINE} is known to be consistent while locked"
                )
            }
            Self::NoJournal => {
                f.write_str("it keeps no journal: what is newer than its last checkpoint may be missing")
            }
            Self::Rights(missing) => write!(f, "our user lacks {} there", missing.join(", ")),
            Self::Empty => f.write_str("it has applied nothing yet"),
            Self::Lag { lag, most } => {
                write!(f, "{} behind, and max_lag is {}", length(*lag), length(*most))
            }
            Self::Writes { left, needed } => write!(
                f,
                "writes with w: majority would wait until it is unlocked: they need {needed} voting members that bear \
                 data, and {left} would be left"
            ),
            Self::Votes { left, needed } => {
                write!(f, "an election takes {needed} votes, and {left} would be left while it is locked")
            }
            Self::NotNamed => f.write_str("another member was asked for"),
            Self::Refused => {
                f.write_str("nothing speaks against it, but no member of this set may be locked now")
            }
        }
    }
}
