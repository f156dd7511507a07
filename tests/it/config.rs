//! Reading environments: every way in which YAML goes wrong has a case with its message in full, in `tests/config/bad/`.
//! `BLESS=1 cargo test` writes the messages anew; read the difference before committing it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use infra::{config, model::environment::Platform};
use proptest::prelude::*;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn bless() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// Writes `==> path` sections below a folder, except the one that is named `expected`.
fn lay_out(root: &Path, text: &str) -> String {
    let mut expected = String::new();
    for section in text.split("==> ").skip(1) {
        let (path, content) = section.split_once('\n').unwrap();
        if path == "expected" {
            content.clone_into(&mut expected);
            continue;
        }
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    expected
}

/// The message for the environment `name` below `root`, with paths as they are seen from there.
fn message(root: &Path, name: &str) -> String {
    match config::load(&root.join("environments"), name) {
        Ok(_) => "no problem found\n".into(),
        Err(invalid) => format!("{invalid}\n").replace(&format!("{}/", root.display()), ""),
    }
}

#[test]
fn bad_environments_say_what_is_wrong() {
    let mut cases: Vec<PathBuf> =
        fs::read_dir(project("tests/config/bad")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 45, "only {} cases", cases.len());
    let mut wrong = String::new();
    for case in cases {
        let text = fs::read_to_string(&case).unwrap();
        let root = tempfile::tempdir().unwrap();
        let expected = lay_out(root.path(), &text);
        let found = message(root.path(), "bad");
        if found == expected {
            continue;
        }
        if bless() {
            let files = text.split("==> expected\n").next().unwrap();
            fs::write(&case, format!("{files}==> expected\n{found}")).unwrap();
        } else {
            let _ = write!(wrong, "{}\n-- expected\n{expected}-- found\n{found}\n", case.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_case_shows_a_password() {
    for entry in fs::read_dir(project("tests/config/bad")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let (_, expected) = text.split_once("==> expected\n").unwrap();
        assert!(!expected.contains("canary"), "{expected}");
    }
}

#[test]
fn files_that_are_no_text() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("environments/bad");
    fs::create_dir_all(&folder).unwrap();
    let good = "platform: {local: {}}\n";
    let with = |name: &str, bytes: &[u8]| {
        fs::write(folder.join("environment.yaml"), good).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
        let message = message(root.path(), "bad");
        fs::remove_file(folder.join(name)).unwrap();
        message
    };
    insta_like(
        &with("zero.yaml", b"\x7fELF\0\0"),
        "error: `environments/bad/zero.yaml` is not a text: byte 4 is zero\n  = help: write YAML in UTF-8, or rename the file so that it does not end with `.yaml`\n\n1 problem found\n",
    );
    insta_like(
        &with("latin.yaml", b"tags:\n  city: M\xfcnchen\n"),
        "error: this is not UTF-8\n --> environments/bad/latin.yaml:2:10\n  |\n2 |   city: M\u{fffd}nchen\n  |          ^\n  = help: save the file in the encoding UTF-8\n\n1 problem found\n",
    );
    insta_like(
        &with("big.yaml", "# filler\n".repeat(1_200_000).as_bytes()),
        "error: `environments/bad/big.yaml` has 10800000 bytes; a file may have 1048576\n  = help: split it: all *.yaml of the folder are read as one\n\n1 problem found\n",
    );
    insta_like(
        &with("wide.yaml", format!("tags: {{a: {}}}\n", "x".repeat(20_000)).as_bytes()),
        "error: line 1 of `environments/bad/wide.yaml` has 20011 bytes; a line may have 10000\n  = help: write lists and maps over several lines\n\n1 problem found\n",
    );
    fs::create_dir(folder.join("folder.yaml")).unwrap();
    insta_like(
        &message(root.path(), "bad"),
        "error: `environments/bad/folder.yaml` is not a file\n  = help: move it out of the folder, or rename it\n\n1 problem found\n",
    );
}

#[track_caller]
fn insta_like(found: &str, expected: &str) {
    assert_eq!(found, expected, "found:\n{found}");
}

#[test]
fn unknown_environments_are_named() {
    let environments = project("environments");
    assert_eq!(config::list(&environments), ["local", "prod", "test"]);
    let message = |name: &str| config::load(&environments, name).unwrap_err().to_string();
    insta_like(
        &message("prd"),
        "error: there is no environment `prd`\n  = help: did you mean `prod`?\n\n1 problem found",
    );
    insta_like(
        &message("../prod"),
        "error: there is no environment `../prod`\n  = help: expected one of `local`, `prod` and `test`\n\n1 problem found",
    );
    assert!(message("base").contains("has no `environment.yaml`, so it is no environment"));
    let nowhere = config::load(Path::new("/nowhere"), "prod").unwrap_err().to_string();
    assert!(nowhere.contains("there is no environment in `/nowhere`"), "{nowhere}");
}

#[test]
fn own_environments_are_sound() {
    for name in config::list(&project("environments")) {
        if let Err(invalid) = config::load(&project("environments"), &name) {
            panic!("{name}:\n{invalid}");
        }
    }
    let local = config::load(&project("environments"), "local").unwrap().environment;
    assert!(matches!(local.platform, Platform::Local(_)));
    assert_eq!(local.services["billing"].mongo, None);
    assert!(local.services.len() >= 8 && local.people.len() == 5);
}

#[test]
fn schemas_are_fresh() {
    for (name, schema) in [("environment", config::schema()), ("plan", infra::report::schema())] {
        let file = project(&format!("schemas/{name}.json"));
        let schema = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if bless() {
            fs::write(&file, &schema).unwrap();
        }
        let stored = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            stored == schema,
            "schemas/{name}.json is stale: `infra schema {name} > schemas/{name}.json`"
        );
    }
}

#[test]
fn overlays_replace_remove_and_merge() {
    let root = tempfile::tempdir().unwrap();
    lay_out(
        root.path(),
        "==> environments/base/all.yaml
platform: {aws: {account: \"111122223333\", region: eu-central-1}}
clusters: {main: {readers: 1, connection: {port: 1}}, spare: {}}
backup_policies: {daily: {aurora: {retention_days: 3}}}
services: {a: {extensions: [pgcrypto, hstore]}, b: {}}
==> environments/middle/all.yaml
extends: ../base
services: {a: {extensions: [citext]}, b: null}
mongo_clusters: {events: {uri: {file: /run/uri}}}
==> environments/top/environment.yaml
extends: ../middle
platform: {local: {}}
backup_policies: {daily: {mongo: {every: 6h}}}
mongo_clusters: {events: {uri: {env: URI}}}
==> environments/top/more.yaml
clusters: {main: {connection: {port: 2, tls: verify-ca}}, spare: null}
",
    );
    let loaded = config::load(&root.path().join("environments"), "top").unwrap();
    let found = loaded.document.render().replace(&format!("{}/environments/", root.path().display()), "");
    insta_like(
        &found,
        "backup_policies:
  daily:
    mongo:
      every: \"6h\"     # top/environment.yaml:3
clusters:
  main:
    connection:
      port: 2         # top/more.yaml:1
      tls: verify-ca  # top/more.yaml:1
    readers: 1        # base/all.yaml:2
extends: ../middle    # top/environment.yaml:1
mongo_clusters:
  events:
    uri:
      env: URI        # top/environment.yaml:4
platform:
  local: {}           # top/environment.yaml:2
services:
  a:
    extensions:
      - citext        # middle/all.yaml:2
",
    );
    assert_eq!(loaded.document.to_json()["clusters"]["main"]["connection"]["port"], 2);
}

#[test]
fn rendered_documents_read_the_same() {
    for name in ["local", "test", "prod"] {
        let first = config::load(&project("environments"), name).unwrap();
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::create_dir(root.path().join("base")).unwrap();
        fs::write(folder.join("environment.yaml"), first.document.render()).unwrap();
        let again = config::load(root.path(), name).unwrap_or_else(|invalid| panic!("{invalid}"));
        assert_eq!(first.environment, again.environment);
    }
}

#[test]
fn diagnostics_are_those_of_terraform() {
    let root = tempfile::tempdir().unwrap();
    lay_out(root.path(), "==> environments/bad/environment.yaml\nplatform: {local: {}}\nprotekt: true\n");
    let invalid = config::load(&root.path().join("environments"), "bad").unwrap_err();
    let json = serde_json::to_value(&invalid).unwrap();
    assert_eq!(json["error_count"], 1);
    let diagnostic = &json["diagnostics"][0];
    assert_eq!(diagnostic["severity"], "error");
    assert_eq!(diagnostic["summary"], "unknown key `protekt`");
    assert_eq!(diagnostic["detail"], "did you mean `protect`?");
    assert_eq!(diagnostic["range"]["start"], serde_json::json!({"line": 2, "column": 1, "byte": 22}));
    assert_eq!(diagnostic["range"]["end"], serde_json::json!({"line": 2, "column": 8, "byte": 29}));
    assert_eq!(diagnostic["snippet"]["code"], "protekt: true");
}

/// `count` services as people write them, half of them in one team's group.
fn many_services(count: usize) -> String {
    let mut yaml = String::from("services:\n");
    for number in 0..count {
        let _ = write!(
            yaml,
            "  service-{number}:\n    service_account: team-{}/service-{number}\n    cluster: main\n    extensions: [pgcrypto, pg_trgm]\n    connection_limit: 40\n    settings: {{statement_timeout: 30s}}\n",
            number % 50,
        );
    }
    yaml
}

/// 1,000 services: 10 to 20 ms of processor time in release, some 180 ms in a debug build.
#[test]
fn a_thousand_services() {
    let root = tempfile::tempdir().unwrap();
    lay_out(
        root.path(),
        "==> environments/big/environment.yaml\nplatform: {local: {}}\nclusters: {main: {}, other: {}}\n",
    );
    let folder = root.path().join("environments/big");
    fs::write(folder.join("services.yaml"), many_services(1000)).unwrap();
    let names: Vec<String> = (0..1000).map(|number| format!("service-{number}")).collect();
    let groups = format!(
        "people: {{ana: {{}}}}\ndeveloper_groups:\n  all:\n    members: [ana]\n    services:\n      - {}\n",
        names.join("\n      - ")
    );
    fs::write(folder.join("groups.yaml"), groups).unwrap();
    let start = Instant::now();
    let loaded =
        config::load(&root.path().join("environments"), "big").unwrap_or_else(|invalid| panic!("{invalid}"));
    let elapsed = start.elapsed();
    eprintln!("1,000 services: {elapsed:?}");
    assert_eq!(loaded.environment.services.len(), 1000);
    // Ten times what it takes: only something quadratic would be slower.
    assert!(elapsed.as_secs() < 5, "{elapsed:?}");
}

/// A file full of mistakes is answered as fast as a good one: only so many are shown, and looked up.
#[test]
fn ten_thousand_mistakes() {
    let root = tempfile::tempdir().unwrap();
    lay_out(
        root.path(),
        "==> environments/bad/environment.yaml\nplatform: {local: {}}\nclusters: {mian: {}}\n",
    );
    let services = many_services(5000);
    fs::write(root.path().join("environments/bad/services.yaml"), services).unwrap();
    let start = Instant::now();
    let invalid = config::load(&root.path().join("environments"), "bad").unwrap_err();
    assert_eq!(invalid.count(), 5000);
    assert!(invalid.to_string().ends_with("and 4700 more, not shown\n\n5000 problems found"));
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

fn load_bytes(bytes: &[u8]) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("x");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("environment.yaml"), bytes).unwrap();
    match config::load(root.path(), "x") {
        Ok(loaded) => drop(loaded.document.render()),
        Err(invalid) => {
            assert!(!invalid.to_string().is_empty());
            serde_json::to_string(&invalid).unwrap();
        }
    }
}

fn sample() -> String {
    let read = |path: &str| fs::read_to_string(project(path)).unwrap().replace("extends: ../base", "");
    [
        "prod/environment.yaml",
        "prod/clusters.yaml",
        "base/services.yaml",
        "base/developers.yaml",
        "base/backups.yaml",
    ]
    .map(|path| read(&format!("environments/{path}")))
    .concat()
}

#[test]
fn the_sample_is_sound() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("prod")).unwrap();
    fs::write(root.path().join("prod/environment.yaml"), sample()).unwrap();
    if let Err(invalid) = config::load(root.path(), "prod") {
        panic!("only a sound sample shows what a mutation does:\n{invalid}");
    }
}

#[test]
fn names_of_environments_are_checked() {
    for (name, expected) in [
        ("Prod", "the environment's name `Prod` cannot be used"),
        ("a_b", "the environment's name `a_b` cannot be used"),
        ("a-very-long-environment", "has 23 bytes; it may have 19"),
    ] {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(name)).unwrap();
        fs::write(root.path().join(name).join("environment.yaml"), "platform: {local: {}}\n").unwrap();
        let message = config::load(root.path(), name).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

/// Whatever else is broken around it, a password is neither in a message nor in the line that is shown.
#[test]
fn no_broken_file_shows_a_password() {
    let line = "  events: {uri: \"mongodb://admin:canary@vm-1\", backup_policy: x}";
    let all = format!("platform: {{local: {{}}}}\nmongo_clusters:\n{line}\n");
    let secret = all.find("canary").unwrap();
    let before = all.find("mongodb").unwrap();
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("x");
    fs::create_dir(&folder).unwrap();
    let around = (0..all.len()).filter(|at| !(before..secret + "canary@".len()).contains(at));
    for (at, insert) in
        around.flat_map(|at| ["", "\"", "'", "{", "]", ": ", "&", "\t"].map(|insert| (at, insert)))
    {
        let text = format!("{}{insert}{}", &all[..at], &all[at + 1..]);
        fs::write(folder.join("environment.yaml"), &text).unwrap();
        let invalid = config::load(root.path(), "x").unwrap_err();
        let shown = format!("{invalid}{}", serde_json::to_string(&invalid).unwrap());
        assert!(!shown.contains("canary"), "{text}\n{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        load_bytes(&bytes);
    }

    #[test]
    fn random_yaml_never_panics(text in "([a-z]{1,3}|platform|local|services|[:\\[\\]{}#&*!|>'\"%@`,?\\-\n\t ]|: |\n  |0x|\\$\\{|://|é){0,80}") {
        load_bytes(text.as_bytes());
    }

    #[test]
    fn mutated_environments_never_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[a-z:{}\\[\\]\n \"'@$0-9ü-]{0,6}"), 1..6),
    ) {
        let mut text: Vec<char> = sample().chars().collect();
        for (at, length, insert) in cuts {
            let at = at.index(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, insert.chars());
        }
        load_bytes(text.into_iter().collect::<String>().as_bytes());
    }
}
