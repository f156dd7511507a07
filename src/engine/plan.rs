//! The planner: a function of two values. No clock, no network, no randomness.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;

use super::{Cycle, Desired, Found, Known, Removal, Resource, Verdict, World, order};
use crate::model::Address;

/// What is to be done with one resource. Carries both sides; every display derives from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action<R> {
    Keep,
    Create {
        new: R,
    },
    Update {
        old: R,
        new: R,
    },
    Replace {
        old: R,
        new: R,
        why: String,
    },
    Delete {
        old: R,
    },
    /// We would, but must not; a person decides.
    Hold {
        why: Hold,
    },
}

impl<R> Action<R> {
    pub fn changes_anything(&self) -> bool {
        !matches!(self, Self::Keep | Self::Hold { .. })
    }

    /// Whether something that exists ceases to.
    pub fn destroys(&self) -> bool {
        matches!(self, Self::Delete { .. } | Self::Replace { .. })
    }

    /// What it leads to; for a deletion and a hold, nothing.
    pub fn wanted(&self) -> Option<&R> {
        match self {
            Self::Create { new } | Self::Update { new, .. } | Self::Replace { new, .. } => Some(new),
            Self::Keep | Self::Delete { .. } | Self::Hold { .. } => None,
        }
    }

    /// What it starts from, if that exists.
    pub fn existing(&self) -> Option<&R> {
        match self {
            Self::Update { old, .. } | Self::Replace { old, .. } | Self::Delete { old } => Some(old),
            Self::Keep | Self::Create { .. } | Self::Hold { .. } => None,
        }
    }
}

/// Why a step is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Hold {
    /// It could not be read, so nobody knows whether it is there.
    Unreadable { parent: Address, why: String },
    /// It can be read once this plan's change to its parent is made.
    Later { parent: Address, why: String },
    /// It exists without our mark.
    Foreign,
    /// The change is one we do not make.
    Refused { why: String },
    /// It left the configuration, but bears data.
    Undeclared { why: String },
    /// What depends on it stays, so it must stay too.
    Needed { by: Address },
    /// What it belongs to is held.
    Parent { parent: Address },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { parent, why } => write!(f, "{parent} could not be read: {why}"),
            Self::Later { parent, why } => {
                write!(f, "known after {parent} is changed ({why}); then plan again")
            }
            Self::Foreign => {
                f.write_str("exists, but does not carry our mark; it is left alone until it is adopted")
            }
            Self::Refused { why } | Self::Undeclared { why } => f.write_str(why),
            Self::Needed { by } => write!(f, "{by} stays and needs it"),
            Self::Parent { parent } => write!(f, "{parent} is held"),
        }
    }
}

/// One resource's part of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step<R> {
    pub address: Address,
    pub action: Action<R>,
    /// Steps of this plan that must end well first.
    pub after: BTreeSet<Address>,
    /// What exists is marked as not to be destroyed unnamed.
    pub protected: bool,
}

/// Steps in an order that is safe to run. Carries all that apply needs, so that apply decides nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan<R> {
    pub steps: Vec<Step<R>>,
    /// What exists without our mark and is not declared: reported, never touched.
    pub unmanaged: BTreeSet<Address>,
    /// How many resources exist and are ours; the measure for mass-change guards.
    pub existing: usize,
    /// What reading has told of values that cross resources.
    #[serde(skip)]
    pub known: Known,
}

impl<R> Plan<R> {
    /// No step changes anything (something may be held).
    pub fn is_empty(&self) -> bool {
        !self.steps.iter().any(|step| step.action.changes_anything())
    }

    /// Something could not be read, so the plan does not tell the whole story.
    pub fn is_complete(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.action, Action::Hold { why: Hold::Unreadable { .. } }))
    }
}

/// Compares what is declared with what exists.
///
/// # Errors
/// When resources depend on each other in a circle.
pub fn plan<R: Resource>(desired: &Desired<R>, world: &World<R>) -> Result<Plan<R>, Cycle> {
    let parents = |r: &R| r.depends_on().into_iter().collect::<BTreeSet<_>>();
    let wanted = order::sort(&desired.resources.iter().map(|(a, r)| (a.clone(), parents(r))).collect())?;

    let mut known = world.known();
    let mut decided: BTreeMap<Address, Action<R>> = BTreeMap::new();
    // Parents first, so that a replaced parent takes its outputs with it and a held one its children.
    for address in wanted {
        let Some(mut new) = desired.resources.get(&address).cloned() else { continue };
        new.bind(&known);
        let action = decide(new, world.found.get(&address), world, &decided);
        if matches!(action, Action::Replace { .. }) {
            known.remove(&address);
        }
        decided.insert(address, action);
    }
    decide_removals(desired, world, &mut decided);

    let mut waits_for = waits_for(desired, world, &decided);
    let steps = order::sort(&waits_for)?
        .into_iter()
        .filter_map(|address| {
            let action = decided.remove(&address)?;
            let after = waits_for.remove(&address)?;
            let protected = world.found.get(&address).is_some_and(|found| found.protected);
            Some(Step { address, action, after, protected })
        })
        .collect();
    let undeclared = world.found.iter().filter(|(address, _)| !desired.resources.contains_key(*address));
    Ok(Plan {
        steps,
        unmanaged: undeclared.filter(|(_, found)| !found.owned).map(|(address, _)| address.clone()).collect(),
        existing: world.found.values().filter(|found| found.owned).count(),
        known,
    })
}

