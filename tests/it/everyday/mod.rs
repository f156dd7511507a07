//! What people do every day: see who may do what, and get into a database, on this machine.

use std::process::Command;

use serde_json::Value;

use crate::support::{emulator::python, sandbox::Sandbox};

const YAML: &str = "
services: {orders: {}, billing: {}}
people: {ana: {}, boris: {}}
developer_groups:
  backend: {members: [ana], services: [orders], access: read-only}
  finance: {members: [boris], services: [billing], access: read-write}
";

/// The same on both ways to keep services apart.
#[tokio::test]
async fn access_is_told_and_compared() {
    let sandbox = Sandbox::new("17", YAML);
    let _ = sandbox.apply();
    declared(&sandbox);
    by_hand(&sandbox).await;
    connect(&sandbox);
    shared().await;
}

fn declared(sandbox: &Sandbox) {
    let ran = sandbox.infra(&["access"]).expect(0);
    let row = |login: &str| {
        ran.stdout.lines().find(|line| line.contains(login)).unwrap().split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(row("dev_ana"), ["ana", "(dev_ana)", "-", "reads"]);
    assert_eq!(row("dev_boris"), ["boris", "(dev_boris)", "writes", "-"]);
    assert_eq!(row("svc_orders_migrator"), ["svc_orders_migrator", "-", "owns"]);
    let ran = sandbox.infra(&["access", "--actual", "--detailed-exitcode"]).expect(0);
    assert!(ran.stdout.contains("No differences."), "{}", ran.stdout);
    let ran = sandbox.infra(&["access", "--why", "ana", "orders"]).expect(0);
    assert!(ran.stdout.contains("dev_ana -> dev_backend -> svc_orders_ro\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("    -> SELECT on all tables\n"), "{}", ran.stdout);
    let ran = sandbox.infra(&["access", "--why", "ana", "billing"]).expect(0);
    assert!(ran.stdout.contains("add ana to developer_groups.finance.members"), "{}", ran.stdout);
    let ran = sandbox.infra(&["access", "--who", "anna"]).expect(1);
    assert!(
        ran.stderr.contains("there is nobody called `anna`") && ran.stderr.contains("did you mean `ana`?"),
        "{}",
        ran.stderr
    );
}

async fn by_hand(sandbox: &Sandbox) {
    let sql = "CREATE TABLE item (id int); GRANT TRUNCATE ON item TO dev_boris; REVOKE SELECT ON item FROM svc_orders_ro";
    sandbox.sql("svc_orders_migrator", "orders", sql).await.unwrap();
    // A role that nobody declared, with a name that a spreadsheet would compute.
    let mut superuser = sandbox.superuser("orders").await;
    let sql =
        "CREATE ROLE \"=cmd, \"\"x\"\"\" LOGIN; GRANT svc_orders_rw TO \"=cmd, \"\"x\"\"\"; CREATE ROLE tool";
    crate::support::sandbox::sql(&mut superuser, sql).await.unwrap();
    let ran = sandbox.infra(&["access", "--actual", "--detailed-exitcode", "--service", "orders"]).expect(2);
    for line in [
        "ana (dev_ana) in main/orders:\n  - SELECT on table app.item, by dev_ana -> dev_backend -> svc_orders_ro\n",
        "boris (dev_boris) in main/orders:\n  + TRUNCATE on table app.item, by dev_boris\n",
        "(unknown) in main/orders:\n",
        "  + DELETE, INSERT, SELECT, UPDATE on all tables, by =cmd, \"x\" -> svc_orders_rw\n",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    // Without the flag it is no failure, and without the question there is no difference.
    sandbox.infra(&["access", "--actual"]).expect(0);
    let json: Value =
        serde_json::from_str(&sandbox.infra(&["access", "--actual", "--format", "json"]).expect(0).stdout)
            .unwrap();
    let entries = json["entries"].as_array().unwrap();
    let boris = entries
        .iter()
        .find(|entry| entry["who"]["name"] == "boris" && entry["place"]["database"] == "orders")
        .unwrap();
    assert_eq!(
        (&boris["declared"]["level"], &boris["extra"][0]["privileges"][0]),
        (&"none".into(), &"TRUNCATE".into())
    );
    let csv = sandbox.infra(&["access", "--actual", "--format", "csv"]).expect(0).stdout;
    let read = "import csv, json, sys, io\nprint(json.dumps(list(csv.DictReader(io.StringIO(sys.argv[1], newline='')))))";
    let rows = Command::new(python()).args(["-c", read, &csv]).output().unwrap();
    let rows: Value = serde_json::from_slice(&rows.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), entries.len());
    let odd = rows.iter().find(|row| row["kind"] == "unknown").unwrap();
    assert_eq!((&odd["login"], &odd["actual"]), (&"'=cmd, \"x\"".into(), &"writes".into()));
    let ran = sandbox.infra(&["access", "--actual", "--why", "boris", "orders"]).expect(0);
    assert!(
        ran.stdout.contains("On the server it is otherwise:\n    + dev_boris -> TRUNCATE on table app.item"),
        "{}",
        ran.stdout
    );
    // apply takes away what is too much, and there is no difference any more but the role that is nobody's.
    crate::support::sandbox::sql(&mut superuser, "REVOKE svc_orders_rw FROM \"=cmd, \"\"x\"\"\"")
        .await
        .unwrap();
    let _ = sandbox.apply();
    sandbox.infra(&["access", "--actual", "--detailed-exitcode"]).expect(0);
}

fn connect(sandbox: &Sandbox) {
    let query = "SELECT current_user || ' ' || current_setting('default_transaction_read_only')";
    let ask = |more: &[&str]| {
        let arguments =
            [&["connect", "orders", "--as", "ana"], more, &["--", "psql", "-XAtc", query]].concat();
        sandbox.infra(&arguments).expect(0).stdout
    };
    assert_eq!(ask(&[]), "dev_ana off\n");
    assert_eq!(ask(&["--reader"]), "dev_ana on\n");
    let ran = sandbox.infra(&["connect", "orders", "--as", "boris"]).expect(1);
    assert!(ran.stderr.contains("boris is in no group with access to `orders`"), "{}", ran.stderr);
    let ran = sandbox.infra(&["connect", "orders", "--as", "ana", "--print"]).expect(0);
    assert!(
        ran.stdout.starts_with("postgresql://dev_ana@127.0.0.1:")
            && ran.stdout.ends_with("/orders?sslmode=disable\n"),
        "{}",
        ran.stdout
    );
    let ran = sandbox.infra(&["connect", "orders"]).expect(1);
    assert!(ran.stderr.contains("say who you are: --as NAME; there are: ana, boris"), "{}", ran.stderr);
}

async fn shared() {
    let sandbox = Sandbox::new("17", &format!("isolation: schema\n{YAML}"));
    let _ = sandbox.apply();
    let sql = "CREATE TABLE item (id int); INSERT INTO item VALUES (3)";
    sandbox.sql("svc_orders_migrator", "shared", sql).await.unwrap();
    let ran = sandbox.infra(&["access", "--actual", "--detailed-exitcode", "--who", "ana"]).expect(0);
    assert!(ran.stdout.contains("shared.orders"), "{}", ran.stdout);
    // Without a word she finds what is the service's.
    let query = ["connect", "orders", "--as", "ana", "--", "psql", "-XAtc", "SELECT id FROM item"];
    assert_eq!(sandbox.infra(&query).expect(0).stdout, "3\n");
}
