//! People come, change and go.

use super::only_change;
use crate::support::sandbox::{Sandbox, sql};

fn with(people: &str, groups: &str) -> String {
    format!("services: {{orders: {{}}, billing: {{}}}}\npeople: {people}\ndeveloper_groups: {groups}\n")
}

const TABLE: &str = "CREATE TABLE t (v text); INSERT INTO t VALUES ('a')";

#[tokio::test]
async fn somebody_comes_and_moves() {
    let sandbox = Sandbox::new("18", &with("{}", "{}"));
    sandbox.apply();
    sandbox.can("svc_orders_migrator", "orders", &[TABLE]).await;
    sandbox.can("svc_billing_migrator", "billing", &[TABLE]).await;
    let groups = |orders: &str, billing: &str| {
        format!(
            "{{o: {{members: [{orders}], services: [orders], access: read-write}}, \
              b: {{members: [{billing}], services: [billing], access: read-only}}}}"
        )
    };
    sandbox.write(&with("{ana: {}}", &groups("ana", "")));
    sandbox.apply();
    sandbox.settled();
    sandbox.can("dev_ana", "orders", &["INSERT INTO app.t VALUES ('b')"]).await;
    sandbox.shut_out("dev_ana", "billing").await;

    sandbox.write(&with("{ana: {}}", &groups("", "ana")));
    let change = only_change(&sandbox, "pg_role.main/dev_ana", "update");
    assert_eq!(change.before["member_of"]["dev_o"], "inherit");
    assert_eq!(change.after["member_of"]["dev_b"], "inherit");
    sandbox.apply();
    sandbox.settled();
    sandbox.shut_out("dev_ana", "orders").await;
    sandbox.can("dev_ana", "billing", &["SELECT * FROM app.t"]).await;
    sandbox.cannot("dev_ana", "billing", &["INSERT INTO app.t VALUES ('b')"]).await;

    // `none` leaves the group without any way in; without the group nothing is left of it.
    let none = "{b: {members: [ana], services: [billing], access: none}}";
    sandbox.write(&with("{ana: {}}", none));
    sandbox.apply();
    sandbox.settled();
    sandbox.shut_out("dev_ana", "billing").await;
    sandbox.write(&with("{ana: {}}", "{}"));
    sandbox.apply();
    sandbox.settled();
    let left =
        sandbox.value("postgres", "SELECT count(*) FROM pg_roles WHERE rolname IN ('dev_o', 'dev_b')").await;
    assert_eq!(left, "0");
}

/// Write access ends in sessions that are open, in the middle of a transaction, and for one who had become the role.
async fn downgraded(major: &str) {
    let groups = |access: &str| format!("{{backend: {{members: [ana], services: all, access: {access}}}}}");
    let sandbox = Sandbox::new(major, &with("{ana: {}}", &groups("read-write")));
    sandbox.apply();
    sandbox.can("svc_orders_migrator", "orders", &[TABLE]).await;
    let mut idle = sandbox.connect("dev_ana", "orders").await.unwrap();
    let mut busy = sandbox.connect("dev_ana", "orders").await.unwrap();
    let mut other = sandbox.connect("svc_orders_app", "orders").await.unwrap();
    let insert = "INSERT INTO app.t VALUES ('b')";
    sql(&mut idle, insert).await.unwrap();
    sql(&mut busy, "BEGIN; INSERT INTO app.t VALUES ('c')").await.unwrap();
    let mut became = sandbox.connect("dev_ana", "orders").await.unwrap();
    let may = sql(&mut became, "SET ROLE svc_orders_rw").await;
    assert_eq!(may.is_ok(), major == "15", "{may:?}");

    sandbox.write(&with("{ana: {}}", &groups("read-only")));
    let change = only_change(&sandbox, "pg_role.main/dev_backend", "update");
    assert_eq!(change.before["member_of"]["svc_orders_rw"], "inherit");
    assert_eq!(change.after["member_of"]["svc_orders_ro"], "inherit");
    sandbox.apply();
    for session in [&mut idle, &mut busy] {
        let error = sql(session, insert).await.unwrap_err();
        let expected = if major == "15" { "terminating connection" } else { "permission denied for table t" };
        assert!(error.contains(expected) || major == "15", "{error}");
    }
    if major == "15" {
        sql(&mut became, insert).await.unwrap_err();
    }
    // Nobody else is disturbed.
    sql(&mut other, insert).await.unwrap();
    sandbox.can("dev_ana", "orders", &["SELECT * FROM app.t"]).await;
    sandbox.cannot("dev_ana", "orders", &[insert]).await;
    sandbox.settled();
}

