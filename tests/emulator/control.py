"""What a test may ask of the emulator itself, under /_emulator/: JSON in, JSON out.

GET  calls          every call since the start, in order: service, action, time, status, asked (the parameters)
GET  sessions       the credentials that sts:AssumeRole gave out: access_key, secret, token, arn
POST reset-calls    forgets them
POST settings       {"polls": 3, "stuck": ["main"], ...}: see store.Settings
POST events         {"source", "kind": "db-cluster" | "db-instance", "message", "categories"}
POST maintenance    {"arn", "action", "description"}: an action that waits for its window
POST window         {"cluster"} or {"instance"}: the maintenance window comes, what waited happens
POST set            {"cluster"} or {"instance"}, "fields": {...}: what only AWS itself changes, such as a minor version
POST scale          {"cluster", "count"}: the autoscaler makes readers; answers with their names

Each takes "account" and "region" too; without them those are the default account, and the only region that was used.
"""

import json
import threading
import uuid

from moto.sts.models import sts_backends

import cluster_changes
import clusters
import instances
from store import REGIONS, SETTINGS, Fault

CALLS = []
LOCK = threading.RLock()


def place(asked):
    found = [
        here
        for (account, name), here in sorted(REGIONS.items())
        if asked.get("account") in (None, account) and asked.get("region") in (None, name)
    ]
    if len(found) != 1:
        raise Fault("Ambiguous", f"name account and region: there are {[(one.account, one.name) for one in found]}")
    return found[0]


def settings(asked):
    for name, value in asked.items():
        if name not in vars(SETTINGS):
            raise Fault("Unknown", f"there is no setting {name}: {sorted(vars(SETTINGS))}")
        setattr(SETTINGS, name, value)
    return vars(SETTINGS)


def events(asked):
    place(asked).event(asked["source"], asked["kind"], asked["message"], asked.get("categories", []))


def maintenance(asked):
    detail = {"Action": asked["action"], "Description": asked.get("description", ""), "OptInStatus": "next-maintenance"}
    place(asked).maintenance.append({"ResourceIdentifier": asked["arn"], "PendingMaintenanceActionDetails": [detail]})


def window(asked):
    here = place(asked)
    if "cluster" in asked:
        cluster_changes.apply_pending(here, clusters.find(here, asked["cluster"]))
    else:
        instances.apply_pending(here, instances.find(here, asked["instance"]))


def change(asked):
    here = place(asked)
    if "cluster" in asked:
        cluster = clusters.find(here, asked["cluster"])
        cluster.shown |= asked["fields"]
        for member in here.members(cluster.name):
            member.shown["EngineVersion"] = cluster.shown["EngineVersion"]
    else:
        instances.find(here, asked["instance"]).shown |= asked["fields"]


def scale(asked):
    return instances.scale(place(asked), asked["cluster"], asked["count"], uuid.uuid4)


def reset_calls(asked):
    CALLS.clear()


def sessions(asked):
    found = [one for account in sts_backends.values() for backend in account.values() for one in backend.assumed_roles]
    return [
        {"access_key": one.access_key_id, "secret": one.secret_access_key, "token": one.session_token, "arn": one.arn}
        for one in found
    ]


ACTIONS = {
    ("GET", "sessions"): sessions,
    ("GET", "calls"): lambda asked: CALLS,
    ("POST", "reset-calls"): reset_calls,
    ("POST", "settings"): settings,
    ("POST", "events"): events,
    ("POST", "maintenance"): maintenance,
    ("POST", "window"): window,
    ("POST", "set"): change,
    ("POST", "scale"): scale,
}


def answer(method, path, body):
    """Status and JSON of one request to the control door."""
    action = ACTIONS.get((method, path.removeprefix("/_emulator/")))
    if action is None:
        return "404 Not Found", json.dumps({"error": f"{method} {path}: see control.py"})
    try:
        return "200 OK", json.dumps(action(json.loads(body or b"{}")), default=str)
    except (Fault, KeyError, ValueError) as error:
        return "400 Bad Request", json.dumps({"error": repr(error)})
