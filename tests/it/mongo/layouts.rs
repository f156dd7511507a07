//! Sets of other shapes, and what is no set.

use std::time::Duration;

use mongodb::bson::doc;

use super::run::Run;
use crate::support::replica_set::{
    ACTIONS, Layout, Member, SNAPSHOT, shared::borrow, tcp_proxy::TcpProxy, until, writer::Writer,
};

#[test]
fn over_tls() {
    for version in ["6.0.5", "6.0.27"] {
        let set = Layout::of(3).version(version).tls().start();
        Run::of(&set).finish().clean(0);
        // An authority that has signed something else.
        let stranger = set.folder().join("0/stranger.pem");
        let mut openssl = std::process::Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3",
        ]);
        openssl.args(["-subj", "/CN=stranger", "-keyout", "/dev/null", "-out"]).arg(&stranger);
        assert!(openssl.output().unwrap().status.success());
        let uri =
            set.uri(SNAPSHOT).replace(&set.ca_file().display().to_string(), &stranger.display().to_string());
        let ended = Run::with_uri(&set, &uri).finish();
        assert!([1, 10].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
        ended.clean(ended.code).untouched();
        let plain = set.uri(SNAPSHOT);
        let ended = Run::with_uri(&set, plain.split("&tls").next().unwrap()).finish();
        assert!([1, 10].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
        ended.clean(ended.code).untouched();
    }
}

/// It is the primary: all writes would wait.
#[test]
fn of_one() {
    let set = Layout::of(1).start();
    Run::of(&set).finish().clean(10).untouched();
    Run::of(&set).args(&["--allow-degraded"]).finish().clean(10).untouched();
}

/// Locking the only secondary leaves no majority for writes.
#[test]
fn of_two() {
    let set = Layout::of(2).start();
    Run::of(&set).finish().clean(10).untouched().says("--allow-degraded");
    let ended = Run::of(&set).args(&["--allow-degraded"]).finish();
    ended.clean(0);
    assert_eq!(ended.member(), 1);
}

#[test]
fn with_an_arbiter() {
    let set = Layout::of(3).member(2, doc! {"arbiterOnly": true}).start();
    Run::of(&set).finish().clean(10).untouched().says("--allow-degraded");
    let ended = Run::of(&set).args(&["--allow-degraded"]).finish();
    ended.clean(0);
    assert_eq!(ended.member(), 1);
}

/// The best of five is the hidden one, then the one that can never be primary; delayed ones and those without indexes never serve.
#[test]
fn of_five() {
    let set = Layout::of(5)
        .member(1, doc! {"priority": 0, "tags": {"use": "reports"}})
        .member(2, doc! {"priority": 0, "hidden": true})
        .member(3, doc! {"priority": 0, "hidden": true, "votes": 0, "secondaryDelaySecs": 3600})
        .member(4, doc! {"priority": 0, "buildIndexes": false, "votes": 0})
        .start();
    // The delayed one does not know this user, and will not for an hour.
    let late = ("late", "to the party");
    set.make_user(late, &ACTIONS);
    for member in [1, 2, 4] {
        until("it knows the user", || set.try_run_as(Some(late), member, doc! {"ping": 1}).is_ok());
    }
    let ended = Run::with_uri(&set, &set.uri(late)).finish();
    ended.clean(0);
    assert_eq!(ended.member(), 2);
    let ended = Run::of(&set).finish();
    ended.clean(0);
    assert_eq!(ended.member(), 2);
    for (member, reason) in [(3, "delay"), (4, "index")] {
        let host = set.members[member].host.as_str();
        let rejected = ended.manifest["rejected"].as_array().unwrap();
        let found = rejected.iter().find(|rejected| rejected["member"] == host);
        let found = found.unwrap_or_else(|| panic!("{host} is not among {rejected:?}"));
        assert!(found["reason"].as_str().unwrap().contains(reason), "{found}");
        Run::of(&set).member(member).finish().clean(10).untouched().says(host);
    }
    let ended = Run::of(&set).member(1).finish();
    ended.clean(0);
    assert_eq!(ended.member(), 1);
    // The primary, an unknown member.
    Run::of(&set).member(0).finish().clean(10).untouched();
    Run::of(&set).args(&["--member", "nowhere.example:27017"]).finish().clean(10).untouched();
}

