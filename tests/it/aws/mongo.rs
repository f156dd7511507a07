//! Users of MongoDB whose passwords lie in Secrets Manager: made, used, rotated, withdrawn, and seen by nobody.

mod access;
mod connect;
mod secrets;

use std::{collections::BTreeMap, time::Duration};

use mongodb::{
    Client,
    bson::Document,
    options::{AuthMechanism, ClientOptions, Credential, ServerAddress},
};
use serde_json::{Value, json};

use super::account::Account;
use crate::{
    mongo_kinds::project::clear,
    support::{
        emulator::Emulator,
        replica_set::{
            ROOT, escaped, runtime,
            shared::{Borrowed, borrow},
        },
        sandbox::{Ran, changes},
    },
};

/// The environment up to its services.
const CLUSTERS: &str = "
clusters: {main: {engine_version: \"16\", instance_class: db.r6g.large, subnets: [subnet-a, subnet-b]}}
mongo_clusters: {events: {uri: {env: EVENTS}}}
";
const SERVICES: &str = "services: {billing: {service_account: a/billing, mongo: events}, orders: {service_account: a/orders, mongo: events}}\n";
const PEOPLE: &str = "people: {ana: {principal: \"arn:aws:iam::111122223333:user/ana\"}}\n\
    developer_groups: {backend: {members: [ana], services: [billing]}}\n";

const BILLING: &str = "infra/prod/mongo/events/svc_billing";

/// An account, and a replica set that its environment declares. No run ever tells a password.
struct Shop {
    account: Account,
    set: Borrowed,
    /// Every password that ever was.
    passwords: Vec<String>,
}

impl Shop {
    fn new(yaml: &str) -> Self {
        Self::on(Account::new(Emulator::start()), yaml)
    }

    fn on(mut account: Account, yaml: &str) -> Self {
        let set = borrow("6.0.5");
        account.targets = vec!["mongo_*"];
        account.variables.push(("EVENTS", set.uri(ROOT)));
        account.write(yaml);
        Self { account, set, passwords: vec![ROOT.1.into(), escaped(ROOT.1)] }
    }

    /// Each secret as it is now: what stands in it, or that it goes.
    fn secrets(&mut self) -> BTreeMap<String, Value> {
        let script = "
secrets, answer = of('secretsmanager'), {}
for page in secrets.get_paginator('list_secrets').paginate(IncludePlannedDeletion=True):
    for one in page['SecretList']:
        if one.get('DeletedDate'):
            answer[one['Name']] = 'scheduled for deletion'
        elif not one['Name'].startswith('rds!'):
            text = secrets.get_secret_value(SecretId=one['ARN'])['SecretString']
            answer[one['Name']] = json.loads(text) if text.startswith('{') else {}
";
        let all = self.account.script(script, &Value::Null);
        let all: BTreeMap<String, Value> = serde_json::from_value(all).unwrap();
        self.passwords.extend(all.values().filter_map(|one| one["password"].as_str().map(str::to_owned)));
        all
    }

    fn password(&mut self, secret: &str) -> String {
        self.secrets()[secret]["password"].as_str().unwrap().to_owned()
    }

    /// Runs, and looks whether it told anything; also what a run makes is known only after it.
    fn infra(&mut self, arguments: &[&str]) -> Ran {
        let ran = self.account.infra(arguments);
        self.secrets();
        for password in &self.passwords {
            assert!(!ran.stdout.contains(password) && !ran.stderr.contains(password), "{arguments:?}");
        }
        ran
    }

    fn apply(&mut self) -> Ran {
        self.infra(&["apply", "--auto-approve", "--allow-destroy=all"]).expect(0)
    }

    fn settled(&mut self) {
        let ran = self.infra(&["plan", "--detailed-exitcode", "-v"]).expect(0);
        assert!(ran.stdout.lines().any(|line| line.starts_with("No changes.")), "{}", ran.stdout);
    }

    fn changes(&mut self) -> Vec<(String, String)> {
        let plan = self.infra(&["plan", "--json"]).expect(0).stdout;
        changes(&serde_json::from_str(&plan).unwrap())
    }

    /// A session of whoever has this password, on the primary.
    fn session(&self, user: &str, password: &str) -> Client {
        self.session_by(user, password, AuthMechanism::ScramSha256, self.set.await_primary())
    }

    fn session_by(&self, user: &str, password: &str, mechanism: AuthMechanism, member: usize) -> Client {
        let mut credential = Credential::default();
        credential.username = Some(user.into());
        credential.password = Some(password.into());
        credential.source = Some("admin".into());
        credential.mechanism = Some(mechanism);
        let port = self.set.members[member].port;
        let address = ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(port) };
        runtime::client(
            ClientOptions::builder()
                .hosts(vec![address])
                .direct_connection(true)
                .server_selection_timeout(Duration::from_secs(5))
                .credential(credential)
                .build(),
        )
    }

    fn by_hand(&self, database: &str, command: Document) -> Document {
        crate::mongo_kinds::project::by_hand(&self.set, database, command)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            clear(&self.set);
        }
    }
}

/// The version ids of a secret that count.
fn current(account: &Account, secret: &str) -> Value {
    let script = "
stages = of('secretsmanager').describe_secret(SecretId=asked)['VersionIdsToStages']
answer = [one for one, names in stages.items() if 'AWSCURRENT' in names]";
    account.script(script, &json!(secret))[0].clone()
}
