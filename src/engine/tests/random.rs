//! Properties that hold for every pair of a declared and an actual world.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use proptest::prelude::*;

use super::toy::{Memory, OnFailure, Toy, found, toy};
use crate::{
    engine::{
        Action, Desired, Event, Late, Outcome, Output, Plan, Removal, Summary, Verb, World, digest, plan,
    },
    model::Address,
};

const NODES: usize = 9;

/// One toy before it has a name. Parents are earlier toys, so that there is no circle.
#[derive(Clone, Debug)]
struct Sketch {
    value: u8,
    fixed: u8,
    sealed: bool,
    parents: u16,
    link: Option<usize>,
    unit: u8,
    removal: u8,
}

#[derive(Clone, Debug)]
struct Node {
    declared: Option<Sketch>,
    actual: Option<Sketch>,
    owned: bool,
    protected: bool,
    removed: bool,
    unreadable: bool,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let values = (0..2_u8, prop_oneof![6 => Just(0_u8), 1 => Just(1)], prop::bool::weighted(0.05));
    let links = (any::<u16>(), any::<u16>(), prop::option::of(0..NODES));
    (values, links, 0..4_u8, 0..6_u8).prop_map(|((value, fixed, sealed), (a, b, link), unit, removal)| {
        Sketch {
            value,
            fixed,
            sealed,
            // Both: few parents, so that not everything hangs together.
            parents: a & b,
            link,
            unit,
            removal,
        }
    })
}

fn node() -> impl Strategy<Value = Node> {
    let marks = (
        prop::bool::weighted(0.93),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.04),
    );
    (prop::option::weighted(0.7, sketch()), prop::option::weighted(0.6, sketch()), marks, any::<bool>())
        .prop_map(|(declared, actual, (owned, protected, removed, unreadable), same)| {
            // Half of what exists differs in little from what is declared.
            let actual = match (&declared, actual) {
                (Some(declared), Some(actual)) if same => {
                    Some(Sketch { value: actual.value, ..declared.clone() })
                }
                (_, actual) => actual,
            };
            Node { declared, actual, owned, protected, removed, unreadable }
        })
}

fn build(sketch: &Sketch, place: usize, link: impl Fn(usize) -> Option<Late>) -> Toy {
    let mut parents: BTreeSet<Address> =
        (0..place).filter(|bit| sketch.parents & (1 << bit) != 0).map(|bit| toy(&bit.to_string())).collect();
    let linked = sketch.link.filter(|parent| *parent < place);
    let link = linked.and_then(link);
    if link.is_some() {
        parents.extend(linked.map(|parent| toy(&parent.to_string())));
    }
    Toy {
        value: sketch.value,
        fixed: sketch.fixed,
        sealed: u8::from(sketch.sealed),
        parents: parents.into_iter().collect(),
        link,
        unit: (sketch.unit > 0).then(|| format!("unit {}", sketch.unit)),
        removal: match sketch.removal {
            0 => Removal::Declared("bears data".into()),
            1 => Removal::Implied,
            _ => Removal::Delete,
        },
        timed: false,
    }
}

fn build_all(nodes: &[Node]) -> (Desired<Toy>, World<Toy>) {
    let (mut desired, mut world) = (Desired::default(), World::default());
    for (place, node) in nodes.iter().enumerate() {
        let name = place.to_string();
        if let Some(sketch) = &node.declared {
            let link = |parent: usize| {
                let declared = nodes[parent].declared.is_some();
                declared.then(|| Late::after(toy(&parent.to_string()), Output::ResourceId))
            };
            desired.resources.insert(toy(&name), build(sketch, place, link));
        }
        if node.removed {
            desired.removed.insert(toy(&name));
        }
        if node.unreadable {
            world.unreadable.insert(toy(&name), "no route to host".into());
        }
        if let Some(sketch) = &node.actual {
            let link = |parent: usize| Some(Late::Known(format!("toy.{parent}#0")));
            let actual = build(sketch, place, link);
            // What cannot be read is not found.
            if actual.parents.iter().any(|parent| world.unreadable.contains_key(parent)) {
                continue;
            }
            let mut found = found(&name, actual);
            found.owned = node.owned;
            found.protected = node.protected;
            world.found.insert(toy(&name), found);
        }
    }
    // An owned toy cannot exist without what it stands on.
    for place in 0..nodes.len() {
        let stands = |world: &World<Toy>, parent: &Address| world.found.contains_key(parent);
        let address = toy(&place.to_string());
        if let Some(mut found) = world.found.remove(&address) {
            found.resource.parents.retain(|parent| stands(&world, parent));
            world.found.insert(address, found);
        }
    }
    (desired, world)
}

