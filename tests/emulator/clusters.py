"""Clusters: made, read, failed over, deleted. Their changes are in cluster_changes.py."""

import copy

import instances
import parameters as groups
import rules
import snapshots
import subnets
from catalogue import DEFAULT_VERSION, ENGINE, LOG_TYPES, check_version, family, least_capacity
from keys import drop_secret, key_arn, make_secret, role_is_known
from rules import invalid
from store import Fault, Resource, action, check_tags, filters, now, page

LIFECYCLES = ("open-source-rds-extended-support", "open-source-rds-extended-support-disabled")


class Cluster(Resource):
    def __init__(self, name, shown):
        super().__init__(name, "Status", shown)
        self.writer = None
        self.master_auth = "password"
        # The groups that a major upgrade brings with it.
        self.upgrade = {}
        # What the log exports become when the change under way is done.
        self.logs = None


def find(region, name):
    if name.startswith("arn:"):
        name = name.rsplit(":", 1)[1]
    cluster = region.clusters.get(name.lower())
    if cluster is None:
        raise Fault("DBClusterNotFoundFault", f"DBCluster {name} not found.")
    return cluster


def combination(message):
    return Fault("InvalidParameterCombination", message)


def described(region, cluster):
    """The answer's form of a cluster, and a step forward in what is under way."""
    shown = copy.deepcopy(cluster.shown)
    members = region.members(cluster.name)
    shown["DBClusterMembers"] = [
        {
            "DBInstanceIdentifier": one.name,
            "IsClusterWriter": one.name == cluster.writer,
            "DBClusterParameterGroupStatus": one.cluster_group_status,
            "PromotionTier": one.shown["PromotionTier"],
        }
        for one in members
    ]
    shown["MultiAZ"] = len({one.shown["AvailabilityZone"] for one in members}) > 1
    if cluster.pending:
        shown["PendingModifiedValues"] = copy.deepcopy(cluster.pending)
    return shown


def read(region, cluster):
    shown = described(region, cluster)
    cluster.read()
    for one in region.members(cluster.name):
        if one.cluster_group_status == "applying":
            one.cluster_group_status = "in-sync"
    return shown


def insights(region, shown, asked):
    """Performance Insights and Database Insights, which a cluster and an instance ask for in the same words."""
    on = asked.get("EnablePerformanceInsights", shown.get("PerformanceInsightsEnabled", False))
    key, days = asked.get("PerformanceInsightsKMSKeyId"), asked.get("PerformanceInsightsRetentionPeriod")
    mode = asked.get("DatabaseInsightsMode", shown.get("DatabaseInsightsMode", "standard"))
    if mode not in ("standard", "advanced"):
        raise invalid(f"Invalid DatabaseInsightsMode: {mode}")
    if not on and (key or days):
        raise combination("Performance Insights settings can be given only when Performance Insights is enabled.")
    if days is not None:
        rules.check_insights_retention(days)
    if asked.get("DatabaseInsightsMode") == "advanced" and (
        asked.get("EnablePerformanceInsights") is not True or (days or 0) < 465
    ):
        raise combination(
            "To enable the advanced mode of Database Insights, EnablePerformanceInsights must be true and "
            "PerformanceInsightsRetentionPeriod at least 465 in the same request."
        )
    changed = {"DatabaseInsightsMode": mode, "PerformanceInsightsEnabled": on}
    if on:
        days = days or shown.get("PerformanceInsightsRetentionPeriod", 7)
        arn = shown.get("PerformanceInsightsKMSKeyId")
        if key and arn and key_arn(region, key, "") != arn:
            raise combination("You cannot change your Performance Insights KMS key.")
        changed["PerformanceInsightsRetentionPeriod"] = days
        changed["PerformanceInsightsKMSKeyId"] = arn or key_arn(region, key, "alias/aws/rds")
    if mode == "advanced" and (not on or days < 465):
        raise combination(
            "The advanced mode of Database Insights needs Performance Insights with a retention of at least 465 days."
        )
    return changed


def set_insights(shown, changed):
    for field in ("PerformanceInsightsRetentionPeriod", "PerformanceInsightsKMSKeyId"):
        shown.pop(field, None)
    shown |= changed


