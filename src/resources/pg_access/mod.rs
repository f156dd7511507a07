//! Grants and default privileges of one database, or of one service's schema in a shared one.
//!
//! The rule is the same for every object, so it is declared once: what the writers and the readers may do with each
//! class of objects. Reading compares every object with the rule and keeps what deviates.

mod deviation;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use deviation::{Deviation, Kind, Name, Objects};

use super::{
    facts::Facts,
    pg_database::{PgDatabase, change_role_settings, unit},
    pg_role::PgRole,
    sql::{Dialect, Grants, Sql, acting_as, change_grants, servers},
};
use crate::{
    engine::{Removal, Resource, Verdict},
    model::Address,
    providers::postgres::{PUBLIC, Place, Script, ident},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PgAccess {
    pub cluster: String,
    pub database: String,
    /// None: the whole database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Owns every object.
    pub owner: String,
    /// Group that may change data; none in the shared part of a shared database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writers: Option<String>,
    /// Group that may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readers: Option<String>,
    /// Who may use the schema `public`, where extensions lie.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub public_schema: BTreeSet<String>,
    /// What the roles of a service may do with the shared database itself. A database of its own says so itself.
    #[serde(default, skip_serializing_if = "Grants::is_empty")]
    pub database_grants: Grants,
    /// Settings of its logins in the shared database.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub role_settings: BTreeMap<String, BTreeMap<String, String>>,
    /// What becomes of objects that the owner makes, by class of objects.
    pub default_privileges: BTreeMap<Class, Grants>,
    /// Objects that do not follow the rule. Declared as none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub deviations: BTreeSet<Deviation>,
    #[serde(skip)]
    pub facts: Facts<AccessFacts>,
}

#[derive(Clone, Debug, Default)]
pub struct AccessFacts {
    pub admin_roles: BTreeSet<String>,
}

/// A class of objects with privileges of its own, under the names of `ALTER DEFAULT PRIVILEGES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Functions,
    LargeObjects,
    Schemas,
    Sequences,
    Tables,
    Types,
}

impl Class {
    /// By `pg_default_acl.defaclobjtype`.
    pub(super) fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'f' => Self::Functions,
            'L' => Self::LargeObjects,
            'n' => Self::Schemas,
            'S' => Self::Sequences,
            'r' => Self::Tables,
            'T' => Self::Types,
            _ => return None,
        })
    }

    fn keyword(self) -> &'static str {
        match self {
            Self::Functions => "ROUTINES",
            Self::LargeObjects => "LARGE OBJECTS",
            Self::Schemas => "SCHEMAS",
            Self::Sequences => "SEQUENCES",
            Self::Tables => "TABLES",
            Self::Types => "TYPES",
        }
    }

    /// In plain words, for many of them.
    pub fn word(self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::LargeObjects => "large objects",
            Self::Schemas => "schemas",
            Self::Sequences => "sequences",
            Self::Tables => "tables",
            Self::Types => "types",
        }
    }

    /// What writers and readers may do; what everybody may is what Postgres gives by itself.
    fn privileges(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Functions => (&["EXECUTE"], &["EXECUTE"]),
            Self::Schemas => (&["USAGE"], &["USAGE"]),
            Self::Sequences => (&["SELECT", "USAGE"], &["SELECT"]),
            Self::Tables => (&["DELETE", "INSERT", "SELECT", "UPDATE"], &["SELECT"]),
            Self::Types | Self::LargeObjects => (&[], &[]),
        }
    }
}

impl PgAccess {
    pub fn address(cluster: &str, database: &str, schema: Option<&str>) -> Address {
        let schema = schema.map(|name| format!("/{name}")).unwrap_or_default();
        Address::new("pg_access", &format!("{cluster}/{database}{schema}"))
    }

    /// The rule for these groups, with nothing that deviates.
    pub fn new(
        cluster: &str,
        database: &str,
        schema: Option<&str>,
        owner: &str,
        groups: Option<(&str, &str)>,
    ) -> Self {
        let mut access = Self {
            cluster: cluster.into(),
            database: database.into(),
            schema: schema.map(Into::into),
            owner: owner.into(),
            writers: groups.map(|(writers, _)| writers.into()),
            readers: groups.map(|(_, readers)| readers.into()),
            public_schema: BTreeSet::new(),
            database_grants: Grants::new(),
            role_settings: BTreeMap::new(),
            default_privileges: BTreeMap::new(),
            deviations: BTreeSet::new(),
            facts: Facts::default(),
        };
        for class in [Class::Functions, Class::Schemas, Class::Sequences, Class::Tables, Class::Types] {
            let grants = access.rule(class);
            if !grants.is_empty() {
                access.default_privileges.insert(class, grants);
            }
        }
        access
    }

