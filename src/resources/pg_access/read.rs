//! Comparing every object of a database with the rule.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        facts::Facts,
        pg_database::PgDatabase,
        sql::{Grants, Ours, Project, admin_roles, grants, mark, services, settings},
    },
    AccessFacts, Class, Deviation, Kind, Name, Objects, PgAccess,
};
use crate::{
    engine::{Found, Outputs},
    model::{
        Address,
        mark::{Mark, Subject},
        names::Names,
    },
    providers::postgres::{Acl, Catalog, Database, Oid, PUBLIC},
};

impl Project for PgAccess {
    fn project(catalog: &Catalog, by: Ours<'_>) -> Vec<(Address, Found<Self>)> {
        let Ours { environment, names } = by;
        let facts = AccessFacts { admin_roles: admin_roles(catalog) };
        let unmanageable: BTreeSet<Oid> = (catalog.shared.roles.iter())
            .filter(|role| role.superuser || role.name.starts_with("rds"))
            .map(|role| role.oid)
            .collect();
        let services = services(catalog, environment);
        let ours: BTreeSet<String> = (catalog.shared.roles.iter())
            .filter(|role| mark(role.comment.as_ref(), environment).1)
            .map(|role| role.name.clone())
            .collect();
        let mut all = Vec::new();
        for (_, database) in PgDatabase::project(catalog, by) {
            let name = &database.resource.name;
            let Some(Ok(content)) = catalog.databases.get(name) else { continue };
            let Some(mark) = database.resource.mark.filter(|_| database.owned) else { continue };
            let reading = Reading {
                catalog,
                content,
                names,
                unmanageable: &unmanageable,
                services: &services,
                ours: &ours,
            };
            for mut access in rules(catalog, name, &mark, content, by) {
                reading.database(&mut access);
                let schema = access.schema.clone();
                let mut resource = reading.compare(access);
                resource.facts = Facts(facts.clone());
                let address = Self::address(&catalog.cluster, name, schema.as_deref());
                let found = Found { resource, outputs: Outputs::new(), owned: true, protected: false };
                all.push((address, found));
            }
            all.extend(foreign(catalog, name, &mark, content, environment));
        }
        all
    }
}

/// The rules that apply in a database of ours: one for a service's own; in a shared one another for each schema.
fn rules(
    catalog: &Catalog,
    database: &str,
    of_database: &Mark,
    content: &Database,
    Ours { environment, names }: Ours<'_>,
) -> Vec<PgAccess> {
    let cluster = &catalog.cluster;
    if let Subject::Service(service) = &of_database.subject {
        let roles = names.roles(service);
        let groups = Some((roles.writers.as_str(), roles.readers.as_str()));
        return vec![PgAccess::new(cluster, database, None, &roles.owner, groups)];
    }
    // Not who owns it by accident: that is a difference of the database's own.
    let Subject::Shared(_) = &of_database.subject else { return Vec::new() };
    let mut rules = vec![PgAccess::new(cluster, database, None, &names.shared_owner(), None)];
    for schema in &content.schemas {
        let (Some(mark), true) = mark(schema.comment.as_ref(), environment) else { continue };
        let Subject::Service(service) = &mark.subject else { continue };
        if !mark.retired {
            let roles = names.roles(service);
            let groups = Some((roles.writers.as_str(), roles.readers.as_str()));
            rules.push(PgAccess::new(cluster, database, Some(&schema.name), &roles.owner, groups));
        }
    }
    rules
}

/// Schemas of others in a shared database have an access too: theirs. One that is declared under such a name is held
/// with it.
fn foreign(
    catalog: &Catalog,
    database: &str,
    of_database: &Mark,
    content: &Database,
    environment: &str,
) -> Vec<(Address, Found<PgAccess>)> {
    let shared = matches!(of_database.subject, Subject::Shared(_));
    let theirs = content
        .schemas
        .iter()
        .filter(|schema| shared && schema.name != PUBLIC && !mark(schema.comment.as_ref(), environment).1);
    theirs
        .map(|schema| {
            let owner = catalog.role(schema.owner);
            let resource = PgAccess::new(&catalog.cluster, database, Some(&schema.name), &owner, None);
            let address = PgAccess::address(&catalog.cluster, database, Some(&schema.name));
            (address, Found { resource, outputs: Outputs::new(), owned: false, protected: false })
        })
        .collect()
}

struct Reading<'a> {
    catalog: &'a Catalog,
    content: &'a Database,
    names: &'a Names,
    /// Owners whose objects no admin short of a superuser can change.
    unmanageable: &'a BTreeSet<Oid>,
    /// The service of each role that was made for one.
    services: &'a BTreeMap<String, String>,
    /// Roles with our mark.
    ours: &'a BTreeSet<String>,
}

