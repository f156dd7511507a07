//! What every login is to be allowed, from the declaration alone: never from what the servers say.

use std::collections::{BTreeMap, BTreeSet};

use super::Composition;
use crate::{
    model::{
        access::Operation,
        environment::{Access, Environment, Isolation, RemovedData},
        names::{APP, Roles, SHARED, developer},
    },
    providers::postgres::{DeclaredSchema, MAINTENANCE, PLANNER},
};

/// What a login is to a service. The later includes what the earlier may do with the service's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Reads,
    Writes,
    Owns,
}

/// Who is to be let do what on one cluster.
#[derive(Clone, Debug)]
pub struct Expected {
    isolation: Isolation,
    /// What each login that is in use is to which services.
    logins: BTreeMap<String, BTreeMap<String, Standing>>,
    /// Logins of retired services: shut.
    retired: BTreeSet<String>,
    /// By service: whether it has extensions, so that its users may use the schema where these lie.
    services: BTreeMap<String, bool>,
    /// Services share a database, even if none of them is in use.
    shared: bool,
}

/// By cluster.
pub fn expected(environment: &Environment) -> BTreeMap<String, Expected> {
    let composition = Composition { name: "", environment, desired: crate::engine::Desired::default() };
    let clusters = environment.clusters.keys();
    clusters.map(|cluster| (cluster.clone(), composition.expected(cluster))).collect()
}

impl Composition<'_> {
    fn expected(&self, cluster: &str) -> Expected {
        let environment = self.environment;
        let mut expected = Expected {
            isolation: environment.isolation,
            logins: BTreeMap::from([(PLANNER.to_owned(), BTreeMap::new())]),
            retired: BTreeSet::new(),
            services: BTreeMap::new(),
            shared: environment.isolation == Isolation::Schema && self.shared_clusters().contains(cluster),
        };
        for (service, declared) in &environment.services {
            if self.cluster_of(declared.cluster.as_deref()) != cluster {
                continue;
            }
            expected.services.insert(service.clone(), !declared.extensions.is_empty());
            let Roles { migrator, app, reader, .. } = Roles::of(service);
            for (login, standing) in
                [(migrator, Standing::Owns), (app, Standing::Writes), (reader, Standing::Reads)]
            {
                expected.logins.insert(login, [(service.clone(), standing)].into());
            }
        }
        for (service, removed) in &environment.removed.services {
            if self.cluster_of(removed.cluster.as_deref()) == cluster && removed.data == RemovedData::Keep {
                let Roles { migrator, app, reader, .. } = Roles::of(service);
                expected.retired.extend([migrator, app, reader]);
            }
        }
        for person in environment.people.keys() {
            let mut to: BTreeMap<String, Standing> = BTreeMap::new();
            for group in environment.developer_groups.values().filter(|g| g.members.contains(person)) {
                let standing = match group.access.unwrap_or(environment.developers) {
                    Access::ReadWrite => Standing::Writes,
                    Access::ReadOnly => Standing::Reads,
                    Access::None => continue,
                };
                for (service, _) in self.services_of(group).into_iter().filter(|(_, of)| *of == cluster) {
                    let known = to.entry(service.to_owned()).or_insert(standing);
                    *known = standing.max(*known);
                }
            }
            expected.logins.insert(developer(person), to);
        }
        expected
    }
}

impl Expected {
    /// Logins in use.
    pub fn logins(&self) -> impl Iterator<Item = &String> {
        self.logins.keys()
    }

    /// Logins of retired services.
    pub fn retired(&self) -> impl Iterator<Item = &String> {
        self.retired.iter()
    }

    /// Databases, and the schemas in each that are declared.
    pub fn databases(&self) -> BTreeMap<String, Vec<DeclaredSchema>> {
        let schema = |name: &str, service: &str| {
            let Roles { owner, writers, readers, .. } = Roles::of(service);
            let roles = vec![owner.clone(), writers, readers];
            DeclaredSchema { name: name.into(), owner, roles }
        };
        match self.isolation {
            Isolation::Database => {
                self.services.keys().map(|name| (name.clone(), vec![schema(APP, name)])).collect()
            }
            Isolation::Schema if self.shared => {
                let schemas = self.services.keys().map(|name| schema(name, name)).collect();
                [(SHARED.to_owned(), schemas)].into()
            }
            Isolation::Schema => BTreeMap::new(),
        }
    }

