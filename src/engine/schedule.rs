//! Which steps of a plan may run next, while it runs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Late, Plan, Resource, Step};
use crate::model::Address;

/// Every look-up is by address, by place or by unit, so that cost grows with the number of steps.
pub(super) struct Schedule<'a, R> {
    /// Steps not yet handed out, by place in the plan.
    waiting: BTreeMap<usize, &'a Step<R>>,
    place: BTreeMap<&'a Address, usize>,
    /// For each step, what it still waits for.
    missing: BTreeMap<&'a Address, BTreeSet<&'a Address>>,
    followers: BTreeMap<&'a Address, Vec<&'a Address>>,
    /// Places of waiting steps that wait for nothing.
    ready: BTreeSet<usize>,
    by_unit: BTreeMap<String, BTreeSet<usize>>,
    busy: BTreeSet<String>,
    /// Steps whose followers are to be skipped.
    failed: Vec<&'a Address>,
}

impl<'a, R: Resource> Schedule<'a, R> {
    pub(super) fn new(plan: &'a Plan<R>) -> Self {
        let blocks = |action: &Action<R>| matches!(action, Action::Hold { why } if why.blocks());
        let place: BTreeMap<&Address, usize> = (plan.steps.iter().enumerate())
            .filter(|(_, step)| step.action.changes_anything() || blocks(&step.action))
            .map(|(place, step)| (&step.address, place))
            .collect();
        let mut schedule = Self {
            waiting: BTreeMap::new(),
            missing: BTreeMap::new(),
            followers: BTreeMap::new(),
            ready: BTreeSet::new(),
            by_unit: BTreeMap::new(),
            busy: BTreeSet::new(),
            failed: Vec::new(),
            place,
        };
        for step in &plan.steps {
            if blocks(&step.action) {
                // What waits for it is skipped, naming it.
                schedule.failed.push(&step.address);
            }
            if !step.action.changes_anything() {
                continue;
            }
            let missing: BTreeSet<&Address> =
                step.after.iter().filter(|parent| schedule.place.contains_key(parent)).collect();
            for parent in &missing {
                schedule.followers.entry(parent).or_default().push(&step.address);
            }
            schedule.missing.insert(&step.address, missing);
            schedule.again(step);
        }
        schedule
    }

    /// Steps to be skipped now, each with what failed; a skip can make further skips.
    pub(super) fn skips(&mut self) -> Vec<(&'a Address, &'a Address)> {
        let mut skipped = Vec::new();
        while let Some(failed) = self.failed.pop() {
            for follower in self.followers.remove(failed).unwrap_or_default() {
                let Some(place) = self.place.get(follower).copied() else { continue };
                if let Some(step) = self.waiting.get(&place).copied() {
                    self.take(step, place);
                    skipped.push((follower, failed));
                    self.failed.push(follower);
                }
            }
        }
        skipped.sort();
        skipped
    }

    /// The first idle unit that has a ready step, with all steps of it that can run one after the other.
    pub(super) fn next(&mut self) -> Option<(String, Vec<&'a Step<R>>)> {
        let unit = self.ready.iter().find_map(|place| {
            let unit = unit(self.waiting.get(place)?);
            (!self.busy.contains(&unit)).then_some(unit)
        })?;
        let mut batch: Vec<&'a Step<R>> = Vec::new();
        let mut inside: BTreeSet<&Address> = BTreeSet::new();
        for place in self.by_unit.get(&unit).cloned().unwrap_or_default() {
            let Some(step) = self.waiting.get(&place).copied() else { continue };
            let missing = self.missing.get(&step.address);
            // What one step tells another is known only when the batch is through.
            let told = |late: &&Late| late.awaits().is_some_and(|address| inside.contains(address));
            if missing.is_some_and(|missing| missing.iter().all(|parent| inside.contains(parent)))
                && !step.action.wanted().is_some_and(|new| new.unbound().iter().any(told))
            {
                inside.insert(&step.address);
                batch.push(step);
                self.take(step, place);
            }
        }
        self.busy.insert(unit.clone());
        Some((unit, batch))
    }

    fn take(&mut self, step: &Step<R>, place: usize) {
        self.waiting.remove(&place);
        self.ready.remove(&place);
        let unit = unit(step);
        if let Some(places) = self.by_unit.get_mut(&unit) {
            places.remove(&place);
            if places.is_empty() {
                self.by_unit.remove(&unit);
            }
        }
    }

    pub(super) fn release(&mut self, unit: &str) {
        self.busy.remove(unit);
    }

    pub(super) fn done(&mut self, address: &'a Address) {
        for follower in self.followers.remove(address).unwrap_or_default() {
            let Some(missing) = self.missing.get_mut(follower) else { continue };
            missing.remove(address);
            if missing.is_empty()
                && let Some(place) = self.place.get(follower)
                && self.waiting.contains_key(place)
            {
                self.ready.insert(*place);
            }
        }
    }

    pub(super) fn failed(&mut self, address: &'a Address) {
        self.failed.push(address);
    }

    /// Puts a step among those that wait: at first, and again when it was handed out but not carried out.
    pub(super) fn again(&mut self, step: &'a Step<R>) {
        let Some(place) = self.place.get(&step.address).copied() else { return };
        self.waiting.insert(place, step);
        self.by_unit.entry(unit(step)).or_default().insert(place);
        if self.missing.get(&step.address).is_none_or(BTreeSet::is_empty) {
            self.ready.insert(place);
        }
    }

    pub(super) fn left(&self) -> impl Iterator<Item = &'a Address> {
        self.waiting.values().map(|step| &step.address)
    }
}

fn unit<R: Resource>(step: &Step<R>) -> String {
    let resource = step.action.wanted().or(step.action.existing());
    resource.and_then(Resource::unit).unwrap_or_else(|| step.address.to_string())
}
