//! An environment on this machine that has a replica set, worked on by the real binary and by another hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Deref,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use mongodb::{
    Client,
    bson::{Bson, Document, doc},
};
use serde_json::Value;

use crate::support::{
    replica_set::{
        ROOT, ReplicaSet, SNAPSHOT, escaped, runtime,
        shared::{Borrowed, borrow},
    },
    sandbox::{Ran, binary, changes, run},
};

/// How the users of these tests are called, unless they say otherwise.
pub(crate) const SUBJECT: &str = "CN={name},OU=apps,O=acme";
/// Longer than any command takes here.
const LONG: Duration = Duration::from_secs(30);

/// A user that is ours, as MongoDB knows him.
pub(crate) fn certificate(name: &str) -> String {
    SUBJECT.replace("{name}", name)
}

pub(crate) struct Project<S: Deref<Target = ReplicaSet> = Borrowed> {
    folder: tempfile::TempDir,
    pub(crate) set: S,
    /// The value of the variable that the environment takes the connection string from.
    pub(crate) uri: String,
    pub(crate) environment: String,
    /// Given to every plan and apply: Postgres is other tests' business.
    pub(crate) targets: Vec<&'static str>,
}

impl Project {
    /// With a set of three that is given back without anything that was made in it.
    pub(crate) fn new(yaml: &str) -> Self {
        Self::on(borrow("6.0.5"), yaml)
    }
}

impl<S: Deref<Target = ReplicaSet>> Project<S> {
    pub(crate) fn on(set: S, yaml: &str) -> Self {
        let uri = set.uri(ROOT);
        let folder = tempfile::tempdir().unwrap();
        let project = Self { folder, set, uri, environment: "local".into(), targets: vec!["mongo_*"] };
        project.write(yaml);
        project
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `yaml` is the environment without its platform and its clusters.
    pub(crate) fn write(&self, yaml: &str) {
        self.write_raw(&format!(
            "platform: {{local: {{}}}}\nclusters: {{main: {{}}}}\nmongo_clusters: {{events: {{uri: {{env: EVENTS}}, \
             authentication: {{x509: {{subject: \"{SUBJECT}\"}}}}}}}}\n{yaml}"
        ));
    }

    pub(crate) fn write_raw(&self, yaml: &str) {
        let folder = self.folder().join("environments").join(&self.environment);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("environment.yaml"), yaml).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder());
        command.env("INFRA_ENV", &self.environment).env("EVENTS", &self.uri);
        command.current_dir(self.folder()).args(arguments).stdin(Stdio::null());
        if ["plan", "apply"].contains(&arguments[0]) {
            command.args(self.targets.iter().map(|target| format!("--target={target}")));
        }
        command
    }

    /// No run ever tells the password that it logs in with.
    #[track_caller]
    pub(crate) fn infra(&self, arguments: &[&str]) -> Ran {
        let ran = run(self.command(arguments));
        let history = self.folder.path().join(".infra").join(&self.environment).join("history");
        let records = std::fs::read_dir(history).into_iter().flatten().map(|entry| entry.unwrap().path());
        let told = records.map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>();
        for secret in [ROOT.1, SNAPSHOT.1] {
            for secret in [secret.to_owned(), escaped(secret)] {
                assert!(!ran.stdout.contains(&secret) && !ran.stderr.contains(&secret), "{arguments:?}");
                assert!(!told.contains(&secret), "the history tells it: {arguments:?}");
            }
        }
        ran
    }

    #[track_caller]
    pub(crate) fn apply(&self) -> Ran {
        self.infra(&["apply", "--auto-approve"]).expect(0)
    }

    #[track_caller]
    pub(crate) fn plan(&self) -> Value {
        serde_json::from_str(&self.infra(&["plan", "--json"]).expect(0).stdout).unwrap()
    }

    /// The changes of a plan: address and action.
    #[track_caller]
    pub(crate) fn changes(&self) -> Vec<(String, String)> {
        changes(&self.plan())
    }

    /// Addresses that the plan holds, each with the reason.
    #[track_caller]
    pub(crate) fn held(&self) -> BTreeMap<String, String> {
        held(&self.plan())
    }

    #[track_caller]
    pub(crate) fn unmanaged(&self) -> Vec<String> {
        let plan = self.plan();
        let unmanaged = plan["unmanaged"].as_array().unwrap().iter();
        unmanaged
            .map(|address| address.as_str().unwrap().to_owned())
            .filter(|one| !is_of_the_set(one))
            .collect()
    }

    /// Plans, and there is nothing to do.
    #[track_caller]
    pub(crate) fn settled(&self) {
        let ran = self.infra(&["plan", "--detailed-exitcode", "-v"]).expect(0);
        assert!(ran.stdout.lines().any(|line| line.starts_with("No changes.")), "{}", ran.stdout);
    }

    /// The plan has these changes, each of these attributes and no others.
    #[track_caller]
    pub(crate) fn differs(&self, expected: &[(&str, &str, &[&str])]) {
        let plan = self.plan();
        let found: Vec<(String, String, Vec<String>)> = (plan["resource_changes"].as_array().unwrap().iter())
            .map(|change| {
                let (before, after) = (&change["change"]["before"], &change["change"]["after"]);
                let keys = before.as_object().into_iter().chain(after.as_object()).flat_map(|map| map.keys());
                let differing: BTreeSet<&String> = keys.filter(|key| before[*key] != after[*key]).collect();
                let action = change["change"]["actions"][0].as_str().unwrap();
                let names =
                    if action == "update" { differing.into_iter().cloned().collect() } else { Vec::new() };
                (change["address"].as_str().unwrap().into(), action.into(), names)
            })
            .collect();
        let expected: Vec<(String, String, Vec<String>)> = expected
            .iter()
            .map(|(address, action, names)| {
                ((*address).into(), (*action).into(), names.iter().map(|name| (*name).into()).collect())
            })
            .collect();
        assert_eq!(found, expected, "{plan:#}");
    }

    /// Does something as root on the primary, as somebody would by hand.
    #[track_caller]
    pub(crate) fn by_hand(&self, database: &str, command: Document) -> Document {
        by_hand(&self.set, database, command)
    }

    pub(crate) fn users(&self) -> BTreeMap<String, Document> {
        users(&self.set)
    }

    pub(crate) fn roles(&self) -> BTreeMap<String, Document> {
        roles(&self.set)
    }
}

