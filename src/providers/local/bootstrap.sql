-- Run once, as the bootstrap superuser rdsadmin, in the database postgres of a new local server: makes it look to
-- infra as Aurora does, where nobody we know is a superuser.
CREATE ROLE rds_superuser NOLOGIN;
CREATE ROLE rds_iam NOLOGIN;
CREATE ROLE rds_password NOLOGIN;
CREATE ROLE rds_replication NOLOGIN;
CREATE ROLE rds_ad NOLOGIN;
GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION;

-- What apply logs in as. On Aurora the master makes this role; here it is the master.
CREATE ROLE infra_admin LOGIN NOSUPERUSER INHERIT CREATEDB CREATEROLE NOREPLICATION;
GRANT rds_superuser TO infra_admin WITH ADMIN OPTION;
-- What plan logs in as: the catalogs show it everything, and it may change nothing.
CREATE ROLE infra_planner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;

ALTER DATABASE postgres OWNER TO infra_admin;
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO infra_admin, infra_planner;
REVOKE ALL ON DATABASE template1 FROM PUBLIC;
