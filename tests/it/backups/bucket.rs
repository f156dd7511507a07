//! The catalogue and the lease in a bucket of S3.

use std::{fs, process::Stdio};

use serde_json::Value;

use super::project::Project;
use crate::support::emulator::{self, ACCOUNT, Emulator, REGION};

fn emulator() -> Emulator {
    let emulator = Emulator::start();
    make_bucket(&emulator);
    emulator
}

fn make_bucket(emulator: &Emulator) {
    emulator.boto3(&format!(
        "client('s3').create_bucket(Bucket='acme-infra', CreateBucketConfiguration={{'LocationConstraint': '{REGION}'}})"
    ));
}

fn keys(emulator: &Emulator) -> Vec<String> {
    let listed = emulator.boto3(
        "print(json.dumps([one['Key'] for one in client('s3').list_objects_v2(Bucket='acme-infra').get('Contents', [])]))",
    );
    serde_json::from_str(&listed).unwrap()
}

#[test]
fn the_catalogue_is_in_the_bucket() {
    let emulator = emulator();
    let mut project = Project::new("{last: 1}");
    project.write("keep: {last: 1}", "ledger: s3://acme-infra/test");
    project.variables = emulator::environment(&emulator.url());
    project.apply().expect(0);
    project.settled();
    assert_eq!(project.infra(&["backup", "run"]).expect(0).stdout, "");
    project.infra(&["backup", "run", "--force"]).expect(0);
    assert_eq!(project.lines("taken").len(), 2);
    assert_eq!(project.lines("deleted").len(), 1);
    let keys = keys(&emulator);
    let snapshots: Vec<&String> =
        keys.iter().filter(|key| key.starts_with("test/snapshots/events/")).collect();
    assert_eq!(snapshots.len(), 1, "{keys:?}");
    assert!(keys.contains(&"test/leases/mongo-events.json".into()), "{keys:?}");
    assert!(project.documents().is_empty());
    let list = project.list();
    assert_eq!(list["snapshots"].as_array().unwrap().len(), 1);
    // Nobody may write any more: nothing is locked.
    emulator.settings(&serde_json::json!({"denied": ["s3:PUT *"]}));
    let ran = project.infra(&["backup", "run", "--force"]).expect(1);
    assert!(ran.stderr.contains("does not let us"), "{}", ran.stderr);
    assert_eq!(project.lines("taken").len(), 2);
}

/// Processes on different machines share nothing but the bucket.
#[test]
fn many_runs_at_once_take_one_snapshot() {
    let emulator = emulator();
    let mut project = Project::new("{last: 4}").least();
    project.write("keep: {last: 4}", "ledger: s3://acme-infra/test");
    project.variables = emulator::environment(&emulator.url());
    project.script("snapshot", "echo taken >>\"$log/taken\"; sleep 0.5; echo snap-1");
    let runs: Vec<_> = (0..5)
        .map(|machine| {
            let mut command = project.command(&["backup", "run", "--json"]);
            command.env("INFRA_STATE_DIR", project.folder().join(format!("machine-{machine}")));
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let ended: Vec<_> = runs.into_iter().map(|run| run.wait_with_output().unwrap()).collect();
    let codes: Vec<i32> = ended.iter().map(|output| output.status.code().unwrap()).collect();
    assert!(codes.contains(&0) && codes.iter().all(|code| [0, 15].contains(code)), "{codes:?}");
    let taken: Vec<&std::process::Output> = ended.iter().filter(|output| !output.stdout.is_empty()).collect();
    assert_eq!(taken.len(), 1);
    let manifest: Value = serde_json::from_slice(&taken[0].stdout).unwrap();
    assert_eq!(manifest["consistent"], true);
    assert_eq!(project.lines("taken").len(), 1);
    assert_eq!(project.set.locked(), [0; 0]);
}

/// On AWS the ledger is reached as everything else is there: by the role and at the endpoint that the YAML names.
#[test]
fn an_environment_on_aws_uses_its_own_credentials() {
    let operator = format!("arn:aws:iam::{ACCOUNT}:role/operator");
    let emulator = Emulator::start_with(ACCOUNT, &[("EMULATOR_PRINCIPALS", &operator)]);
    make_bucket(&emulator);
    let mut project = Project::new("{last: 4}").least();
    project.write("keep: {last: 4}", "ledger: s3://acme-infra/prod");
    let local = fs::read_to_string(project.folder().join("environments/test/environment.yaml")).unwrap();
    let aws = |account: &str| {
        format!(
            "platform: {{aws: {{account: \"{account}\", region: {REGION}, role_arn: \"{operator}\", endpoint_url: {{env: CLOUD}}}}}}"
        )
    };
    project.write_raw(&local.replace("platform: {local: {}}", &aws(ACCOUNT)));
    let variables = emulator::environment(&emulator.url()).into_iter();
    project.variables = variables
        .map(|(name, value)| if name == "AWS_ENDPOINT_URL" { ("CLOUD", value) } else { (name, value) })
        .collect();
    project.infra(&["backup", "run"]).expect(0);
    assert!(emulator.count("AssumeRole") >= 1);
    assert_eq!(keys(&emulator).iter().filter(|key| key.starts_with("prod/snapshots/events/")).count(), 1);
    assert_eq!(project.list()["due"], false);
    // Another account is refused before anything is read.
    project.write_raw(&local.replace("platform: {local: {}}", &aws("999988887777")));
    let ran = project.infra(&["backup", "run", "--force"]).expect(3);
    assert!(ran.stderr.contains("999988887777"), "{}", ran.stderr);
    assert_eq!(project.lines("taken").len(), 1);
}
