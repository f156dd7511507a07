//! `infra fmt`: files and their rights, and every YAML of this repository.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use infra::config::{NotFormatted, format};
use serde_json::Value;

use crate::support::sandbox::binary;

fn infra(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .env_clear()
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32, stdout: &str) {
    let shown = (output.status.code(), String::from_utf8_lossy(&output.stdout));
    assert_eq!(shown, (Some(code), stdout.into()), "{}", String::from_utf8_lossy(&output.stderr));
}

const CROOKED: &str = "# why\nservices:\n    orders: {}   # this\n\n\n\n    billing:   \n        extensions:\n        - pgcrypto\n";
const STRAIGHT: &str =
    "# why\nservices:\n  orders: {}   # this\n\n  billing:\n    extensions:\n      - pgcrypto\n";

#[test]
fn files_are_laid_out_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (test, base) = (folder.path().join("environments/test"), folder.path().join("environments/base"));
    for of in [&test, &base] {
        fs::create_dir_all(of).unwrap();
    }
    let (crooked, link) = (base.join("services.yaml"), test.join("linked.yaml"));
    fs::write(&crooked, CROOKED).unwrap();
    fs::set_permissions(&crooked, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("../base/services.yaml", &link).unwrap();
    fs::write(test.join("environment.yaml"), "platform: {local: {}}\n").unwrap();
    fs::write(test.join("notes.txt"), "a:    \n").unwrap();

    let name = "environments/base/services.yaml\n";
    ends(&infra(folder.path(), &["fmt", "--check", "environments/base"]), 1, name);
    assert_eq!(fs::read_to_string(&crooked).unwrap(), CROOKED, "a check writes nothing");
    let diff =
        String::from_utf8(infra(folder.path(), &["fmt", "--check", "--diff", "environments/base"]).stdout)
            .unwrap();
    assert!(
        diff.contains("--- old/environments/base/services.yaml\n")
            && diff.contains("\n+  orders: {}   # this\n"),
        "{diff}"
    );

    // By way of the link, which stays one.
    ends(&infra(folder.path(), &["fmt", "-e", "test"]), 0, "environments/test/linked.yaml\n");
    assert_eq!(fs::read_to_string(&crooked).unwrap(), STRAIGHT);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&crooked).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(&base).unwrap().count(), 1, "nothing is left beside it");
    ends(&infra(folder.path(), &["fmt", "--check"]), 0, "");
    assert_eq!(fs::read_to_string(test.join("notes.txt")).unwrap(), "a:    \n");

    // One that cannot be read keeps nothing else from being laid out, and is left as it is.
    fs::write(&crooked, CROOKED).unwrap();
    fs::write(base.join("broken.yaml"), "a: [1\n").unwrap();
    let output = infra(folder.path(), &["fmt", "environments/base"]);
    ends(&output, 1, name);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("environments/base/broken.yaml: this is no YAML"), "{said}");
    assert_eq!(fs::read_to_string(base.join("broken.yaml")).unwrap(), "a: [1\n");
    assert_eq!(infra(folder.path(), &["fmt", "-e", "nowhere"]).status.code(), Some(1));
    assert_eq!(infra(folder.path(), &["fmt", "nowhere.yaml"]).status.code(), Some(1));

    let mut child = Command::new(binary())
        .args(["fmt", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(CROOKED.as_bytes()).unwrap();
    ends(&child.wait_with_output().unwrap(), 0, STRAIGHT);
}

/// Every file of YAML in this repository, and every one of the bad environments that is YAML at all.
#[test]
fn everything_says_the_same_afterwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: Vec<(PathBuf, String)> = Vec::new();
    let mut folders = vec![root.join("environments"), root.join("examples"), root.join("tests/config")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if ["yaml", "yml"].contains(&ending.as_str()) {
                texts.push((path.clone(), fs::read_to_string(&path).unwrap()));
            } else if ending == "txt" {
                // Files in one, each behind its name.
                let text = fs::read_to_string(&path).unwrap();
                texts.extend(
                    text.split("==> ")
                        .skip(1)
                        .filter(|part| !part.starts_with("expected"))
                        .map(|part| (path.clone(), part.split_once('\n').unwrap_or_default().1.to_owned())),
                );
            }
        }
    }
    let (mut formatted, mut own) = (0, 0);
    for (path, text) in &texts {
        match format(text) {
            Ok(after) => {
                let read = |text: &str| serde_yaml::from_str::<Value>(text).ok();
                assert_eq!(read(text), read(&after), "{}", path.display());
                assert_eq!(format(&after), Ok(after.clone()), "{}", path.display());
                formatted += 1;
                if path.starts_with(root.join("environments")) {
                    assert_eq!(text, &after, "{} is not as infra fmt leaves it", path.display());
                    own += 1;
                }
            }
            Err(NotFormatted::NoYaml(_)) => {}
            Err(NotFormatted::Uncertain) => panic!("{}:\n{text}", path.display()),
        }
    }
    assert!(formatted > 60 && own >= 8, "{formatted} {own} of {}", texts.len());
}
