//! Sets of which nothing may be locked, and members that are asked for by name.

use super::*;

#[test]
fn a_lock_of_somebody_else_is_enough_to_refuse() {
    for locked in 0..3 {
        let mut survey = three();
        said(&mut survey.members[locked]).locked = true;
        let choice = choose(&survey, &Rules { member: Some("c".into()), ..rules() });
        let members = vec![survey.members[locked].host.clone()];
        assert_eq!(choice.refusal, Some(Refusal::ForeignLock { members }));
        assert!(choice.candidates.is_empty());
        assert_eq!(choice.rejected.len(), 3);
    }
    let mut survey = three();
    said(&mut survey.members[2]).locked = true;
    said(&mut survey.members[1]).locked = true;
    let members = vec!["b:27017".into(), "c:27017".into()];
    let choice = choose(&survey, &rules());
    assert_eq!(choice.refusal, Some(Refusal::ForeignLock { members }));
    assert_eq!(choice.rejected[1].reason, "it is locked already");
}

#[test]
fn sets_that_are_refused_as_a_whole() {
    let with = |change: fn(&mut Survey)| {
        let mut survey = three();
        change(&mut survey);
        refused(&survey, &rules())
    };
    let (message, hint) = with(|survey| survey.config_server = true);
    assert_eq!(message, "rs0 holds the metadata of a sharded cluster (configsvr)");
    assert!(hint.contains("Percona Backup for MongoDB"), "{hint}");
    let (message, hint) = with(|survey| said(&mut survey.members[0]).shard = Some(true));
    assert_eq!(message, "rs0 is a shard of a sharded cluster");
    assert!(hint.contains("Percona Backup for MongoDB"), "{hint}");
    let (message, _) = with(|survey| survey.expected_set = Some("other".into()));
    assert_eq!(message, "the set is named rs0, but the connection string says replicaSet=other");
    let (message, _) = with(|survey| survey.set.clear());
    assert_eq!(message, "this is no replica set: locking the only server would stop all writes");
    let (message, _) = with(|survey| survey.members.clear());
    assert_eq!(message, "this is no replica set: locking the only server would stop all writes");
    let (message, hint) = with(|survey| survey.members.truncate(1));
    assert_eq!(
        message,
        "a:27017 is the only member of rs0 that bears data: locking it would stop all writes"
    );
    assert!(hint.contains("three"), "{hint}");
    let (message, _) = with(|survey| survey.members[0] = secondary("a"));
    assert_eq!(message, "rs0 has no primary; a locked member could not vote for one");
    let (message, _) = with(|survey| survey.members[0].healthy = false);
    assert_eq!(message, "rs0 has no primary; a locked member could not vote for one");
    let (message, _) = with(|survey| survey.members[2] = primary("c"));
    assert_eq!(message, "rs0 has more than one primary (a:27017, c:27017)");
}

#[test]
fn one_member_is_asked_for() {
    let ask = |name: &str| Rules { member: Some(name.into()), ..rules() };
    for name in ["c", "C:27017", "c:27017"] {
        let choice = choose(&three(), &ask(name));
        assert_eq!(hosts(&choice.candidates), ["c"], "{name}");
        assert_eq!(choice.rejected[1].reason, "another member was asked for");
    }
    assert_eq!(
        refused(&three(), &ask("a")).0,
        "a:27017 was asked for, but may not be locked: the primary: locking it would stop all writes"
    );
    assert_eq!(
        refused(&three(), &ask("d")),
        ("rs0 has no member d".into(), "its members are a:27017, b:27017, c:27017".into())
    );
    assert_eq!(refused(&three(), &ask("c:27018")).0, "rs0 has no member c:27018");
    let mut lagging = three();
    lagging.members[2].optime = Timestamp::from_second(NOW - 60).unwrap();
    assert_eq!(
        refused(&lagging, &ask("c")),
        (
            "c:27017 was asked for, but may not be locked: 1m behind, and max_lag is 30s".into(),
            "wait until it has caught up, or allow more with --max-lag".into()
        )
    );
    let mut one_machine = three();
    for (member, host) in one_machine.members.iter_mut().zip(["h:1", "h:2", "h:3"]) {
        member.host = host.into();
        said(member).me = host.into();
    }
    assert_eq!(
        refused(&one_machine, &ask("h")),
        ("h is more than one member of rs0".into(), "say which: h:1 or h:2 or h:3".into())
    );
    assert_eq!(choose(&one_machine, &ask("h:2")).candidates[0].member, "h:2");
    let mut literal = three();
    literal.members[2].host = "[::1]:27017".into();
    said(&mut literal.members[2]).me = "[::1]:27017".into();
    for name in ["[::1]", "::1", "[::1]:27017"] {
        assert_eq!(choose(&literal, &ask(name)).candidates[0].member, "[::1]:27017", "{name}");
    }
}

#[test]
fn missing_rights_are_named_and_how_to_get_them() {
    let mut survey = three();
    for member in &mut survey.members {
        said(member).missing_rights = vec!["unlock".into()];
    }
    let (message, hint) = refused(&survey, &rules());
    assert!(message.contains("b:27017: our user lacks unlock there"), "{message}");
    assert!(
        hint.contains("\"fsync\", \"unlock\", \"inprog\", \"replSetGetStatus\", \"replSetGetConfig\""),
        "{hint}"
    );
    assert!(!hint.contains("  "), "{hint}");
}
