//! A resource that has everything an engine can meet, and a world in memory that checks every write to it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use serde::Serialize;

use crate::{
    engine::{
        Action, Context, Desired, Error, Event, Found, Known, Late, Output, Outputs, Plan, Removal, Resource,
        Summary, Verdict, World, Write, Written, apply,
    },
    model::Address,
};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Toy {
    pub(super) value: u8,
    /// Cannot be changed without replacement.
    pub(super) fixed: u8,
    /// Cannot be changed at all.
    pub(super) sealed: u8,
    pub(super) parents: Vec<Address>,
    pub(super) link: Option<Late>,
    #[serde(skip)]
    pub(super) unit: Option<String>,
    #[serde(skip)]
    pub(super) removal: Removal,
    #[serde(skip)]
    pub(super) timed: bool,
}

impl Default for Toy {
    fn default() -> Self {
        Self {
            value: 0,
            fixed: 0,
            sealed: 0,
            parents: Vec::new(),
            link: None,
            unit: None,
            removal: Removal::Delete,
            timed: false,
        }
    }
}

impl Resource for Toy {
    fn depends_on(&self) -> Vec<Address> {
        self.parents.clone()
    }

    fn bind(&mut self, known: &Known) {
        if let Some(link) = &mut self.link {
            link.bind(known);
        }
    }

    fn unbound(&self) -> Vec<&Late> {
        self.link.iter().filter(|link| link.known().is_none()).collect()
    }

    fn verdict(&self, before: &Self) -> Verdict {
        if self.sealed != before.sealed {
            Verdict::Refuse("`sealed` cannot be changed".into())
        } else if self.fixed != before.fixed {
            Verdict::Replace("`fixed` cannot be changed in place".into())
        } else {
            Verdict::InPlace
        }
    }

    fn removal(&self) -> Removal {
        self.removal.clone()
    }

    fn unit(&self) -> Option<String> {
        self.unit.clone()
    }

    fn time_driven(&self) -> bool {
        self.timed
    }
}

pub(super) fn toy(name: &str) -> Address {
    Address::new("toy", name)
}

/// A toy that needs others.
pub(super) fn upon(parents: &[&str]) -> Toy {
    Toy { parents: parents.iter().map(|name| toy(name)).collect(), ..Toy::default() }
}

pub(super) fn outputs(id: &str) -> Outputs {
    Outputs::from([(Output::ResourceId, id.to_string())])
}

pub(super) fn found(name: &str, resource: Toy) -> Found<Toy> {
    Found { resource, outputs: outputs(&format!("toy.{name}#0")), owned: true, protected: false }
}

pub(super) fn desired(toys: &[(&str, Toy)]) -> Desired<Toy> {
    let resources = toys.iter().map(|(name, resource)| (toy(name), resource.clone())).collect();
    Desired { resources, ..Desired::default() }
}

pub(super) fn world(toys: &[(&str, Toy)]) -> World<Toy> {
    let found = toys.iter().map(|(name, resource)| (toy(name), found(name, resource.clone()))).collect();
    World { found, ..World::default() }
}

/// How a writer treats the rest of a unit of which one step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// A transaction: nothing of the unit took effect.
    RollBack,
    /// What came before stands; what comes after is not begun.
    Stop,
}

/// The world in memory. Every write is checked against what a real server would insist on.
pub(super) struct Memory {
    pub(super) world: RefCell<World<Toy>>,
    pub(super) failing: BTreeSet<Address>,
    pub(super) on_failure: OnFailure,
    /// What took effect, in order.
    pub(super) written: RefCell<Vec<Address>>,
    /// Calls to `write` until the run is interrupted.
    pub(super) patience: Cell<usize>,
    busy: RefCell<BTreeSet<String>>,
    made: Cell<usize>,
}

impl Memory {
    pub(super) fn new(world: World<Toy>) -> Self {
        Self {
            world: RefCell::new(world),
            failing: BTreeSet::new(),
            on_failure: OnFailure::Stop,
            written: RefCell::default(),
            patience: Cell::new(usize::MAX),
            busy: RefCell::default(),
            made: Cell::new(0),
        }
    }

