//! Import is the inverse of compose: what an environment becomes, without marks, is recognised as an environment that
//! becomes just the same.

use std::{collections::BTreeMap, fs};

use proptest::{collection::btree_set, prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::{
    compose::compose,
    config,
    engine::{Desired, Found, Outputs, plan},
    resources::{Facts, Grants, pg_access::PgAccess, pg_extension::ExtensionFacts},
};

/// Templates of owner, writers, readers, migrator, app, reader, database, person and group.
const CONVENTIONS: [[&str; 9]; 5] = [
    ["", "", "", "", "", "", "", "", ""],
    [
        "{service}_owner",
        "{service}_rw",
        "{service}_ro",
        "{service}_migrator",
        "{service}_app",
        "{service}_reader",
        "{service}",
        "{person}",
        "{group}",
    ],
    [
        "tf_{service}_owner",
        "tf_{service}_readwrite",
        "tf_{service}_readonly",
        "tf_{service}_migrations",
        "tf_{service}_application",
        "tf_{service}_read",
        "{service}_prod",
        "user_{person}",
        "{group}_team",
    ],
    [
        "{service}-owner",
        "{service}-editor",
        "{service}-viewer",
        "{service}-deploy",
        "{service}-app",
        "{service}-reader",
        "{service}-db",
        "{person}",
        "team-{group}",
    ],
    // Nothing in the words says who writes and who reads.
    [
        "{service}.one",
        "{service}.two",
        "{service}.three",
        "{service}.four",
        "{service}.five",
        "{service}.six",
        "db.{service}",
        "p.{person}",
        "g.{group}",
    ],
];

fn environment(
    convention: usize,
    shared: bool,
    two_clusters: bool,
    services: &BTreeMap<String, (usize, i32, bool, bool)>,
    groups: &BTreeMap<String, (BTreeSet<String>, BTreeSet<String>, bool)>,
) -> Value {
    // Without words, only who may connect tells groups apart, and in a shared database all may.
    let convention = if shared { convention % 4 } else { convention };
    let keys =
        ["owner", "read_write", "read_only", "migrator", "app", "reader", "database", "person", "group"];
    let templates = keys.iter().zip(CONVENTIONS[convention]).filter(|(_, template)| !template.is_empty());
    let mut names: BTreeMap<&str, String> = templates
        .filter(|(key, _)| !shared || **key != "database")
        .map(|(k, t)| (*k, t.to_owned()))
        .collect();
    if shared {
        names.insert("shared_database", "company".into());
        names.insert("shared_owner", "company_owner".into());
    }
    let service = |(name, (cluster, limit, odd, extension)): (&String, &(usize, i32, bool, bool))| {
        // In a shared database nobody can see whose an extension is: there all have it, or none.
        let extension = if shared { two_clusters } else { *extension };
        let mut of = json!({"extensions": if extension { vec!["pgcrypto"] } else { vec![] }});
        if *limit != 50 {
            of["connection_limit"] = if *limit < 0 { json!("none") } else { json!(limit) };
        }
        if two_clusters {
            of["cluster"] = json!(["main", "other"][*cluster]);
        }
        if *odd && !shared {
            of["names"] =
                json!({"database": format!("x{name}"), "owner": format!("boss{name}"), "schema": "public"});
        }
        (name.clone(), of)
    };
    let services: BTreeMap<String, Value> = services.iter().map(service).collect();
    let people: BTreeMap<&String, Value> =
        groups.values().flat_map(|(members, ..)| members).map(|name| (name, json!({}))).collect();
    let groups: BTreeMap<&String, Value> = (groups.iter())
        .map(|(name, (members, of, writes))| {
            let access = if *writes { "read-write" } else { "read-only" };
            (name, json!({"members": members, "services": of, "access": access}))
        })
        .collect();
    let mut clusters = json!({"main": {}});
    if two_clusters {
        clusters["other"] = json!({});
    }
    json!({
        "platform": {"local": {}}, "clusters": clusters, "names": names, "services": services, "people": people,
        "developer_groups": groups, "isolation": if shared { "schema" } else { "database" },
    })
}

/// What reading would find, if others had made it.
fn world(desired: &Desired<Any>) -> World<Any> {
    let mut world = World::default();
    let mut grants: BTreeMap<Address, Grants> = BTreeMap::new();
    for any in desired.resources.values() {
        if let Ok(access) = PgAccess::try_from(any.clone()) {
            let database = PgDatabase::address(&access.cluster, &access.database);
            grants.entry(database).or_default().extend(access.database_grants);
        }
    }
    for (address, any) in &desired.resources {
        let unmarked: Any = if let Ok(role) = PgRole::try_from(any.clone()) {
            PgRole { mark: None, ..role }.into()
        } else if let Ok(mut database) = PgDatabase::try_from(any.clone()) {
            database.grants.extend(grants.remove(address).unwrap_or_default());
            PgDatabase { mark: None, ..database }.into()
        } else if let Ok(schema) = PgSchema::try_from(any.clone()) {
            PgSchema { mark: None, ..schema }.into()
        } else if let Ok(extension) = PgExtension::try_from(any.clone()) {
            let facts = Facts(ExtensionFacts { owner: Some("x".into()), ..ExtensionFacts::default() });
            PgExtension { mark: None, facts, ..extension }.into()
        } else {
            continue;
        };
        let found = Found { resource: unmarked, outputs: Outputs::new(), owned: false, protected: false };
        world.found.insert(address.clone(), found);
    }
    world
}

/// What is compared: all but for whom it was made.
fn without_marks(desired: &Desired<Any>) -> BTreeMap<Address, Value> {
    let one = |any: &Any| {
        let mut value = serde_json::to_value(any).unwrap();
        value.as_object_mut().unwrap().remove("mark");
        value
    };
    desired.resources.iter().map(|(address, any)| (address.clone(), one(any))).collect()
}

fn names_of(pool: &'static [&'static str], most: usize) -> impl Strategy<Value = BTreeSet<String>> {
    btree_set(select(pool).prop_map(str::to_owned), 1..=most)
}