    /// Whether a login is to be let do something: with a database, or with a schema and what is in it. Who is not
    /// declared may nothing.
    pub fn allows(&self, login: &str, database: &str, schema: Option<&str>, operation: Operation) -> bool {
        let Some(standings) = self.logins.get(login) else { return false };
        let planner = login == PLANNER && operation == Operation::Connect;
        if database == MAINTENANCE {
            return planner;
        }
        let is_declared = match self.isolation {
            Isolation::Database => self.services.contains_key(database),
            Isolation::Schema => self.shared && database == SHARED,
        };
        if !is_declared {
            return false;
        }
        let Some(schema) = schema else {
            return planner || self.on_database(standings, database, operation);
        };
        let (service, open) = match self.isolation {
            // All schemas are the service's; the one of the extensions is open only if there are any.
            Isolation::Database => {
                (database, schema != "public" || self.services.get(database) == Some(&true))
            }
            Isolation::Schema => (schema, true),
        };
        match standings.get(service) {
            Some(Standing::Owns) => true,
            Some(standing) => open && in_schema(*standing, operation),
            None => false,
        }
    }

    /// What nothing is declared of: whoever makes a function where extensions lie opens it to all who use them.
    pub fn is_silent(&self, database: &str, schema: Option<&str>, operation: Operation) -> bool {
        self.isolation == Isolation::Schema
            && database == SHARED
            && schema == Some("public")
            && operation == Operation::Execute
    }

    fn on_database(
        &self,
        standings: &BTreeMap<String, Standing>,
        database: &str,
        operation: Operation,
    ) -> bool {
        match self.isolation {
            Isolation::Database => standings.get(database).is_some_and(|standing| match operation {
                Operation::Connect => true,
                Operation::CreateTemporary => *standing >= Standing::Writes,
                _ => *standing >= Standing::Owns,
            }),
            // The database is nobody's: a migrator becomes the owner of its schema, not of it.
            Isolation::Schema => match operation {
                Operation::Connect => !standings.is_empty(),
                Operation::CreateTemporary => standings.values().any(|s| *s == Standing::Writes),
                _ => false,
            },
        }
    }
}

