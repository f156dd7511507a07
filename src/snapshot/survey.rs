//! What a set looks like before anything is locked.

use std::collections::BTreeMap;

use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};

use super::{
    Ending, Survey,
    choose::{self, Answer, Dialled},
};
use crate::{
    model::mongo_uri::Host,
    providers::mongo::{
        ACTIONS, Access, Configuration, Configured, Hello, Member, MongoError, SetStatus, Storage,
    },
};

/// Why a set cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum NoSurvey {
    #[error("{host} is a shard router (mongos)")]
    Router { host: String },
    #[error("{host} is a standalone server: to lock it would stop all writes")]
    Standalone { host: String },
    #[error("{host} belongs to a replica set that has no configuration yet")]
    Uninitiated { host: String },
    /// Each seed with why it could not be asked.
    #[error("no member of the replica set can be asked: {}", .reasons.join("; "))]
    Nobody { reasons: Vec<String> },
    #[error(transparent)]
    Mongo(#[from] MongoError),
}

impl NoSurvey {
    pub fn ending(&self) -> Ending {
        match self {
            Self::Router { .. } | Self::Standalone { .. } | Self::Uninitiated { .. } => Ending::NoMember,
            Self::Nobody { .. } | Self::Mongo(_) => Ending::Failed,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Router { .. } => Some(
                "snapshot each shard and the config servers by the connection string of its own replica set; \
                 together they are no moment of the whole cluster unless all writes are stopped meanwhile",
            ),
            Self::Standalone { .. } => {
                Some("make it a replica set, or stop the server and snapshot its disks without a lock")
            }
            Self::Uninitiated { .. } => Some("run rs.initiate() there first, or name other members"),
            Self::Nobody { .. } | Self::Mongo(_) => None,
        }
    }
}

/// A survey, and the connections that it was made with.
pub(super) struct Surveyed {
    pub(super) survey: Survey,
    /// By the name that the configuration has for each.
    pub(super) members: BTreeMap<String, Member>,
}

/// Asks every member of the set, hidden and delayed ones included. Locks and changes nothing.
pub async fn survey(access: &Access) -> Result<Survey, NoSurvey> {
    Ok(look(access).await?.survey)
}

pub(super) async fn look(access: &Access) -> Result<Surveyed, NoSurvey> {
    let (seeds, configuration, status) = begin(access).await?;
    let dialled = join_all(configuration.members.iter().map(|member| dial(access, member, &seeds))).await;
    // The primary knows best: the others know of each other what heartbeats told them some seconds ago.
    let best = dialled.iter().find(|one| one.writable).and_then(|one| one.status.clone());
    let status = best.unwrap_or(status);
    let members = configuration.members.iter().zip(&dialled);
    let survey = Survey {
        set: configuration.set.clone(),
        id: configuration.id.clone(),
        config_server: configuration.config_server,
        members: members.map(|(configured, dialled)| member(configured, dialled, &status)).collect(),
        majority_votes: status.majority_votes,
        write_majority: status.write_majority,
        election_timeout: configuration.election_timeout,
        expected_set: access.replica_set().map(str::to_owned),
    };
    let connected = configuration.members.iter().zip(dialled);
    let members =
        connected.filter_map(|(configured, dialled)| Some((configured.host.clone(), dialled.member?)));
    Ok(Surveyed { survey, members: members.collect() })
}

/// Members that the connection string names, each with its connection.
type Seeds = BTreeMap<Host, Member>;

/// Finds a member that knows the set. The first to answer will do, so that one that is down costs no time here.
async fn begin(access: &Access) -> Result<(Seeds, Configuration, SetStatus), NoSurvey> {
    let mut seeds = Seeds::new();
    for host in access.seeds().await? {
        let member = Member::new(access, &host)?;
        seeds.insert(host, member);
    }
    let mut asked: FuturesUnordered<_> = seeds.values().map(ask_seed).collect();
    let mut failed = Vec::new();
    let mut found = None;
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(known) => {
                found = Some(known);
                break;
            }
            Err(failure) => failed.push(failure),
        }
    }
    drop(asked);
    if let Some((configuration, status)) = found {
        return Ok((seeds, configuration, status));
    }
    Err(nobody(access, seeds.into_keys(), failed).await)
}

async fn ask_seed(member: &Member) -> Result<(Configuration, SetStatus), NoSurvey> {
    judge(member.name(), &member.hello().await?)?;
    Ok((member.configuration().await?, member.status().await?))
}

/// What is no member of a set.
fn judge(host: &str, hello: &Hello) -> Result<(), NoSurvey> {
    let host = host.to_owned();
    if hello.router {
        Err(NoSurvey::Router { host })
    } else if hello.uninitiated {
        Err(NoSurvey::Uninitiated { host })
    } else if hello.set.is_none() {
        Err(NoSurvey::Standalone { host })
    } else {
        Ok(())
    }
}

