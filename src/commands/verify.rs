//! `infra verify`: every login against every database, schema and operation, expected against observed.
//!
//! What is expected comes from the YAML alone. What is observed is tried on the servers and rolled back;
//! [`crate::providers::postgres`] says what that proves. Nothing is locked, so it may run at any time, several at once.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, future::join_all, stream};

use super::{Exit, Stop, session::Session};
use crate::{
    cli::{self, Global},
    compose::{self, Expected},
    model::{
        access::{Method, Observed, Operation},
        environment::Platform,
        mark::Mark,
    },
    providers::{
        TryOnly,
        postgres::{Again, Attempted, Door, Endpoint, MAINTENANCE, Postgres, SqlError},
    },
    report::{NotTried, Trial, Trials},
    ui::{Failure, Terminal},
};

/// Sessions at once; a database never has two of the admin's.
const SESSIONS: usize = 8;

pub(super) async fn run(global: &Global, arguments: &cli::Verify, terminal: &Terminal) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    let live = session.reader("verify").await?;
    let running = live.running(&session.interest()).await.map_err(|error| Failure::of(error.as_ref()))?;
    let running: BTreeMap<String, Endpoint> = running.into_iter().collect();
    let prover = session.prover("verify", &live)?;
    let really_log_in = matches!(session.environment.platform, Platform::Local(_));
    let expected = compose::expected(&session.environment);
    if !global.quiet {
        terminal.err(&format!("Trying what every login may do in {}...\n", session.name));
    }
    let clusters = expected.iter().map(|(cluster, expected)| {
        let endpoint = running.get(cluster);
        let (prover, environment) = (&prover, session.name.as_str());
        async move {
            match endpoint {
                Some(endpoint) => {
                    let of = Proof { prover, endpoint, environment, cluster, expected, really_log_in };
                    of.run().await
                }
                None => (Vec::new(), vec![not_tried(cluster, "it is not running; `infra apply` starts it")]),
            }
        }
    });
    let mut all = Trials { environment: session.name.clone(), ..Trials::default() };
    for (trials, not_tried) in join_all(clusters).await {
        all.trials.extend(trials);
        all.not_tried.extend(not_tried);
    }
    if all.trials.is_empty() {
        let failures = (all.not_tried.iter())
            .map(|NotTried { what, why }| Failure::new(format!("{what} could not be verified: {why}")))
            .collect();
        let none = || vec![Failure::new("there is no cluster to verify")];
        return Err(Stop {
            exit: Exit::Failed,
            failures: if all.not_tried.is_empty() { none() } else { failures },
        });
    }
    terminal.out(&if arguments.json { all.json()? } else { all.text(arguments.all, terminal.colour) })?;
    Ok(if all.all_as_expected() { Exit::Done } else { Exit::Failed })
}

/// The proof of one cluster.
struct Proof<'a> {
    prover: &'a Postgres<TryOnly>,
    endpoint: &'a Endpoint,
    environment: &'a str,
    cluster: &'a str,
    expected: &'a Expected,
    really_log_in: bool,
}

/// Who and what there is.
struct Present {
    /// Every login to try, those of retired services included.
    logins: Vec<String>,
    databases: BTreeSet<String>,
    /// Closed and kept: nobody is to get in, not even we.
    closed: BTreeSet<String>,
    sessions: usize,
}

/// One trial's place among the others.
type Key = (String, String, Option<String>, Option<(String, u64)>, Operation);

