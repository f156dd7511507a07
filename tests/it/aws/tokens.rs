//! Tokens, beside those of another implementation.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::time::StaticTimeSource;
use infra::providers::{
    aws::token::Signer,
    postgres::{Endpoint, Tokens as _},
};
use serde_json::json;

use crate::support::emulator::python;

const NOW: u64 = 1_790_000_000;
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn signer(session_token: Option<&str>) -> Signer {
    let credentials =
        Credentials::new(ACCESS_KEY, SECRET_KEY, session_token.map(str::to_owned), None, "a test");
    let config = SdkConfig::builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .time_source(StaticTimeSource::new(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)))
        .build();
    // Never the one that is signed for, wherever the endpoint names another.
    Signer::new(config, "ca-central-1")
}

/// Users that services and people get, and all that Postgres would allow.
fn users() -> Vec<String> {
    let odd = [
        "a b",
        "a+b",
        "a&b",
        "jane@corp.com",
        "a&DBUser=master",
        "a%2Bb",
        "100%",
        "a=b",
        "a/b",
        "a?b#c",
        "ä",
        "über user",
        "用户",
        "🦀",
        "a\"b",
        "a'b",
        "a\\b",
        "a;b",
        "a:b",
        "A.B-C_D~E",
        "a*b",
        "(a)",
        "[a]",
        "{a}",
        "a|b",
        "a^b",
        "a`b",
        "<a>",
        "a,b",
        "a!b",
        "$a",
        " ",
        "&",
        "=",
        "+",
        "a\tb",
        "a\nb",
    ];
    let mut users: Vec<String> = odd.into_iter().map(str::to_owned).collect();
    users.extend(["infra_admin", "infra_planner", "svc_orders_app", "dev_ana"].map(str::to_owned));
    users.extend((0..12).map(|number| format!("svc_service-{number}_{}", "x".repeat(number * 4))));
    users
}

#[tokio::test]
async fn tokens_are_those_of_boto3() {
    let hosts = [
        ("main.cluster-c1abcdefghij.eu-central-1.rds.amazonaws.com", 5432, "eu-central-1"),
        ("main.cluster-ro-c1abcdefghij.us-gov-west-1.rds.amazonaws.com", 3306, "us-gov-west-1"),
        ("main-1.c1abcdefghij.cn-north-1.rds.amazonaws.com.cn", 15432, "cn-north-1"),
        ("localhost", 5433, "ca-central-1"),
    ];
    let long = format!("IQoJb3JpZ2luX2VjE{}/+==", "abcdefghij+/".repeat(80));
    let sessions = [None, Some("FwoGZXIvYXdzE"), Some(long.as_str())];
    assert!(users().len() >= 50);
    let (mut cases, mut ours) = (Vec::new(), Vec::new());
    for session_token in sessions {
        let signer = signer(session_token);
        for user in users() {
            for (host, port, region) in hosts {
                let endpoint = Endpoint { cluster: "main".into(), host: host.into(), port };
                ours.push(signer.token(&endpoint, &user).await.unwrap().reveal().clone());
                cases.push(json!({
                    "host": host, "port": port, "user": user, "region": region, "session_token": session_token,
                }));
            }
        }
    }
    let given = json!({"now": NOW, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "cases": cases});
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/aws/tokens.py");
    let mut python = Command::new(python())
        .arg(script)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh tests/run.sh gets a Python with boto3");
    python.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "sh tests/run.sh gets a Python with boto3");
    let theirs: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(ours.len(), theirs.len());
    for ((ours, theirs), case) in ours.iter().zip(&theirs).zip(&cases) {
        assert_eq!(ours, theirs, "{case}");
    }
}
