//! Whatever networks and AWS do to a call: the run ends by itself, the next one finishes, and nothing is made twice.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard},
    thread,
    time::Duration,
};

use super::world::{Cloud, Ended, PHASES, REGIONS, Trouble, Undisturbed, World};
use crate::support::fault_proxy::{Fault, Moment, Seen, When};

const KINDS: [Fault; 10] = [
    Fault::Throttled,
    Fault::ResetBefore,
    Fault::Conflict,
    Fault::Html(200),
    Fault::CutOff,
    Fault::Status(500),
    Fault::Slow(Duration::from_millis(300)),
    Fault::Html(502),
    Fault::Status(503),
    Fault::ResetAfter,
];
/// Faults of one run. Those of reads go together, for most are tried again at once.
const TOGETHER: usize = 8;

/// What is yet to be done to the calls of one phase.
#[derive(Default)]
struct Work {
    /// Each in a run of its own.
    changes: VecDeque<Case>,
    reads: VecDeque<Case>,
}

#[derive(Clone, Debug, PartialEq)]
struct Case {
    action: &'static str,
    number: usize,
    fault: Fault,
}

impl Case {
    fn meant(&self) -> (When, Fault) {
        (When::Action(self.action, self.number), self.fault.clone())
    }
}

impl Work {
    /// Two kinds for each call, in turn; what changes something is carried out and not answered in any case.
    fn new(calls: &[Seen]) -> Self {
        let mut work = Self::default();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, seen) in calls.iter().enumerate() {
            let number = counts.entry(&seen.action).or_default();
            *number += 1;
            let kind = |at: usize| KINDS[at % KINDS.len()].clone();
            let faults = if seen.changes() {
                [Fault::ResetAfter, KINDS[at % (KINDS.len() - 1)].clone()]
            } else {
                [kind(at), kind(at + 3)]
            };
            for fault in faults {
                let case =
                    Case { action: Box::leak(seen.action.clone().into_boxed_str()), number: *number, fault };
                if seen.changes() { work.changes.push_back(case) } else { work.reads.push_back(case) }
            }
        }
        work
    }

    /// For one run. Two faults of one call do not go together.
    fn take(&mut self) -> Vec<Case> {
        if let Some(change) = self.changes.pop_front() {
            return vec![change];
        }
        let mut taken: Vec<Case> = Vec::new();
        for _ in 0..self.reads.len() {
            let Some(case) = self.reads.pop_front() else { break };
            let same = |other: &Case| (other.action, other.number) == (case.action, case.number);
            if taken.len() < TOGETHER && !taken.iter().any(same) {
                taken.push(case);
            } else {
                self.reads.push_back(case);
            }
        }
        taken
    }

    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.reads.is_empty()
    }
}

/// What all worlds share.
struct Plan {
    expected: Vec<Undisturbed>,
    work: Mutex<Vec<Work>>,
    struck: Mutex<Vec<(Seen, Fault)>>,
    /// What no run came to.
    missed: Mutex<Vec<Case>>,
}

impl Plan {
    fn work(&self) -> MutexGuard<'_, Vec<Work>> {
        self.work.lock().unwrap()
    }

    /// Goes through cycles until there is nothing left to try.
    fn work_through(&self, world: &World) {
        while !self.work().iter().all(Work::is_empty) {
            let mut before = world.look();
            for (at, phase) in PHASES.into_iter().enumerate() {
                let cases = self.work()[at].take();
                world.declare(phase);
                let ended = world.run(phase.verb, &Trouble::Faults(cases.iter().map(Case::meant).collect()));
                let ran = ended.ran.as_ref().unwrap();
                let what = format!("{} with {:?}", phase.verb, ended.struck);
                assert!(
                    [0, 1, 6].contains(&ran.code),
                    "{what}: {}\n{}\n{}",
                    ran.code,
                    ran.stdout,
                    ran.stderr
                );
                assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
                let (met, unmet): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(|case| {
                    let same =
                        |(seen, fault): &(Seen, Fault)| seen.action == case.action && *fault == case.fault;
                    ended.struck.iter().any(same)
                });
                // A run that ended early did not come to them; one that came to its end never will.
                if ran.code == 0 || met.is_empty() {
                    self.missed.lock().unwrap().extend(unmet);
                } else {
                    self.work()[at].reads.extend(unmet);
                }
                self.struck.lock().unwrap().extend(ended.struck.clone());
                before = world.converges(phase, &self.expected[at], &before, &[ended], &what);
            }
        }
    }
}

