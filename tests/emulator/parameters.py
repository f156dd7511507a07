"""Parameter groups of clusters and of instances: the two differ in names only."""

import re

from catalogue import ENGINE, VERSIONS, family
from parameter_table import KNOWN
from rules import check_identifier, invalid
from store import Fault, action, check_tags, filters, page

FAMILIES = sorted({family(version) for version in VERSIONS})


class Group:
    def __init__(self, name, family, description, tags, arn):
        self.name = name
        self.family = family
        self.description = description
        self.tags = tags
        self.arn = arn
        # What was set: name -> (value, method).
        self.values = {}


class Kind:
    """What is said differently of cluster and of instance groups."""

    def __init__(self, prefix, groups, arn, status, cluster):
        self.prefix = prefix
        self.groups = groups
        self.arn = arn
        # The field of an instance that remembers how far a change of the group has come.
        self.status = status
        self.cluster = cluster

    def described(self, group):
        return {
            f"{self.prefix}Name": group.name,
            "DBParameterGroupFamily": group.family,
            "Description": group.description,
            f"{self.prefix}Arn": group.arn,
        }

    def find(self, region, name):
        """A group by its name. The default groups exist always, and nothing in them can be changed."""
        groups = getattr(region, self.groups)
        lower = name.lower()
        if lower.startswith("default.") and lower.removeprefix("default.") in FAMILIES and lower not in groups:
            of = lower.removeprefix("default.")
            groups[lower] = Group(lower, of, f"Default parameter group for {of}", [], region.arn(self.arn, lower))
        if lower not in groups:
            what = "DBClusterParameterGroup" if self.cluster else "DBParameterGroup"
            raise Fault("DBParameterGroupNotFound", f"{what} not found: {name}")
        return groups[lower]

    def users(self, region, group):
        """The instances that take values from this group."""
        for instance in region.instances.values():
            cluster = region.clusters[instance.shown["DBClusterIdentifier"]]
            used = cluster.shown["DBClusterParameterGroup"] if self.cluster else instance.group
            if used == group.name:
                yield instance

    def in_use(self, region, group):
        if self.cluster:
            return any(cluster.shown["DBClusterParameterGroup"] == group.name for cluster in region.clusters.values())
        return any(True for _ in self.users(region, group))


CLUSTER = Kind("DBClusterParameterGroup", "cluster_groups", "cluster-pg", "cluster_group_status", True)
INSTANCE = Kind("DBParameterGroup", "instance_groups", "pg", "group_status", False)


def create(kind, region, parameters):
    name = parameters[f"{kind.prefix}Name"]
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9.-]{0,254}", name) or "--" in name or name.endswith("-"):
        check_identifier(name[:63], f"{kind.prefix}Name")
        raise invalid(f"The parameter {kind.prefix}Name is not a valid identifier.")
    name = name.lower()
    if name in getattr(region, kind.groups):
        raise Fault("DBParameterGroupAlreadyExists", f"Parameter group {name} already exists")
    of = parameters["DBParameterGroupFamily"]
    if of not in FAMILIES:
        raise invalid(f"ParameterGroupFamily {of} is not a valid parameter group family")
    if not parameters.get("Description"):
        raise invalid("The parameter Description must be provided and must not be blank.")
    tags = check_tags(parameters.get("Tags", []))
    group = Group(name, of, parameters["Description"], tags, region.arn(kind.arn, name))
    getattr(region, kind.groups)[name] = group
    return {kind.prefix: kind.described(group)}


def describe_groups(kind, region, parameters):
    filters(parameters)
    wanted = parameters.get(f"{kind.prefix}Name")
    groups = (
        [kind.find(region, wanted)]
        if wanted
        else sorted(getattr(region, kind.groups).values(), key=lambda one: one.name)
    )
    return page(parameters, f"{kind.prefix}s", [kind.described(group) for group in groups])


def delete(kind, region, parameters):
    group = kind.find(region, parameters[f"{kind.prefix}Name"])
    if group.name.startswith("default."):
        raise Fault("InvalidDBParameterGroupState", "Default DBParameterGroup cannot be deleted")
    if kind.in_use(region, group):
        raise Fault(
            "InvalidDBParameterGroupState",
            "One or more database instances are still members of this parameter group, so the group cannot be deleted",
        )
    del getattr(region, kind.groups)[group.name]


def known_to(kind):
    return [one for one in KNOWN.values() if kind.cluster or not one["ClusterOnly"]]


def describe(kind, region, parameters):
    group = kind.find(region, parameters[f"{kind.prefix}Name"])
    names = filters(parameters, "parameter-name").get("parameter-name")
    source = parameters.get("Source")
    if source not in (None, "user", "system", "engine-default"):
        raise invalid(f"Invalid value for Source: {source}")
    found = []
    for one in sorted(known_to(kind), key=lambda one: one["ParameterName"]):
        name = one["ParameterName"]
        value, method = group.values.get(name, (one["Default"], "pending-reboot"))
        origin = "user" if name in group.values else "system" if one["Default"] is not None else "engine-default"
        if (names and name not in names) or (source and origin != source):
            continue
        shown = {key: one[key] for key in ("ParameterName", "ApplyType", "DataType", "IsModifiable")}
        shown |= {"Source": origin, "ApplyMethod": method, "SupportedEngineModes": ["provisioned"]}
        shown |= {"Description": f"{name} of {ENGINE}"}
        if one["AllowedValues"] is not None:
            shown["AllowedValues"] = one["AllowedValues"]
        if value is not None:
            shown["ParameterValue"] = value
        found.append(shown)
    return page(parameters, "Parameters", found)