fn estates() -> impl Strategy<Value = Value> {
    let services = names_of(&["orders", "billing", "stock", "user-data", "order_items", "r2", "order"], 4);
    let groups = names_of(&["backend", "finance", "ops", "on-call"], 3);
    (services, groups, 0..5_usize, any::<bool>(), any::<bool>()).prop_flat_map(
        |(services, groups, convention, shared, two)| {
            let count = services.len();
            let of_service = (0..2_usize, select(vec![-1, 7, 50]), prop::bool::weighted(0.2), any::<bool>());
            let one_of = select(services.iter().cloned().collect::<Vec<_>>());
            let group = (
                names_of(&["ana", "boris", "carla", "dora"], 3),
                btree_set(one_of, 1..=count),
                any::<bool>(),
            );
            let parts =
                (prop::collection::vec(of_service, count), prop::collection::vec(group, groups.len()));
            parts.prop_map(move |(of_services, of_groups)| {
                let services = services.iter().cloned().zip(of_services).collect();
                let groups = groups.iter().cloned().zip(of_groups).collect();
                environment(convention, shared, two, &services, &groups)
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_is_composed_is_recognised(yaml in estates()) {
        let whole: Environment = serde_json::from_value(yaml.clone()).unwrap();
        let made = compose("test", &whole);
        let bare = json!({"platform": {"local": {}}, "clusters": yaml["clusters"]});
        let environment: Environment = serde_json::from_value(bare.clone()).unwrap();
        let world = world(&made);
        let survey = Survey { name: "test", environment: &environment, world: &world, estate: None };
        let proposal = recognise(&survey);
        prop_assert_eq!(&proposal, &recognise(&survey));

        // Pasted, it is sound, and says just what was proposed.
        let text = proposal.added.sections().unwrap().concat();
        let loaded = match pasted(&bare, &text) {
            Ok(loaded) => loaded,
            Err(problems) => return Err(TestCaseError::fail(format!("{problems}\n{text}"))),
        };
        prop_assert_eq!(&loaded, &proposal.added.to(&environment), "{}", text);

        // It becomes what there is, so that with marks there is nothing to do.
        let again = compose("test", &loaded);
        prop_assert_eq!(without_marks(&again), without_marks(&made), "{}", text);
        prop_assert_eq!(&proposal.remarks, &BTreeSet::new());
        let mut adopted = World::default();
        for (address, resource) in &again.resources {
            let found = Found { resource: resource.clone(), outputs: Outputs::new(), owned: true, protected: false };
            adopted.found.insert(address.clone(), found);
        }
        prop_assert!(plan(&again, &adopted).unwrap().is_empty());
    }
}

/// Names as others may have chosen them.
const HOSTILE: [&str; 12] = [
    "two words",
    "{service}",
    "{person}: null",
    "-",
    "a#b",
    "Orders_Owner",
    "pg_like",
    "infra_x",
    "it's \"quoted\"\n- line",
    "~",
    "a_name_that_is_as_long_as_postgres_lets_it_be_with_63_bytes_____",
    "orders_rw",
];

/// Changes something of a world: a name everywhere, a login, a membership, an owner.
fn disturbed(world: &World<Any>, changes: &[(usize, usize, usize)]) -> World<Any> {
    let mut text: BTreeMap<Address, Value> = BTreeMap::new();
    for (address, found) in &world.found {
        text.insert(address.clone(), serde_json::to_value(found).unwrap());
    }
    let mut roles: Vec<String> = world
        .found
        .values()
        .filter_map(|f| PgRole::try_from(f.resource.clone()).ok())
        .map(|r| r.name)
        .collect();
    roles.sort();
    roles.dedup();
    let mut whole = serde_json::to_string(&text.into_values().collect::<Vec<_>>()).unwrap();
    for (what, which, by) in changes {
        let Some(role) = roles.get(which % roles.len().max(1)) else { continue };
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let other = quoted(&roles[by % roles.len()]);
        whole = match what % 4 {
            0 => whole.replace(&quoted(role), &quoted(HOSTILE[by % HOSTILE.len()])),
            1 => whole.replace(&format!("\"owner\":{}", quoted(role)), &format!("\"owner\":{other}")),
            2 => whole.replacen("\"login\":false", "\"login\":true", 1 + by % 3),
            _ => whole.replacen(
                &format!("{}:\"inherit\"", quoted(role)),
                &format!("{other}:\"inherit\""),
                1 + by % 3,
            ),
        };
    }
    let mut disturbed = World::default();
    for mut found in serde_json::from_str::<Vec<Found<Any>>>(&whole).unwrap() {
        let address = if let Ok(role) = PgRole::try_from(found.resource.clone()) {
            PgRole::address(&role.cluster, &role.name)
        } else if let Ok(database) = PgDatabase::try_from(found.resource.clone()) {
            PgDatabase::address(&database.cluster, &database.name)
        } else if let Ok(schema) = PgSchema::try_from(found.resource.clone()) {
            PgSchema::address(&schema.cluster, &schema.database, &schema.name)
        } else if let Ok(mut extension) = PgExtension::try_from(found.resource.clone()) {
            extension.facts.0.owner = Some("x".into());
            found.resource = extension.clone().into();
            PgExtension::address(&extension.cluster, &extension.database, &extension.name)
        } else {
            continue;
        };
        disturbed.found.insert(address, found);
    }
    disturbed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_exists_what_is_printed_is_sound(
        yaml in estates(), changes in prop::collection::vec((0..4_usize, 0..40_usize, 0..40_usize), 0..6),
    ) {
        let made = compose("test", &serde_json::from_value(yaml.clone()).unwrap());
        let world = disturbed(&world(&made), &changes);
        let bare = json!({"platform": {"local": {}}, "clusters": yaml["clusters"]});
        let environment: Environment = serde_json::from_value(bare.clone()).unwrap();
        let survey = Survey { name: "test", environment: &environment, world: &world, estate: None };
        let proposal = recognise(&survey);
        let text = proposal.added.sections().unwrap().concat();
        let loaded = match pasted(&bare, &text) {
            Ok(loaded) => loaded,
            Err(problems) => return Err(TestCaseError::fail(format!("{problems}\n{text}"))),
        };
        // All that is there is either declared or told of.
        let declared = compose("test", &loaded).resources;
        for address in world.found.keys().filter(|address| !declared.contains_key(*address)) {
            let told = proposal.remarks.iter().any(|remark| remark.about == address.as_str());
            prop_assert!(told, "{} is passed over:\n{}", address, text);
        }
    }
}

/// The environment with what was printed beside it.
fn pasted(bare: &Value, text: &str) -> Result<Environment, config::Invalid> {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("test");
    fs::create_dir(&at).unwrap();
    fs::write(at.join("environment.yaml"), bare.to_string()).unwrap();
    fs::write(at.join("imported.yaml"), text).unwrap();
    config::load(folder.path(), "test").map(|loaded| loaded.environment)
}

fn seen(change: impl Fn(&mut PgRole)) -> Vec<String> {
    let whole = json!({"platform": {"local": {}}, "clusters": {"main": {}}, "services": {"orders": {}},
        "people": {"ana": {}}, "developer_groups": {"all": {"members": ["ana"], "services": "all"}}});
    let made = compose("test", &serde_json::from_value(whole).unwrap());
    let mut world = world(&made);
    for found in world.found.values_mut() {
        if let Ok(mut role) = PgRole::try_from(found.resource.clone()) {
            change(&mut role);
            found.resource = role.into();
        }
    }
    let bare = serde_json::from_value(json!({"platform": {"local": {}}, "clusters": {"main": {}}})).unwrap();
    let proposal = recognise(&Survey { name: "test", environment: &bare, world: &world, estate: None });
    proposal.remarks.iter().map(|remark| format!("{}: {}", remark.about, remark.why)).collect()
}

#[test]
fn what_does_not_fit_is_told_with_the_reason() {
    assert_eq!(seen(|_| {}), Vec::<String>::new());
    let remarks = seen(|role| role.login |= role.name == "svc_orders_owner");
    assert!(
        remarks.iter().any(|remark| remark.starts_with(
            "pg_database.main/orders: its owner `svc_orders_owner` may log in: a service is owned by a role that nobody logs in as"
        )),
        "{remarks:#?}"
    );
    let remarks = seen(|role| {
        if role.name == "dev_ana" {
            role.member_of.insert("svc_orders_rw".into(), crate::resources::pg_role::Membership::INHERIT);
        }
    });
    assert_eq!(
        remarks,
        [
            "pg_role.main/dev_ana: it may log in, is a member of `dev_all`, `svc_orders_rw`: no login of one service (migrator, \
          app or reader), and no person who is in groups alone"
        ]
    );
    let remarks = seen(|role| {
        if role.name == "dev_all" {
            role.member_of.insert("svc_orders_rw".into(), crate::resources::pg_role::Membership::INHERIT);
        }
    });
    assert!(
        remarks[0].starts_with("pg_role.main/dev_all: a group of people writes or reads services"),
        "{remarks:#?}"
    );
}
