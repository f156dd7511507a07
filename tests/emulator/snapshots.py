"""Snapshots of clusters, which are ready at once."""

import copy

import clusters
import rules
from store import Fault, action, check_tags, filters, now, page


def make(region, cluster, name, tags):
    name = rules.check_identifier(name, "DBClusterSnapshotIdentifier")
    if name in region.snapshots:
        raise Fault(
            "DBClusterSnapshotAlreadyExistsFault",
            f"Cannot create the cluster snapshot because one with the identifier {name} already exists.",
        )
    fields = (
        "AvailabilityZones DBClusterIdentifier Engine EngineMode AllocatedStorage Port MasterUsername EngineVersion "
        "StorageEncrypted KmsKeyId IAMDatabaseAuthenticationEnabled DbClusterResourceId StorageType ClusterCreateTime"
    ).split()
    snapshot = {field: cluster.shown[field] for field in fields if field in cluster.shown}
    copied = cluster.shown["TagList"] if cluster.shown["CopyTagsToSnapshot"] else []
    snapshot |= {
        "DBClusterSnapshotIdentifier": name,
        "DBClusterSnapshotArn": region.arn("cluster-snapshot", name),
        "SnapshotCreateTime": now(),
        "SnapshotType": "manual",
        "Status": "available",
        "PercentProgress": 100,
        "TagList": check_tags(copy.deepcopy(copied) + (tags or [])),
    }
    region.snapshots[name] = snapshot
    return snapshot


@action
def create_db_cluster_snapshot(region, asked):
    cluster = clusters.find(region, asked["DBClusterIdentifier"])
    if cluster.status != "available":
        raise Fault("InvalidDBClusterStateFault", f"DB cluster {cluster.name} is not currently in the available state.")
    return {"DBClusterSnapshot": make(region, cluster, asked["DBClusterSnapshotIdentifier"], asked.get("Tags"))}


@action
def describe_db_cluster_snapshots(region, asked):
    chosen = filters(asked, "db-cluster-id", "db-cluster-snapshot-id", "snapshot-type", "engine")
    wanted, cluster = asked.get("DBClusterSnapshotIdentifier"), asked.get("DBClusterIdentifier")
    if wanted and wanted.lower() not in region.snapshots:
        raise Fault("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {wanted} not found.")
    found = [
        one
        for name, one in sorted(region.snapshots.items())
        if wanted in (None, name)
        and cluster in (None, one["DBClusterIdentifier"])
        and one["DBClusterIdentifier"] in chosen.get("db-cluster-id", [one["DBClusterIdentifier"]])
        and name in chosen.get("db-cluster-snapshot-id", [name])
    ]
    return page(asked, "DBClusterSnapshots", found)


@action
def delete_db_cluster_snapshot(region, asked):
    name = asked["DBClusterSnapshotIdentifier"].lower()
    if name not in region.snapshots:
        raise Fault("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {name} not found.")
    return {"DBClusterSnapshot": region.snapshots.pop(name)}
