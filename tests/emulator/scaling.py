"""Application Auto Scaling of readers: targets and policies. What a policy would do, a test does through control.py."""

import json
import uuid

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse

from store import now, region

NAMESPACE, DIMENSION = "rds", "rds:cluster:ReadReplicaCount"
METRICS = ("RDSReaderAverageCPUUtilization", "RDSReaderAverageDatabaseConnections")
# (account, region) -> {"targets": {resource: ...}, "policies": {(resource, name): ...}, "tags": {arn: {...}}}
KNOWN = {}


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def invalid(message):
    return Refused("ValidationException", message)


def cluster_of(here, asked):
    if asked.get("ServiceNamespace") != NAMESPACE:
        raise invalid(f"Unsupported service namespace: {asked.get('ServiceNamespace')}")
    if asked.get("ScalableDimension") != DIMENSION:
        raise invalid(
            f"Unsupported service namespace, resource type or scalable dimension: {asked.get('ScalableDimension')}"
        )
    kind, _, name = asked.get("ResourceId", "").partition(":")
    if kind != "cluster":
        raise invalid(f"Unsupported resource: {asked.get('ResourceId')}")
    if name not in here.clusters:
        raise invalid(f"DB cluster {name} does not exist")
    return here.clusters[name]


def register(here, known, asked):
    cluster_of(here, asked)
    resource = asked["ResourceId"]
    target = known["targets"].get(resource)
    least = asked.get("MinCapacity", target and target["MinCapacity"])
    most = asked.get("MaxCapacity", target and target["MaxCapacity"])
    if least is None or most is None:
        raise invalid("Both MinCapacity and MaxCapacity are required to register a new scalable target")
    if not 0 <= least <= most <= 15:
        raise invalid(
            f"Minimum capacity {least} and maximum capacity {most} must be between 0 and 15, the minimum the smaller"
        )
    if target is None:
        arn = f"arn:{here.partition}:application-autoscaling:{here.name}:{here.account}:scalable-target/{uuid.uuid4().hex[:24]}"
        role = (
            f"arn:{here.partition}:iam::{here.account}:role/aws-service-role/rds.application-autoscaling.amazonaws.com/"
            "AWSServiceRoleForApplicationAutoScaling_RDSCluster"
        )
        target = {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": resource,
            "ScalableDimension": DIMENSION,
            "RoleARN": role,
            "CreationTime": now().timestamp(),
            "ScalableTargetARN": arn,
        }
        known["targets"][resource] = target
        known["tags"][arn] = dict(asked.get("Tags", {}))
    target["MinCapacity"], target["MaxCapacity"] = least, most
    off = {"DynamicScalingInSuspended": False, "DynamicScalingOutSuspended": False, "ScheduledScalingSuspended": False}
    target["SuspendedState"] = target.get("SuspendedState", off) | asked.get("SuspendedState", {})
    return {"ScalableTargetARN": target["ScalableTargetARN"]}


def target_of(known, asked):
    target = known["targets"].get(asked.get("ResourceId"))
    if target is None or asked.get("ScalableDimension") != DIMENSION or asked.get("ServiceNamespace") != NAMESPACE:
        raise Refused(
            "ObjectNotFoundException",
            f"No scalable target found for service namespace: rds, resource ID: {asked.get('ResourceId')}, scalable dimension: {DIMENSION}",
        )
    return target


def deregister(here, known, asked):
    target = target_of(known, asked)
    resource = target["ResourceId"]
    del known["targets"][resource]
    known["tags"].pop(target["ScalableTargetARN"], None)
    known["policies"] = {key: one for key, one in known["policies"].items() if key[0] != resource}
    return {}


