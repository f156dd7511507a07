"""Stories of what clusters are made of and with."""

import datetime

from check_world import client, control, refused


def instances(world):
    rds, name = world.rds, "main"
    world.make(name, 3)
    cluster = world.cluster(name)
    assert [one["IsClusterWriter"] for one in cluster["DBClusterMembers"]] == [True, False, False] and cluster[
        "MultiAZ"
    ]
    assert len({world.instance(f"main-{number}")["AvailabilityZone"] for number in (1, 2, 3)}) == 3
    modify = rds.modify_db_instance
    refused(
        "InvalidParameterCombination", "ModifyDbCluster", modify, DBInstanceIdentifier="main-1", EngineVersion="16.6"
    )
    refused(
        "InvalidParameterCombination",
        "for the DB Cluster",
        modify,
        DBInstanceIdentifier="main-1",
        BackupRetentionPeriod=3,
    )
    refused(
        "InvalidParameterValue",
        "Invalid DB Instance class",
        modify,
        DBInstanceIdentifier="main-1",
        DBInstanceClass="db.m1.tiny",
    )
    refused(
        "InvalidParameterCombination",
        "Serverless v2",
        modify,
        DBInstanceIdentifier="main-1",
        DBInstanceClass="db.serverless",
    )
    refused("CertificateNotFound", "nope", modify, DBInstanceIdentifier="main-1", CACertificateIdentifier="nope")
    modify(DBInstanceIdentifier="main-1", DBInstanceClass="db.r6g.xlarge")
    waiting = world.instance("main-1")
    assert (
        waiting["PendingModifiedValues"] == {"DBInstanceClass": "db.r6g.xlarge"}
        and waiting["DBInstanceStatus"] == "available"
    )
    modify(DBInstanceIdentifier="main-1", PromotionTier=5, ApplyImmediately=True)
    assert "modifying" in world.instance_settled("main-1")
    assert (
        world.instance("main-1")["DBInstanceClass"] == "db.r6g.xlarge"
        and world.instance("main-1")["PromotionTier"] == 5
    )
    refused(
        "InvalidParameterValue",
        "IAM role ARN value is invalid or does not include the required permissions",
        modify,
        DBInstanceIdentifier="main-1",
        MonitoringInterval=60,
        MonitoringRoleArn="arn:aws:iam::111122223333:role/none",
    )
    rds.failover_db_cluster(DBClusterIdentifier=name, TargetDBInstanceIdentifier="main-3")
    assert "failing-over" in world.settled(name)
    assert [one["IsClusterWriter"] for one in world.cluster(name)["DBClusterMembers"]] == [False, False, True]
    rds.reboot_db_instance(DBInstanceIdentifier="main-1")
    refused("InvalidDBInstanceState", "not currently", rds.reboot_db_instance, DBInstanceIdentifier="main-1")
    assert "rebooting" in world.instance_settled("main-1")
    names = control("scale", cluster=name, count=2, region=world.region)
    assert all(one.startswith("application-autoscaling-") for one in names)
    assert world.instance(names[0])["PromotionTier"] == 15
    options = rds.describe_orderable_db_instance_options(
        Engine="aurora-postgresql", EngineVersion="16.4", DBInstanceClass="db.r6g.large"
    )["OrderableDBInstanceOptions"]
    assert [zone["Name"] for zone in options[0]["AvailabilityZones"]] == [world.region + letter for letter in "abc"]
    assert (
        rds.describe_orderable_db_instance_options(
            Engine="aurora-postgresql", EngineVersion="16.4", DBInstanceClass="db.m1.tiny"
        )["OrderableDBInstanceOptions"]
        == []
    )


