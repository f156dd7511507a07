-- What anybody may do in a cluster, one right in a row; and, not as rights, all else that a run can leave different.
WITH attribute AS (
  SELECT r.rolname, a.name
  FROM pg_roles r, LATERAL (VALUES
    ('logs in', rolcanlogin), ('inherits', rolinherit), ('superuser', rolsuper), ('createdb', rolcreatedb),
    ('createrole', rolcreaterole), ('replication', rolreplication), ('bypassrls', rolbypassrls)) a(name, has)
  WHERE a.has
), membership AS (
  SELECT pg_get_userbyid(m.member) AS member, pg_get_userbyid(m.roleid) AS role, o.name
  FROM pg_auth_members m, LATERAL (VALUES
    ('member', true), ('admin', admin_option), ('inherit', (to_jsonb(m) ->> 'inherit_option')::bool),
    ('set', (to_jsonb(m) ->> 'set_option')::bool)) o(name, has)
  WHERE o.has
)
SELECT true, format('role %s: %s', rolname, name) FROM attribute
UNION ALL SELECT true, format('role %s in %s: %s', member, role, name) FROM membership
UNION ALL SELECT true, format('database %s: owned by %s', datname, pg_get_userbyid(datdba)) FROM pg_database
UNION ALL SELECT true, format('database %s: %s may %s %s', d.datname,
    CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type,
    CASE WHEN a.is_grantable THEN 'and grant it' END)
  -- Where nobody can connect, nobody can use what he was granted. Without an ACL the built-in one holds.
  FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE d.datallowconn
UNION ALL SELECT false, format('database %s: takes connections %s, limit %s', datname, datallowconn, datconnlimit) FROM pg_database
UNION ALL SELECT false, format('role %s: limit %s until %s', rolname, rolconnlimit, rolvaliduntil) FROM pg_roles
UNION ALL SELECT false, format('role %s: comment %s', rolname, shobj_description(oid, 'pg_authid')) FROM pg_roles
UNION ALL SELECT false, format('database %s: comment %s', datname, shobj_description(oid, 'pg_database')) FROM pg_database
UNION ALL SELECT false, format('setting of %s in %s: %s',
    CASE s.setrole WHEN 0 THEN 'all' ELSE pg_get_userbyid(s.setrole) END, coalesce(d.datname, 'all'), s.setconfig)
  FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase
