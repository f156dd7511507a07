//! A database: a service's own, or the one that services share. Bears data: never replaced, never dropped unasked.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    facts::Facts,
    pg_role::{PgRole, undeclared},
    sql::{
        Dialect, Grants, Ours, Project, Sql, acting_as, admin_roles, assignment, change_grants, comment,
        grants, keep_note, mark, servers, services, settings, terminate,
    },
};
use crate::{
    engine::{Found, Outputs, Removal, Resource, Verdict},
    model::{
        Address,
        mark::{Mark, Subject},
        names::Names,
    },
    providers::postgres::{Catalog, DatabaseEntry, MAINTENANCE, PUBLIC, Place, Script, ident, literal},
};

/// Separates a retired database's or schema's name from the day it was retired.
pub const RETIRED: &str = "__retired_";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PgDatabase {
    pub cluster: String,
    pub name: String,
    pub owner: String,
    pub state: State,
    /// -1: none.
    pub connection_limit: i32,
    /// Takes connections. A database is made without, until nobody but its own roles can use it.
    pub connectable: bool,
    /// Without what the owner has by owning.
    pub grants: Grants,
    pub settings: BTreeMap<String, String>,
    /// Settings of our roles in this database.
    pub role_settings: BTreeMap<String, BTreeMap<String, String>>,
    pub mark: Option<Mark>,
    #[serde(skip)]
    pub facts: Facts<DatabaseFacts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Active,
    /// Marked as retired, but not renamed yet: a run was killed in between.
    Closing,
    /// Closed and renamed, its data kept.
    Retired,
}

#[derive(Clone, Debug, Default)]
pub struct DatabaseFacts {
    /// Its name on the server, which differs when it is retired.
    pub name: String,
    pub admin_roles: BTreeSet<String>,
    /// Of a retired one: the roles of its service.
    pub roles: BTreeSet<String>,
    /// Of a retired one: what it is to come back from. Nobody can use it while it is closed, so it is no difference.
    pub kept: Kept,
}

#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub connection_limit: i32,
    pub grants: Grants,
    pub settings: BTreeMap<String, String>,
    pub role_settings: BTreeMap<String, BTreeMap<String, String>>,
}

impl PgDatabase {
    pub fn address(cluster: &str, name: &str) -> Address {
        Address::new("pg_database", &format!("{cluster}/{name}"))
    }

    /// A database that takes connections, with nothing but its mark.
    pub fn new(cluster: &str, name: &str, owner: &str, mark: Mark) -> Self {
        Self {
            cluster: cluster.into(),
            name: name.into(),
            owner: owner.into(),
            state: State::Active,
            connection_limit: -1,
            connectable: true,
            grants: Grants::new(),
            settings: BTreeMap::new(),
            role_settings: BTreeMap::new(),
            mark: Some(mark),
            facts: Facts::default(),
        }
    }

    /// What `CREATE DATABASE` leaves behind: no mark, no connections, and the rights that Postgres gives to everybody.
    fn fresh(&self) -> Self {
        let everybody = ["CONNECT", "TEMPORARY"].map(str::to_owned).into();
        Self {
            connectable: false,
            grants: [(PUBLIC.to_owned(), everybody)].into(),
            settings: BTreeMap::new(),
            role_settings: BTreeMap::new(),
            mark: None,
            facts: Facts(DatabaseFacts { name: self.name.clone(), ..DatabaseFacts::default() }),
            ..self.clone()
        }
    }

    /// A retired database with the rights and settings that it has all the same.
    fn reopened(&self) -> Self {
        let mut database = self.clone();
        if self.state == State::Retired {
            let Kept { connection_limit, grants, settings, role_settings } = self.facts.kept.clone();
            database = Self { connection_limit, grants, settings, role_settings, ..database };
        }
        database
    }