def parameters(world):
    rds = world.rds
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="Group",
        DBParameterGroupFamily="aurora-postgresql16",
        Description="d",
        Tags=[{"Key": "k", "Value": "v"}],
    )
    refused(
        "DBParameterGroupAlreadyExists",
        "group",
        rds.create_db_cluster_parameter_group,
        DBClusterParameterGroupName="group",
        DBParameterGroupFamily="aurora-postgresql16",
        Description="d",
    )
    refused(
        "InvalidParameterValue",
        "family",
        rds.create_db_cluster_parameter_group,
        DBClusterParameterGroupName="x",
        DBParameterGroupFamily="postgres16",
        Description="d",
    )
    arn = rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName="group")["DBClusterParameterGroups"][0][
        "DBClusterParameterGroupArn"
    ]
    assert rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "k", "Value": "v"}]
    assert (
        refused(
            "DBParameterGroupNotFound", "gone", rds.list_tags_for_resource, ResourceName=arn.replace("group", "gone")
        )
        == 404
    )
    world.make("main", 1, DBClusterParameterGroupName="group")

    def modify(name, value, method):
        return rds.modify_db_cluster_parameter_group(
            DBClusterParameterGroupName="group",
            Parameters=[{"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}],
        )

    def status():
        return world.cluster("main")["DBClusterMembers"][0]["DBClusterParameterGroupStatus"]

    for code, words, arguments in (
        ("InvalidParameterCombination", "static", ("max_connections", "500", "immediate")),
        ("InvalidParameterValue", "allowed values", ("max_connections", "2", "pending-reboot")),
        ("InvalidParameterValue", "Could not find", ("no_such", "2", "pending-reboot")),
        ("InvalidParameterValue", "cannot be modified", ("data_directory", "/", "pending-reboot")),
        ("InvalidParameterValue", "allowed values", ("log_statement", "some", "immediate")),
    ):
        refused(code, words, lambda arguments=arguments: modify(*arguments))
    refused(
        "InvalidParameterValue",
        "20",
        rds.modify_db_cluster_parameter_group,
        DBClusterParameterGroupName="group",
        Parameters=[{"ParameterName": "log_statement", "ParameterValue": "all", "ApplyMethod": "immediate"}] * 21,
    )
    modify("log_min_duration_statement", "500", "immediate")
    assert [status(), status()] == ["applying", "in-sync"]
    modify("max_connections", "500", "pending-reboot")
    assert [status(), status()] == ["pending-reboot", "pending-reboot"]
    rds.reboot_db_instance(DBInstanceIdentifier="main-1")
    world.instance_settled("main-1")
    assert status() == "in-sync"
    found = rds.describe_db_cluster_parameters(DBClusterParameterGroupName="group", Source="user")["Parameters"]
    assert {one["ParameterName"]: one["ParameterValue"] for one in found} == {
        "log_min_duration_statement": "500",
        "max_connections": "500",
    }
    chosen = rds.describe_db_cluster_parameters(
        DBClusterParameterGroupName="group", Filters=[{"Name": "parameter-name", "Values": ["ssl", "work_mem"]}]
    )["Parameters"]
    assert [(one["ParameterName"], one["ApplyType"], one["IsModifiable"]) for one in chosen] == [
        ("ssl", "static", False),
        ("work_mem", "dynamic", True),
    ]
    pages = list(
        rds.get_paginator("describe_db_cluster_parameters").paginate(
            DBClusterParameterGroupName="group", PaginationConfig={"PageSize": 20}
        )
    )
    assert len(pages) > 2 and sum(len(one["Parameters"]) for one in pages) > 60
    rds.reset_db_cluster_parameter_group(
        DBClusterParameterGroupName="group",
        Parameters=[{"ParameterName": "log_min_duration_statement", "ApplyMethod": "immediate"}],
    )
    assert (
        len(rds.describe_db_cluster_parameters(DBClusterParameterGroupName="group", Source="user")["Parameters"]) == 1
    )
    rds.create_db_parameter_group(
        DBParameterGroupName="i", DBParameterGroupFamily="aurora-postgresql16", Description="d"
    )
    refused(
        "InvalidParameterValue",
        "Could not find",
        rds.modify_db_parameter_group,
        DBParameterGroupName="i",
        Parameters=[{"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}],
    )
    rds.modify_db_instance(DBInstanceIdentifier="main-1", DBParameterGroupName="i")
    world.instance_settled("main-1")
    assert world.instance("main-1")["DBParameterGroups"] == [
        {"DBParameterGroupName": "i", "ParameterApplyStatus": "pending-reboot"}
    ]


def subnets(world):
    rds = world.rds
    group = rds.modify_db_subnet_group(DBSubnetGroupName="net", SubnetIds=["subnet-a", "subnet-d"])["DBSubnetGroup"]
    assert [one["SubnetIdentifier"] for one in group["Subnets"]] == ["subnet-a", "subnet-d"]
    assert rds.describe_db_subnet_groups(DBSubnetGroupName="net")["DBSubnetGroups"] == [group]
    refused(
        "DBSubnetGroupAlreadyExists",
        "net",
        rds.create_db_subnet_group,
        DBSubnetGroupName="NET",
        DBSubnetGroupDescription="d",
        SubnetIds=["subnet-a", "subnet-b"],
    )
    refused(
        "DBSubnetGroupDoesNotCoverEnoughAZs",
        "at least 2",
        rds.create_db_subnet_group,
        DBSubnetGroupName="one",
        DBSubnetGroupDescription="d",
        SubnetIds=["subnet-a"],
    )
    refused(
        "InvalidSubnet",
        "other",
        rds.create_db_subnet_group,
        DBSubnetGroupName="one",
        DBSubnetGroupDescription="d",
        SubnetIds=["subnet-a", "other"],
    )
    assert refused("DBSubnetGroupNotFoundFault", "none", rds.describe_db_subnet_groups, DBSubnetGroupName="none") == 404
    world.make("main")
    refused("InvalidDBSubnetGroupStateFault", "still using", rds.delete_db_subnet_group, DBSubnetGroupName="net")


def scaling(world):
    targets = client("application-autoscaling", world.region)
    what = {
        "ServiceNamespace": "rds",
        "ResourceId": "cluster:main",
        "ScalableDimension": "rds:cluster:ReadReplicaCount",
    }
    refused(
        "ValidationException", "does not exist", targets.register_scalable_target, **what, MinCapacity=1, MaxCapacity=3
    )
    world.make("main", 1)
    refused("ValidationException", "required", targets.register_scalable_target, **what)
    targets.register_scalable_target(**what, MinCapacity=1, MaxCapacity=3)
    targets.register_scalable_target(**what, MaxCapacity=4)
    shown = targets.describe_scalable_targets(ServiceNamespace="rds")["ScalableTargets"]
    assert [(one["MinCapacity"], one["MaxCapacity"]) for one in shown] == [(1, 4)]
    tracking = {
        "TargetValue": 60.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "RDSReaderAverageCPUUtilization"},
    }
    targets.put_scaling_policy(
        **what, PolicyName="cpu", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=tracking
    )
    policies = targets.describe_scaling_policies(ServiceNamespace="rds")["ScalingPolicies"]
    assert policies[0]["TargetTrackingScalingPolicyConfiguration"] == tracking
    targets.deregister_scalable_target(**what)
    assert targets.describe_scaling_policies(ServiceNamespace="rds")["ScalingPolicies"] == []
    refused("ObjectNotFoundException", "cluster:main", targets.deregister_scalable_target, **what)


def others(world):
    """What a test does to the emulator itself."""
    rds = world.rds
    world.make("main", 1)
    arn = world.cluster("main")["DBClusterArn"]
    control("maintenance", arn=arn, action="system-update", region=world.region)
    found = rds.describe_pending_maintenance_actions(Filters=[{"Name": "db-cluster-id", "Values": ["main"]}])[
        "PendingMaintenanceActions"
    ]
    assert found[0]["PendingMaintenanceActionDetails"][0]["Action"] == "system-update"
    control("events", source="main", kind="db-cluster", message="hello", region=world.region)
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
    assert rds.describe_events(StartTime=since)["Events"][-1]["Message"] == "hello"
    control("set", cluster="main", fields={"EngineVersion": "16.6"}, region=world.region)
    assert world.instance("main-1")["EngineVersion"] == "16.6"
    rds.modify_db_cluster(DBClusterIdentifier="main", BackupRetentionPeriod=9)
    control("window", cluster="main", region=world.region)
    assert world.cluster("main")["BackupRetentionPeriod"] == 9
    control("settings", stuck=["main"])
    rds.modify_db_cluster(DBClusterIdentifier="main", CopyTagsToSnapshot=True)
    assert {world.cluster("main")["Status"] for _ in range(9)} == {"available"}
    control("settings", stuck=[])
    control("settings", denied=["rds:DescribeEvents", "application-autoscaling:*"])
    assert refused("AccessDenied", "rds:DescribeEvents", rds.describe_events) == 403
    targets = client("application-autoscaling", world.region)
    refused("AccessDeniedException", "Describe", targets.describe_scalable_targets, ServiceNamespace="rds")
    control("settings", denied=[])
    assert client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::111122223333:user/operator"
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["a"])
    assert rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "b", "Value": "2"}]
