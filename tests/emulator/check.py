"""Asserts what infra relies on in the emulator, with boto3 as another client: python check.py

The emulator is found through AWS_ENDPOINT_URL. Every function is a story in a region of its own, so that none sees
another's clusters.
"""

import datetime
import json
import os
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

URL = os.environ["AWS_ENDPOINT_URL"]
ACCOUNT = "111122223333"


def client(name, region="eu-central-1"):
    return boto3.client(name, region_name=region, config=Config(retries={"total_max_attempts": 1}))


def control(path, **asked):
    data = json.dumps(asked).encode()
    return json.loads(urllib.request.urlopen(urllib.request.Request(f"{URL}/_emulator/{path}", data)).read())


def refused(code, words, call, **arguments):
    """The call is refused with this code, a message with these words in it, and the right HTTP status."""
    try:
        call(**arguments)
    except ClientError as error:
        said = error.response["Error"]
        assert said["Code"] == code, (said, code)
        assert words in said["Message"], (said, words)
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"not refused: {code} {words} {arguments}")


class World:
    """A region with a subnet group, in which clusters are made."""

    def __init__(self, region):
        self.region = region
        self.rds = client("rds", region)
        self.rds.create_db_subnet_group(
            DBSubnetGroupName="net", DBSubnetGroupDescription="d", SubnetIds=["subnet-a", "subnet-b", "subnet-c"]
        )

    def base(self, name, **more):
        return {
            "DBClusterIdentifier": name,
            "Engine": "aurora-postgresql",
            "EngineVersion": "16.4",
            "MasterUsername": "infra_master",
            "ManageMasterUserPassword": True,
            "DBSubnetGroupName": "net",
            "VpcSecurityGroupIds": ["sg-1"],
        } | more

    def cluster(self, name):
        return self.rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]

    def instance(self, name):
        return self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def settled(self, name):
        """Reads until it is available twice, and tells what was seen on the way."""
        seen = []
        while seen[-2:] != ["available", "available"]:
            assert len(seen) < 30, seen
            seen.append(self.cluster(name)["Status"])
        return seen

    def instance_settled(self, name):
        seen = []
        while seen[-2:] != ["available", "available"]:
            assert len(seen) < 30, seen
            seen.append(self.instance(name)["DBInstanceStatus"])
        return seen

    def make(self, name, instances=0, **more):
        made = self.rds.create_db_cluster(**self.base(name, **more))["DBCluster"]
        self.settled(name)
        for number in range(1, instances + 1):
            self.rds.create_db_instance(
                DBInstanceIdentifier=f"{name}-{number}",
                DBClusterIdentifier=name,
                DBInstanceClass="db.r6g.large",
                Engine="aurora-postgresql",
                PromotionTier=number - 1,
            )
            self.instance_settled(f"{name}-{number}")
        return made