#[tokio::test]
async fn downgraded_15() {
    downgraded("15").await;
}

#[tokio::test]
async fn downgraded_17() {
    downgraded("17").await;
}

/// One who has left is gone everywhere in one apply, whatever he owns and wherever he is logged in.
async fn leaves(major: &str, isolation: &str) {
    let all = "{backend: {members: [ana, boris], services: all, access: read-write}}";
    let head = format!("isolation: {isolation}\n");
    let sandbox = Sandbox::new(major, &(head.clone() + &with("{ana: {}, boris: {}}", all)));
    sandbox.apply();
    let (first, second) = if isolation == "schema" {
        (("shared", "orders"), ("shared", "billing"))
    } else {
        (("orders", "app"), ("billing", "app"))
    };
    for (database, schema) in [first, second] {
        sandbox.can("dev_ana", database, &["SELECT lo_create(0)"]).await;
        let drift = format!(
            "CREATE TABLE {schema}.hers (id serial); ALTER TABLE {schema}.hers OWNER TO dev_ana;
             INSERT INTO {schema}.hers DEFAULT VALUES;
             ALTER DEFAULT PRIVILEGES FOR ROLE dev_ana GRANT SELECT ON TABLES TO dev_boris;
             ALTER DEFAULT PRIVILEGES FOR ROLE dev_ana IN SCHEMA {schema} GRANT SELECT ON TABLES TO dev_boris;
             CREATE TYPE {schema}.kind AS ENUM ('a'); ALTER TYPE {schema}.kind OWNER TO dev_ana;
             GRANT SELECT ON {schema}.hers TO dev_ana"
        );
        sandbox.by_superuser(database, &drift).await;
    }
    // And in a database that somebody made by hand.
    sandbox.can("infra_admin", "postgres", &["CREATE DATABASE byhand"]).await;
    sandbox.by_superuser("byhand", "CREATE TABLE t (id int); ALTER TABLE t OWNER TO dev_ana; GRANT CREATE ON DATABASE byhand TO dev_ana").await;
    let mut open = sandbox.connect("dev_ana", first.0).await.unwrap();
    sql(&mut open, "BEGIN; SELECT 1").await.unwrap();

    let all = "{backend: {members: [boris], services: all, access: read-write}}";
    sandbox.write(&(head + &with("{boris: {}}", all)));
    let deleted: Vec<_> = sandbox.changes().into_iter().filter(|(_, action)| action == "delete").collect();
    assert_eq!(deleted, [("pg_role.main/dev_ana".to_owned(), "delete".to_owned())]);
    sandbox.apply();
    sandbox.settled();
    sql(&mut open, "SELECT 1").await.unwrap_err();
    assert_eq!(
        sandbox.value("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'dev_ana'").await,
        "0"
    );
    for (database, schema) in [first, second] {
        // The data is the service's now.
        let service = if schema == "billing" || database == "billing" { "billing" } else { "orders" };
        let owner =
            format!("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '{schema}.hers'::regclass");
        assert_eq!(sandbox.value(database, &owner).await, format!("svc_{service}_owner"));
        assert_eq!(sandbox.value(database, &format!("SELECT count(*) FROM {schema}.hers")).await, "1");
    }
}

#[tokio::test]
async fn leaves_15() {
    leaves("15", "database").await;
}

#[tokio::test]
async fn leaves_18() {
    leaves("18", "database").await;
}

#[tokio::test]
async fn leaves_a_shared_database() {
    leaves("17", "schema").await;
}
