//! The folder of state cannot be written to: nothing is locked that could not be found again.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use super::run::Run;
use crate::support::replica_set::shared::borrow;

/// No file may grow, as on a disk that is full.
#[test]
fn it_is_full() {
    let set = borrow("6.0.5");
    let mut run = Run::of(&set);
    let arguments: Vec<String> =
        run.command.get_args().map(|text| text.to_string_lossy().into_owned()).collect();
    let environment: Vec<(String, String)> = run
        .command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())))
        .collect();
    let script = run.script_path().display().to_string();
    let mut shell = Command::new("sh");
    // The limit is for files, so what is said goes through pipes.
    let line = "trap '' XFSZ; ( ulimit -f 0; \"$0\" \"$@\" 2>&1; echo \"ended with $?\" ) | cat";
    shell.args(["-c", line, env!("CARGO_BIN_EXE_infra")]).args(arguments).args(["--command", &script]);
    shell.env_clear().envs(environment);
    run.command = shell;
    let before = set.lock_counts();
    let output = run.command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("ended with 1"), "{said}");
    assert!(said.contains("state"), "{said}");
    assert_eq!(set.lock_counts(), before, "{said}");
    assert!(set.locked().is_empty());
}

/// A file is in its place.
#[test]
fn it_is_no_folder() {
    let set = borrow("6.0.5");
    let run = Run::of(&set);
    fs::write(run.folder.path().join("state"), "").unwrap();
    let ended = run.finish();
    ended.clean(1).untouched().says("state");
}

/// Nobody else may write into what a later run rests on.
#[test]
fn it_is_ours_alone() {
    let set = borrow("6.0.5");
    let mut running = Run::of(&set).script("sleep 1").start();
    running.locked();
    let state = running.folder().join("state");
    let mut files = 0;
    let mut folders = vec![state];
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o077, 0, "{}", folder.display());
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            files += 1;
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
            let text = fs::read(entry.path()).unwrap();
            let text = String::from_utf8_lossy(&text);
            assert!(!text.contains("mongodb://") && !text.contains("sn@p"), "{text}");
        }
    }
    assert!(files > 0, "no journal is kept");
    running.wait().clean(0);
}
