//! A project with one local environment, worked on by the real `infra` binary.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, postgres::PgConnectOptions};

use super::{local, postgres};

/// A project of its own, whose servers are of one major version. Removed with everything when it goes.
pub(crate) struct Sandbox {
    pub(crate) project: local::Project,
    pub(crate) major: String,
    pub(crate) environment: &'static str,
    /// Of every run, besides the few that all have.
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The run ended with this exit code; otherwise the test fails and shows all it said.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Rows of texts.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

impl Sandbox {
    /// `yaml` is the environment without its platform and its cluster `main`.
    pub(crate) fn new(major: &str, yaml: &str) -> Self {
        let sandbox = Self {
            project: local::Project::new(&[major]),
            major: major.into(),
            environment: "local",
            variables: Vec::new(),
        };
        sandbox.write(yaml);
        sandbox
    }

    /// Declares something else.
    pub(crate) fn write(&self, yaml: &str) {
        let head = format!(
            "platform: {{local: {{}}}}\nclusters:\n  main: {{engine_version: \"{}\", parameters: {{fsync: \"off\", full_page_writes: \"off\"}}}}\n",
            self.major
        );
        self.write_raw(&format!("{head}{yaml}"));
    }

    /// The whole environment.yaml.
    pub(crate) fn write_raw(&self, yaml: &str) {
        let folder = self.project.folder.join("environments").join(self.environment);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("environment.yaml"), yaml).unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.project.folder
    }

    /// The binary, with nothing of this process's environment but what it needs.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        let path = format!("{}:/usr/bin:/bin", postgres(&self.major).display());
        command.env_clear().env("PATH", path).env("HOME", self.folder()).env("INFRA_ENV", self.environment);
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command.current_dir(self.folder()).args(arguments).stdin(Stdio::null());
        command
    }

    #[must_use = "look at the exit code or the output"]
    pub(crate) fn infra(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments))
    }

    /// Applies without asking, and all goes well.
    #[track_caller]
    pub(crate) fn apply(&self) -> Ran {
        self.infra(&["apply", "--auto-approve"]).expect(0)
    }

    /// Plans, and there is nothing to do.
    #[track_caller]
    pub(crate) fn settled(&self) {
        let ran = self.infra(&["plan", "--detailed-exitcode", "-v"]).expect(0);
        assert!(ran.stdout.lines().any(|line| line.starts_with("No changes.")), "{}", ran.stdout);
    }

    /// The changes of a plan: address and actions, such as `update`.
    #[track_caller]
    pub(crate) fn changes(&self) -> Vec<(String, String)> {
        changes(&self.plan())
    }

    /// The whole plan as JSON.
    #[track_caller]
    pub(crate) fn plan(&self) -> serde_json::Value {
        serde_json::from_str(&self.infra(&["plan", "--json"]).expect(0).stdout).unwrap()
    }

    async fn server(&self) -> infra::providers::local::Server {
        let servers = self.project.servers().await;
        servers.into_iter().find(|server| server.name == "main").expect("the server main exists")
    }

    /// Where a client connects to.
    pub(crate) async fn port(&self) -> u16 {
        self.server().await.port
    }

    pub(crate) async fn connect(&self, user: &str, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port().await)
            .username(user)
            .database(database);
        PgConnection::connect_with(&options).await
    }

    /// The bootstrap superuser, who comes through the closed socket only: for what no tool of ours may do.
    pub(crate) async fn superuser(&self, database: &str) -> PgConnection {
        let server = self.server().await;
        let options = PgConnectOptions::new_without_pgpass()
            .socket(socket_folder(&server.folder))
            .port(server.port)
            .username("rdsadmin")
            .database(database);
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// Runs statements as somebody, in one session; answers with the rows of the last.
    pub(crate) async fn sql(&self, user: &str, database: &str, statements: &str) -> Result<Rows, String> {
        let mut connection = self.connect(user, database).await.map_err(|error| error.to_string())?;
        sql(&mut connection, statements).await
    }
}

/// Runs the binary to its end.
pub(crate) fn run(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The changes of a plan in JSON: address and actions.
pub(crate) fn changes(plan: &serde_json::Value) -> Vec<(String, String)> {
    let changes = plan["resource_changes"].as_array().unwrap().iter();
    let one = |change: &serde_json::Value| {
        let actions: Vec<&str> =
            change["change"]["actions"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        (change["address"].as_str().unwrap().to_owned(), actions.join(","))
    };
    changes.map(one).collect()
}

/// Runs statements in a session; answers with the rows as texts, or with the server's message.
pub(crate) async fn sql(connection: &mut PgConnection, statements: &str) -> Result<Rows, String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .fetch_all(connection)
        .await
        .map_err(|error| error.to_string())?;
    let text =
        |row: &sqlx::postgres::PgRow, column| row.try_get_unchecked::<Option<String>, _>(column).unwrap();
    Ok(rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect())
}

pub(crate) fn socket_folder(folder: &Path) -> PathBuf {
    let conf = fs::read_to_string(folder.join("data/infra.conf")).unwrap();
    let line = conf.lines().find(|line| line.starts_with("unix_socket_directories")).unwrap();
    PathBuf::from(line.split_once('=').unwrap().1.trim().trim_matches('\''))
}

pub(crate) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_infra"))
}
