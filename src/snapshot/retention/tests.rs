//! Rows, and what holds for every history: against a second counting that shares nothing with the first.

use std::collections::BTreeSet;

use jiff::ToSpan as _;
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_795_478_605;

fn at(text: &str) -> Timestamp {
    format!("{text}Z").parse().unwrap()
}

fn taken(text: &str, state: State) -> Taken {
    Taken { name: text.into(), at: at(text), state }
}

fn good(times: &[&str]) -> Vec<Taken> {
    times.iter().map(|time| taken(time, State::Good)).collect()
}

fn keep(last: u32, hourly: u32, daily: u32, weekly: u32, monthly: u32) -> Keep {
    Keep {
        last: Some(last),
        hourly: Some(hourly),
        daily: Some(daily),
        weekly: Some(weekly),
        monthly: Some(monthly),
    }
}

fn decide(snapshots: &[Taken], keep: &Keep) -> Retention {
    retain(snapshots, keep, Timestamp::from_second(NOW).unwrap(), Leave::default())
}

fn kept(snapshots: &[Taken], keep: &Keep) -> Vec<String> {
    decide(snapshots, keep).kept.into_keys().collect()
}

#[test]
fn the_newest_of_each_period_is_kept() {
    let snapshots = good(&[
        "2026-11-24T06:00:00",
        "2026-11-24T00:00:00",
        "2026-11-23T18:00:00",
        "2026-11-23T12:00:00",
        "2026-11-22T23:59:59",
    ]);
    assert_eq!(kept(&snapshots, &keep(1, 0, 0, 0, 0)), ["2026-11-24T06:00:00"]);
    assert_eq!(kept(&snapshots, &keep(2, 0, 0, 0, 0)), ["2026-11-24T00:00:00", "2026-11-24T06:00:00"]);
    assert_eq!(kept(&snapshots, &keep(0, 0, 2, 0, 0)), ["2026-11-23T18:00:00", "2026-11-24T06:00:00"]);
    let all = decide(&snapshots, &keep(1, 0, 2, 0, 0));
    assert_eq!(all.kept["2026-11-24T06:00:00"], ["last 1", "daily 2026-11-24"]);
    assert_eq!(all.kept["2026-11-23T18:00:00"], ["daily 2026-11-23"]);
    assert_eq!(all.removed["2026-11-22T23:59:59"], "no rule keeps it");
    assert_eq!(all.withheld, None);
}

#[test]
fn the_oldest_stands_in_until_there_are_enough() {
    // Three months are asked for, and there is one.
    let snapshots = good(&["2026-11-24T00:00:00", "2026-11-23T00:00:00", "2026-11-22T00:00:00"]);
    let all = decide(&snapshots, &keep(0, 0, 0, 0, 3));
    assert_eq!(all.kept["2026-11-24T00:00:00"], ["monthly 2026-11"]);
    assert_eq!(all.kept["2026-11-22T00:00:00"], ["oldest, monthly 2026-11"]);
    assert!(all.removed.contains_key("2026-11-23T00:00:00"));
    assert_eq!(kept(&snapshots, &keep(0, 0, 0, 0, 1)), ["2026-11-24T00:00:00"]);
}

#[test]
fn weeks_are_those_of_iso_and_days_those_of_utc() {
    // 2026 has 53 weeks; the first days of 2027 belong to the last of them.
    let snapshots =
        good(&["2027-01-04T00:00:00", "2027-01-03T23:59:59", "2026-12-31T12:00:00", "2026-12-27T23:00:00"]);
    let all = decide(&snapshots, &keep(0, 0, 0, 3, 0));
    assert_eq!(all.kept["2027-01-04T00:00:00"], ["weekly 2027-W01"]);
    assert_eq!(all.kept["2027-01-03T23:59:59"], ["weekly 2026-W53"]);
    assert_eq!(all.kept["2026-12-27T23:00:00"], ["weekly 2026-W52"]);
    assert!(all.removed.contains_key("2026-12-31T12:00:00"));
    // The hour that Europe has twice in autumn is two hours.
    let twice = good(&["2026-10-25T01:30:00", "2026-10-25T00:30:00"]);
    assert_eq!(kept(&twice, &keep(0, 2, 0, 0, 0)).len(), 2);
}

#[test]
fn what_came_to_nothing_counts_for_nothing() {
    let mut snapshots = good(&["2026-11-23T18:00:00", "2026-11-23T12:00:00"]);
    snapshots.push(taken("2026-11-23T15:00:00", State::Bad));
    snapshots.push(taken("2026-11-16T15:00:00", State::Bad));
    let all = decide(&snapshots, &keep(1, 0, 0, 0, 0));
    assert_eq!(all.kept["2026-11-23T18:00:00"], ["last 1"]);
    assert_eq!(all.kept["2026-11-23T15:00:00"], ["came to nothing, less than 7 days ago"]);
    assert_eq!(all.removed["2026-11-16T15:00:00"], "came to nothing more than 7 days ago");
    assert_eq!(all.removed["2026-11-23T12:00:00"], "no rule keeps it");
}

