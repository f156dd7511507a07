//! Who can do what where: from what is declared, and from what was read. Both are the same kinds of resources, so one
//! piece of code looks at either, and the difference is that of two plain values.

mod mongo;
mod postgres;
mod side;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::compose;
use crate::{
    engine::World,
    model::{
        Address,
        access_matrix::{AccessMatrix, Entry, Place, Right, Rights, System, Who, WhoKind},
        environment::{Environment, Isolation},
        mark::Subject,
    },
    resources::{
        Any,
        mongo::{role::MongoRole, user::MongoUser},
        pg_access::PgAccess,
        pg_database::PgDatabase,
        pg_role::PgRole,
        pg_schema::PgSchema,
    },
};
use side::{Held, Role, Side};

/// Stands among privileges for all that an owner may.
pub const OWNER: &str = "OWNER";

/// What is declared; and, with a world, what was found there. Pure.
pub fn access_matrix(name: &str, environment: &Environment, world: Option<&World<Any>>) -> AccessMatrix {
    let desired = compose(name, environment);
    let services: BTreeSet<String> = environment.services.keys().cloned().collect();
    let shared = environment.isolation == Isolation::Schema;
    let of = Of { name, services: &services, shared };
    let declared = of.side(desired.resources.values());
    let actual = world.map(|world| of.side(world.found.values().map(|found| &found.resource)));
    let unreadable = world.map(|world| unreadable(environment, world, &declared)).unwrap_or_default();
    let known = |place: &Place| !unreadable.keys().any(|what| covers(what, place));

    // What is at places that are nobody's business is told by `infra show`.
    let mut places: BTreeSet<Place> = declared.places.clone();
    let ours = |place: &Place| places.iter().any(|declared| declared.cluster == place.cluster);
    let found = actual.iter().flat_map(|side| &side.places);
    let more = found.filter(|place| ours(place) && (place.service.is_some() || place.database.is_empty()));
    let more: Vec<Place> = more.cloned().collect();
    places.extend(more);

    let mut logins: BTreeMap<Role, Who> = declared.logins.clone();
    for (role, who) in actual.iter().flat_map(|side| &side.logins) {
        logins.entry(role.clone()).or_insert_with(|| who.clone());
    }
    for role in actual.iter().flat_map(Side::strangers) {
        let unknown = Who { kind: WhoKind::Unknown, name: role.name.clone(), login: role.name.clone() };
        logins.entry(role).or_insert(unknown);
    }
    let mut entries = Vec::new();
    let mut all: BTreeSet<Who> = declared.logins.values().cloned().collect();
    for (role, who) in &logins {
        let (mut should, mut does) = (declared.held(role), actual.as_ref().map(|side| side.held(role)));
        for place in &places {
            let should = should.remove(place).unwrap_or_default();
            let does =
                does.as_mut().filter(|_| known(place)).map(|held| held.remove(place).unwrap_or_default());
            if let Some(entry) = entry(who, place, should, does) {
                all.insert(who.clone());
                entries.push(entry);
            }
        }
    }
    entries.sort_by(|one, other| (&one.who, &one.place).cmp(&(&other.who, &other.place)));
    let used =
        |place: &Place| declared.places.contains(place) || entries.iter().any(|entry| entry.place == *place);
    places.retain(used);
    AccessMatrix {
        environment: name.into(),
        compared: world.is_some(),
        who: all.into_iter().collect(),
        places: places.into_iter().collect(),
        entries,
        unreadable,
    }
}

struct Of<'a> {
    name: &'a str,
    services: &'a BTreeSet<String>,
    /// Services share a database.
    shared: bool,
}

