//! Trials: what a login can really do, tried on the server, with nothing left behind.
//!
//! # What is proven, and how
//! - **The door** (`connect`): where logins need no token, each really logs in. Elsewhere the server is asked for the
//!   login's CONNECT privilege and its LOGIN attribute.
//! - **Future objects**: in each declared schema the owner makes a table with a row, a sequence and a function, inside a
//!   transaction that is rolled back. They are born with the default privileges, which is what is to be proven. Nobody
//!   but that transaction sees them, so the admin becomes one login after the other in it (`SET ROLE`), and does things
//!   to them in earnest. Permissions are checked against the current role alone, so that this shows what the login may
//!   do; what it becomes by itself at login (a migrator its owner) is followed.
//! - **Existing objects**: `SELECT`, `INSERT`, `UPDATE` and `DELETE` on no row (`WHERE false`), which check permissions
//!   as with rows; by the login itself where it could log in. Objects alike in kind, owner and ACL stand for each other.
//!   What would lock others out, run foreign code or count a sequence on is asked of the server, which answers from the
//!   same function that its checks call. So is what somebody else's lock does not let us try within 100 ms.
//! - **Everybody** (`PUBLIC`): a role that is a member of nothing, made inside the same transaction.
//!
//! Only `42501` and `25006` deny. Other refusals (a constraint, say) mean that the permission was there; those that tell
//! nothing (a lost connection) are answered as unknown. Readers' `default_transaction_read_only` is off in these
//! sessions: the missing privilege is to be seen, not the seat belt.
//!
//! # What is left behind
//! Nothing that a query shows: every transaction here ends in ROLLBACK, the server's own if we are killed. The only
//! sequence that counts on is one that was made for it. To become a login the admin is made a member of it, in a
//! subtransaction that no other session ever sees: a membership in `rds_iam` that comes with it cannot lock the admin
//! out. What remains is what every rolled back transaction leaves: dead rows, used transaction numbers, a line in the
//! server's log for each refused login.

mod attempts;

use std::time::Duration;

pub use attempts::Object;
use attempts::{Attempt, Inventory};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use super::{
    Endpoint, Postgres, SqlError,
    connection::{Login, Session},
    quote::{ident, literal},
};
use crate::{
    model::access::{ANYBODY, Method, Observed, Operation},
    providers::TryOnly,
};

/// Tries of a transaction that met another session.
const TRIES: u32 = 4;
/// Logins that one transaction tries: with more it would last longer than a second or so.
const LOGINS: usize = 50;

/// A schema in which future objects are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredSchema {
    pub name: String,
    pub owner: String,
    /// The service's roles that no login but the migrator may become.
    pub roles: Vec<String>,
}

/// How one attempt of one login came out.
#[derive(Clone, Debug)]
pub struct Attempted {
    pub login: String,
    /// None: on the database itself.
    pub schema: Option<String>,
    /// None: on the schema, or on an object made for the trial.
    pub object: Option<Object>,
    pub operation: Operation,
    pub method: Method,
    pub observed: Observed,
}

/// What the logins of one database are to try.
#[derive(Debug)]
pub struct Tried {
    pub attempted: Vec<Attempted>,
    /// Schemas that exist.
    pub schemas: Vec<String>,
    /// What a login that gets in tries again by itself.
    pub again: Again,
}

/// Attempts that need no object of the trial's own.
#[derive(Clone, Debug)]
pub struct Again(Vec<Attempt>);

/// How a login fared at the door.
#[derive(Debug)]
pub enum Door {
    /// It got in, and tried.
    Open(Vec<Attempted>),
    Shut,
    /// All the sessions that it may have are in use.
    Full,
    /// Nobody could tell, and why.
    Unknown(String),
}

#[derive(Debug, Deserialize)]
struct Answer {
    login: String,
    codes: Vec<String>,
}

