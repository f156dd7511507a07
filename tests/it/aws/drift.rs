//! What somebody else changed: just that is in the plan, just that is mended, and then there is nothing to do.

use serde_json::{Value, json};

use super::{account::Account, attributes::environment};

/// A case: what is done with boto3, which attributes of which objects the plan shows, and the calls that mend it.
type Case<'a> = (&'a str, &'a [(&'a str, &'a [&'a str])], &'a [&'a str]);

const CLUSTER: &str = "aurora_cluster.main";
const FIRST: &str = "aurora_instance.main/1";
const SECOND: &str = "aurora_instance.main/2";
const GROUP: &str = "aurora_parameter_group.main/pg16";
const OWN: &str = "aurora_parameter_group.main/pg16-instances";
const SUBNETS: &str = "aurora_subnet_group.main";
const SCALING: &str = "aurora_autoscaling.main";
const ROLE: &str = "iam_role.service/orders";

/// What scripts begin with; `change` and `alter` wait until it is done.
const HEAD: &str = "
rds, iam, scaling = of('rds'), of('iam'), of('application-autoscaling')
def look():
    for _ in range(4):
        rds.describe_db_clusters()
        rds.describe_db_instances()
def change(**more):
    rds.modify_db_cluster(DBClusterIdentifier='prod-main', ApplyImmediately=True, **more)
    look()
def alter(name, **more):
    rds.modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=True, **more)
    look()
arn = lambda kind, name: f'arn:aws:rds:eu-central-1:111122223333:{kind}:{name}'
tag = lambda kind, name, **tags: rds.add_tags_to_resource(ResourceName=arn(kind, name), Tags=[{'Key': k, 'Value': v} for k, v in tags.items()])
def parameter(name, value, method='immediate'):
    rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName='prod-main-pg16', Parameters=[
        {'ParameterName': name, 'ParameterValue': value, 'ApplyMethod': method}])
    look()
target = dict(ServiceNamespace='rds', ResourceId='cluster:prod-main', ScalableDimension='rds:cluster:ReadReplicaCount')
allow = lambda action: json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': action, 'Resource': '*'}]})
role = 'infra-prod-svc-orders'
";

/// A cluster with a reader, all that can be declared of it, and a service.
fn declared() -> Account {
    let mut account = Account::with_principals();
    account.targets = vec!["aurora_*", "iam_*"];
    account.emulator.settings(&json!({"polls": 1}));
    let cluster = environment(
        "backup_policy: week\nparameters: {log_min_duration_statement: 500, work_mem: 8192}\n\
         instance_parameters: {log_temp_files: 1024}\nautoscaling: {min: 1, max: 4, cpu: 60}",
    );
    account.write(&format!(
        "tags: {{owner: platform}}\n{cluster}services: {{orders: {{service_account: checkout/orders}}}}\n"
    ));
    account.apply();
    account.settled();
    account
}

