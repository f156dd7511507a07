//! The sets that the tests of MongoDB rest on are tested themselves.

use std::{net::TcpStream, process::Command, thread, time::Duration};

use mongodb::bson::doc;

use crate::support::replica_set::{
    ACTIONS, Layout, SNAPSHOT, member::mongod, restore, shared::borrow, tcp_proxy::Network, until, within,
    writer::Writer,
};

#[test]
fn both_versions_are_what_they_say() {
    for version in ["6.0.5", "6.0.27"] {
        let mut command = Command::new(mongod(version).join("mongod"));
        command.arg("--version").env("LD_LIBRARY_PATH", mongod(version).join("../lib"));
        let output = command.output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains(&format!("db version v{version}\n")), "{shown}");
    }
}

#[test]
fn locks_are_seen_and_found_in_the_log() {
    for version in ["6.0.5", "6.0.27"] {
        let set = borrow(version);
        let secondary = set.secondaries()[0];
        let before = set.locks(secondary).len();
        assert_eq!(set.locked(), Vec::<usize>::new());
        assert_eq!((set.fsync_lock(secondary), set.fsync_lock(secondary)), (1, 2));
        assert_eq!(set.locked(), vec![secondary]);
        let lock = set.lock(secondary).unwrap();
        assert!(lock.held && lock.opid.is_some() && !lock.pending, "{lock:?}");
        assert_eq!(set.locks(secondary).last().unwrap().unlocked, None);
        assert_eq!(set.fsync_unlock(secondary), 1);
        assert_eq!(set.locked(), vec![secondary]);
        assert_eq!(set.lock(secondary).unwrap().opid, lock.opid);
        assert_eq!(set.fsync_unlock(secondary), 0);
        assert_eq!(set.locked(), Vec::<usize>::new());
        let locks = set.locks(secondary);
        assert!(locks.len() > before);
        let last = locks.last().unwrap();
        assert!(last.asked <= last.locked && last.unlocked.unwrap() >= last.locked, "{last:?}");
    }
}

/// A lock that waits is a lock.
#[test]
fn pending_locks_are_seen() {
    let set = Layout::of(3).blockable().start();
    let secondary = 2;
    // One that has just been copied from another refuses locks, also those that have waited.
    set.fsync_lock(secondary);
    assert_eq!(set.fsync_unlock(secondary), 0);
    let blocker = set.block(secondary, Duration::from_secs(2));
    set.begin(secondary, doc! {"fsync": 1, "lock": true});
    until("the lock waits", || set.lock(secondary).is_ok_and(|lock| lock.pending));
    assert!(!set.lock(secondary).unwrap().held);
    assert_eq!(set.locked(), vec![secondary]);
    drop(blocker);
    until("the lock is held", || set.lock(secondary).unwrap().held);
    assert_eq!(set.fsync_unlock(secondary), 0);
}

#[test]
fn users_may_what_their_role_says() {
    let set = borrow("6.0.5");
    set.run_as(Some(SNAPSHOT), set.secondaries()[0], doc! {"replSetGetStatus": 1});
    assert!(
        set.try_run_as(Some(SNAPSHOT), 0, doc! {"serverStatus": 1}).unwrap_err().contains("Unauthorized")
    );
    let other = ("other", "another password");
    set.make_user(other, &ACTIONS[..2]);
    let refused = set.try_run_as(Some(other), 0, doc! {"replSetGetStatus": 1}).unwrap_err();
    assert!(refused.contains("Unauthorized"), "{refused}");
    set.drop_user(other);
    assert!(set.try_run_as(Some((other.0, "again")), 0, doc! {"ping": 1}).is_err());
}

#[test]
fn members_are_killed_frozen_and_cut_off() {
    let set = Layout::of(3).proxied(2).tls().start();
    let proxy = set.members[2].proxy.as_ref().unwrap();
    assert!(set.is_secondary(2));
    proxy.set(Network::Cut);
    within(Duration::from_secs(20), "the primary has noticed", || set.health_of(0, 2) < 1.0);
    proxy.set(Network::Up);
    set.until_healthy();
    set.members[1].kill();
    assert!(TcpStream::connect(("127.0.0.1", set.members[1].port)).is_err());
    set.members[1].start();
    set.until_healthy();
    set.members[1].freeze();
    thread::sleep(Duration::from_millis(100));
    set.members[1].thaw();
    set.step_down(60);
    assert_ne!(set.await_primary(), 0);
}

/// And what is no prefix is known to be none.
#[test]
fn copies_are_opened_and_judged() {
    for version in ["6.0.5", "6.0.27"] {
        let set = borrow(version);
        let writer = Writer::start(&set);
        until("something is written", || writer.written() > 1000);
        set.until_replicated();
        let secondary = set.secondaries()[0];
        set.fsync_lock(secondary);
        let folder = tempfile::tempdir().unwrap();
        let copy =
            Command::new("cp").arg("-a").arg(set.members[secondary].data()).arg(folder.path()).status();
        assert!(copy.unwrap().success());
        set.fsync_unlock(secondary);
        let restored = restore::open(version, folder.path()).unwrap();
        assert!(restored.is_exact_prefix() && restored.errors.is_empty(), "{restored:?}");
        assert!(restored.documents >= 1000 && restored.users == 2 && restored.validated > 10, "{restored:?}");
        assert!(!writer.has_failed());
        let gap = restore::Restored { documents: restored.documents - 1, ..restored.clone() };
        let ahead = restore::Restored { upto: restored.highest + 1, ..restored };
        assert!(!gap.is_exact_prefix() && !ahead.is_exact_prefix());
    }
}
