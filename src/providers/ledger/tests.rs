//! Documents and leases, in a folder and in what stands for a bucket: it has the conditional writes of S3.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use object_store::{
    ObjectStore,
    memory::InMemory,
    throttle::{ThrottleConfig, ThrottledStore},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::*;

const SHORT: Duration = Duration::from_millis(400);

fn bucket() -> Ledger<ReadWrite> {
    bucket_in(Arc::new(InMemory::new())).with_life(SHORT)
}

fn bucket_in(store: Arc<dyn ObjectStore>) -> Ledger<ReadWrite> {
    Ledger::at(Place::Bucket { store, prefix: "acme/prod".into(), url: "s3://bucket/acme/prod".into() })
}

fn holder(who: &str) -> Holder {
    Holder {
        who: who.into(),
        host: "here".into(),
        operation: "infra backup run".into(),
        pid: 7,
        since: "just now".into(),
        url: None,
    }
}

async fn documents(ledger: &Ledger<ReadWrite>) {
    assert_eq!(ledger.list("snapshots/events").await.unwrap(), [""; 0]);
    assert_eq!(ledger.read::<Value>("snapshots/events/1.json").await.unwrap(), None);
    ledger.delete("snapshots/events/1.json").await.unwrap();
    for name in ["snapshots/events/2.json", "snapshots/events/1.json", "snapshots/events-2/3.json"] {
        ledger.put_new(name, &json!({"name": name})).await.unwrap();
    }
    assert_eq!(
        ledger.list("snapshots/events").await.unwrap(),
        ["snapshots/events/1.json", "snapshots/events/2.json"]
    );
    assert_eq!(ledger.list("snapshots").await.unwrap().len(), 3);
    // The same again is no fault: its answer may have been lost.
    ledger.put_new("snapshots/events/1.json", &json!({"name": "snapshots/events/1.json"})).await.unwrap();
    let refused = ledger.put_new("snapshots/events/1.json", &json!({"name": "other"})).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Exists { .. }), "{refused}");
    let kept: Option<Value> = ledger.read("snapshots/events/1.json").await.unwrap();
    assert_eq!(kept, Some(json!({"name": "snapshots/events/1.json"})));
    ledger.replace("snapshots/events/1.json", &json!({"name": "changed"})).await.unwrap();
    assert_eq!(ledger.read("snapshots/events/1.json").await.unwrap(), Some(json!({"name": "changed"})));
    let garbled = ledger.read::<Vec<u8>>("snapshots/events/1.json").await.unwrap_err();
    assert!(garbled.to_string().contains("is not what this version of infra writes"), "{garbled}");
    for _ in 0..2 {
        ledger.delete("snapshots/events/1.json").await.unwrap();
    }
    assert_eq!(ledger.list("snapshots/events").await.unwrap(), ["snapshots/events/2.json"]);
}

#[tokio::test]
async fn documents_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/prod");
    let reader = Ledger::<ReadOnly>::folder(&path);
    assert_eq!(reader.list("snapshots").await.unwrap(), [""; 0]);
    assert_eq!(reader.read::<Value>("x.json").await.unwrap(), None);
    assert!(!path.exists(), "reading makes nothing");
    documents(&Ledger::<ReadWrite>::folder(&path)).await;
    assert_eq!(reader.list("snapshots").await.unwrap().len(), 2);
    // What somebody else put there is nobody's business.
    std::fs::write(path.join("snapshots/events/notes.txt"), "hello").unwrap();
    assert_eq!(reader.list("snapshots/events").await.unwrap(), ["snapshots/events/2.json"]);
}

#[tokio::test]
async fn documents_in_a_bucket() {
    documents(&bucket()).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let ledger = Ledger::<ReadWrite>::folder(&file.join("prod"));
    let refused = ledger.put_new("x.json", &1).await.unwrap_err();
    assert!(refused.to_string().starts_with("cannot use "), "{refused}");
    assert!(refused.to_string().contains("file/prod"), "{refused}");
}