impl Postgres<TryOnly> {
    /// Tries everything in a database as each of the logins and as nobody in particular, by becoming them.
    pub async fn try_all(
        &self,
        endpoint: &Endpoint,
        database: &str,
        logins: &[String],
        declared: &[DeclaredSchema],
    ) -> Result<Tried, SqlError> {
        let mut session = Session::open(&self.login, endpoint, database).await?;
        let text = session.text(include_str!("inventory.sql")).await?.unwrap_or_default();
        let inventory: Inventory = serde_json::from_str(&text)
            .map_err(|source| SqlError::Answer { database: database.into(), source })?;
        let mut attempts = inventory.attempts(declared);
        let mut logins = logins.to_vec();
        logins.push(inventory.probe());
        let mut attempted = Vec::new();
        for logins in logins.chunks(LOGINS) {
            let input = json!({
                "assume": true,
                "become": inventory.membership(),
                "options": if inventory.has_membership_options() { "WITH INHERIT FALSE, SET TRUE" } else { "" },
                "setup": inventory.setup(declared),
                "logins": logins,
                "attempts": statements(&attempts),
            });
            for answer in session.try_and_undo(&input).await? {
                leave_busy(&mut attempts, &answer.codes);
                let name = if answer.login == inventory.probe() { ANYBODY.into() } else { answer.login };
                attempted.extend(judge(&name, &attempts, answer.codes, Method::SetRole));
            }
        }
        session.close().await;
        let schemas = inventory.schemas.into_iter().map(|schema| schema.name).collect();
        attempts.retain(|attempt| !attempt.probe && attempt.operation != Operation::Connect);
        Ok(Tried { attempted, schemas, again: Again(attempts) })
    }

    /// Logs in as somebody, and if that is possible tries again what needs no object of the trial's own.
    pub async fn try_login(&self, endpoint: &Endpoint, database: &str, user: &str, again: &Again) -> Door {
        let login = Login { user: user.into(), ..self.login.clone() };
        let mut session = match Session::open_as_it_is(&login, endpoint, database).await {
            Ok(session) => session,
            Err(error) => {
                return match error.refusal().map(|refusal| refusal.code.as_str()) {
                    // No privilege; no such login, or NOLOGIN, or pg_hba.conf; takes no connections.
                    Some("42501" | "28000" | "28P01" | "55000") => Door::Shut,
                    Some("53300") => Door::Full,
                    _ => Door::Unknown(crate::model::causes(&error)),
                };
            }
        };
        let input = json!({
            "assume": false, "setup": [], "logins": [user], "attempts": statements(&again.0),
        });
        let answers = if again.0.is_empty() { Ok(Vec::new()) } else { session.try_and_undo(&input).await };
        session.close().await;
        match answers {
            Ok(answers) => {
                let codes = answers.into_iter().next().map(|answer| answer.codes).unwrap_or_default();
                Door::Open(judge(user, &again.0, codes, Method::Login).collect())
            }
            Err(error) => Door::Unknown(crate::model::causes(&error)),
        }
    }
}

impl Again {
    /// Only the door.
    pub fn nothing() -> Self {
        Self(Vec::new())
    }
}

impl Session {
    /// One message, whose transaction ends in ROLLBACK whatever happens: in it, behind a failure, or by the server when
    /// the connection ends.
    async fn try_and_undo(&mut self, input: &serde_json::Value) -> Result<Vec<Answer>, SqlError> {
        let message = format!(
            "BEGIN READ WRITE; SET LOCAL infra.trial = {}; {}; SELECT current_setting('infra.trial'); ROLLBACK",
            literal(&input.to_string()),
            include_str!("trial.sql").trim_end()
        );
        let mut tries = 0;
        let rows = loop {
            tries += 1;
            match self.rows(&message).await {
                Ok(rows) => break rows,
                Err(error) => {
                    if error.is_lost() {
                        return Err(named(error));
                    }
                    let _ = self.execute(&["ROLLBACK".into()]).await;
                    if !error.is_transient() || tries == TRIES {
                        return Err(named(error));
                    }
                    sleep(Duration::from_millis(60 * u64::from(tries * tries))).await;
                }
            }
        };
        let text = rows.into_iter().next_back().and_then(|row| row.into_iter().next().flatten());
        serde_json::from_str(&text.unwrap_or_default())
            .map_err(|source| SqlError::Answer { database: self.database.clone(), source })
    }
}

