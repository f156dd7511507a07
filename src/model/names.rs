//! Names that follow from a service's, a group's or a person's. `config` has checked that all fit into 63 bytes, that no
//! two are the same, and that none is reserved.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::environment::{Environment, Isolation};

/// The database that services share under `isolation: schema`, as marks name it.
pub const SHARED: &str = "shared";
/// The schema of a service in a database of its own, unless `names:` says otherwise.
pub const APP: &str = "app";
/// Where extensions lie.
pub const EXTENSIONS: &str = "public";
/// Membership in it makes a login one of IAM's: no password lets it in. Reserved by RDS.
pub const IAM: &str = "rds_iam";

/// What stands for the name of a service, a group, a person.
pub const SERVICE: &str = "{service}";
pub const GROUP: &str = "{group}";
pub const PERSON: &str = "{person}";

/// How Postgres names are made. Each is a template in which `{service}`, `{group}` or `{person}` is filled in, so that
/// what exists under another convention can be taken over as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameTemplates {
    /// Role that owns all that is a service's; nobody logs in as it. Default `svc_{service}_owner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Role whose members may change data. Default `svc_{service}_rw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_write: Option<String>,
    /// Role whose members may read. Default `svc_{service}_ro`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<String>,
    /// Login that becomes the owner. Default `svc_{service}_migrator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrator: Option<String>,
    /// Login that may change data. Default `svc_{service}_app`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Login that may read. Default `svc_{service}_reader`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    /// Database of a service, with `isolation: database`. Default `{service}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Schema of a service. Default `app` in a database of its own, and `{service}` in the shared one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The database that services share, with `isolation: schema`; a name, no template. Default `shared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_database: Option<String>,
    /// Role that owns the shared database; a name, no template. Default: as `owner`, for the service `shared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_owner: Option<String>,
    /// Role of a group of people. Default `dev_{group}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Login of a person. Default `dev_{person}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}

/// Names of one service that do not follow the environment's templates. `{service}` may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceNames {
    /// Role that owns all that is the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Role whose members may change data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_write: Option<String>,
    /// Role whose members may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<String>,
    /// Login that becomes the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrator: Option<String>,
    /// Login that may change data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Login that may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    /// Its database, with `isolation: database`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Its schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
}

/// What can be said of one service alone, by its key in the YAML.
pub const OF_SERVICE: [&str; 8] =
    ["owner", "read_write", "read_only", "migrator", "app", "reader", "database", "schema"];

impl NameTemplates {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// A template by its key in the YAML.
    pub fn get(&self, key: &str) -> Option<&str> {
        let Self {
            owner,
            read_write,
            read_only,
            migrator,
            app,
            reader,
            database,
            schema,
            shared_database,
            shared_owner,
            group,
            person,
        } = self;
        let value = match key {
            "owner" => owner,
            "read_write" => read_write,
            "read_only" => read_only,
            "migrator" => migrator,
            "app" => app,
            "reader" => reader,
            "database" => database,
            "schema" => schema,
            "shared_database" => shared_database,
            "shared_owner" => shared_owner,
            "group" => group,
            "person" => person,
            _ => return None,
        };
        value.as_deref()
    }
}

impl ServiceNames {
    pub fn get(&self, key: &str) -> Option<&str> {
        let Self { owner, read_write, read_only, migrator, app, reader, database, schema } = self;
        let value = match key {
            "owner" => owner,
            "read_write" => read_write,
            "read_only" => read_only,
            "migrator" => migrator,
            "app" => app,
            "reader" => reader,
            "database" => database,
            "schema" => schema,
            _ => return None,
        };
        value.as_deref()
    }
}

/// The names of one environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    templates: NameTemplates,
    isolation: Isolation,
    /// Declared and removed ones.
    services: BTreeMap<String, ServiceNames>,
}

impl Names {
    pub fn of(environment: &Environment) -> Self {
        let declared = environment.services.iter().map(|(name, service)| (name, &service.names));
        let removed = environment.removed.services.iter().map(|(name, service)| (name, &service.names));
        Self {
            templates: environment.names.clone(),
            isolation: environment.isolation,
            services: declared
                .chain(removed)
                .map(|(name, names)| (name.clone(), names.clone().unwrap_or_default()))
                .collect(),
        }
    }

    /// The six roles of a service.
    pub fn roles(&self, service: &str) -> Roles {
        let role = |key: &str, usual: &str| self.of_service(service, key, usual);
        Roles {
            owner: role("owner", "svc_{service}_owner"),
            writers: role("read_write", "svc_{service}_rw"),
            readers: role("read_only", "svc_{service}_ro"),
            migrator: role("migrator", "svc_{service}_migrator"),
            app: role("app", "svc_{service}_app"),
            reader: role("reader", "svc_{service}_reader"),
        }
    }

