//! A cluster that somebody made before us: held, adopted, and then as declared.

use serde_json::Value;

use super::{account::Account, served::Served};

/// What a team made by hand, under the names that we would give; the master's password is known to somebody.
const MADE: &str = "
rds = of('rds')
family = 'aurora-postgresql' + asked
rds.create_db_subnet_group(DBSubnetGroupName='prod-main', DBSubnetGroupDescription='ours', SubnetIds=['subnet-a', 'subnet-b'],
    Tags=[{'Key': 'team', 'Value': 'shop'}])
rds.create_db_cluster_parameter_group(DBClusterParameterGroupName='prod-main-pg' + asked, DBParameterGroupFamily=family, Description='ours')
rds.create_db_cluster(DBClusterIdentifier='prod-main', Engine='aurora-postgresql', EngineVersion=asked + '.4', DBSubnetGroupName='prod-main',
    DBClusterParameterGroupName='prod-main-pg' + asked, MasterUsername='infra_master', MasterUserPassword='known-to-somebody',
    StorageEncrypted=True, VpcSecurityGroupIds=['sg-1'], Tags=[{'Key': 'team', 'Value': 'shop'}])
def look():
    for _ in range(8):
        rds.describe_db_clusters()
        rds.describe_db_instances()
look()
for number in (1, 2):
    rds.create_db_instance(DBInstanceIdentifier=f'prod-main-{number}', DBClusterIdentifier='prod-main', Engine='aurora-postgresql',
        DBInstanceClass='db.r6g.large', PubliclyAccessible=False)
    look()
";
const OURS: [&str; 5] = [
    "aurora_cluster.main",
    "aurora_instance.main/1",
    "aurora_instance.main/2",
    "aurora_parameter_group.main/pg15",
    "aurora_subnet_group.main",
];

fn held(plan: &Value) -> Vec<(&str, &str)> {
    let held = plan["held"].as_array().unwrap().iter();
    held.map(|held| (held["address"].as_str().unwrap(), held["message"].as_str().unwrap())).collect()
}

#[test]
fn of_a_cluster_made_by_hand() {
    let account = Account::with_principals();
    let served = Served::start(&account, "prod-main");
    account.script(MADE, &served.version().into());
    served.server.superuser("postgres", "CREATE DATABASE legacy OWNER infra_master");

    // What is there, as YAML: under its own name, since the identifier is the one we would give.
    account.write("");
    account.calls();
    let printed = account.infra(&["import"]).expect(0).stdout;
    assert_eq!(account.writes(), Vec::<String>::new());
    for part in [
        "clusters:\n  main:\n",
        "    instance_class: db.r6g.large\n",
        "    readers: 1\n",
        "    security_groups:\n",
        "#   cluster prod-main: what is inside of it can be seen once it is declared: paste, then import again\n",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(
        printed.contains("- subnet-a")
            && !printed.contains("identifier")
            && !printed.contains("final_snapshot"),
        "{printed}"
    );
    account.write(&printed);
    account.infra(&["validate"]).expect(0);
    account.write(&format!(
        "clusters:\n  main: {{engine_version: \"{}\", instance_class: db.r6g.large, readers: 1, apply: immediately, \
         subnets: [subnet-a, subnet-b], security_groups: [sg-1], connection: {}}}\nservices: {{orders: {{service_account: a/b}}}}\n",
        served.version(),
        served.connection()
    ));

    // Nothing of it is touched, and nothing is made in it.
    let plan = account.plan();
    let foreign: Vec<&str> = held(&plan)
        .into_iter()
        .filter(|(_, message)| message.contains("does not carry our mark"))
        .map(|(address, _)| address)
        .collect();
    assert_eq!(foreign, OURS);
    assert!(!plan["resource_changes"].to_string().contains("aurora_"), "{plan:#}");
    account.calls();
    let ran = account.infra(&["apply", "--auto-approve"]);
    assert_eq!((ran.code, account.writes()), (0, Vec::new()), "{ran:?}");
    assert_eq!(served.verifier.accepted(), []);

    // One that is not there: nothing is marked, not even what comes before it.
    let arguments = |adopted: &[&'static str]| -> Vec<&'static str> {
        std::iter::once("import").chain(adopted.iter().flat_map(|address| ["--adopt", address])).collect()
    };
    let failed = account.infra(&arguments(&["aurora_cluster.main", "aurora_instance.main/3"])).expect(1);
    assert!(failed.stderr.contains("aurora_instance.main/3"), "{}", failed.stderr);
    assert_eq!(account.writes(), Vec::<String>::new());

    account.infra(&arguments(&OURS)).expect(0);
    assert_eq!(account.writes(), ["rds:AddTagsToResource"; 5]);
    let tags = "answer = {tag['Key']: tag['Value'] for tag in of('rds').describe_db_clusters()['DBClusters'][0]['TagList']}";
    let tags = account.script(tags, &Value::Null);
    assert_eq!((&tags["team"], &tags["infra:env"]), (&"shop".into(), &"prod".into()));
    let again = account.infra(&arguments(&OURS[..1])).expect(1);
    assert!(again.stderr.contains("carries the mark of this environment already"), "{}", again.stderr);

    // What differs from the YAML is seen now, and what is inside will be.
    let plan = account.plan_at_least();
    let changed: Vec<&str> = plan["resource_changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["address"].as_str().unwrap())
        .collect();
    assert!(changed.contains(&"aurora_cluster.main") && changed.contains(&"pg_logins.main"), "{changed:?}");
    let shown = account.infra(&["plan"]).stdout;
    assert!(shown.contains("the master gets another password, which AWS makes and keeps"), "{shown}");
    let first = account.infra(&["apply", "--auto-approve"]).expect(6);
    assert!(first.stderr.contains("some can be seen only now"), "{}", first.stderr);
    account.apply();
    account.settled();
    assert_eq!(served.work("svc_orders_app", "orders", "SELECT current_user").unwrap(), "svc_orders_app");
    let legacy = "SELECT pg_get_userbyid(datdba), shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'legacy'";
    assert_eq!(served.server.superuser("postgres", legacy), "infra_master|");
}
