//! What is not ours: other people's users and roles, and other environments'.

use mongodb::bson::doc;

use super::project::{Project, certificate, granted};

const YAML: &str = "services: {billing: {mongo: events}}\n";

/// What has a name of ours, but not our mark, is held and left as it is, until it is adopted.
#[test]
fn without_our_mark() {
    let project = Project::new(YAML);
    let service = certificate("svc_billing");
    let other =
        doc! {"createRole": "svc_billing", "roles": [{"role": "read", "db": "orders"}], "privileges": []};
    project.by_hand("admin", other);
    let other = doc! {"createUser": &service, "roles": [{"role": "read", "db": "orders"}], "customData": {"of": "ana"}};
    project.by_hand("$external", other);
    let before = (project.users(), project.roles());
    assert_eq!(project.changes(), []);
    let held = project.held();
    assert_eq!(held.len(), 2, "{held:?}");
    assert!(held.values().all(|why| why.contains("does not carry our mark")), "{held:?}");
    project.apply();
    assert_eq!((project.users(), project.roles()), before);

    let addresses = ["--adopt", "mongo_role.events/billing", "--adopt", "mongo_user.events/billing"];
    let adopted = project.infra(&[&["import"], &addresses[..]].concat()).expect(0).stdout;
    assert!(adopted.contains("mongo_user.events/billing: Adopted"), "{adopted}");
    // The mark was written, and nothing else.
    assert_eq!(granted(&project.roles()["svc_billing"]), ["read@orders".to_owned()].into());
    let users = project.users();
    let data = users[&format!("$external.{service}")].get_document("customData").unwrap();
    assert_eq!(data, &doc! {"of": "ana", "infra": "infra:managed;env=local;service=billing"});
    project.differs(&[
        ("mongo_role.events/billing", "update", &["roles"]),
        ("mongo_user.events/billing", "update", &["roles"]),
    ]);
    project.apply();
    project.settled();
    let again = project.infra(&["import", "--adopt", "mongo_user.events/billing"]).expect(1).stderr;
    assert!(again.contains("carries the mark of this environment already"), "{again}");
}

/// Two environments on one replica set: each leaves the other's alone.
#[test]
fn of_another_environment() {
    let mut project = Project::new(&format!("{YAML}people: {{ana: {{}}}}\n"));
    project.apply();
    let before = (project.users(), project.roles());
    project.environment = "other".into();
    project.write(&format!(
        "{}people: {{boris: {{}}}}\ndeveloper_groups: {{b: {{members: [boris], services: all}}}}\n",
        YAML.replace("}}", "}, orders: {mongo: events}}")
    ));
    let held = project.held();
    assert_eq!(held.keys().collect::<Vec<_>>(), ["mongo_role.events/billing", "mongo_user.events/billing"]);
    assert!(held.values().all(|why| why.contains("belongs to environment local")), "{held:?}");
    let refused = project.infra(&["apply", "--auto-approve"]).expect(3).stderr;
    assert!(refused.contains("--exclude=mongo_role.events/billing"), "{refused}");
    assert_eq!((project.users(), project.roles()), before);
    project.infra(&["apply", "--auto-approve", "--exclude=mongo_*.events/billing"]).expect(0);
    let refused = project.infra(&["import", "--adopt", "mongo_user.events/billing"]).expect(1).stderr;
    assert!(refused.contains("environment local, which has to let go of it first"), "{refused}");
    assert_eq!((project.users().len(), project.roles().len()), (before.0.len() + 2, before.1.len() + 2));
    project.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    assert_eq!((project.users(), project.roles()), before);
    project.environment = "local".into();
    project.settled();
}

/// Our mark on somebody whom we did not make for it was copied: he is not ours to drop.
#[test]
fn a_copied_mark_makes_nobody_ours() {
    let project = Project::new(YAML);
    project.apply();
    let copied = "infra:managed;env=local;person=ana";
    project.by_hand(
        "admin",
        doc! {"createUser": "eva", "pwd": "x", "roles": [], "customData": {"infra": copied}},
    );
    project.by_hand(
        "admin",
        doc! {"createUser": "dev_eva", "pwd": "x", "roles": [], "customData": {"infra": copied}},
    );
    let before = project.users();
    assert_eq!(project.unmanaged(), ["mongo_user.events/admin.eva", "mongo_user.events/person/eva"]);
    project.settled();
    project.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    let left: Vec<String> = project.users().into_keys().collect();
    assert_eq!((left, before.len()), (vec!["admin.dev_eva".to_owned(), "admin.eva".to_owned()], 3));
}

/// No name takes the address of another, breaks a line or colours a terminal.
#[test]
fn hostile_names() {
    let both = YAML.replace("}}", "}, orders: {mongo: events}}");
    let project = Project::new(&format!(
        "{both}people: {{ana: {{}}}}\ndeveloper_groups: {{backend: {{members: [ana], services: all}}}}\n"
    ));
    let names = [
        "svc_group/backend",
        "dev_person/ana",
        "svc_a\nError: nothing",
        "\u{1b}[31mred",
        "svc_\u{202e}gnillib",
        "a.b/c\"'`${x}",
        "mongo_user.events/billing",
        "svc_billing;drop",
        "ünïcödé",
    ];
    for name in names {
        project.by_hand("admin", doc! {"createUser": name, "pwd": "x", "roles": []});
        project.by_hand("group", doc! {"createUser": name, "pwd": "x", "roles": []});
        project.by_hand("admin", doc! {"createRole": name, "roles": [], "privileges": []});
    }
    project.by_hand("group", doc! {"createUser": "backend", "pwd": "x", "roles": []});
    // Nor does a mark that somebody made up.
    let mark = "infra:managed;env=\u{1b}[31mprod;service=orders\nError: nothing";
    let user = doc! {"createUser": certificate("svc_orders"), "roles": [], "customData": {"infra": mark}};
    project.by_hand("$external", user);
    let before: Vec<String> = project.users().into_keys().chain(project.roles().into_keys()).collect();
    assert_eq!(project.changes().len(), 5);
    assert!(project.held()["mongo_user.events/orders"].contains("belongs to environment"));
    assert_eq!(project.unmanaged().len(), 3 * names.len() + 1);
    let all_else = ["apply", "--auto-approve", "--exclude=mongo_user.events/orders"];
    for (arguments, code) in [
        (&["plan"][..], 0),
        (&["plan", "-v"], 0),
        (&["plan", "--markdown"], 0),
        (&["show"], 0),
        (&["apply", "--auto-approve"], 3),
        (&all_else, 0),
    ] {
        let ran = project.infra(arguments).expect(code);
        let text = ran.stdout + &ran.stderr;
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{arguments:?}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("Error: nothing")), "{text}");
    }
    project.settled();
    project.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    let after: Vec<String> = project.users().into_keys().chain(project.roles().into_keys()).collect();
    assert_eq!(after, before);
}
