//! A locked member cannot vote: when the primary is lost, the lock must not keep the set from electing another one.

use std::{
    thread,
    time::{Duration, Instant},
};

use mongodb::bson::doc;

use super::run::{Run, Running};
use crate::support::replica_set::{ReplicaSet, shared::borrow, within};

const LIMIT: Duration = Duration::from_mins(1);

/// Until another member than this is primary.
fn replaced(set: &ReplicaSet, old: usize, begun: Instant) -> Duration {
    within(LIMIT, "there is a new primary", || (0..3).any(|member| member != old && set.is_primary(member)));
    begun.elapsed()
}

fn start(set: &ReplicaSet) -> (Running<'_>, usize) {
    let mut running = Run::of(set).script("sleep 45").args(&["--max-lock", "50s"]).start();
    let member = running.locked();
    (running, member)
}

/// At most half as long again as without any lock.
#[test]
fn the_primary_is_killed() {
    for version in ["6.0.5", "6.0.27"] {
        let set = borrow(version);
        let mut times = [Duration::ZERO; 2];
        for (at, locked) in [false, true].into_iter().enumerate() {
            let running = locked.then(|| start(&set));
            let old = set.await_primary();
            let begun = Instant::now();
            set.members[old].kill();
            times[at] = replaced(&set, old, begun);
            if let Some((running, _)) = running {
                let ended = running.wait();
                ended.clean(14).holds("consistent", false);
                assert!(ended.took < LIMIT);
            }
            set.members[old].start();
            set.until_healthy();
        }
        eprintln!("{version}: primary killed: {times:?}");
        assert!(times[1] < times[0].mul_f64(1.5), "{times:?}");
    }
}

#[test]
fn the_primary_stands_still() {
    let set = borrow("6.0.5");
    let mut times = [Duration::ZERO; 2];
    for (at, locked) in [false, true].into_iter().enumerate() {
        let running = locked.then(|| start(&set));
        let old = set.await_primary();
        let begun = Instant::now();
        set.members[old].freeze();
        let others: Vec<usize> = (0..3).filter(|member| *member != old).collect();
        within(LIMIT, "there is a new primary", || others.iter().any(|member| set.is_primary(*member)));
        times[at] = begun.elapsed();
        set.members[old].thaw();
        if let Some((running, _)) = running {
            running.wait().clean(14).holds("consistent", false);
        }
        within(LIMIT, "there is one primary", || {
            (0..3).filter(|member| set.is_primary(*member)).count() == 1
        });
        set.until_well();
    }
    eprintln!("primary frozen: {times:?}");
    assert!(times[1] < times[0].mul_f64(1.5), "{times:?}");
}

#[test]
fn the_primary_steps_down() {
    let set = borrow("6.0.5");
    let mut times = [Duration::ZERO; 2];
    for (at, locked) in [false, true].into_iter().enumerate() {
        let running = locked.then(|| start(&set));
        let old = set.await_primary();
        let begun = Instant::now();
        set.step_down(30);
        times[at] = replaced(&set, old, begun);
        if let Some((running, _)) = running {
            running.wait().clean(14).holds("consistent", false);
        }
        set.until_healthy();
        // It may be primary again.
        let _ = set.try_run(old, doc! {"replSetFreeze": 0});
    }
    eprintln!("primary stepped down: {times:?}");
    // The one who is handed the office may be the locked one, who can take it after the unlock only; an election would take 10 s.
    assert!(times[1] < times[0] + Duration::from_secs(3), "{times:?}");
}

/// It cannot win, and its command waits for the unlock; the set is without primary until then.
#[test]
fn the_locked_member_is_told_to_step_up() {
    let set = borrow("6.0.5");
    let (running, member) = start(&set);
    let begun = Instant::now();
    set.begin(member, doc! {"replSetStepUp": 1});
    let ended = running.wait();
    eprintln!("told to step up: {} after {:?}", ended.code, begun.elapsed());
    ended.clean(14).holds("consistent", false);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    within(Duration::from_secs(15), "there is a primary", || set.primary().is_some());
    thread::sleep(Duration::from_millis(100));
    set.until_healthy();
}

/// Without a primary nothing is locked.
#[test]
fn there_is_no_primary() {
    let set = borrow("6.0.5");
    let old = set.await_primary();
    for member in set.secondaries() {
        set.run(member, doc! {"replSetFreeze": 60});
    }
    set.run(old, doc! {"replSetStepDown": 60, "force": true});
    assert_eq!(set.primary(), None);
    let ended = Run::of(&set).finish();
    ended.clean(10).untouched();
    for member in 0..3 {
        let _ = set.try_run(member, doc! {"replSetFreeze": 0});
    }
    set.until_healthy();
}
