//! What members answer, as far as it matters here. Versions differ in the types of numbers and in what they leave out, so
//! everything is read leniently, and nothing here can fail.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use mongodb::bson::{Bson, Document, oid::ObjectId};

use super::OpTime;

/// The name of the thread that holds an `fsyncLock`.
pub(super) const WORKER: &str = "fsyncLockWorker";

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hello {
    pub set: Option<String>,
    /// The name that the member has for itself.
    pub me: Option<String>,
    pub secondary: bool,
    /// It is the primary, or needs none.
    pub writable: bool,
    /// The primary, as far as the member knows.
    pub primary: Option<String>,
    pub arbiter: bool,
    /// It is a mongos.
    pub router: bool,
    pub config_server: bool,
    /// It was started as a member, and no set has it yet.
    pub uninitiated: bool,
    /// Another one after each start of the server; absent before 4.4.
    pub process: Option<String>,
    /// The last operation that it has applied.
    pub applied: Option<OpTime>,
}

/// A lock that the server has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// How often the member is locked now.
    pub count: i64,
    /// Seconds and count of the last operation that the member had applied when it answered, which is when it was locked.
    pub operation: Option<(u32, u32)>,
}

/// `replSetGetStatus`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SetStatus {
    pub set: String,
    pub members: Vec<Reported>,
    pub majority_votes: usize,
    pub write_majority: usize,
}

/// What the set says of one member.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reported {
    pub host: String,
    pub state: i32,
    pub state_name: String,
    pub healthy: bool,
    /// When its last operation was written; the epoch if it has none.
    pub optime: Timestamp,
    pub sync_source: Option<String>,
    pub message: Option<String>,
}

/// `replSetGetConfig`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    pub set: String,
    /// 24 hexadecimal digits.
    pub id: String,
    pub config_server: bool,
    pub members: Vec<Configured>,
    pub election_timeout: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configured {
    pub host: String,
    pub arbiter: bool,
    pub hidden: bool,
    pub priority: f64,
    pub votes: u32,
    pub delay: Duration,
    pub builds_indexes: bool,
    pub tags: BTreeMap<String, String>,
}

/// What our user may do to the server as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Nobody logged in, and the server asks nobody to.
    Unchecked,
    Actions(BTreeSet<String>),
}

impl Rights {
    pub fn allows(&self, action: &str) -> bool {
        match self {
            Self::Unchecked => true,
            Self::Actions(actions) => actions.contains(action),
        }
    }
}

/// Who locks the member, or is about to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockState {
    /// A lock is held or waited for: it does not say which.
    pub flag: bool,
    pub worker: Option<Worker>,
    /// `fsync` commands with `lock: true` that wait.
    pub pending: Vec<Pending>,
    pub building_index: bool,
    /// The highest number of an operation that was seen: later operations have higher ones.
    pub highest_opid: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    pub opid: i64,
    /// The lock is held, not only waited for.
    pub held: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub opid: i64,
    pub comment: Option<String>,
}

impl LockState {
    /// A lock is held or waited for, by whomever.
    pub fn locked(&self) -> bool {
        self.flag || self.worker.is_some() || !self.pending.is_empty()
    }

    /// A command with this comment waits for the lock.
    pub fn waits_for(&self, comment: &str) -> bool {
        self.pending.iter().any(|pending| pending.comment.as_deref() == Some(comment))
    }
}

/// By what a member is locked, and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    pub worker: Option<Worker>,
    /// Seconds and count of the last operation that the member has applied.
    pub operation: Option<(u32, u32)>,
}

/// What `serverStatus` says, to those whom it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    pub engine: Option<String>,
    /// It keeps its data on disk, with a journal.
    pub journaled: Option<bool>,
    pub shard: Option<bool>,
}

pub(super) fn hello(answer: &Document) -> Hello {
    Hello {
        set: text(answer, "setName"),
        me: text(answer, "me"),
        secondary: truth(answer, "secondary"),
        writable: truth(answer, "isWritablePrimary") || truth(answer, "ismaster"),
        primary: text(answer, "primary"),
        arbiter: truth(answer, "arbiterOnly"),
        router: text(answer, "msg").as_deref() == Some("isdbgrid"),
        config_server: number(answer, "configsvr").is_some(),
        uninitiated: truth(answer, "isreplicaset"),
        process: document(answer, "topologyVersion").and_then(|version| id(version, "processId")),
        applied: document(answer, "lastWrite").and_then(|last| document(last, "opTime")).and_then(optime),
    }
}

