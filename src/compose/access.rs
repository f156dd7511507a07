//! What every login is to be allowed, from the declaration alone: never from what the servers say.

use std::collections::{BTreeMap, BTreeSet};

use super::Composition;
use crate::{
    model::{
        access::Operation,
        environment::{Access, Environment, Isolation, RemovedData},
        names::{EXTENSIONS, Roles},
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
    services: BTreeMap<String, Place>,
    /// The database that services share, even if none of them is in use.
    shared: Option<String>,
}

/// Where a service lives.
#[derive(Clone, Debug)]
struct Place {
    database: String,
    schema: String,
    roles: Roles,
    /// Its users may use the schema where extensions lie.
    extensions: bool,
}

/// By cluster.
pub fn expected(environment: &Environment) -> BTreeMap<String, Expected> {
    let composition = Composition::new("", environment);
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
            shared: None,
        };
        if environment.isolation == Isolation::Schema && self.shared_clusters().contains(cluster) {
            expected.shared = Some(self.names.shared_database());
        }
        for (service, declared) in &environment.services {
            if self.cluster_of(declared.cluster.as_deref()) != cluster {
                continue;
            }
            let roles = self.names.roles(service);
            let Roles { migrator, app, reader, .. } = roles.clone();
            let place = Place {
                database: self.names.database(service),
                schema: self.names.schema(service),
                roles,
                extensions: !declared.extensions.is_empty(),
            };
            expected.services.insert(service.clone(), place);
            for (login, standing) in
                [(migrator, Standing::Owns), (app, Standing::Writes), (reader, Standing::Reads)]
            {
                expected.logins.insert(login, [(service.clone(), standing)].into());
            }
        }
        for (service, removed) in &environment.removed.services {
            if self.cluster_of(removed.cluster.as_deref()) == cluster && removed.data == RemovedData::Keep {
                let Roles { migrator, app, reader, .. } = self.names.roles(service);
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
            expected.logins.insert(self.names.person(person), to);
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
        let shared = self.shared.iter().map(|name| (name.clone(), Vec::new()));
        let mut databases: BTreeMap<String, Vec<DeclaredSchema>> = shared.collect();
        for place in self.services.values() {
            let Roles { owner, writers, readers, .. } = place.roles.clone();
            let roles = vec![owner.clone(), writers, readers];
            let schema = DeclaredSchema { name: place.schema.clone(), owner, roles };
            databases.entry(place.database.clone()).or_default().push(schema);
        }
        databases
    }

    /// The service that a schema belongs to, or all of a database that is not shared.
    fn service(&self, database: &str, schema: Option<&str>) -> Option<(&String, &Place)> {
        let mut here = self.services.iter().filter(|(_, place)| place.database == database);
        match self.isolation {
            Isolation::Database => here.next(),
            Isolation::Schema => here.find(|(_, place)| Some(place.schema.as_str()) == schema),
        }
    }

    fn is_shared(&self, database: &str) -> bool {
        self.shared.as_deref() == Some(database)
    }

    /// Whether a login is to be let do something: with a database, or with a schema and what is in it. Who is not
    /// declared may nothing.
    pub fn allows(&self, login: &str, database: &str, schema: Option<&str>, operation: Operation) -> bool {
        let Some(standings) = self.logins.get(login) else { return false };
        let planner = login == PLANNER && operation == Operation::Connect;
        if database == MAINTENANCE {
            return planner;
        }
        let of = self.service(database, schema);
        if of.is_none() && !self.is_shared(database) {
            return false;
        }
        let Some(schema) = schema else {
            return planner || self.on_database(standings, database, operation);
        };
        let Some((service, place)) = of else { return false };
        // All schemas are the service's; the one of the extensions is open only if there are any, or if it is its own.
        let open = match self.isolation {
            Isolation::Database => schema != EXTENSIONS || place.extensions || place.schema == EXTENSIONS,
            Isolation::Schema => true,
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
            && self.is_shared(database)
            && schema == Some(EXTENSIONS)
            && operation == Operation::Execute
    }

    fn on_database(
        &self,
        standings: &BTreeMap<String, Standing>,
        database: &str,
        operation: Operation,
    ) -> bool {
        match self.isolation {
            Isolation::Database => {
                let service = self.service(database, None);
                service.and_then(|(service, _)| standings.get(service)).is_some_and(
                    |standing| match operation {
                        Operation::Connect => true,
                        Operation::CreateTemporary => *standing >= Standing::Writes,
                        _ => *standing >= Standing::Owns,
                    },
                )
            }
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
