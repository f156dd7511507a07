//! Users and roles: read from whichever member answers, changed on the primary.

mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use mongodb::{
    Client,
    bson::{Document, doc},
    error::ErrorKind,
};
use tokio::{sync::Mutex, time::timeout};

pub use write::{Made, NewRole, NewUser, Password};

use super::{
    Access, Catalog, MongoError,
    catalog::{ADMIN, EXTERNAL, Role, User},
};
use crate::{
    model::mongo_uri::Host,
    providers::{ReadOnly, ReadWrite},
};

/// One command, with the time to connect.
const COMMAND: Duration = Duration::from_secs(15);

/// The users and roles of one replica set. `Mongo<ReadOnly>` has no method that writes.
#[derive(Debug)]
pub struct Mongo<M> {
    cluster: String,
    access: Access,
    /// The primary of the last time, for as long as it answers as one.
    primary: Mutex<Option<(Client, String)>>,
    mode: PhantomData<M>,
}

impl Mongo<ReadOnly> {
    pub fn new(cluster: &str, access: Access) -> Self {
        Self::of(cluster, access)
    }
}

impl Mongo<ReadWrite> {
    pub fn new(cluster: &str, access: Access) -> Self {
        Self::of(cluster, access)
    }
}

/// A member that answered.
struct Member {
    client: Client,
    host: String,
    is_primary: bool,
}

impl<M> Mongo<M> {
    fn of(cluster: &str, access: Access) -> Self {
        Self { cluster: cluster.into(), access, primary: Mutex::new(None), mode: PhantomData }
    }

    fn error(&self, error: mongodb::error::Error, host: &str, what: &str) -> MongoError {
        match MongoError::of(error, host, what, self.access.user(), self.access.auth_source()) {
            // What the driver has to say of it besides is an answer in hexadecimal digits.
            MongoError::Command { host, what, source } => match &*source.kind {
                ErrorKind::Command(command) => {
                    MongoError::Refused { host, what, why: command.message.clone() }
                }
                _ => MongoError::Command { host, what, source },
            },
            other => other,
        }
    }

    /// Runs a command that only asks.
    async fn ask(
        &self,
        client: &Client,
        host: &str,
        database: &str,
        command: Document,
    ) -> Result<Document, MongoError> {
        let what = command.keys().next().cloned().unwrap_or_default();
        match timeout(COMMAND, client.database(database).run_command(command)).await {
            Ok(answer) => answer.map_err(|error| self.error(error, host, &what)),
            Err(_) => Err(MongoError::Timeout { host: host.into(), what, seconds: COMMAND.as_secs() }),
        }
    }

    /// Says hello to one member.
    async fn greet(&self, host: Host) -> Result<(Member, Option<Host>), MongoError> {
        let client = self.access.direct(&host)?;
        let host = host.to_string();
        let hello = self.ask(&client, &host, ADMIN, doc! { "hello": 1 }).await?;
        let set = hello.get_str("setName").ok();
        if let (Some(asked), found) = (self.access.replica_set(), set)
            && found != Some(asked)
        {
            let found =
                found.map_or_else(|| "no replica set".into(), |found| format!("the replica set {found}"));
            return Err(MongoError::OtherSet { host, found, asked: asked.into() });
        }
        let is_primary = hello.get_bool("isWritablePrimary").unwrap_or_default();
        let primary = hello.get_str("primary").ok().and_then(|primary| primary.parse().ok());
        Ok((Member { client, host, is_primary }, primary))
    }

