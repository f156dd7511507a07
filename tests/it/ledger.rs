//! The ledger in a bucket of S3: documents and leases by conditional writes, over a network that fails.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use aws_config::{Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use infra::providers::{
    ReadOnly, ReadWrite,
    aws::Cloud,
    ledger::{Holder, Ledger, LedgerError},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{
    emulator::{ACCESS_KEY, Emulator, REGION, SECRET_KEY},
    fault_proxy::{Fault, FaultProxy, When},
};

fn cloud(url: &str) -> Cloud {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "a test");
    let config = SdkConfig::builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::new(REGION))
        .endpoint_url(url)
        .build();
    Cloud::new(&config, REGION)
}

fn emulator() -> Emulator {
    let emulator = Emulator::start();
    emulator.boto3(&format!(
        "client('s3').create_bucket(Bucket='acme-infra', CreateBucketConfiguration={{'LocationConstraint': '{REGION}'}})"
    ));
    emulator
}

fn ledger(url: &str) -> Ledger<ReadWrite> {
    Ledger::<ReadWrite>::bucket("s3://acme-infra/prod", &cloud(url)).unwrap()
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

#[tokio::test]
async fn documents_in_a_bucket() {
    let emulator = emulator();
    let ledger = ledger(&emulator.url());
    let name = "snapshots/events/20261124T001500Z-18ead63f.json";
    assert_eq!(ledger.list("snapshots").await.unwrap(), [""; 0]);
    assert_eq!(ledger.read::<Value>(name).await.unwrap(), None);
    ledger.put_new(name, &json!({"status": "consistent"})).await.unwrap();
    assert!(matches!(ledger.put_new(name, &json!({})).await, Err(LedgerError::Exists { .. })));
    let reader = Ledger::<ReadOnly>::bucket("s3://acme-infra/prod/", &cloud(&emulator.url())).unwrap();
    assert_eq!(reader.list("snapshots/events").await.unwrap(), [name]);
    assert_eq!(reader.read(name).await.unwrap(), Some(json!({"status": "consistent"})));
    ledger.replace(name, &json!({"status": "deleting"})).await.unwrap();
    assert_eq!(reader.read(name).await.unwrap(), Some(json!({"status": "deleting"})));
    let seen = emulator.boto3(
        "print([object['Key'] for object in client('s3').list_objects_v2(Bucket='acme-infra')['Contents']])",
    );
    assert_eq!(seen.trim(), format!("['prod/{name}']"));
    for _ in 0..2 {
        ledger.delete(name).await.unwrap();
    }
    assert_eq!(reader.list("snapshots").await.unwrap(), [""; 0]);
    let many = (0..30).map(|index| format!("snapshots/many/{index:04}.json"));
    for name in many {
        ledger.put_new(&name, &json!({})).await.unwrap();
    }
    assert_eq!(reader.list("snapshots/many").await.unwrap().len(), 30);
}

#[tokio::test]
async fn what_the_bucket_refuses_is_told() {
    let emulator = emulator();
    let missing = Ledger::<ReadWrite>::bucket("s3://nowhere-infra/prod", &cloud(&emulator.url())).unwrap();
    let refused = missing.list("snapshots").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the ledger at s3://nowhere-infra/prod cannot be used: snapshots could not be read \
         (NoSuchBucket: The specified bucket does not exist)"
    );
    emulator.settings(&json!({"denied": ["s3:PUT *"]}));
    let refused = ledger(&emulator.url()).put_new("x.json", &json!({})).await.unwrap_err();
    let text = refused.to_string();
    assert!(
        text.starts_with(
            "the ledger at s3://acme-infra/prod does not let us: x.json could not be written (AccessDenied"
        ),
        "{text}"
    );
    // Nobody listens there.
    let refused = ledger("http://127.0.0.1:9").read::<Value>("x.json").await.unwrap_err();
    assert!(matches!(refused, LedgerError::Failed { .. } | LedgerError::Slow { .. }), "{refused}");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_finds_itself() {
    let emulator = emulator();
    let proxy = FaultProxy::start(emulator.port());
    let ledger = ledger(&proxy.url());
    proxy.inject(When::Call(1), Fault::ResetAfter);
    ledger.put_new("snapshots/events/1.json", &json!({"run": 1})).await.unwrap();
    assert_eq!(ledger.read("snapshots/events/1.json").await.unwrap(), Some(json!({"run": 1})));
    proxy.reset();
    // The lease: read, then written; the answer to the write is lost.
    proxy.inject(When::Call(2), Fault::ResetAfter);
    let lease = ledger.lease("mongo-events", &holder("ana"), Duration::ZERO).await.unwrap();
    proxy.reset();
    let other = ledger.lease("mongo-events", &holder("boris"), Duration::ZERO).await;
    assert!(matches!(other, Err(LedgerError::Taken { .. })));
    for fault in [Fault::Status(503), Fault::ResetBefore] {
        proxy.reset();
        proxy.inject(When::Call(1), fault);
        ledger.replace("snapshots/events/1.json", &json!({"run": 2})).await.unwrap();
    }
    lease.release().await;
}

#[tokio::test]
async fn a_lease_whose_holder_is_gone_is_taken_over() {
    let emulator = emulator();
    let ledger = ledger(&emulator.url());
    let document = |beat: jiff::Timestamp| {
        json!({"id": "1", "holder": holder("ana"), "since": "2026-01-01T00:00:00Z", "beat": beat,
               "life_milliseconds": 1_000, "released": false})
    };
    let now = jiff::Timestamp::now();
    ledger.replace("leases/x.json", &document(now + Duration::from_mins(1))).await.unwrap();
    let refused = ledger.lease("x", &holder("boris"), Duration::ZERO).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "x is taken by another run: infra backup run (by ana on here, process 7, since just now)"
    );
    ledger.replace("leases/x.json", &document(now - Duration::from_mins(1))).await.unwrap();
    let begun = Instant::now();
    let lease = ledger.lease("x", &holder("boris"), Duration::ZERO).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "nobody looked whether it is alive");
    let kept: Option<Value> = ledger.read("leases/x.json").await.unwrap();
    assert_eq!(kept.unwrap()["holder"]["who"], "boris");
    lease.release().await;
    ledger.lease("x", &holder("carla"), Duration::ZERO).await.unwrap().release().await;
}