    fn retire(&self, old: &Self, dialect: Dialect) -> Script {
        let actual = &old.facts.name;
        let name = ident(actual);
        let mut close = self.change_owner(old, &name, dialect);
        close.push(comment(&format!("DATABASE {name}"), self.mark.as_ref()));
        close.push(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
        let closed = Script::transaction(Place::Maintenance, close)
            .then_alone(Place::Maintenance, terminate(&format!("datname = {}", literal(actual))));
        if old.state == State::Retired {
            return closed;
        }
        closed.then(Place::Maintenance, vec![rename_retired("DATABASE", actual, &self.name)])
    }

    fn change_owner(&self, old: &Self, name: &str, dialect: Dialect) -> Vec<String> {
        if self.owner == old.owner {
            return Vec::new();
        }
        let take = vec![format!("ALTER DATABASE {name} OWNER TO {}", ident(&self.owner))];
        acting_as(&old.owner, &old.facts.admin_roles, dialect, take)
    }
}

/// Renames with the day's date, which only the server can say: a plan has no clock.
pub(super) fn rename_retired(kind: &str, actual: &str, name: &str) -> String {
    let format = format!("ALTER {kind} %I RENAME TO %I");
    format!(
        "DO $do$ BEGIN EXECUTE format({}, {}, {} || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')); END $do$",
        literal(&format),
        literal(actual),
        literal(&format!("{name}{RETIRED}"))
    )
}

impl Resource for PgDatabase {
    fn depends_on(&self) -> Vec<Address> {
        let roles = std::iter::once(&self.owner).chain(self.grants.keys()).chain(self.role_settings.keys());
        let roles = roles.map(|role| PgRole::address(&self.cluster, role));
        let mut parents: Vec<Address> = servers(&self.cluster).into_iter().chain(roles).collect();
        // Closed as it is, a retired one still has the grants of its service's roles.
        parents.extend(self.facts.roles.iter().map(|role| PgRole::address(&self.cluster, role)));
        parents
    }

    fn adopt(&mut self, found: &Self) {
        keep_note(&mut self.mark, found.mark.as_ref());
    }

    fn verdict(&self, before: &Self) -> Verdict {
        // Postgres' own sign in pg_database.datconnlimit.
        if before.connection_limit == -2 {
            return Verdict::Refuse(
                "a DROP DATABASE was interrupted; nothing but dropping it is left".into(),
            );
        }
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        match self.mark.as_ref().map(|mark| &mark.subject) {
            Some(Subject::Service(service)) => Removal::Declared(undeclared(service)),
            _ => Removal::Declared(format!(
                "database {} is no longer declared, but data may be in it",
                self.name
            )),
        }
    }

    fn environment(&self) -> Option<&str> {
        self.mark.as_ref().map(|mark| mark.environment.as_str())
    }

    fn unit(&self) -> Option<String> {
        Some(unit(&self.cluster, &self.name))
    }
}

/// A database and all that is in it: one hand at a time.
pub(super) fn unit(cluster: &str, database: &str) -> String {
    format!("database {database} of {cluster}")
}

impl Sql for PgDatabase {
    fn cluster(&self) -> &str {
        &self.cluster
    }

    fn create(&self, dialect: Dialect) -> Script {
        let create = format!(
            "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' CONNECTION LIMIT {} ALLOW_CONNECTIONS false",
            ident(&self.name),
            ident(&self.owner),
            self.connection_limit
        );
        let mut script = Script::default().then_alone(Place::Maintenance, create);
        script.0.extend(self.alter(&self.fresh(), dialect).0);
        script
    }