impl Of<'_> {
    fn side<'a>(&self, resources: impl Iterator<Item = &'a Any>) -> Side {
        let mut side = Side::default();
        for any in resources.cloned() {
            // One kind each; what is none of these says nothing of access.
            if let Ok(found) = PgRole::try_from(any.clone()) {
                side.pg_role(&found, self.name);
            } else if let Ok(found) = PgDatabase::try_from(any.clone()) {
                if found.mark.as_ref().is_some_and(|mark| mark.environment == self.name) {
                    side.pg_database(&found);
                }
            } else if let Ok(found) = PgSchema::try_from(any.clone()) {
                if found.mark.as_ref().is_some_and(|mark| mark.environment == self.name) {
                    side.pg_schema(&found, self.shared);
                }
            } else if let Ok(found) = PgAccess::try_from(any.clone()) {
                side.pg_access(&found, self.services);
            } else if let Ok(found) = MongoRole::try_from(any.clone()) {
                side.mongo_role(&found, self.services);
            } else if let Ok(found) = MongoUser::try_from(any) {
                side.mongo_user(&found, self.name, self.services);
            }
        }
        side
    }
}

/// Who a mark is for, or nobody whom the YAML knows.
fn who(subject: Option<&Subject>, login: &str) -> Who {
    let (kind, name) = match subject {
        Some(Subject::Person(name)) => (WhoKind::Person, name.as_str()),
        Some(Subject::Service(name) | Subject::Shared(name)) => (WhoKind::Service, name.as_str()),
        Some(Subject::Infra(_)) => (WhoKind::Infra, login),
        Some(Subject::Group(_)) | None => (WhoKind::Unknown, login),
    };
    Who { kind, name: name.into(), login: login.into() }
}

fn entry(who: &Who, place: &Place, should: Held, does: Option<Held>) -> Option<Entry> {
    let declared = should.rights;
    let (mut extra, mut missing) = (Vec::new(), Vec::new());
    let actual = does.map(|held| {
        extra = without(&held.rights, &declared);
        missing = without(&declared, &held.rights);
        missing.extend(held.lacks);
        missing.sort();
        held.rights
    });
    let nothing = declared.rights.is_empty() && extra.is_empty() && missing.is_empty();
    (!nothing).then(|| Entry { who: who.clone(), place: place.clone(), declared, actual, extra, missing })
}

/// What of these rights is not among the others, by whichever chain. One that may be passed on includes the plain one.
fn without(rights: &Rights, others: &Rights) -> Vec<Right> {
    let has = |on: &str, privilege: &str| {
        (others.rights.iter().filter(|other| other.on == on)).any(|other| {
            other.privileges.contains(privilege) || other.privileges.contains(&format!("{privilege}*"))
        })
    };
    let left = rights.rights.iter().map(|right| Right {
        privileges: right.privileges.iter().filter(|privilege| !has(&right.on, privilege)).cloned().collect(),
        ..right.clone()
    });
    left.filter(|right| !right.privileges.is_empty()).collect()
}

/// What could not be read of what is declared, under the name of a cluster, or of a cluster and a database.
fn unreadable(environment: &Environment, world: &World<Any>, declared: &Side) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let concerns = |address: &Address| {
        ["local_server", "aurora_cluster", "aurora_instance", "pg_logins", "pg_database", "mongo_cluster"]
            .contains(&address.kind())
    };
    for (address, why) in world.unreadable.iter().filter(|(address, _)| concerns(address)) {
        let path = address.path();
        // An instance stands for its cluster.
        let path =
            if address.kind() == "aurora_instance" { path.split('/').next().unwrap_or(path) } else { path };
        all.insert(path.into(), why.clone());
    }
    for cluster in environment.clusters.keys() {
        let there = world.found.values().any(|found| {
            PgRole::try_from(found.resource.clone()).is_ok_and(|role| role.cluster == *cluster)
                || PgDatabase::try_from(found.resource.clone())
                    .is_ok_and(|database| database.cluster == *cluster)
        });
        let concerned = declared.places.iter().any(|p| p.system == System::Postgres && p.cluster == *cluster);
        if !there && concerned && !all.contains_key(cluster) {
            all.insert(cluster.clone(), "there is nothing inside yet: infra apply makes it".into());
        }
    }
    all
}

fn covers(what: &str, place: &Place) -> bool {
    match what.split_once('/') {
        None => place.cluster == what,
        Some((cluster, database)) => place.cluster == cluster && place.database == database,
    }
}
