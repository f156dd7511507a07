//! `infra verify` on real servers: all is as declared, each sabotage is named exactly, and nothing is left behind.

mod alone;

use serde_json::Value;

use crate::support::sandbox::{Sandbox, sql};

const SERVICES: &str = "
services:
  orders: {extensions: [pgcrypto], settings: {statement_timeout: 30s}}
  billing: {}
people: {ana: {}, boris: {}, carla: {}}
developer_groups:
  viewers: {members: [ana], services: [orders], access: read-only}
  backend: {members: [boris], services: all, access: read-write}
";

/// As migrations leave them, with everything that could act when it is only looked at. `{s}` is the schema.
const TABLES: &str = "
    CREATE TABLE {s}.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text NOT NULL);
    INSERT INTO {s}.t (v) VALUES ('one'), ('two');
    CREATE TABLE {s}.u (x int);
    CREATE TABLE {s}.empty ();
    CREATE TABLE {s}.parts (id int, v text) PARTITION BY RANGE (id);
    CREATE TABLE {s}.part PARTITION OF {s}.parts FOR VALUES FROM (0) TO (10);
    CREATE VIEW {s}.seen AS SELECT * FROM {s}.t;
    CREATE MATERIALIZED VIEW {s}.kept AS SELECT 1 AS one;
    CREATE SEQUENCE {s}.counted;
    CREATE FUNCTION {s}.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION {s}.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION {s}.acts() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM nextval('{s}.counted'); RETURN NULL; END $$;
    CREATE TABLE {s}.loud (x int DEFAULT nextval('{s}.counted'));
    CREATE TRIGGER acts BEFORE INSERT OR UPDATE OR DELETE ON {s}.loud FOR EACH STATEMENT EXECUTE FUNCTION {s}.acts();
    CREATE TABLE {s}.ruled (x int);
    CREATE RULE acts AS ON DELETE TO {s}.ruled DO ALSO SELECT nextval('{s}.counted');
    CREATE TABLE {s}.guarded (x int);
    ALTER TABLE {s}.guarded ENABLE ROW LEVEL SECURITY;
";

/// Where the tables of a service are.
fn place(isolation: &str, service: &str) -> (String, String) {
    match isolation {
        "database" => (service.into(), "app".into()),
        _ => ("shared".into(), service.into()),
    }
}

async fn applied(major: &str, isolation: &str) -> Sandbox {
    let sandbox = Sandbox::new(major, &format!("isolation: {isolation}\n{SERVICES}"));
    let _ = sandbox.apply();
    sandbox
}

async fn migrate(sandbox: &Sandbox, isolation: &str) {
    let (database, schema) = place(isolation, "orders");
    sandbox.sql("svc_orders_migrator", &database, &TABLES.replace("{s}", &schema)).await.unwrap();
    if isolation == "database" {
        let more = "CREATE SCHEMA later; CREATE TABLE later.t (x int); CREATE TABLE public.t (x int)";
        sandbox.sql("svc_orders_migrator", "orders", more).await.unwrap();
        // No extension, so that nobody but the owner may use the schema public.
        sandbox.sql("svc_billing_migrator", "billing", "CREATE TABLE public.t (x int)").await.unwrap();
    }
}

/// Everything is as declared; the JSON.
#[track_caller]
fn verified(sandbox: &Sandbox) -> Value {
    let ran = sandbox.infra(&["verify", "--json"]).expect(0);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["differences"], serde_json::json!([]));
    json
}

/// What differs, as it is told to people.
#[track_caller]
fn differences(sandbox: &Sandbox) -> Vec<String> {
    let ran = sandbox.infra(&["verify"]).expect(1);
    let lines = ran.stdout.lines().filter_map(|line| line.strip_prefix("DIFFERENCE "));
    lines.map(str::to_owned).collect()
}