    fn alter(&self, old: &Self, dialect: Dialect) -> Script {
        if self.state == State::Retired {
            return self.retire(old, dialect);
        }
        let old = &old.reopened();
        let Self {
            cluster: _,
            name,
            owner: _,
            state: _,
            connection_limit,
            connectable,
            grants,
            settings,
            role_settings,
            mark,
            facts: _,
        } = self;
        let mut statements = Vec::new();
        if old.facts.name != *name {
            statements.push(format!("ALTER DATABASE {} RENAME TO {}", ident(&old.facts.name), ident(name)));
        }
        let quoted = ident(name);
        let target = format!("DATABASE {quoted}");
        statements.extend(self.change_owner(old, &quoted, dialect));
        if *mark != old.mark {
            statements.push(comment(&target, mark.as_ref()));
        }
        if *connection_limit != old.connection_limit {
            statements.push(format!("ALTER {target} CONNECTION LIMIT {connection_limit}"));
        }
        let nobody = Grants::new();
        // As long as nobody has been let in, it can be opened without letting anybody in.
        let opening = *connectable && old.grants.keys().all(|role| role == PUBLIC) && !grants.is_empty();
        let now = if opening { &nobody } else { grants };
        statements.extend(change_grants(&target, &old.grants, now));
        statements.extend(change_settings(&format!("ALTER {target}"), &old.settings, settings));
        statements.extend(change_role_settings(name, &old.role_settings, role_settings));
        // Last, so that nobody slips in before the rest holds.
        if *connectable != old.connectable {
            statements.push(format!("ALTER {target} ALLOW_CONNECTIONS {connectable}"));
        }
        let script = Script::transaction(Place::Maintenance, statements);
        if !opening {
            return script;
        }
        // Inside, a new database gives more to everybody than any service has; that goes first, in one transaction.
        let mut inside = vec!["REVOKE USAGE ON SCHEMA \"public\" FROM PUBLIC".to_owned()];
        if matches!(mark.as_ref().map(|mark| &mark.subject), Some(Subject::Service(_))) {
            let owner = ident(&self.owner);
            inside.push(format!(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON ROUTINES FROM PUBLIC"
            ));
        }
        inside.extend(change_grants(&target, &nobody, grants));
        script.then(Place::Database(name.clone()), inside)
    }

    fn drop(&self, _: Dialect) -> Script {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", ident(&self.facts.name));
        Script::default().then_alone(Place::Maintenance, drop)
    }

    fn opens(&self) -> Option<&str> {
        (self.state == State::Active).then_some(&self.name)
    }
}

/// Settings by role, from one to the other, of sessions in one database.
pub(super) fn change_role_settings(
    database: &str,
    old: &BTreeMap<String, BTreeMap<String, String>>,
    new: &BTreeMap<String, BTreeMap<String, String>>,
) -> Vec<String> {
    let none = BTreeMap::new();
    let mut statements = Vec::new();
    for role in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (old.get(role).unwrap_or(&none), new.get(role).unwrap_or(&none));
        let alter = format!("ALTER ROLE {} IN DATABASE {}", ident(role), ident(database));
        statements.extend(change_settings(&alter, old, new));
    }
    statements
}

