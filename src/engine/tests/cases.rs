//! What the engine does, by example.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::toy::{Memory, OnFailure, Toy, desired, toy, upon, world};
use crate::{
    engine::{
        Action, Context, Desired, Digest, Event, Hold, Late, Limits, Outcome, Output, Plan, Removal,
        Resource, Selection, Step, Verdict, World, Write, Written, digest, guard, plan, select,
    },
    model::Address,
};

fn words(plan: &Plan<Toy>) -> Vec<String> {
    let word = |step: &Step<Toy>| match &step.action {
        Action::Keep => "keep".into(),
        Action::Create { .. } => "create".into(),
        Action::Update { .. } => "update".into(),
        Action::Replace { .. } => "replace".into(),
        Action::Delete { .. } => "delete".into(),
        Action::Hold { why } => format!("hold: {why}"),
    };
    plan.steps.iter().map(|step| format!("{} {}", step.address.path(), word(step))).collect()
}

fn planned(desired: &Desired<Toy>, world: &World<Toy>) -> Vec<String> {
    words(&plan(desired, world).unwrap())
}

fn declared_removal() -> Toy {
    Toy { removal: Removal::Declared("it bears data".into()), ..Toy::default() }
}

fn linked(parent: &str) -> Toy {
    Toy { link: Some(Late::after(toy(parent), Output::ResourceId)), ..upon(&[parent]) }
}

#[test]
fn parents_are_made_first_and_removed_last() {
    let three = [("c", Toy::default()), ("b", upon(&["c"])), ("a", upon(&["b"]))];
    assert_eq!(planned(&desired(&three), &World::default()), ["c create", "b create", "a create"]);
    assert_eq!(planned(&Desired::default(), &world(&three)), ["a delete", "b delete", "c delete"]);
}

#[test]
fn holds_say_why() {
    let child = |parent: &str| upon(&[parent]);
    let sealed = Toy { sealed: 1, ..Toy::default() };
    let mut unreadable = world(&[("p", Toy::default())]);
    unreadable.unreadable.insert(toy("p"), "no route to host".into());
    let mut later = unreadable.clone();
    later.found.get_mut(&toy("p")).unwrap().resource.value = 7;
    let mut foreign = world(&[("p", Toy::default())]);
    foreign.found.get_mut(&toy("p")).unwrap().owned = false;
    let family = desired(&[("p", Toy::default()), ("c", child("p"))]);
    let cases = [
        (&family, &unreadable, vec!["p keep", "c hold: toy.p could not be read: no route to host"]),
        (
            &family,
            &later,
            vec!["p update", "c hold: known after toy.p is changed (no route to host); then plan again"],
        ),
        (
            &family,
            &foreign,
            vec![
                "p hold: exists, but does not carry our mark; it is left alone until it is adopted",
                "c hold: toy.p is held",
            ],
        ),
        (&family, &world(&[("p", sealed.clone())]), vec!["p hold: `sealed` cannot be changed", "c create"]),
        // What is there as it was is in nobody's way.
        (
            &family,
            &world(&[("p", sealed), ("c", Toy { value: 1, ..child("p") })]),
            vec!["p hold: `sealed` cannot be changed", "c update"],
        ),
        (&Desired::default(), &world(&[("p", declared_removal())]), vec!["p hold: it bears data"]),
        (
            &Desired::default(),
            &world(&[("p", Toy::default()), ("c", Toy { parents: vec![toy("p")], ..declared_removal() })]),
            vec!["p hold: toy.c stays and needs it", "c hold: it bears data"],
        ),
    ];
    for (desired, world, expected) in cases {
        assert_eq!(planned(desired, world), expected);
    }
    assert!(!plan(&family, &unreadable).unwrap().is_complete());
    assert!(plan(&family, &foreign).unwrap().is_complete());
}

/// What cannot be seen is said, even where nothing is declared that would be held for it; and only once.
#[test]
fn what_must_be_readable_is_held() {
    let mut unreadable = World::default();
    unreadable.unreadable.insert(toy("p"), "no route to host".into());
    let looked_at = BTreeSet::from([toy("p"), toy("q")]);
    let nothing = Desired { looked_at: looked_at.clone(), ..Desired::default() };
    let why = "hold: toy.p could not be read: no route to host";
    assert_eq!(planned(&nothing, &unreadable), [format!("p {why}")]);
    assert!(!plan(&nothing, &unreadable).unwrap().is_complete());
    let child = Desired { looked_at, ..desired(&[("c", upon(&["p"]))]) };
    assert_eq!(planned(&child, &unreadable), [format!("c {why}")]);
    assert_eq!(planned(&nothing, &World::default()), Vec::<String>::new());
}

