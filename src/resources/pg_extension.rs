//! An extension of one database. Lies in `public`, which everybody of the database may use and nobody may fill.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    facts::Facts,
    pg_access::PgAccess,
    pg_database::{PgDatabase, unit},
    sql::{Dialect, Ours, Project, Sql, admin_roles, comment, keep_note, mark, servers},
};
use crate::{
    engine::{Found, Outputs, Removal, Resource, Verdict},
    model::{
        Address,
        mark::{Mark, Subject},
    },
    providers::postgres::{Catalog, Place, Script, ident},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PgExtension {
    pub cluster: String,
    pub database: String,
    pub name: String,
    pub schema: String,
    pub mark: Option<Mark>,
    #[serde(skip)]
    pub facts: Facts<ExtensionFacts>,
}

#[derive(Clone, Debug, Default)]
pub struct ExtensionFacts {
    /// Who made it, and alone may write the mark on it; none: a superuser, whom nobody can act as.
    pub owner: Option<String>,
    pub admin_roles: BTreeSet<String>,
}

impl PgExtension {
    /// Whether the admin may write a mark on it.
    pub fn can_be_marked(&self) -> bool {
        self.facts.owner.is_some()
    }

    pub fn address(cluster: &str, database: &str, name: &str) -> Address {
        Address::new("pg_extension", &format!("{cluster}/{database}/{name}"))
    }

    fn place(&self) -> Place {
        Place::Database(self.database.clone())
    }
}

impl Resource for PgExtension {
    fn depends_on(&self) -> Vec<Address> {
        let mut parents = servers(&self.cluster);
        parents.push(PgDatabase::address(&self.cluster, &self.database));
        parents.push(PgAccess::address(&self.cluster, &self.database, None));
        parents
    }

    fn adopt(&mut self, found: &Self) {
        keep_note(&mut self.mark, found.mark.as_ref());
    }

    fn verdict(&self, before: &Self) -> Verdict {
        if self.schema == before.schema {
            return Verdict::InPlace;
        }
        Verdict::Refuse(format!(
            "it lies in schema {}; to move it may break what names it there: ALTER EXTENSION {} SET SCHEMA {}",
            before.schema,
            ident(&self.name),
            ident(&self.schema)
        ))
    }

    fn removal(&self) -> Removal {
        match self.mark.as_ref().map(|mark| &mark.subject) {
            Some(Subject::Shared(_)) => Removal::Declared(format!(
                "no service declares it any more, but any service of the shared database may use it; if none does: \
                 DROP EXTENSION {}",
                ident(&self.name)
            )),
            _ => Removal::Delete,
        }
    }

    fn environment(&self) -> Option<&str> {
        self.mark.as_ref().map(|mark| mark.environment.as_str())
    }

    fn unit(&self) -> Option<String> {
        Some(unit(&self.cluster, &self.database))
    }
}

impl Sql for PgExtension {
    fn cluster(&self) -> &str {
        &self.cluster
    }

    fn create(&self, _: Dialect) -> Script {
        let name = ident(&self.name);
        let statements = vec![
            format!("CREATE EXTENSION {name} SCHEMA {}", ident(&self.schema)),
            comment(&format!("EXTENSION {name}"), self.mark.as_ref()),
        ];
        Script::transaction(self.place(), statements)
    }

    fn alter(&self, _: &Self, _: Dialect) -> Script {
        let statement = comment(&format!("EXTENSION {}", ident(&self.name)), self.mark.as_ref());
        Script::transaction(self.place(), vec![statement])
    }

    fn drop(&self, _: Dialect) -> Script {
        // Without CASCADE: a column of one of its types keeps it, and the error says which.
        Script::transaction(self.place(), vec![format!("DROP EXTENSION {}", ident(&self.name))])
    }
}

impl Project for PgExtension {
    fn project(catalog: &Catalog, ours: Ours<'_>) -> Vec<(Address, Found<Self>)> {
        let admin_roles = admin_roles(catalog);
        let mut all = Vec::new();
        for (database, content) in &catalog.databases {
            let Ok(content) = content else { continue };
            // plpgsql comes with every database.
            for extension in content.extensions.iter().filter(|extension| extension.name != "plpgsql") {
                let (mark, owned) = mark(extension.comment.as_ref(), ours.environment);
                let owner = catalog.shared.roles.iter().find(|role| role.oid == extension.owner);
                let owner = owner.filter(|role| !role.superuser);
                let protected = mark.as_ref().is_some_and(|mark| mark.protect);
                let resource = Self {
                    cluster: catalog.cluster.clone(),
                    database: database.clone(),
                    name: extension.name.clone(),
                    schema: extension.schema.clone(),
                    mark,
                    facts: Facts(ExtensionFacts {
                        owner: owner.map(|role| role.name.clone()),
                        admin_roles: admin_roles.clone(),
                    }),
                };
                let address = Self::address(&catalog.cluster, database, &extension.name);
                all.push((address, Found { resource, outputs: Outputs::new(), owned, protected }));
            }
        }
        all
    }
}