def creation(world):
    rds, name = world.rds, "main"
    made = rds.create_db_cluster(
        **world.base(name, StorageEncrypted=True, KmsKeyId="alias/aurora", StorageType="aurora", Tags=[{"Key": "a", "Value": ""}],
            PreferredMaintenanceWindow="Sun:04:00-Sun:05:00", PreferredBackupWindow="02:00-03:00", EnableHttpEndpoint=True)
    )["DBCluster"]
    assert made["Status"] == "creating" and made["PreferredMaintenanceWindow"] == "sun:04:00-sun:05:00", made
    assert "StorageType" not in made and made["HttpEndpointEnabled"] is True
    assert made["TagList"] == [{"Key": "a", "Value": ""}]
    key = client("kms", world.region).describe_key(KeyId="alias/aurora")["KeyMetadata"]["Arn"]
    assert made["KmsKeyId"] == key, (made["KmsKeyId"], key)
    assert made["MasterUserSecret"]["SecretStatus"] == "creating"
    refused("DBClusterAlreadyExistsFault", "already exists", rds.create_db_cluster, **world.base(name))
    assert world.cluster(name)["DbClusterResourceId"] == made["DbClusterResourceId"]
    refused("InvalidDBClusterStateFault", "not currently in the available state", rds.modify_db_cluster, DBClusterIdentifier=name, Port=5433)
    refused("InvalidDBClusterStateFault", "which is creating", rds.create_db_instance, DBInstanceIdentifier="i", DBClusterIdentifier=name, DBInstanceClass="db.r6g.large", Engine="aurora-postgresql")
    assert world.settled(name) == ["creating", "available", "available"]
    assert world.cluster(name)["MasterUserSecret"]["SecretStatus"] == "creating"
    rds.create_db_instance(DBInstanceIdentifier="main-1", DBClusterIdentifier=name, DBInstanceClass="db.r6g.large", Engine="aurora-postgresql")
    assert "Endpoint" not in world.instance("main-1")
    assert world.instance_settled("main-1") == ["creating", "available", "available"]
    secret = world.cluster(name)["MasterUserSecret"]
    assert secret["SecretStatus"] == "active"
    value = json.loads(client("secretsmanager", world.region).get_secret_value(SecretId=secret["SecretArn"])["SecretString"])
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
        ("InvalidParameterCombination", "can't be used", {"DBClusterParameterGroupName": "default.aurora-postgresql15"}),
        ("InvalidParameterValue", "retention", {"BackupRetentionPeriod": 0}),
        ("InvalidParameterValue", "retention", {"BackupRetentionPeriod": 36}),
        ("InvalidParameterValue", "must not overlap", {"PreferredBackupWindow": "04:00-05:00", "PreferredMaintenanceWindow": "mon:04:30-mon:05:30"}),
        ("InvalidParameterValue", "at least 30 minutes", {"PreferredBackupWindow": "04:00-04:20"}),
        ("InvalidParameterValue", "storage type", {"StorageType": "gp3"}),
        ("InvalidParameterValue", "security group", {"VpcSecurityGroupIds": ["group"]}),
        ("KMSKeyNotAccessibleFault", "alias/nope", {"StorageEncrypted": True, "KmsKeyId": "alias/nope"}),
        ("InvalidParameterValue", "log types", {"EnableCloudwatchLogsExports": ["audit"]}),
        ("InvalidParameterCombination", "at least 465", {"DatabaseInsightsMode": "advanced"}),
        ("InvalidParameterCombination", "MonitoringRoleARN", {"MonitoringInterval": 60}),
        ("InvalidParameterValue", "IAM role ARN value is invalid", {"MonitoringInterval": 60, "MonitoringRoleArn": "arn:aws:iam::111122223333:role/nope"}),
        ("InvalidParameterCombination", "iam-db-auth", {"MasterUserAuthenticationType": "iam-db-auth", "EnableIAMDatabaseAuthentication": True}),
        ("InvalidParameterValue", "half-step", {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.7, "MaxCapacity": 4}}),
        ("InvalidParameterValue", "only be set when", {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4, "SecondsUntilAutoPause": 300}}),
        ("InvalidParameterValue", "aws:", {"Tags": [{"Key": "aws:x", "Value": ""}]}),
    ):
        refused(code, words, create, **world.base("fresh", **more))
    assert refused("DBClusterNotFoundFault", "fresh", world.rds.describe_db_clusters, DBClusterIdentifier="fresh") == 404
    plain = world.base("fresh")
    del plain["ManageMasterUserPassword"]
    refused("InvalidParameterValue", "MasterUserPassword", create, **plain)
    made = create(**plain, MasterUserAuthenticationType="iam-db-auth", EnableIAMDatabaseAuthentication=True)["DBCluster"]
    assert "MasterUserSecret" not in made