pub(super) fn status(answer: &Document) -> SetStatus {
    let members = documents(answer, "members").map(|member| Reported {
        host: text(member, "name").unwrap_or_default(),
        state: number(member, "state").and_then(|state| state.try_into().ok()).unwrap_or(-1),
        state_name: text(member, "stateStr").unwrap_or_default(),
        healthy: number(member, "health") == Some(1),
        optime: moment(member, "optimeDate").unwrap_or_default(),
        sync_source: text(member, "syncSourceHost").filter(|host| !host.is_empty()),
        message: ["infoMessage", "lastHeartbeatMessage"]
            .iter()
            .find_map(|key| text(member, key).filter(|message| !message.is_empty())),
    });
    let count = |key| number(answer, key).and_then(|count| count.try_into().ok()).unwrap_or_default();
    SetStatus {
        set: text(answer, "set").unwrap_or_default(),
        members: members.collect(),
        majority_votes: count("majorityVoteCount"),
        write_majority: count("writeMajorityCount"),
    }
}

pub(super) fn configuration(answer: &Document) -> Option<Configuration> {
    let config = document(answer, "config")?;
    let settings = document(config, "settings");
    let whole = |value: i64| u64::try_from(value).ok();
    let members = documents(config, "members").map(|member| Configured {
        host: text(member, "host").unwrap_or_default(),
        arbiter: truth(member, "arbiterOnly"),
        hidden: truth(member, "hidden"),
        priority: real(member, "priority").unwrap_or(1.0),
        votes: number(member, "votes").map_or(1, |votes| votes.try_into().unwrap_or_default()),
        delay: (number(member, "secondaryDelaySecs").or_else(|| number(member, "slaveDelay")))
            .and_then(whole)
            .map(Duration::from_secs)
            .unwrap_or_default(),
        builds_indexes: member.get("buildIndexes").is_none_or(is_true),
        tags: document(member, "tags").map(texts).unwrap_or_default(),
    });
    Some(Configuration {
        set: text(config, "_id").unwrap_or_default(),
        id: settings.and_then(|settings| id(settings, "replicaSetId")).unwrap_or_default(),
        config_server: truth(config, "configsvr"),
        members: members.collect(),
        election_timeout: settings
            .and_then(|settings| number(settings, "electionTimeoutMillis"))
            .and_then(whole)
            .map_or(Duration::from_secs(10), Duration::from_millis),
    })
}

pub(super) fn rights(answer: &Document) -> Rights {
    let Some(info) = document(answer, "authInfo") else { return Rights::Actions(BTreeSet::new()) };
    if documents(info, "authenticatedUsers").next().is_none() {
        return Rights::Unchecked;
    }
    let of_the_server = documents(info, "authenticatedUserPrivileges").filter(|privilege| {
        let resource = document(privilege, "resource");
        resource.is_some_and(|resource| truth(resource, "cluster") || truth(resource, "anyResource"))
    });
    let actions = of_the_server.flat_map(|privilege| match privilege.get("actions") {
        Some(Bson::Array(actions)) => actions.as_slice(),
        _ => &[],
    });
    Rights::Actions(actions.filter_map(Bson::as_str).map(str::to_owned).collect())
}

pub(super) fn lock_state(answer: &Document) -> LockState {
    let mut state = LockState { flag: truth(answer, "fsyncLock"), ..LockState::default() };
    for operation in documents(answer, "inprog") {
        let opid = number(operation, "opid").unwrap_or_default();
        state.highest_opid = state.highest_opid.max(opid);
        let description = text(operation, "desc").unwrap_or_default();
        if description == WORKER {
            state.worker = Some(worker(operation));
        }
        if let Some(command) = document(operation, "command") {
            if command.contains_key("fsync") && truth(command, "lock") {
                state.pending.push(Pending { opid, comment: text(command, "comment") });
            }
            state.building_index |= command.contains_key("createIndexes");
        }
        state.building_index |= description.starts_with("IndexBuildsCoordinator");
    }
    state
}

