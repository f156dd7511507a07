//! A role: a service's owner, reader or writer group, its logins, a group of people, or a person.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    facts::Facts,
    sql::{
        Dialect, Project, Sql, acting_as, admin_roles, assignment, comment, is_system_role, mark, servers,
        settings, terminate,
    },
};
use crate::{
    engine::{Found, Outputs, Removal, Resource, Verdict},
    model::{
        Address,
        mark::{Mark, Subject},
        names::{IAM, Roles},
    },
    providers::postgres::{ADMIN, Catalog, MAINTENANCE, Member, Oid, Place, Role, Script, ident, literal},
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

/// What a membership lets the member do. Shown as `inherit`, `set`, `admin`, joined by `+`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Has the role's privileges at all times.
    pub inherit: bool,
    /// May become the role.
    pub set: bool,
    /// May give the membership to others.
    pub admin: bool,
}

impl Membership {
    pub const INHERIT: Self = Self { inherit: true, set: false, admin: false };
    pub const SET: Self = Self { inherit: false, set: true, admin: false };
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

    fn verdict(&self, _before: &Self) -> Verdict {
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        match self.mark.as_ref().map(|mark| &mark.subject) {
            Some(Subject::Service(service)) => Removal::Declared(undeclared(service)),
            Some(Subject::Shared(database)) => Removal::Declared(format!(
                "database {database} is shared, and no service declares it any more"
            )),
            Some(Subject::Group(_) | Subject::Person(_)) | None => Removal::Delete,
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

impl Project for PgRole {
    fn project(catalog: &Catalog, environment: &str) -> Vec<(Address, Found<Self>)> {
        let shared = &catalog.shared;
        let ours: BTreeSet<Oid> = (shared.roles.iter())
            .filter(|role| mark(role.comment.as_ref(), environment).1)
            .map(|role| role.oid)
            .collect();
        let mut of_member: BTreeMap<Oid, Vec<&Member>> = BTreeMap::new();
        let mut of_role: BTreeMap<Oid, Vec<&Member>> = BTreeMap::new();
        for member in &shared.members {
            of_member.entry(member.member).or_default().push(member);
            of_role.entry(member.role).or_default().push(member);
        }
        let traces = traces(catalog, environment);
        let everywhere: BTreeMap<Oid, &[String]> = catalog.settings(0).collect();
        let admin_roles = admin_roles(catalog);
        let subjects: BTreeMap<String, Subject> = (shared.databases.iter())
            .filter_map(|entry| {
                Some((entry.name.clone(), mark(entry.comment.as_ref(), environment).0?.subject))
            })
            .collect();
        let superusers: BTreeSet<String> =
            shared.roles.iter().filter(|role| role.superuser).map(|role| role.name.clone()).collect();
        let managed = shared.roles.iter().filter(|role| !is_system_role(role));
        let found = managed.map(|role| {
            let (mark, owned) = mark(role.comment.as_ref(), environment);
            let protected = mark.as_ref().is_some_and(|mark| mark.protect);
            let mine = of_member.get(&role.oid).map_or(&[][..], Vec::as_slice);
            let theirs = of_role.get(&role.oid).map_or(&[][..], Vec::as_slice);
            let mut resource = Self {
                cluster: catalog.cluster.clone(),
                name: role.name.clone(),
                login: role.login,
                connection_limit: role.limit,
                member_of: BTreeMap::new(),
                admin_is_member: false,
                other_members: BTreeSet::new(),
                attributes: attributes(role),
                valid_until: role.valid_until.clone(),
                settings: everywhere.get(&role.oid).map(|texts| settings(texts)).unwrap_or_default(),
                mark,
                facts: Facts::default(),
            };
            let facts = &mut resource.facts.0;
            for row in mine {
                let name = catalog.role(row.role);
                let membership = resource.member_of.entry(name.clone()).or_default();
                let of_row = if name == IAM { by_itself(row) } else { options(row, role) };
                membership.inherit |= of_row.inherit;
                membership.set |= of_row.set;
                membership.admin |= of_row.admin;
                let by = catalog.role(row.grantor);
                facts.grantors.entry((name, role.name.clone())).or_default().insert(by);
            }
            for row in theirs {
                let name = catalog.role(row.member);
                // What 16 and later give to the creator of a role, and nobody can take away: ADMIN alone.
                let administers_only = row.inherit == Some(false) && row.set == Some(false);
                if name == ADMIN && !administers_only {
                    resource.admin_is_member = true;
                } else if name != ADMIN && !ours.contains(&row.member) {
                    resource.other_members.insert(name.clone());
                } else {
                    continue;
                }
                let by = catalog.role(row.grantor);
                facts.grantors.entry((role.name.clone(), name)).or_default().insert(by);
            }
            facts.admin_roles.clone_from(&admin_roles);
            facts.superusers.clone_from(&superusers);
            facts.traces = traces.get(&role.oid).cloned().unwrap_or_default();
            // Its service's own database goes before the role does, and its traces there with it.
            if let Some(mark) = &resource.mark {
                facts.traces.retain(|database, _| subjects.get(database) != Some(&mark.subject));
            }
            let address = Self::address(&catalog.cluster, &role.name);
            (address, Found { resource, outputs: Outputs::new(), owned, protected })
        });
        found.collect()
    }
}

/// What a membership row lets the member do. Before 16 the member's own attribute decides, and everybody may become
/// what he is a member of: there a plain membership stands for "inherits", and one of a NOINHERIT role for "may become".
fn options(row: &Member, member: &Role) -> Membership {
    Membership {
        inherit: row.inherit.unwrap_or(member.inherit),
        set: row.set.unwrap_or(!member.inherit),
        admin: row.admin,
    }
}

/// Membership in `rds_iam` works by being there: nobody needs what it could inherit. So before 16 it is as declared.
fn by_itself(row: &Member) -> Membership {
    Membership { inherit: row.inherit.unwrap_or(true), set: row.set.unwrap_or(false), admin: row.admin }
}

fn attributes(role: &Role) -> BTreeSet<String> {
    [
        ("CREATEDB", role.createdb),
        ("CREATEROLE", role.createrole),
        ("REPLICATION", role.replication),
        ("BYPASSRLS", role.bypassrls),
    ]
    .into_iter()
    .filter(|(_, has)| *has)
    .map(|(name, _)| name.to_owned())
    .collect()
}

type Traces = BTreeMap<String, Trace>;

fn traces(catalog: &Catalog, environment: &str) -> BTreeMap<Oid, Traces> {
    let admin_roles = admin_roles(catalog);
    let databases: BTreeMap<Oid, _> =
        catalog.shared.databases.iter().map(|entry| (entry.oid, entry)).collect();
    let maintenance = catalog.shared.databases.iter().find(|entry| entry.name == MAINTENANCE);
    let mut traces: BTreeMap<Oid, Traces> = BTreeMap::new();
    for (database, role, _, _) in &catalog.shared.dependencies {
        // What lies in no database, such as a membership that it has given, can be cleared from any.
        let Some(entry) = databases.get(database).copied().or(maintenance) else { continue };
        let (mark, ours) = mark(entry.comment.as_ref(), environment);
        let owner = match mark.filter(|_| ours).map(|mark| mark.subject) {
            Some(Subject::Service(name) | Subject::Shared(name)) => Roles::of(&name).owner,
            _ => catalog.role(entry.owner),
        };
        let heir = Some(owner).filter(|owner| admin_roles.contains(owner) && *owner != catalog.role(*role));
        let trace = Trace { heir, closed: ours && !entry.connectable };
        traces.entry(*role).or_default().insert(entry.name.clone(), trace);
    }
    traces
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [("inherit", self.inherit), ("set", self.set), ("admin", self.admin)];
        let words: Vec<&str> = words.into_iter().filter(|(_, has)| *has).map(|(word, _)| word).collect();
        f.write_str(if words.is_empty() { "none".into() } else { words.join("+") }.as_str())
    }
}

impl FromStr for Membership {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut membership = Self::default();
        for word in text.split('+') {
            match word {
                "inherit" => membership.inherit = true,
                "set" => membership.set = true,
                "admin" => membership.admin = true,
                "none" => {}
                other => return Err(format!("`{other}` is no option of a membership")),
            }
        }
        Ok(membership)
    }
}

impl Serialize for Membership {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Membership {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
