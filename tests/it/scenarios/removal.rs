//! A service is removed: held until told, retired with its data, restored, dropped.

use super::held;
use crate::support::sandbox::{Sandbox, sql};

const BOTH: &str = "
services: {orders: {}, billing: {settings: {work_mem: 8MB}, connection_limit: 7}}
people: {ana: {}}
developer_groups: {backend: {members: [ana], services: all, access: read-write}}
";
const ONE: &str = "
services: {orders: {}}
people: {ana: {}}
developer_groups: {backend: {members: [ana], services: all, access: read-write}}
";

async fn removed(major: &str, isolation: &str) {
    let shared = isolation == "schema";
    let head = format!("isolation: {isolation}\n");
    let (database, schema) = if shared { ("shared", "billing") } else { ("billing", "app") };
    let sandbox = Sandbox::new(major, &(head.clone() + BOTH));
    sandbox.apply();
    let rows =
        "CREATE TABLE t (id serial, v text); INSERT INTO t (v) VALUES ('kept'); SELECT lo_from_bytea(0, 'x')";
    sandbox.can("svc_billing_migrator", database, &[rows]).await;
    sandbox.settled();

    // Not written down: held. Only people lose what they had through `services: all`.
    sandbox.write(&(head.clone() + ONE));
    let plan = sandbox.plan();
    let changes: Vec<_> = sandbox.changes();
    assert_eq!(changes, [("pg_role.main/dev_backend".to_owned(), "update".to_owned())]);
    let kept = held(&plan);
    let data = if shared { "pg_schema.main/shared/billing" } else { "pg_database.main/billing" };
    let (_, reason, message) = kept.iter().find(|(address, ..)| address == data).expect("held");
    assert_eq!(reason, "undeclared");
    assert!(message.contains("removed: {services: {billing: {data: keep}}}"), "{message}");
    assert!(kept.iter().any(|(address, ..)| address == "pg_role.main/svc_billing_app"), "{kept:?}");
    sandbox.apply();
    sandbox.settled();
    sandbox.can("svc_billing_app", database, &["INSERT INTO t (v) VALUES ('still')"]).await;
    sandbox.can("svc_billing_migrator", database, &["CREATE TABLE still (id int)"]).await;
    sandbox.settled();

    // Retired: shut, ended, renamed, marked.
    let mut open = sandbox.connect("svc_billing_app", database).await.unwrap();
    sql(&mut open, "BEGIN; INSERT INTO t (v) VALUES ('lost')").await.unwrap();
    let keep = format!("{head}{ONE}removed: {{services: {{billing: {{data: keep}}}}}}\n");
    sandbox.write(&keep);
    sandbox.apply();
    sandbox.settled();
    sql(&mut open, "SELECT 1").await.unwrap_err();
    for login in ["svc_billing_app", "svc_billing_reader", "svc_billing_migrator"] {
        let error = sandbox.shut_out(login, database).await;
        assert!(error.contains("is not permitted to log in") || error.contains("does not exist"), "{error}");
    }
    let iam = "SELECT count(*) FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole \
               AND member::regrole::text LIKE 'svc_billing%'";
    assert_eq!(sandbox.value("postgres", iam).await, "0");
    let retired = if shared {
        sandbox.value("shared", "SELECT nspname || ' ' || obj_description(oid) FROM pg_namespace WHERE nspname LIKE 'billing%'").await
    } else {
        let query = "SELECT datname || ' ' || datallowconn || ' ' || shobj_description(oid, 'pg_database') \
                     FROM pg_database WHERE datname LIKE 'billing%'";
        sandbox.value("postgres", query).await
    };
    let today = sandbox.value("postgres", "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')").await;
    let mark = "infra:retired;env=local;service=billing";
    let expected = if shared {
        format!("billing__retired_{today} {mark}")
    } else {
        format!("billing__retired_{today} false {mark}")
    };
    assert_eq!(retired, expected);

    // Restored, with its rows and rights.
    sandbox.write(&(head.clone() + BOTH));
    sandbox.apply();
    sandbox.settled();
    let rows = sandbox.sql("svc_billing_reader", database, "SELECT v FROM t ORDER BY id").await.unwrap();
    let rows: Vec<_> = rows.into_iter().flatten().flatten().collect();
    assert_eq!(rows, ["kept", "still"]);
    sandbox.can("svc_billing_app", database, &["INSERT INTO t (v) VALUES ('new')"]).await;
    sandbox.can("svc_billing_migrator", database, &["CREATE TABLE newer (id int)"]).await;
    sandbox.can("dev_ana", database, &[&format!("SELECT * FROM {schema}.newer")]).await;
    sandbox.settled();

    // Retired again, then dropped.
    sandbox.write(&keep);
    sandbox.apply();
    sandbox.settled();
    sandbox.write(&format!("{head}{ONE}removed: {{services: {{billing: {{data: drop}}}}}}\n"));
    let ran = sandbox.infra(&["apply", "--auto-approve"]);
    if ran.code == 3 {
        sandbox.infra(&["apply", "--auto-approve", "--allow-destroy", "all"]).expect(0);
    } else {
        let _ = ran.expect(0);
    }
    sandbox.settled();
    let left = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE '%billing%') + \
                (SELECT count(*) FROM pg_database WHERE datname LIKE '%billing%')";
    assert_eq!(sandbox.value("postgres", left).await, "0");
    if shared {
        let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%billing%'";
        assert_eq!(sandbox.value("shared", left).await, "0");
    }
    // And anew, from nothing.
    sandbox.write(&(head + BOTH));
    sandbox.apply();
    sandbox.settled();
    sandbox.can("svc_billing_migrator", database, &["CREATE TABLE t (id int)"]).await;
    sandbox.settled();
}

#[tokio::test]
async fn a_database_15() {
    removed("15", "database").await;
}

#[tokio::test]
async fn a_database_17() {
    removed("17", "database").await;
}

#[tokio::test]
async fn a_schema_15() {
    removed("15", "schema").await;
}

#[tokio::test]
async fn a_schema_18() {
    removed("18", "schema").await;
}
