use super::*;
use crate::{
    engine::{Found, Outputs},
    model::access_matrix::Level,
    resources::pg_access::{Deviation, Objects},
    resources::pg_role::Membership,
};

fn environment(isolation: &str) -> Environment {
    serde_json::from_value(serde_json::json!({
        "platform": {"aws": {"account": "111122223333", "region": "eu-central-1"}},
        "isolation": isolation,
        "developers": "read-only",
        "clusters": {"main": {}},
        "mongo_clusters": {"events": {"uri": "mongodb://m/"}},
        "services": {"orders": {}, "billing": {"mongo": "events"}},
        "people": {"ana": {}, "boris": {}, "dora": {}},
        "developer_groups": {
            "backend": {"members": ["ana"], "services": ["orders"]},
            "finance": {"members": ["boris"], "services": ["billing"], "access": "read-write"},
        },
    }))
    .unwrap()
}

/// The world just as it is declared, after a change by hand.
fn world(environment: &Environment, by_hand: impl Fn(&mut World<Any>)) -> World<Any> {
    let found = |any: Any| Found { resource: any, outputs: Outputs::new(), owned: true, protected: false };
    let resources = compose("prod", environment).resources;
    let mut world = World {
        found: resources.into_iter().map(|(address, any)| (address, found(any))).collect(),
        ..World::default()
    };
    by_hand(&mut world);
    world
}

fn change<R: TryFrom<Any> + Into<Any>>(world: &mut World<Any>, address: &str, change: impl Fn(&mut R)) {
    let found = world.found.get_mut(address).unwrap();
    let Ok(mut resource) = R::try_from(found.resource.clone()) else {
        panic!("{address} is of another kind")
    };
    change(&mut resource);
    found.resource = resource.into();
}

/// `login place level`, for all who may something.
fn levels(matrix: &AccessMatrix) -> Vec<String> {
    let one = |entry: &Entry| {
        format!("{} {} {}", entry.who.login, entry.place.label(), entry.declared.level.word())
    };
    matrix.entries.iter().map(one).collect()
}

/// `login place + right` and `login place - right`.
fn differences(matrix: &AccessMatrix) -> Vec<String> {
    let told = |entry: &Entry, sign: &str, right: &Right| {
        format!("{} {} {sign} {} by {}", entry.who.login, entry.place.label(), right.text(), right.chain())
    };
    let of = |entry: &Entry| {
        let extra: Vec<String> = entry.extra.iter().map(|right| told(entry, "+", right)).collect();
        extra.into_iter().chain(entry.missing.iter().map(|right| told(entry, "-", right)).collect::<Vec<_>>())
    };
    matrix.entries.iter().flat_map(of).collect()
}

#[test]
fn what_is_declared() {
    let matrix = access_matrix("prod", &environment("database"), None);
    assert_eq!(
        levels(&matrix),
        [
            "dev_ana main/orders reads",
            "dev_boris main/billing writes",
            "dev_boris events/billing writes",
            "svc_billing events/billing writes",
            "svc_billing_app main/billing writes",
            "svc_billing_migrator main/billing owns",
            "svc_billing_reader main/billing reads",
            "svc_orders_app main/orders writes",
            "svc_orders_migrator main/orders owns",
            "svc_orders_reader main/orders reads",
            "infra_admin main/billing owns",
            "infra_admin main/orders owns",
            "infra_planner main/billing connects",
            "infra_planner main/orders connects",
        ]
    );
    // Who may nothing is among the rows all the same.
    assert!(matrix.who.iter().any(|who| who.login == "dev_dora") && !matrix.compared && !matrix.differs());
    let ana = &matrix.entries[0].declared;
    assert!(
        ana.rights.iter().any(|right| {
            right.text() == "SELECT on all tables"
                && right.chain() == "dev_ana -> dev_backend -> svc_orders_ro"
        }),
        "{ana:?}"
    );
}

#[test]
fn in_a_shared_database_each_schema_is_a_place() {
    let matrix = access_matrix("prod", &environment("schema"), None);
    let levels = levels(&matrix);
    for expected in [
        "dev_ana main/shared connects",
        "dev_ana main/shared.orders reads",
        "svc_billing_app main/shared.billing writes",
        "svc_billing_migrator main/shared.billing owns",
        "svc_billing_migrator main/shared connects",
        "infra_admin main/shared owns",
    ] {
        assert!(levels.iter().any(|level| level == expected), "{expected}: {levels:#?}");
    }
    assert!(!levels.iter().any(|level| level.starts_with("dev_ana main/shared.billing")), "{levels:#?}");
}

