"""What is in one region of an account, told by boto3: for each line {"region", "environment"} on stdin one on stdout.

`estate` leaves out ids, times, and who writes, which differ from one making of the same to the next, and the names of
environment and region; `ids` has the ids.
"""

import json
import re
import sys

import boto3

URL = sys.argv[1]
CLIENTS = {}
PASSING = {
    "AllocatedStorage",
    "ClusterCreateTime",
    "CreateDate",
    "CreationTime",
    "DbClusterResourceId",
    "DbiResourceId",
    "EarliestRestorableTime",
    "IOOptimizedNextAllowedModificationTime",
    "InstanceCreateTime",
    "IsClusterWriter",
    "LatestRestorableTime",
    "PolicyARN",
    "RoleId",
    "ScalableTargetARN",
    "SecretArn",
    "ValidTill",
}


def of(service, region):
    if (service, region) not in CLIENTS:
        CLIENTS[service, region] = boto3.client(service, endpoint_url=URL, region_name=region)
    return CLIENTS[service, region]


def everything(client, action, key, **asked):
    return [one for page in client.get_paginator(action).paginate(**asked) for one in page[key]]


def lasting(value):
    """Without what passes; the order of lists of objects does not count."""
    if isinstance(value, dict):
        return {key: lasting(one) for key, one in sorted(value.items()) if key not in PASSING}
    if isinstance(value, list):
        return sorted((lasting(one) for one in value), key=lambda one: json.dumps(one, default=str))
    return value


def group(rds, name, arn, action, key):
    parameters = everything(rds, action, "Parameters", **{key: name, "Source": "user"})
    tags = rds.list_tags_for_resource(ResourceName=arn)["TagList"]
    return {"parameters": {one["ParameterName"]: one["ParameterValue"] for one in parameters}, "tags": tags}


def role(iam, name):
    found = iam.get_role(RoleName=name)["Role"]
    policies = {
        one: iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]
        for one in iam.list_role_policies(RoleName=name)["PolicyNames"]
    }
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    return found | {"policies": policies, "attached": attached}


def look(region, environment):
    rds, iam, scaling = (of(service, region) for service in ("rds", "iam", "application-autoscaling"))
    clusters = everything(rds, "describe_db_clusters", "DBClusters")
    instances = everything(rds, "describe_db_instances", "DBInstances")
    subnets = everything(rds, "describe_db_subnet_groups", "DBSubnetGroups")
    cluster_groups = everything(rds, "describe_db_cluster_parameter_groups", "DBClusterParameterGroups")
    instance_groups = everything(rds, "describe_db_parameter_groups", "DBParameterGroups")
    roles = everything(iam, "list_roles", "Roles", PathPrefix=f"/infra/{environment}/")
    roles = {one["RoleName"]: role(iam, one["RoleName"]) for one in roles}
    ids = {one["DBClusterIdentifier"]: one["DbClusterResourceId"] for one in clusters}
    ids |= {one["DBInstanceIdentifier"]: one["DbiResourceId"] for one in instances}
    ids |= {name: one["RoleId"] for name, one in roles.items()}
    estate = {
        "clusters": clusters,
        "instances": instances,
        "subnet groups": [
            one | {"tags": rds.list_tags_for_resource(ResourceName=one["DBSubnetGroupArn"])["TagList"]} for one in subnets
        ],
        "cluster parameter groups": {
            name: group(rds, name, one["DBClusterParameterGroupArn"], "describe_db_cluster_parameters", "DBClusterParameterGroupName")
            for one in cluster_groups
            if not (name := one["DBClusterParameterGroupName"]).startswith("default.")
        },
        "instance parameter groups": {
            name: group(rds, name, one["DBParameterGroupArn"], "describe_db_parameters", "DBParameterGroupName")
            for one in instance_groups
            if not (name := one["DBParameterGroupName"]).startswith("default.")
        },
        "targets": everything(scaling, "describe_scalable_targets", "ScalableTargets", ServiceNamespace="rds"),
        "policies": everything(scaling, "describe_scaling_policies", "ScalingPolicies", ServiceNamespace="rds"),
        "roles": roles,
    }
    text = json.dumps(lasting(estate), default=str)
    for one in clusters:
        text = text.replace(one["DbClusterResourceId"], "ID")
    text = re.sub(r"\.c[0-9a-f]{11}\.", ".HASH.", re.sub(r"cluster-(ro-)?c[0-9a-f]{11}", "HASH", text))
    text = re.sub(r":key/[0-9a-f-]+", ":key/KEY", text)
    text = text.replace(environment, "ENVIRONMENT").replace(region, "REGION")
    snapshots = everything(rds, "describe_db_cluster_snapshots", "DBClusterSnapshots")
    return {
        "estate": json.loads(text),
        "ids": ids,
        "snapshots": [one["DbClusterResourceId"] for one in snapshots],
        "writers": [one["DBInstanceIdentifier"] for cluster in clusters for one in cluster["DBClusterMembers"] if one["IsClusterWriter"]],
    }


for line in sys.stdin:
    print(json.dumps(look(**json.loads(line))), flush=True)
