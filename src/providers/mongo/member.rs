//! One member of a replica set, and what it is asked. Each question has a limit in time; that it passes says nothing about
//! whether the member has done what it was asked.

use std::time::Duration;

use mongodb::{
    Client,
    bson::{Document, doc},
    error::ErrorKind,
};

use super::{
    Access, MongoError,
    answers::{self, Configuration, Granted, Hello, Holding, LockState, Rights, SetStatus, Storage},
};
use crate::model::mongo_uri::Host;

/// The rights without which no snapshot is begun, on the cluster as a resource.
pub const ACTIONS: [&str; 5] = ["fsync", "inprog", "replSetGetConfig", "replSetGetStatus", "unlock"];

/// Everything that only looks answers within milliseconds, on a locked member too.
const LOOK: Duration = Duration::from_secs(5);

/// `IDLUnknownField`: the server knows no such field, and has done nothing.
const UNKNOWN_FIELD: i32 = 40415;

/// A direct client of one member.
#[derive(Clone, Debug)]
pub struct Member {
    host: Host,
    name: String,
    client: Client,
    user: String,
    auth_source: String,
}

impl Member {
    /// Connects when it is first asked something.
    pub fn new(access: &Access, host: &Host) -> Result<Self, MongoError> {
        Ok(Self {
            host: host.clone(),
            name: host.to_string(),
            client: access.direct(host)?,
            user: access.user().to_owned(),
            auth_source: access.auth_source().to_owned(),
        })
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    /// `host:port`
    pub fn name(&self) -> &str {
        &self.name
    }

    pub async fn hello(&self) -> Result<Hello, MongoError> {
        self.hello_within(LOOK).await
    }

    pub async fn hello_within(&self, limit: Duration) -> Result<Hello, MongoError> {
        Ok(answers::hello(&self.ask("hello", doc! {"hello": 1}, limit).await?))
    }

    pub async fn status(&self) -> Result<SetStatus, MongoError> {
        Ok(answers::status(&self.look("replSetGetStatus").await?))
    }

    pub async fn configuration(&self) -> Result<Configuration, MongoError> {
        let answer = self.look("replSetGetConfig").await?;
        answers::configuration(&answer).ok_or_else(|| self.misunderstood("replSetGetConfig"))
    }

    /// What our user may do; asks for nothing that could be forbidden.
    pub async fn rights(&self) -> Result<Rights, MongoError> {
        let command = doc! {"connectionStatus": 1, "showPrivileges": true};
        Ok(answers::rights(&self.ask("connectionStatus", command, LOOK).await?))
    }

    /// Needs `inprog`; without it, only whether somebody has locked or is about to is known.
    pub async fn lock_state(&self) -> Result<LockState, MongoError> {
        self.lock_state_within(LOOK).await
    }

    pub async fn lock_state_within(&self, limit: Duration) -> Result<LockState, MongoError> {
        // The server picks, so that thousands of connections do not make the answer long. The question itself is among
        // the operations, for the sake of its number.
        let wanted = doc! {
            "currentOp": 1, "$all": true,
            "$or": [
                {"desc": answers::WORKER},
                {"command.fsync": {"$exists": true}},
                {"command.currentOp": {"$exists": true}},
                {"command.createIndexes": {"$exists": true}},
                {"desc": {"$regex": "^IndexBuildsCoordinator"}},
            ],
        };
        match self.ask("currentOp", wanted, limit).await {
            Err(MongoError::Unauthorized { .. }) => {
                let own = doc! {"currentOp": 1, "$ownOps": true};
                Ok(answers::lock_state(&self.ask("currentOp", own, limit).await?))
            }
            answer => Ok(answers::lock_state(&answer?)),
        }
    }

    /// By what the member is locked, and where it stands, in one question that costs it as little as can be. Needs `inprog`.
    pub async fn holding(&self, limit: Duration) -> Result<Holding, MongoError> {
        let all = doc! {"allUsers": true, "idleConnections": false, "idleSessions": false};
        let operations = doc! {"$currentOp": all};
        let command = doc! {
            "aggregate": 1, "pipeline": [operations, {"$match": {"desc": answers::WORKER}}], "cursor": {},
        };
        Ok(answers::holding(&self.ask("$currentOp", command, limit).await?))
    }

    /// Needs `serverStatus`, which the least privileges do not contain.
    pub async fn storage(&self) -> Result<Storage, MongoError> {
        let command = doc! {
            "serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0, "wiredTiger": 0, "tcmalloc": 0,
            "opcounters": 0, "transactions": 0, "network": 0, "logicalSessionRecordCache": 0,
        };
        Ok(answers::storage(&self.ask("serverStatus", command, LOOK).await?))
    }

    /// The server's version, `6.0.27`.
    pub async fn version(&self) -> Result<String, MongoError> {
        let answer = self.look("buildInfo").await?;
        answers::text(&answer, "version").ok_or_else(|| self.misunderstood("buildInfo"))
    }

    /// Writes what is dirty to disk, so that a lock right after it has little left to write.
    pub async fn flush(&self, limit: Duration) -> Result<(), MongoError> {
        self.ask("fsync", doc! {"fsync": 1}, limit).await.map(drop)
    }

    /// Asks for the lock. An error, a limit that has passed included, does
    /// not mean that there is no lock, nor that there will be none. Never to be tried again without having looked.
    pub async fn lock(
        &self,
        comment: &str,
        timeout: Duration,
        limit: Duration,
    ) -> Result<Granted, MongoError> {
        // Servers that know the timeout heed it only together with `forBackup`, and only as a 32-bit number.
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let command = doc! {
            "fsync": 1, "lock": true, "forBackup": true, "fsyncLockAcquisitionTimeoutMillis": milliseconds,
            "comment": comment,
        };
        let answer = match self.ask("fsync with lock", command, limit).await {
            Err(MongoError::Command { source, .. }) if is_unknown_field(&source) => {
                let command = doc! {"fsync": 1, "lock": true, "comment": comment};
                self.ask("fsync with lock", command, limit).await?
            }
            answer => answer?,
        };
        answers::granted(&answer).ok_or_else(|| self.misunderstood("fsync with lock"))
    }

    /// Releases the lock once, and answers how often the member is locked still. Waits while a lock is waited for. That
    /// there was no lock is an error whose kind differs between versions: look instead.
    pub async fn unlock(&self, limit: Duration) -> Result<i64, MongoError> {
        let answer = self.ask("fsyncUnlock", doc! {"fsyncUnlock": 1}, limit).await?;
        answers::lock_count(&answer).ok_or_else(|| self.misunderstood("fsyncUnlock"))
    }

    async fn look(&self, command: &str) -> Result<Document, MongoError> {
        self.ask(command, doc! {command: 1}, LOOK).await
    }

    async fn ask(&self, what: &str, command: Document, limit: Duration) -> Result<Document, MongoError> {
        let admin = self.client.database("admin");
        match tokio::time::timeout(limit, admin.run_command(command)).await {
            Ok(answer) => {
                answer.map_err(|error| MongoError::of(error, &self.name, what, &self.user, &self.auth_source))
            }
            Err(_) => Err(MongoError::Timeout {
                host: self.name.clone(),
                what: what.to_owned(),
                seconds: limit.as_secs(),
            }),
        }
    }

    fn misunderstood(&self, what: &str) -> MongoError {
        MongoError::Answer { host: self.name.clone(), what: what.to_owned() }
    }
}

fn is_unknown_field(error: &mongodb::error::Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(command)
        if command.code == UNKNOWN_FIELD || command.message.contains("unknown field"))
}
