//! The server grants a lock long after the client has given up, with nobody there to release it.

use std::{
    thread,
    time::{Duration, Instant},
};

use mongodb::bson::{Document, doc};

use super::run::Run;
use crate::support::replica_set::{Layout, ROOT, ReplicaSet, runtime, until};

/// Behind validation, which 6.0.5 waits for whatever we say.
#[test]
fn behind_validation() {
    for version in ["6.0.5", "6.0.27"] {
        let set = Layout::of(3).version(version).blockable().start();
        let application = ReplicaSet::application(&set.client(Some(ROOT), 0));
        let written = runtime::wait(Duration::from_mins(1), async move {
            application.collection::<Document>("large").insert_one(doc! {"_id": 1}).await
        });
        written.unwrap().unwrap();
        set.until_replicated();
        // As if there were so much to validate.
        let pause = |mode: &str| {
            set.run(2, doc! {"configureFailPoint": "pauseCollectionValidationWithLock", "mode": mode});
        };
        pause("alwaysOn");
        let client = set.client(Some(ROOT), 2);
        let begun = Instant::now();
        let (ended, validated) = thread::scope(|scope| {
            let validation = scope.spawn(move || {
                let validated = runtime::wait(Duration::from_mins(1), async move {
                    ReplicaSet::application(&client)
                        .run_command(doc! {"validate": "large", "full": true})
                        .await
                });
                validated.unwrap().unwrap();
                begun.elapsed()
            });
            let validating = doc! {"currentOp": 1, "command.validate": "large"};
            until("it validates", || !set.run(2, validating.clone()).get_array("inprog").unwrap().is_empty());
            thread::sleep(Duration::from_millis(200));
            scope.spawn(|| {
                // Longer than a run takes to begin and to give up, on a machine that is busy too.
                thread::sleep(Duration::from_secs(8));
                pause("off");
            });
            let ended = Run::of(&set).member(2).args(&["--lock-timeout", "1s"]).finish();
            (ended, validation.join().unwrap())
        });
        eprintln!("{version}: {} after {:?}, validated in {validated:?}", ended.code, ended.took);
        ended.clean(11);
        // Whatever was granted late would show itself.
        thread::sleep(Duration::from_secs(1));
        ended.clean(11);
        assert!(set.locks(2).iter().all(|lock| lock.unlocked.is_some()));
        // The one grants it when nobody wants it any more, the other gives up by itself.
        assert_eq!(ended.locks(), [0, 0, usize::from(version == "6.0.5")]);
    }
}

/// The lock that comes late is released in the moment it comes, and then another member serves. Never are two locked.
#[test]
fn another_member_serves() {
    for version in ["6.0.5", "6.0.27"] {
        let set = Layout::of(3).version(version).blockable().start();
        // Those that are as good as the other have the order of their names.
        let first = (1..3).min_by_key(|member| set.members[*member].host.clone()).unwrap();
        let blocker = set.block(first, Duration::from_mins(1));
        let running = Run::of(&set).args(&["--lock-timeout", "1s"]).start();
        until("its lock waits", || set.lock(first).is_ok_and(|lock| lock.pending));
        thread::sleep(Duration::from_millis(2500));
        drop(blocker);
        let ended = running.wait();
        ended.clean(0);
        assert_eq!(ended.member(), 3 - first);
        assert!(!overlapping(&set), "two members were locked at the same time");
        assert!(set.locks(first).iter().all(|lock| lock.unlocked.is_some()));
    }
}

fn overlapping(set: &ReplicaSet) -> bool {
    let (one, other) = (set.locks(1), set.locks(2));
    one.iter().any(|one| {
        other.iter().any(|other| one.locked < other.unlocked.unwrap() && other.locked < one.unlocked.unwrap())
    })
}

/// Not within the time either: the run says so, and somebody stays who releases it.
#[test]
fn nobody_else_can_serve() {
    for version in ["6.0.5", "6.0.27"] {
        let set = Layout::of(3).version(version).blockable().start();
        let blocker = set.block(2, Duration::from_secs(5));
        let ended = Run::of(&set).member(2).args(&["--lock-timeout", "1s"]).finish();
        eprintln!("{version}: {} after {:?}", ended.code, ended.took);
        ended.clean(11).holds("consistent", false);
        drop(blocker);
        thread::sleep(Duration::from_secs(1));
        ended.clean(11);
        assert_eq!(set.locks(1).len() + set.locks(0).len(), 0);
        Run::of(&set).finish().clean(0);

        // Longer than anybody wants to wait.
        let blocker = set.block(2, Duration::from_mins(1));
        let run = Run::of(&set).member(2).args(&["--lock-timeout", "1s", "--unlock-patience", "1s"]);
        let ended = run.finish();
        eprintln!("{version}: {} after {:?}: {}", ended.code, ended.took, ended.stderr);
        if version == "6.0.5" {
            ended.ended(7).says("fsyncUnlock").says(&set.members[2].host);
        } else {
            ended.ended(11);
        }
        drop(blocker);
        until("nobody is locked", || set.locked().is_empty());
        ended.gone();
        thread::sleep(Duration::from_millis(500));
        ended.clean(ended.code);
    }
}