/// Otherwise whoever looks daily would see differences that are none.
#[test]
fn a_world_as_declared_has_no_differences() {
    for isolation in ["database", "schema"] {
        let environment = environment(isolation);
        let matrix = access_matrix("prod", &environment, Some(&world(&environment, |_| {})));
        assert_eq!(differences(&matrix), [""; 0], "{isolation}");
        assert!(
            matrix.compared && !matrix.differs() && matrix.entries.iter().all(|entry| entry.actual.is_some())
        );
    }
}

#[test]
fn what_was_done_by_hand() {
    let environment = environment("database");
    let table = || {
        let mut on = Objects::schema("item");
        (on.kind, on.schema) = (crate::resources::pg_access::Kind::Table, "app".into());
        on
    };
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let world = world(&environment, |world| {
        change::<PgAccess>(world, "pg_access.main/orders", |access| {
            access.deviations.insert(Deviation::Extra {
                on: table(),
                role: "dev_boris".into(),
                privileges: set(&["TRUNCATE"]),
            });
            access.deviations.insert(Deviation::Missing {
                on: table(),
                role: "svc_orders_ro".into(),
                privileges: set(&["SELECT"]),
            });
            access.deviations.insert(Deviation::Extra {
                on: table(),
                role: "public".into(),
                privileges: set(&["SELECT"]),
            });
            access.deviations.insert(Deviation::Extra {
                on: table(),
                role: "zoe".into(),
                privileges: set(&["SELECT"]),
            });
        });
        change::<PgRole>(world, "pg_role.main/dev_boris", |role| {
            role.member_of.insert("svc_billing_owner".into(), Membership::SET);
        });
        change::<PgRole>(world, "pg_role.main/dev_ana", |role| {
            role.member_of.insert("pg_read_all_data".into(), Membership::INHERIT);
        });
    });
    let matrix = access_matrix("prod", &environment, Some(&world));
    let differences = differences(&matrix);
    for expected in [
        "dev_boris main/orders + TRUNCATE on table app.item by dev_boris",
        "dev_boris main/billing + OWNER on all objects by dev_boris -> svc_billing_owner",
        // All who have it by that group lose it.
        "dev_ana main/orders - SELECT on table app.item by dev_ana -> dev_backend -> svc_orders_ro",
        "svc_orders_reader main/orders - SELECT on table app.item by svc_orders_reader -> svc_orders_ro",
        // What everybody has is of use only to who is let in.
        "dev_ana main/orders + SELECT on table app.item by dev_ana -> public",
        "zoe main/orders + SELECT on table app.item by zoe",
        "dev_ana main + pg_read_all_data on all databases by dev_ana",
    ] {
        assert!(differences.iter().any(|one| one == expected), "{expected}: {differences:#?}");
    }
    assert!(!differences.iter().any(|one| one.starts_with("dev_dora")), "{differences:#?}");
    let cell = |login: &str, place: &str| {
        let entry = matrix.entries.iter().find(|e| e.who.login == login && e.place.label() == place).unwrap();
        (entry.declared.level, entry.actual.as_ref().unwrap().level)
    };
    assert_eq!(cell("dev_boris", "main/billing"), (Level::Writes, Level::Owns));
    // He is not let in, so that what he was given is worth nothing yet.
    assert_eq!(cell("dev_boris", "main/orders"), (Level::None, Level::None));
    assert_eq!(matrix.who.last().unwrap().kind, WhoKind::Unknown);
}

#[test]
fn a_membership_that_is_gone_takes_everything_with_it() {
    let environment = environment("database");
    let world = world(&environment, |world| {
        change::<PgRole>(world, "pg_role.main/dev_ana", |role| role.member_of.clear());
    });
    let matrix = access_matrix("prod", &environment, Some(&world));
    let ana = matrix.entries.iter().find(|entry| entry.who.login == "dev_ana").unwrap();
    assert_eq!((ana.declared.level, ana.actual.as_ref().unwrap().level), (Level::Reads, Level::None));
    assert_eq!(ana.missing, ana.declared.rights);
}

#[test]
fn what_could_not_be_read_is_not_taken_for_a_difference() {
    let environment = environment("database");
    let world = world(&environment, |world| {
        world.found.retain(|address, _| !address.path().starts_with("main"));
    });
    let matrix = access_matrix("prod", &environment, Some(&world));
    assert_eq!(differences(&matrix), [""; 0]);
    assert!(matrix.differs() && matrix.unreadable.contains_key("main"), "{:?}", matrix.unreadable);
    assert!(matrix.entries.iter().any(|entry| entry.actual.is_none()));
}