impl Proof<'_> {
    async fn run(&self) -> (Vec<Trial>, Vec<NotTried>) {
        let mut not_tried = Vec::new();
        let present = match self.present(&mut not_tried).await {
            Ok(present) => present,
            Err(error) => return (Vec::new(), vec![not_tried_error(self.cluster, &error)]),
        };
        let mut trials: BTreeMap<Key, Trial> = BTreeMap::new();
        let mut doors: Vec<(String, Again)> = Vec::new();
        for database in &present.closed {
            let rows = present.logins.iter().map(|login| {
                let (method, observed) = (Method::Inquiry, Observed::Denied);
                connect(login, method, observed)
            });
            self.note(&mut trials, database, rows.collect());
            doors.push((database.clone(), Again::nothing()));
        }
        let declared = self.expected.databases();
        let tried = stream::iter(present.databases.iter().enumerate()).map(|(place, database)| {
            let schemas = declared.get(database).map_or(&[][..], Vec::as_slice);
            let mut logins = present.logins.clone();
            // Each begins with another login, so that they do not queue for the same one.
            let by = place * logins.len() / present.databases.len().max(1);
            logins.rotate_left(by);
            async move { (database, self.prover.try_all(self.endpoint, database, &logins, schemas).await) }
        });
        let tried: Vec<_> = tried.buffer_unordered(present.sessions).collect().await;
        for (database, tried) in tried {
            let what = format!("{}/{database}", self.cluster);
            let tried = match tried {
                Ok(tried) => tried,
                Err(error) => {
                    not_tried.push(not_tried_error(&what, &error));
                    continue;
                }
            };
            for schema in declared.get(database).into_iter().flatten() {
                if !tried.schemas.contains(&schema.name) {
                    let what = format!("{what}.{}", schema.name);
                    not_tried.push(self::not_tried(&what, "there is no such schema; `infra apply` makes it"));
                }
            }
            self.note(&mut trials, database, tried.attempted);
            let is_declared = declared.contains_key(database);
            doors.push((database.clone(), if is_declared { tried.again } else { Again::nothing() }));
        }
        if self.really_log_in {
            doors.sort_by(|one, other| one.0.cmp(&other.0));
            self.log_in(&present, &doors, &mut trials).await;
        }
        not_tried.sort();
        (trials.into_values().collect(), not_tried)
    }

    /// Reads which of the declared logins and databases there are; the others are written down as not tried.
    async fn present(&self, not_tried: &mut Vec<NotTried>) -> Result<Present, SqlError> {
        let shared = self.prover.read(self.cluster, self.endpoint, &BTreeSet::new()).await?.shared;
        let roles: BTreeSet<&str> = shared.roles.iter().map(|role| role.name.as_str()).collect();
        let mut logins = Vec::new();
        for login in self.expected.logins() {
            if roles.contains(login.as_str()) {
                logins.push(login.clone());
            } else {
                let what = format!("{} {login}", self.cluster);
                not_tried.push(self::not_tried(&what, "there is no such login; `infra apply` makes it"));
            }
        }
        logins.extend(self.expected.retired().filter(|login| roles.contains(login.as_str())).cloned());
        let found: BTreeSet<&str> = shared.databases.iter().map(|entry| entry.name.as_str()).collect();
        let mut databases = BTreeSet::from([MAINTENANCE.to_owned()]);
        for database in self.expected.databases().into_keys() {
            if found.contains(database.as_str()) {
                databases.insert(database);
            } else {
                let what = format!("{}/{database}", self.cluster);
                not_tried.push(self::not_tried(&what, "there is no such database; `infra apply` makes it"));
            }
        }
        let mut closed = BTreeSet::new();
        for entry in &shared.databases {
            let mark = entry.comment.as_ref().and_then(|text| text.parse::<Mark>().ok());
            if mark.is_some_and(|mark| mark.retired && mark.environment == self.environment) {
                let open = if entry.connectable { &mut databases } else { &mut closed };
                open.insert(entry.name.clone());
            }
        }
        // One is in use to read, and some are left to others.
        let free = usize::try_from(shared.free_connections).unwrap_or_default();
        Ok(Present { logins, databases, closed, sessions: SESSIONS.min(free / 2).max(1) })
    }

    /// Every login at every door, and through those that open.
    async fn log_in(&self, present: &Present, doors: &[(String, Again)], trials: &mut BTreeMap<Key, Trial>) {
        let nothing = Again::nothing();
        let is_retired = |login: &String| self.expected.retired().any(|retired| retired == login);
        let pairs: Vec<_> = (doors.iter())
            .flat_map(|(database, again)| present.logins.iter().map(move |login| (database, login, again)))
            .map(|(database, login, again)| {
                (database, login, if is_retired(login) { &nothing } else { again })
            })
            .collect();
        let mut came = stream::iter(pairs)
            .map(|(database, login, again)| async move {
                (database, login, self.prover.try_login(self.endpoint, database, login, again).await)
            })
            .buffer_unordered(present.sessions);
        while let Some((database, login, door)) = came.next().await {
            let (observed, mut rows) = match door {
                Door::Open(rows) => (Observed::Allowed, rows),
                Door::Shut => (Observed::Denied, Vec::new()),
                // What the server answered when it was asked has to do.
                Door::Full => continue,
                Door::Unknown(why) => (Observed::Unknown(why), Vec::new()),
            };
            rows.push(connect(login, Method::Login, observed));
            self.note(trials, database, rows);
        }
    }

    /// Writes down how attempts came out, over what is known of them already: who has logged in knows better.
    fn note(&self, trials: &mut BTreeMap<Key, Trial>, database: &str, rows: Vec<Attempted>) {
        let expected = self.expected;
        let is_declared = expected.databases().contains_key(database);
        for row in rows {
            let retired = expected.retired().any(|login| *login == row.login);
            if (retired || !is_declared) && row.operation != Operation::Connect {
                continue;
            }
            let schema = row.schema.as_deref();
            if expected.is_silent(database, schema, row.operation) {
                continue;
            }
            let object = row.object.map(|object| (object.name, object.others));
            let key: Key =
                (row.login.clone(), database.into(), row.schema.clone(), object.clone(), row.operation);
            let trial = Trial {
                cluster: self.cluster.into(),
                database: database.into(),
                expected: expected.allows(&row.login, database, schema, row.operation),
                login: row.login,
                schema: row.schema,
                object,
                operation: row.operation,
                method: row.method,
                observed: row.observed,
            };
            trials.insert(key, trial);
        }
    }
}

fn connect(login: &str, method: Method, observed: Observed) -> Attempted {
    let (operation, login) = (Operation::Connect, login.to_owned());
    Attempted { login, schema: None, object: None, operation, method, observed }
}

fn not_tried(what: &str, why: &str) -> NotTried {
    NotTried { what: what.into(), why: why.into() }
}

fn not_tried_error(what: &str, error: &SqlError) -> NotTried {
    let failure = Failure::of(error);
    let why: Vec<String> = std::iter::once(failure.summary).chain(failure.causes).collect();
    not_tried(what, &why.join(": "))
}
