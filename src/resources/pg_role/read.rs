//! How roles are found: attributes, memberships with who made them, settings, and traces in databases.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        facts::Facts,
        sql::{Ours, Project, admin_roles, is_system_role, mark, settings},
    },
    Membership, PgRole, Trace,
};
use crate::{
    engine::{Found, Outputs},
    model::{Address, mark::Subject, names::IAM},
    providers::postgres::{ADMIN, Catalog, MAINTENANCE, Member, Oid, Role},
};

impl Project for PgRole {
    fn project(catalog: &Catalog, by: Ours<'_>) -> Vec<(Address, Found<Self>)> {
        let Ours { environment, .. } = by;
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
        let traces = traces(catalog, by);
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

fn traces(catalog: &Catalog, Ours { environment, names }: Ours<'_>) -> BTreeMap<Oid, Traces> {
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
            Some(Subject::Service(name)) => names.roles(&name).owner,
            Some(Subject::Shared(_)) => names.shared_owner(),
            _ => catalog.role(entry.owner),
        };
        let heir = Some(owner).filter(|owner| admin_roles.contains(owner) && *owner != catalog.role(*role));
        let trace = Trace { heir, closed: ours && !entry.connectable };
        traces.entry(*role).or_default().insert(entry.name.clone(), trace);
    }
    traces
}