#[test]
fn nothing_good_goes_while_the_last_run_came_to_nothing() {
    let mut snapshots = good(&["2026-11-23T18:00:00", "2026-11-23T12:00:00"]);
    snapshots.push(taken("2026-11-23T19:00:00", State::Bad));
    snapshots.push(taken("2026-11-01T15:00:00", State::Bad));
    let all = decide(&snapshots, &keep(1, 0, 0, 0, 0));
    assert_eq!(all.withheld, Some(Withheld::LastFailed));
    assert_eq!(all.kept["2026-11-23T12:00:00"], ["no rule keeps it, but deletion is withheld"]);
    assert_eq!(all.removed.keys().collect::<Vec<_>>(), ["2026-11-01T15:00:00"]);
}

#[test]
fn an_empty_policy_deletes_nothing() {
    let mut snapshots = good(&["2026-11-23T18:00:00", "2020-01-01T00:00:00"]);
    snapshots.push(taken("2020-01-02T00:00:00", State::Bad));
    for nothing in [Keep::default(), keep(0, 0, 0, 0, 0)] {
        let all = decide(&snapshots, &nothing);
        assert_eq!((all.kept.len(), all.removed.len()), (3, 0));
    }
}

#[test]
fn what_is_being_deleted_goes_on_going() {
    let mut snapshots = good(&["2026-11-23T18:00:00"]);
    snapshots.push(taken("2026-11-23T19:00:00", State::Deleting));
    for keep in [Keep::default(), keep(5, 0, 0, 0, 0)] {
        let all = decide(&snapshots, &keep);
        assert_eq!(all.removed["2026-11-23T19:00:00"], "its deletion has begun");
        assert_eq!(all.kept.len(), 1);
    }
}

#[test]
fn most_of_them_at_once_is_taken_for_a_mistake() {
    let history = |count: i64| -> Vec<Taken> {
        let time = |day: i64| (at("2026-11-23T00:00:00") - (24 * day).hours()).to_string();
        (0..count).map(|day| taken(time(day).trim_end_matches('Z'), State::Good)).collect()
    };
    assert_eq!(decide(&history(5), &keep(1, 0, 0, 0, 0)).removed.len(), 4, "four are few");
    let refused = decide(&history(6), &keep(1, 0, 0, 0, 0));
    assert_eq!(refused.removed.len(), 0);
    assert_eq!(refused.kept.len(), 6);
    assert_eq!(
        refused.withheld.unwrap().to_string(),
        "5 of 6 good snapshots would go at once: that is taken for a mistake in `keep`"
    );
    assert_eq!(
        decide(&history(10), &keep(5, 0, 0, 0, 0)).removed.len(),
        5,
        "half of them is not most of them"
    );
    assert!(decide(&history(11), &keep(5, 0, 0, 0, 0)).withheld.is_some());
    let now = Timestamp::from_second(NOW).unwrap();
    let allowed = retain(&history(6), &keep(1, 0, 0, 0, 0), now, Leave { mass: true });
    assert_eq!(allowed.removed.len(), 5);
}

fn newest_first(mut of: Vec<&Taken>) -> Vec<&Taken> {
    of.sort_by_key(|taken| std::cmp::Reverse((taken.at, taken.name.clone())));
    of
}

/// Counts the other way round: looks for the periods first, and then for their newest snapshots.
fn counted_differently(good: &[Taken], keep: &Keep) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    let rules: [(Option<u32>, &str); 4] = [
        (keep.hourly, "%Y-%m-%dT%H"),
        (keep.daily, "%Y-%m-%d"),
        (keep.weekly, "%G-W%V"),
        (keep.monthly, "%Y-%m"),
    ];
    let all = newest_first(good.iter().collect());
    kept.extend(all.iter().take(keep.last.unwrap_or(0) as usize).map(|taken| taken.name.clone()));
    for (count, format) in rules {
        let count = count.unwrap_or(0) as usize;
        let mut periods: BTreeMap<String, Vec<&Taken>> = BTreeMap::new();
        for taken in good {
            let period = Offset::UTC.to_datetime(taken.at).strftime(format).to_string();
            periods.entry(period).or_default().push(taken);
        }
        let there = periods.len();
        let newest = periods.into_values().rev().take(count).map(|of| newest_first(of)[0].name.clone());
        kept.extend(newest);
        if there < count
            && let Some(oldest) = all.last()
        {
            kept.insert(oldest.name.clone());
        }
    }
    kept
}

fn moments() -> impl Strategy<Value = i64> {
    // Some years, some days, some hours: so that periods are shared and crossed.
    prop_oneof![0..63_000_000_i64, 0..2_000_000_i64, 0..90_000_i64].prop_map(|back| NOW - back)
}

