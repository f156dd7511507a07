//! What hands change behind our back: the plan shows exactly that, apply mends it, and nothing is left.

use std::fmt::Write as _;

use super::held;
use crate::support::sandbox::{Sandbox, sql};

/// Whose hands.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Owner,
    Admin,
    Superuser,
}

use By::{Admin, Owner, Superuser};

/// `{d}` is the database, `{s}` the schema of the service, `{a}` the address of its access, `{w}` that of the access of
/// the whole database.
struct Drift {
    by: By,
    statements: &'static str,
    address: &'static str,
    /// What the plan says of how it is.
    before: &'static [&'static str],
}

const fn drift(
    by: By,
    statements: &'static str,
    address: &'static str,
    before: &'static [&'static str],
) -> Drift {
    Drift { by, statements, address, before }
}

const GRANTS: &[Drift] = &[
    drift(Owner, "GRANT SELECT ON {s}.t TO dev_boris", "{a}", &["extra", "\"t\"", "dev_boris", "SELECT"]),
    drift(
        Superuser,
        "GRANT SELECT, INSERT ON {s}.t TO dev_ana WITH GRANT OPTION; SET ROLE dev_ana; GRANT SELECT ON {s}.t TO stranger",
        "{a}",
        &["extra", "dev_ana", "SELECT*", "INSERT*", "stranger"],
    ),
    drift(
        Owner,
        "GRANT SELECT ON {s}.t TO svc_orders_ro WITH GRANT OPTION",
        "{a}",
        &["grant_option", "SELECT"],
    ),
    drift(
        Superuser,
        "GRANT SELECT ON {s}.t TO svc_orders_ro WITH GRANT OPTION; GRANT USAGE ON SCHEMA {s} TO stranger;
         SET ROLE svc_orders_ro; GRANT SELECT ON {s}.t TO stranger",
        "{a}",
        &["grant_option", "stranger", "USAGE"],
    ),
    drift(
        Owner,
        "GRANT UPDATE (v) ON {s}.t TO svc_orders_ro",
        "{a}",
        &["extra_on_column", "\"v\"", "UPDATE"],
    ),
    drift(
        Owner,
        "GRANT SELECT (v), UPDATE (v, w) ON {s}.t TO stranger WITH GRANT OPTION",
        "{a}",
        &["extra_on_column", "SELECT*", "UPDATE*", "\"w\""],
    ),
    drift(Owner, "GRANT ALL ON {s}.t TO svc_orders_rw", "{a}", &["extra", "TRUNCATE", "TRIGGER"]),
    drift(
        Owner,
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA {s} TO PUBLIC",
        "{a}",
        &["sequence", "public", "UPDATE"],
    ),
    drift(
        Owner,
        "GRANT ALL ON ALL TABLES IN SCHEMA {s} TO PUBLIC",
        "{a}",
        &["view", "materialized_view", "public"],
    ),
    drift(
        Owner,
        "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA {s} TO PUBLIC",
        "{a}",
        &["routine", "one()", "one(a {s}.mood", "total(", "act(", "middle("],
    ),
    drift(Owner, "GRANT SELECT ON {s}.\"Odd \"\"name'; --\" TO dev_boris", "{a}", &["Odd \\\"name'; --"]),
    drift(Owner, "REVOKE USAGE ON TYPE {s}.mood FROM PUBLIC", "{a}", &["missing", "mood", "USAGE"]),
    drift(Owner, "GRANT USAGE ON TYPE {s}.mood TO dev_boris", "{a}", &["extra", "mood"]),
    drift(
        Owner,
        "REVOKE USAGE ON SCHEMA {s} FROM svc_orders_ro",
        "{a}",
        &["missing", "USAGE", "svc_orders_ro"],
    ),
    drift(Owner, "GRANT CREATE ON SCHEMA {s} TO svc_orders_rw", "{a}", &["extra", "CREATE", "svc_orders_rw"]),
    drift(Owner, "REVOKE INSERT ON {s}.t FROM svc_orders_rw", "{a}", &["missing", "INSERT"]),
    drift(
        Superuser,
        "CREATE TABLE {s}.bare (id int); ALTER TABLE {s}.bare OWNER TO svc_orders_owner",
        "{a}",
        &["missing", "bare", "DELETE"],
    ),
    drift(Superuser, "GRANT CREATE ON SCHEMA public TO PUBLIC", "{w}", &["extra", "CREATE", "public"]),
    drift(Superuser, "GRANT USAGE ON SCHEMA public TO dev_ana", "{w}", &["dev_ana"]),
];

