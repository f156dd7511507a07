"""What the emulated RDS remembers, and what its actions have in common.

moto gives the wire protocol, STS, IAM, KMS and Secrets Manager. Its RDS has no states, no pending values, no pages, and
replaces a cluster that is made twice; so the RDS actions here are written anew, over plain dictionaries that have the
shape of the answers.
"""

import datetime
import hashlib

from moto.core.exceptions import ServiceException

ACTIONS = {}


class Fault(ServiceException):
    """An error as AWS words it. The HTTP status comes from the service's model by the code."""

    def __init__(self, code, message):
        super().__init__(code, message)


def action(function):
    """Registers a function as the RDS action of its name in camel case, with Db as DB and Http as it is."""
    words = "".join(word.capitalize() for word in function.__name__.split("_"))
    ACTIONS[words.replace("Db", "DB")] = function
    return function


class Settings:
    """What a test may set through the control door (control.py)."""

    def __init__(self):
        # The account of credentials that belong to no other.
        self.default_account = None
        # Describes that show a change under way before it is done.
        self.polls = 2
        self.delay_ms = 0
        self.roles_quota = None
        # The next version upgrade goes back to available with this message as an event and without an effect.
        self.upgrade_refused = None
        # Identifiers of clusters and instances that never leave the state they are in.
        self.stuck = []
        # How often a role that was just made is not known yet to RDS and to trust policies.
        self.role_lag = 0
        # Subnets that do not exist, and the zones of those which must be in a certain one.
        self.missing_subnets = []
        self.subnet_zones = {}
        # Actions that are refused without being carried out: {"PutRolePolicy": {"code": ..., "message": ..., "times": 2}};
        # without `times`, always.
        self.refusals = {}
        # Names of roles that the listing of the account does not show until somebody tries to make them, as if they had
        # been made after it was read.
        self.unlisted = []
        # Actions that nobody may do, such as "rds:DescribeEvents" or "iam:*".
        self.denied = []
        # Seconds by which the clock of AWS is ahead of the world's.
        self.clock_ahead = 0
        # A number: every list of an answer comes in an order that it makes.
        self.shuffle = None
        # Access keys of other accounts.
        self.access_keys = {}


SETTINGS = Settings()


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Progress:
    """A change under way. Only reads advance it: the first `stale` of them do not see it yet, the last one ends it."""

    def __init__(self, status, end, stale=0):
        self.status = status
        self.left = max(SETTINGS.polls, 1)
        self.stale = stale
        self.end = end


class Resource:
    """A cluster or an instance: what is shown of it, what waits for its window, and what is under way."""

    def __init__(self, name, status_field, shown):
        self.name = name
        self.status_field = status_field
        self.shown = shown
        self.pending = {}
        self.progress = None

    @property
    def status(self):
        """What is true, which a read right after a change does not tell yet."""
        return self.progress.status if self.progress else self.shown[self.status_field]

    def begin(self, status, end=lambda: None, stale=0):
        """Starts a change. One that was under way ends now."""
        if self.progress:
            before, self.progress = self.progress, None
            before.end()
        self.progress = Progress(status, end, stale)
        if not stale:
            self.shown[self.status_field] = status

    def read(self):
        """Called once for each answer that shows this; afterwards the change is one read further."""
        progress = self.progress
        if progress is None or self.name in SETTINGS.stuck:
            return
        if progress.stale > 0:
            progress.stale -= 1
            if progress.stale == 0:
                self.shown[self.status_field] = progress.status
            return
        progress.left -= 1
        if progress.left <= 0:
            self.progress = None
            self.shown[self.status_field] = "available"
            progress.end()


class Region:
    """Everything of RDS in one region of one account."""

    def __init__(self, account, name):
        self.account = account
        self.name = name
        self.partition = "aws-cn" if name.startswith("cn-") else "aws-us-gov" if name.startswith("us-gov-") else "aws"
        self.clusters = {}
        self.instances = {}
        self.cluster_groups = {}
        self.instance_groups = {}
        self.subnet_groups = {}
        self.subnets = {}
        self.snapshots = {}
        self.events = []
        self.maintenance = []
        self.made = 0

    def arn(self, kind, name):
        return f"arn:{self.partition}:rds:{self.name}:{self.account}:{kind}:{name}"

    def host(self, name, kind=""):
        """Endpoint names are `<name>.[cluster-|cluster-ro-]<hash>.<region>.rds.amazonaws.com`, where the hash is "c" and
        the first 11 hexadecimal digits of the SHA-256 of "<account>/<region>". Rust: support/emulator.rs, endpoint().
        """
        digest = hashlib.sha256(f"{self.account}/{self.name}".encode()).hexdigest()[:11]
        suffix = ".cn" if self.partition == "aws-cn" else ""
        return f"{name}.{kind}c{digest}.{self.name}.rds.amazonaws.com{suffix}"

    def resource_id(self, prefix, name):
        """Another one each time something of the same name is made."""
        self.made += 1
        digest = hashlib.sha256(f"{self.account}/{self.name}/{name}/{self.made}".encode()).digest()
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
        return prefix + "".join(alphabet[byte % 32] for byte in digest[:26])

    def zones(self):
        return [self.name + letter for letter in "abc"]

    def event(self, source, kind, message, categories):
        arn = self.arn("cluster" if kind == "db-cluster" else "db", source)
        self.events.append(
            {
                "SourceIdentifier": source,
                "SourceType": kind,
                "Message": message,
                "EventCategories": categories,
                "Date": now(),
                "SourceArn": arn,
            }
        )

    def members(self, cluster):
        return [one for one in self.instances.values() if one.shown["DBClusterIdentifier"] == cluster]

    def tagged(self, arn):
        """The list of tags of what has this ARN."""
        for resource in [*self.clusters.values(), *self.instances.values()]:
            if arn in (resource.shown.get("DBClusterArn"), resource.shown.get("DBInstanceArn")):
                return resource.shown["TagList"]
        for group in [*self.cluster_groups.values(), *self.instance_groups.values(), *self.subnet_groups.values()]:
            if group.arn == arn:
                return group.tags
        for snapshot in self.snapshots.values():
            if snapshot["DBClusterSnapshotArn"] == arn:
                return snapshot["TagList"]
        parts = arn.split(":")
        if len(parts) != 7 or parts[2] != "rds":
            raise Fault("InvalidParameterValue", f"Invalid resource name: {arn}")
        kind, name = parts[5], parts[6]
        if kind == "cluster":
            raise Fault("DBClusterNotFoundFault", f"DBCluster {name} not found.")
        if kind == "db":
            raise Fault("DBInstanceNotFound", f"DBInstance {name} not found.")
        if kind == "subgrp":
            raise Fault("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.")
        if kind in ("pg", "cluster-pg"):
            raise Fault("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}")
        raise Fault("InvalidParameterValue", f"Invalid resource name: {arn}")


