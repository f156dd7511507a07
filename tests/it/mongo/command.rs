//! The snapshot command: what it is told, and everything that it can do wrong.

use std::{fs, time::Duration};

use super::run::{Run, SHORT};
use crate::support::replica_set::{restore, shared::borrow};

/// On both versions, with all that a manifest tells.
#[test]
fn a_snapshot() {
    for version in ["6.0.5", "6.0.27"] {
        let set = borrow(version);
        let ended = Run::of(&set).script("env; echo to stderr >&2; sleep 0.3; echo snap-0001").finish();
        ended.clean(0).gone();
        let member = ended.member();
        assert!(set.is_secondary(member), "{member} is no secondary");
        ended.holds("schema", 1).holds("status", "consistent").holds("consistent", true);
        ended.holds("vm_host", format!("vm-{member}")).holds("exit_code", 0).holds("server_version", version);
        ended
            .holds("unlocked", "verified")
            .holds("snapshot_ids", vec!["snap-0001"])
            .holds("replica_set", "rs0");
        for field in ["held", "same_opid", "same_process", "applied_unchanged", "secondary"] {
            assert_eq!(ended.manifest["proof"][field], true, "{field} of {:#}", ended.manifest);
        }
        assert_eq!(ended.manifest["proof"]["unlock_count"], 0);
        let output = ended.manifest["output"].as_str().unwrap();
        assert!(
            output.contains("to stderr") && output.contains("PATH=") && !output.contains("mongodb://"),
            "{output}"
        );
        let held = *set.locks(member).last().unwrap();
        let times = ["locked_at", "unlocked_at"]
            .map(|field| ended.manifest[field].as_str().unwrap().parse().unwrap());
        let [locked, unlocked]: [jiff::Timestamp; 2] = times;
        // The server's own log is the judge.
        assert!(
            locked >= held.locked && locked.duration_since(held.locked).as_millis() < 50,
            "{locked} {held:?}"
        );
        let end = held.unlocked.unwrap();
        assert!(unlocked.duration_since(end).as_millis().abs() < 50, "{unlocked} {held:?}");
        let mut locks = vec![0; 3];
        locks[member] = 1;
        assert_eq!(ended.locks(), locks);
        assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    }
}

#[test]
fn a_command_that_fails() {
    let set = borrow("6.0.5");
    let ended = Run::of(&set).script("echo 'no space on the array' >&2; exit 3").finish();
    ended.clean(12).says("no space on the array").holds("exit_code", 3).holds("consistent", false);
    let ended = Run::of(&set).script("kill -SEGV $$").finish();
    ended.clean(12).holds("signal", 11).holds("consistent", false);
    let ended = Run::of(&set).start_with("/nowhere/make-vm-snapshot".as_ref()).wait();
    ended.clean(12).says("/nowhere/make-vm-snapshot");
    let run = Run::of(&set);
    let text = run.folder.path().join("a-text");
    fs::write(&text, "no program").unwrap();
    let ended = run.start_with(&text).wait();
    ended.clean(12).says("a-text");
    let ended = Run::of(&set).script("exit 0").start_with("make-vm-snapshot".as_ref()).wait();
    ended.clean(12).says("make-vm-snapshot");
}

#[test]
fn a_command_that_hangs() {
    let set = borrow("6.0.5");
    let ended = Run::of(&set).script("sleep 600").args(&["--max-lock", "2s"]).finish();
    ended.clean(13).holds("consistent", false).holds("unlocked", "verified");
    let held = set.locks(ended.member()).last().copied().unwrap();
    let held = held.unlocked.unwrap().duration_since(held.locked);
    assert!(held.as_millis() < 2300, "held for {held:?}");
    // Deaf to SIGTERM, and with a child: the unlock comes before all of that.
    let deaf = "trap '' TERM; sleep 600 & while :; do sleep 1; done";
    let ended = Run::of(&set).script(deaf).args(&["--max-lock", "2s"]).finish();
    ended.clean(13);
    let held = set.locks(ended.member()).last().copied().unwrap();
    let held = held.unlocked.unwrap().duration_since(held.locked);
    assert!(held.as_millis() < 2300, "held for {held:?}");
}

/// Nobody waits for the end of the output, only for that of the command.
#[test]
fn a_child_that_keeps_the_output_open() {
    let set = borrow("6.0.5");
    let ended = Run::of(&set).script("sleep 8 & echo snap-2").finish();
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    ended.clean(0).holds("snapshot_ids", vec!["snap-2"]);
    // In a session of its own it belongs to nobody.
    let ended = Run::of(&set).script("setsid sleep 8 & echo snap-3").finish();
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    ended.clean(0).holds("snapshot_ids", vec!["snap-3"]);
}

#[test]
fn a_gigabyte_of_output() {
    let set = borrow("6.0.5");
    let ended = Run::of(&set).script("head -c 1G /dev/zero | tr '\\0' 'x'; echo; echo snap-4").finish();
    ended.clean(0).holds("snapshot_ids", vec!["snap-4"]);
    assert!(ended.manifest["output"].as_str().unwrap().len() < 1 << 20);
    assert!(ended.manifest["output_omitted_bytes"].as_u64().unwrap() > 1_000_000_000);
    assert!(ended.stdout.len() < 2 << 20 && ended.stderr.len() < 2 << 20);
}

#[test]
fn what_is_no_text() {
    let set = borrow("6.0.5");
    let ended = Run::of(&set).script("printf '\\377\\376\\033[31m\\000snap\\n'").finish();
    ended.clean(0);
}

/// The copy is of that member, and of that time.
#[test]
fn the_copy_is_what_the_manifest_says() {
    let set = borrow("6.0.27");
    let run = Run::of(&set);
    let copy = run.folder.path().join("copy");
    let script =
        format!("mkdir '{0}'; cp -a '{1}'/\"${{1#vm-}}\"/data '{0}'", copy.display(), set.folder().display());
    let ended = run.script(&script).finish();
    ended.clean(0);
    let restored = restore::open(set.version, &copy).unwrap();
    let optime = &ended.manifest["optime"];
    assert_eq!(optime["t"].as_u64(), Some(restored.last.0.into()), "{optime}");
    assert_eq!(optime["i"].as_u64(), Some(restored.last.1.into()), "{optime}");
    assert_eq!(restored.errors, Vec::<String>::new());
    let again = Run::of(&set).script(SHORT).finish();
    again.clean(0);
}
