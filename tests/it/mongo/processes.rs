//! The two processes die, one or both, or stand still; and others of their kind.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use mongodb::bson::doc;
use nix::sys::signal::{Signal, kill};

use super::run::Run;
use crate::support::replica_set::{Layout, shared::borrow, until};

#[test]
fn the_guardian_is_killed() {
    let set = borrow("6.0.5");
    let mut running = Run::of(&set).script("sleep 60").start();
    running.locked();
    kill(running.guardian(), Signal::SIGKILL).unwrap();
    let took = set.unlocked_within(Duration::from_secs(3));
    eprintln!("unlocked after {took:?}");
    running.wait().clean(14).holds("consistent", false);
}

/// Whoever stands still, the lock ends when it should.
#[test]
fn somebody_stands_still() {
    let set = borrow("6.0.5");
    let mut running = Run::of(&set).script("sleep 60").args(&["--max-lock", "3s"]).start();
    let member = running.locked();
    running.signal(Signal::SIGSTOP);
    set.unlocked_within(Duration::from_secs(5));
    let held = *set.locks(member).last().unwrap();
    let held = held.unlocked.unwrap().duration_since(held.locked);
    assert!((2500..3500).contains(&held.as_millis()), "{held:?}");
    running.signal(Signal::SIGCONT);
    running.wait().clean(13).holds("consistent", false);

    let mut running = Run::of(&set).script("sleep 1").args(&["--max-lock", "3s"]).start();
    running.locked();
    let guardian = running.guardian();
    kill(guardian, Signal::SIGSTOP).unwrap();
    let took = set.unlocked_within(Duration::from_secs(30));
    eprintln!("with a guardian that stands still: {took:?}");
    let _ = kill(guardian, Signal::SIGCONT);
    let ended = running.wait();
    assert!(ended.code != 0 && ended.code != 7, "{}: {}", ended.code, ended.stderr);
    ended.clean(ended.code).holds("consistent", false);
}

/// The guardian sees the end of the command by itself. Who hears of both at once has a snapshot.
#[test]
fn the_supervisor_stands_still_until_all_is_over() {
    let set = borrow("6.0.5");
    // Which of both is looked at first is left to chance.
    for _ in 0..6 {
        let mut running = Run::of(&set).script("sleep 0.5").start();
        running.locked();
        running.signal(Signal::SIGSTOP);
        set.unlocked_within(Duration::from_secs(5));
        thread::sleep(Duration::from_millis(100));
        running.signal(Signal::SIGCONT);
        running.wait().clean(0).holds("consistent", true);
    }
}

/// Nobody is left who could unlock: the next run does it.
#[test]
fn both_are_killed() {
    for version in ["6.0.5", "6.0.27"] {
        let set = borrow(version);
        let mut running = Run::of(&set).script("sleep 60").start();
        let member = running.locked();
        let opid = set.lock(member).unwrap().opid;
        for process in running.processes() {
            let _ = kill(process.pid, Signal::SIGSTOP);
        }
        for process in running.processes() {
            let _ = kill(process.pid, Signal::SIGKILL);
        }
        let ended = running.wait();
        ended.ended(-9);
        assert_eq!(set.locked(), vec![member]);
        assert_eq!(set.lock(member).unwrap().opid, opid);
        // Another machine knows nothing of it, and lets it be.
        let stranger = Run::of(&set).finish();
        stranger.ended(15).untouched();
        assert_eq!(set.lock(member).unwrap().opid, opid);
        if version == "6.0.5" {
            Run::beside(&set, ended.folder()).finish().clean(0);
        } else {
            // What a timer runs.
            let release = Run::beside(&set, ended.folder()).args(&["--release-stale"]).finish();
            release.clean(0);
            assert!(set.locks(member).last().unwrap().unlocked.is_some());
            let again = Run::beside(&set, ended.folder()).args(&["--release-stale"]).finish();
            again.clean(0).untouched();
        }
    }
}

/// What the journal says is ours no longer is: that lock belongs to somebody else.
#[test]
fn a_journal_that_is_stale() {
    let set = borrow("6.0.5");
    let mut running = Run::of(&set).script("sleep 60").start();
    let member = running.locked();
    for process in running.processes() {
        let _ = kill(process.pid, Signal::SIGSTOP);
    }
    for process in running.processes() {
        let _ = kill(process.pid, Signal::SIGKILL);
    }
    let ended = running.wait();
    ended.ended(-9);
    assert_eq!((set.fsync_unlock(member), set.fsync_lock(member)), (0, 1));
    let opid = set.lock(member).unwrap().opid;
    Run::beside(&set, ended.folder()).finish().ended(15).untouched().gone();
    let lock = set.lock(member).unwrap();
    assert!(lock.held && lock.opid == opid, "{lock:?}");
    assert_eq!(set.fsync_unlock(member), 0);
    // Neither does an old journal stand in the way when nothing is locked.
    Run::beside(&set, ended.folder()).finish().clean(0);
    // Nor one that nobody can read.
    let state = ended.folder().join("state");
    for entry in fs::read_dir(&state).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::write(entry.path(), "{").unwrap();
    }
    Run::beside(&set, ended.folder()).finish().clean(0);
}

