//! Examples are copied: each is checked by the tools that check the real thing, and each check is seen to fail.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A program of the Python that `tests/run.sh` has made.
pub(crate) fn tool(name: &str) -> Command {
    let unpacked = Path::new(ROOT).join("target/test-servers/venv/bin/python");
    let python = std::env::var_os("INFRA_TEST_PYTHON").map_or(unpacked, PathBuf::from);
    let program = python.with_file_name(name);
    assert!(program.exists(), "no {name} to check with: run sh tests/run.sh");
    Command::new(program)
}

fn examples(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(ROOT).join("examples").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// All pass; and none would if this were another text.
#[track_caller]
fn checked(files: &[(PathBuf, String)], broken: &[(&str, &str)], check: impl Fn(&Path) -> Output) {
    let folder = tempfile::tempdir().unwrap();
    let judged = |file: &Path, text: &str| {
        let copy = folder.path().join(file.file_name().unwrap());
        fs::write(&copy, text).unwrap();
        let output = check(&copy);
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    for (file, text) in files {
        let (good, said) = judged(file, text);
        assert!(good, "{}:\n{said}", file.display());
    }
    for (from, to) in broken {
        let (file, text) = files.iter().find(|(_, text)| text.contains(from)).expect(from);
        let (good, _) = judged(file, &text.replacen(from, to, 1));
        assert!(!good, "{}: `{to}` passed", file.display());
    }
}

#[test]
fn workflows_of_github() {
    let broken = [
        ("github.event.pull_request.number", "github.evnt.pull_request.number"),
        ("id-token: write", "id-token: wrte"),
        ("runs-on: ubuntu-latest", "runs-on: ubuntu-latst"),
        ("cancel-in-progress", "cancel-in-progres"),
        ("17 3 * * *", "17 25 * * *"),
    ];
    // Without shellcheck and pyflakes, which other machines may have or not.
    checked(&examples("github"), &broken, |file| {
        tool("actionlint").args(["-no-color", "-shellcheck=", "-pyflakes="]).arg(file).output().unwrap()
    });
}

/// Who may do what: a fork gets nothing that it could misuse, and what writes to AWS never meets a pull request.
#[test]
fn forks_get_no_credentials() {
    for (file, text) in examples("github") {
        let workflow: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(workflow["permissions"], serde_json::json!({}), "{}", file.display());
        let of_pulls = workflow["on"].get("pull_request").is_some();
        assert!(workflow["on"].get("pull_request_target").is_none());
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let text = job.to_string();
            let trusted = text.contains("github.event.pull_request.head.repo.full_name == github.repository");
            let powerful = ["id-token", "secrets.", "github.token", "self-hosted"]
                .iter()
                .any(|word| text.contains(word));
            assert!(!of_pulls || trusted || !powerful, "{}: {name}", file.display());
            assert!(!of_pulls || !text.contains("infra-applier"), "{}: {name}", file.display());
            for step in job["steps"].as_array().unwrap() {
                let checkout =
                    step["uses"].as_str().is_some_and(|uses| uses.starts_with("actions/checkout@"));
                assert!(
                    !checkout || step["with"]["persist-credentials"] == false,
                    "{}: {name}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn pipelines_of_gitlab() {
    let broken = [
        ("resource_group", "resource_grup"),
        ("terraform: tfplan", "terafrm: tfplan"),
        ("when: always", "when: allways"),
    ];
    let check = |file: &Path| {
        tool("check-jsonschema").args(["--builtin-schema", "vendor.gitlab-ci"]).arg(file).output().unwrap()
    };
    checked(&examples("gitlab"), &broken, check);
}

#[test]
fn manifests_of_kubernetes() {
    let mut files = examples("kubernetes");
    files.retain(|(file, _)| file.extension().is_some_and(|ending| ending == "yaml"));
    let broken = [
        ("concurrencyPolicy", "concurencyPolicy"),
        ("backoffLimit: 0", "backoffLimit: none"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: [true]"),
        ("schedule:", "scedule:"),
    ];
    checked(&files, &broken, |file| {
        tool("kubernetes-validate").args(["--strict"]).arg(file).output().unwrap()
    });
}

/// What the image copies exists, and its compiler is one that can build us.
#[test]
fn the_container_is_of_this_repository() {
    let text = fs::read_to_string(Path::new(ROOT).join("examples/kubernetes/Containerfile")).unwrap();
    let copies =
        text.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"));
    let mut copied = Vec::new();
    for line in copies {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.pop();
        copied.extend(words);
    }
    for needed in ["Cargo.toml", "Cargo.lock", "src", "environments"] {
        assert!(copied.contains(&needed), "{needed} is not copied");
    }
    for path in copied {
        assert!(Path::new(ROOT).join(path).exists(), "{path} does not exist");
    }
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap();
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(text.contains(&format!("library/rust:{version}-")), "the image has another Rust than {version}");
    assert!(text.lines().any(|line| line.starts_with("USER 65532")), "it runs as root");
}

/// Every command line of the examples is one that `infra` understands.
#[test]
fn every_command_is_understood() {
    let mut seen = 0;
    for (file, text) in [examples("github"), examples("gitlab")].concat() {
        for line in text.lines() {
            let line = line.trim().trim_start_matches("- ").trim_start_matches("run: ");
            if !line.starts_with("infra ") {
                continue;
            }
            seen += 1;
            let words = line.split(' ').map(OsString::from);
            assert!(infra::cli::parse(words).is_ok(), "{}: {line}", file.display());
        }
    }
    for (_, text) in examples("kubernetes") {
        let Some(list) = text.lines().find_map(|line| line.trim().strip_prefix("args: [")) else { continue };
        seen += 1;
        let words = list.trim_end_matches(']').split(", ").map(OsString::from);
        assert!(infra::cli::parse(std::iter::once("infra".into()).chain(words)).is_ok(), "{list}");
    }
    assert!(seen >= 10, "{seen}");
    assert!(infra::cli::parse("infra plan --coment".split(' ').map(OsString::from)).is_err());
}
