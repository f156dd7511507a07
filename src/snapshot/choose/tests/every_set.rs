//! What holds for every set.

use proptest::prelude::*;

use super::*;

fn any_answer(host: String) -> impl Strategy<Value = Answer> {
    let flags = (
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.02),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.9),
    );
    flags.prop_map(move |(secondary, locked, engine, journaled, shard, building_index, rights)| Answer {
        me: host.clone(),
        secondary,
        locked,
        engine: Some(if engine { "wiredTiger" } else { "inMemory" }.into()),
        journaled: journaled.then_some(true),
        shard: Some(shard),
        building_index,
        missing_rights: if rights { Vec::new() } else { vec!["unlock".into()] },
    })
}

fn any_member(index: usize) -> impl Strategy<Value = Member> {
    let host = format!("m{index}:27017");
    let dialled = prop_oneof![
        1 => Just(Dialled::No),
        1 => Just(Dialled::Failed("no answer".into())),
        12 => any_answer(host.clone()).prop_map(Dialled::Answered),
    ];
    let states = prop::sample::select(vec![(2, "SECONDARY"); 6]).prop_union(prop::sample::select(vec![
        (1, "PRIMARY"),
        (3, "RECOVERING"),
        (5, "STARTUP2"),
        (8, "(not reachable/healthy)"),
    ]));
    let flags = (
        prop::bool::weighted(0.85),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
    );
    // Mostly even, so that what breaks a tie matters.
    let lag = prop_oneof![3 => Just(0_i64), 1 => 0..60_i64];
    let numbers = (0..3_u8, 0..2_u32, lag, prop::option::of(0..7_usize));
    (dialled, states, flags, numbers).prop_map(move |(dialled, (state, name), flags, numbers)| {
        let (healthy, arbiter, hidden, builds_indexes, now) = flags;
        let (priority, votes, lag, source) = numbers;
        Member {
            host: host.clone(),
            state,
            state_name: name.into(),
            healthy,
            arbiter,
            hidden,
            priority: f64::from(priority),
            votes,
            delay: if now { Duration::ZERO } else { Duration::from_mins(1) },
            builds_indexes,
            tags: BTreeMap::new(),
            optime: Timestamp::from_second(NOW - lag).unwrap(),
            sync_source: source.map(|index| format!("m{index}:27017")),
            message: None,
            dialled,
        }
    })
}

fn any_set() -> impl Strategy<Value = Survey> {
    let members: Vec<_> = (1..7).map(any_member).collect();
    (members, prop::bool::weighted(0.9), 1..7_usize).prop_map(|(mut members, led, count)| {
        members.truncate(count);
        if led {
            members.insert(0, primary("m0"));
        }
        set(members)
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let member = prop::option::weighted(0.2, (0..7_usize).prop_map(|index| format!("m{index}")));
    (member, any::<bool>()).prop_map(|(member, allow_degraded)| Rules { member, allow_degraded, ..rules() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_chosen_may_be_locked(survey in any_set(), rules in any_rules()) {
        let choice = choose(&survey, &rules);
        prop_assert_eq!(choice.candidates.is_empty(), choice.refusal.is_some());
        let mut all: Vec<_> = choice.candidates.iter().chain(&choice.rejected).map(|one| &one.member).collect();
        all.sort();
        let mut members: Vec<_> = survey.members.iter().map(|member| &member.host).collect();
        members.sort();
        prop_assert_eq!(all, members, "each member stands in one list, with a reason");
        prop_assert!(choice.candidates.iter().chain(&choice.rejected).all(|one| !one.reason.is_empty()));
        if choice.refusal.is_none() {
            let locked = survey.members.iter().any(|member| {
                matches!(&member.dialled, Dialled::Answered(answer) if answer.locked || answer.shard == Some(true))
            });
            prop_assert!(!locked, "never two members locked at once");
        }
        for candidate in &choice.candidates {
            let member = survey.members.iter().find(|member| member.host == candidate.member).unwrap();
            prop_assert!(member.healthy && !member.arbiter && member.state == SECONDARY);
            prop_assert!(member.delay.is_zero() && member.builds_indexes);
            let Dialled::Answered(answer) = &member.dialled else { panic!("{member:?}") };
            prop_assert!(answer.secondary && answer.missing_rights.is_empty() && answer.me == member.host);
            if let Some(name) = &rules.member {
                prop_assert_eq!(&format!("{name}:27017"), &member.host);
            }
            if !rules.allow_degraded {
                let healthy = |other: &&Member| other.host != member.host && other.healthy && other.votes > 0;
                let writers = survey.members.iter().filter(healthy);
                let writers = writers.filter(|other| !other.arbiter && matches!(other.state, PRIMARY | SECONDARY));
                prop_assert!(writers.count() >= survey.write_majority);
            }
        }
    }

    #[test]
    fn the_order_of_members_makes_no_difference(
        (survey, other) in any_set().prop_flat_map(|survey| {
            let shuffled = Just(survey.members.clone()).prop_shuffle();
            (Just(survey), shuffled)
        }),
        rules in any_rules(),
    ) {
        let shuffled = Survey { members: other, ..survey.clone() };
        prop_assert_eq!(choose(&survey, &rules), choose(&shuffled, &rules));
    }
}
