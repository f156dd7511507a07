-- The same as cluster.sql, inside of a database. What an owner will make counts too: default privileges hold where
-- there is a row for them, and the built-in ones where there is none.
WITH space AS (
  SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), owner AS (
  SELECT nspowner AS oid FROM space WHERE pg_get_userbyid(nspowner) <> 'pg_database_owner'
  UNION SELECT datdba FROM pg_database WHERE datname = current_database()
), thing(name, owner, acl) AS (
  SELECT 'schema ' || nspname, nspowner, coalesce(nspacl, acldefault('n', nspowner)) FROM space
  UNION ALL
  SELECT format('relation %s.%s', n.nspname, c.relname), c.relowner,
         coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
  FROM pg_class c JOIN space n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
  UNION ALL
  SELECT format('routine %s', p.oid::regprocedure), p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
  FROM pg_proc p JOIN space n ON n.oid = p.pronamespace
  UNION ALL
  SELECT format('future %s of %s', c.class, pg_get_userbyid(o.oid)), NULL,
         coalesce((SELECT defaclacl FROM pg_default_acl
                   WHERE defaclrole = o.oid AND defaclnamespace = 0 AND defaclobjtype = c.letter), acldefault(c.kind, o.oid))
  FROM owner o, (VALUES ('tables', 'r'::"char", 'r'::"char"), ('sequences', 'S', 's'), ('routines', 'f', 'f'),
                        ('schemas', 'n', 'n'), ('types', 'T', 'T')) c(class, letter, kind)
  UNION ALL
  SELECT format('future %s of %s in %s', defaclobjtype, pg_get_userbyid(defaclrole), n.nspname), NULL, defaclacl
  FROM pg_default_acl JOIN pg_namespace n ON n.oid = defaclnamespace
)
SELECT true, format('%s, %s: %s may %s %s', current_database(), t.name,
    CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type,
    CASE WHEN a.is_grantable THEN 'and grant it' END)
  FROM thing t, aclexplode(t.acl) a
UNION ALL SELECT true, format('%s, %s: owned by %s', current_database(), name, pg_get_userbyid(owner))
  FROM thing WHERE owner IS NOT NULL
UNION ALL SELECT false, format('%s, schema %s: comment %s', current_database(), nspname, obj_description(oid, 'pg_namespace')) FROM space
UNION ALL SELECT false, format('%s, extension %s: comment %s', current_database(), extname, obj_description(oid, 'pg_extension')) FROM pg_extension