    /// The primary, or else any member that answers; all are asked at once.
    async fn member(&self) -> Result<Member, MongoError> {
        let mut asked: BTreeSet<Host> = self.access.seeds().await?.into_iter().collect();
        let mut open: FuturesUnordered<_> = asked.iter().cloned().map(|host| self.greet(host)).collect();
        let (mut other, mut trouble): (Option<Member>, Option<MongoError>) = (None, None);
        while let Some(answer) = open.next().await {
            match answer {
                Ok((member, _)) if member.is_primary => return Ok(member),
                Ok((member, primary)) => {
                    if let Some(primary) = primary.filter(|primary| !asked.contains(primary)) {
                        asked.insert(primary.clone());
                        open.push(self.greet(primary));
                    }
                    other.get_or_insert(member);
                }
                // Who answered and refused says more than who did not.
                Err(error) => {
                    if trouble.as_ref().is_none_or(MongoError::is_silence) {
                        trouble = Some(error);
                    }
                }
            }
        }
        let nobody = || MongoError::NoPrimary { cluster: self.cluster.clone() };
        other.ok_or_else(|| trouble.unwrap_or_else(nobody))
    }

    /// Reads everything in a few commands on one connection: from the primary, or any member while there is none.
    pub async fn read(&self, concerns: impl Fn(&User) -> bool) -> Result<Catalog, MongoError> {
        let member = self.member().await?;
        let (client, host) = (&member.client, member.host.as_str());
        let answer = self
            .ask(
                client,
                host,
                ADMIN,
                doc! { "rolesInfo": 1, "showPrivileges": true, "showAuthenticationRestrictions": true },
            )
            .await?;
        let roles = answered(&answer, "roles", host)?.filter_map(Role::of).collect();
        let mut users = self.users(client, host).await?;
        // MongoDB tells of restrictions only when it is asked for users by name.
        let named: Vec<Document> = (users.iter().filter(|user| concerns(user)))
            .map(|user| doc! { "user": &user.name, "db": &user.database })
            .collect();
        if !named.is_empty() {
            let asked =
                doc! { "usersInfo": named, "showCustomData": true, "showAuthenticationRestrictions": true };
            let answer = self.ask(client, host, ADMIN, asked).await?;
            let key = |user: &User| (user.database.clone(), user.name.clone());
            let closely = answered(&answer, "users", host)?.filter_map(User::of);
            let mut all: BTreeMap<_, _> = users.into_iter().map(|user| (key(&user), user)).collect();
            all.extend(closely.map(|user| (key(&user), user)));
            users = all.into_values().collect();
        }
        let status = self.ask(client, host, ADMIN, doc! { "connectionStatus": 1 }).await?;
        Ok(Catalog { cluster: self.cluster.clone(), users, roles, ourselves: ourselves(&status) })
    }

    /// Users of all databases; where the right for that is missing, those of the two where ours live.
    async fn users(&self, client: &Client, host: &str) -> Result<Vec<User>, MongoError> {
        let everywhere = doc! { "usersInfo": { "forAllDBs": true }, "showCustomData": true };
        match self.ask(client, host, ADMIN, everywhere).await {
            Ok(answer) => Ok(answered(&answer, "users", host)?.filter_map(User::of).collect()),
            Err(MongoError::Unauthorized { .. }) => {
                let mut users = Vec::new();
                for database in [EXTERNAL, ADMIN] {
                    let asked = doc! { "usersInfo": 1, "showCustomData": true };
                    let answer = self.ask(client, host, database, asked).await?;
                    users.extend(answered(&answer, "users", host)?.filter_map(User::of));
                }
                Ok(users)
            }
            Err(error) => Err(error),
        }
    }
}

/// The documents of an answer that must have some list.
fn answered<'a>(
    answer: &'a Document,
    key: &str,
    host: &str,
) -> Result<impl Iterator<Item = &'a Document>, MongoError> {
    let list = answer.get_array(key);
    let list = list.map_err(|_| MongoError::Answer { host: host.into(), what: format!("{key}Info") })?;
    Ok(list.iter().filter_map(|one| one.as_document()))
}

fn ourselves(status: &Document) -> Option<(String, String)> {
    let users = status.get_document("authInfo").ok()?.get_array("authenticatedUsers").ok()?;
    let user = users.first()?.as_document()?;
    Some((user.get_str("user").ok()?.to_owned(), user.get_str("db").ok()?.to_owned()))
}
