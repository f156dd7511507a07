//! Secrets by themselves: rotated, changed and lost by hand, in the way, and how often AWS is asked for them.

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
};

use mongodb::bson::doc;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::{BILLING, CLUSTERS, SERVICES, Shop, current};
use crate::{
    mongo_kinds::project::{ask, held, pair},
    support::{
        fault_proxy::{Fault, FaultProxy, Moment, Seen, When},
        replica_set::ROOT,
    },
};

const ORDERS: &str = "mongo_secret.events/orders";
const FIND: &str = "find";

/// A new version by whomever: seen, shown as just that, and set in MongoDB.
#[test]
fn a_rotated_secret_is_a_change() {
    let mut shop = Shop::new(&format!("{CLUSTERS}{SERVICES}"));
    shop.apply();
    let old = shop.password(BILLING);
    let before = current(&shop.account, BILLING);
    let rotate = "
secrets = of('secretsmanager')
value = json.loads(secrets.get_secret_value(SecretId=asked)['SecretString'])
value['password'] = 'Rotated-0123456789-canary'
answer = secrets.put_secret_value(SecretId=asked, SecretString=json.dumps(value))['VersionId']";
    let version = shop.account.script(rotate, &json!(BILLING));
    assert_ne!(version, before);
    let plan = shop.account.plan();
    let changes = plan["resource_changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{plan:#}");
    let change = &changes[0]["change"];
    assert_eq!(
        (&change["before"]["secret_version"], &change["after"]["secret_version"]),
        (&before, &version)
    );
    let shown = shop.infra(&["plan", "-v"]).expect(0).stdout;
    assert!(shown.contains("whoever has the password of before cannot log in with it any more"), "{shown}");
    assert!(shown.contains("> updateUser svc_billing in admin"), "{shown}");
    ask(&shop.session("svc_billing", &old), "billing", doc! {FIND: "x"}).unwrap();
    shop.apply();
    shop.settled();
    ask(&shop.session("svc_billing", "Rotated-0123456789-canary"), "billing", doc! {FIND: "x"}).unwrap();
    ask(&shop.session("svc_billing", &old), "billing", doc! {FIND: "x"}).unwrap_err();

    // One in which there is no password is said, and the old one stays.
    let broken = "answer = of('secretsmanager').put_secret_value(SecretId=asked, SecretString='canary-of-a-text')['VersionId']";
    shop.account.script(broken, &json!(BILLING));
    let failed = shop.account.infra(&["apply", "--auto-approve"]).expect(6);
    assert!(failed.stdout.contains("it is no JSON object with a `password`"), "{}", failed.stdout);
    assert!(!(failed.stdout + &failed.stderr).contains("canary"));
    ask(&shop.session("svc_billing", "Rotated-0123456789-canary"), "billing", doc! {FIND: "x"}).unwrap();
    // Deleted for good by hand: another is made, and set.
    shop.account.script(
        "answer = of('secretsmanager').delete_secret(SecretId=asked, ForceDeleteWithoutRecovery=True)['ARN']",
        &json!(BILLING),
    );
    let expected =
        [pair("mongo_secret.events/billing", "create"), pair("mongo_user.events/billing", "update")];
    assert_eq!(shop.changes(), expected);
    shop.apply();
    shop.settled();
    let made = shop.password(BILLING);
    ask(&shop.session("svc_billing", &made), "billing", doc! {FIND: "x"}).unwrap();
}

