//! A role: a service's owner, reader or writer group, its logins, a group of people, or a person.

mod membership;
mod read;

use std::collections::{BTreeMap, BTreeSet};

pub use membership::Membership;
use serde::{Deserialize, Serialize};

use super::{
    facts::Facts,
    sql::{Dialect, Sql, acting_as, assignment, comment, keep_note, servers, terminate},
};
use crate::{
    engine::{Removal, Resource, Verdict},
    model::{
        Address,
        mark::{Mark, Subject},
        names::IAM,
    },
    providers::postgres::{ADMIN, Place, Script, ident, literal},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PgRole {
    pub cluster: String,
    pub name: String,
    pub login: bool,
    /// -1: none.
    pub connection_limit: i32,
    /// Roles it is a member of, and what that lets it do.
    pub member_of: BTreeMap<String, Membership>,
    /// The admin may act as it; so for owners only.
    pub admin_is_member: bool,
    /// Members that are not ours. Declared as none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub other_members: BTreeSet<String>,
    /// Attributes such as `CREATEDB`. Declared as none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub attributes: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// Settings of its sessions in every database.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    pub mark: Option<Mark>,
    #[serde(skip)]
    pub facts: Facts<RoleFacts>,
}

/// Where a role leaves traces, and who made its memberships.
#[derive(Clone, Debug, Default)]
pub struct RoleFacts {
    /// Databases in which it owns objects or holds grants.
    pub traces: BTreeMap<String, Trace>,
    /// Grantors, by role and member.
    pub grantors: BTreeMap<(String, String), BTreeSet<String>>,
    pub admin_roles: BTreeSet<String>,
    pub superusers: BTreeSet<String>,
}

/// What is to be done in one database before a role can go.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Who gets what it owns; none: the admin.
    pub heir: Option<String>,
    /// It takes no connections, for it is retired.
    pub closed: bool,
}

impl PgRole {
    pub fn address(cluster: &str, name: &str) -> Address {
        Address::new("pg_role", &format!("{cluster}/{name}"))
    }

    /// A role with nothing but its mark.
    pub fn new(cluster: &str, name: &str, mark: Mark) -> Self {
        Self {
            cluster: cluster.into(),
            name: name.into(),
            login: false,
            connection_limit: -1,
            member_of: BTreeMap::new(),
            admin_is_member: false,
            other_members: BTreeSet::new(),
            attributes: BTreeSet::new(),
            valid_until: None,
            settings: BTreeMap::new(),
            mark: Some(mark),
            facts: Facts::default(),
        }
    }

    fn revoke(&self, role: &str, member: &str, dialect: Dialect) -> Vec<String> {
        let who = if member == ADMIN { "CURRENT_USER".into() } else { ident(member) };
        let revoke = format!("REVOKE {} FROM {who}", ident(role));
        let grantors = self.facts.grantors.get(&(role.into(), member.into()));
        let Some(grantors) = grantors.filter(|_| dialect.has_membership_options()) else {
            return vec![revoke];
        };
        let by = |by: &String| {
            // Without the grantor, 16 and later warn and do nothing if it was somebody else; in whose name only those
            // may revoke who can act as him. What was passed on under it goes too.
            let statement = format!("{revoke} GRANTED BY {} CASCADE", ident(by));
            // In a superuser's name only a superuser can; the server's refusal says so.
            if self.facts.admin_roles.contains(by) || self.facts.superusers.contains(by) {
                return statement;
            }
            // He may go in this very plan, and what he has given then goes with him.
            let statements = acting_as(by, &self.facts.admin_roles, dialect, vec![statement]).join("; ");
            let exists = format!("EXISTS (SELECT FROM pg_roles WHERE rolname = {})", literal(by));
            format!("DO {}", literal(&format!("BEGIN IF {exists} THEN {statements}; END IF; END")))
        };
        grantors.iter().map(by).collect()
    }

    fn terminate(&self) -> String {
        terminate(&format!("usename = {}", literal(&self.name)))
    }