impl<S: Deref<Target = ReplicaSet>> Drop for Project<S> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            clear(&self.set);
        }
    }
}

/// The reasons of a plan for what it holds.
pub(crate) fn held(plan: &Value) -> BTreeMap<String, String> {
    let held = plan["held"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    held.map(|held| (text(&held["address"]), text(&held["message"]))).collect()
}

/// What the tests' sets have without us.
fn is_of_the_set(address: &str) -> bool {
    address.ends_with(SNAPSHOT.0) || address.ends_with(ROOT.0)
}

#[track_caller]
pub(crate) fn by_hand(set: &ReplicaSet, database: &str, command: Document) -> Document {
    let client = set.client(Some(ROOT), set.await_primary());
    let shown = command.keys().next().cloned();
    ask(&client, database, command).unwrap_or_else(|error| panic!("{shown:?}: {error}"))
}

/// Runs a command in a session that stays open for as long as the client lives.
pub(crate) fn ask(client: &Client, database: &str, command: Document) -> Result<Document, String> {
    let database = client.database(database);
    let answer = runtime::wait(LONG, async move { database.run_command(command).await });
    answer.unwrap_or_else(|| panic!("no answer in time")).map_err(|error| error.to_string())
}

/// All users but those of the set itself, by `database.name`.
pub(crate) fn users(set: &ReplicaSet) -> BTreeMap<String, Document> {
    let asked = doc! {"usersInfo": {"forAllDBs": true}, "showCustomData": true};
    let answer = by_hand(set, "admin", asked);
    let all = answer.get_array("users").unwrap().iter().filter_map(Bson::as_document);
    all.map(|user| (user.get_str("_id").unwrap().to_owned(), user.clone()))
        .filter(|(name, _)| !is_of_the_set(name))
        .collect()
}

/// All roles of admin but those of MongoDB and of the set itself.
pub(crate) fn roles(set: &ReplicaSet) -> BTreeMap<String, Document> {
    let asked = doc! {"rolesInfo": 1, "showPrivileges": true, "showAuthenticationRestrictions": true};
    let answer = by_hand(set, "admin", asked);
    let all = answer.get_array("roles").unwrap().iter().filter_map(Bson::as_document);
    all.map(|role| (role.get_str("role").unwrap().to_owned(), role.clone()))
        .filter(|(name, _)| !is_of_the_set(name))
        .collect()
}

/// Removes whatever a test left.
pub(crate) fn clear(set: &ReplicaSet) {
    for (id, user) in users(set) {
        let name = user.get_str("user").unwrap();
        by_hand(set, id.split_once('.').unwrap().0, doc! {"dropUser": name});
    }
    for name in roles(set).into_keys() {
        by_hand(set, "admin", doc! {"dropRole": name});
    }
    let databases = by_hand(set, "admin", doc! {"listDatabases": 1, "nameOnly": true});
    for database in databases.get_array("databases").unwrap().iter().filter_map(Bson::as_document) {
        let name = database.get_str("name").unwrap();
        if !["admin", "local", "config", "app"].contains(&name) {
            by_hand(set, name, doc! {"dropDatabase": 1});
        }
    }
}

/// What something inherits: `role@database`.
pub(crate) fn granted(document: &Document) -> BTreeSet<String> {
    let grants = document.get_array("roles").unwrap().iter().filter_map(Bson::as_document);
    grants
        .map(|grant| format!("{}@{}", grant.get_str("role").unwrap(), grant.get_str("db").unwrap()))
        .collect()
}

pub(crate) fn pair(address: &str, action: &str) -> (String, String) {
    (address.to_owned(), action.to_owned())
}
