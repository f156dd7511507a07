//! An extension of one database. Lies in `public`, which everybody of the database may use and nobody may fill.

use serde::{Deserialize, Serialize};

use super::{
    pg_access::PgAccess,
    pg_database::{PgDatabase, unit},
    sql::{Dialect, Project, Sql, comment, mark, servers},
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
}

impl PgExtension {
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
    fn project(catalog: &Catalog, environment: &str) -> Vec<(Address, Found<Self>)> {
        let mut all = Vec::new();
        for (database, content) in &catalog.databases {
            let Ok(content) = content else { continue };
            // plpgsql comes with every database.
            for extension in content.extensions.iter().filter(|extension| extension.name != "plpgsql") {
                let (mark, owned) = mark(extension.comment.as_ref(), environment);
                let protected = mark.as_ref().is_some_and(|mark| mark.protect);
                let resource = Self {
                    cluster: catalog.cluster.clone(),
                    database: database.clone(),
                    name: extension.name.clone(),
                    schema: extension.schema.clone(),
                    mark,
                };
                let address = Self::address(&catalog.cluster, database, &extension.name);
                all.push((address, Found { resource, outputs: Outputs::new(), owned, protected }));
            }
        }
        all
    }
}
