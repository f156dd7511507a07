"""Instances, which are members of clusters only: made, changed, rebooted, deleted."""

import copy
import datetime

import clusters
import parameters as groups
import rules
import subnets
from catalogue import AUTHORITIES, ENGINE, VALID_TILL, age, check_authority, check_class
from keys import activate_secret, role_is_known
from store import Fault, Resource, action, check_tags, filters, now, page

# What belongs to the cluster, and must not be asked of a member.
OF_THE_CLUSTER = (
    "AllocatedStorage BackupRetentionPeriod DBName DBPortNumber DeletionProtection EnableIAMDatabaseAuthentication Iops "
    "KmsKeyId ManageMasterUserPassword MasterUserPassword MasterUsername MultiAZ PreferredBackupWindow StorageEncrypted "
    "StorageType VpcSecurityGroupIds EnableCloudwatchLogsExports CloudwatchLogsExportConfiguration"
).split()
NOT_CHANGES = {"DBInstanceIdentifier", "ApplyImmediately", "CertificateRotationRestart", "AllowMajorVersionUpgrade"}


class Instance(Resource):
    def __init__(self, name, shown, group):
        super().__init__(name, "DBInstanceStatus", shown)
        self.group = group
        self.group_status = "in-sync"
        self.cluster_group_status = "in-sync"


def find(region, name):
    instance = region.instances.get(name.lower().rsplit(":", 1)[-1])
    if instance is None:
        raise Fault("DBInstanceNotFound", f"DBInstance {name} not found.")
    return instance


def combination(message):
    return Fault("InvalidParameterCombination", message)


def check_fields(asked, verb):
    for field in OF_THE_CLUSTER:
        if field in asked:
            raise combination(
                f"The requested DB Instance {verb} a member of a DB Cluster. Set {field} for the DB Cluster."
            )


def busy(instance):
    return Fault("InvalidDBInstanceState", f"Instance {instance.name} is not currently in the available state.")


def described(region, instance):
    """The answer's form of an instance, with what it has from its cluster."""
    cluster = region.clusters[instance.shown["DBClusterIdentifier"]]
    whole = cluster.shown
    shown = copy.deepcopy(instance.shown)
    shown["DBParameterGroups"] = [
        {"DBParameterGroupName": instance.group, "ParameterApplyStatus": instance.group_status}
    ]
    shown["PendingModifiedValues"] = copy.deepcopy(instance.pending)
    shown["DBSubnetGroup"] = subnets.described(region, region.subnet_groups[whole["DBSubnetGroup"]])
    shown["StorageType"] = whole.get("StorageType", "aurora")
    shown["IAMDatabaseAuthenticationEnabled"] = whole["IAMDatabaseAuthenticationEnabled"]
    inherited = (
        "BackupRetentionPeriod PreferredBackupWindow StorageEncrypted KmsKeyId MasterUsername VpcSecurityGroups "
        "NetworkType CopyTagsToSnapshot EnabledCloudwatchLogsExports DatabaseInsightsMode EngineLifecycleSupport"
    ).split()
    shown |= {field: copy.deepcopy(whole[field]) for field in inherited if field in whole}
    if whole["PerformanceInsightsEnabled"]:
        fields = ("PerformanceInsightsEnabled", "PerformanceInsightsRetentionPeriod", "PerformanceInsightsKMSKeyId")
        shown |= {field: whole[field] for field in fields}
    if whole["MonitoringInterval"]:
        shown |= {field: whole[field] for field in ("MonitoringInterval", "MonitoringRoleArn")}
    if instance.status != "creating":
        shown["Endpoint"] = {"Address": region.host(instance.name), "Port": whole["Port"], "HostedZoneId": "Z0EMULATED"}
    return shown


def read(region, instance):
    shown = described(region, instance)
    instance.read()
    if instance.group_status == "applying":
        instance.group_status = "in-sync"
    return shown