    pub(super) fn apply(&self, plan: &Plan<Toy>, at_once: usize) -> Summary {
        self.apply_observed(plan, at_once, &|_: &Event<'_>| {})
    }

    pub(super) fn apply_observed(
        &self,
        plan: &Plan<Toy>,
        at_once: usize,
        observer: &impl Fn(&Event<'_>),
    ) -> Summary {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let interrupted = || self.patience.get() == 0;
        runtime.block_on(apply(plan, self, observer, at_once, &interrupted))
    }

    fn carry_out(&self, address: &Address, action: &Action<Toy>) -> Outputs {
        let world = &mut *self.world.borrow_mut();
        if let Some(new) = action.wanted() {
            assert!(new.unbound().is_empty(), "{address} has late values");
            let exists = world.found.get(address);
            match action {
                Action::Create { .. } => assert!(exists.is_none(), "{address} is there already"),
                _ => assert_eq!(
                    exists.map(|found| &found.resource),
                    action.existing(),
                    "{address} is not as planned"
                ),
            }
            assert!(exists.is_none_or(|found| found.owned), "{address} is not ours");
            let id = if let (Action::Update { .. }, Some(found)) = (action, exists) {
                found.outputs.clone()
            } else {
                self.made.set(self.made.get() + 1);
                outputs(&format!("{address}#{}", self.made.get()))
            };
            let made = Found { resource: new.clone(), outputs: id.clone(), owned: true, protected: false };
            world.found.insert(address.clone(), made);
            return id;
        }
        let gone = world.found.remove(address).unwrap_or_else(|| panic!("{address} is gone already"));
        assert!(gone.owned, "{address} is not ours");
        // What has no existence of its own goes with what it belongs to.
        let mut going = vec![address.clone()];
        while let Some(parent) = going.pop() {
            let children: Vec<Address> = (world.found.iter())
                .filter(|(_, found)| found.owned && found.resource.parents.contains(&parent))
                .map(|(child, _)| child.clone())
                .collect();
            for child in children {
                let removal = &world.found[&child].resource.removal;
                assert_eq!(*removal, Removal::Implied, "{address} goes before its child {child}");
                world.found.remove(&child);
                going.push(child);
            }
        }
        Outputs::new()
    }
}

impl Write<Toy> for Memory {
    async fn write(&self, steps: &[(&Address, Action<Toy>)], context: &Context<'_>) -> Vec<Written> {
        let unit = |action: &Action<Toy>| action.wanted().or(action.existing()).and_then(Resource::unit);
        let units: BTreeSet<Option<String>> = steps.iter().map(|(_, action)| unit(action)).collect();
        assert_eq!(units.len(), 1, "steps of several units in one call");
        let unit = units.into_iter().flatten().next();
        if let Some(unit) = &unit {
            assert!(self.busy.borrow_mut().insert(unit.clone()), "two hands in {unit}");
        } else {
            assert_eq!(steps.len(), 1, "several units of their own in one call");
        }
        self.patience.set(self.patience.get().saturating_sub(1));
        for (address, _) in steps.iter().skip(usize::from(steps.len() == 2)) {
            context.progress(address, "being made");
            tokio::task::yield_now().await;
        }
        let fails = steps.iter().position(|(address, _)| self.failing.contains(*address));
        let stands = match (fails, self.on_failure) {
            (None, _) => steps.len(),
            (Some(_), OnFailure::RollBack) => 0,
            (Some(place), OnFailure::Stop) => place,
        };
        let endings = (steps.iter().enumerate())
            .map(|(place, (address, action))| {
                if Some(place) == fails {
                    return Written::Failed(Error::from(format!("{address} was told to fail")));
                }
                if place >= stands {
                    return Written::RolledBack;
                }
                self.written.borrow_mut().push((*address).clone());
                Written::Done(self.carry_out(address, action))
            })
            .collect();
        if let Some(unit) = &unit {
            self.busy.borrow_mut().remove(unit);
        }
        endings
    }
}
