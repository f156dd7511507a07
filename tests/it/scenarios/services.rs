//! Services come and change: what each login can then do, by really logging in.

use super::only_change;
use crate::support::sandbox::Sandbox;

const TWO: &str = "
services: {orders: {}, billing: {}}
people: {ana: {}, boris: {}, carla: {}}
developer_groups:
  backend: {members: [ana], services: [orders], access: read-write}
  support: {members: [boris], services: [orders], access: read-only}
";

/// What a migration may make, after which every login is tried.
const MIGRATION: &str = "
CREATE TABLE t (id serial PRIMARY KEY, other int GENERATED ALWAYS AS IDENTITY, v text);
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE VIEW seen AS SELECT v FROM t;
CREATE MATERIALIZED VIEW stored AS SELECT v FROM t;
CREATE SEQUENCE numbers;
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION one(text, VARIADIC int[] DEFAULT '{}') RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE act(INOUT a int) LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE span AS RANGE (SUBTYPE = int);
INSERT INTO t (v) VALUES ('kept');
CREATE TABLE \"Odd \"\"name'; --\" (\"a col\" int);
";

async fn logins(sandbox: &Sandbox, database: &str) {
    sandbox.can("svc_orders_migrator", database, &[MIGRATION]).await;
    sandbox.settled();
    let writes = [
        "INSERT INTO t (v) VALUES ('new')",
        "UPDATE t SET v = 'newer' WHERE v = 'new'",
        "DELETE FROM t WHERE v = 'newer'",
        "INSERT INTO parted VALUES (1)",
        "SELECT nextval('numbers')",
    ];
    let reads = [
        "SELECT * FROM t",
        "SELECT * FROM seen",
        "SELECT * FROM stored",
        "SELECT last_value FROM numbers",
        "SELECT one(), one('a', 1, 2), total(id) FROM t",
        "CALL act(1)",
        "SELECT NULL::mood, NULL::pair, NULL::positive, NULL::span",
    ];
    let never = [
        "TRUNCATE t",
        "CREATE TABLE mine (id int)",
        "ALTER TABLE t ADD COLUMN w int",
        "DROP TABLE t",
        "CREATE SCHEMA mine",
        "CREATE TABLE public.mine (id int)",
        "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ];
    // A person has no search path of his own; in the shared database he says where.
    let path = if database == "shared" { "SET search_path = orders" } else { "SELECT 1" };
    let with = |statements: &[&str]| -> Vec<String> {
        statements.iter().map(|s| format!("SET TRANSACTION READ WRITE; {path}; {s}")).collect()
    };
    let with = |statements: &[&str]| -> &'static [&'static str] {
        let leaked: Vec<&'static str> =
            with(statements).into_iter().map(|text| &*Box::leak(text.into_boxed_str())).collect();
        Vec::leak(leaked)
    };
    for login in ["svc_orders_app", "dev_ana"] {
        sandbox.can(login, database, with(&writes)).await;
        sandbox.can(login, database, with(&reads)).await;
        sandbox.can(login, database, &["CREATE TEMP TABLE scratch (id int)"]).await;
        sandbox.cannot(login, database, with(&never)).await;
    }
    for login in ["svc_orders_reader", "dev_boris"] {
        sandbox.can(login, database, with(&reads)).await;
        sandbox.cannot(login, database, with(&writes)).await;
        sandbox.cannot(login, database, with(&never)).await;
        sandbox.cannot(login, database, with(&["CREATE TEMP TABLE scratch (id int)"])).await;
    }
    // The seat belt, and that the migrator is nobody but the owner.
    let read_only = sandbox.sql("svc_orders_reader", database, "SHOW transaction_read_only").await.unwrap();
    assert_eq!(read_only[0][0].as_deref(), Some("on"));
    sandbox.cannot("svc_orders_migrator", database, &["SET ROLE NONE; CREATE SCHEMA mine"]).await;
    let back = "SET ROLE NONE; RESET ROLE; CREATE TABLE mine (id int); DROP TABLE mine";
    sandbox.can("svc_orders_migrator", database, &[back]).await;
    // Nobody comes in without a grant.
    for login in ["dev_carla", "dev_ana", "dev_boris", "svc_orders_app"] {
        sandbox.shut_out(login, "postgres").await;
    }
    sandbox.shut_out("dev_carla", database).await;
    let planner = if database == "shared" { "SELECT * FROM orders.t" } else { "SELECT * FROM app.t" };
    sandbox.can("infra_planner", database, &["SELECT count(*) FROM pg_class"]).await;
    sandbox.cannot("infra_planner", database, with(&[planner, "CREATE TEMP TABLE x (id int)"])).await;
}

