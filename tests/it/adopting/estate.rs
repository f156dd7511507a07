//! Estates that somebody made with other tools, under their names.

use std::fmt::Write as _;

use crate::support::sandbox::{Sandbox, sql};

/// How one service is named.
pub(super) struct Service {
    pub(super) database: &'static str,
    pub(super) schema: &'static str,
    pub(super) owner: &'static str,
    pub(super) writers: &'static str,
    pub(super) readers: &'static str,
    pub(super) migrator: &'static str,
    pub(super) app: &'static str,
    pub(super) reader: &'static str,
    pub(super) limit: i32,
}

/// A group of people: its role, of which roles it is a member, its members.
pub(super) type Group = (&'static str, &'static [&'static str], &'static [&'static str]);

impl Service {
    /// As psql is told by hand on Postgres 15, where a plain GRANT lets the member inherit.
    pub(super) fn roles(&self) -> String {
        let Self { owner, writers, readers, migrator, app, reader, limit, .. } = self;
        format!(
            "CREATE ROLE \"{owner}\"; CREATE ROLE \"{readers}\"; CREATE ROLE \"{writers}\" IN ROLE \"{readers}\";
             CREATE ROLE \"{migrator}\" LOGIN NOINHERIT CONNECTION LIMIT 5;
             CREATE ROLE \"{app}\" LOGIN CONNECTION LIMIT {limit}; CREATE ROLE \"{reader}\" LOGIN CONNECTION LIMIT {limit};
             GRANT \"{owner}\" TO \"{migrator}\", infra_admin; GRANT \"{writers}\" TO \"{app}\"; GRANT \"{readers}\" TO \"{reader}\";
             GRANT rds_iam TO \"{migrator}\", \"{app}\", \"{reader}\";
             COMMENT ON ROLE \"{owner}\" IS 'ask ana; before you drop it'"
        )
    }

    pub(super) fn create_database(&self) -> String {
        format!("CREATE DATABASE \"{}\" OWNER \"{}\" TEMPLATE template0", self.database, self.owner)
    }

    /// Who may connect, and with which settings.
    pub(super) fn door(&self) -> String {
        let Self { database, schema, owner, writers, readers, migrator, reader, .. } = self;
        format!(
            "REVOKE ALL ON DATABASE \"{database}\" FROM PUBLIC;
             GRANT CONNECT, TEMPORARY ON DATABASE \"{database}\" TO \"{writers}\";
             GRANT CONNECT ON DATABASE \"{database}\" TO \"{readers}\", \"{migrator}\", infra_planner;
             ALTER DATABASE \"{database}\" SET search_path = \"{schema}\";
             ALTER DATABASE \"{database}\" SET statement_timeout = '30s';
             COMMENT ON DATABASE \"{database}\" IS 'the shop''s';
             ALTER ROLE \"{migrator}\" IN DATABASE \"{database}\" SET role = '{owner}';
             ALTER ROLE \"{reader}\" IN DATABASE \"{database}\" SET default_transaction_read_only = on"
        )
    }

    /// What lies inside, as its owner makes it.
    pub(super) fn inside(&self) -> String {
        let Self { schema, owner, writers, readers, .. } = self;
        let own = if *schema == "public" {
            format!(
                "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO \"{writers}\", \"{readers}\";"
            )
        } else {
            format!(
                "REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE SCHEMA \"{schema}\"; COMMENT ON SCHEMA \"{schema}\" IS 'tables';"
            )
        };
        let usage = format!("GRANT USAGE ON SCHEMA \"{schema}\" TO \"{writers}\", \"{readers}\";");
        let mut text = format!("SET ROLE \"{owner}\"; {own} {usage}");
        for (class, write, read) in [
            ("SCHEMAS", "USAGE", "USAGE"),
            ("TABLES", "SELECT, INSERT, UPDATE, DELETE", "SELECT"),
            ("SEQUENCES", "USAGE, SELECT", "SELECT"),
            ("ROUTINES", "EXECUTE", "EXECUTE"),
        ] {
            let _ = write!(
                text,
                "ALTER DEFAULT PRIVILEGES GRANT {write} ON {class} TO \"{writers}\";
                 ALTER DEFAULT PRIVILEGES GRANT {read} ON {class} TO \"{readers}\";"
            );
        }
        let _ = write!(
            text,
            "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC;
             CREATE TABLE \"{schema}\".item (id serial PRIMARY KEY, name text); CREATE VIEW \"{schema}\".names AS SELECT name FROM \"{schema}\".item;
             CREATE FUNCTION \"{schema}\".one() RETURNS int LANGUAGE sql AS 'SELECT 1'; INSERT INTO \"{schema}\".item (name) VALUES ('kept')"
        );
        text
    }

    pub(super) async fn make(&self, sandbox: &Sandbox) {
        for statements in [self.roles(), self.create_database(), self.door()] {
            by_admin(sandbox, "postgres", &statements).await;
        }
        by_admin(sandbox, self.database, &self.inside()).await;
    }
}

pub(super) async fn by_admin(sandbox: &Sandbox, database: &str, statements: &str) {
    sandbox
        .sql("infra_admin", database, statements)
        .await
        .unwrap_or_else(|error| panic!("{error}: {statements}"));
}

/// Groups and their people, each with five connections.
pub(super) async fn people(sandbox: &Sandbox, groups: &[Group]) {
    let mut text = String::new();
    for (group, of, members) in groups {
        let _ = write!(text, "CREATE ROLE \"{group}\";");
        for role in *of {
            let _ = write!(text, "GRANT \"{role}\" TO \"{group}\";");
        }
        for member in *members {
            let _ = write!(
                text,
                "DO $$ BEGIN CREATE ROLE \"{member}\" LOGIN CONNECTION LIMIT 5; GRANT rds_iam TO \"{member}\";
                 EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT \"{group}\" TO \"{member}\";"
            );
        }
    }
    by_admin(sandbox, "postgres", &text).await;
}

/// Every privilege there is, and every setting; not the comments.
pub(super) async fn privileges(sandbox: &Sandbox, databases: &[&str]) -> String {
    const SHARED: &str = "
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
  SELECT 'role ' || to_jsonb(r)::text FROM pg_roles r
  UNION ALL SELECT 'member ' || to_jsonb(m)::text FROM pg_auth_members m
  UNION ALL SELECT 'database ' || (to_jsonb(d) - 'datfrozenxid' - 'datminmxid')::text FROM pg_database d
  UNION ALL SELECT 'setting ' || s::text FROM pg_db_role_setting s) lines(line)";
    const INSIDE: &str = "
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
  SELECT 'schema ' || nspname || nspowner || coalesce(nspacl::text, '-') FROM pg_namespace
  UNION ALL SELECT 'relation ' || relnamespace || relname || relowner || coalesce(relacl::text, '-') FROM pg_class
  UNION ALL SELECT 'column ' || attrelid || attname || attacl::text FROM pg_attribute WHERE attacl IS NOT NULL
  UNION ALL SELECT 'routine ' || oid || proowner || coalesce(proacl::text, '-') FROM pg_proc
  UNION ALL SELECT 'type ' || oid || typowner || coalesce(typacl::text, '-') FROM pg_type
  UNION ALL SELECT 'default ' || to_jsonb(d)::text FROM pg_default_acl d
  UNION ALL SELECT 'extension ' || to_jsonb(e)::text FROM pg_extension e) lines(line)";
    let mut all = String::new();
    for (database, query) in
        std::iter::once(("postgres", SHARED)).chain(databases.iter().map(|d| (*d, INSIDE)))
    {
        let mut connection = sandbox.superuser(database).await;
        all += sql(&mut connection, query).await.unwrap()[0][0].as_deref().unwrap();
    }
    all
}
