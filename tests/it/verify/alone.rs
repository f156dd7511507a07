//! `infra verify` among others: applications with locks, other verifies, servers that are not there.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use infra::{
    compose, config,
    model::access::{Method, Observed},
    providers::{
        TryOnly,
        postgres::{ADMIN, Access, Endpoint, Login, Postgres, Routes},
    },
};

use super::{applied, differences, fingerprints, migrate, verified};
use crate::support::sandbox::{Sandbox, sql};

/// A server's own view of whether anybody waits for anybody.
const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted";

#[tokio::test]
async fn applications_neither_block_nor_are_blocked() {
    let sandbox = applied("17", "database").await;
    migrate(&sandbox, "database").await;
    // Another kind of table than the rest, so that it stands for itself.
    sandbox
        .sql("svc_orders_migrator", "orders", "GRANT MAINTAIN ON app.t TO svc_orders_owner")
        .await
        .unwrap();
    sandbox.sql("svc_orders_migrator", "orders", "GRANT SELECT (v) ON app.t TO svc_orders_ro").await.unwrap();
    let mut migration = sandbox.connect("svc_orders_migrator", "orders").await.unwrap();
    sql(&mut migration, "BEGIN; LOCK TABLE app.t IN ACCESS EXCLUSIVE MODE; LOCK TABLE app.empty")
        .await
        .unwrap();
    let mut application = sandbox.connect("svc_orders_app", "orders").await.unwrap();
    sql(&mut application, "BEGIN; INSERT INTO app.u VALUES (1); SELECT nextval('app.counted')")
        .await
        .unwrap();

    let clock = Instant::now();
    // A file: nobody reads a pipe before the end, and more is written than one holds.
    let answer = sandbox.folder().join("answer.json");
    let mut command = sandbox.command(&["verify", "--json"]);
    let mut verify = command.stdout(std::fs::File::create(&answer).unwrap()).spawn().unwrap();
    let mut altered = 0;
    while verify.try_wait().unwrap().is_none() && clock.elapsed() < Duration::from_mins(1) {
        // A change of a table waits for nothing but what is in use for an instant.
        let change = "SET lock_timeout = '1s'; ALTER TABLE later.t ALTER COLUMN x SET DEFAULT 1";
        sandbox.sql("svc_orders_migrator", "orders", change).await.unwrap();
        altered += 1;
    }
    let took = clock.elapsed();
    let code = verify.wait().unwrap().code();
    eprintln!("verified in {took:.2?} among locks, while a table was altered {altered} times");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&answer).unwrap()).unwrap();
    assert_eq!((code, &json["differences"]), (Some(0), &serde_json::json!([])));
    assert!(took < Duration::from_secs(30), "{took:?}");
    let trials = json["trials"].as_array().unwrap();
    let on_locked = trials.iter().find(|trial| {
        trial["login"] == "svc_orders_app"
            && trial["object"] == "t"
            && trial["operation"] == "insert"
            && trial["schema"] == "app"
    });
    assert_eq!(on_locked.unwrap()["method"], "inquiry");
    sql(&mut migration, "COMMIT").await.unwrap();
    sql(&mut application, "COMMIT").await.unwrap();
    assert_eq!(sandbox.sql("infra_admin", "postgres", WAITING).await.unwrap()[0][0].as_deref(), Some("0"));
}

#[tokio::test]
async fn three_at_once() {
    for (major, isolation) in [("15", "database"), ("18", "schema")] {
        let sandbox = applied(major, isolation).await;
        migrate(&sandbox, isolation).await;
        let before = fingerprints(&sandbox, isolation).await;
        let started: Vec<_> = (0..3)
            .map(|_| sandbox.command(&["verify"]).stdout(std::process::Stdio::piped()).spawn().unwrap())
            .collect();
        for verify in started {
            let output = verify.wait_with_output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(0), "{text}");
            assert!(text.contains(", 0 differences (11 logins x "), "{text}");
        }
        assert_eq!(fingerprints(&sandbox, isolation).await, before);
    }
}

