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

    /// Whether time decides on it, and nobody by name.
    pub fn time_driven(&self) -> bool
    where
        R: Resource,
    {
        self.wanted().or(self.existing()).is_some_and(R::time_driven)
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
    /// It exists with the mark of another environment.
    OtherEnvironment { environment: String },
    /// The change is one we do not make.
    Refused { why: String },
    /// It left the configuration, but bears data.
    Undeclared { why: String },
    /// What depends on it stays, so it must stay too.
    Needed { by: Address },
    /// What it belongs to is held.
    Parent { parent: Address },
}

impl Hold {
    /// Stable name for scripts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::Later { .. } => "later",
            Self::Foreign | Self::OtherEnvironment { .. } => "foreign",
            Self::Refused { .. } => "refused",
            Self::Undeclared { .. } => "undeclared",
            Self::Needed { .. } => "needed",
            Self::Parent { .. } => "parent",
        }
    }

    /// Whether what is declared upon it must wait. What is there as it was (because nobody declares it any more, or
    /// because the change to it is one we do not make) is in nobody's way: a revocation must not wait for it.
    pub fn blocks(&self) -> bool {
        !matches!(self, Self::Undeclared { .. } | Self::Needed { .. } | Self::Refused { .. })
    }
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
            Self::OtherEnvironment { environment } => {
                write!(f, "belongs to environment {environment}, whose mark it carries; it is left alone")
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
    /// What exists without our mark and is not declared: reported, never touched. Not what has no existence of its own.
    pub unmanaged: BTreeSet<Address>,
    /// What is to be known of things of ours, whether or not anything changes on them.
    pub notes: Vec<(Address, String)>,
    /// How many resources exist and are ours, but for those that time decides on; the measure for mass-change guards.
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
        let found = world.found.get(&address);
        if let Some(found) = found.filter(|found| found.owned) {
            new.adopt(&found.resource);
        }
        // That a value is known does not make the thing ours that it is of.
        let rests_on = new.depends_on();
        new.bind(&known);
        let action = decide(new, &rests_on, found, world, &decided);
        if matches!(action, Action::Replace { .. }) {
            known.remove(&address);
        }
        decided.insert(address, action);
    }
    let implied = decide_removals(desired, world, &mut decided);
    hold_unseen(desired, world, &mut decided);

    let (steps, order) = waits_for(desired, world, &decided, &implied)?;
    let steps = in_order(order, steps, world, decided);
    let undeclared = world.found.iter().filter(|(address, _)| !desired.resources.contains_key(*address));
    Ok(Plan {
        steps,
        unmanaged: undeclared
            .filter(|(_, found)| !found.owned && found.resource.removal() != Removal::Implied)
            .map(|(address, _)| address.clone())
            .collect(),
        notes: (world.found.iter().filter(|(_, found)| found.owned))
            .flat_map(|(address, found)| {
                found.resource.notes().into_iter().map(move |note| (address.clone(), note))
            })
            .collect(),
        existing: world.found.values().filter(|found| found.owned && !found.resource.time_driven()).count(),
        known,
    })
}

/// What to do with what is declared. `rests_on` has also the parents whose values are known: they need not be readable,
/// but must not be held.
fn decide<R: Resource>(
    new: R,
    rests_on: &[Address],
    found: Option<&Found<R>>,
    world: &World<R>,
    decided: &BTreeMap<Address, Action<R>>,
) -> Action<R> {
    let Some(found) = found else {
        let awaited = new.depends_on();
        if let Some(parent) = awaited.iter().find(|parent| world.unreadable.contains_key(*parent)) {
            let (parent, why) = (parent.clone(), world.unreadable[parent].clone());
            let changes = decided.get(&parent).is_some_and(Action::changes_anything);
            let why = if changes { Hold::Later { parent, why } } else { Hold::Unreadable { parent, why } };
            return Action::Hold { why };
        }
        return held_parent(rests_on, decided).unwrap_or(Action::Create { new });
    };
    if !found.owned {
        let other = found.resource.environment().map(str::to_owned);
        let why = other.map_or(Hold::Foreign, |environment| Hold::OtherEnvironment { environment });
        return Action::Hold { why };
    }
    if new == found.resource {
        return Action::Keep;
    }
    let old = found.resource.clone();
    let action = match new.verdict(&old) {
        Verdict::InPlace => Action::Update { old, new },
        Verdict::Replace(why) => Action::Replace { old, new, why },
        Verdict::Refuse(why) => return Action::Hold { why: Hold::Refused { why } },
    };
    // Apply would skip it, so the plan must not promise it.
    held_parent(rests_on, decided).unwrap_or(action)
}

fn held_parent<R>(parents: &[Address], decided: &BTreeMap<Address, Action<R>>) -> Option<Action<R>> {
    let blocks =
        |parent: &&Address| matches!(decided.get(*parent), Some(Action::Hold { why }) if why.blocks());
    let parent = parents.iter().find(blocks)?.clone();
    Some(Action::Hold { why: Hold::Parent { parent } })
}