    /// Who may do what with objects of a class, besides their owner.
    pub fn rule(&self, class: Class) -> Grants {
        let set = |privileges: &[&str]| privileges.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let mut grants = Grants::new();
        if let (Some(writers), Some(readers)) = (&self.writers, &self.readers) {
            let (write, read) = class.privileges();
            grants.insert(writers.clone(), set(write));
            grants.insert(readers.clone(), set(read));
        } else if class == Class::Functions {
            grants.insert(PUBLIC.into(), set(&["EXECUTE"]));
        }
        if class == Class::Types {
            grants.insert(PUBLIC.into(), set(&["USAGE"]));
        }
        grants.retain(|_, privileges| !privileges.is_empty());
        grants
    }

    /// What Postgres itself gives for an owner's future objects, the owner's own rights left out.
    pub(super) fn built_in() -> BTreeMap<Class, Grants> {
        let everybody = |privilege: &str| Grants::from([(PUBLIC.into(), [privilege.to_owned()].into())]);
        [(Class::Functions, everybody("EXECUTE")), (Class::Types, everybody("USAGE"))].into()
    }

    /// As a database or schema is when it has just been made.
    fn fresh(&self) -> Self {
        let public_schema = self.schema.is_none().then(|| PUBLIC.to_owned()).into_iter().collect();
        Self {
            default_privileges: Self::built_in(),
            public_schema,
            database_grants: Grants::new(),
            role_settings: BTreeMap::new(),
            ..self.clone()
        }
    }

    fn change_defaults(&self, old: &Self) -> Vec<String> {
        let empty = Grants::new();
        let mut statements = Vec::new();
        let (before, after) = (&old.default_privileges, &self.default_privileges);
        for class in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let (before, after) = (before.get(class).unwrap_or(&empty), after.get(class).unwrap_or(&empty));
            let alter = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {} ", ident(&self.owner));
            let changes = change_grants(class.keyword(), before, after);
            statements.extend(changes.into_iter().map(|change| format!("{alter}{change}")));
        }
        statements
    }
}

impl Resource for PgAccess {
    fn depends_on(&self) -> Vec<Address> {
        let mut parents = servers(&self.cluster);
        parents.push(PgDatabase::address(&self.cluster, &self.database));
        if self.schema.is_some() {
            parents.push(Self::address(&self.cluster, &self.database, None));
        }
        let groups = [&self.writers, &self.readers].into_iter().flatten();
        let deviating = self.deviations.iter().filter_map(Deviation::role);
        let roles = std::iter::once(&self.owner).chain(groups).chain(&self.public_schema).chain(deviating);
        let roles = roles.chain(self.database_grants.keys()).chain(self.role_settings.keys());
        parents.extend(roles.map(|role| PgRole::address(&self.cluster, role)));
        parents
    }

    fn verdict(&self, _: &Self) -> Verdict {
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        Removal::Implied
    }

    fn unit(&self) -> Option<String> {
        Some(unit(&self.cluster, &self.database))
    }
}

impl Sql for PgAccess {
    fn cluster(&self) -> &str {
        &self.cluster
    }

    fn create(&self, dialect: Dialect) -> Script {
        self.alter(&self.fresh(), dialect)
    }

    /// Owners first, then defaults before what exists: a table made in between is covered by one of the two.
    fn alter(&self, old: &Self, dialect: Dialect) -> Script {
        let admin_roles = &old.facts.admin_roles;
        let database = format!("DATABASE {}", ident(&self.database));
        let mut statements = change_grants(&database, &old.database_grants, &self.database_grants);
        statements.extend(change_role_settings(&self.database, &old.role_settings, &self.role_settings));
        let gone: Vec<&Deviation> = old.deviations.difference(&self.deviations).collect();
        for deviation in &gone {
            if let Deviation::Owner { on, owner } = deviation {
                let take = on.change_owner(&self.owner);
                statements.extend(acting_as(owner, admin_roles, dialect, take));
            }
        }
        statements.extend(self.change_defaults(old));
        for deviation in &gone {
            if let Deviation::DefaultPrivileges { by, schema, class, role, privileges } = deviation {
                let inside =
                    schema.as_ref().map(|name| format!(" IN SCHEMA {}", ident(name))).unwrap_or_default();
                let extra = Grants::from([(role.clone(), privileges.clone())]);
                let changes = change_grants(class.keyword(), &extra, &Grants::new());
                let alter = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {}{inside} ", ident(by));
                let changes = changes.into_iter().map(|change| format!("{alter}{change}")).collect();
                statements.extend(acting_as(by, admin_roles, dialect, changes));
            }
        }
        statements.extend(gone.iter().filter_map(|deviation| deviation.revoke()));
        let usage = |roles: &BTreeSet<String>| -> Grants {
            roles.iter().map(|role| (role.clone(), ["USAGE".to_owned()].into())).collect()
        };
        let (before, after) = (usage(&old.public_schema), usage(&self.public_schema));
        statements.extend(change_grants("SCHEMA \"public\"", &before, &after));
        statements.extend(gone.iter().filter_map(|deviation| deviation.grant()));
        Script::transaction(Place::Database(self.database.clone()), statements)
    }

    fn drop(&self, _: Dialect) -> Script {
        Script::default()
    }
}