def choose_zone(region, cluster, wanted):
    """The zone with the fewest members, of those that the subnet group covers."""
    zones = subnets.zones_of(region, region.subnet_groups[cluster.shown["DBSubnetGroup"]])
    if wanted and wanted not in zones:
        raise Fault(
            "InvalidVPCNetworkStateFault",
            f"The availability zone {wanted} is not covered by the DB subnet group {cluster.shown['DBSubnetGroup']}.",
        )
    taken = [one.shown["AvailabilityZone"] for one in region.members(cluster.name)]
    return wanted or min(zones, key=lambda zone: (taken.count(zone), zone))


def parameter_group(region, name, version):
    group = groups.INSTANCE.find(region, name or f"default.{clusters.family(version)}")
    clusters.check_family(group, version)
    return group.name


def check_serverless(class_name, cluster):
    if class_name == "db.serverless" and "ServerlessV2ScalingConfiguration" not in cluster.shown:
        raise combination(
            "Set the Serverless v2 scaling configuration on the parent DB cluster before creating a Serverless v2 DB instance."
        )


@action
def create_db_instance(region, asked):
    name = rules.check_identifier(asked["DBInstanceIdentifier"], "DBInstanceIdentifier")
    if not asked.get("DBClusterIdentifier"):
        raise combination("The engine aurora-postgresql needs a DBClusterIdentifier.")
    if name in region.instances:
        raise Fault("DBInstanceAlreadyExists", "DB instance already exists")
    cluster = clusters.find(region, asked["DBClusterIdentifier"])
    version = cluster.shown["EngineVersion"]
    if asked["Engine"] != ENGINE or asked.get("EngineVersion", version) != version:
        raise combination("The engine and its version must be those of the DB cluster.")
    check_fields(asked, "will be")
    check_class(asked["DBInstanceClass"], version)
    check_serverless(asked["DBInstanceClass"], cluster)
    if asked.get("DBSubnetGroupName", cluster.shown["DBSubnetGroup"]).lower() != cluster.shown["DBSubnetGroup"]:
        raise combination("The DB subnet group must be that of the DB cluster.")
    if cluster.status in ("creating", "deleting", "upgrading", "stopped"):
        raise Fault(
            "InvalidDBClusterStateFault",
            f"Cannot create an instance in the cluster {cluster.name}, which is {cluster.status}.",
        )
    if len(region.members(cluster.name)) >= 16:
        raise Fault("InstanceQuotaExceeded", "A DB cluster can have at most 16 instances.")
    group = parameter_group(region, asked.get("DBParameterGroupName"), version)
    shown = settings(region, cluster, {}, asked)
    authority = asked.get("CACertificateIdentifier", AUTHORITIES[0])
    check_authority(authority)
    shown |= {
        "DBInstanceIdentifier": name,
        "DBInstanceClass": asked["DBInstanceClass"],
        "Engine": ENGINE,
        "EngineVersion": version,
        "DBInstanceStatus": "creating",
        "AllocatedStorage": 1,
        "InstanceCreateTime": now(),
        "AvailabilityZone": choose_zone(region, cluster, asked.get("AvailabilityZone")),
        "DBClusterIdentifier": cluster.name,
        "DbiResourceId": region.resource_id("db-", name),
        "DBInstanceArn": region.arn("db", name),
        "LicenseModel": "postgresql-license",
        "MultiAZ": False,
        "DeletionProtection": False,
        "TagList": check_tags(asked.get("Tags", [])),
    }
    certify(shown, authority)
    instance = Instance(name, shown, group)
    region.instances[name] = instance
    cluster.writer = cluster.writer or name

    def created():
        activate_secret(region, cluster)
        region.event(name, "db-instance", "DB instance created", ["creation"])

    instance.begin("creating", created)
    return {"DBInstance": described(region, instance)}


def certify(shown, authority):
    shown["CACertificateIdentifier"] = authority
    valid_till = min(VALID_TILL, now() + datetime.timedelta(days=365))
    shown["CertificateDetails"] = {"CAIdentifier": authority, "ValidTill": valid_till}