def check_logs(types):
    for one in types:
        if one not in LOG_TYPES:
            raise invalid(
                f"You cannot use the log types '{one}' with engine version {ENGINE}. For supported log types, see the documentation."
            )
    return sorted(set(types))


def check_scaling(asked, version):
    """The capacity range of a serverless cluster as it is shown."""
    least, most = float(asked["MinCapacity"]), float(asked["MaxCapacity"])
    pause = asked.get("SecondsUntilAutoPause")
    rules.check_capacity(least, most, pause, least_capacity(version))
    shown = {"MinCapacity": least, "MaxCapacity": most}
    if least == 0:
        shown["SecondsUntilAutoPause"] = pause or 300
    return shown


def check_storage(storage):
    if storage not in (None, "", "aurora", "aurora-iopt1"):
        raise invalid(f"Invalid storage type: {storage}")
    return storage


def parameter_group(region, name, version):
    """A cluster parameter group that fits the version."""
    group = groups.CLUSTER.find(region, name or f"default.{family(version)}")
    check_family(group, version)
    return group.name


def check_family(group, version):
    if group.family != family(version):
        raise combination(
            f"The Parameter Group {group.name} with DBParameterGroupFamily {group.family} can't be used for this "
            f"instance. Use a Parameter Group with DBParameterGroupFamily {family(version)}."
        )


