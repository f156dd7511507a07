//! The statements of a trial: what is run, and what the server is asked where running it would leave a trace.

use serde::Deserialize;

use super::{
    super::quote::{ident, literal},
    DeclaredSchema,
};
use crate::model::access::Operation;

/// The answer to `inventory.sql`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Inventory {
    pub(super) pid: i32,
    pub(super) version: u32,
    pub(super) schemas: Vec<Schema>,
    relations: Vec<Relation>,
    routines: Vec<Routine>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Schema {
    pub(super) name: String,
    oid: i64,
}

#[derive(Clone, Debug, Deserialize)]
struct Relation {
    schema: String,
    schema_oid: i64,
    name: String,
    oid: i64,
    kind: char,
    owner: i64,
    quiet: bool,
    count: u64,
    column: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Routine {
    schema: String,
    schema_oid: i64,
    /// With its arguments.
    name: String,
    oid: i64,
    count: u64,
}

/// An object that exists, and how many are like it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    pub name: String,
    pub others: u64,
}

/// One thing to try.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) operation: Operation,
    pub(super) schema: Option<String>,
    /// None: on the database or schema, or on an object made for the trial.
    pub(super) object: Option<Object>,
    /// The statement. None: only the server is asked.
    pub(super) run: Option<String>,
    /// An expression over `$1`, who would do it, and `$2`, who has logged in.
    pub(super) ask: String,
    /// Needs objects that only the transaction which made them sees.
    pub(super) probe: bool,
}

impl Inventory {
    /// Objects made for the trial have this name; it holds the session, so that no two trials wait for each other.
    pub(super) fn probe(&self) -> String {
        format!("infra_probe_{}", self.pid)
    }

    /// From 16 on memberships have options: the admin needs no more than to become the login.
    pub(super) fn has_membership_options(&self) -> bool {
        self.version >= 160_000
    }

