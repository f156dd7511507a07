//! Plans that are saved, reviewed and applied later; parts of plans; and what the guards refuse.

use super::only_change;
use crate::support::sandbox::Sandbox;

const YAML: &str = "services: {orders: {}}\npeople: {ana: {}, boris: {}}\n";

#[tokio::test]
async fn reviewed_plans() {
    let sandbox = Sandbox::new("17", YAML);
    sandbox.apply();
    let wanted = YAML.replace("orders: {}", "orders: {connection_limit: 9, settings: {work_mem: 8MB}}");
    sandbox.write(&wanted);
    sandbox.infra(&["plan", "-o", "p"]).expect(0);
    let ran = sandbox.infra(&["apply", "p"]).expect(0);
    assert!(
        ran.stdout.contains("Apply complete! Resources: 0 added, 3 changed, 0 destroyed."),
        "{}",
        ran.stdout
    );
    sandbox.settled();
    // Once more: it is no longer what was reviewed.
    let again = sandbox.infra(&["apply", "p"]).expect(4);
    assert!(again.stderr.contains("the plan has changed since it was reviewed"), "{}", again.stderr);

    // Without its digest, or with none, nothing is approved.
    let saved = std::fs::read_to_string(sandbox.folder().join("p")).unwrap();
    for (broken, code) in [("\"no_digest\": \"", 1), ("\"digest\": \"x", 4)] {
        std::fs::write(sandbox.folder().join("broken"), saved.replace("\"digest\": \"", broken)).unwrap();
        sandbox.infra(&["apply", "broken"]).expect(code);
    }

    // Stale by a change that it rests on: nothing is done, and the difference is shown.
    sandbox.write(YAML);
    sandbox.infra(&["plan", "-out=p"]).expect(0);
    sandbox.by_superuser("postgres", "ALTER ROLE svc_orders_app CONNECTION LIMIT 3").await;
    let stale = sandbox.infra(&["apply", "p"]).expect(4);
    assert!(stale.stderr.contains("svc_orders_app"), "{}", stale.stderr);
    let limit = "SELECT rolconnlimit FROM pg_roles WHERE rolname LIKE 'svc_orders_%' ORDER BY rolname";
    let rows = sandbox.sql("infra_admin", "postgres", limit).await.unwrap();
    assert_eq!(rows[0][0].as_deref(), Some("3"));
    assert!(rows.iter().any(|row| row[0].as_deref() == Some("9")), "{rows:?}");
    sandbox.by_superuser("postgres", "ALTER ROLE svc_orders_app CONNECTION LIMIT 9").await;

    // Nothing to it: what is not ours, and rows, tables and sessions of the service.
    sandbox.by_superuser("postgres", "CREATE ROLE stranger").await;
    sandbox.by_superuser("postgres", "CREATE DATABASE elsewhere").await;
    sandbox.can("svc_orders_migrator", "orders", &["CREATE TABLE t (id int)"]).await;
    let plan: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.folder().join("p")).unwrap()).unwrap();
    let digest = plan["digest"].as_str().unwrap().to_owned();
    let other = "0".repeat(64);
    sandbox.infra(&["apply", "p", "--expect-digest", &other]).expect(4);
    sandbox.infra(&["apply", "--auto-approve", "--expect-digest", &other]).expect(4);
    sandbox.infra(&["apply", "p", "--expect-digest", &digest]).expect(0);
    sandbox.settled();

    // Grants, memberships and comments that were made again lie elsewhere in the catalogs, and in another order.
    sandbox.can("svc_orders_migrator", "orders", &["GRANT SELECT ON t TO dev_ana, dev_boris"]).await;
    let digest = sandbox.plan()["digest"].as_str().unwrap().to_owned();
    let again = [
        "REVOKE ALL ON t FROM dev_ana, dev_boris",
        "GRANT SELECT ON t TO dev_boris",
        "GRANT SELECT ON t TO dev_ana",
    ];
    sandbox.can("svc_orders_migrator", "orders", &again).await;
    let again = "ALTER ROLE svc_orders_app CONNECTION LIMIT 3; ALTER ROLE svc_orders_app CONNECTION LIMIT 50;
                 ALTER ROLE dev_ana CONNECTION LIMIT 3; ALTER ROLE dev_ana CONNECTION LIMIT 5";
    sandbox.by_superuser("postgres", again).await;
    let plan = sandbox.plan();
    assert_eq!(plan["digest"], *digest, "{plan:#}");
    sandbox.apply();

    // By its digest alone.
    sandbox.write(&wanted);
    let digest = sandbox.plan()["digest"].as_str().unwrap().to_owned();
    sandbox.infra(&["apply", "--expect-digest", &digest]).expect(0);
    sandbox.settled();
}

