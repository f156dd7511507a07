//! A database that services share, each in a schema of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Composition,
    service::{becomes, path, privileges, reads_only},
};
use crate::{
    model::{environment::Service, mark::Subject, names::SHARED},
    providers::postgres::PLANNER,
    resources::{Grants, pg_access::PgAccess, pg_database::PgDatabase, pg_role::PgRole},
};

impl<'a> Composition<'a> {
    pub(super) fn service_schema(&mut self, cluster: &str, service: &str, declared: &Service) {
        let roles = self.service_roles(cluster, service, Some(declared));
        let (database, schema) = (self.names.shared_database(), self.names.schema(service));
        let groups = Some((roles.writers.as_str(), roles.readers.as_str()));
        let mut access = PgAccess::new(cluster, &database, Some(&schema), &roles.owner, groups);
        if !self.extensions_of_all(cluster).is_empty() {
            access.public_schema =
                [&roles.owner, &roles.writers, &roles.readers].into_iter().cloned().collect();
        }
        access.database_grants = [
            (roles.writers.clone(), privileges(&["CONNECT", "TEMPORARY"])),
            (roles.readers.clone(), privileges(&["CONNECT"])),
            (roles.migrator.clone(), privileges(&["CONNECT"])),
        ]
        .into();
        let mut settings: BTreeMap<String, String> =
            declared.settings.iter().map(|(key, value)| (key.clone(), value.text())).collect();
        settings.insert("search_path".into(), path(&schema, declared));
        let with = |more: BTreeMap<String, String>| settings.clone().into_iter().chain(more).collect();
        access.role_settings = [
            (roles.migrator.clone(), with(becomes(&roles.owner))),
            (roles.app.clone(), settings.clone()),
            (roles.reader.clone(), with(reads_only())),
        ]
        .into();
        self.add(PgAccess::address(cluster, &database, Some(&schema)), access);
        let mark = self.mark(Subject::Service(service.into()));
        self.schema(cluster, &database, &schema, &roles.owner, mark);
    }

    /// The database itself. It has an owner of its own, so that no service's owner can make schemas in it. What each
    /// service may do in it stands with the service, so that one that left the YAML keeps it until it is removed.
    pub(super) fn shared_database(&mut self, cluster: &'a str) {
        let owner = self.names.shared_owner();
        let name = self.names.shared_database();
        let mark = self.mark(Subject::Shared(SHARED.into()));
        let role = PgRole { admin_is_member: true, ..PgRole::new(cluster, &owner, mark.clone()) };
        self.add(PgRole::address(cluster, &owner), role);

        let grants = Grants::from([(PLANNER.to_owned(), privileges(&["CONNECT"]))]);
        let database = PgDatabase { grants, ..PgDatabase::new(cluster, &name, &owner, mark.clone()) };
        self.add(PgDatabase::address(cluster, &name), database);
        let access = PgAccess::new(cluster, &name, None, &owner, None);
        self.add(PgAccess::address(cluster, &name, None), access);
        for extension in self.extensions_of_all(cluster) {
            self.extension(cluster, &name, extension, mark.clone());
        }
    }

    /// Extensions of the database that the services of a cluster share.
    fn extensions_of_all(&self, cluster: &str) -> BTreeSet<&'a str> {
        let environment = self.environment;
        let here = environment
            .services
            .values()
            .filter(|service| self.cluster_of(service.cluster.as_deref()) == cluster);
        here.flat_map(|service| &service.extensions).map(String::as_str).collect()
    }
}