/// What a racer is told: where the ledger is, the folder of the race, and whether it is to be killed while it has the lease.
const RACE: [&str; 3] = ["INFRA_TEST_LEDGER", "INFRA_TEST_RACE", "INFRA_TEST_KILLED"];
/// Much longer than what an emulator with twenty clients takes to answer on a machine that is busy with other tests: only
/// then is nobody alone who stands still between having asked whether his time is over and what he does next.
const LIFE: Duration = Duration::from_secs(10);

/// One process of a race; started by [`race`] alone.
#[tokio::test]
#[ignore = "one process of a race: `race` starts twenty of them, so that two tests run it, and what it finds fails them"]
async fn racer() {
    let [place, folder, killed] = RACE.map(|name| std::env::var(name).unwrap());
    let ledger = match place.strip_prefix("folder:") {
        Some(folder) => Ledger::<ReadWrite>::folder(folder.as_ref()),
        None => ledger(&place),
    };
    let who = holder(&format!("process {}", std::process::id()));
    let folder = std::path::Path::new(&folder);
    let lease = ledger.with_life(LIFE).lease("apply", &who, Duration::from_mins(5)).await.unwrap();
    // What everybody asks before he changes something.
    assert!(!lease.is_over(), "it was over when it was given");
    let inside = folder.join("inside");
    // Fails if somebody is inside.
    let made = std::fs::File::create_new(&inside);
    let alone = made.is_ok();
    sleep(Duration::from_millis(30)).await;
    std::fs::remove_file(&inside).unwrap();
    let ending = if alone { "alone" } else { "two at a time" };
    std::fs::write(folder.join(format!("{}.ended", std::process::id())), ending).unwrap();
    if killed == "yes" {
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    lease.release().await;
}

/// Twenty processes, of which some are killed while they have the lease. Answers with how long it took.
fn race(place: &str, killed: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let racers: Vec<_> = (0..20)
        .map(|index| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "ledger::racer", "--ignored", "--nocapture"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let dies = index % 7 == 0 && index / 7 < killed;
            command.envs(RACE.into_iter().zip([
                place,
                folder.path().to_str().unwrap(),
                if dies { "yes" } else { "no" },
            ]));
            (dies, command.spawn().unwrap())
        })
        .collect();
    for (dies, racer) in racers {
        let output = racer.wait_with_output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), if dies { None } else { Some(0) }, "{said}");
    }
    let endings: Vec<String> = (std::fs::read_dir(folder.path()).unwrap())
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(endings, vec!["alone"; 20]);
    begun.elapsed()
}

#[test]
fn twenty_processes_race_for_a_lease_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let took = race(&format!("folder:{}", folder.path().display()), 2);
    // The kernel knows at once who is dead.
    assert!(took < LIFE * 5, "{took:?}");
}

#[test]
fn twenty_processes_race_for_a_lease_in_a_bucket() {
    let emulator = emulator();
    let took = race(&emulator.url(), 2);
    assert!(took >= LIFE * 2, "a killed holder's lease was taken before its time: {took:?}");
}
