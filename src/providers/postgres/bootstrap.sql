-- Run once on a cluster of Aurora, as its master, in the database postgres: makes whom apply and plan log in as. Every
-- statement may be run again.
DO $bootstrap$
DECLARE
  already constant boolean := EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam')
    AND pg_has_role(current_user, (SELECT oid FROM pg_roles WHERE rolname = 'rds_iam'), 'USAGE');
BEGIN
  -- From PostgreSQL 16 on this could make the master a member of what it makes. A member of a member of rds_iam is not
  -- let in by password any more.
  IF current_setting('server_version_num')::int >= 160000 THEN
    PERFORM set_config('createrole_self_grant', '', true);
  END IF;

  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'infra_admin') THEN
    CREATE ROLE infra_admin LOGIN NOSUPERUSER INHERIT CREATEDB CREATEROLE NOREPLICATION;
  ELSE
    ALTER ROLE infra_admin LOGIN INHERIT CREATEDB CREATEROLE;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'infra_planner') THEN
    CREATE ROLE infra_planner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
  ELSE
    ALTER ROLE infra_planner LOGIN NOCREATEDB NOCREATEROLE;
  END IF;
  BEGIN
    GRANT rds_superuser TO infra_admin WITH ADMIN OPTION;
  EXCEPTION WHEN insufficient_privilege THEN
    GRANT rds_superuser TO infra_admin;
  END;
  GRANT rds_iam TO infra_admin, infra_planner;

  -- Who does not own these databases cannot say who connects to them; then everybody still can.
  BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE postgres TO infra_admin, infra_planner, %I', current_user);
    REVOKE ALL ON DATABASE postgres FROM PUBLIC;
  EXCEPTION WHEN insufficient_privilege THEN NULL;
  END;
  BEGIN
    REVOKE ALL ON DATABASE template1 FROM PUBLIC;
  EXCEPTION WHEN insufficient_privilege THEN NULL;
  END;

  IF NOT already AND pg_has_role(current_user, 'rds_iam', 'USAGE') THEN
    RAISE EXCEPTION 'the master % would become a member of rds_iam, and its password would be refused', current_user;
  END IF;
END
$bootstrap$
