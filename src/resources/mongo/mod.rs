//! What lives inside a replica set: users and roles, and the secrets that passwords are in.

mod guard;
pub mod role;
pub mod secret;
pub mod snapshot;
pub mod user;

pub use guard::{all_removed, lockout, with_notes};

use crate::{
    engine::{Found, Removal},
    model::{
        Address,
        environment::MongoCluster,
        mark::{Mark, Subject},
        names,
    },
    providers::mongo::{Catalog, Mongo, MongoError, catalog::User},
};

/// A replica set of the YAML, and the client for it.
#[derive(Debug)]
pub struct Replicas<M> {
    /// Why there is none: its connection string cannot be had, or makes no sense.
    pub client: Result<Mongo<M>, String>,
    /// How certificates name users, where they do; `{name}` is filled in.
    pub subject: Option<String>,
}

/// How ours are known by their names.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    pub environment: &'a str,
    /// As in [`Replicas`].
    pub subject: Option<&'a str>,
}

/// How a kind is found in what was read of a replica set.
pub(super) trait Enlist: Sized {
    fn enlist(catalog: &Catalog, naming: Naming<'_>) -> Vec<(Address, Found<Self>)>;
}

/// Stands for a replica set, so that it can be said to be unreadable; none is ever made.
pub fn cluster(name: &str) -> Address {
    Address::new("mongo_cluster", name)
}

/// One hand at a time on a replica set.
fn unit(cluster: &str) -> String {
    format!("mongo {cluster}")
}

/// The end of an address: `billing`, `group/backend`, `person/ana`, `infra/backup`.
pub fn path(subject: &Subject) -> String {
    match subject {
        Subject::Service(name) | Subject::Shared(name) => name.clone(),
        Subject::Group(name) => format!("group/{name}"),
        Subject::Person(name) => format!("person/{name}"),
        Subject::Infra(name) => format!("infra/{name}"),
    }
}

/// What an address is for. The other way round than [`path`].
pub(super) fn subject(path: &str) -> Subject {
    match path.split_once('/') {
        Some(("group", name)) => Subject::Group(name.into()),
        Some(("person", name)) => Subject::Person(name.into()),
        Some(("infra", name)) => Subject::Infra(name.into()),
        _ => Subject::Service(path.into()),
    }
}

/// The name of a role or a user.
pub fn name(subject: &Subject) -> String {
    match subject {
        Subject::Service(name) | Subject::Shared(name) => names::service(name),
        Subject::Group(name) | Subject::Person(name) => names::developer(name),
        Subject::Infra(name) => format!("infra_{name}"),
    }
}

/// For whom a role or user of this name would be. `person`: whether `dev_<name>` is a person or a group.
fn named(name: &str, person: bool) -> Option<Subject> {
    // Only what may be declared: a name with a `/` would take the address of another.
    let fits = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
    };
    let (kind, rest) = name.split_once('_').filter(|(_, rest)| fits(rest))?;
    match kind {
        "svc" => Some(Subject::Service(rest.into())),
        "dev" if person => Some(Subject::Person(rest.into())),
        "dev" => Some(Subject::Group(rest.into())),
        "infra" if rest == "backup" => Some(Subject::Infra(rest.into())),
        _ => None,
    }
}

/// The address of what nobody would declare. A database has no dot in its name, so the first one ends it; and no address
/// of ours has one before its first `/`.
fn elsewhere(kind: &str, cluster: &str, database: &str, name: &str) -> Address {
    Address::new(kind, &format!("{cluster}/{database}.{name}"))
}

/// A mark, and whether it says that something is ours. One that was made for somebody else was copied by hand: it is none.
fn owned(text: Option<&String>, environment: &str, subject: &Subject) -> (Option<Mark>, bool) {
    let mark: Option<Mark> = text.and_then(|text| text.parse().ok());
    let mark = mark.filter(|mark| mark.environment != environment || mark.subject == *subject);
    let ours = mark.as_ref().is_some_and(|mark| mark.environment == environment);
    (mark, ours)
}

/// What becomes of something declared no more. People and groups lose what they had at once; a service keeps it until it
/// is removed on purpose, as its database does.
fn removal(what: &str, cluster: &str, subject: Option<&Subject>) -> Removal {
    match subject {
        Some(Subject::Service(service) | Subject::Shared(service)) => Removal::Declared(format!(
            "the {what} of service {service} on the replica set {cluster} is no longer declared; it stays until \
             `removed: {{services: {{{service}: {{data: keep}}}}}}` says so (the data stays in either case)"
        )),
        _ => Removal::Delete,
    }
}

/// Users of whom restrictions are to be read.
pub(super) fn concerns(user: &User, naming: Naming<'_>) -> bool {
    user.mark.is_some() || user::subject_of(user, naming).is_some()
}

/// The mark that something at an address carries.
pub(super) fn mark(cluster_and_path: &str, environment: &str, protect: bool) -> Mark {
    let path = cluster_and_path.split_once('/').map_or(cluster_and_path, |(_, path)| path);
    Mark { environment: environment.into(), subject: subject(path), retired: false, protect, note: None }
}

/// Why a replica set could not be read, and how to mend it.
pub(super) fn unreadable(error: &MongoError) -> String {
    match error {
        MongoError::Unauthorized { .. } => {
            format!(
                "{}; to plan, it needs viewUser and viewRole (userAdminAnyDatabase has both)",
                error.brief()
            )
        }
        _ => error.brief(),
    }
}

/// Whether a replica set has users that prove themselves by a certificate, and how these are named.
pub fn certificates(declared: &MongoCluster) -> Option<&str> {
    use crate::model::environment::MongoAuthentication::X509;
    match &declared.authentication {
        Some(X509(x509)) => Some(&x509.subject),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_back() {
        for subject in [
            Subject::Service("billing".into()),
            Subject::Group("backend".into()),
            Subject::Person("ana".into()),
            Subject::Infra("backup".into()),
        ] {
            assert_eq!(super::subject(&path(&subject)), subject);
            let person = matches!(subject, Subject::Person(_));
            assert_eq!(named(&name(&subject), person), Some(subject));
        }
    }

    #[test]
    fn names_that_nobody_declares_have_no_address_of_ours() {
        for name in [
            "svc_",
            "svc_group/backend",
            "svc_a.b",
            "dev_A",
            "svc_1",
            "infra_x",
            "backup",
            "svc",
            "dev_ä",
            "svc_a\nb",
        ] {
            assert_eq!(named(name, true), None, "{name}");
        }
        let address = elsewhere("mongo_user", "events", "group", "backend");
        assert_eq!(address.as_str(), "mongo_user.events/group.backend");
    }
}
