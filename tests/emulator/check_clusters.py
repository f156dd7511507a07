"""Stories of clusters."""

import json

from check_world import client, control, refused


def creation(world):
    rds, name = world.rds, "main"
    made = rds.create_db_cluster(
        **world.base(
            name,
            StorageEncrypted=True,
            KmsKeyId="alias/aurora",
            StorageType="aurora",
            Tags=[{"Key": "a", "Value": ""}],
            PreferredMaintenanceWindow="Sun:04:00-Sun:05:00",
            PreferredBackupWindow="02:00-03:00",
            EnableHttpEndpoint=True,
        )
    )["DBCluster"]
    assert made["Status"] == "creating" and made["PreferredMaintenanceWindow"] == "sun:04:00-sun:05:00", made
    assert "StorageType" not in made and made["HttpEndpointEnabled"] is True
    assert made["TagList"] == [{"Key": "a", "Value": ""}]
    key = client("kms", world.region).describe_key(KeyId="alias/aurora")["KeyMetadata"]["Arn"]
    assert made["KmsKeyId"] == key, (made["KmsKeyId"], key)
    assert made["MasterUserSecret"]["SecretStatus"] == "creating"
    refused("DBClusterAlreadyExistsFault", "already exists", rds.create_db_cluster, **world.base(name))
    assert world.cluster(name)["DbClusterResourceId"] == made["DbClusterResourceId"]
    refused(
        "InvalidDBClusterStateFault",
        "not currently in the available state",
        rds.modify_db_cluster,
        DBClusterIdentifier=name,
        Port=5433,
    )
    refused(
        "InvalidDBClusterStateFault",
        "which is creating",
        rds.create_db_instance,
        DBInstanceIdentifier="i",
        DBClusterIdentifier=name,
        DBInstanceClass="db.r6g.large",
        Engine="aurora-postgresql",
    )
    assert world.settled(name) == ["creating", "available", "available"]
    assert world.cluster(name)["MasterUserSecret"]["SecretStatus"] == "creating"
    rds.create_db_instance(
        DBInstanceIdentifier="main-1",
        DBClusterIdentifier=name,
        DBInstanceClass="db.r6g.large",
        Engine="aurora-postgresql",
    )
    assert "Endpoint" not in world.instance("main-1")
    assert world.instance_settled("main-1") == ["creating", "available", "available"]
    secret = world.cluster(name)["MasterUserSecret"]
    assert secret["SecretStatus"] == "active"
    value = json.loads(
        client("secretsmanager", world.region).get_secret_value(SecretId=secret["SecretArn"])["SecretString"]
    )
    assert value["username"] == "infra_master" and value["password"], value
    assert refused("DBClusterNotFoundFault", "nope", rds.describe_db_clusters, DBClusterIdentifier="nope") == 404
    assert refused("DBInstanceNotFound", "nope", rds.describe_db_instances, DBInstanceIdentifier="nope") == 404


