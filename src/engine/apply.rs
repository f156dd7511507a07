//! The executor: runs a plan in dependency order, tells an observer, decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;

use super::{Action, Error, Known, Outputs, Plan, Resource, Step};
use crate::model::Address;

/// What a step does, as people are told while it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    Create,
    Update,
    Replace,
    Delete,
}

impl Verb {
    /// `None` for what changes nothing.
    pub fn of<R>(action: &Action<R>) -> Option<Self> {
        match action {
            Action::Create { .. } => Some(Self::Create),
            Action::Update { .. } => Some(Self::Update),
            Action::Replace { .. } => Some(Self::Replace),
            Action::Delete { .. } => Some(Self::Delete),
            Action::Keep | Action::Hold { .. } => None,
        }
    }
}

/// What the engine says while it works: the only thing a user interface sees of it.
#[derive(Debug)]
pub enum Event<'a> {
    Started { address: &'a Address, verb: Verb },
    Progress { address: &'a Address, message: &'a str },
    Done { address: &'a Address, verb: Verb },
    Failed { address: &'a Address, verb: Verb, error: &'a Error },
    Skipped { address: &'a Address, because: &'a Address },
}

/// One method, no answer: an observer cannot steer the engine.
pub trait Observer {
    fn on(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>)> Observer for F {
    fn on(&self, event: &Event<'_>) {
        self(event);
    }
}

/// What a writer is given besides the steps.
pub struct Context<'a> {
    /// What all resources have told so far.
    pub known: &'a Known,
    observer: &'a dyn Observer,
}

impl<'a> Context<'a> {
    pub fn new(known: &'a Known, observer: &'a dyn Observer) -> Self {
        Self { known, observer }
    }

    /// Reports what is being waited for.
    pub fn progress(&self, address: &Address, message: &str) {
        self.observer.on(&Event::Progress { address, message });
    }
}

/// How one step of a unit ended.
#[derive(Debug)]
pub enum Written {
    Done(Outputs),
    Failed(Error),
    /// Nothing of it took effect, because another step of the unit failed; it may be tried again without that one.
    RolledBack,
}

/// The writing half of the outside world. Executes decisions; never makes one.
pub trait Write<R> {
    /// Carries out the steps of one unit in order; answers with one ending per step, in the same order.
    /// At least one must not be [`Written::RolledBack`].
    async fn write(&self, steps: &[(&Address, Action<R>)], context: &Context<'_>) -> Vec<Written>;
}

/// How one step of a plan ended.
#[derive(Debug)]
pub enum Outcome {
    Done,
    Failed(Error),
    /// What it waited for did not end well.
    Skipped {
        because: Address,
    },
    /// The run was interrupted first.
    NotAttempted,
}

/// The account of an apply: one outcome for each step that was to change something.
#[derive(Debug, Default)]
pub struct Summary {
    pub outcomes: BTreeMap<Address, Outcome>,
}

impl Summary {
    pub fn succeeded(&self) -> bool {
        self.outcomes.values().all(|outcome| matches!(outcome, Outcome::Done))
    }
}

/// Runs every changing step, at most `at_once` units at a time. A failure skips what depends on it and nothing else.
/// As soon as `interrupted` says so, nothing new is started; what runs is finished.
pub async fn apply<R: Resource, W: Write<R>>(
    plan: &Plan<R>,
    writer: &W,
    observer: &dyn Observer,
    at_once: usize,
    interrupted: &dyn Fn() -> bool,
) -> Summary {
    let mut schedule = Schedule::new(plan);
    let mut known = plan.known.clone();
    let mut summary = Summary::default();
    let mut running = FuturesUnordered::new();
    loop {
        for (address, because) in schedule.skips() {
            observer.on(&Event::Skipped { address, because });
            summary.outcomes.insert(address.clone(), Outcome::Skipped { because: because.clone() });
        }
        while running.len() < at_once.max(1) && !interrupted() {
            let Some((unit, steps)) = schedule.next() else { break };
            let known = known.clone();
            running.push(async move {
                let mut bound = Vec::with_capacity(steps.len());
                for step in &steps {
                    match bind(&step.action, &known) {
                        Ok(action) => bound.push((&step.address, action)),
                        // Only this step is at fault; the others go back and come again without it.
                        Err(error) => return (unit, vec![(*step, Written::Failed(error))], steps),
                    }
                    if let Some(verb) = Verb::of(&step.action) {
                        observer.on(&Event::Started { address: &step.address, verb });
                    }
                }
                let endings = writer.write(&bound, &Context::new(&known, observer)).await;
                (unit, steps.iter().copied().zip(endings).collect(), steps)
            });
        }
        let Some((unit, endings, steps)) = running.next().await else { break };
        schedule.release(&unit);
        let mut open: BTreeSet<&Address> = steps.iter().map(|step| &step.address).collect();
        for (step, ending) in endings {
            let (address, verb) = (&step.address, Verb::of(&step.action).unwrap_or(Verb::Update));
            match ending {
                Written::Done(outputs) => {
                    observer.on(&Event::Done { address, verb });
                    if !outputs.is_empty() {
                        known.insert(address.clone(), outputs);
                    }
                    schedule.done(address);
                    summary.outcomes.insert(address.clone(), Outcome::Done);
                }
                Written::Failed(error) => {
                    observer.on(&Event::Failed { address, verb, error: &error });
                    schedule.failed(address);
                    summary.outcomes.insert(address.clone(), Outcome::Failed(error));
                }
                Written::RolledBack => continue,
            }
            open.remove(address);
        }
        for step in steps {
            if open.contains(&step.address) {
                schedule.again(step);
            }
        }
    }
    for address in schedule.left() {
        summary.outcomes.insert(address.clone(), Outcome::NotAttempted);
    }
    summary
}

/// Which steps may run. Every look-up is by address or by unit, so that cost grows with the number of steps.
struct Schedule<'a, R> {
    /// Steps not yet handed out, by place in the plan.
    waiting: BTreeMap<usize, &'a Step<R>>,
    place: BTreeMap<&'a Address, usize>,
    /// For each step, what it still waits for.
    missing: BTreeMap<&'a Address, BTreeSet<&'a Address>>,
    followers: BTreeMap<&'a Address, Vec<&'a Address>>,
    /// Places of steps that wait for nothing, by unit, then by place.
    ready: BTreeMap<String, BTreeSet<usize>>,
    by_unit: BTreeMap<String, BTreeSet<usize>>,
    busy: BTreeSet<String>,
    /// Steps whose followers are to be skipped.
    failed: Vec<&'a Address>,
}

impl<'a, R: Resource> Schedule<'a, R> {
    fn new(plan: &'a Plan<R>) -> Self {
        let changing: BTreeMap<&Address, usize> = (plan.steps.iter().enumerate())
            .filter(|(_, step)| !matches!(step.action, Action::Keep))
            .map(|(place, step)| (&step.address, place))
            .collect();
        let mut schedule = Self {
            waiting: BTreeMap::new(),
            place: changing.clone(),
            missing: BTreeMap::new(),
            followers: BTreeMap::new(),
            ready: BTreeMap::new(),
            by_unit: BTreeMap::new(),
            busy: BTreeSet::new(),
            failed: Vec::new(),
        };
        for (place, step) in plan.steps.iter().enumerate() {
            match step.action {
                Action::Keep => continue,
                // Held: what waits for it is skipped, naming it.
                Action::Hold { .. } => {
                    schedule.failed.push(&step.address);
                    continue;
                }
                _ => {}
            }
            let missing: BTreeSet<&Address> =
                step.after.iter().filter(|a| changing.contains_key(a)).collect();
            for parent in &missing {
                schedule.followers.entry(parent).or_default().push(&step.address);
            }
            schedule.by_unit.entry(unit(step)).or_default().insert(place);
            if missing.is_empty() {
                schedule.ready.entry(unit(step)).or_default().insert(place);
            }
            schedule.missing.insert(&step.address, missing);
            schedule.waiting.insert(place, step);
        }
        schedule
    }

    /// Steps to be skipped now, each with what failed; a skip can make further skips.
    fn skips(&mut self) -> Vec<(&'a Address, &'a Address)> {
        let mut skipped = Vec::new();
        while let Some(failed) = self.failed.pop() {
            for follower in self.followers.remove(failed).unwrap_or_default() {
                let Some(place) = self.place.get(follower).copied() else { continue };
                if let Some(step) = self.waiting.remove(&place) {
                    self.forget(step, place);
                    skipped.push((follower, failed));
                    self.failed.push(follower);
                }
            }
        }
        skipped.sort();
        skipped
    }

    /// The next idle unit that has a ready step, with all steps of it that can run one after the other.
    fn next(&mut self) -> Option<(String, Vec<&'a Step<R>>)> {
        let first = |places: &BTreeSet<usize>| places.first().copied();
        let (unit, _) = (self.ready.iter())
            .filter(|(unit, _)| !self.busy.contains(*unit))
            .filter_map(|(unit, places)| Some((unit.clone(), first(places)?)))
            .min_by_key(|(_, place)| *place)?;
        let mut batch: Vec<&'a Step<R>> = Vec::new();
        let mut inside: BTreeSet<&Address> = BTreeSet::new();
        for place in self.by_unit.get(&unit).cloned().unwrap_or_default() {
            let Some(step) = self.waiting.get(&place).copied() else { continue };
            if self
                .missing
                .get(&step.address)
                .is_some_and(|missing| missing.iter().all(|a| inside.contains(a)))
            {
                inside.insert(&step.address);
                batch.push(step);
                self.waiting.remove(&place);
                self.forget(step, place);
            }
        }
        self.busy.insert(unit.clone());
        Some((unit, batch))
    }

    fn forget(&mut self, step: &Step<R>, place: usize) {
        let unit = unit(step);
        for index in [&mut self.ready, &mut self.by_unit] {
            if let Some(places) = index.get_mut(&unit) {
                places.remove(&place);
                if places.is_empty() {
                    index.remove(&unit);
                }
            }
        }
    }

    fn release(&mut self, unit: &str) {
        self.busy.remove(unit);
    }

    fn done(&mut self, address: &'a Address) {
        for follower in self.followers.remove(address).unwrap_or_default() {
            let Some(missing) = self.missing.get_mut(follower) else { continue };
            missing.remove(address);
            if missing.is_empty()
                && let Some(place) = self.place.get(follower)
                && let Some(step) = self.waiting.get(place)
            {
                self.ready.entry(unit(step)).or_default().insert(*place);
            }
        }
    }

    fn failed(&mut self, address: &'a Address) {
        self.failed.push(address);
    }

    /// Puts a step back that was handed out but not carried out.
    fn again(&mut self, step: &'a Step<R>) {
        let Some(place) = self.place.get(&step.address).copied() else { return };
        self.waiting.insert(place, step);
        self.by_unit.entry(unit(step)).or_default().insert(place);
        if self.missing.get(&step.address).is_none_or(BTreeSet::is_empty) {
            self.ready.entry(unit(step)).or_default().insert(place);
        }
    }

    fn left(&self) -> impl Iterator<Item = &'a Address> {
        self.waiting.values().map(|step| &step.address)
    }
}

fn unit<R: Resource>(step: &Step<R>) -> String {
    let resource = step.action.wanted().or(step.action.existing());
    resource.and_then(Resource::unit).unwrap_or_else(|| step.address.to_string())
}

#[derive(Debug, thiserror::Error)]
#[error("this is a fault in infra: {0} is still unknown although everything it waits for is done")]
struct Unbound(String);

fn bind<R: Resource>(action: &Action<R>, known: &Known) -> Result<Action<R>, Error> {
    let mut action = action.clone();
    if let Action::Create { new } | Action::Update { new, .. } | Action::Replace { new, .. } = &mut action {
        new.bind(known);
        if let Some(late) = new.unbound().first() {
            return Err(Box::new(Unbound(late.to_string())));
        }
    }
    Ok(action)
}
