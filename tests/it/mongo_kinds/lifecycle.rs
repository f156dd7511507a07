//! From nothing, and away again; services and people that come and go.

use mongodb::bson::{Bson, doc};

use super::project::{Project, certificate, granted, pair};
use crate::support::replica_set::shared::borrow;

const YAML: &str = "
developers: read-only
services: {billing: {mongo: events}, orders: {}}
people: {ana: {}, boris: {}, chiara: {}}
developer_groups:
  backend: {members: [ana], services: all}
  finance: {members: [ana, boris], services: [billing], access: read-write}
  elsewhere: {members: [chiara], services: [orders]}
  nobody: {members: [chiara], services: all, access: none}
";
const BACKUP: &str = "backup_policies: {six: {mongo: {every: 6h}}}\n";

/// The environment with a backup policy for its set.
fn with_backup(yaml: &str) -> String {
    format!(
        "platform: {{local: {{}}}}\nclusters: {{main: {{}}}}\nmongo_clusters: {{events: {{uri: {{env: EVENTS}}, \
         backup_policy: six, authentication: {{x509: {{subject: \"{}\"}}}}}}}}\n{BACKUP}{yaml}",
        super::project::SUBJECT
    )
}

const ALL: [&str; 8] = [
    "mongo_role.events/billing",
    "mongo_role.events/group/backend",
    "mongo_role.events/group/finance",
    "mongo_role.events/infra/backup",
    "mongo_user.events/billing",
    "mongo_user.events/infra/backup",
    "mongo_user.events/person/ana",
    "mongo_user.events/person/boris",
];

#[test]
fn from_nothing_and_away_again_on_6_0_5() {
    from_nothing_and_away_again("6.0.5");
}

#[test]
fn from_nothing_and_away_again_on_6_0_27() {
    from_nothing_and_away_again("6.0.27");
}