def refusals(world):
    create = world.rds.create_db_cluster
    for code, words, more in (
        ("InvalidParameterValue", "not a valid identifier", {"DBClusterIdentifier": "bad--id"}),
        ("InvalidParameterValue", "not a valid identifier", {"DBClusterIdentifier": "1x"}),
        ("InvalidParameterCombination", "Cannot find version", {"EngineVersion": "16"}),
        ("DBSubnetGroupNotFoundFault", "nope", {"DBSubnetGroupName": "nope"}),
        ("DBParameterGroupNotFound", "nope", {"DBClusterParameterGroupName": "nope"}),
        (
            "InvalidParameterCombination",
            "can't be used",
            {"DBClusterParameterGroupName": "default.aurora-postgresql15"},
        ),
        ("InvalidParameterValue", "retention", {"BackupRetentionPeriod": 0}),
        ("InvalidParameterValue", "retention", {"BackupRetentionPeriod": 36}),
        (
            "InvalidParameterValue",
            "must not overlap",
            {"PreferredBackupWindow": "04:00-05:00", "PreferredMaintenanceWindow": "mon:04:30-mon:05:30"},
        ),
        ("InvalidParameterValue", "at least 30 minutes", {"PreferredBackupWindow": "04:00-04:20"}),
        ("InvalidParameterValue", "storage type", {"StorageType": "gp3"}),
        ("InvalidParameterValue", "security group", {"VpcSecurityGroupIds": ["group"]}),
        ("KMSKeyNotAccessibleFault", "alias/nope", {"StorageEncrypted": True, "KmsKeyId": "alias/nope"}),
        ("InvalidParameterValue", "log types", {"EnableCloudwatchLogsExports": ["audit"]}),
        ("InvalidParameterCombination", "at least 465", {"DatabaseInsightsMode": "advanced"}),
        ("InvalidParameterCombination", "MonitoringRoleARN", {"MonitoringInterval": 60}),
        (
            "InvalidParameterValue",
            "IAM role ARN value is invalid",
            {"MonitoringInterval": 60, "MonitoringRoleArn": "arn:aws:iam::111122223333:role/nope"},
        ),
        (
            "InvalidParameterCombination",
            "iam-db-auth",
            {"MasterUserAuthenticationType": "iam-db-auth", "EnableIAMDatabaseAuthentication": True},
        ),
        (
            "InvalidParameterValue",
            "half-step",
            {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.7, "MaxCapacity": 4}},
        ),
        (
            "InvalidParameterValue",
            "only be set when",
            {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4, "SecondsUntilAutoPause": 300}},
        ),
        ("InvalidParameterValue", "aws:", {"Tags": [{"Key": "aws:x", "Value": ""}]}),
    ):
        refused(code, words, create, **world.base("fresh", **more))
    assert (
        refused("DBClusterNotFoundFault", "fresh", world.rds.describe_db_clusters, DBClusterIdentifier="fresh") == 404
    )
    plain = world.base("fresh")
    del plain["ManageMasterUserPassword"]
    refused("InvalidParameterValue", "MasterUserPassword", create, **plain)
    made = create(**plain, MasterUserAuthenticationType="iam-db-auth", EnableIAMDatabaseAuthentication=True)[
        "DBCluster"
    ]
    assert "MasterUserSecret" not in made


def changes(world):
    rds, name = world.rds, "main"
    world.make(name, 1)
    modify = rds.modify_db_cluster
    refused("InvalidParameterCombination", "No modifications", modify, DBClusterIdentifier=name, ApplyImmediately=True)
    answer = modify(
        DBClusterIdentifier=name,
        DeletionProtection=True,
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql", "iam-db-auth-error"]},
    )["DBCluster"]
    assert answer["Status"] == "available" and answer["DeletionProtection"], answer
    refused("InvalidDBClusterStateFault", "not currently", modify, DBClusterIdentifier=name, CopyTagsToSnapshot=True)
    assert world.cluster(name)["Status"] == "available", "the first read still sees the old state"
    busy = world.cluster(name)
    assert busy["Status"] == "configuring-log-exports" and busy["PendingModifiedValues"]["PendingCloudwatchLogsExports"]
    world.settled(name)
    assert world.cluster(name)["EnabledCloudwatchLogsExports"] == ["iam-db-auth-error", "postgresql"]

    later = modify(
        DBClusterIdentifier=name,
        EngineVersion="16.6",
        EnableIAMDatabaseAuthentication=True,
        StorageType="aurora-iopt1",
        BackupRetentionPeriod=7,
    )["DBCluster"]
    waiting = {
        "EngineVersion": "16.6",
        "IAMDatabaseAuthenticationEnabled": True,
        "StorageType": "aurora-iopt1",
        "BackupRetentionPeriod": 7,
    }
    assert later["PendingModifiedValues"] == waiting and later["Status"] == "available", later
    assert world.settled(name) == ["available", "available"]
    modify(DBClusterIdentifier=name, AutoMinorVersionUpgrade=False)
    world.settled(name)
    assert world.cluster(name)["PendingModifiedValues"] == waiting, "without ApplyImmediately nothing goes along"
    modify(DBClusterIdentifier=name, StorageType="aurora")
    assert "StorageType" not in world.cluster(name)["PendingModifiedValues"], "asking for what is there cancels"
    modify(DBClusterIdentifier=name, CopyTagsToSnapshot=True, ApplyImmediately=True)
    assert "upgrading" in world.settled(name), "what waited goes along"
    flushed = world.cluster(name)
    assert "PendingModifiedValues" not in flushed
    assert (
        flushed["EngineVersion"],
        flushed["BackupRetentionPeriod"],
        flushed["IAMDatabaseAuthenticationEnabled"],
    ) == ("16.6", 7, True)
    world.instance_settled("main-1")
    assert world.instance("main-1")["EngineVersion"] == "16.6"
    refused("InvalidParameterCombination", "Cannot upgrade", modify, DBClusterIdentifier=name, EngineVersion="16.4")

    modify(DBClusterIdentifier=name, StorageType="aurora-iopt1", ApplyImmediately=True)
    world.settled(name)
    assert world.cluster(name)["StorageType"] == "aurora-iopt1"
    modify(DBClusterIdentifier=name, StorageType="aurora", ApplyImmediately=True)
    world.settled(name)
    assert "StorageType" not in world.cluster(name)
    refused(
        "InvalidParameterCombination",
        "30 days",
        modify,
        DBClusterIdentifier=name,
        StorageType="aurora-iopt1",
        ApplyImmediately=True,
    )

    modify(
        DBClusterIdentifier=name,
        DatabaseInsightsMode="advanced",
        EnablePerformanceInsights=True,
        PerformanceInsightsRetentionPeriod=465,
        ServerlessV2ScalingConfiguration={"MinCapacity": 0, "MaxCapacity": 4},
        VpcSecurityGroupIds=["sg-1", "sg-2"],
    )
    assert {one["Status"] for one in world.cluster(name)["VpcSecurityGroups"]} == {"active", "adding"}
    world.settled(name)
    shown = world.cluster(name)
    assert shown["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": 0.0,
        "MaxCapacity": 4.0,
        "SecondsUntilAutoPause": 300,
    }
    assert shown["DatabaseInsightsMode"] == "advanced" and world.instance("main-1")["PerformanceInsightsEnabled"]
    assert {one["Status"] for one in shown["VpcSecurityGroups"]} == {"active"}
    refused(
        "InvalidParameterCombination",
        "advanced mode",
        modify,
        DBClusterIdentifier=name,
        EnablePerformanceInsights=False,
    )
    rds.disable_http_endpoint(ResourceArn=shown["DBClusterArn"])
    assert world.cluster(name)["HttpEndpointEnabled"] is False
    modify(DBClusterIdentifier=name, RotateMasterUserPassword=True, ApplyImmediately=True)
    assert world.cluster(name)["MasterUserSecret"]["SecretStatus"] == "rotating"
    world.settled(name)
    assert world.cluster(name)["MasterUserSecret"]["SecretStatus"] == "active"
    refused(
        "InvalidParameterCombination",
        "MasterUserPassword must be given",
        modify,
        DBClusterIdentifier=name,
        ManageMasterUserPassword=False,
    )