/// What somebody did by hand to a secret or to how its user may log in.
#[test]
fn drift() {
    let mut shop = Shop::new(&format!("{CLUSTERS}{SERVICES}"));
    shop.apply();
    shop.account.script(
        "answer = of('secretsmanager').tag_resource(SecretId=asked, Tags=[{'Key': 'owner', 'Value': 'me'}])",
        &json!("infra/prod/mongo/events/svc_orders"),
    );
    shop.account.differs(&[(ORDERS, &["tags"])]);
    shop.account.calls();
    shop.apply();
    let writes = shop.account.writes();
    assert_eq!(writes, ["secretsmanager:UntagResource"]);
    shop.settled();
    // A mechanism more, which takes a password: its own is set again.
    let weaker =
        doc! {"updateUser": "svc_orders", "pwd": "by-hand", "mechanisms": ["SCRAM-SHA-1", "SCRAM-SHA-256"]};
    shop.by_hand("admin", weaker);
    shop.account.differs(&[("mongo_user.events/orders", &["mechanisms"])]);
    shop.apply();
    shop.settled();
    shop.by_hand("admin", doc! {"updateUser": "svc_orders", "pwd": "by-hand", "mechanisms": ["SCRAM-SHA-1"]});
    shop.apply();
    shop.settled();
    let password = shop.password("infra/prod/mongo/events/svc_orders");
    ask(&shop.session("svc_orders", &password), "orders", doc! {FIND: "x"}).unwrap();
    shop.by_hand("admin", doc! {"dropUser": "svc_orders"});
    assert_eq!(shop.changes(), [pair("mongo_user.events/orders", "create")]);
    shop.apply();
    shop.settled();
    ask(&shop.session("svc_orders", &password), "orders", doc! {FIND: "x"}).unwrap();
    // Scheduled for deletion by hand, it is had back.
    shop.account
        .script("answer = of('secretsmanager').delete_secret(SecretId=asked)['ARN']", &json!(BILLING));
    shop.account.differs(&[("mongo_secret.events/billing", &["scheduled_for_deletion"])]);
    shop.apply();
    shop.settled();
}

/// A secret of our name without our mark, or with another's, is left alone, and so is its user.
#[test]
fn in_the_way() {
    let mut shop = Shop::new(&format!("{CLUSTERS}{SERVICES}"));
    let make = "
tags = [{'Key': 'infra:managed', 'Value': 'true'}, {'Key': 'infra:env', 'Value': 'test'}]
secrets = of('secretsmanager')
secrets.create_secret(Name='infra/prod/mongo/events/svc_billing', SecretString=json.dumps({'password': 'Theirs-0123456789'}))
secrets.create_secret(Name='infra/prod/mongo/events/svc_orders', SecretString='x', Tags=tags)
answer = secrets.create_secret(Name='infra/prod/mongo/events/else', SecretString='x')['ARN']";
    shop.account.script(make, &Value::Null);
    let refused = shop.account.infra(&["apply", "--auto-approve"]).expect(3).stderr;
    assert!(refused.contains("mongo_secret.events/orders carries the mark of environment test"), "{refused}");
    shop.account.infra(&["apply", "--auto-approve", "--exclude=mongo_secret.events/orders"]).expect(0);
    let plan = shop.account.plan();
    let held = held(&plan);
    assert!(held["mongo_secret.events/billing"].contains("does not carry our mark"), "{held:?}");
    assert!(held["mongo_secret.events/orders"].contains("belongs to environment test"), "{held:?}");
    assert_eq!(held["mongo_user.events/billing"], "mongo_secret.events/billing is held");
    let unmanaged = plan["unmanaged"].as_array().unwrap();
    assert!(unmanaged.contains(&json!("mongo_secret.infra/prod/mongo/events/else")), "{unmanaged:?}");
    let users = crate::mongo_kinds::project::users(&shop.set);
    assert_eq!(users.len(), 0, "{users:?}");

    shop.account.infra(&["import", "--adopt", "mongo_secret.events/billing"]).expect(0);
    assert_eq!(shop.changes(), [pair("mongo_user.events/billing", "create")]);
    shop.account.infra(&["apply", "--auto-approve", "--exclude=mongo_secret.events/orders"]).expect(0);
    ask(&shop.session("svc_billing", "Theirs-0123456789"), "billing", doc! {FIND: "x"}).unwrap();
}

