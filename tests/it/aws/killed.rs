//! SIGKILL around every call of AWS: the next run goes on from what it finds, and comes to the same end.

mod bootstrap;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    thread,
};

use super::world::{Cloud, PHASES, REGIONS, Trouble, Undisturbed, World};
use crate::support::fault_proxy::{Moment, When};

const MOMENTS: [Moment; 2] = [Moment::Before, Moment::After];

/// A cycle in which every run is killed one call later than the one before, until one comes to its end.
fn chain(world: &World, expected: &[Undisturbed], moment: Moment) -> usize {
    let (mut before, mut kills) = (world.look(), 0);
    for (phase, expected) in PHASES.into_iter().zip(expected) {
        world.declare(phase);
        let mut runs = Vec::new();
        loop {
            let ended = world.run(phase.verb, &Trouble::Kill(When::Call(runs.len() + 1), moment));
            let last = ended.ran.is_some();
            runs.push(if last { ended.expect(0) } else { ended });
            if last {
                break;
            }
        }
        kills += runs.len() - 1;
        let what = format!("{} kills {moment:?} calls of {}", runs.len() - 1, phase.verb);
        before = world.converges(phase, expected, &before, &runs, &what);
    }
    kills
}

#[test]
fn one_call_later_each_time() {
    let clouds = [Cloud::start(), Cloud::start()];
    let worlds = [0, 1].map(|at| World::new(&clouds[at], REGIONS[at]));
    let expected = &worlds[0].undisturbed();
    let kills: usize = thread::scope(|scope| {
        let chains = worlds.iter().zip(MOMENTS);
        let chains: Vec<_> =
            chains.map(|(world, moment)| scope.spawn(move || chain(world, expected, moment))).collect();
        chains.into_iter().map(|chain| chain.join().unwrap()).sum()
    });
    assert!(kills > 150, "{kills}");
}

/// A kill at one call that changes something.
type Kill = (String, usize, Moment);

/// Before and after in turn: the chains have both of each.
fn kills(expected: &[Undisturbed]) -> Vec<VecDeque<Kill>> {
    let of = |phase: &Undisturbed| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let changes = phase.calls.iter().filter(|seen| seen.changes());
        let one = changes.zip(MOMENTS.into_iter().cycle()).map(|(seen, moment)| {
            let number = counts.entry(&seen.action).or_default();
            *number += 1;
            (seen.action.clone(), *number, moment)
        });
        one.collect()
    };
    expected.iter().map(of).collect()
}

#[test]
fn the_next_run_finishes() {
    // What was begun may be over by the next run, or not nearly.
    let clouds = [Cloud::start(), Cloud::slow(5)];
    let worlds: Vec<World> = REGIONS
        .into_iter()
        .take(6)
        .enumerate()
        .map(|(at, region)| World::new(&clouds[at % 2], region))
        .collect();
    let expected = worlds[0].undisturbed();
    let work = Mutex::new(kills(&expected));
    let planned: usize = work.lock().unwrap().iter().map(VecDeque::len).sum();
    let missed = Mutex::new(Vec::new());
    let work_through = |world: &World| {
        while work.lock().unwrap().iter().any(|kills| !kills.is_empty()) {
            let mut before = world.look();
            for (at, phase) in PHASES.into_iter().enumerate() {
                world.declare(phase);
                let taken = work.lock().unwrap()[at].pop_front();
                let mut runs = Vec::new();
                let what = format!("{} killed at {taken:?}", phase.verb);
                if let Some((action, number, moment)) = taken {
                    let when = When::Action(Box::leak(action.clone().into_boxed_str()), number);
                    let ended = world.run(phase.verb, &Trouble::Kill(when, moment));
                    if ended.ran.is_some() {
                        missed.lock().unwrap().push(action);
                    }
                    runs.push(ended);
                }
                before = world.converges(phase, &expected[at], &before, &runs, &what);
            }
        }
    };
    thread::scope(|scope| {
        for world in &worlds {
            scope.spawn(|| work_through(world));
        }
    });
    // Who the writer is when all is destroyed differs.
    let mut missed = missed.into_inner().unwrap();
    missed.retain(|action| action != "FailoverDBCluster");
    assert!(missed.is_empty() && planned > 50, "{missed:?} of {planned}");
}
