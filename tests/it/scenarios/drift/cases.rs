//! What hands may do, one by one.

/// Whose hands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum By {
    Owner,
    Admin,
    Superuser,
}

use By::{Admin, Owner, Superuser};

/// `{d}` is the database, `{s}` the schema of the service, `{a}` the address of its access, `{w}` that of the access of
/// the whole database.
pub(super) struct Drift {
    pub(super) by: By,
    pub(super) statements: &'static str,
    pub(super) address: &'static str,
    /// What the plan says of how it is.
    pub(super) before: &'static [&'static str],
}

const fn drift(
    by: By,
    statements: &'static str,
    address: &'static str,
    before: &'static [&'static str],
) -> Drift {
    Drift { by, statements, address, before }
}

pub(super) const GRANTS: &[Drift] = &[
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

pub(super) const DEFAULTS: &[Drift] = &[
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

pub(super) const OWNERS: &[Drift] = &[
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

pub(super) const SHARED_CATALOGS: &[Drift] = &[
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
pub(super) const OPTIONS: &[Drift] = &[
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
