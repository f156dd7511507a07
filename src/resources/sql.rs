//! What all kinds that live in Postgres have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    aurora::{instance::AuroraInstance, logins::PgLogins},
    local_server::LocalServer,
};
use crate::{
    engine::{Action, Found, Resource},
    model::{
        Address,
        mark::{Mark, Subject},
        names::Names,
    },
    providers::postgres::{ADMIN, Acl, Catalog, Oid, Role, Script, ident, literal},
};

/// What differs between servers, and so between the statements for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Major version.
    pub major: u32,
}

impl Dialect {
    /// From 16 on a membership says whether it inherits and whether it lets one become the role.
    pub fn has_membership_options(self) -> bool {
        self.major >= 16
    }
}

/// A kind that is nothing but SQL. Pure: the same statements are shown by a plan and run by apply.
pub(super) trait Sql: Resource {
    /// The cluster it lives in.
    fn cluster(&self) -> &str;
    fn create(&self, dialect: Dialect) -> Script;
    fn alter(&self, old: &Self, dialect: Dialect) -> Script;
    fn drop(&self, dialect: Dialect) -> Script;

    /// A database that must be opened to read what is declared in it.
    fn opens(&self) -> Option<&str> {
        None
    }

    fn script(action: &Action<Self>, dialect: Dialect) -> Script {
        match action {
            Action::Create { new } => new.create(dialect),
            Action::Update { old, new } => new.alter(old, dialect),
            Action::Delete { old } => old.drop(dialect),
            // No kind in here answers `Replace`; if one ever does, it must say how.
            Action::Replace { .. } | Action::Keep | Action::Hold { .. } => Script::default(),
        }
    }
}

/// How a kind is found in what was read. The one place where false differences are cured.
pub(super) trait Project: Sized {
    fn project(catalog: &Catalog, ours: Ours<'_>) -> Vec<(Address, Found<Self>)>;
}

/// By what ours is known: the environment in its mark, and how it is named.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    pub environment: &'a str,
    pub names: &'a Names,
}

/// Addresses of whatever may serve a cluster; those that an environment does not have are no hindrance.
pub(super) fn servers(cluster: &str) -> Vec<Address> {
    vec![
        LocalServer::address(cluster),
        // Without an instance there is nobody to ask.
        AuroraInstance::address(cluster, "1"),
        PgLogins::address(cluster),
    ]
}

/// Privileges by grantee. A privilege that may be passed on ends in `*`, as `psql` shows it.
pub type Grants = BTreeMap<String, BTreeSet<String>>;

/// An ACL without what its owner has by owning.
pub(super) fn grants(catalog: &Catalog, acl: &Acl, owner: Oid) -> Grants {
    let mut grants = Grants::new();
    for (_, grantee, privilege, grantable) in acl {
        if *grantee != owner {
            let star = if *grantable { "*" } else { "" };
            grants.entry(catalog.role(*grantee)).or_default().insert(format!("{privilege}{star}"));
        }
    }
    grants
}

/// Statements that turn the grants on `target` from `old` to `new`, revokes first. `CASCADE`, for what was passed on
/// under a grant option that goes would stay behind otherwise.
pub(super) fn change_grants(target: &str, old: &Grants, new: &Grants) -> Vec<String> {
    let empty = BTreeSet::new();
    let (mut revokes, mut grants) = (Vec::new(), Vec::new());
    for role in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (old.get(role).unwrap_or(&empty), new.get(role).unwrap_or(&empty));
        let who = crate::providers::postgres::grantee(role);
        for gone in old.difference(new) {
            revokes.push(match gone.strip_suffix('*') {
                Some(kept) if new.contains(kept) => {
                    format!("REVOKE GRANT OPTION FOR {kept} ON {target} FROM {who} CASCADE")
                }
                Some(gone) => format!("REVOKE {gone} ON {target} FROM {who} CASCADE"),
                None => format!("REVOKE {gone} ON {target} FROM {who} CASCADE"),
            });
        }
        let has = |privilege: &&String| old.contains(*privilege) || old.contains(&format!("{privilege}*"));
        let missing: Vec<&str> = new.iter().filter(|p| !has(p)).map(String::as_str).collect();
        if !missing.is_empty() {
            grants.push(format!("GRANT {} ON {target} TO {who}", missing.join(", ")));
        }
    }
    revokes.extend(grants);
    revokes
}

/// The mark in a comment, and whether it is of this environment.
pub(super) fn mark(comment: Option<&String>, environment: &str) -> (Option<Mark>, bool) {
    let mark: Option<Mark> = comment.and_then(|text| text.parse().ok());
    let ours = mark.as_ref().is_some_and(|mark| mark.environment == environment);
    (mark, ours)
}

/// The service of each role that was made for one.
pub(super) fn services(catalog: &Catalog, environment: &str) -> BTreeMap<String, String> {
    let service = |role: &Role| match mark(role.comment.as_ref(), environment) {
        (Some(Mark { subject: Subject::Service(service), .. }), true) => Some((role.name.clone(), service)),
        _ => None,
    };
    catalog.shared.roles.iter().filter_map(service).collect()
}

