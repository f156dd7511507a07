//! The command line as a whole: exit codes, streams, and what a mistyped word leads to. No server is needed.

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use crate::support::sandbox::{Ran, Sandbox, binary};

const ORDERS: &str = "services: {orders: {}}\npeople: {ana: {}}\ndeveloper_groups: {backend: {members: [ana], services: all}}\n";

fn sandbox() -> Sandbox {
    Sandbox::new("15", ORDERS)
}

fn bare(arguments: &[&str]) -> Ran {
    let output = Command::new(binary()).env_clear().args(arguments).stdin(Stdio::null()).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Two means "changes present"; a typing error must never look like that.
#[test]
fn usage_errors_exit_with_one() {
    for arguments in
        [&["plan", "--bogus"][..], &["plam"], &[], &["apply", "--parallelism", "0"], &["apply", "a", "b"]]
    {
        let ran = bare(arguments).expect(1);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{arguments:?}");
    }
    for arguments in
        [&["--help"][..], &["-help"], &["plan", "-h"], &["--version"], &["-version"], &["version"]]
    {
        assert!(!bare(arguments).expect(0).stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn what_terraform_has_and_we_do_not() {
    for (verb, instead) in [("init", "infra plan"), ("refresh", "infra plan"), ("state", "infra show")] {
        let ran = bare(&[verb]).expect(1);
        assert!(ran.stderr.contains("there is no state") && ran.stderr.contains(instead), "{}", ran.stderr);
    }
}

#[test]
fn an_environment_must_be_named_and_exist() {
    let sandbox = sandbox();
    let ran = sandbox.infra(&["plan", "-e", "locl"]).expect(1);
    assert!(ran.stderr.contains("`locl`") && ran.stderr.contains("did you mean `local`"), "{}", ran.stderr);
    let output = sandbox.command(&["plan"]).env_remove("INFRA_ENV").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there are: local"));
    // Read as clap alone would, this is the environment `xclude=x`.
    let ran = sandbox.infra(&["plan", "-exclud=x"]).expect(1);
    assert!(ran.stderr.contains("xclud=x"), "{}", ran.stderr);
    let ran = sandbox.infra(&["plan", "-C", "/nowhere/at/all"]).expect(1);
    assert!(ran.stderr.contains("is not a folder"), "{}", ran.stderr);
}

#[test]
fn a_plan_from_nothing() {
    let sandbox = sandbox();
    let ran = sandbox.infra(&["plan"]).expect(0);
    assert!(ran.stdout.starts_with("Resource actions are indicated"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nPlan: 12 to add, 0 to change, 0 to destroy.\n"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'), "no colour into a pipe");
    assert_eq!(ran.stderr, "Reading the actual state of local...\n");
    let _ = sandbox.infra(&["plan", "-detailed-exitcode"]).expect(2);
    // The same input gives the same bytes.
    let json = sandbox.infra(&["plan", "-json"]).expect(0).stdout;
    assert_eq!(json, sandbox.infra(&["plan", "--json"]).expect(0).stdout);
    let plan: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["resource_changes"].as_array().unwrap().len(), 12);
    let verbose = sandbox.infra(&["plan", "-v"]).expect(0).stdout;
    assert!(
        verbose.contains("CREATE DATABASE \"orders\" OWNER \"svc_orders_owner\" TEMPLATE template0"),
        "{verbose}"
    );
    let summary = sandbox.infra(&["plan", "--summary"]).expect(0).stdout;
    assert!(summary.contains("pg_role.main/dev_ana") && !summary.contains("connection_limit"), "{summary}");
    let markdown = sandbox.infra(&["plan", "--markdown"]).expect(0).stdout;
    assert!(markdown.starts_with("### infra plan"), "{markdown}");
    // A plan leaves nothing behind.
    assert_eq!(std::fs::read_dir(sandbox.folder()).unwrap().count(), 1);
}

#[test]
fn colour_is_for_those_who_ask() {
    let sandbox = sandbox();
    let coloured = |variable: &str, value: &str, flags: &[&str]| {
        let arguments = [&["plan"], flags].concat();
        let output = sandbox.command(&arguments).env(variable, value).output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains('\u{1b}')
    };
    assert!(coloured("CLICOLOR_FORCE", "1", &[]));
    assert!(!coloured("CLICOLOR_FORCE", "1", &["-no-color"]));
    assert!(!coloured("NO_COLOR", "1", &[]));
}

/// Whoever reads only the beginning has seen enough.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = sandbox();
    let mut child =
        sandbox.command(&["plan", "-v"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    let sandbox = sandbox();
    let ran = sandbox.infra(&["apply"]).expect(1);
    assert!(
        ran.stderr.contains("--auto-approve") && ran.stdout.contains("Plan: 12 to add"),
        "{}",
        ran.stderr
    );
    assert!(!sandbox.project.base().exists(), "nothing was made");
    let ran = sandbox.infra(&["apply", "-input=false"]).expect(1);
    assert!(ran.stderr.contains("--auto-approve"), "{}", ran.stderr);
}

#[test]
fn an_unknown_target_is_an_error() {
    let sandbox = sandbox();
    let ran = sandbox.infra(&["plan", "-target", "pg_role.main/dev_anna"]).expect(1);
    assert!(ran.stderr.contains("near: pg_role.main/dev_ana"), "{}", ran.stderr);
    let ran = sandbox.infra(&["plan", "-target=pg_role.main/dev_ana"]).expect(0);
    // The group it is a member of, the roles of that one, and the server come along.
    assert!(
        ran.stdout.contains("local_server.main") && ran.stdout.contains("pg_role.main/dev_backend"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("pg_database.main/orders"), "{}", ran.stdout);
}

#[test]
fn a_saved_plan_is_shown_without_a_server() {
    let sandbox = sandbox();
    let plain = sandbox.infra(&["plan", "-out=p.plan.json"]).expect(0).stdout;
    assert!(plain.contains("infra apply -e local \"p.plan.json\""), "{plain}");
    let shown = sandbox.infra(&["show", "p.plan.json"]).expect(0).stdout;
    assert!(plain.starts_with(&shown), "{shown}");
    let json = sandbox.infra(&["show", "--json", "p.plan.json"]).expect(0).stdout;
    assert_eq!(json, std::fs::read_to_string(sandbox.folder().join("p.plan.json")).unwrap());
    let _ = sandbox.infra(&["show", "--markdown", "p.plan.json"]).expect(0);
    std::fs::write(sandbox.folder().join("not.a.plan"), "hello").unwrap();
    let ran = sandbox.infra(&["show", "not.a.plan"]).expect(1);
    assert!(ran.stderr.contains("is not a plan that infra has saved"), "{}", ran.stderr);
    let ran = sandbox.infra(&["apply", "missing.plan"]).expect(1);
    assert!(ran.stderr.contains("cannot read missing.plan"), "{}", ran.stderr);
}

/// What was read can be written down, attached to a bug report, and planned from elsewhere.
#[test]
fn a_world_can_be_planned_from_a_file() {
    let sandbox = sandbox();
    let from_servers = sandbox.infra(&["plan", "--save-world", "world.json"]).expect(0).stdout;
    let from_file = sandbox.infra(&["plan", "--world", "world.json"]).expect(0).stdout;
    assert_eq!(from_servers, from_file);
}

#[test]
fn validation_speaks_terraforms_json() {
    let sandbox = sandbox();
    let valid: serde_json::Value =
        serde_json::from_str(&sandbox.infra(&["validate", "-json"]).expect(0).stdout).unwrap();
    assert_eq!((valid["valid"].as_bool(), valid["error_count"].as_u64()), (Some(true), Some(0)));
    sandbox.write("servces: {}\n");
    let ran = sandbox.infra(&["validate"]).expect(1);
    assert!(ran.stderr.contains("did you mean `services`"), "{}", ran.stderr);
    let broken: serde_json::Value =
        serde_json::from_str(&sandbox.infra(&["validate", "-json"]).expect(1).stdout).unwrap();
    assert_eq!(broken["diagnostics"][0]["severity"], "error");
    // Nothing is planned from what is not valid.
    let _ = sandbox.infra(&["plan"]).expect(1);
}

#[test]
fn completion_and_schema_are_printed() {
    assert!(bare(&["completion", "bash"]).expect(0).stdout.contains("infra"));
    let schema: serde_json::Value = serde_json::from_str(&bare(&["schema"]).expect(0).stdout).unwrap();
    assert!(schema["properties"]["services"].is_object());
}
