//! The environments of this repository, as they stand: from nothing to the last role in one run, and away again.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::{Value, json};

use super::{account::Account, served::Served};
use crate::{
    mongo_kinds::project::{roles, users},
    support::{
        emulator::Emulator,
        replica_set::{
            ROOT,
            shared::{Borrowed, borrow},
        },
        verifier::Refusal,
    },
};

/// One of the repository's own environments, under its own name; `over` is laid over it.
fn declare(account: &Account, name: &str, over: &str) {
    let (from, to) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("environments"), account.folder().join("environments"));
    for (source, folder) in [("base", "base"), (name, "declared")] {
        fs::create_dir_all(to.join(folder)).unwrap();
        for file in fs::read_dir(from.join(source)).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), to.join(folder).join(file.file_name())).unwrap();
        }
    }
    account.write_as(name, &format!("extends: ../declared\n{over}"));
}

/// What must differ: no profile of this machine, and the server that stands for the cluster.
fn overlay(served: &Served) -> String {
    format!(
        "platform: {{aws: {{profile: null}}}}\nclusters:\n  main: {{engine_version: \"{}\", connection: {}}}\n",
        served.version(),
        served.connection()
    )
}

/// The replica set that both environments declare.
struct Events(Borrowed);

impl Events {
    fn start(account: &mut Account) -> Self {
        let set = borrow("6.0.5");
        account.variables.push(("EVENTS_MONGO_URI", set.uri(ROOT)));
        Self(set)
    }

    /// The bucket of the ledger.
    fn with_ledger(self, account: &Account) -> Self {
        let bucket = "of('s3').create_bucket(Bucket='acme-infra', CreateBucketConfiguration={'LocationConstraint': 'eu-central-1'})";
        account.script(bucket, &Value::Null);
        self
    }