/// What to do with what is ours and declared no more. Answers with what goes, or may go, without a step of its own.
fn decide_removals<R: Resource>(
    desired: &Desired<R>,
    world: &World<R>,
    decided: &mut BTreeMap<Address, Action<R>>,
) -> BTreeSet<Address> {
    let mut implied = BTreeSet::new();
    for (address, found) in &world.found {
        if !found.owned || desired.resources.contains_key(address) {
            continue;
        }
        let old = found.resource.clone();
        let action = match old.removal() {
            _ if desired.removed.contains(address) => Action::Delete { old },
            Removal::Delete => Action::Delete { old },
            Removal::Declared(why) => Action::Hold { why: Hold::Undeclared { why } },
            Removal::Implied => {
                implied.insert(address.clone());
                Action::Keep
            }
        };
        decided.insert(address.clone(), action);
    }
    // What is needed by something that stays, stays; and so do its own parents.
    let mut staying: Vec<(Address, Vec<Address>)> = decided
        .iter()
        .filter(|(address, action)| !matches!(action, Action::Delete { .. }) && !implied.contains(*address))
        .map(|(address, action)| {
            let found = world.found.get(address).map(|found| found.resource.depends_on());
            let declared = desired.resources.get(address).map(Resource::depends_on);
            // A held thing stays as it is, any other becomes what is declared.
            let held = matches!(action, Action::Hold { .. } | Action::Keep);
            let parents = if held { found.or(declared) } else { declared.or(found) };
            (address.clone(), parents.unwrap_or_default())
        })
        .collect();
    while let Some((by, parents)) = staying.pop() {
        for parent in parents {
            let deleted = matches!(decided.get(&parent), Some(Action::Delete { .. }));
            if !deleted && !implied.remove(&parent) {
                continue;
            }
            if let Some(found) = world.found.get(&parent) {
                staying.push((parent.clone(), found.resource.depends_on()));
            }
            if deleted {
                decided.insert(parent, Action::Hold { why: Hold::Needed { by: by.clone() } });
            }
        }
    }
    implied
}

/// Where nothing is declared on a parent that could not be read, what is to go from it would go unsaid.
fn hold_unseen<R>(desired: &Desired<R>, world: &World<R>, decided: &mut BTreeMap<Address, Action<R>>) {
    for parent in &desired.looked_at {
        let Some(why) = world.unreadable.get(parent) else { continue };
        let said = decided.values().any(|action| {
            matches!(action, Action::Hold { why: Hold::Unreadable { parent: held, .. } } if held == parent)
        });
        if !said {
            let why = Hold::Unreadable { parent: parent.clone(), why: why.clone() };
            decided.insert(parent.clone(), Action::Hold { why });
        }
    }
}

type WaitsFor = BTreeMap<Address, BTreeSet<Address>>;

/// A child is made after its parent and removed before it; what lets go of a parent does so before that goes.
/// Answers with that and an order that respects it.
fn waits_for<R: Resource>(
    desired: &Desired<R>,
    world: &World<R>,
    decided: &BTreeMap<Address, Action<R>>,
    implied: &BTreeSet<Address>,
) -> Result<(WaitsFor, Vec<Address>), Cycle> {
    let deleted = |address: &Address| matches!(decided.get(address), Some(Action::Delete { .. }));
    let goes = |address: &Address| deleted(address) || implied.contains(address);
    let mut waits_for: WaitsFor = decided.keys().map(|address| (address.clone(), BTreeSet::new())).collect();
    let mut replaced = Vec::new();
    for address in decided.keys() {
        let old = world.found.get(address).map(|found| &found.resource);
        let new = desired.resources.get(address);
        for parent in old.into_iter().flat_map(Resource::depends_on) {
            if goes(&parent)
                && let Some(earlier) = waits_for.get_mut(&parent)
            {
                earlier.insert(address.clone());
            }
            if deleted(address) && matches!(decided.get(&parent), Some(Action::Replace { .. })) {
                replaced.push((parent, address.clone()));
            }
        }
        // What time takes away goes when its successor is there.
        if deleted(address)
            && let Some(old) = old.filter(|old| old.time_driven())
        {
            let successors =
                old.depends_on().into_iter().filter(|parent| decided.contains_key(parent) && !goes(parent));
            waits_for.entry(address.clone()).or_default().extend(successors);
        }
        if !goes(address) {
            for parent in new.or(old).into_iter().flat_map(Resource::depends_on) {
                if decided.contains_key(&parent)
                    && !goes(&parent)
                    && let Some(earlier) = waits_for.get_mut(address)
                {
                    earlier.insert(parent);
                }
            }
        }
    }
    // To be replaced is to go for a moment, so deleted children go first: unless they in turn wait for something that
    // needs the replacement, for which there is no right order.
    let mut strict = waits_for.clone();
    for (parent, child) in replaced {
        strict.entry(parent).or_default().insert(child);
    }
    if let Ok(order) = order::sort(&strict) {
        return Ok((strict, order));
    }
    let order = order::sort(&waits_for)?;
    Ok((waits_for, order))
}

/// Makes the steps. What stands behind a step that changes nothing is waited for by what stands before it.
fn in_order<R>(
    order: Vec<Address>,
    mut waits_for: WaitsFor,
    world: &World<R>,
    mut decided: BTreeMap<Address, Action<R>>,
) -> Vec<Step<R>> {
    let mut behind: WaitsFor = BTreeMap::new();
    let mut steps = Vec::with_capacity(order.len());
    for address in order {
        let (Some(action), Some(mut after)) = (decided.remove(&address), waits_for.remove(&address)) else {
            continue;
        };
        let further: Vec<Address> =
            after.iter().filter_map(|parent| behind.get(parent)).flatten().cloned().collect();
        after.extend(further);
        if !action.changes_anything() {
            let changing = after.iter().filter(|parent| !behind.contains_key(*parent)).cloned().collect();
            behind.insert(address.clone(), changing);
        }
        let protected = world.found.get(&address).is_some_and(|found| found.protected);
        steps.push(Step { address, action, after, protected });
    }
    steps
}