def changes(world):
    rds, name = world.rds, "main"
    world.make(name, 1)
    modify = rds.modify_db_cluster
    refused("InvalidParameterCombination", "No modifications", modify, DBClusterIdentifier=name, ApplyImmediately=True)
    answer = modify(DBClusterIdentifier=name, DeletionProtection=True, CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql", "iam-db-auth-error"]})["DBCluster"]
    assert answer["Status"] == "available" and answer["DeletionProtection"], answer
    refused("InvalidDBClusterStateFault", "not currently", modify, DBClusterIdentifier=name, CopyTagsToSnapshot=True)
    assert world.cluster(name)["Status"] == "available", "the first read still sees the old state"
    busy = world.cluster(name)
    assert busy["Status"] == "configuring-log-exports" and busy["PendingModifiedValues"]["PendingCloudwatchLogsExports"]
    world.settled(name)
    assert world.cluster(name)["EnabledCloudwatchLogsExports"] == ["iam-db-auth-error", "postgresql"]

    later = modify(DBClusterIdentifier=name, EngineVersion="16.6", EnableIAMDatabaseAuthentication=True, StorageType="aurora-iopt1", BackupRetentionPeriod=7)["DBCluster"]
    waiting = {"EngineVersion": "16.6", "IAMDatabaseAuthenticationEnabled": True, "StorageType": "aurora-iopt1", "BackupRetentionPeriod": 7}
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
    assert (flushed["EngineVersion"], flushed["BackupRetentionPeriod"], flushed["IAMDatabaseAuthenticationEnabled"]) == ("16.6", 7, True)
    world.instance_settled("main-1")
    assert world.instance("main-1")["EngineVersion"] == "16.6"
    refused("InvalidParameterCombination", "Cannot upgrade", modify, DBClusterIdentifier=name, EngineVersion="16.4")

    modify(DBClusterIdentifier=name, StorageType="aurora-iopt1", ApplyImmediately=True)
    world.settled(name)
    assert world.cluster(name)["StorageType"] == "aurora-iopt1"
    modify(DBClusterIdentifier=name, StorageType="aurora", ApplyImmediately=True)
    world.settled(name)
    assert "StorageType" not in world.cluster(name)
    refused("InvalidParameterCombination", "30 days", modify, DBClusterIdentifier=name, StorageType="aurora-iopt1", ApplyImmediately=True)

    modify(DBClusterIdentifier=name, DatabaseInsightsMode="advanced", EnablePerformanceInsights=True, PerformanceInsightsRetentionPeriod=465, ServerlessV2ScalingConfiguration={"MinCapacity": 0, "MaxCapacity": 4}, VpcSecurityGroupIds=["sg-1", "sg-2"])
    assert {one["Status"] for one in world.cluster(name)["VpcSecurityGroups"]} == {"active", "adding"}
    world.settled(name)
    shown = world.cluster(name)
    assert shown["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.0, "MaxCapacity": 4.0, "SecondsUntilAutoPause": 300}
    assert shown["DatabaseInsightsMode"] == "advanced" and world.instance("main-1")["PerformanceInsightsEnabled"]
    assert {one["Status"] for one in shown["VpcSecurityGroups"]} == {"active"}
    refused("InvalidParameterCombination", "advanced mode", modify, DBClusterIdentifier=name, EnablePerformanceInsights=False)
    rds.disable_http_endpoint(ResourceArn=shown["DBClusterArn"])
    assert world.cluster(name)["HttpEndpointEnabled"] is False
    modify(DBClusterIdentifier=name, RotateMasterUserPassword=True, ApplyImmediately=True)
    assert world.cluster(name)["MasterUserSecret"]["SecretStatus"] == "rotating"
    world.settled(name)
    assert world.cluster(name)["MasterUserSecret"]["SecretStatus"] == "active"
    refused("InvalidParameterCombination", "MasterUserPassword must be given", modify, DBClusterIdentifier=name, ManageMasterUserPassword=False)


def upgrades(world):
    rds, name = world.rds, "main"
    for family in ("aurora-postgresql16", "aurora-postgresql17"):
        rds.create_db_cluster_parameter_group(DBClusterParameterGroupName=f"c-{family[-2:]}", DBParameterGroupFamily=family, Description="d")
        rds.create_db_parameter_group(DBParameterGroupName=f"i-{family[-2:]}", DBParameterGroupFamily=family, Description="d")
    world.make(name, 1, DBClusterParameterGroupName="c-16", EngineVersion="16.6")
    rds.modify_db_instance(DBInstanceIdentifier="main-1", DBParameterGroupName="i-16", ApplyImmediately=True)
    world.instance_settled("main-1")
    major = {"DBClusterIdentifier": name, "EngineVersion": "17.4", "ApplyImmediately": True}
    refused("InvalidParameterCombination", "AllowMajorVersionUpgrade", rds.modify_db_cluster, **major)
    major["AllowMajorVersionUpgrade"] = True
    refused("InvalidParameterCombination", "c-16", rds.modify_db_cluster, **major)
    major["DBClusterParameterGroupName"] = "c-17"
    refused("InvalidParameterCombination", "i-16", rds.modify_db_cluster, **major)
    refused("InvalidParameterCombination", "major version upgrade", rds.modify_db_cluster, DBClusterIdentifier=name, DBInstanceParameterGroupName="i-17", EngineVersion="16.8")
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
    refused("InvalidDBParameterGroupState", "still members", rds.delete_db_cluster_parameter_group, DBClusterParameterGroupName="c-17")
    refused("InvalidDBParameterGroupState", "still members", rds.delete_db_parameter_group, DBParameterGroupName="i-17")
    versions = rds.describe_db_engine_versions(Engine="aurora-postgresql", EngineVersion="16")["DBEngineVersions"]
    assert {one["EngineVersion"] for one in versions} == {"16.1", "16.2", "16.3", "16.4", "16.6", "16.8"}
    targets = {one["EngineVersion"]: one["IsMajorVersionUpgrade"] for one in versions[3]["ValidUpgradeTarget"]}
    assert targets["16.6"] is False and targets["17.4"] is True and "15.8" not in targets


def instances(world):
    rds, name = world.rds, "main"
    world.make(name, 3)
    cluster = world.cluster(name)
    assert [one["IsClusterWriter"] for one in cluster["DBClusterMembers"]] == [True, False, False] and cluster["MultiAZ"]
    assert len({world.instance(f"main-{number}")["AvailabilityZone"] for number in (1, 2, 3)}) == 3
    modify = rds.modify_db_instance
    refused("InvalidParameterCombination", "ModifyDbCluster", modify, DBInstanceIdentifier="main-1", EngineVersion="16.6")
    refused("InvalidParameterCombination", "for the DB Cluster", modify, DBInstanceIdentifier="main-1", BackupRetentionPeriod=3)
    refused("InvalidParameterValue", "Invalid DB Instance class", modify, DBInstanceIdentifier="main-1", DBInstanceClass="db.m1.tiny")
    refused("InvalidParameterCombination", "Serverless v2", modify, DBInstanceIdentifier="main-1", DBInstanceClass="db.serverless")
    refused("CertificateNotFound", "nope", modify, DBInstanceIdentifier="main-1", CACertificateIdentifier="nope")
    modify(DBInstanceIdentifier="main-1", DBInstanceClass="db.r6g.xlarge")
    waiting = world.instance("main-1")
    assert waiting["PendingModifiedValues"] == {"DBInstanceClass": "db.r6g.xlarge"} and waiting["DBInstanceStatus"] == "available"
    modify(DBInstanceIdentifier="main-1", PromotionTier=5, ApplyImmediately=True)
    assert "modifying" in world.instance_settled("main-1")
    assert world.instance("main-1")["DBInstanceClass"] == "db.r6g.xlarge" and world.instance("main-1")["PromotionTier"] == 5
    refused("InvalidParameterValue", "IAM role ARN value is invalid or does not include the required permissions", modify, DBInstanceIdentifier="main-1", MonitoringInterval=60, MonitoringRoleArn="arn:aws:iam::111122223333:role/none")
    rds.failover_db_cluster(DBClusterIdentifier=name, TargetDBInstanceIdentifier="main-3")
    assert "failing-over" in world.settled(name)
    assert [one["IsClusterWriter"] for one in world.cluster(name)["DBClusterMembers"]] == [False, False, True]
    rds.reboot_db_instance(DBInstanceIdentifier="main-1")
    refused("InvalidDBInstanceState", "not currently", rds.reboot_db_instance, DBInstanceIdentifier="main-1")
    assert "rebooting" in world.instance_settled("main-1")
    names = control("scale", cluster=name, count=2, region=world.region)
    assert all(one.startswith("application-autoscaling-") for one in names)
    assert world.instance(names[0])["PromotionTier"] == 15
    options = rds.describe_orderable_db_instance_options(Engine="aurora-postgresql", EngineVersion="16.4", DBInstanceClass="db.r6g.large")["OrderableDBInstanceOptions"]
    assert [zone["Name"] for zone in options[0]["AvailabilityZones"]] == [world.region + letter for letter in "abc"]
    assert rds.describe_orderable_db_instance_options(Engine="aurora-postgresql", EngineVersion="16.4", DBInstanceClass="db.m1.tiny")["OrderableDBInstanceOptions"] == []


def parameters(world):
    rds = world.rds
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName="Group", DBParameterGroupFamily="aurora-postgresql16", Description="d", Tags=[{"Key": "k", "Value": "v"}])
    refused("DBParameterGroupAlreadyExists", "group", rds.create_db_cluster_parameter_group, DBClusterParameterGroupName="group", DBParameterGroupFamily="aurora-postgresql16", Description="d")
    refused("InvalidParameterValue", "family", rds.create_db_cluster_parameter_group, DBClusterParameterGroupName="x", DBParameterGroupFamily="postgres16", Description="d")
    arn = rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName="group")["DBClusterParameterGroups"][0]["DBClusterParameterGroupArn"]
    assert rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "k", "Value": "v"}]
    assert refused("DBParameterGroupNotFound", "gone", rds.list_tags_for_resource, ResourceName=arn.replace("group", "gone")) == 404
    world.make("main", 1, DBClusterParameterGroupName="group")

    def modify(name, value, method):
        return rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName="group", Parameters=[{"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}])

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
    refused("InvalidParameterValue", "20", rds.modify_db_cluster_parameter_group, DBClusterParameterGroupName="group", Parameters=[{"ParameterName": "log_statement", "ParameterValue": "all", "ApplyMethod": "immediate"}] * 21)
    modify("log_min_duration_statement", "500", "immediate")
    assert [status(), status()] == ["applying", "in-sync"]
    modify("max_connections", "500", "pending-reboot")
    assert [status(), status()] == ["pending-reboot", "pending-reboot"]
    rds.reboot_db_instance(DBInstanceIdentifier="main-1")
    world.instance_settled("main-1")
    assert status() == "in-sync"
    found = rds.describe_db_cluster_parameters(DBClusterParameterGroupName="group", Source="user")["Parameters"]
    assert {one["ParameterName"]: one["ParameterValue"] for one in found} == {"log_min_duration_statement": "500", "max_connections": "500"}
    chosen = rds.describe_db_cluster_parameters(DBClusterParameterGroupName="group", Filters=[{"Name": "parameter-name", "Values": ["ssl", "work_mem"]}])["Parameters"]
    assert [(one["ParameterName"], one["ApplyType"], one["IsModifiable"]) for one in chosen] == [("ssl", "static", False), ("work_mem", "dynamic", True)]
    pages = list(rds.get_paginator("describe_db_cluster_parameters").paginate(DBClusterParameterGroupName="group", PaginationConfig={"PageSize": 20}))
    assert len(pages) > 2 and sum(len(one["Parameters"]) for one in pages) > 60
    rds.reset_db_cluster_parameter_group(DBClusterParameterGroupName="group", Parameters=[{"ParameterName": "log_min_duration_statement", "ApplyMethod": "immediate"}])
    assert len(rds.describe_db_cluster_parameters(DBClusterParameterGroupName="group", Source="user")["Parameters"]) == 1
    rds.create_db_parameter_group(DBParameterGroupName="i", DBParameterGroupFamily="aurora-postgresql16", Description="d")
    refused("InvalidParameterValue", "Could not find", rds.modify_db_parameter_group, DBParameterGroupName="i", Parameters=[{"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}])
    rds.modify_db_instance(DBInstanceIdentifier="main-1", DBParameterGroupName="i")
    world.instance_settled("main-1")
    assert world.instance("main-1")["DBParameterGroups"] == [{"DBParameterGroupName": "i", "ParameterApplyStatus": "pending-reboot"}]


def subnets(world):
    rds = world.rds
    group = rds.modify_db_subnet_group(DBSubnetGroupName="net", SubnetIds=["subnet-a", "subnet-d"])["DBSubnetGroup"]
    assert [one["SubnetIdentifier"] for one in group["Subnets"]] == ["subnet-a", "subnet-d"]
    assert rds.describe_db_subnet_groups(DBSubnetGroupName="net")["DBSubnetGroups"] == [group]
    refused("DBSubnetGroupAlreadyExists", "net", rds.create_db_subnet_group, DBSubnetGroupName="NET", DBSubnetGroupDescription="d", SubnetIds=["subnet-a", "subnet-b"])
    refused("DBSubnetGroupDoesNotCoverEnoughAZs", "at least 2", rds.create_db_subnet_group, DBSubnetGroupName="one", DBSubnetGroupDescription="d", SubnetIds=["subnet-a"])
    refused("InvalidSubnet", "other", rds.create_db_subnet_group, DBSubnetGroupName="one", DBSubnetGroupDescription="d", SubnetIds=["subnet-a", "other"])
    assert refused("DBSubnetGroupNotFoundFault", "none", rds.describe_db_subnet_groups, DBSubnetGroupName="none") == 404
    world.make("main")
    refused("InvalidDBSubnetGroupStateFault", "still using", rds.delete_db_subnet_group, DBSubnetGroupName="net")


def deletion(world):
    rds, name = world.rds, "main"
    made = world.make(name, 2, DeletionProtection=True, CopyTagsToSnapshot=True, Tags=[{"Key": "k", "Value": "v"}])
    refused("InvalidParameterCombination", "disable deletion protection", rds.delete_db_cluster, DBClusterIdentifier=name, SkipFinalSnapshot=True)
    rds.modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=False)
    world.settled(name)
    refused("InvalidParameterCombination", "FinalDBSnapshotIdentifier is required", rds.delete_db_cluster, DBClusterIdentifier=name)
    refused("InvalidParameterCombination", "can not be specified", rds.delete_db_cluster, DBClusterIdentifier=name, SkipFinalSnapshot=True, FinalDBSnapshotIdentifier="last")
    refused("InvalidDBClusterStateFault", "non-deleting", rds.delete_db_cluster, DBClusterIdentifier=name, SkipFinalSnapshot=True)
    rds.delete_db_instance(DBInstanceIdentifier="main-1", SkipFinalSnapshot=True)
    refused("InvalidDBInstanceState", "already being deleted", rds.delete_db_instance, DBInstanceIdentifier="main-1")
    assert [one["DBInstanceIdentifier"] for one in world.cluster(name)["DBClusterMembers"] if one["IsClusterWriter"]] == ["main-2"]
    rds.delete_db_instance(DBInstanceIdentifier="main-2")
    rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier="there", DBClusterIdentifier=name)
    refused("DBClusterSnapshotAlreadyExistsFault", "there", rds.delete_db_cluster, DBClusterIdentifier=name, FinalDBSnapshotIdentifier="there")
    assert rds.delete_db_cluster(DBClusterIdentifier=name, FinalDBSnapshotIdentifier="last")["DBCluster"]["Status"] == "deleting"
    refused("InvalidDBClusterStateFault", "already being deleted", rds.delete_db_cluster, DBClusterIdentifier=name, SkipFinalSnapshot=True)
    for _ in range(5):
        assert world.cluster(name)["Status"] == "deleting", "it waits for its members"
    for _ in range(9):
        rds.describe_db_instances()
        if not rds.describe_db_clusters()["DBClusters"]:
            break
    assert refused("DBClusterNotFoundFault", name, rds.describe_db_clusters, DBClusterIdentifier=name) == 404
    snapshot = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier="last")["DBClusterSnapshots"][0]
    assert snapshot["DbClusterResourceId"] == made["DbClusterResourceId"] and snapshot["TagList"] == [{"Key": "k", "Value": "v"}]
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


def trust(principal):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def policy(resources):
    statement = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resources}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=8)