    /// What `pg_has_role` calls the right to become a role.
    pub(super) fn membership(&self) -> &'static str {
        if self.has_membership_options() { "SET" } else { "MEMBER" }
    }

    /// What the admin does before anybody tries: objects in each declared schema, made by the schema's owner, so that
    /// they get the rights that every future object gets; and a login that is a member of nothing.
    pub(super) fn setup(&self, declared: &[DeclaredSchema]) -> Vec<String> {
        let probe = self.probe();
        let mut statements = vec![format!("CREATE ROLE {probe} LOGIN")];
        for schema in self.declared(declared) {
            let at = format!("{}.{probe}", ident(&schema.name));
            statements.extend([
                format!("SET LOCAL ROLE {}", ident(&schema.owner)),
                format!("CREATE TABLE {at} (probe int)"),
                format!("INSERT INTO {at} VALUES (1)"),
                format!("CREATE SEQUENCE {at}_sequence"),
                format!("CREATE FUNCTION {at}() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
                "RESET ROLE".into(),
            ]);
        }
        statements
    }

    fn declared<'a>(&'a self, declared: &'a [DeclaredSchema]) -> impl Iterator<Item = &'a DeclaredSchema> {
        declared.iter().filter(|schema| self.schemas.iter().any(|found| found.name == schema.name))
    }

    pub(super) fn attempts(&self, declared: &[DeclaredSchema]) -> Vec<Attempt> {
        let mut attempts = self.on_database();
        for schema in self.schemas.iter().filter(|schema| schema.name != "public") {
            attempts.extend(self.on_schema(schema));
        }
        for schema in self.declared(declared) {
            attempts.extend(self.on_probe(schema));
        }
        for relation in &self.relations {
            attempts.extend(relation.attempts());
        }
        for routine in &self.routines {
            attempts.push(Attempt {
                operation: Operation::Execute,
                schema: Some(routine.schema.clone()),
                object: Some(Object { name: routine.name.clone(), others: routine.count - 1 }),
                // It may do anything.
                run: None,
                ask: within(
                    routine.schema_oid,
                    &format!("has_function_privilege($1, {}::oid, 'EXECUTE')", routine.oid),
                ),
                probe: false,
            });
        }
        attempts
    }

    fn on_database(&self) -> Vec<Attempt> {
        let probe = self.probe();
        let on = |operation, run: Option<String>, ask: &str| Attempt {
            operation,
            schema: None,
            object: None,
            run,
            ask: ask.into(),
            probe: false,
        };
        let mut attempts = vec![
            on(
                Operation::Connect,
                None,
                "has_database_privilege($2, current_database(), 'CONNECT') \
                 AND (SELECT rolcanlogin FROM pg_roles WHERE oid = $2)",
            ),
            on(
                Operation::CreateTemporary,
                Some(format!("CREATE TEMPORARY TABLE {probe}_temporary (probe int)")),
                "has_database_privilege($1, current_database(), 'TEMPORARY')",
            ),
            on(
                Operation::CreateSchema,
                Some(format!("CREATE SCHEMA {probe}_schema")),
                "has_database_privilege($1, current_database(), 'CREATE')",
            ),
        ];
        if self.schemas.iter().any(|schema| schema.name == "public") {
            attempts.push(on(
                Operation::CreateInPublic,
                Some(format!("CREATE TABLE public.{probe}_public (probe int)")),
                "has_schema_privilege($1, 'public', 'CREATE')",
            ));
        }
        attempts
    }

    fn on_schema(&self, schema: &Schema) -> Vec<Attempt> {
        let at = format!("{}.{}", ident(&schema.name), self.probe());
        let on = |operation, run, privilege: &str| Attempt {
            operation,
            schema: Some(schema.name.clone()),
            object: None,
            run: Some(run),
            ask: format!("has_schema_privilege($1, {}::oid, '{privilege}')", schema.oid),
            probe: false,
        };
        vec![
            // There is no such relation, and only who may use the schema is told so.
            on(Operation::Usage, format!("SELECT '{}_none'::regclass", at.replace('\'', "''")), "USAGE"),
            on(Operation::CreateTable, format!("CREATE TABLE {at}_made (probe int)"), "CREATE"),
        ]
    }

    fn on_probe(&self, schema: &DeclaredSchema) -> Vec<Attempt> {
        let at = format!("{}.{}", ident(&schema.name), self.probe());
        let probe = self.probe();
        let oid = schema_oid(&self.schemas, &schema.name);
        // By number: to look up a name needs the right to use the schema.
        let ask = |class: &str, prefix: &str, name: &str, inquiry: &str, privilege: &str| {
            let found = format!(
                "(SELECT oid FROM {class} WHERE {prefix}name = {} AND {prefix}namespace = {oid})",
                literal(name)
            );
            within(oid, &format!("{inquiry}($1, {found}, '{privilege}')"))
        };
        let table = |privilege: &str| ask("pg_class", "rel", &probe, "has_table_privilege", privilege);
        let sequence = format!("{probe}_sequence");
        let on = |operation, run: Option<String>, ask: String| Attempt {
            operation,
            schema: Some(schema.name.clone()),
            object: None,
            run,
            ask,
            probe: true,
        };
        let roles: Vec<String> = schema.roles.iter().map(|role| literal(role)).collect();
        let membership = self.membership();
        vec![
            on(
                Operation::Become,
                None,
                format!(
                    "EXISTS (SELECT FROM unnest(ARRAY[{}]::name[]) r \
                     WHERE pg_has_role($2, r, '{membership}') AND NOT pg_has_role($2, r, 'USAGE'))",
                    roles.join(", ")
                ),
            ),
            on(Operation::Select, Some(format!("SELECT probe FROM {at}")), table("SELECT")),
            on(Operation::Insert, Some(format!("INSERT INTO {at} VALUES (2)")), table("INSERT")),
            on(Operation::Update, Some(format!("UPDATE {at} SET probe = 3")), table("UPDATE")),
            on(Operation::Delete, Some(format!("DELETE FROM {at}")), table("DELETE")),
            on(Operation::Truncate, Some(format!("TRUNCATE {at}")), table("TRUNCATE")),
            // A foreign key needs a second table of one's own, which most logins cannot make.
            on(Operation::References, None, table("REFERENCES")),
            on(
                Operation::Trigger,
                Some(format!(
                    "CREATE TRIGGER probe BEFORE UPDATE ON {at} \
                     FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
                )),
                table("TRIGGER"),
            ),
            on(
                Operation::Lock,
                Some(format!("LOCK TABLE {at} IN SHARE MODE")),
                table("UPDATE, DELETE, TRUNCATE"),
            ),
            on(
                Operation::Alter,
                Some(format!("ALTER TABLE {at} ADD COLUMN more int")),
                format!("pg_has_role($1, {}::name, 'USAGE')", literal(&schema.owner)),
            ),
            on(
                Operation::Nextval,
                Some(format!("SELECT nextval({})", literal(&format!("{at}_sequence")))),
                ask("pg_class", "rel", &sequence, "has_sequence_privilege", "USAGE, UPDATE"),
            ),
            on(
                Operation::Execute,
                Some(format!("SELECT {at}()")),
                ask("pg_proc", "pro", &probe, "has_function_privilege", "EXECUTE"),
            ),
        ]
    }
}

