use super::*;
use crate::{
    engine::{Desired, Plan, World, plan},
    model::environment::MasterAuth,
    providers::aws::estate::Restart,
};

fn spec(version: &str) -> ClusterSpec {
    ClusterSpec {
        identifier: "prod-main".into(),
        engine_version: version.into(),
        port: 5432,
        master_username: "infra_master".into(),
        subnet_group: "prod-main".into(),
        parameter_group: "prod-main-pg16".into(),
        storage_encrypted: true,
        storage_type: "aurora".into(),
        backup_retention_days: 7,
        iam_authentication: true,
        database_insights: "standard".into(),
        maintenance_window: Some("sun:03:00-sun:03:30".into()),
        tags: tag::of("prod", "aurora_cluster.main", false),
        ..ClusterSpec::default()
    }
}

fn declared(spec: ClusterSpec, apply: ApplyWhen) -> AuroraCluster {
    let wishes = Facts(Wishes { apply, ..Wishes::default() });
    AuroraCluster { name: "main".into(), spec, wishes, facts: Facts::default() }
}

fn found(spec: ClusterSpec, pending: &[(&str, &str)]) -> AuroraCluster {
    let pending = pending.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let member =
        crate::providers::aws::estate::Member { instance: "prod-main-1".into(), ..Default::default() };
    let cluster =
        Cluster { spec, members: vec![member], pending, status: "available".into(), ..Cluster::default() };
    let restarts = vec![Restart { instance: "prod-main-1".into(), seconds: 42 }];
    let estate = Estate { clusters: vec![cluster], restarts, ..Estate::default() };
    let interest = Interest { environment: "prod".into(), ..Interest::default() };
    AuroraCluster::recognise(&estate, &interest).remove(0).1.resource
}

fn planned(declared: &AuroraCluster, there: &AuroraCluster) -> Plan<AuroraCluster> {
    let address = AuroraCluster::address("main");
    let found = Found { resource: there.clone(), outputs: Outputs::new(), owned: true, protected: false };
    let world = World { found: [(address.clone(), found)].into(), ..World::default() };
    plan(&Desired { resources: [(address, declared.clone())].into(), ..Desired::default() }, &world).unwrap()
}

#[test]
fn versions_by_prefix_and_never_down() {
    for (wanted, there, nothing_to_do) in [
        ("16", "16.4", true),
        ("16.4", "16.4", true),
        // Made by AWS itself, in the window.
        ("16.4", "16.6", true),
        ("16.6", "16.4", false),
        ("17", "16.4", false),
    ] {
        let plan = planned(&declared(spec(wanted), ApplyWhen::MaintenanceWindow), &found(spec(there), &[]));
        let kept = plan.steps.iter().all(|step| step.action == crate::engine::Action::Keep);
        assert_eq!(kept, nothing_to_do, "{wanted} {there}");
    }
    let refused = declared(spec("15"), ApplyWhen::Immediately).verdict(&found(spec("16.4"), &[]));
    assert!(matches!(refused, Verdict::Refuse(why) if why.contains("does not downgrade to 15")));
}

#[test]
fn what_waits_for_the_window_is_no_difference() {
    let there = found(spec("16.4"), &[("engine_version", "16.6"), ("storage_type", "aurora-iopt1")]);
    let wanted = ClusterSpec { storage_type: "aurora-iopt1".into(), ..spec("16.6") };
    let plan = planned(&declared(wanted, ApplyWhen::MaintenanceWindow), &there);
    assert!(plan.is_empty());
    let notes: Vec<&str> = plan.notes.iter().map(|(_, note)| note.as_str()).collect();
    assert_eq!(
        notes,
        [
            "engine_version 16.6 is scheduled for the window sun:03:00-sun:03:30",
            "storage_type aurora-iopt1 is scheduled for the window sun:03:00-sun:03:30",
        ]
    );
}

#[test]
fn costs_say_who_is_cut_off_and_for_how_long() {
    let wanted = ClusterSpec { deletion_protection: true, ..spec("16.6") };
    let there = found(spec("16.4"), &[("storage_type", "aurora-iopt1")]);
    let at_once = declared(wanted.clone(), ApplyWhen::Immediately).costs(&there);
    assert_eq!(
        at_once,
        [
            "OUTAGE: engine_version restarts all instances at once (prod-main-1); a restart was last seen to take about 42 s",
            "at once with it comes what waits for the window: storage_type aurora-iopt1",
        ]
    );
    let later = declared(wanted, ApplyWhen::MaintenanceWindow).costs(&there);
    assert_eq!(
        later,
        ["engine_version waits for the maintenance window sun:03:00-sun:03:30, and is an outage then"]
    );
    let quiet = ClusterSpec { deletion_protection: true, ..spec("16.4") };
    assert!(declared(quiet, ApplyWhen::Immediately).costs(&found(spec("16.4"), &[])).is_empty());
}

#[test]
fn what_cannot_be_changed_is_refused_by_name() {
    let there = found(spec("16.4"), &[]);
    for (wanted, why) in [
        (
            ClusterSpec { kms_key: Some("arn:aws:kms:x".into()), ..spec("16.4") },
            "the encryption of a cluster",
        ),
        (ClusterSpec { master_username: "boss".into(), ..spec("16.4") }, "the master's name"),
        (ClusterSpec { subnet_group: "other".into(), ..spec("16.4") }, "the subnet group"),
        (ClusterSpec { port: 5433, ..spec("16.4") }, "another port (5433 instead of 5432)"),
        (spec("17.2"), "allow_major_upgrade: true"),
    ] {
        let verdict = declared(wanted, ApplyWhen::MaintenanceWindow).verdict(&there);
        assert!(matches!(&verdict, Verdict::Refuse(text) if text.contains(why)), "{why}: {verdict:?}");
    }
}

#[test]
fn what_is_left_open_is_taken_as_it_is() {
    let there = ClusterSpec {
        kms_key: Some("arn:aws:kms:key".into()),
        backup_window: Some("02:00-02:30".into()),
        security_groups: ["sg-default".to_owned()].into(),
        master_auth: MasterAuth::Secret,
        master_secret_kms_key: Some("arn:aws:kms:aws".into()),
        ..spec("16.4")
    };
    let wanted = ClusterSpec { maintenance_window: None, ..spec("16") };
    assert!(planned(&declared(wanted, ApplyWhen::Immediately), &found(there, &[])).is_empty());
}