impl Reading<'_> {
    /// The rule, with all that deviates from it, and the defaults as they are.
    fn compare(&self, mut access: PgAccess) -> PgAccess {
        let mut deviations = BTreeSet::new();
        self.schemas(&mut access, &mut deviations);
        self.objects(&access, &mut deviations);
        self.columns(&access, &mut deviations);
        self.defaults(&mut access, &mut deviations);
        access.deviations = deviations;
        access
    }

    /// What a service's roles may do with the shared database, and their settings in it.
    fn database(&self, access: &mut PgAccess) {
        let entry = self.catalog.shared.databases.iter().find(|entry| entry.name == access.database);
        let (Some(entry), Some(_)) = (entry, &access.schema) else { return };
        let mut granted = grants(self.catalog, &entry.acl, entry.owner);
        granted.retain(|role, _| self.is_of(access, role));
        access.role_settings = (self.catalog.settings(entry.oid))
            .map(|(role, texts)| (self.catalog.role(role), settings(texts)))
            .filter(|(role, _)| self.is_of(access, role))
            .collect();
        access.database_grants = granted;
    }

    /// Whether a role is one of those that an access of a service's schema speaks of; or, where the access is that of
    /// a whole database, whether it speaks of it.
    fn is_of(&self, access: &PgAccess, role: &str) -> bool {
        let service = self.services.get(role);
        match &access.schema {
            Some(schema) => service.is_some_and(|service| self.names.schema(service) == *schema),
            None => access.writers.is_some() || service.is_none(),
        }
    }

    /// Whether objects of a schema are held to this rule: its own schema, or each that the service's owner owns.
    fn covers(&self, access: &PgAccess, schema: &str) -> bool {
        match &access.schema {
            Some(own) => own == schema,
            None if access.writers.is_none() => false,
            None => {
                let found = self.content.schemas.iter().find(|entry| entry.name == schema);
                found.is_some_and(|e| {
                    schema == PUBLIC || self.catalog.role(e.owner) == access.owner || is_ours(e)
                })
            }
        }
    }

    fn schemas(&self, access: &mut PgAccess, deviations: &mut BTreeSet<Deviation>) {
        for schema in &self.content.schemas {
            let on = Objects::schema(&schema.name);
            let actual = grants(self.catalog, &schema.acl, schema.owner);
            if schema.name == PUBLIC {
                // Usage of `public` is declared; everything else there is a deviation.
                let mut actual = actual;
                for (role, privileges) in &mut actual {
                    if self.is_of(access, role) && privileges.contains("USAGE") {
                        access.public_schema.insert(role.clone());
                    }
                    privileges.remove("USAGE");
                }
                if access.schema.is_none() {
                    compare(&on, &actual, &Grants::new(), deviations);
                }
            } else if self.covers(access, &schema.name) {
                let owner = self.catalog.role(schema.owner);
                if owner != access.owner && !is_ours(schema) {
                    deviations.insert(Deviation::Owner { on: on.clone(), owner });
                }
                compare(&on, &actual, &access.rule(Class::Schemas), deviations);
            }
        }
    }

    fn objects(&self, access: &PgAccess, deviations: &mut BTreeSet<Deviation>) {
        let content = self.content;
        for group in &content.relations {
            let names = group.names.iter().map(|name| (name.clone(), None));
            let on = (Kind::of(group.kind), group.schema.as_str());
            self.object(access, on, names, (group.owner, group.linked), &group.acl, deviations);
        }
        for group in &content.routines {
            let names = group.names.iter().map(|(name, arguments)| (name.clone(), Some(arguments.clone())));
            let on = (Kind::Routine, group.schema.as_str());
            self.object(access, on, names, (group.owner, false), &group.acl, deviations);
        }
        for group in &content.types {
            let names = group.names.iter().map(|name| (name.clone(), None));
            let on = (Kind::Type, group.schema.as_str());
            self.object(access, on, names, (group.owner, false), &group.acl, deviations);
        }
        // Large objects lie in no schema: they belong to the one service of a database, and in a shared one to nobody.
        if access.schema.is_none() && access.writers.is_some() {
            // What an application or a person makes and shares there is theirs.
            let of_owner = |owner: Oid| self.catalog.role(owner) == access.owner;
            for group in content.large_objects.iter().filter(|group| of_owner(group.owner)) {
                let names =
                    group.names.iter().map(|name| Name { name: name.clone(), arguments: None }).collect();
                let on = Objects { kind: Kind::LargeObject, schema: String::new(), names };
                let actual = grants(self.catalog, &group.acl, group.owner);
                compare(&on, &actual, &Grants::new(), deviations);
            }
        }
    }

    fn object(
        &self,
        access: &PgAccess,
        (kind, schema): (Kind, &str),
        names: impl Iterator<Item = (String, Option<String>)>,
        (owner, linked): (Oid, bool),
        acl: &Acl,
        deviations: &mut BTreeSet<Deviation>,
    ) {
        if !self.covers(access, schema) || self.unmanageable.contains(&owner) {
            return;
        }
        let names = names.map(|(name, arguments)| Name { name, arguments }).collect();
        let on = Objects { kind, schema: schema.into(), names };
        let owner_name = self.catalog.role(owner);
        let mut actual = grants(self.catalog, acl, owner);
        if owner_name != access.owner {
            // Its rights are the owner's once it is his; what the owner has now goes the same way.
            actual.remove(&access.owner);
            if !linked {
                deviations.insert(Deviation::Owner { on: on.clone(), owner: owner_name });
            }
        }
        compare(&on, &actual, &access.rule(kind.class()), deviations);
    }

    fn columns(&self, access: &PgAccess, deviations: &mut BTreeSet<Deviation>) {
        for column in &self.content.columns {
            if !self.covers(access, &column.schema) || self.unmanageable.contains(&column.owner) {
                continue;
            }
            let name = Name { name: column.relation.clone(), arguments: None };
            let on = Objects { kind: Kind::Table, schema: column.schema.clone(), names: [name].into() };
            for (role, privileges) in grants(self.catalog, &column.acl, column.owner) {
                let (on, column) = (on.clone(), column.column.clone());
                deviations.insert(Deviation::ExtraOnColumn { on, column, role, privileges });
            }
        }
    }

    fn defaults(&self, access: &mut PgAccess, deviations: &mut BTreeSet<Deviation>) {
        access.default_privileges = PgAccess::built_in();
        for row in &self.content.defaults {
            let Some(class) = Class::of(row.class) else { continue };
            let by = self.catalog.role(row.role);
            let actual = grants(self.catalog, &row.acl, row.role);
            if row.schema.is_none() && by == access.owner {
                // This row replaces what is built in.
                if actual.is_empty() {
                    access.default_privileges.remove(&class);
                } else {
                    access.default_privileges.insert(class, actual);
                }
                continue;
            }
            if self.unmanageable.contains(&row.role) || !self.answers_for(access, row.schema.as_deref(), &by)
            {
                continue;
            }
            let built_in =
                PgAccess::built_in().remove(&class).filter(|_| row.schema.is_none()).unwrap_or_default();
            for (role, mut privileges) in actual {
                privileges.retain(|p| !built_in.get(&role).is_some_and(|given| given.contains(p)));
                if !privileges.is_empty() {
                    let (by, schema) = (by.clone(), row.schema.clone());
                    deviations.insert(Deviation::DefaultPrivileges { by, schema, class, role, privileges });
                }
            }
        }
    }

    /// Whose business a default privilege is: each row is exactly one rule's.
    fn answers_for(&self, access: &PgAccess, schema: Option<&str>, by: &str) -> bool {
        match (&access.schema, schema) {
            (Some(own), Some(schema)) => own == schema,
            (Some(_), None) => false,
            (None, Some(schema)) if access.writers.is_some() => self.covers(access, schema),
            // What roles that are not ours do with things of their own is their business, also here; and in a shared
            // database each service answers for its owner.
            (None, None) => {
                self.ours.contains(by)
                    && (access.writers.is_some()
                        || self.services.get(by).is_none_or(|service| self.names.roles(service).owner != by))
            }
            (None, Some(schema)) => schema == PUBLIC,
        }
    }
}