fn from_nothing_and_away_again(version: &'static str) {
    let mut project = Project::on(borrow(version), "");
    // When snapshots are due is other tests' business.
    project.targets = vec!["mongo_role.*", "mongo_user.*"];
    project.write_raw(&with_backup(YAML));
    project.by_hand("admin", doc! {"createUser": "somebody", "pwd": "x", "roles": ["read"]});
    project.by_hand("admin", doc! {"createRole": "theirs", "roles": ["read"], "privileges": []});
    project.by_hand("billing", doc! {"insert": "invoice", "documents": [{"_id": 1}]});

    // A database that is there already is nothing to hold on to.
    let changes = project.changes();
    assert_eq!(changes, ALL.map(|address| pair(address, "create")));
    let shown = project.infra(&["plan", "-v"]).expect(0).stdout;
    let effect =
        "> createUser CN=dev_ana,OU=apps,O=acme in $external (dev_backend on admin, dev_finance on admin)";
    assert!(shown.contains(effect), "{shown}");

    let ran = project.apply();
    assert!(ran.stdout.contains("Resources: 8 added, 0 changed, 0 destroyed."), "{}", ran.stdout);
    project.settled();
    assert_eq!(project.unmanaged(), ["mongo_role.events/admin.theirs", "mongo_user.events/admin.somebody"]);

    let roles = project.roles();
    for (role, inherits) in [
        ("svc_billing", "readWrite@billing"),
        ("dev_backend", "read@billing"),
        ("dev_finance", "readWrite@billing"),
    ] {
        assert_eq!(granted(&roles[role]), [inherits.to_owned()].into(), "{role}");
        // Of its own it has the mark alone, which is for a collection that nobody can make.
        assert_eq!(roles[role].get_array("privileges").unwrap().len(), 1, "{role}");
    }
    let users = project.users();
    let user = |name: &str| &users[&format!("$external.{}", certificate(name))];
    assert_eq!(granted(user("svc_billing")), ["svc_billing@admin".to_owned()].into());
    assert_eq!(
        granted(user("dev_ana")),
        ["dev_backend@admin", "dev_finance@admin"].map(str::to_owned).into()
    );
    assert_eq!(granted(user("dev_boris")), ["dev_finance@admin".to_owned()].into());
    assert_eq!(granted(user("infra_backup")), ["infra_backup@admin".to_owned()].into());
    let mark = user("dev_ana").get_document("customData").unwrap();
    assert_eq!(mark, &doc! {"infra": "infra:managed;env=local;person=ana"});
    assert_eq!(users.len(), 4 + 1, "{users:?}");

    // Of the backup's role: just the five rights, and the mark.
    let privileges = roles["infra_backup"].get_array("privileges").unwrap();
    let cluster: Vec<&Bson> = privileges
        .iter()
        .filter(|one| one.as_document().unwrap().get_document("resource").unwrap().contains_key("cluster"))
        .collect();
    let five = ["fsync", "inprog", "replSetGetConfig", "replSetGetStatus", "unlock"];
    let actions = cluster[0].as_document().unwrap().get_array("actions").unwrap();
    let mut actions: Vec<&str> = actions.iter().map(|action| action.as_str().unwrap()).collect();
    actions.sort_unstable();
    assert_eq!((cluster.len(), privileges.len(), actions), (1, 2, five.to_vec()));

    // A plan asks in a few commands, and changes nothing.
    let commands = ["usersInfo", "rolesInfo", "connectionStatus", "createUser", "updateUser", "updateRole"];
    let primary = project.set.await_primary();
    let asked = || {
        let status = project.set.run(primary, doc! {"serverStatus": 1});
        let counts = status.get_document("metrics").unwrap().get_document("commands").unwrap();
        commands.map(|command| counts.get_document(command).unwrap().get_i64("total").unwrap())
    };
    let before = asked();
    project.infra(&["plan"]).expect(0);
    let after = asked();
    let each: Vec<i64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    assert_eq!(each, [2, 1, 1, 0, 0, 0]);

    // Nothing of others goes, and no data.
    let destroyed = project.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    assert!(destroyed.stdout.contains("8 destroyed"), "{}", destroyed.stdout);
    assert_eq!(project.users().into_keys().collect::<Vec<_>>(), ["admin.somebody"]);
    assert_eq!(project.roles().into_keys().collect::<Vec<_>>(), ["theirs"]);
    let found = project.by_hand("billing", doc! {"count": "invoice"});
    assert_eq!(found.get_i32("n").unwrap(), 1);
    let again = project.infra(&["destroy", "--auto-approve"]).expect(0).stdout;
    assert!(again.contains("No changes."), "{again}");
}

/// Only what a plan shows: how many members of the plan are of other kinds is none of this test's business.
#[test]
fn a_service_that_left_is_held_until_it_is_removed() {
    let project = Project::new(YAML);
    project.apply();
    project.by_hand("billing", doc! {"insert": "invoice", "documents": [{"_id": 1}]});

    let without = "services: {orders: {}}\n";
    project.write(without);
    // People lose what they had at once; what the service has is held.
    assert_eq!(
        project.changes(),
        [
            pair("mongo_role.events/group/backend", "delete"),
            pair("mongo_role.events/group/finance", "delete"),
            pair("mongo_user.events/person/ana", "delete"),
            pair("mongo_user.events/person/boris", "delete"),
        ]
    );
    let held = project.held();
    assert_eq!(held.keys().collect::<Vec<_>>(), ["mongo_role.events/billing", "mongo_user.events/billing"]);
    let why = &held["mongo_user.events/billing"];
    assert!(why.contains("removed: {services: {billing: {data: keep}}}"), "{why}");
    project.apply();
    assert!(project.users().contains_key(&format!("$external.{}", certificate("svc_billing"))));

    for data in ["keep", "drop"] {
        project.write(&format!("{without}removed: {{services: {{billing: {{data: {data}}}}}}}\n"));
        let plan = project.infra(&["plan"]).expect(0).stdout;
        assert!(plan.contains("mongo_user.events/billing will be destroyed"), "{plan}");
        let note = "mongo_role.events/billing: the database billing in MongoDB stays, and all that is in it";
        assert!(plan.contains(note), "{data}: {plan}");
    }
    project.apply();
    assert_eq!((project.users().len(), project.roles().len()), (0, 0));
    assert_eq!(project.by_hand("billing", doc! {"count": "invoice"}).get_i32("n").unwrap(), 1);

    // Declared again it gets what it had.
    project.write("services: {billing: {mongo: events}}\n");
    project.apply();
    project.settled();
}