#[test]
fn what_stays_undeclared_is_in_nobodys_way() {
    let kept = world(&[("p", declared_removal()), ("q", Toy::default())]);
    let desired = desired(&[("c", upon(&["p", "q"]))]);
    let first = plan(&desired, &kept).unwrap();
    assert_eq!(words(&first), ["p hold: it bears data", "q hold: toy.c stays and needs it", "c create"]);
    let memory = Memory::new(kept);
    assert!(memory.apply(&first, 2).succeeded());
    assert!(plan(&desired, &memory.world.borrow()).unwrap().is_empty());
}

#[test]
fn a_declared_removal_deletes_what_bears_data() {
    let mut desired = Desired::default();
    desired.removed.insert(toy("p"));
    assert_eq!(planned(&desired, &world(&[("p", declared_removal())])), ["p delete"]);
}

#[test]
fn what_has_no_existence_of_its_own_goes_with_its_parent() {
    let implied = |parent: &str| Toy { removal: Removal::Implied, ..upon(&[parent]) };
    let three = world(&[("p", Toy::default()), ("i", implied("p")), ("x", upon(&["i"]))]);
    let all = plan(&Desired::default(), &three).unwrap();
    assert_eq!(words(&all), ["x delete", "i keep", "p delete"]);
    // The grandchild is waited for through the step that does nothing.
    assert!(all.steps[2].after.contains(&toy("x")));
    // It stays, with its parent, when something declared needs it.
    assert_eq!(
        planned(&desired(&[("x", upon(&["i"]))]), &three),
        ["p hold: toy.i stays and needs it", "i keep", "x keep"]
    );
}

#[test]
fn a_change_is_waited_for_through_what_does_not_change() {
    let chain = [("p", Toy::default()), ("q", upon(&["p"])), ("r", upon(&["q"]))];
    let before = world(&[("p", Toy { value: 1, ..Toy::default() }), ("q", upon(&["p"]))]);
    let plan = plan(&desired(&chain), &before).unwrap();
    assert_eq!(words(&plan), ["p update", "q keep", "r create"]);
    assert!(plan.steps[2].after.contains(&toy("p")));
}

#[test]
fn children_go_before_their_parent_is_replaced() {
    let before = world(&[("a", Toy { fixed: 1, ..Toy::default() }), ("b", upon(&["a"]))]);
    assert_eq!(planned(&desired(&[("a", Toy::default())]), &before), ["b delete", "a replace"]);
    // Unless that can not be: `c` lets go of `b` only once `a` is there again.
    let mut tangled = before;
    tangled.found.extend(world(&[("c", upon(&["b"]))]).found);
    assert_eq!(
        planned(&desired(&[("a", Toy::default()), ("c", upon(&["a"]))]), &tangled),
        ["a replace", "c update", "b delete"]
    );
}

#[test]
fn a_replaced_parent_makes_what_it_told_unknown() {
    let told = Toy { link: Some(Late::Known("toy.p#0".into())), ..upon(&["p"]) };
    let before = world(&[("p", Toy { fixed: 1, ..Toy::default() }), ("c", told)]);
    let desired = desired(&[("p", Toy::default()), ("c", linked("p"))]);
    let first = plan(&desired, &before).unwrap();
    assert_eq!(words(&first), ["p replace", "c update"]);
    let memory = Memory::new(before);
    assert!(memory.apply(&first, 1).succeeded());
    let link = memory.world.borrow().found[&toy("c")].resource.link.clone();
    assert_eq!(link, Some(Late::Known("toy.p#1".into())));
}

#[test]
fn what_one_step_tells_another_of_its_unit_is_told_in_time() {
    let unit = |toy: Toy| Toy { unit: Some("one".into()), ..toy };
    let desired = desired(&[("p", unit(Toy::default())), ("c", unit(linked("p")))]);
    let first = plan(&desired, &World::default()).unwrap();
    let memory = Memory::new(World::default());
    assert!(memory.apply(&first, 1).succeeded());
}

