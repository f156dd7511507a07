//! One side of the comparison: who is a member of what, and what was granted to whom, be it declared or found.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    model::access_matrix::{By, Level, Membership, Place, Right, Rights, System, Who},
    providers::postgres::PUBLIC,
};

/// A role or a user of one cluster or replica set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Role {
    pub(super) system: System,
    pub(super) cluster: String,
    pub(super) name: String,
}

/// Something that a role was granted, or lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    pub(super) on: String,
    pub(super) privileges: BTreeSet<String>,
    /// What it comes to.
    pub(super) level: Level,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    pub(super) logins: BTreeMap<Role, Who>,
    pub(super) places: BTreeSet<Place>,
    members: BTreeMap<Role, BTreeMap<String, By>>,
    granted: BTreeMap<Role, BTreeMap<Place, BTreeSet<Grant>>>,
    lacking: BTreeMap<Role, BTreeMap<Place, BTreeSet<Grant>>>,
}

/// What a login holds at a place, and what it should but does not.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) rights: Rights,
    pub(super) lacks: Vec<Right>,
}

impl Side {
    pub(super) fn member(&mut self, role: &Role, of: &str, by: By) {
        self.members.entry(role.clone()).or_default().insert(of.into(), by);
    }

    pub(super) fn grant(&mut self, role: Role, place: &Place, grant: Grant) {
        self.granted.entry(role).or_default().entry(place.clone()).or_default().insert(grant);
    }

    pub(super) fn lack(&mut self, role: Role, place: &Place, grant: Grant) {
        self.lacking.entry(role).or_default().entry(place.clone()).or_default().insert(grant);
    }

    /// Roles that were granted something and that nobody has told of, as `infra_planner` when it is not to have it.
    pub(super) fn strangers(&self) -> BTreeSet<Role> {
        let known: BTreeSet<&Role> = self.logins.keys().chain(self.members.keys()).collect();
        let groups: BTreeSet<(System, &str, &str)> = (self.members.iter())
            .flat_map(|(role, of)| of.keys().map(|of| (role.system, role.cluster.as_str(), of.as_str())))
            .collect();
        let unknown = self.granted.keys().filter(|role| {
            !known.contains(role) && !groups.contains(&(role.system, &role.cluster, &role.name))
        });
        unknown.filter(|role| role.name != PUBLIC).cloned().collect()
    }

    /// Every role that a login can act as, by the shortest chain.
    fn reached(&self, login: &Role) -> Vec<(Role, Vec<Membership>)> {
        let itself = Membership { role: login.name.clone(), by: By::Itself };
        let mut seen = BTreeSet::from([login.name.clone()]);
        let mut queue = VecDeque::from([(login.clone(), vec![itself])]);
        let mut all = Vec::new();
        let next = |from: &Role| {
            let declared = self.members.get(from).into_iter().flatten();
            let everybody = (from.system == System::Postgres).then(|| (PUBLIC.to_owned(), By::Public));
            declared.map(|(name, by)| (name.clone(), *by)).chain(everybody).collect::<Vec<_>>()
        };
        while let Some((role, chain)) = queue.pop_front() {
            for (name, by) in next(&role) {
                // Everybody is everybody by himself already, not by way of a group.
                if (by == By::Public && chain.len() > 1) || !seen.insert(name.clone()) {
                    continue;
                }
                let mut longer = chain.clone();
                longer.push(Membership { role: name.clone(), by });
                queue.push_back((Role { name, ..role.clone() }, longer));
            }
            all.push((role, chain));
        }
        all
    }

    /// What a login may do, by place; places where it may nothing are left out.
    pub(super) fn held(&self, login: &Role) -> BTreeMap<Place, Held> {
        let mut all: BTreeMap<Place, Held> = BTreeMap::new();
        let right = |grant: &Grant, chain: &[Membership]| Right {
            on: grant.on.clone(),
            privileges: grant.privileges.clone(),
            through: chain.to_vec(),
        };
        for (role, chain) in self.reached(login) {
            for (place, grants) in self.granted.get(&role).into_iter().flatten() {
                let held = all.entry(place.clone()).or_default();
                for grant in grants {
                    held.rights.level = held.rights.level.max(grant.level);
                    held.rights.rights.push(right(grant, &chain));
                }
            }
            for (place, grants) in self.lacking.get(&role).into_iter().flatten() {
                let held = all.entry(place.clone()).or_default();
                held.lacks.extend(grants.iter().map(|grant| right(grant, &chain)));
            }
        }
        let open: BTreeSet<Place> =
            all.iter().filter(|(_, held)| held.lets_in()).map(|(place, _)| place.clone()).collect();
        for (place, held) in &mut all {
            let door = Place { schema: None, service: None, ..place.clone() };
            let is_in = place.system == System::Mongodb
                || place.database.is_empty()
                || held.rights.level == Level::Owns
                || open.contains(place)
                || open.iter().any(|open| Place { service: None, ..open.clone() } == door);
            if !is_in {
                // Who is not let in has nothing of what everybody has, and what is his own is worth nothing.
                held.rights.rights.retain(|right| right.through.last().is_none_or(|l| l.by != By::Public));
                held.rights.level = Level::None;
            }
            held.rights.rights.sort();
        }
        all.retain(|_, held| !held.rights.rights.is_empty() || !held.lacks.is_empty());
        all
    }
}

impl Held {
    fn lets_in(&self) -> bool {
        let connect = |right: &Right| {
            right.on.starts_with("database ")
                && right.privileges.iter().any(|p| p.trim_end_matches('*') == "CONNECT" || p == super::OWNER)
        };
        self.rights.rights.iter().any(connect)
    }
}
