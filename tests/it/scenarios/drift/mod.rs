//! What hands change behind our back: the plan shows exactly that, apply mends it, and nothing is left.

mod cases;

use std::fmt::Write as _;

use super::held;
use crate::support::sandbox::Sandbox;
use cases::{By, DEFAULTS, Drift, GRANTS, OPTIONS, OWNERS, SHARED_CATALOGS};

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
            let exclude = format!("--exclude={address}");
            if says.ends_with("other") {
                let refused = sandbox.infra(&["apply", "--auto-approve"]).expect(3);
                assert!(refused.stderr.contains(&exclude), "{}", refused.stderr);
                sandbox.infra(&["apply", "--auto-approve", &exclude]).expect(0);
            } else {
                sandbox.apply();
            }
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