def check_value(one, value):
    """A number in the range, one of the words, or a formula."""
    allowed = one["AllowedValues"]
    fits = True
    if allowed is None or re.search(r"[{$(]", value):
        return
    if one["DataType"] in ("integer", "float"):
        least, most = re.fullmatch(r"(-?[\d.]+)-(.+)", allowed).groups()
        pattern = r"-?\d+" if one["DataType"] == "integer" else r"-?\d+(\.\d+)?"
        fits = re.fullmatch(pattern, value) is not None and float(least) <= float(value) <= float(most)
    elif one["DataType"] == "list":
        fits = all(part.strip() in allowed.split(",") for part in value.split(",") if part.strip())
    elif one["DataType"] == "boolean":
        fits = value in ("0", "1")
    else:
        fits = value in allowed.split(",")
    if not fits:
        raise invalid(f"Invalid parameter value: {value} for: {one['ParameterName']} allowed values are: {allowed}")


def wanted_parameters(kind, parameters):
    """What a Modify or a Reset names, checked."""
    given = parameters.get("Parameters", [])
    if len(given) > 20:
        raise invalid("The request must contain no more than 20 parameters.")
    for item in given:
        one = KNOWN.get(item.get("ParameterName"))
        if one is None or one not in known_to(kind):
            raise invalid(f"Could not find parameter with name: {item.get('ParameterName')}")
        method = item.get("ApplyMethod")
        if method not in ("immediate", "pending-reboot"):
            raise invalid(f"The ApplyMethod of {one['ParameterName']} must be immediate or pending-reboot.")
        if method == "immediate" and one["ApplyType"] == "static":
            raise Fault("InvalidParameterCombination", "cannot use immediate apply method for static parameter")
        if not one["IsModifiable"]:
            raise invalid(f"The parameter {one['ParameterName']} cannot be modified.")
        yield one, item


def changeable(kind, region, parameters):
    group = kind.find(region, parameters[f"{kind.prefix}Name"])
    if group.name.startswith("default."):
        raise Fault("InvalidDBParameterGroupState", "Default DBParameterGroup cannot be modified")
    return group


def note(kind, region, group, methods):
    """What a change of values means to the instances that use the group."""
    for instance in kind.users(region, group):
        if "pending-reboot" in methods:
            setattr(instance, kind.status, "pending-reboot")
        elif methods and getattr(instance, kind.status) == "in-sync":
            setattr(instance, kind.status, "applying")


def modify(kind, region, parameters):
    group = changeable(kind, region, parameters)
    given = list(wanted_parameters(kind, parameters))
    if not given:
        raise invalid("The parameter Parameters must be provided and must not be blank.")
    for one, item in given:
        if item.get("ParameterValue") is None:
            raise invalid(f"The parameter {one['ParameterName']} must have a value.")
        check_value(one, item["ParameterValue"])
    methods = set()
    for one, item in given:
        name = one["ParameterName"]
        if group.values.get(name, (one["Default"],))[0] != item["ParameterValue"]:
            methods.add(item["ApplyMethod"])
        group.values[name] = (item["ParameterValue"], item["ApplyMethod"])
    note(kind, region, group, methods)
    return {f"{kind.prefix}Name": group.name}


def reset(kind, region, parameters):
    group = changeable(kind, region, parameters)
    given = list(wanted_parameters(kind, parameters))
    if parameters.get("ResetAllParameters") == bool(given):
        raise Fault("InvalidParameterCombination", "Either ResetAllParameters or Parameters must be given, not both.")
    methods = {item["ApplyMethod"] for one, item in given if one["ParameterName"] in group.values}
    for one, _ in given:
        group.values.pop(one["ParameterName"], None)
    if parameters.get("ResetAllParameters"):
        methods = {"pending-reboot"} if group.values else set()
        group.values.clear()
    note(kind, region, group, methods)
    return {f"{kind.prefix}Name": group.name}


@action
def create_db_cluster_parameter_group(region, parameters):
    return create(CLUSTER, region, parameters)


@action
def create_db_parameter_group(region, parameters):
    return create(INSTANCE, region, parameters)


@action
def describe_db_cluster_parameter_groups(region, parameters):
    return describe_groups(CLUSTER, region, parameters)


@action
def describe_db_parameter_groups(region, parameters):
    return describe_groups(INSTANCE, region, parameters)


@action
def delete_db_cluster_parameter_group(region, parameters):
    return delete(CLUSTER, region, parameters)


@action
def delete_db_parameter_group(region, parameters):
    return delete(INSTANCE, region, parameters)


@action
def describe_db_cluster_parameters(region, parameters):
    return describe(CLUSTER, region, parameters)


@action
def describe_db_parameters(region, parameters):
    return describe(INSTANCE, region, parameters)


@action
def modify_db_cluster_parameter_group(region, parameters):
    return modify(CLUSTER, region, parameters)


@action
def modify_db_parameter_group(region, parameters):
    return modify(INSTANCE, region, parameters)


@action
def reset_db_cluster_parameter_group(region, parameters):
    return reset(CLUSTER, region, parameters)


@action
def reset_db_parameter_group(region, parameters):
    return reset(INSTANCE, region, parameters)