/// Behind, but not by declaration.
#[test]
fn one_that_lags() {
    let set = borrow("6.0.5");
    let writer = Writer::start(&set);
    let member = set.secondaries()[0];
    assert_eq!(set.fsync_lock(member), 1);
    std::thread::sleep(Duration::from_secs(12));
    set.members[member].freeze();
    // Frozen it is still locked, and cannot say so.
    let ended = Run::of(&set).finish();
    assert!([0, 10, 15].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
    if ended.code == 0 {
        assert_ne!(ended.member(), member);
    }
    set.members[member].thaw();
    assert_eq!(set.fsync_unlock(member), 0);
    drop(writer);
    ended.clean(ended.code);
    drop(ended);
    set.until_replicated();
}

/// One that is being repaired takes the lock, and would serve nobody.
#[test]
fn one_in_maintenance() {
    let set = borrow("6.0.5");
    let member = set.secondaries()[0];
    set.run(member, doc! {"replSetMaintenance": true});
    Run::of(&set).member(member).finish().clean(10).untouched();
    let ended = Run::of(&set).finish();
    // Of three voters one does not count now, so locking another one takes the majority.
    assert!([0, 10].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
    ended.clean(ended.code);
    set.run(member, doc! {"replSetMaintenance": false});
    drop(ended);
    set.until_healthy();
}

/// With one member down, locking another one leaves no majority.
#[test]
fn with_a_member_down() {
    let set = borrow("6.0.5");
    let down = set.secondaries()[0];
    set.members[down].kill();
    let ended = Run::of(&set).finish();
    ended.clean(10).untouched().says(&set.members[down].host);
    set.members[down].start();
    drop(ended);
    set.until_well();
    Run::of(&set).finish().clean(0);
}

/// Another set's name, a server that is in no set, one that is in none yet.
#[test]
fn what_is_no_set() {
    let set = borrow("6.0.5");
    let other = set.uri(SNAPSHOT).replace("replicaSet=rs0", "replicaSet=other");
    let ended = Run::with_uri(&set, &other).finish();
    assert!([1, 10].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
    ended.clean(ended.code).untouched().says("other");
    let folder = tempfile::tempdir().unwrap();
    for arguments in [vec![], vec!["--replSet".to_owned(), "rs1".to_owned()]] {
        let alone = Member::new("6.0.5", folder.path().join(arguments.len().to_string()), arguments, false);
        alone.start();
        let ended = Run::with_uri(&set, &format!("mongodb://{}/", alone.host)).finish();
        ended.clean(10).untouched();
    }
    let ended = Run::with_uri(&set, "mongodb://127.0.0.1:1/").finish();
    assert!([1, 10].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
    ended.clean(ended.code).untouched();
}

/// Dry runs lock nothing, and say whom they would lock.
#[test]
fn dry_runs() {
    let set = borrow("6.0.27");
    let ended = Run::of(&set).args(&["--dry-run"]).finish();
    ended.clean(0).untouched();
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for member in &set.members {
        assert!(said.contains(&member.host), "{} is not in {said}", member.host);
    }
    let ended = Run::of(&set).args(&["--dry-run", "--json"]).finish();
    ended.clean(0).untouched();
    assert!(ended.manifest.is_object(), "{}", ended.stdout);
}

/// Behind a forwarded port, or a name that two machines have, is somebody else than we think.
#[test]
fn names_that_lead_elsewhere() {
    let set = Layout::of(3).proxied(1).proxied(2).start();
    // As seeds any address serves; the members themselves are dialled by the names of the configuration.
    let forwarded = TcpProxy::start(set.members[1].port);
    let uri = set.uri(SNAPSHOT);
    let (who, _) = uri.rsplit_once('@').unwrap();
    let uri = format!("{who}@127.0.0.1:{}/?authSource=admin", forwarded.port);
    Run::with_uri(&set, &uri).finish().clean(0);
    for (member, other) in [(1, 2), (2, 1)] {
        set.members[member].proxy.as_ref().unwrap().redirect(set.members[other].port);
    }
    let ended = Run::of(&set).finish();
    ended.clean(10).untouched();
    for member in [1, 2] {
        set.members[member].proxy.as_ref().unwrap().redirect(set.members[member].port);
    }
    set.until_healthy();
    Run::of(&set).finish().clean(0);
}
