//! Changes of users and roles. Each command may be sent twice, for its answer may be lost with the primary.

use std::{collections::BTreeSet, time::Duration};

use mongodb::{
    Client,
    bson::{Document, doc},
    error::ErrorKind,
};
use tokio::time::{Instant, sleep, timeout};

use super::{COMMAND, Mongo, answered, ourselves};
use crate::{
    model::secret::Secret,
    providers::{
        ReadWrite,
        mongo::{
            MongoError,
            catalog::{self, ADMIN, EXTERNAL, Grant, Privileges, Role, User},
        },
    },
};

/// How long a majority of members may take to have a change.
const MAJORITY: Duration = Duration::from_secs(10);
/// How long a new primary is waited for: an election takes about ten seconds.
const ELECTION: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

/// `Location51003`, `Location51002`: a user, a role of this name exists.
const EXISTS: [i32; 2] = [51003, 51002];
/// `UserNotFound`, `RoleNotFound`.
const MISSING: [i32; 2] = [11, 31];
/// Not the primary, or not for much longer.
const NO_PRIMARY: [i32; 6] = [10107, 13435, 11602, 189, 91, 11600];

/// How users prove who they are, and with what.
#[derive(Clone, Debug)]
pub struct Password {
    pub value: Secret<String>,
    /// The version of the secret it is from.
    pub version: String,
}

/// A user as it is written.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    pub name: &'a str,
    pub database: &'a str,
    pub roles: &'a BTreeSet<Grant>,
    pub mechanisms: &'a BTreeSet<String>,
    pub mark: &'a str,
    /// `None`: a certificate, or the password that it has.
    pub password: Option<&'a Password>,
}

/// A role as it is written.
#[derive(Clone, Debug)]
pub struct NewRole<'a> {
    pub name: &'a str,
    pub roles: &'a BTreeSet<Grant>,
    pub privileges: &'a Privileges,
    pub mark: &'a str,
}

/// What a call that makes something found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    Now,
    /// One of that name is there already.
    Exists,
}

impl Mongo<ReadWrite> {
    /// Runs a command on the primary, with the agreement of a majority. Every command here may be sent twice: when the
    /// primary changes, or the answer is lost, it is sent to the next one.
    async fn write(&self, database: &str, what: &str, command: &Document) -> Result<(), Refused> {
        let begin = Instant::now();
        loop {
            let failed = match self.primary().await {
                Ok((client, host)) => match self.send(&client, &host, database, what, command).await {
                    Err(Refused::Again(error)) => error,
                    other => return other,
                },
                Err(error) if matches!(error, MongoError::NoPrimary { .. }) || error.is_silence() => error,
                Err(error) => return Err(Refused::Error(error)),
            };
            self.primary.lock().await.take();
            if begin.elapsed() + PAUSE > ELECTION {
                return Err(Refused::Error(failed));
            }
            sleep(PAUSE).await;
        }
    }

    async fn primary(&self) -> Result<(Client, String), MongoError> {
        let mut known = self.primary.lock().await;
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let member = self.member().await?;
        if !member.is_primary {
            return Err(MongoError::NoPrimary { cluster: self.cluster.clone() });
        }
        *known = Some((member.client.clone(), member.host.clone()));
        Ok((member.client, member.host))
    }

    async fn send(
        &self,
        client: &Client,
        host: &str,
        database: &str,
        what: &str,
        command: &Document,
    ) -> Result<(), Refused> {
        let database = client.database(database);
        let sent = database.run_command(command.clone());
        let Ok(answer) = timeout(COMMAND + MAJORITY, sent).await else {
            let (host, what) = (host.to_owned(), what.to_owned());
            let seconds = (COMMAND + MAJORITY).as_secs();
            return Err(Refused::Again(MongoError::Timeout { host, what, seconds }));
        };
        let error = match answer {
            Ok(answer) if answer.contains_key("writeConcernError") => {
                let (host, what) = (host.to_owned(), what.to_owned());
                return Err(Refused::Error(MongoError::Unconfirmed {
                    host,
                    what,
                    seconds: MAJORITY.as_secs(),
                }));
            }
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let code = match &*error.kind {
            ErrorKind::Command(command) => Some(command.code),
            _ => None,
        };
        let lost = matches!(
            &*error.kind,
            ErrorKind::Io(_) | ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. }
        );
        let error = self.error(error, host, what);
        Err(match code {
            Some(code) if EXISTS.contains(&code) => Refused::Exists(error),
            Some(code) if MISSING.contains(&code) => Refused::Missing(error),
            Some(code) if NO_PRIMARY.contains(&code) => Refused::Again(error),
            _ if lost => Refused::Again(error),
            _ => Refused::Error(error),
        })
    }

    pub async fn create_role(&self, new: &NewRole<'_>) -> Result<Made, MongoError> {
        let mut command = doc! { "createRole": new.name };
        command.extend(role(new));
        made(self.write(ADMIN, "createRole", &command).await)
    }

    pub async fn update_role(&self, new: &NewRole<'_>) -> Result<(), MongoError> {
        let mut command = doc! { "updateRole": new.name };
        command.extend(role(new));
        done(self.write(ADMIN, "updateRole", &command).await)
    }

    pub async fn drop_role(&self, name: &str) -> Result<(), MongoError> {
        let command = doc! { "dropRole": name, "writeConcern": majority() };
        gone(self.write(ADMIN, "dropRole", &command).await)
    }

    pub async fn create_user(&self, new: &NewUser<'_>) -> Result<Made, MongoError> {
        let mut command = doc! { "createUser": new.name };
        command.extend(user(new, &Document::new()));
        made(self.write(new.database, "createUser", &command).await)
    }