    /// Ends the sessions of all who were members, directly or not: one that has done `SET ROLE` keeps what it became.
    fn terminate_members(&self) -> String {
        terminate(&format!(
            "usename <> current_user AND usesysid IN (WITH RECURSIVE member(oid) AS \
             (SELECT oid FROM pg_roles WHERE rolname = {} UNION \
             SELECT m.member FROM pg_auth_members m JOIN member ON m.roleid = member.oid) SELECT oid FROM member)",
            literal(&self.name)
        ))
    }
}

fn grant(role: &str, member: &str, membership: Membership, dialect: Dialect) -> String {
    let who = if member == ADMIN { "CURRENT_USER".into() } else { ident(member) };
    let word = |value: bool| if value { "TRUE" } else { "FALSE" };
    let Membership { inherit, set, admin } = membership;
    let mut options = Vec::new();
    if admin {
        options.push(if dialect.has_membership_options() {
            "ADMIN TRUE".into()
        } else {
            "ADMIN OPTION".to_owned()
        });
    }
    if dialect.has_membership_options() {
        options.push(format!("INHERIT {}", word(inherit)));
        options.push(format!("SET {}", word(set)));
    }
    let with = if options.is_empty() { String::new() } else { format!(" WITH {}", options.join(", ")) };
    format!("GRANT {} TO {who}{with}", ident(role))
}

impl Resource for PgRole {
    fn depends_on(&self) -> Vec<Address> {
        let roles = self.member_of.keys().map(|role| Self::address(&self.cluster, role));
        servers(&self.cluster).into_iter().chain(roles).collect()
    }

    fn adopt(&mut self, found: &Self) {
        keep_note(&mut self.mark, found.mark.as_ref());
    }

    fn verdict(&self, _before: &Self) -> Verdict {
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        match self.mark.as_ref().map(|mark| &mark.subject) {
            Some(Subject::Service(service)) => Removal::Declared(undeclared(service)),
            Some(Subject::Shared(database)) => Removal::Declared(format!(
                "database {database} is shared, and no service declares it any more"
            )),
            Some(Subject::Group(_) | Subject::Person(_) | Subject::Infra(_)) | None => Removal::Delete,
        }
    }

    fn environment(&self) -> Option<&str> {
        self.mark.as_ref().map(|mark| mark.environment.as_str())
    }

    fn unit(&self) -> Option<String> {
        Some(format!("shared catalogs of {}", self.cluster))
    }
}

/// Why a service that left the YAML is held, and what to write.
pub(super) fn undeclared(service: &str) -> String {
    format!(
        "service {service} is no longer declared, but its data is there; write `removed: {{services: {{{service}: \
         {{data: keep}}}}}}` (or `drop`), or declare it again"
    )
}

impl Sql for PgRole {
    fn cluster(&self) -> &str {
        &self.cluster
    }

    fn create(&self, dialect: Dialect) -> Script {
        let name = ident(&self.name);
        let login = if self.login { "LOGIN" } else { "NOLOGIN" };
        // Before 16 inheritance is the member's affair, for all its memberships alike.
        let powerless = !dialect.has_membership_options() && self.member_of.values().any(|m| !m.inherit);
        let inherit = if powerless { " NOINHERIT" } else { "" };
        let mut statements = vec![
            format!("CREATE ROLE {name} {login}{inherit} CONNECTION LIMIT {}", self.connection_limit),
            comment(&format!("ROLE {name}"), self.mark.as_ref()),
        ];
        if self.admin_is_member {
            statements.push(grant(
                &self.name,
                ADMIN,
                Membership { set: true, ..Membership::INHERIT },
                dialect,
            ));
        }
        for (role, membership) in &self.member_of {
            statements.push(grant(role, &self.name, *membership, dialect));
        }
        statements.extend(self.settings.iter().map(|(key, value)| set(&name, key, value)));
        Script::transaction(Place::Maintenance, statements)
    }