fn mended(cases: &[Case<'_>]) {
    let account = declared();
    for (script, expected, calls) in cases {
        account.script(&format!("{HEAD}{script}"), &Value::Null);
        account.differs(expected);
        account.calls();
        account.apply();
        let mut writes = account.writes();
        writes.retain(|call| !call.starts_with("sts:"));
        assert_eq!(writes, *calls, "{script}");
        account.settled();
    }
}

#[test]
fn of_clusters() {
    const MODIFY: &[&str] = &["rds:ModifyDBCluster"];
    mended(&[
        ("change(BackupRetentionPeriod=3)", &[(CLUSTER, &["backup_retention_days"])], MODIFY),
        ("change(PreferredBackupWindow='22:00-23:00')", &[(CLUSTER, &["backup_window"])], MODIFY),
        (
            "change(PreferredMaintenanceWindow='tue:12:00-tue:13:00')",
            &[(CLUSTER, &["maintenance_window"])],
            MODIFY,
        ),
        ("change(DeletionProtection=True)", &[(CLUSTER, &["deletion_protection"])], MODIFY),
        ("change(VpcSecurityGroupIds=['sg-1', 'sg-open'])", &[(CLUSTER, &["security_groups"])], MODIFY),
        ("change(EnableIAMDatabaseAuthentication=False)", &[(CLUSTER, &["iam_authentication"])], MODIFY),
        (
            "change(CloudwatchLogsExportConfiguration={'EnableLogTypes': ['postgresql'], 'DisableLogTypes': ['iam-db-auth-error']})",
            &[(CLUSTER, &["log_exports"])],
            MODIFY,
        ),
        ("change(CopyTagsToSnapshot=False)", &[(CLUSTER, &["copy_tags_to_snapshots"])], MODIFY),
        ("change(StorageType='aurora-iopt1')", &[(CLUSTER, &["storage_type"])], MODIFY),
        ("change(Port=6000)", &[(CLUSTER, &["port"])], MODIFY),
        ("change(AutoMinorVersionUpgrade=False)", &[(CLUSTER, &["auto_minor_version_upgrade"])], MODIFY),
        ("change(EnablePerformanceInsights=True)", &[(CLUSTER, &["performance_insights"])], MODIFY),
        (
            "change(ManageMasterUserPassword=False, MasterUserPassword='known-to-somebody')",
            &[(CLUSTER, &["master_auth"])],
            MODIFY,
        ),
        (
            "rds.enable_http_endpoint(ResourceArn=arn('cluster', 'prod-main'))",
            &[(CLUSTER, &["data_api"])],
            &["rds:DisableHttpEndpoint"],
        ),
        (
            "tag('cluster', 'prod-main', owner='me', cost='1')",
            &[(CLUSTER, &["tags"])],
            &["rds:RemoveTagsFromResource", "rds:AddTagsToResource"],
        ),
        // Several at once are one call.
        (
            "change(DeletionProtection=True, CopyTagsToSnapshot=False)\ntag('cluster', 'prod-main', cost='1')",
            &[(CLUSTER, &["copy_tags_to_snapshots", "deletion_protection", "tags"])],
            &["rds:RemoveTagsFromResource", "rds:ModifyDBCluster"],
        ),
    ]);
}

#[test]
fn of_instances() {
    const MODIFY: &[&str] = &["rds:ModifyDBInstance"];
    mended(&[
        ("alter('prod-main-2', DBInstanceClass='db.r6g.xlarge')", &[(SECOND, &["class"])], MODIFY),
        // The writer hands over before it restarts; the second instance writes from here on.
        (
            "alter('prod-main-1', DBInstanceClass='db.r6g.xlarge')",
            &[(FIRST, &["class"])],
            &["rds:FailoverDBCluster", "rds:ModifyDBInstance"],
        ),
        ("alter('prod-main-1', PromotionTier=9)", &[(FIRST, &["promotion_tier"])], MODIFY),
        ("alter('prod-main-2', PubliclyAccessible=True)", &[(SECOND, &["publicly_accessible"])], MODIFY),
        (
            "alter('prod-main-2', AutoMinorVersionUpgrade=False)",
            &[(SECOND, &["auto_minor_version_upgrade"])],
            MODIFY,
        ),
        (
            "alter('prod-main-1', PreferredMaintenanceWindow='tue:12:00-tue:13:00')",
            &[(FIRST, &["maintenance_window"])],
            MODIFY,
        ),
        (
            "alter('prod-main-1', DBParameterGroupName='default.aurora-postgresql16')",
            &[(FIRST, &["parameter_group", "waits_for_restart"])],
            &["rds:ModifyDBInstance", "rds:RebootDBInstance"],
        ),
        (
            "tag('db', 'prod-main-2', **{'infra:id': 'aurora_instance.main/2', 'cost': '1'})",
            &[(SECOND, &["tags"])],
            &["rds:RemoveTagsFromResource"],
        ),
    ]);
}

#[test]
fn of_groups() {
    const MODIFY: &[&str] = &["rds:ModifyDBClusterParameterGroup"];
    const RESET: &[&str] = &["rds:ResetDBClusterParameterGroup"];
    mended(&[
        ("parameter('log_min_duration_statement', '5')", &[(GROUP, &["parameters"])], MODIFY),
        ("parameter('log_statement', 'all')", &[(GROUP, &["parameters"])], RESET),
        (
            "rds.reset_db_cluster_parameter_group(DBClusterParameterGroupName='prod-main-pg16', Parameters=[
                {'ParameterName': 'work_mem', 'ApplyMethod': 'immediate'}])\nlook()",
            &[(GROUP, &["parameters"])],
            MODIFY,
        ),
        (
            "rds.modify_db_parameter_group(DBParameterGroupName='prod-main-pg16-instances', Parameters=[
                {'ParameterName': 'log_temp_files', 'ParameterValue': '-1', 'ApplyMethod': 'immediate'}])\nlook()",
            &[(OWN, &["parameters"])],
            &["rds:ModifyDBParameterGroup"],
        ),
        ("tag('cluster-pg', 'prod-main-pg16', owner='me')", &[(GROUP, &["tags"])], &["rds:AddTagsToResource"]),
        ("tag('subgrp', 'prod-main', x='y')", &[(SUBNETS, &["tags"])], &["rds:RemoveTagsFromResource"]),
        (
            "rds.modify_db_subnet_group(DBSubnetGroupName='prod-main', SubnetIds=['subnet-a', 'subnet-b', 'subnet-z'])",
            &[(SUBNETS, &["subnets"])],
            &["rds:ModifyDBSubnetGroup"],
        ),
        // The cluster left our group: its parameters counted no more, and will again after a restart.
        (
            "change(DBClusterParameterGroupName='default.aurora-postgresql16')",
            &[
                (CLUSTER, &["parameter_group"]),
                (FIRST, &["waits_for_restart"]),
                (SECOND, &["waits_for_restart"]),
            ],
            &["rds:ModifyDBCluster", "rds:RebootDBInstance", "rds:FailoverDBCluster", "rds:RebootDBInstance"],
        ),
    ]);
}