/// A run that is killed leaves as little behind as one that ends.
#[tokio::test]
async fn killed() {
    let sandbox = applied("16", "database").await;
    migrate(&sandbox, "database").await;
    let before = fingerprints(&sandbox, "database").await;
    for milliseconds in [40, 60, 80, 100, 130] {
        let mut verify = sandbox.command(&["verify"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        verify.kill().unwrap();
        verify.wait().unwrap();
    }
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'infra verify%'";
    let clock = Instant::now();
    while sandbox.sql("infra_admin", "postgres", ours).await.unwrap()[0][0].as_deref() != Some("0") {
        assert!(clock.elapsed() < Duration::from_secs(20), "sessions are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(fingerprints(&sandbox, "database").await, before);
    let _ = verified(&sandbox);
}

/// The way without a single login of anybody but the admin, as on Aurora, proves the same.
#[tokio::test]
async fn without_logging_in() {
    for (major, isolation) in [("15", "database"), ("17", "database"), ("16", "schema")] {
        let sandbox = applied(major, isolation).await;
        migrate(&sandbox, isolation).await;
        let loaded = config::load(&sandbox.folder().join("environments"), "local").unwrap();
        let expected = compose::expected(&loaded.environment).remove("main").unwrap();
        let login = Login {
            user: ADMIN.into(),
            application: "a test".into(),
            statement_timeout: Duration::from_secs(30),
            read_only: false,
            access: Access::Trust,
            routes: Routes::default(),
        };
        let endpoint =
            Endpoint { cluster: "main".into(), host: "127.0.0.1".into(), port: sandbox.port().await };
        let prover = Postgres::<TryOnly>::new(login);
        let logins: Vec<String> = expected.logins().cloned().collect();
        let mut methods = BTreeSet::new();
        for (database, schemas) in expected.databases() {
            let tried = prover.try_all(&endpoint, &database, &logins, &schemas).await.unwrap();
            assert!(tried.attempted.len() > 200, "{}", tried.attempted.len());
            for row in tried.attempted {
                let allowed = expected.allows(&row.login, &database, row.schema.as_deref(), row.operation);
                let due = if allowed { Observed::Allowed } else { Observed::Denied };
                assert_eq!(row.observed, due, "{row:?}");
                methods.insert(row.method);
            }
        }
        assert_eq!(methods.into_iter().collect::<Vec<_>>(), [Method::SetRole, Method::Inquiry]);
    }
}

#[tokio::test]
async fn what_is_not_there_is_no_success() {
    let sandbox = Sandbox::new("17", "services: {orders: {}}\n");
    let ran = sandbox.infra(&["verify"]).expect(1);
    assert!(ran.stderr.contains("Error: main could not be verified: it is not running"), "{}", ran.stderr);
    let _ = sandbox.apply();
    let _ = verified(&sandbox);
    // Declared, but not applied yet.
    sandbox.write("services: {orders: {}, billing: {}}\npeople: {ana: {}}\n");
    let ran = sandbox.infra(&["verify"]).expect(1);
    for line in [
        "NOT TRIED main dev_ana: there is no such login; `infra apply` makes it",
        "NOT TRIED main svc_billing_app: there is no such login; `infra apply` makes it",
        "NOT TRIED main/billing: there is no such database; `infra apply` makes it",
    ] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
    assert!(ran.stdout.contains("Not verified: "), "{}", ran.stdout);
    let _ = sandbox.apply();
    let _ = verified(&sandbox);
    sandbox.project.writer().stop("main", &|_| ()).await.unwrap();
    let _ = sandbox.infra(&["verify", "--json"]).expect(1);
}

/// Of a retired service nobody gets in, its own logins least of all.
#[tokio::test]
async fn retired() {
    for isolation in ["database", "schema"] {
        let sandbox = applied("17", isolation).await;
        migrate(&sandbox, isolation).await;
        let only = |removed: &str| {
            format!(
                "isolation: {isolation}\nservices: {{billing: {{}}}}\npeople: {{ana: {{}}}}\n\
                 developer_groups: {{all: {{members: [ana], services: all}}}}\n{removed}"
            )
        };
        sandbox.write(&only("removed: {services: {orders: {data: keep}}}\n"));
        // Whether the next plan is empty is another test's business.
        let ran = sandbox.infra(&["apply", "--auto-approve"]);
        let _ = ran.expect(0);
        let json = verified(&sandbox);
        let trials = json["trials"].as_array().unwrap();
        let shut = |trial: &&serde_json::Value| {
            trial["login"] == "svc_orders_app" && trial["operation"] == "connect"
        };
        assert!(trials.iter().filter(shut).count() >= 2);
        let closed = |trial: &&serde_json::Value| {
            let name = if isolation == "database" { &trial["database"] } else { &trial["schema"] };
            name.as_str().is_some_and(|name| name.starts_with("orders__retired_"))
        };
        assert!(trials.iter().filter(closed).count() >= 5);

        let open = "ALTER ROLE svc_orders_app LOGIN; GRANT CONNECT ON DATABASE billing TO svc_orders_app";
        if isolation == "database" {
            sql(&mut sandbox.superuser("postgres").await, open).await.unwrap();
            assert_eq!(
                differences(&sandbox),
                ["svc_orders_app on billing: connect is allowed, expected denied"]
            );
        }
    }
}