fn is_ours(schema: &crate::providers::postgres::Schema) -> bool {
    schema.comment.as_ref().is_some_and(|text| text.parse::<Mark>().is_ok())
}

/// What differs between an ACL and the rule.
fn compare(on: &Objects, actual: &Grants, rule: &Grants, deviations: &mut BTreeSet<Deviation>) {
    let empty = BTreeSet::new();
    for role in actual.keys().chain(rule.keys()).collect::<BTreeSet<_>>() {
        let (actual, rule) = (actual.get(role).unwrap_or(&empty), rule.get(role).unwrap_or(&empty));
        let (mut extra, mut options, mut missing) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for privilege in actual {
            match privilege.strip_suffix('*') {
                Some(due) if rule.contains(due) => options.insert(due.to_owned()),
                _ if rule.contains(privilege) => continue,
                _ => extra.insert(privilege.clone()),
            };
        }
        for privilege in rule {
            if !actual.contains(privilege) && !actual.contains(&format!("{privilege}*")) {
                missing.insert(privilege.clone());
            }
        }
        let role = || role.clone();
        if !extra.is_empty() {
            deviations.insert(Deviation::Extra { on: on.clone(), role: role(), privileges: extra });
        }
        if !options.is_empty() {
            deviations.insert(Deviation::GrantOption { on: on.clone(), role: role(), privileges: options });
        }
        if !missing.is_empty() {
            deviations.insert(Deviation::Missing { on: on.clone(), role: role(), privileges: missing });
        }
    }
}
