//! Users and roles of a replica set, as plain data, and how they stand in the answers of a server.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document, doc};
use serde::{Deserialize, Serialize};

/// Where our roles live, and our users with a password.
pub const ADMIN: &str = "admin";
/// Where users live who prove themselves by a certificate.
pub const EXTERNAL: &str = "$external";

/// The key of our mark in a user's `customData`.
pub(super) const MARK: &str = "infra";
/// The key of the version of the secret that a user's password is from.
pub(super) const SECRET_VERSION: &str = "infra_secret_version";

/// A role knows no `customData` (MongoDB 6.0 refuses the field), and the mark must be on the object and written in the call
/// that makes it. So it is the name of a collection in a privilege. Nobody can make a collection whose name begins with
/// `system.`, so that the privilege is for nothing at all.
const MARK_DATABASE: &str = "infra";
const MARK_PREFIX: &str = "system.";
const MARK_ACTION: &str = "collStats";

/// The whole deployment, as privileges name it here.
pub const CLUSTER: &str = "cluster";

/// A role in a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    pub role: String,
    pub database: String,
}

impl Grant {
    pub fn new(role: &str, database: &str) -> Self {
        Self { role: role.into(), database: database.into() }
    }

    pub(super) fn document(&self) -> Document {
        doc! { "role": &self.role, "db": &self.database }
    }
}

/// Actions by resource: [`CLUSTER`], or what MongoDB has for it, as JSON.
pub type Privileges = BTreeMap<String, BTreeSet<String>>;

/// Everything of a replica set that concerns us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The name of the replica set in the YAML.
    pub cluster: String,
    pub users: Vec<User>,
    /// Those of the database `admin`, without MongoDB's own.
    pub roles: Vec<Role>,
    /// Who we are logged in as: name and database. `None`: nobody.
    pub ourselves: Option<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub database: String,
    pub roles: BTreeSet<Grant>,
    pub mechanisms: BTreeSet<String>,
    /// From where he may come, as JSON. Empty where it was not asked.
    pub restrictions: BTreeSet<String>,
    pub mark: Option<String>,
    pub secret_version: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub roles: BTreeSet<Grant>,
    /// Without the mark.
    pub privileges: Privileges,
    pub restrictions: BTreeSet<String>,
    pub mark: Option<String>,
}

fn json(value: &Bson) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn documents<'a>(document: &'a Document, key: &str) -> impl Iterator<Item = &'a Document> {
    document.get_array(key).into_iter().flatten().filter_map(Bson::as_document)
}

fn text(document: &Document, key: &str) -> Option<String> {
    document.get_str(key).ok().map(str::to_owned)
}

fn texts(document: &Document, key: &str) -> BTreeSet<String> {
    let texts = document.get_array(key).into_iter().flatten().filter_map(Bson::as_str);
    texts.map(str::to_owned).collect()
}

fn grants(document: &Document) -> BTreeSet<Grant> {
    let grants = documents(document, "roles");
    grants
        .filter_map(|grant| Some(Grant { role: text(grant, "role")?, database: text(grant, "db")? }))
        .collect()
}

/// A list of nothing restricts nothing.
fn restrictions(document: &Document) -> BTreeSet<String> {
    let all = document.get_array("authenticationRestrictions").into_iter().flatten();
    all.filter(|one| one.as_array().is_none_or(|inner| !inner.is_empty())).map(json).collect()
}

impl User {
    /// `None` if it is none.
    pub(super) fn of(document: &Document) -> Option<Self> {
        // What else is in there is somebody's own, and is not carried any further.
        let custom = document.get_document("customData").ok();
        Some(Self {
            name: text(document, "user")?,
            database: text(document, "db")?,
            roles: grants(document),
            mechanisms: texts(document, "mechanisms"),
            restrictions: restrictions(document),
            mark: custom.and_then(|custom| text(custom, MARK)),
            secret_version: custom.and_then(|custom| text(custom, SECRET_VERSION)),
        })
    }
}

