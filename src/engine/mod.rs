//! Desired + actual -> plan -> apply. Generic over the resource; knows no provider and no kind.

mod apply;
mod digest;
mod guard;
mod late;
mod order;
mod plan;
mod schedule;
mod select;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use serde::{Deserialize, Serialize};

pub use apply::{Context, Event, Observer, Outcome, Summary, Verb, Write, Written, apply};
pub use digest::{Digest, digest};
pub use guard::{Finding, Limits, guard};
pub use late::{Awaited, Known, Late, Output, Outputs};
pub use order::Cycle;
pub use plan::{Action, Hold, Plan, Step, plan};
pub use select::{Selection, UnknownTarget, matches, select};

use crate::model::Address;

/// One kind of thing we manage. Pure: an implementation never does I/O.
///
/// Desired and actual are the same type, and `==` decides whether there is anything to do: reading must normalise
/// to the form in which the environment is declared.
pub trait Resource: Clone + PartialEq + Debug + Serialize {
    /// Addresses that must exist before this one can. Addresses that nothing knows are no hindrance.
    fn depends_on(&self) -> Vec<Address>;

    /// Replaces each late value that `known` can answer.
    fn bind(&mut self, _known: &Known) {}

    /// Late values still unanswered; empty means that it can be applied.
    fn unbound(&self) -> Vec<&Late> {
        Vec::new()
    }

    /// Takes over from what exists whatever the environment leaves open, so that only what is declared is compared.
    fn adopt(&mut self, _found: &Self) {}

    /// What a change from `before` costs those who use it: an outage, a restart, a wait for a window. For people.
    fn costs(&self, _before: &Self) -> Vec<String> {
        Vec::new()
    }

    /// What is to be known of it as it is found, although no plan changes it: something scheduled, a restart that is due.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Why it is to be made or to go, where that is more than that it is declared or not. For people.
    fn reason(&self) -> Option<String> {
        None
    }

    /// Made and deleted as time passes, by what a policy says: nothing of it is approved one by one, so it is no part of the
    /// digest and no matter for the guards. What goes does so after what it depends on is made.
    fn time_driven(&self) -> bool {
        false
    }

    /// How `before` may become `self`. Asked only when they differ.
    fn verdict(&self, before: &Self) -> Verdict;

    /// What happens when the environment no longer declares it.
    fn removal(&self) -> Removal;

    /// The environment whose mark it carries, if it carries any; told when it is not ours.
    fn environment(&self) -> Option<&str> {
        None
    }

    /// Steps of one unit are handed to the writer together, and never two hands at once. `None`: a unit of its own.
    fn unit(&self) -> Option<String> {
        None
    }
}

/// How a difference may be mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    InPlace,
    /// Destroy and create again, and why. Never for what bears data.
    Replace(String),
    /// We would, but must not; a person decides.
    Refuse(String),
}

/// What becomes of an owned resource that is declared no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is deleted.
    Delete,
    /// It is held, and why, until its removal is itself declared ([`Desired::removed`]): it bears data.
    Declared(String),
    /// It has no existence of its own; it goes when what it belongs to goes.
    Implied,
}

/// What the environment declares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired<R> {
    pub resources: BTreeMap<Address, R>,
    /// What was removed on purpose: it may be deleted though it bears data.
    pub removed: BTreeSet<Address>,
    /// Parents that must be readable for a plan to tell the whole story, be anything declared on them or not.
    #[serde(default)]
    pub looked_at: BTreeSet<Address>,
}

impl<R> Default for Desired<R> {
    fn default() -> Self {
        Self { resources: BTreeMap::new(), removed: BTreeSet::new(), looked_at: BTreeSet::new() }
    }
}

/// What reading found at one address, normalised to the shape the environment has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found<R> {
    pub resource: R,
    pub outputs: Outputs,
    /// Carries our mark (tag, comment). What does not is never changed or deleted.
    pub owned: bool,
    /// The mark says that it must not be destroyed without being named, whatever the YAML says.
    pub protected: bool,
}

impl<R> Found<R> {
    pub fn map<S>(self, into: impl FnOnce(R) -> S) -> Found<S> {
        let Self { resource, outputs, owned, protected } = self;
        Found { resource: into(resource), outputs, owned, protected }
    }
}

/// The actual world, as plain data: a test writes one down, a bug report attaches one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct World<R> {
    pub found: BTreeMap<Address, Found<R>>,
    /// Parents whose children could not be read, and why. Unreadable is not absent.
    pub unreadable: BTreeMap<Address, String>,
    /// What was learnt of things that are no resources of ours, such as the versions that can be had.
    #[serde(default)]
    pub facts: Known,
}

impl<R> Default for World<R> {
    fn default() -> Self {
        Self { found: BTreeMap::new(), unreadable: BTreeMap::new(), facts: Known::new() }
    }
}

impl<R> World<R> {
    /// What reading has told of values that cross resources.
    pub fn known(&self) -> Known {
        let found = self.found.iter().filter(|(_, found)| !found.outputs.is_empty());
        let told = found.map(|(address, found)| (address.clone(), found.outputs.clone()));
        self.facts.clone().into_iter().chain(told).collect()
    }
}

/// Provider errors cross the engine unread, with their source chain.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
