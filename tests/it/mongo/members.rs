//! What happens to the locked member, and to the network to it.

use std::{thread, time::Duration};

use mongodb::bson::doc;
use serde_json::Value;

use super::run::Run;
use crate::support::replica_set::{Layout, shared::borrow, tcp_proxy::Network, until};

/// Snapshots of virtual machines stop them for seconds: nothing is wrong with that.
#[test]
fn frozen_for_a_moment() {
    let set = borrow("6.0.5");
    let mut running = Run::of(&set).script("sleep 4").start();
    let member = running.locked();
    set.members[member].freeze();
    thread::sleep(Duration::from_millis(2500));
    set.members[member].thaw();
    running.wait().clean(0);
}

/// Nothing can unlock it: people are told, and it is unlocked as soon as it can be.
#[test]
fn frozen_for_long() {
    let set = borrow("6.0.5");
    let mut running = Run::of(&set).script("sleep 1").args(&["--unlock-patience", "2s"]).start();
    let member = running.locked();
    set.members[member].freeze();
    let ended = running.wait();
    ended.ended(7).says("fsyncUnlock").says(&set.members[member].host);
    ended.holds("consistent", false).holds("unlocked", "unknown");
    assert!(!ended.processes().is_empty(), "nobody tries any longer: {}", ended.stderr);
    set.members[member].thaw();
    set.unlocked_within(Duration::from_secs(20));
    ended.clean(7);
    drop(ended);
    set.until_well();
}

/// SIGKILL and SIGTERM: a restart releases the lock.
#[test]
fn restarted() {
    for version in ["6.0.5", "6.0.27"] {
        let set = borrow(version);
        for by_force in [true, false] {
            let mut running = Run::of(&set).script("sleep 60").start();
            let member = running.locked();
            if by_force {
                set.members[member].kill();
            } else {
                assert_eq!(set.members[member].stop(), Some(0));
            }
            set.members[member].start();
            running.wait().clean(14).holds("consistent", false);
            set.until_healthy();
        }
        // In between somebody else has locked it: that one is theirs.
        let mut running = Run::of(&set).script("sleep 60").start();
        let member = running.locked();
        set.members[member].kill();
        set.members[member].start();
        set.fsync_lock(member);
        let ended = running.wait();
        ended.ended(14).gone();
        assert!(set.lock(member).unwrap().held);
        assert_eq!(set.fsync_unlock(member), 0);
    }
}

#[test]
fn killed_for_good() {
    let set = borrow("6.0.5");
    let mut running = Run::of(&set).script("sleep 1").args(&["--unlock-patience", "2s"]).start();
    let member = running.locked();
    set.members[member].kill();
    let ended = running.wait();
    // It may as well be that only we cannot reach it.
    ended.ended(7).says(&set.members[member].host);
    set.members[member].start();
    ended.clean(7);
    drop(ended);
    set.until_well();
}

#[test]
fn the_network_is_cut() {
    let set = Layout::of(3).proxied(1).proxied(2).start();
    for (network, back) in [(Network::Cut, true), (Network::Silent, true), (Network::Cut, false)] {
        let patience = if back { "30s" } else { "2s" };
        let mut running = Run::of(&set).script("sleep 1").args(&["--unlock-patience", patience]).start();
        let member = running.locked();
        let proxy = set.members[member].proxy.as_ref().unwrap();
        proxy.set(network.clone());
        if back {
            thread::sleep(Duration::from_secs(3));
            assert_eq!(set.locked(), vec![member]);
            proxy.set(Network::Up);
            let ended = running.wait();
            eprintln!("{network:?}: {} after {:?}", ended.code, ended.took);
            // All can be proven afterwards; but what was declared lost stays lost.
            assert!([0, 14].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
            ended.clean(ended.code);
        } else {
            let ended = running.wait();
            ended.ended(7).says("fsyncUnlock").says(&set.members[member].host);
            assert_eq!(set.locked(), vec![member]);
            proxy.set(Network::Up);
            set.unlocked_within(Duration::from_secs(20));
            ended.clean(7);
        }
        set.until_healthy();
    }
}

/// The lock is granted, and nobody hears of it; or it is not, and nobody knows.
#[test]
fn the_network_is_cut_around_the_lock() {
    for version in ["6.0.5", "6.0.27"] {
        let set = Layout::of(3).version(version).proxied(2).start();
        let text = "fsyncLockAcquisitionTimeoutMillis";
        for network in [Network::CutBehind(text), Network::CutBefore(text)] {
            let proxy = set.members[2].proxy.as_ref().unwrap();
            let behind = matches!(network, Network::CutBehind(_));
            proxy.set(network);
            thread::scope(|scope| {
                scope.spawn(|| {
                    until("it is cut", || proxy.network() == Network::Cut);
                    thread::sleep(Duration::from_secs(1));
                    proxy.set(Network::Up);
                });
                let ended = Run::of(&set).member(2).finish();
                eprintln!(
                    "{version}, {}: {} after {:?}",
                    if behind { "behind" } else { "before" },
                    ended.code,
                    ended.took
                );
                assert!(ended.code != 0 && ended.code != 7, "{}: {}", ended.code, ended.stderr);
                ended.clean(ended.code).holds("consistent", false);
                assert_eq!(ended.locks()[2], usize::from(behind));
            });
            set.until_healthy();
        }
        // And around the unlock: it is done, or sent again.
        for network in [Network::CutBehind("fsyncUnlock"), Network::CutBefore("fsyncUnlock")] {
            let proxy = set.members[2].proxy.as_ref().unwrap();
            proxy.set(network);
            thread::scope(|scope| {
                scope.spawn(|| {
                    until("it is cut", || proxy.network() == Network::Cut);
                    thread::sleep(Duration::from_secs(1));
                    proxy.set(Network::Up);
                });
                let ended = Run::of(&set).member(2).finish();
                eprintln!("{version}: {} after {:?}", ended.code, ended.took);
                assert!([0, 14].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
                ended.clean(ended.code);
            });
            set.until_healthy();
        }
    }
}

/// It becomes primary when it is about to be locked: then all writes would wait.
#[test]
fn elected_just_before_the_lock() {
    let set = Layout::of(3).proxied(2).start();
    let proxy = set.members[2].proxy.as_ref().unwrap();
    for _ in 0..2 {
        proxy.set(Network::Hold("fsyncLockAcquisitionTimeoutMillis"));
        // A member that was primary a moment ago may be unfit for a moment.
        let mut running = Run::of(&set).member(2).start();
        until("it is about to be locked", || {
            if running.has_ended() && !proxy.is_holding() {
                eprintln!("again: {}", running.stderr());
                set.until_well();
                running = Run::of(&set).member(2).start();
            }
            proxy.is_holding()
        });
        until("it is primary", || {
            // It may not have everything yet.
            let _ = set.try_run(2, doc! {"replSetStepUp": 1});
            set.is_primary(2)
        });
        proxy.set(Network::Up);
        let ended = running.wait();
        eprintln!("{} after {:?}", ended.code, ended.took);
        assert!(ended.code != 0 && ended.code != 7, "{}: {}", ended.code, ended.stderr);
        ended.clean(ended.code).holds("consistent", false).holds("exit_code", Value::Null);
        until("the first is primary again", || {
            let _ = set.try_run(0, doc! {"replSetStepUp": 1});
            set.is_primary(0)
        });
        set.until_healthy();
    }
}
