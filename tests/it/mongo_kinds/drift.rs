//! What somebody changed by hand: each is seen, shown as just that, and put right.

use mongodb::bson::{Document, doc};

use super::project::{Project, certificate};

const YAML: &str = "
developers: read-only
services: {billing: {mongo: events}}
people: {ana: {}}
developer_groups: {backend: {members: [ana], services: all}}
";

const USER: &str = "mongo_user.events/billing";
const PERSON: &str = "mongo_user.events/person/ana";
const ROLE: &str = "mongo_role.events/billing";
const GROUP: &str = "mongo_role.events/group/backend";

/// Where, what is done there by hand, and what the plan shows.
type Case = (&'static str, Document, &'static [(&'static str, &'static str, &'static [&'static str])]);

#[test]
fn each_attribute() {
    let project = Project::new(YAML);
    project.apply();
    let (service, ana) = (certificate("svc_billing"), certificate("dev_ana"));
    let from = |address: &str| doc! {"clientSource": [address]};
    let cases: Vec<Case> = vec![
        (
            "$external",
            doc! {"grantRolesToUser": &service, "roles": [{"role": "readWrite", "db": "orders"}]},
            &[(USER, "update", &["roles"])],
        ),
        (
            "$external",
            doc! {"revokeRolesFromUser": &ana, "roles": [{"role": "dev_backend", "db": "admin"}]},
            &[(PERSON, "update", &["roles"])],
        ),
        (
            "$external",
            doc! {"updateUser": &service, "authenticationRestrictions": [from("10.0.0.1")]},
            &[(USER, "update", &["restrictions"])],
        ),
        ("$external", doc! {"dropUser": &service}, &[(USER, "create", &[])]),
        (
            "admin",
            doc! {"grantRolesToRole": "dev_backend", "roles": [{"role": "readWrite", "db": "billing"}]},
            &[(GROUP, "update", &["roles"])],
        ),
        (
            "admin",
            doc! {"revokeRolesFromRole": "svc_billing", "roles": [{"role": "readWrite", "db": "billing"}]},
            &[(ROLE, "update", &["roles"])],
        ),
        (
            "admin",
            doc! {"grantPrivilegesToRole": "svc_billing",
            "privileges": [{"resource": {"db": "orders", "collection": ""}, "actions": ["find"]}]},
            &[(ROLE, "update", &["privileges"])],
        ),
        (
            "admin",
            doc! {"grantPrivilegesToRole": "svc_billing",
            "privileges": [{"resource": {"cluster": true}, "actions": ["fsync"]}]},
            &[(ROLE, "update", &["privileges"])],
        ),
        (
            "admin",
            doc! {"grantPrivilegesToRole": "svc_billing",
            "privileges": [{"resource": {"anyResource": true}, "actions": ["find"]}]},
            &[(ROLE, "update", &["privileges"])],
        ),
        (
            "admin",
            doc! {"updateRole": "svc_billing", "authenticationRestrictions": [from("10.0.0.1")]},
            &[(ROLE, "update", &["restrictions"])],
        ),
        // Who had it lost it with it.
        ("admin", doc! {"dropRole": "svc_billing"}, &[(ROLE, "create", &[]), (USER, "update", &["roles"])]),
    ];
    for (database, by_hand, expected) in cases {
        let (before, name) = (state(&project), by_hand.to_string());
        project.by_hand(database, by_hand);
        project.differs(expected);
        project.apply();
        project.settled();
        assert_eq!(state(&project), before, "{name}");
    }
}

/// Everything of users and roles but the ids that MongoDB gives.
fn state(project: &Project) -> Vec<Document> {
    let mut all: Vec<Document> = project.users().into_values().chain(project.roles().into_values()).collect();
    for one in &mut all {
        one.remove("userId");
        for list in ["privileges", "inheritedPrivileges", "inheritedRoles"] {
            one.remove(list);
        }
    }
    all
}

/// What others keep in `customData` is theirs: no difference, and it survives our changes.
#[test]
fn notes_of_others_stay() {
    let project = Project::new(YAML);
    project.apply();
    let service = certificate("svc_billing");
    let mark = "infra:managed;env=local;service=billing";
    project.by_hand("$external", doc! {"updateUser": &service, "customData": {"infra": mark, "ticket": 7}});
    project.settled();
    let more = doc! {"grantRolesToUser": &service, "roles": [{"role": "read", "db": "orders"}]};
    project.by_hand("$external", more);
    project.apply();
    let users = project.users();
    let data = users[&format!("$external.{service}")].get_document("customData").unwrap();
    assert_eq!(data, &doc! {"infra": mark, "ticket": 7});
}

/// A mark that says something else is written anew.
#[test]
fn protection_is_part_of_the_mark() {
    let project = Project::new(YAML);
    project.apply();
    project.write(&format!("protect: true{YAML}"));
    let all = ["mongo_role.events/billing", "mongo_role.events/group/backend", "mongo_user.events/billing"];
    let all = all
        .iter()
        .chain(&["mongo_user.events/person/ana"])
        .map(|address| (*address, "update", &["mark"][..]));
    project.differs(&all.collect::<Vec<_>>());
    project.apply();
    project.settled();
}
