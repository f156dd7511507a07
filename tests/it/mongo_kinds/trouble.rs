//! Replica sets that cannot be reached, do not let us in, or have nobody to write to.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use infra::{
    model::{mongo_uri::MongoUri, secret::Secret},
    providers::{
        ReadWrite,
        mongo::{
            Access, Mongo,
            admin::{Made, NewUser, Password},
        },
    },
};
use mongodb::bson::doc;

use super::project::{Project, held, pair};
use crate::support::replica_set::{Layout, ROOT, ReplicaSet, escaped};

const YAML: &str = "services: {billing: {mongo: events}}\n";
const CANARY: &str = "canary-7f3a";

/// What a plan says when it cannot see; it never takes that for absence.
#[track_caller]
fn cannot_be_read(project: &Project, uri: &str, why: &str) {
    let mut command = project.command(&["plan", "--json"]);
    command.env("EVENTS", uri);
    let ran = crate::support::sandbox::run(command).expect(1);
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(plan["resource_changes"].as_array().unwrap().len(), 0, "{}", ran.stdout);
    let held = held(&plan);
    assert_eq!(held.keys().collect::<Vec<_>>(), ["mongo_role.events/billing", "mongo_user.events/billing"]);
    assert!(ran.stderr.contains("mongo_cluster.events could not be read"), "{}", ran.stderr);
    assert!(ran.stderr.contains(why), "{why}\n{}", ran.stderr);
    for text in [&ran.stdout, &ran.stderr] {
        for secret in [ROOT.1.to_owned(), escaped(ROOT.1), CANARY.to_owned()] {
            assert!(!text.contains(&secret), "{text}");
        }
    }
    // Nor does anything else change anything.
    for arguments in [&["apply", "--auto-approve"][..], &["destroy", "--auto-approve", "--allow-destroy=all"]]
    {
        let mut command = project.command(arguments);
        command.env("EVENTS", uri);
        let ran = crate::support::sandbox::run(command).expect(1);
        assert!(ran.stderr.contains("mongo_cluster.events could not be read"), "{}", ran.stderr);
    }
}

#[test]
fn unreadable_is_not_absent() {
    let project = Project::new(YAML);
    project.apply();
    let before = project.users();
    let host = project.set.members[0].host.clone();
    let root = format!("{}:{}", ROOT.0, escaped(ROOT.1));
    project.by_hand("admin", doc! {"createUser": "blind", "pwd": CANARY, "roles": ["read"]});
    for (uri, why) in [
        (String::new(), "EVENTS, which is not set"),
        (
            format!("mongodb://{}:{CANARY}@{host}/admin", ROOT.0),
            "cannot log in: wrong password, or no such user in admin",
        ),
        (format!("mongodb://nobody:{CANARY}@{host}/admin"), "nobody cannot log in"),
        (
            format!("mongodb://blind:{CANARY}@{host}/admin"),
            "blind may not do this (rolesInfo); to plan, it needs viewUser and viewRole",
        ),
        (format!("mongodb://{host}/admin"), "viewUser"),
        (format!("mongodb://{root}@127.0.0.1:9/admin"), "127.0.0.1:9 cannot be reached: Connection refused"),
        (
            format!("mongodb://{root}@{host}/admin?replicaSet=other"),
            "is of the replica set rs0, not of other",
        ),
        (format!("mongodb://{root}@{host}/admin?tls=true"), "cannot be reached"),
        (format!("mongodb://admin:{CANARY}%zz@{host}/admin"), "mongo_clusters.events.uri:"),
        (format!("postgres://admin:{CANARY}@{host}/admin"), "mongo_clusters.events.uri:"),
    ] {
        cannot_be_read(&project, &uri, why);
    }
    project.by_hand("admin", doc! {"dropUser": "blind"});
    assert_eq!(project.users(), before);
    project.settled();
}

/// Where nothing is declared any more, that nothing can be seen is said all the same.
#[test]
fn what_would_go_unsaid() {
    let project = Project::new("services: {billing: {}}\n");
    let mut command = project.command(&["plan"]);
    command.env("EVENTS", "mongodb://127.0.0.1:9/");
    let ran = crate::support::sandbox::run(command).expect(1);
    assert!(ran.stderr.contains("mongo_cluster.events could not be read"), "{}", ran.stderr);
}

/// The least that planning and applying take.
#[test]
fn least_privileges() {
    let mut project = Project::new(YAML);
    let view = |database: &str, actions: &[&str]| {
        doc! {"resource": {"db": database, "collection": ""}, "actions": actions.to_vec()}
    };
    let planner = [view("admin", &["viewUser", "viewRole"]), view("$external", &["viewUser"])];
    project.by_hand("admin", doc! {"createRole": "planner", "roles": [], "privileges": planner.to_vec()});
    project.by_hand("admin", doc! {"createUser": "planner", "pwd": CANARY, "roles": ["planner"]});
    project
        .by_hand("admin", doc! {"createUser": "applier", "pwd": CANARY, "roles": ["userAdminAnyDatabase"]});
    let host = project.set.members[project.set.await_primary()].host.clone();
    project.uri = format!("mongodb://planner:{CANARY}@{host}/admin");
    assert_eq!(
        project.changes(),
        [pair("mongo_role.events/billing", "create"), pair("mongo_user.events/billing", "create")]
    );
    let failed = project.infra(&["apply", "--auto-approve"]).expect(6);
    assert!(failed.stdout.contains("planner may not do this (createRole)"), "{}", failed.stdout);
    assert!(failed.stdout.contains("mongo_user.events/billing (because of mongo_role.events/billing)"));
    assert!(!(failed.stdout + &failed.stderr).contains(CANARY));
    assert_eq!(project.roles().into_keys().collect::<Vec<_>>(), ["planner"]);

    project.uri = format!("mongodb://applier:{CANARY}@{host}/admin");
    let yaml = "people: {ana: {}}\ndeveloper_groups: {backend: {members: [ana], services: all}}\n";
    project.write(&format!("{YAML}{yaml}"));
    project.apply();
    project.settled();
    project.uri = format!("mongodb://planner:{CANARY}@{host}/admin");
    project.settled();
    project.uri = format!("mongodb://applier:{CANARY}@{host}/admin");
    project.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    assert_eq!(project.users().len(), 2);
}