#[test]
fn of_every_call() {
    let clouds = [Cloud::start(), Cloud::start()];
    let worlds: Vec<World> =
        REGIONS.into_iter().enumerate().map(|(at, region)| World::new(&clouds[at % 2], region)).collect();
    let expected = worlds[0].undisturbed();
    let work: Vec<Work> = expected.iter().map(|phase| Work::new(&phase.calls)).collect();
    let planned: usize = work.iter().map(|work| work.changes.len() + work.reads.len()).sum();
    let plan = Plan { expected, work: Mutex::new(work), struck: Mutex::default(), missed: Mutex::default() };
    thread::scope(|scope| {
        for world in &worlds {
            scope.spawn(|| plan.work_through(world));
        }
    });
    let (struck, missed) = (plan.struck.into_inner().unwrap(), plan.missed.into_inner().unwrap());
    // How often states are asked for while something is waited for differs; and who is the writer at the end of a
    // phase that was disturbed.
    let may_be_missed = ["DescribeDBClusters", "DescribeDBInstances", "FailoverDBCluster"];
    let never: Vec<&Case> = missed.iter().filter(|case| !may_be_missed.contains(&case.action)).collect();
    assert!(never.is_empty(), "{never:?}");
    assert!(missed.len() * 5 < planned, "{} of {planned}: {missed:?}", missed.len());
    for kind in KINDS {
        assert!(struck.iter().any(|(_, fault)| *fault == kind), "{kind:?}");
    }
}

/// The first instance becomes the writer, or there is none yet; and a reader that did not come back is a reason to leave
/// the writer alone.
#[test]
fn instances_wait_for_each_other() {
    let cloud = Cloud::start();
    let world = World::new(&cloud, REGIONS[0]);
    let refused = |action: &'static str| Trouble::Faults(vec![(When::Action(action, 1), Fault::Conflict)]);
    let made =
        |ended: &Ended, action: &str| ended.carried_out.iter().filter(|seen| seen.action == action).count();
    world.declare(PHASES[0]);
    let ended = world.run("apply", &refused("CreateDBInstance")).expect(6);
    assert_eq!((made(&ended, "CreateDBCluster"), made(&ended, "CreateDBInstance")), (1, 0));
    let _ = world.run("apply", &Trouble::None).expect(0);
    world.declare(PHASES[1]);
    let ended = world.run("apply", &refused("ModifyDBInstance")).expect(6);
    assert_eq!((made(&ended, "ModifyDBInstance"), made(&ended, "FailoverDBCluster")), (0, 0));
    let said = ended.ran.unwrap().stdout;
    assert!(
        said.contains("left alone, because instance at-eu-central-1-main-2 could not be changed"),
        "{said}"
    );
    let _ = world.run("apply", &Trouble::None).expect(0);
}

/// A run that was killed has left the reader while it restarts: it is back before the writer hands over to it.
#[test]
fn somebody_is_always_there() {
    let clouds = [Cloud::slow(8), Cloud::slow(8)];
    let in_place: &[&str] = &["FailoverDBCluster", "ModifyDBInstance"];
    let restarted: &[&str] =
        &["RebootDBInstance", "FailoverDBCluster", "ModifyDBInstance", "RebootDBInstance"];
    let cases = [(", max_connections: 500", in_place), ("no such part", restarted)];
    for (cloud, (part, expected)) in clouds.iter().zip(cases) {
        let world = World::new(cloud, REGIONS[0]);
        world.declare(PHASES[0]);
        let _ = world.run("apply", &Trouble::None).expect(0);
        world.declare_without(PHASES[1], part);
        let killed = world.run("apply", &Trouble::Kill(When::Action("ModifyDBInstance", 1), Moment::After));
        assert!(killed.ran.is_none(), "{killed:?}");
        let ended = world.run("apply", &Trouble::None).expect(0);
        let of = ["FailoverDBCluster", "ModifyDBInstance", "RebootDBInstance"];
        let changes = ended.carried_out.iter().map(|seen| seen.action.as_str());
        let changes: Vec<&str> = changes.filter(|action| of.contains(action)).collect();
        assert_eq!(changes, expected);
    }
}