#[test]
fn the_rest_of_a_rolled_back_unit_is_tried_again() {
    let unit = |toy: Toy| Toy { unit: Some("one".into()), ..toy };
    let toys = [
        ("a", unit(Toy::default())),
        ("b", unit(Toy::default())),
        ("c", unit(upon(&["b"]))),
        ("d", unit(upon(&["a"]))),
    ];
    let first = plan(&desired(&toys), &World::default()).unwrap();
    let mut memory = Memory::new(World::default());
    memory.failing = BTreeSet::from([toy("b")]);
    memory.on_failure = OnFailure::RollBack;
    let summary = memory.apply(&first, 1);
    assert_eq!(*memory.written.borrow(), [toy("a"), toy("d")]);
    assert!(matches!(&summary.outcomes[&toy("b")], Outcome::Failed(_)));
    assert!(matches!(&summary.outcomes[&toy("c")], Outcome::Skipped { because } if *because == toy("b")));
}

/// A writer that breaks its promise must not make apply run for ever.
#[test]
fn a_writer_that_answers_nothing_is_a_fault() {
    struct Mute;
    impl Write<Toy> for Mute {
        async fn write(&self, _: &[(&Address, Action<Toy>)], _: &Context<'_>) -> Vec<Written> {
            Vec::new()
        }
    }
    let first = plan(&desired(&[("a", Toy::default())]), &World::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = crate::engine::apply(&first, &Mute, &|_: &Event<'_>| {}, 1, &|| false);
    let summary = runtime.block_on(run);
    assert!(matches!(&summary.outcomes[&toy("a")], Outcome::Failed(_)));
}

#[test]
fn events_in_order() {
    let first = plan(&desired(&[("a", Toy::default()), ("b", upon(&["a"]))]), &World::default()).unwrap();
    let mut memory = Memory::new(World::default());
    memory.failing = BTreeSet::from([toy("a")]);
    let heard = RefCell::new(Vec::new());
    memory.apply_observed(&first, 2, &|event: &Event<'_>| heard.borrow_mut().push(format!("{event:?}")));
    assert_eq!(
        heard.into_inner(),
        [
            "Started { address: toy.a, verb: Create }",
            "Progress { address: toy.a, message: \"being made\" }",
            "Failed { address: toy.a, verb: Create, error: \"toy.a was told to fail\" }",
            "Skipped { address: toy.b, because: toy.a }",
        ]
    );
}

#[test]
fn guards() {
    let ten: Vec<String> = (0..10).map(|number| format!("t{number}")).collect();
    let all: Vec<(&str, Toy)> = ten.iter().map(|name| (name.as_str(), Toy::default())).collect();
    let nine = &all[..9];
    let keeping = |kept: usize, all: &[(&str, Toy)]| plan(&desired(&all[..kept]), &world(all)).unwrap();
    let mut marked = world(&all);
    marked.found.get_mut(&toy("t9")).unwrap().protected = true;
    let marked = plan(&desired(nine), &marked).unwrap();
    let replaced: Vec<(&str, Toy)> =
        all.iter().map(|(name, toy)| (*name, Toy { fixed: 1, ..toy.clone() })).collect();
    let replaced = plan(&desired(&replaced), &world(&all)).unwrap();

    let found = |plan: &Plan<Toy>, protect: bool, allowed: &[&str]| {
        let allow_destroy = allowed.iter().map(ToString::to_string).collect();
        let findings = guard(plan, &Limits { protect, allow_destroy });
        findings
            .iter()
            .map(|finding| format!("{} {}", finding.guard, finding.addresses.len()))
            .collect::<Vec<_>>()
    };
    let nothing: Vec<String> = Vec::new();
    assert_eq!(found(&keeping(7, &all), false, &[]), nothing, "exactly 30 %");
    assert_eq!(found(&keeping(6, &all), false, &[]), ["mass_destroy 4"]);
    assert_eq!(found(&keeping(0, nine), false, &[]), nothing, "too few to be a mass");
    assert_eq!(found(&keeping(6, &all), false, &["all"]), nothing);
    assert_eq!(found(&keeping(6, &all), false, &["toy.t9"]), nothing, "three of ten are unnamed");
    assert_eq!(found(&replaced, false, &[]), ["mass_destroy 10"]);
    assert_eq!(found(&marked, false, &[]), ["protected_destroy 1"]);
    assert_eq!(found(&marked, false, &["all"]), ["protected_destroy 1"], "`all` names nothing");
    assert_eq!(found(&marked, false, &["toy.t9"]), nothing);
    assert_eq!(found(&keeping(9, &all), true, &[]), ["protected_destroy 1"]);
    assert_eq!(found(&keeping(9, &all), true, &["all"]), ["protected_destroy 1"]);
    assert_eq!(found(&keeping(9, &all), true, &["toy.t9"]), nothing);
}

type Change = fn(&mut Desired<Toy>, &mut World<Toy>);

#[test]
fn the_digest_covers_what_changes_and_nothing_else() {
    let of = |environment: &str, desired: &Desired<Toy>, world: &World<Toy>| {
        digest(environment, &plan(desired, world).unwrap()).unwrap().to_string()
    };
    let declared = desired(&[("a", Toy::default()), ("b", upon(&["a"]))]);
    let actual = world(&[("a", Toy { value: 1, ..Toy::default() }), ("old", Toy::default())]);
    let base = of("test", &declared, &actual);
    assert_eq!(base, of("test", &declared, &actual));
    assert_eq!(base.parse::<Digest>().unwrap().to_string(), base);
    assert_eq!(format!("sha256:{}", base.to_uppercase()).parse::<Digest>().unwrap().to_string(), base);
    for bad in ["", "sha256:", "deadbeef", &base[1..]] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }

    let mut same = actual.clone();
    same.found.extend(world(&[("stranger", Toy::default()), ("data", declared_removal())]).found);
    same.found.get_mut(&toy("stranger")).unwrap().owned = false;
    let mut more = declared.clone();
    more.resources.insert(toy("kept"), Toy::default());
    same.found.extend(world(&[("kept", Toy::default())]).found);
    let plan = plan(&more, &same).unwrap();
    assert!(plan.unmanaged.contains(&toy("stranger")));
    assert!(
        plan.steps.iter().any(|step| matches!(step.action, Action::Hold { why: Hold::Undeclared { .. } }))
    );
    assert_eq!(base, digest("test", &plan).unwrap().to_string(), "unmanaged, held and kept do not count");

    let mut digests = BTreeSet::from([base, of("prod", &declared, &actual)]);
    let changes: [Change; 6] = [
        |desired, _| desired.resources.get_mut(&toy("b")).unwrap().value = 9,
        |desired, _| desired.resources.get_mut(&toy("a")).unwrap().value = 9,
        |_, world| world.found.get_mut(&toy("a")).unwrap().resource.value = 9,
        |_, world| world.found.get_mut(&toy("old")).unwrap().resource.value = 9,
        |desired, _| desired.resources.retain(|address, _| *address != toy("b")),
        |desired, _| desired.resources.get_mut(&toy("a")).unwrap().fixed = 9,
    ];
    for change in changes {
        let (mut desired, mut world) = (declared.clone(), actual.clone());
        change(&mut desired, &mut world);
        assert!(digests.insert(of("test", &desired, &world)), "a change left the digest as it was");
    }
}

/// What no digest can be made of.
#[derive(Clone, Debug, PartialEq)]
struct Unspeakable;

impl serde::Serialize for Unspeakable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("unspeakable"))
    }
}

