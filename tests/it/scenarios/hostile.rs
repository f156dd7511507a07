//! Names and values that would break SQL put together carelessly.

use super::only_change;
use crate::support::sandbox::Sandbox;

async fn names(isolation: &str) {
    let long = "a".repeat(45);
    let services = ["user", "order", "select", "table", "group", "a-b_c-9", "grant-all", &long];
    let declared: Vec<String> =
        services.iter().map(|name| format!("  {name}: {{extensions: [uuid-ossp]}}\n")).collect();
    let yaml = format!(
        "isolation: {isolation}\nservices:\n{}people: {{user: {{}}, select-1: {{}}}}\ndeveloper_groups: {{group: {{members: [user, select-1], services: all, access: read-write}}}}\n",
        declared.concat()
    );
    let sandbox = Sandbox::new("18", &yaml);
    let ran = sandbox.infra(&["validate"]);
    // The longest name that is allowed is for config to say; one less than too long must work.
    let yaml = if ran.code == 0 { yaml } else { yaml.replace(&long, &"a".repeat(43)) };
    let long = if ran.code == 0 { long } else { "a".repeat(43) };
    sandbox.write(&yaml);
    sandbox.apply();
    sandbox.settled();
    for service in ["user", "a-b_c-9", &long] {
        let database = if isolation == "schema" { "shared" } else { service };
        let table = "CREATE TABLE \"table\" (id uuid DEFAULT uuid_generate_v4())";
        sandbox.can(&format!("svc_{service}_migrator"), database, &[table]).await;
        sandbox.can(&format!("svc_{service}_app"), database, &["INSERT INTO \"table\" DEFAULT VALUES"]).await;
        sandbox.can(&format!("svc_{service}_reader"), database, &["SELECT * FROM \"table\""]).await;
    }
    sandbox.settled();
    // Gone and back again.
    let gone = |name: &str| yaml.replace(&format!("  {name}: {{extensions: [uuid-ossp]}}\n"), "");
    for service in ["a-b_c-9", &long] {
        sandbox.write(&format!("{}removed: {{services: {{{service}: {{data: keep}}}}}}\n", gone(service)));
        sandbox.apply();
        sandbox.settled();
        sandbox.write(&yaml);
        sandbox.apply();
        sandbox.settled();
    }
}

#[tokio::test]
async fn names_of_databases() {
    names("database").await;
}

#[tokio::test]
async fn names_of_schemas() {
    names("schema").await;
}

#[tokio::test]
async fn values() {
    let hostile = [
        "it's",
        "a\\'; DROP ROLE svc_orders_ro; --",
        "\"; DROP ROLE svc_orders_ro; --",
        "$do$ $1 $$ ${x}",
        "100 % ü ☃ %I %s",
        "\\\\",
        "  spaces  ",
        "a=b=c",
        "",
    ];
    let sandbox = Sandbox::new("17", "services: {orders: {}}");
    sandbox.apply();
    for value in hostile {
        let value_in_yaml = serde_json::to_string(value).unwrap();
        let yaml = format!("services: {{orders: {{settings: {{application_name: {value_in_yaml}}}}}}}");
        {
            sandbox.write(&yaml);
            let ran = sandbox.infra(&["validate"]);
            if ran.code != 0 {
                assert!(ran.stderr.contains("environment.yaml:"), "{value}: {}", ran.stderr);
                continue;
            }
            sandbox.apply();
            sandbox.settled();
            let stored = "SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = 0";
            let rows = sandbox.sql("infra_admin", "orders", stored).await.unwrap();
            let stored: Vec<_> = rows.into_iter().flatten().flatten().collect();
            assert!(stored.contains(&format!("application_name={value}")), "{value}: {stored:?}");
        }
    }
    // Names that Postgres writes in its own way, lists, numbers and words for yes and no.
    sandbox.write(
        "services: {orders: {settings: {timezone: UTC, datestyle: 'ISO, DMY', intervalstyle: iso_8601, jit: false, \
         statement_timeout: 30000, random_page_cost: 1.5, lock_timeout: 1min}}}",
    );
    sandbox.apply();
    sandbox.settled();
    // What a client does not set itself.
    let style = sandbox.sql("svc_orders_app", "orders", "SHOW intervalstyle").await.unwrap();
    assert_eq!(style[0][0].as_deref(), Some("iso_8601"));
    // Taken back, whatever they are called.
    sandbox.write("services: {orders: {}}");
    only_change(&sandbox, "pg_database.main/orders", "update");
    sandbox.apply();
    sandbox.settled();
    // A setting that does not exist is Postgres' to refuse, in its words; and nothing else is harmed.
    sandbox.write("services: {orders: {settings: {no_such_setting: '1'}}}");
    let ran = sandbox.infra(&["apply", "--auto-approve"]).expect(6);
    assert!(ran.stderr.contains("unrecognized configuration parameter"), "{}", ran.stderr);
    for extension in ["pg\"; DROP ROLE svc_orders_ro; --", "no_such_extension", "it's"] {
        let text = serde_json::to_string(extension).unwrap();
        sandbox.write(&format!("services: {{orders: {{extensions: [{text}]}}}}"));
        let ran = sandbox.infra(&["apply", "--auto-approve"]);
        assert!(ran.code == 6 || ran.code == 1, "{ran:?}");
        assert!(
            ran.code == 1
                || ran.stderr.contains("is not available")
                || ran.stderr.contains("invalid extension name"),
            "{}",
            ran.stderr
        );
    }
    sandbox.write("services: {orders: {}}");
    sandbox.apply();
    sandbox.settled();
    let there =
        sandbox.value("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'svc_orders_ro'").await;
    assert_eq!(there, "1");
}

/// Objects that others have named, and what the plan says of them.
#[tokio::test]
async fn names_in_drift() {
    let sandbox = Sandbox::new("15", "services: {orders: {}}\npeople: {ana: {}}");
    sandbox.apply();
    let names = ["x\"; DROP ROLE svc_orders_ro; --", "it's", "a b", "täble", "$do$", "%I"];
    for name in names {
        let quoted = name.replace('"', "\"\"");
        let made = format!(
            "CREATE ROLE \"{quoted}\"; CREATE SCHEMA \"{quoted}\" AUTHORIZATION svc_orders_owner;
             CREATE TABLE \"{quoted}\".\"{quoted}\" (\"{quoted}\" int);
             CREATE FUNCTION \"{quoted}\".\"{quoted}\"(\"{quoted}\" int) RETURNS int LANGUAGE sql AS 'SELECT 1';
             CREATE TYPE \"{quoted}\".\"{quoted} type\" AS ENUM ('a');
             CREATE FUNCTION \"{quoted}\".two(\"{quoted}\".\"{quoted} type\") RETURNS int LANGUAGE sql AS 'SELECT 1';
             ALTER TABLE \"{quoted}\".\"{quoted}\" OWNER TO \"{quoted}\";
             GRANT UPDATE (\"{quoted}\") ON \"{quoted}\".\"{quoted}\" TO dev_ana;
             GRANT svc_orders_ro TO \"{quoted}\";
             ALTER DEFAULT PRIVILEGES FOR ROLE \"{quoted}\" IN SCHEMA \"{quoted}\" GRANT SELECT ON TABLES TO dev_ana;
             GRANT CONNECT ON DATABASE orders TO \"{quoted}\""
        );
        sandbox.by_superuser("orders", &made).await;
        sandbox.apply();
        sandbox.settled();
        sandbox.by_superuser("orders", &format!("DROP ROLE \"{quoted}\"")).await;
    }
    sandbox.settled();
}
