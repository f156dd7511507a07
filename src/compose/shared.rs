//! A database that services share, each in a schema of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Composition,
    service::{becomes, path, privileges, reads_only},
};
use crate::{
    model::{
        environment::Service,
        mark::Subject,
        names::{Roles, SHARED},
    },
    providers::postgres::PLANNER,
    resources::{Grants, pg_access::PgAccess, pg_database::PgDatabase, pg_role::PgRole},
};

impl<'a> Composition<'a> {
    pub(super) fn service_schema(&mut self, cluster: &str, service: &str, declared: &Service) {
        let roles = self.service_roles(cluster, service, Some(declared));
        let groups = Some((roles.writers.as_str(), roles.readers.as_str()));
        let access = PgAccess::new(cluster, SHARED, Some(service), &roles.owner, groups);
        self.add(PgAccess::address(cluster, SHARED, Some(service)), access);
        let mark = self.mark(Subject::Service(service.into()));
        self.schema(cluster, SHARED, service, &roles.owner, mark);
    }

    /// The database itself. It has an owner of its own, so that no service's owner can make schemas in it.
    pub(super) fn shared_database(&mut self, cluster: &'a str) {
        let owner = Roles::of(SHARED).owner;
        let mark = self.mark(Subject::Shared(SHARED.into()));
        let role = PgRole { admin_is_member: true, ..PgRole::new(cluster, &owner, mark.clone()) };
        self.add(PgRole::address(cluster, &owner), role);

        let mut grants = Grants::from([(PLANNER.to_owned(), privileges(&["CONNECT"]))]);
        let mut role_settings: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut extensions: BTreeSet<&str> = BTreeSet::new();
        let mut roles_of_all = Vec::new();
        for (service, declared) in &self.environment.services {
            if self.cluster_of(declared.cluster.as_deref()) != cluster {
                continue;
            }
            let roles = Roles::of(service);
            grants.insert(roles.writers.clone(), privileges(&["CONNECT", "TEMPORARY"]));
            grants.insert(roles.readers.clone(), privileges(&["CONNECT"]));
            grants.insert(roles.migrator.clone(), privileges(&["CONNECT"]));
            let mut settings: BTreeMap<String, String> =
                declared.settings.iter().map(|(key, value)| (key.clone(), value.text())).collect();
            settings.insert("search_path".into(), path(service, declared));
            let with = |more: BTreeMap<String, String>| settings.clone().into_iter().chain(more).collect();
            role_settings.insert(roles.migrator.clone(), with(becomes(&roles.owner)));
            role_settings.insert(roles.app.clone(), settings.clone());
            role_settings.insert(roles.reader.clone(), with(reads_only()));
            extensions.extend(declared.extensions.iter().map(String::as_str));
            roles_of_all.push(roles);
        }
        let database =
            PgDatabase { grants, role_settings, ..self.database(cluster, SHARED, &owner, mark.clone()) };
        self.add(PgDatabase::address(cluster, SHARED), database);

        let mut access = PgAccess::new(cluster, SHARED, None, &owner, None);
        if !extensions.is_empty() {
            let users = roles_of_all.iter().flat_map(|roles| [&roles.owner, &roles.writers, &roles.readers]);
            access.public_schema = users.cloned().collect();
        }
        self.add(PgAccess::address(cluster, SHARED, None), access);
        for extension in extensions {
            self.extension(cluster, SHARED, extension, mark.clone());
        }
    }
}
