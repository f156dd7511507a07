//! What a job prints is read by the runner: no name gives it orders. And what the environment may say.

use super::{Desk, forge::Running};
use crate::support::sandbox::Sandbox;

const HOSTILE: &str = "x\n::error::own\r::add-mask::a\n  ::stop-commands::t ##[error]b %0A::warning::c section_start:1:d\r\u{1b}[0K";

/// Whether GitHub's runner takes a line for a command: the newer form at its start, the older one anywhere.
fn is_command(line: &str) -> bool {
    let start = line.trim_start();
    (start.starts_with("::") && start[2..].contains("::")) || line.contains("##[")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_gives_orders() {
    let (github, gitlab, desk) = (Running::github().await, Running::gitlab().await, Desk::new());
    let plan = desk.plan("prod", 'a', &["pg_role.main/x"]);
    let text = desk
        .read(&plan)
        .replace("main/x", &HOSTILE.escape_default().to_string().replace("\\u{1b}", "\\u001b"));
    std::fs::write(desk.path().join(&plan), &text).unwrap();
    let address =
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["resource_changes"][0]["address"].clone();
    assert!(HOSTILE.lines().any(is_command) && address.as_str().unwrap().contains("\n::error::own"));
    for forge in [&github, &gitlab] {
        for (arguments, code) in [
            (&["show", &plan][..], 0),
            (&["show", "-v", &plan], 0),
            (&["show", "--json", &plan], 0),
            (&["show", "--markdown", &plan], 0),
            (&["comment", "--stdout", &plan], 0),
            (&["show", HOSTILE], 1),
            (&["plan", "-e", HOSTILE], 1),
            (&["plan", HOSTILE], 1),
            (&[HOSTILE], 1),
            (&["version", "--bogus", HOSTILE], 1),
        ] {
            let ran = desk.infra(forge, arguments, &[]).expect(code);
            for line in ran.stdout.split(['\n', '\r']).chain(ran.stderr.split(['\n', '\r'])) {
                assert!(std::ptr::eq(forge, &raw const gitlab) || !is_command(line), "{arguments:?}: {line}");
            }
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!all.contains('\r') && !all.contains('\u{1b}'), "{arguments:?}: {all:?}");
            if std::ptr::eq(forge, &raw const gitlab) {
                assert!(!all.contains("section_start:"), "{arguments:?}: {all:?}");
            }
            if arguments.contains(&"--json") {
                let printed: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
                assert_eq!(printed["resource_changes"][0]["address"], address, "the document is what it was");
            }
        }
    }
}

/// What tfcmt, Atlantis and dflook look for in the output of Terraform.
#[test]
fn other_tools_understand_us() {
    let sandbox = Sandbox::new("17", "services: {orders: {}}\n");
    let matches = |pattern: &str, text: &str| regex::Regex::new(pattern).unwrap().is_match(text);
    let plan = sandbox.infra(&["plan"]).expect(0).stdout;
    assert!(matches(r"(?m)^(Plan: \d|No changes.)", &plan), "{plan}");
    let atlantis = r"Plan: (?:(\d+) to import, )?(\d+) to add, (\d+) to change, (\d+) to destroy(?:, (\d+) to forget)?\.";
    assert!(matches(atlantis, &plan), "{plan}");
    assert!(matches(r"(?m)^ *# (.*) will be created$", &plan), "{plan}");
    let error = sandbox.infra(&["plan", "-e", "nowhere"]).expect(1).stderr;
    assert!(matches(r"(?m)^([│|] )?(Error: )", &error), "{error}");
    let none = sandbox.infra(&["plan", "--destroy"]).expect(0).stdout;
    assert!(matches(r"(?m)^No changes\.", &none), "{none}");
}

#[test]
fn what_the_environment_may_say() {
    let sandbox = Sandbox::new("17", "services: {orders: {}}\n");
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.command(arguments);
        command.envs(variables.iter().copied());
        crate::support::sandbox::run(command)
    };
    let hint = "run the following command to apply";
    for (variables, hinted) in [
        (&[][..], true),
        (&[("CI", "true")], false),
        (&[("CI", "false")], true),
        (&[("INFRA_IN_AUTOMATION", "1")], false),
        (&[("INFRA_IN_AUTOMATION", "0")], true),
    ] {
        let ran = run(&["plan", "-o", "p"], variables).expect(0);
        assert_eq!(ran.stdout.contains(hint), hinted, "{variables:?}");
    }
    let arguments = ("INFRA_CLI_ARGS_plan", "-detailed-exitcode --target 'pg_role.main/svc_orders_ro'");
    let ran = run(&["plan"], &[arguments]).expect(2);
    assert!(ran.stdout.contains("svc_orders_ro") && !ran.stdout.contains("svc_orders_app"), "{}", ran.stdout);
    run(&["validate"], &[arguments]).expect(0);
    let ran = run(&["validate"], &[("INFRA_CLI_ARGS", "--bogus")]).expect(1);
    assert!(ran.stderr.contains("--bogus"), "{}", ran.stderr);
    let ran = run(&["plan"], &[("INFRA_CLI_ARGS", "'")]).expect(1);
    assert!(ran.stderr.contains("a quote that is not closed"), "{}", ran.stderr);
    assert!(run(&["plan"], &[("INFRA_QUIET", "1")]).expect(0).stderr.is_empty());
    assert!(!run(&["plan"], &[("INFRA_QUIET", "0")]).expect(0).stderr.is_empty());
    // A flag counts more than a variable, and what is typed more than what is added.
    let ran =
        run(&["plan", "-e", "local"], &[("INFRA_ENV", "nowhere"), ("INFRA_CLI_ARGS", "-e nobody")]).expect(0);
    assert!(ran.stdout.contains("Plan: "), "{}", ran.stdout);
    for (name, value) in
        [("INFRA_PARALLELISM", "0"), ("INFRA_LOCK_TIMEOUT", "soon"), ("INFRA_PULL_REQUEST", "x")]
    {
        run(&["apply"], &[(name, value)]).expect(1);
    }
    let ran = run(&["apply"], &[("INFRA_INPUT", "0")]).expect(1);
    assert!(ran.stderr.contains("--auto-approve"), "{}", ran.stderr);
    let ran = run(&["plan"], &[("INFRA_MASK", "svc_[a-z]+")]).expect(0);
    assert!(ran.stdout.contains("pg_role.main/***") && !ran.stdout.contains("svc_orders"), "{}", ran.stdout);
}