const DEFAULTS: &[Drift] = &[
    drift(
        Owner,
        "ALTER DEFAULT PRIVILEGES FOR ROLE svc_orders_owner GRANT SELECT ON TABLES TO dev_boris",
        "{a}",
        &["dev_boris"],
    ),
    drift(
        Owner,
        "ALTER DEFAULT PRIVILEGES FOR ROLE svc_orders_owner IN SCHEMA {s} GRANT SELECT ON TABLES TO dev_boris",
        "{a}",
        &["default_privileges", "dev_boris", "\"schema\":\"{s}\""],
    ),
    drift(
        Owner,
        "ALTER DEFAULT PRIVILEGES FOR ROLE svc_orders_owner REVOKE SELECT ON TABLES FROM svc_orders_ro",
        "{a}",
        &["tables"],
    ),
    drift(
        Owner,
        "ALTER DEFAULT PRIVILEGES FOR ROLE svc_orders_owner GRANT EXECUTE ON ROUTINES TO PUBLIC",
        "{a}",
        &["\"public\":[\"EXECUTE\"]"],
    ),
    drift(
        Owner,
        "ALTER DEFAULT PRIVILEGES FOR ROLE svc_orders_owner GRANT UPDATE ON SEQUENCES TO svc_orders_ro WITH GRANT OPTION",
        "{a}",
        &["UPDATE*"],
    ),
    drift(
        Superuser,
        "ALTER DEFAULT PRIVILEGES FOR ROLE dev_ana GRANT SELECT ON TABLES TO dev_boris",
        "{w}",
        &["default_privileges", "\"by\":\"dev_ana\"", "dev_boris"],
    ),
    drift(
        Superuser,
        "ALTER DEFAULT PRIVILEGES FOR ROLE dev_ana IN SCHEMA {s} GRANT ALL ON TABLES TO dev_boris WITH GRANT OPTION",
        "{a}",
        &["default_privileges", "\"by\":\"dev_ana\"", "TRUNCATE*"],
    ),
];

const OWNERS: &[Drift] = &[
    drift(Superuser, "ALTER TABLE {s}.t OWNER TO dev_ana", "{a}", &["owner", "\"t\"", "dev_ana"]),
    drift(Superuser, "ALTER VIEW {s}.seen OWNER TO dev_ana", "{a}", &["owner", "\"seen\"", "\"view\""]),
    drift(Superuser, "ALTER MATERIALIZED VIEW {s}.stored OWNER TO dev_ana", "{a}", &["owner", "stored"]),
    drift(
        Superuser,
        "ALTER SEQUENCE {s}.numbers OWNER TO stranger",
        "{a}",
        &["owner", "numbers", "stranger"],
    ),
    drift(Superuser, "ALTER FUNCTION {s}.one() OWNER TO dev_ana", "{a}", &["owner", "one()"]),
    drift(Superuser, "ALTER PROCEDURE {s}.act(int) OWNER TO dev_ana", "{a}", &["owner", "act("]),
    drift(Superuser, "ALTER AGGREGATE {s}.total(int) OWNER TO dev_ana", "{a}", &["owner", "total("]),
    drift(Superuser, "ALTER TYPE {s}.mood OWNER TO dev_ana", "{a}", &["owner", "mood"]),
    drift(Superuser, "ALTER TYPE {s}.pair OWNER TO dev_ana", "{a}", &["owner", "pair"]),
    drift(Superuser, "ALTER DOMAIN {s}.positive OWNER TO dev_ana", "{a}", &["owner", "positive"]),
    drift(Superuser, "ALTER SCHEMA {s} OWNER TO dev_ana", "pg_schema.main/{d}/{s}", &["dev_ana"]),
    drift(Superuser, "ALTER DATABASE {d} OWNER TO dev_ana", "pg_database.main/{d}", &["dev_ana"]),
    drift(
        Superuser,
        "CREATE TABLE {s}.mine (id serial, PRIMARY KEY (id)); ALTER TABLE {s}.mine OWNER TO svc_orders_app",
        "{a}",
        &["owner", "mine", "svc_orders_app"],
    ),
];

