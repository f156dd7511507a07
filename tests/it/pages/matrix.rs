//! `infra access --html`: who can do what where, in a browser.

use std::{borrow::Cow, fs};

use infra::{
    model::access_matrix::{
        AccessMatrix, By, Entry, Level, Membership, Place, Right, Rights, System, Who, WhoKind,
    },
    report::page,
};
use serde_json::json;

use super::{
    ENVIRONMENT, HOSTILE,
    browser::{Visit, browse},
    infra, keep,
};

/// Hostile names wherever a name can stand; one login differs from its declaration.
fn hostile() -> AccessMatrix {
    let kinds = [WhoKind::Person, WhoKind::Service, WhoKind::Infra, WhoKind::Unknown];
    let who: Vec<Who> = (HOSTILE.iter().enumerate())
        .map(|(number, text)| Who {
            kind: kinds[number % 4],
            name: (*text).into(),
            login: format!("login {text}"),
        })
        .collect();
    let places: Vec<Place> = (HOSTILE.iter())
        .map(|text| Place {
            system: System::Postgres,
            cluster: (*text).into(),
            database: (*text).into(),
            schema: Some((*text).into()),
            service: None,
        })
        .collect();
    let right = |text: &str| Right {
        on: text.into(),
        privileges: HOSTILE.map(str::to_owned).into(),
        through: vec![
            Membership { role: text.into(), by: By::Itself },
            Membership { role: text.into(), by: By::Inherits },
        ],
    };
    let rights = |level, text: &str| Rights { level, rights: vec![right(text)] };
    let entries = who.iter().zip(&places).enumerate().map(|(number, (who, place))| {
        let text = HOSTILE[number];
        let differs = number == 0;
        Entry {
            who: who.clone(),
            place: place.clone(),
            declared: rights(Level::Reads, text),
            actual: Some(rights(if differs { Level::Writes } else { Level::Reads }, text)),
            extra: if differs { vec![right(text)] } else { Vec::new() },
            missing: Vec::new(),
        }
    });
    AccessMatrix {
        environment: HOSTILE[2].into(),
        compared: true,
        entries: entries.collect(),
        who,
        places,
        unreadable: [(HOSTILE[0].to_owned(), HOSTILE[1].to_owned())].into(),
    }
}

#[test]
fn who_can_do_what_as_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("environments/local")).unwrap();
    fs::write(path("environments/local/environment.yaml"), ENVIRONMENT).unwrap();
    let printed = infra(folder.path(), &["access", "-e", "local", "--format", "json"]).expect(0).stdout;
    let declared: AccessMatrix = serde_json::from_str(&printed).unwrap();
    infra(folder.path(), &["access", "-e", "local", "--html", "access.html"]).expect(0);
    let differing = hostile();
    fs::write(path("differing.html"), page::access(&differing).render(|text| Cow::Borrowed(text))).unwrap();

    let kinds = ["person", "service", "infra", "unknown", "person differs"];
    let sound = |file: &str| {
        let visit =
            Visit::to(&path(file)).ask("injected()").ask("scripts()").ask("unseen()").ask("unnamed()");
        let visit = visit.ask("dangling()").ask("twice()").ask("contrast()").shot("light.png");
        let visit = visit.scheme("dark").ask("contrast()").shot("dark.png").scheme("light");
        let visit = kinds.iter().fold(visit, |visit, kind| visit.ask(&format!("shown('{kind}')")));
        visit
            .ask("rows()")
            .press("/", 1)
            .write("svc_orders_app")
            .ask("rows()")
            .press("Escape", 1)
            .evaluate("document.querySelector('[data-filter=differs]')?.click()")
            .ask("rows()")
            .size(375, 800)
            .ask("wide()")
            .shot("phone.png")
    };
    let reports = browse(&[sound("access.html"), sound("differing.html")]);
    for (matrix, report) in [&declared, &differing].into_iter().zip(&reports) {
        report.quiet(&matrix.environment);
        let values = &report.values;
        assert_eq!(json!(values[..6]), json!([0, 1, false, 0, [], 0]));
        for contrast in &values[6..8] {
            assert!(contrast[0].as_f64().unwrap() >= 4.5, "{contrast}");
        }
        let of = |kind: WhoKind, differs: bool| {
            let here = |who: &Who| matrix.entries.iter().any(|entry| entry.who == *who && entry.differs());
            matrix.who.iter().filter(|who| who.kind == kind && here(who) == differs).count()
        };
        let counts = [
            of(WhoKind::Person, false),
            of(WhoKind::Service, false),
            of(WhoKind::Infra, false),
            of(WhoKind::Unknown, false),
            of(WhoKind::Person, true),
        ];
        assert_eq!(json!(values[8..13]), json!(counts));
        let all = matrix.who.len();
        let (named, filtered) = if matrix.compared { (0, 1) } else { (1, all) };
        assert_eq!(
            json!([values[13], values[14], values[16]]),
            json!([all, named, filtered]),
            "{}",
            matrix.environment
        );
        assert_eq!(values[17], 0, "a phone has to be scrolled sideways");
    }
    keep(folder.path());
}