fn change_settings(
    alter: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Vec<String> {
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let mut statements: Vec<String> = gone.map(|key| format!("{alter} RESET {}", ident(key))).collect();
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
    statements.extend(changed.map(|(key, value)| format!("{alter} SET {}", assignment(key, value))));
    statements
}

impl Project for PgDatabase {
    fn project(catalog: &Catalog, by: Ours<'_>) -> Vec<(Address, Found<Self>)> {
        let Ours { environment, names } = by;
        let ours: BTreeMap<i64, (&str, Option<Mark>)> = (catalog.shared.roles.iter())
            .map(|role| (role.oid, (role.name.as_str(), mark(role.comment.as_ref(), environment))))
            .filter(|(_, (_, (_, owned)))| *owned)
            .map(|(oid, (name, (mark, _)))| (oid, (name, mark)))
            .collect();
        let admin_roles = admin_roles(catalog);
        let services = services(catalog, environment);
        let mut all = BTreeMap::new();
        // An active database comes after a retired one of the same name, and takes the address.
        let mut entries: Vec<&DatabaseEntry> = catalog.shared.databases.iter().collect();
        entries.sort_by_key(|entry| (entry.name.contains(RETIRED), entry.name.clone()));
        for entry in entries.into_iter().rev() {
            if entry.template || entry.name == MAINTENANCE || entry.name == "rdsadmin" {
                continue;
            }
            let (mark, marked) = mark(entry.comment.as_ref(), environment);
            let half_made = half_made(entry, &ours, names);
            let retired = mark.as_ref().is_some_and(|mark| mark.retired);
            let original = entry.name.split_once(RETIRED).map(|(name, _)| name);
            let (name, state) = match original {
                Some(name) if retired && marked => (name, State::Retired),
                _ if retired && marked => (entry.name.as_str(), State::Closing),
                _ => (entry.name.as_str(), State::Active),
            };
            let protected = mark.as_ref().is_some_and(|mark| mark.protect);
            let mut resource = Self {
                cluster: catalog.cluster.clone(),
                name: name.to_owned(),
                owner: catalog.role(entry.owner),
                state,
                connection_limit: entry.limit,
                connectable: entry.connectable,
                grants: grants(catalog, &entry.acl, entry.owner),
                settings: BTreeMap::new(),
                role_settings: BTreeMap::new(),
                mark,
                facts: Facts(DatabaseFacts {
                    name: entry.name.clone(),
                    admin_roles: admin_roles.clone(),
                    roles: BTreeSet::new(),
                    kept: Kept::default(),
                }),
            };
            for (oid, texts) in catalog.settings(entry.oid) {
                if oid == 0 {
                    resource.settings = settings(texts);
                } else if let Some((role, _)) = ours.get(&oid) {
                    resource.role_settings.insert((*role).to_owned(), settings(texts));
                }
            }
            if matches!(resource.mark.as_ref().map(|mark| &mark.subject), Some(Subject::Shared(_))) {
                // What a service's roles may do here belongs to the access of its schema.
                resource.grants.retain(|role, _| !services.contains_key(role));
                resource.role_settings.retain(|role, _| !services.contains_key(role));
            }
            if resource.state == State::Retired {
                if let Some(Subject::Service(service)) = resource.mark.as_ref().map(|mark| &mark.subject) {
                    let roles = names.roles(service);
                    resource.facts.0.roles = roles.all().map(str::to_owned).into();
                }
                resource.facts.0.kept = Kept {
                    connection_limit: std::mem::replace(&mut resource.connection_limit, -1),
                    grants: std::mem::take(&mut resource.grants),
                    settings: std::mem::take(&mut resource.settings),
                    role_settings: std::mem::take(&mut resource.role_settings),
                };
            }
            let found = Found { resource, outputs: Outputs::new(), owned: marked || half_made, protected };
            all.insert(Self::address(&catalog.cluster, name), found);
        }
        all.into_iter().collect()
    }
}

impl PgDatabase {
    /// Databases of ours with something in them that nobody can look at, for they take no connections. One that a
    /// killed run has only just made has never taken any, so there is nothing in it.
    pub(super) fn closed(catalog: &Catalog, by: Ours<'_>) -> Vec<Address> {
        let all = Self::project(catalog, by).into_iter();
        let closed = all
            .filter(|(_, found)| found.owned && !found.resource.connectable && found.resource.mark.is_some());
        closed.map(|(address, _)| address).collect()
    }
}

/// `CREATE DATABASE` cannot write its mark in the same statement. What was killed before the next one is known by its
/// owner, which is ours for just this database, and by being closed.
fn half_made(entry: &DatabaseEntry, ours: &BTreeMap<i64, (&str, Option<Mark>)>, names: &Names) -> bool {
    let owner = ours.get(&entry.owner).and_then(|(_, mark)| mark.as_ref());
    let made_for = owner.is_some_and(|mark| match &mark.subject {
        Subject::Service(name) => names.database(name) == entry.name,
        Subject::Shared(_) => names.shared_database() == entry.name,
        Subject::Group(_) | Subject::Person(_) | Subject::Infra(_) => false,
    });
    made_for && entry.comment.is_none() && !entry.connectable
}
