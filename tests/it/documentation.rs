//! What the README shows is what really happens: its commands are run in order, and their output compared.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{
    emulator::{ACCESS_KEY, ACCOUNT, Emulator, SECRET_KEY, environment},
    postgres,
    sandbox::{Sandbox, binary},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The port that `environments/local` declares. Here another is taken, for that one may be in use.
const PORT: &str = "54329";

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

/// The text with each command of a `console` block followed by what it really prints on stdout.
fn with_real_output(text: &str, mut run: impl FnMut(&str) -> String) -> String {
    let mut out = String::new();
    let mut console = false;
    for line in text.lines() {
        if line.starts_with("```") {
            console = line == "```console";
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

#[test]
fn the_readme_shows_what_really_happens() {
    let sandbox = Sandbox::new("15", "");
    let environments = sandbox.folder().join("environments");
    fs::remove_dir_all(&environments).unwrap();
    copy(&Path::new(ROOT).join("environments"), &environments);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let local = environments.join("local/environment.yaml");
    fs::write(&local, fs::read_to_string(&local).unwrap().replace(PORT, &port)).unwrap();

    shows_what_happens("README.md", |command| {
        let mut shell = shell(sandbox.folder(), &command.replace(PORT, &port));
        let path = format!("{}:{}", shell_path(), postgres("15").display());
        let output = shell.env("PATH", path).output().unwrap();
        Output { stdout: String::from_utf8(output.stdout).unwrap().replace(&port, PORT).into(), ..output }
    });
}

#[test]
fn the_page_on_aws_shows_what_really_happens() {
    let emulator = Emulator::start_with(ACCOUNT, &[("EMULATOR_KMS_ALIASES", "alias/aurora")]);
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(ROOT).join("environments"), &folder.path().join("environments"));
    let profile =
        format!("[acme-prod]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n");
    let credentials = folder.path().join("credentials");
    fs::write(&credentials, profile).unwrap();
    shows_what_happens("docs/aws.md", |command| {
        let mut shell = shell(folder.path(), command);
        shell.envs(environment(&emulator.url())).env("AWS_SHARED_CREDENTIALS_FILE", &credentials);
        // What the profile has is to be taken, not this.
        shell.env("AWS_ACCESS_KEY_ID", "nobody").env("INFRA_POLL_MILLISECONDS", "20");
        shell.output().unwrap()
    });
}

fn shell_path() -> String {
    format!("{}:/usr/bin:/bin", binary().parent().unwrap().display())
}

fn shell(folder: &Path, command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir(folder).env_clear().env("HOME", folder).env("PATH", shell_path());
    shell.stdin(Stdio::null());
    shell
}

/// Runs the commands of a page in order; each ends well, and prints what the page shows.
#[track_caller]
fn shows_what_happens(page: &str, mut run: impl FnMut(&str) -> Output) {
    let file = Path::new(ROOT).join(page);
    let text = fs::read_to_string(&file).unwrap();
    let mut failed = Vec::new();
    let real = with_real_output(&text, |command| {
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

#[test]
fn a_wrong_line_would_be_seen() {
    let text = "```console\n$ a\nold\n```\n\n```sh\n$ b\n```\n";
    assert_eq!(with_real_output(text, |_| "new\n".into()), "```console\n$ a\nnew\n```\n\n```sh\n$ b\n```\n");
}