    /// What the policy of its backups needs: a program that takes snapshots.
    fn with_backups(self, account: &mut Account) -> Self {
        let programs = account.folder().join("programs");
        fs::create_dir_all(&programs).unwrap();
        let program = programs.join("make-vm-snapshot");
        fs::write(&program, "#!/bin/sh\necho snap-1\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        account.variables.push(("PATH", format!("{}:/usr/bin:/bin", programs.display())));
        self
    }

    /// Nothing of ours is left.
    #[track_caller]
    fn is_empty(&self) {
        assert_eq!((users(&self.0).len(), roles(&self.0).len()), (0, 0));
    }
}

/// How many objects of each kind a plan makes.
fn made(plan: &Value, kind: &str) -> usize {
    let changes = plan["resource_changes"].as_array().unwrap().iter();
    changes.filter(|change| change["type"] == kind && change["change"]["actions"][0] == "create").count()
}

#[test]
fn prod() {
    let mut account = Account::with_principals();
    let served = Served::start(&account, "prod-main");
    let events = Events::start(&mut account).with_ledger(&account).with_backups(&mut account);
    declare(&account, "prod", &overlay(&served));

    let plan = account.infra(&["plan"]).expect(0).stdout;
    for line in [
        "# aurora_subnet_group.main will be created",
        "# aurora_parameter_group.main/pg15 will be created",
        "# aurora_cluster.main will be created",
        "# aurora_instance.main/1 will be created",
        "# aurora_instance.main/3 will be created",
        "# pg_logins.main will be created",
        "# iam_role.service/orders will be created",
        "# iam_role.person/ana will be created",
        "# pg_role.main/svc_orders_app will be created",
        "# pg_role.main/dev_ana will be created",
        "# pg_database.main/orders will be created",
        "# pg_extension.main/catalog/pg_trgm will be created",
        "# pg_access.main/reporting will be created",
        "# mongo_secret.events/billing will be created",
        "# mongo_role.events/billing will be created",
        "# mongo_user.events/person/dmitri will be created",
        "# mongo_user.events/infra/backup will be created",
        "# mongo_snapshot.events/current will be created",
    ] {
        assert!(plan.contains(line), "{line}\n{plan}");
    }
    let json = account.plan();
    let counts = ["aurora_cluster", "aurora_instance", "iam_role", "pg_database", "pg_access"];
    assert_eq!(counts.map(|kind| made(&json, kind)), [1, 3, 13, 8, 8]);
    assert_eq!(made(&json, "pg_role"), 8 * 6 + 3 + 5);
    // One service, two groups and four people have to do with the replica set, and somebody takes its backups.
    let counts = ["mongo_role", "mongo_user", "mongo_secret"];
    assert_eq!(counts.map(|kind| made(&json, kind)), [1 + 2 + 1, 1 + 4 + 1, 1 + 4 + 1]);

    let ran = account.apply();
    assert!(ran.stdout.contains("Apply complete!"), "{}", ran.stdout);
    assert_eq!(served.verifier.refused(), []);
    assert_eq!(served.users(), ["infra_admin", "infra_planner"].map(str::to_owned).into());
    served.verifier.reset();
    account.settled();
    assert_eq!(served.users(), ["infra_planner"].map(str::to_owned).into());

    // The service makes a table by its migrator, and works in it; a person may look.
    let work = |user: &str, sql: &str| served.work(user, "orders", sql);
    work("svc_orders_migrator", "CREATE TABLE item (id int PRIMARY KEY)").unwrap();
    work("svc_orders_app", "INSERT INTO item VALUES (7)").unwrap();
    assert_eq!(work("svc_orders_reader", "SELECT id FROM item").unwrap(), "7");
    assert_eq!(work("dev_ana", "SELECT id FROM app.item").unwrap(), "7");
    let refused = work("dev_ana", "INSERT INTO app.item VALUES (8)").unwrap_err();
    assert!(refused.contains("permission denied"), "{refused}");
    let refused = work("svc_billing_app", "SELECT 1").unwrap_err();
    assert!(refused.contains("permission denied for database"), "{refused}");
    account.settled();

    // The roles that were made let in just those they are for.
    served.obey(&account);
    for (role, user, may) in [
        ("infra-prod-svc-orders", "svc_orders_app", true),
        ("infra-prod-svc-orders", "svc_orders_migrator", true),
        ("infra-prod-svc-orders", "svc_billing_app", false),
        ("infra-prod-svc-orders", "infra_admin", false),
        ("infra-prod-dev-ana", "dev_ana", true),
        ("infra-prod-dev-ana", "dev_boris", false),
        ("infra-prod-dev-ana", "svc_orders_app", false),
    ] {
        let worked = served.work_by(&account, role, user, "orders", "SELECT 1");
        assert_eq!(worked.is_ok(), may, "{role} as {user}: {worked:?}");
        let refused = served.verifier.refused().iter().any(|refused| refused.reason == Refusal::Policy);
        assert_eq!(refused, !may, "{role} as {user}");
        served.verifier.reset();
    }

    let verified = account.infra(&["verify"]).expect(0).stdout;
    assert!(verified.contains("svc_orders_app"), "{verified}");
    account.settled();

    // It is protected: what is to go must be named, each by itself.
    account.calls();
    account.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(3);
    let refused = account.infra(&["destroy", "--auto-approve"]).expect(3);
    assert_eq!(account.writes(), Vec::<String>::new());
    let named: BTreeSet<&str> = refused
        .stderr
        .split_whitespace()
        .filter(|word| {
            ["a", "i", "m"].iter().any(|kind| word.starts_with(&format!("--allow-destroy={kind}")))
        })
        .collect();
    assert_eq!(named.len(), 1 + 3 + 2 + 13 + 4 + 6 + 6, "{}", refused.stderr);
    let arguments = ["destroy", "--auto-approve"].into_iter().chain(named);
    account.infra(&arguments.collect::<Vec<_>>()).expect(0);
    let left = account.left();
    assert!(left.len() == 1 && left[0].starts_with("snapshot prod-main-final-"), "{left:?}");
    let again = account.infra(&["destroy", "--auto-approve"]).expect(0);
    assert_eq!(account.left(), left, "{}", again.stdout);
    events.is_empty();
}

/// Two environments in one account, each with its own server: what happens to one is nothing to the other.
#[test]
fn two_in_one_account() {
    let mut account = Account::with_principals();
    let names = ["prod", "test"];
    let served = names.map(|name| Served::start(&account, &format!("{name}-main")));
    for (name, served) in names.iter().zip(&served) {
        account.environment = (*name).into();
        account.write(&format!(
            "clusters:\n  main: {{engine_version: \"{}\", instance_class: db.r6g.large, subnets: [subnet-a, subnet-b], connection: {}}}\n\
             services: {{orders: {{service_account: a/b}}}}\npeople: {{ana: {{principal: \"arn:aws:iam::111122223333:user/ana\"}}}}\n",
            served.version(),
            served.connection()
        ));
        account.apply();
    }
    for name in names {
        account.environment = name.into();
        account.settled();
        assert_eq!(account.plan()["unmanaged"], json!([]), "{name}");
    }
    served[0].verifier.reset();
    account.environment = "test".into();
    account.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    assert_eq!(served[0].verifier.accepted(), [], "the other's server was not even asked");
    account.environment = "prod".into();
    account.settled();
    assert_eq!(served[0].work("svc_orders_app", "orders", "SELECT 1").unwrap(), "1");
    let mut left = account.left();
    left.retain(|one| one.contains("test"));
    assert!(left.len() == 1 && left[0].starts_with("snapshot test-main-final-"), "{left:?}");
}

/// A second service and a person leaving, in a second run, which logs in as the first one made it possible.
#[test]
fn one_run_after_the_other() {
    let account = Account::with_principals();
    let served = Served::start(&account, "prod-main");
    let cluster = |more: &str| {
        format!(
            "clusters:\n  main: {{engine_version: \"{}\", instance_class: db.r6g.large, readers: 1, apply: immediately, \
             subnets: [subnet-a, subnet-b], security_groups: [sg-1], connection: {}{more}}}\n",
            served.version(),
            served.connection()
        )
    };
    let ana = "people: {ana: {principal: \"arn:aws:iam::111122223333:user/ana\"}}\n";
    account.write(&format!("{}services: {{orders: {{service_account: a/orders}}}}\n{ana}", cluster("")));
    account.apply();
    account.settled();
    account.write(&format!(
        "{}services: {{orders: {{service_account: a/orders}}, billing: {{service_account: a/billing}}}}\n",
        cluster("")
    ));
    account.apply();
    account.settled();
    assert_eq!(served.work("svc_billing_app", "billing", "SELECT 1").unwrap(), "1");
    let refused = served.work("dev_ana", "orders", "SELECT 1").unwrap_err();
    assert!(refused.contains("failed"), "{refused}");
    assert!(!account.left().contains(&"role infra-prod-dev-ana".to_owned()));
    account.write(&format!(
        "{}removed: {{services: {{orders: {{data: drop}}, billing: {{data: keep}}}}}}\n",
        cluster(", parameters: {max_connections: 500}")
    ));
    // That instances wait for a restart is seen once the parameter is set: the next run restarts them.
    let first = account.infra(&["apply", "--auto-approve", "--allow-destroy=all"]).expect(6);
    let expected = "2 still differ from what is declared: aurora_instance.main/1, aurora_instance.main/2";
    assert!(first.stderr.contains(expected), "{}", first.stderr);
    account.calls();
    account.apply();
    assert_eq!(account.writes(), ["rds:RebootDBInstance", "rds:FailoverDBCluster", "rds:RebootDBInstance"]);
    account.settled();
}

/// All services in one database, with Pod Identity, in another account.
#[test]
fn test() {
    const TEST: &str = "444455556666";
    let principals = "arn:aws:iam::111122223333:user/ana,arn:aws:iam::111122223333:role/engineering/esi,\
        arn:aws:iam::444455556666:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_abcdef0123456789";
    let emulator = Emulator::start_with(TEST, &[("EMULATOR_PRINCIPALS", principals)]);
    let mut account = Account::new(emulator);
    account.environment = "test".into();
    let served = Served::start(&account, "test-main");
    let events = Events::start(&mut account).with_ledger(&account);
    declare(&account, "test", &overlay(&served));
    let plan = account.plan();
    let counts = ["aurora_cluster", "aurora_instance", "iam_role", "pg_database", "pg_schema"];
    assert_eq!(counts.map(|kind| made(&plan, kind)), [1, 1, 13, 1, 8]);
    let counts = ["mongo_role", "mongo_user", "mongo_secret"];
    assert_eq!(counts.map(|kind| made(&plan, kind)), [3, 5, 5]);
    account.apply();
    account.settled();
    let work = |user: &str, sql: &str| served.work(user, "shared", sql);
    work("svc_orders_migrator", "CREATE TABLE item (id int PRIMARY KEY)").unwrap();
    work("dev_ana", "INSERT INTO orders.item VALUES (7)").unwrap();
    assert_eq!(work("svc_orders_app", "SELECT id FROM item").unwrap(), "7");
    let refused = work("svc_billing_app", "SELECT id FROM orders.item").unwrap_err();
    assert!(refused.contains("permission denied for schema orders"), "{refused}");
    account.infra(&["verify"]).expect(0);
    account.settled();
    account.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    let left = account.left();
    assert!(left.len() == 1 && left[0].starts_with("snapshot test-main-final-"), "{left:?}");
    events.is_empty();
}