/// The service itself stays, so there is nothing to remove but its access.
#[test]
fn a_service_may_leave_a_replica_set() {
    let project = Project::new("services: {billing: {mongo: events}, orders: {mongo: events}}\n");
    project.apply();
    project.write("services: {billing: {}, orders: {mongo: events}}\n");
    let expected = [pair("mongo_role.events/billing", "delete"), pair("mongo_user.events/billing", "delete")];
    assert_eq!(project.changes(), expected);
    project.apply();
    project.settled();
}

/// Who leaves a group loses a role; a group loses a right; nothing is made anew for it.
#[test]
fn memberships_and_rights_change_in_place() {
    let project = Project::new(YAML);
    project.apply();
    let less = YAML
        .replace("finance: {members: [ana, boris]", "finance: {members: [boris]")
        .replace("developers: read-only", "developers: read-write");
    project.write(&less);
    project.differs(&[
        ("mongo_role.events/group/backend", "update", &["roles"]),
        ("mongo_user.events/person/ana", "update", &["roles"]),
    ]);
    project.apply();
    project.settled();
    assert_eq!(granted(&project.roles()["dev_backend"]), ["readWrite@billing".to_owned()].into());
    // With another pattern they are others to MongoDB, and each is made anew.
    let yaml = "services: {billing: {mongo: events}}\n";
    project.write(yaml);
    project.apply();
    let other = format!(
        "platform: {{local: {{}}}}\nclusters: {{main: {{}}}}\nmongo_clusters: {{events: {{uri: {{env: EVENTS}}, \
         authentication: {{x509: {{subject: \"CN={{name}},O=other\"}}}}}}}}\n{yaml}"
    );
    project.write_raw(&other);
    let plan = project.infra(&["plan"]).expect(0).stdout;
    assert!(plan.contains("mongo_user.events/billing must be replaced"), "{plan}");
    project.apply();
    project.settled();
    assert_eq!(project.users().into_keys().collect::<Vec<_>>(), ["$external.CN=svc_billing,O=other"]);
}

/// In a protected environment whoever is to go must be named.
#[test]
fn protected() {
    let project = Project::new("");
    let yaml = "protect: true\nservices: {billing: {mongo: events}}\npeople: {ana: {}}\n\
        developer_groups: {backend: {members: [ana], services: all}}\n";
    project.write(yaml);
    project.apply();
    let mark = &project.users()[&format!("$external.{}", certificate("dev_ana"))];
    let mark = mark.get_document("customData").unwrap();
    assert_eq!(mark, &doc! {"infra": "infra:managed;env=local;person=ana;protect"});
    project.write("protect: true\nservices: {billing: {mongo: events}}\npeople: {}\n");
    project.infra(&["apply", "--auto-approve"]).expect(3);
    // The mark protects it even when the line is gone.
    project.write("services: {billing: {mongo: events}}\npeople: {}\n");
    let refused = project.infra(&["apply", "--auto-approve"]).expect(3).stderr;
    assert!(refused.contains("--allow-destroy=mongo_user.events/person/ana"), "{refused}");
    let named =
        ["--allow-destroy=mongo_user.events/person/ana", "--allow-destroy=mongo_role.events/group/backend"];
    project.infra(&["apply", "--auto-approve", named[0], named[1]]).expect(0);
    project.settled();
}