/// Every row of every catalog, every table and every sequence, but for what vacuum counts.
async fn fingerprint(sandbox: &Sandbox, database: &str) -> Vec<String> {
    let mut session = sandbox.superuser(database).await;
    let tables = "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind IN ('r', 'm', 'S', 't') \
                  AND relname !~ '^pg_(statistic|largeobject|toast)' ORDER BY 1";
    let mut prints = Vec::new();
    for row in sql(&mut session, tables).await.unwrap() {
        let table = row[0].clone().unwrap();
        let print = format!(
            "SELECT count(*), md5(string_agg(line, '' ORDER BY line)) FROM (SELECT (to_jsonb(r) \
             - '{{relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid,datfrozenxid,datminmxid}}'::text[] \
             )::text AS line FROM (SELECT * FROM {table}) r) l"
        );
        let print = sql(&mut session, &print).await.unwrap();
        prints.push(format!("{table} {:?}", print[0]));
    }
    prints
}

async fn fingerprints(sandbox: &Sandbox, isolation: &str) -> Vec<Vec<String>> {
    let mut all = vec![fingerprint(sandbox, "postgres").await];
    for service in ["orders", "billing"] {
        all.push(fingerprint(sandbox, &place(isolation, service).0).await);
    }
    all
}

async fn as_declared(major: &str, isolation: &str) {
    let sandbox = applied(major, isolation).await;
    let before = fingerprints(&sandbox, isolation).await;
    let json = verified(&sandbox);
    assert_eq!(fingerprints(&sandbox, isolation).await, before);
    let of = |login: &str, operation: &str| {
        let trials = json["trials"].as_array().unwrap();
        let found = trials.iter().find(|trial| {
            trial["login"] == login
                && trial["operation"] == operation
                && trial["database"] == place(isolation, "orders").0
        });
        let found = found.unwrap_or_else(|| panic!("{login} {operation}"));
        (found["observed"].as_str().unwrap().to_owned(), found["method"].as_str().unwrap().to_owned())
    };
    let told = |observed: &str, method: &str| (observed.to_owned(), method.to_owned());
    assert_eq!(of("svc_orders_app", "connect"), told("allowed", "login"));
    assert_eq!(of("dev_carla", "connect"), told("denied", "login"));
    assert_eq!(of("PUBLIC", "connect"), told("denied", "inquiry"));
    assert_eq!(of("PUBLIC", "select"), told("denied", "set role"));

    migrate(&sandbox, isolation).await;
    sandbox.settled();
    let before = fingerprints(&sandbox, isolation).await;
    let json = verified(&sandbox);
    assert_eq!(fingerprints(&sandbox, isolation).await, before);
    let (database, schema) = place(isolation, "orders");
    let of = |login: &str, operation: &str, object: &str| {
        let trials = json["trials"].as_array().unwrap();
        let found = trials.iter().find(|trial| {
            trial["login"] == login
                && trial["operation"] == operation
                && trial["database"] == *database
                && trial["schema"] == *schema
                && trial["object"] == *object
        });
        let found = found.unwrap_or_else(|| panic!("{login} {operation} {object}"));
        (found["observed"].as_str().unwrap().to_owned(), found["method"].as_str().unwrap().to_owned())
    };
    // The first of those that are alike stands for all.
    assert_eq!(of("svc_orders_app", "insert", "empty"), told("allowed", "login"));
    assert_eq!(of("svc_orders_app", "insert", "loud"), told("allowed", "login"));
    assert_eq!(of("svc_orders_app", "truncate", "empty"), told("denied", "inquiry"));
    assert_eq!(of("svc_orders_reader", "insert", "empty"), told("denied", "login"));
    assert_eq!(of("svc_orders_migrator", "delete", "empty"), told("allowed", "login"));
    // The admin is no member of what was there before it on 16 and later.
    assert_eq!(of("svc_billing_app", "select", "empty").0, "denied");
    sandbox.settled();
}

macro_rules! on_each_version {
    ($($name:ident: $major:literal $isolation:literal;)*) => {
        $(#[tokio::test] async fn $name() { as_declared($major, $isolation).await; })*
    };
}

on_each_version! {
    databases_on_15: "15" "database";
    databases_on_16: "16" "database";
    databases_on_17: "17" "database";
    databases_on_18: "18" "database";
    schemas_on_15: "15" "schema";
    schemas_on_16: "16" "schema";
    schemas_on_17: "17" "schema";
    schemas_on_18: "18" "schema";
}

/// What somebody did by hand, what undoes it, and what verify has to say of it: no less, and no more.
type Sabotage = (&'static str, &'static str, &'static [&'static str]);

