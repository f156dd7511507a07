//! `infra doctor` on this machine: servers, programs, a ledger, a replica set.

use serde_json::Value;

use crate::support::{
    replica_set::{self, ROOT},
    sandbox::Sandbox,
};

fn checks(sandbox: &Sandbox, code: i32) -> Vec<(String, String, String)> {
    let told: Value =
        serde_json::from_str(&sandbox.infra(&["doctor", "--json"]).expect(code).stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |check: &Value| {
        let subject = format!("{} {}", text(&check["check"]), text(&check["subject"]));
        (text(&check["status"]), subject, text(&check["summary"]))
    };
    told["checks"].as_array().unwrap().iter().map(one).collect()
}

#[track_caller]
fn status<'a>(checks: &'a [(String, String, String)], subject: &str) -> (&'a str, &'a str) {
    let found = checks.iter().find(|(_, other, _)| other == subject);
    let (status, _, said) = found.unwrap_or_else(|| panic!("no {subject}: {checks:#?}"));
    (status, said)
}

#[test]
fn a_machine_and_what_is_wrong_with_it() {
    let set = replica_set::shared::borrow("6.0.5");
    let mut sandbox = Sandbox::new("17", "services: {orders: {}}\n");
    sandbox.variables.push(("EVENTS_MONGO_URI", set.uri(ROOT)));
    let found = checks(&sandbox, 0);
    assert_eq!(status(&found, "programs main").0, "ok");
    assert!(status(&found, "server main").1.contains("infra apply makes it"), "{found:#?}");
    assert!(!sandbox.project.base().exists(), "nothing was made");
    let _ = sandbox.apply();
    let found = checks(&sandbox, 0);
    for subject in [
        "connection main",
        "login main as infra_planner",
        "login main as infra_admin",
        "server main",
        "clock main",
    ] {
        assert_eq!(status(&found, subject).0, "ok", "{found:#?}");
    }

    // A replica set, a policy whose command is not there, and a ledger that nobody can read.
    std::fs::write(sandbox.folder().join("environments/file"), "").unwrap();
    let more = "ledger: ../file\nbackup_policies: {six: {mongo: {every: 6h, snapshot_command: [no-such-command, \"{host}\"]}}}\n\
        mongo_clusters: {events: {uri: {env: EVENTS_MONGO_URI}, backup_policy: six}}\n";
    sandbox.write(&format!("services: {{orders: {{}}}}\n{more}"));
    let found = checks(&sandbox, 1);
    assert_eq!(status(&found, "programs snapshots of events").0, "fail", "{found:#?}");
    assert_eq!(status(&found, "ledger ../file").0, "fail", "{found:#?}");
    for member in &set.members {
        let (status, said) = status(&found, &format!("mongodb events {}", member.host));
        assert_eq!(status, "ok");
        assert!(["PRIMARY", "SECONDARY"].contains(&said), "{said}");
    }
    assert_eq!(status(&found, "login main as infra_admin").0, "ok", "one fault hides no other");

    // A user whose password is wrong, and a member that cannot be reached.
    sandbox.variables.retain(|(name, _)| *name != "EVENTS_MONGO_URI");
    sandbox
        .variables
        .push(("EVENTS_MONGO_URI", "mongodb://canary:canary@127.0.0.1:9/admin?replicaSet=x".into()));
    let found = checks(&sandbox, 1);
    assert_eq!(status(&found, "mongodb events").0, "fail");
    assert!(!format!("{found:?}").contains("canary:"), "{found:?}");
    sandbox.variables.pop();
    let found = checks(&sandbox, 1);
    assert!(status(&found, "mongodb events").1.contains("EVENTS_MONGO_URI, which is not set"), "{found:#?}");

    let text = sandbox.infra(&["doctor"]).expect(1);
    assert!(text.stdout.contains("      see docs/trouble.md#programs\n"), "{}", text.stdout);
    assert_eq!(text.stderr, "Looking at what local needs...\n");
}