def put_policy(here, known, asked):
    target = target_of(known, asked)
    name = asked["PolicyName"]
    configuration = asked.get("TargetTrackingScalingPolicyConfiguration")
    if asked.get("PolicyType", "TargetTrackingScaling") != "TargetTrackingScaling" or not configuration:
        raise invalid("The emulator knows policies of the type TargetTrackingScaling only.")
    metric = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if metric not in METRICS:
        raise invalid(f"Invalid predefined metric: {metric}")
    resource = target["ResourceId"]
    for (other, there), one in known["policies"].items():
        used = one["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"]["PredefinedMetricType"]
        if other == resource and there != name and used == metric:
            raise invalid(
                f"Only one TargetTrackingScaling policy for a given metric specification is allowed: {metric}"
            )
    before = known["policies"].get((resource, name))
    arn = (
        f"arn:{here.partition}:autoscaling:{here.name}:{here.account}:scalingPolicy:{uuid.uuid4()}:"
        f"resource/rds/{resource}:policyName/{name}"
    )
    policy = before or {"PolicyARN": arn, "CreationTime": now().timestamp()}
    policy |= {
        "PolicyName": name,
        "ServiceNamespace": NAMESPACE,
        "ResourceId": resource,
        "ScalableDimension": DIMENSION,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": configuration,
        "Alarms": [],
    }
    known["policies"][resource, name] = policy
    return {"PolicyARN": policy["PolicyARN"], "Alarms": []}


def delete_policy(here, known, asked):
    key = (asked["ResourceId"], asked["PolicyName"])
    if key not in known["policies"]:
        raise Refused("ObjectNotFoundException", f"No scaling policy found for {key[0]}: {key[1]}")
    del known["policies"][key]
    return {}


def page(asked, key, everything, most):
    size, token = asked.get("MaxResults", most), asked.get("NextToken") or "0"
    if not 1 <= size <= most:
        raise invalid(f"MaxResults must be between 1 and {most}")
    if not token.isdigit():
        raise Refused("InvalidNextTokenException", "The next token is invalid.")
    start = int(token)
    answer = {key: everything[start : start + size]}
    if start + size < len(everything):
        answer["NextToken"] = str(start + size)
    return answer


def describe_targets(here, known, asked):
    if asked.get("ServiceNamespace") is None:
        raise invalid("ServiceNamespace is required")
    chosen = asked.get("ResourceIds", [])
    found = [
        one
        for resource, one in sorted(known["targets"].items())
        if asked["ServiceNamespace"] == NAMESPACE and (not chosen or resource in chosen)
    ]
    return page(asked, "ScalableTargets", found, 50)


def describe_policies(here, known, asked):
    if asked.get("ServiceNamespace") is None:
        raise invalid("ServiceNamespace is required")
    names, resource = asked.get("PolicyNames", []), asked.get("ResourceId")
    found = [
        one
        for (where, name), one in sorted(known["policies"].items())
        if asked["ServiceNamespace"] == NAMESPACE and resource in (None, where) and (not names or name in names)
    ]
    return page(asked, "ScalingPolicies", found, 50)


def tags_of(known, asked):
    if asked["ResourceARN"] not in known["tags"]:
        raise Refused("ResourceNotFoundException", f"The resource {asked['ResourceARN']} does not exist")
    return known["tags"][asked["ResourceARN"]]


def tag(here, known, asked):
    tags_of(known, asked).update(asked["Tags"])
    return {}


def untag(here, known, asked):
    for key in asked["TagKeys"]:
        tags_of(known, asked).pop(key, None)
    return {}


ACTIONS = {
    "RegisterScalableTarget": register,
    "DeregisterScalableTarget": deregister,
    "DescribeScalableTargets": describe_targets,
    "PutScalingPolicy": put_policy,
    "DeleteScalingPolicy": delete_policy,
    "DescribeScalingPolicies": describe_policies,
    "ListTagsForResource": lambda here, known, asked: {"Tags": tags_of(known, asked)},
    "TagResource": tag,
    "UntagResource": untag,
}


def call_action(self):
    here = region(self.current_account, self.region)
    known = KNOWN.setdefault((here.account, here.name), {"targets": {}, "policies": {}, "tags": {}})
    headers = dict(self.response_headers) | {"Content-Type": "application/x-amz-json-1.1"}
    try:
        action = ACTIONS.get(self._get_action())
        if action is None:
            raise Refused("UnknownOperationException", f"The emulator does not know {self._get_action()}")
        return 200, headers, json.dumps(action(here, known, json.loads(self.body or "{}")))
    except Refused as refused:
        return 400, headers, json.dumps({"__type": refused.code, "message": str(refused)})


ApplicationAutoScalingResponse.call_action = call_action
