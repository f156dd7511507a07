//! Who may, and who may not.

use super::run::{Folder, Run};
use crate::support::replica_set::{ACTIONS, ROOT, SNAPSHOT, shared::borrow};

/// The tests run with the least privileges; more do no harm.
#[test]
fn as_root() {
    let set = borrow("6.0.5");
    Run::with_uri(&set, &set.uri(ROOT)).finish().clean(0);
}

#[test]
fn a_right_is_missing() {
    for version in ["6.0.5", "6.0.27"] {
        let set = borrow(version);
        for missing in ACTIONS {
            let others: Vec<&str> = ACTIONS.into_iter().filter(|action| *action != missing).collect();
            let user = (missing, "less than enough");
            set.make_user(user, &others);
            set.until_replicated();
            let ended = Run::with_uri(&set, &set.uri(user)).secret(user.1).finish();
            set.drop_user(user);
            assert!([1, 10].contains(&ended.code), "without {missing}: {}: {}", ended.code, ended.stderr);
            ended.clean(ended.code).untouched().says(missing);
        }
    }
}

#[test]
fn nobody_and_wrong_passwords() {
    let set = borrow("6.0.5");
    let wrong = (SNAPSHOT.0, "another/p@ss:word");
    let unknown = ("somebody", "else?");
    for user in [wrong, unknown] {
        let ended = Run::with_uri(&set, &set.uri(user)).secret(user.1).finish();
        assert!([1, 10].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
        ended.clean(ended.code).untouched().says(user.0);
    }
    let hosts: Vec<&str> = set.members.iter().map(|member| member.host.as_str()).collect();
    let ended = Run::with_uri(&set, &format!("mongodb://{}/?replicaSet=rs0", hosts.join(","))).finish();
    assert!([1, 10].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
    ended.clean(ended.code).untouched();
}

/// As an argument, by the environment, on standard input; each is read, and none is told on.
#[test]
fn every_way_to_say_who() {
    let set = borrow("6.0.5");
    let folder = || Folder::Own(tempfile::tempdir().unwrap());
    let uri = set.uri(SNAPSHOT);
    let run = Run::without_uri(&set, folder());
    let mut running = run.args(&[&uri]).args(&["--max-lock", "20s"]).start();
    running.locked();
    // Only the process that was given it shows it: not the guardian, not the command.
    for process in running.processes() {
        let tells = process.line.contains("mongodb://");
        assert_eq!(tells, process.pid == running.pid(), "{}", process.line);
    }
    let ended = running.wait();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains("mongodb://infra_snapshot:sn"), "{text}");
    }
    let mut run = Run::without_uri(&set, folder()).script("env; sleep 0.2");
    run.command.env("INFRA_MONGO_URI", &uri);
    let ended = run.finish();
    ended.clean(0);
    assert!(!ended.manifest["output"].as_str().unwrap().contains("mongodb://"), "{:#}", ended.manifest);
    let run = Run::without_uri(&set, folder());
    let path = run.folder.path().join("input");
    std::fs::write(&path, format!("{uri}\n")).unwrap();
    let mut run = run.args(&["-"]);
    run.command.stdin(std::fs::File::open(path).unwrap());
    run.finish().clean(0);
}

/// Whatever the connection string says the database is, commands go to admin.
#[test]
fn another_database() {
    let set = borrow("6.0.5");
    let uri = set.uri(SNAPSHOT).replace("/admin?", "/app?authSource=admin&");
    Run::with_uri(&set, &uri).finish().clean(0);
}

/// Whoever locks may unlock to the end.
#[test]
fn dropped_meanwhile() {
    let set = borrow("6.0.5");
    let user = ("leaver", "gone for g@@d");
    set.make_user(user, &ACTIONS);
    set.until_replicated();
    let run = Run::with_uri(&set, &set.uri(user)).secret(user.1).args(&["--unlock-patience", "2s"]);
    let mut running = run.script("sleep 1").start();
    running.locked();
    set.drop_user(user);
    let ended = running.wait();
    // Released is it in any case; to read that back may be refused.
    assert!([0, 7, 14].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
    ended.ended(ended.code);
    assert_eq!(set.locked(), Vec::<usize>::new());
}