    fn alter(&self, old: &Self, dialect: Dialect) -> Script {
        let name = ident(&self.name);
        let Self {
            cluster: _,
            name: _,
            login,
            connection_limit,
            member_of,
            admin_is_member,
            other_members,
            attributes,
            valid_until,
            settings,
            mark,
            facts: _,
        } = self;
        let mut statements = Vec::new();
        // Only what changes: naming an attribute one may not set is refused even where it would change nothing.
        let mut options = Vec::new();
        if *login != old.login {
            options.push(if *login { "LOGIN" } else { "NOLOGIN" }.to_owned());
        }
        if *connection_limit != old.connection_limit {
            options.push(format!("CONNECTION LIMIT {connection_limit}"));
        }
        options.extend(old.attributes.difference(attributes).map(|attribute| format!("NO{attribute}")));
        if *valid_until != old.valid_until {
            options.push(format!("VALID UNTIL {}", literal(valid_until.as_deref().unwrap_or("infinity"))));
        }
        let powerless = |role: &Self| role.member_of.values().any(|m| !m.inherit);
        if !dialect.has_membership_options() && powerless(self) != powerless(old) {
            options.push(if powerless(self) { "NOINHERIT" } else { "INHERIT" }.into());
        }
        if !options.is_empty() {
            statements.push(format!("ALTER ROLE {name} {}", options.join(" ")));
        }
        let mut lost = false;
        for (role, membership) in &old.member_of {
            if member_of.get(role) != Some(membership) {
                statements.extend(old.revoke(role, &self.name, dialect));
                // Before 16 every member could become the role; from 16 on only those who were allowed to.
                lost |= role != IAM && (membership.set || !dialect.has_membership_options());
            }
        }
        for (role, membership) in member_of {
            if old.member_of.get(role) != Some(membership) {
                statements.push(grant(role, &self.name, *membership, dialect));
            }
        }
        for member in old.other_members.difference(other_members) {
            statements.extend(old.revoke(&self.name, member, dialect));
        }
        if *admin_is_member != old.admin_is_member {
            if *admin_is_member {
                statements.push(grant(
                    &self.name,
                    ADMIN,
                    Membership { set: true, ..Membership::INHERIT },
                    dialect,
                ));
            } else {
                statements.extend(old.revoke(&self.name, ADMIN, dialect));
            }
        }
        for (key, value) in settings {
            if old.settings.get(key) != Some(value) {
                statements.push(set(&name, key, value));
            }
        }
        for key in old.settings.keys().filter(|key| !settings.contains_key(*key)) {
            statements.push(format!("ALTER ROLE {name} RESET {}", ident(key)));
        }
        if *mark != old.mark {
            statements.push(comment(&format!("ROLE {name}"), mark.as_ref()));
        }
        let script = Script::transaction(Place::Maintenance, statements);
        if old.login && !login {
            // A token that has expired ends no session.
            script.then_alone(Place::Maintenance, self.terminate())
        } else if lost {
            script.then_alone(Place::Maintenance, self.terminate_members())
        } else {
            script
        }
    }

    fn drop(&self, dialect: Dialect) -> Script {
        let name = ident(&self.name);
        let mut script = Script::default();
        if self.login {
            // The door first, then who is inside. Leaving rds_iam before the admin acts as the role, too: on Aurora
            // that membership would lock him out.
            let mut shut = vec![format!("ALTER ROLE {name} NOLOGIN")];
            shut.extend(self.member_of.keys().flat_map(|role| self.revoke(role, &self.name, dialect)));
            script = script.then(Place::Maintenance, shut).then_alone(Place::Maintenance, self.terminate());
        }
        for (database, Trace { heir, closed }) in &self.facts.traces {
            let open = |open: bool| format!("ALTER DATABASE {} ALLOW_CONNECTIONS {open}", ident(database));
            let heir = heir.as_deref().map_or_else(|| "CURRENT_USER".into(), ident);
            // DROP OWNED takes what it has been granted, but would also drop what it owns: so that is handed on first,
            // also where nothing was seen when we read.
            let statements =
                vec![format!("REASSIGN OWNED BY {name} TO {heir}"), format!("DROP OWNED BY {name} RESTRICT")];
            let statements = acting_as(&self.name, &self.facts.admin_roles, dialect, statements);
            if *closed {
                script = script.then(Place::Maintenance, vec![open(true)]);
            }
            script = script.then(Place::Database(database.clone()), statements);
            if *closed {
                script = script.then(Place::Maintenance, vec![open(false)]);
            }
        }
        script.then(Place::Maintenance, vec![format!("DROP ROLE {name}")])
    }
}

fn set(name: &str, key: &str, value: &str) -> String {
    format!("ALTER ROLE {name} SET {}", assignment(key, value))
}