fn changing(plan: &Plan<Toy>) -> BTreeMap<&Address, BTreeSet<&Address>> {
    let changing: BTreeSet<&Address> =
        plan.steps.iter().filter(|step| step.action.changes_anything()).map(|step| &step.address).collect();
    (plan.steps.iter())
        .filter(|step| changing.contains(&step.address))
        .map(|step| (&step.address, step.after.iter().filter(|parent| changing.contains(parent)).collect()))
        .collect()
}

/// Each step once, and none before what it waits for.
fn check_order(plan: &Plan<Toy>, written: &[Address]) {
    let place: BTreeMap<&Address, usize> = written.iter().enumerate().map(|(place, a)| (a, place)).collect();
    assert_eq!(place.len(), written.len(), "something was done twice: {written:?}");
    for (address, after) in changing(plan) {
        let Some(own) = place.get(address) else { continue };
        for parent in after {
            assert!(place.get(parent).is_some_and(|earlier| earlier < own), "{address} before {parent}");
        }
    }
}

fn applied_twice(desired: &Desired<Toy>, memory: &Memory) -> Plan<Toy> {
    let plan = plan(desired, &memory.world.borrow()).unwrap();
    memory.written.borrow_mut().clear();
    let summary = memory.apply(&plan, 3);
    assert!(summary.succeeded(), "{plan:#?}\n{summary:#?}");
    assert_eq!(summary.outcomes.keys().collect::<Vec<_>>(), changing(&plan).into_keys().collect::<Vec<_>>());
    check_order(&plan, &memory.written.borrow());
    plan_again(desired, memory)
}

fn plan_again(desired: &Desired<Toy>, memory: &Memory) -> Plan<Toy> {
    plan(desired, &memory.world.borrow()).unwrap()
}

