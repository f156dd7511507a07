-- All that can be read of access inside one database, as one document. What belongs to an extension is left out.
-- Relations, routines and types come grouped by owner and ACL, so that ten thousand alike are one row.
WITH space AS MATERIALIZED (
  SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), extension AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
)
SELECT json_build_object(
  'schemas', (
    SELECT json_agg(json_build_object(
      'name', n.nspname, 'owner', n.nspowner::int8, 'comment', obj_description(n.oid, 'pg_namespace'),
      'acl', (SELECT json_agg(json_build_array(a.grantor::int8, a.grantee::int8, a.privilege_type, a.is_grantable))
              FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a)))
    FROM space n WHERE NOT EXISTS (
      SELECT 1 FROM extension e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid)),
  'relations', (
    SELECT json_agg(json_build_object(
      'schema', g.schema, 'kind', g.kind, 'owner', g.owner, 'linked', g.linked, 'names', g.names,
      'acl', (SELECT json_agg(json_build_array(a.grantor::int8, a.grantee::int8, a.privilege_type, a.is_grantable))
              FROM aclexplode(coalesce(g.acl, acldefault(CASE WHEN g.kind = 'S' THEN 's' ELSE 'r' END::"char", g.owner::oid))) a)))
    FROM (
      SELECT n.nspname AS schema, c.relkind AS kind, c.relowner::int8 AS owner, c.relacl AS acl,
             -- A sequence that a column owns changes its owner with the table, and only so.
             c.relkind = 'S' AND EXISTS (
               SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
               AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) AS linked,
             array_agg(c.relname::text) AS names
      FROM pg_class c JOIN space n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
        AND NOT EXISTS (SELECT 1 FROM extension e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid)
      GROUP BY 1, 2, 3, 4, 5) g),
  'columns', (
    SELECT json_agg(json_build_object(
      'schema', n.nspname, 'relation', c.relname, 'owner', c.relowner::int8, 'column', a.attname,
      'acl', (SELECT json_agg(json_build_array(x.grantor::int8, x.grantee::int8, x.privilege_type, x.is_grantable))
              FROM aclexplode(a.attacl) x)))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN space n ON n.oid = c.relnamespace
    WHERE a.attacl IS NOT NULL AND NOT a.attisdropped),
  'routines', (
    SELECT json_agg(json_build_object(
      'schema', g.schema, 'owner', g.owner, 'names', g.names,
      'acl', (SELECT json_agg(json_build_array(a.grantor::int8, a.grantee::int8, a.privilege_type, a.is_grantable))
              FROM aclexplode(coalesce(g.acl, acldefault('f', g.owner::oid))) a)))
    FROM (
      SELECT n.nspname AS schema, p.proowner::int8 AS owner, p.proacl AS acl,
             -- Of an aggregate only the types: no other statement understands the ORDER BY among its arguments.
             array_agg(json_build_array(p.proname, CASE p.prokind WHEN 'a' THEN oidvectortypes(p.proargtypes)
               ELSE pg_get_function_identity_arguments(p.oid) END)) AS names
      FROM pg_proc p JOIN space n ON n.oid = p.pronamespace
      WHERE NOT EXISTS (SELECT 1 FROM extension e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid)
      GROUP BY 1, 2, 3) g),
  'types', (
    SELECT json_agg(json_build_object(
      'schema', g.schema, 'owner', g.owner, 'names', g.names,
      'acl', (SELECT json_agg(json_build_array(a.grantor::int8, a.grantee::int8, a.privilege_type, a.is_grantable))
              FROM aclexplode(coalesce(g.acl, acldefault('T', g.owner::oid))) a)))
    FROM (
      SELECT n.nspname AS schema, t.typowner::int8 AS owner, t.typacl AS acl, array_agg(t.typname::text) AS names
      FROM pg_type t JOIN space n ON n.oid = t.typnamespace
      WHERE (t.typtype IN ('e', 'd', 'r')
             OR (t.typtype = 'c' AND EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')))
        AND NOT EXISTS (SELECT 1 FROM extension e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid)
      GROUP BY 1, 2, 3) g),
  'defaults', (
    SELECT json_agg(json_build_object(
      'role', d.defaclrole::int8, 'schema', n.nspname, 'class', d.defaclobjtype,
      'acl', (SELECT json_agg(json_build_array(a.grantor::int8, a.grantee::int8, a.privilege_type, a.is_grantable))
              FROM aclexplode(d.defaclacl) a)))
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace),
  'extensions', (
    SELECT json_agg(json_build_object(
      'name', e.extname, 'schema', n.nspname, 'owner', e.extowner::int8, 'comment', obj_description(e.oid, 'pg_extension')))
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace),
  'large_objects', (
    SELECT json_agg(json_build_object('owner', g.owner, 'names', g.names,
      'acl', (SELECT json_agg(json_build_array(a.grantor::int8, a.grantee::int8, a.privilege_type, a.is_grantable))
              FROM aclexplode(coalesce(g.acl, acldefault('L', g.owner::oid))) a)))
    FROM (SELECT lomowner::int8 AS owner, lomacl AS acl, array_agg(oid::text) AS names
          FROM pg_largeobject_metadata GROUP BY 1, 2) g)
)::text
