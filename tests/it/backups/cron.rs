//! `infra backup run` and `infra backup list`, as cron and people call them.

use serde_json::Value;

use super::project::Project;

#[test]
fn nothing_is_said_when_nothing_is_due() {
    let project = Project::new("{last: 4}").least();
    project.taken_before(1, "consistent");
    let ran = project.infra(&["backup", "run"]).expect(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    assert_eq!(project.documents().len(), 1);
}

#[test]
fn what_is_due_is_taken_with_the_least_rights() {
    let project = Project::new("{last: 1}").least();
    project.taken_before(7, "consistent");
    let ran = project.infra(&["backup", "run", "--json"]).expect(0);
    let manifest: Value = serde_json::from_str(ran.stdout.trim_end()).unwrap();
    assert_eq!((&manifest["consistent"], &manifest["policy"]), (&true.into(), &"often".into()));
    assert!(ran.stderr.contains("unlocked: verified\nevents: deleted "), "{}", ran.stderr);
    assert_eq!(project.lines("deleted"), ["vm-1 old-7"]);
    assert_eq!(project.documents().len(), 1);
    // Now it is not due, unless somebody insists.
    assert_eq!(project.infra(&["backup", "run", "--json"]).expect(0).stdout, "");
    let forced = project.infra(&["backup", "run", "--force"]).expect(0);
    assert!(forced.stdout.starts_with("events: consistent snapshot of 127.0.0.1:"), "{}", forced.stdout);
    assert_eq!(project.lines("taken").len(), 2);
}

#[test]
fn the_list_says_what_is_kept_and_why() {
    let project = Project::new("{last: 1, daily: 2}").least();
    project.taken_before(900, "failed");
    project.taken_before(30, "consistent");
    project.taken_before(1, "inconsistent");
    project.taken_before(7, "consistent");
    let ran = project.infra(&["backup", "list"]).expect(0);
    let mut lines = ran.stdout.lines();
    assert_eq!(lines.next(), Some("events (often): last 7h ago, policy every 6h; overdue by 1h; due"));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 4, "{}", ran.stdout);
    assert!(lines[0].contains("inconsistent") && lines[0].contains("kept: the last run"), "{}", lines[0]);
    assert!(
        lines[1].contains("consistent")
            && lines[1].contains("old-7")
            && lines[1].contains("kept: last 1, daily "),
        "{}",
        lines[1]
    );
    assert!(
        lines[3].contains("failed") && lines[3].contains("goes: came to nothing more than 7 days ago"),
        "{}",
        lines[3]
    );
    let list = project.list();
    assert_eq!(list["cluster"], "events");
    assert_eq!((&list["due"], &list["every"]), (&true.into(), &"6h".into()));
    assert!(list["overdue_seconds"].as_u64().unwrap() >= 3600, "{list}");
    let newest = &list["snapshots"][1];
    assert_eq!(newest["snapshot_ids"], serde_json::json!(["old-7"]));
    assert_eq!(
        (&newest["member"], &newest["vm_host"]),
        (&project.set.members[1].host.clone().into(), &"vm-1".into())
    );
    let unknown = project.infra(&["backup", "list", "--cluster", "other"]).expect(1);
    assert!(unknown.stderr.contains("there are: events"), "{}", unknown.stderr);
}

#[test]
fn a_command_that_fails_has_its_exit_code() {
    let project = Project::new("{last: 4}").least();
    project.script("snapshot", "exit 9");
    let ran = project.infra(&["backup", "run", "--json"]).expect(12);
    let manifest: Value = serde_json::from_str(ran.stdout.trim_end()).unwrap();
    assert_eq!((&manifest["consistent"], &manifest["exit_code"]), (&false.into(), &9.into()));
    assert!(ran.stderr.ends_with("unlocked: verified\n"), "{}", ran.stderr);
    assert_eq!(project.documents().len(), 1);
    // Still due.
    project.script("snapshot", "echo snap-1");
    project.infra(&["backup", "run"]).expect(0);
}

#[test]
fn other_ends_have_theirs() {
    let mut project = Project::new("{last: 4}").least();
    // `max_lock` passes.
    project.write("keep: {last: 4}\n      max_lock: 1s", "");
    project.script("snapshot", "sleep 30");
    project.infra(&["backup", "run"]).expect(13);
    project.script("snapshot", "echo snap-1");
    // Somebody else's lock.
    let secondary = project.set.secondaries()[0];
    project.set.fsync_lock(secondary);
    let ran = crate::support::sandbox::run(project.command(&["backup", "run"]));
    project.set.fsync_unlock(secondary);
    assert_eq!(ran.code, 15, "{}", ran.stderr);
    // Both were written down.
    assert_eq!(project.documents().len(), 2);
    project.uri = "mongodb://127.0.0.1:9/".into();
    project.infra(&["backup", "run"]).expect(1);
    project.uri = "mongodb://u:p@h:99999/".into();
    let ran = project.infra(&["backup", "run"]).expect(1);
    assert!(ran.stderr.contains("has a port that is none"), "{}", ran.stderr);
}