/// The statement is pages long, and says less than its name.
fn named(error: SqlError) -> SqlError {
    match error {
        SqlError::Statement { source, .. } => {
            SqlError::Statement { statement: "trial of permissions, rolled back".into(), source }
        }
        other => other,
    }
}

/// What to run, what to ask instead, and the object that others use too.
fn statements(attempts: &[Attempt]) -> Vec<(&Option<String>, &String, Option<String>)> {
    let shared = |attempt: &Attempt| {
        let object = attempt.object.as_ref()?;
        Some(format!("{}.{}", ident(attempt.schema.as_deref().unwrap_or_default()), ident(&object.name)))
    };
    attempts.iter().map(|attempt| (&attempt.run, &attempt.ask, shared(attempt))).collect()
}

/// What somebody else's lock kept one login from trying, the next ones need not wait for.
fn leave_busy(attempts: &mut [Attempt], codes: &[String]) {
    let inquired = |code: &str| matches!(code, "true" | "false");
    let assumed = attempts.iter().zip(codes).any(|(attempt, code)| attempt.run.is_some() && !inquired(code));
    for (attempt, code) in attempts.iter_mut().zip(codes) {
        if assumed && inquired(code) {
            attempt.run = None;
        }
    }
}

fn judge(
    login: &str,
    attempts: &[Attempt],
    codes: Vec<String>,
    method: Method,
) -> impl Iterator<Item = Attempted> {
    attempts.iter().zip(codes).filter_map(move |(attempt, code)| {
        let (observed, method) = verdict(&code, method, attempt.operation)?;
        Some(Attempted {
            login: login.into(),
            schema: attempt.schema.clone(),
            object: attempt.object.clone(),
            operation: attempt.operation,
            method,
            observed,
        })
    })
}

/// What an SQLSTATE, or the answer to an inquiry, says of the permission. `None`: the object has gone meanwhile.
fn verdict(code: &str, method: Method, operation: Operation) -> Option<(Observed, Method)> {
    let state = code.split(' ').next().unwrap_or_default();
    Some(match state {
        "true" => (Observed::Allowed, Method::Inquiry),
        "false" => (Observed::Denied, Method::Inquiry),
        "42501" | "25006" => (Observed::Denied, method),
        // `usage` seeks a relation that is not there.
        "42P01" if operation == Operation::Usage => (Observed::Allowed, method),
        "" | "42P01" | "42703" | "3F000" => return None,
        // Connection, rollback, resources, shutdown, the system, the server itself: nothing was decided.
        _ if ["08", "40", "53", "55", "57", "58", "XX"].iter().any(|class| state.starts_with(class)) => {
            (Observed::Unknown(code.into()), method)
        }
        _ => (Observed::Allowed, method),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_privilege_denies() {
        let of = |code| verdict(code, Method::Login, Operation::Select);
        let usage = |code| verdict(code, Method::Login, Operation::Usage);
        assert_eq!(of("42501"), Some((Observed::Denied, Method::Login)));
        assert_eq!(of("25006 cannot execute"), Some((Observed::Denied, Method::Login)));
        assert_eq!(of("IN000"), Some((Observed::Allowed, Method::Login)));
        assert_eq!(of("23502 null value"), Some((Observed::Allowed, Method::Login)));
        assert_eq!(of("false"), Some((Observed::Denied, Method::Inquiry)));
        assert_eq!(usage("42P01 relation does not exist"), Some((Observed::Allowed, Method::Login)));
        assert_eq!((of(""), of("42P01 relation does not exist")), (None, None));
        assert!(matches!(of("57P01 terminating").unwrap().0, Observed::Unknown(_)));
    }
}
