//! What is approved is the plan, in whichever order AWS tells of the world.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{account::Account, attributes::environment};

const SERVICES: &str = "services: {orders: {service_account: a/b}, billing: {service_account: c/d}}\npeople: {ana: {principal: \"arn:aws:iam::111122223333:user/ana\"}}\n";
const BEFORE: &str = "readers: 2\nsecurity_groups: [sg-1, sg-2, sg-3]\nsubnets: [subnet-a, subnet-b, subnet-c]\n\
    parameters: {log_min_duration_statement: \"500\", work_mem: \"8192\", log_lock_waits: \"1\"}";
const AFTER: &str = "readers: 3\nsecurity_groups: [sg-3, sg-4, sg-1]\nsubnets: [subnet-b, subnet-c]\n\
    parameters: {log_min_duration_statement: \"250\", work_mem: \"8192\"}";

fn digest(account: &Account) -> String {
    account.plan()["digest"].as_str().unwrap().to_owned()
}

#[test]
fn the_order_of_answers_does_not_matter() {
    let mut account = Account::with_principals();
    account.targets = vec!["aurora_*", "iam_role.*"];
    account.write(&(environment(BEFORE) + SERVICES));
    account.apply();
    account.settled();
    account.write(&(environment(AFTER) + &SERVICES.replace("c/d", "c/e")));
    let digests: BTreeSet<String> = (0..8)
        .map(|seed| {
            account.emulator.settings(&json!({"shuffle": seed}));
            account.calls();
            let digest = digest(&account);
            assert!(account.calls().len() > 5, "nothing was read");
            digest
        })
        .collect();
    assert_eq!(digests.len(), 1, "{digests:?}");
    // Nor does it make anything differ that does not.
    account.write(&(environment(BEFORE) + SERVICES));
    account.settled();
    // The answers did come in other orders.
    let groups = "answer = [one['VpcSecurityGroupId'] for one in of('rds').describe_db_clusters()['DBClusters'][0]['VpcSecurityGroups']]";
    let orders: BTreeSet<String> = (0..8)
        .map(|seed| {
            account.emulator.settings(&json!({"shuffle": seed}));
            account.script(groups, &Value::Null).to_string()
        })
        .collect();
    assert!(orders.len() > 1, "{orders:?}");
}

#[test]
fn what_the_plan_rests_on_matters_and_nothing_else() {
    let mut account = Account::with_principals();
    account.targets = vec!["aurora_*", "iam_role.*"];
    account.write(&(environment(BEFORE) + SERVICES));
    account.apply();
    account.write(&(environment(AFTER) + SERVICES));
    let before = digest(&account);
    // Drift of what the plan is not about: another role, another group, and a snapshot.
    account.script(
        "rds = of('rds')
rds.create_db_subnet_group(DBSubnetGroupName='stranger', DBSubnetGroupDescription='x', SubnetIds=['subnet-a', 'subnet-b'])
trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}
of('iam').create_role(RoleName='stranger', AssumeRolePolicyDocument=json.dumps(trust))
rds.create_db_cluster_snapshot(DBClusterIdentifier='prod-main', DBClusterSnapshotIdentifier='by-hand')",
        &Value::Null,
    );
    assert_eq!(digest(&account), before);
    account.infra(&["plan", "-o", "reviewed"]).expect(0);
    // Drift of what it starts from.
    account.script(
        "of('rds').modify_db_cluster(DBClusterIdentifier='prod-main', VpcSecurityGroupIds=['sg-1', 'sg-9'], ApplyImmediately=True)",
        &Value::Null,
    );
    assert_ne!(digest(&account), before);
    account.calls();
    let stale = account.apply_file("reviewed").expect(4);
    assert_eq!(account.writes(), [""; 0]);
    for line in [
        "the plan has changed since it was reviewed; nothing was changed",
        "~ aurora_cluster.main is still to be updated, but differently:",
        "security_groups is now [\"sg-1\", \"sg-9\"], and was [\"sg-1\", \"sg-2\", \"sg-3\"] when reviewed",
        &format!("reviewed: sha256:{before}"),
    ] {
        assert!(stale.stderr.contains(line), "{line}\n{}", stale.stderr);
    }
    let stale = account.infra(&["apply", "--auto-approve", "--expect-digest", &before]).expect(4);
    assert_eq!(account.writes(), [""; 0]);
    // Who has approved by digest alone sees what would be done now.
    assert!(stale.stdout.contains("# aurora_cluster.main will be updated in-place"), "{}", stale.stdout);
}
