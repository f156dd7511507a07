//! What was approved is what our comment on the merged pull request shows. Whatever is not certain is no approval.

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::{
    forge::{HEAD, ME, MERGED, Running},
    in_job,
};
use crate::support::sandbox::{Ran, Sandbox, sql};

const YAML: &str = "services: {orders: {}}\npeople: {ana: {}}\n";

async fn by_hand(sandbox: &Sandbox, statement: &str) {
    sql(&mut sandbox.superuser("postgres").await, statement).await.unwrap();
}

fn plan(sandbox: &Sandbox, github: &Running) {
    in_job(sandbox, github, &["plan", "--comment"], &[]).expect(0);
}

/// As the job on the merge commit does it.
fn apply(sandbox: &Sandbox, github: &Running, more: &[(&str, &str)]) -> Ran {
    let merge = [
        ("GITHUB_SHA", MERGED),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_RUN_ID", "200"),
        ("GITHUB_RUN_NUMBER", "13"),
    ];
    in_job(sandbox, github, &["apply", "--expect-digest-from-pr"], &[&merge[..], more].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_plan_to_applied() {
    let (github, sandbox) = (Running::github().await, Sandbox::new("17", YAML));
    plan(&sandbox, &github);
    github.forge.state.lock().unwrap().merged = true;
    let approved = github.own().body;
    let before = github.writes().len();
    let ran = apply(&sandbox, &github, &[]).expect(0);
    assert!(ran.stdout.contains("Apply complete!"), "{}", ran.stdout);
    let body = github.own().body;
    let run = "[run 13](https://github.com/acme/infra/actions/runs/200)";
    assert!(
        body.contains(&format!("**Applied** ✔ in {run}: 11 added, 0 changed, 0 destroyed (11 of 11).")),
        "{body}"
    );
    // Applying, then applied; the plan stays as it was approved.
    assert_eq!(github.writes().len(), before + 2);
    assert_eq!(body.lines().next(), approved.lines().next());
    sandbox.settled();
    let history: Value =
        serde_json::from_str(&sandbox.infra(&["history", "--json"]).expect(0).stdout).unwrap();
    assert_eq!(history["runs"][0]["approval"], json!({"pull_request": 7}), "{history:#}");
    // Once more: it is no longer what was approved, and nothing is done.
    let again = apply(&sandbox, &github, &[]).expect(4);
    assert!(again.stderr.contains("was to be created, and is no longer in the plan"), "{}", again.stderr);
    assert!(github.own().body.contains("**Not applied** ✘"), "{}", github.own().body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_certain_is_no_approval() {
    let (github, sandbox) = (Running::github().await, Sandbox::new("17", YAML));
    plan(&sandbox, &github);
    let refused = |code: i32, told: &str, more: &[(&str, &str)]| {
        let ran = apply(&sandbox, &github, more).expect(code);
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
        assert!(!sandbox.project.base().exists(), "something was made");
    };
    refused(1, "no pull request was merged as", &[]);
    refused(1, "pull request 7 was not merged as", &[("INFRA_PULL_REQUEST", "7")]);
    github.forge.state.lock().unwrap().merged = true;
    refused(1, "no pull request was merged as", &[("GITHUB_SHA", HEAD.replace('b', "d").as_str())]);
    refused(
        1,
        "pull request 7 was not merged as",
        &[("INFRA_PULL_REQUEST", "7"), ("INFRA_COMMIT", "ddddddd")],
    );
    refused(1, "nothing says which commit", &[("GITHUB_SHA", "")]);
    refused(1, "GITHUB_TOKEN is not set", &[("GITHUB_TOKEN", "")]);
    refused(1, "Bad credentials", &[("GITHUB_TOKEN", "other")]);
    refused(1, "neither a job", &[("GITHUB_ACTIONS", ""), ("GITHUB_REPOSITORY", "")]);
    for path in ["/pulls", "/comments", "/graphql"] {
        let method = if path == "/graphql" { "POST" } else { "GET" };
        let answer = ResponseTemplate::new(404).set_body_json(json!({"message": "Not Found"}));
        if path == "/graphql" {
            github.trouble(method, path, ResponseTemplate::new(401));
        } else {
            github.trouble(method, path, answer);
        }
        refused(1, "answered 40", &[]);
    }
    // The comment of somebody else, of another environment, of another commit, or without a plan.
    let whole = github.own().body;
    let become_ = |author: &str, body: &str| {
        let mut state = github.forge.state.lock().unwrap();
        state.comments[0].author = author.into();
        state.comments[0].body = body.into();
    };
    become_("mallory", &whole);
    refused(1, "has no comment by github-actions[bot] with a plan of local", &[]);
    become_(ME, &whole.replace("env=local", "env=local-eu"));
    refused(1, "has no comment by github-actions[bot] with a plan of local", &[]);
    become_(ME, &whole.replacen(HEAD, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1));
    refused(4, "is of aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, but bbbb", &[]);
    let digest = whole.split("digest=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    become_(ME, &whole.replacen(&digest, "none", 1));
    refused(4, "planning local had failed", &[]);
    become_(ME, &whole.replacen(&digest, "sha256:12", 1));
    refused(1, "has no comment by", &[]);
    // A digest that is not the plan's.
    become_(ME, &whole.replacen(&digest, &format!("sha256:{}", "0".repeat(64)), 1));
    refused(4, "the plan has changed since it was reviewed", &[]);
    // And as it was, it is one.
    become_(ME, &whole);
    apply(&sandbox, &github, &[]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_since_the_approval() {
    let (github, sandbox) = (Running::github().await, Sandbox::new("17", YAML));
    sandbox.apply();
    sandbox.write(&YAML.replace("ana: {}", "ana: {}, boris: {}"));
    plan(&sandbox, &github);
    github.forge.state.lock().unwrap().merged = true;
    by_hand(&sandbox, "ALTER ROLE svc_orders_app CONNECTION LIMIT 3").await;
    let approved = github.own().body;
    for _ in 0..2 {
        let ran = apply(&sandbox, &github, &[]).expect(4);
        let told = "+ pg_role.main/svc_orders_app is now to be updated, and was not in the approved plan";
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        let body = github.own().body;
        assert!(body.contains("**Not applied** ✘") && body.contains(told), "{body}");
        // Trying again is no approval: the digest stays that of the plan that was approved.
        assert_eq!(body.lines().next(), approved.lines().next());
    }
    by_hand(&sandbox, "ALTER ROLE svc_orders_app CONNECTION LIMIT 50").await;
    apply(&sandbox, &github, &[]).expect(0);
    sandbox.settled();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_told() {
    let github = Running::github().await;
    // Only a superuser may set it.
    let sandbox = Sandbox::new("17", "services: {orders: {settings: {log_statement: all}}}\n");
    plan(&sandbox, &github);
    github.forge.state.lock().unwrap().merged = true;
    let ran = apply(&sandbox, &github, &[]).expect(6);
    let body = github.own().body;
    assert!(body.contains("**Failed** ✘ in [run 13]") && body.contains(" done)."), "{body} {}", ran.stderr);
    assert!(body.contains("permission denied"), "{body}");
    // GitHub being away by now is no reason not to apply, nor to end otherwise.
    for _ in 0..8 {
        github.trouble("PATCH", "", ResponseTemplate::new(403));
    }
    sandbox.write("protect: true\nservices: {orders: {}}\npeople: {ana: {}}\n");
    github.forge.state.lock().unwrap().comments.clear();
    plan(&sandbox, &github);
    let ran = apply(&sandbox, &github, &[]).expect(0);
    assert!(ran.stderr.contains("Warning: the pull request was not told"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_is_told_too() {
    let (github, sandbox) = (Running::github().await, Sandbox::new("17", &format!("protect: true\n{YAML}")));
    sandbox.apply();
    sandbox.write(&format!("protect: true\n{}", YAML.replace("ana: {}", "")));
    plan(&sandbox, &github);
    github.forge.state.lock().unwrap().merged = true;
    apply(&sandbox, &github, &[]).expect(3);
    let body = github.own().body;
    assert!(
        body.contains("**Not applied** ✘ in [run 13]") && body.contains("the environment is protected"),
        "{body}"
    );
}
