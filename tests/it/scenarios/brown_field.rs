//! What was there before, or beside: never touched, always told.

use super::held;
use crate::support::sandbox::Sandbox;

/// Everything about roles and databases that are not ours.
const CLUSTER: &str = "
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
  SELECT 'role ' || to_jsonb(r)::text FROM pg_roles r WHERE rolname LIKE 'hand%' OR rolname = 'svc_support_rw'
  UNION ALL SELECT 'member ' || m.roleid::regrole || ' ' || m.member::regrole || ' ' || m.admin_option FROM pg_auth_members m
    WHERE m.member::regrole::text LIKE 'hand%'
  UNION ALL SELECT 'database ' || datname || ' ' || pg_get_userbyid(datdba) || ' ' || coalesce(datacl::text, '-') || datconnlimit
    || datallowconn || coalesce(shobj_description(oid, 'pg_database'), '-') FROM pg_database WHERE datname IN ('handmade', 'billing')
  UNION ALL SELECT 'setting ' || s::text FROM pg_db_role_setting s
    WHERE setrole::regrole::text LIKE 'hand%' OR setdatabase = (SELECT oid FROM pg_database WHERE datname = 'handmade')
) all_of_it(line)";

/// Everything in one database that is not ours.
const INSIDE: &str = "
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
  SELECT 'schema ' || nspname || ' ' || pg_get_userbyid(nspowner) || ' ' || coalesce(nspacl::text, '-') FROM pg_namespace
    WHERE nspname LIKE 'hand%' OR nspname = 'stock'
  UNION ALL SELECT 'relation ' || c.oid::regclass || ' ' || pg_get_userbyid(relowner) || ' ' || coalesce(relacl::text, '-')
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname LIKE 'hand%' OR nspname = 'stock'
  UNION ALL SELECT 'routine ' || p.oid::regprocedure || ' ' || pg_get_userbyid(proowner) || ' ' || coalesce(proacl::text, '-')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname LIKE 'hand%' OR nspname = 'stock'
  UNION ALL SELECT 'default ' || d::text FROM pg_default_acl d WHERE pg_get_userbyid(defaclrole) LIKE 'hand%'
  UNION ALL SELECT 'extension ' || extname || extversion || coalesce(obj_description(oid, 'pg_extension'), '-') FROM pg_extension
  UNION ALL SELECT 'row ' || t::text FROM hand.t t
) all_of_it(line)";

const BY_HAND: &str = "
CREATE SCHEMA hand AUTHORIZATION hand;
SET ROLE hand;
CREATE TABLE hand.t (id serial, v text);
INSERT INTO hand.t (v) VALUES ('theirs');
GRANT SELECT ON hand.t TO hand_reader WITH GRANT OPTION;
GRANT UPDATE (v) ON hand.t TO hand_reader;
GRANT USAGE ON SCHEMA hand TO PUBLIC;
CREATE FUNCTION hand.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER DEFAULT PRIVILEGES FOR ROLE hand IN SCHEMA hand GRANT SELECT ON TABLES TO hand_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE hand GRANT SELECT ON TABLES TO hand_reader;
";

