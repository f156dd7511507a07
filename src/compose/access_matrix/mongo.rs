//! What MongoDB's kinds say of access.

use std::collections::BTreeSet;

use super::{
    side::{Grant, Role, Side},
    who,
};
use crate::{
    model::access_matrix::{By, Level, Place, System},
    providers::mongo::catalog::{self, ADMIN, CLUSTER},
    resources::mongo::{role::MongoRole, user::MongoUser},
};

fn role(cluster: &str, name: &str) -> Role {
    Role { system: System::Mongodb, cluster: cluster.into(), name: name.into() }
}

/// A database of a replica set, or nothing for the set as a whole.
pub(super) fn place(cluster: &str, database: &str, services: &BTreeSet<String>) -> Place {
    Place {
        system: System::Mongodb,
        cluster: cluster.into(),
        database: database.into(),
        schema: None,
        service: services.get(database).cloned(),
    }
}

/// What roles of MongoDB's own come to, and whether in all databases.
fn level(name: &str) -> (Level, bool) {
    match name {
        "read" => (Level::Reads, false),
        "readWrite" => (Level::Writes, false),
        "dbOwner" => (Level::Owns, false),
        "readAnyDatabase" => (Level::Reads, true),
        "readWriteAnyDatabase" => (Level::Writes, true),
        "root" | "__system" => (Level::Owns, true),
        other => (Level::Some, other.ends_with("AnyDatabase") || other.starts_with("cluster")),
    }
}

impl Side {
    pub(super) fn mongo_role(&mut self, found: &MongoRole, services: &BTreeSet<String>) {
        let itself = role(&found.cluster, &found.name);
        self.mongo_grants(&itself, &found.roles, services);
        for (resource, actions) in &found.privileges {
            let database = database_of(resource).unwrap_or_default();
            let here = place(&found.cluster, &database, services);
            self.places.insert(here.clone());
            let on = if resource == CLUSTER { "cluster".into() } else { resource.clone() };
            self.grant(itself.clone(), &here, Grant { on, privileges: actions.clone(), level: Level::Some });
        }
    }

    pub(super) fn mongo_user(&mut self, found: &MongoUser, environment: &str, services: &BTreeSet<String>) {
        let itself = role(&found.cluster, &found.name);
        let ours = found.mark.as_ref().filter(|mark| mark.environment == environment);
        self.logins.insert(itself.clone(), who(ours.map(|mark| &mark.subject), &found.name));
        self.mongo_grants(&itself, &found.roles, services);
    }

    fn mongo_grants(
        &mut self,
        itself: &Role,
        grants: &BTreeSet<catalog::Grant>,
        services: &BTreeSet<String>,
    ) {
        for granted in grants {
            // Roles of ours are in `admin`; so are some of MongoDB's own.
            let own = granted.database == ADMIN && !is_built_in(&granted.role);
            if own {
                self.member(itself, &granted.role, By::Inherits);
                continue;
            }
            let (level, everywhere) = level(&granted.role);
            let here = place(&itself.cluster, if everywhere { "" } else { &granted.database }, services);
            self.places.insert(here.clone());
            let on = if everywhere {
                "all databases".to_owned()
            } else {
                format!("database {}", granted.database)
            };
            self.grant(itself.clone(), &here, Grant { on, privileges: [granted.role.clone()].into(), level });
        }
    }
}

/// Roles that every database of MongoDB has, or `admin` alone.
fn is_built_in(name: &str) -> bool {
    const NAMES: [&str; 20] = [
        "read",
        "readWrite",
        "dbAdmin",
        "dbOwner",
        "userAdmin",
        "readAnyDatabase",
        "readWriteAnyDatabase",
        "userAdminAnyDatabase",
        "dbAdminAnyDatabase",
        "clusterAdmin",
        "clusterManager",
        "clusterMonitor",
        "hostManager",
        "backup",
        "restore",
        "root",
        "__system",
        "enableSharding",
        "directShardOperations",
        "searchCoordinator",
    ];
    NAMES.contains(&name)
}

/// The database that a resource lies in, which MongoDB writes as `{"db": ..., "collection": ...}`.
fn database_of(resource: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(resource).ok()?;
    Some(value.get("db")?.as_str()?.to_owned())
}