def upgrades(world):
    rds, name = world.rds, "main"
    for family in ("aurora-postgresql16", "aurora-postgresql17"):
        rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName=f"c-{family[-2:]}", DBParameterGroupFamily=family, Description="d"
        )
        rds.create_db_parameter_group(
            DBParameterGroupName=f"i-{family[-2:]}", DBParameterGroupFamily=family, Description="d"
        )
    world.make(name, 1, DBClusterParameterGroupName="c-16", EngineVersion="16.6")
    rds.modify_db_instance(DBInstanceIdentifier="main-1", DBParameterGroupName="i-16", ApplyImmediately=True)
    world.instance_settled("main-1")
    major = {"DBClusterIdentifier": name, "EngineVersion": "17.4", "ApplyImmediately": True}
    refused("InvalidParameterCombination", "AllowMajorVersionUpgrade", rds.modify_db_cluster, **major)
    major["AllowMajorVersionUpgrade"] = True
    refused("InvalidParameterCombination", "c-16", rds.modify_db_cluster, **major)
    major["DBClusterParameterGroupName"] = "c-17"
    refused("InvalidParameterCombination", "i-16", rds.modify_db_cluster, **major)
    refused(
        "InvalidParameterCombination",
        "major version upgrade",
        rds.modify_db_cluster,
        DBClusterIdentifier=name,
        DBInstanceParameterGroupName="i-17",
        EngineVersion="16.8",
    )
    control("settings", upgrade_refused="Unable to upgrade DB cluster: a check failed")
    rds.modify_db_cluster(**major, DBInstanceParameterGroupName="i-17")
    assert "upgrading" in world.settled(name)
    assert world.cluster(name)["EngineVersion"] == "16.6"
    events = rds.describe_events(SourceIdentifier=name, SourceType="db-cluster")["Events"]
    assert "Unable to upgrade" in events[-1]["Message"], events
    world.instance_settled("main-1")
    rds.modify_db_cluster(**major, DBInstanceParameterGroupName="i-17")
    world.settled(name)
    world.instance_settled("main-1")
    after = world.cluster(name)
    assert (after["EngineVersion"], after["DBClusterParameterGroup"]) == ("17.4", "c-17")
    assert world.instance("main-1")["DBParameterGroups"][0]["DBParameterGroupName"] == "i-17"
    rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName="c-16")
    refused(
        "InvalidDBParameterGroupState",
        "still members",
        rds.delete_db_cluster_parameter_group,
        DBClusterParameterGroupName="c-17",
    )
    refused("InvalidDBParameterGroupState", "still members", rds.delete_db_parameter_group, DBParameterGroupName="i-17")
    versions = rds.describe_db_engine_versions(Engine="aurora-postgresql", EngineVersion="16")["DBEngineVersions"]
    assert {one["EngineVersion"] for one in versions} == {"16.1", "16.2", "16.3", "16.4", "16.6", "16.8"}
    targets = {one["EngineVersion"]: one["IsMajorVersionUpgrade"] for one in versions[3]["ValidUpgradeTarget"]}
    assert targets["16.6"] is False and targets["17.4"] is True and "15.8" not in targets