/// Why none of the seeds will do. What they are matters more than that they do not know our user, which may be because of
/// it; they say it to anybody.
async fn nobody(access: &Access, seeds: impl Iterator<Item = Host>, failed: Vec<NoSurvey>) -> NoSurvey {
    let anonymous = access.anonymous();
    let strangers = seeds.map(|host| {
        let anonymous = &anonymous;
        async move {
            let member = Member::new(anonymous, &host)?;
            judge(member.name(), &member.hello().await?)
        }
    });
    let judged =
        if failed.iter().any(|failure| matches!(failure, NoSurvey::Mongo(MongoError::Authentication { .. })))
        {
            join_all(strangers).await
        } else {
            Vec::new()
        };
    let mut failed: Vec<NoSurvey> = judged
        .into_iter()
        .filter_map(Result::err)
        .filter(|failure| !matches!(failure, NoSurvey::Mongo(_)))
        .chain(failed)
        .collect();
    let rank = |failure: &NoSurvey| match failure {
        NoSurvey::Router { .. } => 0,
        NoSurvey::Standalone { .. } => 1,
        NoSurvey::Uninitiated { .. } => 2,
        NoSurvey::Mongo(MongoError::Authentication { .. }) => 3,
        NoSurvey::Mongo(MongoError::Unauthorized { .. }) => 4,
        _ => 5,
    };
    failed.sort_by_key(rank);
    match failed.first() {
        Some(first) if rank(first) < 5 => failed.swap_remove(0),
        _ => NoSurvey::Nobody { reasons: failed.iter().map(one_line).collect() },
    }
}

fn one_line(failure: &NoSurvey) -> String {
    match failure {
        NoSurvey::Mongo(error) => error.brief(),
        other => other.to_string(),
    }
}

/// A member of the configuration after it was dialled.
struct Contact {
    member: Option<Member>,
    said: Dialled,
    writable: bool,
    status: Option<SetStatus>,
}

async fn dial(access: &Access, configured: &Configured, seeds: &Seeds) -> Contact {
    let silent = |said| Contact { member: None, said, writable: false, status: None };
    if configured.arbiter {
        return silent(Dialled::No);
    }
    let Ok(host) = configured.host.parse::<Host>() else {
        return silent(Dialled::Failed(format!("`{}` is not a host and a port", configured.host)));
    };
    let member = match seeds.get(&host) {
        Some(seed) => seed.clone(),
        None => match Member::new(access, &host) {
            Ok(member) => member,
            Err(error) => return silent(Dialled::Failed(error.brief())),
        },
    };
    match ask(&member).await {
        Ok((answer, writable, status)) => {
            Contact { member: Some(member), said: Dialled::Answered(answer), writable, status }
        }
        Err(error) => {
            let why = error.brief();
            let said = match error {
                MongoError::Unreachable { .. } | MongoError::Timeout { .. } => Dialled::Silent(why),
                _ => Dialled::Failed(why),
            };
            Contact { member: Some(member), ..silent(said) }
        }
    }
}

async fn ask(member: &Member) -> Result<(Answer, bool, Option<SetStatus>), MongoError> {
    let hello = member.hello().await?;
    let rights = member.rights().await?;
    let lock = member.lock_state().await?;
    let storage =
        if rights.allows("serverStatus") { member.storage().await.ok() } else { None }.unwrap_or_default();
    let Storage { engine, journaled, shard } = storage;
    let status = member.status().await.ok();
    let answer = Answer {
        me: hello.me.unwrap_or_default(),
        secondary: hello.secondary,
        locked: lock.locked(),
        engine,
        journaled,
        shard,
        building_index: lock.building_index,
        missing_rights: ACTIONS
            .iter()
            .filter(|action| !rights.allows(action))
            .map(|action| (*action).to_owned())
            .collect(),
    };
    Ok((answer, hello.writable, status))
}

/// What configuration, set and member say, put together.
fn member(configured: &Configured, contact: &Contact, status: &SetStatus) -> choose::Member {
    let reported = status.members.iter().find(|reported| reported.host == configured.host);
    let reported = reported.cloned().unwrap_or_default();
    choose::Member {
        host: configured.host.clone(),
        state: reported.state,
        state_name: reported.state_name,
        healthy: reported.healthy,
        arbiter: configured.arbiter,
        hidden: configured.hidden,
        priority: configured.priority,
        votes: configured.votes,
        delay: configured.delay,
        builds_indexes: configured.builds_indexes,
        tags: configured.tags.clone(),
        optime: reported.optime,
        sync_source: reported.sync_source,
        message: reported.message,
        dialled: contact.said.clone(),
    }
}