/// Takes over what somebody has written behind a mark.
pub(super) fn keep_note(mark: &mut Option<Mark>, found: Option<&Mark>) {
    if let (Some(mark), Some(found)) = (mark, found) {
        mark.note.clone_from(&found.note);
    }
}

pub(super) fn comment(target: &str, mark: Option<&Mark>) -> String {
    let text = mark.map_or_else(|| "NULL".into(), |mark| literal(&mark.to_string()));
    format!("COMMENT ON {target} IS {text}")
}

/// Ends the sessions that `which` selects, and waits until they have ended. Not those of superusers and of the server
/// itself (vacuum, say), which the admin may not end: asking for one would fail the whole statement.
pub(super) fn terminate(which: &str) -> String {
    format!(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE {which} AND pid <> pg_backend_pid() \
         AND usesysid IN (SELECT oid FROM pg_roles WHERE NOT rolsuper)"
    )
}

/// The list of schemas as settings carry it here: every name quoted, so that both sides read alike.
pub fn search_path<'a>(schemas: impl IntoIterator<Item = &'a str>) -> String {
    schemas.into_iter().map(ident).collect::<Vec<_>>().join(", ")
}

/// `name = value` of a setting. A search path is a list of names, which one string constant could not be; `config`
/// refuses it and its like, so the only one comes from [`search_path`].
pub(super) fn assignment(key: &str, value: &str) -> String {
    if key == "search_path" {
        format!("search_path = {value}")
    } else {
        format!("{} = {}", ident(key), literal(value))
    }
}

/// Settings by name, from `name=value` texts. Names are in small letters, as they are declared: Postgres writes some
/// in its own way (`TimeZone`), and takes them in any. A search path is normalised.
pub(super) fn settings(texts: &[String]) -> BTreeMap<String, String> {
    let pairs = texts.iter().filter_map(|text| text.split_once('='));
    pairs
        .map(|(key, value)| {
            let value = if key == "search_path" { quoted_names(value) } else { value.to_owned() };
            (key.to_lowercase(), value)
        })
        .collect()
}

/// A list of names in which each is quoted, from one in which Postgres quoted only those that need it.
fn quoted_names(list: &str) -> String {
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            ' ' if !quoted => {}
            other => name.push(other),
        }
    }
    names.push(name);
    search_path(names.iter().map(String::as_str))
}

/// Roles that belong to Postgres or to AWS, or that we log in as: none of ours to manage.
pub(super) fn is_system_role(role: &Role) -> bool {
    role.superuser
        || role.name.starts_with("pg_")
        || role.name.starts_with("rds")
        || role.name.starts_with("infra_")
}

/// Roles that the admin can already act as.
pub(super) fn admin_roles(catalog: &Catalog) -> BTreeSet<String> {
    let admin = catalog.shared.roles.iter().find(|role| role.name == ADMIN).map(|role| role.oid);
    let mut roles: BTreeSet<String> = (catalog.shared.members.iter())
        .filter(|m| Some(m.member) == admin && m.inherit != Some(false) && m.set != Some(false))
        .map(|m| catalog.role(m.role))
        .collect();
    roles.insert(ADMIN.into());
    roles
}

/// Statements run with the admin as a member of `role`, which he is for this transaction only: a membership in a
/// login with IAM authentication must never be seen by anybody else (on Aurora it locks the admin out).
pub(super) fn acting_as(
    role: &str,
    already: &BTreeSet<String>,
    dialect: Dialect,
    statements: Vec<String>,
) -> Vec<String> {
    if already.contains(role) {
        return statements;
    }
    let options = if dialect.has_membership_options() { " WITH INHERIT TRUE, SET TRUE" } else { "" };
    let mut all = vec![format!("GRANT {} TO CURRENT_USER{options}", ident(role))];
    all.extend(statements);
    all.push(format!("REVOKE {} FROM CURRENT_USER", ident(role)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(privileges: &[&str]) -> BTreeSet<String> {
        privileges.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn search_paths_read_alike() {
        for list in ["app, public", "\"app\", \"public\"", "app,public"] {
            assert_eq!(quoted_names(list), search_path(["app", "public"]), "{list}");
        }
        assert_eq!(quoted_names("\"a \"\", b\", c"), "\"a \"\", b\", \"c\"");
    }

    #[test]
    fn grants_change_by_what_differs_only() {
        let old = Grants::from([
            ("public".into(), set(&["CONNECT", "TEMPORARY"])),
            ("rw".into(), set(&["CONNECT*"])),
            ("ro".into(), set(&["CONNECT"])),
        ]);
        let new =
            Grants::from([("rw".into(), set(&["CONNECT", "TEMPORARY"])), ("ro".into(), set(&["CONNECT"]))]);
        assert_eq!(
            change_grants("DATABASE \"d\"", &old, &new),
            [
                "REVOKE CONNECT ON DATABASE \"d\" FROM PUBLIC CASCADE",
                "REVOKE TEMPORARY ON DATABASE \"d\" FROM PUBLIC CASCADE",
                "REVOKE GRANT OPTION FOR CONNECT ON DATABASE \"d\" FROM \"rw\" CASCADE",
                "GRANT TEMPORARY ON DATABASE \"d\" TO \"rw\"",
            ]
        );
        assert!(change_grants("DATABASE \"d\"", &new, &new).is_empty());
    }
}