def settings(region, cluster, before, asked):
    """What can be set at the start and changed at once later."""
    tier = asked.get("PromotionTier", before.get("PromotionTier", 1))
    rules.check_range(tier, 0, 15, "promotion tier")
    window = asked.get(
        "PreferredMaintenanceWindow",
        before.get("PreferredMaintenanceWindow", cluster.shown["PreferredMaintenanceWindow"]),
    )
    rules.check_windows(cluster.shown["PreferredBackupWindow"], window)
    interval = asked.get("MonitoringInterval", before.get("MonitoringInterval", 0))
    role = asked.get("MonitoringRoleArn", before.get("MonitoringRoleArn") if interval else None)
    if "MonitoringInterval" in asked or "MonitoringRoleArn" in asked:
        rules.check_monitoring(interval, role, lambda arn: role_is_known(region, arn))
    mode = asked.get("DatabaseInsightsMode", cluster.shown["DatabaseInsightsMode"])
    if mode != cluster.shown["DatabaseInsightsMode"]:
        raise combination("DatabaseInsightsMode is inherited from the DB cluster and can't be set for an instance.")
    own = {key: value for key, value in asked.items() if key != "DatabaseInsightsMode"}
    changed = clusters.insights(region, before, own)
    changed.pop("DatabaseInsightsMode")
    changed |= {
        "PromotionTier": tier,
        "PreferredMaintenanceWindow": window.lower(),
        "MonitoringInterval": interval,
        "MonitoringRoleArn": role,
        # Without a word about it the subnet group decides; here that is a group of public subnets, the worst case.
        "PubliclyAccessible": asked.get("PubliclyAccessible", before.get("PubliclyAccessible", True)),
        "AutoMinorVersionUpgrade": asked.get("AutoMinorVersionUpgrade", before.get("AutoMinorVersionUpgrade", True)),
    }
    return changed


@action
def describe_db_instances(region, asked):
    chosen = filters(asked, "db-cluster-id", "db-instance-id", "dbi-resource-id", "engine", "domain")
    if asked.get("DBInstanceIdentifier"):
        found = [find(region, asked["DBInstanceIdentifier"])]
    else:
        found = sorted(region.instances.values(), key=lambda one: one.name)

    def last(names):
        return [name.lower().rsplit(":", 1)[-1] for name in names]

    if "db-cluster-id" in chosen:
        found = [one for one in found if one.shown["DBClusterIdentifier"] in last(chosen["db-cluster-id"])]
    if "db-instance-id" in chosen:
        found = [one for one in found if one.name in last(chosen["db-instance-id"])]
    if "dbi-resource-id" in chosen:
        found = [one for one in found if one.shown["DbiResourceId"] in chosen["dbi-resource-id"]]
    if ENGINE not in chosen.get("engine", [ENGINE]):
        found = []
    answer = page(asked, "DBInstances", found)
    answer["DBInstances"] = [read(region, one) for one in answer["DBInstances"]]
    return answer


@action
def modify_db_instance(region, asked):
    instance = find(region, asked["DBInstanceIdentifier"])
    cluster = region.clusters[instance.shown["DBClusterIdentifier"]]
    if not set(asked) - NOT_CHANGES:
        raise combination("No modifications were requested")
    if "EngineVersion" in asked:
        raise combination(
            "The specified DB Instance is a member of a cluster. Modify the DB engine version for the DB Cluster using the ModifyDbCluster API"
        )
    check_fields(asked, "is")
    if "NewDBInstanceIdentifier" in asked:
        raise combination("The emulator does not rename instances.")
    if instance.status != "available":
        raise busy(instance)
    shown = instance.shown
    if "DBInstanceClass" in asked:
        check_class(asked["DBInstanceClass"], shown["EngineVersion"])
        check_serverless(asked["DBInstanceClass"], cluster)
    if "CACertificateIdentifier" in asked:
        check_authority(asked["CACertificateIdentifier"])
    group = instance.group
    if "DBParameterGroupName" in asked:
        group = parameter_group(region, asked["DBParameterGroupName"], shown["EngineVersion"])
    changed = settings(region, cluster, shown, asked)
    monitoring = changed["MonitoringInterval"] != shown["MonitoringInterval"]
    for field in ("PerformanceInsightsRetentionPeriod", "PerformanceInsightsKMSKeyId"):
        shown.pop(field, None)
    shown |= changed
    if group != instance.group:
        instance.group, instance.group_status = group, "pending-reboot"
    for field in ("DBInstanceClass", "CACertificateIdentifier"):
        if asked.get(field) == shown[field]:
            instance.pending.pop(field, None)
        elif field in asked:
            instance.pending[field] = asked[field]
    immediately = asked.get("ApplyImmediately", False)
    answer = described(region, instance)
    deferred = {"DBInstanceClass", "CACertificateIdentifier"} | NOT_CHANGES
    if set(asked) - deferred or (immediately and instance.pending):
        status = "configuring-enhanced-monitoring" if monitoring else "modifying"
        restart = asked.get("CertificateRotationRestart", True)

        def end():
            if immediately:
                apply_pending(region, instance, restart)

        instance.begin(status, end, stale=1)
    return {"DBInstance": answer}


