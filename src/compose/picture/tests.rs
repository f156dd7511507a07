use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::compose;

fn environment(of: &Value) -> Environment {
    serde_json::from_value(of.clone()).unwrap()
}

fn aws() -> Value {
    json!({
        "platform": {"aws": {"account": "111122223333", "region": "eu-central-1"}},
        "workload_identity": {"irsa": {"oidc_provider": "oidc.example/id/A"}},
        "developers": "read-only",
        "clusters": {"main": {
            "engine_version": "16", "instance_class": "db.r6g.large", "readers": 2, "zones": ["a", "b"], "backup_policy": "daily",
            "autoscaling": {"min": 2, "max": 4, "cpu": 60.0},
        }},
        "backup_policies": {
            "daily": {"aurora": {"retention_days": 7}}, "hourly": {"mongo": {"every": "1h", "keep": {"last": 4, "daily": 7}}},
        },
        "mongo_clusters": {"events": {"uri": "mongodb://one.example/?replicaSet=rs", "backup_policy": "hourly"}},
        "services": {
            "orders": {"service_account": "shop/orders", "extensions": ["pgcrypto"]},
            "billing": {"service_account": "shop/billing", "mongo": "events"},
        },
        "removed": {"services": {"old": {"data": "keep"}}},
        "people": {"ana": {"principal": "arn:aws:iam::111122223333:user/ana"}},
        "developer_groups": {
            "all": {"members": ["ana"], "services": "all"},
            "some": {"members": ["ana"], "services": ["orders"], "access": "read-write"},
            "none": {"members": [], "services": "all", "access": "none"},
        },
    })
}

fn named<'a>(picture: &'a Picture, end: &End) -> &'a str {
    match end {
        End::Node(node) => &picture.nodes[*node].title,
        End::Frame(frame) => &picture.frames[*frame].title,
    }
}

#[test]
fn an_environment_on_aws() {
    let picture = picture("prod", &environment(&aws()), Drawn::default());
    let edges: Vec<String> = (picture.edges.iter())
        .map(|edge| format!("{} {:?} {}", named(&picture, &edge.from), edge.way, named(&picture, &edge.to)))
        .collect();
    let expected = [
        "ana Plain all",
        "ana Plain some",
        "shop/billing Plain billing",
        "billing Writes billing",
        "shop/orders Plain orders",
        "orders Writes orders",
        "Databases Writes writer endpoint",
        "Databases Reads reader endpoint",
        "writer endpoint Writes prod-main-1",
        "reader endpoint Reads prod-main-2",
        "reader endpoint Reads prod-main-3",
        "reader endpoint Reads 2 to 4 readers",
        "main · Aurora PostgreSQL 16 Plain daily",
        "billing Writes billing",
        "billing Writes members",
        "events · MongoDB replica set Plain hourly",
        "all Reads billing",
        "all Reads Databases",
        "some Writes orders",
    ];
    assert_eq!(edges, expected);
    let frame = |title: &str| picture.frames.iter().position(|frame| frame.title == title).unwrap();
    let zone = |node: &str| picture.nodes.iter().find(|one| one.title == node).unwrap().frame.unwrap();
    let zones = ["prod-main-1", "prod-main-2", "prod-main-3"].map(zone);
    assert_eq!(zones, [frame("AZ a"), frame("AZ b"), frame("AZ a")]);
    // Whatever is declared is somewhere in the picture, so that a plan leaves nothing out.
    let drawn: BTreeSet<&Address> = (picture.nodes.iter().map(|node| &node.objects))
        .chain(picture.frames.iter().map(|frame| &frame.objects))
        .flatten()
        .collect();
    let desired = compose::compose("prod", &environment(&aws()));
    let missing: Vec<&Address> =
        desired.resources.keys().filter(|address| !drawn.contains(address)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_plan_colours_what_it_is_about() {
    let fates: BTreeMap<Address, Fate> = [
        ("iam_role.person/ana", Fate::Create),
        ("pg_role.main/dev_ana", Fate::Create),
        ("pg_role.main/svc_orders_app", Fate::Update),
        ("aurora_instance.main/3", Fate::Delete),
        ("pg_role.main/dev_gone", Fate::Delete),
    ]
    .map(|(address, fate)| (address.parse().unwrap(), fate))
    .into();
    let drawn = Drawn { fates: Some(&fates), each: false };
    let picture = picture("prod", &environment(&aws()), drawn);
    let fated: Vec<(&str, Fate)> =
        picture.nodes.iter().filter_map(|node| Some((node.title.as_str(), node.fate?))).collect();
    // Ana's login on the replica set stays, so she is changed.
    assert_eq!(
        fated,
        [
            ("ana", Fate::Update),
            ("orders", Fate::Update),
            ("prod-main-3", Fate::Delete),
            ("main/dev_gone", Fate::Delete),
        ]
    );
    assert!(picture.planned);
}

#[test]
fn many_services_that_nothing_tells_apart_are_one_node() {
    let mut many = aws();
    for number in 0..200 {
        many["services"][format!("s{number:03}")] = json!({"service_account": format!("shop/s{number}")});
    }
    let environment = environment(&many);
    let services = |drawn: Drawn<'_>| {
        let picture = picture("prod", &environment, drawn);
        picture
            .nodes
            .iter()
            .filter(|node| node.kind == Kind::Service)
            .map(|node| node.title.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(services(Drawn::default()), ["billing", "orders", "200 services"]);
    assert_eq!(services(Drawn { each: true, fates: None }).len(), 202);
    let fates = [("pg_role.main/svc_s007_app".parse().unwrap(), Fate::Update)].into();
    assert_eq!(
        services(Drawn { fates: Some(&fates), each: false }),
        ["billing", "orders", "199 services", "s007"]
    );
}