const ON_DATABASES: &[Sabotage] = &[
    (
        "GRANT INSERT ON app.t TO dev_ana",
        "REVOKE INSERT ON app.t FROM dev_ana",
        &["dev_ana on orders.app.t: insert is allowed, expected denied"],
    ),
    (
        "GRANT UPDATE (v) ON app.t TO dev_ana",
        "REVOKE UPDATE (v) ON app.t FROM dev_ana",
        &["dev_ana on orders.app.t: update is allowed, expected denied"],
    ),
    (
        "GRANT TRUNCATE, TRIGGER ON app.loud TO svc_orders_app",
        "REVOKE TRUNCATE, TRIGGER ON app.loud FROM svc_orders_app",
        &["svc_orders_app on orders.app.loud: truncate, create trigger are allowed, expected denied"],
    ),
    (
        "GRANT CONNECT ON DATABASE orders TO PUBLIC",
        "REVOKE CONNECT ON DATABASE orders FROM PUBLIC",
        &[
            "PUBLIC on orders: connect is allowed, expected denied",
            "dev_carla on orders: connect is allowed, expected denied",
            "svc_billing_app on orders: connect is allowed, expected denied",
            "svc_billing_migrator on orders: connect is allowed, expected denied",
            "svc_billing_reader on orders: connect is allowed, expected denied",
        ],
    ),
    (
        "GRANT CONNECT ON DATABASE postgres TO dev_ana",
        "REVOKE CONNECT ON DATABASE postgres FROM dev_ana",
        &["dev_ana on postgres: connect is allowed, expected denied"],
    ),
    (
        "GRANT svc_billing_rw TO dev_ana",
        "REVOKE svc_billing_rw FROM dev_ana",
        &[
            "dev_ana on billing: connect, create temp table are allowed, expected denied",
            "dev_ana on billing.app: usage, select, insert, update, delete, lock table, nextval, execute are allowed, \
             expected denied",
        ],
    ),
    (
        "GRANT CREATE ON SCHEMA app TO svc_orders_rw",
        "REVOKE CREATE ON SCHEMA app FROM svc_orders_rw",
        &[
            "dev_boris on orders.app: create table is allowed, expected denied",
            "svc_orders_app on orders.app: create table is allowed, expected denied",
        ],
    ),
    (
        "GRANT USAGE ON SCHEMA app TO dev_carla; GRANT EXECUTE ON FUNCTION app.f(int) TO dev_carla",
        "REVOKE USAGE ON SCHEMA app FROM dev_carla; REVOKE EXECUTE ON FUNCTION app.f(int) FROM dev_carla",
        &[
            "dev_carla on orders.app: usage is allowed, expected denied",
            "dev_carla on orders.app.f(integer): execute is allowed, expected denied",
        ],
    ),
    (
        "GRANT USAGE ON SEQUENCE app.counted TO svc_orders_ro",
        "REVOKE USAGE ON SEQUENCE app.counted FROM svc_orders_ro",
        &[
            "dev_ana on orders.app.counted: nextval is allowed, expected denied",
            "svc_orders_reader on orders.app.counted: nextval is allowed, expected denied",
        ],
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE svc_orders_owner GRANT TRUNCATE ON TABLES TO svc_orders_ro",
        "ALTER DEFAULT PRIVILEGES FOR ROLE svc_orders_owner REVOKE TRUNCATE ON TABLES FROM svc_orders_ro",
        &[
            "dev_ana on orders.app: truncate, lock table are allowed, expected denied",
            "dev_boris on orders.app: truncate is allowed, expected denied",
            "svc_orders_app on orders.app: truncate is allowed, expected denied",
            "svc_orders_reader on orders.app: truncate, lock table are allowed, expected denied",
        ],
    ),
    (
        "REVOKE SELECT ON app.t FROM svc_orders_ro",
        "GRANT SELECT ON app.t TO svc_orders_ro",
        &[
            "dev_ana on orders.app.t: select is denied, expected allowed",
            "svc_orders_reader on orders.app.t: select is denied, expected allowed",
        ],
    ),
    (
        "REVOKE CONNECT ON DATABASE orders FROM svc_orders_ro",
        "GRANT CONNECT ON DATABASE orders TO svc_orders_ro",
        &[
            "dev_ana on orders: connect is denied, expected allowed",
            "svc_orders_reader on orders: connect is denied, expected allowed",
        ],
    ),
    (
        "ALTER ROLE svc_billing_app NOLOGIN",
        "ALTER ROLE svc_billing_app LOGIN",
        &["svc_billing_app on billing: connect is denied, expected allowed"],
    ),
    (
        "ALTER ROLE svc_billing_migrator IN DATABASE billing RESET role; DROP TABLE public.t",
        "ALTER ROLE svc_billing_migrator IN DATABASE billing SET role = 'svc_billing_owner'",
        &[
            "svc_billing_migrator on billing: create temp table, create schema, create in public are denied, \
             expected allowed",
            "svc_billing_migrator on billing.app: usage, create table, select, insert, update, delete, truncate, \
             references, create trigger, lock table, alter table, nextval, execute are denied, expected allowed",
        ],
    ),
];

