-- What there is to try on in this database. Objects that are alike in kind, owner and ACLs, and as quiet as each other,
-- are one line: the first of them is tried for all. What belongs to an extension is left out.
WITH own AS (
    SELECT n.oid, n.nspname
    FROM pg_namespace n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (
          SELECT FROM pg_depend d
          WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')
), relations AS (
    SELECT c.oid, c.relnamespace, c.relname, c.relkind, c.relowner, c.relacl,
           (SELECT array_agg(a.attnum || ' ' || a.attacl::text ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL) AS columns,
           -- Rules and triggers for each statement act even where no row is touched.
           NOT c.relhasrules AND NOT EXISTS (
               SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 1 = 0) AS quiet
    FROM pg_class c
    WHERE c.relnamespace IN (SELECT oid FROM own)
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (
          SELECT FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
), alike AS (
    SELECT relnamespace, relkind, relowner, quiet, count(*) AS count, min(relname::text) AS name
    FROM relations
    GROUP BY relnamespace, relkind, relowner, relacl, columns, quiet
), routines AS (
    SELECT p.pronamespace, count(*) AS count, min(p.oid) AS oid
    FROM pg_proc p
    WHERE p.pronamespace IN (SELECT oid FROM own)
      AND NOT EXISTS (
          SELECT FROM pg_depend d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    GROUP BY p.pronamespace, p.proowner, p.proacl
)
SELECT json_build_object(
    'pid', pg_backend_pid(),
    'version', current_setting('server_version_num')::int,
    'schemas', coalesce((SELECT json_agg(json_build_object('name', nspname, 'oid', oid::int8) ORDER BY nspname)
        FROM own), '[]'),
    'relations', coalesce((SELECT json_agg(json_build_object(
            'schema', n.nspname, 'schema_oid', n.oid::int8, 'name', a.name, 'oid', c.oid::int8, 'kind', a.relkind,
            'owner', a.relowner::int8, 'quiet', a.quiet, 'count', a.count,
            -- A column that somebody may update by a grant on just this column shows more than any other.
            'column', (SELECT t.attname FROM pg_attribute t
                WHERE t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped
                ORDER BY coalesce(t.attacl::text ~ '=[a-zA-Z*]*w', false) DESC, t.attnum LIMIT 1)
        ) ORDER BY n.nspname, a.relkind, a.name)
        FROM alike a JOIN pg_namespace n ON n.oid = a.relnamespace
        JOIN pg_class c ON c.relnamespace = a.relnamespace AND c.relname = a.name), '[]'),
    'routines', coalesce((SELECT json_agg(json_build_object(
            'schema', n.nspname, 'schema_oid', n.oid::int8, 'oid', p.oid::int8, 'count', r.count,
            'name', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')'
        ) ORDER BY n.nspname, p.proname, p.oid)
        FROM routines r JOIN pg_proc p ON p.oid = r.oid JOIN pg_namespace n ON n.oid = r.pronamespace), '[]')
)
