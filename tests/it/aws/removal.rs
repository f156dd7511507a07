//! A service that is removed with its data: what is dropped can be had again.

use super::{
    account::{Account, HEAD},
    served::Served,
};
use crate::support::emulator::Emulator;

#[test]
fn a_snapshot_comes_before_data_is_dropped() {
    let account = Account::new(Emulator::start());
    let served = Served::start(&account, "prod-main");
    let declare = |services: &str| {
        account.write_as(
            "prod",
            &format!(
                "{HEAD}clusters:\n  main: {{engine_version: \"{}\", instance_class: db.r6g.large, subnets: [subnet-a, subnet-b], connection: {}}}\n{services}",
                served.version(),
                served.connection()
            ),
        );
    };
    declare("services: {orders: {service_account: shop/orders}, billing: {service_account: shop/billing}}\n");
    account.apply();
    account.settled();
    assert_eq!(account.emulator.count("CreateDBClusterSnapshot"), 0);
    declare(
        "services: {billing: {service_account: shop/billing}}\nremoved: {services: {orders: {data: drop}}}\n",
    );
    let plan = account.infra(&["plan", "-v"]).expect(0).stdout;
    assert!(
        plan.contains("> rds:CreateDBClusterSnapshot prod-main (prod-main-before-drop-<time>)"),
        "{plan}"
    );
    // Where no snapshot can be had, nothing is dropped.
    account.emulator.settings(&serde_json::json!({"denied": ["rds:CreateDBClusterSnapshot"]}));
    let ran = account.infra(&["apply", "--auto-approve", "--allow-destroy=all"]).expect(6);
    assert!(ran.stdout.contains("rds:CreateDBClusterSnapshot was refused"), "{}", ran.stdout);
    let there = "SELECT count(*) FROM pg_database WHERE datname = 'orders'";
    assert_eq!(served.server.superuser("postgres", there), "1");
    account.emulator.settings(&serde_json::json!({"denied": []}));
    account.infra(&["apply", "--auto-approve", "--allow-destroy=all"]).expect(0);
    account.settled();
    assert_eq!(served.server.superuser("postgres", there), "0");
    let script = "answer = [one['DBClusterSnapshotIdentifier'] for one in of('rds').describe_db_cluster_snapshots()['DBClusterSnapshots']]";
    let snapshots = account.script(script, &serde_json::Value::Null);
    let names: Vec<&str> = snapshots.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(matches!(names[..], [name] if name.starts_with("prod-main-before-drop-")), "{names:?}");
}
