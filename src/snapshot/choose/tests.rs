//! What is chosen, row by row.

mod every_set;
mod refusals;

use std::collections::BTreeMap;

use super::*;

const NOW: i64 = 1_795_478_605;

fn answer(me: &str) -> Answer {
    Answer {
        me: me.into(),
        secondary: true,
        locked: false,
        engine: Some("wiredTiger".into()),
        journaled: Some(true),
        shard: Some(false),
        building_index: false,
        missing_rights: Vec::new(),
    }
}

fn secondary(host: &str) -> Member {
    let host = format!("{host}:27017");
    Member {
        dialled: Dialled::Answered(answer(&host)),
        host,
        state: SECONDARY,
        state_name: "SECONDARY".into(),
        healthy: true,
        arbiter: false,
        hidden: false,
        priority: 1.0,
        votes: 1,
        delay: Duration::ZERO,
        builds_indexes: true,
        tags: BTreeMap::new(),
        optime: Timestamp::from_second(NOW).unwrap(),
        sync_source: Some("a:27017".into()),
        message: None,
    }
}

fn primary(host: &str) -> Member {
    let mut member =
        Member { state: PRIMARY, state_name: "PRIMARY".into(), sync_source: None, ..secondary(host) };
    said(&mut member).secondary = false;
    member
}

fn arbiter(host: &str) -> Member {
    Member {
        state: 7,
        state_name: "ARBITER".into(),
        arbiter: true,
        priority: 0.0,
        optime: Timestamp::UNIX_EPOCH,
        sync_source: None,
        dialled: Dialled::No,
        ..secondary(host)
    }
}