    /// A service's database: its own, or the one that it shares.
    pub fn database(&self, service: &str) -> String {
        match self.isolation {
            Isolation::Database => self.of_service(service, "database", SERVICE),
            Isolation::Schema => self.shared_database(),
        }
    }

    /// A service's schema.
    pub fn schema(&self, service: &str) -> String {
        let usual = match self.isolation {
            Isolation::Database => APP,
            Isolation::Schema => SERVICE,
        };
        self.of_service(service, "schema", usual)
    }

    pub fn shared_database(&self) -> String {
        self.templates.shared_database.clone().unwrap_or_else(|| SHARED.into())
    }

    pub fn shared_owner(&self) -> String {
        let owner = self.templates.owner.as_deref().unwrap_or("svc_{service}_owner");
        self.templates.shared_owner.clone().unwrap_or_else(|| owner.replace(SERVICE, SHARED))
    }

    pub fn group(&self, name: &str) -> String {
        self.templates.group.as_deref().unwrap_or("dev_{group}").replace(GROUP, name)
    }

    pub fn person(&self, name: &str) -> String {
        self.templates.person.as_deref().unwrap_or("dev_{person}").replace(PERSON, name)
    }

    /// The declared or removed service whose own database has this name.
    pub fn service_of(&self, database: &str) -> Option<&str> {
        let own = self.isolation == Isolation::Database;
        self.services.keys().map(String::as_str).find(|service| own && self.database(service) == database)
    }

    fn of_service(&self, service: &str, key: &str, usual: &str) -> String {
        let own = self.services.get(service).and_then(|names| names.get(key));
        own.or_else(|| self.templates.get(key)).unwrap_or(usual).replace(SERVICE, service)
    }
}

/// The six roles of a service.
#[derive(Clone, Debug)]
pub struct Roles {
    /// Owns everything; nobody logs in as it.
    pub owner: String,
    /// Group that may change data.
    pub writers: String,
    /// Group that may read.
    pub readers: String,
    /// Login that becomes the owner.
    pub migrator: String,
    /// Login of the writers.
    pub app: String,
    /// Login of the readers.
    pub reader: String,
}

impl Roles {
    pub fn all(&self) -> [&str; 6] {
        let Self { owner, writers, readers, migrator, app, reader } = self;
        [owner, writers, readers, migrator, app, reader]
    }
}

/// The role and the user of a service in MongoDB.
pub fn service(name: &str) -> String {
    format!("svc_{name}")
}

/// The role of a group or the user of a person in MongoDB; `config` sees to it that no group has a person's name.
pub fn developer(name: &str) -> String {
    format!("dev_{name}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(environment: serde_json::Value) -> Names {
        Names::of(&serde_json::from_value(environment).unwrap())
    }

    #[test]
    fn ours_are_the_default() {
        let names = Names::default();
        let roles = names.roles("orders");
        assert_eq!(
            roles.all(),
            [
                "svc_orders_owner",
                "svc_orders_rw",
                "svc_orders_ro",
                "svc_orders_migrator",
                "svc_orders_app",
                "svc_orders_reader"
            ]
        );
        let of = (names.database("orders"), names.schema("orders"), names.person("ana"), names.group("all"));
        assert_eq!(of, ("orders".into(), "app".into(), "dev_ana".into(), "dev_all".into()));
    }

    #[test]
    fn a_service_may_differ_from_the_environment() {
        let names = names(json!({
            "platform": {"local": {}},
            "names": {"owner": "{service}_owner", "database": "{service}_db", "person": "{person}"},
            "services": {"orders": {}, "shop": {"names": {"database": "legacy", "schema": "public"}}},
            "removed": {"services": {"old": {"data": "keep", "names": {"owner": "old"}}}},
        }));
        assert_eq!((names.database("orders"), names.schema("orders")), ("orders_db".into(), "app".into()));
        assert_eq!((names.database("shop"), names.schema("shop")), ("legacy".into(), "public".into()));
        assert_eq!(
            (names.roles("shop").owner, names.roles("old").owner),
            ("shop_owner".into(), "old".into())
        );
        assert_eq!((names.service_of("legacy"), names.service_of("shop_db")), (Some("shop"), None));
        assert_eq!((names.person("ana"), names.group("all")), ("ana".into(), "dev_all".into()));
    }

    #[test]
    fn a_shared_database() {
        let names = names(json!({
            "platform": {"local": {}}, "isolation": "schema", "services": {"stock": {}},
            "names": {"owner": "{service}-owner", "shared_database": "shop"},
        }));
        assert_eq!((names.database("stock"), names.schema("stock")), ("shop".into(), "stock".into()));
        assert_eq!((names.shared_owner(), names.service_of("shop")), ("shared-owner".into(), None));
    }
}