async fn beside(major: &str, isolation: &str) {
    let head = format!("isolation: {isolation}\n");
    let sandbox = Sandbox::new(major, &format!("{head}services: {{orders: {{}}}}"));
    sandbox.apply();
    let ours = if isolation == "schema" { "shared" } else { "orders" };
    let roles = "CREATE ROLE hand LOGIN CREATEDB CONNECTION LIMIT 3; CREATE ROLE hand_reader; GRANT hand_reader TO hand;
        GRANT pg_monitor TO hand; COMMENT ON ROLE hand IS 'made by hand'; ALTER ROLE hand SET work_mem = '9MB';
        CREATE ROLE svc_support_rw LOGIN";
    sandbox.by_superuser("postgres", roles).await;
    sandbox.by_superuser("postgres", "CREATE DATABASE handmade OWNER hand CONNECTION LIMIT 9").await;
    let more =
        "ALTER DATABASE handmade SET work_mem = '7MB'; ALTER ROLE hand IN DATABASE handmade SET jit = off;
        COMMENT ON DATABASE handmade IS 'not yours'";
    sandbox.by_superuser("postgres", more).await;
    sandbox
        .by_superuser("handmade", &format!("{BY_HAND}RESET ROLE; CREATE EXTENSION citext SCHEMA hand"))
        .await;
    sandbox.by_superuser(ours, &format!("{BY_HAND}RESET ROLE; CREATE EXTENSION citext SCHEMA hand")).await;
    // Names that are about to be declared.
    if isolation == "database" {
        sandbox.by_superuser("postgres", "CREATE DATABASE billing OWNER hand").await;
    } else {
        sandbox.by_superuser(ours, "CREATE SCHEMA stock AUTHORIZATION hand; CREATE TABLE stock.t (id int); ALTER TABLE stock.t OWNER TO hand").await;
    }
    let before = everything(&sandbox, ours).await;
    assert!(before.contains("theirs") && before.contains("hand_reader"), "{before}");

    sandbox.settled();
    sandbox.write(&format!(
        "{head}services: {{orders: {{extensions: [pgcrypto]}}, billing: {{}}, support: {{}}, stock: {{}}}}
people: {{ana: {{}}}}
developer_groups: {{all: {{members: [ana], services: all, access: read-write}}}}\n"
    ));
    let plan = sandbox.plan();
    let unmanaged: Vec<_> =
        plan["unmanaged"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    for address in [
        "pg_role.main/hand".to_owned(),
        "pg_role.main/hand_reader".into(),
        "pg_database.main/handmade".into(),
        format!("pg_schema.main/{ours}/hand"),
        format!("pg_extension.main/{ours}/citext"),
    ] {
        assert!(unmanaged.contains(&address.as_str()), "{address}: {unmanaged:?}");
    }
    let text = sandbox.infra(&["plan"]).expect(0).stdout;
    assert!(text.contains("Unmanaged (reported, never touched):") && text.contains("handmade"), "{text}");
    let held = held(&plan);
    let reason =
        |address: &str| held.iter().find(|(a, ..)| a == address).map(|(_, reason, _)| reason.as_str());
    let taken =
        if isolation == "database" { "pg_database.main/billing" } else { "pg_schema.main/shared/stock" };
    assert_eq!(reason(taken), Some("foreign"), "{held:?}");
    assert_eq!(reason("pg_role.main/svc_support_rw"), Some("foreign"), "{held:?}");
    assert_eq!(reason("pg_role.main/svc_support_app"), Some("parent"), "{held:?}");
    sandbox.apply();
    sandbox.settled();
    assert_eq!(everything(&sandbox, ours).await, before);
    // The rest is there.
    let other = if isolation == "database" { "stock" } else { "shared" };
    let login = if isolation == "database" { "svc_stock_migrator" } else { "svc_billing_migrator" };
    sandbox.can(login, other, &["CREATE TABLE works (id int)"]).await;
    sandbox.settled();
}

async fn everything(sandbox: &Sandbox, ours: &str) -> String {
    let mut all = String::new();
    for (database, query) in [("postgres", CLUSTER), ("handmade", INSIDE), (ours, INSIDE)] {
        let mut connection = sandbox.superuser(database).await;
        let rows = crate::support::sandbox::sql(&mut connection, query).await.unwrap();
        // What we add is told by its name.
        let text = rows[0][0].clone().unwrap_or_default();
        let lines = text.lines().filter(|line| !line.contains("pgcrypto")).map(|line| format!("{line}\n"));
        all.extend(lines);
    }
    all
}

#[tokio::test]
async fn databases_15() {
    beside("15", "database").await;
}

#[tokio::test]
async fn schemas_18() {
    beside("18", "schema").await;
}
