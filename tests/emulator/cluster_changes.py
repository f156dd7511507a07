"""ModifyDBCluster: what changes at once, what waits for the window unless it is told not to, and what is refused."""

import datetime

import clusters
import parameters as groups
import rules
from catalogue import age, check_version, family, major, upgrade_targets
from clusters import check_logs, check_scaling, check_storage, combination, described, find, insights, set_insights
from keys import activate_secret, drop_secret, make_secret, role_is_known
from rules import invalid
from store import SETTINGS, Fault, action, now

NOT_CHANGES = {"DBClusterIdentifier", "ApplyImmediately", "AllowMajorVersionUpgrade"}
# What can stand in PendingModifiedValues: the parameter, and the field it ends in.
DEFERRABLE = {
    "EngineVersion": "EngineVersion",
    "StorageType": "StorageType",
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "BackupRetentionPeriod": "BackupRetentionPeriod",
}
PLAIN = ("DeletionProtection", "CopyTagsToSnapshot", "AutoMinorVersionUpgrade", "NetworkType", "EngineLifecycleSupport")
REFUSED = {
    "NewDBClusterIdentifier": "The emulator does not rename clusters.",
    "EnableHttpEndpoint": "EnableHttpEndpoint can be modified with EnableHttpEndpoint and DisableHttpEndpoint only.",
    "DBSubnetGroupName": "The DB subnet group of a cluster cannot be modified.",
    "CACertificateIdentifier": "CACertificateIdentifier isn't valid for Aurora DB clusters.",
    "AllocatedStorage": "AllocatedStorage isn't valid for Aurora DB clusters.",
    "DBClusterInstanceClass": "DBClusterInstanceClass isn't valid for Aurora DB clusters.",
}


@action
def modify_db_cluster(region, asked):
    cluster = find(region, asked["DBClusterIdentifier"])
    if not set(asked) - NOT_CHANGES:
        raise combination("No modifications were requested")
    for parameter, message in REFUSED.items():
        if parameter in asked:
            raise combination(message)
    if cluster.status != "available":
        raise Fault("InvalidDBClusterStateFault", f"DB cluster {cluster.name} is not currently in the available state.")
    immediately = asked.get("ApplyImmediately", False)
    apply = check(region, cluster, asked, immediately)
    statuses = apply()
    defer(cluster, asked)
    if immediately:
        if "EngineVersion" in cluster.pending:
            statuses.append("upgrading")
        elif "IAMDatabaseAuthenticationEnabled" in cluster.pending:
            statuses.append("configuring-iam-database-auth")
        elif set(cluster.pending) - {"PendingCloudwatchLogsExports"}:
            statuses.append("modifying")
    answer = described(region, cluster)
    if statuses:
        start(region, cluster, statuses[-1], immediately)
    return {"DBCluster": answer}


def start(region, cluster, status, flush):
    """AWS answers before it begins, and the next read may still see the old state."""
    upgrading = status == "upgrading"
    for one in region.members(cluster.name) if upgrading else []:
        one.begin("upgrading", stale=1)

    def end():
        if cluster.logs is not None:
            cluster.shown["EnabledCloudwatchLogsExports"], cluster.logs = cluster.logs, None
            cluster.pending.pop("PendingCloudwatchLogsExports", None)
        for group in cluster.shown["VpcSecurityGroups"]:
            group["Status"] = "active"
        activate_secret(region, cluster)
        if flush:
            apply_pending(region, cluster)

    cluster.begin(status, end, stale=1)


def apply_pending(region, cluster):
    """What waited happens: because of ApplyImmediately, or because the window has come."""
    pending, cluster.pending = cluster.pending, {}
    pending.pop("MasterUserPassword", None)
    version = pending.pop("EngineVersion", None)
    if version and SETTINGS.upgrade_refused:
        message, SETTINGS.upgrade_refused = SETTINGS.upgrade_refused, None
        region.event(cluster.name, "db-cluster", message, ["maintenance", "failure"])
    elif version:
        cluster.shown["EngineVersion"] = version
        cluster.shown["DBClusterParameterGroup"] = cluster.upgrade.get(
            "cluster", cluster.shown["DBClusterParameterGroup"]
        )
        for one in region.members(cluster.name):
            one.shown["EngineVersion"] = version
            one.group = cluster.upgrade.get(one.name, one.group)
            one.group_status = one.cluster_group_status = "in-sync"
        region.event(cluster.name, "db-cluster", "Database cluster engine version has been upgraded", ["maintenance"])
    cluster.upgrade = {}
    if "StorageType" in pending:
        storage = pending.pop("StorageType")
        cluster.shown.pop("StorageType", None)
        if storage == "aurora-iopt1":
            cluster.shown["StorageType"] = storage
            cluster.shown["IOOptimizedNextAllowedModificationTime"] = now() + datetime.timedelta(days=30)
    cluster.shown |= pending