def apply_pending(region, instance, restart=True):
    """What waited happens. A certificate needs a restart, where the engine cannot do without."""
    if "DBInstanceClass" in instance.pending:
        instance.shown["DBInstanceClass"] = instance.pending.pop("DBInstanceClass")
        restarted(region, instance)
        region.event(
            instance.name,
            "db-instance",
            "Finished applying modification to DB instance class",
            ["configuration change"],
        )
    without = age(instance.shown["EngineVersion"]) >= age("15.6")
    if "CACertificateIdentifier" in instance.pending and (restart or without):
        certify(instance.shown, instance.pending.pop("CACertificateIdentifier"))


def restarted(region, instance):
    instance.group_status = instance.cluster_group_status = "in-sync"
    if "CACertificateIdentifier" in instance.pending:
        certify(instance.shown, instance.pending.pop("CACertificateIdentifier"))
    region.event(instance.name, "db-instance", "DB instance restarted", ["availability"])


@action
def reboot_db_instance(region, asked):
    instance = find(region, asked["DBInstanceIdentifier"])
    if instance.status != "available":
        raise busy(instance)
    if asked.get("ForceFailover"):
        raise combination("ForceFailover cannot be specified for an instance of a DB cluster; use FailoverDBCluster.")
    answer = described(region, instance)
    instance.begin("rebooting", lambda: restarted(region, instance), stale=1)
    answer["DBInstanceStatus"] = "rebooting"
    return {"DBInstance": answer}


def promote(region, cluster, name, before):
    """The end of a failover: both that change their part were restarted."""
    if name not in region.instances:
        return
    cluster.writer = name
    for one in (region.instances[name], region.instances.get(before)):
        if one:
            one.group_status = one.cluster_group_status = "in-sync"
    region.event(cluster.name, "db-cluster", f"Completed failover to DB instance: {name}", ["failover"])


@action
def delete_db_instance(region, asked):
    instance = find(region, asked["DBInstanceIdentifier"])
    cluster = region.clusters[instance.shown["DBClusterIdentifier"]]
    if asked.get("FinalDBSnapshotIdentifier"):
        raise combination("FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance.")
    if instance.status == "deleting":
        raise Fault("InvalidDBInstanceState", f"Instance {instance.name} is already being deleted.")
    answer = described(region, instance)

    def gone():
        del region.instances[instance.name]
        region.event(instance.name, "db-instance", "DB instance deleted", ["deletion"])

    instance.begin("deleting", gone)
    if cluster.writer == instance.name:
        others = [one for one in region.members(cluster.name) if one.status != "deleting"]
        heir = min(others, key=lambda one: (one.shown["PromotionTier"], one.name), default=None)
        cluster.writer = heir.name if heir else None
    answer["DBInstanceStatus"] = "deleting"
    return {"DBInstance": answer}


def scale(region, cluster_name, count, identity):
    """Makes readers as Application Auto Scaling does: the writer's class, the lowest promotion priority."""
    cluster = clusters.find(region, cluster_name)
    writer = find(region, cluster.writer)
    made = []
    for _ in range(count):
        name = f"application-autoscaling-{identity()}"
        create_db_instance(
            region,
            {
                "DBInstanceIdentifier": name,
                "DBClusterIdentifier": cluster.name,
                "DBInstanceClass": writer.shown["DBInstanceClass"],
                "Engine": ENGINE,
                "PromotionTier": 15,
                "DBParameterGroupName": writer.group,
                "PubliclyAccessible": writer.shown["PubliclyAccessible"],
            },
        )
        made.append(name)
    return made