impl Role {
    pub(super) fn of(document: &Document) -> Option<Self> {
        let (mut privileges, mut mark) = (Privileges::new(), None);
        for privilege in documents(document, "privileges") {
            let resource = privilege.get_document("resource").ok();
            let actions = texts(privilege, "actions");
            match resource.and_then(|resource| marked(resource, &actions)) {
                Some(text) if mark.is_none() => mark = Some(text),
                _ => privileges.entry(resource.map_or_else(String::new, named)).or_default().extend(actions),
            }
        }
        let (name, roles) = (text(document, "role")?, grants(document));
        Some(Self { name, roles, privileges, restrictions: restrictions(document), mark })
    }
}

fn named(resource: &Document) -> String {
    if resource.get_bool(CLUSTER).is_ok_and(|cluster| cluster) {
        CLUSTER.into()
    } else {
        json(&Bson::Document(resource.clone()))
    }
}

fn marked(resource: &Document, actions: &BTreeSet<String>) -> Option<String> {
    let ours = resource.get_str("db").is_ok_and(|database| database == MARK_DATABASE)
        && actions.iter().eq([MARK_ACTION]);
    let mark = resource.get_str("collection").ok()?.strip_prefix(MARK_PREFIX)?;
    ours.then(|| mark.to_owned())
}

/// The privileges of a role as MongoDB takes them. Of resources only the whole deployment: that is all we declare.
pub(super) fn privileges(privileges: &Privileges, mark: &str) -> Vec<Document> {
    let of_cluster = privileges.iter().filter(|(resource, _)| *resource == CLUSTER);
    let of_cluster = of_cluster.map(|(_, actions)| {
        doc! { "resource": { CLUSTER: true }, "actions": actions.iter().map(String::as_str).collect::<Vec<_>>() }
    });
    let collection = format!("{MARK_PREFIX}{mark}");
    let mark =
        doc! { "resource": { "db": MARK_DATABASE, "collection": collection }, "actions": [MARK_ACTION] };
    of_cluster.chain([mark]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_reads_back_as_it_was_written() {
        let wanted = Privileges::from([(CLUSTER.into(), BTreeSet::from(["fsync".into(), "unlock".into()]))]);
        let mark = "infra:managed;env=prod;infra=backup";
        let written = privileges(&wanted, mark);
        let role =
            Role::of(&doc! { "role": "infra_backup", "db": "admin", "roles": [], "privileges": written })
                .unwrap();
        assert_eq!((role.privileges, role.mark.as_deref()), (wanted, Some(mark)));
    }

    /// What only looks like the mark, or is there beside it, is a privilege like any other.
    #[test]
    fn more_than_a_mark_is_a_privilege() {
        let privilege = |collection: &str, actions: &[&str]| {
            doc! { "resource": { "db": "infra", "collection": collection }, "actions": actions.to_vec() }
        };
        let role = |all: Vec<Document>| {
            Role::of(&doc! { "role": "r", "db": "admin", "roles": [], "privileges": all })
        };
        for all in [
            vec![privilege("system.m", &["collStats", "find"])],
            vec![privilege("m", &["collStats"])],
            vec![doc! { "resource": { "db": "", "collection": "" }, "actions": ["collStats"] }],
        ] {
            let role = role(all).unwrap();
            assert_eq!((role.mark, role.privileges.len()), (None, 1));
        }
        let two =
            role(vec![privilege("system.a", &["collStats"]), privilege("system.b", &["collStats"])]).unwrap();
        assert_eq!((two.mark.as_deref(), two.privileges.len()), (Some("a"), 1));
    }

    #[test]
    fn of_a_user_only_our_own_data_is_kept() {
        let user = User::of(&doc! {
            "user": "svc_billing", "db": "admin", "roles": [{ "role": "svc_billing", "db": "admin" }],
            "mechanisms": ["SCRAM-SHA-256"], "authenticationRestrictions": [[{ "clientSource": ["10.0.0.0/8"] }], []],
            "customData": { "infra": "mark", "infra_secret_version": "v1", "note": "canary" },
        })
        .unwrap();
        assert_eq!((user.mark.as_deref(), user.secret_version.as_deref()), (Some("mark"), Some("v1")));
        assert_eq!(user.restrictions.len(), 1);
        assert!(!format!("{user:?}").contains("canary"));
    }
}
