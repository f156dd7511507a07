//! Groups of people, and people.

use std::collections::{BTreeMap, BTreeSet};

use super::Composition;
use crate::{
    model::{
        environment::{Access, ConnectionLimit, DeveloperGroup, ServiceSelection},
        mark::Subject,
        names::IAM,
    },
    resources::pg_role::{Membership, PgRole},
};

/// A person with a few windows open.
pub(super) const CONNECTIONS: i32 = 5;

impl<'a> Composition<'a> {
    /// A group has a role on each cluster that has one of its services.
    pub(super) fn groups(&mut self) {
        for (name, group) in &self.environment.developer_groups {
            let access = group.access.unwrap_or(self.environment.developers);
            let mut by_cluster: BTreeMap<&str, BTreeMap<String, Membership>> = BTreeMap::new();
            for (service, cluster) in self.services_of(group) {
                let roles = self.names.roles(service);
                let of = by_cluster.entry(cluster).or_default();
                match access {
                    Access::ReadWrite => of.insert(roles.writers, Membership::INHERIT),
                    Access::ReadOnly => of.insert(roles.readers, Membership::INHERIT),
                    Access::None => None,
                };
            }
            for (cluster, member_of) in by_cluster {
                let mark = self.mark(Subject::Group(name.clone()));
                let role = PgRole { member_of, ..PgRole::new(cluster, &self.names.group(name), mark) };
                self.add(PgRole::address(cluster, &role.name.clone()), role);
            }
        }
    }

    /// A person has one login on each cluster: every one, so that joining a group later changes a membership only.
    pub(super) fn people(&mut self) {
        let groups = &self.environment.developer_groups;
        for cluster in self.environment.clusters.keys() {
            for person in self.environment.people.keys() {
                let mut member_of = BTreeMap::from([(IAM.to_owned(), Membership::INHERIT)]);
                for (group, declared) in groups {
                    let here = self.services_of(declared).iter().any(|(_, of)| of == cluster);
                    if here && declared.members.contains(person) {
                        member_of.insert(self.names.group(group), Membership::INHERIT);
                    }
                }
                let mark = self.mark(Subject::Person(person.clone()));
                let role = PgRole {
                    login: true,
                    connection_limit: self
                        .environment
                        .connection_limits
                        .person
                        .map_or(CONNECTIONS, ConnectionLimit::number),
                    member_of,
                    ..PgRole::new(cluster, &self.names.person(person), mark)
                };
                self.add(PgRole::address(cluster, &role.name.clone()), role);
            }
        }
    }

    pub(super) fn services_of(&self, group: &'a DeveloperGroup) -> BTreeSet<(&'a str, &'a str)> {
        let services = &self.environment.services;
        let chosen = services.iter().filter(|(name, _)| match &group.services {
            ServiceSelection::All(_) => true,
            ServiceSelection::Named(names) => names.contains(name),
        });
        chosen.map(|(name, service)| (name.as_str(), self.cluster_of(service.cluster.as_deref()))).collect()
    }
}