const ON_SCHEMAS: &[Sabotage] = &[
    (
        "GRANT SELECT ON orders.t TO svc_billing_app; GRANT USAGE ON SCHEMA orders TO svc_billing_app",
        "REVOKE SELECT ON orders.t FROM svc_billing_app; REVOKE USAGE ON SCHEMA orders FROM svc_billing_app",
        &[
            "svc_billing_app on shared.orders: usage is allowed, expected denied",
            "svc_billing_app on shared.orders.t: select is allowed, expected denied",
        ],
    ),
    (
        "GRANT TEMPORARY ON DATABASE shared TO PUBLIC",
        "REVOKE TEMPORARY ON DATABASE shared FROM PUBLIC",
        &[
            "PUBLIC on shared: create temp table is allowed, expected denied",
            "dev_ana on shared: create temp table is allowed, expected denied",
            "dev_carla on shared: create temp table is allowed, expected denied",
            "infra_planner on shared: create temp table is allowed, expected denied",
            "svc_billing_migrator on shared: create temp table is allowed, expected denied",
            "svc_billing_reader on shared: create temp table is allowed, expected denied",
            "svc_orders_migrator on shared: create temp table is allowed, expected denied",
            "svc_orders_reader on shared: create temp table is allowed, expected denied",
        ],
    ),
    (
        "GRANT CREATE ON DATABASE shared TO svc_orders_owner",
        "REVOKE CREATE ON DATABASE shared FROM svc_orders_owner",
        &["svc_orders_migrator on shared: create schema is allowed, expected denied"],
    ),
    (
        "CREATE SCHEMA other; GRANT USAGE ON SCHEMA other TO dev_ana",
        "DROP SCHEMA other",
        &["dev_ana on shared.other: usage is allowed, expected denied"],
    ),
];

async fn sabotaged(major: &str, isolation: &str, sabotages: &[Sabotage]) {
    let sandbox = applied(major, isolation).await;
    migrate(&sandbox, isolation).await;
    for (done, undone, expected) in sabotages {
        let database = if done.contains("svc_billing_migrator") { "billing" } else { "orders" };
        let database = place(isolation, database).0;
        let mut session = sandbox.superuser(&database).await;
        sql(&mut session, done).await.unwrap();
        assert_eq!(differences(&sandbox), *expected, "{done}");
        sql(&mut session, undone).await.unwrap();
    }
    let _ = verified(&sandbox);
    sandbox.settled();
}

#[tokio::test]
async fn sabotage_of_databases_on_15() {
    sabotaged("15", "database", ON_DATABASES).await;
}

#[tokio::test]
async fn sabotage_of_databases_on_17() {
    sabotaged("17", "database", ON_DATABASES).await;
}

#[tokio::test]
async fn sabotage_of_schemas_on_16() {
    sabotaged("16", "schema", ON_SCHEMAS).await;
}

#[tokio::test]
async fn sabotage_of_schemas_on_18() {
    sabotaged("18", "schema", ON_SCHEMAS).await;
}