/// Any member tells what there is; changes wait for a primary, and then go on.
#[test]
fn without_a_primary() {
    let set = Layout::of(3).start();
    let project = Project::on(Box::new(set), YAML);
    let set: &ReplicaSet = &project.set;
    project.apply();
    let primary = set.await_primary();
    let others: Vec<usize> = (0..3).filter(|member| *member != primary).collect();
    // A majority has what was applied; the one that stays must be of it.
    set.until_replicated();
    // One that is left alone is no primary for long.
    set.members[primary].kill();
    set.members[others[0]].kill();
    project.settled();
    project.write("services: {billing: {mongo: events}, orders: {mongo: events}}\n");
    assert_eq!(
        project.changes(),
        [pair("mongo_role.events/orders", "create"), pair("mongo_user.events/orders", "create")]
    );
    let begun = Instant::now();
    let failed = project.infra(&["apply", "--auto-approve"]).expect(6);
    assert!(failed.stdout.contains("the replica set events has no primary now"), "{}", failed.stdout);
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(20) && waited < Duration::from_mins(1), "{waited:?}");

    // An election while it waits is enough.
    let applying = project.command(&["apply", "--auto-approve"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    set.members[primary].start();
    set.members[others[0]].start();
    assert!(applying.wait_with_output().unwrap().status.success());
    set.until_healthy();
    project.settled();
}

/// A change that no majority has is not called done, and the next run goes on from it.
#[test]
fn without_a_majority() {
    let project = Project::new(YAML);
    let secondaries = project.set.secondaries();
    for member in &secondaries {
        project.set.fsync_lock(*member);
    }
    let failed = project.infra(&["apply", "--auto-approve"]).expect(6);
    assert!(
        failed.stdout.contains("a majority of the members did not have it (createRole)"),
        "{}",
        failed.stdout
    );
    assert!(failed.stdout.contains("Not attempted:\n  mongo_user.events/billing"), "{}", failed.stdout);
    for member in &secondaries {
        project.set.fsync_unlock(*member);
    }
    project.apply();
    project.settled();
}

/// Whatever decides to, the client never changes or drops whom it is logged in as.
#[tokio::test]
async fn the_client_spares_itself() {
    let project = Project::new(YAML);
    let access = Access::new(MongoUri::parse(&project.uri).unwrap().uri, "infra tests");
    let client = Mongo::<ReadWrite>::new("events", access);
    let (roles, mechanisms) = (BTreeSet::new(), BTreeSet::from(["SCRAM-SHA-256".to_owned()]));
    let password = Password { value: Secret::new(CANARY.into()), version: "1".into() };
    let user = |name| NewUser {
        name,
        database: "admin",
        roles: &roles,
        mechanisms: &mechanisms,
        mark: "mark",
        password: Some(&password),
    };
    let refused = client.drop_user(ROOT.0, "admin").await.unwrap_err().to_string();
    assert!(refused.contains("is who infra is logged in as"), "{refused}");
    let roles = BTreeSet::new();
    let refused =
        client.update_user(&NewUser { roles: &roles, ..user(ROOT.0) }).await.unwrap_err().to_string();
    assert!(refused.contains("is who infra is logged in as"), "{refused}");
    // Others it does, also when they are gone already.
    assert_eq!(client.create_user(&user("other")).await.unwrap(), Made::Now);
    assert_eq!(client.create_user(&user("other")).await.unwrap(), Made::Exists);
    client.drop_user("other", "admin").await.unwrap();
    client.drop_user("other", "admin").await.unwrap();
}

/// Each command may be answered by a connection that breaks, or by a primary that is none any more.
#[test]
fn lost_answers_and_new_primaries() {
    let project = Project::on(Box::new(Layout::of(3).blockable().start()), YAML);
    let all = ["createRole", "createUser", "updateRole", "updateUser", "dropRole", "dropUser"];
    let fail = |data: mongodb::bson::Document| {
        let primary = project.set.await_primary();
        let mut data = data;
        data.insert("failCommands", all.to_vec());
        project
            .set
            .run(primary, doc! {"configureFailPoint": "failCommand", "mode": {"times": 2}, "data": data});
    };
    let both = "services: {billing: {mongo: events}, orders: {mongo: events}}\n";
    for data in [doc! {"closeConnection": true}, doc! {"errorCode": 10107}, doc! {"errorCode": 91}] {
        project.write(both);
        fail(data.clone());
        project.apply();
        project.settled();
        project.by_hand("admin", doc! {"grantRolesToRole": "svc_orders", "roles": ["read"]});
        fail(data.clone());
        project.apply();
        project.settled();
        project.write("services: {billing: {mongo: events}, orders: {}}\n");
        fail(data);
        project.apply();
        project.settled();
        project.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    }
    // What was done, and only its answer was lost, is not done twice and no stranger.
    project.write(both);
    let primary = project.set.await_primary();
    let lost = doc! {"failCommands": all.to_vec(), "closeConnection": true};
    project.apply();
    let unlucky = doc! {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": lost};
    project.set.run(primary, unlucky);
    project.set.step_down(10);
    project.write(&both.replace("orders", "audit"));
    project.infra(&["apply", "--auto-approve"]).expect(0);
    project.settled();
}