/// What to do with what is declared.
fn decide<R: Resource>(
    new: R,
    found: Option<&Found<R>>,
    world: &World<R>,
    decided: &BTreeMap<Address, Action<R>>,
) -> Action<R> {
    let Some(found) = found else {
        let parents = new.depends_on();
        if let Some(parent) = parents.iter().find(|parent| world.unreadable.contains_key(*parent)) {
            let (parent, why) = (parent.clone(), world.unreadable[parent].clone());
            let changes = decided.get(&parent).is_some_and(Action::changes_anything);
            let why = if changes { Hold::Later { parent, why } } else { Hold::Unreadable { parent, why } };
            return Action::Hold { why };
        }
        let held = |parent: &&Address| matches!(decided.get(*parent), Some(Action::Hold { .. }));
        return match parents.iter().find(held) {
            Some(parent) => Action::Hold { why: Hold::Parent { parent: parent.clone() } },
            None => Action::Create { new },
        };
    };
    if !found.owned {
        return Action::Hold { why: Hold::Foreign };
    }
    if new == found.resource {
        return Action::Keep;
    }
    let old = found.resource.clone();
    match new.verdict(&old) {
        Verdict::InPlace => Action::Update { old, new },
        Verdict::Replace(why) => Action::Replace { old, new, why },
        Verdict::Refuse(why) => Action::Hold { why: Hold::Refused { why } },
    }
}

/// What to do with what is ours and declared no more.
fn decide_removals<R: Resource>(
    desired: &Desired<R>,
    world: &World<R>,
    decided: &mut BTreeMap<Address, Action<R>>,
) {
    let gone: BTreeMap<&Address, &Found<R>> = world
        .found
        .iter()
        .filter(|(address, found)| found.owned && !desired.resources.contains_key(*address))
        .collect();
    for (address, found) in &gone {
        let old = found.resource.clone();
        let action = match old.removal() {
            _ if desired.removed.contains(*address) => Action::Delete { old },
            Removal::Delete => Action::Delete { old },
            Removal::Declared(why) => Action::Hold { why: Hold::Undeclared { why } },
            Removal::Implied => Action::Keep,
        };
        decided.insert((*address).clone(), action);
    }
    // What is needed by something that stays, stays; and so do its own parents.
    let mut staying: Vec<(Address, Vec<Address>)> = decided
        .iter()
        .filter(|(_, action)| !matches!(action, Action::Delete { .. }))
        .map(|(address, action)| {
            let found = world.found.get(address).map(|found| found.resource.depends_on());
            // A held thing stays as it is, any other becomes what is declared.
            let held = matches!(action, Action::Hold { .. } | Action::Keep);
            let declared = desired.resources.get(address).filter(|_| !held).map(Resource::depends_on);
            (address.clone(), declared.or(found).unwrap_or_default())
        })
        .collect();
    while let Some((by, parents)) = staying.pop() {
        for parent in parents {
            if matches!(decided.get(&parent), Some(Action::Delete { .. })) {
                if let Some(found) = world.found.get(&parent) {
                    staying.push((parent.clone(), found.resource.depends_on()));
                }
                decided.insert(parent, Action::Hold { why: Hold::Needed { by: by.clone() } });
            }
        }
    }
}

/// A child is made after its parent and removed before it; what lets go of a parent does so before that goes.
fn waits_for<R: Resource>(
    desired: &Desired<R>,
    world: &World<R>,
    decided: &BTreeMap<Address, Action<R>>,
) -> BTreeMap<Address, BTreeSet<Address>> {
    let mut waits_for: BTreeMap<Address, BTreeSet<Address>> =
        decided.keys().map(|address| (address.clone(), BTreeSet::new())).collect();
    for (address, action) in decided {
        let old = world.found.get(address).map(|found| &found.resource);
        let new = desired.resources.get(address);
        for parent in old.into_iter().flat_map(Resource::depends_on) {
            if matches!(decided.get(&parent), Some(Action::Delete { .. }))
                && let Some(earlier) = waits_for.get_mut(&parent)
            {
                earlier.insert(address.clone());
            }
        }
        if !matches!(action, Action::Delete { .. }) {
            for parent in new.or(old).into_iter().flat_map(Resource::depends_on) {
                let known = decided.get(&parent).is_some_and(|a| !matches!(a, Action::Delete { .. }));
                if known && let Some(earlier) = waits_for.get_mut(address) {
                    earlier.insert(parent);
                }
            }
        }
    }
    waits_for
}
