//! The executor: runs a plan in dependency order, tells an observer, decides nothing.

use std::collections::BTreeMap;

use futures::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;

use super::{Action, Error, Known, Outputs, Plan, Resource, schedule::Schedule};
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
    /// At least one must not be [`Written::RolledBack`], or the unit would be tried for ever.
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
                for step in steps.iter().copied() {
                    match bind(&step.action, &known) {
                        Ok(action) => bound.push((&step.address, action)),
                        // Only this step is at fault; the others go back and come again without it.
                        Err(error) => {
                            return (unit, steps, vec![(step.address.clone(), Written::Failed(error))]);
                        }
                    }
                }
                for (address, action) in &bound {
                    if let Some(verb) = Verb::of(action) {
                        observer.on(&Event::Started { address, verb });
                    }
                }
                let endings = writer.write(&bound, &Context::new(&known, observer)).await;
                let endings = bound.iter().map(|(address, _)| (*address).clone()).zip(endings).collect();
                (unit, steps, endings)
            });
        }
        let Some((unit, steps, endings)) = running.next().await else { break };
        schedule.release(&unit);
        let mut endings: BTreeMap<_, _> = endings.into_iter().collect();
        let stuck = endings.values().all(|ending| matches!(ending, Written::RolledBack));
        for step in steps {
            let (address, verb) = (&step.address, Verb::of(&step.action).unwrap_or(Verb::Update));
            match endings.remove(address).unwrap_or(Written::RolledBack) {
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
                Written::RolledBack if stuck => {
                    let error: Error = Box::new(Stuck);
                    observer.on(&Event::Failed { address, verb, error: &error });
                    schedule.failed(address);
                    summary.outcomes.insert(address.clone(), Outcome::Failed(error));
                }
                Written::RolledBack => schedule.again(step),
            }
        }
    }
    for address in schedule.left() {
        summary.outcomes.insert(address.clone(), Outcome::NotAttempted);
    }
    summary
}

/// A unit whose writer says that nothing took effect, and names no step as the cause.
#[derive(Debug, thiserror::Error)]
#[error("this is a fault in infra: it was rolled back, but no step of it failed")]
struct Stuck;

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
