//! What Postgres' kinds say of access, on whichever side they stand.

use std::collections::BTreeSet;

use super::{
    OWNER,
    side::{Grant, Role, Side},
    who,
};
use crate::{
    model::{
        access_matrix::{By, Level, Place, System, Who, WhoKind},
        mark::Subject,
        names::IAM,
    },
    providers::postgres::{ADMIN, PLANNER, PUBLIC},
    resources::{
        pg_access::{Class, Deviation, Kind, Objects, PgAccess},
        pg_database::{PgDatabase, State},
        pg_role::{Membership, PgRole},
        pg_schema::PgSchema,
    },
};

fn role(cluster: &str, name: &str) -> Role {
    Role { system: System::Postgres, cluster: cluster.into(), name: name.into() }
}

fn place(cluster: &str, database: &str, schema: Option<&str>, service: Option<&str>) -> Place {
    Place {
        system: System::Postgres,
        cluster: cluster.into(),
        database: database.into(),
        schema: schema.map(Into::into),
        service: service.map(Into::into),
    }
}

fn grant(on: impl Into<String>, privileges: impl IntoIterator<Item = String>, level: Level) -> Grant {
    Grant { on: on.into(), privileges: privileges.into_iter().collect(), level }
}

/// How a membership gives the role's rights; `None`: not at all.
fn by(membership: Membership) -> Option<By> {
    match membership {
        Membership { inherit: true, .. } => Some(By::Inherits),
        Membership { set: true, .. } => Some(By::Becomes),
        Membership { admin: true, .. } => Some(By::Grants),
        Membership { .. } => None,
    }
}

impl Side {
    pub(super) fn pg_role(&mut self, found: &PgRole, environment: &str) {
        let itself = role(&found.cluster, &found.name);
        if found.login {
            let ours = found.mark.as_ref().filter(|mark| mark.environment == environment);
            self.logins.insert(itself.clone(), who(ours.map(|mark| &mark.subject), &found.name));
        }
        for (of, membership) in found.member_of.iter().filter(|(of, _)| *of != IAM) {
            if let Some(by) = by(*membership) {
                self.member(&itself, of, by);
            }
        }
        // Of members that are not ours only that they are is known.
        for member in &found.other_members {
            self.member(&role(&found.cluster, member), &found.name, By::Inherits);
        }
        if found.admin_is_member {
            self.member(&role(&found.cluster, ADMIN), &found.name, By::Becomes);
        }
        for login in [ADMIN, PLANNER] {
            let who = Who { kind: WhoKind::Infra, name: login.into(), login: login.into() };
            self.logins.insert(role(&found.cluster, login), who);
        }
        // Roles of Postgres and of RDS, such as `pg_read_all_data`, and attributes such as `BYPASSRLS` reach everywhere.
        let built_in = found
            .member_of
            .keys()
            .filter(|of| *of != IAM && (of.starts_with("pg_") || of.starts_with("rds")));
        for everywhere in found.attributes.iter().filter(|name| *name != "CREATEDB").chain(built_in) {
            let whole = place(&found.cluster, "", None, None);
            self.places.insert(whole.clone());
            self.grant(itself.clone(), &whole, grant("all databases", [everywhere.clone()], Level::Some));
        }
    }

    pub(super) fn pg_database(&mut self, found: &PgDatabase) {
        if found.state != State::Active {
            return;
        }
        let service = found.mark.as_ref().and_then(|mark| match &mark.subject {
            Subject::Service(name) => Some(name.as_str()),
            _ => None,
        });
        let here = place(&found.cluster, &found.name, None, service);
        self.places.insert(here.clone());
        let on = format!("database {}", found.name);
        self.grant(role(&found.cluster, &found.owner), &here, grant(&on, [OWNER.into()], Level::Owns));
        self.on_database(&found.cluster, &here, &found.grants);
    }

    fn on_database(&mut self, cluster: &str, here: &Place, grants: &crate::resources::Grants) {
        let on = format!("database {}", here.database);
        for (name, privileges) in grants {
            let level = if privileges.iter().any(|p| p.trim_end_matches('*') == "CONNECT") {
                Level::Connects
            } else {
                Level::None
            };
            self.grant(role(cluster, name), here, grant(&on, privileges.clone(), level));
        }
    }

    pub(super) fn pg_schema(&mut self, found: &PgSchema, shared: bool) {
        if found.state == State::Active && shared {
            let here = place(&found.cluster, &found.database, Some(&found.name), Some(&found.name));
            self.places.insert(here.clone());
            let on = format!("schema {}", found.name);
            self.grant(role(&found.cluster, &found.owner), &here, grant(on, [OWNER.into()], Level::Owns));
        }
    }

