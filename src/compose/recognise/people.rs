//! People, and the groups by which they get at services.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cluster, Remark, naming::Convention, shape::Shape, words::key};
use crate::{
    model::{
        environment::{Access, DeveloperGroup, Environment, Person, ServiceSelection},
        names::IAM,
    },
    resources::pg_role::PgRole,
};

/// Groups and people, by the names of their roles.
#[derive(Debug, Default)]
pub(super) struct Found {
    groups: BTreeMap<String, Group>,
    people: BTreeMap<String, Login>,
}

#[derive(Debug)]
struct Group {
    access: Access,
    /// Names in the YAML.
    services: BTreeSet<String>,
}

#[derive(Debug)]
struct Login {
    groups: BTreeSet<String>,
    limit: i32,
}

/// What a group of a service is for.
type Standing<'a> = (&'a str, Access);

pub(super) fn all(clusters: &[Cluster], shapes: &[Shape], remarks: &mut BTreeSet<Remark>) -> Found {
    let mut found = Found::default();
    let mut mixed = BTreeSet::new();
    for cluster in clusters {
        let here = || shapes.iter().filter(|shape| shape.cluster == cluster.name);
        let of_services: BTreeSet<&String> = here().flat_map(|shape| shape.names.values()).collect();
        let mut standings: BTreeMap<&String, Standing<'_>> = BTreeMap::new();
        for shape in here() {
            for (key, access) in [("read_write", Access::ReadWrite), ("read_only", Access::ReadOnly)] {
                standings.extend(shape.name(key).map(|role| (role, (shape.service.as_str(), access))));
            }
        }
        let others = cluster.roles.values().filter(|role| !of_services.contains(&role.name));
        let (logins, groups): (Vec<&PgRole>, Vec<&PgRole>) = others.partition(|role| role.login);
        for role in groups {
            let of: Vec<Option<&Standing<'_>>> = role.member_of.keys().map(|of| standings.get(of)).collect();
            if of.is_empty() {
                continue;
            }
            let known: Option<Vec<&Standing<'_>>> = of.into_iter().collect();
            let accesses: BTreeSet<Access> = known.iter().flatten().map(|(_, access)| *access).collect();
            let access = accesses.first().copied().filter(|_| known.is_some() && accesses.len() == 1);
            let same =
                |access: &Access| found.groups.get(&role.name).is_none_or(|group| group.access == *access);
            let Some(access) = access.filter(same) else {
                let why = "a group of people writes or reads services, all of them alike; this one is a member of other roles, \
                           or writes some and reads others";
                remarks.insert(Remark::of(&PgRole::address(&cluster.name, &role.name), why));
                mixed.insert(role.name.clone());
                continue;
            };
            let group = found.groups.entry(role.name.clone());
            let group = group.or_insert_with(|| Group { access, services: BTreeSet::new() });
            group.services.extend(known.into_iter().flatten().map(|(service, _)| (*service).to_owned()));
        }
        found.groups.retain(|name, _| !mixed.contains(name));
        for role in logins {
            let of: BTreeSet<String> = role.member_of.keys().filter(|of| *of != IAM).cloned().collect();
            let in_groups = !of.is_empty() && of.iter().all(|of| found.groups.contains_key(of));
            if in_groups {
                let login = found.people.entry(role.name.clone());
                let login =
                    login.or_insert_with(|| Login { groups: BTreeSet::new(), limit: role.connection_limit });
                login.groups.extend(of);
            }
        }
    }
    found
}

impl Found {
    pub(super) fn any_person(&self) -> bool {
        !self.people.is_empty()
    }

    pub(super) fn any_group(&self) -> bool {
        !self.groups.is_empty()
    }

    pub(super) fn limits(&self) -> impl Iterator<Item = i32> {
        self.people.values().map(|login| login.limit)
    }