/// Every step that failed, and exactly what hung on it, did not happen; each names its cause.
fn check_account(plan: &Plan<Toy>, failing: &BTreeSet<Address>, summary: &Summary) {
    let steps = changing(plan);
    for step in plan.steps.iter().filter(|step| steps.contains_key(&step.address)) {
        let bad: Vec<&Address> = (steps[&step.address].iter().copied())
            .filter(|parent| !matches!(summary.outcomes[*parent], Outcome::Done))
            .collect();
        match &summary.outcomes[&step.address] {
            Outcome::Done => {
                assert!(bad.is_empty() && !failing.contains(&step.address), "{}", step.address);
            }
            Outcome::Failed(_) => {
                assert!(bad.is_empty() && failing.contains(&step.address), "{}", step.address);
            }
            Outcome::Skipped { because } => {
                assert!(bad.contains(&because), "{} {because}", step.address);
            }
            Outcome::NotAttempted => panic!("{} was not attempted", step.address),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_apply_there_is_nothing_to_do(nodes in prop::collection::vec(node(), NODES)) {
        let (desired, world) = build_all(&nodes);
        let unmanaged = plan(&desired, &world).unwrap().unmanaged;
        let memory = Memory::new(world);
        let second = applied_twice(&desired, &memory);
        prop_assert!(second.is_empty(), "{second:#?}");
        prop_assert!(second.unmanaged.is_subset(&unmanaged));
    }

    #[test]
    fn a_failure_skips_what_hangs_on_it_and_nothing_else(
        nodes in prop::collection::vec(node(), NODES),
        failing in any::<u16>(),
        at_once in 1..5_usize,
        transaction in any::<bool>(),
    ) {
        let (desired, world) = build_all(&nodes);
        let first = plan(&desired, &world).unwrap();
        let mut memory = Memory::new(world);
        memory.failing = (0..NODES).filter(|bit| failing & (1 << bit) != 0).map(|bit| toy(&bit.to_string())).collect();
        memory.on_failure = if transaction { OnFailure::RollBack } else { OnFailure::Stop };
        let heard = RefCell::new(BTreeMap::<Address, &str>::new());
        let summary = memory.apply_observed(&first, at_once, &|event: &Event<'_>| {
            let (address, word) = match event {
                Event::Started { .. } | Event::Progress { .. } => return,
                Event::Done { address, .. } => (address, "done"),
                Event::Failed { address, .. } => (address, "failed"),
                Event::Skipped { address, .. } => (address, "skipped"),
            };
            assert_eq!(heard.borrow_mut().insert((*address).clone(), word), None, "{address} ended twice");
        });
        check_order(&first, &memory.written.borrow());
        check_account(&first, &memory.failing, &summary);
        let heard = heard.into_inner();
        prop_assert_eq!(heard.keys().collect::<Vec<_>>(), summary.outcomes.keys().collect::<Vec<_>>());

        // Running it again continues.
        memory.failing.clear();
        let again = applied_twice(&desired, &memory);
        prop_assert!(again.is_empty(), "{again:#?}");
    }

    #[test]
    fn an_interrupted_run_can_be_continued(
        nodes in prop::collection::vec(node(), NODES),
        patience in 0..6_usize,
        at_once in 1..5_usize,
    ) {
        let (desired, world) = build_all(&nodes);
        let first = plan(&desired, &world).unwrap();
        let memory = Memory::new(world);
        memory.patience.set(patience);
        let summary = memory.apply(&first, at_once);
        let done: BTreeSet<Address> = memory.written.borrow().iter().cloned().collect();
        for (address, outcome) in &summary.outcomes {
            match outcome {
                Outcome::Done => prop_assert!(done.contains(address)),
                Outcome::NotAttempted => prop_assert!(!done.contains(address)),
                other => prop_assert!(false, "{address}: {other:?}"),
            }
        }
        prop_assert_eq!(summary.outcomes.len(), changing(&first).len());
        check_order(&first, &memory.written.borrow());
        memory.patience.set(usize::MAX);
        let again = applied_twice(&desired, &memory);
        prop_assert!(again.is_empty(), "{again:#?}");
    }

    /// Equal where the same is to be done to the same, and only there.
    #[test]
    fn the_digest_tells_plans_apart(
        nodes in prop::collection::vec(node(), NODES),
        other in node(),
        place in 0..NODES,
    ) {
        let of = |nodes: &[Node]| {
            let (desired, world) = build_all(nodes);
            let plan = plan(&desired, &world).unwrap();
            // How a toy is handled is no fact of it, and is not serialised.
            let fact = |toy: &Toy| Toy { unit: None, removal: Removal::Delete, timed: false, ..toy.clone() };
            let actions: BTreeMap<String, _> = (plan.steps.iter())
                .filter(|step| step.action.changes_anything())
                .map(|step| {
                    let (old, new) = (step.action.existing().map(fact), step.action.wanted().map(fact));
                    (step.address.to_string(), (Verb::of(&step.action), old, new))
                })
                .collect();
            (digest("test", &plan).unwrap(), actions)
        };
        let mut changed = nodes.clone();
        changed[place] = other;
        let (first, second) = (of(&nodes), of(&changed));
        prop_assert_eq!(&of(&nodes).0, &first.0);
        prop_assert_eq!(first.0 == second.0, first.1 == second.1, "{:#?}\n{:#?}", first.1, second.1);
    }

    #[test]
    fn what_is_not_ours_or_bears_data_is_never_destroyed(nodes in prop::collection::vec(node(), NODES)) {
        let (desired, world) = build_all(&nodes);
        for step in &plan(&desired, &world).unwrap().steps {
            let found = world.found.get(&step.address);
            prop_assert!(!step.action.changes_anything() || found.is_none_or(|found| found.owned));
            prop_assert_eq!(step.protected, found.is_some_and(|found| found.protected));
            if matches!(step.action, Action::Delete { .. }) {
                let bears_data = matches!(found.unwrap().resource.removal, Removal::Declared(_));
                prop_assert!(!bears_data || desired.removed.contains(&step.address));
                prop_assert!(!desired.resources.contains_key(&step.address));
            }
        }
    }
}