fn said(member: &mut Member) -> &mut Answer {
    match &mut member.dialled {
        Dialled::Answered(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn set(members: Vec<Member>) -> Survey {
    let voters = members.iter().filter(|member| member.votes > 0).count();
    let writers = members.iter().filter(|member| member.votes > 0 && !member.arbiter).count();
    let majority = voters / 2 + 1;
    Survey {
        set: "rs0".into(),
        id: "65f000000000000000000001".into(),
        config_server: false,
        majority_votes: majority,
        write_majority: majority.min(writers),
        election_timeout: Duration::from_secs(10),
        expected_set: None,
        members,
    }
}

fn three() -> Survey {
    set(vec![primary("a"), secondary("b"), secondary("c")])
}

fn rules() -> Rules {
    Rules {
        member: None,
        max_lag: Duration::from_secs(30),
        max_lock: Duration::from_mins(10),
        allow_degraded: false,
    }
}

fn hosts(reasoned: &[Reasoned]) -> Vec<&str> {
    reasoned.iter().map(|one| one.member.trim_end_matches(":27017")).collect()
}

#[track_caller]
fn chosen(survey: &Survey, rules: &Rules) -> Vec<String> {
    let choice = choose(survey, rules);
    assert_eq!(choice.refusal, None);
    hosts(&choice.candidates).into_iter().map(str::to_owned).collect()
}

#[track_caller]
fn refused(survey: &Survey, rules: &Rules) -> (String, String) {
    let choice = choose(survey, rules);
    assert!(choice.candidates.is_empty(), "{choice:?}");
    assert_eq!(choice.rejected.len(), survey.members.len(), "{choice:?}");
    match choice.refusal {
        Some(Refusal::NoMember { message, hint }) => (message, hint.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

/// The reason for one member of a set of five, all of whose other secondaries are well.
#[track_caller]
fn reason(change: impl FnOnce(&mut Member)) -> String {
    let mut member = secondary("x");
    change(&mut member);
    let survey = set(vec![primary("a"), secondary("b"), secondary("c"), secondary("d"), member]);
    let choice = choose(&survey, &rules());
    assert_eq!(choice.refusal, None);
    assert_eq!(hosts(&choice.candidates), ["b", "c", "d"]);
    choice.rejected.into_iter().find(|one| one.member == "x:27017").unwrap().reason
}

fn answering(change: impl FnOnce(&mut Answer)) -> String {
    reason(|member| change(said(member)))
}

#[test]
fn a_member_is_rejected_with_the_reason() {
    let state = |state, name: &str| reason(|x| (x.state, x.state_name) = (state, name.into()));
    assert_eq!(state(0, "STARTUP"), "STARTUP, not SECONDARY");
    assert_eq!(state(3, "RECOVERING"), "RECOVERING, not SECONDARY");
    assert_eq!(state(5, "STARTUP2"), "STARTUP2, not SECONDARY");
    assert_eq!(state(6, "UNKNOWN"), "UNKNOWN, not SECONDARY");
    assert_eq!(state(9, "ROLLBACK"), "ROLLBACK, not SECONDARY");
    assert_eq!(state(10, "REMOVED"), "REMOVED, not SECONDARY");
    let recovering = |x: &mut Member| {
        (x.state, x.state_name) = (3, "RECOVERING".into());
        x.message = Some("in maintenance mode".into());
    };
    assert_eq!(reason(recovering), "RECOVERING, not SECONDARY (in maintenance mode)");
    let down = |x: &mut Member| {
        (x.healthy, x.state, x.state_name) = (false, 8, "(not reachable/healthy)".into());
        x.message = Some("Connection refused".into());
        x.optime = Timestamp::UNIX_EPOCH;
    };
    assert_eq!(reason(down), "the others do not reach it (Connection refused)");
    assert_eq!(reason(|x| x.delay = Duration::from_hours(1)), "delayed: its data are 1h old");
    assert_eq!(reason(|x| x.builds_indexes = false), "it builds no indexes (buildIndexes: false)");
    assert_eq!(reason(|x| x.dialled = Dialled::No), "it was not asked");
    let failed = |x: &mut Member| x.dialled = Dialled::Failed("backup cannot log in".into());
    assert_eq!(reason(failed), "backup cannot log in");
    assert_eq!(reason(|x| x.optime = Timestamp::UNIX_EPOCH), "it has applied nothing yet");
    let late = |x: &mut Member| x.optime = Timestamp::from_second(NOW - 48).unwrap();
    assert_eq!(reason(late), "48s behind, and max_lag is 30s");
    assert_eq!(answering(|x| x.me = "y:27017".into()), "what answers there is y:27017");
    assert_eq!(answering(|x| x.secondary = false), "it says itself that it is no secondary");
    assert_eq!(
        answering(|x| x.engine = Some("inMemory".into())),
        "its storage engine is inMemory: there is nothing on its disks"
    );
    assert_eq!(
        answering(|x| x.engine = Some("mmapv1".into())),
        "its storage engine is mmapv1; only wiredTiger is known to be consistent while locked"
    );
    assert_eq!(
        answering(|x| x.journaled = Some(false)),
        "it keeps no journal: what is newer than its last checkpoint may be missing"
    );
    assert_eq!(
        answering(|x| x.missing_rights = vec!["fsync".into(), "unlock".into()]),
        "our user lacks fsync, unlock there"
    );
}

#[test]
fn the_primary_and_arbiters_are_rejected() {
    let survey = set(vec![primary("a"), secondary("b"), secondary("c"), secondary("d"), arbiter("e")]);
    let choice = choose(&survey, &rules());
    assert_eq!(hosts(&choice.candidates), ["b", "c", "d"]);
    let reasons: Vec<_> = choice.rejected.iter().map(|one| (&*one.member, &*one.reason)).collect();
    assert_eq!(
        reasons,
        [
            ("a:27017", "the primary: locking it would stop all writes"),
            ("e:27017", "an arbiter: it bears no data")
        ]
    );
}

#[test]
fn lag_is_measured_against_the_newest_member_and_not_the_clock() {
    let mut survey = three();
    for member in &mut survey.members {
        member.optime = Timestamp::from_second(1_000).unwrap();
    }
    assert_eq!(chosen(&survey, &rules()), ["b", "c"]);
    survey.members[1].optime = Timestamp::from_second(970).unwrap();
    assert_eq!(chosen(&survey, &rules()), ["c", "b"], "exactly max_lag is no more than max_lag");
    survey.members[1].optime = Timestamp::from_millisecond(969_999).unwrap();
    assert_eq!(chosen(&survey, &rules()), ["c"]);
    // A primary that is itself behind a secondary, as after an election.
    survey.members[0].optime = Timestamp::from_second(900).unwrap();
    assert_eq!(chosen(&survey, &rules()), ["c"]);
}

/// Two members that differ in one thing; the better one has the later name.
#[track_caller]
fn prefers(better: impl FnOnce(&mut Member), worse: impl FnOnce(&mut Member)) -> String {
    let mut survey = set(vec![primary("a"), secondary("d"), secondary("e"), secondary("b"), secondary("c")]);
    better(&mut survey.members[4]);
    worse(&mut survey.members[3]);
    for low in [1, 2] {
        survey.members[low].priority = 9.0;
    }
    let choice = choose(&survey, &rules());
    assert_eq!(hosts(&choice.candidates), ["c", "b", "d", "e"]);
    choice.candidates[0].reason.clone()
}

#[test]
fn what_is_missed_the_least_comes_first() {
    let votes = |x: &mut Member| (x.votes, x.priority) = (0, 0.0);
    let hidden = |x: &mut Member| (x.hidden, x.priority) = (true, 0.0);
    let nothing = |_: &mut Member| {};
    assert_eq!(prefers(votes, hidden), "no vote, priority 0, 0s behind");
    assert_eq!(prefers(hidden, |x| x.priority = 0.0), "hidden, priority 0, 0s behind");
    assert_eq!(prefers(|x| x.priority = 0.0, |x| x.priority = 0.5), "priority 0, 0s behind");
    assert_eq!(prefers(|x| x.priority = 0.5, nothing), "priority 0.5, 0s behind");
    let late = |x: &mut Member| x.optime = Timestamp::from_second(NOW - 2).unwrap();
    assert_eq!(prefers(nothing, late), "priority 1, 0s behind");
    // Being followed weighs more than a little lag.
    let mut survey = set(vec![primary("a"), secondary("b"), secondary("c"), secondary("d")]);
    survey.members[3].sync_source = Some("B:27017".into());
    late(&mut survey.members[2]);
    survey.members[3].priority = 5.0;
    let choice = choose(&survey, &rules());
    assert_eq!(hosts(&choice.candidates), ["c", "b", "d"]);
    assert_eq!(choice.candidates[1].reason, "priority 1, 0s behind, followed by d:27017");
}

#[test]
fn a_name_breaks_what_is_even() {
    assert_eq!(chosen(&three(), &rules()), ["b", "c"]);
}

#[test]
fn three_members_are_locked_with_a_warning() {
    let choice = choose(&three(), &rules());
    assert_eq!(choice.warnings.len(), 1, "{choice:?}");
    assert_eq!(
        choice.warnings[0],
        "no failover is possible while b:27017 is locked: an election takes 2 votes, and without b:27017 and a lost primary \
         1 are left; the primary is watched, and its loss ends the lock at once"
    );
    let five = set(vec![primary("a"), secondary("b"), secondary("c"), secondary("d"), secondary("e")]);
    assert_eq!(choose(&five, &rules()).warnings, [""; 0]);
    // Without a vote it is not missed.
    let mut without = set(vec![primary("a"), secondary("b"), secondary("c"), secondary("d")]);
    (without.members[3].votes, without.members[3].priority) = (0, 0.0);
    (without.majority_votes, without.write_majority) = (2, 2);
    let choice = choose(&without, &rules());
    assert_eq!((hosts(&choice.candidates)[0], choice.warnings.len()), ("d", 0));
}

/// Primary, secondary, arbiter.
#[test]
fn writes_keep_their_majority() {
    let survey = set(vec![primary("a"), secondary("b"), arbiter("c")]);
    let (message, hint) = refused(&survey, &rules());
    assert_eq!(
        message,
        "no member of rs0 may be locked\n\
         a:27017: the primary: locking it would stop all writes\n\
         b:27017: writes with w: majority would wait until it is unlocked: they need 2 voting members that bear data, and 1 \
         would be left\n\
         c:27017: an arbiter: it bears no data"
    );
    assert_eq!(hint, "add a member that bears data, or accept that with --allow-degraded");
    let allowed = choose(&survey, &Rules { allow_degraded: true, ..rules() });
    assert_eq!(hosts(&allowed.candidates), ["b"]);
    assert_eq!(
        allowed.warnings[0],
        "writes with w: majority wait until b:27017 is unlocked: they need 2 voting members that bear data, 1 are left"
    );
    assert_eq!(allowed.warnings.len(), 2, "{allowed:?}");
}

#[test]
fn a_member_that_is_down_already_makes_the_others_precious() {
    let mut survey = three();
    (survey.members[2].healthy, survey.members[2].state) = (false, 8);
    let (message, _) = refused(&survey, &rules());
    assert!(message.contains("b:27017: writes with w: majority would wait"), "{message}");
    // Recovering members vote, but do not acknowledge.
    let mut survey = three();
    (survey.members[2].state, survey.members[2].state_name) = (3, "RECOVERING".into());
    refused(&survey, &rules());
    // Two members: the other one alone is no majority.
    let two = set(vec![primary("a"), secondary("b")]);
    refused(&two, &rules());
    assert_eq!(chosen(&two, &Rules { allow_degraded: true, ..rules() }), ["b"]);
    // Of five one may be down, but not two.
    let mut five = set(vec![primary("a"), secondary("b"), secondary("c"), secondary("d"), secondary("e")]);
    five.members[4].healthy = false;
    assert_eq!(chosen(&five, &rules()), ["b", "c", "d"]);
    five.members[3].healthy = false;
    refused(&five, &rules());
}

#[test]
fn an_election_keeps_its_votes() {
    // Votes that the data-bearing members alone do not have: two arbiters are down.
    let mut survey = set(vec![
        primary("a"),
        secondary("b"),
        secondary("c"),
        secondary("d"),
        arbiter("e"),
        arbiter("f"),
        arbiter("g"),
    ]);
    survey.write_majority = 3;
    for down in 4..7 {
        survey.members[down].healthy = false;
    }
    let (message, _) = refused(&survey, &rules());
    assert!(
        message.contains("b:27017: an election takes 4 votes, and 3 would be left while it is locked"),
        "{message}"
    );
}

#[test]
fn what_people_should_know_is_a_warning() {
    let warn = |change: fn(&mut Survey), rules: &Rules| {
        let mut survey =
            set(vec![primary("a"), secondary("b"), secondary("c"), secondary("d"), secondary("e")]);
        change(&mut survey);
        let choice = choose(&survey, rules);
        assert_eq!(choice.refusal, None);
        choice.warnings.join("\n")
    };
    let build = |survey: &mut Survey| said(&mut survey.members[1]).building_index = true;
    assert_eq!(
        warn(build, &rules()),
        "an index is being built on b:27017: it is not finished before the unlock"
    );
    // Not of the member that is locked.
    assert_eq!(warn(|survey| said(&mut survey.members[2]).building_index = true, &rules()), "");
    let silent = |survey: &mut Survey| said(&mut survey.members[1]).engine = None;
    assert!(warn(silent, &rules()).starts_with("b:27017 does not tell our user its storage engine"));
    let unknown = |survey: &mut Survey| survey.members[2].dialled = Dialled::Failed("no answer".into());
    assert_eq!(warn(unknown, &rules()), "nobody knows whether c:27017 is locked: it cannot be asked");
    let long = Rules { max_lock: Duration::from_mins(45), ..rules() };
    assert_eq!(
        warn(|_| {}, &long),
        "max_lock is 45m: the oplog must reach back further than that, or b:27017 cannot catch up"
    );
}

#[test]
fn a_member_that_does_not_answer_counts_for_nothing_though_the_set_believes_in_it_still() {
    let mut survey = three();
    survey.members[2].dialled = Dialled::Silent("c:27017 cannot be reached".into());
    let (message, hint) = refused(&survey, &rules());
    assert!(message.contains("w: majority"), "{message}");
    assert!(hint.contains("--allow-degraded"), "{hint}");
    // One that answers, and only does not know our user, votes all the same.
    survey.members[2].dialled = Dialled::Failed("backup cannot log in".into());
    assert_eq!(chosen(&survey, &rules()), ["b"]);
}