async fn own_database(major: &str) {
    let sandbox = Sandbox::new(major, TWO);
    sandbox.apply();
    logins(&sandbox, "orders").await;
    for login in ["svc_billing_app", "svc_billing_migrator", "svc_billing_reader"] {
        sandbox.shut_out(login, "orders").await;
    }
    for login in ["svc_orders_app", "svc_orders_migrator", "svc_orders_reader", "dev_ana", "dev_boris"] {
        sandbox.shut_out(login, "billing").await;
    }
    // Schemas that come later are covered too.
    let more = "CREATE SCHEMA more; CREATE TABLE more.t (id serial); CREATE VIEW more.v AS SELECT 1 AS one;
                CREATE FUNCTION more.f() RETURNS int LANGUAGE sql AS 'SELECT 1'";
    sandbox.can("svc_orders_migrator", "orders", &[more]).await;
    sandbox.settled();
    sandbox
        .can("dev_ana", "orders", &["INSERT INTO more.t DEFAULT VALUES", "SELECT more.f() FROM more.v"])
        .await;
    sandbox.can("dev_boris", "orders", &["SELECT id, more.f() FROM more.t, more.v"]).await;
    sandbox.cannot("dev_boris", "orders", &["INSERT INTO more.t DEFAULT VALUES"]).await;
    sandbox.settled();
}

#[tokio::test]
async fn own_database_15() {
    own_database("15").await;
}

#[tokio::test]
async fn own_database_18() {
    own_database("18").await;
}

async fn shared_database(major: &str) {
    let sandbox = Sandbox::new(major, &format!("isolation: schema\n{TWO}"));
    sandbox.apply();
    logins(&sandbox, "shared").await;
    let other = [
        "SET TRANSACTION READ WRITE; SELECT * FROM orders.t",
        "SET TRANSACTION READ WRITE; INSERT INTO orders.t (v) VALUES ('x')",
        "SET TRANSACTION READ WRITE; CREATE TABLE orders.mine (id int)",
        "SET TRANSACTION READ WRITE; SELECT orders.one()",
        "SET TRANSACTION READ WRITE; SELECT nextval('orders.numbers')",
    ];
    for login in ["svc_billing_app", "svc_billing_migrator", "svc_billing_reader"] {
        sandbox.cannot(login, "shared", &other).await;
    }
    sandbox
        .cannot("svc_orders_migrator", "shared", &["CREATE SCHEMA more", "CREATE TABLE public.t (id int)"])
        .await;
    sandbox.can("svc_billing_migrator", "shared", &["CREATE TABLE mine (id int)"]).await;
    assert_eq!(
        sandbox.value("shared", "SELECT 'billing.mine'::regclass::oid::regclass").await,
        "billing.mine"
    );
    sandbox.settled();
}

#[tokio::test]
async fn shared_database_15() {
    shared_database("15").await;
}

#[tokio::test]
async fn shared_database_17() {
    shared_database("17").await;
}

