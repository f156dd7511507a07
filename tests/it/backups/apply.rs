//! The kind `mongo_snapshot` in plan and apply.

use mongodb::bson::doc;
use serde_json::Value;

use super::project::{Project, changes};

const CURRENT: &str = "mongo_snapshot.events/current";

fn pair(address: &str, action: &str) -> (String, String) {
    (address.into(), action.into())
}

#[test]
fn what_is_due_is_taken() {
    let project = Project::new("{last: 4}");
    let ran = project.infra(&["plan", "-v"]).expect(0);
    for line in [
        "  # mongo_snapshot.events/current will be created (never taken, policy every 6h)",
        "Plan: 1 to add, 0 to change, 0 to destroy.",
        "> lock one secondary of events by fsyncLock, for 10m at most",
        "> unlock it, whatever happens",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    assert_eq!(project.infra(&["plan", "--detailed-exitcode"]).code, 2);
    assert!(!project.folder().join(".infra").exists(), "a plan writes nothing");
    let due = project.plan();
    project.apply().expect(0);
    project.settled();
    let documents = project.documents();
    let [(_, manifest)] = &documents[..] else { panic!("{documents:?}") };
    assert_eq!(manifest["status"], "consistent");
    assert_eq!(manifest["environment"], "test");
    assert_eq!(manifest["policy"], "often");
    assert_eq!(manifest["unlocked"], "verified");
    let vm = manifest["vm_host"].as_str().unwrap();
    assert!(vm.starts_with("vm-"), "{manifest}");
    assert_eq!(project.lines("taken"), [vm]);
    assert!(manifest["snapshot_ids"][0].as_str().unwrap().starts_with("snap-"), "{manifest}");
    // Whoever approved a plan without it has approved the same.
    let settled = project.plan();
    assert_eq!(changes(&due), [pair(CURRENT, "create")]);
    assert_eq!(changes(&settled), []);
    assert_eq!(due["digest"], settled["digest"]);
}

#[test]
fn what_is_overdue_is_shown_in_every_plan() {
    let project = Project::new("{last: 4}");
    project.taken_before(7, "consistent");
    project.taken_before(1, "failed");
    let ran = project.infra(&["plan"]).expect(0);
    let line =
        "# mongo_snapshot.events/current will be created (last 7h ago, policy every 6h; overdue by 1h)";
    assert!(ran.stdout.contains(line), "{}", ran.stdout);
    let ran = project.infra(&["plan", "--markdown"]).expect(0);
    assert!(ran.stdout.contains("last 7h ago, policy every 6h; overdue by 1h"), "{}", ran.stdout);
    project.taken_before(5, "consistent");
    project.settled();
}

/// In a protected environment, too: the policy has said that it goes.
#[test]
fn what_is_kept_no_longer_goes_after_the_new_one() {
    let project = Project::new("{}");
    project.write("keep: {last: 2}", "protect: true");
    let old = project.taken_before(13, "consistent");
    let kept = project.taken_before(7, "consistent");
    let plan = project.plan();
    let gone = format!("mongo_snapshot.events/{old}");
    assert_eq!(changes(&plan), [pair(&gone, "delete"), pair(CURRENT, "create")]);
    assert_eq!(plan["guards"], serde_json::json!([]));
    let change = &plan["resource_changes"][0];
    assert_eq!(change["reason"], "no rule keeps it");
    assert_eq!(change["after"], serde_json::json!([CURRENT]));
    let delete = project.folder().join("delete");
    assert_eq!(
        change["effects"],
        serde_json::json!([format!("run {} vm-1 old-13", delete.display()), format!("forget {old}")])
    );
    project.apply().expect(0);
    assert_eq!(project.lines("deleted"), ["vm-1 old-13"]);
    let left: Vec<String> = project.documents().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&kept) && !left.contains(&old), "{left:?}");
    project.settled();
}

#[test]
fn nothing_goes_without_a_command_for_it() {
    let project = Project::new("{last: 1}");
    let yaml = std::fs::read_to_string(project.folder().join("environments/test/environment.yaml")).unwrap();
    let without: Vec<&str> = yaml.lines().filter(|line| !line.contains("delete_command")).collect();
    project.write_raw(&without.join("\n"));
    project.taken_before(1, "consistent");
    project.taken_before(7, "consistent");
    project.taken_before(900, "failed");
    project.settled();
    let list = project.list();
    let reasons: Vec<&Value> =
        list["snapshots"].as_array().unwrap().iter().map(|one| &one["kept_because"][0]).collect();
    assert_eq!(reasons, ["last 1", "the policy has no delete_command", "the policy has no delete_command"]);
}