const SHARED_CATALOGS: &[Drift] = &[
    drift(
        Superuser,
        "GRANT CONNECT ON DATABASE {d} TO PUBLIC",
        "pg_database.main/{d}",
        &["\"public\":[\"CONNECT\"]"],
    ),
    drift(
        Superuser,
        "GRANT TEMPORARY ON DATABASE {d} TO dev_boris WITH GRANT OPTION; SET ROLE dev_boris; GRANT TEMPORARY ON DATABASE {d} TO stranger",
        "pg_database.main/{d}",
        &["TEMPORARY*", "stranger"],
    ),
    drift(Superuser, "REVOKE CONNECT ON DATABASE {d} FROM infra_planner", "pg_database.main/{d}", &[]),
    drift(
        Superuser,
        "REVOKE CONNECT ON DATABASE {d} FROM svc_orders_rw",
        "{c}",
        &["svc_orders_rw", "TEMPORARY"],
    ),
    drift(Superuser, "GRANT CREATE ON DATABASE {d} TO svc_orders_migrator", "{c}", &["\"CREATE\""]),
    drift(
        Admin,
        "ALTER DATABASE {d} SET work_mem = '64MB'",
        "pg_database.main/{d}",
        &["\"work_mem\":\"64MB\""],
    ),
    drift(
        Admin,
        "ALTER ROLE svc_orders_reader IN DATABASE {d} SET default_transaction_read_only = off",
        "{c}",
        &["\"default_transaction_read_only\":\"off\""],
    ),
    drift(Admin, "ALTER ROLE svc_orders_migrator IN DATABASE {d} RESET role", "{c}", &[]),
    drift(
        Admin,
        "ALTER ROLE dev_ana IN DATABASE {d} SET search_path = evil, \"$user\"",
        "pg_database.main/{d}",
        &["dev_ana", "evil"],
    ),
    drift(
        Superuser,
        "ALTER DATABASE {d} CONNECTION LIMIT 3",
        "pg_database.main/{d}",
        &["\"connection_limit\":3"],
    ),
    drift(
        Superuser,
        "ALTER DATABASE {d} ALLOW_CONNECTIONS false",
        "pg_database.main/{d}",
        &["\"connectable\":false"],
    ),
    drift(Admin, "ALTER ROLE svc_orders_app SET work_mem = '64MB'", "pg_role.main/svc_orders_app", &["64MB"]),
    drift(
        Admin,
        "ALTER ROLE svc_orders_app SET search_path = evil; ALTER ROLE svc_orders_app SET datestyle = 'ISO, DMY'",
        "pg_role.main/svc_orders_app",
        &["evil", "DMY"],
    ),
    drift(
        Admin,
        "ALTER ROLE svc_orders_app CONNECTION LIMIT 3",
        "pg_role.main/svc_orders_app",
        &["\"connection_limit\":3"],
    ),
    drift(Admin, "ALTER ROLE dev_ana CREATEDB", "pg_role.main/dev_ana", &["CREATEDB"]),
    drift(Admin, "ALTER ROLE dev_ana CREATEROLE", "pg_role.main/dev_ana", &["CREATEROLE"]),
    drift(Admin, "ALTER ROLE dev_ana VALID UNTIL '2030-01-01'", "pg_role.main/dev_ana", &["2030-01-01"]),
    drift(Admin, "ALTER ROLE svc_orders_app NOLOGIN", "pg_role.main/svc_orders_app", &["\"login\":false"]),
    drift(Admin, "ALTER ROLE svc_orders_owner LOGIN", "pg_role.main/svc_orders_owner", &["\"login\":true"]),
    drift(Admin, "REVOKE rds_iam FROM svc_orders_app", "pg_role.main/svc_orders_app", &[]),
    drift(Admin, "GRANT svc_orders_rw TO dev_boris", "pg_role.main/dev_boris", &["svc_orders_rw"]),
    drift(Admin, "GRANT svc_orders_owner TO dev_boris", "pg_role.main/dev_boris", &["svc_orders_owner"]),
    drift(Admin, "REVOKE svc_orders_rw FROM svc_orders_app", "pg_role.main/svc_orders_app", &[]),
    drift(
        Admin,
        "GRANT svc_orders_rw TO svc_orders_app WITH ADMIN OPTION",
        "pg_role.main/svc_orders_app",
        &["\"svc_orders_rw\":\"inherit", "admin"],
    ),
    drift(
        Admin,
        "GRANT svc_orders_rw TO stranger",
        "pg_role.main/svc_orders_rw",
        &["other_members", "stranger"],
    ),
    drift(
        Superuser,
        "SET ROLE infra_admin; GRANT svc_orders_ro TO stranger WITH ADMIN OPTION; SET ROLE stranger; GRANT svc_orders_ro TO other_stranger",
        "pg_role.main/svc_orders_ro",
        &["\"stranger\"", "\"other_stranger\""],
    ),
    drift(Admin, "GRANT pg_monitor TO svc_orders_app", "pg_role.main/svc_orders_app", &["pg_monitor"]),
    drift(Admin, "GRANT rds_superuser TO dev_ana", "pg_role.main/dev_ana", &["rds_superuser"]),
    drift(Admin, "GRANT rds_iam TO svc_orders_rw", "pg_role.main/svc_orders_rw", &["rds_iam"]),
];

