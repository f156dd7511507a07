-- All that can be read of a cluster's shared catalogs, as one document. Any database, any login with CONNECT, also on
-- a hot standby. Never information_schema: that shows each login only what it may use itself.
SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'free_connections', current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL),
  'roles', (
    SELECT json_agg(json_build_object(
      'oid', r.oid::int8, 'name', r.rolname, 'login', r.rolcanlogin, 'inherit', r.rolinherit,
      'superuser', r.rolsuper, 'createrole', r.rolcreaterole, 'createdb', r.rolcreatedb,
      'replication', r.rolreplication, 'bypassrls', r.rolbypassrls, 'limit', r.rolconnlimit,
      'valid_until', CASE WHEN isfinite(r.rolvaliduntil) THEN r.rolvaliduntil::text END,
      'comment', d.description))
    FROM pg_roles r
    LEFT JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass),
  'members', (
    -- to_jsonb, because the two options are columns only from 16 on.
    SELECT json_agg(json_build_object(
      'role', m.roleid::int8, 'member', m.member::int8, 'grantor', m.grantor::int8, 'admin', m.admin_option,
      'inherit', (to_jsonb(m) ->> 'inherit_option')::bool, 'set', (to_jsonb(m) ->> 'set_option')::bool))
    FROM pg_auth_members m),
  'databases', (
    SELECT json_agg(json_build_object(
      'oid', d.oid::int8, 'name', d.datname, 'owner', d.datdba::int8, 'connectable', d.datallowconn,
      'limit', d.datconnlimit, 'template', d.datistemplate, 'comment', c.description,
      'acl', (SELECT json_agg(json_build_array(a.grantor::int8, a.grantee::int8, a.privilege_type, a.is_grantable))
              FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a)))
    FROM pg_database d
    LEFT JOIN pg_shdescription c ON c.objoid = d.oid AND c.classoid = 'pg_database'::regclass),
  'settings', (
    SELECT json_agg(json_build_array(setdatabase::int8, setrole::int8, setconfig)) FROM pg_db_role_setting),
  'dependencies', (
    SELECT json_agg(json_build_array(database, role, kind, objects)) FROM (
      SELECT CASE WHEN classid = 'pg_database'::regclass THEN objid ELSE dbid END::int8 AS database,
             refobjid::int8 AS role, deptype AS kind, count(*) AS objects
      FROM pg_shdepend
      WHERE refclassid = 'pg_authid'::regclass AND deptype IN ('o', 'a', 'r')
      GROUP BY 1, 2, 3) d)
)::text