/// Nobody has a password: nobody asks for secrets. Otherwise one list, and one look at each.
#[test]
fn how_often_aws_is_asked() {
    let x509 = CLUSTERS
        .replace("{env: EVENTS}", "{env: EVENTS}, authentication: {x509: {subject: \"CN={name},OU=a\"}}");
    let mut shop = Shop::new(&format!("{x509}{SERVICES}"));
    let secrets = |shop: &mut Shop| {
        shop.account.calls();
        shop.account.infra(&["plan"]).expect(0);
        let calls = shop.account.calls().into_iter();
        calls.filter(|call| call.starts_with("secretsmanager:")).collect::<Vec<_>>()
    };
    shop.account.apply();
    assert_eq!(secrets(&mut shop), Vec::<String>::new());
    // From certificates to passwords: each user is made anew.
    shop.account.write(&format!("{CLUSTERS}{SERVICES}"));
    let plan = shop.account.infra(&["plan"]).expect(0).stdout;
    assert!(plan.contains("mongo_user.events/billing must be replaced"), "{plan}");
    shop.apply();
    let mut calls = secrets(&mut shop);
    calls.sort();
    assert_eq!(
        calls,
        ["secretsmanager:DescribeSecret", "secretsmanager:DescribeSecret", "secretsmanager:ListSecrets"]
    );
    shop.settled();
}

/// More than a page of secrets, of which the last must be seen to be removed.
#[test]
fn every_page_is_read() {
    let mut shop = Shop::new(&format!("{CLUSTERS}{SERVICES}"));
    let many = "
secrets = of('secretsmanager')
for number in range(130):
    secrets.create_secret(Name=f'infra/prod/mongo/events/a{number:03}', SecretString='x')
answer = None";
    shop.account.script(many, &Value::Null);
    shop.apply();
    shop.account.write(&CLUSTERS.replace("mongo_clusters", "services: {billing: {service_account: a/b, mongo: events}, orders: {service_account: a/o}}\nmongo_clusters"));
    let gone = ["mongo_role.events/orders", ORDERS, "mongo_user.events/orders"]
        .map(|address| pair(address, "delete"));
    assert_eq!(shop.changes(), gone);
    shop.apply();
    shop.settled();
}

/// What AWS does not let us see, or does not do, is said; nothing is taken for absent, and the next run goes on.
#[test]
fn aws_refuses() {
    let mut shop = Shop::new(&format!("{CLUSTERS}{SERVICES}"));
    let refuse = |action: &str| json!({"denied": [format!("secretsmanager:{action}")]});
    for action in ["ListSecrets", "DescribeSecret"] {
        shop.account.emulator.settings(&refuse(action));
        let ran = shop.account.infra(&["plan", "--json"]).expect(1);
        let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
        let held = held(&plan);
        let why = &held["mongo_secret.events/billing"];
        assert!(
            why.contains("secret_path.infra/prod/mongo could not be read") && why.contains(action),
            "{why}"
        );
        assert_eq!(held["mongo_user.events/billing"], "mongo_secret.events/billing is held");
        shop.account.infra(&["apply", "--auto-approve"]).expect(1);
    }
    for (action, told) in [
        ("GetRandomPassword", "secretsmanager:GetRandomPassword was refused"),
        ("CreateSecret", "secretsmanager:CreateSecret was refused"),
        ("GetSecretValue", "secretsmanager:GetSecretValue was refused"),
    ] {
        shop.account.emulator.settings(&refuse(action));
        let failed = shop.account.infra(&["apply", "--auto-approve"]).expect(6);
        assert!(failed.stdout.contains(told), "{}", failed.stdout);
        let users = crate::mongo_kinds::project::users(&shop.set);
        assert_eq!(users.len(), 0, "{users:?}");
    }
    shop.account.emulator.settings(&refuse(""));
    shop.apply();
    shop.settled();
    shop.account.emulator.settings(&refuse("DeleteSecret"));
    shop.account.write(&format!("{CLUSTERS}{}", SERVICES.replace(", mongo: events}}", "}}")));
    let failed = shop.account.infra(&["apply", "--auto-approve", "--allow-destroy=all"]).expect(6);
    assert!(failed.stdout.contains("secretsmanager:DeleteSecret was refused"), "{}", failed.stdout);
    shop.account.emulator.settings(&refuse(""));
    assert_eq!(shop.changes(), [pair(ORDERS, "delete")]);
    shop.apply();
    shop.settled();
}