fn worker(operation: &Document) -> Worker {
    let held = truth(operation, "active") && !truth(operation, "waitingForLock");
    Worker { opid: number(operation, "opid").unwrap_or_default(), held }
}

/// An answer to an aggregation of `$currentOp` that lets the worker through alone.
pub(super) fn holding(answer: &Document) -> Holding {
    let cursor = document(answer, "cursor");
    let first = cursor.and_then(|cursor| documents(cursor, "firstBatch").next());
    Holding { worker: first.map(worker), operation: operation(answer) }
}

pub(super) fn storage(answer: &Document) -> Storage {
    let engine = document(answer, "storageEngine");
    let name = engine.and_then(|engine| text(engine, "name"));
    let persistent = engine.is_some_and(|engine| truth(engine, "persistent"));
    Storage {
        // A member of a replica set whose engine keeps data on disk cannot be started without a journal since 4.0.
        journaled: name.as_ref().map(|name| persistent && name == "wiredTiger"),
        shard: Some(document(answer, "sharding").is_some()),
        engine: name,
    }
}

/// An answer to `fsync` with lock.
pub(super) fn granted(answer: &Document) -> Option<Granted> {
    Some(Granted { count: lock_count(answer)?, operation: operation(answer) })
}

/// Which every member says with every answer.
fn operation(answer: &Document) -> Option<(u32, u32)> {
    match answer.get("operationTime") {
        Some(Bson::Timestamp(written)) => Some((written.time, written.increment)),
        _ => None,
    }
}

/// The lock count of an answer to `fsync` or `fsyncUnlock`.
pub(super) fn lock_count(answer: &Document) -> Option<i64> {
    number(answer, "lockCount")
}

pub(super) fn text(document: &Document, key: &str) -> Option<String> {
    document.get(key).and_then(Bson::as_str).map(str::to_owned)
}

fn document<'a>(document: &'a Document, key: &str) -> Option<&'a Document> {
    document.get(key).and_then(Bson::as_document)
}

fn documents<'a>(document: &'a Document, key: &str) -> impl Iterator<Item = &'a Document> {
    let list = document.get(key).and_then(Bson::as_array);
    list.into_iter().flatten().filter_map(Bson::as_document)
}

fn number(document: &Document, key: &str) -> Option<i64> {
    match document.get(key)? {
        Bson::Int32(number) => Some((*number).into()),
        Bson::Int64(number) => Some(*number),
        // Saturates, and turns what is no number into 0.
        #[allow(clippy::cast_possible_truncation)]
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

fn real(document: &Document, key: &str) -> Option<f64> {
    match document.get(key)? {
        Bson::Double(number) => Some(*number),
        // Priorities go up to 1000.
        #[allow(clippy::cast_precision_loss)]
        _ => number(document, key).map(|number| number as f64),
    }
}

fn is_true(value: &Bson) -> bool {
    match value {
        Bson::Boolean(value) => *value,
        Bson::Int32(number) => *number != 0,
        Bson::Int64(number) => *number != 0,
        Bson::Double(number) => *number != 0.0,
        _ => false,
    }
}

fn truth(document: &Document, key: &str) -> bool {
    document.get(key).is_some_and(is_true)
}

fn id(document: &Document, key: &str) -> Option<String> {
    document.get(key).and_then(Bson::as_object_id).map(ObjectId::to_hex)
}

fn moment(document: &Document, key: &str) -> Option<Timestamp> {
    let moment = document.get(key).and_then(Bson::as_datetime)?;
    Timestamp::from_millisecond(moment.timestamp_millis()).ok()
}

fn texts(document: &Document) -> BTreeMap<String, String> {
    document.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn optime(document: &Document) -> Option<OpTime> {
    let Some(Bson::Timestamp(written)) = document.get("ts") else { return None };
    Some(OpTime { t: written.time, i: written.increment, term: number(document, "t").unwrap_or(-1) })
}