#[test]
fn of_autoscaling_and_roles() {
    const PUT: &[&str] =
        &["application-autoscaling:RegisterScalableTarget", "application-autoscaling:PutScalingPolicy"];
    mended(&[
        ("scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=15)", &[(SCALING, &["max"])], PUT),
        (
            "scaling.put_scaling_policy(**target, PolicyName='infra', PolicyType='TargetTrackingScaling',
                TargetTrackingScalingPolicyConfiguration={'TargetValue': 95.0, 'PredefinedMetricSpecification':
                {'PredefinedMetricType': 'RDSReaderAverageCPUUtilization'}})",
            &[(SCALING, &["policies"])],
            PUT,
        ),
        (
            "scaling.put_scaling_policy(**target, PolicyName='mine', PolicyType='TargetTrackingScaling',
                TargetTrackingScalingPolicyConfiguration={'TargetValue': 95.0, 'PredefinedMetricSpecification':
                {'PredefinedMetricType': 'RDSReaderAverageDatabaseConnections'}})",
            &[(SCALING, &["policies"])],
            &[
                "application-autoscaling:RegisterScalableTarget",
                "application-autoscaling:PutScalingPolicy",
                "application-autoscaling:DeleteScalingPolicy",
            ],
        ),
        (
            "iam.put_role_policy(RoleName=role, PolicyName='infra', PolicyDocument=allow('rds-db:connect'))",
            &[(ROLE, &["policies"])],
            &["iam:PutRolePolicy"],
        ),
        (
            "iam.put_role_policy(RoleName=role, PolicyName='more', PolicyDocument=allow('s3:*'))",
            &[(ROLE, &["policies"])],
            &["iam:DeleteRolePolicy"],
        ),
        (
            "iam.attach_role_policy(RoleName=role, PolicyArn='arn:aws:iam::aws:policy/AdministratorAccess')",
            &[(ROLE, &["attached"])],
            &["iam:DetachRolePolicy"],
        ),
        (
            "iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps({'Version': '2012-10-17', 'Statement': [
                {'Effect': 'Allow', 'Principal': {'AWS': '*'}, 'Action': 'sts:AssumeRole'}]}))",
            &[(ROLE, &["trust"])],
            &["iam:UpdateAssumeRolePolicy"],
        ),
        (
            "iam.tag_role(RoleName=role, Tags=[{'Key': 'owner', 'Value': 'me'}])",
            &[(ROLE, &["tags"])],
            &["iam:TagRole"],
        ),
    ]);
}

/// What was removed is made again; what somebody put into our cluster is shown and left alone.
#[test]
fn of_what_is_there() {
    let account = declared();
    account.script(
        &format!(
            "{HEAD}
scaling.deregister_scalable_target(**target)
rds.delete_db_instance(DBInstanceIdentifier='prod-main-2')
iam.delete_role_policy(RoleName=role, PolicyName='infra')
iam.delete_role(RoleName=role)
rds.create_db_instance(DBInstanceIdentifier='theirs', DBClusterIdentifier='prod-main', Engine='aurora-postgresql',
    DBInstanceClass='db.r6g.large', PubliclyAccessible=False)
look()"
        ),
        &Value::Null,
    );
    let created = [SCALING, SECOND, ROLE].map(|address| (address.to_owned(), "create".to_owned()));
    assert_eq!(account.changes(), created);
    assert_eq!(account.plan()["unmanaged"], json!(["aurora_instance.main/theirs"]));
    account.apply();
    account.settled();
    assert!(account.left().contains(&"instance theirs".to_owned()));
}

/// What was reviewed is what is applied, or nothing is.
#[test]
fn after_the_review() {
    let account = declared();
    let run = |script: &str| account.script(&format!("{HEAD}{script}"), &Value::Null);
    run("change(DeletionProtection=True)");
    account.infra(&["plan", "-o", "reviewed"]).expect(0);
    run("change(BackupRetentionPeriod=3)");
    account.calls();
    let stale = account.apply_file("reviewed").expect(4);
    assert!(stale.stderr.contains("backup_retention_days"), "{}", stale.stderr);
    assert_eq!(account.writes(), Vec::<String>::new());
    account.infra(&["plan", "-o", "reviewed"]).expect(0);
    // Time passes, instances are busy for a while: nothing of what was reviewed.
    run("look()");
    account.apply_file("reviewed").expect(0);
    account.settled();
}
