//! Made once, edited in place, never over a newer commit's, and no job fails by it.

use std::fs;

use serde_json::json;
use wiremock::ResponseTemplate;

use super::{
    Desk,
    forge::{HEAD, ME, Running},
    in_job,
};
use crate::support::sandbox::Sandbox;

const OLD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[tokio::test(flavor = "multi_thread")]
async fn made_once_then_edited_in_place() {
    let (github, desk) = (Running::github().await, Desk::new());
    let plan = desk.plan("prod", 'a', &["pg_role.main/x", "+pg_role.main/y"]);
    let marker =
        format!("<!-- infra:plan v=1 env=prod digest=sha256:{} sha={OLD} run=1.1 -->\n### ", "a".repeat(64));
    // 250 comments; a stranger has written down our marker, and we have one of another environment.
    for number in 0..250 {
        github.add(&format!("person-{number}"), "LGTM");
    }
    let foreign = github.add("mallory", &marker);
    let cousin = github.add(ME, &marker.replace("env=prod", "env=prod-eu"));
    let ours = github.add(ME, &marker);
    for number in 0..150 {
        github.add(&format!("person-{number}"), "ping");
    }
    let other = github.add(ME, "Deployed. <!-- infra:plan v=1 env=prod digest=none -->");
    desk.comment(&github, &[&plan], &[]).expect(0);
    let comments = github.comments();
    assert_eq!(comments.len(), 404, "edited, not made");
    let body = |id: u64| comments.iter().find(|comment| comment.id == id).unwrap().body.clone();
    assert!(body(ours).contains("`pg_role.main/x`") && body(ours).contains(&format!("sha={HEAD} run=100.1")));
    assert!(
        body(ours).contains("[run 12](https://github.com/acme/infra/actions/runs/100)"),
        "{}",
        body(ours)
    );
    assert_eq!((body(foreign), body(cousin)), (marker.clone(), marker.replace("env=prod", "env=prod-eu")));
    assert!(body(other).starts_with("Deployed."));
    assert_eq!(github.writes().len(), 1, "{:?}", github.writes());
    // The same once more is no edit.
    desk.comment(&github, &[&plan], &[]).expect(0);
    assert_eq!(github.writes().len(), 1, "{:?}", github.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_end_in_any_order() {
    let (github, desk) = (Running::github().await, Desk::new());
    let (old, new) =
        (desk.plan("prod", 'a', &["pg_role.main/old"]), desk.plan("prod", 'b', &["pg_role.main/new"]));
    desk.comment(&github, &[&new], &[("GITHUB_RUN_ID", "101")]).expect(0);
    let ran = desk.comment(&github, &[&old], &[("GITHUB_SHA", OLD), ("GITHUB_RUN_ID", "100")]).expect(0);
    assert!(ran.stderr.contains("is about a newer commit"), "{}", ran.stderr);
    // An old run that is started again has a greater attempt, and is old all the same.
    let again = [("GITHUB_SHA", OLD), ("GITHUB_RUN_ID", "102"), ("GITHUB_RUN_ATTEMPT", "3")];
    desk.comment(&github, &[&old], &again).expect(0);
    desk.comment(&github, &[&old], &[("GITHUB_RUN_ID", "99")]).expect(0);
    assert!(github.own().body.contains("pg_role.main/new") && github.writes().len() == 1);
    // The same commit, planned again later.
    desk.comment(&github, &[&old], &[("GITHUB_RUN_ID", "101"), ("GITHUB_RUN_ATTEMPT", "2")]).expect(0);
    assert!(github.own().body.contains("pg_role.main/old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_the_newest_lives_on() {
    let (github, desk) = (Running::github().await, Desk::new());
    let plan = desk.plan("prod", 'a', &["+pg_role.main/x"]);
    let marker =
        format!("<!-- infra:plan v=1 env=prod digest=none sha={OLD} run=1.1 -->\n### infra plan · prod");
    let (older, newer) = (github.add(ME, &marker), github.add(ME, &marker));
    for _ in 0..2 {
        desk.comment(&github, &[&plan], &[]).expect(0);
        let comments = github.comments();
        let one = |id: u64| comments.iter().find(|comment| comment.id == id).unwrap();
        assert!(one(older).hidden && one(older).body.contains("### ~~infra plan · prod~~"), "{comments:?}");
        assert!(!one(newer).hidden && one(newer).body.contains("pg_role.main/x"));
    }
}

/// Whatever is the matter: a warning that says how to mend it, and exit code 0.
#[tokio::test(flavor = "multi_thread")]
async fn no_job_fails_by_a_comment() {
    let desk = Desk::new();
    let plan = desk.plan("prod", 'a', &["+pg_role.main/x"]);
    let refused =
        |status: u16, message: &str| ResponseTemplate::new(status).set_body_json(json!({"message": message}));
    for (method, path, answer, told) in [
        ("POST", "/comments", refused(403, "Resource not accessible by integration"), "pull-requests: write"),
        ("GET", "/comments", refused(404, "Not Found"), "may not see it"),
        ("POST", "/comments", refused(422, "Body is too long"), "Body is too long"),
        ("GET", "/pulls/7", refused(401, "Bad credentials"), "is not valid"),
        ("GET", "/pulls/7", ResponseTemplate::new(200).set_body_string("<html>"), "was not expected"),
        ("POST", "/comments", refused(429, "wait").insert_header("retry-after", "4000"), "in 4000 seconds"),
    ] {
        let github = Running::github().await;
        github.trouble(method, path, answer);
        let ran = desk.comment(&github, &[&plan], &[]).expect(0);
        assert!(ran.stderr.contains("Warning: the plan is not on the pull request"), "{}", ran.stderr);
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
        assert!(ran.stderr.contains("\n::warning title=infra::the plan is not on"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("Error: "), "{}", ran.stderr);
        assert!(github.comments().is_empty());
    }
    let github = Running::github().await;
    for (name, value, told) in [
        ("GITHUB_TOKEN", "", "GITHUB_TOKEN is not set"),
        ("GITHUB_TOKEN", "wrong", "Bad credentials"),
        ("GITHUB_TOKEN", "a\nb: canary", "the token has characters"),
        ("GITHUB_REF", "refs/heads/main", "about no pull request"),
        ("GITHUB_API_URL", "http://127.0.0.1:1", "cannot reach 127.0.0.1:1"),
        ("GITHUB_API_URL", "http://github.example", "not sent in the clear"),
    ] {
        let ran = desk.comment(&github, &[&plan], &[(name, value)]).expect(0);
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    // What is wrong with the plan is no trouble with the comment.
    fs::write(desk.path().join("bad.json"), "{}").unwrap();
    desk.comment(&github, &["bad.json"], &[]).expect(1);
    desk.comment(&github, &[&plan, &plan], &[]).expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_waited_for() {
    let (github, desk) = (Running::github().await, Desk::new());
    let plan = desk.plan("prod", 'a', &["+pg_role.main/x"]);
    let status = ResponseTemplate::new;
    github.trouble("GET", "/comments", status(502));
    github.trouble("GET", "/pulls/7", status(500));
    let secondary = json!({"message": "You have exceeded a secondary rate limit"});
    github.trouble(
        "POST",
        "/comments",
        status(403).set_body_json(secondary).insert_header("retry-after", "1"),
    );
    github.trouble("POST", "/comments", status(429).insert_header("retry-after", "1"));
    // Nobody knows whether this one was made. It was not.
    github.trouble("POST", "/comments", status(504));
    let started = std::time::Instant::now();
    let ran = desk.comment(&github, &[&plan], &[]).expect(0);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    assert!(github.own().body.contains("pg_role.main/x"));
    assert!(started.elapsed().as_secs() >= 2, "it did not wait");
    // And this one was, although the answer was lost: there is one all the same.
    let other = desk.plan("test", 'a', &["+pg_role.main/x"]);
    github.trouble("done POST", "/comments", status(504));
    desk.comment(&github, &[&other], &[]).expect(0);
    let made = github.comments().iter().filter(|comment| comment.body.contains("env=test")).count();
    assert_eq!(made, 1, "{:?}", github.comments());
}

#[tokio::test(flavor = "multi_thread")]
async fn gitlab_gets_notes() {
    let (gitlab, desk) = (Running::gitlab().await, Desk::new());
    let plan = desk.plan("prod", 'a', &["pg_role.main/x", "+pg_role.main/y"]);
    for number in 0..250 {
        gitlab.add(&format!("person-{number}"), "LGTM");
    }
    for _ in 0..2 {
        desk.comment(&gitlab, &[&plan, "--gitlab-report", "tfplan.json", "--label"], &[]).expect(0);
        assert!(gitlab.own().body.contains("[job 1000](https://gitlab.example/acme/infra/-/jobs/1000)"));
    }
    assert_eq!(desk.read("tfplan.json"), "{\"create\":1,\"delete\":1,\"update\":0}\n");
    assert_eq!(gitlab.forge.state.lock().unwrap().labels.last().unwrap(), "infra/prod: destroy");
    let ran = desk.comment(&gitlab, &[&plan], &[("GITLAB_TOKEN", "")]).expect(0);
    assert!(ran.stderr.contains("CI_JOB_TOKEN may not write notes"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_on_request() {
    let (github, desk) = (Running::github().await, Desk::new());
    let labels = || github.forge.state.lock().unwrap().labels.clone();
    github.forge.state.lock().unwrap().labels.push("bug".into());
    for (addresses, label) in [
        (&["pg_role.main/x"][..], "infra/prod: destroy"),
        (&["+pg_role.main/x"], "infra/prod: change"),
        (&[], "infra/prod: no-changes"),
    ] {
        desk.comment(&github, &[&desk.plan("prod", 'a', addresses), "--label"], &[]).expect(0);
        assert_eq!(labels(), ["bug", label]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_plans() {
    let (github, desk) = (Running::github().await, Desk::new());
    let plans = [desk.plan("prod", 'a', &["pg_role.main/x"]), desk.plan("prod-eu", 'b', &[])];
    desk.comment(&github, &[&plans[0], &plans[1]], &[]).expect(0);
    assert_eq!(github.comments().len(), 2, "one for each");
    desk.comment(&github, &[&plans[0], &plans[1], "--combine"], &[]).expect(0);
    assert_eq!(github.comments().len(), 3);
    assert!(github.comments()[2].body.contains("| `prod-eu` | ✔ no changes |"));
    let shown =
        desk.comment(&github, &["--stdout", "--combine", &plans[1], &plans[0]], &[("GITHUB_TOKEN", "")]);
    assert!(shown.expect(0).stdout.starts_with("<!-- infra:plan v=1 env=prod,prod-eu digest=sha256:aa"));
    assert_eq!(github.comments().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn masks_and_files_of_the_job() {
    let (github, desk) = (Running::github().await, Desk::new());
    let plan = desk.plan("prod", 'a', &["pg_role.main/s3cr3t-name", "+pg_role.main/y"]);
    let files = [
        ("GITHUB_OUTPUT", "outputs"),
        ("GITHUB_STEP_SUMMARY", "summary"),
        ("INFRA_MASK", "s3cr3t-[a-z]+\nenv=.*"),
    ];
    fs::write(desk.path().join("outputs"), "before=1\n").unwrap();
    desk.comment(&github, &[&plan], &files).expect(0);
    let body = github.own().body;
    assert!(body.contains("pg_role.main/***") && !body.contains("s3cr3t"), "{body}");
    assert!(body.starts_with("<!-- infra:plan v=1 env=prod "), "the marker stays: {body}");
    let outputs = desk.read("outputs");
    let expected = format!(
        "before=1\nplanned=true\nhas_changes=true\nhas_destroy=true\nadd=1\nchange=0\ndestroy=1\nreplace=0\nheld=0\nrefused=false\ndigest={}\n",
        "a".repeat(64)
    );
    assert_eq!(outputs, expected);
    let summary = desk.read("summary");
    assert!(summary.starts_with("### infra plan · prod") && !summary.contains("s3cr3t"), "{summary}");
    // What was written before in the same step counts too.
    fs::write(desk.path().join("summary"), "x".repeat(999_000)).unwrap();
    let ran = desk.comment(&github, &[&plan], &files).expect(0);
    assert!(
        ran.stderr.contains("is full already") && desk.read("summary").len() == 999_000,
        "{}",
        ran.stderr
    );
    let names: Vec<String> = (0..9_000).map(|number| format!("pg_role.main/{number:0100}")).collect();
    let large = desk.plan("prod", 'c', &names.iter().map(String::as_str).collect::<Vec<_>>());
    fs::write(desk.path().join("summary"), "x".repeat(500_000)).unwrap();
    desk.comment(&github, &[&large], &files).expect(0);
    let length = desk.read("summary").len();
    assert!(length > 900_000 && length <= 1_000_000, "{length}");
    let ran = desk.comment(&github, &[&plan], &[("INFRA_MASK", "(")]).expect(1);
    assert!(ran.stderr.contains("INFRA_MASK"), "{}", ran.stderr);
}

/// 10,000 destroys do not fit into one comment: they stand in several, and go when they are no more.
#[tokio::test(flavor = "multi_thread")]
async fn more_destroys_than_a_comment_holds() {
    let (github, desk) = (Running::github().await, Desk::new());
    let names: Vec<String> = (0..10_000).map(|number| format!("pg_role.main/svc_{number:05}")).collect();
    let plan = desk.plan("prod", 'a', &names.iter().map(String::as_str).collect::<Vec<_>>());
    desk.comment(&github, &[&plan], &[]).expect(0);
    let comments = github.comments();
    assert!(comments.len() > 3, "{}", comments.len());
    let all: String = comments.iter().map(|comment| comment.body.as_str()).collect();
    for name in &names {
        assert!(all.contains(&format!("`{name}`")), "{name}");
    }
    desk.comment(&github, &[&desk.plan("prod", 'b', &[])], &[]).expect(0);
    let comments = github.comments();
    assert!(comments[0].body.contains("No changes") && comments[1..].iter().all(|comment| comment.hidden));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_comments_itself() {
    let github = Running::github().await;
    let sandbox = Sandbox::new("17", "services: {orders: {}}\n");
    let files = [("GITHUB_OUTPUT", "outputs"), ("GITHUB_STEP_SUMMARY", "summary")];
    let arguments = ["plan", "--comment", "-o", "p.json", "--gitlab-report", "tfplan.json"];
    let ran = in_job(&sandbox, &github, &arguments, &files).expect(0);
    assert!(
        ran.stdout.contains("\nPlan: ") && !ran.stdout.contains("run the following command"),
        "{}",
        ran.stdout
    );
    let read = |name: &str| fs::read_to_string(sandbox.folder().join(name)).unwrap();
    let digest = serde_json::from_str::<serde_json::Value>(&read("p.json")).unwrap()["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(github.own().body.contains(&format!("env=local digest=sha256:{digest} sha={HEAD}")));
    assert!(github.own().body.contains("read at 20"), "{}", github.own().body);
    assert!(
        read("outputs").contains(&format!("digest={digest}\n"))
            && read("summary").contains("`pg_database.main/orders`")
    );
    assert!(read("tfplan.json").contains("\"delete\":0"));
    // What cannot be planned takes the place of what could.
    let broken = [("HOME", "/nowhere"), ("GITHUB_RUN_ID", "101")];
    let ran = in_job(&sandbox, &github, &["plan", "--comment", "--target", "pg_role.main/nobody"], &broken)
        .expect(1);
    let body = github.own().body;
    assert!(
        body.contains("env=local digest=none") && body.contains("planning failed"),
        "{body} {}",
        ran.stderr
    );
    assert!(body.contains("pg_role.main/nobody"), "{body}");
    // Nor is what is not valid.
    sandbox.write("servces: {}\n");
    in_job(&sandbox, &github, &["plan", "--comment"], &[("GITHUB_RUN_ID", "102")]).expect(1);
    assert!(github.own().body.contains("did you mean `services`"), "{}", github.own().body);
}