/// Applies through a proxy, and is killed at the n-th call that changes something on AWS. The next run goes on, and every
/// password opens what it is for.
fn killed_at(shop: &mut Shop, proxy: &FaultProxy, number: usize, moment: Moment) {
    let victim: Arc<Mutex<Option<u32>>> = Arc::default();
    let his = victim.clone();
    let hook = move |_: &Seen| {
        if let Some(pid) = his.lock().unwrap().take() {
            kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
        }
    };
    proxy.reset();
    proxy.hook(When::Change(number), moment, Box::new(hook));
    let mut locked = victim.lock().unwrap();
    let mut command = shop.account.command(&["apply", "--auto-approve", "--allow-destroy=all"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    *locked = Some(child.id());
    drop(locked);
    assert_eq!(child.wait().unwrap().code(), None, "it was not killed: {number} {moment:?}");
    proxy.reset();
    shop.apply();
    shop.settled();
    for (name, secret) in shop.secrets() {
        let user = name.rsplit('/').next().unwrap();
        let Some(password) = secret["password"].as_str() else { continue };
        let database = user.trim_start_matches("svc_");
        ask(&shop.session(user, password), database, doc! {FIND: "x"}).unwrap();
    }
}

/// Before or after any call that makes, withdraws or restores a secret; and when only the answer to it is lost.
#[test]
fn killed_between_aws_and_mongo() {
    let both = format!("{CLUSTERS}{SERVICES}");
    let one = both.replace("a/orders, mongo: events", "a/orders");
    let none = both.replace(", mongo: events", "");
    let mut shop = Shop::new(&none);
    let proxy = FaultProxy::start(shop.account.emulator.port());
    shop.account.url = proxy.url();
    for (number, moment) in [(1, Moment::Before), (1, Moment::After), (2, Moment::Before), (2, Moment::After)]
    {
        shop.account.write(&both);
        killed_at(&mut shop, &proxy, number, moment);
        // Gone for good, so that they are made again and not had back.
        shop.account.write(&none);
        shop.apply();
        let forget = "
secrets, answer = of('secretsmanager'), None
for one in secrets.list_secrets(IncludePlannedDeletion=True)['SecretList']:
    secrets.delete_secret(SecretId=one['ARN'], ForceDeleteWithoutRecovery=True)";
        shop.account.script(forget, &Value::Null);
    }
    shop.account.write(&both);
    shop.apply();
    for moment in [Moment::Before, Moment::After] {
        for declared in [&one, &both] {
            shop.account.write(declared);
            killed_at(&mut shop, &proxy, 1, moment);
        }
    }
    for fault in [Fault::ResetAfter, Fault::CutOff] {
        let delete = "answer = of('secretsmanager').delete_secret(SecretId=asked, ForceDeleteWithoutRecovery=True)['ARN']";
        shop.account.script(delete, &json!(BILLING));
        proxy.reset();
        proxy.inject(When::Action("CreateSecret", 1), fault);
        shop.apply();
        assert_eq!(proxy.struck().len(), 1);
        proxy.reset();
        shop.settled();
    }
}

/// A world that is written to a file holds no password and no connection string, and gives the same plan.
#[test]
fn a_world_in_a_file() {
    let mut shop = Shop::new(&format!("{CLUSTERS}{SERVICES}"));
    shop.apply();
    let password = shop.password(BILLING);
    shop.by_hand("admin", doc! {"grantRolesToUser": "svc_billing", "roles": ["read"]});
    shop.by_hand(
        "admin",
        doc! {"createUser": "x", "pwd": "x", "roles": [], "customData": {"token": "canary-custom"}},
    );
    let file = shop.account.folder().join("world.json");
    let path = file.display().to_string();
    let live = shop.infra(&["plan", "--save-world", &path]).expect(0).stdout;
    let world = std::fs::read_to_string(&file).unwrap();
    for secret in [password.as_str(), ROOT.1, "canary-custom", "mongodb://"] {
        assert!(!world.contains(secret), "{secret}");
    }
    assert_eq!(shop.infra(&["plan", "--world", &path]).expect(0).stdout, live);
}