    /// What stands before and behind the names of people, and of groups. No group may be named as a person is.
    pub(super) fn affixes(&self) -> ((String, String), (String, String)) {
        let people = affixes(self.people.keys());
        let groups = affixes(self.groups.keys());
        let bare = |names: BTreeSet<&String>, (before, behind): &(String, String)| -> BTreeSet<String> {
            names.into_iter().map(|name| name[before.len()..name.len() - behind.len()].to_owned()).collect()
        };
        let one = bare(self.people.keys().collect(), &people);
        if bare(self.groups.keys().collect(), &groups).is_disjoint(&one) {
            return (people, groups);
        }
        (people, <(String, String)>::default())
    }
}

/// The longest beginning and the longest end that all have, up to a word's end, so that something is left of each. Of a
/// single one, only what is usual.
fn affixes<'a>(names: impl Iterator<Item = &'a String> + Clone) -> (String, String) {
    let all: Vec<&str> = names.map(String::as_str).collect();
    let fits = |before: &str, behind: &str| {
        all.iter().all(|name| {
            let rest = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
            rest.is_some_and(|rest| rest == key(rest, "") && !rest.is_empty())
        })
    };
    let Some(first) = all.first() else { return Default::default() };
    let usual = ["dev_", "dev-", "user_", "user-", "people_", "group_", "grp_", "team_", "team-"];
    let cuts = first.char_indices().filter(|(_, c)| "_-.".contains(*c)).map(|(at, _)| &first[..=at]);
    let mut befores: Vec<&str> = cuts.collect();
    befores.reverse();
    // What a single one begins with says little, unless it cannot be part of a name in the YAML.
    if all.len() == 1 {
        let usual = usual.into_iter().filter(|usual| first.starts_with(usual)).chain([""]);
        befores = usual.chain(befores).collect();
    } else {
        befores.push("");
    }
    let before = befores.into_iter().find(|before| fits(before, "")).unwrap_or_default();
    let behinds = first.char_indices().filter(|(_, c)| "_-.".contains(*c)).map(|(at, _)| &first[at..]);
    let behind = behinds.filter(|_| all.len() > 1).find(|behind| fits(before, behind)).unwrap_or_default();
    (before.to_owned(), behind.to_owned())
}

/// People and groups as the YAML has them. Who does not follow the templates is in neither.
pub(super) fn declared(
    found: &Found,
    taken_roles: &BTreeSet<String>,
    shapes: &[Shape],
    environment: &Environment,
    convention: &Convention,
) -> (BTreeMap<String, Person>, BTreeMap<String, DeveloperGroup>) {
    let bare = |name: &str, (before, behind): &(String, String)| -> Option<String> {
        let rest = name.strip_prefix(before.as_str())?.strip_suffix(behind.as_str())?;
        (!rest.is_empty() && rest == key(rest, "")).then(|| rest.to_owned())
    };
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    let mut groups: BTreeMap<String, DeveloperGroup> = BTreeMap::new();
    let known: BTreeSet<&str> = shapes.iter().map(|shape| shape.service.as_str()).collect();
    for (role, group) in found.groups.iter().filter(|(role, _)| !taken_roles.contains(*role)) {
        let Some(name) = bare(role, &convention.group) else { continue };
        if environment.developer_groups.contains_key(&name) || environment.people.contains_key(&name) {
            continue;
        }
        let services = group.services.iter().filter(|service| known.contains(service.as_str()));
        let declared = DeveloperGroup {
            members: Vec::new(),
            services: ServiceSelection::Named(services.cloned().collect()),
            access: (group.access != environment.developers).then_some(group.access),
        };
        groups.insert(name, declared);
    }
    for (role, login) in found.people.iter().filter(|(role, _)| !taken_roles.contains(*role)) {
        let Some(name) = bare(role, &convention.person) else { continue };
        let taken = environment.people.contains_key(&name)
            || environment.developer_groups.contains_key(&name)
            || groups.contains_key(&name);
        let of: Option<Vec<String>> =
            login.groups.iter().map(|group| bare(group, &convention.group)).collect();
        let Some(of) = of.filter(|of| !taken && of.iter().all(|group| groups.contains_key(group))) else {
            continue;
        };
        for group in of {
            if let Some(group) = groups.get_mut(&group) {
                group.members.push(name.clone());
            }
        }
        people.insert(name, Person::default());
    }
    (people, groups)
}