@action
def create_db_cluster(region, asked):
    name = rules.check_identifier(asked["DBClusterIdentifier"], "DBClusterIdentifier")
    if name in region.clusters:
        raise Fault("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    if asked["Engine"] != ENGINE:
        raise invalid(f"Invalid DB engine: {asked['Engine']}")
    if asked.get("EngineMode", "provisioned") != "provisioned":
        raise combination(f"The engine mode {asked['EngineMode']} is not supported.")
    version = asked.get("EngineVersion", DEFAULT_VERSION)
    check_version(version)
    user, auth = asked.get("MasterUsername"), asked.get("MasterUserAuthenticationType", "password")
    check_master(asked, user, auth)
    if not asked.get("DBSubnetGroupName"):
        raise Fault("DBSubnetGroupNotFoundFault", "DB subnet group 'default' does not exist.")
    subnet_group = subnets.find(region, asked["DBSubnetGroupName"])
    backup = asked.get("PreferredBackupWindow", "03:10-03:40")
    maintenance = asked.get("PreferredMaintenanceWindow", "tue:05:13-tue:05:43").lower()
    rules.check_windows(backup, maintenance)
    rules.check_range(asked.get("BackupRetentionPeriod", 1), 1, 35, "backup retention period")
    rules.check_range(asked.get("Port", 5432), 1150, 65535, "port")
    interval, role = asked.get("MonitoringInterval", 0), asked.get("MonitoringRoleArn")
    rules.check_monitoring(interval, role, lambda arn: role_is_known(region, arn))
    lifecycle = asked.get("EngineLifecycleSupport", LIFECYCLES[0])
    if lifecycle not in LIFECYCLES:
        raise invalid(f"Invalid EngineLifecycleSupport: {lifecycle}")
    if asked.get("NetworkType", "IPV4") not in ("IPV4", "DUAL"):
        raise invalid(f"Invalid network type: {asked['NetworkType']}")
    security = asked.get("VpcSecurityGroupIds", ["sg-default"])
    rules.check_security_groups(security)
    encrypted = asked.get("StorageEncrypted", False)
    if asked.get("KmsKeyId") and not encrypted:
        raise combination("KmsKeyId can be given only when StorageEncrypted is true.")
    shown = {
        "AllocatedStorage": 1,
        "AvailabilityZones": region.zones(),
        "BackupRetentionPeriod": asked.get("BackupRetentionPeriod", 1),
        "DBClusterIdentifier": name,
        "DBClusterParameterGroup": parameter_group(region, asked.get("DBClusterParameterGroupName"), version),
        "DBSubnetGroup": subnet_group.name,
        "Status": "creating",
        "Endpoint": region.host(name, "cluster-"),
        "ReaderEndpoint": region.host(name, "cluster-ro-"),
        "Engine": ENGINE,
        "EngineVersion": version,
        "EngineMode": "provisioned",
        "Port": asked.get("Port", 5432),
        "MasterUsername": user,
        "PreferredBackupWindow": backup,
        "PreferredMaintenanceWindow": maintenance,
        "VpcSecurityGroups": [{"VpcSecurityGroupId": one, "Status": "active"} for one in security],
        "HostedZoneId": "Z0EMULATED",
        "StorageEncrypted": encrypted,
        "DbClusterResourceId": region.resource_id("cluster-", name),
        "DBClusterArn": region.arn("cluster", name),
        "AssociatedRoles": [],
        "IAMDatabaseAuthenticationEnabled": asked.get("EnableIAMDatabaseAuthentication", False),
        "ClusterCreateTime": now(),
        "EnabledCloudwatchLogsExports": check_logs(asked.get("EnableCloudwatchLogsExports", [])),
        "DeletionProtection": asked.get("DeletionProtection", False),
        "HttpEndpointEnabled": asked.get("EnableHttpEndpoint", False),
        "CopyTagsToSnapshot": asked.get("CopyTagsToSnapshot", False),
        "CrossAccountClone": False,
        "TagList": check_tags(asked.get("Tags", [])),
        "AutoMinorVersionUpgrade": asked.get("AutoMinorVersionUpgrade", True),
        "NetworkType": asked.get("NetworkType", "IPV4"),
        "MonitoringInterval": interval,
        "EngineLifecycleSupport": lifecycle,
    }
    shown |= insights(region, {}, asked)
    if role:
        shown["MonitoringRoleArn"] = role
    if check_storage(asked.get("StorageType")) == "aurora-iopt1":
        shown["StorageType"] = "aurora-iopt1"
    if encrypted:
        shown["KmsKeyId"] = key_arn(region, asked.get("KmsKeyId"), "alias/aws/rds")
    if asked.get("ServerlessV2ScalingConfiguration"):
        shown["ServerlessV2ScalingConfiguration"] = check_scaling(asked["ServerlessV2ScalingConfiguration"], version)
    cluster = Cluster(name, shown)
    cluster.master_auth = auth
    if asked.get("ManageMasterUserPassword"):
        make_secret(region, cluster, asked.get("MasterUserSecretKmsKeyId"))
    region.clusters[name] = cluster
    cluster.begin("creating", lambda: region.event(name, "db-cluster", "DB cluster created", ["creation"]))
    return {"DBCluster": described(region, cluster)}


def check_master(asked, user, auth):
    """Somebody must be able to log in first: by a password, by a managed one, or by a token."""
    if not user:
        raise invalid("The parameter MasterUsername must be provided and must not be blank.")
    if not (user[0].isalpha() and user.replace("_", "").isalnum() and len(user) <= 63) or user.lower() in (
        "rdsadmin",
        "postgres_admin",
        "admin",
    ):
        raise invalid(f"MasterUsername {user} cannot be used as it is a reserved word used by the engine or not valid")
    if auth not in ("password", "iam-db-auth"):
        raise invalid(f"Invalid MasterUserAuthenticationType: {auth}")
    managed, password = asked.get("ManageMasterUserPassword", False), asked.get("MasterUserPassword")
    if auth == "iam-db-auth" and (managed or password):
        raise combination(
            "You can't specify MasterUserPassword or ManageMasterUserPassword with MasterUserAuthenticationType iam-db-auth."
        )
    if auth == "iam-db-auth" and not asked.get("EnableIAMDatabaseAuthentication"):
        raise combination("MasterUserAuthenticationType iam-db-auth requires IAM database authentication.")
    if managed and password:
        raise combination("You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled.")
    if asked.get("MasterUserSecretKmsKeyId") and not managed:
        raise combination("MasterUserSecretKmsKeyId can be given only with ManageMasterUserPassword.")
    if auth == "password" and not managed and not password:
        raise invalid("The parameter MasterUserPassword must be provided and must not be blank.")
    if password is not None and len(password) < 8:
        raise invalid(
            "The parameter MasterUserPassword is not a valid password because it is shorter than 8 characters."
        )


@action
def describe_db_clusters(region, asked):
    chosen = filters(asked, "db-cluster-id", "db-cluster-resource-id", "engine", "clone-group-id", "domain")
    if asked.get("DBClusterIdentifier"):
        found = [find(region, asked["DBClusterIdentifier"])]
    else:
        found = sorted(region.clusters.values(), key=lambda one: one.name)
    names = [name.lower().rsplit(":", 1)[-1] for name in chosen.get("db-cluster-id", [])]
    found = [one for one in found if not names or one.name in names]
    ids = chosen.get("db-cluster-resource-id", [])
    found = [one for one in found if not ids or one.shown["DbClusterResourceId"] in ids]
    found = [one for one in found if ENGINE in chosen.get("engine", [ENGINE])]
    answer = page(asked, "DBClusters", found)
    answer["DBClusters"] = [read(region, one) for one in answer["DBClusters"]]
    return answer


@action
def delete_db_cluster(region, asked):
    cluster = find(region, asked["DBClusterIdentifier"])
    skip, snapshot = asked.get("SkipFinalSnapshot", False), asked.get("FinalDBSnapshotIdentifier")
    if cluster.status == "deleting":
        raise Fault("InvalidDBClusterStateFault", f"DB cluster {cluster.name} is already being deleted.")
    if cluster.shown["DeletionProtection"]:
        raise combination("Cannot delete protected Cluster, please disable deletion protection and try again.")
    if skip and snapshot:
        raise combination("FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is true.")
    if not skip and not snapshot:
        raise combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
    if any(one.status != "deleting" for one in region.members(cluster.name)):
        raise Fault(
            "InvalidDBClusterStateFault",
            "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
        )
    if cluster.status != "available":
        raise Fault("InvalidDBClusterStateFault", f"DB cluster {cluster.name} is not currently in the available state.")
    if snapshot:
        snapshots.make(region, cluster, snapshot, asked.get("Tags"))
    answer = described(region, cluster)

    def gone():
        if region.members(cluster.name):
            cluster.begin("deleting", gone)
            return
        drop_secret(region, cluster)
        del region.clusters[cluster.name]
        region.event(cluster.name, "db-cluster", "DB cluster deleted", ["deletion"])

    cluster.begin("deleting", gone)
    answer["Status"] = "deleting"
    return {"DBCluster": answer}


@action
def failover_db_cluster(region, asked):
    cluster = find(region, asked["DBClusterIdentifier"])
    if cluster.status != "available":
        raise Fault("InvalidDBClusterStateFault", f"DB cluster {cluster.name} is not currently in the available state.")
    others = [one for one in region.members(cluster.name) if one.name != cluster.writer and one.status == "available"]
    target = asked.get("TargetDBInstanceIdentifier")
    if target:
        others = [one for one in others if one.name == target.lower()]
    if not others:
        raise Fault(
            "InvalidDBClusterStateFault",
            f"There is no available instance to fail over to in the cluster {cluster.name}.",
        )
    chosen = min(others, key=lambda one: (one.shown["PromotionTier"], one.name))
    answer = described(region, cluster)
    before = cluster.writer
    cluster.begin("failing-over", lambda: instances.promote(region, cluster, chosen.name, before), stale=1)
    return {"DBCluster": answer}


def http_endpoint(region, asked, enabled):
    arn = asked["ResourceArn"]
    cluster = next((one for one in region.clusters.values() if one.shown["DBClusterArn"] == arn), None)
    if cluster is None:
        raise Fault("ResourceNotFoundFault", f"The specified resource was not found: {arn}")
    if cluster.status != "available":
        raise Fault("InvalidResourceStateFault", f"DB cluster {cluster.name} is not currently in the available state.")
    cluster.shown["HttpEndpointEnabled"] = enabled
    return {"ResourceArn": arn, "HttpEndpointEnabled": enabled}


@action
def enable_http_endpoint(region, asked):
    return http_endpoint(region, asked, True)


@action
def disable_http_endpoint(region, asked):
    return http_endpoint(region, asked, False)
