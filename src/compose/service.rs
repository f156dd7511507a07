//! A service: its roles, and a database of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::Composition;
use crate::{
    model::{
        environment::{ConnectionLimit, Isolation, Service},
        mark::{Mark, Subject},
        names::{EXTENSIONS, IAM, Roles},
    },
    providers::postgres::PLANNER,
    resources::{
        Facts, Grants,
        pg_access::PgAccess,
        pg_database::{PgDatabase, State},
        pg_extension::PgExtension,
        pg_role::{Membership, PgRole},
        pg_schema::PgSchema,
        search_path,
    },
};

/// Connections of a login that says nothing of it; Aurora's smaller classes take some hundreds in all.
pub(super) const CONNECTIONS: i32 = 50;
/// A migration is one process; a few more let a person look what it does.
pub(super) const MIGRATOR_CONNECTIONS: i32 = 5;

pub(super) fn privileges(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

impl Composition<'_> {
    /// Six roles. Logins hold memberships and nothing else, so that taking one away takes everything.
    pub(super) fn service_roles(
        &mut self,
        cluster: &str,
        service: &str,
        declared: Option<&Service>,
    ) -> Roles {
        let roles = self.names.roles(service);
        let mark = self.mark(Subject::Service(service.into()));
        let limits = self.environment.connection_limits;
        let limit = declared.and_then(|service| service.connection_limit).or(limits.service);
        let limit = limit.map_or(CONNECTIONS, ConnectionLimit::number);
        // A retired service keeps its roles, for its data is theirs; but nobody can log in.
        let login = declared.is_some();
        let new = |name: &str| PgRole::new(cluster, name, mark.clone());
        let member = |group: &str, membership: Membership| {
            let mut of = BTreeMap::from([(group.to_owned(), membership)]);
            if login {
                of.insert(IAM.into(), Membership::INHERIT);
            }
            of
        };
        for role in [
            PgRole { admin_is_member: true, ..new(&roles.owner) },
            new(&roles.readers),
            PgRole {
                member_of: [(roles.readers.clone(), Membership::INHERIT)].into(),
                ..new(&roles.writers)
            },
            PgRole {
                login,
                connection_limit: limits.migrator.map_or(MIGRATOR_CONNECTIONS, ConnectionLimit::number),
                member_of: member(&roles.owner, Membership::SET),
                ..new(&roles.migrator)
            },
            PgRole {
                login,
                connection_limit: limit,
                member_of: member(&roles.writers, Membership::INHERIT),
                ..new(&roles.app)
            },
            PgRole {
                login,
                connection_limit: limit,
                member_of: member(&roles.readers, Membership::INHERIT),
                ..new(&roles.reader)
            },
        ] {
            self.add(PgRole::address(cluster, &role.name), role);
        }
        roles
    }

    pub(super) fn service_database(&mut self, cluster: &str, service: &str, declared: &Service) {
        let roles = self.service_roles(cluster, service, Some(declared));
        let (name, schema) = (self.names.database(service), self.names.schema(service));
        let mark = self.mark(Subject::Service(service.into()));
        let mut settings: BTreeMap<String, String> =
            declared.settings.iter().map(|(key, value)| (key.clone(), value.text())).collect();
        settings.insert("search_path".into(), path(&schema, declared));
        let database = PgDatabase {
            settings,
            role_settings: [
                (roles.migrator.clone(), becomes(&roles.owner)),
                (roles.reader.clone(), reads_only()),
            ]
            .into(),
            grants: connect(&roles),
            ..PgDatabase::new(cluster, &name, &roles.owner, mark.clone())
        };
        self.add(PgDatabase::address(cluster, &name), database);

        let groups = Some((roles.writers.as_str(), roles.readers.as_str()));
        let mut access = PgAccess::new(cluster, &name, None, &roles.owner, groups);
        if !declared.extensions.is_empty() || schema == EXTENSIONS {
            access.public_schema = [roles.writers.clone(), roles.readers.clone()].into();
        }
        self.add(PgAccess::address(cluster, &name, None), access);
        for extension in &declared.extensions {
            self.extension(cluster, &name, extension, mark.clone());
        }
        // That one is there with the database, and is its owner's.
        if schema != EXTENSIONS {
            self.schema(cluster, &name, &schema, &roles.owner, mark);
        }
    }

    pub(super) fn schema(&mut self, cluster: &str, database: &str, name: &str, owner: &str, mark: Mark) {
        let schema = PgSchema {
            cluster: cluster.into(),
            database: database.into(),
            name: name.into(),
            owner: owner.into(),
            state: if mark.retired { State::Retired } else { State::Active },
            mark: Some(mark),
            facts: Facts::default(),
        };
        self.add(PgSchema::address(cluster, database, name), schema);
    }

    pub(super) fn extension(&mut self, cluster: &str, database: &str, name: &str, mark: Mark) {
        let extension = PgExtension {
            cluster: cluster.into(),
            database: database.into(),
            name: name.into(),
            schema: EXTENSIONS.into(),
            mark: Some(mark),
            facts: Facts::default(),
        };
        self.add(PgExtension::address(cluster, database, name), extension);
    }

    /// Removed, its data kept: its roles without a login, its database or schema closed and renamed.
    pub(super) fn retired_service(&mut self, cluster: &str, service: &str) {
        let roles = self.service_roles(cluster, service, None);
        let mark = Mark { retired: true, ..self.mark(Subject::Service(service.into())) };
        match self.environment.isolation {
            Isolation::Database => {
                let name = self.names.database(service);
                let mut database = PgDatabase {
                    state: State::Retired,
                    connectable: false,
                    ..PgDatabase::new(cluster, &name, &roles.owner, mark)
                };
                database.facts.0.roles = roles.all().map(str::to_owned).into();
                self.add(PgDatabase::address(cluster, &name), database);
            }
            Isolation::Schema => {
                let (database, schema) = (self.names.shared_database(), self.names.schema(service));
                self.schema(cluster, &database, &schema, &roles.owner, mark);
            }
        }
    }

    /// Removed with its data.
    pub(super) fn dropped_service(&mut self, cluster: &str, service: &str) {
        let (roles, database) = (self.names.roles(service), self.names.database(service));
        let schema = self.names.schema(service);
        let removed = &mut self.desired.removed;
        removed.extend(roles.all().map(|role| PgRole::address(cluster, role)));
        removed.insert(match self.environment.isolation {
            Isolation::Database => PgDatabase::address(cluster, &database),
            Isolation::Schema => PgSchema::address(cluster, &database, &schema),
        });
    }
}

/// Who may connect to a service's database. The owner may by owning; the admin by being a member of it.
fn connect(roles: &Roles) -> Grants {
    [
        (roles.writers.clone(), privileges(&["CONNECT", "TEMPORARY"])),
        (roles.readers.clone(), privileges(&["CONNECT"])),
        (roles.migrator.clone(), privileges(&["CONNECT"])),
        (PLANNER.to_owned(), privileges(&["CONNECT"])),
    ]
    .into()
}

/// A migrator is the owner from its first statement on, so that whatever it makes is the owner's.
pub(super) fn becomes(owner: &str) -> BTreeMap<String, String> {
    [("role".to_owned(), owner.to_owned())].into()
}

/// A seat belt only: it is the missing privilege that keeps a reader from writing.
pub(super) fn reads_only() -> BTreeMap<String, String> {
    [("default_transaction_read_only".to_owned(), "on".to_owned())].into()
}

pub(super) fn path(schema: &str, service: &Service) -> String {
    let extensions = (!service.extensions.is_empty() && schema != EXTENSIONS).then_some(EXTENSIONS);
    search_path(std::iter::once(schema).chain(extensions))
}
