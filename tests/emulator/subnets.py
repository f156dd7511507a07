"""Subnet groups. There is no EC2 here: any subnet-... exists, in a zone that is chosen when it is first named."""

import re

from rules import invalid
from store import SETTINGS, Fault, action, check_tags, filters, page


class SubnetGroup:
    def __init__(self, name, description, subnets, tags, arn):
        self.name = name
        self.description = description
        self.subnets = subnets
        self.tags = tags
        self.arn = arn


def described(region, group):
    subnets = [
        {
            "SubnetIdentifier": subnet,
            "SubnetAvailabilityZone": {"Name": region.subnets[subnet]},
            "SubnetOutpost": {},
            "SubnetStatus": "Active",
        }
        for subnet in group.subnets
    ]
    return {
        "DBSubnetGroupName": group.name,
        "DBSubnetGroupDescription": group.description,
        "VpcId": "vpc-0emulated",
        "SubnetGroupStatus": "Complete",
        "Subnets": subnets,
        "DBSubnetGroupArn": group.arn,
        "SupportedNetworkTypes": ["IPV4", "DUAL"],
    }


def place(region, subnets):
    """Gives each new subnet the first zone that the others of its group leave, and checks that there are two."""
    for subnet in subnets:
        if not re.fullmatch(r"subnet-[0-9a-zA-Z-]+", subnet) or subnet in SETTINGS.missing_subnets:
            raise Fault("InvalidSubnet", f"Subnet IDs are required to be existing subnets: {subnet}")
    if len(set(subnets)) != len(subnets):
        raise invalid("Subnet IDs must be unique.")
    region.subnets |= {subnet: zone for subnet, zone in SETTINGS.subnet_zones.items() if subnet in subnets}
    for subnet in subnets:
        if subnet not in region.subnets:
            taken = [region.subnets[other] for other in subnets if other in region.subnets]
            region.subnets[subnet] = min(region.zones(), key=lambda zone: (taken.count(zone), zone))
    if len({region.subnets[subnet] for subnet in subnets}) < 2:
        raise Fault(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: "
            f"{', '.join(sorted({region.subnets[subnet] for subnet in subnets}))}. Add subnets to cover at least 2 AZs.",
        )


def find(region, name):
    group = region.subnet_groups.get(name.lower())
    if group is None:
        raise Fault("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.")
    return group


def zones_of(region, group):
    return sorted({region.subnets[subnet] for subnet in group.subnets})


@action
def create_db_subnet_group(region, parameters):
    name = parameters["DBSubnetGroupName"]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,254}", name) or name.lower() == "default":
        raise invalid(f"The parameter DBSubnetGroupName is not a valid identifier: {name}")
    name = name.lower()
    if name in region.subnet_groups:
        raise Fault("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.")
    if not parameters.get("DBSubnetGroupDescription"):
        raise invalid("The parameter DBSubnetGroupDescription must be provided and must not be blank.")
    tags = check_tags(parameters.get("Tags", []))
    place(region, parameters["SubnetIds"])
    group = SubnetGroup(
        name, parameters["DBSubnetGroupDescription"], list(parameters["SubnetIds"]), tags, region.arn("subgrp", name)
    )
    region.subnet_groups[name] = group
    return {"DBSubnetGroup": described(region, group)}


@action
def describe_db_subnet_groups(region, parameters):
    filters(parameters)
    wanted = parameters.get("DBSubnetGroupName")
    groups = [find(region, wanted)] if wanted else sorted(region.subnet_groups.values(), key=lambda one: one.name)
    return page(parameters, "DBSubnetGroups", [described(region, group) for group in groups])


@action
def modify_db_subnet_group(region, parameters):
    group = find(region, parameters["DBSubnetGroupName"])
    wanted = list(parameters["SubnetIds"])
    used = {
        instance.shown["AvailabilityZone"]
        for instance in region.instances.values()
        if region.clusters[instance.shown["DBClusterIdentifier"]].shown["DBSubnetGroup"] == group.name
    }
    place(region, wanted)
    for subnet in group.subnets:
        zone = region.subnets[subnet]
        if subnet not in wanted and zone in used and zone not in {region.subnets[other] for other in wanted}:
            raise Fault("SubnetAlreadyInUse", f"The subnet ID {subnet} is currently in use.")
    group.subnets = wanted
    if parameters.get("DBSubnetGroupDescription"):
        group.description = parameters["DBSubnetGroupDescription"]
    return {"DBSubnetGroup": described(region, group)}


@action
def delete_db_subnet_group(region, parameters):
    group = find(region, parameters["DBSubnetGroupName"])
    if any(cluster.shown["DBSubnetGroup"] == group.name for cluster in region.clusters.values()):
        raise Fault(
            "InvalidDBSubnetGroupStateFault",
            f"Cannot delete the subnet group '{group.name}' because at least one database instance is still using it.",
        )
    del region.subnet_groups[group.name]