    /// What others keep in the user's `customData` stays.
    pub async fn update_user(&self, new: &NewUser<'_>) -> Result<(), MongoError> {
        self.spare_ourselves(new.name, new.database).await?;
        let custom = self.custom_data(new.name, new.database).await?;
        let mut command = doc! { "updateUser": new.name };
        command.extend(user(new, &custom));
        done(self.write(new.database, "updateUser", &command).await)
    }

    pub async fn drop_user(&self, name: &str, database: &str) -> Result<(), MongoError> {
        self.spare_ourselves(name, database).await?;
        let command = doc! { "dropUser": name, "writeConcern": majority() };
        gone(self.write(database, "dropUser", &command).await)
    }

    /// Writes the mark of a user, and nothing else.
    pub async fn mark_user(&self, name: &str, database: &str, mark: &str) -> Result<(), MongoError> {
        let mut custom = self.custom_data(name, database).await?;
        custom.insert(catalog::MARK, mark);
        let command = doc! { "updateUser": name, "customData": custom, "writeConcern": majority() };
        done(self.write(database, "updateUser", &command).await)
    }

    /// Writes the mark of a role, and nothing else.
    pub async fn mark_role(&self, name: &str, mark: &str) -> Result<(), MongoError> {
        let privileges = catalog::privileges(&Privileges::new(), mark);
        let command =
            doc! { "grantPrivilegesToRole": name, "privileges": privileges, "writeConcern": majority() };
        done(self.write(ADMIN, "grantPrivilegesToRole", &command).await)
    }

    /// A user or role by its name, as it is now.
    pub async fn user(&self, name: &str, database: &str) -> Result<Option<User>, MongoError> {
        Ok(self.one_user(name, database).await?.as_ref().and_then(User::of))
    }

    pub async fn role(&self, name: &str) -> Result<Option<Role>, MongoError> {
        let (client, host) = self.primary().await?;
        let asked =
            doc! { "rolesInfo": name, "showPrivileges": true, "showAuthenticationRestrictions": true };
        let answer = self.ask(&client, &host, ADMIN, asked).await?;
        Ok(answered(&answer, "roles", &host)?.find_map(Role::of))
    }

    async fn one_user(&self, name: &str, database: &str) -> Result<Option<Document>, MongoError> {
        let (client, host) = self.primary().await?;
        let asked = doc! {
            "usersInfo": { "user": name, "db": database },
            "showCustomData": true,
            "showAuthenticationRestrictions": true,
        };
        let answer = self.ask(&client, &host, ADMIN, asked).await?;
        Ok(answered(&answer, "users", &host)?.next().cloned())
    }

    async fn custom_data(&self, name: &str, database: &str) -> Result<Document, MongoError> {
        let user = self.one_user(name, database).await?;
        let custom = user.and_then(|user| user.get_document("customData").ok().cloned());
        Ok(custom.unwrap_or_default())
    }

    /// The last line of defence; the guard of plans is the first.
    async fn spare_ourselves(&self, name: &str, database: &str) -> Result<(), MongoError> {
        let (client, host) = self.primary().await?;
        let status = self.ask(&client, &host, ADMIN, doc! { "connectionStatus": 1 }).await?;
        match ourselves(&status) {
            Some((user, of)) if user == name && of == database => {
                Err(MongoError::Ourselves { host, user: format!("{user}@{of}") })
            }
            _ => Ok(()),
        }
    }
}

/// What a write that did not succeed means.
enum Refused {
    Exists(MongoError),
    Missing(MongoError),
    /// There may be another primary, or the answer was lost.
    Again(MongoError),
    Error(MongoError),
}

impl Refused {
    fn error(self) -> MongoError {
        match self {
            Self::Exists(error) | Self::Missing(error) | Self::Again(error) | Self::Error(error) => error,
        }
    }
}

fn made(result: Result<(), Refused>) -> Result<Made, MongoError> {
    match result {
        Ok(()) => Ok(Made::Now),
        Err(Refused::Exists(_)) => Ok(Made::Exists),
        Err(other) => Err(other.error()),
    }
}

fn done(result: Result<(), Refused>) -> Result<(), MongoError> {
    result.map_err(Refused::error)
}

fn gone(result: Result<(), Refused>) -> Result<(), MongoError> {
    match result {
        Err(Refused::Missing(_)) => Ok(()),
        other => done(other),
    }
}

fn majority() -> Document {
    doc! { "w": "majority", "wtimeout": i64::try_from(MAJORITY.as_millis()).unwrap_or(i64::MAX) }
}

fn role(new: &NewRole<'_>) -> Document {
    doc! {
        "roles": new.roles.iter().map(Grant::document).collect::<Vec<_>>(),
        "privileges": catalog::privileges(new.privileges, new.mark),
        "authenticationRestrictions": [],
        "writeConcern": majority(),
    }
}

fn user(new: &NewUser<'_>, custom: &Document) -> Document {
    let mut custom = custom.clone();
    custom.insert(catalog::MARK, new.mark);
    let mut command = doc! {
        "roles": new.roles.iter().map(Grant::document).collect::<Vec<_>>(),
        "authenticationRestrictions": [],
        "writeConcern": majority(),
    };
    if !new.mechanisms.is_empty() && new.database != EXTERNAL {
        command.insert("mechanisms", new.mechanisms.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if let Some(password) = new.password {
        command.insert("pwd", password.value.reveal());
        custom.insert(catalog::SECRET_VERSION, &password.version);
    }
    command.insert("customData", custom);
    command
}