#[test]
fn most_of_them_do_not_go_at_once() {
    let project = Project::new("{last: 1}");
    for hours in [1, 7, 13, 19, 25, 31] {
        project.taken_before(hours, "consistent");
    }
    project.settled();
    assert_eq!(
        project.list()["withheld"],
        "5 of 6 good snapshots would go at once: that is taken for a mistake in `keep`"
    );
    let ran = project.infra(&["backup", "run"]).expect(0);
    assert!(ran.stderr.contains("5 of 6 good snapshots would go at once"), "{}", ran.stderr);
    assert_eq!(project.lines("deleted").len(), 0);
    project.infra(&["backup", "run", "--allow-mass-delete"]).expect(0);
    assert_eq!(project.lines("deleted").len(), 5);
    assert_eq!(project.documents().len(), 1);
}

/// A command that fails leaves the entry, which is gone on with.
#[test]
fn what_cannot_be_deleted_is_tried_again() {
    let project = Project::new("{last: 1}");
    project.taken_before(1, "consistent");
    let old = project.taken_before(7, "consistent");
    project.script("delete", "echo the storage is away >&2; exit 3");
    let ran = project.apply().expect(6);
    assert!(ran.stderr.contains("the storage is away"), "{}", ran.stderr);
    let document = |project: &Project| project.documents().into_iter().find(|(name, _)| *name == old);
    assert!(document(&project).unwrap().1["deleting"].is_string());
    // It counts for nothing now, and goes on going whatever the policy says.
    project.write("keep: {last: 9}", "");
    assert_eq!(changes(&project.plan()), [pair(&format!("mongo_snapshot.events/{old}"), "delete")]);
    project.script("delete", "echo \"$1 $2\" >>\"$log/deleted\"");
    project.apply().expect(0);
    assert_eq!(project.lines("deleted"), ["vm-1 old-7"]);
    assert!(document(&project).is_none());
    project.settled();
}

/// What failed is written down, deletes nothing, and is no success.
#[test]
fn a_snapshot_that_fails_deletes_nothing() {
    let project = Project::new("{last: 1}");
    let old = [project.taken_before(7, "consistent"), project.taken_before(13, "consistent")];
    project.script("snapshot", "echo no space in the pool >&2; exit 9");
    let ran = project.apply().expect(6);
    assert!(ran.stderr.contains("unlocked: verified"), "{}", ran.stderr);
    assert_eq!(project.lines("deleted"), [""; 0]);
    let documents = project.documents();
    let (_, failed) = documents.iter().find(|(name, _)| !old.contains(name)).unwrap();
    assert_eq!((&failed["status"], &failed["exit_code"]), (&"failed".into(), &9.into()));
    assert!(failed["output"].as_str().unwrap().contains("no space in the pool"), "{failed}");
    assert_eq!(
        project.list()["withheld"],
        "the last run came to nothing: nothing good is deleted before one succeeds"
    );
    // The next one goes on.
    project.script("snapshot", "echo snap-1");
    project.apply().expect(0);
    assert_eq!(project.lines("deleted"), ["vm-1 old-13", "vm-1 old-7"]);
    project.settled();
}

/// With the role that backups are taken with.
#[test]
fn one_apply_settles_everything() {
    let mut project = Project::new("{last: 1}");
    project.whole = true;
    project.taken_before(7, "consistent");
    let addresses: Vec<String> = changes(&project.plan()).into_iter().map(|(address, _)| address).collect();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    assert!(addresses.contains(&"mongo_role.events/infra/backup".into()), "{addresses:?}");
    let ran = project.apply().expect(0);
    assert!(
        ran.stdout.contains("Apply complete! Resources: 2 added, 0 changed, 1 destroyed."),
        "{}",
        ran.stdout
    );
    project.settled();
    let primary = project.set.await_primary();
    project.set.run(primary, doc! {"dropRole": "infra_backup"});
}

#[test]
fn what_has_no_policy_has_no_snapshot() {
    let mut project = Project::new("{last: 1}");
    project.whole = true;
    project.write_raw("platform: {local: {}}\nmongo_clusters: {events: {uri: {env: EVENTS}}}\n");
    project.taken_before(7, "consistent");
    project.settled();
    let ran = project.infra(&["backup", "list"]).expect(1);
    assert!(ran.stderr.contains("no replica set of environment test has a backup policy"), "{}", ran.stderr);
}

/// A destroyed environment leaves its backups.
#[test]
fn destroy_leaves_snapshots_alone() {
    let project = Project::new("{last: 1}");
    project.taken_before(1, "consistent");
    project.taken_before(7, "consistent");
    project.infra(&["destroy", "--auto-approve"]).expect(0);
    assert_eq!(project.documents().len(), 2);
    assert_eq!(project.lines("deleted"), [""; 0]);
}