#[tokio::test]
async fn what_the_disk_and_the_bucket_say_is_told() {
    let generic = |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic {
        store: "LocalFileSystem",
        source,
    };
    let of = |error: &object_store::Error| LedgerError::of("written", "x.json", "/ledger", error).to_string();
    let full = std::io::Error::from_raw_os_error(nix::libc::ENOSPC);
    assert_eq!(of(&generic(full.into())), "the ledger at /ledger is full: x.json could not be written");
    let quota = std::io::Error::from_raw_os_error(nix::libc::EDQUOT);
    assert_eq!(of(&generic(quota.into())), "the ledger at /ledger is full: x.json could not be written");
    let denied = std::io::Error::from_raw_os_error(nix::libc::EACCES);
    assert!(
        of(&generic(denied.into()))
            .starts_with("the ledger at /ledger does not let us: x.json could not be written")
    );
    let document = "<?xml?><Error><Code>AccessDenied</Code><Message>User is\n not</Message></Error>";
    let denied = object_store::Error::PermissionDenied { path: "p".into(), source: document.into() };
    assert_eq!(
        of(&denied),
        "the ledger at /ledger does not let us: x.json could not be written (AccessDenied: User is not)"
    );
}

async fn excludes(ledger: &Ledger<ReadWrite>) {
    let first = ledger.lease("mongo-events", &holder("ana"), Duration::ZERO).await.unwrap();
    let refused = ledger.lease("mongo-events", &holder("boris"), Duration::ZERO).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "mongo-events is taken by another run: infra backup run (by ana on here, process 7, since just now)"
    );
    let other = ledger.lease("mongo-audit", &holder("boris"), Duration::ZERO).await.unwrap();
    let waits = {
        let ledger = ledger.clone();
        tokio::spawn(
            async move { ledger.lease("mongo-events", &holder("boris"), Duration::from_secs(20)).await },
        )
    };
    sleep(Duration::from_millis(100)).await;
    assert!(!waits.is_finished());
    first.release().await;
    let second = waits.await.unwrap().unwrap();
    second.release().await;
    other.release().await;
    assert_eq!(ledger.list("snapshots").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_lease_excludes_others() {
    let folder = tempfile::tempdir().unwrap();
    excludes(&Ledger::<ReadWrite>::folder(&folder.path().join("prod"))).await;
    assert!(!folder.path().join("prod/leases").exists(), "nothing is left behind");
    excludes(&bucket()).await;
}

async fn race(ledger: &Ledger<ReadWrite>) {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let runs = (0..20).map(|index| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let holder = holder(&format!("run {index}"));
            let lease = ledger.lease("mongo-events", &holder, Duration::from_mins(1)).await.unwrap();
            assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
            sleep(Duration::from_millis(5)).await;
            INSIDE.fetch_sub(1, Ordering::SeqCst);
            lease.release().await;
        })
    });
    for run in futures::future::join_all(runs).await {
        run.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_race_for_one_lease() {
    let folder = tempfile::tempdir().unwrap();
    race(&Ledger::<ReadWrite>::folder(folder.path())).await;
    // Those who take it make folders that those who let go remove.
    race(&Ledger::<ReadWrite>::of_project(folder.path(), "prod")).await;
    assert!(!folder.path().join(".infra").exists(), "nothing is left behind");
    race(&bucket()).await;
}

async fn refused(ledger: &Ledger<ReadWrite>, patience: Duration) -> bool {
    matches!(ledger.lease("x", &holder("boris"), patience).await, Err(LedgerError::Taken { .. }))
}

#[tokio::test]
async fn signs_of_life_keep_a_lease() {
    let ledger = bucket();
    let lease = ledger.lease("x", &holder("ana"), Duration::ZERO).await.unwrap();
    assert_eq!(ledger.holder("x").await.unwrap(), Some(holder("ana")));
    assert!(refused(&ledger, Duration::ZERO).await);
    assert!(refused(&ledger, SHORT * 3).await);
    assert!(!lease.is_over());
    lease.release().await;
    assert_eq!(ledger.holder("x").await.unwrap(), None);
    ledger.lease("x", &holder("boris"), Duration::ZERO).await.unwrap().release().await;
}

#[tokio::test]
async fn a_lease_without_signs_of_life_is_taken_over() {
    let ledger = bucket();
    // What is dropped is not released, as when its process is killed.
    drop(ledger.lease("x", &holder("ana"), Duration::ZERO).await.unwrap());
    assert!(refused(&ledger, Duration::ZERO).await);
    let begun = Instant::now();
    // It is the holder who says how long he may be silent.
    let hasty = ledger.clone().with_life(Duration::from_millis(1));
    assert!(refused(&hasty, Duration::from_millis(100)).await);
    let lease = ledger.lease("x", &holder("boris"), Duration::from_secs(20)).await.unwrap();
    assert!(begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
    drop(lease);
    // Who does not want to wait waits just so long, if it seems to be worth it.
    sleep(SHORT * 2).await;
    assert_eq!(ledger.holder("x").await.unwrap(), None);
    let begun = Instant::now();
    ledger.lease("x", &holder("carla"), Duration::ZERO).await.unwrap().release().await;
    assert!((SHORT..SHORT * 4).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

/// Clocks that are minutes apart: nobody alive loses the lease, and nobody dead keeps it.
#[tokio::test]
async fn clocks_that_are_wrong() {
    for minutes in [-10, -2, 2, 10] {
        let ledger = bucket();
        let clock = || jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
        let theirs = |beat: jiff::Timestamp| {
            json!({"id": "1", "holder": holder("ana"), "since": beat, "beat": beat,
                   "life_milliseconds": SHORT.as_millis(), "released": false})
        };
        let live = async {
            loop {
                ledger.replace("leases/x.json", &theirs(clock())).await.unwrap();
                sleep(SHORT / 4).await;
            }
        };
        tokio::select! {
            () = live => unreachable!(),
            refused = async {
                sleep(SHORT / 8).await;
                refused(&ledger, Duration::ZERO).await && refused(&ledger, SHORT * 3).await
            } => assert!(refused, "{minutes}"),
        }
        // Dead from here on.
        let begun = Instant::now();
        let lease = ledger.lease("x", &holder("boris"), SHORT * 3).await.unwrap();
        assert!((SHORT..SHORT * 3).contains(&begun.elapsed()), "{minutes}: {:?}", begun.elapsed());
        lease.release().await;
    }
}

#[tokio::test]
async fn a_lease_that_is_lost_says_so() {
    let ledger = bucket();
    let lease = ledger.lease("x", &holder("ana"), Duration::ZERO).await.unwrap();
    assert!(timeout(SHORT * 2, lease.lost()).await.is_err(), "it is not lost");
    let now = jiff::Timestamp::now();
    let theirs = json!({"id": "other", "holder": holder("boris"), "since": now, "beat": now,
                        "life_milliseconds": 60_000, "released": false});
    ledger.replace("leases/x.json", &theirs).await.unwrap();
    let why = timeout(SHORT * 2, lease.lost()).await.unwrap();
    assert_eq!(why, "another run has taken leases/x.json");
    lease.release().await;
    let kept: Option<Value> = ledger.read("leases/x.json").await.unwrap();
    assert_eq!(kept.unwrap()["id"], "other", "theirs is not released");
}

/// A process that stood still knows that its time is over before anything tells it.
#[tokio::test]
async fn a_holder_that_stood_still() {
    let ledger = bucket();
    let lease = ledger.lease("x", &holder("ana"), Duration::ZERO).await.unwrap();
    std::thread::sleep(SHORT * 2);
    assert!(lease.is_over());
    lease.release().await;
}

/// Nobody is told that a lease is his when others may have taken it already.
#[tokio::test]
async fn a_lease_that_is_over_when_it_is_granted() {
    for (put, over) in [(SHORT / 8, false), (SHORT * 2, true)] {
        let slow = ThrottleConfig { wait_put_per_call: put, ..ThrottleConfig::default() };
        let ledger = bucket_in(Arc::new(ThrottledStore::new(InMemory::new(), slow))).with_life(SHORT);
        assert_eq!(refused(&ledger, Duration::ZERO).await, over, "{put:?}");
    }
}

#[tokio::test]
async fn who_has_the_lock_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::<ReadWrite>::folder(folder.path());
    assert_eq!(ledger.holder("x").await.unwrap(), None);
    let ourselves = Holder { host: host(), pid: std::process::id(), ..holder("ana") };
    let lease = ledger.lease("x", &ourselves, Duration::ZERO).await.unwrap();
    assert_eq!(ledger.holder("x").await.unwrap(), Some(ourselves.clone()));
    lease.release().await;
    assert_eq!(ledger.holder("x").await.unwrap(), None);
    // Left by a process that is gone.
    let gone = Holder { pid: i32::MAX.try_into().unwrap(), ..ourselves };
    std::fs::create_dir_all(folder.path().join("leases")).unwrap();
    std::fs::write(folder.path().join("leases/x"), serde_json::to_string(&gone).unwrap()).unwrap();
    assert_eq!(ledger.holder("x").await.unwrap(), None);
}