    pub(super) fn pg_access(&mut self, found: &PgAccess, services: &BTreeSet<String>) {
        let PgAccess { cluster, database, schema, .. } = found;
        let service = services.get(schema.as_ref().unwrap_or(database)).map(String::as_str);
        let here = place(cluster, database, schema.as_deref(), service);
        self.places.insert(here.clone());
        let shared = place(cluster, database, None, None);
        if schema.is_some() {
            self.places.insert(shared.clone());
            self.on_database(cluster, &shared, &found.database_grants);
        }
        if found.writers.is_some() {
            let all = grant("all objects", [OWNER.into()], Level::Owns);
            self.grant(role(cluster, &found.owner), &here, all);
        }
        for class in [Class::Schemas, Class::Tables, Class::Sequences, Class::Functions] {
            let rule = found.rule(class);
            for (name, privileges) in rule.iter().filter(|(name, _)| *name != PUBLIC) {
                let on = format!("all {}", class.word());
                self.grant(
                    role(cluster, name),
                    &here,
                    grant(on, privileges.clone(), level(class, privileges)),
                );
            }
            self.defaults(found, class, &here);
        }
        for name in &found.public_schema {
            let right = grant("schema public", ["USAGE".to_owned()], Level::None);
            self.grant(role(cluster, name), if schema.is_some() { &shared } else { &here }, right);
        }
        for deviation in &found.deviations {
            self.deviation(cluster, &here, deviation);
        }
    }

    /// What becomes of future objects, where that is not the rule.
    fn defaults(&mut self, found: &PgAccess, class: Class, here: &Place) {
        let (rule, none, empty) = (found.rule(class), crate::resources::Grants::new(), BTreeSet::new());
        let actual = found.default_privileges.get(&class).unwrap_or(&none);
        for name in rule.keys().chain(actual.keys()).collect::<BTreeSet<_>>() {
            let (should, does) = (rule.get(name).unwrap_or(&empty), actual.get(name).unwrap_or(&empty));
            let on = format!("future {}", class.word());
            let of = |set: Vec<&String>| set.into_iter().cloned().collect::<BTreeSet<String>>();
            let (more, less) = (of(does.difference(should).collect()), of(should.difference(does).collect()));
            if !more.is_empty() {
                self.grant(role(&found.cluster, name), here, grant(&on, more, Level::Some));
            }
            if !less.is_empty() {
                self.lack(role(&found.cluster, name), here, grant(&on, less, Level::None));
            }
        }
    }

    fn deviation(&mut self, cluster: &str, here: &Place, deviation: &Deviation) {
        let each = |on: &Objects, what: &dyn Fn(&str) -> Grant| -> Vec<Grant> {
            on.labels().iter().map(|label| what(label)).collect()
        };
        let (name, grants) = match deviation {
            Deviation::Extra { on, role, privileges } => {
                (role, each(on, &|label| grant(label, privileges.clone(), weight(on.kind))))
            }
            Deviation::GrantOption { on, role, privileges } => {
                let starred = || privileges.iter().map(|privilege| format!("{privilege}*"));
                (role, each(on, &|label| grant(label, starred(), Level::Some)))
            }
            Deviation::ExtraOnColumn { on, column, role, privileges } => (
                role,
                each(on, &|label| {
                    grant(format!("column {column} of {label}"), privileges.clone(), Level::Some)
                }),
            ),
            Deviation::Owner { on, owner } => {
                (owner, each(on, &|label| grant(label, [OWNER.to_owned()], Level::Some)))
            }
            Deviation::DefaultPrivileges { by, schema, class, role, privileges } => {
                let inside = schema.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
                let on = format!("future {} of {by}{inside}", class.word());
                (role, vec![grant(on, privileges.clone(), Level::Some)])
            }
            Deviation::Missing { on, role: name, privileges } => {
                for lacking in each(on, &|label| grant(label, privileges.clone(), Level::None)) {
                    self.lack(role(cluster, name), here, lacking);
                }
                return;
            }
        };
        for one in grants {
            self.grant(role(cluster, name), here, one);
        }
    }
}

fn level(class: Class, privileges: &BTreeSet<String>) -> Level {
    let has = |name: &str| privileges.iter().any(|p| p.trim_end_matches('*') == name);
    match class {
        Class::Tables if has("INSERT") || has("UPDATE") || has("DELETE") => Level::Writes,
        Class::Tables if has("SELECT") => Level::Reads,
        _ => Level::None,
    }
}

/// To see that a schema is there is no access to what is in it.
fn weight(kind: Kind) -> Level {
    if kind == Kind::Type { Level::None } else { Level::Some }
}
