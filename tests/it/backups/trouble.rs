//! Other hands, signals and full disks.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use infra::providers::{
    ReadWrite,
    ledger::{Holder, Ledger},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::project::{Project, changes};
use crate::support::replica_set::{until, within};

fn holder() -> Holder {
    Holder {
        who: "boris".into(),
        host: "elsewhere".into(),
        operation: "infra backup run -e test".into(),
        pid: 7,
        since: "just now".into(),
        url: None,
    }
}

#[tokio::test]
async fn another_run_has_the_lease() {
    let project = Project::new("{last: 4}");
    let ledger = Ledger::<ReadWrite>::folder(&project.folder().join(".infra/test"));
    let lease = ledger.lease("mongo-events", &holder(), Duration::ZERO).await.unwrap();
    let ran = project.infra(&["backup", "run"]).expect(15);
    assert!(ran.stderr.contains("by boris on elsewhere, process 7"), "{}", ran.stderr);
    let ran = project.apply().expect(6);
    assert!(ran.stderr.contains("by boris on elsewhere, process 7"), "{}", ran.stderr);
    assert_eq!(project.lines("taken"), [""; 0]);
    lease.release().await;
    project.apply().expect(0);
    project.settled();
}

/// Whoever comes second finds that it has been done.
#[test]
fn many_runs_at_once_take_one_snapshot() {
    let project = Project::new("{last: 4}").least();
    project.script("snapshot", "echo taken >>\"$log/taken\"; sleep 0.5; echo snap-1");
    let start =
        || project.command(&["backup", "run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let runs: Vec<_> = (0..4).map(|_| start()).collect();
    let codes: Vec<i32> = runs.into_iter().map(|mut run| run.wait().unwrap().code().unwrap()).collect();
    assert!(codes.contains(&0) && codes.iter().all(|code| [0, 15].contains(code)), "{codes:?}");
    assert_eq!(project.lines("taken").len(), 1);
    assert_eq!(project.documents().len(), 1);
    assert_eq!(project.set.locked(), [0; 0]);
}

/// No file may grow, as on a disk that is full: nothing is locked.
#[test]
fn the_disk_of_the_ledger_is_full() {
    let project = Project::new("{last: 4}").least();
    let before = project.command(&["backup", "run"]);
    let mut shell = Command::new("sh");
    let line = "trap '' XFSZ; ( ulimit -f 0; \"$0\" \"$@\" 2>&1; echo \"ended with $?\" ) | cat";
    shell.args(["-c", line]).arg(before.get_program()).args(before.get_args()).env_clear();
    shell.envs(before.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.current_dir(project.folder()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("ended with 1"), "{said}");
    assert!(said.contains(".infra/test"), "{said}");
    assert_eq!(project.lines("taken"), [""; 0]);
    assert_eq!(project.set.locked(), [0; 0]);
}

/// There is a snapshot, and nothing will ever delete it: somebody must know.
#[test]
fn what_cannot_be_written_down_is_told() {
    let project = Project::new("{last: 4}").least();
    project.script(
        "snapshot",
        "mkdir -p \"$log/.infra/test\"; touch \"$log/.infra/test/snapshots\"; echo snap-77",
    );
    let ran = project.infra(&["backup", "run"]).expect(1);
    assert!(
        ran.stderr.contains("snapshots: snap-77), but the catalogue does not know of it"),
        "{}",
        ran.stderr
    );
}

/// An unreadable catalogue is no empty one.
#[test]
fn a_catalogue_that_cannot_be_read_is_not_taken_for_empty() {
    let project = Project::new("{last: 4}");
    let name = project.taken_before(1, "consistent");
    let path = project.folder().join(format!(".infra/test/snapshots/events/{name}.json"));
    std::fs::write(&path, "{\"schema\": ").unwrap();
    let ran = project.infra(&["plan"]);
    assert_ne!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("mongo_catalogue.events could not be read"), "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("will be created"), "{}", ran.stdout);
    let ran = project.infra(&["backup", "run"]).expect(1);
    assert!(ran.stderr.contains("is not what this version of infra writes"), "{}", ran.stderr);
    assert_eq!(project.lines("taken"), [""; 0]);
}

/// An apply in the middle of a snapshot.
fn in_the_middle(project: &Project) -> std::process::Child {
    project.script("snapshot", "touch \"$log/begun\"; sleep 4; echo snap-1");
    let mut command = project.command(&["apply", "--auto-approve"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the snapshot command runs", || project.folder().join("begun").exists());
    child
}

fn signal(child: &std::process::Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

#[test]
fn one_interrupt_finishes_the_snapshot() {
    let project = Project::new("{last: 4}");
    let mut child = in_the_middle(&project);
    signal(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(project.set.locked(), [0; 0]);
    let documents = project.documents();
    assert_eq!(documents.len(), 1);
    assert_eq!(documents[0].1["status"], "consistent");
    project.settled();
}

#[test]
fn a_second_interrupt_leaves_and_the_guardian_unlocks() {
    let project = Project::new("{last: 4}");
    let mut child = in_the_middle(&project);
    signal(&child, Signal::SIGINT);
    thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    within(Duration::from_secs(3), "no member is locked", || project.set.locked().is_empty());
    // It was not written down, so it is due still.
    assert_eq!(changes(&project.plan()), [("mongo_snapshot.events/current".into(), "create".into())]);
    project.script("snapshot", "echo snap-2");
    until("the run that was left has ended", || {
        project.command(&["backup", "run"]).output().unwrap().status.success()
    });
    project.settled();
}

/// A signal to cron's run ends it, and is written down.
#[test]
fn a_signal_ends_a_run() {
    let project = Project::new("{last: 4}").least();
    project.script("snapshot", "touch \"$log/begun\"; sleep 30");
    let mut command = project.command(&["backup", "run", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    until("the snapshot command runs", || project.folder().join("begun").exists());
    signal(&child, Signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&manifest["consistent"], &manifest["unlocked"]), (&false.into(), &"verified".into()));
    assert_eq!(project.set.locked(), [0; 0]);
    assert_eq!(project.documents().len(), 1);
}

/// Somebody must be called: that is more than an apply that is not complete.
#[test]
fn a_member_that_may_be_locked_still() {
    let project = Project::new("{last: 4}");
    project.script(
        "snapshot",
        "echo \"$INFRA_MONGO_HOST\" >\"$log/begun.new\"; mv \"$log/begun.new\" \"$log/begun\"; sleep 2",
    );
    let mut command = project.command(&["apply", "--auto-approve"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the snapshot command runs", || project.folder().join("begun").exists());
    let host = project.lines("begun").remove(0);
    let member = project.set.members.iter().find(|member| member.host == host).unwrap();
    member.freeze();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    member.thaw();
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("unlocked: UNKNOWN") && said.contains("fsyncUnlock"), "{said}");
    within(Duration::from_mins(1), "the guardian has unlocked it", || project.set.locked().is_empty());
    let documents = project.documents();
    assert_eq!((documents.len(), &documents[0].1["unlocked"]), (1, &"unknown".into()));
}
