//! What the two catalog queries answer, as plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::quote::PUBLIC;

/// A role's number. Zero is everybody.
pub type Oid = i64;

/// `aclitem`s in the open: grantor, grantee, privilege, and whether it may be passed on.
pub type Acl = Vec<(Oid, Oid, String, bool)>;

/// One cluster: the shared catalogs, and those databases that were opened.
#[derive(Debug)]
pub struct Catalog {
    /// The name it is declared under.
    pub cluster: String,
    pub shared: Shared,
    /// By name; or why it could not be read.
    pub databases: BTreeMap<String, Result<Database, String>>,
    names: BTreeMap<Oid, String>,
    settings: BTreeMap<Oid, BTreeMap<Oid, Vec<String>>>,
}

impl Catalog {
    pub fn new(
        cluster: &str,
        mut shared: Shared,
        databases: BTreeMap<String, Result<Database, String>>,
    ) -> Self {
        let names = shared.roles.iter().map(|role| (role.oid, role.name.clone())).collect();
        let mut settings: BTreeMap<Oid, BTreeMap<Oid, Vec<String>>> = BTreeMap::new();
        for (database, role, texts) in std::mem::take(&mut shared.settings) {
            settings.entry(database).or_default().insert(role, texts);
        }
        Self { cluster: cluster.into(), shared, databases, names, settings }
    }

    /// Settings in one database (0: in all), by role (0: for all), each as `name=value` texts.
    pub fn settings(&self, database: Oid) -> impl Iterator<Item = (Oid, &[String])> {
        self.settings.get(&database).into_iter().flatten().map(|(role, texts)| (*role, texts.as_slice()))
    }

    /// A role's name; a role dropped while we read keeps its number.
    pub fn role(&self, oid: Oid) -> String {
        if oid == 0 {
            return PUBLIC.into();
        }
        self.names.get(&oid).cloned().unwrap_or_else(|| format!("unknown role {oid}"))
    }

    pub fn major(&self) -> u32 {
        self.shared.version / 10_000
    }
}

/// The answer to `cluster.sql`.
#[derive(Debug, Deserialize)]
pub struct Shared {
    /// As Postgres counts: 170004.
    pub version: u32,
    pub free_connections: i64,
    #[serde(deserialize_with = "nullable")]
    pub roles: Vec<Role>,
    #[serde(deserialize_with = "nullable")]
    pub members: Vec<Member>,
    #[serde(deserialize_with = "nullable")]
    pub databases: Vec<DatabaseEntry>,
    /// Database, role, texts; [`Catalog::settings`] has them once a catalog is made.
    #[serde(deserialize_with = "nullable")]
    settings: Vec<(Oid, Oid, Vec<String>)>,
    /// Database (0: shared), role, `o` for owns, `a` for holds grants, `r` for stands in a policy; and how many objects.
    #[serde(deserialize_with = "nullable")]
    pub dependencies: Vec<(Oid, Oid, char, u64)>,
}

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are Postgres' role attributes")]
pub struct Role {
    pub oid: Oid,
    pub name: String,
    pub login: bool,
    pub inherit: bool,
    pub superuser: bool,
    pub createrole: bool,
    pub createdb: bool,
    pub replication: bool,
    pub bypassrls: bool,
    pub limit: i32,
    pub valid_until: Option<String>,
    pub comment: Option<String>,
}

/// One row of `pg_auth_members`; the two options are unknown before Postgres 16.
#[derive(Debug, Deserialize)]
pub struct Member {
    pub role: Oid,
    pub member: Oid,
    pub grantor: Oid,
    pub admin: bool,
    pub inherit: Option<bool>,
    pub set: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub struct DatabaseEntry {
    pub oid: Oid,
    pub name: String,
    pub owner: Oid,
    pub connectable: bool,
    /// -1: none; -2: a `DROP DATABASE` was interrupted and nothing but another can be done.
    pub limit: i32,
    pub template: bool,
    pub comment: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub acl: Acl,
}

/// The answer to `database.sql`.
#[derive(Debug, Deserialize)]
pub struct Database {
    #[serde(deserialize_with = "nullable")]
    pub schemas: Vec<Schema>,
    #[serde(deserialize_with = "nullable")]
    pub relations: Vec<Relations>,
    #[serde(deserialize_with = "nullable")]
    pub columns: Vec<Column>,
    #[serde(deserialize_with = "nullable")]
    pub routines: Vec<Routines>,
    #[serde(deserialize_with = "nullable")]
    pub types: Vec<Types>,
    #[serde(deserialize_with = "nullable")]
    pub defaults: Vec<DefaultAcl>,
    #[serde(deserialize_with = "nullable")]
    pub extensions: Vec<Extension>,
    #[serde(deserialize_with = "nullable")]
    pub large_objects: Vec<LargeObjects>,
}

#[derive(Debug, Deserialize)]
pub struct Schema {
    pub name: String,
    pub owner: Oid,
    pub comment: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub acl: Acl,
}

/// Relations of one schema that are alike in kind, owner and ACL.
#[derive(Debug, Deserialize)]
pub struct Relations {
    pub schema: String,
    /// `pg_class.relkind`.
    pub kind: char,
    pub owner: Oid,
    /// A sequence that belongs to a column.
    pub linked: bool,
    pub names: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub acl: Acl,
}

#[derive(Debug, Deserialize)]
pub struct Column {
    pub schema: String,
    pub relation: String,
    pub owner: Oid,
    pub column: String,
    #[serde(deserialize_with = "nullable")]
    pub acl: Acl,
}

#[derive(Debug, Deserialize)]
pub struct Routines {
    pub schema: String,
    pub owner: Oid,
    /// Name, and the arguments that tell overloads apart.
    pub names: Vec<(String, String)>,
    #[serde(deserialize_with = "nullable")]
    pub acl: Acl,
}

#[derive(Debug, Deserialize)]
pub struct Types {
    pub schema: String,
    pub owner: Oid,
    pub names: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub acl: Acl,
}

#[derive(Debug, Deserialize)]
pub struct DefaultAcl {
    pub role: Oid,
    /// None: for the whole database.
    pub schema: Option<String>,
    /// `pg_default_acl.defaclobjtype`.
    pub class: char,
    #[serde(deserialize_with = "nullable")]
    pub acl: Acl,
}

#[derive(Debug, Deserialize)]
pub struct Extension {
    pub name: String,
    pub schema: String,
    pub owner: Oid,
    pub comment: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct LargeObjects {
    pub owner: Oid,
    pub names: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub acl: Acl,
}

/// `json_agg` over no rows is null.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