def defer(cluster, asked):
    """A value that is already there cancels one that waits."""
    for parameter, field in DEFERRABLE.items():
        if parameter not in asked:
            continue
        value, default = asked[parameter], "aurora" if field == "StorageType" else None
        if (value or default) == cluster.shown.get(field, default):
            cluster.pending.pop(field, None)
        else:
            cluster.pending[field] = value


def check(region, cluster, asked, immediately):
    """Everything that can be refused is refused here. What is left to do at once is returned."""
    shown = cluster.shown
    backup = asked.get("PreferredBackupWindow", shown["PreferredBackupWindow"])
    maintenance = asked.get("PreferredMaintenanceWindow", shown["PreferredMaintenanceWindow"]).lower()
    rules.check_windows(backup, maintenance)
    if "BackupRetentionPeriod" in asked:
        rules.check_range(asked["BackupRetentionPeriod"], 1, 35, "backup retention period")
    if "Port" in asked:
        rules.check_range(asked["Port"], 1150, 65535, "port")
    if "VpcSecurityGroupIds" in asked:
        rules.check_security_groups(asked["VpcSecurityGroupIds"])
    if asked.get("NetworkType", "IPV4") not in ("IPV4", "DUAL"):
        raise invalid(f"Invalid network type: {asked['NetworkType']}")
    if asked.get("EngineLifecycleSupport", clusters.LIFECYCLES[0]) not in clusters.LIFECYCLES:
        raise invalid(f"Invalid EngineLifecycleSupport: {asked['EngineLifecycleSupport']}")
    interval = asked.get("MonitoringInterval", shown["MonitoringInterval"])
    role = asked.get("MonitoringRoleArn", shown.get("MonitoringRoleArn") if interval else None)
    if "MonitoringInterval" in asked or "MonitoringRoleArn" in asked:
        rules.check_monitoring(interval, role, lambda arn: role_is_known(region, arn))
    insight = insights(region, shown, asked)
    scaling = None
    if "ServerlessV2ScalingConfiguration" in asked:
        before = shown.get("ServerlessV2ScalingConfiguration", {})
        given = asked["ServerlessV2ScalingConfiguration"]
        merged = {key: before[key] for key in ("MinCapacity", "MaxCapacity") if key in before} | given
        scaling = check_scaling(merged, shown["EngineVersion"])
    check_storage_change(shown, asked)
    upgrade = check_upgrade(region, cluster, asked)
    group = shown["DBClusterParameterGroup"]
    if "DBClusterParameterGroupName" in asked and not upgrade:
        group = clusters.parameter_group(region, asked["DBClusterParameterGroupName"], shown["EngineVersion"])
    logs = check_log_change(shown, asked)
    check_credentials(cluster, asked, immediately)

    def apply():
        statuses = (
            ["modifying"] if set(asked) - NOT_CHANGES - set(DEFERRABLE) - {"DBInstanceParameterGroupName"} else []
        )
        cluster.upgrade = upgrade or cluster.upgrade
        if group != shown["DBClusterParameterGroup"]:
            shown["DBClusterParameterGroup"] = group
            for one in region.members(cluster.name):
                one.cluster_group_status = "pending-reboot"
        for field in PLAIN:
            if field in asked:
                shown[field] = asked[field]
        shown["PreferredBackupWindow"], shown["PreferredMaintenanceWindow"] = backup, maintenance
        set_insights(shown, insight)
        if interval != shown["MonitoringInterval"]:
            statuses.append("configuring-enhanced-monitoring")
        shown["MonitoringInterval"] = interval
        shown.pop("MonitoringRoleArn", None)
        if role:
            shown["MonitoringRoleArn"] = role
        if scaling:
            shown["ServerlessV2ScalingConfiguration"] = scaling
        if "VpcSecurityGroupIds" in asked:
            there = {one["VpcSecurityGroupId"] for one in shown["VpcSecurityGroups"]}
            shown["VpcSecurityGroups"] = [
                {"VpcSecurityGroupId": one, "Status": "active" if one in there else "adding"}
                for one in asked["VpcSecurityGroupIds"]
            ]
        if asked.get("Port", shown["Port"]) != shown["Port"]:
            shown["Port"] = asked["Port"]
            for one in region.members(cluster.name):
                one.begin("rebooting", stale=1)
        if logs:
            cluster.logs, cluster.pending["PendingCloudwatchLogsExports"] = logs
            statuses.append("configuring-log-exports")
        if change_credentials(region, cluster, asked):
            statuses.append("resetting-master-credentials")
        return statuses

    return apply