impl Resource for Unspeakable {
    fn depends_on(&self) -> Vec<Address> {
        Vec::new()
    }

    fn verdict(&self, _: &Self) -> Verdict {
        Verdict::InPlace
    }

    fn removal(&self) -> Removal {
        Removal::Delete
    }
}

#[test]
fn no_digest_is_an_error_and_not_an_empty_one() {
    let desired = Desired { resources: [(toy("a"), Unspeakable)].into(), ..Desired::default() };
    let plan = plan(&desired, &World::default()).unwrap();
    assert_eq!(digest("prod", &plan).unwrap_err().to_string(), "unspeakable");
}

/// Made and deleted as time passes.
fn timed(parents: &[&str]) -> Toy {
    Toy { timed: true, ..upon(parents) }
}

#[test]
fn what_time_decides_is_shown_but_not_approved() {
    let declared = desired(&[("new", Toy::default())]);
    let mut due = declared.clone();
    due.resources.insert(toy("current"), timed(&[]));
    let old: Vec<(String, Toy)> =
        (0..20).map(|index| (format!("old{index:02}"), timed(&["current"]))).collect();
    let old: Vec<(&str, Toy)> = old.iter().map(|(name, toy)| (name.as_str(), toy.clone())).collect();
    let (quiet, busy) = (plan(&declared, &World::default()).unwrap(), plan(&due, &world(&old)).unwrap());
    assert_eq!(busy.steps.iter().filter(|step| step.action.changes_anything()).count(), 22);
    assert_eq!(digest("prod", &busy).unwrap(), digest("prod", &quiet).unwrap());
    // The same without the word of the policy has another digest, and is refused.
    let protect = Limits { protect: true, ..Limits::default() };
    assert!(guard(&busy, &protect).is_empty());
    let named: Vec<(&str, Toy)> = old.iter().map(|(name, _)| (*name, upon(&["current"]))).collect();
    let unnamed = plan(&due, &world(&named)).unwrap();
    assert_ne!(digest("prod", &unnamed).unwrap(), digest("prod", &quiet).unwrap());
    assert_eq!(guard(&unnamed, &protect).len(), 21);
    // Nor do they hide a mass change among many.
    let mut mass = World::default();
    mass.found.extend(world(&old).found);
    mass.found.extend(world(&[("gone", Toy::default())]).found);
    assert_eq!(plan(&due, &mass).unwrap().existing, 1);
}

