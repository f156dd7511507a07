//! A server with the proxy before it, and everything that can be told of what is in it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpListener,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::PathBuf,
    process::Command,
};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::runtime::Runtime;

use super::proxy::{Ended, Killed, Proxy};
use crate::support::{
    postgres,
    sandbox::{Ran, Sandbox, socket_folder, sql},
};

pub(super) struct World {
    pub(super) sandbox: Sandbox,
    proxy: Proxy,
    socket: PathBuf,
    port: u16,
    runtime: Runtime,
    /// Sessions of the superuser, where they may stay open: they would be in the way of a rename or a drop.
    sessions: Option<RefCell<BTreeMap<String, PgConnection>>>,
}

/// What was found at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Who may do what.
    pub(super) rights: BTreeSet<String>,
    /// All else.
    rest: BTreeSet<String>,
}

impl World {
    /// An empty cluster. Its server is moved to another port, as its operator could, and the proxy stands where it was.
    pub(super) fn new(major: &str) -> Self {
        let sandbox = Sandbox::new(major, "");
        let _ = sandbox.apply();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(sandbox.project.servers()).remove(0);
        runtime.block_on(sandbox.project.writer().stop("main", &|_| ())).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = server.folder.join("data");
        let owner = fs::metadata(&data).unwrap();
        let mut start = Command::new(postgres(major).join("pg_ctl"));
        start.args(["start", "-w", "-s", "-D"]).arg(&data).arg("-l").arg(server.folder.join("server.log"));
        start.args(["-o", &format!("-c port={port}")]).current_dir(&server.folder).process_group(0);
        if nix::unistd::Uid::effective().is_root() {
            start.uid(owner.uid()).gid(owner.gid());
        }
        assert!(start.status().unwrap().success());
        Self {
            proxy: Proxy::new(server.port, port),
            socket: socket_folder(&server.folder),
            port,
            sandbox,
            runtime,
            sessions: None,
        }
    }

    /// Keeps the sessions that look at databases.
    pub(super) fn keeping_sessions(mut self) -> Self {
        self.sessions = Some(RefCell::default());
        self
    }

    async fn connect(&self, database: &str) -> PgConnection {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .port(self.port)
            .username("rdsadmin")
            .database(database);
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// Rows of texts, as the superuser.
    pub(super) fn ask(&self, database: &str, statements: &str) -> Vec<Vec<Option<String>>> {
        self.runtime.block_on(async {
            let kept = self.sessions.as_ref().and_then(|all| all.borrow_mut().remove(database));
            let mut session = match kept {
                Some(session) => session,
                None => self.connect(database).await,
            };
            let rows = sql(&mut session, statements).await.unwrap();
            match &self.sessions {
                Some(all) => drop(all.borrow_mut().insert(database.to_owned(), session)),
                None => session.close().await.unwrap(),
            }
            rows
        })
    }

    /// Whether a login gets in, as a client does.
    pub(super) fn log_in(&self, user: &str, database: &str) -> Result<(), String> {
        self.runtime.block_on(self.sandbox.sql(user, database, "SELECT 1")).map(drop)
    }

    pub(super) fn state(&self) -> State {
        // What is inside counts where anybody can get in; the admin, who makes it, cannot be kept out.
        let open = "SELECT datname FROM pg_database d WHERE datallowconn AND NOT datistemplate AND EXISTS \
                    (SELECT FROM pg_roles r WHERE rolcanlogin AND NOT rolsuper AND rolname <> 'infra_admin' \
                     AND has_database_privilege(r.oid, d.oid, 'CONNECT'))";
        let mut state = State { rights: BTreeSet::new(), rest: BTreeSet::new() };
        state.add(self.ask("postgres", include_str!("cluster.sql")));
        for row in self.ask("postgres", open) {
            state.add(self.ask(row[0].as_ref().unwrap(), include_str!("database.sql")));
        }
        state
    }

    /// What is there after a transaction in one database was cut off: all shared things, and that database, are looked
    /// at; the others cannot have changed. Reading all of twenty databases each time would take longer than the kills.
    fn state_after(&self, before: &State, database: &str) -> State {
        let inside = format!("{database}, ");
        let known = before.all().any(|text| text.starts_with(&inside));
        let mut state = before.clone();
        let shared = ["role ", "database ", "setting of "];
        let stays =
            |text: &String| !text.starts_with(&inside) && !shared.iter().any(|kind| text.starts_with(kind));
        state.rights.retain(stays);
        state.rest.retain(stays);
        state.add(self.ask("postgres", include_str!("cluster.sql")));
        if known {
            state.add(self.ask(database, include_str!("database.sql")));
        }
        state
    }

    /// `infra apply`, killed behind so many statements.
    pub(super) fn apply(&self, budget: Option<usize>) -> Ended {
        let arguments = ["apply", "--auto-approve", "--parallelism", "1", "--lock-timeout", "10s"];
        self.proxy.run(self.sandbox.command(&arguments), budget)
    }

    /// `infra apply` to its end; answers with the changing statements.
    #[track_caller]
    pub(super) fn apply_all(&self) -> Vec<String> {
        let Ended::Itself(ran) = self.apply(None) else { panic!("nobody killed it") };
        let _: Ran = ran.expect(0);
        self.proxy.ran()
    }

    /// Applies for as long as there is something to do, and kills each run one statement further than the one before;
    /// once a run has left something different, the next begins with what is left. Answers with what was there after each.
    pub(super) fn chain(&self) -> Vec<(Killed, State)> {
        let (mut states, mut budget) = (Vec::new(), 1);
        let mut before = self.state();
        loop {
            match self.apply(Some(budget)) {
                Ended::Killed(killed) => {
                    let state =
                        if killed.lasts { self.state() } else { self.state_after(&before, &killed.database) };
                    let what = difference(&before, &state);
                    // Some statements, such as ending sessions, leave nothing that shows, and come again.
                    budget = if what.is_empty() { budget + 1 } else { 1 };
                    assert!(
                        killed.lasts || what.is_empty(),
                        "left by a transaction killed at {}: {what:#?}",
                        killed.statement
                    );
                    before = state.clone();
                    states.push((killed, state));
                }
                Ended::Itself(ran) => {
                    let _ = ran.expect(0);
                    return states;
                }
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let Some(sessions) = self.sessions.take() else { return };
        for (_, session) in sessions.into_inner() {
            let _ = self.runtime.block_on(session.close());
        }
    }
}

impl State {
    fn add(&mut self, rows: Vec<Vec<Option<String>>>) {
        for row in rows {
            // A retired database carries the day.
            let mut text = row[1].clone().unwrap();
            while let Some(at) =
                text.find(RETIRED).map(|at| at + RETIRED.len()).filter(|at| is_date(&text[*at..]))
            {
                text.replace_range(at..at + 8, "");
            }
            let of = if row[0].as_deref() == Some("t") { &mut self.rights } else { &mut self.rest };
            of.insert(text);
        }
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.rights.iter().chain(&self.rest)
    }
}

const RETIRED: &str = "__retired_";

fn is_date(text: &str) -> bool {
    text.get(..8).is_some_and(|date| date.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What one state has and the other has not, in both directions.
pub(super) fn difference(one: &State, other: &State) -> Vec<String> {
    let (one, other): (BTreeSet<_>, BTreeSet<_>) = (one.all().collect(), other.all().collect());
    let less = one.difference(&other).map(|text| format!("- {text}"));
    less.chain(other.difference(&one).map(|text| format!("+ {text}"))).collect()
}