def deletion(world):
    rds, name = world.rds, "main"
    made = world.make(name, 2, DeletionProtection=True, CopyTagsToSnapshot=True, Tags=[{"Key": "k", "Value": "v"}])
    refused(
        "InvalidParameterCombination",
        "disable deletion protection",
        rds.delete_db_cluster,
        DBClusterIdentifier=name,
        SkipFinalSnapshot=True,
    )
    rds.modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=False)
    world.settled(name)
    refused(
        "InvalidParameterCombination",
        "FinalDBSnapshotIdentifier is required",
        rds.delete_db_cluster,
        DBClusterIdentifier=name,
    )
    refused(
        "InvalidParameterCombination",
        "can not be specified",
        rds.delete_db_cluster,
        DBClusterIdentifier=name,
        SkipFinalSnapshot=True,
        FinalDBSnapshotIdentifier="last",
    )
    refused(
        "InvalidDBClusterStateFault",
        "non-deleting",
        rds.delete_db_cluster,
        DBClusterIdentifier=name,
        SkipFinalSnapshot=True,
    )
    rds.delete_db_instance(DBInstanceIdentifier="main-1", SkipFinalSnapshot=True)
    refused("InvalidDBInstanceState", "already being deleted", rds.delete_db_instance, DBInstanceIdentifier="main-1")
    assert [
        one["DBInstanceIdentifier"] for one in world.cluster(name)["DBClusterMembers"] if one["IsClusterWriter"]
    ] == ["main-2"]
    rds.delete_db_instance(DBInstanceIdentifier="main-2")
    rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier="there", DBClusterIdentifier=name)
    refused(
        "DBClusterSnapshotAlreadyExistsFault",
        "there",
        rds.delete_db_cluster,
        DBClusterIdentifier=name,
        FinalDBSnapshotIdentifier="there",
    )
    assert (
        rds.delete_db_cluster(DBClusterIdentifier=name, FinalDBSnapshotIdentifier="last")["DBCluster"]["Status"]
        == "deleting"
    )
    refused(
        "InvalidDBClusterStateFault",
        "already being deleted",
        rds.delete_db_cluster,
        DBClusterIdentifier=name,
        SkipFinalSnapshot=True,
    )
    for _ in range(5):
        assert world.cluster(name)["Status"] == "deleting", "it waits for its members"
    for _ in range(9):
        rds.describe_db_instances()
        if not rds.describe_db_clusters()["DBClusters"]:
            break
    assert refused("DBClusterNotFoundFault", name, rds.describe_db_clusters, DBClusterIdentifier=name) == 404
    snapshot = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier="last")["DBClusterSnapshots"][0]
    assert snapshot["DbClusterResourceId"] == made["DbClusterResourceId"] and snapshot["TagList"] == [
        {"Key": "k", "Value": "v"}
    ]
    again = rds.create_db_cluster(**world.base(name))["DBCluster"]
    assert again["DbClusterResourceId"] != made["DbClusterResourceId"]


def pages(world):
    rds = world.rds
    for number in range(105):
        rds.create_db_cluster(**world.base(f"c{number:03}"))
    first = rds.describe_db_clusters()
    assert len(first["DBClusters"]) == 100 and first["Marker"]
    second = rds.describe_db_clusters(Marker=first["Marker"])
    assert len(second["DBClusters"]) == 5 and "Marker" not in second
    refused("InvalidParameterValue", "MaxRecords", rds.describe_db_clusters, MaxRecords=19)
    refused("InvalidParameterValue", "MaxRecords", rds.describe_db_instances, MaxRecords=101)
    refused("InvalidParameterValue", "filter", rds.describe_db_clusters, Filters=[{"Name": "nope", "Values": ["x"]}])
