//! Locks of other people: never released, never mistaken for ours.

use std::time::Duration;

use mongodb::bson::doc;
use serde_json::Value;

use super::run::Run;
use crate::support::replica_set::{Layout, shared::borrow, tcp_proxy::Network, until};

#[test]
fn before_we_begin() {
    for version in ["6.0.5", "6.0.27"] {
        let set = borrow(version);
        for member in set.secondaries() {
            assert_eq!(set.fsync_lock(member), 1);
            let theirs = set.lock(member).unwrap();
            // Whichever member would be ours: another one is locked.
            let ended = Run::of(&set).finish();
            ended.ended(15).untouched().says(&set.members[member].host).gone();
            assert_eq!(set.lock(member).unwrap(), theirs);
            assert_eq!(set.fsync_unlock(member), 0);
        }
        let primary = set.primary().unwrap();
        let client = set.client(None, primary);
        drop(client);
        assert_eq!(set.fsync_lock(primary), 1);
        Run::of(&set).finish().ended(15).untouched().gone();
        assert_eq!(set.fsync_unlock(primary), 0);
        Run::of(&set).finish().clean(0);
    }
}

/// They lock the same member while we do: the count tells.
#[test]
fn at_the_same_moment() {
    for version in ["6.0.5", "6.0.27"] {
        let set = Layout::of(3).version(version).blockable().start();
        // One that has just been copied from another refuses locks, also those that have waited.
        set.fsync_lock(2);
        assert_eq!(set.fsync_unlock(2), 0);
        let blocker = set.block(2, Duration::from_secs(20));
        let running = Run::of(&set).member(2).start();
        until("our lock waits", || set.lock(2).is_ok_and(|lock| lock.pending));
        set.begin(2, doc! {"fsync": 1, "lock": true});
        std::thread::sleep(Duration::from_millis(300));
        drop(blocker);
        let ended = running.wait();
        ended.ended(15).gone();
        // One is ours, and gone; the other is theirs, and there.
        let lock = set.lock(2).unwrap();
        assert!(lock.held, "{lock:?}: {}", ended.stderr);
        assert_eq!(set.fsync_unlock(2), 0);
        ended.holds("consistent", false);
    }
}

/// They lock it after we have looked, and before our lock arrives: ours is the second.
#[test]
fn just_before_ours() {
    for version in ["6.0.5", "6.0.27"] {
        let set = Layout::of(3).version(version).proxied(2).start();
        let proxy = set.members[2].proxy.as_ref().unwrap();
        proxy.set(Network::Hold("fsyncLockAcquisitionTimeoutMillis"));
        let running = Run::of(&set).member(2).start();
        until("our lock is on its way", || proxy.is_holding());
        assert_eq!(set.fsync_lock(2), 1);
        let theirs = set.lock(2).unwrap();
        proxy.set(Network::Up);
        let ended = running.wait();
        ended.ended(15).gone().holds("consistent", false).holds("exit_code", Value::Null);
        assert_eq!(set.lock(2).unwrap(), theirs);
        assert_eq!(set.fsync_unlock(2), 0);
    }
}

/// They lock another member while we wait for ours.
#[test]
fn on_another_member() {
    let set = Layout::of(3).blockable().start();
    let blocker = set.block(2, Duration::from_secs(20));
    let running = Run::of(&set).member(2).start();
    until("our lock waits", || set.lock(2).is_ok_and(|lock| lock.pending));
    assert_eq!(set.fsync_lock(1), 1);
    drop(blocker);
    let ended = running.wait();
    ended.ended(15).gone();
    assert_eq!((set.held(), set.lock(2).unwrap().flag), (vec![1], false));
    assert_eq!(set.fsync_unlock(1), 0);
    ended.clean(15);
}

/// They lock ours once more while the command runs.
#[test]
fn on_top_of_ours() {
    let set = borrow("6.0.5");
    let mut running = Run::of(&set).script("sleep 1").start();
    let member = running.locked();
    assert_eq!(set.fsync_lock(member), 2);
    let ended = running.wait();
    ended.ended(15).gone();
    assert!(set.lock(member).unwrap().held);
    assert_eq!(set.fsync_unlock(member), 0);
}

#[test]
fn ours_is_released_by_others() {
    for version in ["6.0.5", "6.0.27"] {
        let set = borrow(version);
        let mut running = Run::of(&set).script("sleep 1").start();
        let member = running.locked();
        assert_eq!(set.fsync_unlock(member), 0);
        running.wait().clean(14).holds("consistent", false).holds("status", "inconsistent");

        // And taken again: the new one is theirs.
        let mut running = Run::of(&set).script("sleep 1").start();
        let member = running.locked();
        assert_eq!((set.fsync_unlock(member), set.fsync_lock(member)), (0, 1));
        let theirs = set.lock(member).unwrap();
        let ended = running.wait();
        ended.ended(14).gone().holds("consistent", false);
        assert_eq!(set.lock(member).unwrap(), theirs);
        assert_eq!(set.fsync_unlock(member), 0);
    }
}