/// A run that was killed has begun to make another instance the writer: the next one waits for that, and does not ask again.
#[test]
fn the_writer_changes_already() {
    for polls in [8, 12] {
        let cloud = Cloud::slow(polls);
        let world = World::new(&cloud, REGIONS[0]);
        world.declare(PHASES[0]);
        let _ = world.run("apply", &Trouble::None).expect(0);
        world.declare_without(PHASES[1], "no such part");
        let when = When::Action("FailoverDBCluster", 1);
        let killed = world.run("apply", &Trouble::Kill(when, Moment::After));
        assert!(killed.ran.is_none(), "{killed:?}");
        let _ = world.run("apply", &Trouble::None).expect(0);
    }
}

/// A page of a gateway in place of what is asked for, however often: it says nothing about what there is.
#[test]
fn a_page_is_no_empty_account() {
    let cloud = Cloud::start();
    let worlds: Vec<World> = REGIONS.into_iter().map(|region| World::new(&cloud, region)).collect();
    let reads = [
        "GetCallerIdentity",
        "DescribeDBClusters",
        "DescribeDBInstances",
        "DescribeDBClusterParameterGroups",
        "DescribeDBParameterGroups",
        "DescribeDBSubnetGroups",
        "DescribeDBClusterParameters",
        "DescribeDBParameters",
        "DescribeScalableTargets",
        "DescribeScalingPolicies",
        "ListTagsForResource",
        "GetAccountAuthorizationDetails",
    ];
    thread::scope(|scope| {
        for (world, action) in worlds.iter().zip(reads) {
            scope.spawn(move || {
                world.declare(PHASES[0]);
                let _ = world.run("apply", &Trouble::None).expect(0);
                let before = world.look();
                let pages =
                    [("apply", Fault::Html(200)), ("apply", Fault::CutOff), ("destroy", Fault::Html(200))];
                for (verb, page) in pages {
                    let what = format!("{verb}, {action}, {page:?}");
                    let ended = world.run(verb, &Trouble::Faults(vec![(When::Every(action), page)]));
                    let ran = ended.ran.as_ref().unwrap();
                    assert_eq!(ran.code, 1, "{what}: {}", ran.stdout);
                    assert!(ran.stderr.contains(action), "{what}: {}", ran.stderr);
                    let changes: Vec<&Seen> = ended.calls.iter().filter(|seen| seen.changes()).collect();
                    assert!(changes.is_empty(), "{what}: {changes:?}");
                }
                let after = world.look();
                assert_eq!((after.estate, after.ids), (before.estate, before.ids), "{action}");
            });
        }
    });
}

/// An answer that takes longer than the client waits for one: it asks again, for what is there already.
#[test]
fn an_answer_after_the_client_has_gone() {
    let cloud = Cloud::start();
    thread::scope(|scope| {
        for (region, action) in REGIONS.into_iter().zip(["CreateDBCluster", "CreateDBInstance", "CreateRole"])
        {
            let cloud = &cloud;
            scope.spawn(move || {
                let world = World::new(cloud, region);
                world.declare(PHASES[0]);
                let slow = Fault::Slow(Duration::from_secs(30));
                let ended =
                    world.run("apply", &Trouble::Faults(vec![(When::Action(action, 1), slow)])).expect(0);
                let asked = ended.calls.iter().filter(|seen| seen.action == action).count();
                let made = ended.carried_out.iter().filter(|seen| seen.action == action).count();
                assert_eq!(asked, made + 1, "{action}");
                let plan = world.run("plan", &Trouble::None).expect(0);
                assert!(plan.ran.unwrap().stdout.contains("No changes."));
            });
        }
    });
}
