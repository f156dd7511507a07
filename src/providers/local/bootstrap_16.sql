-- From PostgreSQL 16 on, CREATEROLE alone no longer lets a role grant another one: it needs ADMIN on it, as a member of
-- rds_superuser has on Aurora.
GRANT rds_iam, rds_password, rds_replication, rds_ad TO rds_superuser WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
