use super::*;
use crate::model::access_matrix::{By, Level, Membership, Place, Rights, System};

fn place(cluster: &str, database: &str) -> Place {
    let system = if cluster == "events" { System::Mongodb } else { System::Postgres };
    let service = Some(database.to_owned());
    Place { system, cluster: cluster.into(), database: database.into(), schema: None, service }
}

fn right(on: &str, privileges: &[&str], through: &[(&str, By)]) -> Right {
    let link = |(role, by): &(&str, By)| Membership { role: (*role).into(), by: *by };
    Right {
        on: on.into(),
        privileges: privileges.iter().map(ToString::to_string).collect(),
        through: through.iter().map(link).collect(),
    }
}

fn who(kind: WhoKind, name: &str, login: &str) -> Who {
    Who { kind, name: name.into(), login: login.into() }
}

fn matrix(compared: bool) -> AccessMatrix {
    let ana = who(WhoKind::Person, "ana", "dev_ana");
    let odd = who(WhoKind::Unknown, "=1+1\u{1b}[2J", "=1+1\u{1b}[2J");
    let app = who(WhoKind::Service, "orders", "svc_orders_app");
    let chain = [("dev_ana", By::Itself), ("dev_backend", By::Inherits), ("svc_orders_ro", By::Inherits)];
    let reads = Rights {
        level: Level::Reads,
        rights: vec![
            right("all tables", &["SELECT"], &chain),
            right("database orders", &["CONNECT"], &chain),
        ],
    };
    let owner = [("svc_orders_app", By::Itself), ("svc_orders_owner", By::Becomes)];
    let owns = Rights { level: Level::Owns, rights: vec![right("all objects", &["OWNER"], &owner)] };
    let extra = right("table app.\"odd, \u{1b}name\"", &["TRUNCATE"], &[("dev_ana", By::Itself)]);
    let entry = |who: &Who, declared: &Rights, extra: Vec<Right>| Entry {
        who: who.clone(),
        place: place("main", "orders"),
        declared: declared.clone(),
        actual: compared.then(|| declared.clone()),
        extra: if compared { extra } else { Vec::new() },
        missing: Vec::new(),
    };
    AccessMatrix {
        environment: "prod".into(),
        compared,
        who: vec![ana.clone(), app.clone(), odd.clone()],
        places: vec![place("main", "orders"), place("main", "billing"), place("events", "billing")],
        entries: vec![
            entry(&ana, &reads, vec![extra]),
            entry(&app, &owns, Vec::new()),
            entry(
                &odd,
                &Rights::default(),
                vec![right("table app.item", &["SELECT"], &[("=1+1\u{1b}[2J", By::Itself)])],
            ),
        ],
        unreadable: if compared { [("events".to_owned(), "no answer".to_owned())].into() } else { [].into() },
    }
}

#[test]
fn as_a_table() {
    insta::assert_snapshot!(table(&matrix(false), false));
    insta::assert_snapshot!(table(&matrix(true), false));
    let empty = AccessMatrix::default();
    assert_eq!(table(&empty, false), "Nobody may do anything: nothing is declared.\n");
}

#[test]
fn a_table_that_is_too_wide_goes_on_below() {
    let mut wide = matrix(false);
    wide.places = (0..30).map(|number| place("main", &format!("a-service-{number}"))).collect();
    let text = table(&wide, false);
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!((0..30).all(|number| text.contains(&format!("a-service-{number}"))), "{text}");
}

#[test]
fn as_csv() {
    insta::assert_snapshot!(csv(&matrix(true)));
}

#[test]
fn why_somebody_may() {
    let matrix = matrix(true);
    let groups = ["ana is in no group with access to `billing`".to_owned(), "`finance` has it".to_owned()];
    insta::assert_snapshot!(why(&matrix, &matrix.who[..2], &matrix.places[..2], &groups, false));
}
