//! What the README shows is what really happens: its commands are run in order, and their output compared.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{
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

    let readme = Path::new(ROOT).join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", binary().parent().unwrap().display(), postgres("15").display());
    let mut failed = Vec::new();
    let real = with_real_output(&text, |command| {
        let output = Command::new("/bin/sh")
            .args(["-c", &command.replace(PORT, &port)])
            .current_dir(sandbox.folder())
            .env_clear()
            .env("PATH", &path)
            .env("HOME", sandbox.folder())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if !output.status.success() {
            failed.push(format!("$ {command}\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        String::from_utf8(output.stdout).unwrap().replace(&port, PORT)
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&readme, &real).unwrap();
    }
    let differs = text.lines().zip(real.lines()).find(|(written, real)| written != real);
    assert!(
        text == real || std::env::var_os("BLESS").is_some(),
        "README.md is not what happens (BLESS=1 rewrites it): {differs:?}"
    );
}

#[test]
fn a_wrong_line_would_be_seen() {
    let text = "```console\n$ a\nold\n```\n\n```sh\n$ b\n```\n";
    assert_eq!(with_real_output(text, |_| "new\n".into()), "```console\n$ a\nnew\n```\n\n```sh\n$ b\n```\n");
}
