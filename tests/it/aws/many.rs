//! Accounts with very much in them: all pages are read, others' things are left alone, and it takes few calls.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{account::Account, attributes::environment};

/// What other teams have: clusters with all that belongs to them, and roles.
const SSO: &str =
    "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_0123456789abcdef";

const OTHERS: &str = "
rds, iam = of('rds'), of('iam')
for number in range(137):
    name = f'other-{number:03}'
    rds.create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription='x', SubnetIds=['subnet-1', 'subnet-2'])
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName=name, DBParameterGroupFamily='aurora-postgresql16', Description='x')
    rds.create_db_parameter_group(DBParameterGroupName=name, DBParameterGroupFamily='aurora-postgresql16', Description='x')
    rds.create_db_cluster(DBClusterIdentifier=name, Engine='aurora-postgresql', DBSubnetGroupName=name,
        MasterUsername='somebody', ManageMasterUserPassword=True, Tags=[{'Key': 'team', 'Value': 'other'}])
for _ in range(8):
    rds.describe_db_clusters(MaxRecords=100, Marker='100')
    rds.describe_db_clusters()
for number in range(137):
    name = f'other-{number:03}'
    rds.create_db_instance(DBInstanceIdentifier=name + '-1', DBClusterIdentifier=name, Engine='aurora-postgresql',
        DBInstanceClass='db.r6g.large')
trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]})
for number in range(1500):
    iam.create_role(RoleName=f'other-{number:04}', AssumeRolePolicyDocument=trust)
";

#[test]
fn among_others() {
    let mut account = Account::with_principals();
    account.targets = vec!["aurora_*", "iam_*"];
    account.emulator.settings(&json!({"roles_quota": 5000, "polls": 1}));
    account.script(OTHERS, &Value::Null);
    account.write(&format!("{}services: {{orders: {{service_account: a/b}}}}\n", environment("")));
    account.calls();
    let plan = account.plan();
    let calls = account.calls();
    let count = |action: &str| calls.iter().filter(|call| *call == action).count();
    let pages = [
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:DescribeDBSubnetGroups",
        "rds:DescribeDBClusterParameterGroups",
        "rds:DescribeDBParameterGroups",
        "iam:GetAccountAuthorizationDetails",
    ];
    assert_eq!(pages.map(count), [2; 6], "{calls:?}");
    // Nothing is asked of each of them.
    assert!(calls.len() < 25, "{calls:?}");
    let unmanaged = plan["unmanaged"].as_array().unwrap();
    for address in [
        "aurora_cluster.other/other-000",
        "aurora_cluster.other/other-136",
        "aurora_instance.other/other-136/other-136-1",
    ] {
        assert!(unmanaged.contains(&json!(address)), "{address}: {unmanaged:?}");
    }
    let clusters = unmanaged.iter().filter(|one| one.as_str().unwrap().starts_with("aurora_cluster."));
    assert_eq!(clusters.count(), 137);
    let changes = account.changes();
    let created = [
        "aurora_cluster.main",
        "aurora_instance.main/1",
        "aurora_instance.main/2",
        "aurora_parameter_group.main/pg16",
        "aurora_subnet_group.main",
        "iam_role.service/orders",
    ];
    assert_eq!(changes, created.map(|address| (address.to_owned(), "create".to_owned())));
    account.apply();
    account.settled();
    account.infra(&["destroy", "--auto-approve"]).expect(0);
    let left = account.left();
    assert_eq!(left.iter().filter(|one| one.starts_with("cluster other-")).count(), 137);
    assert_eq!(left.len(), 137 * 6 + 1, "groups, instances and secrets of others, and our snapshot");
}