impl Relation {
    /// No row is touched, no trigger or rule acts, and what the statement locks is what every application locks.
    fn attempts(&self) -> Vec<Attempt> {
        let at = format!("{}.{}", ident(&self.schema), ident(&self.name));
        // EXPLAIN checks the permissions just the same, and then does nothing.
        let explain = if self.quiet { "" } else { "EXPLAIN " };
        let table = matches!(self.kind, 'r' | 'p');
        let on = |operation, run: Option<String>, ask: String| Attempt {
            operation,
            schema: Some(self.schema.clone()),
            object: Some(Object { name: self.name.clone(), others: self.count - 1 }),
            run: run.filter(|_| table),
            ask: within(self.schema_oid, &ask),
            probe: false,
        };
        let oid = self.oid;
        let any = |privilege: &str| {
            format!(
                "(has_table_privilege($1, {oid}::oid, '{privilege}') \
                 OR has_any_column_privilege($1, {oid}::oid, '{privilege}'))"
            )
        };
        let whole = |privilege: &str| format!("has_table_privilege($1, {oid}::oid, '{privilege}')");
        if self.kind == 'S' {
            let ask = format!("has_sequence_privilege($1, {oid}::oid, 'USAGE, UPDATE')");
            return vec![on(Operation::Nextval, None, ask)];
        }
        let update = self
            .column
            .as_ref()
            .map(|column| format!("{explain}UPDATE {at} SET {} = DEFAULT WHERE false", ident(column)));
        vec![
            on(Operation::Select, Some(format!("SELECT FROM {at} WHERE false")), any("SELECT")),
            on(
                Operation::Insert,
                Some(format!("{explain}INSERT INTO {at} SELECT WHERE false")),
                any("INSERT"),
            ),
            on(Operation::Update, update, any("UPDATE")),
            on(Operation::Delete, Some(format!("{explain}DELETE FROM {at} WHERE false")), whole("DELETE")),
            // These would lock out everybody else if they were allowed.
            on(Operation::Truncate, None, whole("TRUNCATE")),
            on(Operation::References, None, any("REFERENCES")),
            on(Operation::Trigger, None, whole("TRIGGER")),
            on(Operation::Alter, None, format!("pg_has_role($1, {}::oid, 'USAGE')", self.owner)),
        ]
    }
}

fn schema_oid(schemas: &[Schema], name: &str) -> i64 {
    schemas.iter().find(|schema| schema.name == name).map_or(0, |schema| schema.oid)
}

/// A right to an object is worth nothing without its schema; Postgres' inquiries do not think of that.
fn within(schema: i64, ask: &str) -> String {
    format!("has_schema_privilege($1, {schema}::oid, 'USAGE') AND {ask}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_names() {
        let inventory: Inventory = serde_json::from_value(serde_json::json!({
            "pid": 7, "version": 150_000,
            "schemas": [{"name": "a'b\"c", "oid": 1}],
            "relations": [{"schema": "a'b\"c", "schema_oid": 1, "name": "t;--", "oid": 2, "kind": "r", "owner": 10,
                "quiet": false, "count": 3, "column": "x\"y"}],
            "routines": [],
        }))
        .unwrap();
        let attempts = inventory.attempts(&[]);
        let run = |operation, object: bool| {
            let of = |a: &&Attempt| a.operation == operation && a.object.is_some() == object;
            attempts.iter().find(of).and_then(|a| a.run.clone()).unwrap()
        };
        assert_eq!(run(Operation::Usage, false), "SELECT '\"a''b\"\"c\".infra_probe_7_none'::regclass");
        assert_eq!(
            run(Operation::Update, true),
            "EXPLAIN UPDATE \"a'b\"\"c\".\"t;--\" SET \"x\"\"y\" = DEFAULT WHERE false"
        );
        assert_eq!(inventory.setup(&[]), ["CREATE ROLE infra_probe_7 LOGIN"]);
        assert!(attempts.iter().all(|attempt| attempt.object.as_ref().is_none_or(|o| o.others == 2)));
    }
}