/// From 16 on a membership has options.
const OPTIONS: &[Drift] = &[
    drift(
        Admin,
        "GRANT svc_orders_rw TO svc_orders_app WITH SET TRUE",
        "pg_role.main/svc_orders_app",
        &["\"svc_orders_rw\":\"inherit+set\""],
    ),
    drift(
        Admin,
        "GRANT svc_orders_owner TO svc_orders_migrator WITH INHERIT TRUE",
        "pg_role.main/svc_orders_migrator",
        &["\"svc_orders_owner\":\"inherit+set\""],
    ),
    drift(
        Admin,
        "GRANT svc_orders_ro TO dev_boris WITH INHERIT FALSE, SET FALSE, ADMIN TRUE",
        "pg_role.main/dev_boris",
        &["\"svc_orders_ro\":\"admin\""],
    ),
];

const YAML: &str = "
services: {orders: {extensions: [citext]}, billing: {}}
people: {ana: {}, boris: {}}
developer_groups:
  backend: {members: [ana], services: [orders], access: read-write}
  support: {members: [boris], services: [billing], access: read-only}
";

const OBJECTS: &str = "
CREATE TABLE t (id serial PRIMARY KEY, other int GENERATED ALWAYS AS IDENTITY, v text, w int);
CREATE VIEW seen AS SELECT v FROM t;
CREATE MATERIALIZED VIEW stored AS SELECT v FROM t;
CREATE SEQUENCE numbers;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION one(a mood, VARIADIC b int[] DEFAULT '{}') RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE act(IN a int, OUT b int) LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
CREATE AGGREGATE middle(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
CREATE TABLE \"Odd \"\"name'; --\" (\"a col\" int);
";

struct Place {
    sandbox: Sandbox,
    shared: bool,
}

impl Place {
    async fn new(major: &str, isolation: &str) -> Self {
        let shared = isolation == "schema";
        let sandbox = Sandbox::new(major, &format!("isolation: {isolation}\n{YAML}"));
        sandbox.apply();
        // Only a superuser may name the internal functions of an ordered-set aggregate.
        let place = Self { sandbox, shared };
        let (before, aggregate) = OBJECTS.split_once("CREATE AGGREGATE middle").unwrap();
        let (aggregate, after) = aggregate.split_once(";\n").unwrap();
        let (database, schema) = (place.of("{d}"), place.of("{s}"));
        place.sandbox.can("svc_orders_migrator", &database, &[before, after]).await;
        let aggregate = format!(
            "SET search_path = {schema}; CREATE AGGREGATE middle{aggregate};
             ALTER AGGREGATE middle(float8 ORDER BY anyelement) OWNER TO svc_orders_owner;
             REVOKE ALL ON ROUTINE middle FROM PUBLIC; GRANT EXECUTE ON ROUTINE middle TO svc_orders_rw, svc_orders_ro"
        );
        place.sandbox.by_superuser(&database, &aggregate).await;
        let strangers = "CREATE ROLE stranger LOGIN; CREATE ROLE other_stranger NOLOGIN";
        place.sandbox.can("infra_admin", "postgres", &[strangers]).await;
        place.sandbox.settled();
        place
    }

    fn of(&self, text: &str) -> String {
        let (database, schema, access, whole) = if self.shared {
            ("shared", "orders", "pg_access.main/shared/orders", "pg_access.main/shared")
        } else {
            ("orders", "app", "pg_access.main/orders", "pg_access.main/orders")
        };
        // What the service's roles may do with the database stands with the service.
        let connect = if self.shared { access } else { "pg_database.main/orders" };
        let text = text.replace("{d}", database).replace("{s}", schema);
        text.replace("{a}", access).replace("{w}", whole).replace("{c}", connect)
    }

    /// Drifts, and says what is wrong with how that is seen and mended.
    async fn wrong(&self, drift: &Drift) -> Option<String> {
        let Self { sandbox, .. } = self;
        let (statements, address) = (self.of(drift.statements), self.of(drift.address));
        // Nobody closes the database he is in.
        let database =
            if statements.contains("ALLOW_CONNECTIONS") { "postgres".into() } else { self.of("{d}") };
        match drift.by {
            By::Owner => {
                let statements = format!("SET ROLE svc_orders_owner; {statements}");
                sandbox.can("infra_admin", &database, &[&statements]).await;
            }
            By::Admin => sandbox.can("infra_admin", &database, &[&statements]).await,
            By::Superuser => sandbox.by_superuser(&database, &statements).await,
        }
        let mut wrong = String::new();
        let ran = sandbox.infra(&["plan", "--json"]);
        let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let none = Vec::new();
        let changes = plan["resource_changes"].as_array().unwrap_or(&none);
        match &changes[..] {
            [change] if ran.code == 0 => {
                if change["address"] != address || change["change"]["actions"][0] != "update" {
                    write!(wrong, "seen at {}; ", change["address"]).unwrap();
                }
                let before = change["change"]["before"].to_string();
                for word in drift.before.iter().map(|word| self.of(word)).filter(|w| !before.contains(w)) {
                    write!(wrong, "nothing of {word} in {before}; ").unwrap();
                }
            }
            _ => {
                let seen: Vec<_> =
                    changes.iter().map(|c| format!("{} {}", c["address"], c["change"])).collect();
                write!(wrong, "plan: exit {}, {} changes {seen:?}, {}; ", ran.code, seen.len(), ran.stderr)
                    .unwrap();
            }
        }
        let applied = sandbox.infra(&["apply", "--auto-approve"]);
        if applied.code != 0 {
            write!(wrong, "apply: exit {}: {}", applied.code, applied.stderr).unwrap();
        }
        (!wrong.is_empty()).then(|| format!("{statements}\n    {wrong}"))
    }

    async fn all(&self, drifts: &[&[Drift]]) {
        let mut wrong = Vec::new();
        for drift in drifts.iter().copied().flatten() {
            wrong.extend(self.wrong(drift).await);
            // What was not mended would be seen again with all that follows.
            if wrong.last().is_some_and(|text| text.contains("apply: exit")) {
                break;
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        self.sandbox.settled();
        // Mended is mended for good: strangers have nothing that would keep them.
        self.sandbox.can("infra_admin", "postgres", &["DROP ROLE stranger, other_stranger"]).await;
    }
}

#[tokio::test]
async fn in_a_database_15() {
    let place = Place::new("15", "database").await;
    place.all(&[GRANTS, DEFAULTS, OWNERS, SHARED_CATALOGS]).await;
}

#[tokio::test]
async fn in_a_database_18() {
    let place = Place::new("18", "database").await;
    place.all(&[GRANTS, DEFAULTS, OWNERS, SHARED_CATALOGS, OPTIONS]).await;
}

#[tokio::test]
async fn in_a_schema_15() {
    let place = Place::new("15", "schema").await;
    place.all(&[GRANTS, DEFAULTS, OWNERS, SHARED_CATALOGS]).await;
}

#[tokio::test]
async fn in_a_schema_18() {
    let place = Place::new("18", "schema").await;
    place.all(&[GRANTS, DEFAULTS, OWNERS, SHARED_CATALOGS, OPTIONS]).await;
}

/// Who was given a membership with ADMIN has passed it on, also to one of ours.
#[tokio::test]
async fn passed_on_memberships() {
    let place = Place::new("18", "database").await;
    let sandbox = &place.sandbox;
    sandbox.can("infra_admin", "postgres", &["GRANT svc_orders_rw TO dev_ana WITH ADMIN OPTION"]).await;
    let pass_on = "SET ROLE dev_ana; GRANT svc_orders_rw TO dev_boris; GRANT svc_orders_rw TO stranger";
    sandbox.by_superuser("postgres", pass_on).await;
    let mut changes = sandbox.changes();
    changes.sort();
    let update = |name: &str| (format!("pg_role.main/{name}"), "update".to_owned());
    assert_eq!(changes, [update("dev_ana"), update("dev_boris"), update("svc_orders_rw")]);
    sandbox.apply();
    sandbox.settled();
    // The same, when she leaves.
    sandbox.can("infra_admin", "postgres", &["GRANT svc_orders_rw TO dev_ana WITH ADMIN OPTION"]).await;
    sandbox.by_superuser("postgres", pass_on).await;
    sandbox.write(&YAML.replace("ana: {}, ", "").replace("[ana]", "[]"));
    sandbox.apply();
    sandbox.settled();
    sandbox.can("infra_admin", "postgres", &["DROP ROLE stranger, other_stranger"]).await;
}

/// The mark decides whose a thing is.
#[tokio::test]
async fn marks() {
    let place = Place::new("17", "database").await;
    let sandbox = &place.sandbox;
    for (target, address) in [
        ("ROLE dev_ana", "pg_role.main/dev_ana"),
        ("ROLE svc_orders_ro", "pg_role.main/svc_orders_ro"),
        ("DATABASE orders", "pg_database.main/orders"),
        ("SCHEMA app", "pg_schema.main/orders/app"),
        ("EXTENSION citext", "pg_extension.main/orders/citext"),
    ] {
        let (kind, _) = target.split_once(' ').unwrap();
        let name = address.rsplit('/').next().unwrap();
        let mark = match kind {
            "ROLE" | "DATABASE" => {
                let catalog = if kind == "ROLE" { "pg_authid" } else { "pg_database" };
                let oid = if kind == "ROLE" {
                    format!("'{name}'::regrole")
                } else {
                    format!("(SELECT oid FROM pg_database WHERE datname = '{name}')")
                };
                sandbox.value("orders", &format!("SELECT shobj_description({oid}, '{catalog}')")).await
            }
            "SCHEMA" => sandbox.value("orders", "SELECT obj_description('app'::regnamespace)").await,
            _ => "infra:managed;env=local;service=orders".into(),
        };
        assert!(mark.starts_with("infra:managed;env=local"), "{target}: {mark}");
        for (comment, says) in [
            ("NULL", "does not carry our mark"),
            ("'somebody''s own words'", "does not carry our mark"),
            ("'infra:managed;env=other;service=orders'", "environment other"),
        ] {
            sandbox.by_superuser("orders", &format!("COMMENT ON {target} IS {comment}")).await;
            let plan = sandbox.plan();
            // A group of ours has no members that are not: that is all which may change.
            let changes = plan["resource_changes"].as_array().unwrap().iter();
            let changes: Vec<_> = changes.map(|change| change["address"].as_str().unwrap()).collect();
            assert!(
                changes.iter().all(|one| kind == "ROLE" && *one == "pg_role.main/dev_backend"),
                "{changes:?}"
            );
            let held = held(&plan);
            let found = held.iter().find(|(held, ..)| held == address);
            let (_, reason, message) = found.unwrap_or_else(|| panic!("{target}: {held:?}"));
            assert_eq!(reason, "foreign");
            assert!(message.contains(says), "{target}: {message}");
            sandbox.apply();
        }
        sandbox.by_superuser("orders", &format!("COMMENT ON {target} IS '{mark}'")).await;
        sandbox.apply();
        sandbox.settled();
    }
}

#[tokio::test]
async fn things_dropped_by_hand() {
    let place = Place::new("17", "database").await;
    let sandbox = &place.sandbox;
    sandbox.by_superuser("orders", "DROP EXTENSION citext").await;
    super::only_change(sandbox, "pg_extension.main/orders/citext", "create");
    sandbox.apply();
    sandbox.by_superuser("orders", "DROP SCHEMA app CASCADE").await;
    super::only_change(sandbox, "pg_schema.main/orders/app", "create");
    sandbox.apply();
    sandbox.settled();
    sandbox.can("svc_orders_migrator", "orders", &["CREATE TABLE t (id int)"]).await;
    sandbox.can("dev_ana", "orders", &["SELECT * FROM app.t"]).await;
    sandbox.can("infra_admin", "postgres", &["DROP DATABASE billing WITH (FORCE)"]).await;
    let changes = sandbox.changes();
    let addresses: Vec<&str> = changes.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(
        addresses,
        ["pg_access.main/billing", "pg_database.main/billing", "pg_schema.main/billing/app"]
    );
    sandbox.apply();
    sandbox.by_superuser("orders", "DROP OWNED BY dev_boris; DROP ROLE dev_boris").await;
    super::only_change(sandbox, "pg_role.main/dev_boris", "create");
    sandbox.apply();
    sandbox.settled();

    // The shared database's schema.
    let place = Place::new("17", "schema").await;
    let sandbox = &place.sandbox;
    sandbox.by_superuser("shared", "DROP SCHEMA orders CASCADE").await;
    sandbox.apply();
    sandbox.settled();
    sandbox.can("svc_orders_migrator", "shared", &["CREATE TABLE t (id int)"]).await;
    sandbox.can("svc_orders_reader", "shared", &["SELECT * FROM t"]).await;
    sandbox.settled();
}

/// A server that stands still: the plan says so, apply starts it and goes on, and a second apply does the rest.
#[tokio::test]
async fn a_stopped_server() {
    let place = Place::new("18", "database").await;
    let sandbox = &place.sandbox;
    sandbox.can("infra_admin", "postgres", &["ALTER ROLE dev_ana CREATEDB"]).await;
    sandbox.project.writer().stop("main", &crate::support::local::quiet).await.unwrap();
    let change = super::only_change(sandbox, "local_server.main", "update");
    assert_eq!(change.before["running"], false);
    let plan = sandbox.plan();
    assert!(held(&plan).iter().all(|(_, reason, _)| reason == "later"), "{plan:#}");
    let first = sandbox.infra(&["apply", "--auto-approve"]).expect(6);
    assert!(first.stderr.contains("pg_role.main/dev_ana"), "{}", first.stderr);
    super::only_change(sandbox, "pg_role.main/dev_ana", "update");
    sandbox.apply();
    sandbox.settled();
    // With nothing else amiss, one apply is enough.
    sandbox.project.writer().stop("main", &crate::support::local::quiet).await.unwrap();
    sandbox.apply();
    sandbox.settled();
}
