//! What is kept of every apply, and what becomes of one that is killed, that may not write, or that loses its lock.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{process::Child, time::sleep};

use super::locks::Slow;
use crate::support::{
    emulator::{self, Emulator, REGION},
    sandbox::Sandbox,
};

const YAML: &str = "services: {orders: {}}\npeople: {ana: {}}";

fn runs(sandbox: &Sandbox) -> Vec<Value> {
    let ran = sandbox.infra(&["history", "--json"]).expect(0);
    serde_json::from_str::<Value>(&ran.stdout).unwrap()["runs"].as_array().unwrap().clone()
}

fn states(sandbox: &Sandbox) -> Vec<String> {
    runs(sandbox).iter().map(|run| run["state"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_apply_leaves_a_record() {
    let sandbox = Sandbox::new("17", YAML);
    let none = sandbox.infra(&["history"]).expect(0);
    assert_eq!(none.stdout, "Nothing was applied to local yet.\n");
    assert!(!sandbox.folder().join(".infra").exists(), "looking makes nothing");
    let mut command = sandbox.command(&["apply", "--auto-approve"]);
    command.envs([
        ("GITHUB_SERVER_URL", "https://github.example"),
        ("GITHUB_REPOSITORY", "acme/shop"),
        ("GITHUB_RUN_ID", "812"),
        ("GITHUB_ACTOR", "ana"),
        ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567"),
    ]);
    crate::support::sandbox::run(command).expect(0);
    let first = runs(&sandbox).remove(0);
    assert_eq!(first["by"]["who"], "ana");
    assert_eq!(first["by"]["url"], "https://github.example/acme/shop/actions/runs/812");
    assert_eq!(first["commit"], "0123456789abcdef0123456789abcdef01234567");
    assert_eq!((&first["state"], &first["ended"]["exit_code"]), (&json!("complete"), &json!(0)));
    assert_eq!(first["approval"], "auto_approve");
    let steps = first["steps"].as_array().unwrap();
    assert_eq!(first["ended"]["added"], steps.len());
    assert!(steps.iter().all(|step| step["outcome"] == "done" && step["actions"] == json!(["create"])));
    let role = steps.iter().find(|step| step["address"] == "pg_role.main/dev_ana").unwrap();
    assert!(role["effects"].to_string().contains("CREATE ROLE"), "{role}");

    // By its digest; one that fails; and one with nothing to do.
    sandbox.write(&YAML.replace("{}}\n", "{connection_limit: 9}}\n"));
    let plan = sandbox.plan();
    let digest = plan["digest"].as_str().unwrap();
    sandbox.infra(&["apply", "--expect-digest", digest]).expect(0);
    sandbox.apply();
    let id = first["id"].as_str().unwrap();
    let listed = sandbox.infra(&["history"]).expect(0).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[0].ends_with("OUTCOME"), "{listed}");
    assert!(lines[1].ends_with("apply  complete: 0 added, 0 changed, 0 destroyed"), "{listed}");
    assert!(lines[2].ends_with("apply  complete: 0 added, 2 changed, 0 destroyed"), "{listed}");
    assert!(lines[3].starts_with(id) && lines[3].contains("  ana "), "{listed}");
    assert_eq!(runs(&sandbox)[1]["digest"], *digest);
    assert_eq!(runs(&sandbox)[1]["approval"], "digest");
    assert_eq!(sandbox.infra(&["history", "--limit=1"]).expect(0).stdout.lines().count(), 2);

    let shown = sandbox.infra(&["history", "show", id.rsplit('-').next().unwrap()]).expect(0).stdout;
    for line in [
        &*format!("infra apply -e local {id}"),
        "  run       https://github.example/acme/shop/actions/runs/812",
        "  commit    0123456789abcdef0123456789abcdef01234567",
        "  approval  --auto-approve",
        "  + pg_role.main/dev_ana: done",
    ] {
        assert!(shown.lines().any(|one| one == line), "{line}\n{shown}");
    }
    assert!(shown.contains("    > CREATE ROLE \"dev_ana\""), "{shown}");
    let json = sandbox.infra(&["history", "show", id, "--json"]).expect(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), first);
    let unknown = sandbox.infra(&["history", "show", "nothing-like-it"]).expect(1);
    assert!(unknown.stderr.contains("there is no run nothing-like-it"), "{}", unknown.stderr);
    let several = sandbox.infra(&["history", "show", "20"]).expect(1);
    assert!(several.stderr.contains("type more of it"), "{}", several.stderr);

    // What was refused changed nothing, and leaves nothing.
    sandbox.infra(&["apply", "--auto-approve", "--expect-digest", &"0".repeat(64)]).expect(4);
    assert_eq!(runs(&sandbox).len(), 3);
    // What was on this machine goes without a trace.
    sandbox.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    assert!(!sandbox.folder().join(".infra").exists());
    assert!(!sandbox.project.base().exists());
    sandbox.infra(&["destroy", "--auto-approve"]).expect(0);
    assert!(!sandbox.folder().join(".infra").exists());
}

/// One whose ledger is elsewhere keeps the record of its own end.
#[tokio::test]
async fn a_destroy_leaves_a_record_elsewhere() {
    let sandbox = Sandbox::new("16", "ledger: ../../kept");
    sandbox.apply();
    sandbox.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    let runs = runs(&sandbox);
    assert_eq!(runs.len(), 2);
    assert!(runs[0]["by"]["operation"].as_str().unwrap().starts_with("infra destroy"), "{runs:?}");
    assert_eq!(runs[0]["state"], "complete");
    assert!(!sandbox.folder().join("kept/leases").exists());
}

#[tokio::test]
async fn a_killed_run_did_not_end() {
    let mut slow = Slow::new("18").await;
    let mut killed = slow.start().await;
    assert_eq!(states(&slow.sandbox)[0], "running");
    killed.kill().await.unwrap();
    assert_eq!(states(&slow.sandbox)[0], "did_not_end");
    let listed = slow.sandbox.infra(&["history"]).expect(0).stdout;
    assert!(listed.lines().nth(1).unwrap().ends_with("did not end (1 change planned)"), "{listed}");
    slow.let_go().await;
    let next = slow.sandbox.infra(&["apply", "--auto-approve", "--lock-timeout=10s"]).expect(0);
    assert!(next.stderr.contains("did not end: infra history show 20"), "{}", next.stderr);
    assert_eq!(states(&slow.sandbox)[..2], ["complete", "did_not_end"]);
    let again = slow.sandbox.apply();
    assert!(!again.stderr.contains("did not end"), "{}", again.stderr);
}

/// A slow apply whose ledger is in a bucket.
struct Bucket {
    emulator: Emulator,
    slow: Slow,
}

impl Bucket {
    async fn new() -> Self {
        let emulator = Emulator::start();
        emulator.boto3(&format!(
            "client('s3').create_bucket(Bucket='acme-infra', CreateBucketConfiguration={{'LocationConstraint': '{REGION}'}})"
        ));
        let mut variables = emulator::environment(&emulator.url());
        variables.push(("INFRA_LEASE_SECONDS", "6".into()));
        let slow = Slow::with("17", "ledger: s3://acme-infra/prod", variables).await;
        Self { emulator, slow }
    }

    async fn ended(child: Child) -> (Option<i32>, String) {
        let output = child.wait_with_output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_begun() {
    let mut of = Bucket::new().await;
    of.emulator.settings(&json!({"denied": ["s3:PUT */history/*"]}));
    let sandbox = &of.slow.sandbox;
    sandbox.by_superuser("postgres", "ALTER ROLE svc_orders_app CONNECTION LIMIT 3").await;
    let refused = sandbox.infra(&["apply", "--auto-approve"]).expect(1);
    assert!(
        refused.stderr.contains("the run cannot be recorded, so nothing was begun"),
        "{}",
        refused.stderr
    );
    let limit = "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'svc_orders_app'";
    assert_eq!(sandbox.value("postgres", limit).await, "3");
    // A plan neither locks nor records.
    assert_eq!(sandbox.changes().len(), 1);
    of.emulator.settings(&json!({"denied": []}));

    // Nor is one whose end cannot be recorded a success, although it has done everything.
    let begun = of.slow.start().await;
    of.emulator.settings(&json!({"denied": ["s3:PUT */history/*"]}));
    of.slow.let_go().await;
    let (code, said) = Bucket::ended(begun).await;
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("Apply complete!"), "{said}");
    assert!(said.contains("the end of the run could not be recorded"), "{said}");
    assert_eq!(states(&of.slow.sandbox)[0], "did_not_end");
    of.slow.sandbox.settled();
}

#[tokio::test]
async fn a_lost_lease_stops_the_apply() {
    let mut of = Bucket::new().await;
    // There is more to do than what it waits for.
    of.slow
        .sandbox
        .write("ledger: s3://acme-infra/prod\nservices: {orders: {}, zeta: {}}\npeople: {ana: {}}");
    let run = of.slow.start_with(&["--parallelism=1"]).await;
    let refused = of.slow.sandbox.infra(&["apply", "--auto-approve"]).expect(5);
    assert!(refused.stderr.contains("locked by another run: infra apply -e local"), "{}", refused.stderr);
    of.emulator.boto3(
        "s3 = client('s3'); key = dict(Bucket='acme-infra', Key='prod/leases/apply.json')\n\
         there = json.load(s3.get_object(**key)['Body'])\n\
         s3.put_object(**key, Body=json.dumps({**there, 'id': 'another'}))",
    );
    sleep(Duration::from_secs(5)).await;
    of.slow.let_go().await;
    let (code, said) = Bucket::ended(run).await;
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("The lock was lost (another run has taken leases/apply.json)"), "{said}");
    assert!(said.contains("(interrupted)"), "{said}");
    let run = runs(&of.slow.sandbox).remove(0);
    assert_eq!(run["state"], "incomplete");
    assert!(run["ended"]["messages"][0].as_str().unwrap().starts_with("The lock was lost"), "{run}");
    // The other one is not alive.
    of.slow.sandbox.infra(&["apply", "--auto-approve", "--lock-timeout=1m"]).expect(0);
    of.slow.sandbox.settled();
}

/// A killed run's lease passes on when its time is over, also to somebody who has no patience.
#[tokio::test]
async fn a_killed_runs_lease_passes_on() {
    let mut of = Bucket::new().await;
    let mut killed = of.slow.start().await;
    killed.kill().await.unwrap();
    of.slow.let_go().await;
    sleep(Duration::from_secs(7)).await;
    let next = of.slow.sandbox.infra(&["apply", "--auto-approve"]).expect(0);
    assert!(next.stderr.contains("did not end: infra history show 20"), "{}", next.stderr);
    assert_eq!(states(&of.slow.sandbox)[..2], ["complete", "did_not_end"]);
    of.slow.sandbox.settled();
}

/// Twenty at once: each waits for its turn, one has something to do.
#[test]
fn twenty_applies() {
    let sandbox = Sandbox::new("17", YAML);
    sandbox.apply();
    sandbox.write(&YAML.replace("{}}\n", "{connection_limit: 9}}\n"));
    let run = || {
        let mut command = sandbox.command(&["apply", "--auto-approve", "--lock-timeout=10m"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let all: Vec<_> = (0..20).map(|_| run()).collect();
    for mut one in all {
        assert_eq!(one.wait().unwrap().code(), Some(0));
    }
    let runs = runs(&sandbox);
    assert_eq!(runs.len(), 20, "the newest are listed");
    let changed: u64 = runs.iter().map(|run| run["ended"]["changed"].as_u64().unwrap()).sum();
    assert_eq!(changed, 2);
    // One after the other.
    let text = |run: &Value, at: &str| run.pointer(at).unwrap().as_str().unwrap().to_owned();
    for pair in runs.windows(2) {
        assert!(text(&pair[1], "/ended/at") <= text(&pair[0], "/begun_at"), "{pair:?}");
    }
}
