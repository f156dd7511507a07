//! A copy that the snapshot command makes under a writer is opened, and judged; and what is copied without a lock is not fit.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::run::{Ended, Run};
use crate::support::replica_set::{Layout, ReplicaSet, restore, until, writer::Writer};

/// Copies `$1`'s data to a folder, file by file against the order in which they are written, with checkpoints in between if
/// there can be any.
fn slowly(set: &ReplicaSet, to: &Path) -> String {
    format!(
        "from='{}'/\"${{1#vm-}}\"/data; to='{}/data'; cd \"$from\"
        for file in $(find . -type f ! -name mongod.lock | sort -r); do
            if [ $file = ./WiredTiger.wt ]; then sleep 2.5; fi
            mkdir -p \"$to/$(dirname $file)\"
            cp --sparse=always $file \"$to/$file\" || exit 1
            sleep 0.02
        done",
        set.folder().display(),
        to.display()
    )
}

/// But for what a checkpoint renames while it is at it, which a snapshot of a disk would not miss either.
fn at_once(set: &ReplicaSet, to: &Path) -> String {
    format!(
        "mkdir '{1}'; tar -C '{0}'/\"${{1#vm-}}\" -cS --exclude=WiredTiger.turtle.set data | tar -xS -C '{1}'",
        set.folder().display(),
        to.display()
    )
}

/// What the writer had been told before the lock is in it, and nothing that is not an exact prefix.
#[track_caller]
fn judge(set: &ReplicaSet, ended: &Ended<'_>, copy: &Path, known: i64) {
    ended.clean(0);
    let restored = restore::open(set.version, copy).unwrap_or_else(|complaints| panic!("{complaints}"));
    assert!(restored.is_exact_prefix(), "{restored:?}");
    assert_eq!(restored.errors, Vec::<String>::new());
    let optime = &ended.manifest["optime"];
    let optime = (optime["t"].as_u64().unwrap(), optime["i"].as_u64().unwrap());
    assert_eq!((u64::from(restored.last.0), u64::from(restored.last.1)), optime, "{restored:?}");
    // A secondary is never far behind in these sets.
    assert!(restored.documents > known - 3000, "{known} were written: {restored:?}");
}

/// Twenty times, both in one piece and slowly.
#[test]
fn under_a_writer() {
    for (version, times) in [("6.0.5", 20), ("6.0.27", 5)] {
        let set = Layout::of(3).version(version).argument("--syncdelay=1").start();
        let writer = Writer::start(&set);
        let mut members = BTreeMap::new();
        for round in 0..times {
            let known = writer.written();
            let run = Run::of(&set);
            let copy = run.folder.path().join("copy");
            let script = if round % 5 == 4 { slowly(&set, &copy) } else { at_once(&set, &copy) };
            let ended = run.script(&script).finish();
            judge(&set, &ended, &copy, known);
            *members.entry(ended.member()).or_insert(0) += 1;
        }
        assert!(!writer.has_failed());
        let (written, took) = (writer.written(), writer.age());
        eprintln!("{version}: {members:?}; {written} written in {took:?}");
        assert!(
            written > i64::try_from(took.as_millis()).unwrap() * 6 / 10,
            "{written} documents in {took:?} are too few"
        );
    }
}

/// Without a lock the very same copy is torn, sooner or later: then the judge says so.
#[test]
fn without_a_lock() {
    let set = Layout::of(3).argument("--syncdelay=1").start();
    let writer = Writer::start_with(&set, 200, Duration::from_millis(20));
    until("something is written", || writer.written() > 5000);
    let mut torn = Vec::new();
    for round in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let copy: PathBuf = folder.path().join("copy");
        let script = format!("set -- vm-2; {}", slowly(&set, &copy));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        if !output.status.success() {
            // A file has gone while it was copied.
            continue;
        }
        match restore::open(set.version, &copy) {
            Err(complaints) => {
                torn.push(format!("{round}: {}", complaints.lines().next().unwrap_or_default()));
            }
            Ok(restored) if !restored.is_exact_prefix() || !restored.errors.is_empty() => {
                torn.push(format!("{round}: {restored:?}"));
            }
            Ok(_) => {}
        }
        if torn.len() >= 2 {
            break;
        }
    }
    eprintln!("{torn:#?}");
    assert!(!torn.is_empty(), "copies without a lock are never torn, so those with a lock prove nothing");
    assert!(fs::metadata(set.folder()).is_ok());
}