def identity(_):
    iam = client("iam")
    ana = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ana"}
    assert iam.create_role(RoleName="One", Path="/infra/test/", AssumeRolePolicyDocument=trust(ana), Tags=[{"Key": "a", "Value": "b"}])["Role"]["Arn"].endswith(":role/infra/test/One")
    assert refused("EntityAlreadyExists", "one", iam.create_role, RoleName="one", AssumeRolePolicyDocument=trust(ana)) == 409
    refused("MalformedPolicyDocument", "invalid Json", iam.create_role, RoleName="x", AssumeRolePolicyDocument="{")
    refused("MalformedPolicyDocument", "Principal", iam.create_role, RoleName="x", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}))
    refused("MalformedPolicyDocument", "Invalid principal in policy", iam.create_role, RoleName="x", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/nobody"}))
    refused("ValidationError", "64", iam.create_role, RoleName="x" * 65, AssumeRolePolicyDocument=trust(ana))
    refused("LimitExceeded", "2048", iam.update_assume_role_policy, RoleName="One", PolicyDocument=trust({"AWS": [f"arn:aws:iam::{ACCOUNT}:user/ana"] * 60}))
    refused("NoSuchEntity", "Scope ARN", iam.create_role, RoleName="x", AssumeRolePolicyDocument=trust(ana), PermissionsBoundary=f"arn:aws:iam::{ACCOUNT}:policy/none")
    wide = [f"arn:aws:rds-db:eu-central-1:{ACCOUNT}:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/u{number}" for number in range(100)]
    iam.put_role_policy(RoleName="One", PolicyName="connect", PolicyDocument=policy(wide))
    assert refused("LimitExceeded", "10240", iam.put_role_policy, RoleName="One", PolicyName="more", PolicyDocument=policy(wide)) == 409
    assert refused("DeleteConflict", "policies", iam.delete_role, RoleName="One") == 409
    boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=policy("*"))["Policy"]["Arn"]
    iam.create_role(RoleName="Two", Path="/infra/test/", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:role/infra/test/One"}), PermissionsBoundary=boundary)
    iam.attach_role_policy(RoleName="Two", PolicyArn="arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole")
    whole = iam.get_account_authorization_details(Filter=["Role", "LocalManagedPolicy"])
    one, two = whole["RoleDetailList"]
    assert one["Tags"] == [{"Key": "a", "Value": "b"}] and one["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == ana
    assert two["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    assert two["AttachedManagedPolicies"][0]["PolicyName"] == "AmazonRDSEnhancedMonitoringRole"
    assert [one["PolicyName"] for one in whole["Policies"]] == ["boundary"]
    first = iam.get_account_authorization_details(Filter=["Role"], MaxItems=1)
    assert first["IsTruncated"] and len(first["RoleDetailList"]) == 1
    second = iam.get_account_authorization_details(Filter=["Role"], MaxItems=1, Marker=first["Marker"])
    assert not second["IsTruncated"] and second["RoleDetailList"][0]["RoleName"] == "Two"
    iam.delete_role_policy(RoleName="One", PolicyName="connect")
    iam.delete_role(RoleName="One")
    orphan = iam.get_role(RoleName="Two")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]
    assert orphan.startswith("AROA"), orphan
    control("settings", roles_quota=1)
    assert iam.get_account_summary()["SummaryMap"]["RolesQuota"] == 1
    refused("LimitExceeded", "RolesPerAccount: 1", iam.create_role, RoleName="x", AssumeRolePolicyDocument=trust(ana))
    control("settings", roles_quota=None, role_lag=1)
    fresh = iam.create_role(RoleName="Three", AssumeRolePolicyDocument=trust(ana))["Role"]["Arn"]
    refused("MalformedPolicyDocument", "Invalid principal", iam.update_assume_role_policy, RoleName="Two", PolicyDocument=trust({"AWS": fresh}))
    iam.update_assume_role_policy(RoleName="Two", PolicyDocument=trust({"AWS": fresh}))
    control("settings", role_lag=0)


def scaling(world):
    targets = client("application-autoscaling", world.region)
    what = {"ServiceNamespace": "rds", "ResourceId": "cluster:main", "ScalableDimension": "rds:cluster:ReadReplicaCount"}
    refused("ValidationException", "does not exist", targets.register_scalable_target, **what, MinCapacity=1, MaxCapacity=3)
    world.make("main", 1)
    refused("ValidationException", "required", targets.register_scalable_target, **what)
    targets.register_scalable_target(**what, MinCapacity=1, MaxCapacity=3)
    targets.register_scalable_target(**what, MaxCapacity=4)
    shown = targets.describe_scalable_targets(ServiceNamespace="rds")["ScalableTargets"]
    assert [(one["MinCapacity"], one["MaxCapacity"]) for one in shown] == [(1, 4)]
    tracking = {"TargetValue": 60.0, "PredefinedMetricSpecification": {"PredefinedMetricType": "RDSReaderAverageCPUUtilization"}}
    targets.put_scaling_policy(**what, PolicyName="cpu", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=tracking)
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
    found = rds.describe_pending_maintenance_actions(Filters=[{"Name": "db-cluster-id", "Values": ["main"]}])["PendingMaintenanceActions"]
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
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["a"])
    assert rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "b", "Value": "2"}]


STORIES = (creation, refusals, changes, upgrades, instances, parameters, subnets, deletion, pages, scaling, others)
REGIONS = (
    "eu-central-1 eu-west-1 eu-west-2 eu-west-3 eu-north-1 us-east-1 us-east-2 us-west-1 us-west-2 ap-south-1 ap-northeast-1"
).split()


def main():
    failed = []
    for story, region in zip((*STORIES, identity), (*REGIONS, None)):
        try:
            story(World(region) if region else None)
        except Exception as error:
            import traceback

            traceback.print_exc()
            failed.append(f"{story.__name__}: {error!r}")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