def check_log_change(shown, asked):
    """The whole new list and what is shown while it is under way, or nothing."""
    change = asked.get("CloudwatchLogsExportConfiguration")
    if not change:
        return None
    on, off = check_logs(change.get("EnableLogTypes", [])), check_logs(change.get("DisableLogTypes", []))
    if set(on) & set(off):
        raise combination("The same log type can't be enabled and disabled at once.")
    wanted = sorted((set(shown["EnabledCloudwatchLogsExports"]) | set(on)) - set(off))
    return (wanted, {"LogTypesToEnable": on, "LogTypesToDisable": off})


def check_storage_change(shown, asked):
    storage = check_storage(asked.get("StorageType"))
    allowed = shown.get("IOOptimizedNextAllowedModificationTime")
    if storage == "aurora-iopt1" and shown.get("StorageType") != storage and allowed and allowed > now():
        raise combination("You can switch a cluster to Aurora I/O-Optimized once every 30 days.")


def check_upgrade(region, cluster, asked):
    """A version must be known, later, reachable; a major one must be allowed and bring the groups of its family.
    Those groups are returned: of the cluster, and by the names of the instances."""
    here, wanted = cluster.shown["EngineVersion"], asked.get("EngineVersion")
    to_major = wanted is not None and major(wanted) != major(here)
    if "DBInstanceParameterGroupName" in asked and not to_major:
        raise combination(
            "The parameter db-instance-parameter-group-name can only be specified for a major version upgrade."
        )
    if wanted is None or wanted == here:
        return {}
    check_version(wanted)
    if age(wanted) < age(here) or wanted not in upgrade_targets(here):
        raise combination(f"Cannot upgrade aurora-postgresql from {here} to {wanted}")
    if to_major and not asked.get("AllowMajorVersionUpgrade"):
        raise combination("The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version.")
    members = region.members(cluster.name)
    if any(one.status != "available" for one in members):
        raise Fault("InvalidDBClusterStateFault", f"The cluster {cluster.name} has instances that are not available.")
    if not to_major:
        return {}
    upgrade = {
        "cluster": next_group(
            region,
            groups.CLUSTER,
            cluster.shown["DBClusterParameterGroup"],
            asked.get("DBClusterParameterGroupName"),
            wanted,
        )
    }
    for one in members:
        upgrade[one.name] = next_group(
            region, groups.INSTANCE, one.group, asked.get("DBInstanceParameterGroupName"), wanted
        )
    return upgrade


def next_group(region, kind, before, given, version):
    """A default group has its successor; for any other the successor must be named."""
    if given is None and before.startswith("default."):
        given = f"default.{family(version)}"
    group = kind.find(region, given or before)
    clusters.check_family(group, version)
    return group.name


def check_credentials(cluster, asked, immediately):
    managed = "MasterUserSecret" in cluster.shown
    manage, password, auth = (
        asked.get("ManageMasterUserPassword"),
        asked.get("MasterUserPassword"),
        asked.get("MasterUserAuthenticationType"),
    )
    if auth not in (None, "password", "iam-db-auth"):
        raise invalid(f"Invalid MasterUserAuthenticationType: {auth}")
    if auth == "iam-db-auth" and (manage or password):
        raise combination(
            "You can't specify MasterUserPassword or ManageMasterUserPassword with MasterUserAuthenticationType iam-db-auth."
        )
    if password and (manage or (managed and manage is None)):
        raise combination("You can't specify MasterUserPassword for a cluster with ManageMasterUserPassword enabled.")
    if manage is False and managed and not password and auth != "iam-db-auth":
        raise combination("MasterUserPassword must be given when ManageMasterUserPassword is turned off.")
    if asked.get("RotateMasterUserPassword"):
        if not managed:
            raise combination(
                "You can't rotate the master user password of a cluster that doesn't use ManageMasterUserPassword."
            )
        if not immediately:
            raise combination("You must specify ApplyImmediately when rotating the master user password.")
    if asked.get("MasterUserSecretKmsKeyId") and (managed or not manage):
        raise combination("MasterUserSecretKmsKeyId can be given only when ManageMasterUserPassword is turned on.")


def change_credentials(region, cluster, asked):
    managed = "MasterUserSecret" in cluster.shown
    cluster.master_auth = asked.get("MasterUserAuthenticationType", cluster.master_auth)
    if asked.get("ManageMasterUserPassword") and not managed:
        make_secret(region, cluster, asked.get("MasterUserSecretKmsKeyId"))
        return True
    if managed and (asked.get("ManageMasterUserPassword") is False or cluster.master_auth == "iam-db-auth"):
        drop_secret(region, cluster)
        return True
    if asked.get("RotateMasterUserPassword"):
        cluster.shown["MasterUserSecret"]["SecretStatus"] = "rotating"
        return True
    return bool(asked.get("MasterUserPassword"))