fn in_schema(standing: Standing, operation: Operation) -> bool {
    use Operation as O;
    match operation {
        O::Usage | O::Select | O::Execute => true,
        O::Insert | O::Update | O::Delete | O::Lock | O::Nextval => standing >= Standing::Writes,
        O::Connect | O::CreateTemporary | O::CreateSchema | O::CreateInPublic => false,
        O::CreateTable | O::Become | O::Truncate | O::References | O::Trigger | O::Alter => {
            standing >= Standing::Owns
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Operation; 18] = [
        Operation::Connect,
        Operation::CreateTemporary,
        Operation::CreateSchema,
        Operation::CreateInPublic,
        Operation::Usage,
        Operation::CreateTable,
        Operation::Become,
        Operation::Select,
        Operation::Insert,
        Operation::Update,
        Operation::Delete,
        Operation::Truncate,
        Operation::References,
        Operation::Trigger,
        Operation::Lock,
        Operation::Alter,
        Operation::Nextval,
        Operation::Execute,
    ];

    fn of(isolation: &str) -> Expected {
        let environment: Environment = serde_json::from_value(serde_json::json!({
            "platform": {"local": {}},
            "isolation": isolation,
            "developers": "read-only",
            "clusters": {"main": {}, "other": {}},
            "services": {
                "orders": {"cluster": "main", "extensions": ["pgcrypto"]},
                "billing": {"cluster": "main"},
                "far": {"cluster": "other"},
            },
            "removed": {"services": {
                "old": {"cluster": "main", "data": "keep"}, "gone": {"cluster": "main", "data": "drop"},
            }},
            "people": {"ana": {}, "boris": {}, "carla": {}, "dora": {}},
            "developer_groups": {
                "all": {"members": ["ana"], "services": "all"},
                "writers": {"members": ["ana", "boris"], "services": ["orders"], "access": "read-write"},
                "nothing": {"members": ["dora"], "services": "all", "access": "none"},
            },
        }))
        .unwrap();
        expected(&environment).remove("main").unwrap()
    }

    /// What is allowed, in short: on the database before the bar, in the schema behind it.
    fn short(expected: &Expected, login: &str, database: &str, schema: &str) -> String {
        let count = |schema: Option<&str>, from: usize, to: usize| {
            let allowed = ALL[from..to].iter().filter(|o| expected.allows(login, database, schema, **o));
            allowed.map(|operation| operation.name()).collect::<Vec<_>>().join(" ")
        };
        let inside = match count(Some(schema), 4, 18).as_str() {
            "usage create table become another role select insert update delete truncate references create trigger \
             lock table alter table nextval execute" => "owns".to_owned(),
            "usage select insert update delete lock table nextval execute" => "writes".into(),
            "usage select execute" => "reads".into(),
            other => other.to_owned(),
        };
        format!("{} | {inside}", count(None, 0, 4))
    }

    #[test]
    fn a_database_for_each_service() {
        let expected = of("database");
        assert_eq!(expected.databases().keys().collect::<Vec<_>>(), ["billing", "orders"]);
        for (login, database, schema, allowed) in [
            (
                "svc_orders_migrator",
                "orders",
                "app",
                "connect create temp table create schema create in public | owns",
            ),
            (
                "svc_orders_migrator",
                "orders",
                "made_later",
                "connect create temp table create schema create in public | owns",
            ),
            ("svc_orders_app", "orders", "app", "connect create temp table | writes"),
            ("svc_orders_app", "orders", "public", "connect create temp table | writes"),
            ("svc_billing_app", "billing", "public", "connect create temp table | "),
            ("svc_orders_reader", "orders", "app", "connect | reads"),
            ("svc_orders_migrator", "billing", "app", " | "),
            ("svc_orders_app", "billing", "app", " | "),
            ("svc_orders_reader", "billing", "app", " | "),
            ("dev_ana", "orders", "app", "connect create temp table | writes"),
            ("dev_ana", "billing", "app", "connect | reads"),
            ("dev_boris", "billing", "app", " | "),
            ("dev_carla", "orders", "app", " | "),
            ("dev_dora", "orders", "app", " | "),
            ("infra_planner", "orders", "app", "connect | "),
            ("infra_planner", "postgres", "app", "connect | "),
            ("svc_orders_migrator", "postgres", "app", " | "),
            ("svc_old_app", "old", "app", " | "),
            ("svc_old_migrator", "orders", "app", " | "),
            ("svc_far_app", "orders", "app", " | "),
            ("PUBLIC", "orders", "app", " | "),
            ("dev_ana", "far", "app", " | "),
        ] {
            assert_eq!(short(&expected, login, database, schema), allowed, "{login} on {database}.{schema}");
        }
        assert_eq!(
            expected.retired().collect::<Vec<_>>(),
            ["svc_old_app", "svc_old_migrator", "svc_old_reader"]
        );
    }

    #[test]
    fn a_schema_for_each_service() {
        let expected = of("schema");
        let databases = expected.databases();
        let schemas: Vec<_> = databases["shared"].iter().map(|schema| schema.name.as_str()).collect();
        assert_eq!((databases.len(), schemas), (1, vec!["billing", "orders"]));
        for (login, schema, allowed) in [
            ("svc_orders_migrator", "orders", "connect | owns"),
            ("svc_orders_app", "orders", "connect create temp table | writes"),
            ("svc_orders_reader", "orders", "connect | reads"),
            ("svc_orders_migrator", "billing", "connect | "),
            ("svc_orders_app", "billing", "connect create temp table | "),
            ("svc_orders_reader", "billing", "connect | "),
            ("svc_orders_app", "public", "connect create temp table | "),
            ("svc_orders_app", "old__retired_20260101", "connect create temp table | "),
            ("dev_ana", "orders", "connect create temp table | writes"),
            ("dev_ana", "billing", "connect create temp table | reads"),
            ("dev_boris", "billing", "connect create temp table | "),
            ("dev_carla", "orders", " | "),
            ("dev_dora", "orders", " | "),
            ("infra_planner", "orders", "connect | "),
            ("svc_old_app", "orders", " | "),
            ("PUBLIC", "orders", " | "),
        ] {
            assert_eq!(short(&expected, login, "shared", schema), allowed, "{login} on shared.{schema}");
        }
    }
}