fn history(most: usize) -> impl Strategy<Value = Vec<Taken>> {
    let one =
        (moments(), prop_oneof![8 => Just(State::Good), 2 => Just(State::Bad), 1 => Just(State::Deleting)]);
    prop::collection::vec(one, 0..most).prop_map(|all| {
        let taken = |(index, (second, state)): (usize, (i64, State))| {
            let at = Timestamp::from_second(second).unwrap();
            Taken { name: format!("{at}-{index:03}"), at, state }
        };
        all.into_iter().enumerate().map(taken).collect()
    })
}

fn policy() -> impl Strategy<Value = Keep> {
    let count = || prop::option::of(0..6_u32);
    (count(), count(), count(), count(), count()).prop_map(|(last, hourly, daily, weekly, monthly)| Keep {
        last,
        hourly,
        daily,
        weekly,
        monthly,
    })
}

fn all_may_go(snapshots: &[Taken], keep: &Keep) -> Retention {
    retain(snapshots, keep, Timestamp::from_second(NOW).unwrap(), Leave { mass: true })
}

fn only_good(snapshots: Vec<Taken>) -> Vec<Taken> {
    snapshots.into_iter().filter(|taken| taken.state == State::Good).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn each_is_kept_or_removed_and_the_last_good_one_kept(snapshots in history(40), keep in policy()) {
        let all = decide(&snapshots, &keep);
        prop_assert_eq!(all.kept.len() + all.removed.len(), snapshots.len());
        for taken in &snapshots {
            prop_assert_ne!(all.kept.contains_key(&taken.name), all.removed.contains_key(&taken.name));
        }
        prop_assert!(all.kept.values().all(|reasons| !reasons.is_empty()));
        let good = snapshots.iter().filter(|taken| taken.state == State::Good);
        if let Some(last) = good.clone().max_by_key(|taken| (taken.at, taken.name.clone())) {
            prop_assert!(all.kept.contains_key(&last.name));
        }
        let going = good.clone().filter(|taken| all.removed.contains_key(&taken.name)).count();
        prop_assert!(going <= FEW || going * 2 <= good.count());
    }

    #[test]
    fn it_counts_as_restic_does(snapshots in history(60).prop_map(only_good), keep in policy()) {
        prop_assume!(!is_empty(&keep));
        let kept: BTreeSet<String> = all_may_go(&snapshots, &keep).kept.into_keys().collect();
        prop_assert_eq!(kept, counted_differently(&snapshots, &keep));
    }

    #[test]
    fn rules_are_joined_by_or(snapshots in history(40).prop_map(only_good), a in policy(), b in policy()) {
        let larger = |a: Option<u32>, b: Option<u32>| a.max(b);
        let joined = Keep {
            last: larger(a.last, b.last),
            hourly: larger(a.hourly, b.hourly),
            daily: larger(a.daily, b.daily),
            weekly: larger(a.weekly, b.weekly),
            monthly: larger(a.monthly, b.monthly),
        };
        prop_assume!(!is_empty(&a) && !is_empty(&b));
        let names = |keep: &Keep| all_may_go(&snapshots, keep).kept.into_keys().collect::<BTreeSet<_>>();
        let union: BTreeSet<String> = names(&a).union(&names(&b)).cloned().collect();
        prop_assert_eq!(names(&joined), union);
    }

    #[test]
    fn twice_is_once(snapshots in history(40), keep in policy()) {
        let first = all_may_go(&snapshots, &keep);
        let left: Vec<Taken> =
            snapshots.into_iter().filter(|taken| first.kept.contains_key(&taken.name)).collect();
        let second = all_may_go(&left, &keep);
        prop_assert_eq!(second.removed, BTreeMap::new());
    }

    /// One more snapshot deletes none that is newer, but for one that was kept only because it was the oldest.
    #[test]
    fn one_more_deletes_nothing_newer(snapshots in history(40).prop_map(only_good), keep in policy(), second in moments()) {
        let before = all_may_go(&snapshots, &keep);
        let at = Timestamp::from_second(second).unwrap();
        let mut more = snapshots.clone();
        more.push(Taken { name: format!("{at}-new"), at, state: State::Good });
        let after = all_may_go(&more, &keep);
        for taken in snapshots.iter().filter(|taken| taken.at > at) {
            let reasons = before.kept.get(&taken.name);
            let stands_in = reasons.is_some_and(|reasons| reasons.iter().all(|reason| reason.starts_with("oldest")));
            if reasons.is_some() && !stands_in {
                prop_assert!(after.kept.contains_key(&taken.name), "{}", taken.name);
            }
        }
    }

    #[test]
    fn the_order_makes_no_difference(
        (snapshots, shuffled) in history(30).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        keep in policy(),
    ) {
        prop_assert_eq!(decide(&snapshots, &keep), decide(&shuffled, &keep));
    }
}
