//! What the README shows is what really happens: its commands are run in order, and their output compared.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use infra::providers::{
    ReadWrite,
    ledger::{Holder, Ledger},
};

mod coverage;
mod markdown;
mod not_run;
mod reference;

use crate::support::{
    emulator::{ACCESS_KEY, ACCOUNT, Emulator, REGION, SECRET_KEY, environment},
    postgres,
    replica_set::{self, Layout, SNAPSHOT},
    sandbox::{Sandbox, binary},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The port that `environments/local` declares. Here another is taken, for that one may be in use.
pub(crate) const PORT: &str = "54329";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::write(target, fs::read_to_string(entry.path()).unwrap()).unwrap();
        }
    }
}

/// The text with each command of a `console` block followed by what it really prints on stdout. A `sh` block is run as a
/// whole, for its exit code alone, unless `not_run.rs` names it.
fn with_real_output(page: &str, text: &str, mut run: impl FnMut(&str) -> String) -> String {
    let mut out = String::new();
    // What prints fences itself stands in a longer one.
    let (mut console, mut script, mut fence) = (false, None::<String>, String::new());
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        if fence.is_empty() && ticks.len() >= 3 {
            console = &line[ticks.len()..] == "console";
            script = (&line[ticks.len()..] == "sh").then(String::new);
            fence = ticks;
        } else if !fence.is_empty() && line == fence {
            (console, fence) = (false, String::new());
            if let Some(script) = script.take().filter(|script| !coverage::is_not_run(page, script)) {
                run(&format!("set -e\n{script}"));
            }
        } else if let Some(script) = &mut script {
            script.push_str(line);
            script.push('\n');
        } else if console {
            if let Some(command) = line.strip_prefix("$ ") {
                out.push_str(line);
                out.push('\n');
                out.push_str(&run(command));
            }
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// The repository's own environments, with a port that is free here where `environments/local` has one.
fn on_this_machine() -> impl FnMut(&str) -> Output {
    let sandbox = Sandbox::new("15", "");
    let environments = sandbox.folder().join("environments");
    fs::remove_dir_all(&environments).unwrap();
    copy(&Path::new(ROOT).join("environments"), &environments);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let local = environments.join("local/environment.yaml");
    fs::write(&local, fs::read_to_string(&local).unwrap().replace(PORT, &port)).unwrap();
    move |command| {
        let mut shell = shell(sandbox.folder(), &command.replace(PORT, &port));
        let path = format!("{}:{}", shell_path(), postgres("15").display());
        let output = shell.env("PATH", path).output().unwrap();
        Output { stdout: String::from_utf8(output.stdout).unwrap().replace(&port, PORT).into(), ..output }
    }
}

#[test]
fn the_readme_shows_what_really_happens() {
    shows_what_happens("README.md", on_this_machine());
}

#[test]
fn the_pages_for_every_day_show_what_really_happens() {
    let mut run = on_this_machine();
    shows_what_happens("docs/connecting.md", &mut run);
    shows_what_happens("docs/access.md", &mut run);
    shows_what_happens("docs/pictures.md", &mut run);
}

#[test]
fn the_page_on_aws_shows_what_really_happens() {
    let emulator = Emulator::start_with(ACCOUNT, &[("EMULATOR_KMS_ALIASES", "alias/aurora")]);
    emulator.boto3(&format!(
        "client('s3').create_bucket(Bucket='acme-infra', CreateBucketConfiguration={{'LocationConstraint': '{REGION}'}})"
    ));
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(ROOT).join("environments"), &folder.path().join("environments"));
    let profile =
        format!("[acme-prod]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n");
    let credentials = folder.path().join("credentials");
    fs::write(&credentials, profile).unwrap();
    let set = Layout::of(1).start();
    set.drop_user(SNAPSHOT);
    shows_what_happens("docs/aws.md", |command| {
        let mut shell = shell(folder.path(), command);
        shell.envs(environment(&emulator.url())).env("AWS_SHARED_CREDENTIALS_FILE", &credentials);
        // What the profile has is to be taken, not this.
        shell.env("AWS_ACCESS_KEY_ID", "nobody").env("INFRA_POLL_MILLISECONDS", "20");
        shell.env("EVENTS_MONGO_URI", set.uri(replica_set::ROOT));
        shell.output().unwrap()
    });
}

#[test]
fn the_page_on_mongodb_shows_what_really_happens() {
    let set = replica_set::shared::borrow("6.0.5");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("admin.uri", &set.uri(replica_set::ROOT));
    write("make-vm-snapshot", "#!/bin/sh\necho snap-0a1b2c3d\n");
    let path = folder.path().join("make-vm-snapshot");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let environment = folder.path().join("environments/backups");
    fs::create_dir_all(&environment).unwrap();
    let policy = "mongo: {every: 6h, keep: {last: 4}, snapshot_command: [./make-vm-snapshot, \"{host}\"]}";
    let yaml = format!(
        "platform: {{local: {{}}}}\nbackup_policies:\n  mongo-6h: {{{policy}}}\nmongo_clusters:\n  \
         events: {{uri: {{env: EVENTS_MONGO_URI}}, backup_policy: mongo-6h}}\n"
    );
    fs::write(environment.join("environment.yaml"), yaml).unwrap();
    // The machines of the page are ports of this one; those of the first and the last are in the order of their names.
    let mut hosts: Vec<&str> = set.members.iter().map(|member| member.host.as_str()).collect();
    if hosts[0] > hosts[2] {
        hosts.swap(0, 2);
    }
    let names: Vec<(String, &str)> = (1..).map(|number| format!("vm-{number}:27017")).zip(hosts).collect();
    shows_what_happens("docs/mongo.md", |command| {
        let command = names.iter().fold(command.to_owned(), |text, (name, host)| text.replace(name, host));
        let mut shell = shell(folder.path(), &command);
        let output = shell.env("EVENTS_MONGO_URI", set.uri(replica_set::ROOT)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let text = names.iter().fold(text, |text, (name, host)| text.replace(host, name));
        Output { stdout: text.into(), ..output }
    });
}

#[test]
fn the_page_on_history_shows_what_really_happens() {
    let sandbox = Sandbox::new("17", "");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    sandbox.write_raw(&format!(
        "platform: {{local: {{}}}}\nclusters:\n  main: {{engine_version: \"17\", connection: {{port: {port}}}}}\n\
         services: {{orders: {{}}}}\npeople: {{ana: {{}}}}\n"
    ));
    let commit = "4f1c0de6b1f3a5d0c7e2b9a8f6d4e3c2b1a09f8e";
    let run = [
        ("GITHUB_ACTOR", "ana"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "acme/shop"),
        ("GITHUB_RUN_ID", "811"),
        ("GITHUB_SHA", commit),
    ];
    let other = Holder {
        who: "boris".into(),
        host: "runner-3".into(),
        operation: "infra apply -e local".into(),
        pid: 811,
        since: "2026-11-29 02:07:31 UTC".into(),
        url: Some("https://github.com/acme/shop/actions/runs/812".into()),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ledger = Ledger::<ReadWrite>::of_project(sandbox.folder(), "local");
    // What no two runs have in common.
    let varies = [
        (r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}", "20261129T020714.218Z-5e0f9c31"),
        (r"2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-11-29 02:07:14"),
        (r"on \S+, process \d+", "on runner-7, process 4242"),
        (r"after \d+ s", "after 2 s"),
        // It rests on the port.
        (
            r"(?m)^  plan .*$",
            "  plan      sha256:09211fe7c77848275cb2d8ee655f8888b0c3237d2469726d62261b0be1a74588",
        ),
    ];
    shows_what_happens("docs/history.md", |command| {
        let busy = command.contains("2>&1");
        let lease = busy.then(|| runtime.block_on(ledger.lease("apply", &other, Duration::ZERO)).unwrap());
        let mut shell = shell(sandbox.folder(), &command.replace(PORT, &port));
        let path = format!("{}:{}", shell_path(), postgres("17").display());
        let output = shell.env("PATH", path).envs(run).output().unwrap();
        if let Some(lease) = lease {
            runtime.block_on(lease.release());
        }
        let mut text = String::from_utf8(output.stdout).unwrap().replace(&port, PORT);
        for (pattern, shown) in varies.iter().filter(|_| !busy) {
            text = regex::Regex::new(pattern).unwrap().replace_all(&text, *shown).into_owned();
        }
        Output { stdout: text.into(), ..output }
    });
}

pub(crate) fn shell_path() -> String {
    format!("{}:/usr/bin:/bin", binary().parent().unwrap().display())
}

pub(crate) fn shell(folder: &Path, command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir(folder).env_clear().env("HOME", folder).env("PATH", shell_path());
    shell.stdin(Stdio::null());
    shell
}

/// Runs the commands of a page in order; each ends well, and prints what the page shows.
#[track_caller]
pub(crate) fn shows_what_happens(page: &str, mut run: impl FnMut(&str) -> Output) {
    let file = Path::new(ROOT).join(page);
    let text = fs::read_to_string(&file).unwrap();
    let mut failed = Vec::new();
    let real = with_real_output(page, &text, |command| {
        let output = run(command);
        if !output.status.success() {
            failed.push(format!("$ {command}\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        String::from_utf8(output.stdout).unwrap()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &real).unwrap();
    }
    let differs = text.lines().zip(real.lines()).find(|(written, real)| written != real);
    assert!(
        text == real || std::env::var_os("BLESS").is_some(),
        "{page} is not what happens (BLESS=1 rewrites it): {differs:?}"
    );
}

/// The pages of whoever has one machine and nothing on it.
#[test]
fn the_first_pages_show_what_really_happens() {
    // The server's own workers come and go.
    let free = regex::Regex::new(r"\d+ connections free").unwrap();
    for (page, major) in [("first-steps", "17"), ("roles", "15"), ("trouble", "17")] {
        let sandbox = Sandbox::new(major, "");
        fs::remove_dir_all(sandbox.folder().join("environments")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let run = |command: &str| {
            let path = format!("{}:{}", shell_path(), postgres(major).display());
            let mut shell = shell(sandbox.folder(), &command.replace(PORT, &port));
            let output = shell.env("PATH", path).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap().replace(&port, PORT);
            Output { stdout: free.replace_all(&text, "396 connections free").into_owned().into(), ..output }
        };
        match page {
            "roles" => shows_what_happens("docs/roles.md", run),
            "trouble" => {
                sandbox.write_raw(
                    "platform: {local: {}}\nclusters: {main: {connection: {port: 54329}}}\n"
                        .replace(PORT, &port)
                        .as_str(),
                );
                let _ = sandbox.apply();
                shows_what_happens("docs/trouble.md", run);
            }
            _ => shows_what_happens("docs/first-steps.md", run),
        }
    }
}

#[test]
fn the_page_on_ci_shows_what_really_happens() {
    let sandbox = Sandbox::new("17", "services: {orders: {}}\npeople: {ana: {}, boris: {}}\n");
    sandbox.apply();
    sandbox.write("services: {orders: {connection_limit: 40}}\npeople: {ana: {}}\n");
    shows_what_happens("docs/ci.md", |command| {
        let path = format!("{}:{}", shell_path(), postgres("17").display());
        shell(sandbox.folder(), command).env("PATH", path).output().unwrap()
    });
}

#[test]
fn a_wrong_line_would_be_seen() {
    let text = "```console\n$ a\nold\n```\n\n```sh\nb\nc\n```\n";
    let mut ran = Vec::new();
    let real = with_real_output("docs/x.md", text, |command| {
        ran.push(command.to_owned());
        "new\n".into()
    });
    assert_eq!(real, "```console\n$ a\nnew\n```\n\n```sh\nb\nc\n```\n");
    assert_eq!(ran, ["a", "set -e\nb\nc\n"]);
    let text = "````console\n$ a\n```\nold\n```\n````\nb\n";
    assert_eq!(with_real_output("docs/x.md", text, |_| "```\n".into()), "````console\n$ a\n```\n````\nb\n");
    let text = "```sh\nsh examples/quickstart.sh   # builds\n```\n";
    assert_eq!(with_real_output("README.md", text, |_| unreachable!()), text);
}