#[tokio::test]
async fn parts() {
    let sandbox = Sandbox::new("18", YAML);
    sandbox.apply();
    sandbox.write(
        "services: {orders: {connection_limit: 9}, billing: {}}\npeople: {ana: {}, boris: {}, carla: {}}\n",
    );
    let unknown = sandbox.infra(&["plan", "--target", "pg_role.main/dev_carlo"]).expect(1);
    assert!(unknown.stderr.contains("pg_role.main/dev_carla"), "{}", unknown.stderr);
    sandbox.infra(&["apply", "--auto-approve", "--target", "pg_role.main/dev_carla"]).expect(0);
    assert!(!sandbox.changes().iter().any(|(address, _)| address.contains("carla")));
    sandbox.infra(&["apply", "--auto-approve", "--exclude", "*billing*"]).expect(0);
    let left = sandbox.changes();
    assert!(!left.is_empty() && left.iter().all(|(address, _)| address.contains("billing")), "{left:?}");
    // A part brings what it needs.
    sandbox.infra(&["apply", "--auto-approve", "--target", "pg_schema.main/billing/app"]).expect(0);
    sandbox.apply();
    sandbox.settled();
    // A part, saved.
    sandbox.write("services: {orders: {}, billing: {}}\npeople: {boris: {}, carla: {}}\n");
    sandbox.infra(&["plan", "-target=pg_role.main/dev_ana", "-o", "p"]).expect(0);
    sandbox.infra(&["apply", "p"]).expect(0);
    let left = sandbox.changes();
    assert!(left.iter().all(|(address, _)| address.contains("svc_orders")), "{left:?}");
    sandbox.apply();
    sandbox.settled();
}

#[tokio::test]
async fn guards() {
    let protected = |yaml: &str| format!("protect: true\n{yaml}");
    let sandbox = Sandbox::new("17", &protected(YAML));
    let ran = sandbox.infra(&["apply", "--auto-approve"]);
    let can_protect = ran.code == 0;
    assert!(can_protect, "{ran:?}");
    sandbox.settled();
    sandbox.write(&protected(&YAML.replace("ana: {}, ", "")));
    only_change(&sandbox, "pg_role.main/dev_ana", "delete");
    let refused = sandbox.infra(&["apply", "--auto-approve"]).expect(3);
    assert!(refused.stderr.contains("--allow-destroy=pg_role.main/dev_ana"), "{}", refused.stderr);
    assert_eq!(
        sandbox.value("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'dev_ana'").await,
        "1"
    );
    // Neither all nor taking the protection out of the YAML makes it go.
    sandbox.infra(&["apply", "--auto-approve", "--allow-destroy=all"]).expect(3);
    sandbox.write(&YAML.replace("ana: {}, ", ""));
    sandbox.infra(&["apply", "--auto-approve"]).expect(3);
    sandbox.write(&protected(&YAML.replace("ana: {}, ", "")));
    sandbox.infra(&["apply", "--auto-approve", "--allow-destroy=pg_role.main/dev_ana"]).expect(0);
    sandbox.settled();
    let refused = sandbox.infra(&["destroy", "--auto-approve"]).expect(3);
    assert!(refused.stderr.contains("local_server.main"), "{}", refused.stderr);

    // Many at once.
    let people = |count: usize| {
        let people: Vec<String> = (0..count).map(|number| format!("p{number}: {{}}")).collect();
        format!("services: {{orders: {{}}}}\npeople: {{{}}}\n", people.join(", "))
    };
    let sandbox = Sandbox::new("18", &people(12));
    sandbox.apply();
    sandbox.write(&people(1));
    let refused = sandbox.infra(&["apply", "--auto-approve"]).expect(3);
    assert!(refused.stderr.contains("more than 30 %"), "{}", refused.stderr);
    assert_eq!(
        sandbox.value("postgres", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'dev_p%'").await,
        "12"
    );
    sandbox.infra(&["apply", "--auto-approve", "--allow-destroy=all"]).expect(0);
    sandbox.settled();
    sandbox.infra(&["destroy", "--auto-approve"]).expect(0);
    assert!(!sandbox.project.base().exists());
    assert!(crate::support::local::processes_under(&sandbox.project.base()).is_empty());
}