/// Each sees its own and nothing of the others', though the name of one begins like that of another.
#[test]
fn environments_side_by_side() {
    let mut account = Account::with_principals();
    account.targets = vec!["aurora_*", "iam_*"];
    account.emulator.settings(&json!({"polls": 1}));
    let names = ["prod", "prod-main", "test"];
    let yaml = format!(
        "{}services: {{orders: {{service_account: a/b}}}}\npeople: {{ana: {{principal: \"arn:aws:iam::111122223333:user/ana\"}}}}\n",
        environment("instance_parameters: {log_temp_files: 1024}\nautoscaling: {min: 1, max: 2, cpu: 60}")
    );
    for name in names {
        account.environment = name.into();
        account.write(&yaml);
        assert_eq!(account.changes().len(), 9, "{name}");
        account.apply();
    }
    for name in names {
        account.environment = name.into();
        account.settled();
        let plan = account.plan();
        assert_eq!((&plan["unmanaged"], &plan["held"]), (&json!([]), &json!([])), "{name}");
    }
    let before = account.left();
    account.environment = "prod-main".into();
    account.calls();
    account.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    let of = |name: &str| {
        name.contains(" prod-main-main")
            || name.contains("infra-prod-main-")
            || name.contains("cluster:prod-main-main")
    };
    let expected: Vec<String> =
        before.into_iter().filter(|one| !of(one) || one.starts_with("secret ")).collect();
    let mut left = account.left();
    left.retain(|one| !one.starts_with("snapshot prod-main-main-final-"));
    let secrets = |all: &[String]| all.iter().filter(|one| one.starts_with("secret ")).count();
    assert_eq!((secrets(&expected), secrets(&left)), (3, 2));
    let others = |all: &[String]| -> Vec<String> {
        all.iter().filter(|one| !one.starts_with("secret ")).cloned().collect()
    };
    assert_eq!(others(&left), others(&expected));
    for name in ["prod", "test"] {
        account.environment = name.into();
        account.settled();
    }
}

/// 500 services, 4 clusters of 4 instances: what a plan may cost, and costs again.
#[test]
fn few_calls() {
    const MOST: usize = 30;
    let mut account = Account::with_principals();
    account.emulator.settings(&json!({"roles_quota": 5000, "polls": 1}));
    let mut yaml = format!("sso_role: {SSO}\nclusters:\n");
    for cluster in ["a", "b", "c", "d"] {
        writeln!(
            yaml,
            "  {cluster}: {{engine_version: \"16\", instance_class: db.r6g.large, readers: 3, kms_key: alias/aurora, \
             subnets: [subnet-a, subnet-b, subnet-c], security_groups: [sg-1], parameters: {{work_mem: 8192}}}}"
        )
        .unwrap();
    }
    yaml += "services:\n";
    for service in 0..500 {
        let cluster = ["a", "b", "c", "d"][service % 4];
        writeln!(yaml, "  s{service:03}: {{cluster: {cluster}, service_account: shop/s{service:03}}}")
            .unwrap();
    }
    yaml += "people:\n";
    for person in 0..40 {
        writeln!(yaml, "  p{person:02}: {{sso: p{person:02}@acme.example}}").unwrap();
    }
    yaml += "developer_groups: {all: {members: [p00, p01], services: all}}\n";
    account.write(&yaml);
    account.calls();
    let plan = account.plan();
    let calls = account.calls();
    assert!(calls.len() <= MOST, "{} calls: {calls:?}", calls.len());
    assert!(plan["resource_changes"].as_array().unwrap().len() > 500 * 10);

    account.targets = vec!["aurora_*", "iam_*"];
    account.apply();
    account.settled();
    account.targets = Vec::new();
    let mut counted = Vec::new();
    for _ in 0..2 {
        account.calls();
        let plan = account.plan();
        let left = plan["resource_changes"].as_array().unwrap();
        assert!(left.iter().all(|change| change["type"].as_str().unwrap().starts_with("pg_")));
        let calls = account.calls();
        assert!(calls.len() <= MOST, "{} calls: {calls:?}", calls.len());
        counted.push(calls.len());
    }
    assert_eq!(counted[0], counted[1]);
}