REGIONS = {}


def region(account, name):
    if (account, name) not in REGIONS:
        REGIONS[account, name] = Region(account, name)
    return REGIONS[account, name]


def page(parameters, result_key, everything):
    """One page of an answer, as MaxRecords and Marker ask for it."""
    size = parameters.get("MaxRecords", 100)
    if not 20 <= size <= 100:
        raise Fault("InvalidParameterValue", f"Invalid value {size} for MaxRecords. Must be between 20 and 100")
    marker = parameters.get("Marker") or "0"
    if not marker.isdigit() or int(marker) > len(everything):
        raise Fault("InvalidParameterValue", "The marker is invalid.")
    start = int(marker)
    answer = {result_key: everything[start : start + size]}
    if start + size < len(everything):
        answer["Marker"] = str(start + size)
    return answer


def filters(parameters, *known):
    """The filters of a Describe by name; one that the action does not know is an error."""
    chosen = {}
    for one in parameters.get("Filters", []):
        if one["Name"] not in known:
            raise Fault("InvalidParameterValue", f"Unrecognized filter name: {one['Name']}")
        chosen[one["Name"]] = one["Values"]
    return chosen


def check_tags(tags):
    keys = [tag["Key"] for tag in tags]
    if len(keys) > 50:
        raise Fault("InvalidParameterValue", "A resource can have at most 50 tags.")
    for key in keys:
        if key.lower().startswith("aws:") or not 1 <= len(key) <= 128:
            raise Fault("InvalidParameterValue", f"Tag keys must not start with 'aws:' or be longer than 128: {key}")
    return [{"Key": tag["Key"], "Value": tag.get("Value", "")} for tag in tags]


@action
def list_tags_for_resource(region, parameters):
    return {"TagList": list(region.tagged(parameters["ResourceName"]))}


@action
def add_tags_to_resource(region, parameters):
    tags = region.tagged(parameters["ResourceName"])
    added = check_tags(parameters["Tags"])
    kept = [tag for tag in tags if tag["Key"] not in {one["Key"] for one in added}]
    tags[:] = check_tags(kept + added)


@action
def remove_tags_from_resource(region, parameters):
    tags = region.tagged(parameters["ResourceName"])
    tags[:] = [tag for tag in tags if tag["Key"] not in parameters["TagKeys"]]


@action
def describe_events(region, parameters):
    minutes = parameters.get("Duration", 60)
    start = parameters.get("StartTime") or now() - datetime.timedelta(minutes=minutes)
    end = parameters.get("EndTime")
    source, kind = parameters.get("SourceIdentifier"), parameters.get("SourceType")
    if source and not kind:
        raise Fault("InvalidParameterCombination", "SourceType must be given with SourceIdentifier.")
    categories = parameters.get("EventCategories")

    def matches(event):
        return (
            event["Date"] >= aware(start)
            and (end is None or event["Date"] <= aware(end))
            and (source is None or event["SourceIdentifier"] == source)
            and (kind is None or event["SourceType"] == kind)
            and (not categories or set(categories) & set(event["EventCategories"]))
        )

    return page(parameters, "Events", [event for event in region.events if matches(event)])


def aware(moment):
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


@action
def describe_pending_maintenance_actions(region, parameters):
    chosen = filters(parameters, "db-cluster-id", "db-instance-id")
    wanted = {region.arn("cluster", name) if ":" not in name else name for name in chosen.get("db-cluster-id", [])}
    wanted |= {region.arn("db", name) if ":" not in name else name for name in chosen.get("db-instance-id", [])}
    if parameters.get("ResourceIdentifier"):
        wanted.add(parameters["ResourceIdentifier"])
    found = [one for one in region.maintenance if not wanted or one["ResourceIdentifier"] in wanted]
    return page(parameters, "PendingMaintenanceActions", found)