#[test]
fn what_time_takes_away_goes_after_its_successor_is_made() {
    let due = desired(&[("current", timed(&[]))]);
    let there = world(&[("a-old", timed(&["current"]))]);
    let both = plan(&due, &there).unwrap();
    assert_eq!(words(&both), ["current create", "a-old delete"]);
    let mut memory = Memory::new(there.clone());
    memory.failing.insert(toy("current"));
    let summary = memory.apply(&both, 10);
    assert!(
        matches!(&summary.outcomes[&toy("a-old")], Outcome::Skipped { because } if *because == toy("current"))
    );
    assert!(memory.world.borrow().found.contains_key(&toy("a-old")), "a failure deletes nothing");
    // Where the successor is there already, nothing is waited for.
    let there = world(&[("a-old", timed(&["current"])), ("current", timed(&[]))]);
    assert_eq!(planned(&due, &there), ["current keep", "a-old delete"]);
    assert!(Memory::new(there.clone()).apply(&plan(&due, &there).unwrap(), 10).succeeded());
}

#[test]
fn selection() {
    let toys = [
        ("a", Toy::default()),
        ("b", upon(&["a"])),
        ("c", upon(&["b"])),
        ("x", Toy::default()),
        ("y", upon(&["x"])),
    ];
    let all = plan(&desired(&toys), &World::default()).unwrap();
    let part = |targets: &[&str], excludes: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let (part, left_out) =
            select(&all, &Selection { targets: owned(targets), excludes: owned(excludes) }).unwrap();
        let names: String = part.steps.iter().map(|step| step.address.path()).collect();
        format!("{names} {left_out}")
    };
    assert_eq!(part(&[], &[]), "abcxy 0");
    assert_eq!(part(&["toy.b"], &[]), "ab 3", "a target pulls in what it waits for");
    assert_eq!(part(&[], &["toy.b"]), "axy 2", "an exclusion drops what waits for it");
    assert_eq!(part(&["toy.c", "toy.y"], &["toy.a"]), "xy 3");
    assert_eq!(part(&["toy.*"], &["toy.x", "toy.y"]), "abc 2");

    let selection = Selection { targets: vec!["toy.bb".into()], excludes: Vec::new() };
    let error = select(&all, &selection).unwrap_err();
    assert_eq!(error.to_string(), "nothing in this environment has an address like `toy.bb`");
    assert_eq!(error.near.first(), Some(&toy("b")));
}

/// Two thousand steps must not take the square of their number.
#[test]
fn large_plans() {
    let names: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
    let toys: BTreeMap<Address, Toy> = (names.iter().enumerate())
        .map(|(place, name)| (toy(name), if place == 0 { Toy::default() } else { upon(&["0"]) }))
        .collect();
    let desired = Desired { resources: toys, ..Desired::default() };
    let first = plan(&desired, &World::default()).unwrap();
    let memory = Memory::new(World::default());
    assert!(memory.apply(&first, 10).succeeded());
    assert_eq!(memory.written.borrow().len(), 2_000);
}