/// Killed while it waits for the lock, which the server grants to nobody else.
#[test]
fn killed_before_the_lock_is_granted() {
    for version in ["6.0.5", "6.0.27"] {
        let set = Layout::of(3).version(version).blockable().start();
        for victims in ["supervisor", "guardian"] {
            let blocker = set.block(2, Duration::from_secs(30));
            let run = Run::of(&set).member(2).args(&["--lock-timeout", "20s"]);
            let running = run.start();
            until("the lock waits", || set.lock(2).is_ok_and(|lock| lock.pending));
            let victim = if victims == "guardian" { running.guardian() } else { running.pid() };
            kill(victim, Signal::SIGKILL).unwrap();
            thread::sleep(Duration::from_millis(700));
            drop(blocker);
            set.unlocked_within(Duration::from_secs(5));
            let ended = running.wait();
            assert!(ended.code != 0 && ended.code != 7, "{}: {}", ended.code, ended.stderr);
            ended.gone();
            // A lock that is granted late would show itself now.
            thread::sleep(Duration::from_millis(500));
            ended.clean(ended.code);
            if victims == "guardian" {
                // It alone lets the command begin: its end does not.
                ended.never_began();
            }
        }
    }
}

/// One at a time, on one machine.
#[test]
fn two_at_once() {
    let set = borrow("6.0.5");
    let mut first = Run::of(&set).script("sleep 2").start();
    let member = first.locked();
    let second = Run::beside(&set, first.folder()).finish();
    second.ended(15).untouched();
    assert!(set.lock(member).unwrap().held);
    drop(second);
    first.wait().clean(0);
}

/// And from two machines, that know nothing of one another.
#[test]
fn two_from_two_machines() {
    let set = borrow("6.0.5");
    let mut wins = 0;
    for delay in [0, 0, 0, 30, 60, 100] {
        let begun = Instant::now();
        let first = Run::of(&set).script("sleep 1").start();
        thread::sleep(Duration::from_millis(delay));
        let mut second = Run::of(&set).script("sleep 1").start();
        let mut most = 0;
        while !second.has_ended() && begun.elapsed() < Duration::from_secs(20) {
            most = most.max(set.held().len());
        }
        let (first, second) = (first.wait(), second.wait());
        eprintln!("{delay} ms apart: {} and {}", first.code, second.code);
        for ended in [&first, &second] {
            assert!([0, 15].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
            wins += usize::from(ended.code == 0);
        }
        assert!(first.code == 15 || second.code == 15 || !overlap(&set), "both have locked at the same time");
        first.clean(first.code);
        second.clean(second.code);
        let snapshots = [&first, &second].iter().filter(|ended| ended.manifest["consistent"] == true).count();
        assert!(most < 2 || snapshots < 2, "two members were locked, and both say that all is well");
    }
    assert!(wins > 0, "nobody ever wins");
}

/// Whether the last locks of two members were held at the same time.
fn overlap(set: &crate::support::replica_set::ReplicaSet) -> bool {
    let last: Vec<_> =
        set.secondaries().into_iter().filter_map(|member| set.locks(member).last().copied()).collect();
    let [one, other] = last[..] else { return false };
    one.locked < other.unlocked.unwrap() && other.locked < one.unlocked.unwrap()
}

/// Somebody else's `comment` is not ours.
#[test]
fn a_lock_that_somebody_else_waits_for() {
    let set = Layout::of(3).blockable().start();
    // One that has just been copied from another refuses locks, when they are granted.
    set.fsync_lock(1);
    set.fsync_unlock(1);
    let blocker = set.block(1, Duration::from_secs(20));
    set.begin(1, doc! {"fsync": 1, "lock": true, "comment": "infra:0000000000000000"});
    until("the lock waits", || set.lock(1).is_ok_and(|lock| lock.pending));
    Run::of(&set).finish().ended(15).untouched().gone();
    drop(blocker);
    until("the lock is held", || set.lock(1).unwrap().held);
    assert_eq!(set.fsync_unlock(1), 0);
    Run::of(&set).finish().clean(0);
}