/// A login from before `infra` owns things: they go to the service's owner, and nothing ties the login any more.
async fn legacy_owner(major: &str, isolation: &str) {
    let sandbox = Sandbox::new(major, &format!("isolation: {isolation}\n{TWO}"));
    sandbox.apply();
    let (database, schema, address) = match isolation {
        "schema" => ("shared", "orders", "pg_access.main/shared/orders"),
        _ => ("orders", "app", "pg_access.main/orders"),
    };
    sandbox.can("infra_admin", "postgres", &["CREATE ROLE legacy LOGIN; GRANT rds_iam TO legacy"]).await;
    let theirs = format!(
        "CREATE TABLE {schema}.old (id serial PRIMARY KEY); ALTER TABLE {schema}.old OWNER TO legacy;
         CREATE VIEW {schema}.old_view AS SELECT 1 AS one; ALTER VIEW {schema}.old_view OWNER TO legacy;
         CREATE FUNCTION {schema}.old() RETURNS int LANGUAGE sql AS 'SELECT 1';
         ALTER FUNCTION {schema}.old() OWNER TO legacy;
         ALTER DEFAULT PRIVILEGES FOR ROLE legacy IN SCHEMA {schema} GRANT SELECT ON TABLES TO svc_orders_ro"
    );
    sandbox.by_superuser(database, &theirs).await;
    let change = only_change(&sandbox, address, "update");
    let before = change.before["deviations"].to_string();
    for word in ["\"old\"", "\"old_view\"", "old()", "\"legacy\"", "default_privileges", "owner"] {
        assert!(before.contains(word), "{word}: {before}");
    }
    let text = sandbox.infra(&["plan"]).expect(0).stdout;
    assert!(text.contains("legacy") && text.contains("old_view"), "{text}");
    sandbox.apply();
    sandbox.settled();
    let owners = format!(
        "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ',') FROM pg_class \
         WHERE relnamespace = '{schema}'::regnamespace"
    );
    assert_eq!(sandbox.value(database, &owners).await, "svc_orders_owner");
    sandbox.can("infra_admin", "postgres", &["DROP ROLE legacy"]).await;
    sandbox.can("dev_boris", database, &[&format!("SELECT * FROM {schema}.old")]).await;
    sandbox.settled();
}

#[tokio::test]
async fn legacy_owner_15() {
    legacy_owner("15", "database").await;
}

#[tokio::test]
async fn legacy_owner_in_a_schema_17() {
    legacy_owner("17", "schema").await;
}

#[tokio::test]
async fn settings_limits_and_extensions_change() {
    let with = |service: &str| format!("services: {{orders: {service}}}");
    let sandbox = Sandbox::new("17", &with("{}"));
    sandbox.apply();
    let shown = |setting: &'static str| {
        let sandbox = &sandbox;
        async move {
            let rows = sandbox.sql("svc_orders_app", "orders", &format!("SHOW {setting}")).await.unwrap();
            rows[0][0].clone().unwrap()
        }
    };
    sandbox.write(&with("{settings: {statement_timeout: 30s, work_mem: 8MB}, connection_limit: 2}"));
    let mut changes = sandbox.changes();
    changes.sort();
    let update = |address: &str| (address.to_owned(), "update".to_owned());
    assert_eq!(
        changes,
        [
            update("pg_database.main/orders"),
            update("pg_role.main/svc_orders_app"),
            update("pg_role.main/svc_orders_reader"),
        ]
    );
    sandbox.apply();
    sandbox.settled();
    assert_eq!((shown("statement_timeout").await, shown("work_mem").await), ("30s".into(), "8MB".into()));
    let (one, two) = (
        sandbox.connect("svc_orders_app", "orders").await,
        sandbox.connect("svc_orders_app", "orders").await,
    );
    let refused = sandbox.connect("svc_orders_app", "orders").await.unwrap_err();
    assert!(refused.to_string().contains("too many connections for role"), "{refused}");

    sandbox.write(&with("{settings: {statement_timeout: 1min}, connection_limit: 2}"));
    let change = only_change(&sandbox, "pg_database.main/orders", "update");
    assert_eq!(change.after["settings"]["statement_timeout"], "1min");
    sandbox.apply();
    sandbox.settled();
    drop((one, two));

    sandbox.write(&with("{extensions: [pgcrypto, citext], connection_limit: 2}"));
    sandbox.apply();
    sandbox.settled();
    let words = ["SELECT digest('a', 'sha256')", "SELECT 'A'::citext = 'a'"];
    sandbox.can("svc_orders_reader", "orders", &words).await;
    sandbox.can("svc_orders_migrator", "orders", &["CREATE TABLE words (word citext)"]).await;
    sandbox.settled();
    sandbox.write(&with("{extensions: [citext], connection_limit: 2}"));
    only_change(&sandbox, "pg_extension.main/orders/pgcrypto", "delete");
    sandbox.apply();
    sandbox.settled();
    // One that a column needs is not dropped, and the run says why; it goes when the column does.
    sandbox.write(&with("{connection_limit: 2}"));
    let ran = sandbox.infra(&["apply", "--auto-approve"]).expect(6);
    assert!(ran.stdout.contains("citext") || ran.stderr.contains("citext"), "{ran:?}");
    assert!(ran.stderr.contains("other objects depend on it"), "{}", ran.stderr);
    sandbox.can("svc_orders_migrator", "orders", &["DROP TABLE words"]).await;
    sandbox.apply();
    sandbox.settled();
}
