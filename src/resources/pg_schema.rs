//! A schema: the one in a service's own database, or a service's own in a shared one. Bears data.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    facts::Facts,
    pg_access::PgAccess,
    pg_database::{PgDatabase, RETIRED, State, rename_retired, unit},
    pg_role::{PgRole, undeclared},
    sql::{Dialect, Ours, Project, Sql, acting_as, admin_roles, comment, keep_note, mark, servers},
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
pub struct PgSchema {
    pub cluster: String,
    pub database: String,
    pub name: String,
    pub owner: String,
    pub state: State,
    pub mark: Option<Mark>,
    #[serde(skip)]
    pub facts: Facts<SchemaFacts>,
}

#[derive(Clone, Debug, Default)]
pub struct SchemaFacts {
    /// Its name on the server, which differs when it is retired.
    pub name: String,
    pub database_owner: String,
    pub admin_roles: BTreeSet<String>,
}

impl PgSchema {
    pub fn address(cluster: &str, database: &str, name: &str) -> Address {
        Address::new("pg_schema", &format!("{cluster}/{database}/{name}"))
    }

    fn place(&self) -> Place {
        Place::Database(self.database.clone())
    }

    /// A schema is renamed by its owner, who needs CREATE on the database for it; and has it for just as long.
    fn renaming(&self, statement: String) -> Vec<String> {
        let (database, owner) = (ident(&self.database), ident(&self.owner));
        vec![
            format!("GRANT CREATE ON DATABASE {database} TO {owner}"),
            format!("SET LOCAL ROLE {owner}"),
            statement,
            "RESET ROLE".into(),
            format!("REVOKE CREATE ON DATABASE {database} FROM {owner}"),
        ]
    }
}

impl Resource for PgSchema {
    fn depends_on(&self) -> Vec<Address> {
        let mut parents = servers(&self.cluster);
        parents.push(PgDatabase::address(&self.cluster, &self.database));
        parents.push(PgRole::address(&self.cluster, &self.owner));
        // Default privileges first: so a schema is born with its grants, as is all that comes later.
        parents.push(PgAccess::address(&self.cluster, &self.database, None));
        parents.push(PgAccess::address(&self.cluster, &self.database, Some(&self.name)));
        parents
    }

    fn adopt(&mut self, found: &Self) {
        keep_note(&mut self.mark, found.mark.as_ref());
    }

    fn verdict(&self, _: &Self) -> Verdict {
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        match self.mark.as_ref().map(|mark| &mark.subject) {
            Some(Subject::Service(service)) => Removal::Declared(undeclared(service)),
            _ => Removal::Declared(format!(
                "schema {} is no longer declared, but data may be in it",
                self.name
            )),
        }
    }

    fn environment(&self) -> Option<&str> {
        self.mark.as_ref().map(|mark| mark.environment.as_str())
    }

    fn unit(&self) -> Option<String> {
        Some(unit(&self.cluster, &self.database))
    }
}

impl Sql for PgSchema {
    fn cluster(&self) -> &str {
        &self.cluster
    }

    fn create(&self, _: Dialect) -> Script {
        let name = ident(&self.name);
        let statements = vec![
            format!("CREATE SCHEMA {name} AUTHORIZATION {}", ident(&self.owner)),
            comment(&format!("SCHEMA {name}"), self.mark.as_ref()),
        ];
        Script::transaction(self.place(), statements)
    }

    fn alter(&self, old: &Self, dialect: Dialect) -> Script {
        let actual = &old.facts.name;
        let mut statements = Vec::new();
        let name = ident(actual);
        if self.owner != old.owner {
            let take = vec![format!("ALTER SCHEMA {name} OWNER TO {}", ident(&self.owner))];
            statements.extend(acting_as(&old.owner, &old.facts.admin_roles, dialect, take));
        }
        if self.mark != old.mark {
            statements.push(comment(&format!("SCHEMA {name}"), self.mark.as_ref()));
        }
        if self.state == State::Retired && old.state != State::Retired {
            statements.extend(self.renaming(rename_retired("SCHEMA", actual, &self.name)));
        } else if self.state == State::Active && *actual != self.name {
            let rename = format!("ALTER SCHEMA {name} RENAME TO {}", ident(&self.name));
            statements.extend(self.renaming(rename));
        }
        Script::transaction(self.place(), statements)
    }

    fn drop(&self, _: Dialect) -> Script {
        Script::transaction(self.place(), vec![format!("DROP SCHEMA {} CASCADE", ident(&self.facts.name))])
    }
}

impl Project for PgSchema {
    fn project(catalog: &Catalog, ours: Ours<'_>) -> Vec<(Address, Found<Self>)> {
        let Ours { environment, names } = ours;
        let admin_roles = admin_roles(catalog);
        let mut all = Vec::new();
        for (database, content) in &catalog.databases {
            let Ok(content) = content else { continue };
            let entry = catalog.shared.databases.iter().find(|entry| entry.name == *database);
            let database_owner = entry.map(|entry| catalog.role(entry.owner)).unwrap_or_default();
            let mark_of_database = entry.and_then(|entry| mark(entry.comment.as_ref(), environment).0);
            let (known, shared) = (
                mark_of_database.is_some(),
                matches!(&mark_of_database, Some(Mark { subject: Subject::Shared(_), .. })),
            );
            let own = match &mark_of_database {
                Some(Mark { subject: Subject::Service(service), .. }) => Some(names.schema(service)),
                _ => names.service_of(database).map(|service| names.schema(service)),
            };
            for schema in content.schemas.iter().filter(|schema| schema.name != "public") {
                let (mark, owned) = mark(schema.comment.as_ref(), environment);
                let owner = catalog.role(schema.owner);
                // A migrator may make more schemas; they belong to the service without being declared.
                let more = known && !shared && owner == database_owner && own.as_ref() != Some(&schema.name);
                if mark.is_none() && more {
                    continue;
                }
                let retired = owned && mark.as_ref().is_some_and(|mark| mark.retired);
                let original = schema.name.split_once(RETIRED).filter(|_| retired).map(|(name, _)| name);
                let name = original.unwrap_or(&schema.name);
                let facts = SchemaFacts {
                    name: schema.name.clone(),
                    database_owner: database_owner.clone(),
                    admin_roles: admin_roles.clone(),
                };
                let protected = mark.as_ref().is_some_and(|mark| mark.protect);
                let resource = Self {
                    cluster: catalog.cluster.clone(),
                    database: database.clone(),
                    name: name.to_owned(),
                    owner,
                    state: if retired { State::Retired } else { State::Active },
                    mark,
                    facts: Facts(facts),
                };
                let address = Self::address(&catalog.cluster, database, name);
                all.push((address, Found { resource, outputs: Outputs::new(), owned, protected }));
            }
        }
        // Of a retired and an active one with the same name, the active one has the address: it comes last.
        all.sort_by_key(|(_, found)| found.resource.state == State::Active);
        all
    }
}
