//! Fixed plans in all their renderings, and plans made to do harm.

mod comment;
mod hostile;
mod machine;
mod page;
mod shown;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::{About, PlanView, text, text::Style};
use crate::{
    engine::{Action, Digest, Finding, Hold, Plan, Removal, Resource, Selection, Step, Verdict},
    model::Address,
};

/// A resource that is whatever JSON it is given.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Thing(Value);

impl Resource for Thing {
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

fn create(new: Value) -> Action<Thing> {
    Action::Create { new: Thing(new) }
}

fn update(old: Value, new: Value) -> Action<Thing> {
    Action::Update { old: Thing(old), new: Thing(new) }
}

fn hold(why: Hold) -> Action<Thing> {
    Action::Hold { why }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn plan(steps: Vec<(&str, Action<Thing>, &[&str])>) -> Plan<Thing> {
    let steps = (steps.into_iter())
        .map(|(name, action, after)| Step {
            address: address(name),
            action,
            after: after.iter().map(|name| address(name)).collect(),
            protected: false,
        })
        .collect();
    Plan { steps, unmanaged: BTreeSet::new(), notes: Vec::new(), existing: 20, known: BTreeMap::new() }
}

fn about() -> About {
    About {
        environment: "test".into(),
        digest: "ab".repeat(32).parse::<Digest>().unwrap(),
        protect: false,
        findings: Vec::new(),
        left_out: 0,
        selection: Selection::default(),
        destroy: false,
    }
}

fn view_of(plan: &Plan<Thing>, about: About) -> PlanView {
    PlanView::of(plan, about, |action| match action {
        Action::Update { .. } => vec!["ALTER SOMETHING".into(), "GRANT a\nTO b".into()],
        _ => Vec::new(),
    })
    .unwrap()
}

fn mixed_plan() -> Plan<Thing> {
    let policy = |resources: Value| {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": resources}]})
            .to_string()
    };
    let grant = |grantee: &str| json!({"grantee": grantee, "object": "table app.t"});
    let mut plan = plan(vec![
        (
            "pg_role.main/billing_rw",
            Action::Delete {
                old: Thing(json!({"kind": "pg_role", "login": true, "member_of": ["rds_iam"]})),
            },
            &[],
        ),
        ("pg_role.main/dev_ana", Action::Keep, &[]),
        (
            "aurora_cluster.main",
            update(
                json!({
                    "kind": "aurora_cluster", "name": "prod-main", "readers": 2, "engine": "aurora-postgresql",
                    "azs": ["a", "b", "c", "d"], "iam": true, "window": null, "gone": "x", "same": 1,
                    "parameters": {"log": "500", "work_mem": "4MB", "x": "y"},
                    "grants": [grant("dev_ana"), grant("dev_boris")],
                    "policy": policy(json!(["orders_ro"])),
                    "init": "CREATE ROLE a;\nGRANT x TO a;\nGRANT y TO a;\n",
                }),
                json!({
                    "kind": "aurora_cluster", "name": "prod-main", "readers": 3, "engine": "aurora-postgresql",
                    "azs": ["a", "b", "c", "d", "e"], "iam": true, "window": "02:00-03:00", "same": 1,
                    "parameters": {"log": "250", "work_mem": "4MB", "key with space": 1},
                    "grants": [grant("dev_boris"), grant("dev_carl")],
                    "policy": policy(json!(["orders_ro", "orders_rw"])),
                    "init": "CREATE ROLE a;\nGRANT x, z TO a;\nGRANT y TO a;\n",
                }),
            ),
            &[],
        ),
        (
            "iam_role.service/orders",
            Action::Replace {
                old: Thing(json!({"path": "/", "trust": "a"})),
                new: Thing(json!({"path": "/infra/", "trust": "a"})),
                why: "`path` cannot be changed in place".into(),
            },
            &["aurora_cluster.main", "pg_role.main/dev_ana"],
        ),
        (
            "pg_role.main/orders_ro",
            create(json!({
                "login": true, "member_of": [], "password": "(sensitive value)", "limit": null,
                "grants": [grant("dev_ana")],
                "database": {"$after": ["aurora_cluster.main", "resource_id"]},
            })),
            &["aurora_cluster.main"],
        ),
        (
            "pg_database.main/billing",
            hold(Hold::Undeclared { why: "it bears data; say `removed: {services: {billing: ...}}`".into() }),
            &[],
        ),
        ("pg_role.main/legacy", hold(Hold::Foreign), &[]),
    ]);
    plan.unmanaged = (0..12).map(|number| address(&format!("pg_role.main/u{number:02}"))).collect();
    plan
}

fn mixed() -> PlanView {
    let findings = vec![Finding::new(
        "protected_destroy",
        "pg_role.main/billing_rw would be destroyed, but its mark protects it".into(),
        "if it must go: --allow-destroy=pg_role.main/billing_rw",
        vec![address("pg_role.main/billing_rw")],
    )];
    view_of(&mixed_plan(), About { findings, ..about() })
}

fn everything_late() -> PlanView {
    let late = json!({"$after": ["aurora_cluster.main", "endpoint"]});
    let plan = plan(vec![
        ("aurora_cluster.main", create(json!({"readers": 2})), &[]),
        (
            "iam_role.person/ana",
            create(json!({"host": late, "list": ["a", late], "map": {"x": {"y": late, "z": 1}}})),
            &["aurora_cluster.main"],
        ),
        (
            "iam_role.person/boris",
            update(json!({"host": "h:1", "list": ["a"]}), json!({"host": late, "list": [late]})),
            &["aurora_cluster.main"],
        ),
    ]);
    view_of(&plan, about())
}

fn plain(view: &PlanView) -> String {
    text::render(view, Style::default())
}
