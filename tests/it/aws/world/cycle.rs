//! From nothing to an estate, from that to another one, and back to nothing: what is disturbed in every place.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Ended, Looked, Trouble, World};
use crate::support::fault_proxy::Seen;

/// What both estates have in common.
const HEAD: &str = r#"
backup_policies:
  week: {aurora: {retention_days: 7, window: "02:00-03:00"}}
  fortnight: {aurora: {retention_days: 14, window: "02:00-03:00"}}
clusters:
  main:
    engine_version: "16"
    apply: immediately
    readers: 1
    security_groups: [sg-1]
    maintenance_window: sun:05:00-sun:05:30
    deletion_protection: true
    instance_parameters: {log_statement: ddl}
"#;
const FIRST: &str = r#"
    instance_class: db.r6g.large
    subnets: [subnet-a, subnet-b]
    backup_policy: week
    parameters: {log_min_duration_statement: 500, work_mem: 8192}
    autoscaling: {min: 1, max: 4, cpu: 60}
tags: {owner: platform, stage: first}
people:
  ana: {principal: "arn:aws:iam::111122223333:user/ana"}
  boris: {principal: "arn:aws:iam::111122223333:user/boris"}
services: {orders: {service_account: checkout/orders}}
"#;
/// Something of each kind is another, something came, and something is gone.
const SECOND: &str = r#"
    instance_class: db.r6g.xlarge
    subnets: [subnet-a, subnet-b, subnet-c]
    backup_policy: fortnight
    data_api: true
    storage: io_optimized
    parameters: {log_min_duration_statement: 250, max_connections: 500}
    autoscaling: {min: 1, max: 4, connections: 500}
tags: {owner: payments}
people:
  boris: {principal: "arn:aws:iam::111122223333:user/ana"}
services:
  orders: {service_account: checkout/orders-2}
  billing: {service_account: checkout/billing}
"#;

/// Principals that must exist beforehand.
pub(in crate::aws) const PRINCIPALS: &str =
    "arn:aws:iam::111122223333:user/ana,arn:aws:iam::111122223333:user/boris";

/// The parts of a cycle.
pub(in crate::aws) const PHASES: [Phase; 3] = [
    Phase { verb: "apply", yaml: FIRST },
    Phase { verb: "apply", yaml: SECOND },
    Phase { verb: "destroy", yaml: SECOND },
];

#[derive(Clone, Copy)]
pub(in crate::aws) struct Phase {
    pub(in crate::aws) verb: &'static str,
    yaml: &'static str,
}

/// What a phase comes to when nobody disturbs it.
pub(in crate::aws) struct Undisturbed {
    estate: Value,
    /// How often each action that makes or deletes something was carried out.
    made: BTreeMap<String, usize>,
    pub(in crate::aws) calls: Vec<Seen>,
}

/// How often each action that makes or deletes something was carried out. What is in a role is none of it: IAM makes it
/// by the same call again and again.
fn made<'a>(carried_out: impl IntoIterator<Item = &'a Seen>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for seen in carried_out {
        if seen.action.starts_with("Create") || seen.action.starts_with("Delete") {
            *counts.entry(seen.action.clone()).or_default() += 1;
        }
    }
    counts
}

impl World {
    pub(in crate::aws) fn declare(&self, phase: Phase) {
        self.write(&format!("{HEAD}{}", phase.yaml.trim_start_matches('\n')));
    }

    /// Without one line's part.
    pub(in crate::aws) fn declare_without(&self, phase: Phase, part: &str) {
        self.write(&format!("{HEAD}{}", phase.yaml.trim_start_matches('\n')).replace(part, ""));
    }

    /// The whole cycle without disturbance.
    #[track_caller]
    pub(in crate::aws) fn undisturbed(&self) -> Vec<Undisturbed> {
        let one = |phase: Phase| {
            self.declare(phase);
            let ended = self.run(phase.verb, &Trouble::None).expect(0);
            // Nothing is asked for before its time, as if AWS's patience were endless.
            assert_eq!(made(&ended.calls), made(&ended.carried_out));
            let estate = self.look().estate;
            Undisturbed { estate, made: made(&ended.carried_out), calls: ended.calls }
        };
        PHASES.map(one).into()
    }

    /// One more run, which nobody disturbs, comes to the end; and what is there then is what is there without any
    /// disturbance, made once. `before` is from the beginning of the phase, `runs` all runs since.
    #[track_caller]
    pub(in crate::aws) fn converges(
        &self,
        phase: Phase,
        expected: &Undisturbed,
        before: &Looked,
        runs: &[Ended],
        what: &str,
    ) -> Looked {
        let last = self.run(phase.verb, &Trouble::None);
        let ran = last.ran.as_ref().unwrap();
        assert_eq!(ran.code, 0, "the run after {what}\n{}\n{}", ran.stdout, ran.stderr);
        if phase.verb == "apply" && !ran.stdout.lines().any(|line| line.starts_with("No changes.")) {
            let plan = self.run("plan", &Trouble::None);
            let plan = plan.ran.as_ref().unwrap();
            assert_eq!(plan.code, 0, "the plan after {what}\n{}\n{}", plan.stdout, plan.stderr);
        }
        let mut after = self.look();
        // What AWS was told to do by a run that was killed it does by itself.
        for _ in 0..10 {
            if after.estate == expected.estate {
                break;
            }
            after = self.look();
        }
        let differs = difference(&expected.estate, &after.estate);
        assert!(after.estate == expected.estate, "after {what}: {differs}");
        let carried_out = runs.iter().chain([&last]).flat_map(|ended| &ended.carried_out);
        assert_eq!(made(carried_out), expected.made, "after {what}");
        // What was there all the time is the same.
        for (name, id) in &before.ids {
            let now = after.ids.get(name);
            assert!(now.is_none_or(|now| now == id), "after {what}: {name} was made anew");
        }
        let clusters = before.ids.values().filter(|id| id.starts_with("cluster-"));
        let gone: Vec<&String> = clusters.filter(|id| !after.ids.values().any(|now| now == *id)).collect();
        let snapshots: Vec<&String> =
            after.snapshots.iter().filter(|id| !before.snapshots.contains(id)).collect();
        assert_eq!(snapshots, gone, "after {what}: one snapshot of each cluster that is gone");
        assert_eq!(after.snapshots.len(), before.snapshots.len() + gone.len(), "after {what}");
        assert_eq!(after.writers.len(), usize::from(phase.verb == "apply"), "after {what}");
        after
    }
}

/// Where two values differ.
fn difference(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            let differ = keys.filter(|key| left.get(*key) != right.get(*key));
            let null = Value::Null;
            let of =
                |key: &String| difference(left.get(key).unwrap_or(&null), right.get(key).unwrap_or(&null));
            differ.map(|key| (key.clone(), of(key))).collect::<serde_json::Map<_, _>>().into()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let pairs = left.iter().zip(right).filter(|(left, right)| left != right);
            pairs.map(|(left, right)| difference(left, right)).collect()
        }
        _ => json!({"expected": one, "found": other}),
    }
}
